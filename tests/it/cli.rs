//! The command line: exit codes, the report's names, dry runs, lists of files, and secrets.

use std::fs;

use dato_mirror::model::Md5;
use dato_mirror::sandbox::{Fault, FaultKind};
use dato_mirror::sync::timeouts::SyncTimeouts;
use serde_json::Value;
use tokio::net::TcpSocket;

use crate::support::{TestEnv, bytes, wait_until};

fn keys(value: &Value) -> Vec<&str> {
    let mut keys: Vec<_> = value.as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    keys
}

#[test]
fn exit_0_and_the_report_has_exactly_the_documented_names() {
    let env = TestEnv::new();
    env.write("a.png", "x");
    fs::write(env.home().join("outside"), "").unwrap();
    std::os::unix::fs::symlink(env.home().join("outside"), env.at("link")).unwrap();
    let report = env.sync().exits(0).report();
    assert_eq!(keys(&report), ["duration_ms", "mirrors"]);
    let mirror = &report["mirrors"][0];
    let mut names = vec![
        "name",
        "root",
        "scanned",
        "unchanged",
        "created",
        "adopted",
        "aliased",
        "moved",
        "replaced",
        "retagged",
        "deleted",
        "skipped",
        "failed",
        "problems",
        "api_requests",
        "bytes_uploaded",
    ];
    names.sort_unstable();
    assert_eq!(keys(mirror), names);
    assert_eq!(keys(&mirror["problems"][0]), ["action", "advice", "cause", "path"]);
    assert_eq!(
        (&mirror["name"], &mirror["bytes_uploaded"], &mirror["skipped"]),
        (&"brand".into(), &1.into(), &1.into())
    );
    assert_eq!(mirror["api_requests"], env.sandbox.api_calls());
    assert_eq!(mirror["root"], env.root().display().to_string());

    let report = env.sync_with(&["--dry-run"]).exits(0).report();
    names.push("plan");
    names.sort_unstable();
    assert_eq!(keys(&report["mirrors"][0]), names);
    assert_eq!(report["mirrors"][0]["plan"], Value::Array(Vec::new()), "files with nothing to do are left out");
    env.write("b.png", "y");
    let report = env.sync_with(&["--dry-run"]).exits(0).report();
    assert_eq!(keys(&report["mirrors"][0]["plan"][0]), ["action", "path", "why"]);
}

#[test]
fn exit_1_when_a_file_could_not_be_mirrored_and_the_others_are() {
    let env = TestEnv::new();
    for name in ["a.png", "b.png", "c.png"] {
        env.write(name, name);
    }
    let refusal =
        FaultKind::Status { status: 422, code: "INVALID_FIELD".into(), transient: false, details: Value::Null };
    env.sandbox.fault("POST /uploads", refusal);
    let run = env.sync().exits(1);
    assert_eq!((run.count("created"), run.count("failed"), env.assets().len()), (2, 1, 2), "{run:#?}");
    let problem = &run.mirror()["problems"][0];
    for key in ["path", "action", "cause", "advice"] {
        assert!(!problem[key].as_str().unwrap().is_empty(), "{problem}");
    }
    // The next run tries it again and has nothing else to do.
    env.sync().exits(0).did("created 1");
    env.assert_still().exits(0);
}

#[test]
fn exit_2_for_wrong_usage_and_configuration() {
    let mut env = TestEnv::new();
    env.write("a.png", "x");
    env.run(&["--no-such-flag"]).exits(2);
    env.run(&["--sync-once", "--format", "xml"]).exits(2);
    env.run(&["--sync-once", "status"]).exits(2);
    let run = env.run(&["--sync-once"]).exits(2);
    assert!(run.stderr.contains("no configuration file"), "{run:#?}");

    env.config("[[mirror]]\nname = \"brand\"\nroot = \"brand\"\nsetle = \"2s\"\n\n[api]\nrate_shar = 1\n");
    let run = env.run(&["--sync-once"]).exits(2);
    for part in ["dato-mirror.toml:4:1", "setle", "settle", "dato-mirror.toml:7:1", "rate_share"] {
        assert!(run.stderr.contains(part), "{part}: {}", run.stderr);
    }
    assert_eq!(run.stdout, "");
    fs::remove_file(env.home().join("dato-mirror.toml")).unwrap();

    env.set("DATO_MIRROR_ON_DELETE", "perhaps");
    let run = env.sync().exits(2);
    assert!(run.stderr.contains("DATO_MIRROR_ON_DELETE") && run.stderr.contains("keep"), "{run:#?}");
    env.set("DATO_MIRROR_ON_DELETE", "");

    env.set("DATOCMS_API_TOKEN", "");
    let run = env.sync().exits(2);
    assert!(run.stderr.contains("DATOCMS_API_TOKEN"), "{run:#?}");
    assert!(env.sandbox.log().is_empty(), "nothing was asked: {:#?}", env.sandbox.log());
    assert!(!env.index().exists());
}

