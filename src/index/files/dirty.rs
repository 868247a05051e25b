//! What is left to do: rows the planner has something to look at in.
//!
//! Owns: the SQL over `news`, `handled` and `retry_at`. Each reason to look at a row raises `news`; a success raises
//! `handled` to what `news` was when its plan was made; the row is dirty while there is more news than was handled. So
//! what comes while a plan is carried out is never cleared by its success. Never does: deciding what is to be done, or
//! when to try again.

use std::collections::HashSet;

use rusqlite::{Connection, params};

use super::retry::NEVER_BY_ITSELF;
use super::{COLUMNS, DueBy, FileRow, LONGEST_WAIT_MS, Outcome, Problem, RetryAt, bytes, rows};
use crate::index::retry_requests;
use crate::model::{Md5, UploadId};

/// The next dirty rows after `after` in path order whose time has come.
///
/// # Errors
/// SQLite's.
pub fn dirty(
    conn: &Connection,
    mirror: i64,
    present: bool,
    after: &str,
    due: impl Into<DueBy>,
    limit: u32,
) -> rusqlite::Result<Vec<FileRow>> {
    rows(
        conn,
        &format!(
            "SELECT {COLUMNS} FROM file WHERE mirror = ?1 AND dirty = 1 AND path > ?2 AND present = ?3
             AND {} ORDER BY path LIMIT ?5",
            is_time("?4")
        ),
        params![mirror, after, present, due.into().compared(), limit],
    )
}

/// Whether a dirty row's time has come.
///
/// # Errors
/// SQLite's.
pub fn is_due(conn: &Connection, mirror: i64, now_ms: i64) -> rusqlite::Result<bool> {
    conn.prepare_cached(&format!(
        "SELECT EXISTS (SELECT 1 FROM file WHERE mirror = ?1 AND dirty = 1 AND {})",
        is_time("?2")
    ))?
    .query_row(params![mirror, now_ms], |row| row.get(0))
}

/// SQL: a row's time to be tried again has come at `now`, a parameter with milliseconds since 1970. A time further ahead
/// than the longest wait was stored by a clock that was wrong; see [`RetryAt::at`].
fn is_time(now: &str) -> String {
    format!(
        "(retry_at IS NULL OR retry_at <= {now} OR retry_at > {now} + {LONGEST_WAIT_MS} AND retry_at < {NEVER_BY_ITSELF})"
    )
}

/// The rows of a mirror that have this asset and whose time has come.
///
/// # Errors
/// SQLite's.
pub fn due_of_asset(conn: &Connection, mirror: i64, asset: &UploadId, due: DueBy) -> rusqlite::Result<HashSet<i64>> {
    conn.prepare_cached(&format!(
        "SELECT id FROM file WHERE asset = ?1 AND +mirror = ?2 AND dirty = 1 AND {}",
        is_time("?3")
    ))?
    .query_map(params![asset.as_str(), mirror, due.compared()], |row| row.get(0))?
    .collect()
}

/// The rows of a mirror on disk with this content whose time has come.
///
/// # Errors
/// SQLite's.
pub fn due_of_content(conn: &Connection, mirror: i64, md5: Md5, due: DueBy) -> rusqlite::Result<HashSet<i64>> {
    conn.prepare_cached(&format!(
        "SELECT id FROM file WHERE md5 = ?1 AND +mirror = ?2 AND present = 1 AND dirty = 1 AND {}",
        is_time("?3")
    ))?
    .query_map(params![bytes(Some(&md5)), mirror, due.compared()], |row| row.get(0))?
    .collect()
}

/// The paths of due rows without a known problem: what a pass that is over did not come to.
///
/// # Errors
/// SQLite's.
pub fn left_due(conn: &Connection, mirror: i64, now_ms: i64) -> rusqlite::Result<Vec<(i64, String)>> {
    conn.prepare_cached(&format!(
        "SELECT id, path FROM file WHERE mirror = ?1 AND dirty = 1 AND problem IS NULL AND {} ORDER BY path",
        is_time("?2")
    ))?
    .query_map(params![mirror, now_ms], |row| Ok((row.get(0)?, row.get(1)?)))?
    .collect()
}

/// How many rows the planner has something to look at in.
///
/// # Errors
/// SQLite's.
pub fn count_dirty(conn: &Connection, mirror: i64) -> rusqlite::Result<u64> {
    conn.prepare_cached("SELECT count(*) FROM file WHERE mirror = ?1 AND dirty = 1")?
        .query_row([mirror], |row| row.get::<_, i64>(0))
        .map(i64::cast_unsigned)
}

/// How many vanished files wait for a change, as those do that the deletion guard withheld.
///
/// # Errors
/// SQLite's.
pub fn withheld(conn: &Connection, mirror: i64) -> rusqlite::Result<u64> {
    conn.query_row(
        "SELECT count(*) FROM file WHERE mirror = ?1 AND dirty = 1 AND present = 0 AND retry_at = ?2",
        params![mirror, RetryAt::AfterAChange.stored()],
        |row| row.get::<_, i64>(0),
    )
    .map(i64::cast_unsigned)
}

