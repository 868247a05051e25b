//! The rows of files: what is on disk, which asset a path has, and what is left to do.
//!
//! Owns: the SQL over `file`: here its rows and their writing, in `files/` the questions asked of them. Whatever a row
//! depends on raises its `news` when it changes, and the row is `dirty` until a plan that was made at least as late is
//! carried out. A pass looks only at dirty rows, so a run with nothing to do costs about a walk. Never does: deciding.

mod counts;
mod dirty;
mod find;
mod known;
mod problems;
mod respelt;
mod retry;

use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::{assets, claims, companions, contact};
use crate::disk::Fingerprint;
use crate::model::{Md5, RelPath, UploadId};

pub use counts::{FileCounts, counts};
pub use dirty::{
    clean, count_dirty, detach, dirty, due_of_asset, due_of_content, failed, is_due, left_due, look_again, mark_dirty,
    mark_others_dirty, mark_owners_dirty, settled, waiting, withheld,
};
pub(super) use find::beside;
pub use find::{
    any_below, any_present, below, by_path, can_go, is_known, mirror_of, owners, path_of, related, with_content,
};
pub use known::{KnownFiles, Seen};
pub use problems::{Problem, ProblemKind, StoredProblem, Tally, notices, problem_of, problems, set_notice, tally};
pub use respelt::{spelt_like, take_over};
pub use retry::{DueBy, LONGEST_WAIT_MS, RetryAt};

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
    /// This index itself read it from the disk in the root it has; only then can it be gone.
    pub seen: bool,
    /// How many reasons there were to look at this row when it was read. What is planned on the row answers these and no
    /// later ones.
    pub news: i64,
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

/// What a recorded action left behind for a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The asset the path now has.
    pub asset: Option<UploadId>,
    /// The content on disk that path and asset were in step with.
    pub base_md5: Option<Md5>,
}

const COLUMNS: &str = "id, path, raw, present, size, mtime_ns, ctime_ns, inode, dev, md5, embedded, asset, base_md5, \
                       failures, cached, news, seen";

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
        news: row.get(15)?,
        seen: row.get(16)?,
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
        "INSERT INTO file (mirror, path, raw, present, size, mtime_ns, ctime_ns, inode, dev, read_at_ns, md5, embedded,
                           seen)
         VALUES (?1, ?2, ?3, 1, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, 1)
         ON CONFLICT (mirror, path) DO UPDATE SET
            news = news + (present = 0 OR md5 IS NOT excluded.md5 OR embedded IS NOT excluded.embedded),
            failures = CASE WHEN md5 IS excluded.md5 THEN failures ELSE 0 END,
            retry_at = CASE WHEN md5 IS excluded.md5 AND present = 1 THEN retry_at END,
            raw = excluded.raw, present = 1, size = excluded.size, mtime_ns = excluded.mtime_ns,
            ctime_ns = excluded.ctime_ns, inode = excluded.inode, dev = excluded.dev,
            read_at_ns = excluded.read_at_ns, md5 = excluded.md5, embedded = excluded.embedded, cached = 0, seen = 1",
    )?;
    let met = contact::is_over(conn, mirror)?;
    for file in files {
        if met {
            contact::appears(conn, mirror, file.path.key(), file.md5)?;
        }
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
        "UPDATE file SET present = 0, news = news + 1, failures = 0, retry_at = NULL, problem = NULL, notice = NULL
         WHERE id = ?1",
    )?;
    ids.iter().try_for_each(|id| {
        update.execute([id])?;
        companions::touch_row(conn, *id)
    })
}

/// Drops a row whose path is gone and whose asset is no longer its own. One whose file came back, or of which there is
/// other news since it was planned, stays due as it is.
///
/// # Errors
/// SQLite's.
pub fn forget(conn: &Connection, planned: &FileRow) -> rusqlite::Result<()> {
    conn.prepare_cached("DELETE FROM file WHERE id = ?1 AND path = ?2 AND present = 0 AND news = ?3")?
        .execute(params![planned.id, planned.path.key(), planned.news])
        .map(drop)
}

/// The path's asset is another path's from now on, or gone by our own doing: drops the row, or, when its file came back
/// meanwhile, leaves the row without an asset and due.
///
/// # Errors
/// SQLite's.
pub fn release(conn: &Connection, id: i64) -> rusqlite::Result<()> {
    forget_gone(conn, id)?;
    detach(conn, id)
}

/// An asset's file was replaced by content `md5`: the row `id`, and all others of its mirror that have the asset and this
/// content, are in step with that.
///
/// # Errors
/// SQLite's.
pub fn replaced(conn: &Connection, mirror: i64, id: i64, asset: &UploadId, md5: Md5) -> rusqlite::Result<()> {
    conn.prepare_cached(
        "UPDATE file SET base_md5 = ?4, news = news + 1, retry_at = NULL
         WHERE mirror = ?1 AND asset = ?3 AND (id = ?2 OR md5 = ?4)",
    )?
    .execute(params![mirror, id, asset.as_str(), bytes(Some(&md5))])
    .map(drop)
}

