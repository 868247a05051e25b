//! The rows of files: what is on disk, which asset a path has, and what is left to do.
//!
//! Owns: the SQL over `file`. A row is `dirty` when something it depends on changed since the planner last found
//! nothing to do; a pass looks only at dirty rows, so a run with nothing to do costs about a walk.

use std::hash::{DefaultHasher, Hasher as _};
use std::sync::atomic::{AtomicU64, Ordering};

use rusqlite::{Connection, OptionalExtension as _, Row, params};
use serde::{Deserialize, Serialize};

use super::companions;
use crate::disk::Fingerprint;
use crate::model::{Md5, RelPath, UploadId};

/// A path of a mirror as the index knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileRow {
    /// Row id.
    pub id: i64,
    /// The path below the root.
    pub path: RelPath,
    /// On disk when last looked.
    pub present: bool,
    /// What identified the content on disk without reading it.
    pub print: Option<Fingerprint>,
    /// Content on disk.
    pub md5: Option<Md5>,
    /// JSON of the metadata found inside the file.
    pub embedded: Option<String>,
    /// The asset known for this path.
    pub asset: Option<UploadId>,
    /// Content on disk when path and asset were last in step.
    pub base_md5: Option<Md5>,
    /// Times in a row it could not be mirrored.
    pub failures: u32,
    /// Fetched from a URL: its bytes lie in the cache, not in the root.
    pub cached: bool,
}

/// A file read from disk.
#[derive(Debug, Clone)]
pub struct FoundFile {
    /// The path below the root.
    pub path: RelPath,
    /// Taken before reading and found equal after it.
    pub print: Fingerprint,
    /// Nanoseconds since 1970, taken before reading.
    pub read_at_ns: i64,
    /// Its content.
    pub md5: Md5,
    /// JSON of the metadata found inside.
    pub embedded: Option<String>,
}

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
    /// Milliseconds since 1970 when it is tried again by itself; `None`: not before something changes.
    pub retry_at: Option<i64>,
}

/// Files of a mirror by state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// On disk.
    pub present: u64,
    /// On disk and in step with an asset.
    pub mirrored: u64,
    /// Waiting for the planner.
    pub dirty: u64,
    /// With a problem.
    pub failed: u64,
}

/// What a recorded action left behind for a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The asset the path now has.
    pub asset: Option<UploadId>,
    /// The content on disk that path and asset were in step with.
    pub base_md5: Option<Md5>,
}

const COLUMNS: &str = "id, path, raw, present, size, mtime_ns, ctime_ns, inode, dev, md5, embedded, asset, base_md5, \
                       failures, cached";

fn row_of(row: &Row<'_>) -> rusqlite::Result<FileRow> {
    let number = |index: usize| row.get::<_, Option<i64>>(index);
    let print = match (number(4)?, number(5)?, number(6)?, number(7)?, number(8)?) {
        (Some(size), Some(mtime_ns), Some(ctime_ns), Some(inode), Some(dev)) => Some(Fingerprint {
            size: size.cast_unsigned(),
            mtime_ns,
            ctime_ns,
            inode: inode.cast_unsigned(),
            dev: dev.cast_unsigned(),
        }),
        _ => None,
    };
    Ok(FileRow {
        id: row.get(0)?,
        path: RelPath::from_parts(row.get(1)?, row.get(2)?),
        present: row.get(3)?,
        print,
        md5: digest(row, 9)?,
        embedded: row.get(10)?,
        asset: row.get::<_, Option<String>>(11)?.map(UploadId::new),
        base_md5: digest(row, 12)?,
        failures: row.get(13)?,
        cached: row.get(14)?,
    })
}

pub(super) fn digest(row: &Row<'_>, index: usize) -> rusqlite::Result<Option<Md5>> {
    Ok(row.get_ref(index)?.as_blob_or_null()?.and_then(Md5::from_bytes))
}

pub(super) fn bytes(digest: Option<&Md5>) -> Option<&[u8]> {
    digest.map(|digest| digest.as_bytes().as_slice())
}

