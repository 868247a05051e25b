//! Whether a server sends fast enough to be waited for.
//!
//! Owns: the least speed, measured over the last half minute. Pure: all times are passed in.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// The least that a server must send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Least {
    /// So many bytes
    pub bytes: u64,
    /// within so long.
    pub within: Duration,
}

/// 1 kB a second: a server of which less comes would need eleven days for the largest file.
pub const LEAST: Least = Least { bytes: 30_000, within: Duration::from_secs(30) };

/// What came lately.
#[derive(Debug)]
pub struct Speed {
    least: Least,
    began: Instant,
    came: VecDeque<(Instant, u64)>,
}

impl Speed {
    /// An answer that begins now.
    #[must_use]
    pub const fn new(least: Least, now: Instant) -> Self {
        Self { least, began: now, came: VecDeque::new() }
    }

    /// So many bytes came.
    pub fn came(&mut self, bytes: u64, now: Instant) {
        let step = self.least.within / 30;
        match self.came.back_mut() {
            // Many small pieces must not need much memory.
            Some((at, sum)) if now.saturating_duration_since(*at) < step => *sum += bytes,
            _ => self.came.push_back((now, bytes)),
        }
        self.forget(now);
    }

    /// The bytes of the last while, if they are too few. A server has that long to begin with.
    pub fn too_slow(&mut self, now: Instant) -> Option<u64> {
        self.forget(now);
        let sum = self.came.iter().map(|(_, bytes)| bytes).sum();
        (now.saturating_duration_since(self.began) >= self.least.within && sum < self.least.bytes).then_some(sum)
    }

    /// When it may be too slow, should nothing come until then.
    #[must_use]
    pub fn next_look(&self) -> Instant {
        let mut left: u64 = self.came.iter().map(|(_, bytes)| bytes).sum();
        let mut at = self.began;
        for (came, bytes) in &self.came {
            if left < self.least.bytes {
                break;
            }
            left -= bytes;
            at = *came;
        }
        at + self.least.within
    }

    fn forget(&mut self, now: Instant) {
        while self.came.front().is_some_and(|(at, _)| now.saturating_duration_since(*at) >= self.least.within) {
            self.came.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// After how many seconds a server that sends `bytes` every `every` seconds is given up, within five minutes.
    fn given_up(bytes: u64, every: u64, pieces: u64) -> Option<u64> {
        let start = Instant::now();
        let mut speed = Speed::new(LEAST, start);
        for second in 0..300 {
            let now = start + Duration::from_secs(second);
            if second % every == 0 && second / every < pieces {
                speed.came(bytes, now);
            }
            if now >= speed.next_look() && speed.too_slow(now).is_some() {
                return Some(second);
            }
        }
        None
    }

    #[test]
    fn less_than_a_kilobyte_a_second_over_half_a_minute_is_given_up() {
        assert_eq!(given_up(1, 5, u64::MAX), Some(30), "a byte now and then");
        assert_eq!(given_up(1, 1, 0), Some(30), "nothing");
        assert_eq!(given_up(999, 1, u64::MAX), Some(30));
        assert_eq!(given_up(1_000, 1, u64::MAX), None);
        assert_eq!(given_up(30_000, 29, u64::MAX), None, "in large pieces with pauses");
        assert_eq!(given_up(1_000_000, 1, 10), Some(39), "it began well and stopped: half a minute after the last");
    }

    #[test]
    fn what_came_in_many_pieces_is_kept_in_few() {
        let start = Instant::now();
        let mut speed = Speed::new(LEAST, start);
        for millis in 0..100_000 {
            speed.came(1, start + Duration::from_millis(millis));
        }
        assert!(speed.came.len() <= 31, "{}", speed.came.len());
        let now = start + Duration::from_secs(100);
        assert_eq!(speed.too_slow(now).map(|bytes| bytes / 1000), Some(29));
    }
}
