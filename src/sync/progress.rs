//! How far a run is, for whoever wants to show it.
//!
//! Owns: counters that the stages write and a display reads; writing one is an atomic addition. Never does: I/O,
//! clocks, deciding.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use crate::remote::Remote;

/// What a run is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Stage {
    /// Opening index and API.
    #[default]
    Starting,
    /// Walking the folder and reading what changed.
    Reading,
    /// Listing the media area.
    Listing,
    /// Bringing the media area in step.
    Mirroring,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Progress {
    shown: AtomicBool,
    stage: AtomicU8,
    mirror: Mutex<String>,
    walked: AtomicU64,
    read: AtomicU64,
    bytes_read: AtomicU64,
    to_do: AtomicU64,
    bytes_to_send: AtomicU64,
    done: AtomicU64,
    failed: AtomicU64,
    remote: OnceLock<Remote>,
}

/// The counters at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// What the run is doing.
    pub stage: Stage,
    /// For which mirror.
    pub mirror: String,
    /// Files met by the walk.
    pub walked: u64,
    /// Of these, those read.
    pub read: u64,
    /// Bytes read.
    pub bytes_read: u64,
    /// Files that the pass has to look at.
    pub to_do: u64,
    /// Bytes that may have to be sent for them.
    pub bytes_to_send: u64,
    /// Files the pass is done with, the failed ones among them.
    pub done: u64,
    /// Files that could not be mirrored.
    pub failed: u64,
    /// Bytes that arrived in the bucket, over the whole run.
    pub bytes_sent: u64,
    /// How long the API makes everybody wait.
    pub stopped_for: Duration,
    /// Every call that the allowance permits is under way: so many a window (3 s).
    pub at_allowance: Option<u32>,
}

impl Progress {
    /// Somebody looks: what costs a query is counted, too.
    pub fn show(&self) {
        self.shown.store(true, Ordering::Relaxed);
    }

    /// Whether somebody looks.
    #[must_use]
    pub fn is_shown(&self) -> bool {
        self.shown.load(Ordering::Relaxed)
    }

    /// The run has an API client now.
    pub fn has_remote(&self, remote: &Remote) {
        // A second one would be the same client.
        let _ = self.remote.set(remote.clone());
    }

    /// The run enters a stage.
    pub fn enter(&self, stage: Stage, mirror: &str) {
        mirror.clone_into(&mut self.mirror.lock().unwrap_or_else(PoisonError::into_inner));
        self.stage.store(stage as u8, Ordering::Relaxed);
    }

    /// The walk met a file.
    pub fn walked(&self) {
        self.walked.fetch_add(1, Ordering::Relaxed);
    }

    /// A file was read.
    pub fn read(&self, bytes: u64) {
        self.read.fetch_add(1, Ordering::Relaxed);
        self.bytes_read.fetch_add(bytes, Ordering::Relaxed);
    }

    /// A pass begins with so much to do.
    pub fn begins(&self, files: u64, bytes: u64) {
        self.to_do.fetch_add(files, Ordering::Relaxed);
        self.bytes_to_send.fetch_add(bytes, Ordering::Relaxed);
    }

    /// The pass is done with so many files.
    pub fn done(&self, files: u64) {
        self.done.fetch_add(files, Ordering::Relaxed);
    }

    /// The pass could not mirror a file.
    pub fn failed(&self) {
        self.failed.fetch_add(1, Ordering::Relaxed);
        self.done(1);
    }

    /// The counters now.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let pace = self.remote.get().map(Remote::pace);
        Snapshot {
            stage: match self.stage.load(Ordering::Relaxed) {
                1 => Stage::Reading,
                2 => Stage::Listing,
                3 => Stage::Mirroring,
                _ => Stage::Starting,
            },
            mirror: self.mirror.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            walked: count(&self.walked),
            read: count(&self.read),
            bytes_read: count(&self.bytes_read),
            to_do: count(&self.to_do),
            bytes_to_send: count(&self.bytes_to_send),
            done: count(&self.done),
            failed: count(&self.failed),
            bytes_sent: self.remote.get().map_or(0, |remote| remote.usage().bytes_uploaded),
            stopped_for: pace.map_or(Duration::ZERO, |pace| pace.stopped_for),
            at_allowance: pace
                .filter(|pace| pace.in_flight > 0 && pace.in_flight >= pace.allowance as usize)
                .map(|pace| pace.allowance),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_stages_write_is_what_a_display_reads() {
        let progress = Progress::default();
        assert_eq!(progress.snapshot(), Snapshot::default());
        assert!(!progress.is_shown());
        progress.show();
        for (at, stage) in [Stage::Reading, Stage::Listing, Stage::Mirroring].into_iter().enumerate() {
            progress.enter(stage, "brand");
            progress.walked();
            progress.read(10);
            assert_eq!((progress.snapshot().stage, progress.snapshot().walked), (stage, at as u64 + 1));
        }
        progress.begins(5, 100);
        progress.done(2);
        progress.failed();
        let seen = progress.snapshot();
        assert!(progress.is_shown());
        assert_eq!((seen.mirror.as_str(), seen.bytes_read, seen.to_do, seen.done, seen.failed), ("brand", 30, 5, 3, 1));
    }
}