#[test]
fn exit_3_when_the_api_refuses() {
    let mut env = TestEnv::new();
    env.write("a.png", "x");
    env.set("DATOCMS_API_TOKEN", "wrong-token-5up3r53cr3t");
    let run = env.sync().exits(3);
    assert!(run.stderr.to_lowercase().contains("token"), "{run:#?}");
    assert!(!format!("{run:?}").contains("5up3r53cr3t"));
    assert!(env.sandbox.api_calls() <= 2, "no use in asking again: {:#?}", env.sandbox.log());

    env.set("DATOCMS_API_TOKEN", "sandbox-readonly");
    // Reading is allowed: what may not be written concerns the file.
    let run = env.sync().exits(1);
    assert!(env.assets().is_empty());
    let all = format!("{}{}", run.stdout, run.stderr).to_lowercase();
    assert!(all.contains("permission") || all.contains("role"), "{run:#?}");
    assert!(env.sandbox.api_calls() <= 6, "{:#?}", env.sandbox.log());

    env.set("DATOCMS_API_TOKEN", "sandbox");
    env.set("DATO_MIRROR_API_ENVIRONMENT", "no-such");
    let run = env.sync().exits(3);
    assert!(run.stderr.contains("environment"), "{run:#?}");
    assert!(env.sandbox.api_calls() <= 4, "{:#?}", env.sandbox.log());

    // All is well again: nothing is left of the failures.
    env.set("DATO_MIRROR_API_ENVIRONMENT", "");
    env.sync().exits(0).did("created 1");
    env.assert_still().exits(0);
}

#[test]
fn exit_3_soon_when_nobody_answers() {
    let mut env = TestEnv::new();
    env.write("a.png", "x");
    // Bound and not listened on: whoever calls is refused, and nobody else can take the port meanwhile.
    let held = TcpSocket::new_v4().unwrap();
    held.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    env.set("DATO_MIRROR_API_BASE_URL", &format!("http://{}", held.local_addr().unwrap()));
    let run = env.sync().exits(3);
    // An API that was reached before is waited for longer than this.
    assert!(run.took < SyncTimeouts::default().outage, "{run:#?}");
    assert!(run.stderr.contains("base_url") && run.stderr.contains("refused"), "{run:#?}");
}

#[test]
fn exit_2_when_the_certificates_that_are_named_cannot_be_read() {
    let mut env = TestEnv::new();
    env.write("a.png", "x");
    env.set("SSL_CERT_FILE", &env.home().join("gone.pem").display().to_string());
    // The service here needs no certificate.
    let run = env.sync().exits(0);
    assert!(run.stderr.contains("gone.pem") && run.stderr.contains("does not exist"), "{run:#?}");
    env.set("DATO_MIRROR_API_BASE_URL", "https://127.0.0.1:1");
    let run = env.sync().exits(2);
    let named = run.stderr.contains("SSL_CERT_FILE") && run.stderr.contains("gone.pem");
    assert!(named && run.stderr.contains("does not exist"), "{run:#?}");
}

#[test]
fn exit_4_when_a_guard_stops_the_run() {
    let env = TestEnv::new();
    env.write("a.png", "x");
    env.sync().exits(0);
    // Empty, as when a share is not mounted.
    env.rename("a.png", "../a.png");
    let run = env.sync().exits(4);
    assert!(run.stderr.contains("guard") && run.stderr.contains("brand"), "{run:#?}");
    // Missing.
    fs::remove_dir(env.root()).unwrap();
    let run = env.sync().exits(4);
    assert!(run.stderr.contains("missing"), "{run:#?}");
    // A file.
    fs::write(env.root(), "x").unwrap();
    let run = env.sync().exits(4);
    assert!(run.stderr.contains("not a folder"), "{run:#?}");
    assert_eq!((env.assets().len(), env.mutating().len()), (1, 0));
    // Back again: nothing was forgotten.
    fs::remove_file(env.root()).unwrap();
    fs::create_dir(env.root()).unwrap();
    fs::rename(env.home().join("a.png"), env.at("a.png")).unwrap();
    env.assert_still().exits(0);
}

#[test]
fn exit_4_when_another_file_system_is_where_the_root_was() {
    let env = TestEnv::new();
    let Ok(memory) = tempfile::tempdir_in("/dev/shm") else {
        println!("skipped: there is no second file system at /dev/shm");
        return;
    };
    env.write("a.png", "x");
    fs::write(memory.path().join("other.png"), "other").unwrap();
    env.sync().exits(0);
    fs::rename(env.root(), env.home().join("away")).unwrap();
    std::os::unix::fs::symlink(memory.path(), env.root()).unwrap();
    let run = env.sync().exits(4);
    assert!(run.stderr.contains("--force"), "{run:#?}");
    assert_eq!(env.mutating().len(), 0);
    env.sync_with(&["--force"]).exits(0).did("created 1");
    env.assert_still().exits(0);
}

