//! Photoshop image resources (`8BIM` blocks): in PSD files, in JPEG's APP13, in TIFF's tag 34377.
//!
//! Owns: walking the blocks (Adobe Photoshop File Formats Specification). Never does: finding where they start.

use std::io::Cursor;

use super::found::Found;
use super::source::{Source, Trouble};

/// Most resources looked at.
const MAX_RESOURCES: usize = 10_000;

/// Reads a block in memory, as JPEG and TIFF carry it. An EXIF resource in it is left alone: the container has its
/// own EXIF, and blocks must not nest without end.
pub(super) fn parse_block(block: &[u8], found: &mut Found) {
    if !found.book(block.len()) {
        return;
    }
    let mut cursor = Cursor::new(block);
    let outcome = read(&mut Source::of_block(&mut cursor), 0, block.len() as u64, false, found);
    found.note_trouble("the Photoshop resources", outcome);
}

/// Reads the resources in `start..end`.
pub(super) fn read(
    source: &mut Source<'_>,
    start: u64,
    end: u64,
    with_exif: bool,
    found: &mut Found,
) -> Result<(), Trouble> {
    let mut at = start;
    // A resource has at least 12 bytes; less than that is padding.
    for _ in 0..MAX_RESOURCES {
        if at.saturating_add(12) > end {
            return Ok(());
        }
        let head = source.header::<7>(at)?;
        let (signature, id) = (&head[..4], u16::from_be_bytes([head[4], head[5]]));
        if !matches!(signature, b"8BIM" | b"MeSa" | b"PHUT" | b"AgHg" | b"DCSR") {
            return if head == [0; 7] { Ok(()) } else { Err(Trouble::Damaged) };
        }
        // A Pascal string padded to an even length, its length byte included.
        let name = (u64::from(head[6]) + 2) & !1;
        let size_at = at + 6 + name;
        let size = u64::from(u32::from_be_bytes(source.header::<4>(size_at)?));
        let data = size_at + 4;
        if data + size > end {
            return Err(Trouble::Cut);
        }
        match id {
            0x0404 => found.iptc(&source.block(data, size)?),
            0x0424 => drop(found.xmp(&source.block(data, size)?)),
            0x0422 if with_exif => found.exif(&source.block(data, size)?),
            _ => {}
        }
        at = data + size + (size & 1);
    }
    Err(Trouble::TooLong)
}

/// Reads a PSD or PSB file: header, colour data, then the resources.
pub(super) fn read_psd(source: &mut Source<'_>, found: &mut Found) -> Result<(), Trouble> {
    let colours = u64::from(u32::from_be_bytes(source.header::<4>(26)?));
    let at = 30 + colours;
    let len = u64::from(u32::from_be_bytes(source.header::<4>(at)?));
    read(source, at + 4, at + 4 + len, true, found)
}
