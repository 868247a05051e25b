//! The rules of the schedule, one test a rule, in simulated time. Times are seconds since the worker began.

mod simulation;

use super::{PassOutcome, ScanKind, ScanOutcome, Seen};
use crate::features::remote_files::Asks;
use crate::index::overrides::Overrides;
use simulation::{Sim, paths};

const FORCE: Overrides = Overrides { force: true, take_over: false, recreate: false };

// The begin.

#[test]
fn the_first_scan_begins_when_the_watcher_stands() {
    let mut sim = Sim::new();
    assert_eq!(sim.tasks(), [""; 0]);
    sim.at(1.0).rescan_needed();
    assert_eq!(sim.tasks(), ["scan all"]);
}

#[test]
fn a_watcher_that_does_not_say_that_it_stands_is_waited_for_ten_seconds() {
    let mut sim = Sim::new();
    assert_eq!(sim.next_task(60.0), Some((10.0, "scan all".to_owned())));
}

#[test]
fn no_pass_begins_before_everything_was_scanned_once() {
    let mut sim = Sim::new();
    sim.rescan_needed();
    sim.retry_asked(&[]);
    assert_eq!(sim.tasks(), ["scan all"]);
    sim.at(100.0).scan_ended(ScanKind::Wide, ScanOutcome::Stopped);
    assert_eq!(sim.tasks(), ["scan all"], "a scan that was stopped is begun again");
    sim.at(200.0).scanned_all(Seen::default());
    assert_eq!(sim.tasks(), ["pass refresh for all"]);
}

#[test]
fn the_first_pass_and_only_that_looks_over_the_remote() {
    let mut sim = Sim::new();
    sim.rescan_needed();
    assert_eq!(sim.tasks(), ["scan all"]);
    sim.scanned_all(Seen::default());
    assert_eq!(sim.tasks(), ["pass refresh for all"]);
    assert!(sim.pass_ended(PassOutcome::Whole), "it stood for the whole mirror");
    sim.retry_asked(&[]);
    assert_eq!(sim.tasks(), ["pass"]);
    assert!(!sim.pass_ended(PassOutcome::Whole));
}

#[test]
fn a_root_without_files_is_no_reason_for_a_pass() {
    let mut sim = Sim::new();
    sim.rescan_needed();
    assert_eq!(sim.tasks(), ["scan all"]);
    sim.scanned_all(Seen { emptied: true, ..Seen::default() });
    assert_eq!(sim.tasks(), [""; 0]);
}

// Rescans.

#[test]
fn everything_is_scanned_again_after_the_rescan_interval() {
    let mut sim = Sim::ready_with(|intervals| intervals.rescan = std::time::Duration::from_secs(3601));
    assert_eq!(sim.next_task(10_000.0), Some((3601.0, "scan all".to_owned())), "between two wakes for other reasons");
}

#[test]
fn polling_has_an_interval_of_its_own_which_begins_with_the_switch() {
    let mut sim = Sim::ready();
    sim.at(10.0).watching(true);
    sim.at(30.0).watching(true);
    assert_eq!(sim.next_task(10_000.0), Some((40.0, "scan all".to_owned())));
    sim.scanned_all(Seen::default());
    sim.finish_pass("pass for all");
    sim.at(50.0).watching(false);
    assert_eq!(sim.next_task(10_000.0), Some((3650.0, "scan all".to_owned())));
}

#[test]
fn a_scan_that_takes_long_is_followed_by_as_long_a_pause() {
    let mut sim = Sim::ready();
    sim.at(10.0).watching(true);
    assert_eq!(sim.next_task(100.0), Some((40.0, "scan all".to_owned())));
    sim.at(140.0).scanned_all(Seen::default());
    sim.finish_pass("pass for all");
    assert_eq!(sim.next_task(10_000.0), Some((240.0, "scan all".to_owned())));
}

#[test]
fn what_the_watcher_may_have_missed_is_scanned_for_at_once() {
    let mut sim = Sim::ready();
    sim.at(100.0).rescan_needed();
    assert_eq!(sim.tasks(), ["scan all"]);
}

#[test]
fn a_watcher_that_ends_is_followed_by_a_scan_and_by_polling() {
    let mut sim = Sim::ready();
    sim.at(100.0).watch_lost();
    assert_eq!(sim.tasks(), ["scan all"]);
    sim.scanned_all(Seen::default());
    sim.finish_pass("pass for all");
    assert_eq!(sim.next_task(10_000.0), Some((130.0, "scan all".to_owned())));
}

