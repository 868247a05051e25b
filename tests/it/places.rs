//! Where things lie: what a path on the command line or in a configuration means, whose the index is, and that a look-up
//! which fails is an error and never another folder.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use super::support::{Run, TestEnv, bytes};

/// Runs the binary in a working directory that is deleted under it.
fn in_a_deleted_folder(env: &TestEnv, args: &str, input: &str) -> Output {
    let folder = env.home().join("deleted");
    fs::create_dir(&folder).unwrap();
    let script = format!(
        "cd {0} && rmdir {0} && printf '{input}' | {1} {args}",
        folder.display(),
        env!("CARGO_BIN_EXE_dato-mirror")
    );
    Command::new("/bin/bash")
        .args(["-c", &script])
        .env_clear()
        .envs(&env.vars)
        .env("PATH", std::env::var("PATH").unwrap())
        .output()
        .unwrap()
}

#[test]
fn in_a_deleted_working_directory_no_relative_path_means_anything() {
    let env = TestEnv::new();
    env.write("logo.svg", "<svg/>");
    let root = env.root().display().to_string();
    fs::write(env.home().join("brand.toml"), "[[mirror]]\nname = \"brand\"\nroot = \"brand\"\n").unwrap();
    let config = env.home().join("brand.toml").display().to_string();
    for (args, input) in [
        ("--root . --sync-once".to_owned(), ""),
        ("--root . --dry-run".to_owned(), ""),
        ("--root . --sync-once --files-from -".to_owned(), "/etc/hostname\\n"),
        ("--root brand --sync-once".to_owned(), ""),
        ("--root .. --sync-once".to_owned(), ""),
        ("--config brand.toml --sync-once".to_owned(), ""),
        ("--sync-once".to_owned(), ""),
        (format!("--root {root} --sync-once --files-from -"), "logo.svg\\n"),
        (format!("--config {config} explain logo.svg"), ""),
        (format!("--config {config} retry logo.svg"), ""),
        ("--root . status".to_owned(), ""),
        ("--root . doctor".to_owned(), ""),
        ("--root . ls".to_owned(), ""),
    ] {
        let output = in_a_deleted_folder(&env, &args, input);
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{args}: {told}");
        assert!(told.contains("working directory") && told.contains("folder that is there"), "{args}: {told}");
    }
    assert!(env.assets().is_empty() && !env.index().exists());
    // Whole paths need no working directory.
    for args in [format!("--root {root} --sync-once"), format!("--config {config} --sync-once")] {
        let output = in_a_deleted_folder(&env, &args, "");
        assert_eq!(output.status.code(), Some(0), "{args}: {}", String::from_utf8_lossy(&output.stderr));
    }
    let output =
        in_a_deleted_folder(&env, &format!("--root {root} --sync-once --files-from -"), &format!("{root}/logo.svg\\n"));
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn without_a_home_a_tilde_means_nothing() {
    let mut env = TestEnv::new();
    env.write("logo.svg", "<svg/>");
    env.set("HOME", "relative/home");
    env.config("[[mirror]]\nname = \"brand\"\nroot = \"~/brand\"\n");
    let run = env.run(&["--sync-once"]).exits(2);
    assert!(run.stderr.contains("~/brand") && run.stderr.contains("no home is known"), "{run:#?}");
}

#[test]
fn a_configuration_that_cannot_be_looked_at_is_not_passed_over_for_another() {
    let env = TestEnv::new();
    env.write("logo.svg", "<svg/>");
    let users = env.home().join(".config/dato-mirror");
    fs::create_dir_all(&users).unwrap();
    fs::write(users.join("config.toml"), format!("[[mirror]]\nname = \"b\"\nroot = \"{}\"\n", env.root().display()))
        .unwrap();
    symlink("nowhere.toml", env.home().join("dato-mirror.toml")).unwrap();
    let run = env.run(&["--sync-once"]).exits(2);
    assert!(run.stderr.contains("dato-mirror.toml does not exist"), "{run:#?}");
    fs::remove_file(env.home().join("dato-mirror.toml")).unwrap();
    env.run(&["--sync-once"]).exits(0);
}

/// `link` leads to `real/deep`, so that `link/../brand` is `real/brand` and not the `brand` beside the link.
fn forked() -> TestEnv {
    let env = TestEnv::new();
    env.write("wrong.svg", "<svg>wrong</svg>");
    fs::create_dir_all(env.home().join("real/deep")).unwrap();
    fs::create_dir_all(env.home().join("real/brand")).unwrap();
    fs::write(env.home().join("real/brand/right.svg"), "<svg>right</svg>").unwrap();
    symlink("real/deep", env.home().join("link")).unwrap();
    env
}

#[track_caller]
fn mirrored_the_right_one(env: &TestEnv, run: &Run) {
    let names: Vec<String> = env.assets().into_iter().map(|asset| asset.filename).collect();
    assert_eq!(names, ["right.svg"], "{run:#?}");
}

#[test]
fn a_way_up_leads_where_the_system_says_by_flag_variable_and_file() {
    let env = forked();
    let run = env.run(&["--root", "link/../brand", "--sync-once"]).exits(0);
    mirrored_the_right_one(&env, &run);
    let run = env.run(&["--root", "link/../brand", "status"]).exits(0);
    assert!(run.stdout.contains("real/brand") && run.stdout.contains("1 mirrored"), "{run:#?}");
    let explain = env.run(&["--root", "link/../brand", "explain", "link/../brand/right.svg"]).exits(0);
    assert!(explain.stdout.contains("right.svg  (mirror brand)"), "{explain:#?}");

    let mut env = forked();
    env.set("DATO_MIRROR_ROOT", "link/../brand");
    let run = env.run(&["--sync-once"]).exits(0);
    mirrored_the_right_one(&env, &run);

    let env = forked();
    fs::write(env.home().join("real/c.toml"), "[[mirror]]\nname = \"brand\"\nroot = \"../link/../brand\"\n").unwrap();
    let run = env.run(&["--config", "link/../c.toml", "--sync-once"]).exits(0);
    mirrored_the_right_one(&env, &run);
}

#[test]
fn files_from_takes_a_way_up_as_the_system_does() {
    let env = forked();
    env.write("right.svg", "<svg>also wrong</svg>");
    let run =
        env.run_with_input(&["--root", "real/brand", "--sync-once", "--files-from", "-"], b"link/../brand/right.svg\n");
    mirrored_the_right_one(&env, &run.exits(0));
    let run = env.run_with_input(&["--root", "real/brand", "--sync-once", "--files-from", "-"], b"brand/right.svg\n");
    assert_eq!(env.assets().len(), 1, "{run:#?}");
}

/// All below the folder: names, modes, bytes.
fn all_below(folder: &Path) -> Vec<(PathBuf, u32, Vec<u8>)> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        // What tries whether the watch works, and goes by itself.
        if path.file_name().is_some_and(|name| name == dato_mirror::daemon::watch::PROBE_NAME) {
            continue;
        }
        // It may go between listing and looking.
        let Ok(found) = fs::symlink_metadata(&path) else { continue };
        if found.is_dir() {
            all.extend(all_below(&path));
        }
        let content = if found.is_file() { fs::read(&path).unwrap() } else { Vec::new() };
        all.push((path, found.mode(), content));
    }
    all.sort();
    all
}

