//! Files that a `_remote.toml` lists: what was fetched, and how to ask whether it changed.
//!
//! Owns: the SQL over `remote_file`, and the mark of rows of `file` whose bytes lie in the cache instead of the root.

use rusqlite::{Connection, OptionalExtension as _, params};

use super::files::{self, FoundFile, Problem};

/// A file that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedFile {
    /// The key of its path.
    pub path: String,
    /// The key of the list that names it.
    pub list: String,
    /// The digest of the URL that it was fetched from: the URL itself may hold a secret.
    pub url_digest: String,
    /// The server's `ETag`.
    pub etag: Option<String>,
    /// The server's `Last-Modified`.
    pub modified: Option<String>,
    /// When it was last asked for, ms since 1970.
    pub asked_at: i64,
    /// Why it could not be fetched then.
    pub problem: Option<Problem>,
    /// How often in a row it could not.
    pub failures: u32,
}

/// All that were asked for, for a mirror.
///
/// # Errors
/// SQLite's.
pub fn all(conn: &Connection, mirror: i64) -> rusqlite::Result<Vec<ListedFile>> {
    conn.prepare_cached(
        "SELECT path, list, url_digest, etag, modified, asked_at, problem, failures FROM remote_file WHERE mirror = ?1
         ORDER BY path",
    )?
    .query_map([mirror], |row| {
        Ok(ListedFile {
            path: row.get(0)?,
            list: row.get(1)?,
            url_digest: row.get(2)?,
            etag: row.get(3)?,
            modified: row.get(4)?,
            asked_at: row.get(5)?,
            problem: row.get::<_, Option<String>>(6)?.and_then(|json| serde_json::from_str(&json).ok()),
            failures: row.get(7)?,
        })
    })?
    .collect()
}

/// What is at the path of a listed file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Held {
    /// A file of the root.
    Real,
    /// What was fetched, and nothing is left to be done about it.
    Mirrored,
    /// Nothing, or what was fetched and is still needed.
    Other,
}

/// What is at this path.
///
/// # Errors
/// SQLite's.
pub fn held(conn: &Connection, mirror: i64, path: &str) -> rusqlite::Result<Held> {
    conn.prepare_cached(
        "SELECT cached, dirty = 0 AND md5 IS NOT NULL FROM file WHERE mirror = ?1 AND path = ?2 AND present = 1",
    )?
    .query_row(params![mirror, path], |row| {
        Ok(match (row.get(0)?, row.get(1)?) {
            (false, _) => Held::Real,
            (true, true) => Held::Mirrored,
            (true, false) => Held::Other,
        })
    })
    .optional()
    .map(|held| held.unwrap_or(Held::Other))
}

/// Fetched files whose bytes are still needed, as (mirror's name, key of the path).
///
/// # Errors
/// SQLite's.
pub fn needed(conn: &Connection) -> rusqlite::Result<Vec<(String, String)>> {
    conn.prepare_cached(
        "SELECT mirror.name, file.path FROM file JOIN mirror ON mirror.id = file.mirror
         WHERE file.cached = 1 AND file.present = 1 AND file.dirty = 1",
    )?
    .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
    .collect()
}

/// Writes a file as fetched: as a file on disk whose bytes lie in the cache.
///
/// # Errors
/// SQLite's.
pub fn fetched(conn: &Connection, mirror: i64, listed: &ListedFile, file: &FoundFile) -> rusqlite::Result<()> {
    if held(conn, mirror, &listed.path)? == Held::Real {
        // It came into the folder meanwhile, and goes first.
        return Ok(());
    }
    files::found(conn, mirror, std::slice::from_ref(file))?;
    conn.execute("UPDATE file SET cached = 1 WHERE mirror = ?1 AND path = ?2", params![mirror, listed.path])?;
    asked(conn, mirror, listed)
}

/// Remembers what came of asking for a file.
///
/// # Errors
/// SQLite's.
pub fn asked(conn: &Connection, mirror: i64, listed: &ListedFile) -> rusqlite::Result<()> {
    let problem = listed.problem.as_ref().map(|problem| serde_json::to_string(problem).unwrap_or_default());
    conn.execute(
        "INSERT INTO remote_file (mirror, path, list, url_digest, etag, modified, asked_at, problem, failures)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) ON CONFLICT DO UPDATE SET list = ?3, url_digest = ?4, etag = ?5,
         modified = ?6, asked_at = ?7, problem = ?8, failures = ?9",
        params![
            mirror,
            listed.path,
            listed.list,
            listed.url_digest,
            listed.etag,
            listed.modified,
            listed.asked_at,
            problem,
            listed.failures
        ],
    )
    .map(drop)
}

/// Forgets a file that is no longer listed; its row is gone from disk then.
///
/// # Errors
/// SQLite's.
pub fn dropped(conn: &Connection, mirror: i64, path: &str) -> rusqlite::Result<()> {
    conn.execute("DELETE FROM remote_file WHERE mirror = ?1 AND path = ?2", params![mirror, path])?;
    let row: Option<i64> = conn
        .prepare_cached("SELECT id FROM file WHERE mirror = ?1 AND path = ?2 AND present = 1 AND cached = 1")?
        .query_row(params![mirror, path], |row| row.get(0))
        .optional()?;
    row.map_or(Ok(()), |row| files::vanished(conn, &[row]))
}

/// Looks again at the files of a list.
///
/// # Errors
/// SQLite's.
pub fn mark_dirty(conn: &Connection, mirror: i64, list: &str) -> rusqlite::Result<()> {
    conn.execute(
        "UPDATE file SET news = news + 1, retry_at = NULL WHERE mirror = ?1 AND path IN
         (SELECT path FROM remote_file WHERE mirror = ?1 AND list = ?2)",
        params![mirror, list],
    )
    .map(drop)
}
