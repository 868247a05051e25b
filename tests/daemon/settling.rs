//! The daemon reads no file in the middle of being written, however often it looks and whatever times the file has.

use std::fs::File;
use std::io::Write as _;
use std::thread;
use std::time::{Duration, SystemTime};

use crate::process::{Daemon, digest, wait_mirrored};
use crate::support::{TestEnv, bytes};

const PIECES: usize = 25;
const PIECE: usize = 3000;
const PAUSE: Duration = Duration::from_millis(120);

/// One mirror that settles in 1.5 s and looks at everything every 0.3 s.
fn polled(env: &TestEnv, more: &str) {
    env.config(&format!(
        "[[mirror]]\nname = \"brand\"\nroot = \"brand\"\nsettle = \"1500ms\"\nwatch = \"poll\"\npoll_interval = \"300ms\"\n{more}\n"
    ));
}

/// Writes `name` in pieces, with this many seconds between its mtime and now; what it holds in the end.
fn write_slowly(env: &TestEnv, name: &str, ahead: i64, daemon: impl FnOnce() -> Daemon) -> Daemon {
    let content = bytes(9, PIECES * PIECE);
    let mut file = File::create(env.at(name)).unwrap();
    let mut pieces = content.chunks(PIECE);
    let write = move |file: &mut File, piece: &[u8]| {
        file.write_all(piece).unwrap();
        let by = Duration::from_secs(ahead.unsigned_abs());
        let now = SystemTime::now();
        file.set_modified(if ahead > 0 { now + by } else { now - by }).unwrap();
    };
    write(&mut file, pieces.next().unwrap());
    let writer = thread::spawn({
        let pieces: Vec<Vec<u8>> = pieces.map(<[u8]>::to_vec).collect();
        move || {
            for piece in pieces {
                thread::sleep(PAUSE);
                write(&mut file, &piece);
            }
        }
    });
    let daemon = daemon();
    writer.join().unwrap();
    wait_mirrored(&daemon, env, &[(name.to_owned(), digest(&content))]);
    daemon
}

const SKEWS: [i64; 4] = [2, 3600, -7200, 0];

fn with_each_skew(check: fn(i64)) {
    let tries: Vec<_> = SKEWS.into_iter().map(|ahead| thread::spawn(move || check(ahead))).collect();
    let failed: Vec<_> =
        tries.into_iter().zip(SKEWS).filter_map(|(one, ahead)| one.join().err().map(|_| ahead)).collect();
    assert!(failed.is_empty(), "with mtimes so many seconds ahead: {failed:?}");
}

#[track_caller]
fn sent_once(env: &TestEnv, ahead: i64) {
    assert_eq!(env.sandbox.count("POST /upload-requests"), 1, "{ahead} s ahead: a part of it was sent");
    assert_eq!(env.sandbox.count("PUT /uploads/:id"), 0, "{ahead} s ahead: it was replaced");
}

#[test]
fn the_first_pass_sends_no_file_in_part_whatever_its_mtime() {
    with_each_skew(|ahead| {
        let env = TestEnv::new();
        polled(&env, "");
        let daemon = write_slowly(&env, "film.mp4", ahead, || Daemon::start(&env, &[]));
        daemon.wait_idle();
        sent_once(&env, ahead);
        daemon.stop();
    });
}

#[test]
fn polling_sends_no_file_in_part_whatever_its_mtime() {
    with_each_skew(|ahead| {
        let env = TestEnv::new();
        env.write("first.png", "x");
        polled(&env, "");
        let daemon = Daemon::start(&env, &[]);
        wait_mirrored(&daemon, &env, &[("first.png".into(), digest("x"))]);
        env.sandbox.clear_log();
        let daemon = write_slowly(&env, "film.mp4", ahead, || daemon);
        daemon.wait_idle();
        sent_once(&env, ahead);
        daemon.stop();
    });
}

/// Looks that come faster than anything settles let it settle all the same: new, changed and deleted files.
#[test]
fn looks_faster_than_a_file_settles_begin_no_wait_anew() {
    for watch in ["poll", "native"] {
        let env = TestEnv::new();
        env.write("stays.png", "stays");
        env.write("goes.png", "goes");
        env.config(&format!(
            "[[mirror]]\nname = \"brand\"\nroot = \"brand\"\nsettle = \"2s\"\non_delete = \"delete\"\nwatch = \"{watch}\"\n\
             poll_interval = \"1s\"\nrescan_interval = \"1s\"\n"
        ));
        let daemon = Daemon::start(&env, &[]);
        wait_mirrored(&daemon, &env, &[("stays.png".into(), digest("stays")), ("goes.png".into(), digest("goes"))]);
        env.remove("goes.png");
        daemon.wait_for("deleted", Duration::from_secs(60), || env.assets().len() == 1);
        env.write("new.png", "new");
        env.write("stays.png", "changed");
        wait_mirrored(&daemon, &env, &[("stays.png".into(), digest("changed")), ("new.png".into(), digest("new"))]);
        daemon.stop();
    }
}

