//! What a keeper has done beside its loop: scans, and passes.
//!
//! Owns: the steps of each. Never does: choosing when; that is the loop's.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::error::RunError;
use crate::index::overrides::Overrides;
use crate::index::{Problem, files, retry_requests};
use crate::model::RelPath;
use crate::report::MirrorReport;
use crate::runtime_state::{Phase, RuntimeState};

use crate::features::remote_files::Asks;
use crate::report::Severity;
use crate::sync::list_remote::RefreshError;
use crate::sync::mirror::{MirrorRun, RunContext, RunRequest};
use crate::sync::pass::PassEnd;
use crate::sync::scan::{Look as FirstLook, Scanned, Unsettled, Waited};
use crate::sync::session::Session;

/// A look at the remote older than this is renewed before a batch.
const FRESH: Duration = Duration::from_secs(5);

/// What to look at on disk.
#[derive(Debug, Clone)]
pub enum Place {
    /// Everything.
    Whole,
    /// Folders that appeared, with all below.
    Folders(Vec<RelPath>),
    /// Paths that have settled, and what was waited for with them.
    Settled(Vec<RelPath>, Waited),
}

/// What a look at the disk showed.
#[derive(Debug)]
pub struct Looked {
    /// Where it looked.
    pub place: Place,
    /// Files that are to be mirrored, in all of that place.
    pub files: u64,
    /// What may still be in the middle of being written, with the last look at each.
    pub restless: Vec<FirstLook>,
    /// What is not where it was, and may be one of those under another name, or be saved just now.
    pub held: Vec<RelPath>,
    /// What cannot be mirrored as it is.
    pub problems: Vec<(RelPath, Problem, Severity)>,
    /// When it began.
    pub began: Instant,
    /// There is no file in the whole mirror any more.
    pub emptied: bool,
    /// What is to be fetched from URLs.
    pub asks: Asks,
}

/// Looks at the disk and writes what it sees to the index. Whoever gets an answer may believe it: the root was the right
/// one before and after.
///
/// # Errors
/// The guard's, the disk's, the index's; [`RunError::Stopped`] when `stop` is cancelled.
pub async fn look(
    run: MirrorRun,
    session: Arc<Session>,
    place: Place,
    stop: CancellationToken,
) -> Result<Looked, RunError> {
    let began = Instant::now();
    let index = &session.index;
    run.check_root(index).await?;
    let (only, waited) = match &place {
        Place::Whole => (None, Waited::default()),
        Place::Folders(folders) => (Some(folders.clone()), Waited::default()),
        Place::Settled(paths, waited) => (Some(paths.clone()), waited.clone()),
    };
    let Scanned { files, mut unsettled, mut held, mut problems, mut asks, .. } =
        run.scan_as(index, only.clone(), Unsettled::LeaveAbsent, waited.clone(), &stop).await?;
    if let Some(paths) = only {
        let related = run.related(index, &paths).await?;
        if !related.is_empty() {
            let scanned = run.scan_as(index, Some(related), Unsettled::LeaveAbsent, waited, &stop).await?;
            unsettled.extend(scanned.unsettled);
            held.extend(scanned.held);
            problems.extend(scanned.problems);
            asks.add(scanned.asks);
        }
    }
    // A root that went away meanwhile looks like one whose files were deleted.
    run.check_root(index).await?;
    let mirror = run.row;
    // A file that is still being written is one, though the index does not have it yet.
    let emptied =
        files == 0 && unsettled.is_empty() && !index.call(move |conn| files::any_present(conn, mirror)).await?;
    // Until it is asked for again, what was the matter with it stands.
    let failed = asks.files.iter().filter_map(|ask| Some((ask.file.path.clone(), ask.problem.clone()?)));
    problems.extend(failed.map(|(path, problem)| (path, problem, Severity::Failed)));
    Ok(Looked { place, files, restless: unsettled, held, problems, began, emptied, asks })
}

/// What a pass is about.
#[derive(Debug, Clone, Default)]
pub struct Job {
    /// Look over the whole remote first.
    pub refresh: bool,
    /// It follows a look at everything, which saw so many files and began then.
    pub after_scan: Option<(u64, Instant)>,
    /// What it may do past its guards.
    pub overrides: Overrides,
}

/// What a pass came to.
#[derive(Debug)]
pub struct Worked {
    /// For people.
    pub report: MirrorReport,
    /// For the keeper.
    pub end: PassEnd,
    /// From the begin of the look at the disk, or of the pass.
    pub took: Duration,
    /// It was told to stop: what is left is for the next.
    pub cut: bool,
}

/// A pass, with all it needs.
pub struct Work {
    /// The mirror.
    pub run: MirrorRun,
    /// What all mirrors share.
    pub session: Arc<Session>,
    /// Where it tells what it does.
    pub live: Arc<RuntimeState>,
    /// Ends it early.
    pub stop: CancellationToken,
    /// How to pass.
    pub request: RunRequest,
    /// What it is about.
    pub job: Job,
}

impl Work {
    /// Looks at the remote and passes over all that is dirty.
    ///
    /// # Errors
    /// The API's, the guard's, the index's.
    pub async fn run(self) -> Result<Worked, RunError> {
        let name = self.run.config.name.clone();
        let began = self.job.after_scan.map_or_else(Instant::now, |(_, began)| began);
        let mut report =
            MirrorReport { name: name.clone(), root: self.run.root().display().to_string(), ..MirrorReport::default() };
        report.counts.scanned = self.job.after_scan.map_or(0, |(files, _)| files);
        let before = self.session.remote.usage();
        let index = &self.session.index;
        let looked = if self.job.refresh { self.session.refresh().await } else { Ok(()) };
        let (mirror, at) = (self.run.row, Timestamp::now().as_millisecond());
        if self.job.overrides.any() {
            // A guard may have stopped them again since they were asked for.
            index.call(move |conn| retry_requests::make_due(conn, mirror, None)).await?;
        }
        let (due, hint) =
            index.call(move |conn| Ok((files::is_due(conn, mirror, at)?, files::count_dirty(conn, mirror)?))).await?;
        // With nothing to look at there is no reason to ask whether it is fresh.
        let looked = match looked {
            Ok(()) if due => self.session.freshen(FRESH).await,
            looked => looked,
        };
        match looked {
            Ok(()) => {}
            Err(RefreshError::Api(error)) => return Err(error.into()),
            Err(RefreshError::Index(error)) => return Err(error.into()),
        }
        if due {
            self.live.set_phase(&name, Phase::Mirroring { done: 0, total_hint: hint, bytes: 0 });
        }
        let turn = RunContext { session: &self.session, request: &self.request, stop: &self.stop };
        let end = self.run.pass_once(turn, &mut report).await?;
        let cut = self.stop.is_cancelled();
        if self.job.after_scan.is_some() && !cut {
            self.run.remember_root(index).await?;
        }
        let usage = self.session.remote.usage();
        report.api_requests = usage.api_requests - before.api_requests;
        report.bytes_uploaded = usage.bytes_uploaded - before.bytes_uploaded;
        // The next pass goes on with them.
        report.waiting = end.left.len() as u64;
        report.settle_unchanged();
        self.run.close_pass(index, began.elapsed(), &mut report).await?;
        Ok(Worked { report, end, took: began.elapsed(), cut })
    }
}

/// Whether there is any file to mirror below the root.
pub async fn holds_a_file(run: &MirrorRun) -> bool {
    let (root, selection) = (run.root().clone(), run.selection.clone());
    tokio::task::spawn_blocking(move || crate::sync::absence::holds_a_file(&root, &selection)).await.unwrap_or(false)
}
