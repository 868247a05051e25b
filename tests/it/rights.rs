//! Rights per collection and creator: what a token may not do concerns the files that it may not do it for.

use dato_mirror::sandbox::{FaultKind, Right, Settings};
use serde_json::json;

use crate::support::{TestEnv, bytes, fast};

fn right(action: &str, collection: Option<&str>) -> Right {
    Right { action: action.into(), collection: collection.map(str::to_owned), own: false }
}

fn restricted(settings: Settings) -> TestEnv {
    let mut env = TestEnv::with(settings);
    env.set("DATOCMS_API_TOKEN", "sandbox-restricted");
    env
}

#[test]
fn a_token_for_one_collection_mirrors_that_one_and_each_other_file_is_listed_with_the_missing_right() {
    for (requests_take_collection, permission_status) in [(true, 403), (false, 403), (true, 401)] {
        let env = restricted(Settings { requests_take_collection, permission_status, ..fast() });
        let allowed = env.sandbox.create_collection(None, "allowed").unwrap();
        env.sandbox.create_collection(None, "other").unwrap();
        env.sandbox.set(|settings| settings.rights = vec![right("read", None), right("all", Some(&allowed))]);
        env.config_with("collections = \"mirror\"");
        for number in 0..5 {
            env.write(format!("allowed/{number}.bin"), bytes(number, 100));
        }
        for number in 10..40 {
            env.write(format!("other/{number}.bin"), bytes(number, 100));
        }
        env.write("top.bin", "top");
        let run = env.sync().exits(1);
        assert_eq!((run.count("created"), run.count("failed")), (5, 31), "{}", run.stdout);
        let problem = run.problem("other/20.bin");
        assert!(problem.contains("\"create\"") && problem.contains("other"), "{problem}");
        assert!(run.problem("top.bin").contains("\"create\""));
        let asked = env.sandbox.count("POST /upload-requests");
        assert!(asked < 50, "{asked} upload requests for 5 files that may be sent");
        assert!(env.assets().iter().all(|asset| asset.collection.as_ref() == Some(&allowed)));
        // What it may do it goes on doing.
        env.write("allowed/0.bin", "changed");
        env.sync().exits(1).did("replaced 1, failed 31");
        env.sandbox.set(|settings| settings.rights = vec![right("all", None)]);
        env.sync().exits(0).did("created 31");
    }
}

#[test]
fn an_asset_that_may_not_be_changed_stops_no_other() {
    for bulk_refused_whole in [true, false] {
        let mut env = restricted(Settings { bulk_refused_whole, ..fast() });
        env.config_with("");
        env.set("DATOCMS_API_TOKEN", "sandbox");
        for number in 0..4 {
            env.write(format!("theirs-{number}.bin"), bytes(number, 100));
        }
        env.sync().exits(0).did("created 4");
        env.set("DATOCMS_API_TOKEN", "sandbox-restricted");
        let own = |action: &str| Right { own: true, ..right(action, None) };
        env.sandbox.set(|settings| settings.rights = vec![right("read", None), own("all")]);
        for number in 10..20 {
            env.write(format!("ours-{number}.bin"), bytes(number, 100));
        }
        env.sync().exits(0).did("created 10");
        env.config_with("tags = [\"new\"]\non_delete = \"delete\"\nmax_delete = \"100%\"");
        env.remove("theirs-0.bin");
        env.remove("ours-10.bin");
        env.write("theirs-1.bin", "changed");
        let run = env.sync().exits(1);
        let counts = ["retagged", "deleted", "replaced", "failed"].map(|name| run.count(name));
        assert_eq!(counts, [9, 1, 0, 4], "{}", run.stdout);
        for (path, right) in
            [("theirs-0.bin", "\"delete\""), ("theirs-1.bin", "\"replace_asset\""), ("theirs-2.bin", "\"update\"")]
        {
            assert!(run.problem(path).contains(right), "{path}: {}", run.problem(path));
        }
    }
}

#[test]
fn it_is_global_only_when_reading_is_refused_too() {
    let env = restricted(fast());
    env.write("a.bin", "a");
    env.sandbox.set(|settings| settings.rights = vec![right("create", None)]);
    let run = env.sync().exits(3);
    assert!(run.stderr.contains("may not do this"), "{}", run.stderr);
    env.sandbox.set(|settings| settings.rights = vec![right("read", None)]);
    env.sync().exits(1).did("failed 1");
}

#[test]
fn the_missing_right_is_the_one_that_the_service_names() {
    let env = restricted(fast());
    let [from, to] = ["from", "to"].map(|label| env.sandbox.create_collection(None, label).unwrap());
    env.config_with("collections = \"mirror\"");
    env.write("from/a.bin", "a");
    env.write("to/b.bin", "b");
    let mut rights = vec![right("read", None), right("create", None), right("collections", None)];
    env.sandbox.set(|settings| settings.rights = vec![right("all", None), right("collections", None)]);
    env.sync().exits(0).did("created 2");
    rights.extend(["update", "replace_asset", "move"].map(|action| right(action, Some(&to))));
    env.sandbox.set(|settings| settings.rights = rights.clone());
    env.remove("from/a.bin");
    env.write("to/a.bin", "a");
    let run = env.sync().exits(1);
    let problem = run.problem("to/a.bin");
    let refused = env.sandbox.log().iter().filter(|entry| entry.status == 403).count();
    assert!(refused > 0 && problem.contains("lacks the right \"update\""), "{problem}");
    // What it says helps.
    rights.extend(["update", "move"].map(|action| right(action, Some(&from))));
    env.sandbox.set(|settings| settings.rights = rights.clone());
    env.run(&["retry", "--root", env.root().to_str().unwrap()]).exits(0);
    env.sync().exits(0).did("moved 1");
}

#[test]
fn a_forbidden_word_of_the_api_that_nobody_knows_concerns_one_file() {
    let env = TestEnv::new();
    env.write("a.bin", "a");
    env.write("b.bin", "b");
    let kind = FaultKind::Status { status: 403, code: "NEW_CODE".into(), transient: false, details: json!({}) };
    env.sandbox.fault("POST /uploads", kind);
    env.sync().exits(1).did("created 1, failed 1");
}

#[test]
fn doctor_tells_partial_rights_by_collection() {
    let env = restricted(fast());
    let logos = env.sandbox.create_collection(None, "Logos").unwrap();
    env.sandbox.set(|settings| {
        settings.rights = vec![
            right("read", None),
            right("create", Some(&logos)),
            Right { own: true, ..right("update", None) },
            right("replace_asset", None),
        ];
    });
    env.config_with("");
    let told = env.run(&["doctor"]).stdout;
    let line = |name: &str| told.lines().find(|line| line.contains(name)).unwrap_or_default().to_owned();
    assert!(line("may create").contains("only in the collection Logos"), "{told}");
    assert!(line("may update").contains("only assets of its own"), "{told}");
}
