//! The user's metadata files (`*.meta.toml`, `_folder.meta.toml`, `*.xmp`) as last read, so that a changed one is
//! noticed and a pass need not open them again.

use rusqlite::{Connection, params};

use super::files;

/// A metadata file as last read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredSidecar {
    /// Its key below the root.
    pub path: String,
    /// Nanoseconds.
    pub mtime_ns: i64,
    /// Bytes.
    pub size: u64,
    /// Its inode.
    pub inode: u64,
    /// What was in it.
    pub content: Vec<u8>,
}

/// All metadata files of a mirror, in path order.
///
/// # Errors
/// SQLite's.
pub fn all(conn: &Connection, mirror: i64) -> rusqlite::Result<Vec<StoredSidecar>> {
    conn.prepare_cached("SELECT path, mtime_ns, size, inode, content FROM sidecar WHERE mirror = ?1 ORDER BY path")?
        .query_map([mirror], |row| {
            Ok(StoredSidecar {
                path: row.get(0)?,
                mtime_ns: row.get(1)?,
                size: row.get::<_, i64>(2)?.cast_unsigned(),
                inode: row.get::<_, i64>(3)?.cast_unsigned(),
                content: row.get(4)?,
            })
        })?
        .collect()
}

/// Remembers a metadata file.
///
/// # Errors
/// SQLite's.
pub fn put(conn: &Connection, mirror: i64, sidecar: &StoredSidecar) -> rusqlite::Result<()> {
    conn.prepare_cached(
        "INSERT INTO sidecar VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO UPDATE SET
         mtime_ns = excluded.mtime_ns, size = excluded.size, inode = excluded.inode, content = excluded.content",
    )?
    .execute(params![
        mirror,
        sidecar.path,
        sidecar.mtime_ns,
        sidecar.size.cast_signed(),
        sidecar.inode.cast_signed(),
        sidecar.content
    ])
    .map(drop)
}

/// Forgets a metadata file that is gone.
///
/// # Errors
/// SQLite's.
pub fn remove(conn: &Connection, mirror: i64, path: &str) -> rusqlite::Result<()> {
    conn.execute("DELETE FROM sidecar WHERE mirror = ?1 AND path = ?2", params![mirror, path]).map(drop)
}

/// Looks again at the file `path`, or at all files below the folder `path`.
///
/// # Errors
/// SQLite's.
pub fn mark_dirty(conn: &Connection, mirror: i64, path: &str, below: bool) -> rusqlite::Result<()> {
    if !below {
        conn.execute(
            "UPDATE file SET dirty = 1, retry_at = NULL WHERE mirror = ?1 AND path = ?2",
            params![mirror, path],
        )?;
        return Ok(());
    }
    for row in files::below(conn, mirror, path)? {
        conn.prepare_cached("UPDATE file SET dirty = 1, retry_at = NULL WHERE id = ?1")?.execute([row.id])?;
    }
    Ok(())
}
