//! Rows with their plans, a page at a time.
//!
//! Owns: that a plan, and what follows from it for the row alone, is one transaction. Begins no action and makes no call.
//! Called by: `pass::round`, and the guard, which counts before anything is deleted.

use jiff::Timestamp;

use super::{Pass, PassError};
use crate::index::{FileRow, assets, files, sidecars};
use crate::pipeline::observe::observe;
use crate::pipeline::plan::{Action, Known, Observation, Plan, plan};
use crate::pipeline::tracks::claim;

/// Rows with their plans, and rows that are tracks of a video.
type Planned = (Vec<(FileRow, Plan)>, Vec<FileRow>);

/// Rows planned at once.
const PAGE: u32 = 100;

impl Pass<'_> {
    /// The next dirty rows with their plans. A row with nothing to do is clean in the same transaction: what others do
    /// after it was planned makes it dirty again.
    pub(super) async fn page(&mut self, present: bool, after: &str) -> Result<Vec<(FileRow, Plan)>, PassError> {
        let (scope, policy) = (self.context.scope.clone(), self.context.policy.clone());
        let (after, failed) = (after.to_owned(), self.failed.clone());
        let now = if self.context.impatient { i64::MAX } else { Timestamp::now().as_millisecond() };
        let mut tracks = Vec::new();
        let planned = self
            .context
            .index
            .call(move |conn| {
                if sidecars::changes(conn, scope.mirror)? != scope.sidecar_changes {
                    return Ok(None);
                }
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
                            files::clean(conn, &row)?;
                        }
                        Ok((row, plan))
                    })
                    .collect::<rusqlite::Result<Vec<_>>>()?;
                Ok(Some((page, tracks)))
            })
            .await?;
        Ok(self.take_page(planned))
    }

    /// Nothing when a metadata file was saved since this pass read them: to plan by what it said before would be to take
    /// the new word for heard.
    fn take_page(&mut self, planned: Option<Planned>) -> Vec<(FileRow, Plan)> {
        let Some((page, tracks)) = planned else {
            self.end.outdated = true;
            return Vec::new();
        };
        self.await_turn(tracks);
        page
    }

    fn await_turn(&mut self, tracks: Vec<FileRow>) {
        let new = tracks.into_iter().filter(|row| !self.failed.contains(&row.id));
        self.companions.extend(new.map(|row| (row.id, row)).collect::<Vec<_>>());
    }

    /// The rows of paths that changed while the pass runs, with their plans.
    pub(super) async fn urgent_page(&mut self, paths: Vec<String>) -> Result<Vec<(FileRow, Plan)>, PassError> {
        let (scope, policy) = (self.context.scope.clone(), self.context.policy.clone());
        let failed = self.failed.clone();
        let planned = self
            .context
            .index
            .call(move |conn| {
                if sidecars::changes(conn, scope.mirror)? != scope.sidecar_changes {
                    return Ok(None);
                }
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
                        files::clean(conn, &row)?;
                    }
                    page.push((row, plan));
                }
                Ok(Some((page, tracks)))
            })
            .await?;
        let page = self.take_page(planned);
        for (row, _) in &page {
            self.tried.remove(&row.id);
        }
        Ok(page)
    }
}

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
