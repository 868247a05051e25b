//! Keeps one mirror in step: events, polls and timers in; scans and passes out.
//!
//! Owns: when a mirror is scanned, when it is passed over, and what pauses it. Never two passes of one mirror at a time; a
//! file that changes while a pass runs is taken first by that pass. Decides nothing about a file: that is `plan`.
//! Called by: `pipeline::daemon`, one task a mirror.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::config::Mirror;
use crate::config::policy::Watch;
use crate::disk::{Selection, glance};
use crate::error::RunError;
use crate::index::{Problem, files, told};
use crate::live::{Live, Phase, Waiting, Watching as Shown};
use crate::model::RelPath;
use crate::remote::ApiError;
use crate::report::{MirrorReport, ReportedProblem};

use super::super::execute::Sending;
use super::super::mirror::{MirrorRun, RunRequest, take_scan_problems};
use super::super::pass::{PassEnd, Urgent};
use super::super::refresh::RefreshError;
use super::super::scan::Restless;
use super::super::session::Session;
use super::super::settle::{Ask, Batch, Look, Settle, Timing, Touch};
use super::super::watch::{WatchEvent, WatchMode, WatchOptions, WatchState, Watched, Watching};
use super::outage::Outage;

/// How often the index is asked for files whose time to be tried again has come.
const DUE_INTERVAL: Duration = Duration::from_secs(5);
/// How often a paused mirror looks whether its root is back.
const PAUSED_INTERVAL: Duration = Duration::from_secs(3);
/// A look at the remote older than this is renewed before a batch.
const FRESH: Duration = Duration::from_secs(5);

/// Keeps one mirror.
pub struct Keeper {
    config: Arc<Mirror>,
    session: Arc<Session>,
    outage: Arc<Outage>,
    live: Arc<Live>,
    stop: CancellationToken,
    settle: Settle,
    urgent: Urgent,
    sending: Sending,
    polled: bool,
    work: Option<JoinHandle<Result<Worked, RunError>>>,
    /// The whole tree has to be scanned.
    rescan: bool,
    /// Something is dirty: a pass is due.
    dirty: bool,
    /// The remote has to be looked over.
    refresh: bool,
    /// Waits for its root.
    paused: bool,
    next_rescan: Instant,
    next_refresh: Instant,
    next_due: Instant,
}

/// What a piece of work came to.
struct Worked {
    report: MirrorReport,
    end: PassEnd,
    restless: Vec<RelPath>,
    took: Duration,
    full: bool,
}

/// What a piece of work is about.
#[derive(Debug, Clone, Copy)]
struct Job {
    scan: bool,
    refresh: bool,
}

