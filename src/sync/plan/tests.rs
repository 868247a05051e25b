//! The decision table, cell by cell, against an expectation written without looking at the planner.

mod fixpoint;
mod groups;
mod twins;

use std::collections::BTreeSet;

use super::*;
use crate::config::policy::{Choice, OnDelete};
use crate::metadata::desired::Desired;
use crate::model::{Fields, Stamp};
use crate::sync::absence::Absence;
use crate::sync::plan::edit::GONE_TAG;

pub(super) fn md5(text: &str) -> Md5 {
    Md5::of(text.as_bytes())
}

fn maybe(text: &str) -> Option<Md5> {
    (text != " ").then(|| md5(text))
}

pub(super) fn path(key: &str) -> RelPath {
    RelPath::from_key(key).unwrap()
}

pub(super) fn sharer(key: &str, content: &str) -> Sharer {
    Sharer { path: path(key), stamp_name: key.into(), content: maybe(content), desired: Desired::default() }
}

pub(super) fn row(id: i64, key: &str, content: &str) -> FileRow {
    FileRow {
        id,
        path: path(key),
        present: content != " ",
        print: None,
        md5: maybe(content),
        embedded: None,
        asset: None,
        base_md5: None,
        failures: 0,
        cached: false,
        news: 1,
        seen: true,
    }
}

/// A path with the same content; certain to share the asset when it has a row.
pub(super) fn follower(key: &str, content: &str, id: Option<i64>) -> Follower {
    let row = id.map(|id| Box::new(row(id, key, content)));
    Follower { sharer: sharer(key, content), row, from: None }
}

pub(super) fn entry(paths: &[&str], content: &str, made: bool) -> MirrorStamp {
    MirrorStamp {
        paths: paths.iter().map(|path| (*path).to_owned()).collect(),
        md5: md5(content).to_string(),
        made,
        ..MirrorStamp::default()
    }
}

/// An asset as this mirror left it, or (without an entry) one it has never touched.
pub(super) fn asset(id: &str, content: &str, entry: Option<&MirrorStamp>) -> Asset {
    let stamp = entry.map(|entry| [("brand".to_owned(), entry.clone())].into()).unwrap_or_default();
    Asset {
        id: UploadId::new(id),
        md5: maybe(content),
        size: 1,
        path: format!("/1/{id}.png"),
        url: format!("https://example.com/1/{id}.png"),
        filename: format!("{id}.png"),
        format: Some("png".into()),
        mime_type: None,
        width: None,
        height: None,
        blurhash: None,
        tags: vec!["editor".into()],
        fields: Fields::new(),
        stamp: Stamp(stamp),
        antivirus: crate::model::Antivirus::default(),
        created_at: String::new(),
        updated_at: String::new(),
    }
}

pub(super) fn policies() -> Vec<Policy> {
    let mut all = Vec::new();
    for &on_change in OnChange::ALL {
        for &on_rename in OnRename::ALL {
            for &on_delete in OnDelete::ALL {
                for &on_remote_change in OnRemoteChange::ALL {
                    for &on_remote_delete in OnRemoteDelete::ALL {
                        for &duplicates in Duplicates::ALL {
                            for custom_storage in [false, true] {
                                all.push(Policy {
                                    mirror: "brand".into(),
                                    on_change,
                                    on_rename,
                                    on_delete,
                                    on_remote_change,
                                    on_remote_delete,
                                    duplicates,
                                    custom_storage,
                                });
                            }
                        }
                    }
                }
            }
        }
    }
    all
}

pub(super) fn default_policy() -> Policy {
    policies().swap_remove(0)
}

pub(super) fn lonely(key: &str, local: &str) -> Observation {
    Observation {
        me: sharer(key, local),
        local: maybe(local),
        absence: Absence::Gone,
        base: None,
        known: Known::Never,
        pushed: None,
        sharers: Vec::new(),
        behind: false,
        foreign_sharers: 0,
        gone_twin: None,
        live_twin: None,
        remote_twin: None,
        infected_twin: None,
        followers: Vec::new(),
        alike: Vec::new(),
        new_id: UploadId::new("new"),
    }
}

/// What a row of the table is about, in the words of the design.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Case {
    /// There is nothing to talk about.
    Void,
    /// A file nobody knows.
    New,
    /// The file went; its asset is as we left it (or not).
    Gone { as_left: bool },
    /// The file is there, its asset was deleted in the CMS.
    DeletedInCms,
    /// Disk and media area agree; the index may be behind.
    Agree { index_behind: bool },
    /// Only the file changed.
    ChangedHere,
    /// Only the asset changed.
    ChangedThere,
    /// Both did, or nothing tells.
    ChangedBoth,
}

