//! The deletion guard.
//!
//! This module owns how many deletions a pass may make, and what is said when they are too many. It deletes nothing itself; when
//! it is asked, the scheduler says.

use std::collections::BTreeSet;

use super::scheduler::{Planned, Rows, next_try};
use super::{Pass, PassError, now_ms};
use crate::config::policy::OnDelete;
use crate::index::{Problem, absence, files};
use crate::model::ActionKind;
use crate::report::change::WITHHELD_IN_A_PLAN;
use crate::sync::absence::holds_a_file;
use crate::sync::plan::Action;
use crate::sync::video_lookup::VideoLookup;

/// More vanished names than this count one by one, also where they share an asset.
const MANY_NAMES: u64 = 25;

impl Pass<'_> {
    /// Whether what would be deleted passes the guard. Counts over everything before the first deletion.
    pub(super) async fn guard(&mut self) -> Result<bool, PassError> {
        if self.context.policy.on_delete != OnDelete::Delete {
            return Ok(true);
        }
        let mirror = self.context.scope.mirror;
        let impatient = self.context.impatient;
        let now = now_ms();
        let all = self.context.scope.authoritative;
        let (tally, withheld, lately, placed) = self
            .context
            .index
            .call(move |conn| {
                // An impatient pass counts those itself.
                let withheld = if impatient { 0 } else { files::withheld(conn, mirror)? };
                let placed = if all { absence::placed(conn, mirror)? } else { 0 };
                Ok((files::tally(conn, mirror)?, withheld, absence::deleted_lately(conn, mirror, now)?, placed))
            })
            .await?;
        let (mut doomed, mut assets) = (Vec::new(), BTreeSet::new());
        let mut path = String::new();
        self.scheduler.begin_count();
        let due = self.scheduler.due(now);
        while let Some(mut page) = self.read(Rows::After { present: false, path }, due).await? {
            let Some(last) = page.last.take() else { break };
            path = last;
            for Planned { row, plan } in self.scheduler.count(page) {
                if let Action::Delete { asset } = &plan.action {
                    // Two names of one asset are one deletion.
                    assets.insert(asset.id.clone());
                    doomed.extend(plan.rows(&row).cloned());
                }
            }
        }
        let shared = doomed.len() - assets.len();
        doomed.extend(self.scheduler.tracks().values().filter(|row| !row.present && self.wanted(row)).cloned());
        let names = doomed.len() as u64;
        // A folder that lost so many names at once is not believed, even if they were names of few assets.
        let are_many = names > MANY_NAMES && names > self.context.max_delete.allowed(tally.present + names);
        let now = if are_many { names } else { names - shared as u64 };
        let count = now + withheld + lately;
        // Of a folder that is the truth, everything that stamps name was there.
        let known = (tally.present + count).max(placed);
        let allowed = self.context.max_delete.allowed(known);
        // A folder without a single file is no folder to believe.
        let emptied = tally.present == 0 && (self.context.only.is_none() || !self.holds_a_file().await);
        if now == 0 || (count <= allowed && !emptied) || self.context.force {
            return Ok(true);
        }
        let nothing = if lately > 0 { "no more were" } else { "nothing was" };
        let guard = format!(
            "max_delete: {count} of {known} files are gone from the folder, and max_delete = {} lets no more than \
             {allowed} go within ten minutes; {nothing} deleted. If this is meant, run once with --force (beside a daemon: `retry --force`)",
            self.context.max_delete
        );
        let mut failures = Vec::new();
        for row in doomed {
            if self.context.executor.is_none() {
                self.tell(&row, ActionKind::Report, WITHHELD_IN_A_PLAN);
            }
            let problem = Problem::withheld();
            self.scheduler.fail(row.id);
            let retry = next_try(&row, false, now_ms());
            failures.push((row, problem, retry));
        }
        // Who reads the guard's own word knows about all of them.
        self.fail_untold(failures).await?;
        self.end.guard = Some(guard);
        Ok(false)
    }

    /// A pass over some paths may know of no file that is there.
    async fn holds_a_file(&self) -> bool {
        let Some(VideoLookup { root, selection }) = self.context.scope.sight.clone() else { return false };
        tokio::task::spawn_blocking(move || holds_a_file(&root, &selection)).await.unwrap_or(false)
    }
}
