//! What goes into settling and what comes out.
//!
//! Owns: the values. Never does: waiting.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::disk::{AtPath, Fingerprint, Found, WalkError};
use crate::model::RelPath;

/// What happened to a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Touch {
    /// A file came to be where there was none. Only a source that is sure may say so: a file that comes and goes
    /// again before it settles is then forgotten.
    Created,
    /// A file is new or different.
    Changed,
    /// A file or a folder is gone, or has another name.
    Removed,
    /// A folder appeared; what is in it is unknown.
    Folder,
}

/// How long to wait for what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// How long a file must be quiet: the configuration's `settle`.
    pub quiet: Duration,
    /// How long a path must stay gone to count as removed.
    pub removal: Duration,
    /// The first look comes this long after the last touch, so that a stream of writes does not cost a look each.
    pub calm: Duration,
    /// How long a ready file may wait for others of its burst.
    pub hold: Duration,
    /// How many ready files end the wait for more.
    pub batch: usize,
    /// How often a file that never settles is reported.
    pub remind: Duration,
}

impl Timing {
    /// The timing for one `settle`.
    #[must_use]
    pub fn new(settle: Duration) -> Self {
        Self {
            quiet: settle,
            removal: settle + settle.max(Duration::from_secs(3)),
            calm: (settle / 10).min(Duration::from_millis(100)),
            hold: Duration::from_secs(10),
            batch: 1000,
            remind: Duration::from_secs(60),
        }
    }
}

/// A file the machine wants looked at. Each must be answered with [`Settle::looked`](super::Settle::looked).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    /// Which file.
    pub path: RelPath,
    /// Makes an answer that a newer touch overtook worthless.
    pub(super) turn: u64,
}

/// What a look showed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// A file (links followed).
    File(Fingerprint),
    /// A folder.
    Folder,
    /// Nothing.
    Gone,
    /// Something else, or the system refused: passed on, so that the cause is reported where files are read.
    Unclear,
}

impl From<Result<AtPath, WalkError>> for Look {
    fn from(glance: Result<AtPath, WalkError>) -> Self {
        match glance {
            Ok(AtPath::Found(Found::File { print, .. } | Found::Sidecar { print, .. })) => Self::File(print),
            Ok(AtPath::Found(Found::Skipped { .. } | Found::Unreadable { .. })) | Err(_) => Self::Unclear,
            Ok(AtPath::Folder) => Self::Folder,
            Ok(AtPath::Nothing) => Self::Gone,
        }
    }
}

/// A file that is being written for longer than anyone should wait in silence; it is not lost, only not whole yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StillChanging {
    /// Which file.
    pub path: RelPath,
    /// When it was first touched.
    pub since: Instant,
}

/// What has settled; sorted, each path once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Batch {
    /// Files to observe.
    pub changed: Vec<RelPath>,
    /// What two looks at them showed, and how far apart these were.
    pub prints: HashMap<Fingerprint, Duration>,
    /// Paths that stayed gone; each may be a file or a folder with all that was in it.
    pub removed: Vec<RelPath>,
    /// Folders to scan; none lies in another of them.
    pub folders: Vec<RelPath>,
    /// Files to report as unfinished.
    pub still_changing: Vec<StillChanging>,
}
