//! Disks that come back under another name, and the ways past a guard beside a running daemon.

use std::fs;
use std::time::Duration;

use crate::fuse_disk::Disk;
use crate::guard::{in_a_namespace, nothing_deleted, once, seconds, ten_files};
use crate::process::{Daemon, configure, digest, wait_mirrored};
use crate::support::{TestEnv, stamped_paths};

/// A folder beside the root with the files of the disk, and the line that mounts a disk of this name with them.
fn disk(
    env: &TestEnv,
    point: &std::path::Path,
    files: impl Iterator<Item = (String, String)>,
) -> impl Fn(&str) -> String {
    let store = env.home().join("store");
    fs::create_dir_all(&store).unwrap();
    fs::create_dir_all(point).unwrap();
    for (name, content) in files {
        fs::write(store.join(name), content).unwrap();
    }
    let (store, point) = (store.display().to_string(), point.display().to_string());
    move |name| format!("mount -t tmpfs {name} '{point}' && cp -a '{store}/.' '{point}/'")
}

fn twelve() -> impl Iterator<Item = (String, String)> {
    (0..12).map(|number| (format!("{number}.svg"), format!("svg {number}")))
}

/// A daemon whose root lies on the disk that this line mounts, and a way to do something in its namespace.
fn on_a_disk(env: &TestEnv, mount: &str) -> Option<(Daemon, impl Fn(&str) + use<>)> {
    configure(env, "on_delete = \"delete\"\nmax_delete = 1000\nrescan_interval = \"2s\"");
    let (daemon, inside) = in_a_namespace(env, mount)?;
    daemon.wait_ready();
    Some((daemon, inside))
}

#[test]
fn the_same_disk_under_another_device_name_is_the_same_disk_for_a_run() {
    // As the root, and below it.
    for below in [false, true] {
        let env = TestEnv::new();
        configure(&env, "on_delete = \"delete\"\nmax_delete = 1000");
        let point = if below { env.at("archive") } else { env.root().to_owned() };
        let mount = disk(&env, &point, twelve());
        let store = env.home().join("store");
        if below {
            ten_files(&env);
        }
        let assets = if below { 22 } else { 12 };
        let Some((code, told)) = once(&env, &mount("/dev/sdb1"), &[]) else { return };
        assert_eq!((code, env.assets().len()), (0, assets), "{told}");
        let (code, told) = once(&env, &mount("/dev/sdc1"), &[]).unwrap();
        assert!(code == 0 && told.contains("holds the same files"), "{told}");
        let (code, told) = once(&env, &mount("/dev/sdc1"), &[]).unwrap();
        assert!(code == 0 && !told.contains("holds the same files"), "it is remembered: {told}");

        // A file saved on another machine meanwhile is a saved file.
        fs::write(store.join("1.svg"), "saved later").unwrap();
        let (code, told) = once(&env, &mount("/dev/sdd1"), &[]).unwrap();
        assert_eq!((code, env.assets().len()), (0, assets), "{told}");

        // An old copy is not the disk, and neither is one that lacks a file.
        let times = fs::FileTimes::new().set_modified(std::time::UNIX_EPOCH);
        let file = fs::File::options().write(true).open(store.join("2.svg")).unwrap();
        let before = file.metadata().unwrap().modified().unwrap();
        file.set_times(times).unwrap();
        let (code, told) = once(&env, &mount("/dev/sde1"), &[]).unwrap();
        assert!(code == 4 && told.contains("--force"), "{code} {told}");
        file.set_times(fs::FileTimes::new().set_modified(before)).unwrap();
        fs::rename(store.join("3.svg"), env.home().join("3.svg")).unwrap();
        let (code, told) = once(&env, &mount("/dev/sde1"), &[]).unwrap();
        assert_eq!(code, 4, "{told}");
        nothing_deleted(&env, assets);
        let (code, told) = once(&env, &mount("/dev/sde1"), &["--force"]).unwrap();
        assert_eq!((code, env.assets().len()), (0, assets - 1), "{told}");
    }
}

