//! A file that comes back between the plan for its absence and the write that follows from it: nothing is deleted and
//! nothing tagged, also where it is one of several that the write is about.

use std::path::PathBuf;

use dato_mirror::sync::plan::edit::GONE_TAG;

use crate::support::{TestEnv, bytes};

/// A mirror with this policy for files that are gone.
fn with_policy(policy: &str) -> TestEnv {
    let mut env = TestEnv::new();
    env.set("DATO_MIRROR_ON_DELETE", policy);
    env.set("DATO_MIRROR_MAX_DELETE", "100%");
    env
}

/// Removes `gone`, runs, and puts `back` back right before the `nth` call of `route`.
fn comes_back(env: &TestEnv, gone: &[&str], back: &str, route: &str, nth: u64) {
    let path: PathBuf = env.home().join("brand").join(back);
    let content = std::fs::read(&path).unwrap();
    gone.iter().for_each(|key| env.remove(key));
    env.sandbox.clear_log();
    env.sandbox.before(route, nth, move |_| std::fs::write(&path, content).unwrap());
    env.sync();
    assert!(env.home().join("brand").join(back).exists(), "{route} never came: {:#?}", env.sandbox.log());
}

#[track_caller]
fn assert_only_tagged(env: &TestEnv, gone: &[&str]) {
    for asset in env.assets() {
        let tagged = asset.tags.iter().any(|tag| tag == GONE_TAG);
        assert_eq!(tagged, gone.contains(&asset.filename.as_str()), "{}: {:?}", asset.filename, asset.tags);
    }
}

#[test]
fn an_asset_whose_file_comes_back_before_the_write_is_not_tagged_as_gone() {
    let env = with_policy("tag");
    ["a.png", "b.png"].iter().zip(1..).for_each(|(name, seed)| env.write(name, bytes(seed, 500)));
    env.sync().exits(0).did("created 2");
    comes_back(&env, &["a.png"], "a.png", "GET /uploads/:id", 0);
    assert_only_tagged(&env, &[]);
    env.assert_still();
}

#[test]
fn of_many_that_are_tagged_in_one_call_the_one_whose_file_comes_back_is_not() {
    let env = with_policy("tag");
    let names = ["a.png", "b.png", "c.png", "d.png", "e.png"];
    names.iter().zip(1..).for_each(|(name, seed)| env.write(name, bytes(seed, 500)));
    env.sync().exits(0).did("created 5");
    // The first list is the pass's own, the second the last look.
    comes_back(&env, &names[..4], "b.png", "GET /uploads", 1);
    assert_eq!(env.sandbox.count("POST /uploads/bulk/tag"), 1);
    assert_only_tagged(&env, &["a.png", "c.png", "d.png"]);
    env.assert_still();
}

#[test]
fn an_asset_of_several_vanished_copies_is_not_deleted_when_any_of_them_comes_back() {
    for back in ["a.png", "b.png", "c.png"] {
        for (route, nth) in [("GET /site", 0), ("GET /uploads", 0), ("GET /uploads", 1)] {
            let env = with_policy("delete");
            ["a.png", "b.png", "c.png"].iter().for_each(|name| env.write(name, bytes(1, 500)));
            env.write("other.png", bytes(2, 500));
            env.sync().exits(0);
            let before: Vec<String> = env.assets().into_iter().map(|asset| asset.id).collect();
            assert_eq!(before.len(), 2);
            comes_back(&env, &["a.png", "b.png", "c.png"], back, route, nth);
            let now: Vec<String> = env.assets().into_iter().map(|asset| asset.id).collect();
            assert_eq!(before, now, "{back} was there again before {route} {nth}");
            assert_eq!(env.sandbox.count("DELETE /uploads/:id") + env.sandbox.count("POST /uploads/bulk/destroy"), 0);
            env.sync().exits(0);
            env.assert_still();
        }
    }
}

#[test]
fn an_asset_of_several_vanished_copies_is_not_tagged_when_any_of_them_comes_back() {
    for back in ["a.png", "b.png"] {
        let env = with_policy("tag");
        ["a.png", "b.png"].iter().for_each(|name| env.write(name, bytes(1, 500)));
        env.write("other.png", bytes(2, 500));
        env.sync().exits(0);
        comes_back(&env, &["a.png", "b.png"], back, "GET /uploads/:id", 0);
        assert_only_tagged(&env, &[]);
        env.sync().exits(0);
        env.assert_still();
    }
}

