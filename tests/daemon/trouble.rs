//! The API in trouble, editors at work, files that cannot be mirrored, several mirrors.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::thread;
use std::time::{Duration, Instant};

use dato_mirror::sandbox::{Fault, FaultKind, Right};

use crate::process::{Daemon, configure, digest, wait_mirrored};
use crate::support::{TestEnv, slowness};

/// What a limit of so many in so many seconds allows in a time that a busy machine may have made longer.
fn per(limit: usize, seconds: u64, took: Duration) -> usize {
    limit * usize::try_from(took.as_secs() / seconds + 1).unwrap()
}

fn status(status: u16, code: &str) -> FaultKind {
    FaultKind::Status { status, code: code.into(), transient: false, details: serde_json::Value::Null }
}

#[test]
fn an_api_that_is_down_for_a_while_is_one_warning_one_recovery_and_nothing_lost() {
    let env = TestEnv::new();
    env.write("first.png", "x");
    configure(&env, "");
    let daemon = Daemon::ready(&env);
    env.sandbox.clear_log();
    env.sandbox.set(|settings| settings.down = true);
    env.write("second.png", "y");
    daemon.wait_line("the API is in trouble");
    daemon.wait("it shows", || daemon.mirror()["phase"]["name"] == "waiting");
    let (before, _) = daemon.used();
    env.sandbox.clear_log();
    let down = Instant::now();
    env.write("third.png", "z");
    thread::sleep(Duration::from_secs(10));
    env.remove("third.png");
    env.write("fourth.png", "4");
    let (now, _) = daemon.used();
    let calls = env.sandbox.api_calls();
    let took = down.elapsed();
    println!("down for {took:?}: {calls} calls, {:.2} s of a core", now - before);
    assert!(calls < per(40, 10, took), "{calls} calls in {took:?}");
    assert!(now - before < took.as_secs_f64() * 0.2, "a busy loop: {} s of a core in {took:?}", now - before);
    assert_eq!(daemon.get("/healthz").0, 200);
    assert!(daemon.status()["api"]["down_since"].is_string(), "{}", daemon.status()["api"]);
    env.sandbox.set(|settings| settings.down = false);
    wait_mirrored(&daemon, &env, &[("second.png".into(), digest("y")), ("fourth.png".into(), digest("4"))]);
    daemon.wait_line("the API answers again");
    daemon.wait_idle();
    assert_eq!(env.assets().len(), 3);
    assert_eq!(daemon.lines("the API is in trouble").len(), 1, "{:#?}", daemon.log());
    assert_eq!(daemon.lines("the API answers again").len(), 1, "{:#?}", daemon.log());
    daemon.stop();
}

#[test]
fn an_api_that_is_down_at_the_start_is_waited_for_and_readiness_still_comes() {
    let env = TestEnv::new();
    env.write("first.png", "x");
    configure(&env, "");
    // The first scan is through, the first pass meets the trouble.
    env.sandbox.add_fault(Fault {
        route: "GET /uploads".into(),
        skip: 0,
        times: Some(6),
        kind: FaultKind::Html { status: 502 },
    });
    let daemon = Daemon::start(&env, &[]);
    daemon.wait_ready();
    wait_mirrored(&daemon, &env, &[("first.png".into(), digest("x"))]);
    daemon.stop();
}

#[test]
fn an_api_that_refuses_writes_only_is_tried_ever_more_rarely() {
    let env = TestEnv::new();
    env.write("first.png", "x");
    configure(&env, "");
    let daemon = Daemon::ready(&env);
    env.sandbox.set(|settings| settings.maintenance = true);
    env.sandbox.clear_log();
    env.write("second.png", "y");
    let began = Instant::now();
    daemon.wait_line("the API is in trouble");
    thread::sleep(Duration::from_secs(12));
    let tries = env.sandbox.count("POST /upload-requests") + env.sandbox.count("POST /uploads");
    let (calls, took) = (env.sandbox.api_calls(), began.elapsed());
    println!("maintenance for {took:?}: {tries} tries, {calls} calls");
    assert!(calls < per(60, 12, took), "{calls} calls in {took:?}");
    assert!(daemon.lines("the API answers again").is_empty(), "reads alone are no recovery: {:#?}", daemon.log());
    env.sandbox.set(|settings| settings.maintenance = false);
    wait_mirrored(&daemon, &env, &[("second.png".into(), digest("y"))]);
    daemon.wait_line("the API answers again");
    assert_eq!(daemon.lines("the API is in trouble").len(), 1, "{:#?}", daemon.log());
    daemon.stop();
}

