//! When a path that failed is tried again.
//!
//! Owns: the rule as one value, how it is stored, how far it may lie ahead, that what is said to people follows from it, and
//! which rows a question is about. Never does: clocks. The time is a parameter, in milliseconds since 1970 by the wall clock.

use crate::model::{Advice, GoesOn};

/// The longest a path waits to be tried again by itself, in milliseconds. A stored time that lies further ahead was stored
/// by a clock that was wrong, and counts as due.
pub const LONGEST_WAIT_MS: i64 = 3_600_000;
/// How [`RetryAt::AfterAChange`] is stored.
pub(super) const NEVER_BY_ITSELF: i64 = i64::MAX;

/// When a path that failed is tried again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum RetryAt {
    /// At the next pass.
    #[default]
    NextPass,
    /// By itself, at this time in milliseconds since 1970.
    Time(i64),
    /// When the file, its asset or the rules change, or when somebody asks for it: trying again by itself cannot help.
    AfterAChange,
}

/// Up to when rows count as due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DueBy {
    /// Up to this time, in milliseconds since 1970.
    Time(i64),
    /// Without an end: somebody asked for them, and does not wait.
    All,
}

impl Default for DueBy {
    fn default() -> Self {
        Self::Time(0)
    }
}

impl From<i64> for DueBy {
    fn from(now_ms: i64) -> Self {
        Self::Time(now_ms)
    }
}

impl DueBy {
    /// The time to compare stored times with: no stored one is later than that of [`DueBy::All`].
    pub(super) const fn compared(self) -> i64 {
        match self {
            Self::Time(now_ms) => now_ms,
            Self::All => NEVER_BY_ITSELF,
        }
    }
}

impl RetryAt {
    /// The time after a wait of `wait_ms`.
    #[must_use]
    pub fn after(now_ms: i64, wait_ms: i64) -> Self {
        Self::Time(now_ms.saturating_add(wait_ms.min(LONGEST_WAIT_MS)))
    }

    /// What the index keeps.
    #[must_use]
    pub const fn stored(self) -> Option<i64> {
        match self {
            Self::NextPass => None,
            Self::Time(at) => Some(at),
            Self::AfterAChange => Some(NEVER_BY_ITSELF),
        }
    }

    /// From what the index keeps.
    #[must_use]
    pub const fn of_stored(stored: Option<i64>) -> Self {
        match stored {
            None => Self::NextPass,
            Some(NEVER_BY_ITSELF) => Self::AfterAChange,
            Some(at) => Self::Time(at),
        }
    }

    /// As it is meant at `now_ms`: what is due, or was stored under a wrong clock, is for the next pass.
    #[must_use]
    pub fn at(self, now_ms: i64) -> Self {
        match self {
            Self::Time(at) if at <= now_ms || at > now_ms.saturating_add(LONGEST_WAIT_MS) => Self::NextPass,
            other => other,
        }
    }

    /// The time, when there is one.
    #[must_use]
    pub const fn time(self) -> Option<i64> {
        match self {
            Self::Time(at) => Some(at),
            Self::NextPass | Self::AfterAChange => None,
        }
    }

    /// The advice as it is true: that it is tried again is said only of what is, and by whom `goes_on`.
    #[must_use]
    pub fn told(self, advice: &Advice, goes_on: GoesOn) -> String {
        advice.told(if self == Self::AfterAChange { GoesOn::Nobody } else { goes_on })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_700_000_000_000;

    #[test]
    fn a_time_that_no_right_clock_stored_is_due() {
        for (stored, meant) in [
            (None, RetryAt::NextPass),
            (Some(NOW - 1), RetryAt::NextPass),
            (Some(NOW), RetryAt::NextPass),
            (Some(NOW + 1), RetryAt::Time(NOW + 1)),
            (Some(NOW + LONGEST_WAIT_MS), RetryAt::Time(NOW + LONGEST_WAIT_MS)),
            (Some(NOW + LONGEST_WAIT_MS + 1), RetryAt::NextPass),
            (Some(NOW + 364 * 86_400_000), RetryAt::NextPass),
            (Some(i64::MAX - 1), RetryAt::NextPass),
            (Some(i64::MAX), RetryAt::AfterAChange),
        ] {
            assert_eq!(RetryAt::of_stored(stored).at(NOW), meant, "{stored:?}");
        }
        for kept in [RetryAt::NextPass, RetryAt::Time(5), RetryAt::AfterAChange] {
            assert_eq!(RetryAt::of_stored(kept.stored()), kept);
        }
        assert_eq!(RetryAt::after(NOW, i64::MAX), RetryAt::Time(NOW + LONGEST_WAIT_MS));
    }

    #[test]
    fn nothing_is_promised_that_is_not_done() {
        let advice = Advice::then_again("check the network");
        for (retry, goes_on, said) in [
            (RetryAt::NextPass, GoesOn::Daemon, "check the network; it is tried again"),
            (RetryAt::Time(5), GoesOn::Daemon, "check the network; it is tried again"),
            (RetryAt::Time(5), GoesOn::NextRun, "check the network; the next run tries it again"),
            (RetryAt::AfterAChange, GoesOn::Daemon, "check the network"),
            (RetryAt::AfterAChange, GoesOn::NextRun, "check the network"),
        ] {
            assert_eq!(retry.told(&advice, goes_on), said, "{retry:?} {goes_on:?}");
        }
        assert_eq!(RetryAt::AfterAChange.told(&Advice::new("wait"), GoesOn::Daemon), "wait");
    }
}