fn rows(conn: &Connection, sql: &str, values: impl rusqlite::Params) -> rusqlite::Result<Vec<FileRow>> {
    conn.prepare_cached(sql)?.query_map(values, row_of)?.collect()
}

/// Writes files as found on disk; a row becomes dirty when its content changed, appeared or came back.
///
/// # Errors
/// SQLite's.
pub fn found(conn: &Connection, mirror: i64, files: &[FoundFile]) -> rusqlite::Result<()> {
    let mut upsert = conn.prepare_cached(
        "INSERT INTO file (mirror, path, raw, present, size, mtime_ns, ctime_ns, inode, dev, read_at_ns, md5, embedded)
         VALUES (?1, ?2, ?3, 1, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)
         ON CONFLICT (mirror, path) DO UPDATE SET
            dirty = dirty OR present = 0 OR md5 IS NOT excluded.md5 OR embedded IS NOT excluded.embedded,
            failures = CASE WHEN md5 IS excluded.md5 THEN failures ELSE 0 END,
            retry_at = CASE WHEN md5 IS excluded.md5 AND present = 1 THEN retry_at END,
            raw = excluded.raw, present = 1, size = excluded.size, mtime_ns = excluded.mtime_ns,
            ctime_ns = excluded.ctime_ns, inode = excluded.inode, dev = excluded.dev,
            read_at_ns = excluded.read_at_ns, md5 = excluded.md5, embedded = excluded.embedded, cached = 0",
    )?;
    for file in files {
        upsert.execute(params![
            mirror,
            file.path.key(),
            file.path.raw_bytes(),
            file.print.size.cast_signed(),
            file.print.mtime_ns,
            file.print.ctime_ns,
            file.print.inode.cast_signed(),
            file.print.dev.cast_signed(),
            file.read_at_ns,
            bytes(Some(&file.md5)),
            file.embedded,
        ])?;
        companions::touch(conn, mirror, &file.path)?;
    }
    Ok(())
}

/// Marks rows whose files are no longer on disk.
///
/// # Errors
/// SQLite's.
pub fn vanished(conn: &Connection, ids: &[i64]) -> rusqlite::Result<()> {
    let mut update = conn.prepare_cached(
        "UPDATE file SET present = 0, dirty = 1, failures = 0, retry_at = NULL, problem = NULL, notice = NULL
         WHERE id = ?1",
    )?;
    ids.iter().try_for_each(|id| {
        update.execute([id])?;
        companions::touch_row(conn, *id)
    })
}

/// The row of one path.
///
/// # Errors
/// SQLite's.
pub fn by_path(conn: &Connection, mirror: i64, path: &str) -> rusqlite::Result<Option<FileRow>> {
    conn.prepare_cached(&format!("SELECT {COLUMNS} FROM file WHERE mirror = ?1 AND path = ?2"))?
        .query_row(params![mirror, path], row_of)
        .optional()
}

/// The path of a row.
///
/// # Errors
/// SQLite's.
pub fn path_of(conn: &Connection, id: i64) -> rusqlite::Result<RelPath> {
    conn.prepare_cached("SELECT path, raw FROM file WHERE id = ?1")?
        .query_row([id], |row| Ok(RelPath::from_parts(row.get(0)?, row.get(1)?)))
}

/// Whether any file is on disk.
///
/// # Errors
/// SQLite's.
pub fn any_present(conn: &Connection, mirror: i64) -> rusqlite::Result<bool> {
    conn.prepare_cached("SELECT EXISTS (SELECT 1 FROM file WHERE mirror = ?1 AND present = 1)")?
        .query_row([mirror], |row| row.get(0))
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
        params![mirror, i64::MAX],
        |row| row.get::<_, i64>(0),
    )
    .map(i64::cast_unsigned)
}

