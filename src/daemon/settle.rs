//! Waits until files are whole.
//!
//! Owns: the rule "quiet for `settle`, and the same size and mtime on two looks"; pairing a deletion with the creation
//! that follows it; and letting a burst of saves out as one batch. Never does: clocks, I/O. It says when it wants to be
//! asked next and which files it wants looked at; the daemon's loop sleeps, looks and answers.
//!
//! ```text
//! touched ─▶ waiting ─▶ first look ─▶ waiting ─▶ second look ─▶ ready ─▶ batch
//!               ▲            any touch, or a difference between the looks            │
//!               └────────────────────────────────────────────────────────────────────┘
//! ```

mod terms;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::{Duration, Instant};

pub use self::terms::{Ask, Batch, Look, StillChanging, Timing, Touch};
use crate::disk::Fingerprint;
use crate::model::RelPath;

/// The machine.
#[derive(Debug)]
pub struct Settle {
    timing: Timing,
    turn: u64,
    /// Every path that is not ready yet.
    waiting: HashMap<RelPath, Waiting>,
    /// When the next look at each is wanted; paths whose look is under way are not in it.
    agenda: BTreeSet<(Instant, RelPath)>,
    ready: BTreeMap<RelPath, Ready>,
    ready_since: Option<Instant>,
    folders: BTreeMap<RelPath, FolderTouch>,
    still_changing: Vec<StillChanging>,
    /// Waiting files and removals by first touch: those that may still join the batch.
    joining: [BTreeSet<(Instant, RelPath)>; 2],
}

#[derive(Debug)]
struct Waiting {
    turn: u64,
    first: Instant,
    /// The last touch.
    touched: Instant,
    /// Not ready before this.
    due: Instant,
    next_look: Option<Instant>,
    /// What the last look showed, and since when it has.
    seen: Option<(Fingerprint, Instant)>,
    /// There was nothing at this path before the first touch.
    fresh: bool,
    kind: Kind,
    reported: Option<Instant>,
    /// A batch is held back for it.
    joins: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    File,
    Removal,
}

#[derive(Debug)]
struct Ready {
    kind: Kind,
    /// What two looks showed, and how far apart these were.
    print: Option<(Fingerprint, Duration)>,
    first: Instant,
    fresh: bool,
    reported: Option<Instant>,
}

#[derive(Debug)]
struct FolderTouch {
    first: Instant,
    last: Instant,
}

/// A folder in which much happens is scanned after this, calm or not: its files settle on their own.
const FOLDER_PATIENCE: Duration = Duration::from_secs(1);

impl Settle {
    /// A machine that waits for nothing.
    #[must_use]
    pub fn new(timing: Timing) -> Self {
        Self {
            timing,
            turn: 0,
            waiting: HashMap::new(),
            agenda: BTreeSet::new(),
            ready: BTreeMap::new(),
            ready_since: None,
            folders: BTreeMap::new(),
            still_changing: Vec::new(),
            joining: [BTreeSet::new(), BTreeSet::new()],
        }
    }

    /// Something happened to `path`; its wait begins anew.
    pub fn touched(&mut self, path: RelPath, touch: Touch, now: Instant) {
        match touch {
            Touch::Folder => {
                let folder = self.folders.entry(path).or_insert(FolderTouch { first: now, last: now });
                folder.last = now;
            }
            Touch::Created => self.wait(path, Kind::File, true, now),
            Touch::Changed => self.wait(path, Kind::File, false, now),
            Touch::Removed => self.wait(path, Kind::Removal, false, now),
        }
    }

    /// A scan saw `print` at `path` at the time `at`. That is a look like any other: one that shows what an earlier one
    /// showed begins no wait anew, so that scans may follow each other faster than files settle.
    pub fn seen(&mut self, path: RelPath, print: Fingerprint, at: Instant, now: Instant) {
        let is_it = |ready: &Ready| ready.print.is_some_and(|(seen, _)| same_state(&seen, &print));
        if self.ready.get(&path).is_some_and(is_it) {
            return;
        }
        let known = self.waiting.contains_key(&path);
        if !known {
            self.wait(path.clone(), Kind::File, false, now);
        }
        let Some(mut entry) = self.take(&path) else { return };
        let same = entry.seen.is_some_and(|(seen, _)| same_state(&seen, &print)) && entry.kind == Kind::File;
        // What was touched after the look has its first look still to come.
        if !known || !same && at >= entry.touched {
            let quiet = at + self.timing.quiet;
            entry.due = match (known, entry.kind, entry.seen) {
                (true, Kind::File, None) => entry.due.max(at + self.apart()),
                (true, Kind::File, Some(_)) => entry.due.max(quiet),
                _ => quiet,
            };
            entry.kind = Kind::File;
            entry.seen = Some((print, at));
            entry.next_look = Some(entry.due);
        }
        self.put(path, entry);
    }

