//! One pass over everything in a mirror that has something to look at: observe, plan, execute, record.
//!
//! Owns: the order of work, that no two actions touch one path or one asset at a time, the deletion guard, and when a
//! look at the remote is too old to overwrite anything by it. Decides nothing about a path: that is `plan`.
//! Called by: `pipeline::run` for `--sync-once`, `--dry-run` and the daemon alike.

mod tracks;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::config::policy::{MaxDelete, OnDelete};
use crate::index::told::{self, Done};
use crate::index::{FileRow, Index, IndexError, Problem, assets, companions, files};
use crate::live::{Change, Live};
use crate::model::{Asset, FieldKey, MirrorStamp, UploadId};
use crate::remote::{ApiError, Remote};
use crate::report::{MirrorReport, PlannedAction};

use super::bulk::{BulkItem, send_bulk};
use super::desire::Desires;
use super::edit::BulkChange;
use super::execute::{Executor, Failure};
use super::mirror::Only;
use super::observe::{Scope, observe};
use super::plan::{Action, Known, Observation, Plan, Policy, plan};
use super::progress::Progress;
use super::record::record;
use super::refresh::{self, RefreshError};
use super::simulate::simulate;
use super::tracks::claim;
use super::verify::{Replacement, Verifier};

/// Rows planned at once.
const PAGE: u32 = 100;
/// Urgent paths planned at once: what is saved after them waits for these at most.
const URGENT_AT_ONCE: usize = 8;
/// Actions under way at once: enough to fill the API's allowance while jobs take seconds.
const IN_FLIGHT: usize = 400;
/// A look at the remote older than this is renewed before something is overwritten.
const FRESH: Duration = Duration::from_secs(5);
/// Rounds a pass takes at most; each settles what waited for the one before.
const ROUNDS: u32 = 20;
/// A path is planned anew this often in a pass, when the remote turns out to be another than thought.
const REPLANS: u32 = 5;
/// A path is acted on this often in a pass, when what others did gives it more to do.
const TURNS: u32 = 3;

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
    /// Only these paths; `None`: all.
    pub only: Option<Arc<Only>>,
    /// Ends the pass early: nothing new is begun.
    pub stop: CancellationToken,
    /// Also try what waits for its time to be tried again.
    pub impatient: bool,
    /// Paths to take first; filled while the pass runs.
    pub urgent: Urgent,
    /// What to tell of the work.
    pub live: Option<Arc<Live>>,
    /// Assets deleted shortly before: they count for the guard.
    pub deleted_lately: u64,
    /// When the remote was last looked at.
    pub fresh: Instant,
    /// Told of every file.
    pub progress: Arc<Progress>,
    /// Follows the URLs of what is replaced; `None`: nobody does.
    pub verifier: Option<Verifier>,
}

/// Paths that a person waits for: taken before all others, the last saved first. A folder of thousands that settled
/// meanwhile is here too, and must not be in the way of the one file that is saved after it.
#[derive(Debug, Clone, Default)]
pub struct Urgent(Arc<Mutex<Vec<VecDeque<String>>>>);

impl Urgent {
    /// Adds what settled together.
    pub fn push(&self, batch: impl IntoIterator<Item = String>) {
        let batch: VecDeque<String> = batch.into_iter().collect();
        if !batch.is_empty() {
            self.lock().push(batch);
        }
    }

    /// How many batches wait.
    fn batches(&self) -> usize {
        self.lock().len()
    }

