//! Looks for XMP packets by their brackets, in formats that allow nothing better.
//!
//! Owns: the bounded scan (XMP specification part 1, 7.3.2; part 3, 2.3). Never does: reading packets.

use std::ops::Range;

use memchr::memmem;

use super::found::Found;
use super::source::{MAX_BLOCK, Source, Trouble};

/// Bytes scanned at the beginning, and again at the end, of a larger file.
const REACH: u64 = 12 * 1024 * 1024;

/// Bytes scanned at once.
const STEP: u64 = 1024 * 1024;

/// Most packets considered.
const MAX_PACKETS: usize = 64;

/// Most packets without an end put up with; each costs a read of the limit.
const MAX_ENDLESS: usize = 3;

/// The parts of a file that are scanned; of a small one the second is empty.
fn reach(size: u64) -> [Range<u64>; 2] {
    let first = if size <= 2 * REACH { size } else { REACH };
    [0..first, size.saturating_sub(REACH).max(first)..size]
}

/// Where packets begin: `<?xpacket begin=`, or a bare `<x:xmpmeta` that no bracket precedes.
fn find(source: &mut Source<'_>) -> Result<Vec<u64>, Trouble> {
    let bracketed = occurrences(source, b"<?xpacket begin=")?;
    if bracketed.is_empty() { occurrences(source, b"<x:xmpmeta") } else { Ok(bracketed) }
}

/// Where `needle` occurs within reach, in order.
fn occurrences(source: &mut Source<'_>, needle: &[u8]) -> Result<Vec<u64>, Trouble> {
    let finder = memmem::Finder::new(needle);
    let mut places = Vec::new();
    for part in reach(source.size()) {
        let mut at = part.start;
        while at < part.end && places.len() < MAX_PACKETS {
            let bytes = source.upto(at, usize::try_from(STEP.min(part.end - at)).unwrap_or(usize::MAX))?;
            places.extend(finder.find_iter(&bytes).map(|found| at + found as u64));
            if (bytes.len() as u64) < STEP {
                break;
            }
            // The next piece overlaps by all but one byte of the needle: none is missed, none is met twice.
            at += STEP - (needle.len() as u64 - 1);
        }
    }
    places.truncate(MAX_PACKETS);
    Ok(places)
}

/// Hands out the whole packets in order, until the taker has enough.
pub(super) fn each(source: &mut Source<'_>, mut take: impl FnMut(Vec<u8>) -> bool) -> Result<(), Trouble> {
    let mut endless = 0;
    for at in find(source)? {
        match packet(source, at)? {
            Some(bytes) => {
                if !take(bytes) {
                    break;
                }
            }
            None => endless += 1,
        }
        if endless > MAX_ENDLESS {
            return Err(Trouble::Damaged);
        }
    }
    Ok(())
}

/// The packet that begins at `at`, without its closing bracket; `None` when it has no end within the limit.
fn packet(source: &mut Source<'_>, at: u64) -> Result<Option<Vec<u8>>, Trouble> {
    let mut bytes: Vec<u8> = Vec::new();
    // Most packets are small: read by steps, not the limit at once.
    while bytes.len() < MAX_BLOCK {
        let more = source.upto(at + bytes.len() as u64, 64 * 1024)?;
        let from = bytes.len().saturating_sub(32);
        bytes.extend_from_slice(&more);
        for end in [&b"<?xpacket end="[..], b"</x:xmpmeta>"] {
            if let Some(found) = memmem::find(&bytes[from..], end) {
                let keep = if end.starts_with(b"</") { end.len() } else { 0 };
                bytes.truncate(from + found + keep);
                return Ok(Some(bytes));
            }
        }
        if more.is_empty() {
            break;
        }
    }
    Ok(None)
}

/// Reads the first packet, which is the document's own in PostScript (EPS, Illustrator before PDF) and in HEIF.
pub(super) fn read_first(source: &mut Source<'_>, found: &mut Found) -> Result<(), Trouble> {
    each(source, |bytes| {
        found.xmp(&bytes);
        false
    })
}
