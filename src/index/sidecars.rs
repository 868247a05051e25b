//! The user's metadata files (`*.meta.toml`, `_folder.meta.toml`, `*.xmp`) as last read, so that a changed one is
//! noticed and a pass need not open them again.

use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::{files, settings};
use crate::disk::Fingerprint;
use crate::model::RelPath;

/// A metadata file as last read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredSidecar {
    /// Its key below the root.
    pub path: String,
    /// Taken before reading and found equal after it; its device is not kept.
    pub print: Fingerprint,
    /// What the clock of its file system showed at least when it was read; see [`Fingerprint::racy`].
    pub read_at_ns: i64,
    /// What was in it.
    pub content: Vec<u8>,
}

/// All metadata files of a mirror, in path order.
///
/// # Errors
/// SQLite's.
pub fn all(conn: &Connection, mirror: i64) -> rusqlite::Result<Vec<StoredSidecar>> {
    conn.prepare_cached(&format!("SELECT {COLUMNS} FROM sidecar WHERE mirror = ?1 ORDER BY path"))?
        .query_map([mirror], stored)?
        .collect()
}

const COLUMNS: &str = "path, mtime_ns, size, inode, content, ctime_ns, read_at_ns";

fn stored(row: &Row<'_>) -> rusqlite::Result<StoredSidecar> {
    Ok(StoredSidecar {
        path: row.get(0)?,
        print: Fingerprint {
            size: row.get::<_, i64>(2)?.cast_unsigned(),
            mtime_ns: row.get(1)?,
            ctime_ns: row.get(5)?,
            inode: row.get::<_, i64>(3)?.cast_unsigned(),
            dev: 0,
        },
        content: row.get(4)?,
        read_at_ns: row.get(6)?,
    })
}

/// What was in one metadata file.
///
/// # Errors
/// SQLite's.
pub fn content(conn: &Connection, mirror: i64, path: &str) -> rusqlite::Result<Option<Vec<u8>>> {
    conn.prepare_cached("SELECT content FROM sidecar WHERE mirror = ?1 AND path = ?2")?
        .query_row(params![mirror, path], |row| row.get(0))
        .optional()
}

/// The metadata files of a mirror that are written in TOML, in path order.
///
/// # Errors
/// SQLite's.
pub fn toml(conn: &Connection, mirror: i64) -> rusqlite::Result<Vec<StoredSidecar>> {
    conn.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM sidecar WHERE mirror = ?1 AND path LIKE '%.toml' ORDER BY path"
    ))?
    .query_map([mirror], stored)?
    .collect()
}

/// The lists of files to fetch, in path order.
///
/// # Errors
/// SQLite's.
pub fn lists(conn: &Connection, mirror: i64) -> rusqlite::Result<Vec<StoredSidecar>> {
    conn.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM sidecar WHERE mirror = ?1 AND (path = '_remote.toml' OR path GLOB '*/_remote.toml')
         ORDER BY path"
    ))?
    .query_map([mirror], stored)?
    .collect()
}

