//! What one process tells another through the index: a run tells what it came to, `status` and `explain` show it;
//! `retry` makes failed files due, and the daemon asks every few seconds for what is due.
//!
//! Owns: these settings and their JSON, and the queries of the commands. A note that cannot be read counts as none.
//! Called by: the end of every pass, the daemon, and the commands that show state.

use std::collections::BTreeSet;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, params};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::settings;
use crate::model::{Md5, MetadataShape, Site};
use crate::report::MirrorReport;

/// Actions remembered for each path.
const HISTORY: usize = 5;
/// Files that could not be taken in, remembered for each mirror.
const UNREAD: usize = 200;
/// The key of the contents that a person wants tried again.
const WANTED_AGAIN: &str = "wanted_again";

/// What the last pass of a mirror came to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LastPass {
    /// When it ended.
    pub at: Timestamp,
    /// How long it took, ms.
    pub duration_ms: u64,
    /// Files that were looked at.
    pub scanned: u64,
    /// Files that needed something and got it.
    pub changed: u64,
    /// Assets deleted.
    pub deleted: u64,
    /// Files that are not mirrored and should be.
    pub failed: u64,
    /// API calls.
    pub api_requests: u64,
    /// Bytes sent to the bucket.
    pub bytes_uploaded: u64,
    /// What concerns the whole mirror: a guard that stopped it, an API that could not be reached; as (cause, advice).
    pub problems: Vec<(String, String)>,
}

/// A file that should be mirrored and could not be taken in, so that it has no row which says so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unread {
    /// Below the root.
    pub path: String,
    /// The cause in plain words.
    pub cause: String,
    /// What to do.
    pub advice: String,
}

impl LastPass {
    /// From a report.
    #[must_use]
    pub fn of(report: &MirrorReport, at: Timestamp, duration_ms: u64) -> Self {
        let whole = report.problems.iter().filter(|problem| problem.path.is_empty());
        Self {
            at,
            duration_ms,
            scanned: report.counts.scanned,
            changed: report.counts.changed_paths(),
            deleted: report.counts.deleted,
            failed: report.failed,
            api_requests: report.api_requests,
            bytes_uploaded: report.bytes_uploaded,
            problems: whole.map(|problem| (problem.cause.clone(), problem.advice.clone())).collect(),
        }
    }
}

/// How a running daemon finds changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watching {
    /// `native`, `polling` or `starting`.
    pub how: String,
    /// Why it polls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What a person should mend, each in plain words.
    #[serde(default)]
    pub degraded: Vec<String>,
}

/// An action that succeeded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {
    /// Milliseconds since 1970.
    pub at_ms: i64,
    /// Its name in reports.
    pub action: String,
    /// Why it was taken.
    pub why: String,
}

/// The project as last seen.
#[derive(Debug, Serialize, Deserialize)]
struct SiteNote {
    id: String,
    name: String,
    locales: Vec<String>,
    by_field: bool,
    custom_storage: bool,
    #[serde(default)]
    domain: Option<String>,
}

fn note<T: Serialize>(conn: &Connection, key: &str, value: &T) -> rusqlite::Result<()> {
    settings::set(conn, key, &serde_json::to_string(value).unwrap_or_default())
}

fn noted<T: DeserializeOwned>(conn: &Connection, key: &str) -> rusqlite::Result<Option<T>> {
    Ok(settings::get(conn, key)?.and_then(|json| serde_json::from_str(&json).ok()))
}

/// Remembers what a pass of `mirror` came to.
///
/// # Errors
/// SQLite's.
pub fn set_last_pass(conn: &Connection, mirror: &str, pass: &LastPass) -> rusqlite::Result<()> {
    note(conn, &format!("last_pass:{mirror}"), pass)
}

/// What the last pass of `mirror` came to.
///
/// # Errors
/// SQLite's.
pub fn last_pass(conn: &Connection, mirror: &str) -> rusqlite::Result<Option<LastPass>> {
    noted(conn, &format!("last_pass:{mirror}"))
}

