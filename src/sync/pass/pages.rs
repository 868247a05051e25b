//! Rows with their plans, a page at a time.
//!
//! Owns: that a plan, and what follows from it for its rows alone, is one transaction; that all rows that share an
//! asset have one plan, however many they are. Begins no action and makes no call.

use std::sync::Arc;

use jiff::Timestamp;

use super::{Pass, PassError};
use crate::index::files::DueBy;
use crate::index::{FileRow, assets, contact, files, sidecars};
use crate::sync::metadata_warnings;
use crate::sync::observe::{Company, Looks};
use crate::sync::plan::{Action, Known, Observation, Plan, Policy, plan};
use crate::sync::scope::Scope;
use crate::sync::track_file::track_file;

/// Rows planned at once.
const PAGE: u32 = 100;

/// Rows of a page that ask for something, each with its plan.
#[derive(Default)]
pub(super) struct Page {
    /// Rows with their plans. No row is in two of them.
    pub plans: Vec<(FileRow, Plan)>,
    /// The last path that was looked at; `None` when there are no more.
    pub last: Option<String>,
    /// All rows that were looked at, also those with nothing to do.
    pub seen: Vec<i64>,
    /// Rows that are tracks of a video.
    tracks: Vec<FileRow>,
    /// Rows that are not in this pass.
    unwanted: Vec<i64>,
    /// Rows on disk that are in step.
    concluded: Vec<i64>,
}

impl Pass<'_> {
    /// The next dirty rows with their plans. A row with nothing to do is clean in the same transaction: what others do
    /// after it was planned makes it dirty again. A row for which another's plan speaks has no plan of its own.
    pub(super) async fn page(&mut self, present: bool, after: &str) -> Result<Page, PassError> {
        let (scope, policy, company) = (self.context.scope.clone(), self.context.policy.clone(), self.company());
        let after = after.to_owned();
        let page = self.context.index.call(move |conn| {
            if is_outdated(conn, &scope)? {
                return Ok(None);
            }
            let mut looks = Looks::new(conn, &scope, &company);
            let mut page = Page::default();
            for row in files::dirty(conn, scope.mirror, present, &after, company.due, PAGE)? {
                page.last = Some(row.path.key().to_owned());
                page.add(&mut looks, &policy, row)?;
            }
            Ok(Some(page))
        });
        let page = page.await?;
        Ok(self.taken(page))
    }

    /// The rows of paths that changed while the pass runs, with their plans.
    pub(super) async fn urgent_page(&mut self, paths: Vec<String>) -> Result<Page, PassError> {
        let (scope, policy, company) = (self.context.scope.clone(), self.context.policy.clone(), self.company());
        let page = self.context.index.call(move |conn| {
            if is_outdated(conn, &scope)? {
                return Ok(None);
            }
            let mut rows = Vec::new();
            for path in paths {
                rows.extend(files::by_path(conn, scope.mirror, &path)?.filter(|row| row.present));
            }
            // They changed since this pass was done with them.
            let mut company = company;
            let tried = Arc::make_mut(&mut company.tried);
            for row in rows.iter().filter(|row| !company.under_way.contains(&row.id)) {
                tried.remove(&row.id);
            }
            let mut looks = Looks::new(conn, &scope, &company);
            let mut page = Page::default();
            rows.into_iter().try_for_each(|row| page.add(&mut looks, &policy, row))?;
            Ok(Some(page))
        });
        let page = page.await?;
        let page = self.taken(page);
        let tried = Arc::make_mut(&mut self.tried);
        for (row, _) in &page.plans {
            tried.remove(&row.id);
        }
        Ok(page)
    }

    /// Who is under way, failed, or spoken for, as of now.
    fn company(&self) -> Company {
        Company {
            failed: self.failed.clone(),
            under_way: self.under_way.clone(),
            tried: self.tried.clone(),
            spoken: self.spoken.clone(),
            only: self.context.only.clone(),
            taking: None,
            due: if self.context.impatient { DueBy::All } else { DueBy::Time(Timestamp::now().as_millisecond()) },
        }
    }

    /// Tracks have their turn later; who waited for one that is not in this pass need not. Nothing when what this pass
    /// rests on is out of date.
    fn taken(&mut self, page: Option<Page>) -> Page {
        let Some(mut page) = page else {
            self.end.outdated = true;
            return Page::default();
        };
        let new = page.tracks.drain(..).filter(|row| !self.failed.contains(&row.id));
        self.companions.extend(new.map(|row| (row.id, row)).collect::<Vec<_>>());
        self.concluded.append(&mut page.concluded);
        for row in page.unwanted.drain(..) {
            self.refreshed |= Arc::make_mut(&mut self.failed).insert(row);
        }
        page
    }
}

impl Page {
    fn add(&mut self, looks: &mut Looks<'_>, policy: &Policy, row: FileRow) -> rusqlite::Result<()> {
        self.seen.push(row.id);
        if looks.is_spoken_for(row.id) {
            return Ok(());
        }
        let (conn, scope) = (looks.conn(), looks.scope());
        if track_file(conn, scope, &row)?.is_some() {
            self.tracks.push(row);
            return Ok(());
        }
        if !looks.is_wanted(&row) {
            self.unwanted.push(row.id);
            return Ok(());
        }
        let seen = looks.observe(&row)?;
        let mut plan = plan(&seen, policy);
        let is_tried = looks.is_tried(row.id);
        if is_tried {
            // It is only looked at whether it is in step by now: for others it does not speak.
            plan.members.clear();
        }
        metadata_warnings::keep(looks, &row, &seen, &plan)?;
        looks.speak_for(plan.members.iter().map(|member| member.row.id));
        if plan.action == Action::Nothing {
            self.concluded.extend(row.present.then_some(row.id));
            remember_concluded(conn, scope.mirror, &seen)?;
            return plan.rows(&row).try_for_each(|row| files::clean(conn, row));
        }
        if !is_tried {
            self.plans.push((row, plan));
        }
        Ok(())
    }
}

/// Whether a metadata file was saved since this pass read them (to plan by what it said before would be to take the new word
/// for heard), or the name was contested (nothing is planned before it is known whose it is).
fn is_outdated(conn: &rusqlite::Connection, scope: &Scope) -> rusqlite::Result<bool> {
    Ok(sidecars::changes(conn, scope.mirror)? != scope.sidecar_changes || contact::is_contested(conn, scope.mirror)?)
}

/// What observing concluded was pushed must outlast what it was concluded by: the rules, or an intent.
fn remember_concluded(conn: &rusqlite::Connection, mirror: i64, seen: &Observation) -> rusqlite::Result<()> {
    let (Known::There(asset), Some(entry)) = (&seen.known, &seen.pushed) else {
        return Ok(());
    };
    if assets::pushed(conn, mirror, &asset.id)?.as_ref() != Some(entry) {
        assets::set_pushed(conn, mirror, &asset.id, entry)?;
    }
    Ok(())
}
