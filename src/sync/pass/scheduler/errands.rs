//! What the driver does between the rounds over the rows.
//!
//! This module owns the errand of each stage, and which rows it is about. The order of the stages is that of `stages`.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Scheduler;
use super::retry::next_try;
use super::round::HeldUp;
use super::stages::Stage;
use super::terms::{GivenUp, Next};
use crate::index::FileRow;

impl Scheduler {
    /// The errand of a stage that is no rounds; `None` when the stage has nothing to do.
    pub(super) fn errand(&mut self, now_ms: i64) -> Option<Next> {
        let (next, yes) = match self.stage {
            Stage::Tracks => (self.take_tracks(true), false),
            Stage::GoneTracks => (self.take_tracks(false), false),
            Stage::LateTracks => {
                let late = self.take_tracks(true);
                let any = late.is_some();
                (late, any)
            }
            Stage::Guard | Stage::LateGuard => (Some(Next::AskGuard), false),
            Stage::AskLateGone => (Some(Next::AskGone), false),
            Stage::StaleStamps => (Some(Next::CorrectStamps), false),
            Stage::GiveUpReported => {
                let reported = self.give_up(now_ms, |held| !held.waits);
                let any = reported.is_some() && !self.held_up.is_empty();
                (reported, any)
            }
            Stage::GiveUpGone | Stage::GiveUpLateGone | Stage::GiveUp => (self.give_up(now_ms, |_| true), false),
            Stage::FilesBack => (Some(Next::LookForFilesBack), false),
            Stage::Left => (Some(Next::TellLeft), false),
            Stage::Done => (Some(Next::Done), false),
            Stage::Present
            | Stage::Gone
            | Stage::PresentAfterGone
            | Stage::PresentAfterTracks
            | Stage::PresentAfterStamps
            | Stage::PresentAfterReported
            | Stage::LateGone
            | Stage::PresentAfterLateGone => (None, false),
        };
        self.asked = self.stage;
        self.stage = self.stage.next(yes);
        next
    }

    /// The tracks of files on disk, or of files that are gone, when there are any.
    fn take_tracks(&mut self, present: bool) -> Option<Next> {
        let (now, later) = std::mem::take(&mut self.tracks).into_iter().partition(|(_, row)| row.present == present);
        let now: BTreeMap<i64, FileRow> = now;
        self.tracks = later;
        (!now.is_empty()).then(|| Next::Tracks(now.into_values().collect()))
    }

    /// The rows that are held up as told, when there are any. The pass is done with them.
    fn give_up(&mut self, now_ms: i64, which: impl Fn(&HeldUp) -> bool) -> Option<Next> {
        let (ends, stays) = std::mem::take(&mut self.held_up).into_iter().partition(|(_, held)| which(held));
        let ends: BTreeMap<String, HeldUp> = ends;
        self.held_up = stays;
        let rows = Arc::make_mut(&mut self.rows);
        let give_up = |HeldUp { row, problem, waits }: HeldUp| {
            rows.close(row.id);
            rows.fail(row.id);
            let retry = next_try(&row, waits, now_ms);
            GivenUp { row, problem, waited: waits, retry }
        };
        let given_up: Vec<GivenUp> = ends.into_values().map(give_up).collect();
        (!given_up.is_empty()).then_some(Next::GiveUp(given_up))
    }
}
