//! What is tried again, how often and when, and who fails with whom.

use super::*;
use crate::index::files::LONGEST_WAIT_MS;

const REFUSED: Outcome = Outcome::Refused { heals: true };

/// Has the action carried out, so that its end can be told.
fn start(driver: &mut Driver, planned: Planned) {
    let number = planned.row.id;
    assert_eq!(driver.starts_of(vec![planned]), [number]);
}

#[test]
fn replans_of_a_row_are_bounded() {
    let mut driver = Driver::new();
    for _ in 1..REPLANS {
        start(&mut driver, with_members(retag(1, "a"), [2]));
        assert_eq!(driver.end(1, Outcome::Outdated), Verdict::Again);
        assert!(driver.state(1).is_open() && driver.state(2).is_open() && !driver.state(1).has_failed());
    }
    start(&mut driver, with_members(retag(1, "a"), [2]));
    assert_eq!(driver.end(1, Outcome::Outdated), Verdict::FailsTogether(next_try(&row(1), true, NOW)));
    assert!(!driver.state(1).is_open() && driver.state(1).has_failed() && driver.state(2).has_failed());
}

#[test]
fn turns_of_a_row_are_bounded() {
    let mut driver = Driver::new();
    for _ in 0..TURNS {
        assert!(driver.state(1).is_open());
        start(&mut driver, retag(1, "a"));
        driver.end(1, Outcome::Done);
    }
    assert!(!driver.state(1).is_open() && !driver.state(1).is_under_way() && !driver.state(1).has_failed());
    assert_eq!(driver.scheduler.rows().acted_on().collect::<Vec<_>>(), [1]);
}

#[test]
fn a_file_that_changed_settles_first_and_frees_those_it_spoke_for() {
    let mut driver = Driver::new();
    start(&mut driver, with_members(create(1), [2]));
    assert_eq!(driver.end(1, Outcome::Changed), Verdict::Over);
    assert!(!driver.state(1).is_open() && driver.state(1).has_failed(), "nobody waits for it");
    assert!(driver.state(2).is_open() && !driver.state(2).has_failed());
}

#[test]
fn nothing_is_done_about_any_that_had_the_asset_of_a_file_that_is_back() {
    let mut driver = Driver::new();
    start(&mut driver, with_members(retag(1, "a"), [2]));
    assert_eq!(driver.end(1, Outcome::Back), Verdict::Over);
    for number in [1, 2] {
        assert!(!driver.state(number).is_open() && driver.state(number).has_failed(), "row {number}");
    }
}

#[test]
fn what_is_broken_off_is_not_tried_again_and_has_not_failed() {
    let mut driver = Driver::new();
    start(&mut driver, with_members(retag(1, "a"), [2]));
    assert_eq!(driver.end(1, Outcome::BrokenOff), Verdict::Over);
    for number in [1, 2] {
        assert!(!driver.state(number).is_open() && !driver.state(number).has_failed(), "row {number}");
    }
    start(&mut driver, retag(3, "a"));
}

#[test]
fn what_is_wrong_with_an_asset_is_wrong_for_all_that_share_it() {
    let mut driver = Driver::new();
    start(&mut driver, with_members(retag(1, "a"), [2]));
    let never = Outcome::Refused { heals: false };
    assert_eq!(driver.end(1, never), Verdict::FailsTogether(RetryAt::AfterAChange));
    assert!(driver.state(1).has_failed() && driver.state(2).has_failed() && !driver.state(2).is_open());
}

#[test]
fn a_content_fails_for_all_only_when_several_paths_could_not_send_it() {
    let mut driver = Driver::new();
    let sends_the_same = |number| {
        let mut planned = with_members(create(number), [9]);
        planned.row.md5 = Some(md5("the same"));
        planned
    };
    let retry = next_try(&row(1), true, NOW);
    for number in 1..i64::from(retry::REFUSALS) {
        start(&mut driver, sends_the_same(number));
        assert_eq!(driver.end(number, REFUSED), Verdict::FailsAlone(retry), "the copy {number} may be unreadable");
        assert!(driver.state(number).has_failed() && driver.state(9).is_open() && !driver.state(9).has_failed());
    }
    start(&mut driver, create(7));
    assert_eq!(driver.end(7, REFUSED), Verdict::FailsAlone(retry), "another content");
    start(&mut driver, sends_the_same(8));
    assert_eq!(driver.end(8, REFUSED), Verdict::FailsTogether(retry));
    assert!(driver.state(8).has_failed() && driver.state(9).has_failed());
}

#[test]
fn what_failed_waits_twice_as_long_each_time_up_to_an_hour() {
    let after = |failures| next_try(&FileRow { failures, ..row(1) }, true, NOW);
    for (failures, seconds) in [(0, 10), (1, 20), (2, 40), (8, 2560)] {
        assert_eq!(after(failures), RetryAt::Time(NOW + seconds * 1000), "after {failures} failures");
    }
    for failures in [9, 100] {
        assert_eq!(after(failures), RetryAt::Time(NOW + LONGEST_WAIT_MS), "after {failures} failures");
    }
    assert_eq!(next_try(&row(1), false, NOW), RetryAt::AfterAChange);
}

#[test]
fn what_waits_for_its_time_is_read_by_an_impatient_pass_only() {
    for (is_impatient, due) in [(false, DueBy::Time(NOW)), (true, DueBy::All)] {
        let mut driver = Driver::with(Rules { rounds: 1000, makes_calls: true, is_impatient });
        let Next::Read { due: told, .. } = driver.next() else { panic!("a pass begins with a read") };
        assert_eq!(told, due);
    }
}
