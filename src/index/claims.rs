//! Which of two assets a path has, where a stamp contradicts the index: the media area is the record.
//!
//! Owns: that a path follows the asset whose stamp names it, once the one it had is gone or its stamp names only
//! others, and that of two which both name it one does so no more. Both come of another machine, and of a process of
//! ours that was killed between its call and its note of it; without this the path would have two assets. Never does:
//! overruling a stamp that says nothing of the path, or believing one about a file that is not on disk.

use std::collections::BTreeMap;

use rusqlite::{Connection, params};

use super::assets;
use super::files::{self, FileRow};
use super::hearsay;
use crate::model::{Asset, MirrorStamp, RelPath, UploadId};

/// A mirror's row and its name, its key in stamps.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mirror<'a> {
    pub(super) id: i64,
    pub(super) name: &'a str,
}

/// The stamp of `asset` names `path`: settles whether the path has it.
pub(super) fn named(conn: &Connection, mirror: Mirror<'_>, path: &str, asset: &Asset) -> rusqlite::Result<()> {
    files::by_path(conn, mirror.id, path)?.map_or(Ok(()), |row| settle(conn, mirror, &row, path, asset))
}

/// The stamp of `asset` names the path of `row` by `name`: the path has it from now on, or the asset's own paths are to
/// write a stamp that does not name it.
pub(super) fn settle(
    conn: &Connection,
    mirror: Mirror<'_>,
    row: &FileRow,
    name: &str,
    asset: &Asset,
) -> rusqlite::Result<()> {
    let Some(had) = row.asset.as_ref().filter(|had| **had != asset.id) else { return Ok(()) };
    let known = assets::by_id(conn, had)?;
    let has_left = known.as_ref().is_none_or(|known| leaves_out(mirror.name, name, known));
    let is_here = |asset: &Asset| row.md5.is_some() && asset.md5 == row.md5;
    if has_left || (row.present && is_here(asset) && !known.as_ref().is_some_and(is_here)) {
        return hand_over(conn, mirror, row, name, asset);
    }
    if row.present { unclaim(conn, mirror, name, &asset.id) } else { Ok(()) }
}

/// Gives `path`, which the stamp of the asset `had` names no more, the asset whose stamp does, if there is one.
pub(super) fn lost(conn: &Connection, mirror: Mirror<'_>, path: &str, had: &UploadId) -> rusqlite::Result<()> {
    let Some(row) = files::by_path(conn, mirror.id, path)?.filter(|row| row.asset.as_ref() == Some(had)) else {
        return Ok(());
    };
    let names_it = |asset: &Asset| asset.stamp.0.get(mirror.name).is_some_and(|entry| entry.paths.contains(path));
    let mut heirs = Vec::new();
    for heir in assets::mentioning(conn, path)?.into_iter().filter(names_it) {
        // A copy of a stamp names nothing.
        let Some(entry) = heir.stamp.0.get(mirror.name) else { continue };
        if hearsay::is_about(conn, mirror.name, &heir.id, entry)? {
            heirs.push(heir);
        }
    }
    // Of several, the one with the content on disk.
    heirs.sort_by_key(|heir| heir.md5 != row.md5);
    heirs.first().map_or(Ok(()), |heir| hand_over(conn, mirror, &row, path, heir))
}

/// So many assets with one content are looked at for one path.
const CANDIDATES: u32 = 20;

/// Stamps that name a path which has another asset, each with what it is to say.
#[derive(Debug, Default)]
pub struct Stale {
    /// Assets of no path of this mirror that is on disk: nobody else writes their stamps.
    pub stamps: Vec<(Asset, MirrorStamp)>,
    /// How many have paths of this mirror: those are due now, and write them.
    pub looked_again: usize,
}

