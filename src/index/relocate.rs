//! An index that goes to another place.
//!
//! Owns: what an index tells of its owner without being opened for work, and moving it with all that lies beside it.
//! Never does: deciding whether it is moved; that is `sync::old_index`.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use rusqlite::OptionalExtension as _;

use super::place::{cannot_open, companion, read_only};
use super::{IndexError, InstanceLock, binding, owner};

/// Whose an index is, as far as it tells.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Belongs {
    /// Project and environment, `SITE/ENVIRONMENT`; `None` before its first run.
    pub project: Option<String>,
    /// That environment is the primary one, as an answer told; none was configured.
    pub is_primary: bool,
    /// Its mirrors by name, with the JSON of what each one's root was when last mirrored.
    pub mirrors: Vec<(String, Option<String>)>,
}

/// Reads whose the index at `path` is, whichever version wrote it; `None` when there is none. Changes nothing.
///
/// # Errors
/// [`IndexError::Foreign`], and SQLite's.
pub fn belongs(path: &Path) -> Result<Option<Belongs>, IndexError> {
    if owner::check(path)? == owner::Owned::Nothing {
        return Ok(None);
    }
    let read = || {
        let conn = read_only(path)?;
        let project =
            conn.query_row("SELECT value FROM setting WHERE key = 'project'", [], |row| row.get(0)).optional()?;
        let mut statement = conn.prepare("SELECT name, root FROM mirror ORDER BY name")?;
        let mirrors =
            statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<rusqlite::Result<_>>()?;
        let is_primary = binding::is_primary(&conn)?;
        Ok::<_, rusqlite::Error>(Belongs { project, is_primary, mirrors })
    };
    read().map(Some).map_err(|error| cannot_open(path, &error))
}

/// Moves the index at `from` to `to`, where there is none, with what lies beside it. `lock` is that of `to`. What is moved
/// last is the index itself: a move that was broken off is simply made again.
///
/// # Errors
/// [`IndexError::Locked`] when a process has the index at `from`, and the system's.
pub fn relocate(from: &Path, to: &Path, lock: &InstanceLock) -> Result<(), IndexError> {
    let old_lock = InstanceLock::acquire(from)?;
    let failed = |error: io::Error| IndexError::of_system(from, &error);
    for suffix in [".remote", "-wal", "-journal", ""] {
        match fs::rename(companion(from, suffix), companion(to, suffix)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound || suffix.is_empty() => return Err(failed(error)),
            Ok(()) | Err(_) => {}
        }
    }
    // The mark of an index that was closed well goes with it. The rest is made anew by whoever needs it.
    lock.inherit(from);
    for suffix in ["-shm", ".lock"] {
        let _ = fs::remove_file(companion(from, suffix));
    }
    drop(old_lock);
    Ok(())
}

/// Closes the folder to other users, if it is this user's own.
///
/// # Errors
/// The system's.
pub fn keep_private(folder: &Path) -> io::Result<()> {
    let found = fs::symlink_metadata(folder)?;
    let is_ours = found.is_dir() && found.uid() == rustix::process::geteuid().as_raw();
    if is_ours && found.mode() & 0o077 != 0 {
        fs::set_permissions(folder, fs::Permissions::from_mode(0o700))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::{Index, settings};
    use super::*;

    #[tokio::test]
    async fn an_index_is_moved_whole_and_a_broken_move_is_made_again() {
        let dir = tempfile::tempdir().unwrap();
        for closed in [true, false] {
            let (from, to) = (
                dir.path().join(format!("{closed}/index.sqlite")),
                dir.path().join(format!("{closed}/own/index.sqlite")),
            );
            let index = Index::open(&from).unwrap().index;
            index.call(|conn| settings::mirror(conn, "brand").map(drop)).await.unwrap();
            fs::create_dir(companion(&from, ".remote")).unwrap();
            if closed {
                index.close().await;
            } else {
                // As a process that was killed leaves it.
                let copy = dir.path().join("killed");
                fs::create_dir(&copy).unwrap();
                for suffix in ["", "-wal"] {
                    fs::copy(companion(&from, suffix), companion(&copy.join("index.sqlite"), suffix)).unwrap();
                }
                index.close().await;
                fs::rename(copy.join("index.sqlite"), &from).unwrap();
                fs::rename(companion(&copy.join("index.sqlite"), "-wal"), companion(&from, "-wal")).unwrap();
            }
            let lock = InstanceLock::acquire(&to).unwrap();
            if !closed {
                // Broken off in the middle.
                fs::rename(companion(&from, "-wal"), companion(&to, "-wal")).unwrap();
            }
            relocate(&from, &to, &lock).unwrap();
            assert_eq!(belongs(&to).unwrap().unwrap().mirrors, [("brand".to_owned(), None)], "{closed}");
            assert!(companion(&to, ".remote").is_dir() && Index::open(&to).unwrap().notice.is_none());
            assert_eq!(belongs(&from).unwrap(), None);
            for suffix in ["", "-wal", "-shm", ".lock", ".remote"] {
                assert!(!companion(&from, suffix).exists(), "{suffix}");
            }
        }
    }

    #[test]
    fn an_index_in_use_stays() {
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (dir.path().join("index.sqlite"), dir.path().join("own/index.sqlite"));
        let _used = InstanceLock::acquire(&from).unwrap();
        drop(Index::open(&from).unwrap());
        let lock = InstanceLock::acquire(&to).unwrap();
        assert!(matches!(relocate(&from, &to, &lock), Err(IndexError::Locked { .. })));
        assert!(from.exists() && !to.exists());
    }

    #[test]
    fn a_folder_of_ours_is_closed_to_others() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("state");
        fs::create_dir(&folder).unwrap();
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
        keep_private(&folder).unwrap();
        assert_eq!(fs::metadata(&folder).unwrap().mode() & 0o777, 0o700);
    }
}
