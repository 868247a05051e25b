//! How long a run bears an API in trouble.
//!
//! Owns: the pauses, and when it is given up. Pure: the time is passed in.

use std::time::{Duration, Instant};

/// An API that answers when it is asked and fails when something is to be done would be tried for ever.
#[derive(Debug, Default)]
pub(super) struct Trouble {
    /// When it began, and what was done until then.
    since: Option<(Instant, u64)>,
    tries: u32,
}

impl Trouble {
    /// How long to wait before the next try; nothing when it has lasted for too long without anything done. `waits`: what
    /// the first pauses are measured in, and how long trouble may last.
    pub(super) fn pause(&mut self, done: u64, waits: (Duration, Duration), now: Instant) -> Option<Duration> {
        let (unit, longest) = waits;
        let (since, _) = match self.since {
            Some((since, before)) if before == done => (since, before),
            _ => {
                self.tries = 0;
                *self.since.insert((now, done))
            }
        };
        let pause = if self.tries == 0 { Duration::ZERO } else { unit.saturating_mul(1 << self.tries.min(6)) };
        self.tries += 1;
        (now.saturating_duration_since(since) + pause <= longest).then_some(pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trouble_without_anything_done_is_tried_after_pauses_that_grow_and_not_for_ever() {
        let (start, waits) = (Instant::now(), (Duration::from_millis(500), Duration::from_secs(60)));
        let mut trouble = Trouble::default();
        let (mut now, mut pauses) = (start, Vec::new());
        while let Some(pause) = trouble.pause(0, waits, now) {
            pauses.push(pause.as_secs());
            now += pause + Duration::from_millis(10);
        }
        assert_eq!(pauses, [0, 1, 2, 4, 8, 16]);
        // Whatever was done meanwhile begins it anew.
        assert_eq!(trouble.pause(1, waits, now), Some(Duration::ZERO));
        assert_eq!(trouble.pause(2, waits, now + Duration::from_secs(600)), Some(Duration::ZERO));
        assert_eq!(trouble.pause(2, waits, now + Duration::from_secs(661)), None);
    }
}
