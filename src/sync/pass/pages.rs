//! Rows with their plans, a page at a time.
//!
//! This module owns that a plan, and what follows from it for its rows alone, is one transaction, and that all rows that share
//! an asset have one plan, however many they are. It never starts an action and makes no call.

use crate::index::files::DueBy;
use crate::index::{FileRow, assets, contact, files, sidecars};
use crate::sync::metadata_warnings;
use crate::sync::observe::{Company, Looks};
use crate::sync::plan::{Action, Known, Observation, Policy, plan};
use crate::sync::scope::Scope;
use crate::sync::track_file::track_file;

use super::scheduler::{Offer, Planned, Rows};
use super::{Pass, PassError};

/// Rows planned at once.
const PAGE: u32 = 100;

/// A page of rows.
#[derive(Default)]
struct Page {
    /// What the scheduler is told of them.
    offer: Offer,
    /// Rows on disk that are in step.
    concluded: Vec<i64>,
}

impl Pass<'_> {
    /// Reads rows that are due by `due` and plans them. A row with nothing to do is clean in the same transaction: what
    /// others do after it was planned makes it dirty again. A row for which another's plan speaks has no plan of its own.
    /// Gives nothing when what this pass rests on is out of date, and the pass ends then.
    pub(super) async fn read(&mut self, rows: Rows, due: DueBy) -> Result<Option<Offer>, PassError> {
        let (scope, policy) = (self.context.scope.clone(), self.context.policy.clone());
        let mut company =
            Company { rows: self.scheduler.rows().clone(), only: self.context.only.clone(), due, ..Company::default() };
        let urgent = if rows == Rows::PriorityPaths { self.context.urgent.take() } else { Vec::new() };
        let page = self.context.index.call(move |conn| {
            if is_outdated(conn, &scope)? {
                return Ok(None);
            }
            let mut page = Page::default();
            let found = match &rows {
                Rows::After { present, path } => {
                    let found = files::dirty(conn, scope.mirror, *present, path, due, PAGE)?;
                    page.offer.last = found.last().map(|row| row.path.key().to_owned());
                    found
                }
                Rows::PriorityPaths => {
                    let found = urgent_rows(conn, scope.mirror, &urgent)?;
                    // They changed since this pass was done with them.
                    company.changed = found.iter().map(|row| row.id).collect();
                    found
                }
            };
            let mut looks = Looks::new(conn, &scope, &company);
            found.into_iter().try_for_each(|row| page.add(&mut looks, &policy, row))?;
            Ok(Some(page))
        });
        let Some(mut page) = page.await? else {
            self.end.outdated = true;
            return Ok(None);
        };
        self.notes.concluded.append(&mut page.concluded);
        Ok(Some(page.offer))
    }
}

/// The rows of paths that changed while the pass runs, of those that are on disk.
fn urgent_rows(conn: &rusqlite::Connection, mirror: i64, paths: &[String]) -> rusqlite::Result<Vec<FileRow>> {
    let mut rows = Vec::new();
    for path in paths {
        rows.extend(files::by_path(conn, mirror, path)?.filter(|row| row.present));
    }
    Ok(rows)
}

impl Page {
    fn add(&mut self, looks: &mut Looks<'_>, policy: &Policy, row: FileRow) -> rusqlite::Result<()> {
        self.offer.seen.push(row.id);
        if looks.is_spoken_for(row.id) {
            return Ok(());
        }
        let (conn, scope) = (looks.conn(), looks.scope());
        if track_file(conn, scope, &row)?.is_some() {
            self.offer.tracks.push(row);
            return Ok(());
        }
        if !looks.is_wanted(&row) {
            self.offer.unwanted.push(row.id);
            return Ok(());
        }
        let seen = looks.observe(&row)?;
        let mut plan = plan(&seen, policy);
        let is_open = looks.is_open(row.id);
        if !is_open {
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
        if is_open {
            self.offer.plans.push(Planned { row, plan });
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
