//! Whether a mirror's name is also another folder's, as it shows after the first contact: two that were mirrored for the
//! first time at one moment each found the media area empty.
//!
//! Owns: the SQL for what makes a name contested, and for what others have under it. Never does: judging that; that is
//! `sync::absence`.

use rusqlite::{Connection, OptionalExtension as _, params};

use super::files::{bytes, digest};
use super::{hearsay, settings};
use crate::model::{Asset, Md5, UploadId};

/// How a name was found to be a folder's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Met {
    /// By the index's first contact with it; the pass after that is not over.
    First,
    /// By a contact since then.
    Later,
    /// Somebody said so.
    TakenOver,
}

impl Met {
    const fn as_str(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Later => "met",
            Self::TakenOver => "taken over",
        }
    }
}

fn state_key(mirror: i64) -> String {
    format!("contact/{mirror}")
}

fn contested_key(mirror: i64) -> String {
    format!("contested/{mirror}")
}

fn tried_key(asset: &UploadId) -> String {
    format!("tried/{}", asset.as_str())
}

/// The name was found to be this folder's.
///
/// # Errors
/// SQLite's.
pub fn begin(conn: &Connection, mirror: i64, met: Met) -> rusqlite::Result<()> {
    settings::set(conn, &state_key(mirror), met.as_str())?;
    if met == Met::TakenOver { agree(conn, mirror) } else { Ok(()) }
}

/// A pass over the whole folder came to its end.
///
/// # Errors
/// SQLite's.
pub fn settle(conn: &Connection, mirror: i64) -> rusqlite::Result<()> {
    conn.prepare_cached("UPDATE setting SET value = ?2 WHERE key = ?1 AND value = ?3")?
        .execute([state_key(mirror).as_str(), Met::Later.as_str(), Met::First.as_str()])
        .map(drop)
}

/// An asset that this index did not make has a path of ours with another content: the name is to be looked at again before
/// anything else is changed, unless somebody said whose it is.
///
/// # Errors
/// SQLite's.
pub fn contest(conn: &Connection, mirror: i64) -> rusqlite::Result<()> {
    if settings::get(conn, &state_key(mirror))?.as_deref() == Some(Met::TakenOver.as_str()) {
        return Ok(());
    }
    settings::set(conn, &contested_key(mirror), "1")
}

/// Whether the name is to be looked at again.
///
/// # Errors
/// SQLite's.
pub fn is_contested(conn: &Connection, mirror: i64) -> rusqlite::Result<bool> {
    Ok(settings::get(conn, &contested_key(mirror))?.is_some())
}

/// It was looked at, and is this folder's.
///
/// # Errors
/// SQLite's.
pub fn agree(conn: &Connection, mirror: i64) -> rusqlite::Result<()> {
    conn.prepare_cached("DELETE FROM setting WHERE key = ?1")?.execute([contested_key(mirror)]).map(drop)
}

/// What the media area has under the name that this index did not put there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Others {
    /// This index has not come to the end of its first pass.
    pub first: bool,
    /// Their files.
    pub named: u64,
    /// Of these, in path order, those whose content is not here, and whether a file of this folder has the path.
    pub missing: Vec<(String, bool)>,
}

/// See [`Others`]. What this index put there itself says nothing about whose the name is.
///
/// # Errors
/// SQLite's.
pub fn others(conn: &Connection, mirror: i64) -> rusqlite::Result<Others> {
    let state = settings::get(conn, &state_key(mirror))?;
    let belongs: Option<String> =
        conn.query_row("SELECT belongs FROM mirror WHERE id = ?1", [mirror], |row| row.get(0))?;
    let rows = conn
        .prepare(
            "SELECT file.path, file.present, EXISTS (SELECT 1 FROM file AS here
                WHERE here.md5 = coalesce(asset.md5, file.base_md5) AND +here.mirror = ?1 AND here.present = 1),
                asset.id, coalesce(asset.md5, file.base_md5)
             FROM file JOIN asset ON asset.id = file.asset WHERE file.mirror = ?1
                AND NOT EXISTS (SELECT 1 FROM made WHERE made.asset = asset.id) ORDER BY file.path",
        )?
        .query_map([mirror], |row| {
            let made = (UploadId::new(row.get::<_, String>(3)?), digest(row, 4)?);
            Ok((row.get(0)?, row.get(1)?, row.get::<_, bool>(2)?, made))
        })?
        .collect::<rusqlite::Result<Vec<(String, bool, bool, (UploadId, Option<Md5>))>>>()?;
    let mut others = Vec::new();
    for (path, present, here, (asset, content)) in rows {
        // What a killed run made is ours too, before it is written down as that.
        let is_ours = match content {
            Some(content) => is_ours(conn, &asset, content, None)?,
            None => false,
        };
        others.extend((!is_ours).then_some((path, present, here)));
    }
    Ok(Others {
        first: state.as_deref() == Some(Met::First.as_str()) || belongs.is_none(),
        named: others.len() as u64,
        missing: others.into_iter().filter(|(.., here)| !here).map(|(path, present, _)| (path, present)).collect(),
    })
}

