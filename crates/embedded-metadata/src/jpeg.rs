//! JPEG: the application segments before the picture.
//!
//! Owns: XMP and extended XMP (XMP specification part 3), EXIF, Photoshop resources.
//! Never does: looking behind the start of the picture's data.

use std::collections::BTreeMap;

use super::found::Found;
use super::resources;
use super::source::{MAX_BLOCK, Source, Trouble};

const XMP: &[u8] = b"http://ns.adobe.com/xap/1.0/\0";
const EXTENDED: &[u8] = b"http://ns.adobe.com/xmp/extension/\0";
const EXIF: &[u8] = b"Exif\0";
const PHOTOSHOP: &[u8] = b"Photoshop 3.0\0";

/// Most segments walked.
const MAX_SEGMENTS: usize = 20_000;

/// What the segments gave, before it is put together.
#[derive(Default)]
struct Segments {
    guid: Option<String>,
    photoshop: Vec<u8>,
    /// Pieces of extended packets: (GUID, offset) → bytes.
    extended: BTreeMap<(String, u32), Vec<u8>>,
    extended_len: usize,
}

/// Reads the segments up to the picture.
pub(super) fn read(source: &mut Source<'_>, found: &mut Found) -> Result<(), Trouble> {
    let mut segments = Segments::default();
    let outcome = walk(source, &mut segments, found);
    if !segments.photoshop.is_empty() {
        resources::parse_block(&segments.photoshop, found);
    }
    extended(segments, found);
    outcome
}

fn walk(source: &mut Source<'_>, segments: &mut Segments, found: &mut Found) -> Result<(), Trouble> {
    let mut at = 2;
    for _ in 0..MAX_SEGMENTS {
        let [fill, marker] = source.header::<2>(at)?;
        match (fill, marker) {
            (0xff, 0xff) => at += 1,
            (0xff, 0x01 | 0xd0..=0xd8) => at += 2,
            (0xff, 0xd9 | 0xda) => return Ok(()),
            (0xff, _) => {
                let len = u64::from(u16::from_be_bytes(source.header::<2>(at + 2)?));
                let len = len.checked_sub(2).ok_or(Trouble::Damaged)?;
                if matches!(marker, 0xe1 | 0xed) {
                    segment(&source.block(at + 4, len)?, marker, segments, found);
                }
                at += 4 + len;
            }
            _ => return Err(Trouble::Damaged),
        }
    }
    Err(Trouble::TooLong)
}

fn segment(payload: &[u8], marker: u8, segments: &mut Segments, found: &mut Found) {
    if let (0xed, Some(part)) = (marker, payload.strip_prefix(PHOTOSHOP)) {
        // Resources may run on through several segments.
        if segments.photoshop.len() + part.len() <= MAX_BLOCK {
            segments.photoshop.extend_from_slice(part);
        }
    } else if marker != 0xe1 {
    } else if let Some(packet) = payload.strip_prefix(XMP) {
        let guid = found.xmp(packet);
        segments.guid = segments.guid.take().or(guid);
    } else if let Some(part) = payload.strip_prefix(EXTENDED) {
        if let Some((guid, offset, part)) = split_extended(part) {
            segments.extended_len += part.len();
            if segments.extended_len <= MAX_BLOCK {
                segments.extended.insert((guid, offset), part.to_vec());
            }
        }
    } else if payload.starts_with(EXIF) {
        found.exif(payload.get(6..).unwrap_or_default());
    }
}

/// GUID, offset and bytes of one piece; the full length between them is not needed.
fn split_extended(part: &[u8]) -> Option<(String, u32, &[u8])> {
    let (guid, rest) = part.split_first_chunk::<32>()?;
    let (_full, rest) = rest.split_first_chunk::<4>()?;
    let (offset, rest) = rest.split_first_chunk::<4>()?;
    Some((String::from_utf8_lossy(guid).to_ascii_uppercase(), u32::from_be_bytes(*offset), rest))
}

/// Puts the pieces of the announced packet together and reads it.
fn extended(segments: Segments, found: &mut Found) {
    let Some(guid) = segments.guid.map(|guid| guid.to_ascii_uppercase()) else { return };
    if segments.extended_len > MAX_BLOCK {
        found.note("the extended XMP is over the limit of 4 MiB; only the main packet was read");
        return;
    }
    let mut packet: Vec<u8> = Vec::new();
    let mut whole = false;
    for ((_, offset), part) in segments.extended.range((guid.clone(), 0)..=(guid, u32::MAX)) {
        whole = *offset as usize == packet.len();
        if !whole {
            break;
        }
        packet.extend_from_slice(part);
    }
    if whole {
        found.xmp(&packet);
    } else {
        found.note("parts of the extended XMP are missing; only the main packet was read");
    }
}
