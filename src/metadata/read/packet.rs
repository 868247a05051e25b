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

/// The parts of a file that are scanned.
pub(super) fn reach(size: u64) -> Vec<Range<u64>> {
    if size <= 2 * REACH { vec![0..size] } else { vec![0..REACH, size - REACH..size] }
}

/// Where packets begin: `<?xpacket begin=`, or a bare `<x:xmpmeta` that no bracket precedes.
pub(super) fn find(source: &mut Source<'_>) -> Result<Vec<u64>, Trouble> {
    let bracketed = occurrences(source, b"<?xpacket begin=")?;
    if bracketed.is_empty() { occurrences(source, b"<x:xmpmeta") } else { Ok(bracketed) }
}

/// Where `needle` occurs within reach, in order.
pub(super) fn occurrences(source: &mut Source<'_>, needle: &[u8]) -> Result<Vec<u64>, Trouble> {
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

/// The packet that begins at `at`, without its closing bracket; `None` when it has no end within the limit.
pub(super) fn packet(source: &mut Source<'_>, at: u64) -> Result<Option<Vec<u8>>, Trouble> {
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
    for at in find(source)? {
        if let Some(bytes) = packet(source, at)? {
            found.xmp(&bytes);
            return Ok(());
        }
    }
    Ok(())
}
