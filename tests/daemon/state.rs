//! The state folder fails: read-only from the start, or under a running daemon.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::process::{Daemon, configure, digest, unshared, wait_mirrored};
use crate::support::TestEnv;

/// Makes the state folder read-only in a mount namespace of its own.
fn read_only_state(env: &TestEnv) -> Option<Command> {
    let state = env.index().parent().unwrap().display().to_string();
    fs::create_dir_all(&state).unwrap();
    unshared("-Urm", &format!("mount --bind '{state}' '{state}' && mount -o remount,bind,ro '{state}'"))
}

#[test]
fn a_read_only_state_folder_is_said_at_once_and_before_any_call() {
    let env = TestEnv::new();
    env.write("a.png", "a");
    configure(&env, "");
    for with_index in [false, true] {
        for args in [&[][..], &["--sync-once"]] {
            let Some(mut command) = read_only_state(&env) else { return };
            env.sandbox.clear_log();
            command.args(args);
            let (code, _, log) = Daemon::spawn(&env, command).end();
            let story = format!("index: {with_index}, {args:?}: {log:#?}");
            // What may pass, as a disk in trouble does: whoever keeps it running tries again.
            assert_eq!(code, 1, "{story}");
            let place = env.index().display().to_string();
            let says = |line: &&String| line.contains(&place) && line.to_lowercase().contains("read-only file system");
            assert_eq!(log.iter().filter(says).count(), 1, "{story}");
            assert_eq!(env.sandbox.api_calls(), 0, "{story}");
        }
        env.sync().exits(0);
    }
    env.assert_still();
}

/// As if the file system had been remounted read-only, until it is let go of: the kernel refuses such a remount while
/// files are open for writing, and does it by itself only when a disk fails.
struct ReadOnly(Child);

impl ReadOnly {
    fn under(daemon: &Daemon, env: &TestEnv) -> Option<Self> {
        let calls = "pwrite64,fsync,fdatasync,ftruncate,unlink";
        let mut command = Command::new("strace");
        command.args(["-f", "-qq", "-o", "/dev/null", "-e", &format!("trace={calls}")]);
        command.args(["-e", &format!("inject={calls}:error=EROFS"), "-p", &daemon.pid().to_string()]);
        command.stderr(Stdio::null()).current_dir(env.home());
        let child = command.spawn().ok();
        // All its threads: it is one of the others that writes.
        let traced = |pid: u32| {
            let threads = fs::read_dir(format!("/proc/{pid}/task")).unwrap().map_while(Result::ok);
            threads
                .map(|thread| fs::read_to_string(thread.path().join("status")).unwrap_or_default())
                .all(|status| status.lines().any(|line| line.starts_with("TracerPid:") && !line.ends_with("\t0")))
        };
        let mut child = child?;
        while !traced(daemon.pid()) {
            if child.try_wait().unwrap().is_some() {
                return None;
            }
            thread::sleep(Duration::from_millis(10));
        }
        Some(Self(child))
    }

    fn end(mut self) {
        kill_process(Pid::from_child(&self.0), Signal::TERM).unwrap();
        self.0.wait().unwrap();
    }
}

#[test]
fn a_state_folder_that_becomes_read_only_ends_the_daemon_with_one_line_and_the_next_one_goes_on() {
    let env = TestEnv::new();
    env.write("a.png", "a");
    configure(&env, "");
    let daemon = Daemon::ready(&env);
    wait_mirrored(&daemon, &env, &[("a.png".into(), digest("a"))]);
    daemon.wait_idle();
    let Some(read_only) = ReadOnly::under(&daemon, &env) else {
        println!("skipped: strace is missing, or may not trace here");
        return daemon.kill();
    };
    env.sandbox.clear_log();
    env.write("b.png", "b");
    // Without its index it cannot be sure of anything, so it ends, and whoever keeps it running starts it again.
    let (code, _, log) = daemon.end();
    read_only.end();
    assert_eq!(code, 1, "{log:#?}");
    let place = env.index().display().to_string();
    let said: Vec<_> =
        log.iter().filter(|line| line.contains(" failed: disk I/O error") && line.contains(&place)).collect();
    assert_eq!(said.len(), 1, "{log:#?}");
    assert!(env.sandbox.api_calls() < 10, "{:#?}", env.sandbox.log());
    let daemon = Daemon::ready(&env);
    wait_mirrored(&daemon, &env, &[("a.png".into(), digest("a")), ("b.png".into(), digest("b"))]);
    daemon.wait_idle();
    assert_eq!(env.assets().len(), 2);
    daemon.stop();
}
