//! Whole passes over made-up mirrors, with outcomes in any order: they end, everything is done, and no asset is in two hands.

use std::collections::HashSet;

use super::*;

/// A mirror in which each of the rows has so many actions left to do, on one of the assets.
struct Mirror {
    left: Vec<u8>,
    assets: i64,
}

impl Mirror {
    fn plan(&self, number: i64) -> Planned {
        let asset = format!("shared-{}", number % self.assets);
        match number % 4 {
            0 => replace(number, &asset),
            1 => leave(number, &asset),
            2 => add_tag(number, "new"),
            _ => retag(number, &asset),
        }
    }

    /// A page as the driver reads it: rows with something left, that are open, after the path.
    fn page(&self, driver: &Driver, after: &str) -> Offer {
        let has_more = |number: &i64| self.left[*number as usize] > 0 && path(*number).as_str() > after;
        let rows: Vec<i64> = (0..self.left.len() as i64).filter(has_more).take(10).collect();
        let last = rows.last().map(|number| path(*number));
        let plans = rows.iter().filter(|number| driver.state(**number).is_open()).map(|number| self.plan(*number));
        Offer { plans: plans.collect(), last, seen: rows.clone(), ..Offer::default() }
    }
}

/// No asset that is worked on is in another action's hands.
fn assert_disjoint(driver: &Driver) {
    let (mut worked_on, mut left) = (HashSet::new(), HashSet::new());
    for planned in driver.under_way.iter().flatten() {
        let target = planned.plan.action.asset().unwrap();
        assert!(worked_on.insert(target.clone()), "two actions work on {target:?}");
        left.extend(planned.row.asset.clone());
    }
    assert!(worked_on.is_disjoint(&left), "an asset is worked on while paths leave it");
}

#[test]
fn whatever_the_order_of_outcomes_a_pass_ends_with_everything_done_and_no_asset_in_two_hands() {
    for seed in 0..200 {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut driver = Driver::new();
        let rows = random.usize(1..60);
        let mut mirror = Mirror { left: (0..rows).map(|_| random.u8(0..4)).collect(), assets: random.i64(1..9) };
        let mut steps = 0;
        loop {
            steps += 1;
            assert!(steps < 20_000, "the pass of seed {seed} has no end");
            match driver.next() {
                Next::Read { rows: Rows::After { present: true, path }, .. } => {
                    let page = mirror.page(&driver, &path);
                    driver.scheduler.offer(page);
                }
                Next::Read { .. } => driver.scheduler.offer(Offer::default()),
                Next::Done => break,
                Next::AskGuard | Next::AskGone | Next::CorrectStamps => driver.scheduler.answer(random.bool()),
                _ => {}
            }
            assert_disjoint(&driver);
            let under_way = driver.rows_under_way();
            if !under_way.is_empty() && random.u8(0..3) > 0 {
                let row = under_way[random.usize(0..under_way.len())];
                driver.end(row, Outcome::Done);
                mirror.left[row as usize] -= 1;
            }
        }
        assert!(driver.rows_under_way().is_empty(), "seed {seed}");
        assert!(mirror.left.iter().all(|left| *left == 0), "seed {seed}: {:?}", mirror.left);
    }
}
