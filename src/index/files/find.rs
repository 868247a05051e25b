//! Rows looked for by path, content, asset or neighbourhood.
//!
//! Owns: the queries and that each goes by an index. Writes nothing.

use std::collections::HashSet;

use rusqlite::{Connection, OptionalExtension as _, params};

use super::{COLUMNS, FileRow, bytes, row_of, rows};
use crate::model::{Md5, RelPath, UploadId};

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

/// The mirror of a row: its id and its name.
///
/// # Errors
/// SQLite's.
pub fn mirror_of(conn: &Connection, id: i64) -> rusqlite::Result<Option<(i64, String)>> {
    conn.prepare_cached(
        "SELECT mirror.id, mirror.name FROM file JOIN mirror ON mirror.id = file.mirror WHERE file.id = ?1",
    )?
    .query_row([id], |row| Ok((row.get(0)?, row.get(1)?)))
    .optional()
}

/// Whether nothing can be lost when a file that is not where it was is taken for gone at once: it has no asset and none is
/// being made for it, nor a track in step, or the same content is at a path without one, which takes the asset over.
///
/// # Errors
/// SQLite's.
pub fn can_go(conn: &Connection, id: i64) -> rusqlite::Result<bool> {
    conn.prepare_cached(
        "SELECT asset IS NULL AND base_md5 IS NULL AND id NOT IN (SELECT file FROM intent) OR EXISTS (
             SELECT 1 FROM file AS other WHERE other.md5 = file.md5 AND +other.mirror = file.mirror AND +other.present = 1
             AND other.asset IS NULL AND other.id <> file.id AND other.id NOT IN (SELECT file FROM intent))
         FROM file WHERE id = ?1",
    )?
    .query_row([id], |row| row.get(0))
}

/// Whether any file is on disk.
///
/// # Errors
/// SQLite's.
pub fn any_present(conn: &Connection, mirror: i64) -> rusqlite::Result<bool> {
    conn.prepare_cached("SELECT EXISTS (SELECT 1 FROM file WHERE mirror = ?1 AND present = 1)")?
        .query_row([mirror], |row| row.get(0))
}

/// Whether any file of the folder or below was on disk when last looked, or was found gone and nothing came of that yet.
///
/// # Errors
/// SQLite's.
pub fn any_below(conn: &Connection, mirror: i64, folder: &str) -> rusqlite::Result<bool> {
    // '0' is the character after '/'.
    conn.prepare_cached(
        "SELECT EXISTS (SELECT 1 FROM file WHERE mirror = ?1 AND (present = 1 OR dirty = 1) AND cached = 0 AND path > ?2 || '/' AND
         path < ?2 || '0')",
    )?
    .query_row(params![mirror, folder], |row| row.get(0))
}

/// Whether any row is at this path or below it, of a file that is there or of one that is gone.
///
/// # Errors
/// SQLite's.
pub fn is_known(conn: &Connection, mirror: i64, path: &str) -> rusqlite::Result<bool> {
    conn.prepare_cached(
        "SELECT EXISTS (SELECT 1 FROM file WHERE mirror = ?1 AND (path = ?2 OR (path > ?2 || '/' AND path < ?2 || '0')))",
    )?
    .query_row(params![mirror, path], |row| row.get(0))
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
pub(in crate::index) fn beside(conn: &Connection, mirror: i64, stem: &str) -> rusqlite::Result<Vec<FileRow>> {
    // '/' is the character after '.'.
    let sql =
        format!("SELECT {COLUMNS} FROM file WHERE mirror = ?1 AND path > ?2 || '.' AND path < ?2 || '/' ORDER BY path");
    rows(conn, &sql, params![mirror, stem])
}

/// Rows on disk that a change of the rows of `paths` (and below) may have changed too, without an event of their own: those
/// with the same content now (one of them may be where a moved file came from), and those that share an asset with them
/// (they may be links). Each content and each asset is looked for once, however many of the rows have it.
///
/// # Errors
/// SQLite's.
pub fn related<'a>(
    conn: &Connection,
    mirror: i64,
    paths: impl IntoIterator<Item = &'a str>,
) -> rusqlite::Result<Vec<FileRow>> {
    let (mut changed, mut contents, mut assets) = (HashSet::new(), HashSet::new(), HashSet::new());
    for path in paths {
        let own = by_path(conn, mirror, path)?.filter(|row| row.present);
        for row in below(conn, mirror, path)?.into_iter().chain(own) {
            if row.md5 != row.base_md5 || row.asset.is_none() {
                contents.extend(row.md5);
                assets.extend(row.asset);
            }
            changed.insert(row.id);
        }
    }
    let mut found = Vec::new();
    for md5 in contents {
        found.extend(with_content(conn, mirror, md5)?);
    }
    let of_asset = format!("SELECT {COLUMNS} FROM file WHERE asset = ?2 AND +mirror = ?1");
    for asset in assets {
        found.extend(rows(conn, &of_asset, params![mirror, asset.as_str()])?);
    }
    found.retain(|row| row.present && !changed.contains(&row.id));
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
pub(super) fn with_content_sql() -> String {
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
        "SELECT {}, mirror.name AS mirror_name FROM file JOIN mirror ON mirror.id = file.mirror WHERE asset = ?1 ORDER BY file.path",
        COLUMNS.split(", ").map(|column| format!("file.{column}")).collect::<Vec<_>>().join(", ")
    );
    conn.prepare_cached(&sql)?.query_map([asset.as_str()], |row| Ok((row.get("mirror_name")?, row_of(row)?)))?.collect()
}
