//! Small facts kept in the index: project, watermark, mirrors, calls a month.

use rusqlite::{Connection, OptionalExtension as _, params};

/// What the index remembers of a mirror.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MirrorRow {
    /// Row id, the `mirror` of all other tables.
    pub id: i64,
    /// JSON: what made the root the same folder when last mirrored.
    pub root: Option<String>,
    /// Digest of the rules all rows were last planned with.
    pub policy: String,
    /// The configured root that its name was found to belong to; empty: some root, told by an older version.
    pub belongs: Option<String>,
}

/// The value of `key`.
///
/// # Errors
/// SQLite's.
pub fn get(conn: &Connection, key: &str) -> rusqlite::Result<Option<String>> {
    conn.prepare_cached("SELECT value FROM setting WHERE key = ?1")?.query_row([key], |row| row.get(0)).optional()
}

/// Sets `key`.
///
/// # Errors
/// SQLite's.
pub fn set(conn: &Connection, key: &str, value: &str) -> rusqlite::Result<()> {
    conn.prepare_cached("INSERT INTO setting VALUES (?1, ?2) ON CONFLICT DO UPDATE SET value = ?2")?
        .execute([key, value])
        .map(drop)
}

/// The row of the mirror `name`, made when missing.
///
/// # Errors
/// SQLite's.
pub fn mirror(conn: &Connection, name: &str) -> rusqlite::Result<MirrorRow> {
    conn.execute("INSERT INTO mirror (name) VALUES (?1) ON CONFLICT DO NOTHING", [name])?;
    conn.query_row("SELECT id, root, policy, belongs FROM mirror WHERE name = ?1", [name], |row| {
        Ok(MirrorRow { id: row.get(0)?, root: row.get(1)?, policy: row.get(2)?, belongs: row.get(3)? })
    })
}

/// Whether the mirror `name` was mirrored by this index before: something is known of its root, or of a file.
///
/// # Errors
/// SQLite's.
pub fn was_mirrored(conn: &Connection, name: &str) -> rusqlite::Result<bool> {
    let sql =
        "SELECT root IS NOT NULL OR belongs IS NOT NULL OR EXISTS (SELECT 1 FROM file WHERE file.mirror = mirror.id)
               FROM mirror WHERE name = ?1";
    Ok(conn.query_row(sql, [name], |row| row.get(0)).optional()?.unwrap_or_default())
}

/// Remembers the identity of a mirror's root.
///
/// # Errors
/// SQLite's.
pub fn set_root(conn: &Connection, mirror: i64, root: &str) -> rusqlite::Result<()> {
    conn.execute("UPDATE mirror SET root = ?2 WHERE id = ?1", params![mirror, root]).map(drop)
}

/// Remembers the rules; when they differ from before, every file is looked at again.
///
/// # Errors
/// SQLite's.
pub fn set_policy(conn: &Connection, mirror: &MirrorRow, policy: &str) -> rusqlite::Result<()> {
    if mirror.policy != policy {
        conn.execute("UPDATE file SET news = news + 1, retry_at = NULL WHERE mirror = ?1", [mirror.id])?;
        conn.execute("UPDATE mirror SET policy = ?2 WHERE id = ?1", params![mirror.id, policy])?;
    }
    Ok(())
}

/// Adds to the calls made in `month` (`2026-11`, UTC) and returns their number.
///
/// # Errors
/// SQLite's.
pub fn count_calls(conn: &Connection, month: &str, calls: u64) -> rusqlite::Result<u64> {
    conn.prepare_cached(
        "INSERT INTO calls VALUES (?1, ?2) ON CONFLICT DO UPDATE SET count = count + ?2 RETURNING count",
    )?
    .query_row(params![month, calls.cast_signed()], |row| row.get::<_, i64>(0))
    .map(i64::cast_unsigned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::files::samples::index;

    #[test]
    fn new_rules_mean_every_file_is_looked_at_again_and_old_ones_do_not() {
        let (conn, _) = index();
        let row = mirror(&conn, "brand").unwrap();
        conn.execute("INSERT INTO file (mirror, path, present, handled) VALUES (?1, 'a', 1, 1)", [row.id]).unwrap();
        let dirty = |conn: &Connection| -> i64 {
            conn.query_row("SELECT count(*) FROM file WHERE dirty = 1", [], |row| row.get(0)).unwrap()
        };
        set_policy(&conn, &row, "").unwrap();
        assert_eq!(dirty(&conn), 0);
        set_policy(&conn, &row, "new").unwrap();
        assert_eq!(dirty(&conn), 1);
        assert_eq!(mirror(&conn, "brand").unwrap().policy, "new");
    }

    #[test]
    fn calls_add_up_by_month() {
        let (conn, _) = index();
        assert_eq!(count_calls(&conn, "2026-11", 3).unwrap(), 3);
        assert_eq!(count_calls(&conn, "2026-11", 4).unwrap(), 7);
        assert_eq!(count_calls(&conn, "2026-12", 1).unwrap(), 1);
    }
}
