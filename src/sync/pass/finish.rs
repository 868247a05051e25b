//! What became of an action.
//!
//! This module owns what an outcome means for the row in the index and for the report. What it means for the rest of the pass
//! the scheduler says. It makes no call.

use jiff::Timestamp;
use tokio::task::JoinError;

use super::begin::conflict_problem;
use super::scheduler::{FIRST_RETRY_MS, Outcome, Verdict};
use super::{Pass, PassError, now_ms};
use crate::features::cdn_check::{Bytes, Replacement};
use crate::index::files::RetryAt;
use crate::index::history;
use crate::index::history::Done;
use crate::index::{FileRow, Problem, absence, assets, companions, files};
use crate::model::{ActionKind, Advice, Asset, GoesOn, MirrorStamp, UploadId};
use crate::runtime_state::Change;
use crate::sync::execute::{Executed, Failure, changed_since};
use crate::sync::plan::{Action, Plan};
use crate::sync::record::record;

impl Pass<'_> {
    /// Takes what a task brought back.
    pub(super) async fn take(&mut self, joined: Result<Vec<Executed>, JoinError>) -> Result<(), PassError> {
        match joined {
            Ok(all) => {
                for finished in all {
                    self.finish(finished).await?;
                }
            }
            Err(error) => tracing::error!(%error, "an action ended abnormally; its path is looked at in the next pass"),
        }
        self.scheduler.slot_is_free();
        Ok(())
    }

    pub(super) async fn finish(&mut self, executed: Executed) -> Result<(), PassError> {
        let Executed { row, plan, conflicts, result } = executed;
        self.tick();
        for conflict in &conflicts {
            self.report.problem(row.path.key(), &conflict_problem(conflict, &self.context.scope.desires));
        }
        let outcome = match result {
            Ok(asset) => return self.done(row, plan, asset).await,
            Err(Failure::Index(error)) => return Err(error.into()),
            Err(Failure::Damaged { asset, problem }) => {
                self.record_damage(&row, &plan, *asset).await?;
                return self.not_done(&row, &plan, Outcome::Outdated, problem).await;
            }
            Err(Failure::Replan) => {
                let problem = Problem {
                    action: plan.action.name().unwrap_or_default(),
                    cause: "the media area changed each time this file was to be mirrored".into(),
                    advice: Advice::again_then("see whether another program works on the same assets"),
                    ..Problem::default()
                };
                return self.not_done(&row, &plan, Outcome::Outdated, problem).await;
            }
            Err(Failure::Path { problem, retry }) => {
                return self.not_done(&row, &plan, Outcome::Refused { heals: retry }, problem).await;
            }
            Err(Failure::Changed) => {
                self.end.changed.insert(row.path.key().to_owned());
                Outcome::Changed
            }
            Err(Failure::Back(paths)) => {
                self.end.changed.extend(paths.iter().map(|path| path.key().to_owned()));
                Outcome::Back
            }
            Err(Failure::Collection) => {
                self.end.uncollected.extend(plan.rows(&row).map(|row| row.path.key().to_owned()));
                Outcome::BrokenOff
            }
            Err(Failure::All(error)) => {
                self.end.fatal.get_or_insert(error);
                Outcome::BrokenOff
            }
            Err(Failure::Guard(guard)) => {
                self.end.guard.get_or_insert(guard);
                Outcome::BrokenOff
            }
            Err(Failure::Stopped) => Outcome::BrokenOff,
        };
        self.scheduler.finished(&row, &plan, outcome, now_ms());
        Ok(())
    }

    /// The action was not done. Unless the rows are planned again, the problem is said of those that failed.
    async fn not_done(
        &mut self,
        row: &FileRow,
        plan: &Plan,
        outcome: Outcome,
        problem: Problem,
    ) -> Result<(), PassError> {
        match self.scheduler.finished(row, plan, outcome, now_ms()) {
            Verdict::Over | Verdict::Again => Ok(()),
            Verdict::FailsAlone(retry) => self.fail(row, &problem, retry).await,
            Verdict::FailsTogether(retry) => {
                let failures = plan.rows(row).map(|row| (row.clone(), problem.clone(), retry)).collect();
                self.fail_all(failures).await
            }
        }
    }

    async fn done(&mut self, row: FileRow, plan: Plan, asset: Option<Box<Asset>>) -> Result<(), PassError> {
        if self.context.executor.is_some() {
            self.count(&row, &plan, asset.as_deref());
        }
        let scope = self.context.scope.clone();
        let now = now_ms();
        let replaced = self.replacement(&row, &plan, asset.as_deref());
        if plan.others_stay {
            let target = plan.action.asset();
            let left =
                |row: &FileRow| Some((row.asset.clone().filter(|asset| Some(asset) != target)?, row.path.clone()));
            self.notes.departures.extend(plan.rows(&row).filter_map(left));
        }
        self.scheduler.finished(&row, &plan, Outcome::Done, now);
        if plan.action.sends() {
            self.notes.sent.extend(asset.iter().map(|asset| asset.id.clone()));
        }
        self.note_gone(&row, &plan);
        let done = 1 + plan.members.len() as u64;
        // What somebody let pass is no reason to hold back what comes after.
        let counts = !self.context.force;
        let made = self.context.executor.is_some();
        let since = asset.as_deref().filter(|_| made).map(|asset| changed_since(&plan.action, asset));
        let since = since.unwrap_or_default();
        if !since.is_empty() {
            let changed = since.join(", ");
            tracing::warn!(path = %row.path, changed, "its asset was changed in the CMS while it was written: it is looked at again");
        }
        let unfinished = made && matches!(&plan.action, Action::Create { edit, .. } if edit.unfinished);
        if unfinished {
            self.scheduler.leave_unfinished(row.id);
        }
        self.context
            .index
            .call(move |conn| {
                let mirror = scope.mirror;
                record(conn, mirror, &row, |path| scope.stamp_name(path), &plan, asset.as_deref(), now)?;
                let action = &plan.action;
                let is_gone = matches!(action, Action::Delete { .. });
                if is_gone && counts {
                    absence::deleted(conn, mirror, now)?;
                }
                let has_new_file = is_gone || action.sends();
                for row in plan.rows(&row).filter(|row| has_new_file || action.asset() != row.asset.as_ref()) {
                    companions::distrust(conn, mirror, &row.path)?;
                }
                if unfinished {
                    files::mark_dirty(conn, row.id)?;
                }
                if !since.is_empty() {
                    // Each path that has it: where its file was replaced, each is to say so.
                    plan.rows(&row).try_for_each(|row| files::mark_dirty(conn, row.id))?;
                }
                if asset.as_deref().is_some_and(Asset::is_infected) && !is_gone {
                    // Done, and nothing is served for it: each path is to say so.
                    plan.rows(&row).filter(|row| row.present).try_for_each(|row| files::mark_dirty(conn, row.id))?;
                }
                let asked = action.name().map(|action| (&row, action, &plan.why));
                let joined = plan.members.iter().filter_map(|one| Some((&one.row, one.part.name()?, &one.why)));
                for (row, action, why) in asked.into_iter().chain(joined) {
                    let done = Done { at_ms: now, action, why: why.clone() };
                    history::add_history(conn, row.id, &done)?;
                }
                Ok(())
            })
            .await?;
        self.context.progress.done(done);
        if let (Some(verifier), Some(replaced)) = (&self.context.verifier, replaced) {
            verifier.follow(replaced);
        }
        Ok(())
    }

    /// Counts and shows what was done, for each path as what it is.
    fn count(&mut self, row: &FileRow, plan: &Plan, asset: Option<&Asset>) {
        let Some(action) = plan.action.name() else { return };
        if !self.scheduler.rows().of(row.id).is_unfinished() {
            self.report.count(action, self.is_first(row));
        }
        tracing::debug!(path = %row.path, %action, why = %plan.why, "done");
        self.show(row, action, asset, plan.action.asset());
        let Some(live) = &self.context.live else {
            for (member, name) in plan.members.iter().filter_map(|one| Some((&one.row, one.part.name()?))) {
                self.report.count(name, self.is_first(member));
            }
            return;
        };
        let sent = plan.action.sends().then(|| row.print.map_or(0, |print| print.size));
        live.file_done(&self.context.scope.name, sent.unwrap_or(0));
        for member in &plan.members {
            let Some(action) = member.part.name() else { continue };
            self.report.count(action, self.is_first(&member.row));
            self.show(&member.row, action, asset, plan.action.asset());
            live.file_done(&self.context.scope.name, 0);
        }
    }

    /// Whether an action on the row is the first of the pass, on a file that is there.
    fn is_first(&self, row: &FileRow) -> bool {
        row.present && self.scheduler.rows().of(row.id).turns() == 0
    }

    /// Shows what was changed in the media area, and under which URL it is seen.
    pub(super) fn show(&self, row: &FileRow, action: ActionKind, seen: Option<&Asset>, asset: Option<&UploadId>) {
        let Some(live) = &self.context.live else { return };
        let change = Change {
            path: row.path.key().to_owned(),
            action: action.to_string(),
            at: Timestamp::now(),
            url: seen.map(|asset| asset.url.clone()),
            asset: asset.map(|id| id.as_str().to_owned()),
        };
        live.changed(&self.context.scope.name, change);
    }

    /// A replacement whose URL is to be followed.
    fn replacement(&self, row: &FileRow, plan: &Plan, asset: Option<&Asset>) -> Option<Replacement> {
        let (Action::Replace { content, asset: before, .. }, Some(asset), Some(_)) =
            (&plan.action, asset.filter(|asset| !asset.is_infected()), &self.context.verifier)
        else {
            return None;
        };
        // Of a new URL nothing older is served.
        let before = (before.url == asset.url).then_some(before);
        Some(Replacement {
            mirror: self.context.scope.name.clone(),
            path: row.path.key().to_owned(),
            url: asset.url.clone(),
            md5: *content,
            size: asset.size,
            old: before.and_then(|before| Some(Bytes { md5: before.md5?, size: before.size })),
            is_video: asset.mime_type.as_deref().is_some_and(|mime| mime.starts_with("video/")),
        })
    }

    /// The damaged bytes are ours: the asset counts as left like this, so that it is replaced and no editor is blamed.
    async fn record_damage(&mut self, row: &FileRow, plan: &Plan, asset: Asset) -> Result<(), PassError> {
        let mirror = self.context.scope.mirror;
        let (Action::Create { edit, .. } | Action::Replace { edit, .. }) = &plan.action else { return Ok(()) };
        let entry =
            MirrorStamp { md5: asset.md5.map_or_else(String::new, |md5| md5.to_string()), ..edit.entry.clone() };
        let (actor, before) = (row.id, plan.action.before().cloned());
        self.context
            .index
            .call(move |conn| {
                assets::upsert_own(conn, &asset, before.as_ref(), actor)?;
                assets::set_pushed(conn, mirror, &asset.id, &entry)
            })
            .await
            .map_err(PassError::from)
    }

    pub(super) async fn fail(&mut self, row: &FileRow, problem: &Problem, retry: RetryAt) -> Result<(), PassError> {
        self.fail_all(vec![(row.clone(), problem.clone(), retry)]).await
    }

    /// These rows could not be mirrored: each with why, and when it is tried again.
    pub(super) async fn fail_all(&mut self, failures: Vec<(FileRow, Problem, RetryAt)>) -> Result<(), PassError> {
        for (row, Problem { action, cause, advice, .. }, retry) in &failures {
            let advice = retry.told(advice, if self.context.live.is_some() { GoesOn::Daemon } else { GoesOn::NextRun });
            tracing::warn!(path = %row.path, action = action.as_str(), cause, advice, "not mirrored");
        }
        self.fail_untold(failures).await
    }

    /// As [`Pass::fail_all`], where the log has been told, or will be, in one line for all.
    pub(super) async fn fail_untold(&mut self, failures: Vec<(FileRow, Problem, RetryAt)>) -> Result<(), PassError> {
        for (row, problem, retry) in &failures {
            self.context.progress.failed();
            self.report.fail(row.path.key(), problem, *retry);
            self.report.apart.failures += u64::from(!row.present);
        }
        if failures.is_empty() {
            return Ok(());
        }
        let soon = now_ms() + FIRST_RETRY_MS;
        let write = move |conn: &rusqlite::Connection| {
            failures.iter().try_for_each(|(row, problem, retry)| files::failed(conn, row, problem, *retry, soon))
        };
        self.context.index.call(write).await.map_err(PassError::from)
    }
}
