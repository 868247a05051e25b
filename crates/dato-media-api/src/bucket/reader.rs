//! Reading and hashing the file that is being sent.
//!
//! Owns: the proof that the bytes handed over are one whole state of the file: the last chunk is held back until the
//! file is seen to end there and to be unchanged.
//! Never does: networking. Runs on a thread of its own.

use std::fs::{File, Metadata};
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;

use bytes::Bytes;
use tokio::sync::mpsc;

use crate::{Md5, Md5Hasher};

use super::{OpenFile, SendError};

/// Reads and hashes the file on a thread of its own; `None` when nobody wants the bytes any more.
pub(super) fn read_through(
    file: &OpenFile,
    size: u64,
    chunk: usize,
    chunks: &mpsc::Sender<io::Result<Bytes>>,
) -> Result<Option<Md5>, SendError> {
    let outcome = read_all(file, size, chunk, |bytes| chunks.blocking_send(Ok(bytes)).is_ok());
    if outcome.is_err() {
        // Breaks the body, so that the bucket never has all the bytes it was promised.
        let _ = chunks.blocking_send(Err(io::Error::other("the file changed or cannot be read")));
    }
    outcome
}

fn read_all(
    open: &OpenFile,
    size: u64,
    chunk: usize,
    mut hand: impl FnMut(Bytes) -> bool,
) -> Result<Option<Md5>, SendError> {
    let mut file = open()?;
    let before = file.metadata().map_err(SendError::Unreadable)?;
    if before.len() != size {
        return Err(SendError::Changed(if before.len() > size { "it grew" } else { "it shrank" }));
    }
    let mut hasher = Md5Hasher::new();
    let mut held = Bytes::new();
    let mut read = 0;
    loop {
        let next = read_chunk(&mut file, chunk)?;
        if next.is_empty() {
            break;
        }
        read += next.len() as u64;
        if read > size {
            return Err(SendError::Changed("it grew"));
        }
        hasher.update(&next);
        if !held.is_empty() && !hand(held) {
            return Ok(None);
        }
        held = next;
    }
    if read < size {
        return Err(SendError::Changed("it shrank"));
    }
    check_unchanged(open, &file, &before)?;
    if !held.is_empty() && !hand(held) {
        return Ok(None);
    }
    Ok(Some(hasher.finish()))
}

/// Up to `size` bytes; fewer only at the end.
fn read_chunk(file: &mut File, size: usize) -> Result<Bytes, SendError> {
    let mut buffer = Vec::with_capacity(size);
    file.take(size as u64).read_to_end(&mut buffer).map_err(SendError::Unreadable)?;
    Ok(Bytes::from(buffer))
}

fn check_unchanged(open: &OpenFile, file: &File, before: &Metadata) -> Result<(), SendError> {
    let state = |m: &Metadata| (m.dev(), m.ino(), m.len(), m.mtime(), m.mtime_nsec());
    let now = file.metadata().map_err(SendError::Unreadable)?;
    let named = open()?.metadata().map_err(SendError::Unreadable)?;
    if state(&now) == state(before) && state(&named) == state(before) {
        return Ok(());
    }
    Err(SendError::Changed("it was written to or replaced"))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn the_last_chunk_is_held_back_until_the_file_is_seen_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        let open = opening(path.clone());
        std::fs::write(&path, vec![7; 100]).unwrap();
        let mut handed = 0;
        let md5 = read_all(&open, 100, 30, |bytes| {
            handed += bytes.len();
            true
        });
        assert_eq!(md5.unwrap(), Some(Md5::of(&[7; 100])));
        assert_eq!(handed, 100);

        let mut handed = 0;
        let outcome = read_all(&open, 100, 50, |bytes| {
            handed += bytes.len();
            std::fs::write(&path, vec![7; 150]).unwrap();
            true
        });
        assert!(matches!(outcome, Err(SendError::Changed(_))), "{outcome:?}");
        assert!(handed < 100, "{handed}");
        assert!(matches!(read_all(&open, 100, 50, |_| true), Err(SendError::Changed("it grew"))));
        assert!(matches!(read_all(&open, 200, 50, |_| true), Err(SendError::Changed("it shrank"))));
    }

    #[test]
    fn a_name_that_means_another_file_at_the_end_is_a_change_and_a_refusal_is_handed_on() {
        let dir = tempfile::tempdir().unwrap();
        let (path, other) = (dir.path().join("a"), dir.path().join("b"));
        for path in [&path, &other] {
            std::fs::write(path, vec![7; 100]).unwrap();
        }
        let swap = opening(path.clone());
        let mut handed = 0;
        let outcome = read_all(&swap, 100, 50, |bytes| {
            handed += bytes.len();
            std::fs::rename(&other, &path).is_ok()
        });
        assert!(matches!(outcome, Err(SendError::Changed("it was written to or replaced"))), "{outcome:?}");
        assert_eq!(handed, 50, "the last bytes are held back");
        let refusing: OpenFile = Arc::new(|| Err(SendError::Changed("it is gone")));
        assert!(matches!(read_all(&refusing, 1, 50, |_| true), Err(SendError::Changed("it is gone"))));
    }

    fn opening(path: std::path::PathBuf) -> OpenFile {
        Arc::new(move || File::open(&path).map_err(SendError::Unreadable))
    }
}
