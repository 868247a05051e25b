//! Each command with no daemon running.

use serde_json::{Value, json};

use super::support::TestEnv;
use super::told;

/// A brand folder with a rule, an alias, a draft and a file that cannot be mirrored.
fn brand() -> TestEnv {
    let env = TestEnv::new();
    env.config_with(
        "exclude = [\"drafts/**\"]\ntags = [\"brand\", \"{dir}\"]\nauthor = \"Design team\"\n\
         [mirror.alt]\nen = \"{stem}\"\n[[mirror.rule]]\nmatch = \"logos/**\"\ntags = [\"logo\"]",
    );
    env.write("logos/logo.svg", "<svg xmlns='http://www.w3.org/2000/svg'/>");
    env.write("photo.jpg", "not really a photo");
    env.write("copies/photo.jpg", "not really a photo");
    env.write("drafts/wip.png", "draft");
    env.write("big.bin", "");
    let big = std::fs::OpenOptions::new().write(true).open(env.at("big.bin")).unwrap();
    // Sparse: a byte more than the service takes.
    big.set_len(1_000_000_001).unwrap();
    env
}

#[test]
fn before_the_first_run_each_command_says_what_is_missing() {
    let env = brand();
    let status = env.run(&["status"]).exits(2);
    assert!(status.stderr.contains("there is no index at") && status.stderr.contains("--sync-once"), "{status:#?}");
    let retry = env.run(&["retry"]).exits(2);
    assert!(retry.stderr.contains("there is no index at"), "{retry:#?}");
    let explain = env.run(&["explain", "photo.jpg"]).exits(0);
    assert!(explain.stdout.contains("nothing was mirrored with this configuration yet"), "{explain:#?}");
    env.run(&["ls"]).exits(0);
    assert!(!env.index().exists(), "a command that shows state makes none");
}

#[test]
fn status_tells_what_is_mirrored_and_what_failed() {
    let env = brand();
    env.sync().exits(1);
    insta::assert_snapshot!(told(&env, &env.run(&["status"]).exits(0)));
    let status: Value = serde_json::from_str(&env.run(&["status", "--format", "json"]).exits(0).stdout).unwrap();
    let mirror = &status["mirrors"][0];
    assert_eq!((&mirror["present"], &mirror["mirrored"], &status["running"]), (&json!(3), &json!(3), &Value::Null));
    assert_eq!(mirror["last_pass"]["changed"], 3);
}

#[test]
fn a_refused_file_is_listed_with_its_advice_and_goes_when_retried() {
    let env = TestEnv::new();
    env.config_with("");
    env.write("a/fine.png", "fine");
    env.write("a/bad.png", "bad");
    let refuse =
        r#"{"route": "POST /uploads", "times": 1, "kind": {"name": "status", "status": 422, "code": "INVALID_FIELD"}}"#;
    env.sandbox.add_fault(serde_json::from_str(refuse).unwrap());
    env.sync().exits(1);
    let status = env.run(&["status"]).exits(0).stdout;
    assert!(status.contains("1 failed") && status.contains("→") && status.contains("dato-mirror retry"), "{status}");
    let failed = if status.contains("a/bad.png") { "a/bad.png" } else { "a/fine.png" };
    let explained = env.run(&["explain", failed]).exits(0).stdout;
    assert!(explained.contains("problem") && explained.contains("next       create"), "{explained}");

    let nothing = env.run(&["retry", "photo.jpg"]).exits(0).stdout;
    assert_eq!(nothing, "photo.jpg: nothing failed here\n");
    let retried = env.run(&["retry", "brand/a"]).exits(0).stdout;
    insta::assert_snapshot!(retried);
    assert!(env.run(&["status"]).exits(0).stdout.contains("1 mirrored, 1 pending, 0 failed"));
    env.sync().exits(0).did("created 1");
    let outside = env.run(&["retry", "/nowhere/x.png"]).exits(2);
    assert!(outside.stderr.contains("not below the root"), "{outside:#?}");
}

#[test]
fn explain_tells_asset_origins_and_history() {
    let env = brand();
    env.sync().exits(1);
    insta::assert_snapshot!("explain_mirrored", told(&env, &env.run(&["explain", "brand/logos/logo.svg"]).exits(0)));
    insta::assert_snapshot!("explain_shared", told(&env, &env.run(&["explain", "copies/photo.jpg"]).exits(0)));
    insta::assert_snapshot!("explain_excluded", told(&env, &env.run(&["explain", "drafts/wip.png"]).exits(0)));
    insta::assert_snapshot!("explain_unknown", told(&env, &env.run(&["explain", "no/such.png"]).exits(2)));

    // What the editor typed, what changed since, and what is new: all without a call and without a change.
    let id = env.asset("logos/logo.svg").id;
    env.sandbox.edit_tags(None, &id, &["brand", "logo", "logos", "by-editor"]).unwrap();
    env.sync();
    env.write("logos/logo.svg", "<svg xmlns='http://www.w3.org/2000/svg'><g/></svg>");
    env.write("logos/logo.svg.meta.toml", "[alt]\nen = \"Our logo\"\n");
    env.write("new.png", "new");
    let before = std::fs::read(env.index()).unwrap();
    env.sandbox.clear_log();
    insta::assert_snapshot!("explain_changed", told(&env, &env.run(&["explain", "logos/logo.svg"]).exits(0)));
    insta::assert_snapshot!("explain_new", told(&env, &env.run(&["explain", "new.png"]).exits(0)));
    assert_eq!((env.sandbox.api_calls(), std::fs::read(env.index()).unwrap() == before), (0, true));
    let outside = env.run(&["explain", "/nowhere/x.png"]).exits(2);
    assert!(outside.stderr.contains("not below the root of a mirror"), "{outside:#?}");
    let json: Value =
        serde_json::from_str(&env.run(&["explain", "new.png", "--format", "json"]).exits(0).stdout).unwrap();
    assert_eq!((&json["action"], &json["asset"]), (&json!("create"), &Value::Null));
}

