//! Why the index cannot be used, for people.
//!
//! Owns: the one error type of all that reads or writes the index. Its exit codes are in `error`.

use std::io;
use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;
use rustix::io::Errno;

/// Refusals of the system that a moment's trouble of the disk or the machine explains; the others want a person.
const PASSES: [Errno; 12] = [
    Errno::IO,
    Errno::NOSPC,
    Errno::DQUOT,
    Errno::ROFS,
    Errno::STALE,
    Errno::TIMEDOUT,
    Errno::NODEV,
    Errno::NXIO,
    Errno::NOMEM,
    Errno::NFILE,
    Errno::MFILE,
    Errno::AGAIN,
];

/// Why the index cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// Another process has it.
    #[error(
        "another dato-mirror{holder} is using the index {path}; stop it, or give this configuration an index of its own with \
         `path` in [state] or $DATO_MIRROR_STATE_PATH"
    )]
    Locked {
        /// The index file.
        path: PathBuf,
        /// Who has it, in brackets; empty when the system does not tell.
        holder: String,
    },
    /// What lies there is no index of ours, so nothing was touched.
    #[error(
        "{path} cannot be the index: {cause}. Nothing was touched; name another file as `path` in [state], or move this one \
         away"
    )]
    Foreign {
        /// The index file.
        path: PathBuf,
        /// What is there instead.
        cause: String,
    },
    /// A newer dato-mirror wrote it.
    #[error("the index {path} was written by a newer dato-mirror; upgrade, or move the file away to rebuild it")]
    Newer {
        /// The index file.
        path: PathBuf,
    },
    /// There is none: nothing was mirrored yet, or the configuration names another place.
    #[error(
        "there is no index at {path}: nothing was mirrored with this configuration yet. Run `dato-mirror --sync-once` first, or \
         check `path` in [state]"
    )]
    Missing {
        /// The index file.
        path: PathBuf,
    },
    /// An older dato-mirror wrote it, and this command may not change its shape.
    #[error("the index {path} was written by an older dato-mirror; the next run brings it up to date")]
    Older {
        /// The index file.
        path: PathBuf,
    },
    /// The folder or file cannot be made or opened.
    #[error("cannot open the index {path}: {cause}; check that the folder exists and may be written")]
    Open {
        /// The index file.
        path: PathBuf,
        /// What the system said.
        cause: String,
    },
    /// The disk that holds it refuses: it is full, failing or has become read-only, which can pass.
    #[error("cannot open the index {path}: {cause}; check the disk that holds it: full, failing, or mounted read-only")]
    Disk {
        /// The index file.
        path: PathBuf,
        /// What the system said.
        cause: String,
    },
    /// A statement failed: a full or failing disk, or damage.
    #[error("the index {path} failed: {cause}; check the disk that holds it")]
    Sqlite {
        /// The index file.
        path: PathBuf,
        /// What SQLite said.
        cause: rusqlite::Error,
    },
    /// The thread that owns the connection is gone.
    #[error("the index was closed")]
    Closed,
}

impl IndexError {
    /// The system refuses the file or its folder.
    pub(super) fn of_system(path: &Path, error: &io::Error) -> Self {
        let passes = error.raw_os_error().is_some_and(|code| PASSES.iter().any(|known| known.raw_os_error() == code));
        Self::at_opening(path, error.to_string(), passes)
    }

    /// SQLite refuses the file.
    pub(super) fn of_sqlite(path: &Path, error: &rusqlite::Error) -> Self {
        let passes = matches!(
            error.sqlite_error_code(),
            Some(
                ErrorCode::SystemIoFailure
                    | ErrorCode::DiskFull
                    | ErrorCode::OutOfMemory
                    | ErrorCode::DatabaseBusy
                    | ErrorCode::DatabaseLocked
            )
        );
        Self::at_opening(path, error.to_string(), passes)
    }

    fn at_opening(path: &Path, cause: String, passes: bool) -> Self {
        let path = path.to_owned();
        if passes { Self::Disk { path, cause } } else { Self::Open { path, cause } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{Exit, RunError};

    #[test]
    fn a_disk_in_trouble_is_no_wrong_configuration() {
        let path = Path::new("/state/index.sqlite");
        let system = |code: Errno| IndexError::of_system(path, &io::Error::from_raw_os_error(code.raw_os_error()));
        let sqlite =
            |code| IndexError::of_sqlite(path, &rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(code), None));
        for (error, exit) in [
            (system(Errno::IO), Exit::Incomplete),
            (system(Errno::NOSPC), Exit::Incomplete),
            (system(Errno::ROFS), Exit::Incomplete),
            (system(Errno::ACCESS), Exit::Usage),
            (system(Errno::NOENT), Exit::Usage),
            (system(Errno::NOTDIR), Exit::Usage),
            (system(Errno::ISDIR), Exit::Usage),
            (sqlite(rusqlite::ffi::SQLITE_IOERR), Exit::Incomplete),
            (sqlite(rusqlite::ffi::SQLITE_FULL), Exit::Incomplete),
            (sqlite(rusqlite::ffi::SQLITE_CANTOPEN), Exit::Usage),
        ] {
            let told = error.to_string();
            assert!(told.contains("cannot open the index /state/index.sqlite"), "{told}");
            assert_eq!(RunError::from(error).exit(), exit, "{told}");
        }
    }
}
