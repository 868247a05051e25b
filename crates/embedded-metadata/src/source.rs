//! Bounded random access to a file: the only door through which the format readers see bytes.
//!
//! Owns: the budget (bytes and seeks) that keeps a hostile or huge file from costing time or memory.
//! Never does: knowing formats.

use std::io::{self, Read, Seek, SeekFrom};

/// Most bytes read of one file.
const BYTE_BUDGET: u64 = 64 * 1024 * 1024;

/// Most seeks in one file.
const SEEK_BUDGET: u32 = 50_000;

/// Most bytes read at once; a metadata block larger than this is refused.
pub(super) const MAX_BLOCK: usize = 4 * 1024 * 1024;

/// What is fetched to answer a small read after a jump, and when reads follow each other.
const SHORT_WINDOW: usize = 512;
const LONG_WINDOW: usize = 32 * 1024;

/// Why bytes cannot be had.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    /// The structure points behind the end.
    #[error("the file ends in the middle of its structure")]
    Cut,
    /// The structure contradicts its format.
    #[error("the structure is damaged")]
    Damaged,
    /// More work than any honest file needs.
    #[error("the structure is too long to follow")]
    TooLong,
    /// A block beyond [`MAX_BLOCK`].
    #[error("a metadata block has {0} bytes, over the limit of 4 MiB")]
    TooLarge(u64),
    /// The file cannot be read.
    #[error("reading failed: {0}")]
    Io(#[from] io::Error),
}

trait ReadSeek: Read + Seek {}
impl<T: Read + Seek> ReadSeek for T {}

/// A file of known size, read in bounded pieces.
pub(super) struct Source<'a> {
    reader: &'a mut dyn ReadSeek,
    size: u64,
    bytes_left: u64,
    seeks_left: u32,
    window: Vec<u8>,
    window_at: u64,
}

impl<'a> Source<'a> {
    pub(super) fn new(reader: &'a mut (impl Read + Seek), size: u64) -> Self {
        Self { reader, size, bytes_left: BYTE_BUDGET, seeks_left: SEEK_BUDGET, window: Vec::new(), window_at: 0 }
    }

    /// A block in memory, with a budget of its own: enough to read each byte twice, not to read one again and again.
    pub(super) fn of_block(cursor: &'a mut io::Cursor<&[u8]>) -> Self {
        let size = cursor.get_ref().len() as u64;
        Self { bytes_left: 2 * size + 2 * LONG_WINDOW as u64, ..Self::new(cursor, size) }
    }

    /// The file's size in bytes, as told by the caller.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// Exactly `len` bytes at `at`, for blocks of metadata.
    pub(super) fn block(&mut self, at: u64, len: u64) -> Result<Vec<u8>, Trouble> {
        let wanted = usize::try_from(len).ok().filter(|&len| len <= MAX_BLOCK).ok_or(Trouble::TooLarge(len))?;
        // Asked before allocating: a block that cannot be there costs nothing.
        if at.checked_add(len).is_none_or(|end| end > self.size) {
            return Err(Trouble::Cut);
        }
        let block = self.upto(at, wanted)?;
        if block.len() == wanted { Ok(block) } else { Err(Trouble::Cut) }
    }

    /// The bytes at `at`, at most `max`, fewer at the end of the file.
    pub(super) fn upto(&mut self, at: u64, max: usize) -> Result<Vec<u8>, Trouble> {
        let len = self.size.saturating_sub(at).min(max as u64);
        if len == 0 {
            return Ok(Vec::new());
        }
        self.bytes_left = self.bytes_left.checked_sub(len).ok_or(Trouble::TooLong)?;
        self.seeks_left = self.seeks_left.checked_sub(1).ok_or(Trouble::TooLong)?;
        self.reader.seek(SeekFrom::Start(at))?;
        let mut bytes = Vec::new();
        (&mut *self.reader).take(len).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// `N` bytes at `at`, for headers; neighbours are fetched along.
    pub(super) fn header<const N: usize>(&mut self, at: u64) -> Result<[u8; N], Trouble> {
        if let Some(bytes) = self.in_window(at) {
            return Ok(bytes);
        }
        let follows = at.checked_sub(self.window_at).is_some_and(|ahead| ahead <= self.window.len() as u64);
        let window = self.upto(at, if follows { LONG_WINDOW } else { SHORT_WINDOW })?;
        self.window = window;
        self.window_at = at;
        self.in_window(at).ok_or(Trouble::Cut)
    }

    fn in_window<const N: usize>(&self, at: u64) -> Option<[u8; N]> {
        let from = usize::try_from(at.checked_sub(self.window_at)?).ok()?;
        self.window.get(from..from.checked_add(N)?)?.try_into().ok()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    #[test]
    fn reads_are_exact_and_bounded() {
        let bytes: Vec<u8> = (0..=255).cycle().take(100_000).collect();
        let mut cursor = Cursor::new(bytes.clone());
        let mut source = Source::new(&mut cursor, bytes.len() as u64);
        for at in [0, 3, 511, 512, 40_000, 99_996, 1] {
            assert_eq!(source.header::<4>(at as u64).unwrap(), bytes[at..at + 4], "{at}");
        }
        assert!(matches!(source.header::<4>(99_997), Err(Trouble::Cut)));
        assert!(matches!(source.block(99_999, 2), Err(Trouble::Cut)));
        assert!(matches!(source.block(u64::MAX, 2), Err(Trouble::Cut)));
        assert!(matches!(source.block(0, 5 << 20), Err(Trouble::TooLarge(_))));
        assert_eq!(source.upto(99_990, 100).unwrap().len(), 10);
        let tired = (0..SEEK_BUDGET).find_map(|_| source.block(0, 1).err());
        assert!(matches!(tired, Some(Trouble::TooLong)));
    }

    #[test]
    fn a_file_shorter_than_its_size_is_cut_not_waited_for() {
        let mut cursor = Cursor::new(vec![0; 10]);
        let mut source = Source::new(&mut cursor, 1 << 40);
        assert!(matches!(source.block(4, 10), Err(Trouble::Cut)));
        assert!(matches!(source.header::<4>(8), Err(Trouble::Cut)));
    }
}
