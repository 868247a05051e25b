//! `--sync-once` and `--dry-run`: every mirror once, then the report.
//!
//! Owns: the order of the steps and the exit code.

mod fetching;
mod listed;
mod served;
mod trouble;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::error::{Exit, RunError};
use crate::index::{Index, Problem, files, status_notes};
use crate::model::{ActionKind, RelPath};
use crate::remote::{ApiError, Retry, Usage, advice};
use crate::report::{MirrorReport, Report};

use crate::error::ScanError;
use crate::report::Severity;
use crate::sync::list_remote::RefreshError;
use crate::sync::mirror::{MirrorRun, RunContext, RunRequest};
use crate::sync::missing_root::never_there;
use crate::sync::progress::{Progress, Stage};
use crate::sync::scan::{take_scan_problems, unread};
use crate::sync::session::{Session, open_index, reach};
use crate::sync::timeouts::{SyncTimeouts, overdue};
use fetching::Fetching;
use served::{take_live, verify};
use trouble::Trouble;

/// So often a run begins anew because another environment became the primary one meanwhile.
const PROMOTIONS: u32 = 3;
/// A look at the remote that is older than this is renewed after a scan that found work.
const FRESH: Duration = Duration::from_secs(30);

/// How to run.
#[derive(Debug, Clone, Default)]
pub struct OnceOptions {
    /// Show the plan and change nothing.
    pub dry_run: bool,
    /// Pass the deletion guard.
    pub force: bool,
    /// The mirrors' names are these folders', whatever the media area says.
    pub take_over: bool,
    /// Make anew what the media area lost.
    pub recreate: bool,
    /// Read all files, also those that look unchanged.
    pub checksum: bool,
    /// Only these files and folders.
    pub only: Option<Vec<RelPath>>,
    /// Told how far the run is.
    pub progress: Arc<Progress>,
    /// How long to wait for what.
    pub waits: SyncTimeouts,
}

/// How it ended.
#[derive(Debug)]
pub struct OnceEnd {
    /// The report, also of a run that could not finish.
    pub report: Report,
    /// The exit code.
    pub exit: Exit,
}

/// Mirrors everything once.
///
/// # Errors
/// What stopped the run before there was anything to report.
pub async fn run_once(config: &Config, options: &OnceOptions, stop: &CancellationToken) -> Result<OnceEnd, RunError> {
    if let Some(error) = never_there(config).await {
        return Err(error);
    }
    let (index, lock) = open_index(config, options.dry_run)?;
    let mut promotions = 0;
    let end = loop {
        match run_with(config, options, stop, &index).await {
            // What was done so far was done in the other one; this one is looked at anew.
            Err(RunError::Api(error)) if error.is_promotion() && promotions < PROMOTIONS => promotions += 1,
            end => break end,
        }
    };
    index.close().await;
    // Only now may another instance have it.
    drop(lock);
    end
}

async fn run_with(
    config: &Config,
    options: &OnceOptions,
    stop: &CancellationToken,
    index: &Index,
) -> Result<OnceEnd, RunError> {
    let started = Instant::now();
    let mut mirrors = Vec::new();
    let mut refused = Vec::new();
    for mirror in &config.mirrors {
        match MirrorRun::prepare(Arc::new(mirror.clone()), index, options.force).await {
            Ok(mut run) => {
                run.progress = options.progress.clone();
                run.checksum = options.checksum;
                mirrors.push(run);
            }
            Err(error @ RunError::Guard(_)) => refused.push((mirror.clone(), error)),
            Err(error) => return Err(error),
        }
    }
    if mirrors.is_empty()
        && let Some((_, error)) = refused.pop()
    {
        return Err(error);
    }
    let mut session = tokio::select! {
        session = Session::open(config, index.clone(), None, options.dry_run, options.waits, |_| ()) => session?,
        () = stop.cancelled() => return Err(RunError::Stopped),
    };
    options.progress.has_remote(&session.remote);
    let live = Arc::new(Mutex::new(Vec::new()));
    let verifying = verify(config, &mut session, options, stop, &live);
    let mut run = Once { options, stop, session };
    let ran = tokio::select! {
        ran = run.mirrors(&mirrors) => ran,
        () = overdue(stop) => Err(RunError::Stopped),
    };
    run.session.write_calls().await?;
    let (mut reports, exit) = ran?;
    // The last handle: the task ends when nothing is followed any more.
    run.session.verifier = None;
    if let Some(task) = verifying {
        // A task that failed has told nothing, and nothing is what is reported.
        let _ = task.await;
        let ends = std::mem::take(&mut *live.lock().unwrap_or_else(PoisonError::into_inner));
        take_live(ends, &mut reports);
    }
    let mut end = OnceEnd { report: Report { mirrors: reports, duration_ms: 0 }, exit };
    for (mirror, error) in refused {
        let mut report =
            MirrorReport { name: mirror.name, root: mirror.root.display().to_string(), ..Default::default() };
        report.problem("", &guard_problem(&error.to_string()));
        end.report.mirrors.push(report);
        end.exit = worst(end.exit, Exit::Guard);
    }
    end.report.ends_a_run();
    end.report.duration_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    Ok(end)
}

