//! Whether what lies at the index's place is ours.
//!
//! Owns: the answer, before anything there is opened for writing, renamed or locked. A configuration may name a logo,
//! the configuration itself or another program's database by mistake; and a link leads elsewhere than its name says.
//! Never does: changing a file.

use std::fs::{self, Metadata, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use rustix::fs::OFlags;

use super::IndexError;
use super::lock::LockText;
use super::place::{companion, is_damage, read_only};
use crate::model::index_file::{APPLICATION_ID, HEADER_BYTES, SQLITE_MAGIC, application_id};

/// How a write-ahead log begins, in either byte order of its checksums.
const WAL_MAGIC: [[u8; 4]; 2] = [[0x37, 0x7f, 0x06, 0x82], [0x37, 0x7f, 0x06, 0x83]];
/// Tables that every index has had since the first.
const TABLES: [&str; 5] = ["setting", "mirror", "file", "asset", "intent"];

/// What lies at the index's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Owned {
    /// Nothing: an index may be made.
    Nothing,
    /// An index of ours, sound or damaged.
    Ours,
}

/// Looks whether `path`, and what lies beside it under the names that an index uses, is ours or free.
///
/// # Errors
/// [`IndexError::Foreign`], and the system's.
pub(super) fn check(path: &Path) -> Result<Owned, IndexError> {
    let foreign = |what: String| IndexError::Foreign { path: path.to_owned(), cause: what };
    let lock = lock_of(path)?;
    for suffix in ["-wal", "-shm", "-journal"] {
        let beside = companion(path, suffix);
        match look(path, &beside)? {
            Some(found) if !found.is_file() => {
                return Err(foreign(format!("{} beside it is {}", beside.display(), kind(&found))));
            }
            _ => {}
        }
    }
    let Some(found) = look(path, path)? else {
        let log = companion(path, "-wal");
        let head = look(path, &log)?.map(|_| head_of(path, &log)).transpose()?.unwrap_or_default();
        if !head.is_empty() && !WAL_MAGIC.iter().any(|magic| head.starts_with(magic)) {
            return Err(foreign(format!("{} beside it is another program's file", log.display())));
        }
        return Ok(Owned::Nothing);
    };
    if !found.is_file() {
        return Err(foreign(format!("it is {}", kind(&found))));
    }
    let head = head_of(path, path)?;
    let is_ours = match application_id(&head) {
        Some(APPLICATION_ID) => true,
        Some(0) => has_our_tables(path, lock.is_some())?,
        Some(_) => return Err(foreign("it is another program's database".into())),
        // No database, or one whose beginning is lost: what a crash leaves is short or zeros, and for the rest the lock
        // file tells which file was the index.
        None => lock.is_some_and(|lock| {
            head.iter().all(|byte| *byte == 0) || SQLITE_MAGIC.starts_with(&head) || lock.inode() == Some(found.ino())
        }),
    };
    if is_ours { Ok(Owned::Ours) } else { Err(foreign("it is a file of yours or of another program".into())) }
}

/// An index made before indexes had an application id, or one that was only just begun.
fn has_our_tables(path: &Path, has_lock: bool) -> Result<bool, IndexError> {
    let names = read_only(path).and_then(|conn| {
        let mut statement = conn.prepare("SELECT name FROM sqlite_master WHERE type = 'table'")?;
        let names = statement.query_map([], |row| row.get::<_, String>(0))?;
        names.collect::<rusqlite::Result<Vec<_>>>()
    });
    match names {
        Ok(names) if names.is_empty() => Ok(has_lock),
        Ok(names) => Ok(TABLES.iter().all(|table| names.iter().any(|name| name == table))),
        Err(error) if is_damage(&error) => Ok(has_lock),
        Err(error) => Err(IndexError::of_sqlite(path, &error)),
    }
}

/// What our lock file beside the index says, if there is one.
fn lock_of(path: &Path) -> Result<Option<LockText>, IndexError> {
    let lock = companion(path, ".lock");
    let foreign = |what: &str| IndexError::Foreign {
        path: path.to_owned(),
        cause: format!("its lock file would be {}, which is {what}", lock.display()),
    };
    let Some(found) = look(path, &lock)? else { return Ok(None) };
    if !found.is_file() {
        return Err(foreign(kind(&found)));
    }
    let text = head_of(path, &lock)?;
    LockText::parse(&text).map(Some).ok_or_else(|| foreign("another program's file"))
}

/// The beginning of a file, enough to tell whose it is. A link that came to be meanwhile is not followed.
fn head_of(index: &Path, path: &Path) -> Result<Vec<u8>, IndexError> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
    let read = || {
        let mut head = Vec::new();
        let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
        file.take(HEADER_BYTES.max(LockText::MOST_BYTES) as u64).read_to_end(&mut head)?;
        Ok::<_, io::Error>(head)
    };
    match read() {
        Ok(head) => Ok(head),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(IndexError::of_system(index, &error)),
    }
}

fn look(index: &Path, path: &Path) -> Result<Option<Metadata>, IndexError> {
    match fs::symlink_metadata(path) {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(IndexError::of_system(index, &error)),
    }
}

