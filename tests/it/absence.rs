//! Absence is not deletion: what is not here was perhaps never here, is left out, hidden, or another folder's.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use dato_mirror::sandbox::{AssetView, Edit, Fault, FaultKind};
use serde_json::{Value, json};

use crate::support::{Run, TestEnv, in_both_shapes, localized, stamp, stamped_paths};

/// A mirror that deletes, of so many files.
fn deleting(files: usize) -> TestEnv {
    let mut env = TestEnv::new();
    env.set("DATO_MIRROR_ON_DELETE", "delete");
    write(&env, 0..files);
    env.sync().exits(0).did(&format!("created {files}"));
    env
}

fn write(env: &TestEnv, numbers: std::ops::Range<usize>) {
    numbers.for_each(|number| env.write(format!("{number}.png"), format!("content {number}")));
}

fn remove(env: &TestEnv, numbers: std::ops::Range<usize>) {
    numbers.for_each(|number| env.remove(&format!("{number}.png")));
}

/// A root of the same name in another place, as a second person has it.
fn other_root(env: &TestEnv, place: &str) -> String {
    let root = env.home().join(place).join("brand");
    fs::create_dir_all(&root).unwrap();
    root.display().to_string()
}

/// Another machine: another index.
fn on_another_machine(env: &mut TestEnv) {
    let index = env.home().join("other state/index.sqlite").display().to_string();
    env.set("DATO_MIRROR_STATE_PATH", &index);
}

fn set_stamp(env: &TestEnv, id: &str, stamp: &Value) {
    let metadata = Some(localized("custom_data", &json!({ "dato-mirror": stamp.to_string() })));
    env.sandbox.edit_metadata(None, id, Edit { metadata, ..Edit::default() }).unwrap();
}

#[track_caller]
fn untouched(env: &TestEnv, before: &[AssetView]) {
    assert_eq!(env.assets(), before);
    assert_eq!(env.sandbox.count("DELETE /uploads/:id") + env.sandbox.count("POST /uploads/bulk/destroy"), 0);
}

#[test]
fn a_fresh_index_deletes_and_tags_nothing_that_it_never_saw() {
    for policy in ["delete", "tag"] {
        let mut env = TestEnv::new();
        env.set("DATO_MIRROR_ON_DELETE", policy);
        write(&env, 0..60);
        env.sync().exits(0).did("created 60");
        let before = env.assets();
        on_another_machine(&mut env);
        remove(&env, 40..60);
        env.sync_with(&["--dry-run"]).exits(0);
        env.sync().exits(0).did("");
        untouched(&env, &before);
        env.assert_still();
        // What it saw itself can be gone.
        env.remove("3.png");
        env.sync().exits(0).did(if policy == "delete" { "deleted 1" } else { "retagged 1" });
    }
}

#[test]
fn an_authoritative_folder_is_the_truth_also_for_a_fresh_index_and_the_guards_apply() {
    let mut env = deleting(40);
    env.set("DATO_MIRROR_AUTHORITATIVE", "true");
    env.lose_index();
    remove(&env, 0..3);
    env.sync().exits(0).did("deleted 3");
    env.lose_index();
    remove(&env, 3..13);
    let run = env.sync().exits(4);
    assert!(run.stdout.contains("max_delete"), "{run:#?}");
    assert_eq!(env.assets().len(), 37);
    env.sync_with(&["--force"]).exits(0).did("deleted 10");
    env.assert_still();
}

#[test]
fn an_authoritative_folder_asks_for_everything_also_where_most_of_the_media_area_is_not_ours() {
    let mut env = deleting(40);
    env.sandbox.create_foreign_many(None, 3_000).unwrap();
    env.set("DATO_MIRROR_AUTHORITATIVE", "true");
    env.lose_index();
    env.remove("0.png");
    env.sync().exits(0).did("deleted 1");
}

