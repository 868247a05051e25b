//! Keeps one mirror in step: events, polls and timers in; scans and passes out.
//!
//! Owns: when a mirror is scanned, when it is passed over, and what pauses it. Its loop only chooses: whatever takes time
//! runs in a lane beside it, so that events are heard, a stop is obeyed and a hang shows at any time.
//!
//! ```text
//! events ─▶ settle ─▶ files (lane) ─────┐
//!   └─ folders, rescans ─▶ slow (lane) ─┴▶ pass (lane) ─▶ trouble (lane, in the place of passes)
//! ```
//!
//! Never two passes of one mirror at a time; a file that changes while a pass runs is taken first by that pass. Decides
//! nothing about a file: that is `plan`. Called by: `pipeline::daemon`, one task a mirror.

mod lane;
mod standing;
mod work;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::CancellationToken;

use crate::config::Mirror;
use crate::config::policy::Watch;
use crate::disk::{Selection, glance};
use crate::error::RunError;
use crate::index::told::Unread;
use crate::index::{Problem, files, sidecars, told};
use crate::live::{Live, Phase, Waiting, Watching as Shown};
use crate::model::RelPath;
use crate::remote::ApiError;
use crate::report::{MirrorReport, ReportedProblem};

use super::super::execute::Sending;
use super::super::mirror::{MirrorRun, RunRequest};
use super::super::notices;
use super::super::pass::Urgent;
use super::super::scan::ScanError;
use super::super::session::Session;
use super::super::settle::{Ask, Look, Settle, Timing, Touch};
use super::super::watch::{WatchEvent, WatchMode, WatchOptions, WatchState, Watched, Watching};
use super::outage::Outage;
use super::retrier::Again;
use lane::Lane;
use standing::Standing;
use work::{Job, Looked, Place, Work, Worked, holds_a_file, look};

/// How often the index is asked for files whose time to be tried again has come.
const DUE_INTERVAL: Duration = Duration::from_secs(5);
/// How often a paused mirror looks whether its root is back.
const PAUSED_INTERVAL: Duration = Duration::from_secs(3);
/// The watcher says when it stands, and a scan begun then misses nothing; one that does not say is not waited for.
const WATCHER_PATIENCE: Duration = Duration::from_secs(10);
/// A scan that takes longer than this no longer holds up a pass.
const SCAN_FIRST: Duration = Duration::from_secs(5);
/// After work that ended abnormally.
const AFTER_A_FALL: Duration = Duration::from_secs(30);
/// Files told at a time that are being written for long.
const STILL_TOLD: usize = 5;
/// Deletions of this span count together for the deletion guard: one `rm -r` may come in several batches.
const DELETION_WINDOW: Duration = Duration::from_secs(600);
/// How long files that are being written may keep a pass from standing for the whole mirror.
const SETTLE_PATIENCE: Duration = Duration::from_secs(60);

/// Keeps one mirror.
pub struct Keeper {
    config: Arc<Mirror>,
    session: Arc<Session>,
    outage: Arc<Outage>,
    live: Arc<Live>,
    /// People who do not want to wait.
    again: broadcast::Receiver<Again>,
    stop: CancellationToken,
    /// Stops what is under way when the root cannot be believed.
    halt: CancellationToken,
    settle: Settle,
    urgent: Urgent,
    sending: Sending,
    standing: Standing,
    polled: bool,
    /// The watcher has ended.
    deaf: bool,
    files: Lane<Looked>,
    slow: Lane<Looked>,
    slow_since: Instant,
    pass: Lane<Worked>,
    job: Job,
    trouble: Lane<()>,
    /// Folders to scan.
    folders: Vec<RelPath>,
    /// The whole tree has to be scanned.
    rescan: bool,
    /// The whole tree was scanned, by how many files and since when; its pass is still to come.
    scanned: Option<(u64, Instant)>,
    /// The whole tree was scanned once.
    known: bool,
    /// Something is dirty: a pass is due.
    dirty: bool,
    /// The remote has to be looked over.
    refresh: bool,
    /// Waits for its root.
    paused: bool,
    next_root: Instant,
    next_rescan: Instant,
    next_refresh: Instant,
    next_due: Instant,
    /// No pass before.
    next_pass: Instant,
    /// When so many assets were deleted.
    deletions: VecDeque<(Instant, u64)>,
    /// What `status` was told of the watch.
    noted: Option<WatchState>,
    /// What `status` was told of files that cannot be read; nothing yet in this process.
    noted_unread: Option<Vec<Unread>>,
    /// A look at the disk ended since.
    unread_may_differ: bool,
}

