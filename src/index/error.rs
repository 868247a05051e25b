//! Why the index cannot be used, for people.
//!
//! Owns: the one error type of all that reads or writes the index. Its exit codes are in `error`.

use std::path::PathBuf;

/// Why the index cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// Another process has it.
    #[error("another dato-mirror is using the index {path}")]
    Locked {
        /// The index file.
        path: PathBuf,
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
