//! Nothing is deleted by surprise.

use std::fs;
use std::process::Command;
use std::thread;
use std::time::Duration;

use dato_mirror::sandbox::{Fault, FaultKind};

use crate::process::{Daemon, Files, configure, digest, unshared, wait_mirrored};
use crate::support::TestEnv;

pub fn seconds(seconds: u64) {
    thread::sleep(Duration::from_secs(seconds));
}

pub fn ten_files(env: &TestEnv) {
    for number in 0..10 {
        env.write(format!("{number}.png"), number.to_string());
    }
}

#[track_caller]
pub fn nothing_deleted(env: &TestEnv, assets: usize) {
    assert_eq!(env.sandbox.count("DELETE /uploads/:id") + env.sandbox.count("POST /uploads/bulk/destroy"), 0);
    assert_eq!(env.assets().len(), assets);
}

#[test]
fn a_root_that_goes_away_deletes_nothing_and_work_goes_on_when_it_is_back() {
    let env = TestEnv::new();
    ten_files(&env);
    configure(&env, "on_delete = \"delete\"\nmax_delete = 1000");
    let daemon = Daemon::ready(&env);
    let away = env.home().join("away");
    fs::rename(env.root(), &away).unwrap();
    daemon.wait("paused", || daemon.mirror()["phase"]["name"] == "paused");
    fs::write(away.join("11.png"), "11").unwrap();
    seconds(5);
    nothing_deleted(&env, 10);
    assert_eq!(daemon.get("/healthz").0, 200, "a paused mirror is healthy");
    fs::rename(&away, env.root()).unwrap();
    wait_mirrored(&daemon, &env, &[("11.png".into(), digest("11"))]);
    env.write("12.png", "12");
    wait_mirrored(&daemon, &env, &[("12.png".into(), digest("12"))]);
    daemon.wait_idle();
    nothing_deleted(&env, 12);
    assert_eq!(daemon.lines("paused").len(), 1, "{:#?}", daemon.log());
    assert_eq!(daemon.lines("the root is back: going on").len(), 1, "{:#?}", daemon.log());
    // A single deletion is still a deletion.
    env.remove("1.png");
    daemon.wait("deleted", || env.assets().len() == 11);
    daemon.stop();
}

#[test]
fn an_emptied_root_deletes_nothing_and_an_empty_folder_in_its_place_neither() {
    let env = TestEnv::new();
    for number in 0..10 {
        env.write(format!("all/{number}.png"), number.to_string());
    }
    configure(&env, "on_delete = \"delete\"\nmax_delete = 1000");
    let daemon = Daemon::ready(&env);
    // At once: what goes file by file on a slow machine is ten deletions of a file.
    fs::rename(env.at("all"), env.home().join("away")).unwrap();
    daemon.wait("paused", || daemon.mirror()["phase"]["name"] == "paused");
    seconds(4);
    nothing_deleted(&env, 10);
    // As an unmounted share leaves it.
    fs::remove_dir(env.root()).unwrap();
    fs::create_dir(env.root()).unwrap();
    seconds(4);
    nothing_deleted(&env, 10);
    fs::rename(env.home().join("away"), env.at("all")).unwrap();
    env.write("new.png", "new");
    wait_mirrored(&daemon, &env, &[("new.png".into(), digest("new"))]);
    daemon.wait_idle();
    nothing_deleted(&env, 11);
    daemon.stop();
}

#[test]
fn a_mass_deletion_is_stopped_even_when_it_comes_in_pieces() {
    let env = TestEnv::new();
    let path = |number| if number < 30 { format!("first/{number}.png") } else { format!("{number}.png") };
    for number in 0..60 {
        env.write(path(number), number.to_string());
    }
    configure(&env, "on_delete = \"delete\"\nmax_delete = 10");
    let daemon = Daemon::ready(&env);
    // At once: what goes file by file on a slow machine is first a few, and those may be deleted.
    fs::rename(env.at("first"), env.home().join("away")).unwrap();
    daemon.wait("the guard", || daemon.mirror()["degraded"].to_string().contains("max_delete"));
    nothing_deleted(&env, 60);
    // The rest of the same `rm` comes later, and is few.
    for number in 30..35 {
        env.remove(&path(number));
    }
    daemon.wait("withheld too", || daemon.mirror()["failed"] == 35);
    nothing_deleted(&env, 60);
    // Everything else goes on.
    env.write("new.png", "new");
    wait_mirrored(&daemon, &env, &[("new.png".into(), digest("new"))]);
    // Put back: all is well again.
    for number in 0..35 {
        env.write(path(number), number.to_string());
    }
    daemon
        .wait("well again", || daemon.mirror()["failed"] == 0 && daemon.mirror()["degraded"] == serde_json::json!([]));
    nothing_deleted(&env, 61);
    daemon.stop();
}

