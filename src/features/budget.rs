//! The calls this installation makes in a month, and `monthly_budget`.
//!
//! Owns: counting, and when a call must wait so that the rest lasts until the month's end, or must not be made at all.
//! Never does: clocks (the time is given), the index (the owner takes what is unwritten).

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use crate::model::Month;
use crate::remote::Admission;

/// From this part of the budget on, what is left is spread over what is left of the month.
const SPREAD_FROM: f64 = 0.8;
/// The part of what is left that may be spent at once: a folder saved in one go does not crawl.
const AT_ONCE: f64 = 0.1;

/// The month's calls.
#[derive(Debug)]
pub struct Budget {
    limit: Option<u64>,
    slows: bool,
    month: String,
    /// Of `month`, with what is not written yet.
    spent: u64,
    /// By month: what the index does not know yet.
    unwritten: BTreeMap<String, u64>,
    /// Earliest time of the next call, were they evenly spread; runs behind by as much as may be spent at once.
    even: Option<Timestamp>,
}

impl Budget {
    /// A budget of which `spent` calls are spent in the month of `now`. `slows`: spread the last fifth; a run that
    /// ends by itself goes on until all is spent instead.
    #[must_use]
    pub fn new(limit: Option<u64>, slows: bool, spent: u64, now: Timestamp) -> Self {
        Self { limit, slows, month: Month::name_of(now), spent, unwritten: BTreeMap::new(), even: None }
    }

    /// Whether a call may be made `now`; one that may is counted.
    pub fn admit(&mut self, now: Timestamp) -> Admission {
        self.turn(now);
        if let Some(limit) = self.limit {
            let left = limit.saturating_sub(self.spent);
            if left == 0 {
                return Admission::Spent;
            }
            if let Some(wait) = self.is_spread(limit).then(|| self.spread(left, now)).flatten() {
                return Admission::Later(wait);
            }
        }
        self.spent += 1;
        *self.unwritten.entry(self.month.clone()).or_default() += 1;
        Admission::Go
    }

    /// A counted call was not made after all.
    pub fn give_back(&mut self) {
        // One that is written already stays counted: too many is the safe side.
        if let Some(calls) = self.unwritten.get_mut(&self.month).filter(|calls| **calls > 0) {
            *calls -= 1;
            self.spent = self.spent.saturating_sub(1);
        }
    }

    /// Calls of the month of `now`.
    pub fn spent(&mut self, now: Timestamp) -> u64 {
        self.turn(now);
        self.spent
    }

    /// Whether the rest is being spread by now.
    pub fn is_slowed(&mut self, now: Timestamp) -> bool {
        self.turn(now);
        self.slows && self.limit.is_some_and(|limit| self.is_spread(limit))
    }

    /// What has to be added to the index, by month.
    pub fn take_unwritten(&mut self) -> BTreeMap<String, u64> {
        std::mem::take(&mut self.unwritten)
    }

    /// A new month begins with nothing spent.
    fn turn(&mut self, now: Timestamp) {
        let month = Month::name_of(now);
        if month != self.month {
            (self.month, self.spent, self.even) = (month, 0, None);
        }
    }

    fn is_spread(&self, limit: u64) -> bool {
        self.slows && is_spread(limit, self.spent)
    }

    /// How long the next call has to wait; nothing when it need not.
    #[expect(clippy::cast_precision_loss, reason = "a part of a count")]
    fn spread(&mut self, left: u64, now: Timestamp) -> Option<Duration> {
        let until_end = Month::of(now).left;
        let at_once = until_end.mul_f64(AT_ONCE);
        let gap = until_end.div_f64(left as f64);
        // A tenth of very few is less than the calls of one file.
        let at_once = at_once.max(gap.mul_f64(left.min(4) as f64));
        let earliest = self.even.unwrap_or(Timestamp::MIN).max(now - at_once);
        if earliest > now {
            return Some(Duration::try_from(now.duration_until(earliest)).unwrap_or(gap));
        }
        self.even = Some(earliest + gap);
        None
    }
}

