//! How long a run or a daemon waits for what, and how often.
//!
//! Owns: the values. They are parameters so that the proofs can live through hundreds of outages in a minute.

use std::time::Duration;

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::remote::Timeouts;

/// How long to wait for what, and how often.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SyncTimeouts {
    /// For one call, one upload, one job.
    pub remote: Timeouts,
    /// For an API that cannot be reached at the very start, when nothing has been done yet.
    pub reach: Duration,
    /// For an API that cannot be reached any more.
    pub outage: Duration,
    /// For a change to show whose answer was lost, before it counts as not executed.
    pub unsure: Duration,
    /// For a change begun by an earlier process to show, since it was begun, before it is planned anew.
    pub left_open: Duration,
    /// For a change that was accepted, before the next pass has to look what became of it.
    pub follow: Duration,
    /// For a video that was just sent to be processed so far that it takes tracks. Nothing where a later pass tries again
    /// by itself.
    pub video: Duration,
    /// For a new track to be ready, before a later pass has to look at it.
    pub track: Duration,
    /// For files fetched from URLs to be mirrored with all else, before a run goes on without them.
    pub fetch_first: Duration,
    /// For files fetched from URLs when all else is mirrored, before a run ends without them.
    pub fetches: Duration,
    /// Rounds that a phase of a pass takes at most; each settles what waited for the one before.
    pub rounds: u32,
    /// Whether calls wait so that the month's budget lasts until its end. A run that ends by itself would only hang.
    pub spreads_budget: bool,
}

/// Work under way when a stop is asked for may take so long to end. What does not is taken up by the next start.
pub const GRACE: Duration = Duration::from_secs(8);

/// What was begun long ago is looked for this long: the answer to one question.
const LOOK: Duration = Duration::from_secs(3);

impl SyncTimeouts {
    /// How long to wait `now` for a change that was begun at `at_ms` (since 1970) by an earlier process.
    #[must_use]
    pub fn for_left_open(&self, at_ms: i64, now: Timestamp) -> Duration {
        // A clock that was set back makes no wait longer.
        let age = u64::try_from(now.as_millisecond().saturating_sub(at_ms)).unwrap_or(0);
        self.left_open.saturating_sub(Duration::from_millis(age)).max(LOOK.min(self.left_open))
    }
}

/// Ends when a stop was asked for and what is under way has had its time to end.
pub async fn overdue(stop: &CancellationToken) {
    stop.cancelled().await;
    tokio::time::sleep(GRACE).await;
}

impl Default for SyncTimeouts {
    fn default() -> Self {
        Self {
            remote: Timeouts::default(),
            reach: Duration::from_secs(10),
            outage: Duration::from_secs(60),
            unsure: Duration::from_secs(15),
            left_open: Duration::from_secs(20),
            follow: Duration::from_secs(300),
            video: Duration::from_secs(120),
            track: Duration::from_secs(5),
            fetch_first: Duration::from_secs(2),
            fetches: Duration::from_secs(3600),
            rounds: 1000,
            spreads_budget: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_begun_long_ago_is_not_waited_for_as_if_it_were_new() {
        let (waits, now) = (SyncTimeouts::default(), Timestamp::now());
        let begun = |seconds: i64| now.as_millisecond() - seconds * 1000;
        for (ago, expected) in [(0, 20), (5, 15), (19, 3), (86_400, 3), (-86_400, 20)] {
            assert_eq!(waits.for_left_open(begun(ago), now), Duration::from_secs(expected), "{ago} s ago");
        }
    }
}