impl Keeper {
    /// A keeper that has not begun.
    pub fn new(
        config: Arc<Mirror>,
        session: Arc<Session>,
        outage: Arc<Outage>,
        live: Arc<Live>,
        stop: CancellationToken,
    ) -> Self {
        let now = Instant::now();
        Self {
            settle: Settle::new(Timing::new(config.settle)),
            next_rescan: now + jittered(config.rescan_interval),
            next_refresh: now + jittered(config.remote_refresh),
            next_due: now + DUE_INTERVAL,
            config,
            session,
            outage,
            live,
            stop,
            urgent: Urgent::default(),
            sending: Sending::default(),
            polled: false,
            work: None,
            rescan: true,
            dirty: false,
            refresh: true,
            paused: false,
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
            RunError::Usage(format!("mirror {}: no thread to watch with: {error}", self.config.name))
        })?;
        loop {
            self.settle_due(&run).await?;
            self.begin(&run, &watching).await?;
            let wake = self.wake();
            self.live.rest_until(wake);
            tokio::select! {
                event = events.recv() => self.heard(event),
                worked = join(&mut self.work) => self.worked(worked).await?,
                () = tokio::time::sleep_until(wake.into()) => {}
                () = self.stop.cancelled() => break,
            }
            self.live.awake(Instant::now());
        }
        drop(watching);
        if let Some(work) = self.work.take() {
            // It has been told to stop as well; what it does not finish is taken up by the next start.
            let _ = work.await;
        }
        Ok(())
    }

    /// Waits for a root that can be believed; nothing when stopped before.
    async fn prepare(&mut self) -> Result<Option<MirrorRun>, RunError> {
        loop {
            match MirrorRun::prepare(self.config.clone(), &self.session.index, false).await {
                Ok(run) => {
                    self.resume();
                    return Ok(Some(run));
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

    fn pause(&mut self, guard: &str) {
        if !self.paused {
            tracing::warn!(mirror = self.config.name, "paused: {guard}");
        }
        self.paused = true;
        self.live.set_phase(&self.config.name, Phase::Paused { guard: guard.to_owned() });
    }

    fn resume(&mut self) {
        if self.paused {
            tracing::info!(mirror = self.config.name, "the root is back: going on");
            self.paused = false;
            self.rescan = true;
        }
    }

    /// When there is something to do at the latest.
    fn wake(&self) -> Instant {
        let now = Instant::now();
        let mut wake = self.next_due.min(self.next_rescan).min(self.next_refresh);
        if let Some(deadline) = self.settle.next_deadline() {
            wake = wake.min(deadline);
        }
        if self.paused {
            wake = wake.min(now + PAUSED_INTERVAL);
        }
        wake.max(now)
    }

    fn heard(&mut self, event: Option<WatchEvent>) {
        let now = Instant::now();
        match event {
            None => self.rescan = true,
            Some(WatchEvent::Touched(path, touch)) => {
                self.sending.changed(path.key());
                self.settle.touched(path, touch, now);
            }
            Some(WatchEvent::FolderAppeared(path)) => self.settle.touched(path, Touch::Folder, now),
            Some(WatchEvent::RescanNeeded) => self.rescan = true,
            Some(WatchEvent::RootGone) => {
                self.pause("the root is gone; nothing is deleted, and it goes on when the root is back");
            }
            Some(WatchEvent::StateChanged(state)) => self.show_watching(&state),
            Some(WatchEvent::Failed(message)) => tracing::warn!(mirror = self.config.name, "{message}"),
        }
    }

    fn show_watching(&mut self, state: &WatchState) {
        let every_ms = u64::try_from(self.config.poll_interval.as_millis()).unwrap_or(u64::MAX);
        let shown = match &state.how {
            Watched::Starting => Shown::Starting,
            Watched::Native => Shown::Native,
            Watched::Polling { reason } => Shown::Polling { reason: reason.clone(), every_ms },
        };
        self.polled = matches!(state.how, Watched::Polling { .. });
        if self.polled {
            self.next_rescan = self.next_rescan.min(Instant::now() + self.config.poll_interval);
        }
        match &state.degraded {
            Some(reason) => tracing::warn!(mirror = self.config.name, "degraded: {reason}"),
            None => tracing::debug!(mirror = self.config.name, ?state, "watching"),
        }
        self.live.set_watching(&self.config.name, shown);
        self.live.set_degraded(&self.config.name, state.degraded.iter().cloned().collect());
    }

    /// Lets settled files in.
    async fn settle_due(&mut self, run: &MirrorRun) -> Result<(), RunError> {
        let asks = self.settle.asks(Instant::now());
        if !asks.is_empty() {
            for (ask, look) in look(self.config.root.clone(), run.selection.clone(), asks).await {
                self.settle.looked(ask, look, Instant::now());
            }
        }
        let Some(batch) = self.settle.due(Instant::now()) else { return Ok(()) };
        if self.paused {
            // What changed is found by the scan that follows the pause.
            self.rescan = true;
            return Ok(());
        }
        self.batch(run, batch).await
    }

    async fn batch(&mut self, run: &MirrorRun, batch: Batch) -> Result<(), RunError> {
        for still in &batch.still_changing {
            tracing::warn!(
                mirror = self.config.name,
                path = %still.path,
                "still being written after {} s; it is mirrored when it rests",
                still.since.elapsed().as_secs()
            );
        }
        let index = self.session.index.clone();
        if let Err(RunError::Guard(guard)) = run.check_root(&index).await {
            self.pause(&guard.to_string());
            self.rescan = true;
            return Ok(());
        }
        let settled: Vec<RelPath> = batch.changed.into_iter().chain(batch.removed).collect();
        let count = settled.len();
        for (paths, restless) in [(settled.clone(), Restless::Read), (batch.folders, Restless::Leave)] {
            if paths.is_empty() {
                continue;
            }
            let scanned = run.scan_as(&index, Some(paths.clone()), restless, &self.stop).await;
            let Some(scanned) = self.believe(scanned)? else { return Ok(()) };
            self.take_restless(scanned.unsettled);
            let related = run.related(&index, &paths).await?;
            if !related.is_empty() {
                let scanned = run.scan_as(&index, Some(related), Restless::Leave, &self.stop).await;
                let Some(scanned) = self.believe(scanned)? else { return Ok(()) };
                self.take_restless(scanned.unsettled);
            }
        }
        tracing::debug!(mirror = self.config.name, count, "settled");
        let mirror = run.row;
        if index.call(move |conn| files::tally(conn, mirror)).await?.present == 0 {
            self.pause(
                "the root holds no file to mirror any more; nothing is deleted, and it goes on when files are back",
            );
            return Ok(());
        }
        if self.work.is_some() {
            for path in settled {
                self.urgent.push(path.key().to_owned());
            }
        }
        self.dirty = true;
        Ok(())
    }

    /// A scan that a guard or the disk stopped pauses the mirror.
    fn believe<T>(&mut self, scanned: Result<T, RunError>) -> Result<Option<T>, RunError> {
        match scanned {
            Ok(scanned) => Ok(Some(scanned)),
            Err(RunError::Stopped) => Ok(None),
            Err(error @ (RunError::Guard(_) | RunError::Empty { .. } | RunError::Scan(_))) => {
                self.pause(&error.to_string());
                self.rescan = true;
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    fn take_restless(&mut self, restless: Vec<RelPath>) {
        let now = Instant::now();
        for path in restless {
            self.settle.touched(path, Touch::Changed, now);
        }
    }

    /// Begins the next piece of work, if there is one and none is under way.
    async fn begin(&mut self, run: &MirrorRun, watching: &Watching) -> Result<(), RunError> {
        let now = Instant::now();
        if self.work.is_some() {
            return Ok(());
        }
        if self.paused {
            match run.check_root(&self.session.index).await {
                Ok(()) => {}
                Err(RunError::Guard(guard)) => {
                    self.pause(&guard.to_string());
                    return Ok(());
                }
                Err(error) => return Err(error),
            }
            // An empty root may be a mount point without its mount: only files prove that it is back.
            if !holds_a_file(run).await {
                return Ok(());
            }
            self.resume();
        }
        if now >= self.next_rescan {
            self.rescan = true;
        }
        if now >= self.next_refresh {
            self.refresh = true;
            self.next_refresh = now + jittered(self.config.remote_refresh);
        }
        if now >= self.next_due {
            self.next_due = now + DUE_INTERVAL;
            let mirror = run.row;
            let at = Timestamp::now().as_millisecond();
            self.dirty |= self.session.index.call(move |conn| files::is_due(conn, mirror, at)).await?;
        }
        if !(self.rescan || self.refresh || self.dirty) {
            return Ok(());
        }
        let job = Job { scan: self.rescan, refresh: self.refresh };
        if job.scan {
            let interval = if self.polled { self.config.poll_interval } else { self.config.rescan_interval };
            self.next_rescan = now + jittered(interval);
            self.show_state(watching);
            self.note_watching(watching).await?;
        }
        (self.rescan, self.refresh, self.dirty) = (false, false, false);
        let work = Work {
            run: run.clone(),
            session: self.session.clone(),
            live: self.live.clone(),
            stop: self.stop.clone(),
            request: RunRequest {
                sending: self.sending.clone(),
                urgent: self.urgent.clone(),
                live: Some(self.live.clone()),
                ..RunRequest::default()
            },
            job,
        };
        self.work = Some(tokio::spawn(work.run()));
        Ok(())
    }

    fn show_state(&mut self, watching: &Watching) {
        let state = watching.state();
        if state.how != Watched::Starting {
            self.polled = matches!(state.how, Watched::Polling { .. });
        }
    }

    /// Tells `status`, which may have no page to ask.
    async fn note_watching(&self, watching: &Watching) -> Result<(), RunError> {
        let WatchState { how, degraded } = watching.state();
        let (how, reason) = match how {
            Watched::Starting => ("starting", None),
            Watched::Native => ("native", None),
            Watched::Polling { reason } => ("polling", Some(reason)),
        };
        let noted = told::Watching { how: how.into(), reason, degraded: degraded.into_iter().collect() };
        let name = self.config.name.clone();
        Ok(self.session.index.call(move |conn| told::set_watching(conn, &name, &noted)).await?)
    }

    /// A piece of work ended.
    async fn worked(&mut self, worked: Result<Worked, RunError>) -> Result<(), RunError> {
        let worked = match worked {
            Ok(worked) => worked,
            Err(RunError::Stopped) => return Ok(()),
            Err(RunError::Api(error)) => return self.wait_out(&error),
            Err(error) => {
                let believed: Option<()> = self.believe(Err(error))?;
                debug_assert!(believed.is_none(), "an error is not believed");
                return Ok(());
            }
        };
        let Worked { report, end, restless, took, full } = worked;
        self.take_restless(restless);
        let now = Instant::now();
        for path in end.changed.iter().filter_map(|path| RelPath::from_key(path).ok()) {
            self.settle.touched(path, Touch::Changed, now);
        }
        self.summarise(&report, took);
        self.show(&report, took, full && end.fatal.is_none()).await?;
        if let Some(guard) = end.guard {
            tracing::warn!(mirror = self.config.name, "{guard}");
            self.live.set_degraded(&self.config.name, vec![guard]);
        }
        match end.fatal {
            Some(error) => self.wait_out(&error),
            None => Ok(()),
        }
    }

    fn wait_out(&mut self, error: &ApiError) -> Result<(), RunError> {
        if error.is_access() {
            return Err(RunError::Api(error.clone()));
        }
        let waiting = Waiting::Api { since: Timestamp::now(), cause: error.to_string() };
        self.live.set_phase(&self.config.name, Phase::Waiting { waiting });
        let (session, outage, error) = (self.session.clone(), self.outage.clone(), error.clone());
        // In the place of work, so that events are still heard and a stop is obeyed.
        let stop = self.stop.clone();
        self.work = Some(tokio::spawn(async move {
            tokio::select! {
                waited = outage.wait_out(&session, &error) => waited?,
                () = stop.cancelled() => return Err(RunError::Stopped),
            }
            Ok(Worked {
                report: MirrorReport::default(),
                end: PassEnd::default(),
                restless: Vec::new(),
                took: Duration::ZERO,
                full: false,
            })
        }));
        self.refresh = true;
        self.dirty = true;
        Ok(())
    }

    /// One line for a batch, however many files it had.
    fn summarise(&self, report: &MirrorReport, took: Duration) {
        let changed = report.changed_paths() + report.deleted;
        if changed == 0 && report.failed == 0 {
            return;
        }
        let counts = report.counts();
        tracing::info!(mirror = self.config.name, "{counts} in {:.1} s", took.as_secs_f64());
    }

    async fn show(&self, report: &MirrorReport, took: Duration, full: bool) -> Result<(), RunError> {
        let name = &self.config.name;
        self.live.pass_ended(name, report, Timestamp::now(), took, full);
        let mirror_name = name.clone();
        let (tally, problems) = self
            .session
            .index
            .call(move |conn| {
                let mirror = crate::index::settings::mirror(conn, &mirror_name)?.id;
                Ok((files::tally(conn, mirror)?, files::problems(conn, mirror)?))
            })
            .await?;
        self.live.set_standing(name, tally.dirty, tally.failed);
        self.live.set_problems(
            name,
            problems.into_iter().map(|stored| {
                let Problem { action, cause, advice } = stored.problem;
                ReportedProblem { path: stored.path, action, cause, advice }
            }),
        );
        if !self.paused {
            self.live.set_phase(name, Phase::Idle);
        }
        Ok(())
    }
}

/// A scan, a look at the remote, and a pass, as the job wants.
struct Work {
    run: MirrorRun,
    session: Arc<Session>,
    live: Arc<Live>,
    stop: CancellationToken,
    request: RunRequest,
    job: Job,
}

impl Work {
    async fn run(self) -> Result<Worked, RunError> {
        let started = Instant::now();
        let name = self.run.config.name.clone();
        let mut report =
            MirrorReport { name: name.clone(), root: self.run.root().display().to_string(), ..MirrorReport::default() };
        let before = self.session.remote.usage();
        let index = &self.session.index;
        let mut restless = Vec::new();
        if self.job.scan {
            self.live.set_phase(&name, Phase::Scanning);
            self.run.check_root(index).await?;
            let scanned = self.run.scan_as(index, None, Restless::Leave, &self.stop).await?;
            self.run.check_root(index).await?;
            report.scanned = scanned.files;
            take_scan_problems(&scanned, &mut report);
            restless = scanned.unsettled;
            self.live.scanned(&name);
        }
        let looked = if self.job.refresh { self.session.refresh().await } else { Ok(()) };
        let mirror = self.run.row;
        let tally = index.call(move |conn| files::tally(conn, mirror)).await?;
        // With nothing to look at there is no reason to ask whether it is fresh.
        let looked = match looked {
            Ok(()) if tally.dirty > 0 => self.session.freshen(FRESH).await,
            looked => looked,
        };
        match looked {
            Ok(()) => {}
            Err(RefreshError::Api(error)) => return Err(error.into()),
            Err(RefreshError::Index(error)) => return Err(error.into()),
        }
        self.live.set_phase(&name, Phase::Mirroring { done: 0, total_hint: tally.dirty, bytes: 0 });
        let end = self.run.pass_once(&self.session, &self.request, &self.stop, &mut report).await?;
        if self.job.scan {
            self.run.remember_root(index).await?;
        }
        let usage = self.session.remote.usage();
        report.api_requests = usage.api_requests - before.api_requests;
        report.bytes_uploaded = usage.bytes_uploaded - before.bytes_uploaded;
        report.unchanged = report.scanned.saturating_sub(report.changed_paths() + report.failed);
        let full = self.job.scan && !self.stop.is_cancelled();
        self.run.close_pass(index, started.elapsed(), &mut report).await?;
        Ok(Worked { report, end, restless, took: started.elapsed(), full })
    }
}

/// The end of the work under way; never, when there is none.
async fn join(work: &mut Option<JoinHandle<Result<Worked, RunError>>>) -> Result<Worked, RunError> {
    match work {
        Some(handle) => {
            let ended = handle.await;
            *work = None;
            ended.unwrap_or_else(|error| {
                tracing::error!(%error, "a pass ended abnormally; its files are looked at again");
                Err(RunError::Stopped)
            })
        }
        None => std::future::pending().await,
    }
}

async fn look(root: std::path::PathBuf, selection: Arc<Selection>, asks: Vec<Ask>) -> Vec<(Ask, Look)> {
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

async fn holds_a_file(run: &MirrorRun) -> bool {
    let (root, selection) = (run.root().clone(), run.selection.clone());
    tokio::task::spawn_blocking(move || any_file(&root, &selection)).await.unwrap_or(false)
}

fn any_file(root: &Path, selection: &Selection) -> bool {
    let found = std::sync::atomic::AtomicBool::new(false);
    let walked = crate::disk::walk(root, None, selection, 1, &|batch| {
        if batch.iter().any(|found| matches!(found, crate::disk::Found::File { .. })) {
            found.store(true, std::sync::atomic::Ordering::Relaxed);
            return std::ops::ControlFlow::Break(());
        }
        std::ops::ControlFlow::Continue(())
    });
    walked.is_ok() && found.into_inner()
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
