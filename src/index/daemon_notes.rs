//! What a running daemon tells of each mirror, for `status`, which may have no page to ask.
//!
//! Owns: the setting and its JSON. A note counts only for the process that wrote it: what a daemon that is gone said of
//! its pauses means nothing. Decides nothing.

use rusqlite::Connection;
use serde::{Deserialize, Serialize};

use super::settings;

/// What a daemon tells of a mirror.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DaemonNote {
    /// The process that wrote it.
    pub process: u32,
    /// Why nothing is done for the mirror now: a guard that paused it, an API that cannot be reached.
    pub waits: Option<String>,
    /// Why it works less well than it should, each in plain words with what to do.
    pub degraded: Vec<String>,
}

/// Notes it.
///
/// # Errors
/// SQLite's.
pub fn set(conn: &Connection, mirror: &str, note: &DaemonNote) -> rusqlite::Result<()> {
    settings::set(conn, &key(mirror), &serde_json::to_string(note).unwrap_or_default())
}

/// What the process `running` noted of the mirror.
///
/// # Errors
/// SQLite's.
pub fn of(conn: &Connection, mirror: &str, running: u32) -> rusqlite::Result<Option<DaemonNote>> {
    let note = settings::get(conn, &key(mirror))?;
    let note: Option<DaemonNote> = note.and_then(|json| serde_json::from_str(&json).ok());
    Ok(note.filter(|note| note.process == running))
}

fn key(mirror: &str) -> String {
    format!("daemon:{mirror}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::files::samples::index;

    #[test]
    fn a_note_counts_for_the_process_that_wrote_it() {
        let (conn, _) = index();
        assert_eq!(of(&conn, "brand", 7).unwrap(), None);
        let note = DaemonNote { process: 7, waits: Some("paused".into()), degraded: vec!["d".into()] };
        set(&conn, "brand", &note).unwrap();
        assert_eq!(of(&conn, "brand", 7).unwrap(), Some(note));
        assert_eq!(of(&conn, "brand", 8).unwrap(), None);
        assert_eq!(of(&conn, "other", 7).unwrap(), None);
        settings::set(&conn, "daemon:brand", "{").unwrap();
        assert_eq!(of(&conn, "brand", 7).unwrap(), None);
    }
}
