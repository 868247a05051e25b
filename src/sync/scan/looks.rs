//! When a file is settled: two looks at it, `settle` apart by our own clock, show the same.
//!
//! Owns: that rule, for all files of a scan in one go. Never does: looking, waiting, clocks; time is a parameter.
//!
//! A file's own times are no measure. Every program can set an mtime, and a server's clock is not ours. Where the file
//! system is stamped by our own clock, an old ctime stands for the first look: see [`FileClock::proves_rest`].

use std::time::{Duration, Instant};

use crate::disk::{FileClock, Fingerprint};
use crate::model::RelPath;

/// What is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A file to mirror.
    File,
    /// A metadata file.
    Sidecar,
}

/// One look at a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look {
    /// Which file.
    pub path: RelPath,
    /// What it is for.
    pub kind: Kind,
    /// What it showed.
    pub print: Fingerprint,
    /// When; `None`: what is there by now was never looked at.
    pub at: Option<Instant>,
}

/// A file that two looks showed the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled {
    /// Which file.
    pub path: RelPath,
    /// What it is for.
    pub kind: Kind,
    /// What both looks showed.
    pub print: Fingerprint,
    /// How far apart they were.
    pub seen_for: Duration,
}

/// Files that wait for their second look.
#[derive(Debug)]
pub struct Looks {
    settle: Duration,
    waiting: Vec<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    look: Look,
    /// Two looks differed.
    moved: bool,
}

/// Whether a file that is to be read must be looked at a second time before. `now_ns` is our wall clock, after the look
/// and before the reading, which sees for itself whether the file is still as it was.
#[must_use]
pub fn needs_second_look(print: &Fingerprint, clock: FileClock, now_ns: i64, settle: Duration) -> bool {
    !settle.is_zero() && !clock.proves_rest(print, now_ns, settle)
}

impl Looks {
    /// Nothing waits.
    #[must_use]
    pub const fn new(settle: Duration) -> Self {
        Self { settle, waiting: Vec::new() }
    }

    /// Takes looks, each the first at its file.
    pub fn add(&mut self, looks: impl IntoIterator<Item = Look>) {
        self.waiting.extend(looks.into_iter().map(|look| Waiting { look, moved: false }));
    }

