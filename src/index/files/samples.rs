//! An index in memory, and files for it.

use rusqlite::Connection;

use super::FoundFile;
use crate::disk::Fingerprint;
use crate::index::{schema, settings};
use crate::model::{Md5, RelPath};

pub fn index() -> (Connection, i64) {
    let mut conn = Connection::open_in_memory().unwrap();
    schema::migrate(&mut conn).unwrap();
    let mirror = settings::mirror(&conn, "brand").unwrap().id;
    (conn, mirror)
}

pub fn print(size: u64) -> Fingerprint {
    Fingerprint { size, mtime_ns: 1_000, ctime_ns: 1_000, inode: 7, dev: 1 }
}

pub fn file(path: &str, content: &str) -> FoundFile {
    FoundFile {
        path: RelPath::from_key(path).unwrap(),
        print: print(content.len() as u64),
        read_at_ns: 60_000_000_000,
        md5: Md5::of(content.as_bytes()),
        embedded: None,
    }
}
