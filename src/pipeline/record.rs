//! Writes outcomes to the index.
//!
//! Owns: what each finished action means for the rows of its path and its asset, one transaction an outcome. The
//! only writer of outcomes. Never does: calls, decisions. Called by: `pipeline::pass`; `session`, for what an earlier process
//! began.

use rusqlite::Connection;

use crate::index::files::Outcome;
use crate::index::{FileRow, assets, files, hearsay};
use crate::model::{Asset, Md5, MirrorStamp};

use super::plan::Action;

/// Writes the outcome of `action` on `row`. `asset` is the asset as the service confirmed it; `None` for actions
/// without one; `name` is how stamps name the row's path.
///
/// # Errors
/// SQLite's.
pub fn record(
    conn: &Connection,
    mirror: i64,
    row: &FileRow,
    name: &str,
    action: &Action,
    asset: Option<&Asset>,
    now_ms: i64,
) -> rusqlite::Result<()> {
    if let Some(asset) = asset {
        assets::upsert_own(conn, asset, action.before(), row.id)?;
    }
    // A path that leaves an asset to others: they have less to say about it now.
    if let Some(left) = row.asset.as_ref().filter(|left| action.asset() != Some(*left) && leaves(action)) {
        if let Some(mut entry) = assets::pushed(conn, mirror, left)?.filter(|entry| entry.paths.contains(name)) {
            hearsay::leave(conn, mirror, left, &mut entry, &row.path)?;
            entry.paths.remove(name);
            assets::set_pushed(conn, mirror, left, &entry)?;
        }
        files::mark_owners_dirty(conn, left)?;
    }
    let in_step = |asset: &crate::model::UploadId, entry: &MirrorStamp| {
        assets::set_pushed(conn, mirror, asset, entry)?;
        files::settled(conn, row, &Outcome { asset: Some(asset.clone()), base_md5: row.md5 }, now_ms)
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
        Action::Retag { asset, edit } if row.present => in_step(&asset.id, &edit.entry),
        Action::Retag { asset, edit } => {
            assets::set_pushed(conn, mirror, &asset.id, &edit.entry)?;
            files::clean(conn, row)
        }
        Action::Delete { asset } => {
            assets::remove(conn, &asset.id)?;
            files::release(conn, row.id)
        }
    }
}

/// Writes that a creation begun by an earlier process came true: the file has the asset made for it, in step as it was
/// `sent`: an editor may have replaced it since. If it was leaving one that others share, it has left that, and its name is
/// theirs no more.
///
/// # Errors
/// SQLite's.
pub fn record_creation(conn: &Connection, file: i64, sent: Option<Md5>, asset: &Asset) -> rusqlite::Result<()> {
    let Some((mirror, left)) = files::made(conn, file, &asset.id, sent.or(asset.md5))? else { return Ok(()) };
    hearsay::set_made(conn, &asset.id)?;
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