/// Disk, last in step, media area; a space is absent.
const TABLE: [(&str, &str, &str, Case); 15] = [
    (" ", " ", " ", Case::Void),
    (" ", " ", "a", Case::Gone { as_left: false }),
    (" ", "a", " ", Case::Void),
    (" ", "a", "a", Case::Gone { as_left: true }),
    (" ", "a", "b", Case::Gone { as_left: false }),
    ("a", " ", " ", Case::New),
    ("a", " ", "a", Case::Agree { index_behind: true }),
    ("a", " ", "b", Case::ChangedBoth),
    ("a", "a", " ", Case::DeletedInCms),
    ("a", "a", "a", Case::Agree { index_behind: false }),
    ("a", "a", "b", Case::ChangedThere),
    ("a", "b", " ", Case::DeletedInCms),
    ("a", "b", "a", Case::Agree { index_behind: true }),
    ("a", "b", "b", Case::ChangedHere),
    ("a", "b", "c", Case::ChangedBoth),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shared {
    No,
    /// With a path of this mirror that keeps the asset's content.
    Here,
    /// With a path of another mirror.
    Elsewhere,
}

fn short(plan: &Plan) -> &'static str {
    match &plan.action {
        Action::Nothing => "nothing",
        Action::Record { .. } => "record",
        Action::Accept { .. } => "accept",
        Action::Forget => "forget",
        Action::Wait => "wait",
        Action::Replace { keep_url: KeepUrl::Yes, .. } => "replace, same url",
        Action::Replace { keep_url: KeepUrl::No, .. } => "replace, new url",
        other => other.name().unwrap().as_str(),
    }
}

/// What the design says about a cell.
fn expected(case: Case, policy: &Policy, shared: Shared, made: bool, same_format: bool) -> &'static str {
    let alone = shared == Shared::No;
    let replace = match policy.on_change {
        OnChange::NewUrl => "replace, new url",
        OnChange::KeepUrl if !policy.custom_storage && same_format => "replace, same url",
        OnChange::KeepUrl => "report",
    };
    match case {
        Case::Void => "forget",
        Case::New => "create",
        Case::Gone { .. } if !alone => "forget",
        Case::Gone { as_left } => match (policy.on_delete, made, as_left) {
            (OnDelete::Keep, _, _) | (OnDelete::Delete, false, _) => "nothing",
            (OnDelete::Tag, _, _) => "retag",
            (OnDelete::Delete, true, true) => "delete",
            (OnDelete::Delete, true, false) => "report",
        },
        Case::DeletedInCms => match policy.on_remote_delete {
            OnRemoteDelete::Report => "report",
            OnRemoteDelete::Recreate => "create",
        },
        Case::Agree { index_behind: true } => "record",
        Case::Agree { index_behind: false } => "nothing",
        Case::ChangedHere if alone => replace,
        Case::ChangedHere => "create",
        Case::ChangedThere => match policy.on_remote_change {
            OnRemoteChange::Report => "report",
            OnRemoteChange::Accept => "accept",
            OnRemoteChange::Overwrite => replace,
        },
        // One side wins, but not over another path that has the asset too: this one gets its own.
        Case::ChangedBoth => match policy.on_remote_change {
            OnRemoteChange::Report => "report",
            OnRemoteChange::Accept if alone => "report",
            OnRemoteChange::Overwrite if alone => replace,
            OnRemoteChange::Accept | OnRemoteChange::Overwrite => "create",
        },
    }
}

/// The observation of a cell. `made`: this mirror created the asset; else it adopted it.
fn observation(row: (&str, &str, &str, Case), shared: Shared, made: bool, key: &str) -> Observation {
    let (local, base, remote, _) = row;
    let mut seen = lonely(key, local);
    seen.base = maybe(base);
    let of = Some(UploadId::new("known"));
    let pushed = MirrorStamp { of, ..entry(&[key, "z.png"], if base == " " { remote } else { base }, made) };
    if remote != " " {
        seen.known = Known::There(Box::new(asset("known", remote, Some(&pushed))));
        seen.pushed = Some(pushed);
        match shared {
            Shared::No => {}
            Shared::Here => seen.sharers = vec![sharer("z.png", remote)],
            Shared::Elsewhere => seen.foreign_sharers = 1,
        }
    } else if base != " " {
        seen.known = Known::Gone(UploadId::new("known"));
    }
    seen
}

