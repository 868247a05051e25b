//! What goes into the schedule and what comes out.
//!
//! Owns: the values. Never does: deciding.

use std::time::{Duration, Instant};

use crate::daemon::settle::StillChanging;
use crate::features::remote_files::Asks;
use crate::index::overrides::Overrides;
use crate::model::RelPath;
use crate::sync::scan::{Look, Waited};

/// How often a mirror does what, as configured.
#[derive(Debug, Clone, Copy)]
pub struct Intervals {
    /// How long a file must be quiet.
    pub settle: Duration,
    /// Between two scans of everything, where the watcher is told of changes.
    pub rescan: Duration,
    /// The same where nothing tells of changes.
    pub poll: Duration,
    /// Between two looks over the whole remote.
    pub refresh: Duration,
    /// Spreads an interval by chance, so that many daemons do not knock at once.
    pub spread: fn(Duration) -> Duration,
}

/// What the worker starts. Tasks run beside the worker; questions are answered before anything else is decided.
#[derive(Debug)]
pub enum Start {
    /// A line in the log: these files are still being written.
    ReportStillChanging(Vec<StillChanging>),
    /// Question: what do people let the next pass do? The answer is `overrides_asked`.
    TakeOverrides,
    /// Question: can the root of the paused mirror be believed again? The answer is `root_back`, `root_gone`, or nothing.
    CheckRoot,
    /// Question: which lists of remote files are there? The answer is `lists_found`.
    ReadLists,
    /// Question: what is due by the index? The answer is `due_found`, which may begin a pass.
    ReadDue {
        /// Whether files that could not be fetched are asked for as well.
        failed_fetches: bool,
    },
    /// Task: a scan. Its end is `scan_ended`.
    Scan(ScanPlace),
    /// Task: fetching what lists name. Its end is `fetch_ended`.
    Fetch(Asks),
    /// Task: a pass. Its end is `pass_ended`.
    Pass(PassJob),
}

/// What a scan looks at.
#[derive(Debug, Clone)]
pub enum ScanPlace {
    /// Everything.
    Whole,
    /// Folders that appeared, with all below.
    Folders(Vec<RelPath>),
    /// Paths that have settled, and what was waited for with them.
    Settled(Vec<RelPath>, Waited),
}

/// Two scans may run beside each other, one of each kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScanKind {
    /// Of files that have settled.
    Settled,
    /// Of folders, or of everything.
    Wide,
}

/// A scan of the whole tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WholeScan {
    /// How many files it saw that are to be mirrored.
    pub files: u64,
    /// When it began.
    pub began: Instant,
}

/// What a pass is begun for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PassJob {
    /// The pass looks over the whole remote first.
    pub refresh: bool,
    /// The pass stands for the whole mirror, as this scan saw it.
    pub for_all: Option<WholeScan>,
    /// What the pass may do past its guards.
    pub overrides: Overrides,
}

/// How a scan ended.
#[derive(Debug)]
pub enum ScanOutcome {
    /// It saw what was to be seen.
    Seen(Seen),
    /// It was stopped.
    Stopped,
    /// The root or the disk cannot be believed: the worker pauses the mirror, or ends.
    Failed,
    /// It ended abnormally; what it saw is not known.
    Crashed,
}

/// What a scan saw.
#[derive(Debug, Default)]
pub struct Seen {
    /// The scan was of the whole tree.
    pub whole: Option<WholeScan>,
    /// Files that may be in the middle of being written.
    pub unsettled: Vec<Look>,
    /// Paths at which there is nothing any more; that may be one half of a move or of a save.
    pub absent: Vec<RelPath>,
    /// What lists name and is to be fetched.
    pub asks: Asks,
    /// There is no file in the whole mirror any more: the worker pauses it.
    pub emptied: bool,
}

/// How a pass ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PassOutcome {
    /// It went over everything that was due.
    Whole,
    /// It was cut short: by a stop, by the API, or by a guard of the root.
    Cut,
    /// It was stopped before it changed anything, because the media area cannot be believed.
    NotBelieved,
    /// It ended abnormally.
    Crashed,
}

/// What the index says is due.
#[derive(Debug, Default)]
pub struct Due {
    /// The time of some file has come.
    pub files: bool,
    /// Somebody wants the folder looked at.
    pub scan: bool,
    /// A listing of everything met fewer assets than the index knows.
    pub refresh: bool,
    /// Files that could not be fetched and are to be asked for again.
    pub failed_fetches: Vec<RelPath>,
}
