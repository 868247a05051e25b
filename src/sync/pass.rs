//! One pass over everything in a mirror that has something to look at: observe, plan, execute, record.
//!
//! Owns: the order of the stages, and what a pass knows while it runs; its parts lie in `pass/`. Decides nothing about
//! a path: that is `plan`.

mod back_again;
mod begin;
mod busy;
mod change;
mod finish;
mod guard;
mod pages;
mod priority_paths;
mod round;
mod stale_stamps;
mod tracks;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::config::policy::MaxDelete;
use crate::index::{FileRow, Index, IndexError, Problem, files, status_notes};
use crate::model::{Md5, RelPath, UploadId};
use crate::remote::{ApiError, Remote};
use crate::report::change::Change;
use crate::report::{MirrorReport, PlannedAction};
use crate::runtime_state::RuntimeState;

use crate::features::cdn_check::Verifier;
use crate::sync::execute::bulk::BulkItem;
use crate::sync::execute::{Executed, Executor};
use crate::sync::mirror::PathFilter;
use crate::sync::observe::Scope;
use crate::sync::plan::Policy;
use crate::sync::plan::edit::BulkChange;
use crate::sync::progress::Progress;
use busy::Busy;
use finish::next_try;

pub use priority_paths::PriorityPaths;

/// Rounds of a phase at most that begin nothing.
const IDLE_ROUNDS: u32 = 20;

/// What a pass is made of.
#[derive(Debug, Clone)]
pub struct PassContext {
    /// Reads of rows, and what the folder wants.
    pub scope: Arc<Scope>,
    /// What decides.
    pub policy: Arc<Policy>,
    /// Calls; `None` for a dry run.
    pub executor: Option<Executor>,
    /// The index (a throw-away copy for a dry run).
    pub index: Index,
    /// The API.
    pub remote: Remote,
    /// The guard.
    pub max_delete: MaxDelete,
    /// Let this pass through the guard.
    pub force: bool,
    /// Rounds a phase takes at most; each settles what waited for the one before.
    pub rounds: u32,
    /// Only these paths; `None`: all.
    pub only: Option<Arc<PathFilter>>,
    /// Ends the pass early: nothing new is begun.
    pub stop: CancellationToken,
    /// Also try what waits for its time to be tried again.
    pub impatient: bool,
    /// Paths to take first; filled while the pass runs.
    pub urgent: PriorityPaths,
    /// What to tell of the work.
    pub live: Option<Arc<RuntimeState>>,
    /// Told of every file.
    pub progress: Arc<Progress>,
    /// Follows the URLs of what is replaced; `None`: nobody does.
    pub verifier: Option<Verifier>,
}

/// What a pass came to, beside the report.
#[derive(Debug, Default)]
pub struct PassEnd {
    /// The deletion guard stopped the deletions, or what `stopped` says.
    pub guard: Option<String>,
    /// The guard stopped the pass before it looked at any file: nothing is changed until that is over.
    pub stopped: bool,
    /// Nothing more could be done.
    pub fatal: Option<ApiError>,
    /// Files that changed while they were worked on: look at the disk again.
    pub changed: BTreeSet<String>,
    /// Files whose collection went away meanwhile: find or make it anew.
    pub uncollected: BTreeSet<String>,
    /// Files that the pass did not come to the end with, without a problem of their own, in path order.
    pub left: Vec<String>,
    /// A metadata file was saved meanwhile, or the name was contested: what is left is planned by what holds now.
    pub outdated: bool,
}