#[test]
fn deletions_in_small_batches_count_together() {
    let env = TestEnv::new();
    for number in 0..60 {
        env.write(format!("{number}.png"), number.to_string());
    }
    configure(&env, "on_delete = \"delete\"\nmax_delete = 10");
    let daemon = Daemon::ready(&env);
    for number in 0..8 {
        env.remove(&format!("{number}.png"));
    }
    daemon.wait("eight are deleted", || env.assets().len() == 52);
    for number in 8..16 {
        env.remove(&format!("{number}.png"));
    }
    daemon.wait("the guard", || daemon.mirror()["degraded"].to_string().contains("max_delete"));
    assert_eq!(env.assets().len(), 52);
    daemon.stop();
}

#[test]
fn a_media_area_that_looks_empty_for_a_while_is_told_once_and_work_goes_on_when_it_is_back() {
    let env = TestEnv::new();
    ten_files(&env);
    configure(&env, "on_delete = \"delete\"\nremote_refresh = \"1s\"");
    let daemon = Daemon::ready(&env);
    daemon.wait_idle();
    env.sandbox.clear_log();
    let empty = Fault { route: "GET /uploads".into(), skip: 0, times: None, kind: FaultKind::EmptyList };
    env.sandbox.add_fault(empty);
    daemon.wait("the guard", || daemon.mirror()["degraded"].to_string().contains("--recreate"));
    // Several looks later it is still one line, and nobody is blamed.
    let looks = env.sandbox.count("GET /uploads");
    daemon.wait("more looks", || env.sandbox.count("GET /uploads") > looks + 1);
    env.write("new.png", "new");
    daemon.wait("the new file waits", || daemon.mirror()["pending"] == 11);
    assert_eq!(daemon.lines("--recreate").len(), 1, "{:#?}", daemon.log());
    assert!(daemon.lines("deleted in the CMS").is_empty(), "{:#?}", daemon.log());
    assert_eq!((daemon.mirror()["failed"].clone(), env.assets().len()), (0.into(), 10));
    env.sandbox.clear_faults();
    wait_mirrored(&daemon, &env, &[("new.png".into(), digest("new"))]);
    daemon.wait("well again", || daemon.mirror()["degraded"] == serde_json::json!([]));
    daemon.wait_idle();
    assert_eq!(daemon.mirror()["failed"], 0);
    nothing_deleted(&env, 11);
    daemon.stop();
}

#[test]
fn an_unmounted_root_deletes_nothing_and_work_goes_on_when_it_is_mounted_again() {
    let env = TestEnv::new();
    ten_files(&env);
    configure(&env, "on_delete = \"delete\"\nmax_delete = 1000");
    let (root, store) = (env.root().display().to_string(), env.home().join("store").display().to_string());
    fs::rename(&root, &store).unwrap();
    fs::create_dir(&root).unwrap();
    // A file system of its own, in a mount namespace of its own: a tmpfs with the folder's files.
    let mount = format!("mount -t tmpfs dato '{root}' && cp -a '{store}/.' '{root}/'");
    let Some(command) = unshared("-Urm", &mount) else { return };
    let daemon = Daemon::spawn(&env, command);
    daemon.wait_ready();
    let pid = daemon.pid().to_string();
    let inside = |line: &str| {
        let mut command = Command::new("nsenter");
        command.args(["-t", &pid, "-U", "-m", "--preserve-credentials", "sh", "-c", line]);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{line}: {output:?}");
    };
    assert_eq!(env.assets().len(), 10);
    inside(&format!("cp -a '{root}/.' '{store}/' && umount '{root}'"));
    daemon.wait("paused", || daemon.mirror()["phase"]["name"] == "paused");
    seconds(5);
    nothing_deleted(&env, 10);
    fs::write(env.home().join("store/new.png"), "new").unwrap();
    inside(&mount);
    let wanted: Files = vec![("new.png".into(), digest("new"))];
    wait_mirrored(&daemon, &env, &wanted);
    inside(&format!("echo later > '{root}/later.png'"));
    wait_mirrored(&daemon, &env, &[("later.png".into(), digest("later\n"))]);
    daemon.wait_idle();
    nothing_deleted(&env, 12);
    daemon.stop();
}

