//! Disks whose inode numbers tell nothing, and those that take upper and lower case for the same.

use std::fs;
use std::os::unix::fs::MetadataExt as _;

use crate::fuse_disk::Disk;
use crate::support::{TestEnv, stamped_paths};

#[test]
fn a_disk_that_numbers_its_files_anew_has_nothing_read_again_and_nothing_missed() {
    let mut env = TestEnv::new();
    let Some(disk) = Disk::mount(&env.root()) else { return };
    // Longer than the two seconds that a disk with whole seconds leaves in doubt.
    env.set("DATO_MIRROR_SETTLE", "2100ms");
    let files = ["a.png", "b.png", "c.png", "d.png"];
    files.iter().for_each(|name| disk.put(name, name, 1_700_000_000));
    disk.put("a.png.meta.toml", "notes = \"of a\"\n", 1_700_000_000);
    env.sync().exits(0).did("created 4");
    assert_eq!(env.asset("a.png").notes.as_deref(), Some("of a"));

    let number = || fs::metadata(env.at("a.png")).unwrap().ino();
    let before = number();
    disk.renumber();
    assert!(number() > before, "it has another number");
    env.assert_still().exits(0);
    assert_eq!(disk.read(), [""; 0], "nothing is read again");

    // Another content of the same size, at another second.
    disk.put("b.png", "B.png", 1_700_000_001);
    disk.renumber();
    env.sync().exits(0).did("replaced 1");
    assert_eq!(env.content(&env.asset("b.png").id), b"B.png");
    let mut read = disk.read();
    read.sort();
    read.dedup();
    assert_eq!(read, ["b.png"]);

    // What no time tells is found by who asks for it.
    disk.put("c.png", "C.png", 1_700_000_000);
    env.assert_still().exits(0);
    env.sync_with(&["--checksum"]).exits(0).did("replaced 1");
    assert_eq!(env.content(&env.asset("c.png").id), b"C.png");
    disk.put("a.png.meta.toml", "notes = \"OF A\"\n", 1_700_000_000);
    env.assert_still().exits(0);
    env.sync_with(&["--checksum"]).exits(0).did("retagged 1");
    assert_eq!(env.asset("a.png").notes.as_deref(), Some("OF A"));
}

#[test]
fn a_name_that_changes_its_case_on_a_disk_that_takes_both_for_the_same_is_a_move() {
    let mut env = TestEnv::new();
    let Some(disk) = Disk::mount(&env.root()) else { return };
    disk.ignore_case();
    env.set("DATO_MIRROR_SETTLE", "2100ms");
    disk.put("Logo.png", "logo", 1_700_000_000);
    disk.put("other.png", "other", 1_700_000_000);
    env.sync().exits(0).did("created 2");
    let before = env.asset("Logo.png");
    disk.rename("Logo.png", "logo.png");
    assert!(env.at("Logo.png").exists(), "the disk answers to both");
    env.sync().exits(0).did("moved 1");
    let after = env.asset("logo.png");
    assert_eq!((&after.id, &after.url), (&before.id, &before.url));
    env.assert_still().exits(0);
    // With another content at the same time.
    disk.rename("logo.png", "LOGO.png");
    disk.put("LOGO.png", "changed", 1_700_000_003);
    env.sync().exits(0).did("replaced 1, retagged 1");
    let after = env.asset("LOGO.png");
    assert_eq!((&after.id, &after.url, env.content(&after.id)), (&before.id, &before.url, b"changed".to_vec()));
    assert_eq!((stamped_paths(&after), env.assets().len()), (vec!["LOGO.png".to_owned()], 2));
    env.assert_still().exits(0);
}

/// There a file answers to its name in any case, and people write it as they like.
#[test]
fn a_path_in_another_case_is_the_file_on_a_disk_that_takes_both_for_the_same() {
    let mut env = TestEnv::new();
    let Some(disk) = Disk::mount(&env.root()) else { return };
    disk.ignore_case();
    disk.put("Logo.txt", "logo", 1_700_000_000);
    env.set("DATO_MIRROR_ROOT", "brand");
    env.sync().exits(0).did("created 1");
    disk.put("Logo.txt", "logo, changed", 1_700_000_100);
    for command in ["explain", "retry"] {
        let run = env.run(&[command, "brand/LOGO.txt", "--format", "json"]).exits(0);
        assert!(run.stdout.contains("Logo.txt\"") && !run.stdout.contains("LOGO.txt\""), "{command}: {run:#?}");
    }
    let listed = |names: &str| {
        let args = ["--sync-once", "--format", "json", "--files-from", "-"];
        env.run_with_input(&args, names.as_bytes())
    };
    listed("brand/LOGO.txt\n").exits(0).did("replaced 1");
    assert_eq!(env.content(&env.asset("Logo.txt").id), b"logo, changed");
    disk.put("New.txt", "new", 1_700_000_200);
    listed("brand/NEW.txt\n").exits(0).did("created 1");
    env.asset("New.txt");
    env.sync().exits(0).did("");
}
