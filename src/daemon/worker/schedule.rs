//! When the worker of a mirror does what, decided without a clock.
//!
//! Owns: the rules of when a mirror is scanned, refreshed, passed over, paused and tried again. Facts come in as events
//! with their time (`events`), [`Schedule::decide`] says what to start, and [`Schedule::next_wake`] says when to look again.
//! Never does: I/O, reading a clock, waiting, spawning, logging. The worker does these, and tells the schedule what came of
//! each. The schedule decides nothing about a file: that is `plan`.
//!
//! ```text
//! saved ─▶ settle ─▶ scan of settled files ─┐
//!   └─ folders, rescans ─▶ wide scan ───────┼▶ pass ─▶ wait for the API, in the place of passes
//!               what lists name ─▶ fetch ───┘
//! ```

mod events;
mod terms;

use std::sync::Arc;
use std::time::{Duration, Instant};

pub use self::terms::{Due, Intervals, PassJob, PassOutcome, ScanKind, ScanOutcome, ScanPlace, Seen, Start, WholeScan};
use super::super::backoff::Backoff;
use crate::daemon::settle::{Ask, Settle, Timing};
use crate::features::remote_files::{AGAIN, Asks};
use crate::index::overrides::Overrides;
use crate::model::RelPath;
use crate::sync::scan::Waited;

/// How often a paused mirror looks whether its root is back.
pub const ROOT_INTERVAL: Duration = Duration::from_secs(3);
/// The watcher says when it stands, and a scan begun then misses nothing; one that does not say is not waited for.
const WATCHER_PATIENCE: Duration = Duration::from_secs(10);
/// How often the index is asked for files whose time to be tried again has come, and for what people asked the daemon.
const QUESTION_INTERVAL: Duration = Duration::from_secs(5);
/// A wide scan that takes longer than this no longer holds up a pass.
const SCAN_FIRST: Duration = Duration::from_secs(5);
/// How long files that are being written may keep a pass from standing for the whole mirror.
const SETTLE_PATIENCE: Duration = Duration::from_secs(60);
/// The pause after a task that ended abnormally.
const AFTER_A_CRASH: Duration = Duration::from_secs(30);
/// The pauses after passes that were stopped before they changed anything.
const REST: Backoff = Backoff { first: Duration::from_secs(5), longest: Duration::from_secs(320) };

/// The schedule of one mirror. A reload of the configuration ends it and begins a new one.
#[derive(Debug)]
pub struct Schedule {
    intervals: Intervals,
    settle: Settle,
    running: Running,
    wanted: Wanted,
    next: NextTimes,
    /// One scan of the whole tree has ended since the start, or since the root came back.
    tree_known: bool,
    /// The mirror waits for its root.
    paused: bool,
    /// The watcher polls, so rescans are what finds changes.
    polling: bool,
    /// Passes in a row that were stopped before they changed anything.
    rests: u32,
}

/// What is under way.
#[derive(Debug, Default)]
struct Running {
    settled_scan: bool,
    /// When the wide scan began.
    wide_scan: Option<Instant>,
    pass: Option<PassJob>,
    /// The files being fetched.
    fetch: Option<Vec<RelPath>>,
    /// The API is waited for.
    api_wait: bool,
}

/// What is to be done as soon as it may begin.
#[derive(Debug, Default)]
struct Wanted {
    whole_scan: bool,
    /// Folders to scan.
    folders: Vec<RelPath>,
    fetch: Asks,
    refresh: bool,
    /// Something is dirty.
    pass: bool,
    /// The whole tree was scanned, and the pass that stands for all of it is still to come.
    pass_for_all: Option<WholeScan>,
    /// What that pass may do past its guards.
    overrides: Overrides,
}

/// Nothing of each kind happens before its time.
#[derive(Debug)]
struct NextTimes {
    overrides: Instant,
    root: Instant,
    rescan: Instant,
    refresh: Instant,
    due: Instant,
    failed_fetches: Instant,
    pass: Instant,
}