/// One run of `--sync-once` after this shell line, in a mount namespace of its own: exit code and report.
pub fn once(env: &TestEnv, line: &str, more: &[&str]) -> Option<(i32, String)> {
    let mut command = unshared("-Urm", line)?;
    command.args(["--sync-once", "--format", "json"]).args(more);
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).envs(&env.vars);
    let output = command.current_dir(env.home()).output().unwrap();
    let told = [output.stdout, output.stderr].concat();
    Some((output.status.code().unwrap(), String::from_utf8_lossy(&told).into_owned()))
}

#[test]
fn a_mount_below_the_root_that_went_is_no_deletion_for_a_run() {
    for policy in ["delete", "tag"] {
        let env = TestEnv::new();
        ten_files(&env);
        configure(&env, &format!("on_delete = \"{policy}\"\nmax_delete = 1000"));
        let archive = env.at("some/archive").display().to_string();
        fs::create_dir_all(&archive).unwrap();
        let files = "for n in 1 2 3 4 5 6 7 8 9 10 11 12; do echo $n > \"$A/$n.svg\"; done";
        let mount = format!("A='{archive}'; mount -t tmpfs archive \"$A\" && {files}");
        let Some((code, told)) = once(&env, &mount, &[]) else { return };
        assert_eq!((code, env.assets().len()), (0, 22), "{told}");
        for more in [&[][..], &["--dry-run"], &["--files-from", "/dev/null"]] {
            let (code, told) = once(&env, "true", more).unwrap();
            assert!(code == 4 && told.contains(&archive) && told.contains("--force"), "{code} {told}");
        }
        nothing_deleted(&env, 22);
        assert!(env.assets().iter().all(|asset| asset.tags.is_empty()));
        // Another one in its place is not it either; the one it was is.
        let (code, told) = once(&env, &format!("mount -t tmpfs other '{archive}'"), &[]).unwrap();
        assert_eq!(code, 4, "{told}");
        let (code, told) = once(&env, &mount, &[]).unwrap();
        assert_eq!(code, 0, "{told}");
        nothing_deleted(&env, 22);
        let (code, told) = once(&env, "true", &["--force"]).unwrap();
        assert_eq!(code, 0, "{told}");
        assert_eq!(env.assets().len(), if policy == "delete" { 10 } else { 22 });
        let (code, told) = once(&env, "true", &[]).unwrap();
        assert_eq!(code, 0, "and then it is as it is: {told}");
    }
}

#[test]
fn a_mount_over_mirrored_files_is_no_deletion() {
    let env = TestEnv::new();
    ten_files(&env);
    for number in 0..12 {
        env.write(format!("archive/{number}.svg"), format!("svg {number}"));
    }
    fs::create_dir(env.at("empty")).unwrap();
    configure(&env, "on_delete = \"delete\"\nmax_delete = 1000");
    let Some((code, told)) = once(&env, "true", &[]) else { return };
    assert_eq!((code, env.assets().len()), (0, 22), "{told}");
    let over = |folder: &str| format!("mount -t tmpfs over '{}'", env.at(folder).display());
    let (code, told) = once(&env, &over("archive"), &[]).unwrap();
    assert!(code == 4 && told.contains("archive"), "{code} {told}");
    nothing_deleted(&env, 22);
    let (code, told) = once(&env, &over("empty"), &[]).unwrap();
    assert_eq!(code, 0, "over nothing it is welcome: {told}");
}

#[test]
fn a_mount_below_the_root_that_goes_deletes_nothing_and_work_goes_on_when_it_is_back() {
    let env = TestEnv::new();
    ten_files(&env);
    configure(&env, "on_delete = \"delete\"\nmax_delete = 1000");
    let archive = env.at("archive").display().to_string();
    fs::create_dir(&archive).unwrap();
    let files = "for n in 1 2 3 4 5 6 7 8 9 10 11 12; do echo $n > \"$A/$n.svg\"; done";
    let mount = format!("A='{archive}'; mount -t tmpfs archive \"$A\" && {files}");
    let Some(command) = unshared("-Urm", &mount) else { return };
    let daemon = Daemon::spawn(&env, command);
    daemon.wait_ready();
    let pid = daemon.pid().to_string();
    let inside = |line: &str| {
        let mut command = Command::new("nsenter");
        command.args(["-t", &pid, "-U", "-m", "--preserve-credentials", "sh", "-c", line]);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{line}: {output:?}");
    };
    assert_eq!(env.assets().len(), 22);
    inside(&format!("rm '{archive}'/1.svg; umount '{archive}'"));
    daemon.wait("paused", || daemon.mirror()["phase"]["name"] == "paused");
    seconds(4);
    nothing_deleted(&env, 22);
    inside(&mount);
    inside(&format!("echo later > '{archive}/later.svg'"));
    wait_mirrored(&daemon, &env, &[("archive/later.svg".into(), digest("later\n"))]);
    daemon.wait_idle();
    nothing_deleted(&env, 23);
    daemon.stop();
}