#[test]
fn another_folder_under_the_same_name_is_stopped_before_it_changes_anything() {
    for digest in [false, true] {
        let mut env = TestEnv::new();
        env.set("DATO_MIRROR_ON_DELETE", "delete");
        if digest {
            env.set("DATO_MIRROR_STAMP", "digest");
        }
        write(&env, 0..17);
        env.write("logo.svg", "ours");
        env.sync().exits(0);
        let before = env.assets();
        let root = other_root(&env, "second");
        on_another_machine(&mut env);
        fs::write(format!("{root}/logo.svg"), "theirs").unwrap();
        fs::write(format!("{root}/new.svg"), "new").unwrap();
        for flags in [&["--dry-run"][..], &[], &[]] {
            let run = env.sync_with(&[&["--root", &root], flags].concat()).exits(4);
            for part in ["brand", "--name", "DATO_MIRROR_NAME", "--take-over"] {
                assert!(run.stdout.contains(part), "{part}: {run:#?}");
            }
            assert!(digest || run.stdout.contains("0.png"), "{run:#?}");
            untouched(&env, &before);
        }
        env.sync_with(&["--root", &root, "--name", "theirs"]).exits(0).did("created 2");
        assert_eq!(env.assets().len(), 20);
        // Nor after a run under another name.
        env.sync_with(&["--root", &root]).exits(4);
        env.sync_with(&["--root", &root, "--take-over"]).exits(0);
        assert_eq!(env.assets().len(), 20, "and then nothing is deleted that this index never saw");
        env.sync_with(&["--root", &root]).exits(0).did("");
    }
}

#[test]
fn the_same_folder_half_moved_or_half_changed_passes() {
    for digest in [false, true] {
        let mut env = TestEnv::new();
        if digest {
            env.set("DATO_MIRROR_STAMP", "digest");
        }
        write(&env, 0..20);
        env.sync().exits(0);
        let ids: Vec<_> = env.assets().into_iter().map(|asset| asset.id).collect();
        on_another_machine(&mut env);
        for number in 0..10 {
            env.rename(&format!("{number}.png"), &format!("moved/{number}.png"));
            env.write(format!("{}.png", number + 10), format!("changed {number}"));
        }
        env.sync().exits(0);
        assert_eq!(env.assets().into_iter().map(|asset| asset.id).collect::<Vec<_>>(), ids);
        env.assert_still();
    }
}

#[test]
fn another_root_in_the_configuration_deletes_nothing_and_is_asked_about() {
    let env = TestEnv::new();
    let configured = |root: &str| {
        env.config(&format!(
            "[[mirror]]\nname = \"brand\"\nroot = \"{root}\"\nsettle = \"20ms\"\non_delete = \"delete\"\nmax_delete = 1000\n"
        ));
    };
    configured("brand");
    write(&env, 0..10);
    env.sync().exits(0).did("created 10");
    let before = env.assets();
    // Most of it is in the new place: what is not there was left behind, not deleted.
    fs::create_dir(env.home().join("moved")).unwrap();
    for number in 0..7 {
        fs::copy(env.at(format!("{number}.png")), env.home().join(format!("moved/{number}.png"))).unwrap();
    }
    configured("moved");
    env.sync().exits(0).did("");
    untouched(&env, &before);
    fs::create_dir(env.home().join("strange")).unwrap();
    fs::write(env.home().join("strange/x.png"), "x").unwrap();
    configured("strange");
    let run = env.sync().exits(4);
    assert!(run.stdout.contains("--take-over"), "{run:#?}");
    untouched(&env, &before);
    // What is seen in the new place can be gone from it.
    configured("moved");
    env.sync().exits(0).did("");
    fs::remove_file(env.home().join("moved/0.png")).unwrap();
    env.sync().exits(0).did("deleted 1");
}