#[test]
fn a_state_path_that_names_something_else_is_refused_and_nothing_is_touched() {
    let env = TestEnv::new();
    env.write("logo.svg", "<svg xmlns='http://www.w3.org/2000/svg'/>");
    env.write("empty.svg", "");
    fs::write(env.home().join("Cargo.lock"), "version = 4\n").unwrap();
    env.config_with("");
    symlink("brand/logo.svg", env.home().join("link.sqlite")).unwrap();
    symlink("brand/logo.svg", env.home().join("locked.sqlite.lock")).unwrap();
    rusqlite::Connection::open(env.home().join("theirs.sqlite")).unwrap().execute_batch("CREATE TABLE t (a)").unwrap();
    let before = all_below(env.home());
    for name in [
        "brand/logo.svg",
        "brand/empty.svg",
        "dato-mirror.toml",
        "Cargo",
        "link.sqlite",
        "locked.sqlite",
        "theirs.sqlite",
        "brand",
    ] {
        for args in [
            &["--sync-once"][..],
            &["--dry-run"],
            &[],
            &["status"],
            &["explain", "brand/logo.svg"],
            &["retry"],
            &["ls"],
            &["doctor"],
        ] {
            let mut command = Command::new(env!("CARGO_BIN_EXE_dato-mirror"));
            command.args(args).env_clear().envs(&env.vars).env("DATO_MIRROR_STATE_PATH", name).current_dir(env.home());
            let output = command.output().unwrap();
            let told = String::from_utf8_lossy(&output.stderr);
            let said = String::from_utf8_lossy(&output.stdout);
            let code = output.status.code();
            if args == ["doctor"] {
                assert!(code != Some(0) && said.contains("cannot be the index"), "{name}: {said}");
            } else if ["locked.sqlite", "Cargo"].contains(&name)
                && args.first().is_some_and(|word| !word.starts_with("--"))
            {
                // There is no index, which is all that a command which shows state needs to know.
            } else {
                assert_eq!(code, Some(2), "{name} {args:?}: {told}{said}");
                assert!(
                    told.contains("cannot be the index") && told.contains("Nothing was touched"),
                    "{name} {args:?}: {told}"
                );
            }
            assert!(all_below(env.home()) == before, "{name} {args:?}");
        }
    }
}

