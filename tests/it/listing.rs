//! What changes in the media area without a new `updated_at`: a listing of everything sees it, once a day, and nothing else
//! does. What that costs is counted from the media area's log.

use dato_mirror::sandbox::{Fault, FaultKind, Planted, Settings};
use serde_json::json;

use crate::support::{Run, TestEnv, fast};

const INTERVAL: &str = "DATO_MIRROR_API_FULL_LISTING_INTERVAL";
/// More than the first page of a look at changes, which tells of all that is in it.
const OTHERS: usize = 80;
const HOUR_MS: i64 = 3_600_000;

/// Three files mirrored an hour ago, so many assets of others that came half an hour later, and one that comes now: a look at
/// changes, which goes back a minute behind the newest, has no reason to go on to the three.
fn mirrored(others: usize) -> TestEnv {
    let clock_offset_ms = -HOUR_MS;
    let env = TestEnv::with(Settings { bulk_moves_updated_at: false, clock_offset_ms, ..fast() });
    env.config_with("");
    ["a.png", "b.png", "c.png"].iter().for_each(|name| env.write(name, name));
    env.sync().exits(0).did("created 3");
    env.sandbox.set(|settings| settings.clock_offset_ms = -HOUR_MS / 2);
    env.sandbox.create_foreign_many(None, others - 1).unwrap();
    env.sandbox.set(|settings| settings.clock_offset_ms = 0);
    env.sandbox.create_foreign_many(None, 1).unwrap();
    env.sync().exits(0);
    env.assert_still();
    env
}

/// What the index knows of a file's asset.
fn known(env: &TestEnv, path: &str) -> String {
    let path = env.at(path).display().to_string();
    env.run(&["explain", &path]).exits(0).stdout
}

/// A run for which a listing of everything is due.
fn due(env: &mut TestEnv, more: &[&str]) -> Run {
    env.set(INTERVAL, "1ms");
    let run = env.sync_with(more);
    env.set(INTERVAL, "24h");
    run
}

/// Pages of listings that go by id, which only a listing of everything does.
fn pages(env: &TestEnv) -> usize {
    env.sandbox.log().iter().filter(|entry| entry.label == "/uploads" && entry.query.contains("id_ASC")).count()
}

fn last(env: &TestEnv) -> String {
    let index = rusqlite::Connection::open(env.index()).unwrap();
    index.query_row("SELECT value FROM setting WHERE key = 'full_listing'", [], |row| row.get(0)).unwrap()
}

#[test]
fn what_an_editor_gives_many_assets_is_seen_by_the_full_listing_and_not_before() {
    let mut env = mirrored(OTHERS);
    env.sandbox.bulk_tag(None, &[&env.asset("a.png").id, &env.asset("b.png").id], &["campaign"]).unwrap();
    env.assert_still().exits(0);
    assert!(!known(&env, "a.png").contains("campaign"), "no look at changes shows it:\n{}", known(&env, "a.png"));
    due(&mut env, &[]).exits(0);
    for (path, has) in [("a.png", true), ("b.png", true), ("c.png", false)] {
        assert_eq!(known(&env, path).contains("campaign"), has, "{path}: {}", known(&env, path));
    }
    assert_eq!(env.asset("a.png").tags, ["campaign"], "it stays");
    assert!(env.mutating().is_empty(), "{:#?}", env.mutating());
    // Then not before another day.
    env.sandbox.bulk_tag(None, &[&env.asset("c.png").id], &["later"]).unwrap();
    env.assert_still().exits(0);
    assert!(pages(&env) == 0 && !known(&env, "c.png").contains("later"), "{}", known(&env, "c.png"));
}

#[test]
fn a_deletion_that_neither_count_nor_date_shows_is_told_by_the_full_listing() {
    let mut env = mirrored(OTHERS);
    env.sandbox.delete_asset(None, &env.asset("a.png").id).unwrap();
    // A count that differs shows at any look.
    assert!(env.sync().problem("a.png").contains("deleted"));
    // Another goes, and in its place comes one that nobody touched for a year.
    env.sandbox.delete_asset(None, &env.asset("b.png").id).unwrap();
    put_back_an_old_one(&env);
    let run = env.sync();
    assert!(!run.problems().iter().any(|(path, _)| path == "b.png"), "{run:#?}");
    let run = due(&mut env, &[]);
    assert!(run.problem("b.png").contains("deleted"), "{run:#?}");
    assert!(env.mutating().is_empty(), "nothing is brought back: {:#?}", env.mutating());
}

