//! The daemon as a service: stopping, dying, reloading, and what the service manager hears.

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use dato_mirror::sandbox::{Fault, FaultKind};
use rustix::process::Signal;
use serde_json::Value;

use crate::process::{BINARY, Daemon, Files, configure, configure_with, digest, mirrored, wait_mirrored};
use crate::support::{TestEnv, bytes, slowness};

/// 300 MB that take no time to make, there at once.
fn large_file(env: &TestEnv, path: &str) -> String {
    use std::os::unix::fs::FileExt as _;
    let made = env.home().join("large");
    let file = fs::File::create(&made).unwrap();
    file.write_all_at(&bytes(7, 1_000_000), 0).unwrap();
    file.set_len(300_000_000).unwrap();
    let digest = digest(fs::read(&made).unwrap());
    fs::rename(made, env.at(path)).unwrap();
    digest
}

/// What a promise of so many seconds allows on a machine that was so slow before, and is now.
fn allowed(seconds: u64, env: &TestEnv, slow_before: u32) -> Duration {
    Duration::from_secs(seconds) * slow_before.max(slowness(env))
}

#[test]
fn sigterm_during_a_300_mb_upload_ends_well_within_10_s_and_the_next_start_makes_one_asset() {
    let env = TestEnv::new();
    env.write("first.png", "x");
    // Five minutes for the whole of it.
    configure_with(&env, "[api]\nupload_bandwidth = \"1MB\"", "");
    let daemon = Daemon::ready(&env);
    let content = large_file(&env, "film.mp4");
    daemon.wait("it is being sent", || env.sandbox.count("PUT bucket") >= 2);
    thread::sleep(Duration::from_millis(1500));
    let slow = slowness(&env);
    daemon.signal(Signal::TERM);
    let (code, took, log) = daemon.end();
    println!("SIGTERM during an upload: exit {code} after {} ms, slowness {slow}", took.as_millis());
    assert_eq!(code, 0, "{log:#?}");
    assert!(took < allowed(10, &env, slow), "{took:?}");
    assert_eq!(env.assets().len(), 1, "it was stopped in the middle");

    configure(&env, "");
    let daemon = Daemon::start(&env, &[]);
    wait_mirrored(&daemon, &env, &[("film.mp4".into(), content)]);
    daemon.wait_idle();
    assert_eq!(env.assets().len(), 2);
    assert_eq!(env.sandbox.count("POST /uploads"), 2);
    daemon.stop();
}

#[test]
fn an_idle_daemon_and_one_without_an_api_stop_at_once() {
    let env = TestEnv::new();
    env.write("first.png", "x");
    configure(&env, "");
    let daemon = Daemon::ready(&env);
    let slow = slowness(&env);
    daemon.signal(Signal::TERM);
    let (code, took, _) = daemon.end();
    assert_eq!(code, 0);
    assert!(took < allowed(1, &env, slow), "idle: {took:?}");

    env.sandbox.set(|settings| settings.down = true);
    let daemon = Daemon::start(&env, &[]);
    daemon.wait("started", || daemon.get("/healthz").0 == 200);
    daemon.signal(Signal::TERM);
    let (code, took, _) = daemon.end();
    assert_eq!(code, 0);
    assert!(took < allowed(1, &env, slow), "without an API: {took:?}");
}

#[test]
fn killed_at_any_moment_it_never_makes_a_second_asset_and_loses_nothing() {
    let settings = dato_mirror::sandbox::Settings { job_min_ms: 20, job_max_ms: 200, ..crate::support::fast() };
    let env = TestEnv::with(settings);
    configure(&env, "");
    let mut files = Files::new();
    for round in 0..12_u64 {
        for number in 0..15 {
            env.write(format!("{number}.png"), format!("{number} of round {round}"));
            env.write(format!("{round}/{number}.png"), format!("{number} new in round {round}"));
        }
        let daemon = Daemon::start(&env, &[]);
        if round % 3 == 2 {
            daemon.wait("it is at work", || !env.mutating().is_empty());
            env.sandbox.clear_log();
        }
        thread::sleep(Duration::from_millis(150 + round * 97));
        daemon.kill();
    }
    for number in 0..15 {
        files.push((format!("{number}.png"), digest(format!("{number} of round 11"))));
        for round in 0..12 {
            files.push((format!("{round}/{number}.png"), digest(format!("{number} new in round {round}"))));
        }
    }
    let daemon = Daemon::start(&env, &[]);
    wait_mirrored(&daemon, &env, &files);
    daemon.wait_idle();
    assert_eq!(env.assets().len(), files.len());
    assert_eq!(mirrored(&env).len(), files.len());
    daemon.stop();
    env.assert_still();
}

