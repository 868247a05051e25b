//! The cap on bytes per second to the bucket, shared by all uploads.
//!
//! Owns: the virtual clock that tells each chunk when it may go. Pure, with a thin shell that sleeps.
//! Never does: reading files, sending.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Chunks come one behind the other on a line of so many bytes per second.
#[derive(Debug)]
pub(super) struct Line {
    bytes_per_second: u64,
    free_at: Option<Instant>,
}

impl Line {
    pub(super) fn new(bytes_per_second: u64) -> Self {
        Self { bytes_per_second: bytes_per_second.max(1), free_at: None }
    }

    /// When the next `bytes` may go; the line is taken until they are through.
    pub(super) fn reserve(&mut self, now: Instant, bytes: u64) -> Instant {
        let start = self.free_at.map_or(now, |at| at.max(now));
        let nanos = u128::from(bytes) * 1_000_000_000 / u128::from(self.bytes_per_second);
        self.free_at = Some(start + Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX / 4)));
        start
    }
}

/// The cap; without a rate it is none.
#[derive(Debug)]
pub(super) struct Bandwidth {
    rate: Option<u64>,
    line: Mutex<Line>,
}

impl Bandwidth {
    pub(super) fn new(rate: Option<u64>) -> Self {
        Self { rate, line: Mutex::new(Line::new(rate.unwrap_or(1))) }
    }

    /// Bytes to read at once: large, but an eighth of a second's worth under a cap, so that the line is even.
    pub(super) fn chunk(&self) -> usize {
        let large = 256 * 1024;
        self.rate.map_or(large, |rate| usize::try_from(rate / 8).unwrap_or(large).clamp(1024, large))
    }

    /// Waits until `bytes` may go.
    pub(super) async fn pass(&self, bytes: u64) {
        if self.rate.is_some() {
            let at = self.line.lock().unwrap_or_else(PoisonError::into_inner).reserve(Instant::now(), bytes);
            tokio::time::sleep_until(at.into()).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_of_all_uploads_share_one_line_and_idle_time_is_not_saved_up() {
        let now = Instant::now();
        let mut line = Line::new(1000);
        assert_eq!(line.reserve(now, 500), now);
        assert_eq!(line.reserve(now, 500), now + Duration::from_millis(500));
        assert_eq!(line.reserve(now, 1), now + Duration::from_secs(1));
        let later = now + Duration::from_secs(60);
        assert_eq!(line.reserve(later, 1000), later);
        assert_eq!(line.reserve(later, 1000), later + Duration::from_secs(1));
    }

    #[test]
    fn chunks_are_large_but_even_under_a_cap() {
        assert_eq!(Bandwidth::new(None).chunk(), 256 * 1024);
        assert_eq!(Bandwidth::new(Some(80_000)).chunk(), 10_000);
        assert_eq!(Bandwidth::new(Some(1)).chunk(), 1024);
    }
}
