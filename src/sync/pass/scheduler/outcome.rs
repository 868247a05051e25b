//! What the end of an action leads to.
//!
//! This module owns which rows have another turn in the pass, which have failed, and who fails with whom. It never records
//! anything: what is said to people and written to the index is the driver's part.

use std::sync::Arc;

use super::Scheduler;
use super::retry::{REPLANS, TURNS, next_try};
use super::terms::{Outcome, Verdict};
use crate::index::FileRow;
use crate::sync::plan::Plan;

impl Scheduler {
    /// A start has ended, whatever came of it.
    pub fn slot_is_free(&mut self) {
        self.slots_taken = self.slots_taken.saturating_sub(1);
    }

    /// The action of `plan`, which the row asked for, came to an end at `now_ms`. Tells what that leads to.
    pub fn finished(&mut self, row: &FileRow, plan: &Plan, outcome: Outcome, now_ms: i64) -> Verdict {
        self.assets.give_back(row.id);
        let rows = Arc::make_mut(&mut self.rows);
        plan.rows(row).for_each(|row| rows.close(row.id));
        match outcome {
            Outcome::BrokenOff => Verdict::Over,
            Outcome::Done => {
                for row in plan.rows(row) {
                    if rows.add_turn(row.id) < TURNS {
                        // The index tells from here on whether there is more to do for the row.
                        rows.reopen(row.id);
                    }
                }
                Verdict::Over
            }
            Outcome::Changed => {
                // Those with the content that the file had need not wait until it has settled.
                rows.fail(row.id);
                self.free_members(plan);
                Verdict::Over
            }
            Outcome::Back => {
                // The disk is looked at first. Until then nothing is done about any that had the asset.
                for row in plan.rows(row) {
                    rows.fail(row.id);
                }
                Verdict::Over
            }
            Outcome::Outdated if rows.add_replan(row.id) < REPLANS => {
                rows.reopen(row.id);
                self.free_members(plan);
                Verdict::Again
            }
            Outcome::Outdated => self.fails(row, plan, true, now_ms),
            Outcome::Refused { heals } => self.fails(row, plan, heals, now_ms),
        }
    }

    /// The row failed, and so did those it spoke for when theirs would fail as well: what is wrong is the asset, or the
    /// content, as several paths found out.
    fn fails(&mut self, row: &FileRow, plan: &Plan, heals: bool, now_ms: i64) -> Verdict {
        let retry = next_try(row, heals, now_ms);
        if plan.action.sends() && !self.refused.add(row.md5) {
            self.fail(row.id);
            self.free_members(plan);
            return Verdict::FailsAlone(retry);
        }
        plan.rows(row).for_each(|row| self.fail(row.id));
        Verdict::FailsTogether(retry)
    }

    /// The plan's members are looked at again, by themselves or together.
    fn free_members(&mut self, plan: &Plan) {
        let rows = Arc::make_mut(&mut self.rows);
        plan.members.iter().for_each(|member| rows.reopen(member.row.id));
        self.learn(!plan.members.is_empty());
    }

    /// The row could not be mirrored in this pass: nobody waits for it.
    pub fn fail(&mut self, row: i64) {
        Arc::make_mut(&mut self.rows).fail(row);
    }

    /// The action on the row was the first half of it: the second half is not counted again.
    pub fn leave_unfinished(&mut self, row: i64) {
        Arc::make_mut(&mut self.rows).leave_unfinished(row);
    }

    /// A track of the video in this row changed: the stamp that says so is part of the same action, and is still to be
    /// written.
    pub fn track_changed(&mut self, video: i64) {
        let rows = Arc::make_mut(&mut self.rows);
        rows.leave_unfinished(video);
        rows.reopen(video);
    }
}
