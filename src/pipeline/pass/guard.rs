//! The deletion guard.
//!
//! Owns: how many deletions a pass may make, and what is said when they are too many. Deletes nothing itself.
//! Called by: `pipeline::pass`, between the files on disk and those that are gone.

use std::sync::Arc;

use super::finish::next_try;
use super::{Pass, PassError};
use crate::config::policy::OnDelete;
use crate::index::{Problem, files};
use crate::pipeline::plan::Action;

impl Pass<'_> {
    /// Whether what would be deleted passes the guard. Counts over everything before the first deletion.
    pub(super) async fn guard(&mut self) -> Result<bool, PassError> {
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
        Arc::make_mut(&mut self.spoken).clear();
        loop {
            let page = self.page(false, &after).await?;
            let Some(last) = page.last else { break };
            after = last;
            self.counted.extend(page.seen);
            for (row, plan) in page.plans {
                self.speak_for(&plan);
                if matches!(plan.action, Action::Delete { .. }) {
                    doomed.extend(plan.rows(&row).cloned());
                }
            }
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
                self.tell(&row, "report", &format!("withheld by the deletion guard: {guard}"));
            }
            let problem = Problem {
                action: "delete".into(),
                cause: "the file is gone; its asset was not deleted because the deletion guard stopped the run".into(),
                advice: "put the files back, or run once with --force".into(),
            };
            self.fail(&row, &problem, next_try(&row, false)).await?;
        }
        self.end.guard = Some(guard);
        Ok(false)
    }
}