/// The pass could not go on.
#[derive(Debug, thiserror::Error)]
pub enum PassError {
    /// The index failed.
    #[error(transparent)]
    Index(#[from] IndexError),
}

/// Runs a pass and adds what it did to `report`.
///
/// # Errors
/// When the index fails.
pub async fn run(context: &PassContext, report: &mut MirrorReport) -> Result<PassEnd, PassError> {
    let mut pass = Pass {
        context,
        report,
        end: PassEnd::default(),
        tried: Arc::default(),
        under_way: Arc::default(),
        spoken: Arc::default(),
        unfinished: HashSet::new(),
        failed: Arc::default(),
        refused: HashMap::new(),
        replans: HashMap::new(),
        turns: HashMap::new(),
        concluded: Vec::new(),
        departures: Vec::new(),
        thought_gone: Vec::new(),
        begun: 0,
        busy: Busy::default(),
        flight: JoinSet::new(),
        bulk: BTreeMap::new(),
        deletions: Vec::new(),
        refreshed: false,
        sent: HashSet::new(),
        waiting: BTreeMap::new(),
        counted: HashSet::new(),
        companions: BTreeMap::new(),
    };
    pass.set_flush(false);
    if context.progress.is_shown() {
        let mirror = context.scope.mirror;
        let (files, bytes) = context.index.call(move |conn| status_notes::waiting(conn, mirror)).await?;
        context.progress.begins(files, bytes);
    }
    pass.phase(true).await?;
    pass.tracks(true).await?;
    if pass.goes_on() && pass.guard().await? {
        pass.phase(false).await?;
        pass.tracks(false).await?;
        pass.give_up().await?;
    }
    // A path that goes leaves those that shared its asset with less to say about it.
    pass.phase(true).await?;
    if pass.companions.values().any(|row| row.present) {
        // Their video changed only now.
        pass.tracks(true).await?;
        pass.phase(true).await?;
    }
    if pass.goes_on() && pass.correct_stale_stamps().await? {
        pass.phase(true).await?;
    }
    if pass.give_up_what_is_reported().await? {
        // Who waited for them need not any more.
        pass.phase(true).await?;
    }
    if pass.goes_on() && pass.gone_are_due().await? && pass.guard().await? {
        // They share an asset with one that got news since their turn.
        pass.phase(false).await?;
        pass.give_up().await?;
        pass.phase(true).await?;
    }
    pass.give_up().await?;
    pass.look_for_files_that_are_back().await?;
    pass.left_due().await?;
    Ok(pass.end)
}

struct Pass<'a> {
    context: &'a PassContext,
    report: &'a mut MirrorReport,
    end: PassEnd,
    /// Rows under way, and rows this pass is done with although they are dirty.
    tried: Arc<HashSet<i64>>,
    /// Rows under way.
    under_way: Arc<HashSet<i64>>,
    /// Rows that another row's plan of this round speaks for.
    spoken: Arc<HashSet<i64>>,
    /// Rows whose new asset needs a second call; it counts as one action.
    unfinished: HashSet<i64>,
    /// Rows nobody should wait for.
    failed: Arc<HashSet<i64>>,
    /// Paths that could not send a content, by the content.
    refused: HashMap<Md5, u32>,
    replans: HashMap<i64, u32>,
    /// Actions done for each row.
    turns: HashMap<i64, u32>,
    /// Rows on disk that turned out to be in step.
    concluded: Vec<i64>,
    /// Assets that paths left to others, each with the path.
    departures: Vec<(UploadId, RelPath)>,
    /// Paths whose assets were deleted or tagged because their files were gone.
    thought_gone: Vec<RelPath>,
    /// Actions begun.
    begun: u64,
    /// Assets being worked on.
    busy: Busy,
    flight: JoinSet<Vec<Executed>>,
    /// What is the same for several assets, and for which.
    bulk: BTreeMap<BulkChange, Vec<BulkItem>>,
    /// What is to be deleted together.
    deletions: Vec<BulkItem>,
    /// Something was learnt in this round that the plans of its rows do not know.
    refreshed: bool,
    /// Assets that this pass sent a file for.
    sent: HashSet<UploadId>,
    /// Rows, by path, that wait or are to be reported, as of this round: what others do may change that.
    waiting: BTreeMap<String, (FileRow, Problem)>,
    /// Gone rows that the deletion guard has seen; one that goes later is for the next pass, and its guard.
    counted: HashSet<i64>,
    /// Rows that are tracks of a video, by their ids: their turn comes after the videos'.
    companions: BTreeMap<i64, FileRow>,
}

