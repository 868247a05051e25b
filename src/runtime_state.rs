//! What the running process is doing right now.
//!
//! Owns: one value in memory that the workers write and that logs, the service manager, the health endpoints and the
//! status page read. An update is a short lock and no more; a reader gets a copy, [`RuntimeView`]. Never does: I/O,
//! logging, deciding, reading a clock: times are given. Nothing here outlives the process; what must is in the index.

mod forecast;
mod heartbeat;
mod line;
mod view;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::watch;

use crate::index::files::FileCounts;
use crate::report::{MirrorReport, ReportedProblem};

pub use forecast::forecast;
pub use heartbeat::Health;
pub use view::{ApiView, Change, MirrorView, PassView, Phase, RuntimeView, Totals, Waiting, Watching};

use heartbeat::Pulse;

/// Without a sign of life for this long the process counts as stuck.
pub const PATIENCE: Duration = Duration::from_secs(120);
/// Recent changes kept for each mirror.
const CHANGES: usize = 100;
/// Problems kept for each mirror; the rest is only counted. The index has them all.
const PROBLEMS: usize = 200;

/// The live state, shared by everybody.
#[derive(Debug)]
pub struct RuntimeState {
    state: Mutex<State>,
    pulse: Pulse,
    version: watch::Sender<u64>,
}

#[derive(Debug)]
struct State {
    since: Timestamp,
    mirrors: Vec<Mirror>,
    api: ApiView,
}

/// A mirror's view, and its recent changes in an order that is cheap to add to.
#[derive(Debug)]
struct Mirror {
    view: MirrorView,
    changes: VecDeque<Change>,
}

impl Mirror {
    fn new(name: &str, root: &str) -> Self {
        Self { view: MirrorView::new(name, root), changes: VecDeque::new() }
    }
}

impl RuntimeState {
    /// The state of a process that starts `now`, which is also `at`, with mirrors given as (name, root).
    #[must_use]
    pub fn new<N: AsRef<str>, R: AsRef<str>>(
        now: Instant,
        at: Timestamp,
        mirrors: impl IntoIterator<Item = (N, R)>,
    ) -> Arc<Self> {
        let mirrors = mirrors.into_iter().map(|(name, root)| Mirror::new(name.as_ref(), root.as_ref())).collect();
        Arc::new(Self {
            state: Mutex::new(State { since: at, mirrors, api: ApiView::default() }),
            pulse: Pulse::new(now),
            version: watch::Sender::new(0),
        })
    }

    /// Takes over a new configuration's mirrors. One whose name and root stayed keeps its state.
    pub fn set_mirrors<N: AsRef<str>, R: AsRef<str>>(&self, mirrors: impl IntoIterator<Item = (N, R)>) {
        self.update(|state| {
            let mut before = std::mem::take(&mut state.mirrors);
            for (name, root) in mirrors {
                let (name, root) = (name.as_ref(), root.as_ref());
                let known = before.iter().position(|mirror| mirror.view.name == name && mirror.view.root == root);
                state.mirrors.push(known.map_or_else(|| Mirror::new(name, root), |at| before.swap_remove(at)));
            }
        });
    }

    /// A sign of life: something was done. Call it for every page, chunk and answer; it costs two stores.
    pub fn progress(&self, now: Instant) {
        self.pulse.progress(now);
    }

    /// The main loop is about to sleep and will wake at `until` at the latest. Waiting is as good as progress until then.
    /// A short sleep, repeated, shows a hang sooner than a long one.
    pub fn rest_until(&self, until: Instant) {
        self.pulse.rest_until(until);
    }

    /// The main loop woke up: a sign of life, and the end of its rest.
    pub fn awake(&self, now: Instant) {
        self.pulse.awake(now);
    }

    /// Signs of life so far.
    #[must_use]
    pub fn ticks(&self) -> u64 {
        self.pulse.ticks()
    }

    /// Whether there was a sign of life within `patience`, or the loop rests.
    #[must_use]
    pub fn health(&self, now: Instant, patience: Duration) -> Health {
        self.pulse.health(now, patience)
    }

    /// How changes of `mirror` are found.
    pub fn set_watching(&self, mirror: &str, watching: Watching) {
        self.with(mirror, |mirror| mirror.view.watching = watching);
    }

    /// Why `mirror` works less well than it should, each in plain words with what to do; empty when all is well.
    pub fn set_degraded(&self, mirror: &str, reasons: Vec<String>) {
        self.with(mirror, |mirror| mirror.view.degraded = reasons);
    }

    /// What `mirror` does now.
    pub fn set_phase(&self, mirror: &str, phase: Phase) {
        self.with(mirror, |mirror| mirror.view.phase = phase);
    }

    /// One more file of the pass is done, with `bytes` sent for it. Counts only while `mirror` is mirroring.
    pub fn file_done(&self, mirror: &str, bytes: u64) {
        self.with(mirror, |mirror| {
            if let Phase::Mirroring { done, bytes: sent, .. } = &mut mirror.view.phase {
                *done += 1;
                *sent += bytes;
            }
        });
    }