#[test]
fn a_media_area_that_lost_its_assets_stops_the_daemon_and_it_says_so_once() {
    let env = TestEnv::new();
    ten_files(&env);
    configure(&env, "remote_refresh = \"1s\"");
    let daemon = Daemon::ready(&env);
    for asset in env.assets() {
        env.sandbox.delete_asset(None, &asset.id).unwrap();
    }
    let line = "assets of this mirror are not in the media area any more";
    daemon.wait_line(line);
    env.sandbox.clear_log();
    env.write("1.png", "changed");
    daemon.wait("looked again", || env.sandbox.count("GET /uploads") > 2);
    assert_eq!(daemon.lines(line).len(), 1, "{:#?}", daemon.log());
    assert!(env.assets().is_empty());
    daemon.stop();
}

#[test]
fn a_folder_that_meets_another_in_its_first_pass_overwrites_nothing_and_says_so_once() {
    let mut env = TestEnv::new();
    configure(&env, "on_delete = \"delete\"\nremote_refresh = \"1s\"");
    env.write("logo.svg", "mine");
    env.write("own.svg", "own");
    let other = env.home().join("second").join("brand");
    fs::create_dir_all(&other).unwrap();
    for name in ["logo.svg", "a.svg", "b.svg"] {
        fs::write(other.join(name), format!("their {name}")).unwrap();
    }
    let held = env.sandbox.hold_next("POST /uploads", 2);
    seconds(1);
    let daemon = Daemon::start(&env, &[]);
    daemon.wait("both creations are held", || held.count() == 2);
    let index = env.vars["DATO_MIRROR_STATE_PATH"].clone();
    env.set("DATO_MIRROR_STATE_PATH", env.home().join("second/state/index.sqlite").to_str().unwrap());
    env.sync_with(&["--root", other.to_str().unwrap()]).exits(0).did("created 3");
    env.set("DATO_MIRROR_STATE_PATH", &index);
    held.release();
    daemon.wait("the guard", || daemon.mirror()["degraded"].to_string().contains("--take-over"));
    let looks = env.sandbox.count("GET /uploads");
    daemon.wait("more looks", || env.sandbox.count("GET /uploads") > looks + 1);
    env.write("later.svg", "later");
    daemon.wait("the later file waits", || daemon.mirror()["pending"].as_u64().is_some_and(|pending| pending > 1));
    assert_eq!(env.content(&env.asset("logo.svg").id), b"their logo.svg");
    assert_eq!(daemon.lines("--take-over").len(), 1, "{:#?}", daemon.log());
    nothing_deleted(&env, 4);
    daemon.stop();
    env.sync_with(&["--take-over"]).exits(0).did("created 1, replaced 1");
}

#[test]
fn a_mount_below_the_root_that_is_empty_now_is_no_deletion_for_a_run() {
    for policy in ["delete", "tag"] {
        let env = TestEnv::new();
        ten_files(&env);
        configure(&env, &format!("on_delete = \"{policy}\"\nmax_delete = 1000"));
        let archive = env.at("some/archive").display().to_string();
        fs::create_dir_all(&archive).unwrap();
        let empty = format!("A='{archive}'; mount -t tmpfs none \"$A\"");
        let mount = format!("{empty} && for n in 1 2 3 4 5 6 7 8 9 10 11 12; do echo $n > \"$A/$n.svg\"; done");
        let Some((code, told)) = once(&env, &mount, &[]) else { return };
        assert_eq!((code, env.assets().len()), (0, 22), "{told}");
        let tags = |env: &TestEnv| env.assets().iter().map(|asset| asset.tags.len()).sum::<usize>();
        let nothing_to_mirror = format!("{empty} && mkdir \"$A/lost+found\" && touch \"$A/.hidden\" \"$A/x.tmp\"");
        for line in [&empty, &nothing_to_mirror] {
            for more in [&[][..], &["--dry-run"], &["--files-from", "/dev/null"]] {
                let (code, told) = once(&env, line, more).unwrap();
                assert!(code == 4 && told.contains(&archive) && told.contains("--force"), "{code} {told}");
            }
            nothing_deleted(&env, 22);
            assert_eq!(tags(&env), 0);
        }
        let (code, told) = once(&env, &mount, &[]).unwrap();
        assert_eq!(code, 0, "the one it was is welcome: {told}");
        // Some files fewer are ordinary deletions, as in a root.
        let (code, told) = once(&env, &format!("{mount}; rm \"$A\"/12.svg"), &[]).unwrap();
        assert_eq!(code, 0, "{told}");
        assert_eq!((env.assets().len(), tags(&env)), if policy == "delete" { (21, 0) } else { (22, 1) });
        let (code, told) = once(&env, &empty, &["--force"]).unwrap();
        assert_eq!(code, 0, "{told}");
        assert_eq!((env.assets().len(), tags(&env)), if policy == "delete" { (10, 0) } else { (22, 12) });
        let (code, told) = once(&env, &empty, &[]).unwrap();
        assert_eq!(code, 0, "and then it is as it is: {told}");
        let (code, told) = once(&env, &mount, &[]).unwrap();
        assert_eq!(code, 0, "{told}");
        let (code, told) = once(&env, &empty, &[]).unwrap();
        assert_eq!(code, 4, "and is missed again: {told}");
    }
}

