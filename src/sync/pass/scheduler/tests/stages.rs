//! The order of the stages, the deletion guard, and what is given up when.

use super::*;

/// What a pass comes to, step by step, until it is done: a read is answered by the plans that `read` makes of it, a question by
/// `answer`, and what starts ends well.
fn steps(
    driver: &mut Driver,
    mut read: impl FnMut(&Rows) -> Offer,
    answer: impl Fn(&'static str) -> bool,
) -> Vec<&'static str> {
    let mut steps = Vec::new();
    loop {
        let next = driver.next();
        let step = name(&next);
        steps.push(step);
        match next {
            Next::Read { rows, .. } => driver.scheduler.offer(read(&rows)),
            Next::Start(_) | Next::Wait(_) => {
                for row in driver.rows_under_way() {
                    driver.end(row, Outcome::Done);
                }
            }
            Next::AskGuard | Next::AskGone | Next::CorrectStamps => driver.scheduler.answer(answer(step)),
            Next::Tracks(_) | Next::GiveUp(_) | Next::LookForFilesBack | Next::TellLeft => {}
            Next::Done => return steps,
        }
    }
}

fn nothing(_: &Rows) -> Offer {
    Offer::default()
}

#[test]
fn a_pass_with_nothing_to_do_reads_twice_and_is_done() {
    let steps = steps(&mut Driver::new(), nothing, |_| false);
    assert_eq!(steps, ["read", "guard", "read", "stamps", "ask gone", "files back", "left", "done"]);
}

#[test]
fn the_stages_have_their_order() {
    let steps = steps(&mut Driver::new(), nothing, |_| true);
    let files = ["read", "guard", "read gone", "read", "stamps", "read"];
    let late = ["ask gone", "guard", "read gone", "read", "files back", "left", "done"];
    assert_eq!(steps, [files.as_slice(), late.as_slice()].concat());
}

#[test]
fn the_guard_is_asked_before_the_first_deletion() {
    for allowed in [true, false] {
        let steps = steps(&mut Driver::new(), nothing, |step| step != "guard" || allowed);
        let guard = steps.iter().position(|step| *step == "guard").unwrap();
        let gone = steps.iter().position(|step| *step == "read gone");
        assert_eq!(gone.is_some(), allowed, "{steps:?}");
        assert!(gone.is_none_or(|gone| guard < gone), "{steps:?}");
    }
}

#[test]
fn a_guard_that_is_not_answered_lets_nothing_pass() {
    let mut driver = Driver::new();
    driver.offer(Vec::new());
    assert_eq!(driver.then(), "guard");
    assert_eq!(driver.then(), "read");
}

#[test]
fn only_what_the_guard_has_counted_is_deleted() {
    let mut driver = Driver::new();
    driver.offer(Vec::new());
    assert_eq!(driver.then(), "guard");
    driver.scheduler.begin_count();
    let counted = driver.scheduler.count(Offer { plans: vec![delete(1)], seen: vec![1], ..Offer::default() });
    assert_eq!(counted.len(), 1);
    driver.scheduler.answer(true);
    driver.offer(vec![delete(1), delete(2)]);
    driver.offer(Vec::new());
    assert_eq!(driver.starts(), [1], "row 2 went after the guard had counted");
}

#[test]
fn a_plan_that_the_guard_counted_speaks_for_its_members() {
    let mut driver = Driver::new();
    driver.scheduler.begin_count();
    driver.scheduler.count(Offer { plans: vec![with_members(delete(1), [2])], seen: vec![1], ..Offer::default() });
    assert!(driver.scheduler.rows().is_spoken_for(2));
}

/// Offers the row as a track in the given reads of rows on disk.
fn tracks_in(reads: &[usize]) -> impl FnMut(&Rows) -> Offer {
    let (reads, mut read) = (reads.to_vec(), 0);
    move |rows| {
        let is_present = matches!(rows, Rows::After { present: true, .. });
        read += usize::from(is_present);
        let tracks = if is_present && reads.contains(&read) { vec![row(1)] } else { Vec::new() };
        Offer { tracks, ..Offer::default() }
    }
}

#[test]
fn tracks_have_their_turn_after_the_videos_and_again_when_a_video_changed_late() {
    let early = steps(&mut Driver::new(), tracks_in(&[1]), |_| false);
    assert_eq!(early[..4], ["read", "tracks", "guard", "read"]);
    assert_eq!(early.iter().filter(|step| **step == "tracks").count(), 1, "{early:?}");
    let late = steps(&mut Driver::new(), tracks_in(&[2]), |_| false);
    assert_eq!(late[..6], ["read", "guard", "read", "tracks", "read", "stamps"]);
}

