//! What the service does with a file once it has it: its antivirus, and its CDN, which may serve other bytes.

use std::collections::BTreeSet;

use dato_mirror::model::Md5;
use dato_mirror::sandbox::Settings;
use serde_json::Value;

use crate::support::{TestEnv, bytes, fast, jobs, served};

fn md5(content: &str) -> String {
    Md5::of(content.as_bytes()).to_string()
}

fn puts(env: &TestEnv) -> usize {
    env.sandbox.count("PUT bucket")
}

fn with_manifest(settings: Settings, more: &str) -> TestEnv {
    let env = TestEnv::with(settings);
    env.config_with(&format!("manifest = \"assets.json\"\n{more}"));
    env
}

fn manifest(env: &TestEnv) -> BTreeSet<String> {
    let text = std::fs::read(env.home().join("assets.json")).unwrap();
    let all: serde_json::Map<String, Value> = serde_json::from_slice(&text).unwrap();
    all.keys().cloned().collect()
}

/// What `status` says: files on disk, mirrored, pending and failed. They add up.
fn counts(env: &TestEnv) -> [u64; 4] {
    let told: Value = serde_json::from_str(&env.run(&["status", "--format", "json"]).exits(0).stdout).unwrap();
    let mirror = &told["mirrors"][0];
    let counts = ["present", "mirrored", "pending", "failed"].map(|name| mirror[name].as_u64().unwrap());
    assert_eq!(counts[0], counts[1..].iter().sum::<u64>(), "{mirror:#}");
    assert_eq!(mirror["problems"].as_array().unwrap().len() as u64, counts[3], "{mirror:#}");
    counts
}

