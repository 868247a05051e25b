//! The last actions that succeeded on each path.
//!
//! This module owns their column and its JSON. A history that cannot be read counts as none.

use rusqlite::{Connection, OptionalExtension as _, params};
use serde::{Deserialize, Serialize};

use crate::model::ActionKind;

/// Actions remembered for each path.
const HISTORY: usize = 5;

/// An action that succeeded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {
    /// Milliseconds since 1970.
    pub at_ms: i64,
    /// What was done.
    pub action: ActionKind,
    /// Why it was taken.
    pub why: String,
}

/// Remembers an action that succeeded; the oldest of many are forgotten.
///
/// # Errors
/// SQLite's.
pub fn add_history(conn: &Connection, file: i64, done: &Done) -> rusqlite::Result<()> {
    let mut history = history(conn, file)?;
    history.push(done.clone());
    let last = &history[history.len().saturating_sub(HISTORY)..];
    conn.prepare_cached("UPDATE file SET history = ?2 WHERE id = ?1")?
        .execute(params![file, serde_json::to_string(last).unwrap_or_default()])
        .map(drop)
}

/// The last few actions on a row that succeeded, oldest first.
///
/// # Errors
/// SQLite's.
pub fn history(conn: &Connection, file: i64) -> rusqlite::Result<Vec<Done>> {
    let json = conn
        .prepare_cached("SELECT history FROM file WHERE id = ?1")?
        .query_row([file], |row| row.get::<_, Option<String>>(0))
        .optional()?
        .flatten();
    Ok(json.and_then(|json| serde_json::from_str(&json).ok()).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::files::samples::index;

    fn add(conn: &Connection, mirror: i64, path: &str) -> i64 {
        conn.execute("INSERT INTO file (mirror, path, present, handled) VALUES (?1, ?2, 1, 1)", params![mirror, path])
            .unwrap();
        conn.last_insert_rowid()
    }

    #[test]
    fn the_history_of_a_path_has_an_end() {
        let (conn, mirror) = index();
        let id = add(&conn, mirror, "a.png");
        assert!(history(&conn, id).unwrap().is_empty());
        for at_ms in 0..9 {
            add_history(&conn, id, &Done { at_ms, action: ActionKind::Replace, why: "w".into() }).unwrap();
        }
        let kept: Vec<i64> = history(&conn, id).unwrap().iter().map(|done| done.at_ms).collect();
        assert_eq!(kept, [4, 5, 6, 7, 8]);
    }
}
