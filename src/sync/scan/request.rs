//! What a scan is asked for.
//!
//! Owns: the request, and what follows from it alone. Looks at nothing.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::disk::{FileClock, Fingerprint, Inodes, Selection};
use crate::metadata::ReadEmbedded;
use crate::model::RelPath;
use crate::runtime_state::RuntimeState;
use crate::sync::progress::Progress;

/// What the caller of a scan has waited for: the scan does not wait for it again.
#[derive(Debug, Clone, Default)]
pub struct Waited {
    /// Files as they were when they settled: the caller has looked at them twice. Told by their fingerprints, since a file
    /// may have several names.
    pub settled: Arc<HashMap<Fingerprint, Duration>>,
    /// Paths at which there was nothing for long enough: what was there, or below, is gone if there still is nothing.
    pub away: Arc<HashSet<RelPath>>,
}

/// What to scan and how.
#[derive(Debug, Clone)]
pub struct ScanRequest {
    /// The mirror's row in the index.
    pub mirror: i64,
    /// Its root.
    pub root: PathBuf,
    /// Which names count.
    pub selection: Arc<Selection>,
    /// How far apart two looks must be that show a file at rest; zero: files are read at once.
    pub settle: Duration,
    /// Whose clock stamps the files.
    pub clock: FileClock,
    /// Whose inode numbers tell one file from another.
    pub inodes: Inodes,
    /// What the caller has waited for already.
    pub waited: Waited,
    /// Reads also what looks unchanged: where the file system's times do not tell.
    pub checksum: bool,
    /// Only these files and folders; `None`: everything.
    pub only: Option<Vec<RelPath>>,
    /// What to do about files that are still being written.
    pub restless: Unsettled,
    /// Reads metadata from inside the file; JSON for the index.
    pub embedded: Option<ReadEmbedded>,
    /// Told of every file.
    pub progress: Arc<Progress>,
    /// Where to give signs of life.
    pub live: Option<Arc<RuntimeState>>,
}

/// What a scan does about files that one look does not show at rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unsettled {
    /// Waits for them, for a while, and reports those that never rest.
    Wait,
    /// Leaves them to the caller, who settles them. When they are very many, those that rest are read all the same.
    Leave,
    /// As `Leave`, and so with what is not where it was, unless it was waited for: some programs save a file by deleting it
    /// and making it anew, so that one look does not tell a save from a deletion.
    LeaveAbsent,
}

impl ScanRequest {
    /// What the clock of a file's own file system showed at least when its reading began at `started_ns` by ours.
    pub(super) fn read_at(&self, print: &Fingerprint, started_ns: i64, seen_for: Duration) -> i64 {
        // With nothing to settle there was no first look to measure by.
        if self.settle.is_zero() || self.clock.stamps(print) { started_ns } else { print.seen_for(seen_for) }
    }

    /// Whether the caller has seen nothing at `path`, or at a folder above it, for long enough.
    pub(super) fn is_away(&self, path: &RelPath) -> bool {
        let away = &self.waited.away;
        let above = || path.key().match_indices('/').filter_map(|(end, _)| RelPath::from_key(&path.key()[..end]).ok());
        !away.is_empty() && (away.contains(path) || above().any(|folder| away.contains(&folder)))
    }

    pub(super) fn tick(&self) {
        if let Some(live) = &self.live {
            live.progress(std::time::Instant::now());
        }
    }
}