    /// Some paths of the last batch.
    fn take(&self) -> Vec<String> {
        let mut batches = self.lock();
        let Some(last) = batches.last_mut() else { return Vec::new() };
        let taken = last.drain(..last.len().min(URGENT_AT_ONCE)).collect();
        if last.is_empty() {
            batches.pop();
        }
        taken
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<VecDeque<String>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a pass came to, beside the report.
#[derive(Debug, Default)]
pub struct PassEnd {
    /// The deletion guard stopped the deletions.
    pub guard: Option<String>,
    /// Nothing more could be done.
    pub fatal: Option<ApiError>,
    /// Files that changed while they were worked on: look at the disk again.
    pub changed: BTreeSet<String>,
    /// Files whose collection went away meanwhile: find or make it anew.
    pub uncollected: BTreeSet<String>,
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
        tried: HashSet::new(),
        unfinished: HashSet::new(),
        failed: HashSet::new(),
        replans: HashMap::new(),
        turns: HashMap::new(),
        begun: 0,
        busy: HashSet::new(),
        flight: JoinSet::new(),
        bulk: BTreeMap::new(),
        fresh: context.fresh,
        refreshed: false,
        waiting: BTreeMap::new(),
        counted: HashSet::new(),
        companions: BTreeMap::new(),
    };
    pass.set_flush(false);
    if context.progress.is_shown() {
        let mirror = context.scope.mirror;
        let (files, bytes) = context.index.call(move |conn| told::waiting(conn, mirror)).await?;
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
    pass.give_up().await?;
    Ok(pass.end)
}

/// A finished action.
struct Finished {
    row: FileRow,
    plan: Plan,
    result: Result<Option<Box<Asset>>, Failure>,
}

struct Pass<'a> {
    context: &'a PassContext,
    report: &'a mut MirrorReport,
    end: PassEnd,
    /// Rows under way, and rows this pass is done with although they are dirty.
    tried: HashSet<i64>,
    /// Rows whose new asset needs a second call; it counts as one action.
    unfinished: HashSet<i64>,
    /// Rows nobody should wait for.
    failed: HashSet<i64>,
    replans: HashMap<i64, u32>,
    /// Actions done for each row.
    turns: HashMap<i64, u32>,
    /// Actions begun.
    begun: u64,
    /// Assets being worked on.
    busy: HashSet<UploadId>,
    flight: JoinSet<Vec<Finished>>,
    /// What is the same for several assets, and for which.
    bulk: BTreeMap<BulkChange, Vec<BulkItem>>,
    /// When the remote was last looked at.
    fresh: Instant,
    /// Something was learnt in this round that the plans of its rows do not know.
    refreshed: bool,
    /// Rows, by path, that wait or are to be reported, as of this round: what others do may change that.
    waiting: BTreeMap<String, (FileRow, Problem)>,
    /// Gone rows that the deletion guard has seen; one that goes later is for the next pass, and its guard.
    counted: HashSet<i64>,
    /// Rows that are tracks of a video, by their ids: their turn comes after the videos'.
    companions: BTreeMap<i64, FileRow>,
}

impl Pass<'_> {
    fn goes_on(&self) -> bool {
        self.end.fatal.is_none() && !self.context.stop.is_cancelled()
    }

    fn set_flush(&self, flush: bool) {
        if let Some(executor) = &self.context.executor {
            executor.confirmer.set_flush(flush);
        }
    }

    /// All rows on disk, or all that are gone, in rounds until a round has nothing left to do.
    async fn phase(&mut self, present: bool) -> Result<(), PassError> {
        for _ in 0..ROUNDS {
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
            if !self.goes_on() || (self.begun == before && !self.refreshed) {
                break;
            }
        }
        Ok(())
    }

    /// What still waits, or is to be reported, when all else is done: say so.
    async fn give_up(&mut self) -> Result<(), PassError> {
        if !self.goes_on() {
            // Cut short: what they wait for may well come in the next pass.
            return Ok(());
        }
        for (row, problem) in std::mem::take(&mut self.waiting).into_values() {
            self.tried.insert(row.id);
            if self.context.executor.is_none() && problem.action != WAIT {
                let planned = PlannedAction {
                    path: row.path.key().into(),
                    action: problem.action.clone(),
                    why: problem.cause.clone(),
                };
                self.report.plan.get_or_insert_default().push(planned);
            }
            let retry_at = if problem.action == WAIT { retry_at(row.failures) } else { NOT_BEFORE_A_CHANGE };
            self.fail(&row, &problem, retry_at).await?;
        }
        Ok(())
    }

