//! Many paths that share one asset: one action for all of them, and what it means for each.

use super::twins::{candidate, gone_twin, live_twin};
use super::*;

/// The members of a plan: row and part.
fn parts(plan: &Plan) -> Vec<(i64, Part)> {
    plan.members.iter().map(|member| (member.row.id, member.part)).collect()
}

fn names(edit: &Edit) -> Vec<&str> {
    edit.entry.paths.iter().map(String::as_str).collect()
}

/// Ten new paths behind the observed one; the last is not certain to share its asset.
fn followed() -> Observation {
    let mut seen = lonely("a.png", "a");
    seen.followers = (0..10).map(|n| follower(&format!("b{n}.png"), "a", (n < 9).then_some(n))).collect();
    seen
}

#[test]
fn whoever_is_certain_to_share_the_asset_is_settled_by_the_action_that_gets_it() {
    let aliased: Vec<_> = (0..9).map(|id| (id, Part::Alias)).collect();
    for policy in policies() {
        let share = policy.duplicates == Duplicates::Share;
        let wanted = |plan: &Plan| assert_eq!(parts(plan), if share { aliased.clone() } else { Vec::new() });
        let mut seen = followed();
        let made = plan(&seen, &policy);
        wanted(&made);
        let Action::Create { edit, .. } = &made.action else { panic!("{made:?}") };
        assert_eq!(names(edit).len(), if share { 11 } else { 1 }, "one that waits is on the stamp, certain or not");
        seen.remote_twin = Some(candidate("foreign", "a", None));
        let adopted = plan(&seen, &policy);
        wanted(&adopted);
        let Action::Adopt { edit, .. } = &adopted.action else { panic!("{adopted:?}") };
        assert_eq!(names(edit).len(), if share { 10 } else { 1 });
        if !share {
            continue;
        }
        seen.live_twin = Some(live_twin(true));
        let joined = plan(&seen, &policy);
        wanted(&joined);
        let Action::Alias { edit, .. } = &joined.action else { panic!("{joined:?}") };
        assert_eq!(names(edit).len(), 11, "the one that was there, the one that asks, and nine");
        assert!(joined.members.iter().all(|member| member.why.contains("live.png")));
        seen.live_twin = Some(live_twin(false));
        let waits = plan(&seen, &policy);
        assert_eq!(short(&waits), "wait");
        assert_eq!(parts(&waits), (0..9).map(|id| (id, Part::Same)).collect::<Vec<_>>());
    }
}

#[test]
fn paths_that_moved_together_are_one_move_and_new_copies_go_along() {
    let mut seen = followed();
    seen.gone_twin = Some(gone_twin(true, Vec::new()));
    for (n, follower) in seen.followers.iter_mut().take(5).enumerate() {
        let name = format!("old/b{n}.png");
        follower.from = Some(Origin { row: 100 + n as i64, stamp_name: name.clone(), path: path(&name), birth: false });
    }
    let gone = seen.gone_twin.as_mut().unwrap();
    gone.candidate.pushed = Some(entry(&["old/b0.png", "old/b4.png", "old/logo.png", "stays.png"], "a", true));
    let made = plan(&seen, &default_policy());
    let wanted: Vec<_> =
        (0..9).map(|id| (id, if id < 5 { Part::Move { from_row: 100 + id } } else { Part::Alias })).collect();
    assert_eq!(parts(&made), wanted);
    let Action::Move { edit, .. } = &made.action else { panic!("{made:?}") };
    assert!(!names(edit).iter().any(|name| name.starts_with("old/")), "{:?}", names(edit));
    assert!(names(edit).contains(&"stays.png") && names(edit).len() == 11);
}

#[test]
fn what_is_decided_about_a_path_with_an_asset_is_decided_about_all_that_are_like_it() {
    for pattern in TABLE.iter().filter(|row| row.1 != " " && row.3 != Case::Void) {
        for policy in policies() {
            let mut seen = observation(*pattern, Shared::No, true, "a.png");
            seen.alike = (0..10).map(|id| row(id, &format!("b{id}.png"), pattern.0)).collect();
            let made = plan(&seen, &policy);
            let gets = matches!(made.action, Action::Create { .. } | Action::Adopt { .. });
            let wanted = if gets { Vec::new() } else { (0..10).map(|id| (id, Part::Same)).collect() };
            assert_eq!(parts(&made), wanted, "{pattern:?} {policy:?}");
        }
    }
}

#[test]
fn a_stamp_does_not_grow_with_the_copies_and_is_the_same_again() {
    let mut seen = lonely("a.png", "a");
    seen.followers = (0..5000).map(|n| follower(&format!("b{n:04}.png"), "a", Some(n))).collect();
    let made = plan(&seen, &default_policy());
    let Action::Create { edit, .. } = made.action else { panic!("{made:?}") };
    assert_eq!((edit.entry.paths.len(), made.members.len()), (crate::model::STAMP_PATHS, 5000));
    let mut again = lonely("a.png", "a");
    again.base = maybe("a");
    again.known = Known::There(Box::new(asset("new", "a", Some(&edit.entry))));
    again.pushed = Some(edit.entry);
    again.sharers = (0..5000).map(|n| sharer(&format!("b{n:04}.png"), "a")).collect();
    assert_eq!(short(&plan(&again, &default_policy())), "nothing");
}
