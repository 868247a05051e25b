//! What folders really hold: each bad thing is told clearly, loses nothing, and keeps no other file from the media area.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::process::Command;
use std::thread;
use std::time::Duration;

use dato_mirror::sandbox::{Fault, FaultKind};

use crate::support::{TestEnv, bytes, wait_until};

/// A folder with a good file in it.
fn with_a_good_file() -> TestEnv {
    let env = TestEnv::new();
    env.write("good.png", "good");
    env
}

#[track_caller]
fn good_is_mirrored(env: &TestEnv) {
    assert_eq!(env.content(&env.asset("good.png").id), b"good");
}

#[test]
fn an_empty_root_is_exit_4_even_at_the_first_run() {
    let env = TestEnv::new();
    let run = env.sync().exits(4);
    assert!(run.stderr.contains("no file to mirror") && run.stderr.contains("guard"), "{run:#?}");
    fs::create_dir(env.at("empty folder")).unwrap();
    env.write(".hidden", "x");
    env.write("Thumbs.db", "x");
    env.sync().exits(4);
    assert_eq!(env.mutating().len(), 0);
}

#[test]
fn a_root_whose_files_are_all_excluded_is_empty_too() {
    let mut env = with_a_good_file();
    env.set("DATO_MIRROR_INCLUDE", "**/*.jpg");
    let run = env.sync().exits(4);
    assert!(run.stderr.contains("include"), "{run:#?}");
}

#[test]
fn one_mirror_without_its_root_does_not_stop_the_other() {
    let env = with_a_good_file();
    env.config(
        "[[mirror]]\nname = \"brand\"\nroot = \"brand\"\nsettle = \"20ms\"\n\
         [[mirror]]\nname = \"press\"\nroot = \"not-mounted\"\n",
    );
    let run = env.sync().exits(4);
    assert!(run.stdout.contains("not-mounted") && run.stdout.contains("missing"), "{run:#?}");
    good_is_mirrored(&env);
}

#[test]
fn a_file_over_1_gb_is_told_and_not_read() {
    let env = with_a_good_file();
    File::create(env.at("huge.mp4")).unwrap().set_len(1_000_000_001).unwrap();
    // Whoever began to read this one would not be through within the hour.
    File::create(env.at("endless.mp4")).unwrap().set_len(4_000_000_000_000).unwrap();
    let run = env.sync().exits(1);
    for path in ["huge.mp4", "endless.mp4"] {
        assert!(run.problem(path).contains("1 GB"), "{run:#?}");
    }
    assert_eq!(run.changes(), "created 1, failed 2");
    env.remove("endless.mp4");
    good_is_mirrored(&env);
    let again = env.assert_still().exits(1);
    assert!(again.problem("huge.mp4").contains("1 GB"), "it is told each time: {again:#?}");
    env.remove("huge.mp4");
    env.assert_still().exits(0);
}

#[test]
fn a_known_file_that_grows_over_1_gb_keeps_its_asset() {
    let mut env = with_a_good_file();
    env.set("DATO_MIRROR_ON_DELETE", "delete");
    env.write("film.mp4", "short");
    env.sync().exits(0);
    File::options().write(true).open(env.at("film.mp4")).unwrap().set_len(1_000_000_001).unwrap();
    let run = env.sync().exits(1);
    assert!(run.problem("film.mp4").contains("1 GB"), "{run:#?}");
    assert_eq!((env.content(&env.asset("film.mp4").id), env.mutating().len()), (b"short".to_vec(), 0));
}

/// Whether this user is kept out by file modes; root is not.
fn modes_count(env: &TestEnv) -> bool {
    let probe = env.home().join("probe");
    fs::write(&probe, "x").unwrap();
    fs::set_permissions(&probe, fs::Permissions::from_mode(0o000)).unwrap();
    File::open(probe).is_err()
}

#[test]
fn an_unreadable_file_or_folder_is_told_and_nothing_in_it_is_taken_for_gone() {
    let mut env = with_a_good_file();
    if !modes_count(&env) {
        println!("skipped: this user may read everything");
        return;
    }
    env.set("DATO_MIRROR_ON_DELETE", "delete");
    env.write("shut.png", "shut");
    env.write("folder/inside.png", "inside");
    env.sync().exits(0).did("created 3");
    let shut = |path: &str, mode| fs::set_permissions(env.at(path), fs::Permissions::from_mode(mode)).unwrap();
    shut("shut.png", 0o000);
    shut("folder", 0o000);
    let run = env.sync();
    shut("folder", 0o755);
    run.exits(1).problem("folder");
    assert_eq!((env.assets().len(), env.mutating().len()), (3, 0));
}