/// Whether so much of a budget is spent that a daemon spreads the rest.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "a part of a count")]
pub fn is_spread(limit: u64, spent: u64) -> bool {
    spent as f64 >= limit as f64 * SPREAD_FROM
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    /// Calls let through from `now` to `end` by somebody who always wants one more.
    fn greedy(budget: &mut Budget, mut now: Timestamp, end: Timestamp) -> u64 {
        let mut calls = 0;
        while now < end {
            match budget.admit(now) {
                Admission::Go => calls += 1,
                Admission::Later(wait) => now += wait.max(Duration::from_millis(1)),
                Admission::Spent => break,
            }
        }
        calls
    }

    #[test]
    fn without_a_budget_calls_are_only_counted() {
        let now = at("2026-11-22T00:00:00Z");
        let mut budget = Budget::new(None, true, 5, now);
        assert!((0..100).all(|_| budget.admit(now) == Admission::Go));
        assert_eq!((budget.spent(now), budget.is_slowed(now)), (105, false));
        budget.give_back();
        assert_eq!(budget.spent(now), 104);
        assert_eq!(budget.take_unwritten(), BTreeMap::from([("2026-11".to_owned(), 99)]));
        assert!(budget.take_unwritten().is_empty());
    }

    #[test]
    fn the_last_fifth_lasts_until_the_months_end_and_is_never_overspent() {
        let now = at("2026-11-21T00:00:00Z");
        let mut budget = Budget::new(Some(50_000), true, 39_990, now);
        // The first ten are free, then a tenth of the rest goes at once.
        let at_once = greedy(&mut budget, now, now + Duration::from_millis(1));
        assert!((900..1100).contains(&at_once), "{at_once}");
        assert!(budget.is_slowed(now));
        let Admission::Later(wait) = budget.admit(now) else { panic!("no wait") };
        assert!(wait < Duration::from_secs(120), "{wait:?}");
        // A day later there is as much more as a day's share.
        let tomorrow = now + Duration::from_secs(86_400);
        let day = greedy(&mut budget, now, tomorrow);
        assert!((800..1100).contains(&day), "{day}");
        let end = at("2026-11-30T23:59:59Z");
        greedy(&mut budget, tomorrow, end);
        let spent = budget.spent(end);
        assert!((49_000..=50_000).contains(&spent), "{spent}");
    }

    #[test]
    fn a_run_that_ends_by_itself_spends_all_and_then_stops() {
        let now = at("2026-11-21T00:00:00Z");
        let mut budget = Budget::new(Some(100), false, 60, now);
        assert_eq!(greedy(&mut budget, now, now + Duration::from_secs(1)), 40);
        assert_eq!(budget.admit(now), Admission::Spent);
        assert!(!budget.is_slowed(now));
    }

    #[test]
    fn a_spent_budget_is_whole_again_in_the_next_month() {
        let last = at("2026-11-30T23:59:59Z");
        let mut budget = Budget::new(Some(10), true, 10, last);
        assert_eq!(budget.admit(last), Admission::Spent);
        let first = at("2026-12-01T00:00:00Z");
        assert_eq!((budget.admit(first), budget.spent(first)), (Admission::Go, 1));
        assert_eq!(budget.take_unwritten(), BTreeMap::from([("2026-12".to_owned(), 1)]));
    }

    #[test]
    fn a_small_budget_still_lets_one_file_through_at_once() {
        let now = at("2026-11-02T00:00:00Z");
        let mut budget = Budget::new(Some(50), true, 40, now);
        assert!(greedy(&mut budget, now, now + Duration::from_millis(1)) >= 4);
    }

    #[test]
    fn a_clock_set_back_stops_nothing() {
        let now = at("2026-11-21T00:00:00Z");
        let mut budget = Budget::new(Some(1000), true, 900, now);
        greedy(&mut budget, now, now + Duration::from_secs(3600));
        let back = at("2026-10-31T12:00:00Z");
        assert_eq!(budget.admit(back), Admission::Go);
    }
}
