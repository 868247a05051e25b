//! What a person wants tried again: `retry` makes failed files due, and the daemon asks every few seconds for what is due.
//!
//! This module owns the requests and their keys. It never tries anything itself.

use std::collections::BTreeSet;

use rusqlite::{Connection, params};

use super::settings;
use super::status_notes::{note, noted};
use crate::model::Md5;

/// The key of the contents that a person wants tried again.
const WANTED_AGAIN: &str = "wanted_again";
/// The key of how often failed files were made due.
const ASKED: &str = "retries_asked";

/// Has failed files tried again at the next pass: those of `mirror` at or below `path`, or all. Returns how many. What
/// could not be read has no row: a daemon is asked to look at the folder.
///
/// # Errors
/// SQLite's.
pub fn retry(conn: &Connection, mirror: i64, path: Option<&str>) -> rusqlite::Result<u64> {
    ask_look(conn, mirror)?;
    want_again(conn, mirror, path)?;
    make_due(conn, mirror, path)
}

/// Notes which contents failed at or below `path`, or anywhere: whoever sends files forgets that they were refused.
fn want_again(conn: &Connection, mirror: i64, path: Option<&str>) -> rusqlite::Result<()> {
    let mut rows = conn.prepare_cached(
        "SELECT DISTINCT lower(hex(md5)) FROM file WHERE mirror = ?1 AND problem IS NOT NULL AND md5 IS NOT NULL
         AND (?2 IS NULL OR path = ?2 OR (path > ?2 || '/' AND path < ?2 || '0'))",
    )?;
    let failed = rows.query_map(params![mirror, path], |row| row.get(0))?.collect::<rusqlite::Result<Vec<String>>>()?;
    if failed.is_empty() {
        return Ok(());
    }
    let mut wanted: BTreeSet<String> = noted(conn, WANTED_AGAIN)?.unwrap_or_default();
    wanted.extend(failed);
    note(conn, WANTED_AGAIN, &wanted)
}

/// The contents that a person wants tried again; they stay noted until [`forget_wanted_again`].
///
/// # Errors
/// SQLite's.
pub fn wanted_again(conn: &Connection) -> rusqlite::Result<Vec<Md5>> {
    let wanted: Vec<String> = noted(conn, WANTED_AGAIN)?.unwrap_or_default();
    Ok(wanted.iter().filter_map(|content| content.parse().ok()).collect())
}

/// Strikes those of these contents that a person wanted tried again: what follows from it is written down.
///
/// # Errors
/// SQLite's.
pub fn forget_wanted_again(conn: &Connection, heard: &[Md5]) -> rusqlite::Result<()> {
    let mut wanted: BTreeSet<String> = noted(conn, WANTED_AGAIN)?.unwrap_or_default();
    for content in heard {
        wanted.remove(&content.to_string());
    }
    match wanted.is_empty() {
        true => conn.execute("DELETE FROM setting WHERE key = ?1", [WANTED_AGAIN]).map(drop),
        false => note(conn, WANTED_AGAIN, &wanted),
    }
}

/// Asks whoever keeps `mirror` in step to look at its folder.
///
/// # Errors
/// SQLite's.
pub fn ask_look(conn: &Connection, mirror: i64) -> rusqlite::Result<()> {
    settings::set(conn, &look_key(mirror), "1")
}

/// How often failed files were made due. What was refused before the last time says nothing any more: a file that is due
/// by it finds this counted.
///
/// # Errors
/// SQLite's.
pub fn asked(conn: &Connection) -> rusqlite::Result<u64> {
    Ok(settings::get(conn, ASKED)?.and_then(|count| count.parse().ok()).unwrap_or(0))
}

/// Makes failed files due: those of `mirror` at or below `path`, or all. Returns how many.
///
/// # Errors
/// SQLite's.
pub fn make_due(conn: &Connection, mirror: i64, path: Option<&str>) -> rusqlite::Result<u64> {
    // Before the files: whoever finds one due finds it counted, also without a transaction.
    settings::set(conn, ASKED, &(asked(conn)? + 1).to_string())?;
    // '0' is the character after '/'.
    let changed = conn.execute(
        "UPDATE file SET news = news + 1, failures = 0, retry_at = NULL, problem = NULL WHERE mirror = ?1 AND problem IS NOT NULL
         AND (?2 IS NULL OR path = ?2 OR (path > ?2 || '/' AND path < ?2 || '0'))",
        params![mirror, path],
    )?;
    Ok(changed as u64)
}

