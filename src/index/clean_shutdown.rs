//! The mark of an index that was closed well.
//!
//! Owns: what the lock file says about the index file as its last process left it. An index that is still so need not
//! be read through for damage at the start, which takes as long as a walk of the tree. Where there is no lock file
//! there is no mark. Damage that leaves the file's times alone is met when the pages are read, and the next start
//! looks.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use super::place::companion;

/// Takes the mark away; true when the index is as it was closed. A process that ends otherwise leaves none.
pub(super) fn take(path: &Path) -> bool {
    let place = companion(path, ".lock");
    let Ok(text) = fs::read_to_string(&place) else { return false };
    let is_as_left = !text.is_empty() && !companion(path, "-wal").exists() && state(path).as_deref() == Some(&text);
    // A mark that cannot be taken away would outlive a crash.
    emptied(&place).is_ok() && is_as_left
}

/// Sets the mark. SQLite has the file on the disk by then.
pub(super) fn set(path: &Path) {
    let (Some(state), Ok(mut place)) = (state(path), emptied(&companion(path, ".lock"))) else { return };
    // Half a mark is none.
    let _ = place.write_all(state.as_bytes());
}

fn emptied(place: &Path) -> std::io::Result<fs::File> {
    let no_link = rustix::fs::OFlags::NOFOLLOW.bits().cast_signed();
    OpenOptions::new().write(true).truncate(true).custom_flags(no_link).open(place)
}

fn state(path: &Path) -> Option<String> {
    let file = fs::metadata(path).ok()?;
    Some(format!("{} {} {} {}.{:09}\n", file.dev(), file.ino(), file.len(), file.mtime(), file.mtime_nsec()))
}

#[cfg(test)]
mod tests {
    use super::super::{Index, InstanceLock, settings};
    use super::*;

    #[tokio::test]
    async fn an_index_closed_well_is_not_read_through_again_until_it_is_another_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("index.sqlite");
        let lock = InstanceLock::acquire(&path).unwrap();
        let index = Index::open(&path).unwrap().index;
        let fill = |conn: &rusqlite::Connection| {
            (0..2_000).try_for_each(|n| settings::set(conn, &format!("key {n:04}"), &"x".repeat(100)))
        };
        index.call(fill).await.unwrap();
        assert!(!take(&path), "it is in use");
        index.close().await;
        assert!(take(&path));
        assert!(!take(&path), "whoever took it and crashed leaves none");

        set(&path);
        let mut bytes = fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle..middle + 8192].fill(0xaa);
        let times = fs::metadata(&path).unwrap().modified().unwrap();
        fs::write(&path, bytes).unwrap();
        let file = OpenOptions::new().write(true).open(&path).unwrap();
        file.set_modified(times).unwrap();
        let index = Index::open(&path).unwrap();
        assert!(index.notice.is_none(), "damage that no time tells of");
        let met =
            index.index.call(|conn| (0..2_000).try_for_each(|n| settings::get(conn, &format!("key {n:04}")).map(drop)));
        assert!(met.await.is_err());
        index.index.close().await;
        assert!(Index::open(&path).unwrap().notice.is_some(), "met when read, found at the next start");
        drop(lock);
    }
}