#[test]
fn the_first_run_says_its_name_and_where_it_comes_from() {
    let mut env = TestEnv::new();
    env.write("a.png", "a");
    let said = |run: &Run, why: &str| {
        assert!(run.stderr.contains("\"brand\"") && run.stderr.contains(why), "{why}: {run:#?}");
    };
    said(&env.sync_with(&["--dry-run"]).exits(0), "folder");
    said(&env.sync().exits(0), "folder");
    assert!(!env.sync().stderr.contains("folder's name"), "once");
    env.lose_index();
    said(&env.sync_with(&["--name", "brand"]).exits(0), "--name");
    env.lose_index();
    env.set("DATO_MIRROR_NAME", "brand");
    said(&env.sync().exits(0), "DATO_MIRROR_NAME");
    env.set("DATO_MIRROR_NAME", "");
    env.lose_index();
    env.config_with("");
    said(&env.sync().exits(0), "dato-mirror.toml");
    let run = env.run(&["--sync-once", "--name", "x"]).exits(2);
    assert!(run.stderr.contains("--root"), "{run:#?}");
}

#[test]
fn stamps_that_are_copied_or_forged_lead_to_no_deletion_and_no_change() {
    in_both_shapes(|| {
        for lost in [false, true] {
            let mut env = deleting(10);
            let real = env.asset("0.png");
            let stamped = stamp(&real).unwrap();
            let forged = |paths: Value, made: bool, content: &str| json!({ "brand": { "paths": paths, "md5": dato_mirror::model::Md5::of(content.as_bytes()).to_string(), "made": made } });
            let mut theirs = Vec::new();
            let mut make = |name: &str, content: &str, stamp: &Value| {
                let id = env.sandbox.create_foreign(None, name, content.as_bytes()).unwrap();
                set_stamp(&env, &id, stamp);
                theirs.push(id);
            };
            make("copy.png", "content 0", &stamped);
            make("changed copy.png", "an editor's", &stamped);
            make("ghost.png", "ghost", &forged(json!(["ghost.png"]), true, "ghost"));
            make("up.png", "up", &forged(json!(["../up.png"]), true, "up"));
            make("absolute.png", "abs", &forged(json!(["/etc/passwd"]), true, "abs"));
            make("empty.png", "none", &forged(json!([""]), true, "none"));
            make("dot.png", "dot", &forged(json!(["./a/../b"]), true, "dot"));
            make("nothing.png", "nothing", &forged(json!([]), true, "nothing"));
            make("claims.png", "claims", &forged(json!(["1.png", "new.png"]), true, "claims"));
            make("claims too.png", "claims too", &forged(json!(["2.png", "new.png"]), false, "claims too"));
            let before: Vec<_> = env.assets().into_iter().filter(|asset| theirs.contains(&asset.id)).collect();
            let same = |env: &TestEnv, what: &str| {
                let now: Vec<_> = env.assets().into_iter().filter(|asset| theirs.contains(&asset.id)).collect();
                assert_eq!(now, before, "{what}");
            };
            if lost {
                env.lose_index();
            }
            env.sync().exits(0).did("");
            same(&env, "after a look");
            for number in 0..3 {
                env.write(format!("{number}.png"), format!("changed {number}"));
            }
            env.write("new.png", "new");
            if lost {
                env.lose_index();
            }
            env.sync().exits(0).did("created 1, replaced 3");
            assert_eq!(env.content(&real.id), b"changed 0");
            same(&env, "after changes");
            env.set("DATO_MIRROR_MAX_DELETE", "1000");
            for name in ["0.png", "1.png", "2.png", "new.png"] {
                env.remove(name);
            }
            env.sync().exits(0).did("deleted 4");
            same(&env, "after deletions");
            env.set("DATO_MIRROR_AUTHORITATIVE", "true");
            env.lose_index();
            env.sync().exits(0).did("");
            same(&env, "with a folder that is the truth");
        }
    });
}

