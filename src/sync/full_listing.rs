//! Everything listed once more, now and then.
//!
//! Owns: when that is due, how much of a month's budget it may take, and the listing that a daemon makes beside all else.
//! Never does: telling absence beside a pass. What a listing lacks is found by the look that begins a pass, where guards
//! stand before anything is done about it. Never sleeps.
//!
//! A look at changes (`refresh`) believes `updated_at`. Whether bulk tags, bulk moves and what the service does by itself
//! move it is not known, and what does not move it is seen by a listing of everything only: a call for 500 assets.

use std::time::Duration;

use jiff::Timestamp;

use crate::features::budget;
use crate::index::{Index, IndexError, assets};
use crate::model::{Asset, Month, UploadId};
use crate::remote::{ListQuery, Listed, PAGE_LIMIT, Remote, Walk};
use crate::sync::list_remote::{self, RefreshError};

/// Of `monthly_budget`, a part in so many may go into listings.
const BUDGET_PART: u64 = 10;
/// A month, for a budget.
const MONTH: Duration = Duration::from_secs(30 * 24 * 3600);

/// How often everything is listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rhythm {
    /// As configured.
    pub interval: Duration,
    /// Calls a month that may be spent for everything.
    pub budget: Option<u64>,
}

/// What was when it was asked whether a listing is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts {
    /// When the last one began.
    pub last: Option<Timestamp>,
    /// Assets in the media area.
    pub assets: u64,
    /// Calls made this month.
    pub spent: u64,
}

impl Rhythm {
    /// In how long the next listing is due: nothing is left of it when it is; `None` where the budget has no room for one.
    ///
    /// A time to come was written by a wrong clock and counts like one that lies as far back: a clock that is set puts a
    /// listing off by one interval at most, and makes one too many at most.
    #[must_use]
    pub fn due_in(&self, facts: Facts, now: Timestamp) -> Option<Duration> {
        let interval = self.interval_for(facts.assets)?;
        let since = facts.last.map_or(interval, |last| now.duration_since(last).unsigned_abs());
        let wait = interval.saturating_sub(since);
        let is_short = self.budget.is_some_and(|budget| budget::is_spread(budget, facts.spent));
        // What is left is for saves.
        Some(if is_short { wait.max(Month::of(now).left) } else { wait })
    }

    /// The configured interval, or a longer one where a month of listings would cost more than their part of the budget.
    fn interval_for(&self, assets: u64) -> Option<Duration> {
        let Some(budget) = self.budget else { return Some(self.interval) };
        let calls = assets.div_ceil(u64::from(PAGE_LIMIT)).max(1);
        let most = budget / BUDGET_PART;
        if calls > most {
            return None;
        }
        Some(self.interval.max(Duration::from_secs(MONTH.as_secs().saturating_mul(calls) / most)))
    }
}

/// In how long the next listing is due, as [`Rhythm::due_in`].
///
/// # Errors
/// The index's.
pub async fn due_in(
    index: &Index,
    rhythm: &Rhythm,
    spent: u64,
    now: Timestamp,
) -> Result<Option<Duration>, IndexError> {
    let (last, assets) = index.call(|conn| Ok((list_remote::last_in_full(conn)?, assets::count(conn)?))).await?;
    Ok(rhythm.due_in(Facts { last, assets, spent }, now))
}

/// Lists everything while passes go on. Returns whether the index knows assets that the media area lacks.
///
/// One page at a time, so that whoever saves meanwhile waits for one call at most. Where assets come or go meanwhile one may
/// be missed until the next listing; that is cheaper than beginning anew.
///
/// # Errors
/// The API's and the index's; a listing that breaks off counts as none.
pub async fn list_beside(index: &Index, remote: &Remote, is_slowed: impl Fn() -> bool) -> Result<bool, RefreshError> {
    let began = Timestamp::now();
    let mut walk = Walk::default();
    let (listed, total) = loop {
        if is_slowed() {
            // What is left of the budget is for saves.
            return Ok(false);
        }
        let page = remote.list(&ListQuery::all(walk.offset())).await?;
        let listed = walk.take(&page);
        take_in(index, remote, page.assets).await?;
        if listed != Listed::More {
            break (listed, page.total);
        }
    };
    let known = index
        .call(move |conn| {
            list_remote::set_last_in_full(conn, began)?;
            assets::count(conn)
        })
        .await?;
    Ok(listed == Listed::Whole && known > total)
}