/// Whether somebody asked for a look at the folder of `mirror` since the last time.
///
/// # Errors
/// SQLite's.
pub fn take_look(conn: &Connection, mirror: i64) -> rusqlite::Result<bool> {
    let asked = settings::get(conn, &look_key(mirror))?.is_some();
    if asked {
        conn.execute("DELETE FROM setting WHERE key = ?1", [look_key(mirror)])?;
    }
    Ok(asked)
}

fn look_key(mirror: i64) -> String {
    format!("look:{mirror}")
}

#[cfg(test)]
mod tests {
    use super::super::status_notes::{pending, waiting};
    use super::*;
    use crate::index::files::samples::index;
    use crate::index::{Problem, files};
    use crate::model::ActionKind;

    fn add(conn: &Connection, mirror: i64, path: &str) -> i64 {
        conn.execute("INSERT INTO file (mirror, path, present, handled) VALUES (?1, ?2, 1, 1)", params![mirror, path])
            .unwrap();
        conn.last_insert_rowid()
    }

    #[test]
    fn a_retry_asks_for_one_look_at_the_folder() {
        let (conn, mirror) = index();
        assert!(!take_look(&conn, mirror).unwrap());
        retry(&conn, mirror, Some("a.png")).unwrap();
        assert!(take_look(&conn, mirror).unwrap());
        assert!(!take_look(&conn, mirror).unwrap());
    }

    #[test]
    fn each_retry_is_counted_where_files_become_due() {
        let (conn, mirror) = index();
        assert_eq!(asked(&conn).unwrap(), 0);
        retry(&conn, mirror, Some("a.png")).unwrap();
        make_due(&conn, mirror, None).unwrap();
        assert_eq!(asked(&conn).unwrap(), 2);
    }

    #[test]
    fn a_retry_tells_once_which_contents_failed_where_it_is_about() {
        let (conn, mirror) = index();
        let problem = Problem::new(ActionKind::Create, "c", "a");
        for path in ["a/1.bin", "b.bin", "fine.bin"] {
            let id = add(&conn, mirror, path);
            let content = Md5::of(path.as_bytes()).to_string();
            conn.execute("UPDATE file SET md5 = unhex(?2) WHERE id = ?1", params![id, content]).unwrap();
            if path != "fine.bin" {
                let row = files::by_path(&conn, mirror, path).unwrap().unwrap();
                files::failed(&conn, &row, &problem, files::RetryAt::NextPass, 0).unwrap();
            }
        }
        let take = || {
            let wanted = wanted_again(&conn).unwrap();
            assert_eq!(wanted_again(&conn).unwrap(), wanted, "it stays noted until somebody has written it down");
            forget_wanted_again(&conn, &wanted).unwrap();
            wanted
        };
        assert!(take().is_empty());
        retry(&conn, mirror, Some("fine.bin")).unwrap();
        assert!(take().is_empty());
        retry(&conn, mirror, Some("a")).unwrap();
        let heard = wanted_again(&conn).unwrap();
        assert_eq!(heard, [Md5::of(b"a/1.bin")]);
        retry(&conn, mirror, None).unwrap();
        forget_wanted_again(&conn, &heard).unwrap();
        assert_eq!(take(), [Md5::of(b"b.bin")], "it was noted after the others were heard");
        assert!(take().is_empty());
    }

    #[test]
    fn a_retry_is_about_the_path_and_what_is_below_and_about_nothing_that_did_not_fail() {
        let (conn, mirror) = index();
        let problem = Problem::new(ActionKind::Create, "c", "a");
        for path in ["a/b.png", "a/c.png", "a.png", "ab/d.png", "fine.png"] {
            add(&conn, mirror, path);
            if path != "fine.png" {
                let row = files::by_path(&conn, mirror, path).unwrap().unwrap();
                files::failed(&conn, &row, &problem, files::RetryAt::AfterAChange, 0).unwrap();
            }
        }
        assert_eq!(pending(&conn, mirror).unwrap(), 0);
        assert_eq!(retry(&conn, mirror, Some("fine.png")).unwrap(), 0);
        assert_eq!(retry(&conn, mirror, Some("a")).unwrap(), 2);
        assert_eq!(pending(&conn, mirror).unwrap(), 2);
        assert_eq!(retry(&conn, mirror, None).unwrap(), 2);
        assert!(files::problems(&conn, mirror).unwrap().is_empty());
        assert_eq!(waiting(&conn, mirror).unwrap(), (4, 0));
    }
}
