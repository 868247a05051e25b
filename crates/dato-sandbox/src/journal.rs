//! What the sandbox keeps on disk, so that a restart serves the same state.
//!
//! Owns: one SQLite table of JSON rows by kind, environment and id; a change writes its own rows only, so 100,000
//! assets cost no more than ten. Never does: knowing what the rows mean.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, params};
use serde::Serialize;

/// The rows; without a file, nothing is kept.
#[derive(Debug)]
pub(super) struct Journal(Option<Connection>);

impl Journal {
    /// A journal that keeps nothing: the sandbox ends with its process.
    pub(super) const fn none() -> Self {
        Self(None)
    }

    /// Opens or makes the file.
    pub(super) fn open(path: &Path) -> rusqlite::Result<Self> {
        let connection = Connection::open(path)?;
        // Another sandbox keeps the file as long as it runs: waiting longer would not help.
        connection.busy_timeout(Duration::from_millis(300))?;
        // A killed process loses nothing this way; only a power cut could, which a sandbox may.
        connection.execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF; PRAGMA locking_mode = EXCLUSIVE;
             CREATE TABLE IF NOT EXISTS row (kind TEXT NOT NULL, environment TEXT NOT NULL, id TEXT NOT NULL,
             body TEXT NOT NULL, PRIMARY KEY (kind, environment, id)) STRICT, WITHOUT ROWID;",
        )?;
        Ok(Self(Some(connection)))
    }

    /// Every row, in the order of kind, environment and id.
    pub(super) fn load(&self, mut row: impl FnMut(&str, &str, &str, &str)) -> rusqlite::Result<()> {
        let Some(connection) = &self.0 else { return Ok(()) };
        let mut statement = connection.prepare("SELECT kind, environment, id, body FROM row ORDER BY 1, 2, 3")?;
        let mut rows = statement.query([])?;
        while let Some(found) = rows.next()? {
            row(
                found.get_ref(0)?.as_str()?,
                found.get_ref(1)?.as_str()?,
                found.get_ref(2)?.as_str()?,
                found.get_ref(3)?.as_str()?,
            );
        }
        Ok(())
    }

    /// Writes one row.
    pub(super) fn put(&self, kind: &str, environment: &str, id: &str, body: &impl Serialize) {
        let Some(connection) = &self.0 else { return };
        let written = serde_json::to_string(body).map_err(|error| error.to_string()).and_then(|body| {
            connection
                .prepare_cached("INSERT OR REPLACE INTO row VALUES (?1, ?2, ?3, ?4)")
                .and_then(|mut statement| statement.execute(params![kind, environment, id, body]))
                .map_err(|error| error.to_string())
        });
        if let Err(error) = written {
            tracing::error!(kind, id, error, "the sandbox cannot keep its state: check the disk of --data");
        }
    }

    /// Removes one row.
    pub(super) fn remove(&self, kind: &str, environment: &str, id: &str) {
        let Some(connection) = &self.0 else { return };
        let removed = connection
            .prepare_cached("DELETE FROM row WHERE kind = ?1 AND environment = ?2 AND id = ?3")
            .and_then(|mut statement| statement.execute(params![kind, environment, id]));
        if let Err(error) = removed {
            tracing::error!(kind, id, %error, "the sandbox cannot keep its state: check the disk of --data");
        }
    }

    /// Runs many writes as one.
    pub(super) fn batch(&self, begin: bool) {
        let Some(connection) = &self.0 else { return };
        if let Err(error) = connection.execute_batch(if begin { "BEGIN IMMEDIATE" } else { "COMMIT" }) {
            tracing::error!(%error, "the sandbox cannot keep its state: check the disk of --data");
        }
    }
}