/// Gives a file the asset that was made for it, as content `md5`; tells the mirror's row and the asset it had before, if
/// that was another.
///
/// # Errors
/// SQLite's.
pub fn made(
    conn: &Connection,
    id: i64,
    asset: &UploadId,
    md5: Option<Md5>,
) -> rusqlite::Result<Option<(i64, UploadId)>> {
    let before = conn
        .prepare_cached("SELECT mirror, asset FROM file WHERE id = ?1 AND asset <> ?2")?
        .query_row(params![id, asset.as_str()], |row| Ok((row.get(0)?, UploadId::new(row.get::<_, String>(1)?))))
        .optional()?;
    conn.prepare_cached(
        "UPDATE file SET asset = ?2, base_md5 = ?3, news = news + 1, retry_at = NULL WHERE id = ?1 AND asset IS NOT ?2",
    )?
    .execute(params![id, asset.as_str(), bytes(md5.as_ref())])?;
    Ok(before)
}

/// Gives the path of `row` another asset, in step as content `base`. A file that is not on disk has a row as stamps make
/// it: what became of the file here says nothing of an asset that another machine gave its path.
pub(super) fn hand_over(
    conn: &Connection,
    mirror: i64,
    row: &FileRow,
    asset: &UploadId,
    base: Option<Md5>,
) -> rusqlite::Result<()> {
    if !row.present {
        forget_gone(conn, row.id)?;
        return conn
            .prepare_cached("INSERT INTO file (mirror, path, present, asset, base_md5) VALUES (?1, ?2, 0, ?3, ?4)")?
            .execute(params![mirror, row.path.key(), asset.as_str(), bytes(base.as_ref())])
            .map(drop);
    }
    conn.prepare_cached("UPDATE file SET asset = ?2, base_md5 = ?3, news = news + 1, retry_at = NULL WHERE id = ?1")?
        .execute(params![row.id, asset.as_str(), bytes(base.as_ref())])
        .map(drop)
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
    let name: String = conn.query_row("SELECT name FROM mirror WHERE id = ?1", [mirror], |row| row.get(0))?;
    // One with an asset may have been parted from it: then something is new about it.
    let nameless = rows(
        conn,
        &format!("SELECT {COLUMNS} FROM file WHERE mirror = ?1 AND present = 1 AND (asset IS NULL OR dirty = 1)"),
        [mirror],
    )?;
    for row in nameless {
        let digest = digest_of(&row.path);
        let Some(twin) = by_path(conn, mirror, &digest)?.filter(|twin| !twin.present) else { continue };
        if row.asset.is_some() {
            // It follows the stamp or not; either way the twin has told what it knew.
            if let Some(asset) = twin.asset.as_ref().map(|id| assets::by_id(conn, id)).transpose()?.flatten() {
                claims::settle(conn, claims::Mirror { id: mirror, name: &name }, &row, &digest, &asset)?;
            }
            forget_gone(conn, twin.id)?;
            continue;
        }
        if let Some(asset) = twin.asset.as_ref().map(|id| assets::by_id(conn, id)).transpose()?.flatten() {
            contact::meets(conn, mirror, row.path.key(), &asset, twin.base_md5)?;
        }
        forget_gone(conn, twin.id)?;
        conn.prepare_cached("UPDATE file SET asset = ?2, base_md5 = ?3, news = news + 1 WHERE id = ?1")?
            .execute(params![row.id, twin.asset.as_ref().map(UploadId::as_str), bytes(twin.base_md5.as_ref())])?;
    }
    Ok(())
}

#[cfg(test)]
pub(super) mod samples;

#[cfg(test)]
mod tests {
    use super::samples::{file, index};
    use super::*;
    use crate::model::ActionKind;

    #[test]
    fn looking_for_a_content_does_not_go_through_the_whole_mirror() {
        let (conn, mirror) = index();
        let sql = format!("EXPLAIN QUERY PLAN {}", find::with_content_sql());
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
        settled(&conn, &row, &outcome, 0).unwrap();
        assert_eq!(dirty_paths(&conn, mirror), ["b"]);
        found(&conn, mirror, &[file("a", "1")]).unwrap();
        assert_eq!(dirty_paths(&conn, mirror), ["b"], "touched, not changed");
        found(&conn, mirror, &[file("a", "3")]).unwrap();
        assert_eq!(dirty_paths(&conn, mirror), ["a", "b"]);
        settled(&conn, &row, &outcome, 0).unwrap();
        assert_eq!(dirty_paths(&conn, mirror), ["a", "b"], "what was mirrored is no longer what is on disk");
    }

