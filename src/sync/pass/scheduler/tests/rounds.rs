//! What is read and started in a round, what waits, and when the stage is over.

use super::*;

fn rows(next: &Next) -> Rows {
    let Next::Read { rows, .. } = next else { panic!("it is about to {}", name(next)) };
    rows.clone()
}

fn after(path: &str) -> Rows {
    Rows::After { present: true, path: path.into() }
}

#[test]
fn what_a_person_waits_for_goes_first() {
    let mut driver = Driver::new();
    assert_eq!(driver.starts_of(vec![create(1)]), [1]);
    driver.urgent = true;
    assert_eq!(rows(&driver.next()), Rows::PriorityPaths);
    driver.scheduler.offer(Offer { plans: vec![create(900), create(901)], ..Offer::default() });
    assert_eq!((driver.starts(), driver.then()), (vec![900, 901], "read urgent"), "an urgent page is not cut short");
    driver.urgent = false;
    assert_eq!(rows(&driver.next()), after(&path(1)), "the others go on where they were");
}

#[test]
fn a_page_is_cut_short_for_what_a_person_waits_for_and_its_rest_is_planned_again() {
    let mut driver = Driver::new();
    driver.offer(vec![create(1), create(2), create(3)]);
    assert!(matches!(driver.next(), Next::Start(_)));
    driver.urgent = true;
    assert_eq!(rows(&driver.next()), Rows::PriorityPaths);
    driver.scheduler.offer(Offer { plans: vec![create(900)], ..Offer::default() });
    assert_eq!(driver.starts(), [900]);
    driver.urgent = false;
    assert_eq!(rows(&driver.next()), after(&path(1)));
    assert!(driver.state(2).is_open());
}

#[test]
fn a_row_that_a_person_waits_for_is_open_again() {
    let mut driver = Driver::new();
    driver.starts_of(vec![create(1)]);
    driver.end(1, Outcome::Changed);
    assert!(!driver.state(1).is_open());
    driver.urgent = true;
    driver.offer(vec![create(1)]);
    assert_eq!(driver.starts(), [1]);
}

#[test]
fn what_is_gone_is_not_held_up_by_what_a_person_waits_for() {
    let mut driver = Driver::new();
    driver.offer(Vec::new());
    assert_eq!(driver.then(), "guard");
    driver.scheduler.answer(true);
    driver.urgent = true;
    assert_eq!(driver.then(), "read gone");
}

#[test]
fn rows_are_read_a_page_at_a_time() {
    let mut driver = Driver::new();
    for page in 0..100 {
        let all: Vec<i64> = (page * 100..page * 100 + 100).collect();
        driver.offer(all.iter().map(|number| create(*number)).collect());
        let mut started = Vec::new();
        while started.len() < all.len() {
            started.extend(driver.starts());
            // The oldest ends, so that there is room for the next.
            let oldest = driver.rows_under_way()[0];
            driver.end(oldest, Outcome::Done);
        }
        assert_eq!(started, all, "all of a page have their turn before more is read");
        assert!(driver.rows_under_way().len() <= SLOTS);
    }
}

#[test]
fn no_more_is_under_way_than_there_are_slots() {
    let mut driver = Driver::new();
    let all: Vec<i64> = (0..SLOTS as i64 + 2).collect();
    driver.offer(all.iter().map(|number| create(*number)).collect());
    assert_eq!(driver.starts().len(), SLOTS);
    assert_eq!(driver.then(), "wait for a slot");
    driver.end(7, Outcome::Done);
    assert_eq!(driver.starts(), [SLOTS as i64], "the next in line");
    assert_eq!(driver.then(), "wait for a slot");
    driver.end(8, Outcome::Done);
    assert_eq!(driver.starts(), [SLOTS as i64 + 1]);
}

#[test]
fn the_same_change_of_many_assets_starts_together_when_the_group_is_full_or_nothing_more_comes() {
    let mut driver = Driver::new();
    driver.offer((0..300).map(|number| add_tag(number, if number % 3 == 0 { "third" } else { "other" })).collect());
    let Next::Start(Start::Same(_, group)) = driver.next() else { panic!("a full group starts at once") };
    assert_eq!(group.len(), 200);
    assert!(group.iter().all(|planned| planned.row.id % 3 != 0), "each change by itself");
    assert_eq!(driver.then(), "read");
    driver.offer(Vec::new());
    let Next::Start(Start::Same(_, group)) = driver.next() else { panic!("what was gathered starts at the end") };
    assert_eq!(group.len(), 100);
    assert_eq!(driver.then(), "wait for all");
}

