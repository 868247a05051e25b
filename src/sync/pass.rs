//! One pass over everything in a mirror that has something to look at: observe, plan, execute, record.
//!
//! This module is the driver: it reads pages of rows from the index, has them planned, starts what the scheduler says, and
//! records what came of it; its parts lie in `pass/`. It never decides what is done about a path (that is `plan`), nor when
//! (that is `pass/scheduler.rs`). `--sync-once`, `--dry-run` and the daemon all run the same pass.

mod back_again;
mod begin;
mod change;
mod finish;
mod guard;
mod pages;
mod priority_paths;
mod scheduler;
mod stale_stamps;
mod tracks;

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::config::policy::MaxDelete;
use crate::index::{FileRow, Index, IndexError, files, status_notes};
use crate::model::{ActionKind, RelPath, UploadId};
use crate::remote::{ApiError, Remote};
use crate::report::change::Change;
use crate::report::{MirrorReport, PlannedAction};
use crate::runtime_state::RuntimeState;

use crate::features::cdn_check::Verifier;
use crate::sync::execute::{Executed, Executor};
use crate::sync::path_filter::PathFilter;
use crate::sync::plan::Policy;
use crate::sync::progress::Progress;
use crate::sync::scope::Scope;
use scheduler::{GivenUp, Next, Rules, Scheduler, WaitFor};

pub use priority_paths::PriorityPaths;

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
    /// Rounds a stage takes at most; each settles what waited for the one before.
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
    let rules =
        Rules { rounds: context.rounds, makes_calls: context.executor.is_some(), is_impatient: context.impatient };
    let mut pass = Pass {
        context,
        report,
        end: PassEnd::default(),
        scheduler: Scheduler::new(rules),
        flight: JoinSet::new(),
        notes: Notes::default(),
    };
    if context.progress.is_shown() {
        let mirror = context.scope.mirror;
        let (files, bytes) = context.index.call(move |conn| status_notes::waiting(conn, mirror)).await?;
        context.progress.begins(files, bytes);
    }
    while pass.step().await? {}
    Ok(pass.end)
}

struct Pass<'a> {
    context: &'a PassContext,
    report: &'a mut MirrorReport,
    end: PassEnd,
    /// Says what is next.
    scheduler: Scheduler,
    /// What is under way.
    flight: JoinSet<Vec<Executed>>,
    notes: Notes,
}

/// What later stages have to know of what was done.
#[derive(Debug, Default)]
struct Notes {
    /// Rows on disk that turned out to be in step.
    concluded: Vec<i64>,
    /// Assets that paths left to others, each with the path.
    departures: Vec<(UploadId, RelPath)>,
    /// Paths whose assets were deleted or tagged because their files were gone.
    thought_gone: Vec<RelPath>,
    /// Assets that this pass sent a file for.
    sent: HashSet<UploadId>,
}

impl Pass<'_> {
    /// Does the next thing. False when the pass is done.
    async fn step(&mut self) -> Result<bool, PassError> {
        if !self.goes_on() {
            self.scheduler.halt();
        }
        let next = self.scheduler.next(now_ms(), self.context.urgent.is_waiting());
        match &next {
            Next::Read { .. } => self.set_flush(false),
            Next::Start(_) | Next::Wait(WaitFor::Slot) => {}
            // Nothing else is to be sent meanwhile.
            _ => self.set_flush(true),
        }
        match next {
            Next::Read { rows, due } => {
                if let Some(offer) = self.read(rows, due).await? {
                    self.scheduler.offer(offer);
                }
                self.tick();
            }
            Next::Start(start) => self.start(start).await?,
            Next::Wait(_) => match self.flight.join_next().await {
                Some(finished) => self.take(finished).await?,
                // There is nothing to wait for.
                None => self.scheduler.slot_is_free(),
            },
            Next::Tracks(rows) => self.tracks(rows).await?,
            Next::AskGuard => {
                let passes = self.guard().await?;
                self.scheduler.answer(passes);
            }
            Next::AskGone => {
                let are_due = self.gone_are_due().await?;
                self.scheduler.answer(are_due);
            }
            Next::CorrectStamps => {
                let again = self.correct_stale_stamps().await?;
                self.scheduler.answer(again);
            }
            Next::GiveUp(rows) => self.give_up(rows).await?,
            Next::LookForFilesBack => self.look_for_files_that_are_back().await?,
            Next::TellLeft => self.left_due().await?,
            Next::Done => return Ok(false),
        }
        Ok(true)
    }

    fn goes_on(&self) -> bool {
        self.end.fatal.is_none() && !self.end.outdated && !self.context.stop.is_cancelled()
    }

    /// Says whether more is about to be sent: with nothing more to come, what was sent is confirmed as soon as likely done.
    fn set_flush(&self, flush: bool) {
        if let Some(executor) = &self.context.executor {
            executor.confirmer.set_flush(flush);
        }
    }

    /// Nothing comes of these rows in this pass: says why.
    async fn give_up(&mut self, rows: Vec<GivenUp>) -> Result<(), PassError> {
        let mut failures = Vec::new();
        for GivenUp { row, problem, waited, retry } in rows {
            if self.context.executor.is_none() && !waited {
                self.tell(&row, problem.action, &problem.cause);
                self.report.apart.failures += u64::from(row.present);
            }
            failures.push((row, problem, retry));
        }
        self.fail_all(failures).await
    }

    /// Whether any row that is gone is still to be looked at.
    async fn gone_are_due(&self) -> Result<bool, PassError> {
        let (mirror, now) = (self.context.scope.mirror, now_ms());
        let due = self.context.index.call(move |conn| files::dirty(conn, mirror, false, "", now, 1)).await?;
        Ok(!due.is_empty())
    }

    /// What has something to look at and no problem that says why nothing came of it: rounds or turns ran out.
    async fn left_due(&mut self) -> Result<(), PassError> {
        if !self.goes_on() || self.end.guard.is_some() {
            return Ok(());
        }
        let (mirror, now) = (self.context.scope.mirror, now_ms());
        let due = self.context.index.call(move |conn| files::left_due(conn, mirror, now)).await?;
        let is_left = |(id, path): &(i64, String)| {
            !self.scheduler.rows().of(*id).has_failed()
                && !self.scheduler.tracks().contains_key(id)
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
    fn tell(&mut self, row: &FileRow, action: ActionKind, why: &str) {
        let planned = PlannedAction {
            path: row.path.key().into(),
            action,
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

/// The time, in milliseconds since 1970.
fn now_ms() -> i64 {
    Timestamp::now().as_millisecond()
}
