//! What people let a running daemon do once, beside it: the way past a guard.
//!
//! Owns: that each is asked for once and taken once, and soon: what a daemon did not take before it ended is no
//! permission for the one that is started a week later. Times are parameters. Decides nothing.

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

/// So long they may be taken, ms.
const HOLDS: i64 = 10 * 60_000;

/// Asks for them at `now_ms`, milliseconds since 1970; those asked for lately stay.
///
/// # Errors
/// SQLite's.
pub fn ask(conn: &Connection, mirror: i64, asked: Overrides, now_ms: i64) -> rusqlite::Result<()> {
    let flags = read(conn, mirror, now_ms)?.and(asked).flags();
    settings::set(conn, &key(mirror), &format!("{now_ms} {}", flags.join(" ")))
}

/// Takes what was asked for lately, at `now_ms`; it is asked for no more then.
///
/// # Errors
/// SQLite's.
pub fn take(conn: &Connection, mirror: i64, now_ms: i64) -> rusqlite::Result<Overrides> {
    let asked = read(conn, mirror, now_ms)?;
    if settings::get(conn, &key(mirror))?.is_some() {
        conn.execute("DELETE FROM setting WHERE key = ?1", [key(mirror)])?;
    }
    Ok(asked)
}

fn read(conn: &Connection, mirror: i64, now_ms: i64) -> rusqlite::Result<Overrides> {
    let stored = settings::get(conn, &key(mirror))?.unwrap_or_default();
    let (at, flags) = stored.split_once(' ').unwrap_or_default();
    let is_fresh = at.parse().is_ok_and(|at: i64| (0..HOLDS).contains(&now_ms.saturating_sub(at)));
    let has = |flag: &str| is_fresh && flags.split(' ').any(|one| one == flag);
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
    fn what_is_asked_for_adds_up_and_is_taken_once_and_soon() {
        let (conn, mirror) = index();
        let force = Overrides { force: true, ..Overrides::default() };
        assert_eq!(take(&conn, mirror, 0).unwrap(), Overrides::default());
        ask(&conn, mirror, force, 1_000).unwrap();
        ask(&conn, mirror, Overrides { recreate: true, ..Overrides::default() }, 2_000).unwrap();
        assert_eq!(take(&conn, mirror + 1, 3_000).unwrap(), Overrides::default(), "another mirror's");
        assert_eq!(take(&conn, mirror, 3_000).unwrap(), Overrides { force: true, take_over: false, recreate: true });
        assert!(!take(&conn, mirror, 3_000).unwrap().any());
        for (now_ms, taken) in
            [(1_000 + HOLDS - 1, force), (1_000 + HOLDS, Overrides::default()), (999, Overrides::default())]
        {
            ask(&conn, mirror, force, 1_000).unwrap();
            assert_eq!(take(&conn, mirror, now_ms).unwrap(), taken, "at {now_ms}");
            assert!(!take(&conn, mirror, 1_000).unwrap().any(), "what is too old is gone as well");
        }
    }
}
