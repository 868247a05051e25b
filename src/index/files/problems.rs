//! What is told of files: problems, notices, and how many are in which state.
//!
//! Owns: the SQL over `problem` and `notice`. Never does: deciding what a problem is, or printing it.

use rusqlite::{Connection, OptionalExtension as _, Row, params};
use serde::{Deserialize, Serialize};

use super::RetryAt;
use crate::model::{ActionKind, Advice};

/// What a problem is to the program, where that makes a difference.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProblemKind {
    /// The deletion guard kept the asset of a file that is gone.
    Withheld,
    /// Any other, also one that only a newer version knows.
    #[default]
    #[serde(other)]
    Other,
}

/// Why a file is not mirrored, for people.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Stored")]
pub struct Problem {
    /// What was tried.
    pub action: ActionKind,
    /// The cause in plain words.
    pub cause: String,
    /// What to do about it.
    #[serde(flatten)]
    pub advice: Advice,
    /// What it is to the program.
    #[serde(skip_serializing_if = "is_other")]
    pub kind: ProblemKind,
}

/// A [`Problem`] as it lies in the index. An older version stored no kind.
#[derive(Deserialize)]
struct Stored {
    action: ActionKind,
    cause: String,
    #[serde(flatten)]
    advice: Advice,
    kind: Option<ProblemKind>,
}

/// Why the asset of a gone file was not deleted, where the deletion guard kept it.
const WITHHELD: &str = "the file is gone; its asset was not deleted because the deletion guard stopped the run";

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
const fn is_other(kind: &ProblemKind) -> bool {
    matches!(kind, ProblemKind::Other)
}

impl From<Stored> for Problem {
    fn from(Stored { action, cause, advice, kind }: Stored) -> Self {
        // Of a problem that an older version stored, only its words tell.
        let of_old = || if cause == WITHHELD { ProblemKind::Withheld } else { ProblemKind::Other };
        let kind = kind.unwrap_or_else(of_old);
        Self { action, cause, advice, kind }
    }
}

impl Problem {
    /// A problem that is of no kind of its own.
    #[must_use]
    pub fn new(action: ActionKind, cause: impl Into<String>, advice: impl Into<Advice>) -> Self {
        Self { action, cause: cause.into(), advice: advice.into(), kind: ProblemKind::Other }
    }

    /// That the deletion guard kept the asset of a file that is gone.
    #[must_use]
    pub fn withheld() -> Self {
        let advice = "put the files back, or run once with --force (beside a daemon: `retry --force`)";
        Self { kind: ProblemKind::Withheld, ..Self::new(ActionKind::Delete, WITHHELD, advice) }
    }
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
        problem: serde_json::from_str(&problem).unwrap_or_else(|_| Problem { cause: problem, ..Problem::default() }),
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

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// As version 0.1 wrote them.
    #[test]
    fn problems_of_an_older_version_are_taken_over() {
        let again = "check the network, the proxy and base_url; it is tried again";
        for (action, cause, advice, kind, promises) in [
            ("delete", WITHHELD, "put the files back", ProblemKind::Withheld, false),
            ("delete", "the file is gone, but its asset is in use", "take it out", ProblemKind::Other, false),
            ("create", "the API does not answer", again, ProblemKind::Other, true),
            ("a word of another version", "c", "a", ProblemKind::Other, false),
        ] {
            let old = json!({"action": action, "cause": cause, "advice": advice}).to_string();
            let problem: Problem = serde_json::from_str(&old).unwrap();
            assert_eq!((problem.kind, problem.action), (kind, ActionKind::of(action)), "{old}");
            assert_eq!((problem.cause.as_str(), problem.advice.to_string().as_str()), (cause, advice));
            assert_eq!(problem.advice.promises(), promises, "{old}");
        }
    }

    #[test]
    fn an_older_version_reads_the_problems_of_this_one() {
        #[derive(Deserialize)]
        struct Old {
            action: String,
            cause: String,
            advice: String,
        }
        let plain = Problem::new(ActionKind::Create, "c", Advice::then_again("check it"));
        for (problem, advice) in [
            (Problem::withheld(), "put the files back, or run once with --force (beside a daemon: `retry --force`)"),
            (plain.clone(), "check it; it is tried again"),
        ] {
            let stored = serde_json::to_string(&problem).unwrap();
            assert_eq!(serde_json::from_str::<Problem>(&stored).unwrap(), problem);
            let old: Old = serde_json::from_str(&stored).unwrap();
            assert_eq!(
                (old.action.as_str(), old.cause, old.advice.as_str()),
                (problem.action.as_str(), problem.cause, advice)
            );
        }
        let mut newer: Value = serde_json::to_value(&plain).unwrap();
        assert_eq!(newer.get("kind"), None, "{newer}");
        newer["kind"] = json!("something new");
        assert_eq!(serde_json::from_value::<Problem>(newer).unwrap(), plain);
    }
}
