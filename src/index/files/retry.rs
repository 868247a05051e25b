//! When a path that failed is tried again.
//!
//! Owns: the rule as one value, how it is stored, how far it may lie ahead, and that what is said to people follows from it.
//! Never does: clocks. The time is a parameter, in milliseconds since 1970 by the wall clock.

/// The longest a path waits to be tried again by itself, in milliseconds. A stored time that lies further ahead was stored
/// by a clock that was wrong, and counts as due.
pub const LONGEST_WAIT_MS: i64 = 3_600_000;
/// How [`RetryAt::AfterAChange`] is stored.
const NEVER_BY_ITSELF: i64 = i64::MAX;

/// When a path that failed is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryAt {
    /// At the next pass.
    NextPass,
    /// By itself, at this time in milliseconds since 1970.
    Time(i64),
    /// When the file, its asset or the rules change, or when somebody asks for it: trying again by itself cannot help.
    AfterAChange,
}

/// What an advice says of a path that is tried again by itself.
const PROMISES: &[&str] =
    &["is tried again", "is sent again", "is uploaded again", "is looked at again", "looks again"];

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

    /// Whether this advice says nothing that is not done: only what is tried again by itself may be said to be.
    #[must_use]
    pub fn keeps(self, advice: &str) -> bool {
        self != Self::AfterAChange || !promises(advice)
    }
}

/// Whether this advice says that something is tried again by itself.
#[must_use]
pub fn promises(advice: &str) -> bool {
    PROMISES.iter().any(|promise| advice.contains(promise))
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
        let promise = "check the network; it is tried again";
        assert!(RetryAt::NextPass.keeps(promise) && RetryAt::Time(5).keeps(promise));
        assert!(!RetryAt::AfterAChange.keeps(promise));
        assert!(
            RetryAt::AfterAChange.keeps("remove the file, or set on_remote_delete = \"recreate\" to upload it again")
        );
    }
}