/// Files on disk for which there is something to do, and no reason known why it could not be done.
///
/// # Errors
/// SQLite's.
pub fn waiting(conn: &Connection, mirror: i64) -> rusqlite::Result<u64> {
    conn.query_row(
        "SELECT count(*) FROM file WHERE mirror = ?1 AND present = 1 AND dirty = 1 AND problem IS NULL",
        [mirror],
        |row| row.get::<_, i64>(0).map(i64::cast_unsigned),
    )
}

/// The planner found nothing to do for the row as it was when planned. It stays dirty when there was other news since.
///
/// # Errors
/// SQLite's.
pub fn clean(conn: &Connection, planned: &FileRow) -> rusqlite::Result<()> {
    conn.prepare_cached(
        "UPDATE file SET handled = max(handled, ?3), failures = 0, retry_at = NULL, problem = NULL
         WHERE id = ?1 AND path = ?2 AND (handled < ?3 OR problem IS NOT NULL)",
    )?
    .execute(params![planned.id, planned.path.key(), planned.news])
    .map(drop)
}

/// An action on the row as it was when planned succeeded. It stays dirty when there was other news since: the file changed
/// again or went away, an editor changed its asset, its metadata file was saved anew.
///
/// A file that was missed while its first asset was on the way was taken for gone at a single look, for it had nothing to
/// lose. Now it has: it counts as there, and its disk is looked at again.
///
/// # Errors
/// SQLite's.
pub fn settled(conn: &Connection, planned: &FileRow, outcome: &Outcome, now_ms: i64) -> rusqlite::Result<()> {
    if planned.present && outcome.asset.is_some() {
        let back = "UPDATE file SET present = 1 WHERE id = ?1 AND path = ?2 AND present = 0 AND asset IS NULL";
        if conn.prepare_cached(back)?.execute(params![planned.id, planned.path.key()])? > 0
            && let Some((mirror, _)) = super::mirror_of(conn, planned.id)?
        {
            retry_requests::ask_look(conn, mirror)?;
        }
    }
    conn.prepare_cached(
        "UPDATE file SET asset = ?4, base_md5 = ?5, handled = max(handled, ?3), failures = 0, retry_at = NULL,
         problem = NULL, changed_at = ?6 WHERE id = ?1 AND path = ?2",
    )?
    .execute(params![
        planned.id,
        planned.path.key(),
        planned.news,
        outcome.asset.as_ref().map(UploadId::as_str),
        bytes(outcome.base_md5.as_ref()),
        now_ms
    ])
    .map(drop)
}

/// An action on the row as it was when planned failed or is withheld. The row stays dirty and is tried again as `retry`
/// says, or, when there was other news since, at `soon` (ms since 1970) if that is earlier.
///
/// # Errors
/// SQLite's.
pub fn failed(
    conn: &Connection,
    planned: &FileRow,
    problem: &Problem,
    retry: RetryAt,
    soon: i64,
) -> rusqlite::Result<()> {
    conn.prepare_cached(
        "UPDATE file SET handled = min(handled, news - 1), failures = failures + 1, problem = ?4,
         retry_at = CASE WHEN news = ?3 THEN ?5 ELSE min(?5, ?6) END WHERE id = ?1 AND path = ?2",
    )?
    .execute(params![
        planned.id,
        planned.path.key(),
        planned.news,
        serde_json::to_string(problem).unwrap_or_default(),
        retry.stored(),
        soon
    ])
    .map(drop)
}

/// Looks at a row again.
///
/// # Errors
/// SQLite's.
pub fn mark_dirty(conn: &Connection, id: i64) -> rusqlite::Result<()> {
    conn.prepare_cached("UPDATE file SET news = news + 1 WHERE id = ?1")?.execute([id]).map(drop)
}

/// Whether this row is in step shows only at `at_ms` (since 1970): looks at it again then.
///
/// # Errors
/// SQLite's.
pub fn look_again(conn: &Connection, id: i64, at_ms: i64) -> rusqlite::Result<()> {
    conn.prepare_cached("UPDATE file SET news = news + 1, base_md5 = NULL, retry_at = ?2 WHERE id = ?1")?
        .execute(params![id, at_ms])
        .map(drop)
}

/// Looks at rows again: all that share an asset.
///
/// # Errors
/// SQLite's.
pub fn mark_owners_dirty(conn: &Connection, asset: &UploadId) -> rusqlite::Result<()> {
    conn.prepare_cached("UPDATE file SET news = news + 1, retry_at = NULL WHERE asset = ?1")?
        .execute([asset.as_str()])
        .map(drop)
}

/// As [`mark_owners_dirty`], but for the row whose own action changed the asset: to it that is no news.
///
/// # Errors
/// SQLite's.
pub fn mark_others_dirty(conn: &Connection, asset: &UploadId, actor: i64) -> rusqlite::Result<()> {
    conn.prepare_cached("UPDATE file SET news = news + 1, retry_at = NULL WHERE asset = ?1 AND id <> ?2")?
        .execute(params![asset.as_str(), actor])
        .map(drop)
}

/// The row has no asset any more and is looked at again.
///
/// # Errors
/// SQLite's.
pub fn detach(conn: &Connection, id: i64) -> rusqlite::Result<()> {
    conn.prepare_cached("UPDATE file SET asset = NULL, base_md5 = NULL, news = news + 1 WHERE id = ?1")?
        .execute([id])
        .map(drop)
}