/// A program that saves by deleting the file and making it anew: a look in between is no deletion. The pause holds several
/// looks, and is far shorter than a removal takes to settle.
#[test]
fn a_look_between_the_two_halves_of_a_save_deletes_nothing() {
    let env = TestEnv::new();
    env.write("stays.png", "stays");
    env.write("saved.png", "0");
    env.config(
        "[[mirror]]\nname = \"brand\"\nroot = \"brand\"\nsettle = \"6s\"\nwatch = \"poll\"\npoll_interval = \"300ms\"\n\
         on_delete = \"delete\"\nrescan_interval = \"1s\"\n",
    );
    let daemon = Daemon::start(&env, &[]);
    wait_mirrored(&daemon, &env, &[("stays.png".into(), digest("stays")), ("saved.png".into(), digest("0"))]);
    let before = env.asset("saved.png");
    env.remove("saved.png");
    thread::sleep(Duration::from_millis(1200));
    env.write("saved.png", "1");
    wait_mirrored(&daemon, &env, &[("saved.png".into(), digest("1"))]);
    let after = env.asset("saved.png");
    assert_eq!((&after.id, &after.url), (&before.id, &before.url));
    assert_eq!(env.sandbox.count("DELETE /uploads/:id") + env.sandbox.count("POST /uploads/bulk/destroy"), 0);
    daemon.stop();
}

/// The same while the asset of the file is still being made: until then it has nothing to lose, from then on it has.
#[test]
fn a_save_by_deletion_while_the_asset_is_being_made_keeps_it() {
    let slow = dato_mirror::sandbox::Settings { job_min_ms: 1500, job_max_ms: 1500, ..crate::support::jobs() };
    let env = TestEnv::with(slow);
    env.write("stays.png", "stays");
    env.write("saved.png", "0");
    env.config(
        "[[mirror]]\nname = \"brand\"\nroot = \"brand\"\nsettle = \"8s\"\nwatch = \"poll\"\npoll_interval = \"200ms\"\n\
         on_delete = \"delete\"\nrescan_interval = \"1s\"\n",
    );
    let daemon = Daemon::start(&env, &[]);
    daemon.wait("both are on their way", || env.sandbox.count("POST /uploads") == 2);
    env.remove("saved.png");
    daemon.wait("both are made", || env.assets().len() == 2);
    let made = env.asset("saved.png");
    // The outcome is written, and several looks miss the file, in far less time than a removal takes to settle.
    thread::sleep(Duration::from_millis(2500));
    env.write("saved.png", "1");
    wait_mirrored(&daemon, &env, &[("saved.png".into(), digest("1")), ("stays.png".into(), digest("stays"))]);
    assert_eq!((&env.asset("saved.png").id, &env.asset("saved.png").url), (&made.id, &made.url));
    assert_eq!(env.sandbox.count("DELETE /uploads/:id") + env.sandbox.count("POST /uploads/bulk/destroy"), 0);
    // One that is gone for good goes.
    env.remove("saved.png");
    daemon.wait("deleted", || env.find("saved.png").is_none());
    daemon.stop();
}

/// A move gives the file a new ctime: its new name is still to settle when its old one is seen to be empty.
#[test]
fn a_move_that_a_poll_sees_keeps_the_asset() {
    let env = TestEnv::new();
    env.write("other.png", "another");
    env.write("0.png", "moves");
    polled(&env, "on_delete = \"delete\"");
    let daemon = Daemon::start(&env, &[]);
    wait_mirrored(&daemon, &env, &[("0.png".into(), digest("moves")), ("other.png".into(), digest("another"))]);
    let id = env.asset("0.png").id;
    for number in 0..3 {
        let new = format!("{}.png", number + 1);
        env.rename(&format!("{number}.png"), &new);
        daemon.wait("moved", || env.find(&new).is_some());
        assert_eq!(env.asset(&new).id, id);
    }
    assert_eq!(env.sandbox.count("DELETE /uploads/:id") + env.sandbox.count("POST /uploads/bulk/destroy"), 0);
    // One that is deleted while a new one of its size settles is deleted all the same.
    env.write("stays.png", "moved");
    env.remove("3.png");
    daemon.wait_for("deleted", Duration::from_secs(60), || env.find("3.png").is_none());
    daemon.stop();
}

/// More files at once than are looked at one by one.
#[test]
fn a_first_pass_over_very_many_new_files_looks_twice_at_all_of_them_together() {
    let env = TestEnv::new();
    for number in 0..1500 {
        env.write(format!("{number}.png"), format!("{number}"));
    }
    env.config(
        "[[mirror]]\nname = \"brand\"\nroot = \"brand\"\nsettle = \"3s\"\nwatch = \"poll\"\npoll_interval = \"1h\"\n",
    );
    let daemon = Daemon::start(&env, &[]);
    daemon.wait("all of them", || env.assets().len() == 1500);
    daemon.wait_idle();
    daemon.stop();
}