    /// A scan saw nothing at `path`. The wait for its removal begins with the first such scan, not anew with each.
    pub fn absent(&mut self, path: RelPath, now: Instant) {
        if !self.waiting.contains_key(&path) && !self.ready.contains_key(&path) {
            self.wait(path, Kind::Removal, false, now);
        }
    }

    /// Back in by the front door: a file that moved while it was read, or a retry. It is not ready before `not_before`,
    /// and no batch waits for it.
    pub fn again(&mut self, path: RelPath, not_before: Instant, now: Instant) {
        self.wait(path.clone(), Kind::File, false, now);
        let timing = self.timing;
        let Some(mut entry) = self.take(&path) else { return };
        if not_before > entry.due {
            entry.due = not_before;
            entry.next_look = Some((now + timing.calm).max(not_before.checked_sub(timing.quiet).unwrap_or(now)));
            entry.joins = false;
        }
        self.put(path, entry);
    }

    /// The files to look at now. Each answer is wanted soon, in any order.
    pub fn asks(&mut self, now: Instant) -> Vec<Ask> {
        let mut asks = Vec::new();
        while let Some((at, _)) = self.agenda.first() {
            if *at > now {
                break;
            }
            let Some((_, path)) = self.agenda.pop_first() else { break };
            if let Some(entry) = self.waiting.get_mut(&path) {
                entry.next_look = None;
                asks.push(Ask { path, turn: entry.turn });
            }
        }
        asks
    }

    /// The answer to an [`Ask`].
    pub fn looked(&mut self, ask: Ask, look: Look, now: Instant) {
        let Ask { path, turn } = ask;
        if self.waiting.get(&path).is_none_or(|entry| entry.turn != turn) {
            return;
        }
        let Some(mut entry) = self.take(&path) else { return };
        match (look, entry.kind) {
            (Look::Gone, Kind::File) if entry.fresh => {}
            (Look::Gone, Kind::File) => {
                // It went without a word; from here on it waits as a removal does.
                entry.kind = Kind::Removal;
                entry.due += self.timing.removal - self.timing.quiet;
                entry.next_look = Some(entry.due.max(now));
                self.put(path, entry);
            }
            (Look::Gone, Kind::Removal) => self.make_ready(path, &entry, now),
            (Look::Folder, _) => {
                self.folders.entry(path).or_insert(FolderTouch { first: now, last: now });
            }
            (Look::Unclear, _) => {
                entry.kind = Kind::File;
                self.make_ready(path, &entry, now);
            }
            (Look::File(print), _) => {
                let same = entry.seen.filter(|(seen, _)| same_state(seen, &print));
                if same.is_some() && now >= entry.due {
                    return self.make_ready(path, &entry, now);
                }
                if entry.seen.is_some() && same.is_none() || entry.kind == Kind::Removal {
                    // It changed without a word, or is back: quiet counts from here.
                    entry.due = entry.due.max(now + self.timing.quiet);
                }
                entry.kind = Kind::File;
                entry.seen = Some((print, same.map_or(now, |(_, since)| since)));
                // Two looks tell something only with time between them, even when this one came late.
                entry.next_look = Some(entry.due.max(now + self.apart()));
                self.remind(&path, &mut entry.reported, entry.first, now);
                self.put(path, entry);
            }
        }
    }

    /// What has settled and need not wait for others; `None` when there is nothing to say.
    pub fn due(&mut self, now: Instant) -> Option<Batch> {
        let mut batch = Batch { still_changing: std::mem::take(&mut self.still_changing), ..Batch::default() };
        if self.release_at().is_some_and(|at| at <= now) {
            self.ready_since = None;
            for (path, ready) in std::mem::take(&mut self.ready) {
                batch.prints.extend(ready.print);
                match ready.kind {
                    Kind::File => batch.changed.push(path),
                    Kind::Removal => batch.removed.push(path),
                }
            }
        }
        let timing = self.timing;
        self.folders.retain(|path, touch| {
            let waits = touch.due(&timing) > now;
            if !waits {
                batch.folders.push(path.clone());
            }
            waits
        });
        keep_outermost(&mut batch.folders);
        (batch != Batch::default()).then_some(batch)
    }