/// A daemon in a mount namespace of its own, and a way to do something there.
pub fn in_a_namespace(env: &TestEnv, line: &str) -> Option<(Daemon, impl Fn(&str) + use<>)> {
    let daemon = Daemon::spawn(env, unshared("-Urm", line)?);
    let pid = daemon.pid().to_string();
    let inside = move |line: &str| {
        let mut command = Command::new("nsenter");
        command.args(["-t", &pid, "-U", "-m", "--preserve-credentials", "sh", "-c", line]);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{line}: {output:?}");
    };
    Some((daemon, inside))
}

#[test]
fn an_empty_mount_in_the_place_of_a_full_one_deletes_nothing_under_a_daemon() {
    for stacked in [false, true] {
        let env = TestEnv::new();
        ten_files(&env);
        configure(&env, "on_delete = \"delete\"\nmax_delete = 1000\nrescan_interval = \"2s\"");
        let archive = env.at("archive").display().to_string();
        fs::create_dir(&archive).unwrap();
        let empty = format!("A='{archive}'; mount -t tmpfs none \"$A\"");
        let mount = format!("{empty} && for n in 1 2 3 4 5 6 7 8 9 10 11 12; do echo $n > \"$A/$n.svg\"; done");
        let Some((daemon, inside)) = in_a_namespace(&env, &mount) else { return };
        daemon.wait_ready();
        assert_eq!(env.assets().len(), 22);
        // All at once, so that no look falls between the two.
        inside(&if stacked { empty } else { format!("umount '{archive}'; {empty}") });
        daemon.wait("paused", || daemon.mirror()["phase"]["name"] == "paused");
        seconds(5);
        nothing_deleted(&env, 22);
        inside(&format!("umount '{archive}'; {}", if stacked { "true" } else { mount.as_str() }));
        inside(&format!("echo later > '{archive}/later.svg'"));
        wait_mirrored(&daemon, &env, &[("archive/later.svg".into(), digest("later\n"))]);
        daemon.wait_idle();
        nothing_deleted(&env, 23);
        daemon.stop();
    }
}

#[test]
fn a_mount_over_mirrored_files_deletes_nothing_under_a_daemon_from_its_first_pass_on() {
    for first in [true, false] {
        let env = TestEnv::new();
        ten_files(&env);
        for number in 0..12 {
            env.write(format!("archive/{number}.svg"), format!("svg {number}"));
        }
        configure(&env, "on_delete = \"delete\"\nmax_delete = 1000\nrescan_interval = \"2s\"");
        let archive = env.at("archive").display().to_string();
        seconds(1);
        let held = env.sandbox.hold("POST /uploads");
        let Some((daemon, inside)) = in_a_namespace(&env, "true") else { return };
        let mut held = Some(held);
        daemon.wait("its first pass", || held.as_ref().is_some_and(|held| held.count() > 0));
        if !first {
            drop(held.take());
            daemon.wait_ready();
            daemon.wait_idle();
        }
        for with in ["true", "echo other > \"$A\"/other.svg"] {
            inside(&format!("A='{archive}'; mount -t tmpfs over \"$A\" && {with}"));
            drop(held.take());
            daemon.wait_for("paused", Duration::from_secs(45), || daemon.mirror()["phase"]["name"] == "paused");
            seconds(5);
            assert_eq!(env.sandbox.count("DELETE /uploads/:id"), 0);
            inside(&format!("umount '{archive}'"));
            daemon.wait_for("going on", Duration::from_secs(45), || daemon.mirror()["phase"]["name"] != "paused");
            daemon.wait_idle();
            nothing_deleted(&env, 22);
        }
        env.write("archive/later.svg", "later");
        wait_mirrored(&daemon, &env, &[("archive/later.svg".into(), digest("later"))]);
        daemon.wait_idle();
        nothing_deleted(&env, 23);
        daemon.stop();
    }
}