#[test]
fn a_login_page_in_the_apis_place_is_waited_out_and_ends_nothing() {
    for (status, text) in [(401, "<html>Please log in</html>"), (407, ""), (451, "Unavailable")] {
        let env = TestEnv::new();
        env.write("first.png", "x");
        configure(&env, "");
        let daemon = Daemon::ready(&env);
        let kind = FaultKind::Body { status, content_type: "text/html".into(), text: text.into() };
        env.sandbox.add_fault(Fault { route: "* *".into(), skip: 0, times: None, kind });
        env.write("second.png", "y");
        daemon.wait_line("the API is in trouble: something between us and the API answers");
        env.sandbox.clear_faults();
        wait_mirrored(&daemon, &env, &[("second.png".into(), digest("y"))]);
        daemon.wait_line("the API answers again");
        assert_eq!(daemon.lines("the API is in trouble").len(), 1, "{:#?}", daemon.log());
        daemon.stop();
    }
}

/// Before the first contact it is as well told what is wrong as after it.
#[test]
fn what_answers_in_the_apis_place_at_the_start_is_named() {
    let env = TestEnv::new();
    env.write("first.png", "x");
    configure(&env, "");
    let kind = FaultKind::Body { status: 407, content_type: "text/html".into(), text: "<html>Log in</html>".into() };
    env.sandbox.add_fault(Fault { route: "* *".into(), skip: 0, times: None, kind });
    let daemon = Daemon::start(&env, &[]);
    daemon.wait_line("the API is in trouble: something between us and the API answers");
    daemon.wait("it shows", || daemon.mirror()["phase"].to_string().contains("something between us"));
    env.sandbox.clear_faults();
    daemon.wait_line("the API answers again");
    wait_mirrored(&daemon, &env, &[("first.png".into(), digest("x"))]);
    assert_eq!(daemon.lines("the API is in trouble").len(), 1, "{:#?}", daemon.log());
    daemon.stop();
}

#[test]
fn a_token_revoked_while_it_runs_ends_it_with_3() {
    let env = TestEnv::new();
    env.write("first.png", "x");
    configure(&env, "");
    let daemon = Daemon::ready(&env);
    env.sandbox.add_fault(Fault {
        route: "* *".into(),
        skip: 0,
        times: None,
        kind: status(401, "INVALID_AUTHORIZATION_HEADER"),
    });
    env.write("second.png", "y");
    let (code, _, log) = daemon.end();
    assert_eq!(code, 3, "{log:#?}");
    assert!(log.last().is_some_and(|line| line.contains("token")), "{log:#?}");
}

#[test]
fn what_editors_did_is_found_at_the_next_look_with_few_calls() {
    let env = TestEnv::new();
    for number in 0..5 {
        env.write(format!("{number}.png"), number.to_string());
    }
    configure(&env, "tags = [\"ours\"]\nremote_refresh = \"2s\"\non_remote_delete = \"recreate\"");
    let daemon = Daemon::ready(&env);
    daemon.wait_idle();
    // Typed by an editor: it stays.
    env.sandbox.edit_tags(None, &env.asset("0.png").id, &["ours", "theirs"]).unwrap();
    env.sandbox.replace_content(None, &env.asset("1.png").id, b"by an editor").unwrap();
    env.sandbox.delete_asset(None, &env.asset("2.png").id).unwrap();
    daemon.wait("the replacement is reported", || {
        daemon.mirror()["problems"].as_array().is_some_and(|all| all.iter().any(|problem| problem["path"] == "1.png"))
    });
    daemon.wait("recreated", || env.find("2.png").is_some());
    daemon.wait_idle();
    assert_eq!(env.content(&env.asset("1.png").id), b"by an editor");
    assert_eq!(env.asset("0.png").tags, ["ours", "theirs"]);
    // From then on a look costs one call.
    let began = Instant::now();
    env.sandbox.clear_log();
    daemon.wait("two looks", || env.sandbox.api_calls() >= 2);
    thread::sleep(Duration::from_secs(2));
    assert!(env.mutating().is_empty(), "{:#?}", env.mutating());
    let (calls, took) = (env.sandbox.api_calls(), began.elapsed());
    // Nine tenths of two seconds from one to the next at least, and the first may come at once.
    assert!(calls <= per(1, 1, took) / 2 + 2, "{calls} calls in {took:?}: {:#?}", env.sandbox.log());
    assert_eq!(daemon.lines("1.png").len(), 1, "said once: {:#?}", daemon.log());
    daemon.stop();
}