/// A creation was sent, and it is not known whether it has, or will have, its effect: should an asset with this id and
/// content be there, it is ours.
///
/// # Errors
/// SQLite's.
pub fn tried(conn: &Connection, asset: &UploadId, content: Md5) -> rusqlite::Result<()> {
    let mut all = settings::get(conn, &tried_key(asset))?.unwrap_or_default();
    let content = content.to_string();
    if !all.contains(&content) {
        all.push_str(&content);
        settings::set(conn, &tried_key(asset), &all)?;
    }
    Ok(())
}

/// What came of the creations of the asset is known.
pub(super) fn forget_tried(conn: &Connection, asset: &UploadId) -> rusqlite::Result<()> {
    conn.prepare_cached("DELETE FROM setting WHERE key = ?1")?.execute([tried_key(asset)]).map(drop)
}

/// Whether the asset is what a creation of this index made of `content`, as far as it can tell. `except`: the intent of the
/// creation that asks.
///
/// # Errors
/// SQLite's.
pub fn is_ours(conn: &Connection, asset: &UploadId, content: Md5, except: Option<i64>) -> rusqlite::Result<bool> {
    let known: bool = conn
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM made WHERE asset = ?1) OR EXISTS
                (SELECT 1 FROM intent WHERE asset = ?1 AND kind = 'create' AND md5 = ?2 AND id IS NOT ?3)",
        )?
        .query_row(params![asset.as_str(), bytes(Some(&content)), except], |row| row.get(0))?;
    if known {
        return Ok(true);
    }
    Ok(settings::get(conn, &tried_key(asset))?.is_some_and(|all| all.contains(&content.to_string())))
}

/// A stamp gives `path`, which had no asset so far, `asset` as made of `content`: the name is contested where the file here
/// is another. Before the first contact that is for the first contact to judge.
pub(super) fn meets(
    conn: &Connection,
    mirror: i64,
    path: &str,
    asset: &Asset,
    content: Option<Md5>,
) -> rusqlite::Result<()> {
    let here = conn
        .prepare_cached(
            "SELECT file.md5 FROM file JOIN mirror ON mirror.id = file.mirror
             WHERE mirror = ?1 AND path = ?2 AND present = 1 AND asset IS NULL AND belongs IS NOT NULL",
        )?
        .query_row(params![mirror, path], |row| digest(row, 0))
        .optional()?
        .flatten();
    let (Some(here), Some(content)) = (here, content) else { return Ok(()) };
    if is_ours(conn, &asset.id, content, None)? {
        // What was noted of its creation may be gone when it is asked for the next time.
        return hearsay::set_made(conn, &asset.id);
    }
    if here == content || asset.md5 == Some(here) { Ok(()) } else { contest(conn, mirror) }
}

/// A file with `content` was found at `path`: the name is contested where the path was known from a stamp alone, with an
/// asset of another content.
pub(super) fn appears(conn: &Connection, mirror: i64, path: &str, content: Md5) -> rusqlite::Result<()> {
    let other = conn
        .prepare_cached(
            "SELECT asset.id, file.base_md5 FROM file JOIN asset ON asset.id = file.asset
             WHERE file.mirror = ?1 AND file.path = ?2 AND present = 0 AND seen = 0
                AND base_md5 IS NOT NULL AND base_md5 <> ?3 AND asset.md5 IS NOT ?3",
        )?
        .query_row(params![mirror, path, bytes(Some(&content))], |row| {
            Ok((UploadId::new(row.get::<_, String>(0)?), digest(row, 1)?))
        })
        .optional()?;
    let Some((asset, Some(base))) = other else { return Ok(()) };
    if is_ours(conn, &asset, base, None)? { hearsay::set_made(conn, &asset) } else { contest(conn, mirror) }
}