    /// The first scan of `mirror` is through: what is to do is known.
    pub fn scanned(&self, mirror: &str) {
        self.with(mirror, |mirror| mirror.view.scanned = true);
    }

    /// A pass ended at `at` after `took`. `full`: it was about the whole mirror and was not cut short.
    pub fn pass_ended(&self, mirror: &str, report: &MirrorReport, at: Timestamp, took: Duration, full: bool) {
        self.with(mirror, |mirror| {
            let view = &mut mirror.view;
            view.scanned = true;
            view.first_pass_done |= full;
            view.totals.add(report, at, full);
            view.last_pass = Some(PassView::new(report, at, took, full));
            if report.failed == 0 {
                view.last_success = Some(at);
            }
        });
    }

    /// Files of `mirror` on disk, and those of them that are in step with their asset, without a problem.
    pub fn set_files(&self, mirror: &str, present: u64, mirrored: u64) {
        self.with(mirror, |mirror| {
            mirror.view.present = present;
            mirror.view.mirrored = mirrored;
        });
    }

    /// Where the files of `mirror` stand.
    pub fn set_counts(&self, mirror: &str, counts: FileCounts) {
        self.with(mirror, |mirror| mirror.view.counts = counts);
    }

    /// Of each mirror: its name, what it waits for, and why it works less well than it should.
    #[must_use]
    pub fn standing(&self) -> Vec<(String, Option<String>, Vec<String>)> {
        let state = self.state();
        let of = |Mirror { view, .. }: &Mirror| (view.name.clone(), view.phase.waits(), view.degraded.clone());
        state.mirrors.iter().map(of).collect()
    }

    /// Files of `mirror` that wait for their turn, and files that are not mirrored and should be.
    pub fn set_standing(&self, mirror: &str, pending: u64, failed: u64) {
        self.with(mirror, |mirror| {
            mirror.view.pending = pending;
            mirror.view.failed = failed;
        });
    }

    /// Something was changed remotely for `mirror`.
    pub fn changed(&self, mirror: &str, change: Change) {
        self.with(mirror, |mirror| {
            mirror.changes.truncate(CHANGES - 1);
            mirror.changes.push_front(change);
        });
    }

    /// All problems of `mirror`, the most important first. The first 200 are kept, the rest is counted.
    pub fn set_problems(&self, mirror: &str, problems: impl IntoIterator<Item = ReportedProblem>) {
        let mut problems = problems.into_iter();
        let kept: Vec<_> = problems.by_ref().take(PROBLEMS).collect();
        let more = problems.count() as u64;
        self.with(mirror, |mirror| {
            mirror.view.problems = kept;
            mirror.view.more_problems = more;
        });
    }

    /// How it stands with the API.
    pub fn set_api(&self, api: ApiView) {
        self.update(|state| state.api = api);
    }

    /// How it stands with the API, as told last.
    #[must_use]
    pub fn api(&self) -> ApiView {
        self.state().api.clone()
    }

    /// Whether every mirror had its first scan, or is kept from it by its guard: the service is up.
    #[must_use]
    pub fn is_started(&self) -> bool {
        let scanned = |mirror: &Mirror| mirror.view.scanned || matches!(mirror.view.phase, Phase::Paused { .. });
        self.state().mirrors.iter().all(scanned)
    }

    /// The mirrors whose first full pass is not through yet; ready when there are none.
    #[must_use]
    pub fn not_ready(&self) -> Vec<String> {
        let state = self.state();
        let open = state.mirrors.iter().filter(|mirror| !mirror.view.first_pass_done);
        open.map(|mirror| mirror.view.name.clone()).collect()
    }

    /// A copy of everything, as of `now`.
    #[must_use]
    pub fn view(&self, now: Instant) -> RuntimeView {
        let health = self.health(now, PATIENCE);
        let state = self.state();
        let mirrors: Vec<_> = state
            .mirrors
            .iter()
            .map(|mirror| MirrorView { changes: mirror.changes.iter().cloned().collect(), ..mirror.view.clone() })
            .collect();
        RuntimeView {
            version: env!("CARGO_PKG_VERSION"),
            since: state.since,
            health,
            ready: mirrors.iter().all(|mirror| mirror.first_pass_done),
            ticks: self.ticks(),
            api: state.api.clone(),
            mirrors,
        }
    }

    /// One line for the service manager and for people.
    #[must_use]
    pub fn status_line(&self) -> String {
        line::line(self.state().mirrors.iter().map(|mirror| &mirror.view))
    }

    /// Tells of every update but signs of life, by a number that grows.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.version.subscribe()
    }

    /// A mirror that is not there (any more) is no error: a worker may still end after a reload took its mirror away.
    fn with(&self, name: &str, change: impl FnOnce(&mut Mirror)) {
        self.update(|state| {
            if let Some(mirror) = state.mirrors.iter_mut().find(|mirror| mirror.view.name == name) {
                change(mirror);
            }
        });
    }

    fn update(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state());
        self.version.send_modify(|version| *version = version.wrapping_add(1));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // An update is a few assignments; one that panicked leaves nothing worse than an old figure.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
