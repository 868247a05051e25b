//! TIFF directories: EXIF blocks, TIFF and BigTIFF files.
//!
//! Owns: the tags of the first directory that have a slot (TIFF 6.0, EXIF 2.32, Microsoft's XP tags), and the
//! blocks TIFF carries: XMP (700), IPTC (33723), Photoshop resources (34377).
//! Never does: following other directories (pages, thumbnails, GPS, maker notes).

use std::io::Cursor;

use crate::Embedded;

use super::found::Found;
use super::source::{Source, Trouble};
use super::{resources, text};

/// Most entries believed of one directory.
const MAX_ENTRIES: u64 = 4096;

/// Reads an EXIF block, with or without its `Exif\0\0` introduction.
pub(super) fn parse_block(block: &[u8], found: &mut Found) -> Result<(), Trouble> {
    let block = block.strip_prefix(b"Exif\0\0").unwrap_or(block);
    let mut cursor = Cursor::new(block);
    read(&mut Source::of_block(&mut cursor), found)
}

/// Byte order and width of one TIFF.
#[derive(Clone, Copy)]
struct Layout {
    big_endian: bool,
    big: bool,
}

impl Layout {
    fn number(self, bytes: &[u8]) -> u64 {
        let push = |sum: u64, &byte: &u8| sum << 8 | u64::from(byte);
        if self.big_endian { bytes.iter().fold(0, push) } else { bytes.iter().rev().fold(0, push) }
    }
}

/// Reads a TIFF's first directory.
pub(super) fn read(source: &mut Source<'_>, found: &mut Found) -> Result<(), Trouble> {
    let start = source.header::<4>(0)?;
    let big_endian = match &start[..2] {
        b"MM" => true,
        b"II" => false,
        _ => return Err(Trouble::Damaged),
    };
    let layout = match (Layout { big_endian, big: false }).number(&start[2..]) {
        42 => Layout { big_endian, big: false },
        43 => Layout { big_endian, big: true },
        _ => return Err(Trouble::Damaged),
    };
    let (directory, entries, first) = if layout.big {
        let at = layout.number(&source.header::<8>(8)?);
        (at, layout.number(&source.header::<8>(at)?), at.saturating_add(8))
    } else {
        let at = layout.number(&source.header::<4>(4)?);
        (at, layout.number(&source.header::<2>(at)?), at.saturating_add(2))
    };
    if directory == 0 || entries > MAX_ENTRIES {
        return Err(Trouble::Damaged);
    }
    let mut values = Values::default();
    let entry_size = if layout.big { 20 } else { 12 };
    let mut outcome = Ok(());
    for index in 0..entries {
        outcome = entry(source, layout, first.saturating_add(index * entry_size), &mut values, found);
        if let Err(Trouble::TooLarge(_) | Trouble::Cut) = outcome {
            found.note_trouble("a TIFF tag", outcome);
            outcome = Ok(());
        } else if outcome.is_err() {
            break;
        }
    }
    // What was read before the damage stays.
    found.exif_values(values.settle());
    outcome
}

/// The texts of a directory, before the XP tags and the plain ones are weighed.
#[derive(Default)]
struct Values {
    plain: Embedded,
    xp: Embedded,
}

impl Values {
    fn settle(self) -> Embedded {
        // The XP tags are Unicode and written later, by hand: they win over the plain ones.
        let mut settled = self.xp;
        super::found::fill(&mut settled, self.plain);
        settled
    }
}

fn entry(
    source: &mut Source<'_>,
    layout: Layout,
    at: u64,
    values: &mut Values,
    found: &mut Found,
) -> Result<(), Trouble> {
    let head = source.header::<4>(at)?;
    let tag = layout.number(&head[..2]);
    if !matches!(tag, 270 | 315 | 700 | 33432 | 33723 | 34377 | 0x9c9b..=0x9c9f) {
        return Ok(());
    }
    // Width in bytes of one value, by field type (TIFF 6.0, EXIF 3's UTF-8, BigTIFF).
    let width = match layout.number(&head[2..]) {
        1 | 2 | 6 | 7 | 129 => 1,
        3 | 8 => 2,
        4 | 9 | 11 | 13 => 4,
        5 | 10 | 12 | 16 | 17 | 18 => 8,
        _ => return Ok(()),
    };
    let (count, slot, room) = if layout.big {
        (layout.number(&source.header::<8>(at + 4)?), at + 12, 8)
    } else {
        (layout.number(&source.header::<4>(at + 4)?), at + 8, 4)
    };
    let len = count.checked_mul(width).ok_or(Trouble::Damaged)?;
    let place = match (len <= room, layout.big) {
        (true, _) => slot,
        (false, true) => layout.number(&source.header::<8>(slot)?),
        (false, false) => layout.number(&source.header::<4>(slot)?),
    };
    let value = source.block(place, len)?;
    let xp = || text::utf16(&value, false);
    let Values { plain, xp: wide } = values;
    match tag {
        270 => text::put(&mut plain.description, None, &text::legacy(&value)),
        315 => plain.creator = plain.creator.take().or_else(|| people(&text::legacy(&value))),
        33432 => text::put(&mut plain.rights, None, &copyright(&text::legacy(&value))),
        700 => drop(found.xmp(&value)),
        33723 => found.iptc(&value),
        34377 => resources::parse_block(&value, found),
        0x9c9b => text::put(&mut wide.title, None, &xp()),
        0x9c9d => wide.creator = wide.creator.take().or_else(|| people(&xp())),
        0x9c9e => text::push_split(&mut wide.keywords, &xp(), &[';']),
        0x9c9f => text::put(&mut wide.description, None, &xp()),
        _ => {}
    }
    Ok(())
}

/// EXIF separates people with a semicolon.
fn people(raw: &str) -> Option<String> {
    let mut people = Vec::new();
    text::push_split(&mut people, raw, &[';', '\0']);
    text::join(&people)
}

/// EXIF's two-part copyright: photographer, NUL, editor.
fn copyright(raw: &str) -> String {
    let mut parts = Vec::new();
    text::push_split(&mut parts, raw, &['\0']);
    parts.join(", ")
}