    async fn round(&mut self, present: bool) -> Result<(), PassError> {
        let mut after = String::new();
        while self.goes_on() {
            let urgent = if present { self.context.urgent.take() } else { Vec::new() };
            let hurried = !urgent.is_empty();
            let before = after.clone();
            let page = if urgent.is_empty() {
                let page = self.page(present, &after).await?;
                let Some((last, _)) = page.last() else { break };
                after = last.path.key().to_owned();
                page
            } else {
                // Changed since this pass looked at them.
                self.urgent_page(urgent).await?
            };
            self.tick();
            let mut touched: HashSet<UploadId> = HashSet::new();
            let mut done = before;
            for (row, plan) in page {
                if !self.goes_on() {
                    break;
                }
                if present && !hurried && self.context.urgent.batches() > 0 {
                    // The rest of this page is planned again after what somebody waits for.
                    after.clone_from(&done);
                    break;
                }
                row.path.key().clone_into(&mut done);
                if plan.action == Action::Nothing || self.tried.contains(&row.id) {
                    continue;
                }
                if matches!(plan.action, Action::Delete { .. }) && !self.counted.contains(&row.id) {
                    continue;
                }
                if !self.wanted(&row) {
                    // Not in this pass: who waited for it need not.
                    self.refreshed |= self.failed.insert(row.id);
                    continue;
                }
                // The plan may rest on an asset that changed since this page was planned.
                if touches(&row, &plan).any(|id| touched.contains(id) || self.busy.contains(id)) {
                    continue;
                }
                if let Some(problem) = held_up(&plan) {
                    self.waiting.insert(row.path.key().to_owned(), (row, problem));
                    continue;
                }
                if plan.action.overwrites() && self.is_stale() {
                    self.freshen().await?;
                    self.refreshed = true;
                    // The rest of this page was planned on what may be out of date.
                    break;
                }
                touched.extend(touches(&row, &plan).cloned());
                self.begin(row, plan).await?;
            }
        }
        Ok(())
    }

    fn wanted(&self, row: &FileRow) -> bool {
        self.context.only.as_ref().is_none_or(|only| only.contains(row.path.key()))
    }

    /// The next dirty rows with their plans. A row with nothing to do is clean in the same transaction: what others do
    /// after it was planned makes it dirty again.
    async fn page(&mut self, present: bool, after: &str) -> Result<Vec<(FileRow, Plan)>, PassError> {
        let (scope, policy) = (self.context.scope.clone(), self.context.policy.clone());
        let (after, failed) = (after.to_owned(), self.failed.clone());
        let now = if self.context.impatient { i64::MAX } else { Timestamp::now().as_millisecond() };
        let mut tracks = Vec::new();
        let (page, tracks) = self
            .context
            .index
            .call(move |conn| {
                let page = files::dirty(conn, scope.mirror, present, &after, now, PAGE)?
                    .into_iter()
                    .map(|row| {
                        if claim(conn, &scope, &row)?.is_some() {
                            tracks.push(row.clone());
                            return Ok((row, Plan::of_another_stage()));
                        }
                        let seen = observe(conn, &scope, &row, &failed)?;
                        let problems = &seen.me.desired.problems;
                        let notice = (row.present && !problems.is_empty()).then(|| problems.join("\n"));
                        files::set_notice(conn, row.id, notice.as_deref())?;
                        let plan = plan(&seen, &policy);
                        remember_concluded(conn, scope.mirror, &seen, &plan)?;
                        if plan.action == Action::Nothing {
                            files::clean(conn, row.id)?;
                        }
                        Ok((row, plan))
                    })
                    .collect::<rusqlite::Result<Vec<_>>>()?;
                Ok((page, tracks))
            })
            .await?;
        self.await_turn(tracks);
        Ok(page)
    }

    fn await_turn(&mut self, tracks: Vec<FileRow>) {
        let new = tracks.into_iter().filter(|row| !self.failed.contains(&row.id));
        self.companions.extend(new.map(|row| (row.id, row)).collect::<Vec<_>>());
    }

    /// The rows of paths that changed while the pass runs, with their plans.
    async fn urgent_page(&mut self, paths: Vec<String>) -> Result<Vec<(FileRow, Plan)>, PassError> {
        let (scope, policy) = (self.context.scope.clone(), self.context.policy.clone());
        let failed = self.failed.clone();
        let (page, tracks) = self
            .context
            .index
            .call(move |conn| {
                let (mut page, mut tracks) = (Vec::new(), Vec::new());
                for path in paths {
                    let Some(row) = files::by_path(conn, scope.mirror, &path)?.filter(|row| row.present) else {
                        continue;
                    };
                    if claim(conn, &scope, &row)?.is_some() {
                        tracks.push(row);
                        continue;
                    }
                    let seen = observe(conn, &scope, &row, &failed)?;
                    let plan = plan(&seen, &policy);
                    if plan.action == Action::Nothing {
                        files::clean(conn, row.id)?;
                    }
                    page.push((row, plan));
                }
                Ok((page, tracks))
            })
            .await?;
        self.await_turn(tracks);
        for (row, _) in &page {
            self.tried.remove(&row.id);
        }
        Ok(page)
    }