#[test]
fn a_disk_that_is_plugged_in_again_under_a_daemon_goes_on_under_its_new_name() {
    let env = TestEnv::new();
    let root = env.root();
    let mount = disk(&env, &root, twelve());
    let Some((daemon, inside)) = on_a_disk(&env, &mount("/dev/sdb1")) else { return };
    inside(&format!("umount '{}'", root.display()));
    daemon.wait("paused", || daemon.mirror()["phase"]["name"] == "paused");
    inside(&mount("/dev/sdc1"));
    inside(&format!("echo later > '{}/later.svg'", root.display()));
    wait_mirrored(&daemon, &env, &[("later.svg".into(), digest("later\n"))]);
    daemon.wait_idle();
    nothing_deleted(&env, 13);
    daemon.stop();
}

#[test]
fn each_way_past_a_guard_works_while_the_daemon_runs() {
    let env = TestEnv::new();
    let root = env.root();
    let mount = disk(&env, &root, twelve());
    let Some((daemon, inside)) = on_a_disk(&env, &mount("/dev/sdb1")) else { return };
    let stopped = env.run(&["--sync-once", "--force"]);
    assert!(stopped.code == 5 && stopped.stderr.contains("retry --force"), "{stopped:#?}");

    // Another disk, on which a file is missing.
    fs::remove_file(env.home().join("store/3.svg")).unwrap();
    inside(&format!("umount '{}'; {}", root.display(), mount("/dev/sdc1")));
    daemon.wait("paused", || daemon.mirror()["phase"]["name"] == "paused");
    seconds(4);
    nothing_deleted(&env, 12);
    let said = env.run(&["retry", "--force"]);
    assert!(said.code == 0 && said.stdout.contains("--force, once"), "{said:#?}");
    daemon.wait("going on", || env.assets().len() == 11);
    daemon.wait_idle();

    // Once is once.
    inside(&format!("umount '{}'; mount -t tmpfs other '{0}'; echo x > '{0}/x.svg'", root.display()));
    daemon.wait("paused again", || daemon.mirror()["phase"]["name"] == "paused");
    seconds(8);
    assert_eq!(env.assets().len(), 11);
    daemon.stop();
    let late = env.run(&["retry", "--force"]);
    assert!(late.code == 2 && late.stderr.contains("--sync-once --force"), "{late:#?}");
}

#[test]
fn a_mass_deletion_that_is_meant_is_let_through_beside_the_daemon_once() {
    let env = TestEnv::new();
    let path = |number| format!("{}/{number}.png", if number < 30 { "first" } else { "second" });
    for number in 0..90 {
        env.write(path(number), number.to_string());
    }
    configure(&env, "on_delete = \"delete\"\nmax_delete = 10");
    let daemon = Daemon::ready(&env);
    fs::rename(env.at("first"), env.home().join("first")).unwrap();
    daemon.wait("the guard", || daemon.mirror()["degraded"].to_string().contains("retry --force"));
    nothing_deleted(&env, 90);
    let said = env.run(&["retry", "--force"]);
    assert_eq!(said.code, 0, "{said:#?}");
    daemon.wait("deleted", || env.assets().len() == 60);
    daemon.wait("well again", || daemon.mirror()["failed"] == 0);
    daemon.wait_idle();
    fs::rename(env.at("second"), env.home().join("second")).unwrap();
    env.write("new.png", "new");
    daemon.wait("the guard, again", || daemon.mirror()["degraded"].to_string().contains("max_delete"));
    assert_eq!(env.assets().iter().filter(|asset| asset.filename != "new.png").count(), 60);
    daemon.stop();
}