#[test]
fn deletions_start_together() {
    let mut driver = Driver::new();
    driver.offer(Vec::new());
    assert_eq!(driver.then(), "guard");
    let page = |plans: Vec<Planned>| Offer {
        seen: plans.iter().map(|planned| planned.row.id).collect(),
        last: plans.last().map(|planned| planned.row.path.key().to_owned()),
        plans,
        ..Offer::default()
    };
    driver.scheduler.begin_count();
    driver.scheduler.count(page((0..201).map(delete).collect()));
    driver.scheduler.answer(true);
    driver.offer((0..201).map(delete).collect());
    let Next::Start(Start::Deletions(group)) = driver.next() else { panic!("a full group starts at once") };
    assert_eq!(group.len(), 200);
    driver.offer(Vec::new());
    assert_eq!(driver.starts(), [200]);
}

#[test]
fn a_dry_run_gathers_nothing() {
    let mut driver = Driver::with(Rules { rounds: 1000, makes_calls: false, is_impatient: false });
    driver.offer(vec![add_tag(1, "new"), add_tag(2, "new")]);
    assert!(matches!(driver.next(), Next::Start(Start::One(_))));
    assert!(matches!(driver.next(), Next::Start(Start::One(_))));
}

#[test]
fn a_round_ends_when_all_that_it_started_has_ended() {
    let mut driver = Driver::new();
    driver.starts_of(vec![create(1), create(2)]);
    driver.offer(Vec::new());
    assert_eq!(driver.then(), "wait for all");
    driver.end(1, Outcome::Done);
    assert_eq!(driver.then(), "wait for all");
    driver.end(2, Outcome::Done);
    assert_eq!(rows(&driver.next()), after(""), "the next round begins at the first row");
}

#[test]
fn a_stage_is_over_when_a_round_starts_nothing_and_learns_nothing() {
    let mut driver = Driver::new();
    driver.starts_of(vec![create(1)]);
    driver.end_round();
    assert_eq!(driver.then(), "read", "it started something");
    driver.scheduler.offer(Offer { unwanted: vec![2], ..Offer::default() });
    assert_eq!(driver.then(), "read", "it learnt that nobody need wait for row 2");
    driver.scheduler.offer(Offer { unwanted: vec![2], ..Offer::default() });
    assert_eq!(driver.then(), "guard", "that was known");
}

#[test]
fn whoever_waited_for_a_row_that_is_not_in_this_pass_need_not() {
    let mut driver = Driver::new();
    driver.then();
    driver.scheduler.offer(Offer { unwanted: vec![2], ..Offer::default() });
    assert!(driver.state(2).has_failed());
}

#[test]
fn rounds_of_a_stage_are_bounded() {
    let mut driver = Driver::with(Rules { rounds: 3, makes_calls: true, is_impatient: false });
    for round in 0..3 {
        assert_eq!(driver.starts_of(vec![create(round)]), [round]);
        driver.end_round();
    }
    assert_eq!(driver.then(), "guard");
}

#[test]
fn rounds_that_start_nothing_are_bounded() {
    let mut driver = Driver::new();
    for number in 0..20 {
        assert_eq!(driver.then(), "read");
        driver.scheduler.offer(Offer { unwanted: vec![number], ..Offer::default() });
    }
    assert_eq!(driver.then(), "guard");
}

#[test]
fn a_halted_pass_starts_nothing_sends_what_it_gathered_and_waits_for_what_is_under_way() {
    let mut driver = Driver::new();
    driver.offer(vec![create(1), add_tag(2, "new"), create(3), create(4)]);
    assert!(matches!(driver.next(), Next::Start(_)));
    assert!(matches!(driver.next(), Next::Start(_)));
    driver.scheduler.halt();
    assert_eq!(driver.starts(), [2], "row 4 does not start");
    for row in driver.rows_under_way() {
        assert_eq!(driver.then(), "wait for all");
        driver.end(row, Outcome::BrokenOff);
    }
    assert_eq!([driver.then(), driver.then(), driver.then()], ["files back", "left", "done"]);
}