/// What is stale about these rows' paths: stamps of other assets with the same content, for a path must not have two; and
/// those of the assets in `left`, each with a path that has left it to others.
///
/// # Errors
/// SQLite's.
pub fn stale(
    conn: &Connection,
    (mirror, mirror_name): (i64, &str),
    rows: &[i64],
    left: &[(UploadId, RelPath)],
    stamp_name: impl Fn(&RelPath) -> String,
) -> rusqlite::Result<Stale> {
    let mut find = conn.prepare_cached(
        "SELECT double.id, file.path FROM file JOIN asset AS own ON own.id = file.asset AND own.md5 = file.md5
         JOIN asset AS double ON double.md5 = file.md5 AND double.id <> file.asset
         WHERE file.id = ?1 AND file.present = 1 LIMIT ?2",
    )?;
    let mut has_owner =
        conn.prepare_cached("SELECT EXISTS (SELECT 1 FROM file WHERE asset = ?1 AND +mirror = ?2 AND present = 1)")?;
    let mut pairs = Vec::new();
    for (asset, path) in left {
        let has_another = |row: &FileRow| row.present && row.asset.as_ref().is_some_and(|has| has != asset);
        pairs.extend(
            files::by_path(conn, mirror, path.key())?.filter(has_another).map(|_| (asset.clone(), path.clone())),
        );
    }
    for row in rows {
        let found = find.query_map(params![row, CANDIDATES], |row| {
            Ok((UploadId::new(row.get::<_, String>(0)?), row.get::<_, String>(1)?))
        })?;
        for found in found {
            let (asset, path) = found?;
            pairs.extend(RelPath::from_key(&path).ok().map(|path| (asset, path)));
        }
    }
    let (mut stamps, mut looked_again) = (BTreeMap::<UploadId, (Asset, MirrorStamp)>::new(), 0);
    for (id, path) in pairs {
        let Some(asset) = assets::by_id(conn, &id)? else { continue };
        let name = stamp_name(&path);
        let Some(entry) = asset.stamp.0.get(mirror_name).filter(|entry| entry.paths.contains(&name)) else { continue };
        if !hearsay::is_about(conn, mirror_name, &id, entry)? {
            continue;
        }
        if has_owner.query_row(params![id.as_str(), mirror], |row| row.get(0))? {
            unclaim(conn, Mirror { id: mirror, name: mirror_name }, &name, &id)?;
            looked_again += 1;
            continue;
        }
        let entry = entry.clone();
        let (_, entry) = stamps.entry(id.clone()).or_insert((asset, entry));
        hearsay::leave(conn, mirror, &id, entry, &path)?;
        entry.paths.remove(&name);
    }
    Ok(Stale { stamps: stamps.into_values().collect(), looked_again })
}

/// Whether the stamp names others of the mirror and not this path. One that says nothing of the mirror leaves nobody out.
fn leaves_out(mirror: &str, name: &str, asset: &Asset) -> bool {
    asset.stamp.0.get(mirror).is_some_and(|entry| entry.leaves_out(name))
}

fn hand_over(conn: &Connection, mirror: Mirror<'_>, row: &FileRow, name: &str, asset: &Asset) -> rusqlite::Result<()> {
    tracing::debug!(path = %row.path, asset = %asset.id, "a stamp gives this path another asset");
    if let Some(had) = &row.asset {
        unclaim(conn, mirror, name, had)?;
    }
    let base = asset.stamp.0.get(mirror.name).and_then(MirrorStamp::digest);
    files::hand_over(conn, mirror.id, row, &asset.id, base)
}