impl Pass<'_> {
    fn goes_on(&self) -> bool {
        self.end.fatal.is_none() && !self.end.outdated && !self.context.stop.is_cancelled()
    }

    fn set_flush(&self, flush: bool) {
        if let Some(executor) = &self.context.executor {
            executor.confirmer.set_flush(flush);
        }
    }

    /// All rows on disk, or all that are gone, in rounds until a round has nothing left to do.
    async fn phase(&mut self, present: bool) -> Result<(), PassError> {
        let mut idle = 0;
        for _ in 0..self.context.rounds {
            self.refreshed = false;
            self.waiting.clear();
            let before = self.begun;
            self.set_flush(false);
            self.round(present).await?;
            self.flush_bulk();
            self.set_flush(true);
            while let Some(finished) = self.flight.join_next().await {
                self.take(finished).await?;
            }
            idle += u32::from(self.begun == before);
            if !self.goes_on() || (self.begun == before && !self.refreshed) || idle >= IDLE_ROUNDS {
                break;
            }
        }
        Ok(())
    }

    /// Says what is to be reported. True when others wait, perhaps for those.
    async fn give_up_what_is_reported(&mut self) -> Result<bool, PassError> {
        let (waiting, reported): (BTreeMap<_, _>, BTreeMap<_, _>) =
            std::mem::take(&mut self.waiting).into_iter().partition(|(_, (_, problem))| problem.action == WAIT);
        self.waiting = reported;
        let any = !self.waiting.is_empty() && !waiting.is_empty();
        self.give_up().await?;
        self.waiting = waiting;
        Ok(any)
    }

    /// What still waits, or is to be reported, when all else is done: say so.
    async fn give_up(&mut self) -> Result<(), PassError> {
        if !self.goes_on() {
            // Cut short: what they wait for may well come in the next pass.
            return Ok(());
        }
        let mut failures = Vec::new();
        for (row, problem) in std::mem::take(&mut self.waiting).into_values() {
            Arc::make_mut(&mut self.tried).insert(row.id);
            if self.context.executor.is_none() && problem.action != WAIT {
                self.tell(&row, &problem.action, &problem.cause);
                self.report.apart.failures += u64::from(row.present);
            }
            let retry_at = next_try(&row, problem.action == WAIT);
            failures.push((row, problem, retry_at));
        }
        self.fail_all(failures).await
    }

    /// Whether any row that is gone is still to be looked at.
    async fn gone_are_due(&self) -> Result<bool, PassError> {
        let (mirror, now) = (self.context.scope.mirror, Timestamp::now().as_millisecond());
        let due = self.context.index.call(move |conn| files::dirty(conn, mirror, false, "", now, 1)).await?;
        Ok(!due.is_empty())
    }

    /// What has something to look at and no problem that says why nothing came of it: rounds or turns ran out.
    async fn left_due(&mut self) -> Result<(), PassError> {
        if !self.goes_on() || self.end.guard.is_some() {
            return Ok(());
        }
        let (mirror, now) = (self.context.scope.mirror, Timestamp::now().as_millisecond());
        let due = self.context.index.call(move |conn| files::left_due(conn, mirror, now)).await?;
        let is_left = |(id, path): &(i64, String)| {
            !self.failed.contains(id)
                && !self.companions.contains_key(id)
                && !self.end.changed.contains(path)
                && !self.end.uncollected.contains(path)
                && self.context.only.as_ref().is_none_or(|only| only.contains(path))
        };
        self.end.left = due.into_iter().filter(is_left).map(|(_, path)| path).collect();
        Ok(())
    }

    fn wanted(&self, row: &FileRow) -> bool {
        self.context.only.as_ref().is_none_or(|only| only.contains(row.path.key()))
    }

    /// Says in the report of a dry run what would be done.
    fn tell(&mut self, row: &FileRow, action: &str, why: &str) {
        let planned = PlannedAction {
            path: row.path.key().into(),
            action: action.into(),
            why: why.into(),
            change: Change::default(),
            on_disk: row.present,
        };
        self.report.plan.get_or_insert_default().push(planned);
    }

    fn tick(&self) {
        if let Some(live) = &self.context.live {
            live.progress(Instant::now());
        }
    }
}

/// The action in the problem of a path that waits.
const WAIT: &str = "wait";