/// Remembers what scans of `mirror` found on disk and could not take in, as of now.
///
/// # Errors
/// SQLite's.
pub fn set_unread(conn: &Connection, mirror: &str, unread: &[Unread]) -> rusqlite::Result<()> {
    note(conn, &format!("unread:{mirror}"), &&unread[..unread.len().min(UNREAD)])
}

/// What could not be taken in.
///
/// # Errors
/// SQLite's.
pub fn unread(conn: &Connection, mirror: &str) -> rusqlite::Result<Vec<Unread>> {
    Ok(noted(conn, &format!("unread:{mirror}"))?.unwrap_or_default())
}

/// The daemon tells how it finds the changes of `mirror`.
///
/// # Errors
/// SQLite's.
pub fn set_watching(conn: &Connection, mirror: &str, watching: &Watching) -> rusqlite::Result<()> {
    note(conn, &format!("watching:{mirror}"), watching)
}

/// How the daemon finds the changes of `mirror`; means nothing while none is running.
///
/// # Errors
/// SQLite's.
pub fn watching(conn: &Connection, mirror: &str) -> rusqlite::Result<Option<Watching>> {
    noted(conn, &format!("watching:{mirror}"))
}

/// Remembers the project, so that `explain` needs no call.
///
/// # Errors
/// SQLite's.
pub fn set_site(conn: &Connection, site: &Site) -> rusqlite::Result<()> {
    let Site { id, name, locales, shape, custom_storage, domain } = site.clone();
    let by_field = shape.is_by_field();
    note(conn, "site", &SiteNote { id, name, locales, by_field, custom_storage, domain })
}

/// The project as the last run saw it.
///
/// # Errors
/// SQLite's.
pub fn site(conn: &Connection) -> rusqlite::Result<Option<Site>> {
    Ok(noted::<SiteNote>(conn, "site")?.map(|SiteNote { id, name, locales, by_field, custom_storage, domain }| Site {
        id,
        name,
        locales,
        shape: MetadataShape::of(by_field),
        custom_storage,
        domain,
    }))
}

/// The row id of the mirror `name`; `None` when it never ran.
///
/// # Errors
/// SQLite's.
pub fn mirror_row(conn: &Connection, name: &str) -> rusqlite::Result<Option<i64>> {
    conn.query_row("SELECT id FROM mirror WHERE name = ?1", [name], |row| row.get(0)).optional()
}

/// Every mirror that ever ran, with its row id.
///
/// # Errors
/// SQLite's.
pub fn mirror_rows(conn: &Connection) -> rusqlite::Result<Vec<(String, i64)>> {
    let mut rows = conn.prepare_cached("SELECT name, id FROM mirror")?;
    rows.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
}

/// JSON of what the root of the mirror `name` was when last mirrored.
///
/// # Errors
/// SQLite's.
pub fn root_of(conn: &Connection, name: &str) -> rusqlite::Result<Option<String>> {
    Ok(conn.query_row("SELECT root FROM mirror WHERE name = ?1", [name], |row| row.get(0)).optional()?.flatten())
}

/// Calls made in `month` (`2026-11`, UTC).
///
/// # Errors
/// SQLite's.
pub fn calls_in(conn: &Connection, month: &str) -> rusqlite::Result<u64> {
    let count = conn.query_row("SELECT count FROM calls WHERE month = ?1", [month], |row| row.get::<_, i64>(0));
    Ok(count.optional()?.unwrap_or_default().cast_unsigned())
}

/// Files that wait for the planner and have no problem.
///
/// # Errors
/// SQLite's.
pub fn pending(conn: &Connection, mirror: i64) -> rusqlite::Result<u64> {
    let sql = "SELECT count(*) FROM file WHERE mirror = ?1 AND dirty = 1 AND problem IS NULL";
    conn.query_row(sql, [mirror], |row| row.get::<_, i64>(0)).map(i64::cast_unsigned)
}