/// Works for root too: a folder so deep that its path is longer than the system opens.
#[test]
fn a_folder_too_deep_to_open_is_told_and_the_others_are_mirrored() {
    let env = with_a_good_file();
    let segment = "d".repeat(250);
    let script = format!(
        "cd '{}' && for i in $(seq 1 20); do mkdir {segment} && cd {segment} || exit 1; done && echo deep > deep.png",
        env.root().display()
    );
    assert!(Command::new("/bin/bash").args(["-c", &script]).status().unwrap().success());
    let run = env.sync();
    println!(
        "too deep: exit {}, {}, {:?}",
        run.code,
        run.changes(),
        run.problems().iter().map(|(path, cause)| (path.len(), cause.clone())).collect::<Vec<_>>()
    );
    good_is_mirrored(&env);
    assert!(env.assets().len() == 2 || (run.code == 1 && !run.problems().is_empty()), "{run:#?}");
    env.assert_still();
}

#[test]
fn a_file_that_vanishes_or_changes_in_mid_upload_costs_nobody_else() {
    for change in ["vanish", "change"] {
        let env = with_a_good_file();
        env.write("slow.bin", bytes(1, 8_000_000));
        let slow = Fault {
            route: "POST /upload-requests".into(),
            skip: 0,
            times: None,
            kind: FaultKind::Delay { ms: 600_000 },
        };
        env.sandbox.add_fault(slow);
        let run = env.start(&["--root", "brand", "--sync-once", "--format", "json"], b"");
        wait_until("both are under way", || env.sandbox.count("POST /upload-requests") >= 2);
        if change == "vanish" {
            env.remove("slow.bin");
        } else {
            env.write("slow.bin", bytes(2, 7_000_000));
        }
        env.sandbox.clear_faults();
        let run = run.end();
        good_is_mirrored(&env);
        assert_eq!(run.code, 0, "{run:#?}");
        match change {
            "vanish" => assert_eq!(env.assets().len(), 1, "{run:#?}"),
            _ => assert_eq!(env.content(&env.asset("slow.bin").id), bytes(2, 7_000_000), "{run:#?}"),
        }
        env.assert_still().exits(0);
    }
}

#[test]
fn any_name_a_file_system_allows_is_mirrored() {
    let env = with_a_good_file();
    let long = format!("{}.png", "ä".repeat(125));
    assert_eq!(long.len(), 254);
    let longest = format!("{}.png", "n".repeat(251));
    let names: Vec<&[u8]> = vec![
        b"with space.png",
        b"quo'te.png",
        b"dou\"ble.png",
        b"new\nline.png",
        b"tab\t.png",
        b"back\\slash.png",
        b"per%20cent.png",
        b"hash#1.png",
        b"quest?ion.png",
        b"amp&er=sand.png",
        b"semi;colon.png",
        b"<b>.png",
        b"$(touch x).png",
        b"-dash.png",
        "emoji 🎨👩‍🚀.png".as_bytes(),
        "日本語.png".as_bytes(),
        "nfd cafe\u{301}.png".as_bytes(),
        "rtl \u{202e}gnp.png".as_bytes(),
        long.as_bytes(),
        longest.as_bytes(),
        b"no-utf8-\xff\xfe.png",
        b"no extension",
        b"UPPER.PNG",
        b"two..dots.png",
        b"trailing.",
        b" leading.png",
        b"a+b.png",
        b"comma,s.png",
        b"brackets[1]{2}.png",
        b"star*.png",
        b"\x01control\x1b[31m.png",
        b"dir \xe9/x\xff.png",
    ];
    for name in &names {
        env.write(OsStr::from_bytes(name), name);
    }
    let run = env.sync().exits(0);
    assert_eq!(run.count("created"), names.len() as u64 + 1, "{run:#?}");
    for name in &names {
        let found = env.assets().into_iter().filter(|asset| env.content(&asset.id) == *name).count();
        assert_eq!(found, 1, "{}", String::from_utf8_lossy(name));
    }
    env.assert_still().exits(0);
    // They are found again without an index, and are still files that can be edited and moved.
    env.lose_index();
    env.write(OsStr::from_bytes(names[20]), "edited");
    fs::rename(env.at(OsStr::from_bytes(names[3])), env.at("calm.png")).unwrap();
    env.sync().exits(0).did("moved 1, replaced 1");
    assert_eq!(env.assets().len(), names.len() + 1);
    env.assert_still().exits(0);
    // No name reaches the terminal as it is.
    env.write(OsStr::from_bytes(names[30]), "edited too");
    for args in [&["--root", "brand", "--dry-run"][..], &["--root", "brand", "--sync-once", "-v"]] {
        let run = env.run(args).exits(0);
        assert!(!run.stdout.contains('\u{1b}') && !run.stderr.contains('\u{1b}'), "{run:#?}");
    }
}

