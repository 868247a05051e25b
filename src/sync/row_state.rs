//! Where each row stands in the pass that runs.
//!
//! This module owns the one record that a pass has of a row, small enough that a pass over a million rows can keep one for
//! each. The scheduler writes it (`pass/scheduler.rs`); observing reads it, because whoever has the same content as a row waits
//! for that row, or joins it, by where it stands. It never decides what a state leads to, and it never holds a row itself.

use std::collections::HashMap;

/// Where a row stands in a pass. A row that a pass has not met yet is open and has every count at zero.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RowState {
    turn: RunContext,
    /// The row could not be mirrored in this pass.
    failed: bool,
    /// The deletion guard has counted the row.
    counted: bool,
    /// The last action on the row was only the first half of it.
    unfinished: bool,
    /// Actions that were done for the row.
    turns: u8,
    /// How often the row was planned again because the media area was another than thought.
    replans: u8,
    /// The last round in which another row's plan spoke for this one.
    spoken_in: u16,
}

/// Whether an action for the row may start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum RunContext {
    #[default]
    Open,
    UnderWay,
    /// The pass is done with the row, although the row may still be dirty.
    Over,
}

impl RowState {
    /// Whether the pass may start an action for the row.
    #[must_use]
    pub fn is_open(self) -> bool {
        self.turn == RunContext::Open
    }

    /// Whether an action for the row is under way.
    #[must_use]
    pub fn is_under_way(self) -> bool {
        self.turn == RunContext::UnderWay
    }

    /// Whether the row could not be mirrored in this pass. No other row waits for it.
    #[must_use]
    pub const fn has_failed(self) -> bool {
        self.failed
    }

    /// Whether the deletion guard has counted the row, so that it may be deleted.
    #[must_use]
    pub const fn is_counted(self) -> bool {
        self.counted
    }

    /// Whether the last action on the row was the first half of it: the second half is not counted again.
    #[must_use]
    pub const fn is_unfinished(self) -> bool {
        self.unfinished
    }

    /// How many actions were done for the row.
    #[must_use]
    pub const fn turns(self) -> u8 {
        self.turns
    }
}

/// The state of every row that the pass has met.
#[derive(Debug, Clone)]
pub struct RowStates {
    rows: HashMap<i64, RowState>,
    /// The round that runs. It is never zero, so that no fresh row counts as spoken for.
    round: u16,
}

impl Default for RowStates {
    fn default() -> Self {
        Self { rows: HashMap::new(), round: 1 }
    }
}

impl RowStates {
    /// The state of one row.
    #[must_use]
    pub fn of(&self, row: i64) -> RowState {
        self.rows.get(&row).copied().unwrap_or_default()
    }

    /// Whether a plan of this round speaks for the row.
    #[must_use]
    pub fn is_spoken_for(&self, row: i64) -> bool {
        self.of(row).spoken_in == self.round
    }

    /// The rows for which something was done.
    pub fn acted_on(&self) -> impl Iterator<Item = i64> {
        self.rows.iter().filter(|(_, state)| state.turns > 0).map(|(row, _)| *row)
    }

    /// Another round begins: no plan speaks for anybody yet.
    pub fn begin_round(&mut self) {
        self.round = self.round.checked_add(1).unwrap_or_else(|| {
            // The numbers begin anew, so none of the old ones may be left.
            self.rows.values_mut().for_each(|state| state.spoken_in = 0);
            1
        });
    }

    /// A plan of this round speaks for the row.
    pub fn speak_for(&mut self, row: i64) {
        let round = self.round;
        self.state(row).spoken_in = round;
    }

    /// An action for the row starts.
    pub fn start(&mut self, row: i64) {
        self.state(row).turn = RunContext::UnderWay;
    }

    /// The pass is done with the row, unless something opens it again.
    pub fn close(&mut self, row: i64) {
        self.state(row).turn = RunContext::Over;
    }

    /// The pass may start an action for the row again.
    pub fn reopen(&mut self, row: i64) {
        self.state(row).turn = RunContext::Open;
    }

    /// The row could not be mirrored. Tells whether that is new.
    pub fn fail(&mut self, row: i64) -> bool {
        !std::mem::replace(&mut self.state(row).failed, true)
    }

    /// The deletion guard has counted the row.
    pub fn count(&mut self, row: i64) {
        self.state(row).counted = true;
    }

    /// The last action on the row was only the first half of it.
    pub fn leave_unfinished(&mut self, row: i64) {
        self.state(row).unfinished = true;
    }

    /// An action was done for the row. Tells how many there were.
    pub fn add_turn(&mut self, row: i64) -> u8 {
        let state = self.state(row);
        state.turns = state.turns.saturating_add(1);
        state.turns
    }

    /// The row was planned for a media area that is another. Tells how often that was so.
    pub fn add_replan(&mut self, row: i64) -> u8 {
        let state = self.state(row);
        state.replans = state.replans.saturating_add(1);
        state.replans
    }

    fn state(&mut self, row: i64) -> &mut RowState {
        self.rows.entry(row).or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::{RowState, RowStates};

    #[test]
    fn a_million_rows_take_sixteen_bytes_each() {
        assert_eq!(size_of::<(i64, RowState)>(), 16);
    }

    #[test]
    fn a_plan_speaks_for_a_row_until_the_next_round() {
        let mut rows = RowStates::default();
        assert!(!rows.is_spoken_for(1));
        rows.speak_for(1);
        assert!(rows.is_spoken_for(1) && !rows.is_spoken_for(2));
        for _ in 0..=u16::MAX {
            rows.begin_round();
            assert!(!rows.is_spoken_for(1));
        }
    }
}
