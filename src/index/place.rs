//! The index as files: making, opening and setting them aside.
//!
//! Owns: modes, pragmas, what lies beside the index, and what each refusal of SQLite means. Never does: telling whose a
//! file is; that is `owner`, which is asked first.

use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::{IndexError, owner, schema};
use crate::model::index_file::APPLICATION_ID;

/// Statements kept ready: all there are, or each use of one more would parse it anew.
const STATEMENTS: usize = 128;

/// `look_through`: reads all of the file for damage, which takes as long as a walk of the tree.
pub(super) fn connect(path: &Path, look_through: bool) -> rusqlite::Result<Connection> {
    let mut conn = Connection::open(path)?;
    conn.busy_timeout(Duration::from_secs(10))?;
    let is_marked = sign(&conn)?;
    // FULL: an intent must be on the disk before the call it announces.
    conn.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;
         PRAGMA journal_size_limit = 67108864; PRAGMA cache_size = -16384; PRAGMA temp_store = MEMORY;",
    )?;
    if look_through {
        let check: String = conn.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
        if check != "ok" {
            return Err(rusqlite::Error::SqliteFailure(
                rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT),
                Some(check),
            ));
        }
    }
    schema::migrate(&mut conn)?;
    if is_marked {
        // Into the file itself: whose it is must be told by its beginning.
        conn.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))?;
    }
    conn.set_prepared_statement_cache_capacity(STATEMENTS);
    Ok(conn)
}

/// Writes into the file that it is an index of dato-mirror, before anything else is in it; true when it was not there.
fn sign(conn: &Connection) -> rusqlite::Result<bool> {
    let id: i32 = conn.pragma_query_value(None, "application_id", |row| row.get(0))?;
    if id == 0 {
        conn.pragma_update(None, "application_id", APPLICATION_ID)?;
    }
    Ok(id == 0)
}

/// An index without a name, gone with its connection: a million files do not fit well in memory, so it lies where the
/// system keeps temporary files, if it keeps any.
pub(super) fn nameless() -> rusqlite::Result<Connection> {
    let on_disk = Connection::open("").and_then(|conn| {
        conn.execute_batch("PRAGMA journal_mode = MEMORY; PRAGMA synchronous = OFF; PRAGMA cache_size = -16384;")?;
        Ok(conn)
    });
    let conn = on_disk.or_else(|_| Connection::open_in_memory())?;
    conn.set_prepared_statement_cache_capacity(STATEMENTS);
    Ok(conn)
}

pub(super) fn must_exist(path: &Path) -> Result<(), IndexError> {
    match path.try_exists() {
        Ok(true) => owner::check(path).map(drop),
        Ok(false) => Err(IndexError::Missing { path: path.to_owned() }),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Err(IndexError::Open {
            path: path.to_owned(),
            cause: format!("{error}; run this as the user that runs dato-mirror"),
        }),
        Err(error) => Err(IndexError::of_system(path, &error)),
    }
}

pub(super) fn cannot_open(path: &Path, error: &rusqlite::Error) -> IndexError {
    let cause = match error.sqlite_error_code() {
        Some(
            rusqlite::ErrorCode::CannotOpen | rusqlite::ErrorCode::PermissionDenied | rusqlite::ErrorCode::ReadOnly,
        ) => {
            format!("{error}; run this as the user that runs dato-mirror")
        }
        Some(rusqlite::ErrorCode::DatabaseCorrupt | rusqlite::ErrorCode::NotADatabase) => {
            format!("{error}; the next run sets it aside and builds a new one from the media area")
        }
        _ => return IndexError::of_sqlite(path, error),
    };
    IndexError::Open { path: path.to_owned(), cause }
}

pub(super) fn fits(path: &Path, version: usize) -> Result<(), IndexError> {
    match version.cmp(&schema::newest()) {
        std::cmp::Ordering::Equal => Ok(()),
        std::cmp::Ordering::Greater => Err(IndexError::Newer { path: path.to_owned() }),
        std::cmp::Ordering::Less => Err(IndexError::Older { path: path.to_owned() }),
    }
}

/// The file that SQLite or we keep beside the index.
pub(super) fn companion(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Opens for reading without leaving anything behind. SQLite makes files beside an index in WAL mode even to read it,
/// unless it is told that nobody writes, which is so where there is no write-ahead log.
pub(super) fn read_only(path: &Path) -> rusqlite::Result<Connection> {
    if companion(path, "-wal").exists() {
        return Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY);
    }
    let mut uri = b"file:".to_vec();
    for byte in path.as_os_str().as_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' => uri.push(*byte),
            _ => uri.extend(format!("%{byte:02X}").bytes()),
        }
    }
    uri.extend(b"?immutable=1");
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
    Connection::open_with_flags(String::from_utf8_lossy(&uri).as_ref(), flags)
}

pub(super) fn is_damage(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(rusqlite::ErrorCode::DatabaseCorrupt | rusqlite::ErrorCode::NotADatabase))
}

/// Makes the folders on the way to `path` that are missing, for this user alone; those that are there stay as they are.
pub(super) fn make_folder(path: &Path) -> io::Result<()> {
    match path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        Some(folder) => fs::DirBuilder::new().recursive(true).mode(0o700).create(folder),
        None => Ok(()),
    }
}

/// Makes the folder (0700 when new) and the file (0600), so that SQLite never creates it with a wider mode.
pub(super) fn make_private(path: &Path) -> io::Result<()> {
    make_folder(path)?;
    let no_link = rustix::fs::OFlags::NOFOLLOW.bits().cast_signed();
    let mut options = fs::OpenOptions::new();
    let file = options.create(true).truncate(false).write(true).mode(0o600).custom_flags(no_link).open(path)?;
    file.set_permissions(fs::Permissions::from_mode(0o600))
}

/// Reads all of the index and of its write-ahead log: whether the disk gives them.
pub(super) fn read_through(path: &Path) -> io::Result<()> {
    let mut block = vec![0; 1 << 20];
    for place in [path.to_owned(), companion(path, "-wal")] {
        let file = match fs::File::open(&place) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            opened => opened?,
        };
        let mut offset = 0;
        loop {
            match file.read_at(&mut block, offset) {
                Ok(0) => break,
                Ok(read) => offset += read as u64,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(())
}

/// Renames a damaged index and its companions; returns the new name.
pub(super) fn set_aside(path: &Path) -> io::Result<PathBuf> {
    let name = |suffix: &str| companion(path, suffix);
    let aside = (1..)
        .map(|n| name(&format!(".damaged-{n}")))
        .find(|candidate| fs::symlink_metadata(candidate).is_err())
        .unwrap_or_else(|| name(".damaged"));
    fs::rename(path, &aside)?;
    for companion in ["-wal", "-shm"] {
        match fs::remove_file(name(companion)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
    }
    Ok(aside)
}
