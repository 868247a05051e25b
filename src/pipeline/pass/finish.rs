//! What became of an action.
//!
//! Owns: what its outcome means for the row, the report and the rest of the pass, and when a failure is tried again.
//! Makes no call. Called by: `pipeline::pass` and its parts, for whatever ends.

use jiff::{SignedDuration, Timestamp};
use tokio::task::JoinError;

use super::begin::conflict_problem;
use super::{Pass, PassError, touches};
use crate::index::told::{self, Done};
use crate::index::{FileRow, Problem, absence, assets, companions, files};
use crate::live::Change;
use crate::model::{Asset, MirrorStamp, UploadId};
use crate::pipeline::execute::{Executed, Failure, changed_since};
use crate::pipeline::plan::{Action, Plan};
use crate::pipeline::record::record;
use crate::pipeline::verify::Replacement;

/// What failed is tried again after this, when trying again can help or when there is news of it.
const FIRST_RETRY: SignedDuration = SignedDuration::from_secs(10);
/// A path is planned anew this often in a pass, when the remote turns out to be another than thought.
const REPLANS: u32 = 5;
/// A path is acted on this often in a pass, when what others did gives it more to do.
const TURNS: u32 = 6;
/// What trying again cannot heal waits for a change: of the file, its asset, the rules, or for `retry`.
const NOT_BEFORE_A_CHANGE: i64 = i64::MAX;

impl Pass<'_> {
    pub(super) async fn take(&mut self, joined: Result<Vec<Executed>, JoinError>) -> Result<(), PassError> {
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

    pub(super) async fn finish(&mut self, executed: Executed) -> Result<(), PassError> {
        let Executed { row, plan, conflicts, result } = executed;
        self.tick();
        for conflict in &conflicts {
            self.report.problem(row.path.key(), &conflict_problem(conflict, &self.context.scope.desires));
        }
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
                if self.replan(row.id) {
                    return Ok(());
                }
                let problem = Problem {
                    action: plan.action.name().unwrap_or_default().into(),
                    cause: "the media area changed each time this file was to be mirrored".into(),
                    advice: "it is tried again; see whether another program works on the same assets".into(),
                };
                self.fail(&row, &problem, next_try(&row, true)).await
            }
            Err(Failure::Damaged { asset, problem }) => self.damaged(row, &plan, *asset, &problem).await,
            Err(Failure::Path { problem, retry }) => self.fail(&row, &problem, next_try(&row, retry)).await,
            Err(Failure::All(error)) => {
                self.end.fatal.get_or_insert(error);
                Ok(())
            }
            Err(Failure::Guard(guard)) => {
                self.end.guard.get_or_insert(guard);
                Ok(())
            }
            Err(Failure::Stopped) => Ok(()),
            Err(Failure::Index(error)) => Err(error.into()),
        }
    }

    async fn done(&mut self, row: FileRow, plan: Plan, asset: Option<Box<Asset>>) -> Result<(), PassError> {
        if let Some(action) = plan.action.name().filter(|_| self.context.executor.is_some()) {
            if !self.unfinished.contains(&row.id) {
                self.report.counts.count(action);
            }
            tracing::debug!(path = %row.path, action, why = %plan.why, "done");
            self.show(&row, action, asset.as_deref(), plan.action.asset());
            if let Some(live) = &self.context.live {
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
        if action.sends() {
            self.sent.extend(asset.iter().map(|asset| asset.id.clone()));
        }
        let id = row.id;
        // What somebody let pass is no reason to hold back what comes after.
        let counts = !self.context.force;
        let made = self.context.executor.is_some();
        let by_field = self.context.scope.site.by_field;
        let since = asset.as_deref().filter(|_| made).map(|asset| changed_since(&action, asset, by_field));
        let since = since.unwrap_or_default();
        if !since.is_empty() {
            let changed = since.join(", ");
            tracing::warn!(path = %row.path, changed, "its asset was changed in the CMS while it was written: it is looked at again");
        }
        let unfinished = made && matches!(&action, Action::Create { edit, .. } if edit.unfinished);
        if unfinished {
            self.unfinished.insert(id);
        }
        self.context
            .index
            .call(move |conn| {
                record(conn, mirror, &row, &name, &action, asset.as_deref(), now)?;
                let gone = matches!(action, Action::Delete { .. });
                if gone && counts {
                    absence::deleted(conn, mirror, now)?;
                }
                if gone || action.sends() || action.asset() != row.asset.as_ref() {
                    companions::distrust(conn, mirror, &row.path)?;
                }
                if unfinished || !since.is_empty() {
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

    /// Shows what was changed in the media area, and under which URL it is seen.
    pub(super) fn show(&self, row: &FileRow, action: &str, seen: Option<&Asset>, asset: Option<&UploadId>) {
        let Some(live) = &self.context.live else { return };
        let change = Change {
            path: row.path.key().to_owned(),
            action: action.to_owned(),
            at: Timestamp::now(),
            url: seen.map(|asset| asset.url.clone()),
            asset: asset.map(|id| id.as_str().to_owned()),
        };
        live.changed(&self.context.scope.name, change);
    }

    /// Whether the path is planned anew in this pass.
    fn replan(&mut self, row: i64) -> bool {
        let count = self.replans.entry(row).or_default();
        *count += 1;
        let again = *count < REPLANS;
        if again {
            self.tried.remove(&row);
        }
        again
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
        let (actor, before) = (row.id, plan.action.before().cloned());
        self.context
            .index
            .call(move |conn| {
                assets::upsert_own(conn, &asset, before.as_ref(), actor)?;
                assets::set_pushed(conn, mirror, &asset.id, &entry)
            })
            .await?;
        if self.replan(row.id) {
            return Ok(());
        }
        self.fail(&row, problem, next_try(&row, true)).await
    }

    pub(super) async fn fail(&mut self, row: &FileRow, problem: &Problem, retry_at: i64) -> Result<(), PassError> {
        self.failed.insert(row.id);
        self.context.progress.failed();
        self.report.fail(row.path.key(), problem);
        tracing::warn!(path = %row.path, action = problem.action, cause = problem.cause, advice = problem.advice, "not mirrored");
        let (row, problem, soon) = (row.clone(), problem.clone(), in_ms(FIRST_RETRY));
        self.context.index.call(move |conn| files::failed(conn, &row, &problem, retry_at, soon)).await?;
        Ok(())
    }
}

/// When a path that failed has its next turn, as milliseconds since 1970.
pub(super) fn next_try(row: &FileRow, heals: bool) -> i64 {
    if heals { retry_at(row.failures) } else { NOT_BEFORE_A_CHANGE }
}

/// Milliseconds since 1970 when a path that failed so many times before is tried again: 10 s, doubling, an hour at most.
fn retry_at(failures: u32) -> i64 {
    in_ms((FIRST_RETRY * (1 << failures.min(9))).min(SignedDuration::from_hours(1)))
}

fn in_ms(span: SignedDuration) -> i64 {
    (Timestamp::now() + span).as_millisecond()
}
