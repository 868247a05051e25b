//! The stages of a pass and their order.
//!
//! This module owns the order: files on disk come before files that are gone, the deletion guard is asked before either kind of
//! deletion, tracks come after the videos, and what others changed meanwhile is looked at once more before anything is given
//! up. It never looks at a row.

/// A stage of a pass. Most passes have nothing to do in most of them: an empty one costs a read of the index at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// The files on disk.
    Present,
    /// The tracks of their videos.
    Tracks,
    /// Whether what is gone may be deleted.
    Guard,
    /// The files that are gone.
    Gone,
    /// Tracks whose files are gone.
    GoneTracks,
    /// What is to be said of gone files for which nothing can be done.
    GiveUpGone,
    /// The files on disk again: a path that goes leaves those that shared its asset with less to say about it.
    PresentAfterGone,
    /// Tracks whose video changed only in the stage before.
    LateTracks,
    /// The stamps of those videos.
    PresentAfterTracks,
    /// Stamps that go on naming a path which has another asset.
    StaleStamps,
    /// Paths that share such an asset.
    PresentAfterStamps,
    /// What is to be reported, when others wait, perhaps for that.
    GiveUpReported,
    /// Those that waited.
    PresentAfterReported,
    /// Whether a gone file is to be looked at again: it shares an asset with one that got news since its turn.
    AskLateGone,
    /// Whether those may be deleted.
    LateGuard,
    /// Those gone files.
    LateGone,
    /// What is to be said of those.
    GiveUpLateGone,
    /// The files on disk that shared an asset with those.
    PresentAfterLateGone,
    /// What still waits, or is to be reported.
    GiveUp,
    /// Files that were gone when something was done for that, and are there again.
    FilesBack,
    /// What has something to look at and no problem that says why nothing came of it.
    Left,
    /// The pass is done.
    Done,
}

/// What a stage consists of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Task {
    /// Rounds over the rows of files that are on disk, or that are not.
    Rounds {
        /// On disk.
        present: bool,
    },
    /// One errand of the driver.
    Errand,
}

impl Stage {
    /// What the stage consists of.
    pub const fn task(self) -> Task {
        match self {
            Self::Present
            | Self::PresentAfterGone
            | Self::PresentAfterTracks
            | Self::PresentAfterStamps
            | Self::PresentAfterReported
            | Self::PresentAfterLateGone => Task::Rounds { present: true },
            Self::Gone | Self::LateGone => Task::Rounds { present: false },
            _ => Task::Errand,
        }
    }

    /// The stage that follows. `yes` is the answer to what the stage asks, where it asks something.
    pub const fn next(self, yes: bool) -> Self {
        match (self, yes) {
            (Self::Present, _) => Self::Tracks,
            (Self::Tracks, _) => Self::Guard,
            (Self::Guard, true) => Self::Gone,
            (Self::Gone, _) => Self::GoneTracks,
            (Self::GoneTracks, _) => Self::GiveUpGone,
            (Self::Guard, false) | (Self::GiveUpGone, _) => Self::PresentAfterGone,
            (Self::PresentAfterGone, _) => Self::LateTracks,
            (Self::LateTracks, true) => Self::PresentAfterTracks,
            (Self::LateTracks, false) | (Self::PresentAfterTracks, _) => Self::StaleStamps,
            (Self::StaleStamps, true) => Self::PresentAfterStamps,
            (Self::StaleStamps, false) | (Self::PresentAfterStamps, _) => Self::GiveUpReported,
            (Self::GiveUpReported, true) => Self::PresentAfterReported,
            (Self::GiveUpReported, false) | (Self::PresentAfterReported, _) => Self::AskLateGone,
            (Self::AskLateGone, true) => Self::LateGuard,
            (Self::LateGuard, true) => Self::LateGone,
            (Self::LateGone, _) => Self::GiveUpLateGone,
            (Self::GiveUpLateGone, _) => Self::PresentAfterLateGone,
            (Self::AskLateGone | Self::LateGuard, false) | (Self::PresentAfterLateGone, _) => Self::GiveUp,
            (Self::GiveUp, _) => Self::FilesBack,
            (Self::FilesBack, _) => Self::Left,
            (Self::Left | Self::Done, _) => Self::Done,
        }
    }
}