#[test]
fn every_pattern_under_every_policy_decides_as_the_design_says() {
    let patterns: BTreeSet<_> = TABLE.iter().map(|row| (row.0, row.1, row.2)).collect();
    assert_eq!(patterns.len(), 15, "each pattern of absent, equal and different once");
    let mut cells = 0;
    for row in TABLE {
        for policy in policies() {
            for shared in [Shared::No, Shared::Here, Shared::Elsewhere] {
                for made in [true, false] {
                    for (key, same_format) in [("a.png", true), ("a.PNG", true), ("a.jpg", false), ("a", true)] {
                        let seen = observation(row, shared, made, key);
                        let plan = plan(&seen, &policy);
                        let wanted = expected(row.3, &policy, shared, made, same_format);
                        assert_eq!(short(&plan), wanted, "{row:?} {shared:?} made {made} {key}: {policy:?}");
                        assert!(!plan.why.is_empty());
                        if let Action::Delete { asset } = &plan.action {
                            assert!(asset.stamp.0["brand"].made && policy.on_delete == OnDelete::Delete);
                        }
                        cells += 1;
                    }
                }
            }
        }
    }
    assert_eq!(cells, 15 * 288 * 3 * 2 * 4);
}

#[test]
fn what_both_changed_is_told_with_advice_that_the_policy_does_not_follow_already() {
    for (on_remote_change, word) in
        [(OnRemoteChange::Accept, "decides only"), (OnRemoteChange::Report, "or \"accept\"")]
    {
        let mut seen = lonely("a.png", "c");
        seen.base = maybe("a");
        seen.known = Known::There(Box::new(asset("known", "d", None)));
        let policy = Policy { on_remote_change, ..default_policy() };
        let Action::Report { advice, .. } = plan(&seen, &policy).action else { panic!("{on_remote_change:?}") };
        assert!(advice.contains(word), "{on_remote_change:?}: {advice}");
    }
}

#[test]
fn an_accepted_file_of_an_editor_stands_until_either_side_changes_again() {
    let policy = Policy { on_remote_change: OnRemoteChange::Accept, ..default_policy() };
    let mut pushed = entry(&["a.png"], "a", true);
    pushed.of = Some(UploadId::new("known"));
    pushed.accepted = Some(md5("b").to_string());
    let observe = |local: &str, remote: &str| {
        let mut seen = lonely("a.png", local);
        seen.base = maybe("a");
        seen.pushed = Some(pushed.clone());
        seen.known = Known::There(Box::new(asset("known", remote, Some(&pushed))));
        short(&plan(&seen, &policy))
    };
    assert_eq!(observe("a", "b"), "nothing");
    assert_eq!(observe("c", "b"), "replace, same url", "the file changed since: the folder's turn");
    assert_eq!(observe("a", "d"), "accept", "the editor replaced it again");
    assert_eq!(observe("c", "d"), "report", "both changed");
    assert_eq!(observe("b", "b"), "record", "the folder took the editor's file");
}

#[test]
fn what_another_machine_of_the_mirror_put_there_is_no_editors_choice() {
    for &on_remote_change in OnRemoteChange::ALL {
        let policy = Policy { on_remote_change, ..default_policy() };
        let observe = |stamped: &str| {
            let pushed = MirrorStamp { of: Some(UploadId::new("known")), ..entry(&["a.png"], stamped, true) };
            let mut seen = lonely("a.png", "a");
            seen.base = maybe("a");
            seen.known = Known::There(Box::new(asset("known", "b", Some(&pushed))));
            seen.pushed = Some(pushed);
            plan(&seen, &policy)
        };
        let (by_editor, by_machine) = match on_remote_change {
            OnRemoteChange::Report => ("report", "report"),
            OnRemoteChange::Accept => ("accept", "report"),
            OnRemoteChange::Overwrite => ("replace, same url", "replace, same url"),
        };
        assert_eq!(short(&observe("a")), by_editor, "{on_remote_change:?}, by an editor");
        let plan = observe("b");
        assert_eq!(short(&plan), by_machine, "{on_remote_change:?}, by a machine of the mirror");
        if let Action::Report { cause, .. } = plan.action {
            assert!(cause.contains("another machine of this mirror"), "{cause}");
        }
    }
}