fn kind(found: &Metadata) -> &'static str {
    if found.is_symlink() {
        "a link, which is not followed"
    } else if found.is_dir() {
        "a folder"
    } else if found.is_file() {
        "a file"
    } else {
        "no regular file"
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::super::{Index, InstanceLock, settings};
    use super::*;

    fn cause(path: &Path) -> String {
        match check(path) {
            Err(IndexError::Foreign { cause, .. }) => cause,
            other => panic!("{other:?}"),
        }
    }

    /// Every way to open or lock refuses, and nothing is made or changed.
    fn is_left_alone(folder: &Path, name: &str) {
        let state = || {
            let mut all: Vec<_> = fs::read_dir(folder)
                .unwrap()
                .map(|entry| {
                    let entry = entry.unwrap();
                    let found = fs::symlink_metadata(entry.path()).unwrap();
                    let content = if found.is_file() { fs::read(entry.path()).unwrap() } else { Vec::new() };
                    (entry.file_name(), found.ino(), found.mode(), content)
                })
                .collect();
            all.sort();
            all
        };
        let (before, path) = (state(), folder.join(name));
        assert!(matches!(InstanceLock::acquire(&path), Err(IndexError::Foreign { .. })), "{name}");
        assert!(matches!(Index::open(&path), Err(IndexError::Foreign { .. })), "{name}");
        assert!(matches!(Index::snapshot(&path), Err(IndexError::Foreign { .. })), "{name}");
        assert!(Index::open_read_only(&path).is_err() && Index::open_beside(&path).is_err(), "{name}");
        assert_eq!(state(), before, "{name}");
    }

    #[test]
    fn what_is_not_ours_is_refused_and_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::write(at("logo.svg"), "<svg xmlns='http://www.w3.org/2000/svg'/>").unwrap();
        fs::write(at("dato-mirror.toml"), "[state]\npath = \"dato-mirror.toml\"\n".repeat(100)).unwrap();
        fs::write(at("empty"), "").unwrap();
        fs::write(at("zeros"), [0; 5000]).unwrap();
        fs::write(at("Cargo.lock"), "version = 4\n").unwrap();
        fs::write(at("log-wal"), "the log of somebody else").unwrap();
        fs::create_dir(at("folder")).unwrap();
        symlink("nowhere", at("dangling")).unwrap();
        symlink("nowhere", at("linked.lock")).unwrap();
        symlink("nowhere", at("linked-too-wal")).unwrap();
        let made = |name: &str, sql: &str| {
            rusqlite::Connection::open(at(name)).unwrap().execute_batch(sql).unwrap();
        };
        made("theirs.sqlite", "CREATE TABLE bookmark (url TEXT); CREATE TABLE file (id INTEGER);");
        made("fresh.sqlite", "CREATE TABLE t (a); DROP TABLE t;");
        made("claimed.sqlite", "PRAGMA application_id = 77; CREATE TABLE file (id INTEGER);");
        for name in [
            "logo.svg",
            "dato-mirror.toml",
            "empty",
            "zeros",
            "Cargo",
            "log",
            "folder",
            "dangling",
            "linked",
            "linked-too",
            "theirs.sqlite",
            "fresh.sqlite",
            "claimed.sqlite",
        ] {
            is_left_alone(dir.path(), name);
        }
        assert!(cause(&at("dangling")).contains("a link"));
        assert!(cause(&at("Cargo")).contains("Cargo.lock"));
        assert_eq!(check(&at("new")).unwrap(), Owned::Nothing);
    }

    #[test]
    fn a_link_to_an_index_of_ours_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        drop(Index::open(&dir.path().join("real.sqlite")).unwrap());
        symlink("real.sqlite", dir.path().join("index.sqlite")).unwrap();
        assert!(cause(&dir.path().join("index.sqlite")).contains("a link"));
    }

    #[tokio::test]
    async fn an_index_of_ours_is_known_sound_old_or_damaged() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("index.sqlite");
        let lock = InstanceLock::acquire(&path).unwrap();
        let index = Index::open(&path).unwrap().index;
        index.call(|conn| settings::set(conn, "k", "v")).await.unwrap();
        let head = head_of(&path, &path).unwrap();
        assert!(crate::model::index_file::is_index(&head), "told by its beginning from the first moment on");
        index.close().await;
        drop(lock);
        let sound = fs::read(&path).unwrap();

        // As all indexes were before they had an id.
        let conn = rusqlite::Connection::open(&path).unwrap();
        conn.execute_batch("PRAGMA application_id = 0").unwrap();
        drop(conn);
        assert_eq!(check(&path).unwrap(), Owned::Ours);
        Index::open(&path).unwrap().index.close().await;
        assert!(crate::model::index_file::is_index(&fs::read(&path).unwrap()), "it gets one");

        // `fs::write` keeps the inode, as damage does.
        let garbage = b"this is no database".repeat(100);
        let damage: [(&str, &[u8]); 5] = [
            ("emptied", &[]),
            ("cut in its beginning", &sound[..10]),
            ("cut", &sound[..5000]),
            ("zeros", &[0; 4096]),
            ("another beginning", &garbage),
        ];
        for (what, content) in damage {
            fs::write(&path, content).unwrap();
            assert_eq!(check(&path).unwrap(), Owned::Ours, "{what}");
            let lock = InstanceLock::acquire(&path).unwrap();
            let opened = Index::open(&path).unwrap();
            opened.index.call(|conn| settings::set(conn, "k", "v")).await.unwrap();
            opened.index.close().await;
            drop(lock);
        }

        // A file that was put in its place is another file.
        fs::write(dir.path().join("letter"), "dear reader ".repeat(500)).unwrap();
        fs::rename(dir.path().join("letter"), &path).unwrap();
        is_left_alone(dir.path(), "index.sqlite");
    }
}