#[test]
fn sighup_takes_a_good_configuration_and_refuses_a_bad_one() {
    let mut env = TestEnv::new();
    env.write("first.png", "x");
    configure(&env, "");
    let token = env.home().join("token");
    fs::write(&token, "sandbox").unwrap();
    env.vars.remove("DATOCMS_API_TOKEN");
    let with = |more: &str| configure_with(&env, &format!("[api]\ntoken_file = \"{}\"", token.display()), more);
    with("");
    let daemon = Daemon::ready(&env);

    // Bad: it is told with its place, and the old one works on.
    with("colour = \"red\"\ntgas = [\"x\"]");
    daemon.signal(Signal::HUP);
    daemon.wait_line("the old one stays");
    daemon.wait_line("`tags`");
    env.write("second.png", "y");
    wait_mirrored(&daemon, &env, &[("second.png".into(), digest("y"))]);

    // Good in itself, with a token that the API refuses.
    fs::write(&token, "nonsense").unwrap();
    with("tags = [\"never\"]");
    daemon.signal(Signal::HUP);
    daemon.wait("the token is refused", || daemon.lines("the old one stays").len() == 2);
    fs::write(&token, "sandbox").unwrap();
    env.write("third.png", "z");
    wait_mirrored(&daemon, &env, &[("third.png".into(), digest("z"))]);
    assert_eq!(env.asset("third.png").tags, Vec::<String>::new());

    // Good: another mirror, other tags.
    fs::create_dir(env.home().join("other")).unwrap();
    fs::write(env.home().join("other/o.png"), "o").unwrap();
    with("tags = [\"new\"]\n[[mirror]]\nname = \"other\"\nroot = \"other\"\nsettle = \"200ms\"");
    daemon.signal(Signal::HUP);
    daemon.wait_line("the new configuration is in force");
    wait_mirrored(&daemon, &env, &[("o.png".into(), digest("o"))]);
    daemon.wait("tags", || env.asset("first.png").tags == ["new"]);
    assert_eq!(daemon.status()["mirrors"].as_array().unwrap().len(), 2);
    env.write("fourth.png", "4");
    wait_mirrored(&daemon, &env, &[("fourth.png".into(), digest("4"))]);
    daemon.wait_ready();

    // The other one goes again; the index is still ours alone.
    with("tags = [\"new\"]");
    daemon.signal(Signal::HUP);
    daemon.wait("one mirror", || daemon.status()["mirrors"].as_array().is_some_and(|mirrors| mirrors.len() == 1));
    let second = env.run(&["--sync-once"]);
    assert_eq!(second.code, 5, "{second:#?}");
    daemon.stop();
}

#[test]
fn a_reload_during_an_upload_loses_nothing_and_keeps_the_lock() {
    let env = TestEnv::new();
    env.write("first.png", "x");
    configure_with(&env, "[api]\nupload_bandwidth = \"2MB\"", "");
    let daemon = Daemon::ready(&env);
    let content = bytes(3, 10_000_000);
    env.write("film.mp4", &content);
    daemon.wait("it is being sent", || env.sandbox.count("PUT bucket") >= 2);
    configure(&env, "");
    for _ in 0..3 {
        daemon.signal(Signal::HUP);
        thread::sleep(Duration::from_millis(100));
    }
    wait_mirrored(&daemon, &env, &[("film.mp4".into(), digest(&content))]);
    assert_eq!(env.run(&["--sync-once"]).code, 5);
    daemon.wait_idle();
    assert_eq!(env.assets().len(), 2);
    daemon.stop();
}