/// Writes what a page tells to the index. A call of ours may have told of a newer state since the page was asked for, perhaps
/// one with the same `updated_at`: which of the two is right is then asked by id.
async fn take_in(index: &Index, remote: &Remote, found: Vec<Asset>) -> Result<(), RefreshError> {
    let older = index
        .call(move |conn| {
            let mut older: Vec<UploadId> = Vec::new();
            for asset in found {
                let known = assets::by_id(conn, &asset.id)?;
                if known.is_some_and(|known| known.updated_at >= asset.updated_at && known != asset) {
                    older.push(asset.id);
                } else {
                    assets::upsert(conn, &asset, None)?;
                }
            }
            Ok(older)
        })
        .await?;
    if older.is_empty() { Ok(()) } else { list_remote::by_id(index, remote, older).await }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);
    const DAY: Duration = Duration::from_secs(24 * 3600);

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_listing_is_due_once_an_interval_whatever_is_done_to_the_clock() {
        let rhythm = Rhythm { interval: DAY, budget: None };
        let now = at("2026-11-28T12:00:00Z");
        for (last, expected, what) in [
            (None, Duration::ZERO, "there was none, or an older version made it"),
            (Some(now), DAY, "it was made just now"),
            (Some(now - HOUR), 23 * HOUR, "an hour ago"),
            (Some(now - DAY), Duration::ZERO, "a day ago"),
            (Some(now - 100 * DAY), Duration::ZERO, "the machine was off"),
            (Some(now + HOUR), 23 * HOUR, "the clock was set back by an hour"),
            (Some(now + 365 * DAY), Duration::ZERO, "the clock was a year ahead"),
            (Some(Timestamp::MAX), Duration::ZERO, "no time of this world"),
            (Some(Timestamp::MIN), Duration::ZERO, "no time of this world"),
        ] {
            let due = rhythm.due_in(Facts { last, assets: 1_000_000, spent: 5_000_000 }, now);
            assert_eq!(due, Some(expected), "{what}");
        }
        // Set forward and back again, it costs one listing too many.
        let ahead = now + 1000 * DAY;
        assert_eq!(rhythm.due_in(Facts { last: Some(now), assets: 1, spent: 0 }, ahead), Some(Duration::ZERO));
        assert_eq!(rhythm.due_in(Facts { last: Some(ahead), assets: 1, spent: 0 }, now), Some(Duration::ZERO));
        assert_eq!(rhythm.due_in(Facts { last: Some(now), assets: 1, spent: 0 }, now), Some(DAY));
    }

    #[test]
    fn listings_take_a_tenth_of_the_budget_and_nothing_of_its_last_fifth() {
        let now = at("2026-11-28T12:00:00Z");
        let due = |budget, assets, spent| {
            Rhythm { interval: DAY, budget: Some(budget) }.due_in(Facts { last: Some(now), assets, spent }, now)
        };
        for (budget, assets, days) in [
            (50_000, 1_000, Some(1)),
            (50_000, 10_000, Some(1)),
            // 6,000 calls would be more than 5,000.
            (20_000, 100_000, Some(3)),
            (10_000, 100_000, Some(6)),
            (2_000, 100_000, Some(30)),
            (1_999, 100_000, None),
            (10, 0, Some(30)),
            (9, 0, None),
            (u64::MAX, u64::MAX, Some(1)),
        ] {
            assert_eq!(due(budget, assets, 0), days.map(|days: u32| days * DAY), "{budget} calls, {assets} assets");
            let Some(days) = days else { continue };
            let a_month = 30 / u64::from(days) * assets.div_ceil(500);
            assert!(a_month <= budget / 10, "{a_month} of {budget}");
        }
        let until_december = Duration::from_secs(60 * 3600);
        for (spent, expected) in [(0, DAY), (39_999, DAY), (40_000, until_december), (50_000, until_december)] {
            assert_eq!(due(50_000, 1_000, spent), Some(expected), "{spent} spent");
            let overdue = Facts { last: None, assets: 1_000, spent };
            let rhythm = Rhythm { interval: DAY, budget: Some(50_000) };
            let wait = if spent < 40_000 { Duration::ZERO } else { until_december };
            assert_eq!(rhythm.due_in(overdue, now), Some(wait), "{spent} spent");
        }
        // Without a budget nobody counts.
        let free = Rhythm { interval: DAY, budget: None };
        assert_eq!(free.due_in(Facts { last: Some(now), assets: 1_000_000, spent: 1_000_000 }, now), Some(DAY));
    }
}
