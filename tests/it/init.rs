//! `init`: what it asks, what it checks, and that it writes a configuration that works, or nothing.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use serde_json::Value;

use crate::support::{Run, TestEnv, wait_until};

fn written(env: &TestEnv) -> Option<String> {
    fs::read_to_string(env.home().join("dato-mirror.toml")).ok()
}

fn table(env: &TestEnv) -> toml::Table {
    toml::from_str(&written(env).unwrap()).unwrap()
}

/// Nothing but the mirrored folder is there.
#[track_caller]
fn assert_nothing_written(env: &TestEnv, run: &Run) {
    let names: Vec<_> = fs::read_dir(env.home()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["brand"], "{run:#?}");
}

#[test]
fn by_flags_it_writes_a_configuration_that_works_and_says_how_to_go_on() {
    let env = TestEnv::new();
    env.write("logo.svg", "<svg/>");
    let run = env
        .run(&["init", "--root", "brand", "--name", "Our brand", "--on-delete", "tag", "--collections", "mirror"])
        .exits(0);
    assert!(run.stdout.contains("all is well") && run.stdout.contains("wrote dato-mirror.toml"), "{run:#?}");
    assert!(run.stdout.contains("dato-mirror --config dato-mirror.toml --dry-run"), "{run:#?}");
    let table = table(&env);
    let mirror = &table["mirror"][0];
    assert_eq!((mirror["root"].as_str(), mirror["name"].as_str()), (Some("brand"), Some("Our brand")));
    assert_eq!((mirror["on_delete"].as_str(), mirror["collections"].as_str()), (Some("tag"), Some("mirror")));
    assert_eq!(table["api"].as_table().unwrap().keys().collect::<Vec<_>>(), ["base_url"], "no token is in it");
    assert_eq!(table["api"]["base_url"].as_str(), Some(env.sandbox.base_url().as_str()));
    assert!(!written(&env).unwrap().contains("\"sandbox\""));
    // The very commands that it named.
    env.run(&["--config", "dato-mirror.toml", "--dry-run"]).exits(0);
    assert!(env.assets().is_empty());
    env.run(&["--config", "dato-mirror.toml", "--sync-once"]).exits(0);
    assert_eq!(env.assets().len(), 1);
    env.run(&["--config", "dato-mirror.toml", "doctor"]).exits(0);
}

#[test]
fn every_policy_can_be_given_and_is_written() {
    let env = TestEnv::new();
    env.write("logo.svg", "<svg/>");
    for (flag, value) in [
        ("--on-delete", "delete"),
        ("--on-change", "new_url"),
        ("--on-rename", "rename"),
        ("--on-remote-change", "accept"),
        ("--on-remote-delete", "recreate"),
        ("--duplicates", "separate"),
        ("--collections", "Some/Place"),
        ("--stamp", "digest"),
    ] {
        env.run(&["init", "--root", "brand", "--offline", "--force", flag, value]).exits(0);
        let key = flag.trim_start_matches('-').replace('-', "_");
        assert_eq!(table(&env)["mirror"][0][&key].as_str(), Some(value), "{flag}");
        env.run(&["init", "--root", "brand", "--offline", "--force", flag, ""]).exits(2);
        env.run(&["--config", "dato-mirror.toml", "--dry-run"]).exits(0);
    }
}

#[test]
fn a_file_that_is_there_is_left_alone_unless_forced() {
    let env = TestEnv::new();
    env.write("logo.svg", "<svg/>");
    env.config("# mine\n");
    let run = env.run(&["init", "--root", "brand"]).exits(2);
    assert!(run.stderr.contains("dato-mirror.toml is there already") && run.stderr.contains("--force"), "{run:#?}");
    assert_eq!(written(&env).as_deref(), Some("# mine\n"));
    assert!(env.sandbox.log().is_empty(), "it is told before anything is asked");
    let printed = env.run(&["init", "--root", "brand", "--print"]).exits(0);
    assert_eq!(written(&env).as_deref(), Some("# mine\n"));
    assert!(printed.stderr.contains("all is well"), "the checks do not stand in the configuration: {printed:#?}");
    env.run(&["init", "--root", "brand", "--force"]).exits(0);
    assert_eq!(written(&env).as_deref(), Some(printed.stdout.as_str()), "what is printed is what is written");
    env.run(&["-c", "deep/er/other.toml", "init", "--root", "brand"]).exits(0);
    let other = fs::read_to_string(env.home().join("deep/er/other.toml")).unwrap();
    let root = env.root().display().to_string();
    assert!(other.contains(&root), "a folder that is not below the file's is named in whole: {other}");
    env.run(&["-c", "deep/er/other.toml", "--dry-run"]).exits(0);
}

