//! One process an index.
//!
//! Owns: the lock file beside the index. The lock goes with the process, however it ends; a stale file is no lock.

use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use super::IndexError;
use super::place::companion;

/// Held for as long as the process uses the index.
#[derive(Debug)]
pub struct InstanceLock {
    _file: File,
}

impl InstanceLock {
    /// Takes the lock for the index at `path`.
    ///
    /// # Errors
    /// [`IndexError::Locked`] when another process has it, [`IndexError::Open`] or
    /// [`IndexError::Disk`] when the lock file cannot be made.
    pub fn acquire(path: &Path) -> Result<Self, IndexError> {
        let open_error = |error: std::io::Error| IndexError::of_system(path, &error);
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder).map_err(open_error)?;
        }
        let name = companion(path, ".lock");
        let file =
            OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(name).map_err(open_error)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(IndexError::Locked { path: path.to_owned() }),
            Err(TryLockError::Error(error)) => Err(open_error(error)),
        }
    }
}

impl InstanceLock {
    /// The process that has the index at `path`, without taking the lock: an instance that starts at this moment must
    /// not find it taken by a mere look. `None` when there is none, or the system does not tell.
    #[must_use]
    pub fn holder(path: &Path) -> Option<u32> {
        let inode = std::fs::metadata(companion(path, ".lock")).ok()?.ino();
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
        assert!(matches!(InstanceLock::acquire(&path), Err(IndexError::Locked { .. })));
        assert_eq!(InstanceLock::holder(&path), Some(std::process::id()));
        drop(first);
        assert_eq!(InstanceLock::holder(&path), None);
        InstanceLock::acquire(&path).unwrap();
    }

    #[test]
    fn the_table_of_locks_tells_the_process() {
        let table = "1: POSIX  ADVISORY  WRITE 11 fd:01:77 0 EOF\n1: -> FLOCK  ADVISORY  WRITE 12 fd:01:77 0 EOF\n\
                     2: FLOCK  ADVISORY  READ 13 fd:01:77 0 EOF\n3: FLOCK  ADVISORY  WRITE 14 00:2f:77 0 EOF\nbroken";
        assert_eq!(holder_in(table, 77), Some(14));
        assert_eq!(holder_in(table, 78), None);
    }
}
