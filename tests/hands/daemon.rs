//! The commands while a daemon has the index.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::support::TestEnv;

/// Waits until `happened`.
#[track_caller]
fn until(what: &str, mut happened: impl FnMut() -> bool) {
    let start = Instant::now();
    while !happened() {
        assert!(start.elapsed() < Duration::from_secs(600), "{what} does not happen");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn status(env: &TestEnv) -> Value {
    serde_json::from_str(&env.run(&["status", "--format", "json"]).stdout).unwrap_or_default()
}

#[test]
fn status_explain_ls_and_retry_work_beside_the_daemon() {
    let env = TestEnv::new();
    env.config_with("watch = \"poll\"\npoll_interval = \"1h\"\nverify_live = true\nmanifest = \"assets.json\"");
    env.write("good.png", "good");
    env.write("bad.png", "bad");
    let refuse =
        r#"{"route": "POST /uploads", "times": 1, "kind": {"name": "status", "status": 422, "code": "INVALID_FIELD"}}"#;
    env.sandbox.add_fault(serde_json::from_str(refuse).unwrap());
    let daemon = env.start(&[] as &[&str], b"");
    until("the first pass", || {
        let seen = status(&env);
        seen["mirrors"][0]["failed"] == 1
            && seen["mirrors"][0]["mirrored"] == 1
            && seen["mirrors"][0]["last_pass"].is_object()
    });
    let seen = status(&env);
    assert_eq!(seen["running"], daemon.id());
    assert_eq!(seen["mirrors"][0]["watching"]["how"], "polling", "{seen:#}");
    assert!(env.home().join("assets.json").exists());
    let failed = seen["mirrors"][0]["problems"][0]["path"].as_str().unwrap().to_owned();
    assert!(env.run(&["explain", &failed]).exits(0).stdout.contains("problem"));
    env.run(&["ls"]).exits(0);
    env.run(&["doctor"]).exits(0);
    let retried = env.run(&["retry", &failed]).exits(0).stdout;
    assert!(retried.contains("the running dato-mirror looks within a few seconds"), "{retried}");
    until("the retry", || env.find(&failed).is_some());
    until("the note of it", || status(&env)["mirrors"][0]["failed"] == 0);
    drop(daemon);
    assert_eq!(status(&env)["running"], Value::Null);
}
