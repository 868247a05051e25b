//! However changes are found, all are found, and the status says how.

use std::fs;

use dato_mirror::disk::{Mount, MountTable};
use rustix::process::Signal;

use crate::process::{Daemon, Files, configure, digest, unshared, wait_mirrored};
use crate::support::TestEnv;

/// New, changed, in a new folder, moved, by a rename: everything arrives.
#[track_caller]
fn changes_arrive(daemon: &Daemon, env: &TestEnv) {
    env.write("new.png", "new");
    env.write("deep/in/folders/a.png", "a");
    env.write("first.png", "changed");
    fs::write(env.at(".t"), "renamed").unwrap();
    fs::rename(env.at(".t"), env.at("renamed.png")).unwrap();
    let wanted: Files =
        [("new.png", "new"), ("deep/in/folders/a.png", "a"), ("first.png", "changed"), ("renamed.png", "renamed")]
            .map(|(path, content)| (path.to_owned(), digest(content)))
            .into();
    wait_mirrored(daemon, env, &wanted);
    env.rename("deep/in/folders/a.png", "deep/b.png");
    wait_mirrored(daemon, env, &[("deep/b.png".into(), digest("a"))]);
}

#[test]
fn native_watching_finds_every_change() {
    let env = TestEnv::new();
    env.write("first.png", "x");
    configure(&env, "watch = \"native\"");
    let daemon = Daemon::ready(&env);
    changes_arrive(&daemon, &env);
    assert_eq!(daemon.mirror()["watching"]["how"], "native");
    // The folder for temporary files may be where a watch is not to be relied on, as in a container; then it says so.
    let root = env.root().canonicalize().unwrap();
    let silent = MountTable::read().unwrap().of(&root).is_some_and(Mount::is_silent);
    assert_eq!(daemon.mirror()["degraded"] != serde_json::json!([]), silent, "{:#}", daemon.mirror());
    daemon.stop();
}

#[test]
fn a_polled_root_finds_every_change_and_says_so() {
    let env = TestEnv::new();
    env.write("first.png", "x");
    configure(&env, "watch = \"poll\"\npoll_interval = \"500ms\"");
    let daemon = Daemon::ready(&env);
    changes_arrive(&daemon, &env);
    let watching = daemon.mirror()["watching"].clone();
    assert_eq!((watching["how"].as_str(), watching["every_ms"].as_u64()), (Some("polling"), Some(500)));
    assert!(watching["reason"].as_str().unwrap().contains("watch = \"poll\""), "{watching}");
    daemon.wait_idle();
    // Polling goes on, and costs no call.
    env.sandbox.clear_log();
    let ticks = daemon.status()["ticks"].as_u64().unwrap();
    daemon.wait("it looks again", || daemon.status()["ticks"].as_u64().unwrap() > ticks + 5);
    assert_eq!(env.sandbox.api_calls(), 0, "{:#?}", env.sandbox.log());
    daemon.stop();
}

#[test]
fn with_too_few_watches_it_polls_says_so_and_finds_every_change() {
    let env = TestEnv::new();
    env.write("first.png", "x");
    for number in 0..12 {
        env.write(format!("folder-{number}/x.png"), number.to_string());
    }
    configure(&env, "watch = \"native\"\npoll_interval = \"500ms\"");
    // The limit of a user namespace of its own: the machine's stays as it is.
    let limit = "echo 5 > /proc/sys/user/max_inotify_watches";
    let Some(command) = unshared("-Ur", limit) else { return };
    let daemon = Daemon::spawn(&env, command);
    daemon.wait_ready();
    changes_arrive(&daemon, &env);
    let mirror = daemon.mirror();
    assert_eq!(mirror["watching"]["how"], "polling", "{mirror:#}");
    let degraded = mirror["degraded"].to_string();
    assert!(degraded.contains("fs.inotify.max_user_watches="), "{degraded}");
    assert_eq!(daemon.get("/healthz").0, 200, "degraded is not unhealthy");
    assert_eq!(daemon.get("/readyz").0, 200);
    assert!(!daemon.lines("sysctl fs.inotify.max_user_watches=").is_empty(), "{:#?}", daemon.log());
    daemon.stop();
}

#[test]
fn an_overflow_of_the_kernels_queue_loses_nothing_and_is_told() {
    let env = TestEnv::new();
    env.write("first.png", "x");
    configure(&env, "watch = \"native\"");
    let daemon = Daemon::ready(&env);
    let kept: usize = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap().trim().parse().unwrap();
    // A stopped process reads no events: the kernel's queue runs over, whatever its limit.
    daemon.freeze();
    let (one, other) = (env.at(".junk-1"), env.at(".junk-2"));
    fs::write(&one, "").unwrap();
    for _ in 0..kept / 4 + 500 {
        fs::rename(&one, &other).unwrap();
        fs::rename(&other, &one).unwrap();
    }
    env.write("late.png", "late");
    env.write("late/folder/b.png", "b");
    daemon.signal(Signal::CONT);
    let wanted: Files = [("late.png", "late"), ("late/folder/b.png", "b")]
        .map(|(path, content)| (path.to_owned(), digest(content)))
        .into();
    wait_mirrored(&daemon, &env, &wanted);
    daemon.wait("the overflow is told", || daemon.mirror()["degraded"].to_string().contains("max_queued_events="));
    assert_eq!(daemon.mirror()["watching"]["how"], "native");
    // The watch is whole again.
    env.write("late/folder/c.png", "c");
    // Without it the file would be found in an hour.
    wait_mirrored(&daemon, &env, &[("late/folder/c.png".into(), digest("c"))]);
    daemon.stop();
}

#[test]
fn a_file_saved_during_a_long_first_sync_goes_first() {
    let env = TestEnv::with(dato_mirror::sandbox::Settings { rate_limit: 30, ..crate::support::fast() });
    for number in 0..1200 {
        env.write(format!("many/{number}.png"), number.to_string());
    }
    configure(&env, "watch = \"native\"");
    let daemon = Daemon::start(&env, &[]);
    daemon.wait("some are mirrored", || env.assets().len() > 5);
    env.write("zz-saved.png", "saved");
    wait_mirrored(&daemon, &env, &[("zz-saved.png".into(), digest("saved"))]);
    assert!(env.assets().len() < 200, "the others were first: {}", env.assets().len());
    assert_eq!(daemon.get("/readyz").0, 503, "ready is after the first full pass");
    assert_eq!(daemon.get("/healthz").0, 200, "a long first sync is healthy");
    daemon.stop();
}

/// The sandbox of another machine's user: a root nobody can write a probe into.
#[test]
fn a_read_only_root_is_mirrored_too() {
    let env = TestEnv::new();
    env.write("first.png", "x");
    configure(&env, "");
    let root = env.root().display().to_string();
    let line = format!("mount --bind '{root}' '{root}' && mount -o remount,bind,ro '{root}'");
    let Some(command) = unshared("-Urm", &line) else { return };
    let daemon = Daemon::spawn(&env, command);
    daemon.wait_ready();
    env.write("second.png", "y");
    wait_mirrored(&daemon, &env, &[("second.png".into(), digest("y"))]);
    daemon.stop();
}