#[test]
fn what_failed_is_tried_again_by_itself_and_by_retry() {
    let env = TestEnv::new();
    env.write("first.png", "x");
    configure(&env, "");
    let daemon = Daemon::ready(&env);
    // A bucket that is slow for longer than a pass is patient: tried again ten seconds later.
    env.sandbox.add_fault(Fault { route: "PUT bucket".into(), skip: 0, times: Some(4), kind: FaultKind::SlowDown });
    env.write("second.png", "y");
    daemon.wait_line("not mirrored");
    daemon.wait("it shows", || daemon.mirror()["failed"] == 1);
    wait_mirrored(&daemon, &env, &[("second.png".into(), digest("y"))]);
    // By the media area's clock: a busy machine may see the end of it late.
    let puts: Vec<i64> =
        env.sandbox.log().iter().filter(|entry| entry.is("PUT bucket")).map(|entry| entry.at_ms).collect();
    let pause = puts[puts.len() - 1] - puts[puts.len() - 2];
    assert!((8_000..20_000 * i64::from(slowness(&env))).contains(&pause), "{pause} ms: {puts:?}");
    daemon.wait("well", || daemon.mirror()["failed"] == 0);
    // One that does not: only a person tells when. This is what `retry` writes.
    env.sandbox.fault("POST /uploads", FaultKind::JobFails { status: 422, code: "VALIDATION_INVALID".into() });
    env.write("third.png", "z");
    daemon.wait("failed", || daemon.mirror()["failed"] == 1);
    let index = rusqlite::Connection::open(env.index()).unwrap();
    index.busy_timeout(Duration::from_secs(300)).unwrap();
    index.execute("UPDATE file SET retry_at = NULL WHERE problem IS NOT NULL", []).unwrap();
    wait_mirrored(&daemon, &env, &[("third.png".into(), digest("z"))]);
    daemon.stop();
}

/// The daemon remembers a refused right for minutes.
#[test]
fn a_right_that_was_given_is_asked_for_again_by_retry_at_once() {
    let mut env = TestEnv::new();
    env.set("DATOCMS_API_TOKEN", "sandbox-restricted");
    let right = |action: &str| Right { action: action.into(), collection: None, own: false };
    env.sandbox.set(|settings| settings.rights = vec![right("read")]);
    env.write("first.png", "x");
    configure(&env, "");
    let daemon = Daemon::ready(&env);
    daemon.wait_for("refused", Duration::from_secs(120), || daemon.mirror()["failed"] == 1);
    env.sandbox.set(|settings| settings.rights = vec![right("all")]);
    env.run(&["retry"]).exits(0);
    daemon.wait_for("made", Duration::from_secs(120), || env.find("first.png").is_some());
    daemon.wait("well", || daemon.mirror()["failed"] == 0);
    daemon.stop();
}

/// A clock that was a year ahead when the file failed, and is right again.
#[test]
fn a_retry_time_stored_under_a_wrong_clock_is_neither_waited_for_nor_told() {
    let env = TestEnv::new();
    env.write("first.png", "x");
    env.write("second.png", "y");
    configure(&env, "");
    env.sandbox.fault("POST /uploads", FaultKind::JobFails { status: 422, code: "VALIDATION_INVALID".into() });
    env.sync().exits(1);
    let index = rusqlite::Connection::open(env.index()).unwrap();
    let year = "unixepoch('now', '+364 days') * 1000";
    let set = format!("UPDATE file SET retry_at = {year} WHERE problem IS NOT NULL");
    assert_eq!(index.execute(&set, []).unwrap(), 1);
    let status = env.run(&["status"]);
    assert!(status.stdout.contains("tried again at the next pass"), "{status:#?}");
    let daemon = Daemon::start(&env, &[]);
    wait_mirrored(&daemon, &env, &[("first.png".into(), digest("x")), ("second.png".into(), digest("y"))]);
    daemon.stop();
}