fn names(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn an_infected_file_is_reported_with_its_asset_and_never_sent_again() {
    for (by_field, infected_keep_md5, settings) in
        [(true, true, fast()), (false, true, jobs()), (true, false, jobs()), (false, false, fast())]
    {
        let infected = vec![md5("bad")];
        let env = with_manifest(Settings { by_field, infected_keep_md5, infected, ..settings }, "");
        env.write("bad.png", "bad");
        env.write("good.png", "good");
        let run = env.sync().exits(1);
        assert_eq!((run.count("created"), run.count("failed"), puts(&env)), (2, 1, 2), "{}", run.stdout);
        let asset = env.asset("bad.png");
        let told = run.problem("bad.png");
        assert!(told.contains("infected") && told.contains(&asset.id) && told.contains(&asset.url), "{told}");
        assert_eq!(manifest(&env), names(&["good.png"]));
        assert_eq!(counts(&env), [2, 1, 0, 1]);
        // At each run, and nothing is written.
        for index_is_lost in [false, true, false] {
            if index_is_lost {
                env.lose_index();
            }
            let run = env.sync().exits(1).did("failed 1");
            assert!(run.problem("bad.png").contains(&asset.id), "{}", run.stdout);
            assert!(env.mutating().is_empty(), "lost {index_is_lost}: {:#?}", env.mutating());
            assert!(env.sandbox.api_calls() <= 4, "{:#?}", env.sandbox.log());
            assert_eq!(manifest(&env), names(&["good.png"]));
            assert_eq!(counts(&env), [2, 1, 0, 1], "lost {index_is_lost}");
        }
        // Under another name and as a copy it is the same content.
        env.rename("bad.png", "sub/renamed.png");
        let run = env.sync().exits(1);
        assert_eq!((run.count("moved"), run.count("failed"), puts(&env)), (1, 1, 0), "{}", run.stdout);
        env.write("copy.png", "bad");
        let run = env.sync().exits(1);
        assert_eq!((run.count("created"), run.count("failed"), puts(&env)), (0, 2, 0), "{}", run.stdout);
        env.sync().exits(1).did("failed 2");
        assert!(env.mutating().is_empty());
        assert_eq!(counts(&env), [3, 1, 0, 2]);
        env.remove("copy.png");
        env.sync().exits(1);
        // A clean version is a file like any other.
        env.write("sub/renamed.png", "cleaned");
        let run = env.sync().exits(0).did("replaced 1");
        assert_eq!((run.count("failed"), puts(&env)), (0, 1));
        let after = env.asset("sub/renamed.png");
        assert_eq!((after.id, after.url, after.md5), (asset.id, asset.url, md5("cleaned")));
        assert_eq!(manifest(&env), names(&["good.png", "sub/renamed.png"]));
        env.assert_still().exits(0);
        assert_eq!(counts(&env), [2, 2, 0, 0]);
    }
}

#[test]
fn a_find_that_comes_later_is_told_at_the_next_refresh_without_a_call_that_is_not_needed() {
    for verdict_moves_updated_at in [false, true] {
        let settings = Settings { antivirus_waits: true, verdict_moves_updated_at, ..fast() };
        let env = with_manifest(settings, "");
        env.write("bad.png", "bad");
        env.write("good.png", "good");
        env.sync().exits(0).did("created 2");
        assert_eq!(manifest(&env), names(&["bad.png", "good.png"]));
        env.assert_still().exits(0);
        assert_eq!(env.sandbox.api_calls(), 2, "the look at changes shows what waits: {:#?}", env.sandbox.log());
        env.sandbox.set(|settings| settings.infected = vec![md5("bad")]);
        env.sandbox.scan(None).unwrap();
        let run = env.sync().exits(1).did("failed 1");
        assert!(run.problem("bad.png").contains("infected"), "{}", run.stdout);
        assert!(env.mutating().is_empty());
        assert_eq!(env.sandbox.api_calls(), 2, "{:#?}", env.sandbox.log());
        assert_eq!(manifest(&env), names(&["good.png"]));
        env.sync().exits(1).did("failed 1");
        assert_eq!(env.sandbox.api_calls(), 2);
    }
}

#[test]
fn a_find_in_an_asset_that_the_look_at_changes_does_not_show_costs_one_call() {
    let env = with_manifest(Settings { antivirus_waits: true, ..fast() }, "");
    env.write("bad.png", "bad");
    env.write("good.png", "good");
    env.sync().exits(0).did("created 2");
    // So many newer ones that ours are on no page that is read.
    for (hour, count) in [(1, 60), (2, 1)] {
        env.sandbox.set(|settings| settings.clock_offset_ms = hour * 3_600_000);
        env.sandbox.create_foreign_many(None, count).unwrap();
        env.sync().exits(0);
    }
    env.assert_still().exits(0);
    assert_eq!(env.sandbox.api_calls(), 3, "{:#?}", env.sandbox.log());
    env.sandbox.set(|settings| settings.infected = vec![md5("bad")]);
    env.sandbox.scan(None).unwrap();
    let run = env.sync().exits(1).did("failed 1");
    assert!(run.problem("bad.png").contains("infected"), "{}", run.stdout);
    assert_eq!(env.sandbox.api_calls(), 3, "{:#?}", env.sandbox.log());
    assert_eq!(manifest(&env), names(&["good.png"]));
    // What has its verdict is not asked for again.
    env.sync().exits(1);
    assert_eq!(env.sandbox.api_calls(), 2, "{:#?}", env.sandbox.log());
}

#[test]
fn infected_content_is_sent_for_no_other_path_until_its_asset_goes() {
    let env = TestEnv::with(Settings { infected: vec![md5("bad")], ..fast() });
    let foreign = env.sandbox.create_foreign(None, "theirs.png", b"bad").unwrap();
    env.write("mine.png", "bad");
    env.write("other.png", "other");
    let run = env.sync().exits(1);
    assert_eq!((run.count("created"), run.count("failed"), puts(&env)), (1, 1, 1), "{}", run.stdout);
    assert!(run.problem("mine.png").contains(&foreign), "{}", run.problem("mine.png"));
    // Nor in the place of what was there.
    env.write("other.png", "bad");
    let run = env.sync().exits(1).did("failed 2");
    assert!(run.problem("other.png").contains(&foreign), "{}", run.problem("other.png"));
    assert!(env.mutating().is_empty());
    for path in ["mine.png", "other.png"] {
        env.lose_index();
        env.config_with("duplicates = \"separate\"");
        assert!(env.sync().exits(1).problem(path).contains(&foreign));
        assert!(env.mutating().is_empty());
    }
    env.config_with("");
    env.sandbox.set(|settings| settings.infected.clear());
    env.sandbox.delete_asset(None, &foreign).unwrap();
    let run = env.sync().exits(0);
    assert!(puts(&env) >= 1, "{}", run.stdout);
    env.assert_still().exits(0);
}

#[test]
fn the_url_is_asked_for_the_original_and_a_refused_video_cannot_be_told() {
    let env = TestEnv::with(Settings { refuses_raw_videos: true, ..fast() });
    env.config_with("verify_live = true");
    let svg =
        |text: &str| format!("<svg xmlns='http://www.w3.org/2000/svg'><script>1</script><text>{text}</text></svg>");
    let write = |text: &str| {
        env.write("a.png", text);
        env.write("b.svg", svg(text));
        env.write("c.mp4", format!("video {text}"));
    };
    write("one");
    env.sync().exits(0).did("created 3");
    write("two");
    let run = env.sync().exits(0).did("replaced 3");
    let live = run.mirror()["live"].clone();
    let states: Vec<_> =
        live.as_array().unwrap().iter().map(|url| (url["path"].as_str(), url["state"].as_str())).collect();
    let expected = [("a.png", "live"), ("b.svg", "live"), ("c.mp4", "cannot_be_told")];
    assert_eq!(states, expected.map(|(path, state)| (Some(path), Some(state))), "{live}");
    assert!(live[0]["after_ms"].is_u64() && live[0]["url"].as_str().is_some_and(|url| !url.contains('?')), "{live}");
    assert!(live[2]["instead"].as_str().unwrap().contains("422"), "{live}");
    assert_eq!(run.count("api_requests") as usize, env.sandbox.api_calls());
    // What a visitor gets is something else, as long as the project is set so.
    let (png, picture) = (env.asset("a.png").url, env.asset("b.svg").url);
    assert_eq!((served(&png), served(&picture)), (b"two".to_vec(), svg("two").into_bytes()));
    write("three");
    let text = env.run(&["--sync-once"]).exits(0).stdout;
    assert!(text.contains("whether they are live cannot be told: c.mp4"), "{text}");
    env.sandbox.set(|settings| settings.refuses_raw_videos = false);
    env.write("c.mp4", bytes(1, 100));
    let run = env.sync().exits(0).did("replaced 1");
    assert_eq!(run.mirror()["live"][0]["state"], "live");
}
