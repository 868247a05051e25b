//! When a keeper has something to do, and when it may.
//!
//! Owns: the next wake, and whether a pass may begin. Begins nothing itself: that is `begin`.

use std::time::{Duration, Instant};

use super::Keeper;

/// How often the index is asked for files whose time to be tried again has come.
pub(super) const DUE_INTERVAL: Duration = Duration::from_secs(5);
/// A scan that takes longer than this no longer holds up a pass.
const SCAN_FIRST: Duration = Duration::from_secs(5);
/// How long files that are being written may keep a pass from standing for the whole mirror.
const SETTLE_PATIENCE: Duration = Duration::from_secs(60);

impl Keeper {
    /// When there is something to do at the latest.
    pub(super) fn wake(&self) -> Instant {
        let now = Instant::now();
        if self.paused {
            return self.next_root.max(now);
        }
        let mut wake = now + DUE_INTERVAL;
        if self.can_pass(now) {
            wake = wake.min(self.next_due).min(self.next_refresh);
        } else if self.next_pass > now {
            wake = wake.min(self.next_pass);
        }
        if self.slow.is_free() {
            wake = wake.min(self.next_rescan);
        } else if self.slow_since + SCAN_FIRST > now {
            wake = wake.min(self.slow_since + SCAN_FIRST);
        }
        if let Some(deadline) = self.settle.next_deadline().filter(|_| self.files.is_free()) {
            wake = wake.min(deadline);
        }
        wake.max(now)
    }

    /// Whether a pass may begin. What is being looked at belongs into it, unless that takes long; and without one look at
    /// everything a moved file would be taken for a new one.
    pub(super) fn can_pass(&self, now: Instant) -> bool {
        let looking = !self.files.is_free() || !self.slow.is_free() && now < self.slow_since + SCAN_FIRST;
        self.known && !self.paused && !looking && now >= self.next_pass && self.pass.is_free() && self.trouble.is_free()
    }

    /// Whether a scan of everything waits for its pass, and all it found has settled: only then does the pass stand for
    /// everything. A file that never rests does not hold it up for ever.
    pub(super) fn has_settled(&self, now: Instant) -> bool {
        self.scanned.is_some_and(|(_, began)| self.settle.is_empty() || now > began + SETTLE_PATIENCE)
    }

    pub(super) fn scan_interval(&self) -> Duration {
        jittered(if self.polled { self.config.poll_interval } else { self.config.rescan_interval })
    }
}

/// Nine to eleven tenths of it, so that many daemons do not knock at once.
pub(super) fn jittered(interval: Duration) -> Duration {
    interval.mul_f64(0.9 + fastrand::f64() * 0.2)
}