/// Present rows of a folder and below (all for the empty folder), in path order.
///
/// # Errors
/// SQLite's.
pub fn below(conn: &Connection, mirror: i64, folder: &str) -> rusqlite::Result<Vec<FileRow>> {
    if folder.is_empty() {
        return rows(conn, &format!("SELECT {COLUMNS} FROM file WHERE mirror = ?1 AND present = 1"), [mirror]);
    }
    // '0' is the character after '/'.
    rows(
        conn,
        &format!(
            "SELECT {COLUMNS} FROM file WHERE mirror = ?1 AND present = 1 AND path > ?2 || '/' AND path < ?2 || '0'"
        ),
        params![mirror, folder],
    )
}

/// All rows whose paths are `stem` and an extension, or several.
///
/// # Errors
/// SQLite's.
pub(super) fn beside(conn: &Connection, mirror: i64, stem: &str) -> rusqlite::Result<Vec<FileRow>> {
    // '/' is the character after '.'.
    let sql =
        format!("SELECT {COLUMNS} FROM file WHERE mirror = ?1 AND path > ?2 || '.' AND path < ?2 || '/' ORDER BY path");
    rows(conn, &sql, params![mirror, stem])
}

/// The next dirty rows after `after` in path order whose time has come.
///
/// # Errors
/// SQLite's.
pub fn dirty(
    conn: &Connection,
    mirror: i64,
    present: bool,
    after: &str,
    now_ms: i64,
    limit: u32,
) -> rusqlite::Result<Vec<FileRow>> {
    rows(
        conn,
        &format!(
            "SELECT {COLUMNS} FROM file WHERE mirror = ?1 AND dirty = 1 AND path > ?2 AND present = ?3
             AND (retry_at IS NULL OR retry_at <= ?4) ORDER BY path LIMIT ?5"
        ),
        params![mirror, after, present, now_ms, limit],
    )
}

/// Whether a dirty row's time has come.
///
/// # Errors
/// SQLite's.
pub fn is_due(conn: &Connection, mirror: i64, now_ms: i64) -> rusqlite::Result<bool> {
    conn.prepare_cached(
        "SELECT EXISTS (SELECT 1 FROM file WHERE mirror = ?1 AND dirty = 1 AND (retry_at IS NULL OR retry_at <= ?2))",
    )?
    .query_row(params![mirror, now_ms], |row| row.get(0))
}

/// Rows on disk that a change of the rows of `path` (and below) may have changed too, without an event of their own: those
/// with the same content now (one of them may be where a moved file came from), and those that share its asset (they may
/// be links to it).
///
/// # Errors
/// SQLite's.
pub fn related(conn: &Connection, mirror: i64, path: &str) -> rusqlite::Result<Vec<FileRow>> {
    let mut found = Vec::new();
    let mut changed = below(conn, mirror, path)?;
    changed.extend(by_path(conn, mirror, path)?.filter(|row| row.present));
    for row in changed.iter().filter(|row| row.md5 != row.base_md5 || row.asset.is_none()) {
        if let Some(md5) = row.md5 {
            found.extend(with_content(conn, mirror, md5)?);
        }
        if let Some(asset) = &row.asset {
            let columns = rows(
                conn,
                &format!("SELECT {COLUMNS} FROM file WHERE mirror = ?1 AND asset = ?2"),
                params![mirror, asset.as_str()],
            )?;
            found.extend(columns);
        }
    }
    found.retain(|row| row.present && !changed.iter().any(|changed| changed.id == row.id));
    found.sort_by_key(|row| row.id);
    found.dedup_by_key(|row| row.id);
    Ok(found)
}

/// Rows of the mirror with this content: on disk now, or when they were last in step and since gone.
///
/// # Errors
/// SQLite's.
pub fn with_content(conn: &Connection, mirror: i64, md5: Md5) -> rusqlite::Result<Vec<FileRow>> {
    rows(conn, &with_content_sql(), params![mirror, bytes(Some(&md5))])
}