impl Keeper {
    /// A keeper that has not begun.
    pub fn new(
        config: Arc<Mirror>,
        session: Arc<Session>,
        outage: Arc<Outage>,
        live: Arc<Live>,
        again: broadcast::Receiver<Again>,
        stop: CancellationToken,
    ) -> Self {
        let now = Instant::now();
        Self {
            settle: Settle::new(Timing::new(config.settle)),
            next_root: now,
            next_rescan: now + WATCHER_PATIENCE,
            next_refresh: now + jittered(config.remote_refresh),
            next_due: now + DUE_INTERVAL,
            next_pass: now,
            halt: stop.child_token(),
            slow_since: now,
            config,
            session,
            outage,
            live,
            again,
            stop,
            urgent: Urgent::default(),
            sending: Sending::default(),
            standing: Standing::default(),
            polled: false,
            deaf: false,
            files: Lane::default(),
            slow: Lane::default(),
            pass: Lane::default(),
            job: Job::default(),
            trouble: Lane::default(),
            folders: Vec::new(),
            rescan: false,
            scanned: None,
            known: false,
            dirty: false,
            refresh: true,
            paused: false,
            deletions: VecDeque::new(),
            noted: None,
            noted_unread: None,
            unread_may_differ: false,
        }
    }

    /// Runs until it is stopped.
    ///
    /// # Errors
    /// What no waiting can heal.
    pub async fn run(mut self) -> Result<(), RunError> {
        let Some(run) = self.prepare().await? else { return Ok(()) };
        let mut options =
            WatchOptions::new(self.config.root.clone(), mode(self.config.watch), Selection::clone(&run.selection));
        options.root_interval = PAUSED_INTERVAL;
        let (watching, mut events) = Watching::start(options).map_err(|error| {
            RunError::Broken(format!("mirror {}: no thread to watch with: {error}", self.config.name))
        })?;
        loop {
            self.settle_due(&run).await;
            self.begin(&run).await?;
            self.note_watching(&watching).await?;
            self.note_unread().await?;
            let wake = self.wake();
            self.live.rest_until(wake);
            tokio::select! {
                event = events.recv(), if !self.deaf => self.heard(event),
                Some(again) = next(&mut self.again) => self.asked(&again),
                looked = self.files.end() => self.looked(looked)?,
                looked = self.slow.end() => self.looked(looked)?,
                worked = self.pass.end() => self.worked(worked).await?,
                waited = self.trouble.end() => self.waited(waited)?,
                () = tokio::time::sleep_until(wake.into()) => {}
                () = self.stop.cancelled() => break,
            }
            self.live.awake(Instant::now());
        }
        drop(watching);
        // They have been told to stop as well; what they do not finish is taken up by the next start.
        tokio::join!(self.files.drain(), self.slow.drain(), self.pass.drain());
        Ok(())
    }

