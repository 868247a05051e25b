//! GIF: its application extension for XMP.
//!
//! Owns: walking blocks and sub-blocks, and `XMP DataXMP` (XMP specification part 3). Never does: decoding pictures.

use super::found::Found;
use super::source::{MAX_BLOCK, Source, Trouble};

/// Most blocks and sub-blocks walked in one file.
const MAX_STEPS: usize = 400_000;

/// XMP in GIF ends with this many bytes that lead any reader of sub-blocks to the terminator.
const GIF_TRAILER: usize = 257;

/// Reads the blocks of a GIF file.
pub(super) fn read(source: &mut Source<'_>, found: &mut Found) -> Result<(), Trouble> {
    let [flags] = source.header::<1>(10)?;
    let mut at = 13 + colour_table(flags);
    let mut steps_left = MAX_STEPS;
    loop {
        steps_left = steps_left.checked_sub(1).ok_or(Trouble::TooLong)?;
        let [kind] = source.header::<1>(at)?;
        match kind {
            0x3b => return Ok(()),
            0x2c => {
                let [flags] = source.header::<1>(at + 9)?;
                at = skip_sub_blocks(source, at + 11 + colour_table(flags), &mut steps_left)?;
            }
            0x21 => {
                let [label, size] = source.header::<2>(at + 1)?;
                let is_xmp = (label, size) == (0xff, 11) && &source.header::<11>(at + 3)? == b"XMP DataXMP";
                let end = skip_sub_blocks(source, at + 2, &mut steps_left)?;
                if is_xmp {
                    // The packet is not cut into sub-blocks: its bytes are read as if they were their lengths.
                    let mut packet = source.block(at + 14, (end - (at + 14)).min(MAX_BLOCK as u64))?;
                    packet.truncate(packet.len().saturating_sub(GIF_TRAILER));
                    found.xmp(&packet);
                }
                at = end;
            }
            _ => return Err(Trouble::Damaged),
        }
    }
}

/// Bytes of the colour table that the flags announce.
fn colour_table(flags: u8) -> u64 {
    if flags & 0x80 == 0 { 0 } else { 3 << ((flags & 7) + 1) }
}

/// Where the chain of sub-blocks at `at` ends.
fn skip_sub_blocks(source: &mut Source<'_>, mut at: u64, steps_left: &mut usize) -> Result<u64, Trouble> {
    loop {
        *steps_left = steps_left.checked_sub(1).ok_or(Trouble::TooLong)?;
        let [len] = source.header::<1>(at)?;
        at += 1 + u64::from(len);
        if len == 0 {
            return Ok(at);
        }
    }
}