/// What waits for a pass of `mirror`: files, and bytes that may have to be sent for them.
///
/// # Errors
/// SQLite's.
pub fn waiting(conn: &Connection, mirror: i64) -> rusqlite::Result<(u64, u64)> {
    let sql = "SELECT count(*), coalesce(sum(size) FILTER (WHERE present = 1 AND md5 IS NOT base_md5), 0)
               FROM file WHERE mirror = ?1 AND dirty = 1";
    conn.query_row(sql, [mirror], |row| {
        Ok((row.get::<_, i64>(0)?.cast_unsigned(), row.get::<_, i64>(1)?.cast_unsigned()))
    })
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

/// Makes failed files due: those of `mirror` at or below `path`, or all. Returns how many.
///
/// # Errors
/// SQLite's.
pub fn make_due(conn: &Connection, mirror: i64, path: Option<&str>) -> rusqlite::Result<u64> {
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
    use super::*;
    use crate::index::files::samples::index;
    use crate::index::{Problem, files};

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
    fn a_retry_tells_once_which_contents_failed_where_it_is_about() {
        let (conn, mirror) = index();
        let problem = Problem { action: "create".into(), cause: "c".into(), advice: "a".into() };
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
    fn what_cannot_be_read_is_told_until_it_can() {
        let (conn, _) = index();
        let unread = |path: usize| Unread { path: path.to_string(), cause: "c".into(), advice: "a".into() };
        let many: Vec<Unread> = (0..UNREAD + 5).map(unread).collect();
        set_unread(&conn, "brand", &many).unwrap();
        assert_eq!(super::unread(&conn, "brand").unwrap(), many[..UNREAD]);
        set_last_pass(&conn, "brand", &LastPass { scanned: 9, ..LastPass::default() }).unwrap();
        assert_eq!(super::unread(&conn, "brand").unwrap().len(), UNREAD, "a pass says nothing of it");
        set_unread(&conn, "brand", &[]).unwrap();
        assert!(super::unread(&conn, "brand").unwrap().is_empty());
    }

    #[test]
    fn what_is_told_is_read_back_and_nonsense_is_nothing() {
        let (conn, _) = index();
        let pass = LastPass { scanned: 3, problems: vec![("a".into(), "b".into())], ..LastPass::default() };
        set_last_pass(&conn, "brand", &pass).unwrap();
        assert_eq!(last_pass(&conn, "brand").unwrap(), Some(pass));
        assert_eq!(last_pass(&conn, "other").unwrap(), None);
        settings::set(&conn, "last_pass:other", "{").unwrap();
        assert_eq!(last_pass(&conn, "other").unwrap(), None);
        let site = Site {
            id: "1".into(),
            name: "n".into(),
            locales: vec!["en".into()],
            shape: MetadataShape::ByField,
            custom_storage: false,
            domain: Some("p.admin.datocms.com".into()),
        };
        set_site(&conn, &site).unwrap();
        assert_eq!(super::site(&conn).unwrap(), Some(site));
        assert_eq!(calls_in(&conn, "2026-11").unwrap(), 0);
        settings::count_calls(&conn, "2026-11", 7).unwrap();
        assert_eq!(calls_in(&conn, "2026-11").unwrap(), 7);
    }

    #[test]
    fn a_retry_is_about_the_path_and_what_is_below_and_about_nothing_that_did_not_fail() {
        let (conn, mirror) = index();
        let problem = Problem { action: "create".into(), cause: "c".into(), advice: "a".into() };
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

    #[test]
    fn the_history_of_a_path_has_an_end() {
        let (conn, mirror) = index();
        let id = add(&conn, mirror, "a.png");
        assert!(history(&conn, id).unwrap().is_empty());
        for at_ms in 0..9 {
            add_history(&conn, id, &Done { at_ms, action: "replace".into(), why: "w".into() }).unwrap();
        }
        let kept: Vec<i64> = history(&conn, id).unwrap().iter().map(|done| done.at_ms).collect();
        assert_eq!(kept, [4, 5, 6, 7, 8]);
    }
}