    /// Waits for a root that can be believed; nothing when stopped before.
    async fn prepare(&mut self) -> Result<Option<MirrorRun>, RunError> {
        loop {
            match MirrorRun::prepare(self.config.clone(), &self.session.index, false).await {
                Ok(run) => {
                    self.resume();
                    return Ok(Some(MirrorRun { live: Some(self.live.clone()), ..run }));
                }
                Err(RunError::Guard(guard)) => self.pause(&guard.to_string()),
                Err(error) => return Err(error),
            }
            self.live.rest_until(Instant::now() + PAUSED_INTERVAL * 2);
            tokio::select! {
                () = tokio::time::sleep(PAUSED_INTERVAL) => {}
                () = self.stop.cancelled() => return Ok(None),
            }
        }
    }

    /// Stops all that is under way: what rests on a root that is not to be believed must not reach the media area.
    fn pause(&mut self, guard: &str) {
        if !self.paused {
            tracing::warn!(mirror = self.config.name, "paused: {guard}");
            self.halt.cancel();
        }
        self.paused = true;
        self.next_root = Instant::now() + PAUSED_INTERVAL;
        self.live.set_phase(&self.config.name, Phase::Paused { guard: guard.to_owned() });
    }

    fn resume(&mut self) {
        if self.paused {
            tracing::info!(mirror = self.config.name, "the root is back: going on");
            self.paused = false;
            self.halt = self.stop.child_token();
            // What was concluded from the wrong root is set right by a scan, before any pass.
            self.known = false;
            self.rescan = true;
            self.folders.clear();
        }
    }

    /// When there is something to do at the latest.
    fn wake(&self) -> Instant {
        let now = Instant::now();
        if self.paused {
            return self.next_root.max(now);
        }
        let mut wake = now + DUE_INTERVAL;
        if self.can_pass(now) {
            wake = wake.min(self.next_due).min(self.next_refresh);
        } else if self.next_pass > now {
            wake = wake.min(self.next_pass);
        }
        if self.slow.is_free() {
            wake = wake.min(self.next_rescan);
        } else if self.slow_since + SCAN_FIRST > now {
            wake = wake.min(self.slow_since + SCAN_FIRST);
        }
        if let Some(deadline) = self.settle.next_deadline().filter(|_| self.files.is_free()) {
            wake = wake.min(deadline);
        }
        wake.max(now)
    }

    fn heard(&mut self, event: Option<WatchEvent>) {
        let now = Instant::now();
        match event {
            None => {
                tracing::error!(mirror = self.config.name, "the watcher has ended; changes are found by polling");
                self.deaf = true;
                let reason = "the watcher has ended; restart the mirror".to_owned();
                self.show_watching(&WatchState {
                    how: Watched::Polling { reason: reason.clone() },
                    degraded: Some(reason),
                });
                self.rescan = true;
            }
            Some(WatchEvent::Touched(path, touch)) => {
                self.sending.changed(path.key());
                self.settle.touched(path, touch, now);
            }
            Some(WatchEvent::FolderAppeared(path)) => self.settle.touched(path, Touch::Folder, now),
            Some(WatchEvent::RescanNeeded) => {
                self.rescan = true;
                self.next_root = now;
            }
            Some(WatchEvent::RootGone) => {
                self.pause("the root is gone; nothing is deleted, and it goes on when the root is back");
            }
            Some(WatchEvent::StateChanged(state)) => self.show_watching(&state),
            Some(WatchEvent::Failed(message)) => tracing::warn!(mirror = self.config.name, "{message}"),
        }
    }

    /// Somebody wants failed files tried now: the index has them due already, and what a scan could not take in is looked at.
    fn asked(&mut self, again: &Again) {
        if again.is_about(&self.config.name) {
            let now = Instant::now();
            // A pass follows in any case: its end is the answer.
            self.dirty = true;
            for path in self.standing.paths(again.path.as_deref()) {
                self.settle.touched(path, Touch::Changed, now);
            }
        }
    }