/// The asset is not the path's: those that share it have a stamp to write that does not name it.
fn unclaim(conn: &Connection, mirror: Mirror<'_>, name: &str, asset: &UploadId) -> rusqlite::Result<()> {
    if let Some(mut entry) = assets::pushed(conn, mirror.id, asset)?.filter(|entry| entry.paths.contains(name)) {
        entry.paths.remove(name);
        assets::set_pushed(conn, mirror.id, asset, &entry)?;
    }
    files::mark_owners_dirty(conn, asset)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::assets::samples::asset;
    use crate::index::files::samples::{file, index};
    use crate::model::Md5;

    /// A mirror whose `a.png` and `b.png` are on disk and share the asset `u1`.
    fn shared() -> (Connection, i64) {
        let (conn, mirror) = index();
        files::found(&conn, mirror, &[file("a.png", "x"), file("b.png", "x")]).unwrap();
        assets::upsert(&conn, &asset("u1", "x", &["a.png", "b.png"]), None).unwrap();
        conn.execute("UPDATE file SET handled = news, changed_at = 1", []).unwrap();
        (conn, mirror)
    }

    fn has(conn: &Connection, mirror: i64, path: &str) -> (String, Option<Md5>) {
        let row = files::by_path(conn, mirror, path).unwrap().unwrap();
        (row.asset.unwrap().as_str().to_owned(), row.base_md5)
    }

    #[test]
    fn a_path_follows_the_stamp_that_names_it_in_whichever_order_the_two_are_listed() {
        let x = Some(Md5::of(b"x"));
        for order in [["u1", "u2"], ["u2", "u1"]] {
            let (conn, mirror) = shared();
            for id in order {
                let path = if id == "u1" { "a.png" } else { "b.png" };
                assets::upsert(&conn, &asset(id, if id == "u1" { "x" } else { "y" }, &[path]), None).unwrap();
            }
            assert_eq!(has(&conn, mirror, "a.png"), ("u1".into(), x), "{order:?}");
            assert_eq!(has(&conn, mirror, "b.png"), ("u2".into(), Some(Md5::of(b"y"))), "{order:?}");
        }
    }

    #[test]
    fn a_path_follows_where_the_asset_it_had_is_gone() {
        let (conn, mirror) = shared();
        assets::remove(&conn, &UploadId::new("u1")).unwrap();
        assets::upsert(&conn, &asset("u2", "x", &["b.png"]), None).unwrap();
        assert_eq!(has(&conn, mirror, "a.png").0, "u1", "told as deleted");
        assert_eq!(has(&conn, mirror, "b.png").0, "u2");
    }

    #[test]
    fn a_path_stays_with_an_asset_that_names_it_or_that_says_nothing() {
        let (conn, mirror) = shared();
        assets::upsert(&conn, &asset("u2", "x", &["b.png"]), None).unwrap();
        assert_eq!(has(&conn, mirror, "b.png").0, "u1", "both name it, and it is in step with the one it has");
        let base = assets::pushed(&conn, mirror, &UploadId::new("u2")).unwrap().unwrap();
        assert!(base.paths.is_empty(), "the other is to name it no more");
        assets::upsert(&conn, &asset("u1", "x", &[]), None).unwrap();
        assert_eq!(has(&conn, mirror, "b.png").0, "u1", "an editor emptied the stamp");
        assets::upsert(&conn, &asset("u1", "x", &["a.png"]), None).unwrap();
        assert_eq!(has(&conn, mirror, "a.png").0, "u1");
    }

    #[test]
    fn of_two_that_name_a_path_it_has_the_one_with_the_content_on_disk() {
        let (conn, mirror) = shared();
        files::found(&conn, mirror, &[file("b.png", "y")]).unwrap();
        assets::upsert(&conn, &asset("u2", "y", &["b.png", "c.png"]), None).unwrap();
        assert_eq!(has(&conn, mirror, "b.png"), ("u2".into(), Some(Md5::of(b"y"))));
        let left = assets::pushed(&conn, mirror, &UploadId::new("u1")).unwrap().unwrap();
        assert!(!left.paths.contains("b.png") && left.paths.contains("a.png"), "{left:?}");
    }

    #[test]
    fn a_vanished_path_that_another_machine_has_is_not_gone_with_its_new_asset() {
        let (conn, mirror) = shared();
        let row = files::by_path(&conn, mirror, "b.png").unwrap().unwrap();
        files::vanished(&conn, &[row.id]).unwrap();
        assets::upsert(&conn, &asset("u1", "x", &["a.png"]), None).unwrap();
        assets::upsert(&conn, &asset("u2", "y", &["b.png"]), None).unwrap();
        let now = files::by_path(&conn, mirror, "b.png").unwrap().unwrap();
        assert!(now.md5.is_none() && !now.present, "a row as stamps make it: {now:?}");
        assert_eq!(has(&conn, mirror, "b.png").0, "u2");
    }

    #[test]
    fn a_hidden_path_follows_too() {
        let (conn, mirror) = index();
        let hidden = |path: &str| format!("#{path}");
        files::found(&conn, mirror, &[file("a.png", "x"), file("b.png", "x")]).unwrap();
        assets::upsert(&conn, &asset("u1", "x", &["#a.png", "#b.png"]), None).unwrap();
        files::name_hidden(&conn, mirror, |path| hidden(path.key())).unwrap();
        conn.execute("UPDATE file SET handled = news, changed_at = 1", []).unwrap();
        assets::upsert(&conn, &asset("u2", "y", &["#b.png"]), None).unwrap();
        assets::upsert(&conn, &asset("u1", "x", &["#a.png"]), None).unwrap();
        files::name_hidden(&conn, mirror, |path| hidden(path.key())).unwrap();
        assert_eq!(has(&conn, mirror, "a.png").0, "u1");
        assert_eq!(has(&conn, mirror, "b.png"), ("u2".into(), Some(Md5::of(b"y"))));
    }
}
