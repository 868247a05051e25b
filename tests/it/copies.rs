//! Many copies of one file: they share one asset, and cost what one does.

use dato_mirror::sandbox::{Fault, FaultKind};
use serde_json::Value;

use crate::support::{Run, TestEnv, bytes, fast, stamped_paths};

fn copies(env: &TestEnv, folder: &str, count: usize, seed: u64) {
    for n in 0..count {
        env.write(format!("{folder}/{n:05}.png"), bytes(seed, 300));
    }
}

/// A folder of copies that are mirrored.
fn mirrored(count: usize) -> TestEnv {
    let env = TestEnv::new();
    copies(&env, "a", count, 1);
    env.sync().exits(0).did(&format!("created 1, aliased {}", count - 1));
    env
}

#[track_caller]
fn assert_unchanged(env: &TestEnv, count: usize) {
    let run = env.assert_still().exits(0).did("");
    assert_eq!(run.count("unchanged"), count as u64, "{run:#?}");
}

/// Calls of the API, by what a hundred copies may cost: as if it were one file.
#[track_caller]
fn assert_cheap(env: &TestEnv, run: &Run) {
    assert!(env.sandbox.api_calls() <= 10, "{run:#?} {:#?}", env.sandbox.log());
}

#[test]
fn copies_by_the_hundred_share_one_asset_made_by_one_action() {
    for count in [2, 100, 400] {
        let env = TestEnv::new();
        copies(&env, "a", count, 1);
        let plan = env.sync_with(&["--dry-run"]).exits(0).plan();
        assert_eq!(plan.iter().filter(|(action, _)| action == "alias").count(), count - 1);
        assert_eq!(plan.len(), count);
        let run = env.sync().exits(0).did(&format!("created 1, aliased {}", count - 1));
        assert_eq!((run.count("unchanged"), env.assets().len()), (0, 1), "{run:#?}");
        assert_cheap(&env, &run);
        assert_eq!(stamped_paths(&env.assets()[0]).len(), count);
        assert_unchanged(&env, count);
    }
}

#[test]
fn new_copies_of_a_mirrored_file_join_it_with_one_call() {
    let env = mirrored(3);
    copies(&env, "b", 150, 1);
    let run = env.sync().exits(0).did("aliased 150");
    assert_cheap(&env, &run);
    assert_eq!((env.mutating().len(), stamped_paths(&env.assets()[0]).len()), (1, 153));
    assert_unchanged(&env, 153);
}

#[test]
fn copies_that_change_leave_the_others_together_and_alone() {
    let env = mirrored(120);
    env.write("a/00007.png", "another");
    // The stamp of those that stay says that it left.
    env.sync().exits(0).did("created 1, retagged 1");
    assert_unchanged(&env, 120);
    for n in 20..80 {
        env.write(format!("a/{n:05}.png"), "the same for sixty");
    }
    let run = env.sync().exits(0).did("created 1, aliased 59, retagged 1");
    assert_cheap(&env, &run);
    assert_eq!(stamped_paths(&env.asset("a/00000.png")).len(), 59);
    assert_unchanged(&env, 120);
}

#[test]
fn copies_that_each_get_new_content_leave_all_at_once() {
    let count = 200;
    let env = mirrored(count);
    for n in 0..count {
        env.write(format!("a/{n:05}.png"), format!("of its own {n}"));
    }
    let run = env.sync().exits(0);
    // One gets the asset that they shared, the others one each; and the stamp says once who left.
    assert_eq!((run.count("replaced"), run.count("created")), (1, count as u64 - 1));
    assert!(run.count("retagged") <= 2, "{run:#?}");
    assert_unchanged(&env, count);
}

#[test]
fn copies_that_all_change_alike_are_one_replacement() {
    let env = mirrored(100);
    let url = env.assets()[0].url.clone();
    copies(&env, "a", 100, 2);
    let run = env.sync().exits(0).did("replaced 1");
    assert_cheap(&env, &run);
    assert_eq!((env.assets().len(), &env.assets()[0].url), (1, &url));
    assert_unchanged(&env, 100);
}

#[test]
fn files_with_assets_of_their_own_that_become_copies_need_no_round_each() {
    let env = TestEnv::new();
    for n in 0..60 {
        env.write(format!("a/{n}.png"), bytes(n, 300));
        env.write(format!("b/{n}.png"), bytes(n, 300));
    }
    env.sync().exits(0).did("created 60, aliased 60");
    for n in 0..60 {
        env.write(format!("b/{n}.png"), "one content for all");
    }
    env.sync().exits(0).did("created 1, aliased 59, retagged 60");
    assert_eq!(env.assets().len(), 61);
    assert_unchanged(&env, 120);
}

#[test]
fn half_of_the_copies_deleted_leaves_the_asset_to_the_others() {
    let mut env = mirrored(100);
    env.set("DATO_MIRROR_ON_DELETE", "delete");
    env.set("DATO_MIRROR_MAX_DELETE", "1000");
    for n in 0..50 {
        env.remove(&format!("a/{n:05}.png"));
    }
    let run = env.sync().exits(0).did("retagged 1");
    assert_cheap(&env, &run);
    assert_eq!(stamped_paths(&env.assets()[0]).len(), 50);
    assert_unchanged(&env, 50);
}

