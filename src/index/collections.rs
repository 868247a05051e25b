//! The collections' ids by their labels, so that a run need not ask for them again.
//!
//! Owns: the SQL over `collection`. A path without an id is wanted and could not be made: it is tried again.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::{Connection, params};

use crate::model::{CollectionId, RelPath};

/// The collections of a mirror as last found: labels from the outermost in, joined by `/` → id; `None` for one that is
/// wanted but could not be made.
pub type Known = BTreeMap<String, Option<CollectionId>>;

/// All that is known for a mirror.
///
/// # Errors
/// SQLite's.
pub fn known(conn: &Connection, mirror: i64) -> rusqlite::Result<Known> {
    conn.prepare_cached("SELECT path, id FROM collection WHERE mirror = ?1")?
        .query_map([mirror], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect()
}

/// Remembers the collections anew. When one was found that was missing before, all files are looked at again: those that
/// wait for it are not known.
///
/// # Errors
/// SQLite's.
pub fn remember(conn: &Connection, mirror: i64, all: &Known) -> rusqlite::Result<()> {
    let before = known(conn, mirror)?;
    if before == *all {
        return Ok(());
    }
    conn.execute("DELETE FROM collection WHERE mirror = ?1", [mirror])?;
    let mut insert = conn.prepare_cached("INSERT INTO collection VALUES (?1, ?2, ?3)")?;
    for (path, id) in all {
        insert.execute(params![mirror, path, id])?;
    }
    let found =
        |(path, id): (&String, &Option<CollectionId>)| id.is_none() && all.get(path).is_some_and(Option::is_some);
    if before.iter().any(found) {
        conn.execute("UPDATE file SET news = news + 1 WHERE mirror = ?1 AND present = 1", [mirror])?;
    }
    Ok(())
}

/// What `collection_of` says for each file on disk that the planner has something to look at.
///
/// # Errors
/// SQLite's.
pub fn wanted(
    conn: &Connection,
    mirror: i64,
    collection_of: impl Fn(&RelPath) -> Option<String>,
) -> rusqlite::Result<BTreeSet<String>> {
    let mut statement =
        conn.prepare_cached("SELECT path FROM file WHERE mirror = ?1 AND dirty = 1 AND present = 1 ORDER BY path")?;
    let mut rows = statement.query([mirror])?;
    let mut wanted = BTreeSet::new();
    while let Some(row) = rows.next()? {
        wanted.extend(collection_of(&RelPath::from_parts(row.get(0)?, None)));
    }
    Ok(wanted)
}
