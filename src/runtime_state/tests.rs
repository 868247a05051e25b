//! What writers put in is what readers get.

use serde_json::json;

use super::*;
use crate::index::Problem;
use crate::model::ActionKind;
use crate::report::Counts;

fn at() -> Timestamp {
    "2026-11-21T10:00:00Z".parse().unwrap()
}

fn live(now: Instant) -> Arc<RuntimeState> {
    RuntimeState::new(now, at(), [("brand", "/srv/brand"), ("docs", "/srv/docs")])
}

fn change(number: usize) -> Change {
    Change { path: format!("{number}.svg"), action: "create".into(), at: at(), url: None, asset: None }
}

fn problem(number: usize) -> ReportedProblem {
    ReportedProblem::of(format!("{number}"), Problem::new(ActionKind::Create, "c", "a"))
}

#[test]
fn it_is_started_after_every_first_scan_and_ready_after_every_first_full_pass() {
    let live = live(Instant::now());
    assert!(!live.is_started());
    live.scanned("brand");
    assert!(!live.is_started());
    // A root that is not there must not keep the service from coming up.
    live.set_phase("docs", Phase::Paused { guard: "the root is missing".into() });
    assert!(live.is_started());
    assert_eq!(live.not_ready(), ["brand", "docs"]);
    let report =
        MirrorReport { counts: Counts { scanned: 3, ..Counts::default() }, failed: 1, ..MirrorReport::default() };
    live.pass_ended("brand", &report, at(), Duration::from_millis(5), false);
    assert_eq!(live.not_ready(), ["brand", "docs"], "part of a mirror is not a full pass");
    live.pass_ended("brand", &report, at(), Duration::from_millis(5), true);
    live.pass_ended("docs", &MirrorReport::default(), at(), Duration::from_millis(5), true);
    // A later partial pass takes nothing back.
    live.pass_ended("docs", &MirrorReport::default(), at(), Duration::from_millis(5), false);
    assert!(live.not_ready().is_empty());
    let view = live.view(Instant::now());
    assert!(view.ready);
    assert_eq!((view.mirrors[0].last_success, view.mirrors[1].last_success), (None, Some(at())));
}

#[test]
fn changes_and_problems_are_bounded_and_the_newest_change_comes_first() {
    let live = live(Instant::now());
    for number in 0..250 {
        live.changed("brand", change(number));
    }
    live.set_problems("brand", (0..250).map(problem));
    let view = live.view(Instant::now());
    let brand = &view.mirrors[0];
    assert_eq!((brand.changes.len(), brand.problems.len(), brand.more_problems), (CHANGES, PROBLEMS, 50));
    assert_eq!((brand.changes[0].path.as_str(), brand.changes[99].path.as_str()), ("249.svg", "150.svg"));
    assert_eq!(brand.problems[0].path, "0");
    live.set_problems("brand", []);
    assert!(live.view(Instant::now()).mirrors[0].problems.is_empty());
}

#[test]
fn files_count_only_while_mirroring() {
    let live = live(Instant::now());
    live.file_done("brand", 10);
    live.set_phase("brand", Phase::Mirroring { done: 0, total_hint: 2, bytes: 0 });
    live.file_done("brand", 10);
    live.file_done("brand", 5);
    live.file_done("no such mirror", 5);
    assert_eq!(live.view(Instant::now()).mirrors[0].phase, Phase::Mirroring { done: 2, total_hint: 2, bytes: 15 });
}

#[test]
fn a_reload_keeps_what_is_known_of_a_mirror_that_stayed() {
    let live = live(Instant::now());
    for name in ["brand", "docs"] {
        live.pass_ended(name, &MirrorReport::default(), at(), Duration::ZERO, true);
    }
    live.set_mirrors([("new", "/srv/new"), ("docs", "/elsewhere"), ("brand", "/srv/brand")]);
    let view = live.view(Instant::now());
    let known: Vec<_> = view.mirrors.iter().map(|mirror| (mirror.name.as_str(), mirror.first_pass_done)).collect();
    assert_eq!(known, [("new", false), ("docs", false), ("brand", true)]);
}

#[test]
fn the_json_has_the_names_that_pages_and_scripts_rely_on() {
    let start = Instant::now();
    let live = RuntimeState::new(start, at(), [("brand", "/srv/brand")]);
    live.set_watching("brand", Watching::Polling { reason: "nfs".into(), every_ms: 30_000 });
    let waiting = Waiting::Api { since: at(), cause: "no route".into() };
    live.set_phase("brand", Phase::Waiting { waiting });
    live.changed("brand", Change { url: Some("https://x/1.svg".into()), asset: Some("a".into()), ..change(1) });
    live.progress(start);
    let view = serde_json::to_value(live.view(start)).unwrap();
    assert_eq!(view["health"], json!({"state": "working"}));
    assert_eq!(
        (&view["ready"], &view["ticks"], &view["since"]),
        (&json!(false), &json!(1), &json!("2026-11-21T10:00:00Z"))
    );
    let brand = &view["mirrors"][0];
    assert_eq!(brand["watching"], json!({"how": "polling", "reason": "nfs", "every_ms": 30_000}));
    assert_eq!(
        brand["phase"],
        json!({"name": "waiting", "for": "api", "since": "2026-11-21T10:00:00Z", "cause": "no route"})
    );
    assert_eq!(
        brand["changes"][0],
        json!({"path": "1.svg", "action": "create", "at": "2026-11-21T10:00:00Z", "url": "https://x/1.svg", "asset": "a"})
    );
}

#[test]
fn readers_are_told_of_updates_but_not_of_signs_of_life() {
    let live = live(Instant::now());
    let mut changes = live.subscribe();
    live.progress(Instant::now());
    assert!(!changes.has_changed().unwrap());
    live.scanned("brand");
    assert!(changes.has_changed().unwrap());
    changes.mark_unchanged();
    assert!(!changes.has_changed().unwrap());
}
