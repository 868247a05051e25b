//! How many files stand where: the one definition of what `status`, the page and `status.json` count.
//!
//! Owns: that each file to be mirrored is counted once, and that what is gone from the folder is counted apart. Never
//! does: printing.

use rusqlite::Connection;
use serde::Serialize;

use super::{by_path, tally};

/// Where the files of a mirror stand. `files` is the sum of `mirrored`, `pending` and `failed`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct FileCounts {
    /// Files on disk that are to be mirrored, also those that could not be read.
    pub files: u64,
    /// Of these: in step with their asset, with nothing left to do and no problem.
    pub mirrored: u64,
    /// Of these: something is still to be done for them, and nothing went wrong with them so far.
    pub pending: u64,
    /// Of these: they have a problem, or could not be read.
    pub failed: u64,
    /// Not among the files: paths that are gone from the folder, while something about their assets is still to be done or
    /// went wrong, such as what the deletion guard withheld.
    pub gone: u64,
}

/// Where the files of a mirror stand; `unread` are the paths that scans could not take in.
///
/// # Errors
/// SQLite's.
pub fn counts<'a>(
    conn: &Connection,
    mirror: i64,
    unread: impl IntoIterator<Item = &'a str>,
) -> rusqlite::Result<FileCounts> {
    let tally = tally(conn, mirror)?;
    let mut new = 0;
    for path in unread {
        // What was read before counts as what it was then.
        new += u64::from(!by_path(conn, mirror, path)?.is_some_and(|row| row.present));
    }
    let (gone, gone_failed) = conn
        .prepare_cached(
            "SELECT count(*) FILTER (WHERE dirty = 1 OR problem IS NOT NULL), count(*) FILTER (WHERE problem IS NOT NULL)
             FROM file WHERE mirror = ?1 AND present = 0",
        )?
        .query_row([mirror], |row| Ok((row.get::<_, i64>(0)?.cast_unsigned(), row.get::<_, i64>(1)?.cast_unsigned())))?;
    let (files, failed) = (tally.present + new, tally.failed.saturating_sub(gone_failed) + new);
    let pending = files.saturating_sub(tally.mirrored + failed);
    Ok(FileCounts { files, mirrored: tally.mirrored, pending, failed, gone })
}

#[cfg(test)]
mod tests {
    use rusqlite::params;

    use super::super::samples::index;
    use super::*;

    #[test]
    fn each_file_is_counted_once_and_what_is_gone_apart() {
        let (conn, mirror) = index();
        let content = [1_u8; 16];
        // path, on disk, content as pushed, news, handled, problem
        for (path, present, base, news, problem) in [
            ("mirrored.png", true, true, 1, None),
            ("tags are new.png", true, true, 2, None),
            ("new.png", true, false, 2, None),
            ("refused.png", true, false, 1, Some("p")),
            ("refused, due again.png", true, true, 2, Some("p")),
            ("gone and done.png", false, true, 1, None),
            ("gone.png", false, true, 2, None),
            ("withheld.png", false, true, 2, Some("p")),
        ] {
            let base = base.then_some(content);
            conn.execute(
                "INSERT INTO file (mirror, path, present, md5, base_md5, news, handled, problem)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, 1, ?7)",
                params![mirror, path, present, content, base, news, problem],
            )
            .unwrap();
        }
        let counts = counts(&conn, mirror, ["shut.png", "mirrored.png"]).unwrap();
        assert_eq!(counts, FileCounts { files: 6, mirrored: 1, pending: 2, failed: 3, gone: 2 });
        assert_eq!(counts.files, counts.mirrored + counts.pending + counts.failed);
    }
}