#[test]
fn an_index_below_the_root_is_never_mirrored_by_whatever_way_it_is_reached() {
    let mut env = TestEnv::new();
    env.write("logo.svg", "<svg/>");
    symlink("brand", env.home().join("other-name")).unwrap();
    symlink("state", env.at("link")).unwrap();
    symlink("state/index.sqlite", env.at("link.sqlite")).unwrap();
    for place in ["brand/state/index.sqlite", "other-name/state/index.sqlite"] {
        env.set("DATO_MIRROR_STATE_PATH", place);
        for _ in 0..3 {
            env.run(&["--root", "brand", "--sync-once"]).exits(0);
        }
        let names: Vec<String> = env.assets().into_iter().map(|asset| asset.filename).collect();
        assert_eq!(names, ["logo.svg"], "{place}");
    }
    // And the default place, when the root is wide enough to have it in it.
    env.set("DATO_MIRROR_STATE_PATH", "");
    env.set("XDG_STATE_HOME", &env.root().join("var").display().to_string());
    for _ in 0..2 {
        env.run(&["--root", "brand", "--sync-once"]).exits(0);
    }
    let other = env.home().join("other");
    fs::create_dir(&other).unwrap();
    fs::write(other.join("own.svg"), "<svg>other</svg>").unwrap();
    env.run(&["--root", "other", "--sync-once"]).exits(0);
    env.run(&["--root", "brand", "--sync-once"]).exits(0);
    let mut names: Vec<String> = env.assets().into_iter().map(|asset| asset.filename).collect();
    names.sort();
    assert_eq!(names, ["logo.svg", "own.svg"]);
}

#[test]
fn the_state_folders_we_make_are_this_users_alone() {
    let mut env = TestEnv::new();
    env.write("logo.svg", "<svg/>");
    env.set("DATO_MIRROR_STATE_PATH", "deep/er/index.sqlite");
    env.run(&["--root", "brand", "--sync-once"]).exits(0);
    let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o777;
    for folder in ["deep", "deep/er"] {
        assert_eq!(mode(&env.home().join(folder)), 0o700, "{folder}");
    }
    env.set("DATO_MIRROR_STATE_PATH", "");
    let state = env.home().join(".local/state/dato-mirror");
    fs::create_dir_all(&state).unwrap();
    fs::set_permissions(&state, fs::Permissions::from_mode(0o755)).unwrap();
    env.run(&["--root", "brand", "--sync-once"]).exits(0);
    assert_eq!(mode(&state), 0o700);
    for entry in fs::read_dir(&state).unwrap() {
        assert_eq!(mode(&entry.unwrap().path()), 0o700);
    }
}

/// Two configurations of one user, with the default place of the index.
fn two() -> TestEnv {
    let mut env = TestEnv::new();
    env.set("DATO_MIRROR_STATE_PATH", "");
    for name in ["one", "two"] {
        fs::create_dir(env.home().join(name)).unwrap();
        fs::write(env.home().join(name).join("a.png"), bytes(name.len() as u64 + u64::from(name.as_bytes()[0]), 50))
            .unwrap();
        let text = format!("[[mirror]]\nname = \"{name}\"\nroot = \"{name}\"\n");
        fs::write(env.home().join(format!("{name}.toml")), text).unwrap();
    }
    env
}

#[test]
fn two_configurations_of_one_user_run_side_by_side() {
    let env = two();
    let daemon = env.start(&["-c", "one.toml"], b"");
    super::support::wait_until("the daemon mirrors", || !env.assets().is_empty());
    env.run(&["-c", "two.toml", "--sync-once"]).exits(0);
    let status = env.run(&["-c", "two.toml", "status"]).exits(0);
    assert!(status.stdout.contains("daemon: not running") && status.stdout.contains("1 mirrored"), "{status:#?}");
    let status = env.run(&["-c", "one.toml", "status"]).exits(0);
    assert!(!status.stdout.contains("not running"), "{status:#?}");
    // The same one twice is refused, with who has it and the way out.
    let again = env.run(&["-c", "./one.toml", "--sync-once"]).exits(5);
    for part in [&format!("process {}", daemon.id()), "one.toml", "`path` in [state]"] {
        assert!(again.stderr.contains(part), "{part}: {again:#?}");
    }
    env.run(&["--root", "two", "--sync-once"]).exits(0);
}

