//! When a daemon lists everything once more, decided without a clock.
//!
//! Owns: when to ask again whether a listing is due, and the pauses after one that failed. How far apart listings lie is
//! decided by `full_listing`. Never does: I/O, waiting; that is `lister`.

use std::time::Duration;

use super::backoff::Backoff;

/// The wall clock is looked at so often at least: a machine that slept, or whose clock was set, is not late by more.
const LONGEST_NAP: Duration = Duration::from_secs(15 * 60);
/// However short the interval is.
const SHORTEST_NAP: Duration = Duration::from_secs(1);
/// Until the first look at the remote has listed everything there is nothing to list once more.
const FIRST_NAP: Duration = Duration::from_secs(30);
/// A listing needs the API, and can wait until that is out of trouble.
const DURING_OUTAGE: Duration = Duration::from_secs(60);
/// The pauses after listings that failed.
const AFTER_FAILURE: Backoff = Backoff { first: Duration::from_secs(60), longest: Duration::from_secs(3600) };

/// The schedule of the listings of everything, for all mirrors.
#[derive(Debug, Default)]
pub struct ListingSchedule {
    /// Listings in a row that failed.
    failures: u32,
}

/// What is known when it is asked whether to list everything.
#[derive(Debug, Clone, Copy)]
pub enum Facts {
    /// The first look at the remote has not ended; how often everything is to be listed.
    RemoteUnknown(Duration),
    /// The index knows the remote.
    Known {
        /// In how long a listing is due; `None` where the budget has no room for one.
        due_in: Option<Duration>,
        /// The API is in trouble, as a mirror noticed.
        api_is_down: bool,
    },
}

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// List everything now.
    List,
    /// Ask again after so long.
    AskIn(Duration),
}

impl ListingSchedule {
    /// What to do by these facts.
    pub fn decide(&self, facts: Facts) -> Step {
        match facts {
            Facts::RemoteUnknown(interval) => Step::AskIn(interval.clamp(SHORTEST_NAP, FIRST_NAP)),
            Facts::Known { due_in, api_is_down } => {
                let wait = due_in.unwrap_or(LONGEST_NAP);
                if !wait.is_zero() {
                    Step::AskIn(wait.clamp(SHORTEST_NAP, LONGEST_NAP))
                } else if api_is_down {
                    Step::AskIn(DURING_OUTAGE)
                } else {
                    Step::List
                }
            }
        }
    }

    /// A listing ended. Returns in how long to ask again.
    pub fn ended(&mut self, failed: bool) -> Duration {
        if !failed {
            self.failures = 0;
            return SHORTEST_NAP;
        }
        let pause = AFTER_FAILURE.after(self.failures);
        self.failures = self.failures.saturating_add(1);
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn asked_in(facts: Facts) -> Option<u64> {
        match ListingSchedule::default().decide(facts) {
            Step::List => None,
            Step::AskIn(wait) => Some(wait.as_secs()),
        }
    }

    fn known(due_in: Option<u64>, api_is_down: bool) -> Facts {
        Facts::Known { due_in: due_in.map(seconds), api_is_down }
    }

    #[test]
    fn a_full_listing_is_made_when_it_is_due() {
        assert_eq!(asked_in(known(Some(0), false)), None);
        assert_eq!(asked_in(known(Some(20), false)), Some(20));
    }

    #[test]
    fn no_full_listing_comes_before_the_first_look_at_the_remote() {
        let asked = [0, 10, 86_400].map(|interval| asked_in(Facts::RemoteUnknown(seconds(interval))));
        assert_eq!(asked, [Some(1), Some(10), Some(30)]);
    }

    #[test]
    fn the_wall_clock_is_looked_at_every_quarter_of_an_hour_and_without_a_budget_too() {
        assert_eq!([asked_in(known(Some(86_400), false)), asked_in(known(None, false))], [Some(900), Some(900)]);
    }

    #[test]
    fn a_full_listing_waits_a_minute_at_a_time_for_an_api_in_trouble() {
        assert_eq!([asked_in(known(Some(0), true)), asked_in(known(Some(20), true))], [Some(60), Some(20)]);
    }

    #[test]
    fn a_listing_that_fails_is_begun_anew_after_pauses_that_grow_and_one_that_ends_resets_them() {
        let mut schedule = ListingSchedule::default();
        let minutes: Vec<u64> = (0..8).map(|_| schedule.ended(true).as_secs() / 60).collect();
        assert_eq!(minutes, [1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(schedule.ended(false), seconds(1));
        assert_eq!(schedule.ended(true), seconds(60));
    }
}