    #[test]
    fn a_success_clears_nothing_that_came_after_its_plan() {
        type News = fn(&Connection, i64, &FileRow);
        let news: [(&str, News); 6] = [
            ("the file changed again", |conn, mirror, _| found(conn, mirror, &[file("a", "2")]).unwrap()),
            ("the file went away", |conn, _, row| vanished(conn, &[row.id]).unwrap()),
            ("it went away and came back", |conn, mirror, row| {
                vanished(conn, &[row.id]).unwrap();
                found(conn, mirror, &[file("a", "1")]).unwrap();
            }),
            ("an editor changed its asset", |conn, _, _| mark_owners_dirty(conn, &UploadId::new("u")).unwrap()),
            ("its metadata file was saved", |conn, mirror, _| {
                crate::index::sidecars::mark_dirty(conn, mirror, "a", false).unwrap();
            }),
            ("the rules changed", |conn, _, _| {
                let row = crate::index::settings::mirror(conn, "brand").unwrap();
                crate::index::settings::set_policy(conn, &row, "new").unwrap();
            }),
        ];
        for (what, comes) in news {
            let (conn, mirror) = index();
            found(&conn, mirror, &[file("a", "1")]).unwrap();
            let outcome = Outcome { asset: Some(UploadId::new("u")), base_md5: Some(Md5::of(b"1")) };
            let new = by_path(&conn, mirror, "a").unwrap().unwrap();
            settled(&conn, &new, &outcome, 0).unwrap();
            mark_dirty(&conn, new.id).unwrap();
            let planned = by_path(&conn, mirror, "a").unwrap().unwrap();
            comes(&conn, mirror, &planned);
            let is_due = || is_due(&conn, mirror, 60).unwrap();
            for success in [clean(&conn, &planned), settled(&conn, &planned, &outcome, 0)] {
                success.unwrap();
                assert!(is_due(), "{what}");
            }
            forget(&conn, &planned).unwrap();
            assert!(is_due(), "{what}: it is not forgotten either");
            let problem = Problem::new(ActionKind::Create, "c", "d");
            failed(&conn, &planned, &problem, RetryAt::AfterAChange, 60).unwrap();
            assert!(is_due(), "{what}: what failed for good is tried again when there is news");
            let now = by_path(&conn, mirror, "a").unwrap().unwrap();
            clean(&conn, &now).unwrap();
            assert!(!is_due(), "{what}: a plan that knows of it clears it");
        }
    }

    #[test]
    fn a_success_says_nothing_of_another_path_that_got_the_same_row_number() {
        let (conn, mirror) = index();
        found(&conn, mirror, &[file("a", "1")]).unwrap();
        let planned = by_path(&conn, mirror, "a").unwrap().unwrap();
        conn.execute("DELETE FROM file", []).unwrap();
        found(&conn, mirror, &[file("b", "2")]).unwrap();
        settled(&conn, &planned, &Outcome { asset: Some(UploadId::new("u")), base_md5: planned.md5 }, 0).unwrap();
        let other = by_path(&conn, mirror, "b").unwrap().unwrap();
        assert_eq!((other.id, other.asset), (planned.id, None));
        assert_eq!(dirty_paths(&conn, mirror), ["b"]);
    }

    #[test]
    fn a_failed_file_waits_for_its_time_and_is_listed() {
        let (conn, mirror) = index();
        found(&conn, mirror, &[file("a", "1")]).unwrap();
        let row = by_path(&conn, mirror, "a").unwrap().unwrap();
        let problem = Problem::new(ActionKind::Create, "c", "d");
        failed(&conn, &row, &problem, RetryAt::Time(50), 0).unwrap();
        assert!(dirty(&conn, mirror, true, "", 49, 10).unwrap().is_empty());
        assert_eq!(dirty(&conn, mirror, true, "", 50, 10).unwrap().len(), 1);
        assert_eq!(problems(&conn, mirror).unwrap()[0].problem, problem);
        clean(&conn, &row).unwrap();
        assert!(problems(&conn, mirror).unwrap().is_empty());
    }

    #[test]
    fn a_time_stored_under_a_wrong_clock_does_not_hold_a_file_back() {
        let (conn, mirror) = index();
        found(&conn, mirror, &[file("a", "1")]).unwrap();
        let row = by_path(&conn, mirror, "a").unwrap().unwrap();
        let problem = Problem::new(ActionKind::Create, "c", "d");
        let now = 1_700_000_000_000;
        let far = now + 364 * 86_400_000;
        for (retry, due) in [
            (RetryAt::Time(now + LONGEST_WAIT_MS), false),
            (RetryAt::Time(far), true),
            (RetryAt::NextPass, true),
            (RetryAt::AfterAChange, false),
        ] {
            let row = by_path(&conn, mirror, "a").unwrap().unwrap_or_else(|| row.clone());
            failed(&conn, &row, &problem, retry, 0).unwrap();
            assert_eq!(is_due(&conn, mirror, now).unwrap(), due, "{retry:?}");
            assert_eq!(dirty(&conn, mirror, true, "", now, 10).unwrap().len(), usize::from(due), "{retry:?}");
            assert_eq!(dirty(&conn, mirror, true, "", i64::MAX, 10).unwrap().len(), 1, "an impatient pass takes it");
            assert_eq!(problems(&conn, mirror).unwrap()[0].retry, retry);
        }
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