impl Schedule {
    /// A schedule that begins at `now`: with a refresh, and with a scan once the watcher stands.
    pub fn new(intervals: Intervals, now: Instant) -> Self {
        Self {
            intervals,
            settle: Settle::new(Timing::new(intervals.settle)),
            running: Running::default(),
            wanted: Wanted { refresh: true, ..Wanted::default() },
            next: NextTimes {
                overrides: now,
                root: now,
                rescan: now + WATCHER_PATIENCE,
                refresh: now + (intervals.spread)(intervals.refresh),
                due: now + QUESTION_INTERVAL,
                failed_fetches: now,
                pass: now,
            },
            tree_known: false,
            paused: false,
            polling: false,
            rests: 0,
        }
    }

    /// Whether the mirror waits for its root.
    pub const fn is_paused(&self) -> bool {
        self.paused
    }

    /// Whether the whole tree was scanned, so that what is known of it is complete.
    pub const fn knows_tree(&self) -> bool {
        self.tree_known
    }

    /// The files to look at now, to tell whether they rest. Each wants an answer by [`Schedule::glanced`].
    pub fn files_to_glance_at(&mut self, now: Instant) -> Vec<Ask> {
        if self.running.settled_scan { Vec::new() } else { self.settle.asks(now) }
    }

    /// What to start now. A task that is started runs until an event tells its end. A question (to the index, or about the
    /// root) comes last, because its answer may change what follows: so the worker asks until there is nothing to start.
    pub fn decide(&mut self, now: Instant) -> Vec<Start> {
        let mut starts = self.let_settled_in(now);
        if now >= self.next.overrides {
            self.next.overrides = now + QUESTION_INTERVAL;
            starts.push(Start::TakeOverrides);
            return starts;
        }
        if self.paused {
            // What the pause stopped has to end first.
            if now >= self.next.root && self.is_at_rest() {
                self.next.root = now + ROOT_INTERVAL;
                starts.push(Start::CheckRoot);
            }
            return starts;
        }
        if now >= self.next.refresh && self.can_pass(now) {
            self.wanted.refresh = true;
            self.next.refresh = now + (self.intervals.spread)(self.intervals.refresh);
            // What lists name lies on other people's servers: asked for at the same rhythm, and not only by a rescan.
            starts.push(Start::ReadLists);
            return starts;
        }
        starts.extend(self.wide_scan(now));
        starts.extend(self.fetch());
        if now >= self.next.due && self.can_pass(now) {
            self.next.due = now + QUESTION_INTERVAL;
            let failed_fetches = now >= self.next.failed_fetches;
            if failed_fetches {
                // Also where a list is broken, so that nobody can be asked.
                self.next.failed_fetches = now + AGAIN;
            }
            starts.push(Start::ReadDue { failed_fetches });
            return starts;
        }
        starts.extend(self.pass(now).map(Start::Pass));
        starts
    }

    /// When to look again at the latest, if nothing happens before.
    pub fn next_wake(&self, now: Instant) -> Instant {
        let latest = now + QUESTION_INTERVAL;
        if self.paused {
            // The end of what the pause stopped wakes the worker by itself.
            return if self.is_at_rest() { self.next.root.max(now) } else { latest };
        }
        let mut wake = latest;
        if self.can_pass(now) {
            wake = wake.min(self.next.due).min(self.next.refresh);
        } else if self.next.pass > now {
            wake = wake.min(self.next.pass);
        }
        match self.running.wide_scan {
            None => wake = wake.min(self.next.rescan),
            Some(began) if began + SCAN_FIRST > now => wake = wake.min(began + SCAN_FIRST),
            Some(_) => {}
        }
        if let Some(deadline) = self.settle.next_deadline().filter(|_| !self.running.settled_scan) {
            wake = wake.min(deadline);
        }
        wake.max(now)
    }

