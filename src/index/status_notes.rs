//! What one process notes in the index for another: a run notes what it came to, `status` and `explain` show it.
//!
//! This module owns these notes with their JSON, and the queries of the commands that show state. A note that cannot be
//! read counts as none.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::settings;
use crate::model::{Advice, MetadataShape, Site};

/// Files that could not be taken in, remembered for each mirror.
const UNREAD: usize = 200;

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
    #[serde(flatten)]
    pub advice: Advice,
}

/// By which means a running daemon finds changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum How {
    /// The system tells of each.
    Native,
    /// It looks at the folder now and then.
    Polling,
    /// That is not known yet.
    #[serde(other)]
    Starting,
}

/// How a running daemon finds changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watching {
    /// By which means.
    pub how: How,
    /// Why it polls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What a person should mend, each in plain words.
    #[serde(default)]
    pub degraded: Vec<String>,
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

pub(super) fn note<T: Serialize>(conn: &Connection, key: &str, value: &T) -> rusqlite::Result<()> {
    settings::set(conn, key, &serde_json::to_string(value).unwrap_or_default())
}

pub(super) fn noted<T: DeserializeOwned>(conn: &Connection, key: &str) -> rusqlite::Result<Option<T>> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::files::samples::index;

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
}
