//! What is not there: files that stamps name and the folder does not have, assets that files have and the media area does
//! not, and what was deleted of late.
//!
//! Owns: the SQL for it. Never does: judging whether that is too much; that is `sync::absence` and the deletion
//! guard.

use crate::model::ActionKind;
use rusqlite::{Connection, params};

/// Deletions of this span, in ms, count together for the deletion guard: one `rm -r` may come in several batches, and
/// `--sync-once` may run every minute.
pub const WINDOW_MS: i64 = 600_000;

/// How many paths with an asset a mirror has by its stamps and rows, how many of these are neither on disk nor there by
/// content and were never seen here, and these.
///
/// # Errors
/// SQLite's.
pub fn named(conn: &Connection, mirror: i64) -> rusqlite::Result<(u64, u64, Vec<String>)> {
    const MISSING: &str = "FROM file JOIN asset ON asset.id = file.asset
        WHERE file.mirror = ?1 AND file.present = 0 AND file.seen = 0 AND NOT EXISTS
            (SELECT 1 FROM file AS here WHERE here.md5 = asset.md5 AND +here.mirror = ?1 AND here.present = 1)";
    let count = |sql: &str| conn.query_row(sql, [mirror], |row| row.get::<_, i64>(0).map(i64::cast_unsigned));
    let named = count("SELECT count(*) FROM file JOIN asset ON asset.id = file.asset WHERE file.mirror = ?1")?;
    let paths = conn
        .prepare(&format!("SELECT file.path {MISSING} ORDER BY file.path"))?
        .query_map([mirror], |row| row.get(0))?
        .collect::<rusqlite::Result<Vec<String>>>()?;
    Ok((named, paths.len() as u64, paths))
}

/// How many files on disk have an asset; of these, whose asset is not in the media area and who were not told so; and how
/// many assets there are at all.
///
/// # Errors
/// SQLite's.
pub fn missing(conn: &Connection, mirror: i64) -> rusqlite::Result<(u64, u64, u64)> {
    let number = |row: &rusqlite::Row<'_>, at| row.get::<_, i64>(at).map(i64::cast_unsigned);
    conn.query_row(
        "SELECT count(*), count(*) FILTER (WHERE asset.id IS NULL
            AND (problem IS NULL OR json_extract(problem, '$.action') <> ?2)), (SELECT count(*) FROM asset)
         FROM file LEFT JOIN asset ON asset.id = file.asset
         WHERE file.mirror = ?1 AND file.present = 1 AND file.asset IS NOT NULL",
        params![mirror, ActionKind::Report.as_str()],
        |row| Ok((number(row, 0)?, number(row, 1)?, number(row, 2)?)),
    )
}

/// How many paths of the mirror have an asset in the media area, on disk or not.
///
/// # Errors
/// SQLite's.
pub fn placed(conn: &Connection, mirror: i64) -> rusqlite::Result<u64> {
    conn.query_row(
        "SELECT count(*) FROM file JOIN asset ON asset.id = file.asset WHERE file.mirror = ?1",
        [mirror],
        |row| row.get::<_, i64>(0).map(i64::cast_unsigned),
    )
}

/// Remembers that the mirror's name belongs to the folder at `root`.
///
/// # Errors
/// SQLite's.
pub fn set_belongs(conn: &Connection, mirror: i64, root: &str) -> rusqlite::Result<()> {
    conn.execute("UPDATE mirror SET belongs = ?2 WHERE id = ?1", params![mirror, root]).map(drop)
}

/// The mirror has another root: nothing that was seen in the one before can be gone from this one. The files that are in
/// both are known as before.
///
/// # Errors
/// SQLite's.
pub fn moved_root(conn: &Connection, mirror: i64) -> rusqlite::Result<()> {
    conn.execute("UPDATE file SET seen = 0 WHERE mirror = ?1", [mirror]).map(drop)
}

/// A look at the whole folder is over: what is on disk was seen in it.
///
/// # Errors
/// SQLite's.
pub fn saw_all(conn: &Connection, mirror: i64) -> rusqlite::Result<()> {
    conn.execute("UPDATE file SET seen = 1 WHERE mirror = ?1 AND present = 1 AND seen = 0", [mirror]).map(drop)
}

/// Remembers whether what is not in the folder is gone, whoever saw it.
///
/// # Errors
/// SQLite's.
pub fn set_authoritative(conn: &Connection, mirror: i64, yes: bool) -> rusqlite::Result<()> {
    conn.execute("UPDATE mirror SET authoritative = ?2 WHERE id = ?1 AND authoritative <> ?2", params![mirror, yes])
        .map(drop)
}

/// Whether a mirror needs to know every asset that its stamps name, and not only those of the files that are here.
///
/// # Errors
/// SQLite's.
pub fn needs_all(conn: &Connection) -> rusqlite::Result<bool> {
    conn.query_row("SELECT EXISTS (SELECT 1 FROM mirror WHERE authoritative = 1)", [], |row| row.get(0))
}

/// Remembers a deletion; forgets those that no longer count.
///
/// # Errors
/// SQLite's.
pub fn deleted(conn: &Connection, mirror: i64, now_ms: i64) -> rusqlite::Result<()> {
    conn.prepare_cached("DELETE FROM deletion WHERE abs(?1 - at_ms) >= ?2")?.execute([now_ms, WINDOW_MS])?;
    conn.prepare_cached("INSERT INTO deletion VALUES (?1, ?2)")?.execute([mirror, now_ms]).map(drop)
}

/// Deletions that count together with one now. One of a time to come was written by a wrong clock: it counts for as long.
///
/// # Errors
/// SQLite's.
pub fn deleted_lately(conn: &Connection, mirror: i64, now_ms: i64) -> rusqlite::Result<u64> {
    conn.prepare_cached("SELECT count(*) FROM deletion WHERE mirror = ?1 AND abs(?2 - at_ms) < ?3")?
        .query_row([mirror, now_ms, WINDOW_MS], |row| row.get::<_, i64>(0).map(i64::cast_unsigned))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::files::samples::{file, index};
    use crate::index::files::{by_path, found, vanished};

    #[test]
    fn deletions_count_for_ten_minutes_each_mirror_for_itself() {
        let (conn, mirror) = index();
        let other = crate::index::settings::mirror(&conn, "other").unwrap().id;
        for at in [0, 1_000, 2_000] {
            deleted(&conn, mirror, at).unwrap();
        }
        deleted(&conn, other, 2_000).unwrap();
        for (now, count) in [(2_000, 3), (599_999, 3), (600_000, 2), (601_999, 1), (602_000, 0)] {
            assert_eq!(deleted_lately(&conn, mirror, now).unwrap(), count, "at {now}");
        }
        deleted(&conn, mirror, 10_000_000).unwrap();
        assert_eq!(deleted_lately(&conn, mirror, 0).unwrap(), 0, "a wrong clock's");
        let rows: i64 = conn.query_row("SELECT count(*) FROM deletion", [], |row| row.get(0)).unwrap();
        assert_eq!(rows, 1, "old ones are forgotten");
    }

    #[test]
    fn another_root_makes_what_is_not_in_it_a_thing_of_elsewhere() {
        let (conn, mirror) = index();
        found(&conn, mirror, &[file("a", "1"), file("b", "2")]).unwrap();
        moved_root(&conn, mirror).unwrap();
        let row = |path: &str| by_path(&conn, mirror, path).unwrap().unwrap();
        vanished(&conn, &[row("b").id]).unwrap();
        saw_all(&conn, mirror).unwrap();
        assert!(row("a").seen && !row("b").seen);
    }
}