#[test]
fn a_token_or_environment_that_the_service_refuses_is_exit_3_and_nothing_is_written() {
    let mut env = TestEnv::new();
    env.write("logo.svg", "<svg/>");
    let run = env.run(&["init", "--root", "brand", "--environment", "sprnig"]).exits(3);
    assert!(run.stdout.contains("sprnig") && run.stderr.contains("was not written"), "{run:#?}");
    assert_nothing_written(&env, &run);
    env.set("DATOCMS_API_TOKEN", "tok3n-of-nobody");
    for more in [&[][..], &["--token-file", "token", "--save-token"]] {
        let run = env.run(&[&["init", "--root", "brand"], more].concat()).exits(3);
        assert!(run.stdout.contains("FAIL") && !format!("{run:?}").contains("tok3n"), "{run:#?}");
        assert_nothing_written(&env, &run);
    }
    let run = env.run(&["init", "--root", "brand", "--format", "json"]).exits(3);
    let told: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!((&told["written"], &told["healthy"]), (&Value::Null, &false.into()));
    env.set("DATO_MIRROR_API_BASE_URL", "http://127.0.0.1:1");
    let run = env.run(&["init", "--root", "brand"]).exits(3);
    assert_nothing_written(&env, &run);
    // Only who asks for no check gets none.
    env.run(&["init", "--root", "brand", "--offline"]).exits(0);
}

#[test]
fn what_can_be_mended_later_is_told_and_the_configuration_written() {
    let mut env = TestEnv::new();
    let run = env.run(&["init", "--root", "brand"]).exits(1);
    assert!(run.stdout.contains("no file to mirror") && written(&env).is_some(), "{run:#?}");
    env.write("logo.svg", "<svg/>");
    env.set("DATOCMS_API_TOKEN", "sandbox-readonly");
    let run = env.run(&["init", "--root", "brand", "--force", "--format", "json"]).exits(1);
    let told: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!((&told["written"], &told["healthy"]), (&"dato-mirror.toml".into(), &false.into()));
    assert!(told["checks"].as_array().unwrap().iter().any(|check| check["check"] == "may create"), "{told}");
}

#[test]
fn without_a_terminal_each_missing_flag_is_named() {
    let mut env = TestEnv::new();
    env.write("logo.svg", "<svg/>");
    env.vars.remove("DATOCMS_API_TOKEN");
    let run = env.run(&["init"]).exits(2);
    assert!(run.stderr.contains("--root") && run.stderr.contains("--token-file"), "{run:#?}");
    let run = env.run(&["init", "--root", "brand"]).exits(2);
    assert!(!run.stderr.contains("--root DIR") && run.stderr.contains("--token-file"), "{run:#?}");
    for (args, told) in [
        (&["--root", "nowhere"][..], "there is no folder"),
        (&["--root", "brand/logo.svg"], "there is no folder"),
        (&["--root", "brand", "--token-file", "gone"], "there is no file"),
        (&["--root", "brand", "--name", " "], "--name"),
        (&["--root", "brand", "--environment", "a b"], "--environment"),
        (&["--root", "brand", "--token-file", "token", "--save-token"], "is empty"),
    ] {
        let run = env.run(&[&["init"], args, &["--offline"]].concat()).exits(2);
        assert!(run.stderr.contains(told), "{args:?}: {run:#?}");
        assert_nothing_written(&env, &run);
    }
    // It can still be set when the mirror runs.
    let run = env.run(&["init", "--root", "brand", "--offline"]).exits(0);
    assert!(run.stdout.contains("export DATOCMS_API_TOKEN="), "{run:#?}");
    assert!(env.sandbox.log().is_empty());
}

#[test]
fn a_token_is_kept_in_a_file_of_its_owner_when_asked_for() {
    let mut env = TestEnv::new();
    env.write("logo.svg", "<svg/>");
    env.vars.remove("DATOCMS_API_TOKEN");
    let args = ["init", "--root", "brand", "--token-file", "secret/token", "--save-token"];
    let run = env.run_with_input(&args, b"sandbox\n").exits(0);
    let token = env.home().join("secret/token");
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((fs::read_to_string(&token).unwrap(), mode(&token)), ("sandbox\n".into(), 0o600));
    assert!(run.stdout.contains("token_file") && run.stdout.contains("which only you can read"), "{run:#?}");
    assert_eq!(table(&env)["api"]["token_file"].as_str(), Some("secret/token"));
    env.run(&["--config", "dato-mirror.toml", "--sync-once"]).exits(0);
    let again = env.run_with_input(&[&args[..], &["-c", "other.toml"]].concat(), b"another\n").exits(2);
    assert!(again.stderr.contains("is there already"), "{again:#?}");
    assert_eq!(fs::read_to_string(&token).unwrap(), "sandbox\n");
    // One that is there is used as it is.
    env.run(&["-c", "other.toml", "init", "--root", "brand", "--token-file", "secret/token"]).exits(0);
}