#[test]
fn nfc_and_nfd_of_one_name_are_one_file_to_a_person_and_that_is_said() {
    let env = with_a_good_file();
    env.write("caf\u{e9}.png", "composed");
    env.write("cafe\u{301}.png", "decomposed");
    let run = env.sync();
    assert!(run.problems().iter().any(|(path, _)| path.contains("caf")), "{run:#?}");
    assert_eq!(env.assets().len(), 2, "{run:#?}");
    good_is_mirrored(&env);
    let again = env.assert_still();
    assert!(again.problems().iter().any(|(path, _)| path.contains("caf")), "{again:#?}");
    // A Mac writes the other form: the same file.
    let id = env.asset("caf\u{e9}.png").id;
    let content = env.content(&id);
    fs::remove_file(env.at("caf\u{e9}.png")).unwrap();
    fs::remove_file(env.at("cafe\u{301}.png")).unwrap();
    fs::write(env.at("cafe\u{301}.png"), &content).unwrap();
    env.assert_still().exits(0);
}

#[test]
fn a_folder_whose_accents_are_spelt_anew_keeps_its_assets_and_is_still_sent() {
    for (before, after) in [("Bu\u{308}cher", "B\u{fc}cher"), ("B\u{fc}cher", "Bu\u{308}cher")] {
        let mut env = with_a_good_file();
        for name in ["one.png", "two.png"] {
            env.write(format!("{before}/{name}"), name);
        }
        env.write("nai\u{308}ve.png", "naive");
        env.sync().exits(0);
        fs::rename(env.at(before), env.at(after)).unwrap();
        fs::rename(env.at("nai\u{308}ve.png"), env.at("na\u{ef}ve.png")).unwrap();
        env.assert_still().exits(0);
        // Another folder's rule, and a lost asset, have files opened that did not change.
        env.write(format!("{after}/one.png"), "one edited");
        let two = env.asset("B\u{fc}cher/two.png").id;
        env.sandbox.delete_asset(None, &two).unwrap();
        env.set("DATO_MIRROR_ON_REMOTE_DELETE", "recreate");
        env.sync().exits(0).did("created 1, replaced 1");
    }
}

#[test]
fn empty_files_are_files() {
    let env = with_a_good_file();
    env.write("empty.txt", "");
    env.write("also-empty.txt", "");
    let run = env.sync();
    println!("empty: exit {}, {}, {:?}", run.code, run.changes(), run.problems());
    good_is_mirrored(&env);
    assert_eq!(run.code, 0, "{run:#?}");
    assert_eq!(env.content(&env.asset("empty.txt").id), b"");
    env.assert_still().exits(0);
    env.write("empty.txt", "no more");
    env.sync().exits(0);
    env.write("empty.txt", "");
    env.sync().exits(0);
    env.assert_still().exits(0);
}