#[test]
fn the_index_of_the_old_place_is_found_shown_and_moved_by_the_one_it_belongs_to() {
    let mut env = two();
    let old = env.home().join(".local/state/dato-mirror/index.sqlite");
    env.set("DATO_MIRROR_STATE_PATH", &old.display().to_string());
    env.run(&["-c", "one.toml", "--sync-once"]).exits(0);
    env.set("DATO_MIRROR_STATE_PATH", "");
    // What only shows state finds it and moves nothing.
    let status = env.run(&["-c", "one.toml", "status"]).exits(0);
    assert!(status.stdout.contains("1 mirrored"), "{status:#?}");
    let dry = env.run(&["-c", "one.toml", "--dry-run", "--format", "json"]).exits(0);
    assert_eq!(dry.count("unchanged"), 1, "{dry:#?}");
    env.run(&["-c", "two.toml", "status"]).exits(2);
    assert!(old.exists());
    // Another configuration leaves it, and says so.
    let other = env.run(&["-c", "two.toml", "--sync-once", "-v"]).exits(0);
    assert!(old.exists() && other.stderr.contains("stays") && other.stderr.contains("\"one\""), "{other:#?}");
    // Its own takes it along: nothing is read or sent again.
    env.sandbox.clear_log();
    let run = env.run(&["-c", "one.toml", "--sync-once", "--format", "json"]).exits(0);
    assert_eq!(run.count("unchanged"), 1, "{run:#?}");
    assert!(env.mutating().is_empty() && !old.exists(), "{run:#?}");
    let folders = fs::read_dir(old.parent().unwrap()).unwrap().count();
    assert_eq!(folders, 2, "one for each configuration, and nothing is left of the old one");
}

#[test]
fn an_index_of_the_old_place_that_is_in_use_is_not_taken_away() {
    let mut env = two();
    let old = env.home().join(".local/state/dato-mirror/index.sqlite");
    env.set("DATO_MIRROR_STATE_PATH", &old.display().to_string());
    let _daemon = env.start(&["-c", "one.toml"], b"");
    super::support::wait_until("the daemon mirrors", || !env.assets().is_empty());
    env.set("DATO_MIRROR_STATE_PATH", "");
    super::support::wait_until("its root is remembered", || {
        env.run(&["-c", "one.toml", "status"]).stdout.contains("1 mirrored")
    });
    env.run(&["-c", "one.toml", "--sync-once"]).exits(5);
    env.run(&["-c", "two.toml", "--sync-once"]).exits(0);
    assert!(old.exists());
}

/// Names copied from a page are composed, those of a Mac's folders are not.
#[test]
fn a_path_in_the_other_unicode_spelling_is_the_file_and_one_that_nobody_knows_is_told() {
    let mut env = TestEnv::new();
    env.set("DATO_MIRROR_ROOT", "brand");
    env.write("Fotos e\u{301}/u\u{308}.txt", "1");
    env.write("plain.txt", "p");
    env.write("gone.txt", "g");
    let listed = |names: &str, more: &[&str]| {
        let args = [&["--sync-once", "--format", "json", "--files-from", "-"], more].concat();
        env.run_with_input(&args, names.as_bytes())
    };
    let run = listed("Fotos \u{e9}/\u{fc}.txt\n", &[]).exits(0).did("created 1");
    assert!(run.problems().is_empty(), "{run:#?}");
    env.sync().exits(0).did("created 2");
    env.write("Fotos e\u{301}/u\u{308}.txt", "1, changed");
    for command in ["explain", "retry"] {
        let run = env.run(&[command, "brand/Fotos \u{e9}/\u{fc}.txt"]).exits(0);
        assert!(!run.stdout.contains("could not be read"), "{run:#?}");
    }
    listed("Fotos \u{e9}\n", &[]).exits(0).did("replaced 1");

    // What was mirrored and is gone is known; what never was is no failure, and is said.
    env.remove("gone.txt");
    let run = listed("gone.txt\n", &[]).exits(0);
    assert!(run.problems().is_empty(), "{run:#?}");
    for more in [&[][..], &["--dry-run"]] {
        let run = listed("nope.txt\nno/folder/x.txt\nplain.txt\nnope.tmp\n", more).exits(0);
        assert!(run.problem("nope.txt").contains("no such file") && run.count("skipped") == 2, "{run:#?}");
        assert!(run.problem("no/folder/x.txt").contains("never had one") && run.problems().len() == 2, "{run:#?}");
        assert!(run.stderr.contains("nope.txt"), "{run:#?}");
    }
}
