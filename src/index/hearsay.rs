//! What stamps claim, and how much of it counts.
//!
//! Owns: the rule that stamps are hearsay. An editor may copy an asset with its stamp, or write one: a stamp counts
//! only on the asset it was written for, and "the mirror made it" only where the asset's id derives from mirror, path
//! and generation, or where this index itself knows. Never does: deciding what is done with an asset.

use rusqlite::{Connection, params};

use super::{contact, settings};
use crate::model::{MirrorStamp, RelPath, UploadId};

/// Generations tried for each path: so often was a file's asset deleted and made again.
const GENERATIONS: u32 = 64;
/// Paths of one stamp that are tried, so that one with thousands does not cost as many hashes each time.
const PATHS: usize = 64;

/// The project's id, as ids derive from it.
fn site(conn: &Connection) -> rusqlite::Result<String> {
    let project = settings::get(conn, "project")?.unwrap_or_default();
    Ok(project.split('/').next().unwrap_or_default().to_owned())
}

/// A path that a stamp may name: below the root and spelt as the index spells it, or a path's digest.
pub(super) fn path_of(name: &str) -> Option<RelPath> {
    RelPath::from_key(name).ok().filter(|path| path.key() == name && !name.contains('\0'))
}

/// Whether the asset's id derives from `path` of the mirror.
///
/// # Errors
/// SQLite's.
pub fn derives_from(conn: &Connection, mirror: &str, id: &UploadId, path: &RelPath) -> rusqlite::Result<bool> {
    Ok(derives(&site(conn)?, mirror, path, id))
}

/// Whether the id is one of those that the mirror gives to an asset made for `path`.
fn derives(site: &str, mirror: &str, path: &RelPath, id: &UploadId) -> bool {
    (0..GENERATIONS).any(|generation| UploadId::derived(site, mirror, path, generation) == *id)
}

/// Whether `mirror` made the asset: the index knows, or its id derives from a path of the stamp or from `own`.
///
/// # Errors
/// SQLite's.
pub fn is_made(
    conn: &Connection,
    mirror: &str,
    id: &UploadId,
    entry: &MirrorStamp,
    own: Option<&RelPath>,
) -> rusqlite::Result<bool> {
    if !entry.made {
        return Ok(false);
    }
    let known = conn
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM made WHERE asset = ?1)")?
        .query_row([id.as_str()], |row| row.get::<_, bool>(0))?;
    if known {
        return Ok(true);
    }
    let site = site(conn)?;
    let named = entry.born.iter().chain(entry.paths.iter().take(PATHS)).filter_map(|name| path_of(name));
    Ok(own.into_iter().cloned().chain(named).any(|path| derives(&site, mirror, &path, id)))
}

/// Remembers that a mirror made the asset. That it was tried to make it is then no news.
///
/// # Errors
/// SQLite's.
pub fn set_made(conn: &Connection, id: &UploadId) -> rusqlite::Result<()> {
    conn.prepare_cached("INSERT INTO made VALUES (?1) ON CONFLICT DO NOTHING")?.execute([id.as_str()])?;
    contact::forget_tried(conn, id)
}

/// Whether the stamp was written for this asset: it says so, or the asset's id derives from it.
///
/// # Errors
/// SQLite's.
pub fn is_about(conn: &Connection, mirror: &str, id: &UploadId, entry: &MirrorStamp) -> rusqlite::Result<bool> {
    match &entry.of {
        Some(of) => Ok(of == id),
        None => is_made(conn, mirror, id, entry, None),
    }
}

/// The path leaves the asset: where the asset's id derives from it, the stamp keeps it as the proof that the mirror made
/// the asset, and the index remembers. A stamp that hides paths keeps none.
///
/// # Errors
/// SQLite's.
pub fn leave(
    conn: &Connection,
    mirror: i64,
    id: &UploadId,
    entry: &mut MirrorStamp,
    path: &RelPath,
) -> rusqlite::Result<()> {
    let name: String =
        conn.prepare_cached("SELECT name FROM mirror WHERE id = ?1")?.query_row(params![mirror], |row| row.get(0))?;
    if entry.made && entry.born.is_none() && derives(&site(conn)?, &name, path, id) {
        set_made(conn, id)?;
        if entry.paths.contains(path.key()) {
            entry.born = Some(path.key().to_owned());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::files::samples::index;

    fn entry(paths: &[&str], of: Option<&UploadId>, born: Option<&str>) -> MirrorStamp {
        MirrorStamp {
            paths: paths.iter().map(|path| (*path).to_owned()).collect(),
            made: true,
            of: of.cloned(),
            born: born.map(str::to_owned),
            ..MirrorStamp::default()
        }
    }

    #[test]
    fn only_an_id_that_derives_is_made_and_only_its_own_stamp_counts() {
        let (conn, _) = index();
        settings::set(&conn, "project", "205/main").unwrap();
        let path = |key: &str| RelPath::from_key(key).unwrap();
        let id = |generation| UploadId::derived("205", "brand", &path("a.png"), generation);
        let other = UploadId::new("other");
        for (id, entry, made, about, why) in [
            (id(0), entry(&["a.png"], None, None), true, true, "as made"),
            (id(7), entry(&["a.png"], None, None), true, true, "made again a few times"),
            (id(0), entry(&["b.png"], None, None), false, false, "nothing tells"),
            (id(0), entry(&["b.png"], None, Some("a.png")), true, true, "moved, and the stamp tells where from"),
            (id(0), entry(&["b.png"], Some(&id(0)), None), false, true, "its own stamp, but no proof"),
            (other.clone(), entry(&["a.png"], None, None), false, false, "a copy of an older stamp"),
            (other.clone(), entry(&["a.png"], Some(&id(0)), Some("a.png")), false, false, "a copy"),
            (other.clone(), entry(&["../a.png", "/a.png", "", "x/../a.png"], None, Some("..")), false, false, "forged"),
        ] {
            assert_eq!(is_made(&conn, "brand", &id, &entry, None).unwrap(), made, "{why}");
            assert_eq!(is_about(&conn, "brand", &id, &entry).unwrap(), about, "{why}");
        }
        let hidden = entry(&["#0123456789abcdef"], Some(&id(0)), None);
        assert!(is_made(&conn, "brand", &id(0), &hidden, Some(&path("a.png"))).unwrap());
        assert!(!is_made(&conn, "logos", &id(0), &hidden, Some(&path("a.png"))).unwrap(), "another mirror's");
        set_made(&conn, &other).unwrap();
        assert!(is_made(&conn, "brand", &other, &hidden, None).unwrap());
        let adopted = MirrorStamp { made: false, ..hidden };
        assert!(!is_made(&conn, "brand", &other, &adopted, None).unwrap(), "nobody says that it was made");
    }

    #[test]
    fn a_stamp_names_only_paths_below_a_root() {
        for name in ["", ".", "..", "../a", "a/../b", "/a", "./a", "a//b", "a/", "a\0b"] {
            assert_eq!(path_of(name), None, "{name:?}");
        }
        for name in ["a", "a/b.png", "#0123456789abcdef"] {
            assert!(path_of(name).is_some(), "{name:?}");
        }
    }
}
