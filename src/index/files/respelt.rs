//! Rows of files whose names got other letters, upper or lower, on a disk that takes both for the same.
//!
//! Owns: the SQL by which such a file keeps its asset though its content changed at the same time: with the same
//! content it is a move like any other. Never does: looking at a disk; who calls has seen that the old name is only
//! another spelling.

use std::collections::{HashMap, HashSet};

use rusqlite::{Connection, params};

use super::{COLUMNS, FileRow, bytes, rows};
use crate::model::{RelPath, UploadId};

/// The files on disk with an asset that are at or below one of these paths but for the case of letters.
///
/// # Errors
/// SQLite's.
pub fn spelt_like(conn: &Connection, mirror: i64, paths: &[RelPath]) -> rusqlite::Result<Vec<FileRow>> {
    if paths.is_empty() {
        return Ok(Vec::new());
    }
    let spelt: HashSet<&str> = paths.iter().map(RelPath::key).collect();
    let alike: HashSet<String> = spelt.iter().map(|key| key.to_lowercase()).collect();
    let of_mirror = format!("SELECT {COLUMNS} FROM file WHERE mirror = ?1 AND present = 1 AND asset IS NOT NULL");
    let mut found = rows(conn, &of_mirror, [mirror])?;
    found.retain(|row| {
        let key = row.path.key();
        let mut places = key.match_indices('/').map(|(end, _)| &key[..end]).chain([key]);
        places.any(|place| !spelt.contains(place) && alike.contains(&place.to_lowercase()))
    });
    Ok(found)
}

/// Gives the asset of each of these rows, whose files are there under another spelling only, to the row of that spelling,
/// if it has none and another content. The file counts as changed, and its old name as gone.
///
/// # Errors
/// SQLite's.
pub fn take_over(conn: &Connection, mirror: i64, old: &[i64]) -> rusqlite::Result<()> {
    let new = format!(
        "SELECT {COLUMNS} FROM file WHERE mirror = ?1 AND present = 1 AND asset IS NULL
         AND id NOT IN (SELECT file FROM intent)"
    );
    let new = rows(conn, &new, [mirror])?;
    let mut new: HashMap<String, FileRow> = new.into_iter().map(|row| (row.path.key().to_lowercase(), row)).collect();
    let one = format!(
        "SELECT {COLUMNS} FROM file WHERE id = ?1 AND asset IS NOT NULL AND id NOT IN (SELECT file FROM intent)"
    );
    for id in old {
        let Some(old) = rows(conn, &one, [id])?.pop() else { continue };
        let alike = old.path.key().to_lowercase();
        if new.get(&alike).is_none_or(|new| new.md5 == old.md5) {
            continue;
        }
        let Some(new) = new.remove(&alike) else { continue };
        super::vanished(conn, &[old.id])?;
        conn.prepare_cached(
            "UPDATE file SET asset = ?2, base_md5 = ?3, news = news + 1, retry_at = NULL WHERE id = ?1",
        )?
        .execute(params![new.id, old.asset.as_ref().map(UploadId::as_str), bytes(old.base_md5.as_ref())])?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::samples::index;
    use super::*;

    #[test]
    fn what_is_spelt_like_a_path_or_lies_below_such_a_folder_is_found() {
        let (conn, mirror) = index();
        for path in ["Br/1.png", "Br/in/2.png", "br/3.png", "BRAND/4.png", "Logo.png", "logo.png"] {
            let sql = "INSERT INTO file (mirror, path, present, asset) VALUES (?1, ?2, 1, 'x')";
            conn.execute(sql, params![mirror, path]).unwrap();
        }
        for (paths, expected) in [
            (&["br"][..], &["Br/1.png", "Br/in/2.png"][..]),
            (&["logo.png"], &["Logo.png"]),
            (&["br/1.png", "LOGO.PNG"], &["Br/1.png", "Logo.png", "logo.png"]),
            (&[], &[]),
        ] {
            let paths: Vec<RelPath> = paths.iter().map(|path| RelPath::from_key(path).unwrap()).collect();
            let found = spelt_like(&conn, mirror, &paths).unwrap();
            let mut found: Vec<&str> = found.iter().map(|row| row.path.key()).collect();
            found.sort_unstable();
            assert_eq!(found, expected, "{paths:?}");
        }
    }

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
