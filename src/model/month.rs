//! The month that calls are counted in: the calendar's, in UTC.
//!
//! Owns: its name and its bounds. The time is given.

use std::time::Duration;

use jiff::tz::TimeZone;
use jiff::{Span, Timestamp, Zoned};

/// The month of a moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Month {
    /// As the index keys its calls: `2026-11`.
    pub name: String,
    /// From its start to the moment.
    pub passed: Duration,
    /// From the moment to its end; never nothing.
    pub left: Duration,
}

impl Month {
    /// The month of `now`.
    #[must_use]
    pub fn of(now: Timestamp) -> Self {
        let at = now.to_zoned(TimeZone::UTC);
        let bounds = at.first_of_month().and_then(|day| day.start_of_day()).and_then(|start| {
            let end = start.checked_add(Span::new().months(1))?;
            Ok((between(&start, &at), between(&at, &end)))
        });
        // Only the last month that the calendar has is without an end.
        let (passed, left) = bounds.unwrap_or_default();
        Self { name: Self::name_of(now), passed, left: left.max(Duration::from_secs(1)) }
    }

    /// The name of the month of `now`.
    #[must_use]
    pub fn name_of(now: Timestamp) -> String {
        now.strftime("%Y-%m").to_string()
    }
}

fn between(from: &Zoned, to: &Zoned) -> Duration {
    from.duration_until(to).unsigned_abs()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_is_the_calendar_s_in_utc() {
        let day = 86_400;
        for (now, name, passed, left) in [
            ("2026-11-11T00:00:00Z", "2026-11", 10 * day, 20 * day),
            ("2026-12-01T00:00:00Z", "2026-12", 0, 31 * day),
            ("2028-02-29T12:00:00Z", "2028-02", 28 * day + day / 2, day / 2),
            ("2026-11-30T23:59:59.9Z", "2026-11", 30 * day - 1, 1),
            // December begins an hour later there.
            ("2026-12-01T00:30:00+01:00", "2026-11", 30 * day - 1800, 1800),
            ("9999-12-30T00:00:00Z", "9999-12", 0, 1),
        ] {
            let month = Month::of(now.parse().unwrap());
            let shown = (month.name.as_str(), month.passed.as_secs(), month.left.as_secs());
            assert_eq!(shown, (name, passed, left), "{now}");
        }
    }
}
