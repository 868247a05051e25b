//! Rows of files whose names got other letters, upper or lower, on a disk that takes both for the same.
//!
//! Owns: the SQL by which such a file keeps its asset though its content changed at the same time: with the same content it
//! is a move like any other. Never does: looking at a disk; who calls has seen that the old name is only another spelling.
//! Called by: the scan.

use rusqlite::{Connection, params};

use super::{COLUMNS, FileRow, bytes, rows};
use crate::model::{RelPath, UploadId};

/// The files on disk with an asset whose paths differ from one of these in the case of letters only.
///
/// # Errors
/// SQLite's.
pub fn spelt_like(conn: &Connection, mirror: i64, paths: &[RelPath]) -> rusqlite::Result<Vec<FileRow>> {
    if paths.is_empty() {
        return Ok(Vec::new());
    }
    let of_mirror = format!("SELECT {COLUMNS} FROM file WHERE mirror = ?1 AND present = 1 AND asset IS NOT NULL");
    let mut found = rows(conn, &of_mirror, [mirror])?;
    found.retain(|row| paths.iter().any(|path| is_like(&row.path, path)));
    Ok(found)
}

/// Gives the asset of each of these rows, whose files are there under another spelling only, to the row of that spelling,
/// if it has none and another content. The file counts as changed, and its old name as gone.
///
/// # Errors
/// SQLite's.
pub fn take_over(conn: &Connection, mirror: i64, old: &[i64]) -> rusqlite::Result<()> {
    for id in old {
        let one = format!(
            "SELECT {COLUMNS} FROM file WHERE id = ?1 AND asset IS NOT NULL AND id NOT IN (SELECT file FROM intent)"
        );
        let Some(old) = rows(conn, &one, [id])?.pop() else { continue };
        let new = format!(
            "SELECT {COLUMNS} FROM file WHERE mirror = ?1 AND present = 1 AND asset IS NULL AND md5 IS NOT ?2
             AND id NOT IN (SELECT file FROM intent)"
        );
        let new = rows(conn, &new, params![mirror, bytes(old.md5.as_ref())])?;
        let Some(new) = new.into_iter().find(|new| is_like(&new.path, &old.path)) else { continue };
        super::vanished(conn, &[old.id])?;
        conn.execute(
            "UPDATE file SET asset = ?2, base_md5 = ?3, news = news + 1, retry_at = NULL WHERE id = ?1",
            params![new.id, old.asset.as_ref().map(UploadId::as_str), bytes(old.base_md5.as_ref())],
        )?;
    }
    Ok(())
}

fn is_like(a: &RelPath, b: &RelPath) -> bool {
    a != b && a.key().to_lowercase() == b.key().to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::super::samples::index;
    use super::*;

    #[test]
    fn a_file_with_another_spelling_and_content_keeps_its_asset_and_one_with_the_same_content_is_left_to_the_planner() {
        for (new, content, begun, keeps) in [
            ("a/logo.png", 2, false, true),
            ("A/LOGO.png", 2, false, true),
            ("a/logo.png", 1, false, false),
            ("a/logo.svg", 2, false, false),
            ("a/logo.png", 2, true, false),
        ] {
            let (conn, mirror) = index();
            let put = |path: &str, content: u8, asset: Option<&str>| {
                let sql =
                    "INSERT INTO file (mirror, path, present, md5, base_md5, asset) VALUES (?1, ?2, 1, ?3, ?3, ?4)";
                conn.execute(sql, params![mirror, path, [content; 16], asset]).unwrap();
                conn.last_insert_rowid()
            };
            let old = put("a/Logo.png", 1, Some("x"));
            let id = put(new, content, None);
            if begun {
                let sql = "INSERT INTO intent (file, asset, kind, at_ms) VALUES (?1, 'new', 'create', 0)";
                conn.execute(sql, [id]).unwrap();
            }
            take_over(&conn, mirror, &[old]).unwrap();
            let asset = |id: i64| {
                let sql = "SELECT asset, present FROM file WHERE id = ?1";
                conn.query_row(sql, [id], |row| Ok((row.get::<_, Option<String>>(0)?, row.get::<_, bool>(1)?))).unwrap()
            };
            assert_eq!(asset(id), (keeps.then(|| "x".to_owned()), true), "{new} {content} {begun}");
            assert_eq!(asset(old), (Some("x".to_owned()), !keeps), "{new} {content} {begun}");
        }
    }
}
