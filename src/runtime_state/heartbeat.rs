//! Whether the process still moves.
//!
//! Owns: the signs of life and the one judgement "working, resting or stuck" that the watchdog and `/healthz` share.
//! Never does: reading the clock.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde::Serialize;

/// A loop that wakes a little after its time is late, not stuck: the machine may be busy.
const LATE: Duration = Duration::from_secs(30);

/// How it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Health {
    /// Something was done lately.
    Working,
    /// The loop sleeps and its time to wake has not come: idle, or waiting for the API.
    Resting,
    /// Nothing was done, and the loop should be awake.
    Stuck {
        /// Since the last sign of life, in milliseconds.
        silent_ms: u64,
    },
}

impl Health {
    /// Whether the process should be left alone.
    #[must_use]
    pub const fn is_well(self) -> bool {
        !matches!(self, Self::Stuck { .. })
    }
}

/// Signs of life, in milliseconds since the start. Each is a single store, so that a worker may give one for every chunk.
#[derive(Debug)]
pub(super) struct Pulse {
    start: Instant,
    ticks: AtomicU64,
    last: AtomicU64,
    rest: AtomicU64,
}

impl Pulse {
    pub(super) const fn new(now: Instant) -> Self {
        Self { start: now, ticks: AtomicU64::new(0), last: AtomicU64::new(0), rest: AtomicU64::new(0) }
    }

    pub(super) fn progress(&self, now: Instant) {
        self.ticks.fetch_add(1, Ordering::Relaxed);
        // Workers may report out of order; the latest counts.
        self.last.fetch_max(self.ms(now), Ordering::Relaxed);
    }

    pub(super) fn rest_until(&self, until: Instant) {
        self.rest.store(self.ms(until), Ordering::Relaxed);
    }

    pub(super) fn awake(&self, now: Instant) {
        self.progress(now);
        self.rest.store(0, Ordering::Relaxed);
    }

    pub(super) fn ticks(&self) -> u64 {
        self.ticks.load(Ordering::Relaxed)
    }

    pub(super) fn health(&self, now: Instant, patience: Duration) -> Health {
        let (now, last, rest) = (self.ms(now), self.last.load(Ordering::Relaxed), self.rest.load(Ordering::Relaxed));
        let silent_ms = now.saturating_sub(last);
        if silent_ms <= millis(patience) {
            Health::Working
        } else if rest > 0 && now <= rest.saturating_add(millis(LATE)) {
            Health::Resting
        } else {
            Health::Stuck { silent_ms }
        }
    }

    fn ms(&self, at: Instant) -> u64 {
        millis(at.saturating_duration_since(self.start))
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(60);

    #[test]
    fn silence_is_stuck_unless_the_loop_rests() {
        let start = Instant::now();
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        // (signs of life, rest until, asked at, expected)
        let stuck = |seconds: u64| Health::Stuck { silent_ms: seconds * 1000 };
        for (signs, rest, asked, expected) in [
            (vec![], None, 60, Health::Working),
            (vec![], None, 61, stuck(61)),
            (vec![10, 50], None, 110, Health::Working),
            (vec![50, 10], None, 110, Health::Working),
            (vec![10, 50], None, 111, stuck(61)),
            (vec![10], Some(3600), 3600, Health::Resting),
            (vec![10], Some(3600), 3630, Health::Resting),
            (vec![10], Some(3600), 3631, stuck(3621)),
            (vec![10, 3620], Some(3600), 3650, Health::Working),
            (vec![10], Some(20), 71, stuck(61)),
        ] {
            let pulse = Pulse::new(start);
            for sign in &signs {
                pulse.progress(at(*sign));
            }
            if let Some(rest) = rest {
                pulse.rest_until(at(rest));
            }
            assert_eq!(pulse.health(at(asked), PATIENCE), expected, "{signs:?} {rest:?} {asked}");
            assert_eq!(pulse.ticks(), signs.len() as u64);
        }
    }

    #[test]
    fn a_loop_that_woke_up_and_hangs_is_stuck_although_its_rest_would_have_lasted() {
        let start = Instant::now();
        let pulse = Pulse::new(start);
        pulse.rest_until(start + Duration::from_secs(3600));
        pulse.awake(start + Duration::from_secs(100));
        assert!(pulse.health(start + Duration::from_secs(160), PATIENCE).is_well());
        assert!(!pulse.health(start + Duration::from_secs(161), PATIENCE).is_well());
    }

    #[test]
    fn a_workers_sign_of_life_does_not_end_the_rest_of_the_loop() {
        let start = Instant::now();
        let pulse = Pulse::new(start);
        pulse.rest_until(start + Duration::from_secs(3600));
        pulse.progress(start + Duration::from_secs(100));
        assert_eq!(pulse.health(start + Duration::from_secs(1000), PATIENCE), Health::Resting);
    }
}