#[test]
fn one_wide_scan_runs_at_a_time_and_one_of_everything_covers_the_folders() {
    let mut sim = Sim::ready();
    sim.at(100.0).lists_found(&["a"]);
    assert_eq!(sim.tasks(), ["scan a"]);
    sim.lists_found(&["b", "c"]);
    assert_eq!(sim.tasks(), [""; 0]);
    sim.scan_ended(ScanKind::Wide, ScanOutcome::Seen(Seen::default()));
    assert_eq!(sim.tasks(), ["scan b c"]);
    sim.lists_found(&["d"]);
    sim.rescan_needed();
    sim.scan_ended(ScanKind::Wide, ScanOutcome::Seen(Seen::default()));
    assert_eq!(sim.tasks(), ["scan all"]);
    sim.scanned_all(Seen::default());
    assert_eq!(sim.tasks(), ["pass for all"], "and no scan of d");
}

#[test]
fn a_task_that_ended_abnormally_is_made_up_for_after_half_a_minute() {
    for kind in [ScanKind::Settled, ScanKind::Wide] {
        let mut sim = Sim::ready();
        sim.at(100.0).scan_ended(kind, ScanOutcome::Crashed);
        assert_eq!(sim.next_task(10_000.0), Some((130.0, "scan all".to_owned())), "{kind:?}");
    }
    let mut sim = Sim::ready();
    sim.at(100.0).fetch_ended(true);
    assert_eq!(sim.next_task(10_000.0), Some((130.0, "scan all".to_owned())));
    let mut sim = Sim::ready();
    sim.at(3595.0).scan_ended(ScanKind::Settled, ScanOutcome::Crashed);
    assert_eq!(sim.next_task(10_000.0), Some((3600.0, "scan all".to_owned())), "a rescan is not put off");
    let mut sim = Sim::ready();
    sim.at(100.0).begin_pass("pass");
    sim.pass_ended(PassOutcome::Crashed);
    sim.later(1.0);
    assert_eq!(sim.next_task(10_000.0), Some((130.0, "pass".to_owned())));
}

// Saved files.

#[test]
fn a_saved_file_is_scanned_when_it_rests_and_passed_over_after_that() {
    let mut sim = Sim::ready();
    sim.at(100.0).save("a.png");
    assert_eq!(sim.next_task(200.0), Some((102.0, "scan settled a.png".to_owned())));
    sim.at(102.1).scan_ended(ScanKind::Settled, ScanOutcome::Seen(Seen::default()));
    assert_eq!(sim.tasks(), ["pass"]);
}

#[test]
fn a_folder_that_appeared_is_scanned_when_it_rests() {
    let mut sim = Sim::ready();
    sim.at(100.0).folder_appeared("new");
    let (at, task) = sim.next_task(200.0).unwrap();
    assert_eq!(task, "scan new");
    assert!(at < 101.1, "{at}");
}

#[test]
fn what_settles_while_settled_files_are_scanned_waits_for_the_end_of_that_and_costs_nothing() {
    let mut sim = Sim::ready();
    sim.at(100.0).save("a.png");
    assert_eq!(sim.next_task(200.0), Some((102.0, "scan settled a.png".to_owned())));
    sim.save("b.png");
    assert_eq!(sim.next_task(150.0), None);
    sim.scan_ended(ScanKind::Settled, ScanOutcome::Seen(Seen::default()));
    let (at, task) = sim.next_task(200.0).unwrap();
    assert_eq!((task.as_str(), at < 153.0), ("pass", true));
    assert_eq!(sim.next_task(200.0).map(|(_, task)| task), Some("scan settled b.png".to_owned()));
}

#[test]
fn a_file_that_never_rests_is_reported_every_minute() {
    let mut sim = Sim::ready();
    let mut reported = Vec::new();
    for second in 100..250 {
        sim.at(f64::from(second)).save("log.txt");
        sim.glance();
        if sim.starts().contains(&"still changing: log.txt".to_owned()) {
            reported.push(second);
        }
    }
    assert_eq!(reported, [160, 220]);
}

// Passes.

#[test]
fn a_wide_scan_holds_up_a_pass_for_five_seconds_at_most() {
    let mut sim = Sim::ready();
    sim.at(101.0).lists_found(&["a"]);
    assert_eq!(sim.tasks(), ["scan a"]);
    sim.later(1.0).retry_asked(&[]);
    assert_eq!(sim.next_task(200.0), Some((106.0, "pass".to_owned())));
}