    /// Lets in what has settled, while no earlier batch is being scanned.
    fn let_settled_in(&mut self, now: Instant) -> Vec<Start> {
        let mut starts = Vec::new();
        let batch = if self.running.settled_scan { None } else { self.settle.due(now) };
        let Some(batch) = batch else { return starts };
        if !batch.still_changing.is_empty() {
            starts.push(Start::ReportStillChanging(batch.still_changing));
        }
        if self.paused {
            // What changed is found by the scan that follows the pause.
            return starts;
        }
        self.wanted.folders.extend(batch.folders);
        let away = batch.removed.iter().cloned().collect();
        let settled: Vec<RelPath> = batch.changed.into_iter().chain(batch.removed).collect();
        if !settled.is_empty() {
            self.running.settled_scan = true;
            // What was seen to change may be gone by now: that is a removal yet to be waited for.
            let waited = Waited { settled: Arc::new(batch.prints), away: Arc::new(away) };
            starts.push(Start::Scan(ScanPlace::Settled(settled, waited)));
        }
        starts
    }

    fn wide_scan(&mut self, now: Instant) -> Option<Start> {
        if self.running.wide_scan.is_some() {
            return None;
        }
        let place = if self.wanted.whole_scan || now >= self.next.rescan {
            self.next.rescan = now + self.rescan_interval();
            self.wanted.whole_scan = false;
            self.wanted.folders.clear();
            ScanPlace::Whole
        } else if self.wanted.folders.is_empty() {
            return None;
        } else {
            ScanPlace::Folders(std::mem::take(&mut self.wanted.folders))
        };
        self.running.wide_scan = Some(now);
        Some(Start::Scan(place))
    }

    /// What a scan wants fetched is fetched beside all else.
    fn fetch(&mut self) -> Option<Start> {
        if self.running.fetch.is_some() || self.wanted.fetch.is_empty() {
            return None;
        }
        let asks = std::mem::take(&mut self.wanted.fetch);
        self.running.fetch = Some(asks.files.iter().map(|ask| ask.file.path.clone()).collect());
        Some(Start::Fetch(asks))
    }

    fn pass(&mut self, now: Instant) -> Option<PassJob> {
        let stands_for_all = self.stands_for_all(now);
        if !self.can_pass(now) || !(stands_for_all || self.wanted.refresh || self.wanted.pass) {
            return None;
        }
        let for_all = if stands_for_all { self.wanted.pass_for_all.take() } else { None };
        let overrides =
            if for_all.is_some() { std::mem::take(&mut self.wanted.overrides) } else { Overrides::default() };
        let job = PassJob { refresh: std::mem::take(&mut self.wanted.refresh), for_all, overrides };
        self.wanted.pass = false;
        self.running.pass = Some(job);
        Some(job)
    }

    /// Whether a pass may begin. What is being scanned belongs into it, unless that takes long; and without one scan of
    /// everything a moved file would be taken for a new one.
    fn can_pass(&self, now: Instant) -> bool {
        let is_scanning =
            self.running.settled_scan || self.running.wide_scan.is_some_and(|began| now < began + SCAN_FIRST);
        let is_free = self.running.pass.is_none() && !self.running.api_wait;
        self.tree_known && !self.paused && !is_scanning && now >= self.next.pass && is_free
    }

    /// Whether a scan of everything waits for its pass, and all it found has settled: only then does the pass stand for
    /// everything. A file that never rests does not hold it up for ever.
    fn stands_for_all(&self, now: Instant) -> bool {
        self.wanted.pass_for_all.is_some_and(|scan| self.settle.is_empty() || now > scan.began + SETTLE_PATIENCE)
    }

    /// Whether nothing is under way that could still act on the root.
    const fn is_at_rest(&self) -> bool {
        let Running { settled_scan, wide_scan, pass, fetch, api_wait: _ } = &self.running;
        !*settled_scan && wide_scan.is_none() && pass.is_none() && fetch.is_none()
    }

    fn rescan_interval(&self) -> Duration {
        let Intervals { poll, rescan, spread, .. } = self.intervals;
        spread(if self.polling { poll } else { rescan })
    }
}

#[cfg(test)]
mod tests;
