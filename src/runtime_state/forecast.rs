//! How many calls the month will have had at its end.
//!
//! Owns: that one sum.

use jiff::Timestamp;

use crate::model::Month;

/// The first hours of a month are a guess from next to nothing; the sum starts as if this many seconds had passed.
const LEAST_SECONDS: f64 = 6.0 * 3600.0;

/// Calls at the end of the month (UTC) if they go on as they did from its start until `now`.
#[must_use]
pub fn forecast(calls_this_month: u64, now: Timestamp) -> u64 {
    let month = Month::of(now);
    let (passed, left) = (month.passed.as_secs_f64(), month.left.as_secs_f64());
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an estimate; the sum is positive and `as` saturates"
    )]
    let forecast = (calls_this_month as f64 * (passed + left) / passed.max(LEAST_SECONDS)).round() as u64;
    forecast.max(calls_this_month)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_third_of_the_month_makes_three_times_the_calls() {
        for (now, calls, expected) in [
            ("2026-11-11T00:00:00Z", 100, 300),
            ("2026-11-30T23:59:59Z", 100, 100),
            ("2026-02-15T00:00:00Z", 7, 14),
            // Not 30 days × 86,400 for the first second's call.
            ("2026-11-01T00:00:01Z", 1, 120),
            ("2026-12-31T23:59:59Z", 0, 0),
        ] {
            assert_eq!(forecast(calls, now.parse().unwrap()), expected, "{now}");
        }
    }
}