    fn show_watching(&mut self, state: &WatchState) {
        let every_ms = u64::try_from(self.config.poll_interval.as_millis()).unwrap_or(u64::MAX);
        let shown = match &state.how {
            Watched::Starting => Shown::Starting,
            Watched::Native => Shown::Native,
            Watched::Polling { reason } => Shown::Polling { reason: reason.clone(), every_ms },
        };
        let polled = matches!(state.how, Watched::Polling { .. });
        if polled != self.polled {
            self.polled = polled;
            self.next_rescan = Instant::now() + self.scan_interval();
        }
        match &state.degraded {
            Some(reason) => tracing::warn!(mirror = self.config.name, "degraded: {reason}"),
            None => tracing::debug!(mirror = self.config.name, ?state, "watching"),
        }
        self.live.set_watching(&self.config.name, shown);
        self.standing.watch.clone_from(&state.degraded);
        self.live.set_degraded(&self.config.name, self.standing.degraded());
    }

    fn scan_interval(&self) -> Duration {
        jittered(if self.polled { self.config.poll_interval } else { self.config.rescan_interval })
    }

    /// Looks at what wants to be looked at, and lets settled files in.
    async fn settle_due(&mut self, run: &MirrorRun) {
        if !self.files.is_free() {
            return;
        }
        let asks = self.settle.asks(Instant::now());
        if !asks.is_empty() {
            for (ask, look) in look_at(self.config.root.clone(), run.selection.clone(), asks).await {
                self.settle.looked(ask, look, Instant::now());
            }
        }
        let Some(batch) = self.settle.due(Instant::now()) else { return };
        let more = batch.still_changing.len().saturating_sub(STILL_TOLD);
        if more > 0 {
            tracing::warn!(mirror = self.config.name, "{more} more files are still being written");
        }
        for still in batch.still_changing.iter().take(STILL_TOLD) {
            tracing::warn!(
                mirror = self.config.name,
                path = %still.path,
                "still being written after {} s; it is mirrored when it rests",
                still.since.elapsed().as_secs()
            );
        }
        if self.paused {
            // What changed is found by the scan that follows the pause.
            return;
        }
        self.folders.extend(batch.folders);
        let settled: Vec<RelPath> = batch.changed.into_iter().chain(batch.removed).collect();
        if !settled.is_empty() {
            let place = Place::Settled(settled);
            self.files.begin(look(run.clone(), self.session.clone(), place, self.halt.clone()));
        }
    }

    /// Begins what is to be done and can be.
    async fn begin(&mut self, run: &MirrorRun) -> Result<(), RunError> {
        let now = Instant::now();
        if self.paused && !self.is_back(run, now).await? {
            return Ok(());
        }
        if now >= self.next_refresh && self.can_pass(now) {
            self.refresh = true;
            self.next_refresh = now + jittered(self.config.remote_refresh);
            // What lists name lies on other people's servers: asked for at the same rhythm, and not only by a rescan.
            let mirror = run.row;
            let lists = self.session.index.call(move |conn| sidecars::lists(conn, mirror)).await?;
            self.folders.extend(lists.iter().filter_map(|list| RelPath::from_key(&list.path).ok()));
        }
        self.begin_scan(run, now);
        if !self.can_pass(now) {
            return Ok(());
        }
        if now >= self.next_due {
            self.next_due = now + DUE_INTERVAL;
            let mirror = run.row;
            let at = Timestamp::now().as_millisecond();
            let (due, look) = self
                .session
                .index
                .call(move |conn| Ok((files::is_due(conn, mirror, at)?, told::take_look(conn, mirror)?)))
                .await?;
            self.dirty |= due;
            self.rescan |= look;
        }
        if self.has_settled(now) || self.refresh || self.dirty {
            self.begin_pass(run, now);
        }
        Ok(())
    }