#[test]
fn the_service_manager_hears_ready_after_the_first_scan_reloading_and_stopping() {
    let settings = dato_mirror::sandbox::Settings { rate_limit: 30, ..crate::support::fast() };
    let mut env = TestEnv::with(settings);
    for number in 0..60 {
        env.write(format!("{number}.png"), number.to_string());
    }
    configure(&env, "");
    let path = env.home().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(300))).unwrap();
    env.set("NOTIFY_SOCKET", path.to_str().unwrap());
    env.set("WATCHDOG_USEC", "2000000");
    let mut heard = Vec::new();
    let mut hear_until = |part: &str| -> Vec<String> {
        heard.clear();
        let until = Instant::now() + Duration::from_secs(300);
        while Instant::now() < until {
            let mut buffer = [0; 4096];
            let length = socket.recv(&mut buffer).unwrap();
            heard.push(String::from_utf8_lossy(&buffer[..length]).into_owned());
            if heard.last().unwrap().contains(part) {
                return heard.clone();
            }
        }
        panic!("never {part}: {heard:#?}");
    };
    // So that the first pass is not through before we have looked.
    let held = Fault { route: "PUT bucket".into(), skip: 20, times: None, kind: FaultKind::Delay { ms: 600_000 } };
    env.sandbox.add_fault(held);
    let daemon = Daemon::start(&env, &[]);
    let first = hear_until("READY=1");
    assert!(first[..first.len() - 1].iter().all(|message| !message.contains("READY")), "{first:#?}");
    // After the scan, long before the first pass is through.
    assert_eq!(daemon.mirror()["scanned"], true);
    assert_eq!(daemon.get("/readyz").0, 503);
    assert!(hear_until("mirroring").iter().any(|message| message.contains("STATUS=brand: mirroring")));
    hear_until("WATCHDOG=1");
    env.sandbox.clear_faults();
    daemon.wait_ready();
    hear_until("up to date, 60 files");
    hear_until("WATCHDOG=1");
    daemon.signal(Signal::HUP);
    hear_until("RELOADING=1");
    hear_until("READY=1");
    daemon.signal(Signal::TERM);
    hear_until("STOPPING=1");
    assert_eq!(daemon.end().0, 0);
}

#[test]
fn the_health_check_tells_by_its_exit_code() {
    let env = TestEnv::new();
    env.write("first.png", "x");
    configure(&env, "");
    let daemon = Daemon::ready(&env);
    let check = |listen: &str| {
        let mut command = Command::new(BINARY);
        command.arg("healthcheck").env_clear().env("DATO_MIRROR_STATUS_LISTEN", listen).current_dir(env.home());
        command.output().unwrap()
    };
    let address = daemon.address.to_string();
    assert_eq!(check(&address).status.code(), Some(0));
    daemon.stop();
    let gone = check(&address);
    assert_eq!(gone.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&gone.stderr).contains("no answer"), "{gone:?}");
}

#[test]
fn logs_are_json_lines_on_request_and_hold_no_secret() {
    let mut env = TestEnv::new();
    env.set("DATOCMS_API_TOKEN", "sandbox");
    env.write("first.png", "x");
    configure(&env, "");
    let daemon = Daemon::start(&env, &["--log-format", "json", "-v"]);
    daemon.wait_ready();
    env.write("second.png", "y");
    wait_mirrored(&daemon, &env, &[("second.png".into(), digest("y"))]);
    daemon.wait_line("1 created");
    let log = daemon.stop();
    for line in &log {
        let entry: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert!(entry["timestamp"].is_string() && entry["level"].is_string() && entry["message"].is_string(), "{line}");
        assert!(!line.contains("X-Amz") && !line.contains("Bearer"), "{line}");
    }
    let summary = log.iter().find(|line| line.contains("1 created")).unwrap();
    assert_eq!(serde_json::from_str::<Value>(summary).unwrap()["mirror"], "brand");
}

#[test]
fn under_the_journal_each_line_has_its_level() {
    let mut env = TestEnv::new();
    env.write("first.png", "x");
    env.set("JOURNAL_STREAM", "8:1");
    configure(&env, "");
    let daemon = Daemon::ready(&env);
    daemon.wait_line("created");
    let log = daemon.stop();
    assert!(log.iter().all(|line| line.starts_with('<') && line.as_bytes()[2] == b'>'), "{log:#?}");
}