#[test]
fn a_file_that_is_there_again_loses_the_tag_of_a_vanished_one_also_where_a_person_has_to_decide() {
    for policy in policies() {
        for local in ["a", "b", "c", " "] {
            let mut pushed = MirrorStamp { of: Some(UploadId::new("known")), ..entry(&["a.png"], "a", true) };
            pushed.tags.insert(GONE_TAG.to_owned());
            let mut there = asset("known", "b", Some(&pushed));
            there.tags.push(GONE_TAG.to_owned());
            let mut seen = lonely("a.png", local);
            seen.base = maybe("a");
            seen.known = Known::There(Box::new(there));
            seen.pushed = Some(pushed);
            let first = plan(&seen, &policy);
            let untags = first.action.edit().is_some_and(|edit| edit.removes_tags);
            // What is accepted is looked at once more for its metadata.
            let accepted = matches!(first.action, Action::Accept { .. });
            assert_eq!(untags || accepted, local != " ", "{local}: {first:?} with {policy:?}");
            let Action::Retag { edit, file: FileIs::Back, .. } = first.action else { continue };
            assert_eq!(edit.entry.digest(), maybe("a"), "the stamp tells no content that was not pushed");
            if let Known::There(asset) = &mut seen.known {
                asset.tags = edit.tags.unwrap();
                asset.stamp = edit.stamp;
            }
            seen.pushed = Some(edit.entry);
            assert_eq!(short(&plan(&seen, &policy)), "report", "{local} with {policy:?}");
        }
    }
}

fn infected_one(id: &str, content: &str, entry: Option<&MirrorStamp>) -> Asset {
    Asset { antivirus: crate::model::Antivirus::Infected, ..asset(id, content, entry) }
}

#[test]
fn an_infected_asset_is_reported_until_the_file_changes_and_else_treated_as_any() {
    for row in TABLE {
        for policy in policies() {
            let clean = observation(row, Shared::No, true, "a.png");
            let mut seen = clean.clone();
            let Known::There(known) = &mut seen.known else { continue };
            known.antivirus = crate::model::Antivirus::Infected;
            let wanted = match row.3 {
                Case::Agree { .. } => "report",
                Case::ChangedThere if policy.on_remote_change != OnRemoteChange::Overwrite => "report",
                _ => short(&plan(&clean, &policy)),
            };
            let plan = plan(&seen, &policy);
            assert_eq!(short(&plan), wanted, "{row:?} {policy:?}");
            if let (Case::Agree { .. }, Action::Report { cause, advice }) = (row.3, &plan.action) {
                assert!(cause.contains("known") && cause.contains("infected"), "{cause}");
                assert!(!crate::model::promises(advice), "{advice}");
            }
        }
    }
}

#[test]
fn an_accepted_file_that_is_infected_is_reported() {
    let policy = Policy { on_remote_change: OnRemoteChange::Accept, ..default_policy() };
    let mut pushed = entry(&["a.png"], "a", true);
    pushed.accepted = Some(md5("b").to_string());
    let mut seen = lonely("a.png", "a");
    seen.base = maybe("a");
    seen.pushed = Some(pushed.clone());
    seen.known = Known::There(Box::new(infected_one("known", "b", Some(&pushed))));
    assert_eq!(short(&plan(&seen, &policy)), "report");
}

#[test]
fn infected_bytes_are_not_sent_for_another_path_and_an_asset_that_is_there_is_still_taken() {
    let candidate = || Candidate { asset: Box::new(asset("theirs", "a", None)), pushed: None };
    for policy in policies() {
        let mut seen = lonely("b.png", "a");
        seen.infected_twin = Some(Box::new(infected_one("bad", "a", None)));
        let planned = plan(&seen, &policy);
        let Action::Report { cause, .. } = &planned.action else { panic!("{planned:?}") };
        assert!(cause.contains("bad"), "{cause}");
        // A copy does not wait for one that is not sent either.
        seen.live_twin = Some(LiveTwin { path: path("a.png"), candidate: None, sharers: Vec::new() });
        assert_eq!(short(&plan(&seen, &policy)), "report");
        seen.remote_twin = Some(candidate());
        let wanted = if policy.duplicates == Duplicates::Share { "wait" } else { "adopt" };
        assert_eq!(short(&plan(&seen, &policy)), wanted);
        seen.live_twin = None;
        assert_eq!(short(&plan(&seen, &policy)), "adopt");
        // Nor in the place of what an asset has.
        let mut seen = lonely("b.png", "a");
        seen.infected_twin = Some(Box::new(infected_one("bad", "a", None)));
        seen.base = maybe("before");
        seen.known = Known::There(Box::new(asset("known", "before", None)));
        assert_eq!(short(&plan(&seen, &policy)), "report");
    }
}

#[test]
fn without_a_digest_from_the_service_nothing_is_decided() {
    for policy in policies() {
        let mut seen = lonely("a.png", "a");
        seen.known = Known::There(Box::new(asset("known", " ", None)));
        assert_eq!(short(&plan(&seen, &policy)), "wait");
    }
}
