//! What a walk meets, compared with what is known.
//!
//! Owns: which files are read, waited for, or told as problems. Reads no content. Shared by the threads of a walk.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::SyncSender;
use std::sync::{Mutex, OnceLock};
use std::time::Instant;

use super::looks::{Kind, Look, needs_second_look};
use super::{Scan, lock, now_ns};
use crate::disk::{Found, Job, SkipReason};
use crate::index::IndexError;
use crate::index::files::{KnownFiles, Problem, Seen};
use crate::model::{ActionKind, RelPath};
use crate::remote::MAX_FILE_BYTES;
use crate::report::Severity;

/// Batches of finds that a walk may be ahead of the index.
const AHEAD: usize = 200;

/// What the index knows, once it is read: the walk begins meanwhile.
pub(super) type Known = OnceLock<Result<KnownFiles, IndexError>>;

/// What the threads of one part share.
pub(super) struct Shared<'a> {
    pub(super) scan: &'a Scan,
    pub(super) known: &'a Known,
    /// Finds that came before the index was read.
    pub(super) early: Mutex<Vec<Vec<Found>>>,
    pub(super) jobs: SyncSender<Job>,
    pub(super) files: AtomicU64,
    /// First looks at files that need a second.
    pub(super) looks: Mutex<Vec<Look>>,
    pub(super) sidecars: Mutex<Vec<Look>>,
    pub(super) problems: Mutex<Vec<(RelPath, Problem, Severity)>>,
}

impl Shared<'_> {
    /// Takes what a walk found; when the index is not read yet, for later.
    pub(super) fn take(&self, batch: Vec<Found>) -> ControlFlow<()> {
        self.scan.request.tick();
        let mut early = lock(&self.early);
        if self.known.get().is_none() && early.len() < AHEAD {
            early.push(batch);
            return self.going_on();
        }
        let waiting = std::mem::take(&mut *early);
        drop(early);
        waiting.into_iter().try_for_each(|batch| self.compare(batch))?;
        self.compare(batch)
    }

    /// The walk is over: compares what came early.
    pub(super) fn catch_up(&self) -> ControlFlow<()> {
        let waiting = std::mem::take(&mut *lock(&self.early));
        waiting.into_iter().try_for_each(|batch| self.compare(batch))
    }

    /// Compares finds with the index, and waits for it if need be.
    fn compare(&self, batch: Vec<Found>) -> ControlFlow<()> {
        let Ok(known) = self.known.wait() else { return ControlFlow::Break(()) };
        let request = &self.scan.request;
        let (now, at) = (now_ns(), Some(Instant::now()));
        for found in batch {
            match found {
                Found::File { path, print } => {
                    self.files.fetch_add(1, Ordering::Relaxed);
                    request.progress.walked();
                    if known.see(&path, &print, &request.inodes) == Seen::Unchanged && !request.checksum {
                        continue;
                    }
                    if print.size > MAX_FILE_BYTES {
                        self.note(
                            path,
                            Severity::Failed,
                            ActionKind::Read,
                            "it is larger than 1 GB, the service's limit",
                            "make it smaller, or exclude it",
                        );
                        continue;
                    }
                    let settled = request.waited.settled.get(&print).copied();
                    if settled.is_none() && needs_second_look(&print, request.clock, now, request.settle) {
                        lock(&self.looks).push(Look { path, kind: Kind::File, print, at });
                    } else if self.jobs.send(Job { path, print, seen_for: settled.unwrap_or_default() }).is_err() {
                        return ControlFlow::Break(());
                    }
                }
                Found::Sidecar { path, print, .. } => {
                    lock(&self.sidecars).push(Look { path, kind: Kind::Sidecar, print, at });
                }
                // A person would say that it should be mirrored.
                Found::Skipped { path, why: why @ (SkipReason::SameName | SkipReason::SameFolder) } => {
                    let advice = match why {
                        SkipReason::SameName => {
                            self.files.fetch_add(1, Ordering::Relaxed);
                            "rename or remove one of the two"
                        }
                        _ => {
                            "move its files into the other folder, or rename one; until then no file of the mirror counts as deleted"
                        }
                    };
                    self.note(path.spelt_out(), Severity::Failed, ActionKind::Read, &why.to_string(), advice);
                }
                Found::Skipped { path, why } => {
                    let advice = match why {
                        SkipReason::Folder { .. } => "rename it if it is to be mirrored, or exclude it",
                        _ => "exclude it, or put a regular file there",
                    };
                    self.note(path, Severity::Skipped, ActionKind::Skip, &why.to_string(), advice);
                }
                Found::Unreadable { path, cause } => {
                    let cause = format!("it cannot be read: {cause}");
                    let advice = "check its permissions and the disk; until it can be read, no file of the mirror counts as deleted";
                    self.note(path, Severity::Failed, ActionKind::Read, &cause, advice);
                }
            }
        }
        self.going_on()
    }

    fn going_on(&self) -> ControlFlow<()> {
        if self.scan.stop.load(Ordering::Relaxed) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn note(&self, path: RelPath, severity: Severity, action: ActionKind, cause: &str, advice: &'static str) {
        let problem = Problem::new(action, cause, advice);
        lock(&self.problems).push((path, problem, severity));
    }
}
