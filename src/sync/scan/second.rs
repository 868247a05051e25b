//! The second look at files that may be in the middle of being written.
//!
//! Owns: when a scan waits for it and for how long, what is read after it, and what is said of files that never rest.
//! Never does: deciding whether a file is settled; that is `looks`.

use std::num::NonZeroUsize;
use std::sync::atomic::Ordering;
use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::{Duration, Instant};

use super::looks::{Kind, Look, Settled};
use super::reading::Reading;
use super::{Scan, ScanError, Unsettled};
use crate::disk::{Fingerprint, Job, SkipReason};
use crate::index::files;
use crate::model::ActionKind;

/// More files than this are not left to the caller, who would look at each on its own: the scan looks again at all of them.
const LEFT_TO_THE_CALLER: usize = 1000;
/// How often a wait looks whether it is to stop.
const STOP_INTERVAL: Duration = Duration::from_millis(100);
/// Files that one thread looks at.
const SHARE: usize = 500;

impl Scan {
    /// Looks again at what may be in the middle of being written, reads what rests, and leaves the others in
    /// `totals.unsettled`.
    pub(super) fn second_looks(&mut self) -> Result<(), ScanError> {
        let patience = match self.request.restless {
            Unsettled::Leave | Unsettled::LeaveAbsent if self.looks.len() <= LEFT_TO_THE_CALLER => None,
            // What moves is the caller's.
            Unsettled::Leave | Unsettled::LeaveAbsent => Some(Duration::ZERO),
            // Long enough for a save to end, short enough that a log file in the folder cannot hold up a run.
            Unsettled::Wait => Some((self.request.settle * 5).max(Duration::from_secs(10))),
        };
        if let Some(patience) = patience {
            let give_up = Instant::now() + patience;
            while let Some(at) = self.looks.next_look(Instant::now()) {
                if self.looks.all_moved() && at > give_up {
                    break;
                }
                self.wait_until(at)?;
                self.look_again()?;
            }
        }
        let held = std::mem::take(&mut self.held);
        if self.request.restless == Unsettled::Wait {
            self.totals.unsettled = self.looks.take();
            self.report_unsettled();
            return self.vanish(&held);
        }
        // What is still unsettled may be one of them under its new name: taken for gone now, its asset would be deleted
        // before the new name is known.
        self.vanish(&held)?;
        let held = std::mem::take(&mut self.held);
        let paths = move |conn: &rusqlite::Connection| held.iter().map(|id| files::path_of(conn, *id)).collect();
        let held: Vec<_> = self.index.call_blocking(paths)?;
        self.totals.held.extend(held);
        self.totals.unsettled = self.looks.take();
        Ok(())
    }

    fn wait_until(&self, at: Instant) -> Result<(), ScanError> {
        loop {
            if self.stop.load(Ordering::Relaxed) {
                return Err(ScanError::Stopped);
            }
            let left = at.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            self.request.tick();
            thread::sleep(left.min(STOP_INTERVAL));
        }
    }

    /// Looks at all that is due, and reads what shows the same as before.
    fn look_again(&mut self) -> Result<(), ScanError> {
        let before = Instant::now();
        let due = self.looks.due(before);
        self.totals.looked_again += due.len() as u64;
        let seen = self.look_at(&due);
        let after = Instant::now();
        let mut settled = Vec::new();
        for (first, seen) in due.into_iter().zip(seen) {
            let seen = seen.unwrap_or_else(|why| {
                self.skipped(first.path.clone(), why);
                None
            });
            settled.extend(self.looks.looked(first, seen, before, after));
        }
        let (contents, sidecars) = settled.into_iter().partition(|one: &Settled| one.kind == Kind::File);
        self.read_settled(contents)?;
        self.read_sidecars(sidecars)
    }

    /// What each shows now, looked at by several threads: a server may take its time over each answer.
    fn look_at(&self, looks: &[Look]) -> Vec<Result<Option<Fingerprint>, SkipReason>> {
        let look = |look: &Look| self.print_of(&look.path);
        let threads = thread::available_parallelism().map_or(1, NonZeroUsize::get) * 2;
        let share = looks.len().div_ceil(threads).max(SHARE);
        thread::scope(|scope| {
            let shares: Vec<_> = looks
                .chunks(share)
                .map(|share| scope.spawn(move || share.iter().map(look).collect::<Vec<_>>()))
                .collect();
            // What a thread that fell did not look at counts as gone, and is met by the next scan.
            let seen = looks.chunks(share).zip(shares);
            seen.flat_map(|(share, seen)| seen.join().unwrap_or_else(|_| vec![Ok(None); share.len()])).collect()
        })
    }

    fn read_settled(&mut self, files: Vec<Settled>) -> Result<(), ScanError> {
        if files.is_empty() {
            return Ok(());
        }
        let reading = Reading::new(self);
        let (jobs, queue) = sync_channel(files.len());
        for Settled { path, print, seen_for, .. } in files {
            // The queue holds them all.
            let _ = jobs.send(Job { path, print, seen_for });
        }
        drop(jobs);
        reading.read_all(queue);
        let read = reading.end()?;
        self.add(read);
        Ok(())
    }

    fn report_unsettled(&mut self) {
        for look in self.totals.unsettled.clone() {
            self.problem(
                &look.path,
                ActionKind::Read,
                "the file is still being written",
                "it is mirrored when it has been quiet for `settle`; run again, or exclude it if it never is",
            );
        }
    }
}
