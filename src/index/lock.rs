//! One process an index.
//!
//! Owns: the lock file beside the index, and what it says of who has it. The lock goes with the process, however it ends; a
//! stale file is no lock.
//! Never does: following a link, or taking a file that is not ours for the lock.

use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use rustix::fs::OFlags;

use super::place::{companion, make_folder};
use super::{IndexError, owner};

/// Held for as long as the process uses the index.
#[derive(Debug)]
pub struct InstanceLock {
    file: File,
}

impl InstanceLock {
    /// Takes the lock for the index at `path`.
    ///
    /// # Errors
    /// [`IndexError::Locked`] when another process has it, [`IndexError::Foreign`] when what is there is not ours (nothing
    /// is made then), [`IndexError::Open`] or
    /// [`IndexError::Disk`] when the lock file cannot be made.
    pub fn acquire(path: &Path) -> Result<Self, IndexError> {
        let open_error = |error: std::io::Error| IndexError::of_system(path, &error);
        owner::check(path)?;
        make_folder(path).map_err(open_error)?;
        let mut options = OpenOptions::new();
        let options = options.create(true).truncate(false).write(true).mode(0o600);
        let no_link = OFlags::NOFOLLOW.bits().cast_signed();
        let file = options.custom_flags(no_link).open(companion(path, ".lock")).map_err(open_error)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { file }),
            Err(TryLockError::WouldBlock) => {
                Err(IndexError::Locked { path: path.to_owned(), holder: described_holder(path) })
            }
            Err(TryLockError::Error(error)) => Err(open_error(error)),
        }
    }

    /// Notes in the lock file for what this process has the index, for whoever finds it taken, and which file the index
    /// is. Call it once the index is open.
    pub fn tell(&self, path: &Path, what: &str) {
        use std::os::unix::fs::FileExt as _;
        let Ok(index) = std::fs::symlink_metadata(path) else { return };
        let what: String = what.chars().filter(|letter| !letter.is_control()).take(1000).collect();
        let text = format!("{NOTE}process {}, index inode {}, for {what}\n", std::process::id(), index.ino());
        // It is for people, and helps to know a damaged index again: half of it, or none, does no harm.
        let _ = self.file.set_len(0).and_then(|()| self.file.write_all_at(text.as_bytes(), 0));
    }
}

impl InstanceLock {
    /// Takes over what the lock file beside the index at `from` says: that index is ours now.
    pub(super) fn inherit(&self, from: &Path) {
        use std::os::unix::fs::FileExt as _;
        if let Ok(text) = std::fs::read(companion(from, ".lock")) {
            // Without it the index is read through once, no more.
            let _ = self.file.set_len(0).and_then(|()| self.file.write_all_at(&text, 0));
        }
    }
}

/// How a note in the lock file begins.
const NOTE: &str = "dato-mirror: ";

/// What a lock file of ours says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct LockText {
    inode: Option<u64>,
    what: Option<String>,
}

impl LockText {
    /// No lock file of ours has more bytes.
    pub(super) const MOST_BYTES: usize = 8192;

    /// Reads a lock file; `None` when no dato-mirror wrote it. It may be empty, a note, or the mark of an index that was
    /// closed well; and a crash may have left the beginning of either, or zeros.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        if bytes.iter().all(|byte| *byte == 0) || NOTE.as_bytes().starts_with(bytes) {
            return Some(Self::default());
        }
        if let Some(note) = bytes.strip_prefix(NOTE.as_bytes()) {
            let note = String::from_utf8_lossy(note);
            let (_, rest) = note.split_once("index inode ").unwrap_or_default();
            let (inode, what) = rest.split_once(", for ").unwrap_or_default();
            let what = Some(what.trim_end().to_owned()).filter(|what| !what.is_empty());
            return Some(Self { inode: inode.parse().ok(), what });
        }
        let is_mark = bytes.iter().all(|byte| byte.is_ascii_digit() || b" .-\n".contains(byte));
        let words: Vec<&str> = std::str::from_utf8(bytes).ok()?.split(' ').collect();
        // The last word may be cut.
        let inode = words.get(1).filter(|_| words.len() > 2).and_then(|word| word.parse().ok());
        is_mark.then_some(Self { inode, what: None })
    }

    /// Number of the file that was the index.
    pub(super) const fn inode(&self) -> Option<u64> {
        self.inode
    }
}