#[test]
fn ls_joins_the_media_area_with_the_folder() {
    let env = brand();
    env.sync().exits(1);
    env.sandbox.create_foreign(None, "by-editor.pdf", b"%PDF-1.4 by an editor").unwrap();
    let all = env.run(&["ls", "--order-by", "size_DESC"]).exits(0);
    insta::assert_snapshot!(told(&env, &all));
    let one = env.run(&["ls", "--tag", "logo", "--tag", "brand", "--format", "json"]).exits(0).stdout;
    let one: Value = serde_json::from_str(&one).unwrap();
    assert_eq!((&one["total"], &one["assets"][0]["filename"]), (&json!(1), &json!("logo.svg")));
    assert_eq!(one["assets"][0]["mirrored"], json!([{"mirror": "brand", "path": "logos/logo.svg", "by_stamp": false}]));
    let images = env.run(&["ls", "--type", "image"]).exits(0).stdout;
    assert!(images.contains("logo.svg") && !images.contains("by-editor.pdf"), "{images}");
    // Another machine: only the stamps tell.
    env.lose_index();
    assert!(env.run(&["ls"]).exits(0).stdout.contains("brand:logos/logo.svg (elsewhere)"));
}

#[test]
fn ls_pages_through_a_large_media_area_and_counts_its_calls() {
    let env = TestEnv::new();
    env.config_with("");
    env.write("a.png", "a");
    env.sync().exits(0);
    env.sandbox.create_foreign_many(None, 1_100).unwrap();
    let calls = || -> u64 {
        let status: Value = serde_json::from_str(&env.run(&["status", "--format", "json"]).stdout).unwrap();
        status["api"]["calls_this_month"].as_u64().unwrap()
    };
    let before = calls();
    let all: Value = serde_json::from_str(&env.run(&["ls", "--format", "json"]).exits(0).stdout).unwrap();
    assert_eq!(all["assets"].as_array().unwrap().len(), 1_101);
    assert_eq!(calls() - before, 3);
    assert!(env.run(&["ls"]).exits(0).stdout.ends_with("1101 assets, 1100 of them in no mirror\n"));
}

#[test]
fn doctor_is_content_with_a_healthy_set_up_and_names_what_is_not() {
    let mut env = brand();
    env.set("DATO_MIRROR_SETTLE", "");
    std::fs::remove_file(env.at("big.bin")).unwrap();
    env.sync().exits(0);
    let fine = env.run(&["doctor"]).exits(0);
    // These two differ from machine to machine.
    let kept = |text: String| {
        let own = |line: &&str| !line.contains("  disk  ") && !line.contains(": watch") && !line.contains("sound");
        text.lines().filter(own).map(|line| line.split(" on ").next().unwrap().to_owned() + "\n").collect::<String>()
    };
    insta::assert_snapshot!("doctor_fine", kept(told(&env, &fine)));
    assert!(fine.stdout.contains("sound") && fine.stdout.contains("watch"), "{fine:#?}");

    env.config_with("on_delete = \"delete\"\n[mirror.alt]\nde = \"x\"");
    env.set("DATOCMS_API_TOKEN", "sandbox-readonly");
    env.sandbox.set(|settings| settings.custom_storage = true);
    insta::assert_snapshot!("doctor_troubled", kept(told(&env, &env.run(&["doctor"]).exits(1))));

    env.set("DATOCMS_API_TOKEN", "tok3n-of-nobody");
    let refused = env.run(&["doctor"]).exits(3);
    assert!(refused.stdout.contains("FAIL") && !refused.stdout.contains("tok3n"), "{refused:#?}");
    env.set("DATOCMS_API_TOKEN", "sandbox");
    env.set("DATO_MIRROR_API_ENVIRONMENT", "sprnig");
    env.run(&["doctor"]).exits(3);
    env.set("DATO_MIRROR_API_ENVIRONMENT", "");
    env.sandbox.set(|settings| settings.custom_storage = false);
    env.config_with("");
    std::fs::rename(env.root(), env.home().join("away")).unwrap();
    let gone: Value = serde_json::from_str(&env.run(&["doctor", "--format", "json"]).exits(1).stdout).unwrap();
    let root = gone["checks"].as_array().unwrap().iter().find(|check| check["check"] == "mirror brand: root").unwrap();
    assert_eq!(root["level"], "fail");
    assert!(root["says"].as_str().unwrap().contains("is missing"), "{root}");
}
