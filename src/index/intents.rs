//! Calls that change the remote, written before they are made.
//!
//! Owns: the SQL over `intent`. On start, open intents are settled by asking the remote, never by guessing.

use rusqlite::{Connection, OptionalExtension, params};

use super::files::{FileRow, bytes, digest};
use crate::model::{ActionKind, Md5, MirrorStamp, UploadId};

/// What was about to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IntentKind {
    /// An asset made.
    Create,
    /// An asset's file replaced.
    Replace,
    /// An asset deleted.
    Delete,
    /// An asset's metadata or name changed, where its stamp does not tell.
    Edit,
}

impl IntentKind {
    /// What was about to be done, in the words of reports.
    #[must_use]
    pub const fn action(self) -> ActionKind {
        match self {
            Self::Create => ActionKind::Create,
            Self::Replace => ActionKind::Replace,
            Self::Delete => ActionKind::Delete,
            Self::Edit => ActionKind::Retag,
        }
    }

    /// The word that is stored.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Replace => "replace",
            Self::Delete => "delete",
            Self::Edit => "edit",
        }
    }
}

/// An intent without an outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Intent {
    /// Row id.
    pub id: i64,
    /// The file's row.
    pub file: i64,
    /// The asset.
    pub asset: UploadId,
    /// What was about to be done.
    pub kind: IntentKind,
    /// The content sent.
    pub md5: Option<Md5>,
    /// What the mirror will have pushed to the asset once it is done.
    pub entry: Option<MirrorStamp>,
    /// The job that does it, once the service has told.
    pub job: Option<String>,
    /// When it was written, milliseconds since 1970.
    pub at_ms: i64,
}

/// Writes the intent to make an asset for `file`, as [`begin`] does, if the file still has the asset that the plan knew of,
/// or none: what came to have one meanwhile (under another spelling of its name, or by a listing) is to be planned again.
///
/// # Errors
/// SQLite's.
pub fn begin_creation(
    conn: &Connection,
    file: &FileRow,
    asset: &UploadId,
    md5: Option<Md5>,
    entry: Option<&MirrorStamp>,
    at_ms: i64,
) -> rusqlite::Result<Option<i64>> {
    let planned = file.asset.as_ref().map(UploadId::as_str);
    let is_as_planned: Option<bool> = conn
        .prepare_cached("SELECT asset IS ?2 FROM file WHERE id = ?1")?
        .query_row(params![file.id, planned], |row| row.get(0))
        .optional()?;
    match is_as_planned {
        Some(true) => begin(conn, file.id, asset, IntentKind::Create, md5, entry, at_ms).map(Some),
        Some(false) | None => Ok(None),
    }
}

