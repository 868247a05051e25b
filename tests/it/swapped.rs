//! Names that come to mean something else while a run is under way: a folder or a file becomes a link out of the root, a
//! pipe, a device. What lies outside the root never leaves the machine, and no run hangs.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use dato_mirror::sandbox::FaultKind;

use super::support::{Run, Started, TestEnv, bytes, wait_until};

const SECRET: &str = "the launch code is 0000";

/// A folder `sub` with one file, and beside the root a folder of the same shape that is nobody's business.
fn env() -> TestEnv {
    let env = TestEnv::new();
    env.write("sub/logo.png", "x".repeat(SECRET.len()));
    fs::create_dir(env.home().join("private")).unwrap();
    fs::write(env.home().join("private/logo.png"), SECRET).unwrap();
    // Long quiet, as private files are.
    let old = std::time::SystemTime::now() - Duration::from_secs(86_400);
    let private = fs::OpenOptions::new().write(true).open(env.home().join("private/logo.png")).unwrap();
    private.set_modified(old).unwrap();
    env
}

fn swap_folder_for_link(env: &TestEnv) {
    fs::rename(env.at("sub"), env.home().join("was")).unwrap();
    symlink("../private", env.at("sub")).unwrap();
}

/// Nothing of the secret is in the media area, in its bucket or in what the run says.
#[track_caller]
fn nothing_leaked(env: &TestEnv, run: &Run) {
    for asset in env.assets() {
        assert_ne!(env.content(&asset.id), SECRET.as_bytes(), "{run:#?}");
    }
    assert!(!run.stdout.contains("launch code") && !run.stderr.contains("launch code"), "{run:#?}");
}

#[test]
fn a_folder_swapped_for_a_link_before_its_file_is_sent_lets_nothing_out() {
    let env = env();
    env.sandbox.fault("POST /upload-requests", FaultKind::Delay { ms: 600_000 });
    let run = env.start(&["--sync-once", "--root", "brand", "--format", "json"], b"");
    wait_until("the ticket is asked for", || env.sandbox.faults().iter().any(|(_, hits)| *hits > 0));
    swap_folder_for_link(&env);
    env.sandbox.clear_faults();
    let run = run.end();
    nothing_leaked(&env, &run);
    // The bytes of a private file must not even reach the bucket.
    let sent: u64 = env.sandbox.log().iter().filter(|entry| entry.label == "bucket").map(|entry| entry.bytes_in).sum();
    assert_eq!(sent, 0, "{:#?}", env.sandbox.log());
}

#[test]
fn a_file_swapped_for_a_pipe_before_it_is_sent_does_not_hang_the_run() {
    let env = env();
    env.sandbox.fault("POST /upload-requests", FaultKind::Delay { ms: 600_000 });
    let run = env.start(&["--sync-once", "--root", "brand", "--format", "json"], b"");
    wait_until("the ticket is asked for", || env.sandbox.faults().iter().any(|(_, hits)| *hits > 0));
    env.remove("sub/logo.png");
    pipe(&env.at("sub/logo.png"));
    env.sandbox.clear_faults();
    let run = run.end();
    assert!(env.assets().is_empty(), "{run:#?}");
    assert!(run.problem("sub/logo.png").contains("named pipe"), "{run:#?}");
}

#[test]
fn a_folder_swapped_for_a_link_while_its_file_settles_lets_nothing_out() {
    let mut env = env();
    env.set("DATO_MIRROR_SETTLE", "3s");
    fs::write(env.at("sub/logo.png"), "y".repeat(SECRET.len())).unwrap();
    env.write("other.png", "another file");
    let run = env.start(&["--sync-once", "--root", "brand", "--format", "json"], b"");
    wait_until("it has begun", || env.sandbox.api_calls() > 0);
    std::thread::sleep(Duration::from_millis(500));
    swap_folder_for_link(&env);
    let run = run.end();
    nothing_leaked(&env, &run);
    assert!(run.problem("sub/logo.png").contains("outside the mirror's root"), "{run:#?}");
    assert_eq!(env.assets().len(), 1, "the other file is mirrored: {run:#?}");
}

fn pipe(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

/// Starts a dry run that reads a large file, and does `swap` once it reads: by then the folder has been listed, and its
/// metadata files are yet to be read.
fn while_reading(env: &TestEnv, swap: impl FnOnce()) -> Run {
    env.write("large.bin", "");
    fs::OpenOptions::new().write(true).open(env.at("large.bin")).unwrap().set_len(999_000_000).unwrap();
    // Quiet for longer than `settle`, so that the first look reads it.
    std::thread::sleep(Duration::from_millis(200));
    let run = env.start(&["--dry-run", "--root", "brand", "--format", "json"], b"");
    wait_until("it reads the large file", || reads(&run, "large.bin"));
    swap();
    run.end()
}

fn reads(run: &Started, name: &str) -> bool {
    let open = fs::read_dir(format!("/proc/{}/fd", run.id())).into_iter().flatten().flatten();
    open.filter_map(|entry| fs::read_link(entry.path()).ok()).any(|target| target.ends_with(name))
}

#[test]
fn a_metadata_file_swapped_for_a_link_is_not_quoted() {
    let env = env();
    for name in ["sub/logo.png.meta.toml", "_folder.meta.toml", "sub/logo.xmp", "_remote.toml"] {
        env.write(name, "");
    }
    let run = while_reading(&env, || {
        for name in ["sub/logo.png.meta.toml", "_folder.meta.toml", "sub/logo.xmp", "_remote.toml"] {
            symlink(env.home().join("private/logo.png"), env.home().join("new")).unwrap();
            fs::rename(env.home().join("new"), env.at(name)).unwrap();
        }
    });
    nothing_leaked(&env, &run);
    assert!(run.problem("_folder.meta.toml").contains("outside the mirror's root"), "{run:#?}");
}

#[test]
fn a_metadata_file_swapped_for_a_pipe_a_device_or_a_huge_file_is_told_and_the_run_ends() {
    let env = env();
    let name = "sub/logo.png.meta.toml";
    for (what, told) in [("pipe", "named pipe"), ("device", "outside the mirror's root"), ("huge", "1 MiB")] {
        let _ = fs::remove_file(env.at(name));
        env.write(name, format!("# {what}"));
        let run = while_reading(&env, || {
            let new = env.home().join("new");
            match what {
                "pipe" => pipe(&new),
                "device" => symlink("/dev/zero", &new).unwrap(),
                _ => fs::File::create(&new).unwrap().set_len(2 << 30).unwrap(),
            }
            // At one blow: a listing never misses the name.
            fs::rename(&new, env.at(name)).unwrap();
        });
        assert!(run.problem(name).contains(told), "{what}: {run:#?}");
    }
}

#[test]
fn links_inside_the_root_are_mirrored_however_they_are_written() {
    let env = TestEnv::new();
    env.write("real/logo.png", bytes(1, 100));
    symlink("real/logo.png", env.at("short.png")).unwrap();
    symlink("../brand/real/logo.png", env.at("around.png")).unwrap();
    symlink(env.at("real/logo.png"), env.at("whole.png")).unwrap();
    symlink(env.at("real"), env.at("folder")).unwrap();
    let run = env.sync().exits(0);
    assert_eq!(run.count("scanned"), 5, "{run:#?}");
    assert_eq!(env.assets().len(), 1);
    env.assert_still();
}
