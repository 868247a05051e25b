//! Writes outcomes to the index.
//!
//! Owns: what each finished action means for the rows of its paths and its asset, one transaction an outcome. The only
//! writer of outcomes. Never does: calls, decisions.

use std::collections::BTreeMap;

use rusqlite::Connection;

use crate::index::files::Outcome;
use crate::index::{FileRow, assets, files, hearsay};
use crate::model::{Asset, Md5, MirrorStamp, RelPath, UploadId};

use crate::sync::plan::edit::FileIs;
use crate::sync::plan::{Action, Member, Part, Plan};

/// Writes the outcome of `plan` on `row` and on its members. `asset` is the asset as the service confirmed it; `None` for
/// actions without one; `name_of` tells how stamps name a path. A row of which there was news since it was planned stays
/// due.
///
/// # Errors
/// SQLite's.
pub fn record(
    conn: &Connection,
    mirror: i64,
    row: &FileRow,
    name_of: impl Fn(&RelPath) -> String,
    plan: &Plan,
    asset: Option<&Asset>,
    now_ms: i64,
) -> rusqlite::Result<()> {
    let action = &plan.action;
    if let Some(asset) = asset {
        assets::upsert_own(conn, asset, action.before(), row.id)?;
    }
    outcome(conn, mirror, row, action, now_ms)?;
    for member in &plan.members {
        outcome_of_member(conn, member, action, now_ms)?;
    }
    let mut left: BTreeMap<&UploadId, Vec<&RelPath>> = BTreeMap::new();
    for row in plan.rows(row).filter(|_| leaves(action)) {
        if let Some(asset) = row.asset.as_ref().filter(|left| action.asset() != Some(*left)) {
            left.entry(asset).or_default().push(&row.path);
        }
    }
    // Paths that leave an asset to others: they have less to say about it now.
    for (left, paths) in left {
        if let Some(mut entry) = assets::pushed(conn, mirror, left)? {
            for path in paths {
                let name = name_of(path);
                if entry.paths.contains(&name) {
                    hearsay::leave(conn, mirror, left, &mut entry, path)?;
                    entry.paths.remove(&name);
                }
            }
            assets::set_pushed(conn, mirror, left, &entry)?;
        }
        files::mark_owners_dirty(conn, left)?;
    }
    Ok(())
}

/// What the action means for the path that asked, and for the asset.
fn outcome(conn: &Connection, mirror: i64, row: &FileRow, action: &Action, now_ms: i64) -> rusqlite::Result<()> {
    let in_step = |asset: &UploadId, entry: &MirrorStamp| {
        assets::set_pushed(conn, mirror, asset, entry)?;
        has_asset(conn, row, asset, now_ms)
    };
    match action {
        Action::Nothing => files::clean(conn, row),
        Action::Wait | Action::Report { .. } => Ok(()),
        Action::Forget => files::forget(conn, row),
        Action::Record { asset, entry } => in_step(asset, entry),
        Action::Accept { asset, content } => {
            let mut entry = assets::pushed(conn, mirror, asset)?.unwrap_or_default();
            entry.accepted = Some(content.to_string());
            in_step(asset, &entry)?;
            // The file stands; its metadata has not been looked at yet.
            files::mark_owners_dirty(conn, asset)
        }
        Action::Create { id, edit, .. } => {
            hearsay::set_made(conn, id)?;
            in_step(id, &edit.entry)
        }
        Action::Adopt { asset, edit } | Action::Alias { asset, edit, .. } => in_step(&asset.id, &edit.entry),
        Action::Move { asset, edit, from_row, .. } => {
            files::release(conn, *from_row)?;
            in_step(&asset.id, &edit.entry)
        }
        Action::Replace { asset, edit, .. } => in_step(&asset.id, &edit.entry),
        Action::Retag { asset, edit, file: FileIs::InStep } => in_step(&asset.id, &edit.entry),
        Action::Retag { asset, edit, file: FileIs::Gone } => {
            assets::set_pushed(conn, mirror, &asset.id, &edit.entry)?;
            files::clean(conn, row)
        }
        Action::Retag { asset, edit, file: FileIs::Back } => {
            assets::set_pushed(conn, mirror, &asset.id, &edit.entry)?;
            // What a person has to decide is told next.
            files::mark_owners_dirty(conn, &asset.id)
        }
        Action::Delete { asset } => {
            assets::remove(conn, &asset.id)?;
            files::release(conn, row.id)
        }
    }
}