/// The XMP sidecars about `path`, as (key, content): `name.xmp`, which may be about several files, before
/// `name.ext.xmp`.
///
/// # Errors
/// SQLite's.
pub fn xmp_of(conn: &Connection, mirror: i64, path: &RelPath) -> rusqlite::Result<Vec<(String, Vec<u8>)>> {
    let stem = path
        .key()
        .strip_suffix(path.extension())
        .map_or_else(|| path.key(), |stem| stem.strip_suffix('.').unwrap_or(stem));
    let mut found: Vec<(String, Vec<u8>)> = conn
        .prepare_cached(
            "SELECT path, content FROM sidecar
             WHERE mirror = ?1 AND path IN (?2 || '.xmp', ?2 || '.XMP', ?3 || '.xmp', ?3 || '.XMP')",
        )?
        .query_map(params![mirror, stem, path.key()], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<_>>()?;
    found.sort_by_key(|(name, _)| name.len());
    Ok(found)
}

/// Remembers a metadata file.
///
/// # Errors
/// SQLite's.
pub fn put(conn: &Connection, mirror: i64, sidecar: &StoredSidecar) -> rusqlite::Result<()> {
    conn.prepare_cached(
        "INSERT INTO sidecar (mirror, path, mtime_ns, size, inode, content, ctime_ns, read_at_ns)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT DO UPDATE SET
         mtime_ns = excluded.mtime_ns, size = excluded.size, inode = excluded.inode, content = excluded.content,
         ctime_ns = excluded.ctime_ns, read_at_ns = excluded.read_at_ns",
    )?
    .execute(params![
        mirror,
        sidecar.path,
        sidecar.print.mtime_ns,
        sidecar.print.size.cast_signed(),
        sidecar.print.inode.cast_signed(),
        sidecar.content,
        sidecar.print.ctime_ns,
        sidecar.read_at_ns,
    ])
    .map(drop)?;
    count_change(conn, mirror)
}

/// A metadata file says what it said before, and looks otherwise.
///
/// # Errors
/// SQLite's.
pub fn touched(conn: &Connection, mirror: i64, sidecar: &StoredSidecar) -> rusqlite::Result<()> {
    let StoredSidecar { path, print, read_at_ns, .. } = sidecar;
    conn.prepare_cached(
        "UPDATE sidecar SET mtime_ns = ?3, ctime_ns = ?4, inode = ?5, read_at_ns = ?6 WHERE mirror = ?1 AND path = ?2",
    )?
    .execute(params![mirror, path, print.mtime_ns, print.ctime_ns, print.inode.cast_signed(), read_at_ns])
    .map(drop)
}

/// Forgets a metadata file that is gone.
///
/// # Errors
/// SQLite's.
pub fn remove(conn: &Connection, mirror: i64, path: &str) -> rusqlite::Result<()> {
    conn.execute("DELETE FROM sidecar WHERE mirror = ?1 AND path = ?2", params![mirror, path])?;
    count_change(conn, mirror)
}

/// How often a metadata file of the mirror was saved or removed. Whoever parsed them at another count knows less than the
/// rows that were looked at again because of it.
///
/// # Errors
/// SQLite's.
pub fn changes(conn: &Connection, mirror: i64) -> rusqlite::Result<u64> {
    Ok(settings::get(conn, &changes_key(mirror))?.and_then(|text| text.parse().ok()).unwrap_or(0))
}

fn count_change(conn: &Connection, mirror: i64) -> rusqlite::Result<()> {
    settings::set(conn, &changes_key(mirror), &(changes(conn, mirror)? + 1).to_string())
}

fn changes_key(mirror: i64) -> String {
    format!("sidecar_changes:{mirror}")
}

/// Looks again at the file `path`, or at all files below the folder `path`.
///
/// # Errors
/// SQLite's.
pub fn mark_dirty(conn: &Connection, mirror: i64, path: &str, below: bool) -> rusqlite::Result<()> {
    if !below {
        conn.execute(
            "UPDATE file SET news = news + 1, retry_at = NULL WHERE mirror = ?1 AND path = ?2",
            params![mirror, path],
        )?;
        return Ok(());
    }
    for row in files::below(conn, mirror, path)? {
        conn.prepare_cached("UPDATE file SET news = news + 1, retry_at = NULL WHERE id = ?1")?.execute([row.id])?;
    }
    Ok(())
}

/// Broken metadata files remembered for each mirror.
const BROKEN: usize = 200;

/// Remembers which metadata files of a mirror could not be used at its last pass, as (path, what is wrong).
///
/// # Errors
/// SQLite's.
pub fn set_broken(conn: &Connection, mirror: i64, broken: &[(String, String)]) -> rusqlite::Result<()> {
    let json = serde_json::to_string(&broken[..broken.len().min(BROKEN)]).unwrap_or_default();
    let key = broken_key(mirror);
    match settings::get(conn, &key)? {
        Some(before) if before == json => Ok(()),
        None if broken.is_empty() => Ok(()),
        _ => settings::set(conn, &key, &json),
    }
}

/// The metadata files that could not be used, as (path, what is wrong).
///
/// # Errors
/// SQLite's.
pub fn broken(conn: &Connection, mirror: i64) -> rusqlite::Result<Vec<(String, String)>> {
    let json = settings::get(conn, &broken_key(mirror))?;
    Ok(json.and_then(|json| serde_json::from_str(&json).ok()).unwrap_or_default())
}

fn broken_key(mirror: i64) -> String {
    format!("broken_sidecars:{mirror}")
}