/// The service does not take an uploaded file: it is said that it is uploaded again, and it is.
#[test]
fn a_refused_upload_is_made_again_as_it_is_told() {
    let env = TestEnv::new();
    env.write("first.png", "x");
    configure(&env, "");
    let daemon = Daemon::ready(&env);
    let details = serde_json::json!({"field": "path", "code": "INVALID_FORMAT"});
    env.sandbox.fault(
        "POST /uploads",
        FaultKind::Status { status: 422, code: "INVALID_FIELD".into(), transient: false, details },
    );
    env.write("second.png", "y");
    daemon.wait_line("it is uploaded again");
    wait_mirrored(&daemon, &env, &[("second.png".into(), digest("y"))]);
    daemon.stop();
}

#[test]
fn a_file_that_cannot_be_read_is_said_once_listed_and_mirrored_when_it_can() {
    let env = TestEnv::new();
    env.write("first.png", "x");
    let fifo = env.at("pipe.png");
    std::process::Command::new("mkfifo").arg(&fifo).status().unwrap();
    let huge = fs::File::create(env.at("huge.mp4")).unwrap();
    huge.set_len(1_000_000_001).unwrap();
    configure(&env, "watch = \"poll\"\npoll_interval = \"300ms\"");
    let daemon = Daemon::ready(&env);
    daemon.wait("listed", || daemon.mirror()["problems"].to_string().contains("huge.mp4"));
    assert_eq!(daemon.mirror()["failed"], 1, "{:#}", daemon.mirror());
    thread::sleep(Duration::from_secs(3));
    assert_eq!(daemon.lines("huge.mp4").len(), 1, "{:#?}", daemon.log());
    assert_eq!(daemon.lines("pipe.png").len(), 1, "{:#?}", daemon.log());
    huge.set_len(10).unwrap();
    wait_mirrored(&daemon, &env, &[("huge.mp4".into(), digest([0; 10]))]);
    daemon.wait("well", || daemon.mirror()["failed"] == 0);
    daemon.stop();
}

#[test]
fn two_mirrors_keep_out_of_each_others_way() {
    let env = TestEnv::new();
    let other = env.home().join("other");
    fs::create_dir(&other).unwrap();
    for number in 0..40 {
        env.write(format!("{number}.png"), number.to_string());
        fs::write(other.join(format!("{number}.pdf")), format!("other {number}")).unwrap();
    }
    configure(
        &env,
        "tags = [\"one\"]\n[[mirror]]\nname = \"other\"\nroot = \"other\"\nsettle = \"200ms\"\ntags = [\"two\"]\n\
         on_delete = \"delete\"",
    );
    let daemon = Daemon::ready(&env);
    assert_eq!(env.assets().len(), 80);
    assert_eq!((env.asset("7.png").tags, env.asset("7.pdf").tags), (vec!["one".into()], vec!["two".into()]));
    env.sandbox.clear_log();
    env.remove("7.png");
    fs::remove_file(other.join("7.pdf")).unwrap();
    env.write("new.png", "n");
    fs::write(other.join("new.pdf"), "p").unwrap();
    wait_mirrored(&daemon, &env, &[("new.png".into(), digest("n")), ("new.pdf".into(), digest("p"))]);
    daemon.wait("one deletes, the other keeps", || env.sandbox.count("DELETE /uploads/:id") == 1);
    assert!(env.find("7.pdf").is_none() && env.find("7.png").is_some());
    // One is paused, the other works.
    fs::rename(&other, env.home().join("away")).unwrap();
    daemon.wait("paused", || daemon.status()["mirrors"][1]["phase"]["name"] == "paused");
    env.write("later.png", "l");
    wait_mirrored(&daemon, &env, &[("later.png".into(), digest("l"))]);
    assert_eq!(env.assets().len(), 82);
    daemon.stop();
}

#[test]
fn metadata_files_and_permissions_are_heard_too() {
    let env = TestEnv::new();
    env.write("a/first.png", "x");
    configure(&env, "");
    let daemon = Daemon::ready(&env);
    env.sandbox.clear_log();
    env.write("a/_folder.meta.toml", "tags = [\"from-folder\"]");
    daemon.wait("tagged", || env.asset("a/first.png").tags == ["from-folder"]);
    env.remove("a/_folder.meta.toml");
    daemon.wait("untagged", || env.asset("a/first.png").tags.is_empty());
    fs::set_permissions(env.at("a/first.png"), fs::Permissions::from_mode(0o600)).unwrap();
    thread::sleep(Duration::from_secs(1));
    assert_eq!(env.sandbox.count("PUT bucket"), 0);
    daemon.stop();
}
