//! MP4, MOV and their kin: the boxes that carry metadata.
//!
//! Owns: the XMP `uuid` box, `moov/udta/XMP_`, and the iTunes and QuickTime texts (`©nam`, `©ART`, `©cpy` …).
//! Never does: looking into media data, wherever it lies.

use crate::Embedded;

use super::found::{Found, fill};
use super::source::{Source, Trouble};
use super::text;

/// The `uuid` of the XMP box (XMP specification part 3).
const XMP_UUID: [u8; 16] =
    [0xbe, 0x7a, 0xcf, 0xcb, 0x97, 0xa9, 0x42, 0xe8, 0x9c, 0x71, 0x99, 0x94, 0x91, 0xe3, 0xaf, 0xac];

/// Most boxes walked in one file, all levels together.
const MAX_BOXES: usize = 40_000;

/// Longest text atom read, in bytes.
const MAX_ATOM: u64 = 64 * 1024;

/// Where a box lies among others, which decides what its children mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Inside {
    File,
    Movie,
    UserData,
    Meta,
    List,
}

/// Reads the boxes of a file.
pub(super) fn read(source: &mut Source<'_>, found: &mut Found) -> Result<(), Trouble> {
    let mut texts = Texts { quicktime: Embedded::default(), itunes: Embedded::default(), boxes_left: MAX_BOXES };
    let end = source.size();
    let outcome = boxes(source, 0, end, Inside::File, &mut texts, found);
    fill(&mut found.text, texts.itunes);
    fill(&mut found.text, texts.quicktime);
    outcome
}

struct Texts {
    quicktime: Embedded,
    itunes: Embedded,
    boxes_left: usize,
}

/// Walks the boxes in `at..end`; the nesting is that of [`Inside`], five levels.
fn boxes(
    source: &mut Source<'_>,
    mut at: u64,
    end: u64,
    inside: Inside,
    texts: &mut Texts,
    found: &mut Found,
) -> Result<(), Trouble> {
    while at.saturating_add(8) <= end {
        texts.boxes_left = texts.boxes_left.checked_sub(1).ok_or(Trouble::TooLong)?;
        let head = source.header::<8>(at)?;
        let kind = [head[4], head[5], head[6], head[7]];
        let (header, size) = match u32::from_be_bytes([head[0], head[1], head[2], head[3]]) {
            // QuickTime ends a list of user data with four zero bytes.
            0 if inside == Inside::UserData => return Ok(()),
            0 => (8, end - at),
            1 => (16, u64::from_be_bytes(source.header::<8>(at + 8)?)),
            size => (8, u64::from(size)),
        };
        let (body, after) = (at + header, at.checked_add(size).ok_or(Trouble::Damaged)?);
        if size < header {
            return Err(Trouble::Damaged);
        }
        if after > end {
            return Err(Trouble::Cut);
        }
        let len = after - body;
        match (inside, &kind) {
            (Inside::File | Inside::Movie | Inside::UserData, b"uuid")
                if len > 16 && source.header::<16>(body)? == XMP_UUID =>
            {
                found.xmp(&source.block(body + 16, len - 16)?);
            }
            (Inside::File, b"moov") => boxes(source, body, after, Inside::Movie, texts, found)?,
            (Inside::Movie, b"udta") => boxes(source, body, after, Inside::UserData, texts, found)?,
            (Inside::UserData, b"XMP_") => drop(found.xmp(&source.block(body, len)?)),
            (Inside::Movie | Inside::UserData, b"meta") if len >= 8 => {
                // ISO's `meta` starts with four bytes of version and flags, QuickTime's at once with a box.
                let inner = if &source.header::<8>(body)?[4..] == b"hdlr" { body } else { body + 4 };
                boxes(source, inner, after, Inside::Meta, texts, found)?;
            }
            (Inside::Meta, b"ilst") => boxes(source, body, after, Inside::List, texts, found)?,
            (Inside::List, _) if len > 16 && len <= MAX_ATOM => {
                let atom = source.block(body, len)?;
                // One `data` box: size, name, type, locale, text.
                if &atom[4..8] == b"data" {
                    put_text(&mut texts.itunes, kind, &text::legacy(&atom[16..]));
                }
            }
            (Inside::UserData, [0xa9, ..]) if len > 4 && len <= MAX_ATOM => {
                let atom = source.block(body, len)?;
                let size = usize::from(u16::from_be_bytes([atom[0], atom[1]]));
                let value = &atom[4..];
                put_text(&mut texts.quicktime, kind, &text::legacy(value.get(..size).unwrap_or(value)));
            }
            _ => {}
        }
        at = after;
    }
    Ok(())
}

fn put_text(out: &mut Embedded, kind: [u8; 4], value: &str) {
    match &kind {
        b"\xa9nam" => text::put(&mut out.title, None, value),
        b"\xa9cpy" | b"cprt" => text::put(&mut out.rights, None, value),
        b"\xa9des" | b"desc" => text::put(&mut out.description, None, value),
        b"\xa9ART" | b"\xa9aut" => out.creator = out.creator.take().or_else(|| text::clean(value)),
        b"\xa9key" | b"keyw" => text::push_split(&mut out.keywords, value, &[',', ';']),
        _ => {}
    }
}
