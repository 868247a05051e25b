//! Actions set going.
//!
//! This module owns what happens when an action starts: what is told of it, one more look at the disk where it rests on an
//! absence, and its task. It never decides what is done (that is `plan`) nor when (that is `scheduler`).

use super::scheduler::{Planned, Start};
use super::{Pass, PassError};
use crate::index::Problem;
use crate::metadata::merge::Conflict;
use crate::model::{ActionKind, Asset, FieldKey};
use crate::sync::desired_state::Desires;
use crate::sync::execute::bulk::{BulkItem, send_bulk};
use crate::sync::execute::{Executed, Executor, Failure};
use crate::sync::simulate::simulate;

impl Pass<'_> {
    /// Starts what the scheduler gave out. What takes no call ends at once.
    pub(super) async fn start(&mut self, start: Start) -> Result<(), PassError> {
        match (start, self.context.executor.clone()) {
            (Start::One(planned), None) => self.imagine(*planned).await?,
            (Start::One(planned), Some(executor)) => self.start_one(*planned, executor).await?,
            (Start::Same(change, group), Some(executor)) => {
                let (cancel, mirror) = (self.context.stop.clone(), self.context.scope.mirror);
                let group = self.begin_all(group, &executor).await?;
                self.flight.spawn(async move { send_bulk(&executor, mirror, &change, group, &cancel).await });
            }
            (Start::Deletions(group), Some(executor)) => {
                let cancel = self.context.stop.clone();
                let group = self.begin_all(group, &executor).await?;
                self.flight.spawn(async move { executor.delete_all(group, &cancel).await });
            }
            // A dry run gathers nothing.
            (Start::Same(..) | Start::Deletions(_), None) => self.scheduler.slot_is_free(),
        }
        while let Some(finished) = self.flight.try_join_next() {
            self.take(finished).await?;
        }
        Ok(())
    }

    /// A dry run: tells what would be done, and what it would leave behind is written to the copy of the index.
    async fn imagine(&mut self, planned: Planned) -> Result<(), PassError> {
        self.tell_conflicts(&planned);
        let Planned { row, plan } = planned;
        self.foretell(&row, &plan);
        let asset = simulate(&row, &plan.action).map(Box::new);
        self.end_at_once(Planned { row, plan }, Ok(asset)).await?;
        self.scheduler.slot_is_free();
        Ok(())
    }

    async fn start_one(&mut self, planned: Planned, executor: Executor) -> Result<(), PassError> {
        self.tell_conflicts(&planned);
        if !planned.plan.action.calls() {
            self.end_at_once(planned, Ok(None)).await?;
            self.scheduler.slot_is_free();
            return Ok(());
        }
        if let Err(failure) = executor.still_gone([(&planned.row, &planned.plan)]).await {
            self.end_at_once(planned, Err(failure)).await?;
            self.scheduler.slot_is_free();
            return Ok(());
        }
        let cancel = self.context.stop.clone();
        // Waited for here and not in the task, so that what becomes urgent meanwhile is at most a few files away.
        let permit = match planned.plan.action.sends() {
            true => executor.senders.clone().acquire_owned().await.ok(),
            false => None,
        };
        let Planned { row, plan } = planned;
        self.flight.spawn(async move { vec![executor.execute(row, plan, permit, &cancel).await] });
        Ok(())
    }

    /// Those of the group that may go on: what rests on the absence of a file that is there again has ended.
    async fn begin_all(&mut self, group: Vec<Planned>, executor: &Executor) -> Result<Vec<BulkItem>, PassError> {
        group.iter().for_each(|planned| self.tell_conflicts(planned));
        let are_gone = executor.still_gone(group.iter().map(|planned| (&planned.row, &planned.plan))).await.is_ok();
        let mut due = Vec::new();
        for planned in group {
            match executor.still_gone((!are_gone).then_some((&planned.row, &planned.plan))).await {
                Ok(()) => due.push(BulkItem { row: planned.row, plan: planned.plan }),
                Err(failure) => self.end_at_once(planned, Err(failure)).await?,
            }
        }
        Ok(due)
    }

    async fn end_at_once(
        &mut self,
        Planned { row, plan }: Planned,
        result: Result<Option<Box<Asset>>, Failure>,
    ) -> Result<(), PassError> {
        self.finish(Executed { row, plan, conflicts: Vec::new(), result }).await
    }

    fn tell_conflicts(&mut self, Planned { row, plan }: &Planned) {
        for conflict in plan.conflicts() {
            self.report.problem(row.path.key(), &conflict_problem(conflict, &self.context.scope.desires));
        }
    }
}

pub(super) fn conflict_problem(conflict: &Conflict, desires: &Desires) -> Problem {
    let shown = |value: &Option<serde_json::Value>| {
        let Some(value) = value else { return "nothing".to_owned() };
        // People know a collection by its labels.
        let id = value.as_str().filter(|_| conflict.key == FieldKey::Collection);
        id.and_then(|id| desires.collection_labels(id)).map_or_else(|| value.to_string(), str::to_owned)
    };
    Problem {
        action: ActionKind::Report,
        cause: format!(
            "{} was changed both here (to {}) and in the CMS (to {}): the CMS's value stays",
            conflict.key,
            shown(&conflict.desired),
            shown(&conflict.remote)
        ),
        advice: "agree on one value; this is said once".into(),
        ..Problem::default()
    }
}