#[test]
fn a_stamp_written_for_an_editors_asset_lets_no_folder_that_is_the_truth_change_it() {
    in_both_shapes(|| {
        for policy in ["delete", "tag"] {
            let mut env = deleting(10);
            env.set("DATO_MIRROR_ON_DELETE", policy);
            env.set("DATO_MIRROR_AUTHORITATIVE", "true");
            let make = |name: &str, paths: Value| {
                let id = env.sandbox.create_foreign(None, name, name.as_bytes()).unwrap();
                let md5 = dato_mirror::model::Md5::of(name.as_bytes()).to_string();
                let mut entry = json!({ "paths": paths, "md5": md5, "made": true, "of": id, "born": "0.png" });
                if name.ends_with(".mp4") {
                    let track = env.sandbox.add_track(None, &id, "subtitles", "en").unwrap();
                    entry["tracks"] = json!({ "clip.en.vtt": { "id": track, "md5": md5 } });
                }
                set_stamp(&env, &id, &json!({ "brand": entry }));
                id
            };
            make("ghost.png", json!(["ghost.png"]));
            make("none.png", json!([]));
            let video = make("clip.mp4", json!(["clip.mp4"]));
            let before = env.assets();
            for _ in 0..2 {
                env.sync().exits(0).did("");
                assert_eq!(env.assets(), before, "{policy}");
                assert_eq!(env.sandbox.tracks(None, &video).unwrap().len(), 1, "{policy}");
                env.lose_index();
            }
            // A file that comes to be where such a stamp says gets an asset of its own.
            env.write("ghost.png", "ours");
            env.write("clip.mp4", "ours too");
            env.sync().exits(0).did("created 2");
            let theirs = |assets: Vec<AssetView>| assets.into_iter().filter(|asset| before.contains(asset)).count();
            assert_eq!(theirs(env.assets()), before.len(), "{policy}");
            env.assert_still().exits(0);
            // What the mirror made is proved by its id, also for a fresh index.
            env.set("DATO_MIRROR_MAX_DELETE", "1000");
            env.remove("0.png");
            env.sync().exits(0).did(if policy == "tag" { "retagged 1" } else { "deleted 1" });
        }
    });
}

#[test]
fn an_adopted_asset_whose_stamp_says_otherwise_is_not_deleted() {
    in_both_shapes(|| {
        let mut env = TestEnv::new();
        env.set("DATO_MIRROR_ON_DELETE", "delete");
        write(&env, 0..3);
        let id = env.sandbox.create_foreign(None, "theirs.png", b"theirs").unwrap();
        env.write("theirs.png", "theirs");
        env.sync().exits(0).did("created 3, adopted 1");
        let mut forged = stamp(&env.asset("theirs.png")).unwrap();
        forged["brand"]["made"] = json!(true);
        set_stamp(&env, &id, &forged);
        env.sync().exits(0);
        env.remove("theirs.png");
        env.sync().exits(0).did("");
        assert_eq!(env.content(&id), b"theirs");
    });
}

#[test]
fn a_file_that_moved_is_still_ours_to_delete() {
    for (digest, lost) in [(false, false), (false, true), (true, false)] {
        let mut env = TestEnv::new();
        env.set("DATO_MIRROR_ON_DELETE", "delete");
        if digest {
            env.set("DATO_MIRROR_STAMP", "digest");
        }
        write(&env, 0..3);
        env.sync().exits(0);
        env.rename("0.png", "moved/0.png");
        env.sync().exits(0).did("moved 1");
        env.rename("moved/0.png", "again.png");
        env.sync().exits(0).did("moved 1");
        if lost {
            env.lose_index();
            env.sync().exits(0).did("");
        }
        env.remove("again.png");
        env.sync().exits(0).did("deleted 1");
        env.assert_still();
    }
}

#[test]
fn by_default_one_run_deletes_25_and_at_most_a_tenth() {
    let env = deleting(25);
    remove(&env, 0..24);
    let run = env.sync().exits(4);
    assert!(run.stdout.contains("25") && run.stdout.contains("10 %"), "{run:#?}");
    assert_eq!(env.assets().len(), 25);
    write(&env, 0..22);
    env.sync().exits(0).did("deleted 2");
}

#[test]
fn deletions_of_several_runs_count_together() {
    for set in ["", "4", "10%"] {
        let mut env = TestEnv::new();
        env.set("DATO_MIRROR_ON_DELETE", "delete");
        env.set("DATO_MIRROR_MAX_DELETE", set);
        write(&env, 0..40);
        env.sync().exits(0);
        for at in 0..4 {
            remove(&env, at..at + 1);
            env.sync().exits(0).did("deleted 1");
        }
        env.remove("4.png");
        let run = env.sync_with(&["--files-from", "-"]);
        assert_ne!(run.count("deleted"), 1, "nothing was named");
        let run = env
            .run_with_input(&["--root", "brand", "--sync-once", "--format", "json", "--files-from", "-"], b"4.png\n");
        assert_eq!(run.code, 4, "{set}: {run:#?}");
        assert_eq!(env.assets().len(), 36);
        env.sync_with(&["--force"]).exits(0).did("deleted 1");
        // What was let pass is no part of a later count.
        env.sync().exits(0);
    }
}

