//! The right to send one call, taken before it is known what the call will say.
//!
//! Owns: that a call which must be sent the moment something was looked at waits for budget and pacer before that look,
//! and that a right nobody used costs nothing of the budget.
//! Never does: deciding when to take one, or what for. The pacer's proof allows it: a slot is counted from its grant until a
//! window after its answer, so one that is held before it is sent is only counted for longer.

use std::fmt;
use std::sync::Arc;

use super::pace::Slot;
use super::{ApiError, Ledger};

/// Leave of the month's budget for one call. Dropped unused, it is given back.
pub struct BudgetPermit(Option<Arc<dyn Ledger>>);

/// The right to send one call now. Dropped unused, it counts as a call for the pacer, and not for the budget.
#[derive(Debug)]
pub struct CallPermit {
    slot: Slot,
    budget: BudgetPermit,
}

/// Why a call that was sent once did not succeed.
#[derive(Debug)]
pub enum NotDone {
    /// It is not to be sent again, or not before looking whether it was executed ([`ApiError::outcome_unknown`]).
    Final(ApiError),
    /// It was not executed, and may be sent again after a new look.
    Again {
        /// Why not.
        error: ApiError,
        /// The pacer makes the next call wait; else the caller waits.
        paced: bool,
    },
}

impl From<ApiError> for NotDone {
    fn from(error: ApiError) -> Self {
        Self::Final(error)
    }
}

impl fmt::Debug for BudgetPermit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BudgetPermit")
    }
}

impl Drop for BudgetPermit {
    fn drop(&mut self) {
        if let Some(ledger) = &self.0 {
            ledger.give_back();
        }
    }
}

impl BudgetPermit {
    pub(super) fn new(ledger: Option<Arc<dyn Ledger>>) -> Self {
        Self(ledger)
    }

    pub(super) const fn call(self, slot: Slot) -> CallPermit {
        CallPermit { slot, budget: self }
    }
}

impl CallPermit {
    /// The call goes out.
    pub(super) fn used(mut self) -> Slot {
        self.budget.0 = None;
        self.slot
    }
}
