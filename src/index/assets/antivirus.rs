//! What the service's antivirus said of assets.
//!
//! Owns: the questions about it.

use rusqlite::{Connection, OptionalExtension as _, params};

use super::{COLUMNS, asset_of};
use crate::index::files::bytes;
use crate::model::{Asset, Md5, UploadId};

/// An asset with this content whose file the service deleted as infected.
///
/// # Errors
/// SQLite's.
pub fn infected(conn: &Connection, md5: Md5) -> rusqlite::Result<Option<Asset>> {
    conn.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM asset WHERE md5 = ?1 AND antivirus = 'infected' ORDER BY id LIMIT 1"
    ))?
    .query_row([bytes(Some(&md5))], asset_of)
    .optional()
}

/// All infected assets as one text, which differs when they do.
///
/// # Errors
/// SQLite's.
pub fn infected_digest(conn: &Connection) -> rusqlite::Result<Option<Md5>> {
    let ids = conn
        .prepare_cached("SELECT id FROM asset WHERE antivirus = 'infected' ORDER BY id")?
        .query_map([], |row| row.get::<_, String>(0))?
        .collect::<rusqlite::Result<Vec<_>>>()?;
    Ok((!ids.is_empty()).then(|| Md5::of(ids.join(",").as_bytes())))
}

/// Assets of files on disk that the antivirus has not looked at, the next `limit` after `after` by id.
///
/// # Errors
/// SQLite's.
pub fn pending(conn: &Connection, after: &str, limit: usize) -> rusqlite::Result<Vec<UploadId>> {
    conn.prepare_cached(
        "SELECT id FROM asset WHERE antivirus = 'pending' AND id > ?1
            AND EXISTS (SELECT 1 FROM file WHERE file.asset = asset.id AND present = 1) ORDER BY id LIMIT ?2",
    )?
    .query_map(params![after, i64::try_from(limit).unwrap_or(i64::MAX)], |row| {
        Ok(UploadId::new(row.get::<_, String>(0)?))
    })?
    .collect()
}