#[test]
fn an_empty_root_is_not_believed_with_named_paths_either() {
    let mut env = deleting(10);
    env.set("DATO_MIRROR_MAX_DELETE", "1000");
    let away = env.home().join("away");
    for named in [10, 5] {
        fs::rename(env.root(), &away).unwrap();
        fs::create_dir(env.root()).unwrap();
        let names: String = (0..named).map(|number| format!("{number}.png\n")).collect();
        let args = ["--root", "brand", "--sync-once", "--format", "json", "--files-from", "-"];
        let run = env.run_with_input(&args, names.as_bytes());
        assert_eq!((run.code, env.assets().len()), (4, 10), "{run:#?}");
        fs::remove_dir(env.root()).unwrap();
        fs::rename(&away, env.root()).unwrap();
        env.sync().exits(0).did("");
    }
}

#[test]
fn what_is_left_out_is_not_gone() {
    for policy in ["delete", "tag"] {
        let env = TestEnv::new();
        let configure = |more: &str| env.config_with(&format!("on_delete = \"{policy}\"\nmax_delete = 1000\n{more}"));
        configure("");
        write(&env, 0..4);
        for name in ["drafts/a.png", "drafts/b.png", "x.svg", "becomes.png", "pipe.png", "link.png"] {
            env.write(name, name);
        }
        env.sync().exits(0).did("created 10");
        let before = env.assets();
        let still = |what: &str| {
            let run = env.sync();
            assert!(run.code == 0 && matches!(&*run.changes(), "" | "skipped 2"), "{what}: {run:#?}");
            untouched(&env, &before);
        };
        configure("exclude = [\"drafts/**\"]");
        still("excluded");
        configure("include = [\"**/*.png\"]");
        still("not included");
        // The file may even go meanwhile: nobody looks.
        configure("");
        still("back");
        env.remove("becomes.png");
        fs::create_dir(env.at("becomes.png")).unwrap();
        still("an empty folder");
        for name in ["pipe.png", "link.png"] {
            env.remove(name);
        }
        assert!(Command::new("mkfifo").arg(env.at("pipe.png")).status().unwrap().success());
        std::os::unix::fs::symlink("/etc/hostname", env.at("link.png")).unwrap();
        still("a pipe and a link outside");
        env.remove("0.png");
        let gone = if policy == "delete" { "deleted 1" } else { "retagged 1" };
        assert!(env.sync().changes().starts_with(gone));
    }
}

#[test]
fn an_authoritative_folder_does_not_delete_what_it_leaves_out() {
    let env = TestEnv::new();
    let configure = |more: &str| env.config_with(&format!("on_delete = \"delete\"\nauthoritative = true\n{more}"));
    configure("");
    write(&env, 0..8);
    env.write("drafts/a.png", "a");
    env.sync().exits(0);
    let before = env.assets();
    env.lose_index();
    configure("exclude = [\"drafts/**\"]");
    env.sync().exits(0).did("");
    untouched(&env, &before);
}

#[test]
fn a_media_area_that_lost_most_stops_the_run_once_and_recreate_mirrors_anew() {
    for (all, policy) in [(true, "report"), (false, "report")] {
        let mut env = TestEnv::new();
        env.set("DATO_MIRROR_ON_REMOTE_DELETE", policy);
        write(&env, 0..10);
        env.sync().exits(0);
        let lost: Vec<_> = env.assets().into_iter().skip(if all { 0 } else { 3 }).collect();
        for asset in &lost {
            env.sandbox.delete_asset(None, &asset.id).unwrap();
        }
        for flags in [&["--dry-run"][..], &[], &[]] {
            let run = env.sync_with(flags).exits(4);
            assert!(run.stdout.contains("--recreate"), "{run:#?}");
            assert!(!run.stdout.contains("remove the file"), "{run:#?}");
            assert_eq!((run.problems().len(), run.count("failed"), env.mutating().len()), (1, 0, 0), "{run:#?}");
        }
        env.sync_with(&["--recreate"]).exits(0).did(&format!("created {}", lost.len()));
        assert_eq!(env.assets().len(), 10);
        env.assert_still().exits(0);
    }
}

