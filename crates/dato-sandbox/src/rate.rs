//! The rate limit, per token.
//!
//! Owns: the two kinds of window, as pure functions of the time. Never does: reading a clock.

use std::collections::{HashMap, VecDeque};

/// What the limiter says to one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Verdict {
    /// Requests allowed in a window; 0 when there is no limit.
    pub(super) limit: u32,
    /// Requests left in this window.
    pub(super) remaining: u32,
    /// Whole seconds to wait; `Some` when the request is refused.
    pub(super) reset: Option<u64>,
}

/// The limiter.
#[derive(Debug, Default)]
pub(super) struct Rate {
    seen: HashMap<String, VecDeque<i64>>,
}

impl Rate {
    /// Counts a request of `token` at `now` (ms) against `limit` per `window` (ms).
    ///
    /// A refused request is not counted. `fixed` windows start with the first request after the last one ended.
    pub(super) fn ask(&mut self, token: &str, now: i64, limit: u32, window: i64, fixed: bool) -> Verdict {
        if limit == 0 {
            return Verdict { limit: 0, remaining: u32::MAX, reset: None };
        }
        let seen = self.seen.entry(token.to_owned()).or_default();
        if fixed {
            if seen.front().is_some_and(|first| now - first >= window) {
                seen.clear();
            }
        } else {
            while seen.front().is_some_and(|first| now - first >= window) {
                seen.pop_front();
            }
        }
        let used = u32::try_from(seen.len()).unwrap_or(u32::MAX);
        if used >= limit {
            let wait = seen.front().map_or(window, |first| first + window - now);
            let seconds = u64::try_from(wait).unwrap_or(0).div_ceil(1000).max(1);
            return Verdict { limit, remaining: 0, reset: Some(seconds) };
        }
        seen.push_back(now);
        Verdict { limit, remaining: limit - used - 1, reset: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sliding_window_never_lets_more_than_the_limit_through() {
        let mut rate = Rate::default();
        let mut allowed = Vec::new();
        for now in (0..12_000).step_by(10) {
            if rate.ask("t", now, 60, 3000, false).reset.is_none() {
                allowed.push(now);
            }
        }
        for (index, start) in allowed.iter().enumerate() {
            let inside = allowed[index..].iter().take_while(|at| **at < start + 3000).count();
            assert!(inside <= 60, "{inside} from {start}");
        }
        assert_eq!(allowed.len(), 240);
    }

    #[test]
    fn a_fixed_window_counts_from_its_first_request() {
        let mut rate = Rate::default();
        for now in [0, 100, 2900] {
            assert_eq!(rate.ask("t", now, 3, 3000, true).reset, None);
        }
        assert_eq!(rate.ask("t", 2950, 3, 3000, true), Verdict { limit: 3, remaining: 0, reset: Some(1) });
        assert_eq!(rate.ask("t", 3000, 3, 3000, true), Verdict { limit: 3, remaining: 2, reset: None });
    }

    #[test]
    fn tokens_do_not_share_and_the_reset_is_in_whole_seconds_rounded_up() {
        let mut rate = Rate::default();
        assert_eq!(rate.ask("a", 0, 1, 3000, false).remaining, 0);
        assert_eq!(rate.ask("b", 0, 1, 3000, false).reset, None);
        assert_eq!(rate.ask("a", 1, 1, 3000, false).reset, Some(3));
        assert_eq!(rate.ask("a", 2999, 1, 3000, false).reset, Some(1));
        assert_eq!(rate.ask("a", 3000, 1, 3000, false).reset, None);
        assert_eq!(rate.ask("a", 3000, 0, 3000, false).limit, 0, "no limit");
    }
}