#[test]
fn a_scan_of_settled_files_holds_up_a_pass_until_its_end() {
    let mut sim = Sim::ready();
    sim.at(100.0).save("a.png");
    assert_eq!(sim.next_task(200.0), Some((102.0, "scan settled a.png".to_owned())));
    sim.retry_asked(&[]);
    assert_eq!(sim.next_task(1000.0), None);
    sim.scan_ended(ScanKind::Settled, ScanOutcome::Seen(Seen::default()));
    assert_eq!(sim.tasks(), ["pass"]);
}

#[test]
fn one_pass_runs_at_a_time_and_scans_go_on_beside_it() {
    let mut sim = Sim::ready();
    sim.at(100.0).begin_pass("pass");
    sim.save("a.png");
    assert_eq!(sim.next_task(200.0), Some((102.0, "scan settled a.png".to_owned())));
    sim.scan_ended(ScanKind::Settled, ScanOutcome::Seen(Seen::default()));
    sim.rescan_needed();
    assert_eq!(sim.tasks(), ["scan all"]);
    sim.scanned_all(Seen::default());
    assert_eq!(sim.tasks(), [""; 0]);
    sim.at(150.0).pass_ended(PassOutcome::Whole);
    assert_eq!(sim.tasks(), ["pass for all"]);
}

#[test]
fn a_pass_stands_for_the_whole_mirror_when_all_that_the_scan_found_has_settled() {
    let mut sim = Sim::ready();
    sim.at(100.0).rescan_needed();
    assert_eq!(sim.tasks(), ["scan all"]);
    let unsettled = vec![sim.look("w.mp4")];
    sim.scanned_all(Seen { unsettled, ..Seen::default() });
    assert_eq!(sim.tasks(), ["pass"]);
    sim.pass_ended(PassOutcome::Whole);
    assert_eq!(sim.next_task(200.0), Some((102.0, "scan settled w.mp4".to_owned())));
    sim.scan_ended(ScanKind::Settled, ScanOutcome::Seen(Seen::default()));
    assert_eq!(sim.tasks(), ["pass for all"]);
}

#[test]
fn a_file_that_never_rests_keeps_a_pass_from_standing_for_the_whole_mirror_for_a_minute_at_most() {
    let mut sim = Sim::ready();
    sim.at(100.0).rescan_needed();
    assert_eq!(sim.tasks(), ["scan all"]);
    sim.save("log.txt");
    sim.scanned_all(Seen::default());
    sim.finish_pass("pass");
    for second in 101..=160 {
        sim.at(f64::from(second)).save("log.txt");
        assert_eq!(sim.tasks(), [""; 0], "at {second} s");
    }
    sim.at(161.0).save("log.txt");
    assert_eq!(sim.tasks(), ["pass for all"]);
}

#[test]
fn what_a_pass_that_was_cut_short_was_for_is_done_by_the_next_one() {
    let mut sim = Sim::new();
    sim.rescan_needed();
    assert_eq!(sim.tasks(), ["scan all"]);
    sim.overrides_asked(FORCE);
    sim.scan_ended(ScanKind::Wide, ScanOutcome::Stopped);
    assert_eq!(sim.tasks(), ["scan all"]);
    sim.scanned_all(Seen::default());
    for _ in 0..2 {
        assert_eq!(sim.tasks(), ["pass refresh for all --force"]);
        assert!(!sim.pass_ended(PassOutcome::Cut));
    }
    assert_eq!(sim.tasks(), ["pass refresh for all --force"]);
    assert!(sim.pass_ended(PassOutcome::Whole));
    sim.begin_pass("pass");
}

// The remote.

#[test]
fn the_remote_is_looked_over_after_its_interval_and_lists_are_scanned_with_it() {
    let mut sim = Sim::ready_with(|intervals| intervals.refresh = std::time::Duration::from_secs(600));
    sim.lists = paths(&["_remote.toml"]);
    assert_eq!(sim.next_task(10_000.0), Some((600.0, "scan _remote.toml".to_owned())));
    sim.scan_ended(ScanKind::Wide, ScanOutcome::Seen(Seen::default()));
    sim.finish_pass("pass refresh");
    assert_eq!(sim.next_task(10_000.0), Some((1200.0, "scan _remote.toml".to_owned())));
}