/// The plus keeps SQLite from going through all rows of the mirror: the content leads to few.
fn with_content_sql() -> String {
    format!(
        "SELECT {COLUMNS} FROM file WHERE md5 = ?2 AND +mirror = ?1
         UNION SELECT {COLUMNS} FROM file WHERE +mirror = ?1 AND present = 0 AND md5 IS NULL AND asset IN
            (SELECT id FROM asset WHERE md5 = ?2)
         ORDER BY path"
    )
}

/// All rows, of any mirror, that have this asset: (mirror's name, row).
///
/// # Errors
/// SQLite's.
pub fn owners(conn: &Connection, asset: &UploadId) -> rusqlite::Result<Vec<(String, FileRow)>> {
    let sql = format!(
        "SELECT {}, mirror.name FROM file JOIN mirror ON mirror.id = file.mirror WHERE asset = ?1 ORDER BY file.path",
        COLUMNS.split(", ").map(|column| format!("file.{column}")).collect::<Vec<_>>().join(", ")
    );
    conn.prepare_cached(&sql)?.query_map([asset.as_str()], |row| Ok((row.get(15)?, row_of(row)?)))?.collect()
}

/// The planner found nothing to do for this row.
///
/// # Errors
/// SQLite's.
pub fn clean(conn: &Connection, id: i64) -> rusqlite::Result<()> {
    conn.prepare_cached(
        "UPDATE file SET dirty = 0, failures = 0, retry_at = NULL, problem = NULL WHERE id = ?1 AND (dirty = 1 OR \
         problem IS NOT NULL)",
    )?
    .execute([id])
    .map(drop)
}

/// An action on this row succeeded. The row stays dirty when the content on disk moved on meanwhile.
///
/// # Errors
/// SQLite's.
pub fn settled(conn: &Connection, id: i64, outcome: &Outcome, now_ms: i64) -> rusqlite::Result<()> {
    conn.prepare_cached(
        "UPDATE file SET asset = ?2, base_md5 = ?3, dirty = md5 IS NOT ?3, failures = 0, retry_at = NULL,
         problem = NULL, changed_at = ?4 WHERE id = ?1",
    )?
    .execute(params![id, outcome.asset.as_ref().map(UploadId::as_str), bytes(outcome.base_md5.as_ref()), now_ms])
    .map(drop)
}

/// An action on this row failed or is withheld; the row stays dirty and is tried again at `retry_at`, or at the
/// next pass.
///
/// # Errors
/// SQLite's.
pub fn failed(conn: &Connection, id: i64, problem: &Problem, retry_at: i64) -> rusqlite::Result<()> {
    conn.prepare_cached(
        "UPDATE file SET dirty = 1, failures = failures + 1, problem = ?2, retry_at = ?3 WHERE id = ?1",
    )?
    .execute(params![id, serde_json::to_string(problem).unwrap_or_default(), retry_at])
    .map(drop)
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

/// Looks at a row again.
///
/// # Errors
/// SQLite's.
pub fn mark_dirty(conn: &Connection, id: i64) -> rusqlite::Result<()> {
    conn.prepare_cached("UPDATE file SET dirty = 1 WHERE id = ?1")?.execute([id]).map(drop)
}

/// Looks at rows again: all that share an asset.
///
/// # Errors
/// SQLite's.
pub fn mark_owners_dirty(conn: &Connection, asset: &UploadId) -> rusqlite::Result<()> {
    conn.prepare_cached("UPDATE file SET dirty = 1, retry_at = NULL WHERE asset = ?1")?
        .execute([asset.as_str()])
        .map(drop)
}

/// Drops a row whose path is gone and whose asset is no longer its own.
///
/// # Errors
/// SQLite's.
pub fn forget(conn: &Connection, id: i64) -> rusqlite::Result<()> {
    conn.prepare_cached("DELETE FROM file WHERE id = ?1")?.execute([id]).map(drop)
}

/// Drops the row if its file is not on disk.
///
/// # Errors
/// SQLite's.
pub fn forget_gone(conn: &Connection, id: i64) -> rusqlite::Result<()> {
    conn.execute("DELETE FROM file WHERE id = ?1 AND present = 0", [id]).map(drop)
}

/// With `stamp = "digest"` the media area tells of paths by digest only. Rows rebuilt from such stamps are joined with
/// the rows of the paths they are about.
///
/// # Errors
/// SQLite's.
pub fn name_hidden(conn: &Connection, mirror: i64, digest_of: impl Fn(&RelPath) -> String) -> rusqlite::Result<()> {
    let hidden: i64 = conn.query_row(
        "SELECT count(*) FROM file WHERE mirror = ?1 AND present = 0 AND path GLOB '#*'",
        [mirror],
        |row| row.get(0),
    )?;
    if hidden == 0 {
        return Ok(());
    }
    let nameless = rows(
        conn,
        &format!("SELECT {COLUMNS} FROM file WHERE mirror = ?1 AND present = 1 AND asset IS NULL"),
        [mirror],
    )?;
    for row in nameless {
        let Some(twin) = by_path(conn, mirror, &digest_of(&row.path))?.filter(|twin| !twin.present) else { continue };
        forget(conn, twin.id)?;
        conn.prepare_cached("UPDATE file SET asset = ?2, base_md5 = ?3, dirty = 1 WHERE id = ?1")?.execute(params![
            row.id,
            twin.asset.as_ref().map(UploadId::as_str),
            bytes(twin.base_md5.as_ref())
        ])?;
    }
    Ok(())
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
        retry_at: row.get(2)?,
    })
}