/// Writes an intent; on disk before this returns.
///
/// # Errors
/// SQLite's.
pub fn begin(
    conn: &Connection,
    file: i64,
    asset: &UploadId,
    kind: IntentKind,
    md5: Option<Md5>,
    entry: Option<&MirrorStamp>,
    at_ms: i64,
) -> rusqlite::Result<i64> {
    conn.prepare_cached("INSERT INTO intent (file, asset, kind, md5, entry, at_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?
        .execute(params![file, asset.as_str(), kind.as_str(), bytes(md5.as_ref()), json(entry), at_ms])?;
    Ok(conn.last_insert_rowid())
}

fn json(entry: Option<&MirrorStamp>) -> Option<String> {
    entry.and_then(|entry| serde_json::to_string(entry).ok())
}

/// The last look at the asset changed what the mirror will have pushed.
///
/// # Errors
/// SQLite's.
pub fn set_entry(conn: &Connection, id: i64, entry: &MirrorStamp) -> rusqlite::Result<()> {
    conn.prepare_cached("UPDATE intent SET entry = ?2 WHERE id = ?1")?.execute(params![id, json(Some(entry))]).map(drop)
}

/// Remembers the job that does it.
///
/// # Errors
/// SQLite's.
pub fn set_job(conn: &Connection, id: i64, job: &str) -> rusqlite::Result<()> {
    conn.prepare_cached("UPDATE intent SET job = ?2 WHERE id = ?1")?.execute(params![id, job]).map(drop)
}

/// Its outcome is known.
///
/// # Errors
/// SQLite's.
pub fn end(conn: &Connection, id: i64) -> rusqlite::Result<()> {
    conn.prepare_cached("DELETE FROM intent WHERE id = ?1")?.execute([id]).map(drop)
}

/// All intents without an outcome, oldest first.
///
/// # Errors
/// SQLite's.
pub fn open(conn: &Connection) -> rusqlite::Result<Vec<Intent>> {
    conn.prepare_cached("SELECT id, file, asset, kind, md5, job, at_ms, entry FROM intent ORDER BY id")?
        .query_map([], |row| {
            let kind: String = row.get(3)?;
            Ok(Intent {
                id: row.get(0)?,
                file: row.get(1)?,
                asset: UploadId::new(row.get::<_, String>(2)?),
                kind: match kind.as_str() {
                    "create" => IntentKind::Create,
                    "replace" => IntentKind::Replace,
                    "delete" => IntentKind::Delete,
                    _ => IntentKind::Edit,
                },
                md5: digest(row, 4)?,
                job: row.get(5)?,
                at_ms: row.get(6)?,
                entry: row.get::<_, Option<String>>(7)?.and_then(|entry| serde_json::from_str(&entry).ok()),
            })
        })?
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::files::{self, samples};
    use super::*;
    use crate::index::schema;
    use crate::model::RelPath;

    #[test]
    fn a_creation_begins_only_while_the_file_has_the_asset_that_was_planned_for() {
        for (planned, now, begins) in [
            (None, None, true),
            (Some("shared"), Some("shared"), true),
            (None, Some("of its other spelling"), false),
            (Some("shared"), None, false),
            (Some("shared"), Some("another"), false),
        ] {
            let (conn, mirror) = samples::index();
            let sql = "INSERT INTO file (mirror, path, present, asset) VALUES (?1, 'logo.png', 1, ?2)";
            conn.execute(sql, params![mirror, planned]).unwrap();
            let path = RelPath::from_key("logo.png").unwrap();
            let row = files::by_path(&conn, mirror, path.key()).unwrap().unwrap();
            conn.execute("UPDATE file SET asset = ?1", [now]).unwrap();
            let begun = begin_creation(&conn, &row, &UploadId::new("new"), None, None, 5).unwrap();
            assert_eq!(begun.is_some(), begins, "{planned:?} {now:?}");
            assert_eq!(open(&conn).unwrap().len(), usize::from(begins), "{planned:?} {now:?}");
        }
        let (conn, mirror) = samples::index();
        conn.execute("INSERT INTO file (mirror, path, present) VALUES (?1, 'logo.png', 1)", [mirror]).unwrap();
        let row = files::by_path(&conn, mirror, "logo.png").unwrap().unwrap();
        conn.execute("DELETE FROM file", []).unwrap();
        assert_eq!(begin_creation(&conn, &row, &UploadId::new("new"), None, None, 5).unwrap(), None, "forgotten");
    }

    #[test]
    fn an_intent_is_open_until_it_ends() {
        let mut conn = Connection::open_in_memory().unwrap();
        schema::migrate(&mut conn).unwrap();
        let asset = UploadId::new("u");
        let id = begin(&conn, 7, &asset, IntentKind::Replace, Some(Md5::of(b"x")), None, 5).unwrap();
        let entry = MirrorStamp { made: true, ..MirrorStamp::default() };
        set_entry(&conn, id, &entry).unwrap();
        set_job(&conn, id, "job").unwrap();
        let expected = Intent {
            id,
            file: 7,
            asset,
            kind: IntentKind::Replace,
            md5: Some(Md5::of(b"x")),
            entry: Some(entry),
            job: Some("job".into()),
            at_ms: 5,
        };
        assert_eq!(open(&conn).unwrap(), [expected]);
        end(&conn, id).unwrap();
        assert!(open(&conn).unwrap().is_empty());
    }
}
