//! What a running daemon knows is told where nothing listens, and by the commands beside the system service.

use std::fs;
use std::process::{Command, Output};

use serde_json::Value;

use crate::process::{Daemon, configure, unshared};
use crate::support::TestEnv;

/// `status`, which knows of no page here.
fn status(env: &TestEnv) -> String {
    env.run(&["status"]).exits(0).stdout
}

#[test]
fn a_paused_mirror_is_told_by_status_without_a_listener() {
    let env = TestEnv::new();
    env.write("a.png", "a");
    configure(&env, "");
    let daemon = Daemon::ready(&env);
    daemon.wait_idle();
    assert!(!status(&env).contains("paused"));
    fs::rename(env.root(), env.home().join("away")).unwrap();
    daemon.wait("status says so", || status(&env).contains("\n  paused: the root "));
    let json: Value = serde_json::from_str(&env.run(&["status", "--format", "json"]).exits(0).stdout).unwrap();
    assert!(json["mirrors"][0]["waits"].as_str().unwrap().starts_with("paused: the root"), "{json:#}");
    fs::rename(env.home().join("away"), env.root()).unwrap();
    daemon.wait("and that it is over", || !status(&env).contains("paused"));
    fs::rename(env.root(), env.home().join("away")).unwrap();
    daemon.wait("status says so", || status(&env).contains("paused"));
    // What a daemon that is gone said means nothing.
    daemon.kill();
    assert!(!status(&env).contains("paused"));
}

#[test]
fn a_broken_metadata_file_is_told_by_the_log_the_page_and_status() {
    let env = TestEnv::new();
    env.write("a.png", "a");
    configure(&env, "");
    let daemon = Daemon::ready(&env);
    daemon.wait_idle();
    env.write("a.png.meta.toml", "alt = 3\nfoo = \"x\"\n");
    let told = "a.png.meta.toml:1:7: `alt` must be a table, but is an integer (write it as [alt])";
    daemon.wait("the page says so", || daemon.mirror()["problems"].to_string().contains(told));
    let lines = daemon.lines("a metadata file cannot be used");
    assert!(lines.len() == 1 && lines[0].contains(told) && lines[0].contains("WARN"), "{lines:#?}");
    assert!(!lines[0].contains("\\n"), "{lines:#?}");
    assert!(status(&env).contains(told));
    env.write("a.png.meta.toml", "[alt]\nen = \"A\"\n");
    daemon.wait("the page has nothing to say", || daemon.mirror()["problems"] == serde_json::json!([]));
    daemon.wait_line("the metadata file is in order again, or gone");
    assert!(!status(&env).contains("meta.toml"));
    daemon.stop();
}

#[test]
fn the_deletion_guard_is_logged_once_and_the_counts_of_the_page_add_up() {
    let env = TestEnv::new();
    for number in 0..8 {
        env.write(format!("{number}.png"), number.to_string());
    }
    env.write("m/1.png", "m1");
    env.write("m/2.png", "m2");
    env.write("m/3.png", "m3");
    configure(&env, "on_delete = \"delete\"\nmax_delete = 2");
    let daemon = Daemon::ready(&env);
    daemon.wait_idle();
    fs::rename(env.at("m"), env.home().join("away")).unwrap();
    daemon.wait("withheld", || daemon.mirror()["failed"] == 3);
    assert_eq!(daemon.lines("not mirrored"), [""; 0], "{:#?}", daemon.log());
    assert!(!daemon.lines("max_delete").is_empty(), "{:#?}", daemon.log());
    let counts = serde_json::json!({"files": 8, "mirrored": 8, "pending": 0, "failed": 0, "gone": 3});
    daemon.wait("the counts", || daemon.mirror()["counts"] == counts);
    assert!(status(&env).contains("8 files: 8 mirrored, 0 pending, 0 failed\n  3 more are gone"), "{}", status(&env));
    daemon.stop();
}

/// Runs a command where the system service has been at work: with its configuration and token in /etc and its index in
/// /var/lib, all in a mount namespace of its own.
fn beside_the_service(env: &TestEnv, args: &[&str]) -> Option<Output> {
    let home = env.home().display();
    let line = format!(
        "mount -t tmpfs etc /etc && mkdir /etc/dato-mirror && cp '{home}/service.toml' /etc/dato-mirror/config.toml && \
         printf sandbox > /etc/dato-mirror/token && mount -t tmpfs lib /var/lib && mkdir /var/lib/dato-mirror && \
         cp -a '{home}/state/.' /var/lib/dato-mirror/"
    );
    let mut command: Command = unshared("-Urm", &line)?;
    command.args(args).env_clear().current_dir("/");
    command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("HOME", env.home().join("nobody"));
    command.env("DATO_MIRROR_API_BASE_URL", env.sandbox.base_url()).env("NO_PROXY", "127.0.0.1");
    Some(command.output().unwrap())
}

#[test]
fn the_commands_find_the_system_services_configuration_index_and_token() {
    let env = TestEnv::new();
    env.write("a.png", "a");
    let root = env.root();
    let text = format!("[[mirror]]\nname = \"brand\"\nroot = \"{}\"\nsettle = \"20ms\"\n", root.display());
    fs::write(env.home().join("service.toml"), text).unwrap();
    env.run(&["-c", "service.toml", "--sync-once"]).exits(0);
    let file = env.at("a.png").display().to_string();
    for (args, told) in [
        (vec!["status"], "1 files: 1 mirrored, 0 pending, 0 failed"),
        (vec!["explain", &file], "(made by the mirror)"),
        (vec!["retry"], "nothing failed here"),
        (vec!["ls"], "brand:a.png"),
        (vec!["doctor"], "from token_file /etc/dato-mirror/token"),
        (vec!["doctor"], "/var/lib/dato-mirror/index.sqlite"),
    ] {
        let Some(output) = beside_the_service(&env, &args) else { return };
        let (said, log) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(said.contains(told) && !said.contains("(elsewhere)"), "{args:?}: {said}\n{log}");
        assert!(output.status.success() || args == ["doctor"], "{args:?}: {said}\n{log}");
    }
}