    async fn is_back(&mut self, run: &MirrorRun, now: Instant) -> Result<bool, RunError> {
        // What the pause stopped has to end first.
        let at_rest = self.files.is_free() && self.slow.is_free() && self.pass.is_free();
        if now < self.next_root || !at_rest {
            return Ok(false);
        }
        self.next_root = now + PAUSED_INTERVAL;
        match run.check_root(&self.session.index).await {
            Ok(()) => {}
            Err(RunError::Guard(guard)) => {
                self.pause(&guard.to_string());
                return Ok(false);
            }
            Err(error) => return Err(error),
        }
        // An empty root may be a mount point without its mount: only files prove that it is back.
        if !holds_a_file(run).await {
            return Ok(false);
        }
        self.resume();
        Ok(true)
    }

    fn begin_scan(&mut self, run: &MirrorRun, now: Instant) {
        if !self.slow.is_free() {
            return;
        }
        let place = if self.rescan || now >= self.next_rescan {
            self.next_rescan = now + self.scan_interval();
            self.rescan = false;
            self.folders.clear();
            if self.pass.is_free() && !self.known {
                self.live.set_phase(&self.config.name, Phase::Scanning);
            }
            Place::Whole
        } else if self.folders.is_empty() {
            return;
        } else {
            Place::Folders(std::mem::take(&mut self.folders))
        };
        self.slow_since = now;
        self.slow.begin(look(run.clone(), self.session.clone(), place, self.halt.clone()));
    }

    /// Whether a pass may begin. What is being looked at belongs into it, unless that takes long; and without one look at
    /// everything a moved file would be taken for a new one.
    fn can_pass(&self, now: Instant) -> bool {
        let looking = !self.files.is_free() || !self.slow.is_free() && now < self.slow_since + SCAN_FIRST;
        self.known && !self.paused && !looking && now >= self.next_pass && self.pass.is_free() && self.trouble.is_free()
    }

    /// Whether a scan of everything waits for its pass, and all it found has settled: only then does the pass stand for
    /// everything. A file that never rests does not hold it up for ever.
    fn has_settled(&self, now: Instant) -> bool {
        self.scanned.is_some_and(|(_, began)| self.settle.is_empty() || now > began + SETTLE_PATIENCE)
    }

    fn begin_pass(&mut self, run: &MirrorRun, now: Instant) {
        self.deletions.retain(|(at, _)| now.saturating_duration_since(*at) < DELETION_WINDOW);
        self.job = Job {
            refresh: std::mem::take(&mut self.refresh),
            after_scan: if self.has_settled(now) { self.scanned.take() } else { None },
        };
        self.dirty = false;
        let work = Work {
            run: run.clone(),
            session: self.session.clone(),
            live: self.live.clone(),
            stop: self.halt.clone(),
            request: RunRequest {
                sending: self.sending.clone(),
                urgent: self.urgent.clone(),
                live: Some(self.live.clone()),
                deleted_lately: self.deletions.iter().map(|(_, count)| count).sum(),
                ..RunRequest::default()
            },
            job: self.job.clone(),
        };
        self.pass.begin(work.run());
    }

    /// A look at the disk ended.
    fn looked(&mut self, looked: Option<Result<Looked, RunError>>) -> Result<(), RunError> {
        let Looked { place, files, restless, problems, began, emptied } = match looked {
            Some(Ok(looked)) => looked,
            // It is not known what was seen: everything is looked at again.
            None => {
                self.next_rescan = self.next_rescan.min(Instant::now() + AFTER_A_FALL);
                return Ok(());
            }
            Some(Err(RunError::Stopped)) => {
                self.rescan = true;
                return Ok(());
            }
            Some(Err(error)) => return self.disbelieve(error),
        };
        if self.paused {
            return Ok(());
        }
        let now = Instant::now();
        for path in restless {
            self.settle.touched(path, Touch::Changed, now);
        }
        self.standing.scanned(&self.config.name, &place, problems);
        self.unread_may_differ = true;
        if emptied {
            self.pause(
                "the root holds no file to mirror any more; nothing is deleted, and it goes on when files are back",
            );
            return Ok(());
        }
        if let Place::Whole = place {
            // A tree that takes long to look at is not looked at all the time.
            self.next_rescan = self.next_rescan.max(now + began.elapsed());
            self.known = true;
            self.scanned = Some((files, began));
            self.live.scanned(&self.config.name);
        }
        if let (Place::Settled(paths), false) = (place, self.pass.is_free()) {
            self.urgent.push(paths.into_iter().map(|path| path.key().to_owned()));
        }
        self.dirty = true;
        Ok(())
    }

