//! What a run costs in calls of the API, from the media area's own log.

use std::collections::BTreeMap;

use dato_mirror::sandbox::Settings;

use crate::support::{TestEnv, bytes, fast};

/// Calls by route, for the message of a failed assertion.
fn bill(env: &TestEnv) -> BTreeMap<String, usize> {
    let mut bill = BTreeMap::new();
    for entry in env.sandbox.log() {
        *bill.entry(format!("{} {} {}", entry.method, entry.label, entry.status)).or_default() += 1;
    }
    bill
}

#[test]
fn a_first_sync_at_the_service_s_own_pace_costs_two_calls_an_asset_and_meets_no_429() {
    let env = TestEnv::with(Settings::default());
    let files = 300;
    for number in 0..files {
        env.write(format!("{}/{number}.bin", number % 7), bytes(number, 20_000));
    }
    let run = env.sync().exits(0).did(&format!("created {files}"));
    let (calls, bill) = (env.sandbox.api_calls(), bill(&env));
    let each = calls as f64 / files as f64;
    println!("first sync at 60 calls/3 s: {calls} calls, {each:.2} an asset, {:?}: {bill:#?}", run.took);
    // What does not grow with the files: the project, a listing, and the last confirmation of what came last.
    assert!(each <= 2.03 + 8.0 / files as f64, "{bill:#?}");
    assert!(env.sandbox.log().iter().all(|entry| entry.status != 429), "{bill:#?}");
    assert_eq!(run.count("api_requests"), calls as u64, "the report's count is the true one");
    env.assert_still();
}

#[test]
fn an_unchanged_tree_costs_three_calls_at_most_whatever_else_is_in_the_media_area() {
    let env = TestEnv::new();
    env.sandbox.create_foreign_many(None, 1_200).unwrap();
    for number in 0..10 {
        env.write(format!("{number}.bin"), bytes(number, 1_000));
    }
    env.sync().exits(0).did("created 10");
    let first = env.sandbox.api_calls();
    println!("10 new files beside 1,200 foreign assets: {first} calls: {:#?}", bill(&env));
    assert!(first <= 2 * 10 + 6, "{:#?}", bill(&env));
    env.assert_still().exits(0);
    println!("unchanged beside 1,200: {} calls", env.sandbox.api_calls());
    // Someone uploads, someone edits: still next to nothing.
    env.sandbox.create_foreign_many(None, 5).unwrap();
    env.assert_still().exits(0);
    // An edit costs its own calls and no listing of everything.
    env.write("3.bin", "changed");
    env.sync().exits(0).did("replaced 1");
    println!("one edit beside 1,200: {} calls: {:#?}", env.sandbox.api_calls(), bill(&env));
    assert!(env.sandbox.api_calls() <= 6, "{:#?}", bill(&env));
    // The index is lost: the cheaper of a full listing and of asking.
    env.lose_index();
    env.sync().exits(0);
    println!("index lost, 10 files beside 1,205: {} calls: {:#?}", env.sandbox.api_calls(), bill(&env));
    assert!(env.sandbox.api_calls() <= 5 && env.mutating().is_empty(), "{:#?}", bill(&env));
    env.assert_still().exits(0);
}

#[test]
fn a_lost_index_over_1_200_assets_of_ours_costs_a_listing_and_no_upload() {
    let env = TestEnv::new();
    let files = 1_200;
    for number in 0..files {
        env.write(format!("{}/{number}.txt", number % 20), format!("file {number}"));
    }
    let run = env.sync().exits(0).did(&format!("created {files}"));
    let calls = env.sandbox.api_calls();
    println!("first sync of {files}: {calls} calls, {:.2} an asset, {:?}", calls as f64 / f64::from(files), run.took);
    assert!(calls <= 2 * 1_200 + 120, "{:#?}", bill(&env));
    env.lose_index();
    let run = env.sync().exits(0);
    println!("index lost over {files}: {} calls, {:?}: {:#?}", env.sandbox.api_calls(), run.took, bill(&env));
    assert!(env.sandbox.api_calls() <= 5 && env.mutating().is_empty(), "{:#?}", bill(&env));
    let run = env.assert_still().exits(0);
    println!("unchanged over {files}: {} calls, {:?}", env.sandbox.api_calls(), run.took);
}

#[test]
fn a_rule_over_300_assets_costs_a_few_bulk_calls() {
    let env = TestEnv::new();
    env.config_with("");
    for number in 0..300 {
        env.write(format!("{number}.txt"), format!("file {number}"));
    }
    env.sync().exits(0).did("created 300");
    env.config_with("tags = [\"new\"]");
    env.sync().exits(0).did("retagged 300");
    println!("a tag on 300: {} calls: {:#?}", env.sandbox.api_calls(), bill(&env));
    assert!(env.sandbox.api_calls() <= 12, "{:#?}", bill(&env));
    env.assert_still().exits(0);
}

#[test]
fn a_dry_run_of_a_first_sync_costs_three_calls_at_most() {
    let env = TestEnv::with(fast());
    for number in 0..50 {
        env.write(format!("{number}.txt"), format!("file {number}"));
    }
    env.sync_with(&["--dry-run"]).exits(0);
    assert!(env.sandbox.api_calls() <= 3, "{:#?}", bill(&env));
}

#[test]
fn a_months_budget_is_never_overspent_and_what_it_stopped_goes_on_later() {
    let mut env = TestEnv::with(fast());
    for number in 0..20 {
        env.write(format!("{number}.txt"), format!("file {number}"));
    }
    env.set("DATO_MIRROR_API_MONTHLY_BUDGET", "20");
    let run = env.sync().exits(3);
    assert!(env.sandbox.api_calls() <= 20, "{:#?}", bill(&env));
    assert!(run.problem("").contains("monthly budget of API calls is spent"), "{run:#?}");
    assert_eq!(run.count("created") + run.count("waiting"), 20, "{run:#?}");
    // The count outlives the process.
    env.sync().exits(3);
    assert_eq!(env.sandbox.api_calls(), 0, "{:#?}", bill(&env));
    env.set("DATO_MIRROR_API_MONTHLY_BUDGET", "2000");
    env.sync().exits(0);
    assert_eq!(env.assets().len(), 20);
    env.assert_still().exits(0);
}