/// How many files are in which state.
///
/// # Errors
/// SQLite's.
pub fn tally(conn: &Connection, mirror: i64) -> rusqlite::Result<Tally> {
    conn.query_row(
        "SELECT count(*) FILTER (WHERE present = 1), count(*) FILTER (WHERE present = 1 AND md5 IS base_md5 AND (asset IS NOT \
         NULL OR md5 IS NOT NULL)), count(*) FILTER (WHERE dirty = 1), count(*) FILTER (WHERE problem IS NOT NULL)
         FROM file WHERE mirror = ?1",
        [mirror],
        |row| {
            let count = |index| row.get::<_, i64>(index).map(i64::cast_unsigned);
            Ok(Tally { present: count(0)?, mirrored: count(1)?, dirty: count(2)?, failed: count(3)? })
        },
    )
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

/// How a walked file compares with the index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// As it was when last read.
    Unchanged,
    /// New, or to be read again.
    Read,
}

/// The fingerprints of a mirror's files, 24 bytes a file, for comparing a walk without a query a file.
#[derive(Debug)]
pub struct KnownFiles {
    /// Sorted (hash of the path, hash of the fingerprint, row id).
    entries: Vec<(u64, u64, i64)>,
    seen: Vec<AtomicU64>,
}

impl KnownFiles {
    /// Reads the mirror's present rows, or those of the files and folders `under`.
    ///
    /// # Errors
    /// SQLite's.
    pub fn load(conn: &Connection, mirror: i64, under: Option<&[String]>) -> rusqlite::Result<Self> {
        const COLUMNS: &str = "SELECT path, size, mtime_ns, ctime_ns, inode, dev, read_at_ns, id FROM file";
        let mut entries = Vec::new();
        match under {
            None => {
                // The plus has SQLite read the table as it lies: by the index of paths it would jump about in it.
                let sql = format!("{COLUMNS} WHERE +mirror = ?1 AND present = 1 AND cached = 0");
                Self::read(conn.prepare_cached(&sql)?.query([mirror])?, &mut entries)?;
            }
            Some(places) => {
                // Two queries and no OR, so that each goes by the index of paths.
                let file = format!("{COLUMNS} WHERE mirror = ?1 AND present = 1 AND cached = 0 AND path = ?2");
                let folder = format!(
                    "{COLUMNS} WHERE mirror = ?1 AND present = 1 AND cached = 0 AND path > ?2 || '/' AND path < ?2 || '0'"
                );
                let (mut file, mut folder) = (conn.prepare_cached(&file)?, conn.prepare_cached(&folder)?);
                for place in places {
                    Self::read(file.query(params![mirror, place])?, &mut entries)?;
                    Self::read(folder.query(params![mirror, place])?, &mut entries)?;
                }
            }
        }
        entries.sort_unstable();
        entries.dedup();
        let seen = (0..entries.len().div_ceil(64)).map(|_| AtomicU64::new(0)).collect();
        Ok(Self { entries, seen })
    }