    /// A root or a disk that is not to be believed pauses the mirror.
    fn disbelieve(&mut self, error: RunError) -> Result<(), RunError> {
        match error {
            RunError::Scan(ScanError::Index(error)) => Err(error.into()),
            RunError::Guard(_) | RunError::Empty { .. } | RunError::Scan(_) => {
                self.pause(&error.to_string());
                Ok(())
            }
            error => Err(error),
        }
    }

    /// Tells `status`, which may have no page to ask.
    async fn note_watching(&mut self, watching: &Watching) -> Result<(), RunError> {
        let state = watching.state();
        if self.noted.as_ref() == Some(&state) {
            return Ok(());
        }
        self.noted = Some(state.clone());
        let WatchState { how, degraded } = state;
        let (how, reason) = match how {
            Watched::Starting => ("starting", None),
            Watched::Native => ("native", None),
            Watched::Polling { reason } => ("polling", Some(reason)),
        };
        let noted = told::Watching { how: how.into(), reason, degraded: degraded.into_iter().collect() };
        let name = self.config.name.clone();
        Ok(self.session.index.call(move |conn| told::set_watching(conn, &name, &noted)).await?)
    }

    async fn note_unread(&mut self) -> Result<(), RunError> {
        // Before everything was looked at, what an earlier process said is still the best that is known.
        if !self.known || !std::mem::take(&mut self.unread_may_differ) {
            return Ok(());
        }
        let unread = self.standing.unread();
        if self.noted_unread.as_ref() == Some(&unread) {
            return Ok(());
        }
        self.noted_unread = Some(unread.clone());
        let name = self.config.name.clone();
        Ok(self.session.index.call(move |conn| told::set_unread(conn, &name, &unread)).await?)
    }

    /// A pass ended.
    async fn worked(&mut self, worked: Option<Result<Worked, RunError>>) -> Result<(), RunError> {
        let Worked { report, end, took, cut } = match worked {
            Some(Ok(worked)) => worked,
            Some(Err(RunError::Api(error))) => {
                self.once_more();
                return self.wait_out(&error);
            }
            Some(Err(RunError::Stopped)) => {
                self.once_more();
                return Ok(());
            }
            Some(Err(error)) => {
                self.once_more();
                return self.disbelieve(error);
            }
            None => {
                self.once_more();
                self.next_pass = Instant::now() + AFTER_A_FALL;
                return Ok(());
            }
        };
        let now = Instant::now();
        for path in end.changed.iter().filter_map(|path| RelPath::from_key(path).ok()) {
            self.settle.touched(path, Touch::Changed, now);
        }
        if report.deleted > 0 {
            self.deletions.push_back((now, report.deleted));
        }
        let whole = end.fatal.is_none() && !cut;
        if whole && report.api_requests > 0 {
            self.outage.over();
        }
        self.summarise(&report, took);
        if let Some(guard) = end.guard {
            tracing::warn!(mirror = self.config.name, "{guard}");
            self.standing.guard = Some(guard);
        }
        if !whole {
            self.once_more();
        }
        self.show(report, took, whole && self.job.after_scan.is_some()).await?;
        match end.fatal {
            Some(error) => self.wait_out(&error),
            None => Ok(()),
        }
    }

    /// What the pass was begun for is still to be done.
    fn once_more(&mut self) {
        let Job { refresh, after_scan } = std::mem::take(&mut self.job);
        self.refresh |= refresh;
        self.scanned = self.scanned.take().or(after_scan);
        self.dirty = true;
    }