/// Whether the first contact is over, so that what is found later may contest the name.
pub(super) fn is_over(conn: &Connection, mirror: i64) -> rusqlite::Result<bool> {
    conn.prepare_cached("SELECT EXISTS (SELECT 1 FROM mirror WHERE id = ?1 AND belongs IS NOT NULL)")?
        .query_row([mirror], |row| row.get(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::absence::set_belongs;
    use crate::index::assets::samples::asset;
    use crate::index::files::samples::{file, index};
    use crate::index::{assets, files, hearsay};

    /// A mirror whose first contact is over, with `mine.png` on disk.
    fn met() -> (Connection, i64) {
        let (conn, mirror) = index();
        set_belongs(&conn, mirror, "/brand").unwrap();
        begin(&conn, mirror, Met::First).unwrap();
        files::found(&conn, mirror, &[file("mine.png", "mine")]).unwrap();
        (conn, mirror)
    }

    #[test]
    fn an_asset_of_another_content_under_a_path_of_ours_contests_the_name() {
        let cases = [
            ("another content", asset("u1", "theirs", &["mine.png"]), true),
            ("the same content", asset("u1", "mine", &["mine.png"]), false),
            ("another path", asset("u1", "theirs", &["theirs.png"]), false),
        ];
        for (what, theirs, contested) in cases {
            let (conn, mirror) = met();
            assets::upsert(&conn, &theirs, None).unwrap();
            assert_eq!(is_contested(&conn, mirror).unwrap(), contested, "{what}");
        }
    }

    #[test]
    fn what_this_index_made_or_tried_to_make_does_not() {
        let theirs = asset("u1", "earlier", &["mine.png"]);
        let earlier = Md5::of(b"earlier");
        type Before = fn(&Connection, &Asset, Md5) -> rusqlite::Result<()>;
        let cases: [(&str, Before); 3] = [
            ("made", |conn, asset, _| hearsay::set_made(conn, &asset.id)),
            ("tried", |conn, asset, content| tried(conn, &asset.id, content)),
            ("begun", |conn, asset, content| {
                let row: i64 = conn.query_row("SELECT id FROM file", [], |row| row.get(0))?;
                let kind = crate::index::intents::IntentKind::Create;
                crate::index::intents::begin(conn, row, &asset.id, kind, Some(content), None, 1).map(drop)
            }),
        ];
        for (what, before) in cases {
            let (conn, mirror) = met();
            before(&conn, &theirs, earlier).unwrap();
            assert!(is_ours(&conn, &theirs.id, earlier, None).unwrap(), "{what}");
            assets::upsert(&conn, &theirs, None).unwrap();
            assert!(!is_contested(&conn, mirror).unwrap(), "{what}");
            // The note of what was begun goes; that it was ours does not.
            conn.execute("DELETE FROM intent", []).unwrap();
            assert_eq!(others(&conn, mirror).unwrap().named, 0, "{what}");
        }
        let (conn, _) = met();
        tried(&conn, &theirs.id, Md5::of(b"one")).unwrap();
        tried(&conn, &theirs.id, Md5::of(b"two")).unwrap();
        assert!(is_ours(&conn, &theirs.id, Md5::of(b"one"), None).unwrap());
        assert!(!is_ours(&conn, &theirs.id, earlier, None).unwrap());
    }

    #[test]
    fn before_the_first_contact_and_once_somebody_said_whose_it_is_nothing_is_contested() {
        let theirs = asset("u1", "theirs", &["mine.png"]);
        let (conn, mirror) = index();
        files::found(&conn, mirror, &[file("mine.png", "mine")]).unwrap();
        assets::upsert(&conn, &theirs, None).unwrap();
        assert!(!is_contested(&conn, mirror).unwrap());
        let (conn, mirror) = met();
        contest(&conn, mirror).unwrap();
        begin(&conn, mirror, Met::TakenOver).unwrap();
        assert!(!is_contested(&conn, mirror).unwrap());
        settle(&conn, mirror).unwrap();
        assets::upsert(&conn, &theirs, None).unwrap();
        assert!(!is_contested(&conn, mirror).unwrap(), "it stays said");
    }

    #[test]
    fn a_file_that_appears_where_a_stamp_told_of_another_contests_the_name() {
        for (content, contested) in [("theirs", false), ("mine", true)] {
            let (conn, mirror) = met();
            assets::upsert(&conn, &asset("u2", "theirs", &["new.png"]), None).unwrap();
            files::found(&conn, mirror, &[file("new.png", content)]).unwrap();
            assert_eq!(is_contested(&conn, mirror).unwrap(), contested, "{content}");
        }
    }

    #[test]
    fn what_this_index_put_there_is_not_what_others_have() {
        let (conn, mirror) = met();
        hearsay::set_made(&conn, &UploadId::new("ours")).unwrap();
        for asset in [
            asset("ours", "ours", &["ours.png"]),
            asset("u1", "theirs", &["mine.png"]),
            asset("u2", "away", &["away.png"]),
            asset("u3", "mine", &["moved.png"]),
        ] {
            assets::upsert(&conn, &asset, None).unwrap();
        }
        let missing = vec![("away.png".to_owned(), false), ("mine.png".to_owned(), true)];
        assert_eq!(others(&conn, mirror).unwrap(), Others { first: true, named: 3, missing });
        settle(&conn, mirror).unwrap();
        assert!(!others(&conn, mirror).unwrap().first);
    }
}
