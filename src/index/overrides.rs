//! What people let a running daemon do once, beside it: the way past a guard.
//!
//! Owns: that each is asked for once and taken once. Decides nothing. Called by: the `retry` command, which asks; the daemon,
//! which takes.

use rusqlite::Connection;

use super::settings;

/// What the next pass over a whole mirror may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Overrides {
    /// The root is right as it is, and what is gone is meant to be gone.
    pub force: bool,
    /// The name is this folder's, whatever the media area says.
    pub take_over: bool,
    /// Make anew what the media area lost.
    pub recreate: bool,
}

impl Overrides {
    /// Whether there is any.
    #[must_use]
    pub fn any(self) -> bool {
        self != Self::default()
    }

    /// The flags that ask for them.
    #[must_use]
    pub fn flags(self) -> Vec<&'static str> {
        let flags = [(self.force, "--force"), (self.take_over, "--take-over"), (self.recreate, "--recreate")];
        flags.into_iter().filter_map(|(asked, flag)| asked.then_some(flag)).collect()
    }

    /// Both together.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self {
            force: self.force || other.force,
            take_over: self.take_over || other.take_over,
            recreate: self.recreate || other.recreate,
        }
    }
}

/// Asks for them; those asked for before stay.
///
/// # Errors
/// SQLite's.
pub fn ask(conn: &Connection, mirror: i64, asked: Overrides) -> rusqlite::Result<()> {
    let flags = read(conn, mirror)?.and(asked).flags();
    settings::set(conn, &key(mirror), &flags.join(" "))
}

/// Takes what was asked for; it is asked for no more then.
///
/// # Errors
/// SQLite's.
pub fn take(conn: &Connection, mirror: i64) -> rusqlite::Result<Overrides> {
    let asked = read(conn, mirror)?;
    if asked.any() {
        conn.execute("DELETE FROM setting WHERE key = ?1", [key(mirror)])?;
    }
    Ok(asked)
}

fn read(conn: &Connection, mirror: i64) -> rusqlite::Result<Overrides> {
    let flags = settings::get(conn, &key(mirror))?.unwrap_or_default();
    let has = |flag: &str| flags.split(' ').any(|one| one == flag);
    Ok(Overrides { force: has("--force"), take_over: has("--take-over"), recreate: has("--recreate") })
}

fn key(mirror: i64) -> String {
    format!("override:{mirror}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::files::samples::index;

    #[test]
    fn what_is_asked_for_adds_up_and_is_taken_once() {
        let (conn, mirror) = index();
        assert_eq!(take(&conn, mirror).unwrap(), Overrides::default());
        ask(&conn, mirror, Overrides { force: true, ..Overrides::default() }).unwrap();
        ask(&conn, mirror, Overrides { recreate: true, ..Overrides::default() }).unwrap();
        assert_eq!(take(&conn, mirror + 1).unwrap(), Overrides::default(), "another mirror's");
        assert_eq!(take(&conn, mirror).unwrap(), Overrides { force: true, take_over: false, recreate: true });
        assert!(!take(&conn, mirror).unwrap().any());
        ask(&conn, mirror, Overrides { take_over: true, ..Overrides::default() }).unwrap();
        assert_eq!(take(&conn, mirror).unwrap(), Overrides { take_over: true, ..Overrides::default() });
    }
}