    /// When to ask again; `None` while nothing waits. An instant that is past means: now.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        let look = self.agenda.first().map(|(at, _)| *at);
        let folder = self.folders.values().map(|touch| touch.due(&self.timing)).min();
        let report = self.still_changing.first().map(|still| still.since);
        [look, folder, report, self.release_at()].into_iter().flatten().min()
    }

    /// How many paths have not come out yet.
    #[must_use]
    pub fn len(&self) -> usize {
        self.waiting.len() + self.ready.len() + self.folders.len()
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn wait(&mut self, path: RelPath, kind: Kind, created: bool, now: Instant) {
        let before = match self.ready.remove(&path) {
            Some(ready) => Some((ready.first, ready.fresh, ready.reported)),
            None => self.take(&path).map(|entry| (entry.first, entry.fresh, entry.reported)),
        };
        if self.ready.is_empty() {
            self.ready_since = None;
        }
        let (first, fresh, mut reported) = before.unwrap_or((now, created, None));
        if kind == Kind::Removal && fresh {
            // Came and went: a temporary file, whatever its name.
            return;
        }
        let (due, next_look) = match kind {
            Kind::File => (now + self.timing.quiet, now + self.timing.calm),
            Kind::Removal => (now + self.timing.removal, now + self.timing.removal),
        };
        self.remind(&path, &mut reported, first, now);
        self.turn += 1;
        let turn = self.turn;
        let next_look = Some(next_look);
        self.put(
            path,
            Waiting { turn, first, touched: now, due, next_look, seen: None, fresh, kind, reported, joins: true },
        );
    }

    /// How far apart two looks must be at least when the first came after a touch: quiet counts from the touch.
    fn apart(&self) -> Duration {
        self.timing.quiet.saturating_sub(self.timing.calm)
    }

    fn remind(&mut self, path: &RelPath, reported: &mut Option<Instant>, first: Instant, now: Instant) {
        if now.saturating_duration_since(reported.unwrap_or(first)) >= self.timing.remind {
            *reported = Some(now);
            self.still_changing.push(StillChanging { path: path.clone(), since: first });
        }
    }

    fn put(&mut self, path: RelPath, entry: Waiting) {
        if let Some(at) = entry.next_look {
            self.agenda.insert((at, path.clone()));
        }
        if entry.joins {
            self.joining[entry.kind as usize].insert((entry.first, path.clone()));
        }
        self.waiting.insert(path, entry);
    }

    fn take(&mut self, path: &RelPath) -> Option<Waiting> {
        let (path, entry) = self.waiting.remove_entry(path)?;
        let mut key = (entry.first, path);
        self.joining[entry.kind as usize].remove(&key);
        if let Some(at) = entry.next_look {
            key.0 = at;
            self.agenda.remove(&key);
        }
        Some(entry)
    }

    fn make_ready(&mut self, path: RelPath, entry: &Waiting, now: Instant) {
        let print = entry.seen.map(|(print, since)| (print, now.saturating_duration_since(since)));
        let ready = Ready { kind: entry.kind, print, first: entry.first, fresh: entry.fresh, reported: entry.reported };
        self.ready.insert(path, ready);
        self.ready_since.get_or_insert(now);
    }

    /// When the ready paths come out: at once when no other may join them, or they are many; else after `hold` at the
    /// latest. A file that has been changing for longer than `hold` is not waited for, and changes never wait for removals.
    fn release_at(&self) -> Option<Instant> {
        let since = self.ready_since?;
        if self.ready.len() >= self.timing.batch {
            return Some(since);
        }
        let [files, removals] = &self.joining;
        let only_removals = self.ready.values().all(|ready| ready.kind == Kind::Removal);
        let youngest = |set: &BTreeSet<(Instant, RelPath)>| set.last().map(|(first, _)| *first + self.timing.hold);
        let waited_for = youngest(files).max(only_removals.then(|| youngest(removals)).flatten());
        Some(waited_for.map_or(since, |until| until.min(since + self.timing.hold)))
    }
}

impl FolderTouch {
    fn due(&self, timing: &Timing) -> Instant {
        (self.last + timing.calm).min(self.first + FOLDER_PATIENCE)
    }
}

/// The ctime counts too: a writer may set the mtime back after each piece.
fn same_state(a: &Fingerprint, b: &Fingerprint) -> bool {
    a.unchanged_since(b)
}

/// Drops the folders that lie in another one of the sorted list.
fn keep_outermost(folders: &mut Vec<RelPath>) {
    let all: BTreeSet<String> = folders.iter().map(|folder| folder.key().to_owned()).collect();
    folders.retain(|folder| {
        let mut parent = folder.folder();
        loop {
            if all.contains(parent) {
                return false;
            }
            match parent.rsplit_once('/') {
                Some((up, _)) => parent = up,
                None => return true,
            }
        }
    });
}

#[cfg(test)]
mod tests;