#[test]
fn the_remote_is_not_looked_over_while_no_pass_may_begin() {
    let mut sim = Sim::ready_with(|intervals| intervals.refresh = std::time::Duration::from_secs(600));
    sim.lists = paths(&["_remote.toml"]);
    sim.at(500.0).begin_pass("pass");
    assert_eq!(sim.next_task(700.0), None);
    sim.pass_ended(PassOutcome::Whole);
    assert_eq!(sim.tasks(), ["scan _remote.toml"]);
}

#[test]
fn no_pass_begins_while_the_api_is_waited_for_and_the_next_one_looks_over_the_remote() {
    let mut sim = Sim::ready();
    sim.at(100.0).begin_pass("pass");
    sim.pass_ended(PassOutcome::Cut);
    sim.api_outage();
    assert_eq!(sim.next_task(1000.0), None);
    sim.at(1001.0).api_wait_ended(false);
    assert_eq!(sim.tasks(), ["pass refresh"]);
}

#[test]
fn files_are_scanned_while_the_api_is_waited_for() {
    let mut sim = Sim::ready();
    sim.at(100.0).api_outage();
    sim.save("a.png");
    assert_eq!(sim.next_task(200.0), Some((102.0, "scan settled a.png".to_owned())));
}

#[test]
fn a_wait_for_the_api_that_ended_abnormally_is_followed_by_half_a_minute_of_rest() {
    let mut sim = Sim::ready();
    sim.at(100.0).api_outage();
    sim.api_wait_ended(true);
    assert_eq!(sim.next_task(1000.0), Some((130.0, "pass refresh".to_owned())));
}

#[test]
fn a_media_area_that_is_not_believed_is_looked_at_ever_more_rarely_and_never_given_up() {
    let mut sim = Sim::ready();
    sim.at(100.0).begin_pass("pass");
    for rest in [5.0, 10.0, 20.0, 40.0, 80.0, 160.0, 320.0, 320.0] {
        sim.pass_ended(PassOutcome::NotBelieved);
        let over = sim.seconds() + rest;
        assert_eq!(sim.next_task(10_000.0), Some((over, "pass refresh".to_owned())));
    }
    sim.pass_ended(PassOutcome::Whole);
    sim.begin_pass("pass");
    sim.pass_ended(PassOutcome::NotBelieved);
    let over = sim.seconds() + 5.0;
    assert_eq!(sim.next_task(10_000.0), Some((over, "pass refresh".to_owned())), "it begins anew");
}

// What people ask for.

#[test]
fn a_retry_is_answered_by_a_pass_and_what_could_not_be_read_is_looked_at() {
    let mut sim = Sim::ready();
    sim.at(100.0).retry_asked(&["secret.png"]);
    assert_eq!(sim.tasks(), ["pass"]);
    sim.pass_ended(PassOutcome::Whole);
    assert_eq!(sim.next_task(200.0), Some((102.0, "scan settled secret.png".to_owned())));
}

#[test]
fn a_retry_ends_the_rest_of_a_media_area_that_is_not_believed() {
    let mut sim = Sim::ready();
    sim.at(100.0).begin_pass("pass");
    for _ in 0..7 {
        sim.pass_ended(PassOutcome::NotBelieved);
        assert!(sim.next_task(10_000.0).is_some());
    }
    sim.pass_ended(PassOutcome::NotBelieved);
    sim.later(1.0).retry_asked(&[]);
    assert_eq!(sim.tasks(), ["pass refresh"]);
}

#[test]
fn a_retry_does_not_end_the_pause_after_a_pass_that_ended_abnormally() {
    let mut sim = Sim::ready();
    sim.at(100.0).begin_pass("pass");
    sim.pass_ended(PassOutcome::Crashed);
    sim.at(110.0).retry_asked(&[]);
    assert_eq!(sim.next_task(200.0), Some((130.0, "pass".to_owned())));
}

#[test]
fn overrides_go_with_the_next_pass_that_stands_for_the_whole_mirror_and_with_no_other() {
    let mut sim = Sim::ready();
    sim.at(101.0).overrides_asked(FORCE);
    assert_eq!(sim.tasks(), ["scan all"], "they bring a scan of everything");
    assert_eq!(sim.next_task(200.0), Some((106.0, "pass".to_owned())), "which takes long");
    sim.pass_ended(PassOutcome::Whole);
    sim.at(200.0).scanned_all(Seen::default());
    sim.finish_pass("pass for all --force");
    sim.begin_pass("pass");
}

