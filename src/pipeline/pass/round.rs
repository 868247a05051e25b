//! One round over the rows: which of the planned actions may begin now.
//!
//! Owns: that no two actions touch one path or one asset at a time, and that what a person waits for goes first. Carries
//! nothing out: that is `begin`. That nothing is overwritten by what is out of date is the executor's, at the last moment.
//! Called by: `pipeline::pass`, until a round has nothing left to do.

use std::collections::HashSet;

use super::{Pass, PassError, WAIT, touches};
use crate::index::{FileRow, Problem};
use crate::model::UploadId;
use crate::pipeline::plan::{Action, Plan};

impl Pass<'_> {
    pub(super) async fn round(&mut self, present: bool) -> Result<(), PassError> {
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
            // These were planned while their asset was worked on. That may be over when their turn comes, and done then what
            // they were planned for: a file that was saved again while it was sent would be created twice.
            let late: HashSet<i64> =
                page.iter().filter(|(row, plan)| self.is_busy(row, plan)).map(|(row, _)| row.id).collect();
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
                if late.contains(&row.id)
                    || self.is_busy(&row, &plan)
                    || touches(&row, &plan).any(|id| touched.contains(id))
                {
                    continue;
                }
                if let Some(problem) = held_up(&plan) {
                    self.waiting.insert(row.path.key().to_owned(), (row, problem));
                    continue;
                }
                touched.extend(touches(&row, &plan).cloned());
                self.begin(row, plan).await?;
            }
        }
        Ok(())
    }

    fn is_busy(&self, row: &FileRow, plan: &Plan) -> bool {
        touches(row, plan).any(|id| self.busy.contains(id))
    }
}

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
