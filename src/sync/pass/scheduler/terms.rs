//! What the driver and the scheduler tell each other.
//!
//! This module owns these terms as plain values. It never decides anything.

use crate::index::files::{DueBy, RetryAt};
use crate::index::{FileRow, Problem};
use crate::sync::plan::Plan;
use crate::sync::plan::edit::BulkChange;

/// What does not change while a pass runs.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    /// Rounds a stage takes at most; each settles what waited for the one before.
    pub rounds: u32,
    /// Actions are carried out. In a dry run they are imagined one by one, and nothing is gathered.
    pub makes_calls: bool,
    /// What waits for its time to be tried again is tried in this pass.
    pub is_impatient: bool,
}

/// A row with what is planned for it.
#[derive(Debug, Clone)]
pub struct Planned {
    /// The row that asked.
    pub row: FileRow,
    /// Its plan.
    pub plan: Plan,
}

/// Rows to read and plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rows {
    /// Some of those that a person waits for.
    PriorityPaths,
    /// The next page of dirty rows.
    After {
        /// Rows of files on disk, or of files that are gone.
        present: bool,
        /// The path that the page comes after.
        path: String,
    },
}

/// A page of rows that were read and planned.
#[derive(Debug, Default)]
pub struct Offer {
    /// Rows that ask for something. No row is in two of the plans.
    pub plans: Vec<Planned>,
    /// The last path that was read; `None` when there are no more.
    pub last: Option<String>,
    /// All rows that were read, also those with nothing to do.
    pub seen: Vec<i64>,
    /// Rows that are tracks of a video: they have a stage of their own.
    pub tracks: Vec<FileRow>,
    /// Rows that this pass is not about.
    pub unwanted: Vec<i64>,
}

/// What the driver does next.
#[derive(Debug)]
pub enum Next {
    /// Read and plan these rows, and offer the plans before anything else is told to the scheduler.
    Read {
        /// Which rows.
        rows: Rows,
        /// Only those that are due by then.
        due: DueBy,
    },
    /// Start this.
    Start(Start),
    /// Wait until something that is under way has ended.
    Wait(WaitFor),
    /// Work on these rows, which are tracks of videos.
    Tracks(Vec<FileRow>),
    /// Ask the deletion guard whether what is gone may be done away with, and answer.
    AskGuard,
    /// Look whether any gone file has something to look at, and answer.
    AskGone,
    /// Have stale stamps corrected, and answer whether paths have to be looked at again for that.
    CorrectStamps,
    /// Say of these rows that nothing comes of them in this pass.
    GiveUp(Vec<GivenUp>),
    /// Look whether files that were gone are there again.
    LookForFilesBack,
    /// Tell what is left.
    TellLeft,
    /// The pass is done.
    Done,
}

/// What starts together, and takes one slot.
#[derive(Debug)]
pub enum Start {
    /// One action by itself.
    One(Box<Planned>),
    /// The same change of several assets.
    Same(BulkChange, Vec<Planned>),
    /// The deletion of several assets.
    Deletions(Vec<Planned>),
}

/// What a wait is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WaitFor {
    /// Too much is under way; more is to be started as soon as there is room.
    Slot,
    /// Nothing more starts before all that is under way has ended.
    All,
}

/// What became of an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It was carried out.
    Done,
    /// The file of the row that asked changed meanwhile: it settles first.
    Changed,
    /// Files that were thought to be gone are there again.
    Back,
    /// The media area is not what was planned for.
    Outdated,
    /// It cannot be carried out.
    Refused {
        /// Trying again by itself can help.
        heals: bool,
    },
    /// It was broken off, for no reason that lies in these rows.
    BrokenOff,
}

/// What an outcome leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing more is to be said of it.
    Over,
    /// The rows are planned again in this pass.
    Again,
    /// The row that asked failed.
    FailsAlone(RetryAt),
    /// All rows of the plan failed: what is wrong would be wrong for each of them.
    FailsTogether(RetryAt),
}

/// A row for which nothing was done in this pass, and why.
#[derive(Debug)]
pub struct GivenUp {
    /// The row.
    pub row: FileRow,
    /// What is said of it.
    pub problem: Problem,
    /// It only waited for others.
    pub waited: bool,
    /// When it is tried again.
    pub retry: RetryAt,
}