#[test]
fn exit_5_while_another_process_has_the_index() {
    let env = TestEnv::new();
    env.write("a.png", "x");
    // Held up until the others have been there, however slow they are.
    let slow = Fault { route: "PUT bucket".into(), skip: 0, times: None, kind: FaultKind::Delay { ms: 600_000 } };
    env.sandbox.add_fault(slow);
    let first = env.start(&["--root", "brand", "--sync-once", "--format", "json"], b"");
    wait_until("the first run is at work", || env.sandbox.count("PUT bucket") > 0);
    let second = env.sync().exits(5);
    assert!(second.stderr.contains("index"), "{second:#?}");
    assert_eq!(env.sandbox.api_calls(), 0, "{:#?}", env.sandbox.log());
    // A dry run needs no index of its own.
    env.run(&["--root", "brand", "--dry-run"]).exits(0);
    env.sandbox.clear_faults();
    first.end().exits(0).did("created 1");
    env.assert_still().exits(0);
}

/// Every file of the index: name, digest, mtime.
fn state(env: &TestEnv) -> Vec<(String, Md5, std::time::SystemTime)> {
    let Ok(entries) = fs::read_dir(env.index().parent().unwrap()) else { return Vec::new() };
    let mut all: Vec<_> = entries
        .map(|entry| {
            let path = entry.unwrap().path();
            let modified = fs::metadata(&path).unwrap().modified().unwrap();
            (path.display().to_string(), Md5::of(&fs::read(&path).unwrap()), modified)
        })
        .collect();
    all.sort();
    all
}

#[test]
fn a_dry_run_changes_nothing_here_or_there_and_shows_what_a_run_does() {
    let env = TestEnv::new();
    for name in ["a.png", "b.png", "c.png", "d.png"] {
        env.write(name, format!("content of {name}"));
    }
    let planned = env.sync_with(&["--dry-run"]).exits(0);
    let plan = planned.plan();
    assert_eq!(plan.iter().filter(|(action, _)| action == "create").count(), 4, "{plan:?}");
    assert_eq!((env.mutating().len(), state(&env).len()), (0, 0), "not even an index is made");

    env.sync().exits(0).did("created 4");
    env.write("a.png", "changed");
    env.rename("b.png", "moved.png");
    env.write("copy.png", "content of c.png");
    env.write("new.png", "new");
    env.remove("d.png");
    let before = (state(&env), env.assets());
    let plan = env.sync_with(&["--dry-run"]).exits(0).plan();
    assert_eq!((state(&env), env.assets()), before);
    assert_eq!(env.mutating().len(), 0);
    let expected = [("alias", "copy.png"), ("create", "new.png"), ("move", "moved.png"), ("replace", "a.png")];
    assert_eq!(plan, expected.map(|(action, path)| (action.to_owned(), path.to_owned())));
    env.sync().exits(0).did("created 1, aliased 1, moved 1, replaced 1");
    assert!(env.sync_with(&["--dry-run"]).plan().is_empty());
}

#[test]
fn files_from_mirrors_only_what_is_named() {
    let env = TestEnv::new();
    for name in ["a.png", "sub/b.png", "sub/c.png", "d e.png"] {
        env.write(name, name);
    }
    let list = env.home().join("list");
    fs::write(&list, "a.png\nsub\n").unwrap();
    let run = env.sync_with(&["--files-from", "list"]).exits(0).did("created 3");
    assert_eq!(run.count("scanned"), 3);
    assert!(env.find("d e.png").is_none());

    let args = ["--root", "brand", "--sync-once", "--format", "json", "--files-from", "-"];
    env.run_with_input(&args, b"brand/d e.png\0").exits(0).did("created 1");
    env.write("a.png", "changed");
    env.write("sub/b.png", "changed too");
    env.run_with_input(&args, format!("{}\n", env.at("a.png").display()).as_bytes()).exits(0).did("replaced 1");
    assert_eq!(env.content(&env.asset("sub/b.png").id), b"sub/b.png");
    // What is named and gone is looked at like any vanished file; nothing else is taken for gone.
    env.remove("a.png");
    env.run_with_input(&args, b"a.png\nnever-there.png\n").exits(0);
    assert_eq!(env.assets().len(), 4);
    env.sync().exits(0).did("replaced 1");
    env.assert_still();

    env.run_with_input(&args, b"/etc/passwd\n").exits(2);
    env.run_with_input(&args, b"../list\n").exits(2);
    env.sync_with(&["--files-from", "no-such-list"]).exits(2);
    let run = env.run_with_input(&args, b"").exits(0).did("");
    assert_eq!(run.count("scanned"), 0, "an empty list names nothing, not everything");
}