/// One run over a changed, a new, a deleted and a moved file, during which some listings say that there is nothing at all.
fn while_lists_look_empty(skip: u64, times: u64) -> (TestEnv, Run) {
    let env = deleting(20);
    env.write("1.png", "changed");
    env.write("new.png", "new");
    env.remove("2.png");
    env.rename("3.png", "moved.png");
    env.sandbox.add_fault(Fault { route: "GET /uploads".into(), skip, times: Some(times), kind: FaultKind::EmptyList });
    let run = env.sync();
    env.sandbox.clear_faults();
    (env, run)
}

#[track_caller]
fn blames_nobody(run: &Run) {
    for word in ["deleted in the CMS", "replaced in the CMS", "remove the file"] {
        assert!(!run.stdout.contains(word) && !run.stderr.contains(word), "{word}: {run:#?}");
    }
}

#[test]
fn a_list_that_is_empty_for_a_moment_stops_the_run_and_the_next_one_is_as_ever() {
    // The look at changes and the listing that follows it: there is no telling it from an emptied project.
    let (env, run) = while_lists_look_empty(0, 2);
    let run = run.exits(4);
    assert!(run.stdout.contains("--recreate"), "{run:#?}");
    assert_eq!((run.problems().len(), run.count("failed"), env.mutating().len()), (1, 0, 0), "{run:#?}");
    blames_nobody(&run);
    env.sync().exits(0).did("created 1, moved 1, replaced 1, deleted 1");
    assert_eq!(env.assets().len(), 20);
    env.assert_still().exits(0);
}

#[test]
fn whichever_listing_looks_empty_nobody_is_blamed_and_the_next_run_is_in_step() {
    for times in [1, 2, 100] {
        for skip in 0..5 {
            let (env, run) = while_lists_look_empty(skip, times);
            blames_nobody(&run);
            assert!([0, 1, 4].contains(&run.code), "{skip}, {times}: {run:#?}");
            let next = env.sync().exits(0);
            blames_nobody(&next);
            assert_eq!(env.assets().len(), 20, "{skip}, {times}: {run:#?} {next:#?}");
            assert_eq!(env.content(&env.asset("1.png").id), b"changed", "{skip}, {times}: {run:#?} {next:#?}");
            env.assert_still().exits(0);
        }
    }
}

