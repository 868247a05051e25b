//! Files with the content of others: moves, aliases, adoptions, and who waits for whom.

use super::*;
use crate::model::FieldKey;

pub(super) fn candidate(id: &str, content: &str, pushed: Option<MirrorStamp>) -> Candidate {
    Candidate { asset: Box::new(asset(id, content, pushed.as_ref())), pushed }
}

pub(super) fn gone_twin(made: bool, sharers: Vec<Sharer>) -> GoneTwin {
    GoneTwin {
        row: 7,
        stamp_name: "old/logo.png".into(),
        path: path("old/logo.png"),
        birth: true,
        candidate: candidate("gone", "a", Some(entry(&["old/logo.png"], "a", made))),
        sharers,
    }
}

pub(super) fn live_twin(with_asset: bool) -> LiveTwin {
    let candidate = with_asset.then(|| candidate("live", "a", Some(entry(&["live.png"], "a", true))));
    LiveTwin { path: path("live.png"), candidate, sharers: vec![sharer("live.png", "a")] }
}

/// A new file with any mix of twins: the order is gone, live (when shared), remote, none.
#[test]
fn every_mix_of_twins_under_every_policy() {
    let mut cells = 0;
    for policy in policies() {
        for mix in 0..16 {
            let mut seen = lonely("new/logo.png", "a");
            let (gone, live, waiting, remote) = (mix & 1 > 0, mix & 2 > 0, mix & 4 > 0, mix & 8 > 0);
            seen.gone_twin = gone.then(|| gone_twin(true, Vec::new()));
            seen.live_twin = (live || waiting).then(|| live_twin(live));
            seen.remote_twin = remote.then(|| candidate("foreign", "a", None));
            let share = policy.duplicates == Duplicates::Share;
            let wanted = match (gone, live && share, waiting && share, remote) {
                (true, _, _, _) => "move",
                (_, true, _, _) => "alias",
                (_, _, true, _) => "wait",
                (_, _, _, true) => "adopt",
                _ => "create",
            };
            let plan = plan(&seen, &policy);
            assert_eq!(short(&plan), wanted, "{mix:04b} {policy:?}");
            if let Action::Adopt { edit, .. } = &plan.action {
                assert!(!edit.entry.made && edit.stamp_due, "an adopted asset is stamped, and never ours");
            }
            cells += 1;
        }
    }
    assert_eq!(cells, 288 * 16);
}

#[test]
fn the_same_order_holds_for_a_file_whose_asset_an_editor_deleted() {
    let policy = Policy { on_remote_delete: OnRemoteDelete::Recreate, ..default_policy() };
    let mut seen = lonely("new/logo.png", "a");
    seen.known = Known::Gone(UploadId::new("was"));
    seen.base = maybe("a");
    assert_eq!(short(&plan(&seen, &policy)), "create");
    seen.remote_twin = Some(candidate("foreign", "a", None));
    assert_eq!(short(&plan(&seen, &policy)), "adopt");
    seen.live_twin = Some(live_twin(true));
    assert_eq!(short(&plan(&seen, &policy)), "alias");
    seen.gone_twin = Some(gone_twin(true, Vec::new()));
    assert_eq!(short(&plan(&seen, &policy)), "move");
}

#[test]
fn a_moved_asset_is_renamed_only_if_asked_ours_alone_and_of_another_stem() {
    for policy in policies() {
        for (made, shared) in [(true, true), (true, false), (false, true), (false, false)] {
            for (key, other_stem) in [("new/logo.png", false), ("new/mark.png", true), ("old/logo.PNG", false)] {
                let mut seen = lonely(key, "a");
                let sharers = if shared { vec![sharer("z.png", "a")] } else { Vec::new() };
                seen.gone_twin = Some(gone_twin(made, sharers));
                let action = plan(&seen, &policy).action;
                let Action::Move { from_row, basename, edit, .. } = action else { panic!("not a move: {action:?}") };
                let wanted = policy.on_rename == OnRename::Rename && made && !shared && other_stem;
                assert_eq!(basename, wanted.then(|| seen.me.path.stem().to_owned()), "{key} {policy:?}");
                assert_eq!(from_row, 7);
                assert!(edit.stamp_due && !edit.entry.paths.contains("old/logo.png"));
                assert!(edit.entry.paths.contains(key) && edit.entry.made == made);
            }
        }
    }
}

#[test]
fn a_changed_file_that_leaves_a_shared_asset_finds_its_place_like_a_new_one() {
    let mut seen = lonely("a.png", "b");
    seen.base = maybe("a");
    let pushed = entry(&["a.png", "z.png"], "a", true);
    seen.known = Known::There(Box::new(asset("known", "a", Some(&pushed))));
    seen.pushed = Some(pushed);
    seen.sharers = vec![sharer("z.png", "a")];
    assert_eq!(short(&plan(&seen, &default_policy())), "create");
    seen.remote_twin = Some(candidate("foreign", "b", None));
    assert_eq!(short(&plan(&seen, &default_policy())), "adopt");
    seen.live_twin = Some(live_twin(true));
    assert_eq!(short(&plan(&seen, &default_policy())), "alias");
    seen.sharers = vec![sharer("z.png", "b")];
    assert_eq!(short(&plan(&seen, &default_policy())), "replace, same url", "links to one file change together");
}

#[test]
fn followers_are_on_the_stamp_of_a_shared_creation_and_have_their_own_otherwise() {
    for policy in policies() {
        let mut seen = lonely("a.png", "a");
        seen.followers = vec![follower("b.png", "a", Some(2)), follower("c.png", "a", None)];
        seen.followers[0].sharer.desired.tags.insert("b".into());
        let action = plan(&seen, &policy).action;
        let Action::Create { edit, id, content } = action else { panic!("not a creation: {action:?}") };
        let all = policy.duplicates == Duplicates::Share;
        let paths: Vec<&str> = edit.entry.paths.iter().map(String::as_str).collect();
        assert_eq!(paths, if all { vec!["a.png", "b.png", "c.png"] } else { vec!["a.png"] });
        assert_eq!(edit.tags.is_some(), all);
        assert_eq!((id, content), (seen.new_id.clone(), md5("a")));
        assert!(edit.entry.made);
    }
}

#[test]
fn an_adoption_adds_and_never_disagrees() {
    let mut foreign = candidate("foreign", "a", None);
    foreign.asset.fields.insert(FieldKey::Author, "Someone".into());
    let mut seen = lonely("a.png", "a");
    seen.me.desired.tags.insert("brand".into());
    seen.me.desired.fields.insert(FieldKey::Author, "Us".into());
    seen.me.desired.fields.insert(FieldKey::Notes, "A note".into());
    seen.remote_twin = Some(foreign);
    let made = plan(&seen, &default_policy());
    assert!(made.conflicts().is_empty());
    let Action::Adopt { edit, .. } = made.action else { panic!("not an adoption: {made:?}") };
    assert_eq!(edit.tags, Some(vec!["editor".to_owned(), "brand".to_owned()]));
    assert_eq!(edit.write, BTreeSet::from([FieldKey::Notes]));
    assert_eq!(edit.fields[&FieldKey::Author], "Someone");
}