#[test]
fn all_copies_deleted_are_one_deletion_that_the_guard_counts_by_files() {
    let mut env = mirrored(100);
    env.write("b/other.png", "other");
    env.sync().exits(0).did("created 1");
    env.set("DATO_MIRROR_ON_DELETE", "delete");
    for n in 0..100 {
        env.remove(&format!("a/{n:05}.png"));
    }
    let stopped = env.sync().exits(4);
    assert!(stopped.stdout.contains("100 of 101 files"), "{stopped:#?}");
    assert_eq!(stopped.count("failed"), 100);
    let run = env.sync_with(&["--force"]).exits(0).did("deleted 1");
    assert_cheap(&env, &run);
    assert_eq!(env.assets().len(), 1);
    assert_unchanged(&env, 1);
}

#[test]
fn a_folder_of_copies_that_is_renamed_is_one_call() {
    let env = mirrored(100);
    let before = env.assets()[0].id.clone();
    env.rename("a", "b");
    copies(&env, "c", 20, 1);
    let run = env.sync().exits(0).did("aliased 20, moved 100");
    assert_cheap(&env, &run);
    assert_eq!((env.mutating().len(), env.assets().len(), &env.assets()[0].id), (1, 1, &before));
    assert_eq!(stamped_paths(&env.assets()[0]).len(), 120);
    assert_unchanged(&env, 120);
}

#[test]
fn a_new_rule_is_one_change_for_all_copies() {
    let mut env = mirrored(100);
    env.set("DATO_MIRROR_TAGS", "brand");
    let run = env.sync().exits(0).did("retagged 1");
    assert_cheap(&env, &run);
    assert_eq!(env.mutating().len(), 1);
    assert_unchanged(&env, 100);
}

#[test]
fn an_editors_replacement_is_told_of_every_copy() {
    let env = mirrored(100);
    let id = env.assets()[0].id.clone();
    env.sandbox.replace_content(None, &id, b"an editor's").unwrap();
    let run = env.sync().exits(1).did("failed 100");
    assert_cheap(&env, &run);
    assert!(env.mutating().is_empty());
}

#[test]
fn copies_with_a_lost_index_make_no_second_asset() {
    for count in [100, 1500] {
        let env = mirrored(count);
        env.lose_index();
        let run = env.sync().exits(0);
        assert_eq!(env.assets().len(), 1);
        assert!(env.mutating().is_empty(), "{run:#?}");
        assert_cheap(&env, &run);
        assert_unchanged(&env, count);
        env.lose_index();
        env.write(format!("a/{:05}.png", count - 1), "changed meanwhile");
        env.sync().exits(0).did(if count == 100 { "created 1, retagged 1" } else { "created 1, aliased 499" });
        assert_eq!(env.assets().len(), 2);
        assert_unchanged(&env, count);
    }
}

#[test]
fn a_run_about_one_copy_leaves_the_others_to_the_next() {
    let env = TestEnv::new();
    copies(&env, "a", 100, 1);
    std::fs::write(env.home().join("list"), "a/00050.png\n").unwrap();
    env.sync_with(&["--files-from", "list"]).exits(0).did("created 1");
    env.sync().exits(0).did("aliased 99");
    assert_eq!(env.assets().len(), 1);
    assert_unchanged(&env, 100);
}

#[test]
fn copies_with_assets_of_their_own_each_get_one() {
    let mut env = TestEnv::with(fast());
    env.set("DATO_MIRROR_DUPLICATES", "separate");
    copies(&env, "a", 100, 1);
    env.sync().exits(0).did("created 100");
    assert_eq!(env.assets().len(), 100);
    assert_unchanged(&env, 100);
    env.lose_index();
    env.sync().exits(0);
    assert_eq!(env.assets().len(), 100);
    assert_unchanged(&env, 100);
}

#[test]
fn a_content_that_the_service_refuses_is_told_of_every_copy_and_one_bad_file_spoils_no_other() {
    for (refusals, told) in [(1, "created 1, aliased 58, failed 1"), (3, "failed 60")] {
        let env = TestEnv::new();
        copies(&env, "a", 60, 1);
        let code = "INVALID_FIELD".into();
        let kind = FaultKind::Status { status: 422, code, transient: false, details: Value::Null };
        env.sandbox.add_fault(Fault { route: "POST /uploads".into(), skip: 0, times: Some(refusals), kind });
        let run = env.sync().exits(1).did(told);
        assert_eq!(run.count("unchanged"), 0, "{run:#?}");
        env.sync().exits(0).did(if refusals == 1 { "aliased 1" } else { "created 1, aliased 59" });
        assert_eq!(env.assets().len(), 1);
        assert_unchanged(&env, 60);
    }
}

#[test]
fn ten_thousand_copies_cost_as_few_calls_as_one_file() {
    let env = TestEnv::new();
    copies(&env, "a", 10_000, 1);
    let run = env.sync().exits(0).did("created 1, aliased 9999");
    assert_cheap(&env, &run);
    assert_unchanged(&env, 10_000);
}