    fn tick(&self) {
        if let Some(live) = &self.context.live {
            live.progress(Instant::now());
        }
    }

    fn is_stale(&self) -> bool {
        self.context.executor.is_some() && self.fresh.elapsed() > FRESH
    }

    async fn freshen(&mut self) -> Result<(), PassError> {
        match refresh::changes(&self.context.index, &self.context.remote).await {
            Ok(_) => {}
            Err(RefreshError::Api(error)) => self.end.fatal = Some(error),
            Err(RefreshError::Index(error)) => return Err(error.into()),
        }
        self.fresh = Instant::now();
        Ok(())
    }

    /// Begins one action, or finishes it at once when it takes no call.
    async fn begin(&mut self, row: FileRow, plan: Plan) -> Result<(), PassError> {
        self.tried.insert(row.id);
        self.begun += 1;
        for conflict in plan.conflicts() {
            self.report.problem(row.path.key(), &conflict_problem(conflict, &self.context.scope.desires));
        }
        if let (None, Some(action)) = (&self.context.executor, plan.action.name()) {
            let planned = PlannedAction { path: row.path.key().into(), action: action.into(), why: plan.why.clone() };
            self.report.plan.get_or_insert_default().push(planned);
        }
        match &plan.action {
            Action::Record { .. }
            | Action::Accept { .. }
            | Action::Forget
            | Action::Nothing
            | Action::Wait
            | Action::Report { .. } => self.finish(Finished { row, plan, result: Ok(None) }).await,
            Action::Retag { asset, edit } if self.context.executor.is_some() => match edit.in_bulk() {
                Some(change) => {
                    self.busy.extend(touches(&row, &plan).cloned());
                    let group = self.bulk.entry(change.clone()).or_default();
                    group.push(BulkItem { asset: asset.id.clone(), row, plan: plan.clone() });
                    if group.len() >= super::bulk::AT_ONCE {
                        self.flush_group(&change);
                    }
                    Ok(())
                }
                None => self.launch(row, plan).await,
            },
            _ => self.launch(row, plan).await,
        }
    }

    async fn launch(&mut self, row: FileRow, plan: Plan) -> Result<(), PassError> {
        let Some(executor) = self.context.executor.clone() else {
            let asset = simulate(&row, &plan.action).map(Box::new);
            return self.finish(Finished { row, plan, result: Ok(asset) }).await;
        };
        self.busy.extend(touches(&row, &plan).cloned());
        let cancel = self.context.stop.clone();
        // Waited for here and not in the task, so that what becomes urgent meanwhile is at most a few files away.
        let permit = match plan.action.sends() {
            true => executor.senders.clone().acquire_owned().await.ok(),
            false => None,
        };
        self.flight.spawn(async move {
            let result = executor.execute(&row, &plan.action, permit, &cancel).await;
            vec![Finished { row, plan, result }]
        });
        while self.flight.len() >= IN_FLIGHT {
            let Some(finished) = self.flight.join_next().await else { break };
            self.take(finished).await?;
        }
        while let Some(finished) = self.flight.try_join_next() {
            self.take(finished).await?;
        }
        Ok(())
    }

    fn flush_bulk(&mut self) {
        let changes: Vec<BulkChange> = self.bulk.keys().cloned().collect();
        for change in changes {
            self.flush_group(&change);
        }
    }

    fn flush_group(&mut self, change: &BulkChange) {
        let (Some(group), Some(executor)) = (self.bulk.remove(change), self.context.executor.clone()) else { return };
        let (change, cancel, mirror) = (change.clone(), self.context.stop.clone(), self.context.scope.mirror);
        self.flight.spawn(async move {
            send_bulk(&executor, mirror, &change, group, &cancel)
                .await
                .into_iter()
                .map(|(BulkItem { row, plan, .. }, result)| Finished { row, plan, result })
                .collect()
        });
    }