    fn wait_out(&mut self, error: &ApiError) -> Result<(), RunError> {
        if error.is_access() {
            return Err(RunError::Api(error.clone()));
        }
        if !self.paused {
            let waiting = Waiting::Api { since: Timestamp::now(), cause: error.to_string() };
            self.live.set_phase(&self.config.name, Phase::Waiting { waiting });
        }
        // Others may have changed the remote meanwhile.
        self.refresh = true;
        let (session, outage, error) = (self.session.clone(), self.outage.clone(), error.clone());
        self.trouble.begin(async move { Ok(outage.wait_out(&session, &error).await?) });
        Ok(())
    }

    fn waited(&mut self, waited: Option<Result<(), RunError>>) -> Result<(), RunError> {
        if waited.is_none() {
            self.next_pass = Instant::now() + AFTER_A_FALL;
        }
        waited.unwrap_or(Ok(()))
    }

    /// One line for a batch, however many files it had.
    fn summarise(&self, report: &MirrorReport, took: Duration) {
        if report.changed_paths() + report.deleted + report.failed > 0 {
            let counts = report.counts();
            tracing::info!(mirror = self.config.name, "{counts} in {:.1} s", took.as_secs_f64());
        }
    }

    async fn show(&mut self, mut report: MirrorReport, took: Duration, full: bool) -> Result<(), RunError> {
        let name = self.config.name.clone();
        let mirror_name = name.clone();
        let (tally, problems, notices) = self
            .session
            .index
            .call(move |conn| {
                let mirror = crate::index::settings::mirror(conn, &mirror_name)?.id;
                Ok((
                    files::tally(conn, mirror)?,
                    files::problems(conn, mirror)?,
                    notices::told(conn, mirror, |_| true)?,
                ))
            })
            .await?;
        if !problems.iter().any(|stored| stored.problem.action == "delete") {
            self.standing.guard = None;
        }
        let on_disk = self.standing.problems();
        report.failed += self.standing.failed();
        self.live.pass_ended(&name, &report, Timestamp::now(), took, full);
        self.live.set_files(&name, tally.present, tally.mirrored);
        self.live.set_standing(&name, tally.dirty.saturating_sub(tally.failed), tally.failed + self.standing.failed());
        self.live.set_degraded(&name, self.standing.degraded());
        let stored = problems.into_iter().map(|stored| {
            let Problem { action, cause, advice } = stored.problem;
            ReportedProblem { path: stored.path, action, cause, advice }
        });
        self.live.set_problems(&name, stored.chain(on_disk).chain(notices));
        if !self.paused {
            self.live.set_phase(&name, Phase::Idle);
        }
        Ok(())
    }
}

/// The next request; everything when some were lost, nothing when nobody can ask any more.
async fn next(again: &mut broadcast::Receiver<Again>) -> Option<Again> {
    match again.recv().await {
        Ok(again) => Some(again),
        Err(RecvError::Lagged(_)) => Some(Again::default()),
        Err(RecvError::Closed) => None,
    }
}

async fn look_at(root: std::path::PathBuf, selection: Arc<Selection>, asks: Vec<Ask>) -> Vec<(Ask, Look)> {
    let looked = tokio::task::spawn_blocking(move || {
        asks.into_iter()
            .map(|ask| {
                let look = glance(&root, &ask.path, &selection).into();
                (ask, look)
            })
            .collect()
    });
    looked.await.unwrap_or_default()
}

const fn mode(watch: Watch) -> WatchMode {
    match watch {
        Watch::Auto => WatchMode::Auto,
        Watch::Native => WatchMode::Native,
        Watch::Poll => WatchMode::Poll,
    }
}

/// Nine to eleven tenths of it, so that many daemons do not knock at once.
fn jittered(interval: Duration) -> Duration {
    interval.mul_f64(0.9 + fastrand::f64() * 0.2)
}