/// On exFAT, FAT or NTFS the old name still answers when a file has a new one in another case.
#[test]
fn a_name_that_changes_its_case_on_a_disk_that_takes_both_for_the_same_keeps_its_asset() {
    let env = TestEnv::new();
    let Some(disk) = Disk::mount(&env.root()) else { return };
    disk.ignore_case();
    disk.put("Logo.png", "logo", 1_700_000_000);
    disk.put("other.png", "other", 1_700_000_000);
    env.config(
        "[[mirror]]\nname = \"brand\"\nroot = \"brand\"\nsettle = \"2100ms\"\nwatch = \"poll\"\npoll_interval = \"300ms\"\n\
         on_delete = \"delete\"\n",
    );
    let daemon = Daemon::start(&env, &[]);
    wait_mirrored(&daemon, &env, &[("Logo.png".into(), digest("logo")), ("other.png".into(), digest("other"))]);
    let before = env.asset("Logo.png");
    for (from, to) in [("Logo.png", "logo.png"), ("logo.png", "LOGO.png")] {
        disk.rename(from, to);
        let has_it = || env.assets().iter().any(|asset| stamped_paths(asset).contains(&to.to_owned()));
        daemon.wait_for("moved", Duration::from_secs(120), has_it);
        daemon.wait_idle();
        let after = env.asset(to);
        assert_eq!((&after.id, &after.url), (&before.id, &before.url));
        assert_eq!(stamped_paths(&after), [to], "the old name is nobody's");
        assert_eq!(env.assets().len(), 2);
    }
    disk.put("LOGO.png", "changed", 1_700_000_007);
    wait_mirrored(&daemon, &env, &[("LOGO.png".into(), digest("changed"))]);
    assert_eq!(env.asset("LOGO.png").id, before.id);
    disk.rename("LOGO.png", "Logo.png");
    disk.put("Logo.png", "changed again", 1_700_000_017);
    wait_mirrored(&daemon, &env, &[("Logo.png".into(), digest("changed again"))]);
    daemon.wait_idle();
    let after = env.asset("Logo.png");
    assert_eq!((&after.id, &after.url, env.assets().len()), (&before.id, &before.url, 2));
    daemon.stop();
}

/// Every tmpfs is called the same, whatever is in it.
#[test]
fn another_file_system_without_a_name_of_its_own_is_another_one_for_a_run() {
    for (guard, below) in [("1000", false), ("10%", false), ("1000", true)] {
        let env = TestEnv::new();
        configure(&env, &format!("on_delete = \"delete\"\nmax_delete = \"{guard}\"").replace("\"1000\"", "1000"));
        let point = if below { env.at("archive") } else { env.root().to_owned() };
        let mount = disk(&env, &point, twelve());
        let store = env.home().join("store");
        if below {
            ten_files(&env);
        }
        let assets = if below { 22 } else { 12 };
        let Some((code, told)) = once(&env, &mount("none"), &[]) else { return };
        assert_eq!((code, env.assets().len()), (0, assets), "{told}");
        let other = format!("mount -t tmpfs none '{0}'; echo other > '{0}/other.svg'", point.display());
        for more in [&[][..], &["--dry-run"], &["--checksum"]] {
            let (code, told) = once(&env, &other, more).unwrap();
            assert!(
                code == 4 && told.contains(&point.display().to_string()) && told.contains("--force"),
                "{code} {told}"
            );
            assert!(below || told.contains("another one of that name"), "{told}");
        }
        assert!(env.find("other.svg").is_none() && env.find("archive/other.svg").is_none(), "nor is it mirrored first");
        nothing_deleted(&env, assets);

        // Filled again with the same files it is the same, and files that went meanwhile are ordinary deletions.
        let (code, told) = once(&env, &mount("none"), &[]).unwrap();
        assert!(code == 0 && told.contains("holds the same files"), "{code} {told}");
        nothing_deleted(&env, assets);
        fs::remove_file(store.join("3.svg")).unwrap();
        fs::write(store.join("new.svg"), "new").unwrap();
        let (code, told) = once(&env, &mount("none"), &[]).unwrap();
        assert_eq!((code, env.assets().len()), (0, assets), "one went and one came: {told}");

        // What is all new is somebody's word to give.
        let (code, told) = once(&env, &other, &["--force"]).unwrap();
        assert_eq!((code, env.assets().len()), (0, assets - 11), "{told}");
    }
}

#[test]
fn another_file_system_without_a_name_of_its_own_stops_a_daemon_until_the_right_one_is_back() {
    let env = TestEnv::new();
    let root = env.root();
    let mount = disk(&env, &root, twelve());
    let Some((daemon, inside)) = on_a_disk(&env, &mount("none")) else { return };
    let other = format!("mount -t tmpfs none '{0}'; echo other > '{0}/other.svg'", root.display());
    inside(&format!("umount '{}'; {other}", root.display()));
    daemon.wait("paused", || daemon.mirror()["phase"]["name"] == "paused");
    seconds(5);
    nothing_deleted(&env, 12);
    assert!(env.find("other.svg").is_none());
    inside(&format!("umount '{}'; {}", root.display(), mount("none")));
    inside(&format!("echo later > '{}/later.svg'", root.display()));
    wait_mirrored(&daemon, &env, &[("later.svg".into(), digest("later\n"))]);
    daemon.wait_idle();
    nothing_deleted(&env, 13);
    daemon.stop();
}