struct Once<'a> {
    options: &'a OnceOptions,
    stop: &'a CancellationToken,
    session: Session,
}

/// A mirror that was scanned.
struct Work<'a> {
    mirror: &'a MirrorRun,
    report: MirrorReport,
    /// Its root is what it should be.
    believed: bool,
    /// Something was read, or is gone.
    changed: bool,
    /// What the look at the disk could not take in.
    problems: Vec<(RelPath, Problem, Severity)>,
    /// Files from URLs, on their way beside all else.
    fetching: Option<Fetching>,
}

impl Once<'_> {
    async fn mirrors(&self, mirrors: &[MirrorRun]) -> Result<(Vec<MirrorReport>, Exit), RunError> {
        let index = &self.session.index;
        let started = Instant::now();
        let (mut exit, work) = if self.session.knows_remote().await? {
            // Neither needs the other, and both take as long as a walk.
            let (scanned, refreshed) = tokio::join!(self.scan(mirrors), self.refresh());
            let scanned = scanned?;
            refreshed?;
            if scanned.1.iter().any(|work| work.changed) {
                // Reading what changed may have taken hours.
                self.freshen().await?;
            }
            scanned
        } else {
            let scanned = self.scan(mirrors).await?;
            self.options.progress.enter(Stage::Listing, "");
            self.refresh().await?;
            scanned
        };
        let mut work = work;
        self.tell_unknown(&mut work).await?;
        let mut counted = Usage::default();
        let fetches_until = Instant::now() + self.options.waits.fetch_first;
        for one in work.iter_mut().filter(|one| one.believed) {
            // What comes at once is mirrored with all else: one pass less, and a file that moved keeps its asset.
            let most = fetches_until.saturating_duration_since(Instant::now());
            if let Some(fetching) = &mut one.fetching
                && let Some(end) = fetching.wait(most).await
            {
                one.fetching = None;
                self.take_fetched(one, end?).await?;
            }
            exit = worst(exit, self.mirror(one.mirror, &mut one.report, self.options.only.clone()).await?);
            self.count(&mut one.report, &mut counted);
        }
        for one in work.iter_mut().filter(|one| one.believed) {
            let Some(fetching) = one.fetching.take() else { continue };
            let end = fetching.end(self.options.waits.fetches).await?;
            if self.stop.is_cancelled() {
                return Err(RunError::Stopped);
            }
            let changed = self.take_fetched(one, end).await?;
            if !changed.is_empty() && exit < Exit::Api {
                self.freshen().await?;
                exit = worst(exit, self.mirror(one.mirror, &mut one.report, Some(changed)).await?);
            }
        }
        let mut reports = Vec::new();
        for Work { mirror, mut report, believed, .. } in work {
            if believed {
                match mirror.remember_root(index).await {
                    Ok(()) => {}
                    // What was done is done, and told.
                    Err(RunError::Guard(guard)) => {
                        report.problem("", &guard_problem(&guard.to_string()));
                        exit = worst(exit, Exit::Guard);
                    }
                    Err(error) => return Err(error),
                }
                if exit == Exit::Api {
                    let row = mirror.row;
                    report.waiting = index.call(move |conn| files::waiting(conn, row)).await?;
                }
            }
            self.count(&mut report, &mut counted);
            report.settle_unchanged();
            if report.failed > 0 || report.waiting > 0 {
                exit = worst(exit, Exit::Incomplete);
            }
            if believed && !self.options.dry_run && !mirror.close_pass(index, started.elapsed(), &mut report).await? {
                exit = worst(exit, Exit::Incomplete);
            }
            reports.push(report);
        }
        Ok((reports, exit))
    }

    /// What the API was asked since the last time is this mirror's.
    fn count(&self, report: &mut MirrorReport, counted: &mut Usage) {
        let usage = self.session.remote.usage();
        report.api_requests += usage.api_requests - counted.api_requests;
        report.bytes_uploaded += usage.bytes_uploaded - counted.bytes_uploaded;
        *counted = usage;
    }

    async fn scan<'a>(&self, mirrors: &'a [MirrorRun]) -> Result<(Exit, Vec<Work<'a>>), RunError> {
        let mut work = Vec::new();
        let mut exit = Exit::Done;
        let mut first_error = None;
        for mirror in mirrors {
            let mut report = MirrorReport {
                name: mirror.config.name.clone(),
                root: mirror.root().display().to_string(),
                plan: self.options.dry_run.then(Vec::new),
                ..MirrorReport::default()
            };
            match mirror.scan(&self.session.index, self.options.only.clone(), self.stop).await {
                Ok(mut scanned) => {
                    report.counts.scanned = scanned.files;
                    take_scan_problems(&scanned, &mut report);
                    self.note_unread(mirror, &scanned.problems).await?;
                    let changed = scanned.read + scanned.vanished > 0;
                    let asks = std::mem::take(&mut scanned.asks);
                    let fetching = (!asks.is_empty())
                        .then(|| Fetching::begin(mirror.fetch_job(&self.session, asks), self.stop.child_token()));
                    let problems = scanned.problems;
                    work.push(Work { mirror, report, believed: true, changed, problems, fetching });
                }
                Err(error @ (RunError::Empty { .. } | RunError::Guard(_) | RunError::Scan(ScanError::Walk(_)))) => {
                    report.problem("", &guard_problem(&error.to_string()));
                    exit = worst(exit, error.exit());
                    first_error.get_or_insert(error);
                    let problems = Vec::new();
                    work.push(Work { mirror, report, believed: false, changed: false, problems, fetching: None });
                }
                Err(error) => return Err(error),
            }
        }
        match first_error {
            Some(error) if work.iter().all(|work| !work.believed) => Err(error),
            _ => Ok((exit, work)),
        }
    }

    /// For `status`. A look at some paths knows nothing of the others.
    async fn note_unread(&self, mirror: &MirrorRun, problems: &[(RelPath, Problem, Severity)]) -> Result<(), RunError> {
        if self.options.dry_run || self.options.only.is_some() {
            return Ok(());
        }
        let unread = unread(problems.iter().map(|(path, problem, severity)| (path.key(), problem, *severity)));
        let name = mirror.config.name.clone();
        Ok(self.session.index.call(move |conn| status_notes::set_unread(conn, &name, &unread)).await?)
    }

    async fn freshen(&self) -> Result<(), RunError> {
        match self.session.freshen(FRESH).await {
            Ok(()) => Ok(()),
            Err(RefreshError::Index(error)) => Err(error.into()),
            // It may pass, and `refresh` waits for that.
            Err(RefreshError::Api(_)) => self.refresh().await,
        }
    }

    async fn refresh(&self) -> Result<(), RunError> {
        let mut waited = false;
        loop {
            match self.session.refresh_in_full_when_due().await {
                Ok(()) => return Ok(()),
                Err(RefreshError::Index(error)) => return Err(error.into()),
                Err(RefreshError::Api(error)) if waited || !self.wait_out(&error, Duration::ZERO).await? => {
                    return Err(error.into());
                }
                Err(RefreshError::Api(_)) => waited = true,
            }
        }
    }

    async fn mirror(
        &self,
        mirror: &MirrorRun,
        report: &mut MirrorReport,
        only: Option<Vec<RelPath>>,
    ) -> Result<Exit, RunError> {
        let request = RunRequest {
            only,
            force: self.options.force,
            take_over: self.options.take_over,
            recreate: self.options.recreate,
            impatient: true,
            ..RunRequest::default()
        };
        let turn = RunContext { session: &self.session, request: &request, stop: self.stop };
        let mut trouble = Trouble::default();
        loop {
            let end = mirror.pass(turn, report).await?;
            let Some(error) = end.fatal else {
                let Some(guard) = end.guard else {
                    return if self.stop.is_cancelled() { Err(RunError::Stopped) } else { Ok(Exit::Done) };
                };
                report.problem("", &guard_problem(&guard));
                return Ok(Exit::Guard);
            };
            if error.is_promotion() {
                return Err(error.into());
            }
            let done = report.counts.changed_paths() + report.counts.deleted;
            let waits = (self.options.waits.remote.backoff, self.options.waits.outage);
            if let Some(pause) = trouble.pause(done, waits, Instant::now())
                && self.wait_out(&error, pause).await?
            {
                self.refresh().await?;
                continue;
            }
            report.problem("", &Problem::new(ActionKind::Connect, error.to_string(), advice(&error)));
            return Ok(Exit::Api);
        }
    }

    /// The API is in trouble that may pass: waits until it answers again. False when it does not, or cannot.
    /// It is not asked before `pause` is over.
    async fn wait_out(&self, error: &ApiError, pause: Duration) -> Result<bool, RunError> {
        if error.is_access() || error.retry() == Retry::Never {
            return Ok(false);
        }
        tracing::warn!(%error, "the API is in trouble; waiting for it for up to {} s", self.options.waits.outage.as_secs());
        let answers = async {
            tokio::time::sleep(pause).await;
            reach(&self.session.remote, self.options.waits.outage, |_| ()).await.is_ok()
        };
        tokio::select! {
            answers = answers => Ok(answers),
            () = self.stop.cancelled() => Err(RunError::Stopped),
        }
    }
}

fn guard_problem(cause: &str) -> Problem {
    Problem::new(ActionKind::Guard, cause, "see the cause; nothing was deleted")
}

/// The exit code that tells most: a guard or the API before files that failed.
fn worst(a: Exit, b: Exit) -> Exit {
    a.max(b)
}