    async fn take(&mut self, joined: Result<Vec<Finished>, tokio::task::JoinError>) -> Result<(), PassError> {
        match joined {
            Ok(all) => {
                for finished in all {
                    self.finish(finished).await?;
                }
            }
            Err(error) => tracing::error!(%error, "an action ended abnormally; its path is looked at in the next pass"),
        }
        Ok(())
    }

    async fn finish(&mut self, finished: Finished) -> Result<(), PassError> {
        let Finished { row, plan, result } = finished;
        self.tick();
        for asset in touches(&row, &plan) {
            self.busy.remove(asset);
        }
        match result {
            Ok(asset) => self.done(row, plan, asset).await,
            Err(Failure::Changed) => {
                self.end.changed.insert(row.path.key().to_owned());
                Ok(())
            }
            Err(Failure::Collection) => {
                self.end.uncollected.insert(row.path.key().to_owned());
                Ok(())
            }
            Err(Failure::Replan) => {
                let count = self.replans.entry(row.id).or_default();
                *count += 1;
                if *count < REPLANS {
                    self.tried.remove(&row.id);
                    return Ok(());
                }
                let problem = Problem {
                    action: plan.action.name().unwrap_or_default().into(),
                    cause: "the media area changed each time this file was to be mirrored".into(),
                    advice: "it is tried again; see whether another program works on the same assets".into(),
                };
                self.fail(&row, &problem, retry_at(row.failures)).await
            }
            Err(Failure::Damaged { asset, problem }) => self.damaged(row, &plan, *asset, &problem).await,
            Err(Failure::Path { problem, retry }) => {
                let retry_at = if retry { retry_at(row.failures) } else { NOT_BEFORE_A_CHANGE };
                self.fail(&row, &problem, retry_at).await
            }
            Err(Failure::All(error)) => {
                self.end.fatal.get_or_insert(error);
                Ok(())
            }
            Err(Failure::Stopped) => Ok(()),
            Err(Failure::Index(error)) => Err(error.into()),
        }
    }

    async fn done(&mut self, row: FileRow, plan: Plan, asset: Option<Box<Asset>>) -> Result<(), PassError> {
        if let Some(action) = plan.action.name().filter(|_| self.context.executor.is_some()) {
            if !self.unfinished.contains(&row.id) {
                self.report.count(action);
            }
            tracing::debug!(path = %row.path, action, why = %plan.why, "done");
            if let Some(live) = &self.context.live {
                let shown = asset.as_deref();
                live.changed(
                    &self.context.scope.name,
                    Change {
                        path: row.path.key().to_owned(),
                        action: action.to_owned(),
                        at: Timestamp::now(),
                        url: shown.map(|asset| asset.url.clone()),
                        asset: plan.action.asset().map(|id| id.as_str().to_owned()),
                    },
                );
                let sent = plan.action.sends().then(|| row.print.map_or(0, |print| print.size));
                live.file_done(&self.context.scope.name, sent.unwrap_or(0));
            }
        }
        let mirror = self.context.scope.mirror;
        let name = self.context.scope.stamp_name(&row.path);
        let now = Timestamp::now().as_millisecond();
        let replaced = self.replacement(&row, &plan, asset.as_deref());
        let turns = self.turns.entry(row.id).or_default();
        *turns += 1;
        if *turns < TURNS {
            // Its row tells from now on whether there is more to do.
            self.tried.remove(&row.id);
        }
        let Plan { action, why, .. } = plan;
        let id = row.id;
        let made = self.context.executor.is_some();
        let unfinished = made && matches!(&action, Action::Create { edit, .. } if edit.unfinished);
        if unfinished {
            self.unfinished.insert(id);
        }
        self.context
            .index
            .call(move |conn| {
                record(conn, mirror, &row, &name, &action, asset.as_deref(), now)?;
                let gone = matches!(action, Action::Delete { .. });
                if gone || action.sends() || action.asset() != row.asset.as_ref() {
                    companions::distrust(conn, mirror, &row.path)?;
                }
                if unfinished {
                    files::mark_dirty(conn, id)?;
                }
                match action.name() {
                    Some(action) => told::add_history(conn, row.id, &Done { at_ms: now, action: action.into(), why }),
                    None => Ok(()),
                }
            })
            .await?;
        self.context.progress.done(1);
        if let (Some(verifier), Some(replaced)) = (&self.context.verifier, replaced) {
            verifier.follow(replaced);
        }
        Ok(())
    }

