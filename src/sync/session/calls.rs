//! The calls that a session makes, by the wall clock.
//!
//! Owns: that all of its calls go through one [`Budget`], and the line that says when the rest of it is being spread.
//! Never does: deciding when a call must wait: that is `budget`. Never writes to the index.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;

use crate::features::budget::Budget;
use crate::remote::{Admission, Ledger};

/// The month's calls, shared by all that make some.
#[derive(Debug)]
pub(super) struct Calls {
    budget: Mutex<Budget>,
    /// The owner was told that the rest is spread.
    told: AtomicBool,
}

impl Calls {
    pub(super) fn new(budget: Budget) -> Self {
        Self { budget: Mutex::new(budget), told: AtomicBool::new(false) }
    }

    pub(super) fn budget(&self) -> MutexGuard<'_, Budget> {
        self.budget.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ledger for Calls {
    fn admit(&self) -> Admission {
        let now = Timestamp::now();
        let (admission, slowed) = {
            let mut budget = self.budget();
            (budget.admit(now), budget.is_slowed(now))
        };
        if self.told.swap(slowed, Ordering::Relaxed) != slowed && slowed {
            tracing::warn!(
                "four fifths of monthly_budget are spent: from now on calls are spread over the rest of the month. \
                 Raise monthly_budget, or see with `dato-mirror status` what costs so many"
            );
        }
        admission
    }

    fn give_back(&self) {
        self.budget().give_back();
    }
}