    /// How many files wait.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.waiting.len()
    }

    /// The sizes of the files to mirror that wait, as last seen.
    pub fn sizes(&self) -> impl Iterator<Item = u64> + '_ {
        let files = self.waiting.iter().map(|waiting| &waiting.look).filter(|look| look.kind == Kind::File);
        files.map(|look| look.print.size)
    }

    /// When the next look is worth its while; `None`: nothing waits. What is due already is looked at now; else all that
    /// rest are looked at in one go, and what moves does not hold up the others.
    #[must_use]
    pub fn next_look(&self, now: Instant) -> Option<Instant> {
        let due = |waiting: &Waiting| waiting.look.at.map_or(now, |at| at + self.settle);
        let first = self.waiting.iter().map(due).min()?;
        let resting = self.waiting.iter().filter(|waiting| !waiting.moved).map(due).max();
        Some(if first <= now { now } else { resting.unwrap_or(first) })
    }

    /// The files to look at now; each is to be answered with [`Looks::looked`].
    pub fn due(&mut self, now: Instant) -> Vec<Look> {
        let settle = self.settle;
        let is_due = |waiting: &Waiting| waiting.look.at.is_none_or(|at| at + settle <= now);
        let (due, wait) = std::mem::take(&mut self.waiting).into_iter().partition(is_due);
        self.waiting = wait;
        Vec::into_iter(due).map(|waiting: Waiting| waiting.look).collect()
    }

    /// The answer to one of [`Looks::due`]: what was seen between `before` and `after`, `None` when the file is gone.
    /// A file that shows the same is settled; one that moved waits from here on.
    pub fn looked(
        &mut self,
        first: Look,
        seen: Option<Fingerprint>,
        before: Instant,
        after: Instant,
    ) -> Option<Settled> {
        let print = seen?;
        let Look { path, kind, .. } = first;
        match first.at {
            Some(at) if at + self.settle <= before && print.unchanged_since(&first.print) => {
                Some(Settled { path, kind, print, seen_for: before.saturating_duration_since(at) })
            }
            at => {
                let look = Look { path, kind, print, at: Some(after) };
                self.waiting.push(Waiting { look, moved: at.is_some() });
                None
            }
        }
    }

    /// Whether every file that still waits was seen to move.
    #[must_use]
    pub fn all_moved(&self) -> bool {
        self.waiting.iter().all(|waiting| waiting.moved)
    }

    /// The last looks at what never settled.
    pub fn take(&mut self) -> Vec<Look> {
        std::mem::take(&mut self.waiting).into_iter().map(|waiting| waiting.look).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTLE: Duration = Duration::from_secs(2);
    const AT: i64 = 1_700_000_000_000_000_000;
    const HOUR: i64 = 3_600_000_000_000;

    fn print(size: u64, mtime_ns: i64) -> Fingerprint {
        Fingerprint { size, mtime_ns, ctime_ns: mtime_ns, inode: 1, dev: 1 }
    }

    fn look(path: &str, print: Fingerprint, at: Option<Instant>) -> Look {
        Look { path: RelPath::from_key(path).unwrap(), kind: Kind::File, print, at }
    }

    /// A clock of its own, in milliseconds from its start.
    fn clock() -> impl Fn(u64) -> Instant {
        let start = Instant::now();
        move |ms| start + Duration::from_millis(ms)
    }

    #[test]
    fn no_time_of_the_file_stands_for_a_look_but_an_old_ctime_of_our_own_clock() {
        let ours = FileClock::Ours { dev: 1 };
        let with = |mtime_ns, ctime_ns| Fingerprint { ctime_ns, ..print(1, mtime_ns) };
        for (clock, print, needed) in [
            (ours, with(AT - HOUR, AT - HOUR), false),
            (ours, with(AT + HOUR, AT - HOUR), false),
            (ours, with(AT - HOUR, AT), true),
            (ours, with(AT + 2_000_000_000, AT), true),
            (ours, with(AT + HOUR, AT + HOUR), true),
            (ours, with(AT - HOUR, AT + HOUR), true),
            (FileClock::Unknown, with(AT - HOUR, AT - HOUR), true),
            (FileClock::Unknown, with(AT - 2 * HOUR, AT - 2 * HOUR), true),
            (FileClock::Unknown, with(AT + HOUR, AT + HOUR), true),
        ] {
            assert_eq!(needs_second_look(&print, clock, AT, SETTLE), needed, "{clock:?} {print:?}");
            assert!(!needs_second_look(&print, clock, AT, Duration::ZERO), "nothing is to be waited for");
        }
    }

    #[test]
    fn all_that_rest_are_looked_at_in_one_go() {
        let at = clock();
        let mut looks = Looks::new(SETTLE);
        looks.add((0..1000).map(|n| look(&n.to_string(), print(n, 5), Some(at(n)))));
        assert_eq!(looks.next_look(at(999)), Some(at(2999)), "settle after the last of the first looks");
        assert!(looks.due(at(1999)).is_empty());
        let due = looks.due(at(2999));
        assert_eq!(due.len(), 1000);
        for one in due {
            let seen = one.print;
            let settled = looks.looked(one, Some(seen), at(2999), at(3100)).expect("it showed the same");
            assert!(settled.seen_for >= SETTLE && settled.print == seen);
        }
        assert_eq!((looks.len(), looks.next_look(at(3100))), (0, None));
    }

    #[test]
    fn what_is_due_while_others_are_read_is_looked_at_without_waiting() {
        let at = clock();
        let mut looks = Looks::new(SETTLE);
        looks.add([look("early", print(1, 5), Some(at(0))), look("late", print(1, 5), Some(at(60_000)))]);
        assert_eq!(looks.next_look(at(60_000)), Some(at(60_000)));
        assert_eq!(looks.due(at(60_000)).len(), 1);
    }

    #[test]
    fn a_file_that_moves_waits_anew_and_holds_up_nobody() {
        let at = clock();
        let changes = [
            print(2, 5),
            print(1, 6),
            Fingerprint { ctime_ns: 6, ..print(1, 5) },
            Fingerprint { inode: 2, ..print(1, 5) },
        ];
        for changed in changes {
            let mut looks = Looks::new(SETTLE);
            looks.add([look("a", print(1, 5), Some(at(0))), look("b", print(1, 5), Some(at(1500)))]);
            let first = looks.due(at(2000)).remove(0);
            assert_eq!(looks.looked(first, Some(changed), at(2000), at(2010)), None);
            assert!(!looks.all_moved());
            assert_eq!(looks.next_look(at(2010)), Some(at(3500)), "b is due first");
            let b = looks.due(at(3500)).remove(0);
            assert!(looks.looked(b, Some(print(1, 5)), at(3500), at(3500)).is_some());
            assert!(looks.all_moved());
            assert_eq!(looks.next_look(at(3500)), Some(at(4010)));
            assert!(looks.due(at(4009)).is_empty());
            let a = looks.due(at(4010)).remove(0);
            assert_eq!(a.print, changed);
            assert!(looks.looked(a, Some(changed), at(4010), at(4010)).is_some());
        }
    }

    #[test]
    fn what_changed_while_it_was_read_is_looked_at_at_once_and_that_is_the_first_look() {
        let at = clock();
        let mut looks = Looks::new(SETTLE);
        looks.add([look("a", print(1, 5), None)]);
        assert_eq!(looks.next_look(at(7)), Some(at(7)));
        let first = looks.due(at(7)).remove(0);
        assert_eq!(looks.looked(first, Some(print(1, 5)), at(7), at(8)), None, "one look is none");
        assert!(!looks.all_moved(), "nobody saw it move");
        assert_eq!(looks.next_look(at(8)), Some(at(2008)));
    }

    #[test]
    fn a_file_that_went_is_not_waited_for() {
        let at = clock();
        let mut looks = Looks::new(SETTLE);
        looks.add([look("a", print(1, 5), Some(at(0)))]);
        let first = looks.due(at(2000)).remove(0);
        assert_eq!(looks.looked(first, None, at(2000), at(2000)), None);
        assert_eq!(looks.len(), 0);
    }
}
