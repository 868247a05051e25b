//! What a pass does next: the rules by which planned actions start, wait, are tried again and end.
//!
//! This module owns these rules, each held by a test of its name in `scheduler/tests/`: what a person waits for goes first;
//! two actions that touch the same asset are never under way at once, while any number of paths may leave one that others
//! keep; a row that is being worked on is not offered again; the deletion guard is asked before the first deletion; what may be
//! planned again, and how often; how many actions are under way; when a stage, and the pass, is done. It is a plain value: it
//! makes no call, reads no clock and holds one page of plans at a time. It never decides what is done about a row (that is
//! `plan`) and never carries anything out (that is the driver, `pass.rs`).
//!
//! The driver asks [`Scheduler::next`] again and again and does as it is told. It answers a [`Next::Read`] by
//! [`Scheduler::offer`], a question by [`Scheduler::answer`], and a [`Next::Start`] by [`Scheduler::finished`] for each action
//! and one [`Scheduler::slot_is_free`].

mod assets_in_use;
mod errands;
mod groups;
mod outcome;
mod retry;
mod round;
mod stages;
mod terms;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::index::FileRow;
use crate::index::files::DueBy;
use crate::sync::plan::Plan;
use crate::sync::row_state::RowStates;

use assets_in_use::AssetsInUse;
use groups::Groups;
use retry::RefusedContents;
use round::{HeldUp, Round, Rounds};
use stages::{Stage, Task};

pub use retry::{FIRST_RETRY_MS, next_try};
pub use terms::{GivenUp, Next, Offer, Outcome, Planned, Rows, Rules, Start, Verdict, WaitFor};

/// Starts whose slots are taken at once: enough to fill the API's allowance while jobs take seconds.
const SLOTS: usize = 400;

/// Schedules one pass.
#[derive(Debug)]
pub struct Scheduler {
    rules: Rules,
    /// Where each row stands.
    rows: Arc<RowStates>,
    /// Assets of actions that are under way.
    assets: AssetsInUse,
    /// Actions under way that are sent with others.
    groups: Groups,
    /// Contents that could not be sent.
    refused: RefusedContents,
    stage: Stage,
    /// The stage of the last errand, for whose question the answer is.
    asked: Stage,
    /// The rounds of the stage so far.
    rounds: Rounds,
    /// The round that runs.
    round: Option<Round>,
    /// Rows, by path, that wait or are to be reported, as of the last round: what others do may change that.
    held_up: BTreeMap<String, HeldUp>,
    /// Rows that are tracks of a video and have not had their turn, by their ids.
    tracks: BTreeMap<i64, FileRow>,
    /// Starts that have not ended.
    slots_taken: usize,
    /// Nothing new starts.
    is_halted: bool,
}

impl Scheduler {
    /// A pass that has not begun.
    pub fn new(rules: Rules) -> Self {
        Self {
            rules,
            rows: Arc::default(),
            assets: AssetsInUse::default(),
            groups: Groups::default(),
            refused: RefusedContents::default(),
            stage: Stage::Present,
            asked: Stage::Present,
            rounds: Rounds::default(),
            round: None,
            held_up: BTreeMap::new(),
            tracks: BTreeMap::new(),
            slots_taken: 0,
            is_halted: false,
        }
    }

    /// What is to be done next at `now_ms`, in milliseconds since 1970. `urgent` tells whether a person waits for paths.
    pub fn next(&mut self, now_ms: i64, urgent: bool) -> Next {
        loop {
            if self.is_halted && self.round.is_none() && self.stage < Stage::FilesBack {
                self.stage = Stage::FilesBack;
            }
            let next = match self.stage.task() {
                Task::Rounds { present } => self.next_in_round(present, now_ms, urgent),
                Task::Errand => self.errand(now_ms),
            };
            if let Some(next) = next {
                return next;
            }
        }
    }

    /// The answer to the question that was asked last. A question that is not answered is answered with no.
    pub fn answer(&mut self, yes: bool) {
        if yes {
            self.stage = self.asked.next(true);
        }
    }

    /// Nothing new starts from here on: what is under way comes to its end, and the pass is done.
    pub fn halt(&mut self) {
        self.is_halted = true;
    }

    /// What is due by now. A pass that is impatient also tries what waits for its time.
    pub fn due(&self, now_ms: i64) -> DueBy {
        if self.rules.is_impatient { DueBy::All } else { DueBy::Time(now_ms) }
    }

    /// Where each row stands.
    pub fn rows(&self) -> &Arc<RowStates> {
        &self.rows
    }

    /// Tracks that have not had their turn, by their rows' ids.
    pub fn tracks(&self) -> &BTreeMap<i64, FileRow> {
        &self.tracks
    }

    /// The deletion guard begins to count.
    pub fn begin_count(&mut self) {
        Arc::make_mut(&mut self.rows).begin_round();
    }

    /// The guard counts a page of rows that are gone. Only what it has counted is deleted: what goes later is for the next
    /// pass, and for its guard. Gives back the plans.
    pub fn count(&mut self, mut page: Offer) -> Vec<Planned> {
        let rows = Arc::make_mut(&mut self.rows);
        page.seen.drain(..).for_each(|row| rows.count(row));
        let plans = std::mem::take(&mut page.plans);
        plans.iter().for_each(|planned| self.speak_for(&planned.plan));
        self.take_aside(page);
        plans
    }

    /// Nobody else plans the plan's members in this round.
    fn speak_for(&mut self, plan: &Plan) {
        let rows = Arc::make_mut(&mut self.rows);
        plan.members.iter().for_each(|member| rows.speak_for(member.row.id));
    }

    /// Tracks have their turn later. Whoever waited for a row that is not in this pass need not.
    fn take_aside(&mut self, page: Offer) {
        for row in page.tracks {
            if !self.rows.of(row.id).has_failed() {
                self.tracks.insert(row.id, row);
            }
        }
        let rows = Arc::make_mut(&mut self.rows);
        let mut is_new = false;
        for row in page.unwanted {
            is_new |= rows.fail(row);
        }
        self.learn(is_new);
    }

    /// Something may have been learnt in this round that the plans of its rows do not know.
    fn learn(&mut self, is_new: bool) {
        if let Some(round) = &mut self.round {
            round.learnt |= is_new;
        }
    }
}