#[test]
fn odd_folder_names_are_mirrored_by_what_was_written() {
    let env = TestEnv::new();
    for odd in ["with space", "it's \"quoted\"", "back\\slash", "Füße 日本", "# x = 'y'", "tab\there", "~"] {
        fs::create_dir(env.home().join(odd)).unwrap();
        fs::write(env.home().join(odd).join("file.txt"), odd).unwrap();
        let root = format!("./{odd}");
        env.run(&["init", "--force", "--root", &root, "--name", "odd"]).exits(0);
        let run = env.run(&["--config", "dato-mirror.toml", "--dry-run", "--format", "json"]).exits(0);
        assert_eq!(run.mirror()["root"], env.home().join(odd).display().to_string(), "{odd}");
        assert_eq!(run.count("scanned"), 1, "{odd}: {run:#?}");
    }
}

/// Runs the binary on a terminal of its own, and types each answer when its question is there. `None` where there is no
/// `script`, which makes terminals.
fn converse(env: &TestEnv, args: &str, answers: &[(&str, &str)]) -> Option<(i32, String)> {
    let command = format!("'{}' {args}", env!("CARGO_BIN_EXE_dato-mirror"));
    let mut command = {
        let mut script = Command::new("script");
        script.args(["-qec", &command, "/dev/null"]).env_clear().envs(&env.vars).env("SHELL", "/bin/sh");
        script.env("PATH", std::env::var_os("PATH").unwrap_or_default()).current_dir(env.home());
        script
    };
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().ok()?;
    let (mut keyboard, mut screen) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let heard = Arc::new(Mutex::new(String::new()));
    let to = heard.clone();
    let reader = std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = screen.read(&mut buffer) {
            to.lock().unwrap().push_str(&String::from_utf8_lossy(&buffer[..count]));
        }
    });
    let mut from = 0;
    for (question, answer) in answers {
        wait_until(&format!("{question:?} is asked"), || {
            let ended = child.try_wait().unwrap().is_some();
            let text = heard.lock().unwrap();
            let asked = text.get(from..).is_some_and(|text| text.contains(question));
            assert!(asked || !ended, "it ended before {question:?}:\n{text}");
            asked
        });
        from = heard.lock().unwrap().len();
        writeln!(keyboard, "{answer}").unwrap();
    }
    let code = child.wait().unwrap().code().unwrap_or(-1);
    reader.join().unwrap();
    let text = heard.lock().unwrap().clone();
    Some((code, text))
}

#[test]
fn on_a_terminal_it_asks_for_what_no_flag_says_and_again_for_what_the_service_refuses() {
    let mut env = TestEnv::new();
    env.write("logo.svg", "<svg/>");
    env.vars.remove("DATOCMS_API_TOKEN");
    let conversation = converse(
        &env,
        "init",
        &[
            ("The folder to mirror: ", "nowhere"),
            ("The folder to mirror: ", "~/brand"),
            ("Its name [brand]: ", ""),
            ("[type]: ", ""),
            ("/.config/dato-mirror/token]: ", ""),
            ("(it is not shown): ", "tok3n-of-nobody"),
            ("[primary]: ", ""),
            ("Keep it so? yes or no [yes]: ", "no"),
            ("delete it if nothing uses it [keep]: ", "tag"),
            ("[keep_url]: ", ""),
            ("[keep_url]: ", ""),
            ("[report]: ", ""),
            ("[report]: ", ""),
            ("[share]: ", ""),
            ("[none]: ", ""),
            ("[path]: ", ""),
            // The checks follow.
            ("[type]: ", ""),
            ("/.config/dato-mirror/token]: ", ""),
            ("(it is not shown): ", "sandbox"),
            ("[primary]: ", "sprnig"),
            ("[type]: ", ""),
            ("/.config/dato-mirror/token]: ", ""),
            ("(it is not shown): ", "sandbox"),
            ("[primary]: ", "main"),
        ],
    );
    let Some((code, text)) = conversation else {
        eprintln!("skipped: there is no `script` here, so no terminal could be made");
        return;
    };
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("there is no folder") && text.contains("Nothing is written yet"), "{text}");
    assert!(
        text.contains("no such environment: environment sprnig") && text.contains("wrote dato-mirror.toml"),
        "{text}"
    );
    assert!(!text.contains("\\n"), "each check has a line: {text}");
    assert!(!text.contains("tok3n"), "a secret was shown: {text}");
    let token = env.home().join(".config/dato-mirror/token");
    assert_eq!(fs::read_to_string(&token).unwrap(), "sandbox\n");
    assert_eq!(fs::metadata(&token).unwrap().permissions().mode() & 0o777, 0o600);
    let table = table(&env);
    assert_eq!(table["api"]["environment"].as_str(), Some("main"));
    assert_eq!(table["mirror"][0]["on_delete"].as_str(), Some("tag"));
    env.run(&["--config", "dato-mirror.toml", "--sync-once"]).exits(0);
}