#[test]
fn overrides_end_a_rest_at_once() {
    let mut sim = Sim::ready();
    sim.at(100.0).begin_pass("pass");
    sim.pass_ended(PassOutcome::Crashed);
    sim.overrides_asked(FORCE);
    assert_eq!(sim.tasks(), ["scan all"]);
    sim.scanned_all(Seen::default());
    assert_eq!(sim.tasks(), ["pass for all --force"]);
}

#[test]
fn overrides_are_asked_for_every_five_seconds() {
    assert_eq!(Sim::ready().asked("overrides?", 20.0), [5.0, 10.0, 15.0]);
}

#[test]
fn overrides_are_asked_for_while_the_root_is_gone_as_well() {
    let mut sim = Sim::ready();
    sim.at(20.0).root_gone();
    assert_eq!(sim.asked("overrides?", 40.0), [20.0, 26.0, 32.0, 38.0], "it wakes every three seconds");
}

// What the index says.

#[test]
fn the_index_is_asked_every_five_seconds_what_is_due_while_a_pass_may_begin() {
    let mut sim = Sim::ready();
    sim.at(10.0).begin_pass("pass");
    assert_eq!(sim.asked("due?", 30.0), [0.0; 0]);
    sim.pass_ended(PassOutcome::Whole);
    assert_eq!(sim.asked("due?", 45.0), [30.0, 35.0, 40.0]);
}

#[test]
fn a_file_whose_time_has_come_is_passed_over() {
    let mut sim = Sim::ready();
    sim.at(3.0).due.files = true;
    assert_eq!(sim.next_task(100.0), Some((5.0, "pass".to_owned())));
}

#[test]
fn assets_that_a_listing_of_everything_missed_are_looked_for_by_a_pass() {
    let mut sim = Sim::ready();
    sim.at(3.0).due.refresh = true;
    assert_eq!(sim.next_task(100.0), Some((5.0, "pass refresh".to_owned())));
}

#[test]
fn who_asks_for_a_retry_beside_the_daemon_waits_for_no_scan() {
    let mut sim = Sim::ready();
    (sim.due.files, sim.due.scan) = (true, true);
    sim.at(5.0);
    assert_eq!(sim.tasks(), ["pass", "scan all"]);
}

#[test]
fn files_that_could_not_be_fetched_are_asked_for_again_every_minute_and_each_once() {
    let mut sim = Sim::ready();
    assert_eq!(sim.at(6.0).tasks(), [""; 0], "nothing is due");
    sim.due.failed_fetches = paths(&["a.png"]);
    assert_eq!(sim.next_task(100.0), Some((66.0, "scan a.png".to_owned())));
    sim.scan_ended(ScanKind::Wide, ScanOutcome::Seen(Seen { asks: Asks::of(&["a.png"]), ..Seen::default() }));
    assert_eq!(sim.tasks(), ["fetch a.png", "pass"]);
    sim.pass_ended(PassOutcome::Whole);
    sim.due.failed_fetches = paths(&["a.png", "b.png"]);
    assert_eq!(sim.next_task(200.0), Some((126.0, "scan b.png".to_owned())), "a.png is being fetched");
    sim.scan_ended(ScanKind::Wide, ScanOutcome::Seen(Seen { asks: Asks::of(&["b.png"]), ..Seen::default() }));
    sim.finish_pass("pass");
    sim.due.failed_fetches = paths(&["a.png", "b.png"]);
    assert_eq!(sim.next_task(300.0), None, "b.png is fetched next");
}

// Remote files.

#[test]
fn remote_files_are_fetched_beside_all_else_and_a_pass_follows() {
    let mut sim = Sim::ready();
    sim.at(100.0).lists_found(&["a"]);
    assert_eq!(sim.tasks(), ["scan a"]);
    sim.api_outage();
    sim.scan_ended(ScanKind::Wide, ScanOutcome::Seen(Seen { asks: Asks::of(&["a/x"]), ..Seen::default() }));
    assert_eq!(sim.tasks(), ["fetch a/x"], "also while the API is waited for");
    sim.api_wait_ended(false);
    sim.finish_pass("pass refresh");
    sim.fetch_ended(false);
    assert_eq!(sim.tasks(), ["pass"]);
}

