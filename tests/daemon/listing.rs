//! The listing of everything that a daemon makes now and then, beside all else.

use dato_mirror::sandbox::{LogEntry, Planted, Settings};
use serde_json::json;

use crate::process::{Daemon, configure, configure_with, digest, wait_mirrored};
use crate::support::{TestEnv, fast};

const DUE: &str = "[api]\nfull_listing_interval = \"1s\"";

const HOUR_MS: i64 = 3_600_000;

/// Three files mirrored by a run an hour ago, so many assets of others that came half an hour later, and one that comes now: a
/// look at changes has no reason to go on to the three.
fn mirrored(settings: Settings, others: usize) -> TestEnv {
    let env = TestEnv::with(Settings { bulk_moves_updated_at: false, clock_offset_ms: -HOUR_MS, ..settings });
    ["a.png", "b.png", "c.png"].iter().for_each(|name| env.write(name, name));
    configure(&env, "");
    env.run(&["--sync-once"]).exits(0);
    env.sandbox.set(|settings| settings.clock_offset_ms = -HOUR_MS / 2);
    env.sandbox.create_foreign_many(None, others - 1).unwrap();
    env.sandbox.set(|settings| settings.clock_offset_ms = 0);
    env.sandbox.create_foreign_many(None, 1).unwrap();
    env.run(&["--sync-once"]).exits(0);
    env.sandbox.clear_log();
    env
}

fn is_page(entry: &LogEntry) -> bool {
    entry.label == "/uploads" && entry.query.contains("id_ASC")
}

fn looks(env: &TestEnv) -> usize {
    env.sandbox.log().iter().filter(|entry| entry.query.contains("_updated_at_DESC")).count()
}

fn known(env: &TestEnv, path: &str) -> String {
    let path = env.at(path).display().to_string();
    env.run(&["explain", &path]).exits(0).stdout
}

#[test]
fn what_an_editor_gives_many_assets_is_seen_by_the_daemon_when_a_listing_is_due_and_not_before() {
    let env = mirrored(fast(), 80);
    configure(&env, "remote_refresh = \"1s\"");
    let daemon = Daemon::ready(&env);
    daemon.wait_idle();
    env.sandbox.bulk_tag(None, &[&env.asset("a.png").id], &["campaign"]).unwrap();
    let before = looks(&env);
    daemon.wait("three looks at changes", || looks(&env) >= before + 3);
    assert!(!known(&env, "a.png").contains("campaign"), "{}", known(&env, "a.png"));
    daemon.stop();
    assert!(!env.sandbox.log().iter().any(is_page), "none was due: {:#?}", env.sandbox.log());

    configure_with(&env, DUE, "");
    let daemon = Daemon::ready(&env);
    daemon.wait("seen", || known(&env, "a.png").contains("campaign"));
    let by_id = || env.sandbox.log().iter().filter(|entry| entry.query.contains("filter%5Bids%5D")).count();
    let asked = by_id();
    assert!(asked > 0, "which of two states of one time is right is asked by id");
    let pages = || env.sandbox.log().iter().filter(|entry| is_page(entry)).count();
    let listed = pages();
    daemon.wait("two more listings", || pages() >= listed + 2);
    assert_eq!(by_id(), asked, "what is as it was known is not asked for again: {:#?}", env.sandbox.log());
    assert_eq!(env.asset("a.png").tags, ["campaign"], "it stays");
    assert!(env.mutating().is_empty(), "{:#?}", env.mutating());
    daemon.stop();
}

#[test]
fn a_deletion_that_neither_count_nor_date_shows_is_told_by_the_daemon_when_a_listing_is_due() {
    let env = mirrored(fast(), 80);
    env.sandbox.delete_asset(None, &env.asset("b.png").id).unwrap();
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
    let is_told = |daemon: &Daemon| {
        let problems = daemon.mirror()["problems"].clone();
        problems.as_array().into_iter().flatten().any(|problem| problem["path"] == "b.png")
    };
    configure(&env, "remote_refresh = \"1s\"");
    let daemon = Daemon::ready(&env);
    let before = looks(&env);
    daemon.wait("three looks at changes", || looks(&env) >= before + 3);
    daemon.wait_idle();
    assert!(!is_told(&daemon), "{:#}", daemon.mirror());
    daemon.stop();

    configure_with(&env, DUE, "");
    let daemon = Daemon::ready(&env);
    daemon.wait("told", || is_told(&daemon));
    assert!(env.mutating().is_empty(), "nothing is brought back: {:#?}", env.mutating());
    daemon.stop();
}

#[test]
fn no_save_waits_for_a_full_listing_of_many_pages() {
    const PAGES: usize = 20;
    let env = mirrored(fast(), PAGES * 500 - 10);
    // The listing takes seconds, as it does at the service.
    env.sandbox.set(|settings| settings.rate_limit = 10);
    configure_with(&env, DUE, "");
    let daemon = Daemon::ready(&env);
    daemon.wait("the listing is on its way", || env.sandbox.log().iter().filter(|entry| is_page(entry)).count() >= 2);
    env.write("saved.png", "saved");
    wait_mirrored(&daemon, &env, &[("saved.png".into(), digest("saved"))]);
    let place = |what: &dyn Fn(&LogEntry) -> bool| env.sandbox.log().iter().position(what);
    let last = format!("={}&", (PAGES - 1) * 500);
    let is_last = move |entry: &LogEntry| is_page(entry) && entry.query.contains(&last);
    let sent = place(&|entry| entry.is("POST /uploads")).unwrap();
    daemon.wait("the listing ends", || place(&is_last).is_some());
    assert!(sent < place(&is_last).unwrap(), "the save waited: {:#?}", env.sandbox.log());
    daemon.stop();
}
