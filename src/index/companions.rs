//! Files that are tracks of a video: finding the video's row, and looking at them again when it changes.
//!
//! Owns: the SQL for it. What was made of them is in the stamp of the video's asset (`pushed`), and nowhere else: a
//! companion in step has its content as `base_md5` and no asset.

use rusqlite::{Connection, OptionalExtension as _, params};

use super::FileRow;
use super::files;
use crate::model::{Companion, RelPath, video_stem};

/// The video of this stem: one that is on disk before one that is gone.
///
/// # Errors
/// SQLite's.
pub fn video_of(conn: &Connection, mirror: i64, stem: &str) -> rusqlite::Result<Option<FileRow>> {
    let rows = files::beside(conn, mirror, stem)?;
    Ok(rows.into_iter().filter(|row| video_stem(&row.path) == Some(stem)).max_by_key(|row| row.present))
}

/// Looks again at the companions of the video at `path`; for any other file there are none.
///
/// # Errors
/// SQLite's.
pub fn touch(conn: &Connection, mirror: i64, path: &RelPath) -> rusqlite::Result<()> {
    each(conn, mirror, path, "UPDATE file SET news = news + 1, retry_at = NULL WHERE id = ?1")
}

/// The video at `path` has another file or asset: what its companions made has to be looked for again.
///
/// # Errors
/// SQLite's.
pub fn distrust(conn: &Connection, mirror: i64, path: &RelPath) -> rusqlite::Result<()> {
    each(
        conn,
        mirror,
        path,
        "UPDATE file SET news = news + 1, retry_at = NULL, base_md5 = CASE WHEN asset IS NOT NULL THEN base_md5 END
         WHERE id = ?1",
    )
}

fn each(conn: &Connection, mirror: i64, path: &RelPath, sql: &str) -> rusqlite::Result<()> {
    let Some(stem) = video_stem(path) else { return Ok(()) };
    for row in files::beside(conn, mirror, stem)? {
        if Companion::of(&row.path).is_some_and(|companion| companion.video_stem == stem) {
            conn.prepare_cached(sql)?.execute([row.id])?;
        }
    }
    Ok(())
}

/// As [`touch`], for the path of a row.
///
/// # Errors
/// SQLite's.
pub(super) fn touch_row(conn: &Connection, id: i64) -> rusqlite::Result<()> {
    let found: Option<(i64, RelPath)> = conn
        .prepare_cached("SELECT mirror, path FROM file WHERE id = ?1")?
        .query_row([id], |row| Ok((row.get(0)?, RelPath::from_parts(row.get(1)?, None))))
        .optional()?;
    found.map_or(Ok(()), |(mirror, path)| touch(conn, mirror, &path))
}

/// A stamp tells of a companion: looks at it again, and makes a row where there is none, so that its being gone is
/// noticed.
///
/// # Errors
/// SQLite's.
pub(super) fn remember(conn: &Connection, mirror: i64, path: &str) -> rusqlite::Result<()> {
    conn.prepare_cached(
        "INSERT INTO file (mirror, path, present) VALUES (?1, ?2, 0) ON CONFLICT DO UPDATE SET news = news + 1, retry_at = NULL",
    )?
    .execute(params![mirror, path])
    .map(drop)
}