fn outcome_of_member(conn: &Connection, member: &Member, action: &Action, now_ms: i64) -> rusqlite::Result<()> {
    let row = &member.row;
    if let Part::Move { from_row, .. } = member.part {
        files::release(conn, from_row)?;
    }
    match (action, action.asset()) {
        (Action::Create { .. } | Action::Adopt { .. } | Action::Alias { .. } | Action::Move { .. }, Some(asset))
        | (Action::Record { .. } | Action::Replace { .. }, Some(asset)) => has_asset(conn, row, asset, now_ms),
        (Action::Retag { file: FileIs::InStep, .. }, Some(asset)) if row.base_md5 != row.md5 => {
            has_asset(conn, row, asset, now_ms)
        }
        (Action::Nothing | Action::Retag { file: FileIs::InStep | FileIs::Gone, .. }, _) => files::clean(conn, row),
        (Action::Forget, _) => files::forget(conn, row),
        (Action::Delete { .. }, _) => files::release(conn, row.id),
        // All that share an accepted file, or one that is there again, are looked at again; who waits or is reported has
        // no outcome yet.
        _ => Ok(()),
    }
}

/// The path is in step with the asset.
fn has_asset(conn: &Connection, row: &FileRow, asset: &UploadId, now_ms: i64) -> rusqlite::Result<()> {
    files::settled(conn, row, &Outcome { asset: Some(asset.clone()), base_md5: row.md5 }, now_ms)
}

/// Writes that a creation begun by an earlier process came true: the file has the asset made for it, in step as it was
/// `sent`: an editor may have replaced it since. If it was leaving one that others share, it has left that, and its name is
/// theirs no more.
///
/// # Errors
/// SQLite's.
pub fn record_creation(conn: &Connection, file: i64, sent: Option<Md5>, asset: &Asset) -> rusqlite::Result<()> {
    hearsay::set_made(conn, &asset.id)?;
    let Some((mirror, left)) = files::made(conn, file, &asset.id, sent.or(asset.md5))? else { return Ok(()) };
    let names = assets::pushed(conn, mirror, &asset.id)?.unwrap_or_default().paths;
    if let Some(mut entry) = assets::pushed(conn, mirror, &left)? {
        entry.paths.retain(|name| !names.contains(name));
        assets::set_pushed(conn, mirror, &left, &entry)?;
    }
    files::mark_owners_dirty(conn, &left)
}

/// Writes that a replacement begun by an earlier process came true: the path is in step with what was `sent`, whatever an
/// editor did since.
///
/// # Errors
/// SQLite's.
pub fn record_replacement(
    conn: &Connection,
    file: i64,
    sent: Md5,
    asset: &Asset,
    entry: &MirrorStamp,
) -> rusqlite::Result<()> {
    let Some((mirror, _)) = files::mirror_of(conn, file)? else { return Ok(()) };
    assets::set_pushed(conn, mirror, &asset.id, entry)?;
    files::replaced(conn, mirror, file, &asset.id, sent)
}

/// Writes that a change of metadata begun by an earlier process came true, if it shows on the asset.
///
/// # Errors
/// SQLite's.
pub fn record_edit(conn: &Connection, file: i64, asset: &Asset, entry: &MirrorStamp) -> rusqlite::Result<()> {
    let Some((mirror, _)) = files::mirror_of(conn, file)? else { return Ok(()) };
    let before = assets::pushed(conn, mirror, &asset.id)?;
    if entry.shows_on(before.as_ref(), asset) { assets::set_pushed(conn, mirror, &asset.id, entry) } else { Ok(()) }
}

/// Whether the path has another asset, or none, after it.
const fn leaves(action: &Action) -> bool {
    !matches!(action, Action::Nothing | Action::Wait | Action::Report { .. })
}
