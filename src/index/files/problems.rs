//! What is told of files: problems, notices, and how many are in which state.
//!
//! Owns: the SQL over `problem` and `notice`. Never does: deciding what a problem is, or printing it.

use rusqlite::{Connection, OptionalExtension as _, Row, params};
use serde::{Deserialize, Serialize};

use super::RetryAt;

/// Why a file is not mirrored, for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// What was tried: an action's name of the report.
    pub action: String,
    /// The cause in plain words.
    pub cause: String,
    /// What to do about it.
    pub advice: String,
}

/// A problem with its path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredProblem {
    /// The path's key.
    pub path: String,
    /// The problem.
    pub problem: Problem,
    /// When it is tried again, as it was stored; see [`RetryAt::at`].
    pub retry: RetryAt,
}

/// Files of a mirror by state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// On disk.
    pub present: u64,
    /// On disk and in step with an asset, with nothing left to do and without a problem: whoever has one is counted there.
    /// What the service deleted as infected is not served, told or not.
    pub mirrored: u64,
    /// Waiting for the planner.
    pub dirty: u64,
    /// With a problem.
    pub failed: u64,
}

/// Remembers what of a path's metadata could not be used when it was last planned, a line each.
///
/// # Errors
/// SQLite's.
pub fn set_notice(conn: &Connection, id: i64, notice: Option<&str>) -> rusqlite::Result<()> {
    conn.prepare_cached("UPDATE file SET notice = ?2 WHERE id = ?1 AND notice IS NOT ?2")?
        .execute(params![id, notice])
        .map(drop)
}

/// What of the metadata of a mirror's files could not be used, each said once: (what, the first path, how many paths).
///
/// # Errors
/// SQLite's.
pub fn notices(conn: &Connection, mirror: i64, limit: u32) -> rusqlite::Result<Vec<(String, String, u64)>> {
    conn.prepare_cached(
        "SELECT notice, min(path), count(*) FROM file WHERE mirror = ?1 AND notice IS NOT NULL GROUP BY notice
         ORDER BY 2 LIMIT ?2",
    )?
    .query_map(params![mirror, limit], |row| Ok((row.get(0)?, row.get(1)?, row.get::<_, i64>(2)?.cast_unsigned())))?
    .collect()
}

/// All open problems of a mirror, in path order.
///
/// # Errors
/// SQLite's.
pub fn problems(conn: &Connection, mirror: i64) -> rusqlite::Result<Vec<StoredProblem>> {
    conn.prepare_cached(
        "SELECT path, problem, retry_at FROM file WHERE mirror = ?1 AND problem IS NOT NULL ORDER BY path",
    )?
    .query_map([mirror], stored_problem)?
    .collect()
}

/// The open problem of one row.
///
/// # Errors
/// SQLite's.
pub fn problem_of(conn: &Connection, id: i64) -> rusqlite::Result<Option<StoredProblem>> {
    conn.prepare_cached("SELECT path, problem, retry_at FROM file WHERE id = ?1 AND problem IS NOT NULL")?
        .query_row([id], stored_problem)
        .optional()
}

fn stored_problem(row: &Row<'_>) -> rusqlite::Result<StoredProblem> {
    let problem: String = row.get(1)?;
    Ok(StoredProblem {
        path: row.get(0)?,
        problem: serde_json::from_str(&problem).unwrap_or_else(|_| Problem {
            action: String::new(),
            cause: problem,
            advice: String::new(),
        }),
        retry: RetryAt::of_stored(row.get(2)?),
    })
}

/// How many files are in which state.
///
/// # Errors
/// SQLite's.
pub fn tally(conn: &Connection, mirror: i64) -> rusqlite::Result<Tally> {
    conn.query_row(
        "SELECT count(*) FILTER (WHERE present = 1), count(*) FILTER (WHERE present = 1 AND md5 IS base_md5 AND (asset IS NOT \
         NULL OR md5 IS NOT NULL) AND problem IS NULL AND dirty = 0 AND NOT EXISTS (SELECT 1 FROM asset WHERE asset.id = file.asset AND \
         antivirus = 'infected')), count(*) FILTER (WHERE dirty = 1), count(*) FILTER (WHERE problem IS NOT NULL)
         FROM file WHERE mirror = ?1",
        [mirror],
        |row| {
            let count = |index| row.get::<_, i64>(index).map(i64::cast_unsigned);
            Ok(Tally { present: count(0)?, mirrored: count(1)?, dirty: count(2)?, failed: count(3)? })
        },
    )
}