    /// A replacement whose URL is to be followed.
    fn replacement(&self, row: &FileRow, plan: &Plan, asset: Option<&Asset>) -> Option<Replacement> {
        let (Action::Replace { content, .. }, Some(asset), Some(_)) = (&plan.action, asset, &self.context.verifier)
        else {
            return None;
        };
        Some(Replacement {
            mirror: self.context.scope.name.clone(),
            path: row.path.key().to_owned(),
            url: asset.url.clone(),
            md5: *content,
            size: asset.size,
        })
    }

    /// The damaged bytes are ours: the asset counts as left like this, so that it is replaced and no editor is blamed.
    async fn damaged(&mut self, row: FileRow, plan: &Plan, asset: Asset, problem: &Problem) -> Result<(), PassError> {
        let mirror = self.context.scope.mirror;
        let (Action::Create { edit, .. } | Action::Replace { edit, .. }) = &plan.action else { return Ok(()) };
        let entry =
            MirrorStamp { md5: asset.md5.map_or_else(String::new, |md5| md5.to_string()), ..edit.entry.clone() };
        self.context
            .index
            .call(move |conn| {
                assets::upsert_own(conn, &asset)?;
                assets::set_pushed(conn, mirror, &asset.id, &entry)
            })
            .await?;
        let count = self.replans.entry(row.id).or_default();
        *count += 1;
        if *count < REPLANS {
            self.tried.remove(&row.id);
            return Ok(());
        }
        self.fail(&row, problem, retry_at(row.failures)).await
    }

    async fn fail(&mut self, row: &FileRow, problem: &Problem, retry_at: i64) -> Result<(), PassError> {
        self.failed.insert(row.id);
        self.context.progress.failed();
        self.report.failed += 1;
        self.report.problem(row.path.key(), problem);
        tracing::warn!(path = %row.path, action = problem.action, cause = problem.cause, advice = problem.advice, "not mirrored");
        let (id, problem) = (row.id, problem.clone());
        self.context.index.call(move |conn| files::failed(conn, id, &problem, retry_at)).await?;
        Ok(())
    }

    /// Whether what would be deleted passes the guard. Counts over everything before the first deletion.
    async fn guard(&mut self) -> Result<bool, PassError> {
        if self.context.policy.on_delete != OnDelete::Delete {
            return Ok(true);
        }
        let mirror = self.context.scope.mirror;
        let impatient = self.context.impatient;
        let (tally, withheld) = self
            .context
            .index
            // An impatient pass counts those itself.
            .call(move |conn| {
                Ok((files::tally(conn, mirror)?, if impatient { 0 } else { files::withheld(conn, mirror)? }))
            })
            .await?;
        let mut doomed = Vec::new();
        let mut after = String::new();
        loop {
            let page = self.page(false, &after).await?;
            let Some((last, _)) = page.last() else { break };
            after = last.path.key().to_owned();
            self.counted.extend(page.iter().map(|(row, _)| row.id));
            doomed.extend(
                page.into_iter()
                    .filter(|(row, plan)| matches!(plan.action, Action::Delete { .. }) && self.wanted(row))
                    .map(|(row, _)| row),
            );
        }
        doomed.extend(self.companions.values().filter(|row| !row.present && self.wanted(row)).cloned());
        let (now, lately) = (doomed.len() as u64, self.context.deleted_lately);
        let count = now + withheld + lately;
        let known = tally.present + count;
        let allowed = self.context.max_delete.allowed(known);
        // A folder without a single file is no folder to believe.
        let emptied = tally.present == 0 && self.context.only.is_none();
        if now == 0 || (count <= allowed && !emptied) || self.context.force {
            return Ok(true);
        }
        let nothing = if lately > 0 { "no more were" } else { "nothing was" };
        let guard = format!(
            "max_delete: {count} of {known} files are gone from the folder, and max_delete = {} lets a run delete \
             {allowed}; {nothing} deleted. If this is meant, run once with --force",
            self.context.max_delete
        );
        for row in doomed {
            if self.context.executor.is_none() {
                let why = format!("withheld by the deletion guard: {guard}");
                let planned = PlannedAction { path: row.path.key().into(), action: "report".into(), why };
                self.report.plan.get_or_insert_default().push(planned);
            }
            let problem = Problem {
                action: "delete".into(),
                cause: "the file is gone; its asset was not deleted because the deletion guard stopped the run".into(),
                advice: "put the files back, or run once with --force".into(),
            };
            self.fail(&row, &problem, NOT_BEFORE_A_CHANGE).await?;
        }
        self.end.guard = Some(guard);
        Ok(false)
    }
}

