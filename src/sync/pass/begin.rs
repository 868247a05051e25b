//! Actions set going.
//!
//! Owns: how many are under way, what is sent for several assets at once, and that an action without a call ends at
//! once. Decides nothing: neither what is done (`plan`) nor when (`round`).

use std::sync::Arc;

use super::{Pass, PassError};
use crate::index::{FileRow, Problem};
use crate::metadata::merge::Conflict;
use crate::model::{Asset, FieldKey};
use crate::sync::desired_state::Desires;
use crate::sync::execute::Executed;
use crate::sync::execute::bulk::{self, BulkItem, send_bulk};
use crate::sync::plan::edit::BulkChange;
use crate::sync::plan::{Action, Plan};
use crate::sync::simulate::simulate;

/// Actions under way at once: enough to fill the API's allowance while jobs take seconds.
const IN_FLIGHT: usize = 400;

impl Pass<'_> {
    /// Begins one action, or finishes it at once when it takes no call.
    pub(super) async fn begin(&mut self, row: FileRow, plan: Plan) -> Result<(), PassError> {
        let ids = || plan.rows(&row).map(|row| row.id);
        Arc::make_mut(&mut self.tried).extend(ids());
        Arc::make_mut(&mut self.under_way).extend(ids());
        self.begun += 1;
        for conflict in plan.conflicts() {
            self.report.problem(row.path.key(), &conflict_problem(conflict, &self.context.scope.desires));
        }
        if self.context.executor.is_none() {
            self.foretell(&row, &plan);
        }
        if let Some(executor) = &self.context.executor
            && plan.action.calls()
            && let Err(failure) = executor.still_gone([(&row, &plan)]).await
        {
            return self.finish(Executed { result: Err(failure), ..at_once(row, plan, None) }).await;
        }
        match &plan.action {
            action if !action.calls() => self.finish(at_once(row, plan, None)).await,
            Action::Retag { edit, .. } if self.context.executor.is_some() => match edit.in_bulk() {
                Some(change) => {
                    self.busy.begin(&row, &plan);
                    let group = self.bulk.entry(change.clone()).or_default();
                    group.push(BulkItem { row, plan });
                    if group.len() >= bulk::AT_ONCE {
                        self.flush_group(&change);
                    }
                    Ok(())
                }
                None => self.launch(row, plan).await,
            },
            Action::Delete { .. } if self.context.executor.is_some() => {
                self.busy.begin(&row, &plan);
                self.deletions.push(BulkItem { row, plan });
                if self.deletions.len() >= bulk::AT_ONCE {
                    self.flush_deletions();
                }
                Ok(())
            }
            _ => self.launch(row, plan).await,
        }
    }

    async fn launch(&mut self, row: FileRow, plan: Plan) -> Result<(), PassError> {
        let Some(executor) = self.context.executor.clone() else {
            let asset = simulate(&row, &plan.action).map(Box::new);
            return self.finish(at_once(row, plan, asset)).await;
        };
        self.busy.begin(&row, &plan);
        let cancel = self.context.stop.clone();
        // Waited for here and not in the task, so that what becomes urgent meanwhile is at most a few files away.
        let permit = match plan.action.sends() {
            true => executor.senders.clone().acquire_owned().await.ok(),
            false => None,
        };
        self.flight.spawn(async move { vec![executor.execute(row, plan, permit, &cancel).await] });
        while self.flight.len() >= IN_FLIGHT {
            let Some(finished) = self.flight.join_next().await else { break };
            self.take(finished).await?;
        }
        while let Some(finished) = self.flight.try_join_next() {
            self.take(finished).await?;
        }
        Ok(())
    }

    pub(super) fn flush_bulk(&mut self) {
        let changes: Vec<BulkChange> = self.bulk.keys().cloned().collect();
        for change in changes {
            self.flush_group(&change);
        }
        self.flush_deletions();
    }

    fn flush_deletions(&mut self) {
        let group = std::mem::take(&mut self.deletions);
        let (false, Some(executor)) = (group.is_empty(), self.context.executor.clone()) else { return };
        let cancel = self.context.stop.clone();
        self.flight.spawn(async move { executor.delete_all(group, &cancel).await });
    }

    fn flush_group(&mut self, change: &BulkChange) {
        let (Some(group), Some(executor)) = (self.bulk.remove(change), self.context.executor.clone()) else { return };
        let (change, cancel, mirror) = (change.clone(), self.context.stop.clone(), self.context.scope.mirror);
        self.flight.spawn(async move { send_bulk(&executor, mirror, &change, group, &cancel).await });
    }
}

fn at_once(row: FileRow, plan: Plan, asset: Option<Box<Asset>>) -> Executed {
    Executed { row, plan, conflicts: Vec::new(), result: Ok(asset) }
}

pub(super) fn conflict_problem(conflict: &Conflict, desires: &Desires) -> Problem {
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