    fn read(mut found: rusqlite::Rows<'_>, entries: &mut Vec<(u64, u64, i64)>) -> rusqlite::Result<()> {
        while let Some(row) = found.next()? {
            let path = hash_of(&row.get_ref(0)?.as_str()?);
            let print = match row.get::<_, Option<i64>>(1)? {
                Some(size) => {
                    let print = Fingerprint {
                        size: size.cast_unsigned(),
                        mtime_ns: row.get(2)?,
                        ctime_ns: row.get(3)?,
                        inode: row.get::<_, i64>(4)?.cast_unsigned(),
                        dev: row.get::<_, i64>(5)?.cast_unsigned(),
                    };
                    if print.racy(row.get(6)?) { 0 } else { print_hash(&print) }
                }
                None => 0,
            };
            entries.push((path, print, row.get(7)?));
        }
        Ok(())
    }

    /// Compares one walked file; safe from several threads.
    pub fn see(&self, path: &RelPath, print: &Fingerprint) -> Seen {
        let key = hash_of(&path.key());
        let start = self.entries.partition_point(|entry| entry.0 < key);
        let Some(entry) = self.entries.get(start).filter(|entry| entry.0 == key) else { return Seen::Read };
        self.seen[start / 64].fetch_or(1 << (start % 64), Ordering::Relaxed);
        if entry.1 == print_hash(print) { Seen::Unchanged } else { Seen::Read }
    }

    /// Rows not seen in the walk.
    pub fn unseen(&self) -> impl Iterator<Item = i64> + '_ {
        self.entries
            .iter()
            .enumerate()
            .filter(|(place, _)| self.seen[place / 64].load(Ordering::Relaxed) & (1 << (place % 64)) == 0)
            .map(|(_, entry)| entry.2)
    }
}

/// Without the device: a share gets another number each time it is mounted.
fn print_hash(print: &Fingerprint) -> u64 {
    hash_of(&Fingerprint { dev: 0, ..*print })
}

