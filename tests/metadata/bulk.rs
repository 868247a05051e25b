//! A change of rules over thousands of assets costs few calls.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use dato_mirror::model::{Md5, MirrorStamp, RelPath, STAMP_KEY, Stamp, UploadId};
use dato_mirror::sandbox::{Fault, FaultKind, Planted};
use serde_json::json;

use super::BY_FIELD;
use super::support::Env;

const COUNT: usize = 5000;

/// A folder of files that were mirrored long ago, each with a tag of the mirror's and one of an editor's.
fn mirrored(env: &Env) {
    let site = env.api("GET", "/site", &json!(null))["data"]["id"].as_str().unwrap().to_owned();
    let all = (0..COUNT).map(|number| {
        let path = format!("d{}/{number}.txt", number % 50);
        let content = format!("file {number}").into_bytes();
        env.write(&path, &content);
        let entry = MirrorStamp {
            paths: BTreeSet::from([path.clone()]),
            md5: Md5::of(&content).to_string(),
            made: true,
            tags: BTreeSet::from(["brand".to_owned()]),
            ..MirrorStamp::default()
        };
        let stamp = Stamp([("brand".to_owned(), entry)].into());
        Planted {
            id: UploadId::derived(&site, "brand", &RelPath::from_key(&path).unwrap(), 0).to_string(),
            filename: format!("{number}.txt"),
            content,
            tags: vec!["brand".into(), format!("editor {}", number % 10)],
            metadata: match BY_FIELD {
                true => json!({"custom_data": {"en": {STAMP_KEY: stamp.to_json()}}}),
                false => json!({"en": {"custom_data": {STAMP_KEY: stamp.to_json()}}}),
            },
        }
    });
    env.sandbox.plant(None, all.collect()).unwrap();
}

fn tagged(env: &Env, tag: &str) -> usize {
    env.sandbox.assets(None).iter().filter(|asset| asset.tags.iter().any(|one| one == tag)).count()
}

#[test]
fn five_thousand_assets_get_a_tag_with_few_calls_and_a_kill_costs_no_more() {
    let env = Env::new("tags = [\"brand\"]");
    mirrored(&env);
    let run = env.sync();
    assert_eq!((run.count("unchanged"), env.changes()), (COUNT as u64, 0), "{run:#?}");
    env.configure("tags = [\"brand\", \"new\"]");
    // Killed in the middle; jobs take a while, so some of what was begun is not known to have ended.
    env.sandbox.set(|settings| (settings.job_min_ms, settings.job_max_ms) = (200, 600));
    // And none goes on from there, however late the kill comes.
    let held =
        Fault { route: "POST /uploads/bulk/tag".into(), skip: 14, times: None, kind: FaultKind::Delay { ms: 600_000 } };
    env.sandbox.add_fault(held);
    let mut child = env.start("index.sqlite");
    let started = Instant::now();
    while env.sandbox.count("POST /uploads/bulk/tag") < 12 && started.elapsed() < Duration::from_secs(300) {
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    env.sandbox.clear_faults();
    let begun = env.changes();
    assert!((12..25).contains(&begun), "{begun}");
    let run = env.sync();
    assert!(run.count("retagged") > 0 && run.problems().is_empty(), "{run:#?}");
    assert_eq!(tagged(&env, "new"), COUNT);
    let changes = env.changes();
    eprintln!("calls: {} that change, {} in all; {begun} before the kill", changes, env.sandbox.api_calls());
    assert!(changes <= 30, "{changes}");
    for number in 0..10 {
        assert_eq!(tagged(&env, &format!("editor {number}")), COUNT / 10);
    }
    env.sandbox.clear_log();
    env.sync();
    assert_eq!(env.changes(), 0);
    // The rule goes again: what the mirror tagged is known to be its own, also what was under way at the kill.
    env.configure("tags = [\"brand\"]");
    let plan = env.run(&["--dry-run"]);
    assert_eq!(plan.report["plan"].as_array().unwrap().len(), COUNT);
}