#[test]
fn a_full_listing_that_breaks_off_tells_of_no_absence_and_is_still_due() {
    let mut env = mirrored(1_200);
    env.sandbox.delete_asset(None, &env.asset("b.png").id).unwrap();
    put_back_an_old_one(&env);
    let before = last(&env);
    let kind = FaultKind::Status { status: 422, code: "INVALID_FORMAT".into(), transient: false, details: json!({}) };
    env.sandbox.add_fault(Fault { route: "GET /uploads".into(), skip: 2, times: None, kind });
    let run = due(&mut env, &[]);
    assert!(run.code != 0 && !run.stdout.contains("b.png"), "{run:#?}");
    assert!(env.mutating().is_empty() && last(&env) == before, "{:#?}", env.mutating());
    env.sandbox.clear_faults();
    let run = due(&mut env, &[]);
    assert!(run.problem("b.png").contains("deleted") && last(&env) != before, "{run:#?}");
}

fn put_back_an_old_one(env: &TestEnv) {
    env.sandbox.set(|settings| settings.clock_offset_ms = -365 * 24 * HOUR_MS);
    let old = Planted {
        id: "AAAAAAAAQUW3qYCyribzFw".into(),
        filename: "old.png".into(),
        content: b"old".to_vec(),
        tags: Vec::new(),
        metadata: json!({}),
    };
    env.sandbox.plant(None, vec![old]).unwrap();
    env.sandbox.set(|settings| settings.clock_offset_ms = 0);
}

#[test]
fn a_full_listing_costs_a_call_for_500_assets_and_a_run_without_one_three_at_most() {
    let mut env = mirrored(1_200);
    env.assert_still().exits(0);
    assert_eq!(pages(&env), 0);
    due(&mut env, &[]).exits(0);
    println!("1,203 assets, a full listing due: {} calls", env.sandbox.api_calls());
    assert_eq!(pages(&env), 3);
    assert!(env.sandbox.api_calls() <= 2 + 3, "{:#?}", env.sandbox.log());
    let after = last(&env);
    env.assert_still().exits(0);
    assert_eq!((pages(&env), last(&env)), (0, after), "it is remembered");
    // A dry run sees what a run would, and remembers nothing.
    let before = last(&env);
    due(&mut env, &["--dry-run"]).exits(0);
    assert_eq!((pages(&env), last(&env)), (3, before));
}

#[test]
fn an_index_of_an_older_version_and_a_clock_that_was_set_cost_one_listing() {
    let env = mirrored(OTHERS);
    for change in [
        "DELETE FROM setting WHERE key = 'full_listing'",
        "UPDATE setting SET value = '2019-01-01T00:00:00Z' WHERE key = 'full_listing'",
        "UPDATE setting SET value = '2199-01-01T00:00:00Z' WHERE key = 'full_listing'",
        "UPDATE setting SET value = 'nonsense' WHERE key = 'full_listing'",
    ] {
        let index = rusqlite::Connection::open(env.index()).unwrap();
        assert_eq!(index.execute(change, []).unwrap(), 1);
        drop(index);
        env.assert_still().exits(0);
        assert_eq!(pages(&env), 1, "{change}");
        env.assert_still().exits(0);
        assert_eq!(pages(&env), 0, "{change}");
    }
}

#[test]
fn a_budget_that_is_nearly_spent_has_no_room_for_listings() {
    let mut env = mirrored(OTHERS);
    for _ in 0..5 {
        env.sync().exits(0);
    }
    let spent: i64 = {
        let index = rusqlite::Connection::open(env.index()).unwrap();
        index.execute("UPDATE setting SET value = '2019-01-01T00:00:00Z' WHERE key = 'full_listing'", []).unwrap();
        index.query_row("SELECT sum(count) FROM calls", [], |row| row.get(0)).unwrap()
    };
    env.set("DATO_MIRROR_API_MONTHLY_BUDGET", &(spent + 5).to_string());
    env.sync().exits(0);
    assert_eq!(pages(&env), 0, "{spent} calls spent: {:#?}", env.sandbox.log());
    env.set("DATO_MIRROR_API_MONTHLY_BUDGET", "100000");
    env.sync().exits(0);
    assert_eq!(pages(&env), 1);
}