/// Who has the index, as far as it can be told: ` (process 12, for /home/me/brand.toml)`.
fn described_holder(path: &Path) -> String {
    let process = InstanceLock::holder(path).map(|pid| format!("process {pid}"));
    let text = std::fs::read(companion(path, ".lock")).ok().and_then(|text| LockText::parse(&text));
    let what = text.and_then(|text| text.what).map(|what| format!("for {what}"));
    let told: Vec<String> = process.into_iter().chain(what).collect();
    if told.is_empty() { String::new() } else { format!(" ({})", told.join(", ")) }
}

impl InstanceLock {
    /// The process that has the index at `path`, without taking the lock: an instance that starts at this moment must
    /// not find it taken by a mere look. `None` when there is none, or the system does not tell.
    #[must_use]
    pub fn holder(path: &Path) -> Option<u32> {
        let inode = std::fs::symlink_metadata(companion(path, ".lock")).ok()?.ino();
        holder_in(&std::fs::read_to_string("/proc/locks").ok()?, inode)
    }
}

/// Reads Linux's table of locks: `1: FLOCK  ADVISORY  WRITE 123 fd:01:5678 0 EOF`. The device is not compared: layered
/// file systems tell another one here than for the file.
fn holder_in(table: &str, inode: u64) -> Option<u32> {
    table.lines().find_map(|line| {
        let mut words = line.split_whitespace().skip(1);
        let kind = words.next()?;
        let (_, mode, pid, place) = (words.next()?, words.next()?, words.next()?, words.next()?);
        let locked = place.rsplit(':').next()?.parse::<u64>().ok()?;
        (kind == "FLOCK" && mode == "WRITE" && locked == inode).then(|| pid.parse().ok())?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_instance_is_told_so_and_the_lock_goes_with_the_first() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("index.sqlite");
        let first = InstanceLock::acquire(&path).unwrap();
        std::fs::write(&path, "").unwrap();
        first.tell(&path, "/home/me/brand.toml");
        let told = InstanceLock::acquire(&path).unwrap_err().to_string();
        for part in ["process ", "for /home/me/brand.toml", "`path` in [state]", "DATO_MIRROR_STATE_PATH"] {
            assert!(told.contains(part), "{told}");
        }
        assert_eq!(InstanceLock::holder(&path), Some(std::process::id()));
        drop(first);
        assert_eq!(InstanceLock::holder(&path), None);
        InstanceLock::acquire(&path).unwrap();
    }

    #[test]
    fn a_lock_file_of_ours_is_known_whole_or_cut_and_others_are_not() {
        let mark = "2049 77 8192 1795313473.000000001\n";
        let note = "dato-mirror: process 12, index inode 77, for /home/me/brand.toml\n";
        for whole in [mark, note] {
            assert_eq!(LockText::parse(whole.as_bytes()).unwrap().inode(), Some(77), "{whole}");
            for cut in 0..whole.len() {
                let inode = LockText::parse(&whole.as_bytes()[..cut]).unwrap().inode();
                assert!(inode.is_none_or(|inode| inode == 77), "{}", &whole[..cut]);
            }
        }
        assert_eq!(LockText::parse(&[0; 40]), Some(LockText::default()));
        for other in ["version = 4\n", "# yarn lockfile v1", "{}", "1234 a", "dato"] {
            assert!(LockText::parse(other.as_bytes()).is_none() || other == "dato", "{other}");
        }
    }

    #[test]
    fn the_table_of_locks_tells_the_process() {
        let table = "1: POSIX  ADVISORY  WRITE 11 fd:01:77 0 EOF\n1: -> FLOCK  ADVISORY  WRITE 12 fd:01:77 0 EOF\n\
                     2: FLOCK  ADVISORY  READ 13 fd:01:77 0 EOF\n3: FLOCK  ADVISORY  WRITE 14 00:2f:77 0 EOF\nbroken";
        assert_eq!(holder_in(table, 77), Some(14));
        assert_eq!(holder_in(table, 78), None);
    }
}
