//! WebP: the chunks of a RIFF file.
//!
//! Owns: `XMP ` and `EXIF` (WebP container specification). Never does: decoding pictures.

use super::found::Found;
use super::source::{Source, Trouble};

/// Most chunks walked.
const MAX_CHUNKS: usize = 50_000;

/// Reads the chunks of a WebP file.
pub(super) fn read(source: &mut Source<'_>, found: &mut Found) -> Result<(), Trouble> {
    let mut at = 12;
    for _ in 0..MAX_CHUNKS {
        if at + 8 > source.size() {
            return Ok(());
        }
        let head = source.header::<8>(at)?;
        let len = u64::from(u32::from_le_bytes([head[4], head[5], head[6], head[7]]));
        match &head[..4] {
            // ImageMagick 6 ends the name with NUL.
            b"XMP " | b"XMP\0" => drop(found.xmp(&source.block(at + 8, len)?)),
            b"EXIF" => found.exif(&source.block(at + 8, len)?),
            _ => {}
        }
        at += 8 + len + (len & 1);
    }
    Err(Trouble::TooLong)
}