fn hash_of(value: &impl std::hash::Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::{schema, settings};

    #[test]
    fn looking_for_a_content_does_not_go_through_the_whole_mirror() {
        let (conn, mirror) = index();
        let sql = format!("EXPLAIN QUERY PLAN {}", with_content_sql());
        let plan: Vec<String> = conn
            .prepare(&sql)
            .unwrap()
            .query_map(params![mirror, vec![0_u8; 16]], |row| row.get(3))
            .unwrap()
            .collect::<rusqlite::Result<_>>()
            .unwrap();
        let of_files: Vec<_> = plan.iter().filter(|step| step.contains(" file ")).collect();
        assert!(
            of_files.len() == 2 && of_files.iter().all(|step| step.contains("file_md5") || step.contains("file_asset")),
            "{plan:#?}"
        );
    }

    fn index() -> (Connection, i64) {
        let mut conn = Connection::open_in_memory().unwrap();
        schema::migrate(&mut conn).unwrap();
        let mirror = settings::mirror(&conn, "brand").unwrap().id;
        (conn, mirror)
    }

    fn print(size: u64) -> Fingerprint {
        Fingerprint { size, mtime_ns: 1_000, ctime_ns: 1_000, inode: 7, dev: 1 }
    }

    fn file(path: &str, content: &str) -> FoundFile {
        FoundFile {
            path: RelPath::from_key(path).unwrap(),
            print: print(content.len() as u64),
            read_at_ns: 60_000_000_000,
            md5: Md5::of(content.as_bytes()),
            embedded: None,
        }
    }

    fn dirty_paths(conn: &Connection, mirror: i64) -> Vec<String> {
        dirty(conn, mirror, true, "", 0, 100).unwrap().into_iter().map(|row| row.path.key().to_owned()).collect()
    }

    #[test]
    fn a_file_is_dirty_until_settled_and_again_when_its_content_changes() {
        let (conn, mirror) = index();
        found(&conn, mirror, &[file("a", "1"), file("b", "2")]).unwrap();
        assert_eq!(dirty_paths(&conn, mirror), ["a", "b"]);
        let row = by_path(&conn, mirror, "a").unwrap().unwrap();
        let outcome = Outcome { asset: Some(UploadId::new("u")), base_md5: row.md5 };
        settled(&conn, row.id, &outcome, 0).unwrap();
        assert_eq!(dirty_paths(&conn, mirror), ["b"]);
        found(&conn, mirror, &[file("a", "1")]).unwrap();
        assert_eq!(dirty_paths(&conn, mirror), ["b"], "touched, not changed");
        found(&conn, mirror, &[file("a", "3")]).unwrap();
        assert_eq!(dirty_paths(&conn, mirror), ["a", "b"]);
        settled(&conn, row.id, &outcome, 0).unwrap();
        assert_eq!(dirty_paths(&conn, mirror), ["a", "b"], "what was mirrored is no longer what is on disk");
    }

    #[test]
    fn a_failed_file_waits_for_its_time_and_is_listed() {
        let (conn, mirror) = index();
        found(&conn, mirror, &[file("a", "1")]).unwrap();
        let row = by_path(&conn, mirror, "a").unwrap().unwrap();
        let problem = Problem { action: "create".into(), cause: "c".into(), advice: "d".into() };
        failed(&conn, row.id, &problem, 50).unwrap();
        assert!(dirty(&conn, mirror, true, "", 49, 10).unwrap().is_empty());
        assert_eq!(dirty(&conn, mirror, true, "", 50, 10).unwrap().len(), 1);
        assert_eq!(problems(&conn, mirror).unwrap()[0].problem, problem);
        clean(&conn, row.id).unwrap();
        assert!(problems(&conn, mirror).unwrap().is_empty());
    }

    #[test]
    fn a_walk_is_compared_without_queries() {
        let (conn, mirror) = index();
        found(&conn, mirror, &[file("a", "1"), file("b", "2"), file("c", "3")]).unwrap();
        let known = KnownFiles::load(&conn, mirror, None).unwrap();
        let path = |key: &str| RelPath::from_key(key).unwrap();
        assert_eq!(known.see(&path("a"), &print(1)), Seen::Unchanged);
        assert_eq!(known.see(&path("b"), &print(9)), Seen::Read);
        assert_eq!(known.see(&path("new"), &print(1)), Seen::Read);
        let unseen: Vec<i64> = known.unseen().collect();
        assert_eq!(unseen, [by_path(&conn, mirror, "c").unwrap().unwrap().id]);
        vanished(&conn, &unseen).unwrap();
        assert!(!by_path(&conn, mirror, "c").unwrap().unwrap().present);
    }

    #[test]
    fn a_file_read_as_it_was_written_is_read_again() {
        let (conn, mirror) = index();
        let mut racy = file("a", "1");
        racy.read_at_ns = racy.print.mtime_ns;
        found(&conn, mirror, &[racy]).unwrap();
        let known = KnownFiles::load(&conn, mirror, None).unwrap();
        assert_eq!(known.see(&RelPath::from_key("a").unwrap(), &print(1)), Seen::Read);
    }

    #[test]
    fn below_a_folder_means_below_it_only() {
        let (conn, mirror) = index();
        let names = ["a/x", "a/b/y", "ab/z", "a.png", "a0"];
        found(&conn, mirror, &names.map(|name| file(name, name))).unwrap();
        let keys = |folder| -> Vec<String> {
            below(&conn, mirror, folder).unwrap().iter().map(|row| row.path.key().to_owned()).collect()
        };
        assert_eq!(keys("a"), ["a/b/y", "a/x"]);
        assert_eq!(keys("").len(), 5);
    }
}
