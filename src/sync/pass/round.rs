//! One round over the rows: which of the planned actions may begin now.
//!
//! Owns: that no two actions touch one path or one asset at a time, and that what a person waits for goes first.
//! Carries nothing out: that is `begin`. That nothing is overwritten by what is out of date is the executor's, at the
//! last moment.

use std::collections::HashSet;
use std::sync::Arc;

use super::busy::Busy;
use super::{Pass, PassError};
use crate::index::Problem;
use crate::model::ActionKind;
use crate::sync::plan::{Action, Plan};

impl Pass<'_> {
    pub(super) async fn round(&mut self, present: bool) -> Result<(), PassError> {
        let mut after = String::new();
        Arc::make_mut(&mut self.spoken).clear();
        while self.goes_on() {
            let urgent = if present { self.context.urgent.take() } else { Vec::new() };
            let hurried = !urgent.is_empty();
            let before = after.clone();
            let page = if urgent.is_empty() {
                let page = self.page(present, &after).await?;
                let Some(last) = page.last else { break };
                after = last;
                page.plans
            } else {
                // Changed since this pass looked at them.
                self.urgent_page(urgent).await?.plans
            };
            self.tick();
            // These were planned while their asset was worked on. That may be over when their turn comes, and done then what
            // they were planned for: a file that was saved again while it was sent would be created twice.
            let late: HashSet<i64> =
                page.iter().filter(|(row, plan)| !self.busy.admits(row, plan)).map(|(row, _)| row.id).collect();
            let mut begun = Busy::default();
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
                // Whatever becomes of the plan: in this round nobody else speaks for them.
                self.speak_for(&plan);
                if matches!(plan.action, Action::Delete { .. }) && !self.counted.contains(&row.id) {
                    continue;
                }
                // The plan may rest on an asset that changed since this page was planned.
                if late.contains(&row.id) || !self.busy.admits(&row, &plan) || !begun.admits(&row, &plan) {
                    continue;
                }
                if let Some(problem) = held_up(&plan) {
                    for row in plan.rows(&row) {
                        self.waiting.insert(row.path.key().to_owned(), (row.clone(), problem.clone()));
                    }
                    continue;
                }
                // What it takes is not given back in this page: the other plans of the page know nothing of what it does.
                begun.begin(&row, &plan);
                self.begin(row, plan).await?;
            }
        }
        Ok(())
    }

    /// Nobody else plans the plan's members in this round.
    pub(super) fn speak_for(&mut self, plan: &Plan) {
        if !plan.members.is_empty() {
            Arc::make_mut(&mut self.spoken).extend(plan.members.iter().map(|member| member.row.id));
        }
    }
}

/// The problem of a path for which nothing is done, should it stay so.
fn held_up(plan: &Plan) -> Option<Problem> {
    match &plan.action {
        Action::Wait => Some(Problem {
            action: ActionKind::Wait,
            cause: plan.why.clone(),
            advice: "nothing: it is looked at again by itself".into(),
            ..Problem::default()
        }),
        Action::Report { cause, advice } => Some(Problem::new(ActionKind::Report, cause.clone(), advice.clone())),
        _ => None,
    }
}