#[test]
fn a_track_that_failed_has_no_other_turn() {
    let mut driver = Driver::new();
    driver.scheduler.fail(1);
    assert!(!steps(&mut driver, tracks_in(&[1, 2]), |_| false).contains(&"tracks"));
}

#[test]
fn tracks_of_gone_files_come_after_the_guard() {
    let mut driver = Driver::new();
    driver.then();
    let gone = FileRow { present: false, ..row(1) };
    driver.scheduler.offer(Offer { tracks: vec![gone], ..Offer::default() });
    let steps = steps(&mut driver, nothing, |step| step == "guard");
    assert_eq!(steps[..4], ["guard", "read gone", "tracks", "read"]);
}

#[test]
fn a_video_whose_track_changed_is_open_and_not_counted_again() {
    let mut driver = Driver::new();
    driver.starts_of(vec![create(1)]);
    driver.end(1, Outcome::BrokenOff);
    driver.scheduler.track_changed(1);
    assert!(driver.state(1).is_open() && driver.state(1).is_unfinished());
}

/// Offers these plans, as they are by then, in each read of rows on disk that begins a round.
fn plans(of: impl Fn(usize) -> Vec<Planned>) -> impl FnMut(&Rows) -> Offer {
    let mut round = 0;
    move |rows| match rows {
        Rows::After { present: true, path } if path.is_empty() => {
            round += 1;
            let plans = of(round);
            let last = plans.last().map(|planned| planned.row.path.key().to_owned());
            Offer { plans, last, ..Offer::default() }
        }
        _ => Offer::default(),
    }
}

#[test]
fn what_waits_is_given_up_when_all_else_is_done() {
    let mut driver = Driver::new();
    let steps = steps(&mut driver, plans(|_| vec![with_members(wait(1), [2])]), |_| false);
    let at = steps.iter().position(|step| *step == "give up").unwrap();
    assert_eq!(steps[at..], ["give up", "files back", "left", "done"]);
    for number in [1, 2] {
        assert!(driver.state(number).has_failed() && !driver.state(number).is_open(), "row {number}");
    }
}

#[test]
fn what_waited_is_tried_again_soon_and_what_is_reported_after_a_change() {
    let mut driver = Driver::new();
    let mut given_up = Vec::new();
    loop {
        match driver.next() {
            Next::GiveUp(rows) => given_up.extend(rows.into_iter().map(|one| (one.row.id, one.waited, one.retry))),
            Next::Read { .. } => {
                // What waited still waits when the other row is given up.
                let plans = if given_up.is_empty() { vec![wait(1), report(2)] } else { vec![wait(1)] };
                driver.scheduler.offer(Offer { plans, ..Offer::default() });
            }
            Next::Done => break,
            _ => {}
        }
    }
    let soon = RetryAt::Time(NOW + FIRST_RETRY_MS);
    assert_eq!(given_up, [(2, false, RetryAt::AfterAChange), (1, true, soon)]);
}

#[test]
fn what_is_reported_is_given_up_before_those_that_may_wait_for_it() {
    // Row 2 waits for row 1 for as long as that has not failed.
    let mut driver = Driver::new();
    let mut has_failed = false;
    let mut started = Vec::new();
    loop {
        match driver.next() {
            Next::GiveUp(rows) => has_failed |= rows.iter().any(|one| one.row.id == 1),
            Next::Read { rows: Rows::After { path: after, .. }, .. } if after.is_empty() => {
                let second = if has_failed { create(2) } else { wait(2) };
                let plans = if has_failed { vec![second] } else { vec![report(1), second] };
                let plans = plans.into_iter().filter(|planned| driver.state(planned.row.id).turns() == 0).collect();
                driver.scheduler.offer(Offer { plans, last: Some(path(2)), ..Offer::default() });
            }
            Next::Read { .. } => driver.scheduler.offer(Offer::default()),
            Next::Start(_) => {
                for row in driver.rows_under_way() {
                    started.push(row);
                    driver.end(row, Outcome::Done);
                }
            }
            Next::Done => break,
            _ => {}
        }
    }
    assert_eq!(started, [2], "once row 1 is given up, nobody waits for it");
}

#[test]
fn what_held_a_row_up_in_an_earlier_round_is_forgotten() {
    let mut driver = Driver::new();
    let read = plans(|round| if round == 1 { vec![wait(1), create(2)] } else { Vec::new() });
    assert!(!steps(&mut driver, read, |_| false).contains(&"give up"));
}
