//! One process an index.
//!
//! Owns: the lock file beside the index. The lock goes with the process, however it ends; a stale file is no lock.

use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use super::IndexError;

/// Held for as long as the process uses the index.
#[derive(Debug)]
pub struct InstanceLock {
    _file: File,
}

impl InstanceLock {
    /// Takes the lock for the index at `path`.
    ///
    /// # Errors
    /// [`IndexError::Locked`] when another process has it, [`IndexError::Open`] when the lock file cannot be made.
    pub fn acquire(path: &Path) -> Result<Self, IndexError> {
        let open_error = |error: std::io::Error| IndexError::Open { path: path.to_owned(), cause: error.to_string() };
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder).map_err(open_error)?;
        }
        let mut name = path.as_os_str().to_owned();
        name.push(".lock");
        let file =
            OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(name).map_err(open_error)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(IndexError::Locked { path: path.to_owned() }),
            Err(TryLockError::Error(error)) => Err(open_error(error)),
        }
    }
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
        drop(first);
        InstanceLock::acquire(&path).unwrap();
    }
}
