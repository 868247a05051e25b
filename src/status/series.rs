//! The last half hour of calls and bytes, for the page's plot.
//!
//! Owns: the steps and their sums. It reads the totals that the daemon shows anyway; nobody counts for it. Never does:
//! outliving the process.

use std::collections::VecDeque;
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use tokio::sync::watch;

use crate::runtime_state::RuntimeState;

/// The length of a step.
const STEP: Duration = Duration::from_secs(10);
/// Steps kept: half an hour.
const STEPS: usize = 180;

/// Calls and bytes by steps of 10 s, the oldest first.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct Series {
    /// The length of a step, in milliseconds.
    step_ms: u64,
    /// The end of the last step.
    until: Option<Timestamp>,
    /// API calls made in each step.
    calls: VecDeque<u64>,
    /// Bytes that arrived in the bucket in each step.
    bytes: VecDeque<u64>,
    #[serde(skip)]
    totals: (u64, u64),
}

impl Series {
    /// A step ended, with these totals since the start of the process.
    fn push(&mut self, at: Timestamp, calls: u64, bytes: u64) {
        self.step_ms = u64::try_from(STEP.as_millis()).unwrap_or(u64::MAX);
        self.until = Some(at);
        // A reload begins to count anew.
        let since = |total: u64, before: u64| total.checked_sub(before).unwrap_or(total);
        self.calls.push_back(since(calls, self.totals.0));
        self.bytes.push_back(since(bytes, self.totals.1));
        self.totals = (calls, bytes);
        while self.calls.len() > STEPS {
            self.calls.pop_front();
            self.bytes.pop_front();
        }
    }
}

/// Adds a step every 10 s, for ever.
pub(super) async fn sample(live: &RuntimeState, series: &watch::Sender<Series>) {
    let mut tick = tokio::time::interval(STEP);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    tick.tick().await;
    loop {
        tick.tick().await;
        let api = live.api();
        series.send_modify(|series| series.push(Timestamp::now(), api.requests, api.bytes_uploaded));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_become_steps_and_a_counter_that_begins_anew_is_no_step_back() {
        let mut series = Series::default();
        for (calls, bytes) in [(5, 100), (5, 100), (9, 300), (2, 0), (3, 7)] {
            series.push(Timestamp::UNIX_EPOCH, calls, bytes);
        }
        assert_eq!(series.calls, [5, 0, 4, 2, 1]);
        assert_eq!(series.bytes, [100, 0, 200, 0, 7]);
        for _ in 0..500 {
            series.push(Timestamp::UNIX_EPOCH, 3, 7);
        }
        assert_eq!((series.calls.len(), series.bytes.len()), (STEPS, STEPS));
    }
}
