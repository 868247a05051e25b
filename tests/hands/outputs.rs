//! What a run leaves behind for others: the manifest, the report, what `verify_live` saw.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::support::TestEnv;
use super::told;

fn manifest(env: &TestEnv) -> BTreeMap<String, Value> {
    serde_json::from_slice(&std::fs::read(env.root().join("build/assets.json")).unwrap()).unwrap()
}

#[test]
fn the_manifest_follows_every_change_and_is_not_mirrored_itself() {
    let env = TestEnv::new();
    env.config_with("manifest = \"brand/build/assets.json\"\nmanifest_types = true\n[mirror.alt]\nen = \"{stem}\"");
    std::fs::create_dir_all(env.at("build")).unwrap();
    env.write("logos/a.svg", "a");
    env.write("b.png", "b");
    env.sync().exits(0).did("created 2");
    let first = manifest(&env);
    assert_eq!(first.keys().collect::<Vec<_>>(), ["b.png", "logos/a.svg"]);
    let asset = env.asset("logos/a.svg");
    assert_eq!(first["logos/a.svg"]["id"], json!(asset.id));
    assert_eq!(first["logos/a.svg"]["alt"], json!({"en": "a"}));
    assert!(first["logos/a.svg"]["url"].as_str().unwrap().starts_with(&env.sandbox.base_url()));
    let types = std::fs::read_to_string(env.at("build/assets.d.ts")).unwrap();
    assert!(types.contains("\"logos/a.svg\""), "{types}");

    let written = |name: &str| std::fs::metadata(env.at(name)).unwrap().modified().unwrap();
    let before = written("build/assets.json");
    env.sync().exits(0).did("");
    assert_eq!(written("build/assets.json"), before, "nothing changed, so nothing is written");
    env.write("b.png", "b, changed");
    env.sync().exits(0).did("replaced 1");
    assert_ne!(manifest(&env)["b.png"]["md5"], first["b.png"]["md5"]);
    assert_eq!(manifest(&env)["b.png"]["url"], first["b.png"]["url"]);
    env.remove("b.png");
    env.sync().exits(0);
    assert_eq!(manifest(&env).len(), 1);
    std::fs::remove_file(env.at("build/assets.json")).unwrap();
    env.sync_with(&["--dry-run"]).exits(0);
    assert!(!env.at("build/assets.json").exists(), "a dry run writes nothing");
    env.sync().exits(0).did("");
    assert_eq!(manifest(&env).len(), 1);
}

#[test]
fn a_manifest_that_cannot_be_written_is_told_and_stops_nothing_else() {
    let env = TestEnv::new();
    env.config_with("manifest = \"nowhere/assets.json\"");
    env.write("a.png", "a");
    let run = env.sync().exits(1).did("created 1");
    assert!(run.problem("").contains("nowhere/assets.json"), "{run:#?}");
}

#[test]
fn replaced_urls_are_followed_and_the_report_says_so() {
    let env = TestEnv::new();
    env.config_with("verify_live = true");
    env.write("a.png", "a");
    let first = env.sync().exits(0).did("created 1");
    assert_eq!(first.mirror()["live"], Value::Null, "a new URL has no old bytes");
    env.write("a.png", "changed");
    let calls = env.sync().exits(0).did("replaced 1");
    let live = &calls.mirror()["live"][0];
    assert_eq!(live["path"], "a.png");
    assert!(live["after_ms"].is_u64(), "{live}");
    assert_eq!(calls.count("api_requests") as usize, env.sandbox.api_calls(), "looking at a URL is no API call");
    env.write("a.png", "changed again");
    let text = env.run(&["--sync-once"]).exits(0).stdout;
    assert!(text.contains("live: 1 replaced URL serves the new bytes"), "{text}");
}

#[test]
fn the_plan_is_a_table_for_people_and_for_pull_requests() {
    let env = TestEnv::new();
    env.config_with("");
    env.write("a.png", "a");
    env.sync().exits(0);
    env.write("a.png", "changed");
    env.write("odd | `name` <b>.png", "odd");
    env.write("copy.png", "odd");
    insta::assert_snapshot!("plan_text", told(&env, &env.run(&["--dry-run"]).exits(0)));
    insta::assert_snapshot!("plan_markdown", told(&env, &env.run(&["--dry-run", "--format", "markdown"]).exits(0)));
    let report = env.home().join("report.json");
    env.run(&["--dry-run", "--format", "markdown", "--report", &report.display().to_string()]).exits(0);
    let report: Value = serde_json::from_slice(&std::fs::read(report).unwrap()).unwrap();
    assert_eq!(report["mirrors"][0]["plan"].as_array().unwrap().len(), 3);
    let beside = env.run(&["status", "--report", "x"]).exits(2);
    assert!(beside.stderr.contains("--report"), "{beside:#?}");
}

#[test]
fn off_a_terminal_there_is_no_bar() {
    let env = TestEnv::new();
    env.config_with("");
    env.write("a.png", "a");
    let run = env.run(&["--sync-once"]).exits(0);
    assert!(!run.stderr.contains('\r') && !run.stderr.contains('\u{1b}'), "{run:#?}");
    assert!(!run.stdout.contains('\u{1b}'), "{run:#?}");
}