#[test]
fn one_fetch_runs_at_a_time() {
    let mut sim = Sim::ready();
    for (second, file) in [(100.0, "a"), (101.0, "b")] {
        sim.at(second).lists_found(&["l"]);
        assert_eq!(sim.tasks(), ["scan l"]);
        sim.scan_ended(ScanKind::Wide, ScanOutcome::Seen(Seen { asks: Asks::of(&[file]), ..Seen::default() }));
        assert_eq!(sim.tasks(), if file == "a" { vec!["fetch a", "pass"] } else { vec!["pass"] });
        sim.pass_ended(PassOutcome::Whole);
    }
    sim.fetch_ended(false);
    assert_eq!(sim.tasks(), ["fetch b", "pass"]);
}

// A root that cannot be believed.

#[test]
fn nothing_begins_while_the_root_is_gone_and_it_is_looked_for_every_three_seconds() {
    let mut sim = Sim::ready();
    sim.at(100.0).save("a.png");
    sim.retry_asked(&[]);
    sim.rescan_needed();
    assert!(sim.root_gone());
    assert_eq!(sim.asked("root?", 110.0), [103.0, 106.0, 109.0]);
    assert!(!sim.root_gone(), "it was gone before");
    assert_eq!(sim.next_task(5000.0), None);
}

#[test]
fn a_scan_comes_before_any_pass_when_the_root_is_back() {
    let mut sim = Sim::ready();
    sim.at(100.0).root_gone();
    sim.lists_found(&["a"]);
    sim.retry_asked(&[]);
    assert!(sim.at(200.0).root_back());
    assert!(!sim.root_back(), "it was back before");
    assert_eq!(sim.tasks(), ["scan all"]);
    assert_eq!(sim.next_task(300.0), None, "however long the scan takes");
    sim.scanned_all(Seen::default());
    assert_eq!(sim.tasks(), ["pass for all"]);
}

#[test]
fn what_settles_while_the_root_is_gone_is_left_to_the_scan_that_follows() {
    let mut sim = Sim::ready();
    sim.at(100.0).save("a.png");
    sim.root_gone();
    assert_eq!(sim.next_task(200.0), None);
    sim.root_back();
    assert_eq!(sim.tasks(), ["scan all"]);
    sim.scanned_all(Seen::default());
    sim.finish_pass("pass for all");
    assert_eq!(sim.next_task(300.0), None);
}

#[test]
fn what_a_scan_saw_of_a_root_that_is_gone_counts_for_nothing() {
    let mut sim = Sim::ready();
    sim.at(100.0).rescan_needed();
    assert_eq!(sim.tasks(), ["scan all"]);
    sim.root_gone();
    sim.scanned_all(Seen { absent: paths(&["a.png"]), ..Seen::default() });
    sim.root_back();
    assert_eq!(sim.tasks(), ["scan all"]);
    sim.scanned_all(Seen::default());
    sim.finish_pass("pass for all");
    assert_eq!(sim.next_task(300.0), None, "no removal of a.png is waited for");
}

#[test]
fn a_gone_root_is_not_looked_for_before_what_it_stopped_has_ended_and_waiting_for_that_costs_nothing() {
    let mut sim = Sim::ready();
    sim.at(100.0).begin_pass("pass");
    sim.root_gone();
    assert_eq!(sim.asked("root?", 200.0), [0.0; 0]);
    sim.pass_ended(PassOutcome::Cut);
    assert_eq!(sim.asked("root?", 202.0), [200.0]);
}

#[test]
fn news_of_the_root_has_it_looked_for_at_once() {
    let mut sim = Sim::ready();
    sim.at(100.0).root_gone();
    sim.at(101.0).rescan_needed();
    assert_eq!(sim.asked("root?", 103.0), [101.0]);
    sim.at(103.0).overrides_asked(FORCE);
    assert_eq!(sim.asked("root?", 105.0), [103.0]);
}

// The wake.

#[test]
fn the_worker_looks_again_after_five_seconds_at_most_whatever_is_under_way() {
    let mut sim = Sim::ready();
    for _ in 0..4 {
        assert!(sim.starts().len() < 10);
        let wait = sim.wait();
        assert!((0.0..=5.0).contains(&wait), "{wait}");
        sim.later(1.0);
        sim.rescan_needed();
        sim.retry_asked(&["a.png"]);
    }
}

#[test]
fn an_idle_worker_wakes_for_its_questions_only() {
    let mut sim = Sim::ready();
    let woke = sim.wakes_until(1000.0);
    assert!(woke <= 401, "{woke} times in 1000 s");
}