/// One run by somebody whom file modes keep out, root included; nothing where that cannot be had.
fn with_modes_that_count(env: &TestEnv, more: &[&str]) -> Option<(i32, String)> {
    let mut command = Command::new("setpriv");
    command.args(["--bounding-set=-all", "--inh-caps=-all", env!("CARGO_BIN_EXE_dato-mirror")]);
    command.args(["--root", "brand", "--sync-once", "--format", "json"]).args(more);
    let ran = command.env_clear().envs(&env.vars).env("PATH", "/usr/bin:/bin").current_dir(env.home()).output().ok()?;
    let text = [ran.stdout, ran.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    (!text.contains("setpriv:")).then(|| (ran.status.code().unwrap_or(-1), text))
}

#[test]
fn a_folder_that_cannot_be_listed_is_no_deletion() {
    for policy in ["delete", "tag"] {
        let mut env = TestEnv::new();
        env.set("DATO_MIRROR_ON_DELETE", policy);
        write(&env, 0..20);
        env.write("folder/inside.png", "inside");
        env.write("folder/deeper/inside.png", "deeper inside");
        env.sync().exits(0).did("created 22");
        let before = env.assets();
        let mode = |path: &str, mode| fs::set_permissions(env.at(path), Permissions::from_mode(mode)).unwrap();
        // Not to be listed at all; its names and no more; its files and not the folder in it.
        for (path, bits) in [("folder", 0o000), ("folder", 0o444), ("folder", 0o111), ("folder/deeper", 0o000)] {
            for more in [&[][..], &["--force"], &["--files-from", "named"]] {
                fs::write(env.home().join("named"), "brand/folder\nbrand/folder/deeper/inside.png\n").unwrap();
                mode(path, bits);
                let run = with_modes_that_count(&env, more);
                mode(path, 0o755);
                let Some((code, told)) = run else {
                    println!("skipped: there is no setpriv here");
                    return;
                };
                assert_eq!(code, 1, "{path} {bits:o} {more:?}: {told}");
                assert!(told.contains("folder"), "{told}");
                untouched(&env, &before);
            }
        }
        // Nor is what went beside it meanwhile: it may lie in the folder by now.
        env.rename("0.png", "folder/0.png");
        mode("folder", 0o000);
        let run = with_modes_that_count(&env, &[]);
        mode("folder", 0o755);
        assert_eq!(run.map(|(code, _)| code), Some(1));
        untouched(&env, &before);
        env.sync().exits(0).did("moved 1");
        env.remove("1.png");
        let one = if policy == "delete" { "deleted 1" } else { "retagged 1" };
        env.sync().exits(0).did(one);
        env.assert_still().exits(0);
    }
}

#[test]
fn a_few_deletions_by_editors_are_told_one_by_one_as_before() {
    let env = deleting(10);
    for name in ["0.png", "1.png"] {
        env.sandbox.delete_asset(None, &env.asset(name).id).unwrap();
    }
    let run = env.sync().exits(1);
    assert!(run.problem("0.png").contains("deleted in the CMS"), "{run:#?}");
    // Over the months it may be most of them: each was told, none is a surprise.
    for at in 2..10 {
        env.sandbox.delete_asset(None, &env.asset(&format!("{at}.png")).id).unwrap();
        env.sync().exits(1);
    }
    assert_eq!(env.sync().exits(1).count("failed"), 10);
}

#[test]
fn two_machines_with_partly_synced_folders_leave_each_other_s_assets() {
    let mut env = deleting(6);
    env.set("DATO_MIRROR_MAX_DELETE", "1000");
    let first = env.vars["DATO_MIRROR_STATE_PATH"].clone();
    let here = other_root(&env, "second machine");
    let copy = |name: &str| fs::copy(env.at(name), format!("{here}/{name}")).unwrap();
    for number in 0..6 {
        copy(&format!("{number}.png"));
    }
    let second = env.home().join("other state/index.sqlite").display().to_string();
    let machine = |env: &mut TestEnv, other: bool| {
        env.set("DATO_MIRROR_STATE_PATH", if other { &second } else { &first });
        let root = if other { here.clone() } else { env.root().display().to_string() };
        env.sync_with(&["--root", &root])
    };
    machine(&mut env, true).exits(0).did("");
    // New here, and not there yet; new there, and not here yet.
    env.write("new.png", "new");
    machine(&mut env, false).exits(0).did("created 1");
    fs::write(format!("{here}/theirs.png"), "theirs").unwrap();
    machine(&mut env, true).exits(0).did("created 1");
    machine(&mut env, false).exits(0).did("");
    // Renamed there; here the old name goes before the new one comes.
    fs::rename(format!("{here}/0.png"), format!("{here}/renamed.png")).unwrap();
    machine(&mut env, true).exits(0).did("moved 1");
    let id = env.asset("renamed.png").id;
    env.remove("0.png");
    machine(&mut env, false).exits(0);
    assert_eq!(env.asset("renamed.png").id, id);
    env.write("renamed.png", "content 0");
    machine(&mut env, false).exits(0);
    machine(&mut env, true).exits(0);
    assert_eq!((env.asset("renamed.png").id, env.assets().len()), (id, 8));
    assert_eq!(stamped_paths(&env.asset("renamed.png")), ["renamed.png"]);
}
