//! What the rate limit's headers say, when they say something sensible and when not.
//!
//! Owns: the bounds: no header stops the client, none makes it wait longer than a minute, none makes it hurry. Pure.
//! Never does: clocks, logging.

use std::time::Duration;

use super::limit::WINDOW;

/// No header makes anybody wait longer: the service counts in windows of 3 s.
const LONGEST_WAIT: i64 = 60;
/// A larger limit is as good as none.
const LARGEST_LIMIT: u64 = 100_000;
/// From here on a number of seconds is a date (2001), and from here a number of milliseconds is.
const EPOCH_SECONDS: f64 = 1e9;
const EPOCH_MILLISECONDS: f64 = 1e12;

/// How long a 429 asks to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wait {
    /// One second to a minute.
    pub(super) seconds: Duration,
    /// What was told is not what the service's documentation says.
    pub(super) is_odd: bool,
}

/// Reads `X-RateLimit-Reset`, or else `Retry-After`, at `now` (seconds since 1970).
pub(super) fn wait_of(reset: Option<&str>, retry_after: Option<&str>, now: i64) -> Wait {
    let mut is_odd = false;
    for text in [reset, retry_after].into_iter().flatten() {
        let Some((seconds, odd)) = seconds_of(text.trim(), now) else {
            is_odd = true;
            continue;
        };
        let bounded = seconds.clamp(1, LONGEST_WAIT);
        let is_odd = is_odd || odd || seconds > LONGEST_WAIT;
        return Wait { seconds: Duration::from_secs(bounded.unsigned_abs()), is_odd };
    }
    Wait { seconds: WINDOW, is_odd }
}

/// Seconds from `now`, and whether they were told as a date where a number is usual.
fn seconds_of(text: &str, now: i64) -> Option<(i64, bool)> {
    let Ok(number) = text.parse::<f64>() else {
        let date = jiff::fmt::rfc2822::parse(text).ok()?;
        return Some((date.timestamp().as_second().saturating_sub(now), false));
    };
    if !number.is_finite() || number < 0.0 {
        return None;
    }
    let whole = |number: f64| {
        #[expect(clippy::cast_possible_truncation, reason = "saturates")]
        let whole = number.ceil() as i64;
        whole
    };
    Some(match number {
        EPOCH_MILLISECONDS.. => (whole(number / 1000.0).saturating_sub(now), true),
        EPOCH_SECONDS.. => (whole(number).saturating_sub(now), true),
        _ => (whole(number), false),
    })
}

/// What `X-RateLimit-Limit` tells: `Ok(None)` for no header, an error for nonsense, which counts as no header.
pub(super) fn limit_of(text: Option<&str>) -> Result<Option<u32>, ()> {
    let Some(text) = text else { return Ok(None) };
    match text.trim().parse::<u64>() {
        Ok(0) | Err(_) => Err(()),
        Ok(limit) => Ok(u32::try_from(limit.min(LARGEST_LIMIT)).ok()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_a_number_above_nothing() {
        assert_eq!(limit_of(None), Ok(None));
        assert_eq!(limit_of(Some(" 60 ")), Ok(Some(60)));
        assert_eq!(limit_of(Some("18446744073709551615")), Ok(Some(100_000)));
        for odd in ["0", "-1", "many", "", "1e3"] {
            assert_eq!(limit_of(Some(odd)), Err(()), "{odd}");
        }
    }
}