#[test]
fn files_from_is_enough_in_ci_where_there_is_no_index() {
    let env = TestEnv::new();
    for number in 0..20 {
        env.write(format!("{number}.png"), bytes(number, 500));
    }
    env.sync().exits(0).did("created 20");
    env.lose_index();
    env.write("7.png", "changed");
    let args = ["--root", "brand", "--sync-once", "--format", "json", "--files-from", "-"];
    env.sandbox.clear_log();
    env.run_with_input(&args, b"7.png\n").exits(0).did("replaced 1");
    assert_eq!((env.assets().len(), env.sandbox.count("PUT bucket")), (20, 1));
}

#[test]
fn an_unknown_mirror_is_named_with_the_known_ones() {
    let env = TestEnv::new();
    env.config_with("");
    env.write("a.png", "x");
    let run = env.run(&["--sync-once", "--mirror", "brant"]).exits(2);
    assert!(run.stderr.contains("brant") && run.stderr.contains("brand"), "{run:#?}");
    env.run(&["--sync-once", "--mirror", "brand"]).exits(0);
}

#[test]
fn the_report_comes_in_markdown_and_in_text() {
    let env = TestEnv::new();
    env.write("a|b.png", "x");
    fs::write(env.home().join("outside"), "").unwrap();
    std::os::unix::fs::symlink(env.home().join("outside"), env.at("link|out")).unwrap();
    let run = env.run(&["--root", "brand", "--dry-run", "--format", "markdown"]).exits(0);
    assert!(run.stdout.contains("| new asset: ") && run.stdout.contains("a\\|b.png"), "{}", run.stdout);
    let run = env.run(&["--root", "brand", "--sync-once", "--format", "markdown"]).exits(0);
    assert!(run.stdout.contains("1 created") && run.stdout.contains("link\\|out"), "{}", run.stdout);
    let run = env.run(&["--root", "brand", "--sync-once"]).exits(0);
    assert!(run.stdout.contains("brand") && !run.stdout.contains('{'), "{}", run.stdout);
}

#[test]
fn logs_go_to_stderr_and_are_json_when_asked() {
    let env = TestEnv::new();
    env.write("a.png", "x");
    let run = env.sync_with(&["--log-format", "json", "-vv"]).exits(0);
    run.report();
    assert!(run.stderr.lines().count() > 3);
    let mut calls = 0;
    for line in run.stderr.lines() {
        let line = serde_json::from_str::<Value>(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        calls += u64::from(line["message"] == "called the API" && line["ms"].is_u64() && line["request"] != "");
    }
    assert_eq!(calls, run.count("api_requests"), "each call has its line");
    assert_eq!(env.sync_with(&["-q"]).exits(0).stderr, "");
}

#[test]
fn the_token_and_presigned_urls_are_nowhere() {
    let mut env = TestEnv::new();
    let token_file = env.home().join("token");
    for name in ["a.png", "b.png", "c.png"] {
        env.write(name, name);
    }
    let kinds = [FaultKind::EarlyForbidden, FaultKind::ResetMidBody, FaultKind::SlowDown, FaultKind::WrongEtag];
    for kind in kinds {
        env.sandbox.fault("PUT bucket", kind);
    }
    env.sandbox.add_fault(Fault {
        route: "PUT bucket".into(),
        skip: 8,
        times: Some(40),
        kind: FaultKind::EarlyForbidden,
    });
    env.sandbox.fault("POST /uploads", FaultKind::HtmlReply { status: 502 });
    env.sandbox.fault("POST /upload-requests", FaultKind::Garbage);
    fs::write(&token_file, "sandbox\n").unwrap();
    let mut all = String::new();
    for round in 0..3 {
        if round == 1 {
            env.sandbox.clear_faults();
            env.set("DATOCMS_API_TOKEN", "");
            env.set("DATO_MIRROR_API_TOKEN_FILE", &token_file.display().to_string());
            env.write("b.png", "changed");
        }
        let run = env.sync_with(&["-vv"]);
        all.push_str(&run.stdout);
        all.push_str(&run.stderr);
    }
    assert!(!all.contains("sandbox"), "the token is told: {all}");
    for entry in fs::read_dir(env.index().parent().unwrap()).unwrap() {
        all.push_str(&String::from_utf8_lossy(&fs::read(entry.unwrap().path()).unwrap()));
    }
    assert_eq!(env.assets().len(), 3);
    for secret in ["X-Amz", "x-amz-signature", "Signature=", "Bearer"] {
        let found = all.find(secret).map(|at| all[at.saturating_sub(100)..].chars().take(300).collect::<String>());
        assert_eq!(found, None, "{secret} is told");
    }
}