#[test]
fn links_are_followed_inside_the_root_only_and_never_in_a_loop() {
    let env = with_a_good_file();
    fs::create_dir_all(env.at("a/b")).unwrap();
    env.write("a/b/inner.png", "inner");
    fs::write(env.home().join("secret.txt"), "secret").unwrap();
    symlink("../..", env.at("a/b/loop")).unwrap();
    symlink("self", env.at("self")).unwrap();
    symlink(env.home().join("secret.txt"), env.at("out.txt")).unwrap();
    symlink(env.home(), env.at("out-folder")).unwrap();
    symlink("nowhere", env.at("broken.png")).unwrap();
    symlink("good.png", env.at("link.png")).unwrap();
    let run = env.sync().exits(0);
    good_is_mirrored(&env);
    assert!(env.assets().iter().all(|asset| env.content(&asset.id) != b"secret"), "{run:#?}");
    for path in ["self", "out.txt", "out-folder", "broken.png"] {
        run.problem(path);
    }
    assert!(run.problems().iter().any(|(path, _)| path == "a/b/loop"), "{run:#?}");
    assert!(env.find("link.png").is_some(), "a link inside the root is a file: {run:#?}");
    assert_eq!(env.assets().len(), 2, "{run:#?}");
    let again = env.assert_still().exits(0);
    assert_eq!(again.count("skipped"), run.count("skipped"));
}

#[test]
fn pipes_sockets_and_devices_are_skipped_and_never_waited_for() {
    let env = with_a_good_file();
    assert!(Command::new("mkfifo").arg(env.at("pipe.png")).status().unwrap().success());
    let _socket = std::os::unix::net::UnixListener::bind(env.at("socket.png")).unwrap();
    // A pipe that was opened would be waited for for ever.
    let run = env.sync().exits(0);
    assert!(run.problem("pipe.png").contains("pipe"), "{run:#?}");
    assert!(run.problem("socket.png").contains("socket"), "{run:#?}");
    assert_eq!(run.changes(), "created 1, skipped 2");
    good_is_mirrored(&env);
    env.assert_still().exits(0);
}

#[test]
fn half_saved_and_lock_files_are_no_assets() {
    let env = with_a_good_file();
    for name in [
        ".DS_Store",
        "Thumbs.db",
        "desktop.ini",
        "~$report.docx",
        ".~lock.plan.odt#",
        "x.swp",
        ".x.tmp",
        "film.mp4.part",
        "film.crdownload",
    ] {
        env.write(name, name);
    }
    env.sync().exits(0).did("created 1");
    assert_eq!(env.assets().len(), 1);
}

#[test]
fn a_file_that_never_rests_is_told_and_holds_nothing_up_for_long() {
    let mut env = with_a_good_file();
    // A hundred times what lies between two writes: a writer that is kept waiting by a busy machine makes no rest.
    env.set("DATO_MIRROR_SETTLE", "5s");
    env.write("log.txt", "0");
    let path = env.at("log.txt");
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let writer = thread::spawn(move || {
        let mut lines = 0;
        while stopped.recv_timeout(Duration::from_millis(50)).is_err() {
            lines += 1;
            fs::write(&path, format!("{lines} lines")).unwrap();
        }
    });
    let run = env.sync();
    stop.send(()).unwrap();
    writer.join().unwrap();
    assert!(run.problem("log.txt").contains("still being written"), "{run:#?}");
    good_is_mirrored(&env);
    assert_eq!((run.code, run.count("failed"), env.assets().len()), (1, 1, 1), "{run:#?}");
    env.set("DATO_MIRROR_SETTLE", "20ms");
    env.sync().exits(0).did("created 1");
    env.assert_still().exits(0);
}

#[test]
fn a_damaged_index_is_set_aside_and_costs_no_asset() {
    let env = with_a_good_file();
    env.sync().exits(0).did("created 1");
    fs::write(env.index(), b"this is no database at all, but it is long enough to be taken for one".repeat(100))
        .unwrap();
    let run = env.sync().exits(0);
    assert!(run.stderr.contains("damaged"), "{run:#?}");
    assert_eq!((env.assets().len(), env.mutating().len()), (1, 0));
    env.assert_still().exits(0);
}

#[test]
fn a_broken_sidecar_is_told_and_the_file_is_mirrored_all_the_same() {
    let env = with_a_good_file();
    env.write("good.png.meta.toml", "tags = [\"unclosed");
    let run = env.sync();
    assert!(run.problems().iter().any(|(path, _)| path.contains("good.png")), "{run:#?}");
    good_is_mirrored(&env);
    env.write("good.png.meta.toml", "tags = [\"fine\"]");
    env.sync().exits(0);
    assert_eq!(env.asset("good.png").tags, ["fine"]);
    env.assert_still().exits(0);
}
