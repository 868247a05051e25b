//! The index as files: making, opening and setting them aside.
//!
//! Owns: modes, pragmas, what lies beside the index, and what each refusal of SQLite means. Called by: `index`.

use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::{IndexError, schema};

/// Statements kept ready: all there are, or each use of one more would parse it anew.
const STATEMENTS: usize = 128;

/// `look_through`: reads all of the file for damage, which takes as long as a walk of the tree.
pub(super) fn connect(path: &Path, look_through: bool) -> rusqlite::Result<Connection> {
    let mut conn = Connection::open(path)?;
    conn.busy_timeout(Duration::from_secs(10))?;
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
    conn.set_prepared_statement_cache_capacity(STATEMENTS);
    Ok(conn)
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
        Ok(true) => Ok(()),
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

/// Makes the folder (0700 when new) and the file (0600), so that SQLite never creates it with a wider mode.
pub(super) fn make_private(path: &Path) -> io::Result<()> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty() && !folder.exists()) {
        fs::create_dir_all(folder)?;
        fs::set_permissions(folder, fs::Permissions::from_mode(0o700))?;
    }
    let file = fs::OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path)?;
    file.set_permissions(fs::Permissions::from_mode(0o600))
}

/// Renames a damaged index and its companions; returns the new name.
pub(super) fn set_aside(path: &Path) -> io::Result<PathBuf> {
    let name = |suffix: &str| companion(path, suffix);
    let aside = (1..)
        .map(|n| name(&format!(".damaged-{n}")))
        .find(|candidate| !candidate.exists())
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
