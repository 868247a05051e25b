//! Which actions may be under way beside which, and what is known of a row meanwhile.

use super::*;

#[test]
fn two_actions_that_touch_one_asset_are_never_under_way_at_once() {
    let mut driver = Driver::new();
    assert_eq!(driver.starts_of(vec![replace(1, "a"), retag(2, "a"), retag(3, "b")]), [1, 3], "in one page");
    assert_eq!(driver.starts_of(vec![retag(4, "a"), retag(5, "c")]), [5], "in the next page");
    let leaves_b = Planned { row: FileRow { asset: Some(id("b")), ..row(6) }, ..create(6) };
    assert_eq!(driver.starts_of(vec![leaves_b]), NONE, "whoever may be the last to leave it works on it too");
    driver.end(1, Outcome::Done);
    assert_eq!(driver.starts_of(vec![retag(7, "a")]), [7], "after its end");
}

#[test]
fn what_was_planned_while_its_asset_was_worked_on_does_not_start_when_that_has_ended() {
    let mut driver = Driver::new();
    assert_eq!(driver.starts_of(vec![replace(1, "a")]), [1]);
    driver.offer(vec![retag(2, "b"), retag(3, "a")]);
    driver.end(1, Outcome::Done);
    assert_eq!(driver.starts(), [2], "the plan of row 3 does not know what row 1 did");
}

#[test]
fn what_an_action_took_is_not_given_back_to_the_plans_of_its_page() {
    let mut driver = Driver::new();
    driver.offer(vec![replace(1, "a"), retag(2, "a")]);
    assert!(matches!(driver.next(), Next::Start(_)));
    driver.end(1, Outcome::Done);
    assert_eq!(driver.starts(), NONE, "the plan of row 2 does not know what row 1 did");
}

#[test]
fn any_number_may_leave_an_asset_that_others_keep_and_nobody_works_on_it_meanwhile() {
    let mut driver = Driver::new();
    assert_eq!(driver.starts_of(vec![leave(1, "a"), leave(2, "a"), retag(3, "a")]), [1, 2]);
    assert_eq!(driver.starts_of(vec![leave(4, "a"), retag(5, "a")]), [4]);
    driver.end(1, Outcome::Done);
    driver.end(2, Outcome::Done);
    assert_eq!(driver.starts_of(vec![retag(6, "a")]), NONE, "row 4 is still leaving");
    driver.end(4, Outcome::Done);
    assert_eq!(driver.starts_of(vec![retag(7, "a")]), [7]);
    assert_eq!(driver.starts_of(vec![leave(8, "a")]), NONE, "nobody leaves it while it is worked on");
}

#[test]
fn a_row_that_is_worked_on_is_not_offered_again() {
    let mut driver = Driver::new();
    assert!(driver.state(1).is_open() && !driver.state(1).is_under_way());
    driver.starts_of(vec![with_members(create(1), [2, 3])]);
    for number in [1, 2, 3] {
        assert!(driver.state(number).is_under_way() && !driver.state(number).is_open(), "row {number}");
    }
    driver.end(1, Outcome::Done);
    for number in [1, 2, 3] {
        assert!(!driver.state(number).is_under_way() && driver.state(number).is_open(), "row {number}");
    }
}

#[test]
fn a_row_that_is_worked_on_or_done_with_does_not_start_again() {
    let mut driver = Driver::new();
    assert_eq!(driver.starts_of(vec![create(1)]), [1]);
    assert_eq!(driver.starts_of(vec![retag(1, "b")]), NONE, "it is worked on");
    driver.end(1, Outcome::Changed);
    assert_eq!(driver.starts_of(vec![retag(1, "b")]), NONE, "the pass is done with it");
}

#[test]
fn a_gathered_action_is_under_way_before_its_group_is_sent() {
    let mut driver = Driver::new();
    assert_eq!(driver.starts_of(vec![add_tag(1, "new")]), NONE);
    assert!(driver.state(1).is_under_way());
    assert_eq!(driver.starts_of(vec![retag(2, "asset-1")]), NONE, "its asset is taken");
}

#[test]
fn a_plan_speaks_for_its_members_from_its_turn_to_the_end_of_the_round() {
    let mut driver = Driver::new();
    driver.offer(vec![create(1), with_members(wait(2), [3])]);
    driver.next();
    assert!(!driver.scheduler.rows().is_spoken_for(3), "a page that is cut short speaks for nobody in its rest");
    driver.starts();
    assert!(driver.scheduler.rows().is_spoken_for(3), "also when nothing starts for it");
    driver.end_round();
    driver.then();
    assert!(!driver.scheduler.rows().is_spoken_for(3));
}

#[test]
fn an_action_that_ends_abnormally_frees_its_slot_and_its_row_is_left_to_the_next_pass() {
    let mut driver = Driver::new();
    driver.starts_of(vec![create(1)]);
    driver.offer(Vec::new());
    assert_eq!(driver.then(), "wait for all");
    driver.scheduler.slot_is_free();
    assert_eq!(driver.then(), "read");
    assert!(!driver.state(1).is_open());
}