/// The assets about which nothing else may be planned meanwhile: the one that is worked on, and the one the path leaves.
fn touches<'a>(row: &'a FileRow, plan: &'a Plan) -> impl Iterator<Item = &'a UploadId> {
    plan.action.asset().into_iter().chain(&row.asset)
}

/// The action in the problem of a path that waits.
const WAIT: &str = "wait";

/// The problem of a path for which nothing is done, should it stay so.
fn held_up(plan: &Plan) -> Option<Problem> {
    match &plan.action {
        Action::Wait => Some(Problem {
            action: WAIT.into(),
            cause: plan.why.clone(),
            advice: "nothing: it is looked at again by itself".into(),
        }),
        Action::Report { cause, advice } => {
            Some(Problem { action: "report".into(), cause: cause.clone(), advice: advice.clone() })
        }
        _ => None,
    }
}

/// What trying again cannot heal waits for a change: of the file, its asset, the rules, or for `retry`.
const NOT_BEFORE_A_CHANGE: i64 = i64::MAX;

/// What observing concluded was pushed must outlast what it was concluded by: the rules, or an intent.
fn remember_concluded(
    conn: &rusqlite::Connection,
    mirror: i64,
    seen: &Observation,
    plan: &Plan,
) -> rusqlite::Result<()> {
    let (Action::Nothing, Known::There(asset), Some(entry)) = (&plan.action, &seen.known, &seen.pushed) else {
        return Ok(());
    };
    if assets::pushed(conn, mirror, &asset.id)?.as_ref() != Some(entry) {
        assets::set_pushed(conn, mirror, &asset.id, entry)?;
    }
    Ok(())
}

/// Milliseconds since 1970 when a path that failed so many times before is tried again: 10 s, doubling, an hour at most.
fn retry_at(failures: u32) -> i64 {
    let seconds = 10_i64.saturating_mul(1 << failures.min(9)).min(3600);
    (Timestamp::now() + SignedDuration::from_secs(seconds)).as_millisecond()
}

fn conflict_problem(conflict: &crate::metadata::merge::Conflict, desires: &Desires) -> Problem {
    let shown = |value: &Option<serde_json::Value>| {
        let Some(value) = value else { return "nothing".to_owned() };
        // People know a collection by its labels.
        let id = value.as_str().filter(|_| conflict.key == FieldKey::Collection);
        id.and_then(|id| desires.collection_labels(id)).map_or_else(|| value.to_string(), str::to_owned)
    };
    Problem {
        action: "report".into(),
        cause: format!(
            "{} was changed both here (to {}) and in the CMS (to {}): the CMS's value stays",
            conflict.key,
            shown(&conflict.desired),
            shown(&conflict.remote)
        ),
        advice: "agree on one value; this is said once".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::Urgent;

    #[test]
    fn the_last_saved_file_is_not_behind_a_folder_of_thousands() {
        let urgent = Urgent::default();
        urgent.push((0..1000).map(|number| number.to_string()));
        assert_eq!(urgent.take().first().map(String::as_str), Some("0"));
        urgent.push(["logo.svg".to_owned()]);
        urgent.push([]);
        assert_eq!(urgent.take(), ["logo.svg"]);
        let mut rest = Vec::new();
        while urgent.batches() > 0 {
            rest.extend(urgent.take());
        }
        assert_eq!((rest.len(), rest[0].as_str()), (992, "8"));
    }
}