/// Between the last look and the effect of the call lies a round trip: what comes back in it is mirrored by the same run.
#[test]
fn a_file_that_comes_back_while_its_asset_is_deleted_or_tagged_is_mirrored_again_in_the_same_run() {
    let many = ["a.png", "b.png", "c.png", "d.png"];
    for (policy, gone, route) in [
        ("tag", &many[..1], "PUT /uploads/:id"),
        ("tag", &many, "POST /uploads/bulk/tag"),
        ("delete", &many[..1], "DELETE /uploads/:id"),
        ("delete", &many, "POST /uploads/bulk/destroy"),
    ] {
        let env = with_policy(policy);
        many.iter().zip(1..).for_each(|(name, seed)| env.write(name, bytes(seed, 500)));
        env.write("other.png", bytes(9, 500));
        env.sync().exits(0).did("created 5");
        comes_back(&env, gone, "a.png", route, 0);
        let asset = env.find("a.png").unwrap_or_else(|| panic!("{policy} {route}: a.png has no asset"));
        assert!(!asset.tags.iter().any(|tag| tag == GONE_TAG), "{policy} {route}: {:?}", asset.tags);
        env.assert_still();
    }
}

/// A file of which the configuration says that it is left out, or in whose place a folder lies, is not gone: what it
/// shares with a file that is gone stays as it is.
#[test]
fn an_asset_is_neither_deleted_nor_tagged_while_a_copy_is_left_out_or_became_a_folder() {
    for policy in ["delete", "tag"] {
        for how in ["left out", "a folder"] {
            let env = TestEnv::new();
            let configure =
                |more: &str| env.config_with(&format!("on_delete = \"{policy}\"\nmax_delete = 1000\n{more}"));
            configure("");
            ["a.png", "f/b.png"].iter().for_each(|name| env.write(name, bytes(1, 500)));
            env.write("other.png", bytes(2, 500));
            env.sync().exits(0);
            let before = env.assets();
            assert_eq!(before.len(), 2, "{before:#?}");
            env.remove("a.png");
            if how == "left out" {
                configure("exclude = [\"f/**\"]");
            } else {
                env.remove("f/b.png");
                std::fs::create_dir(env.root().join("f/b.png")).unwrap();
            }
            let run = env.sync();
            assert_eq!(run.code, 0, "{policy}: {how}: {run:#?}");
            let now: Vec<_> = env.assets().into_iter().map(|asset| (asset.id, asset.tags)).collect();
            let before: Vec<_> = before.into_iter().map(|asset| (asset.id, asset.tags)).collect();
            assert_eq!(before, now, "{policy}: {how}");
            env.assert_still();
        }
    }
}

/// What is left out is still in the folder: another file with its content shares its asset and does not take it over.
#[test]
fn a_new_file_does_not_take_over_the_asset_of_one_that_is_left_out() {
    for duplicates in ["share", "separate"] {
        let env = TestEnv::new();
        let configure = |more: &str| {
            env.config_with(&format!(
                "on_delete = \"delete\"\nmax_delete = 1000\non_rename = \"rename\"\nduplicates = \"{duplicates}\"\n{more}"
            ));
        };
        configure("");
        env.write("f/kept.png", bytes(1, 500));
        env.write("other.png", bytes(2, 500));
        env.sync().exits(0).did("created 2");
        let kept = env.asset("f/kept.png");
        configure("exclude = [\"f/**\"]");
        env.write("new.png", bytes(1, 500));
        env.sync().exits(0).did(if duplicates == "share" { "adopted 1" } else { "created 1" });
        env.remove("new.png");
        env.sync().exits(0);
        let now = env.assets().into_iter().find(|asset| asset.id == kept.id).unwrap();
        assert_eq!((&now.filename, &now.path), (&kept.filename, &kept.path), "{duplicates}");
        configure("");
        env.sync().exits(0).did(if duplicates == "share" { "retagged 1" } else { "" });
        assert_eq!(env.asset("f/kept.png").id, kept.id);
        env.assert_still();
    }
}
