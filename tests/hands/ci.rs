//! The script behind the GitHub Action, and the Debian package: run as CI and users run them.

use std::path::Path;
use std::process::{Command, Output};

use super::support::TestEnv;

pub(super) fn project(path: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Whether a program is on this machine; its test is left out where it is not.
pub(super) fn have(program: &str) -> bool {
    let found = Command::new("sh").args(["-c", &format!("command -v {program}")]).output();
    found.is_ok_and(|found| found.status.success())
}

fn action(env: &TestEnv, event: &str, token: &str) -> Output {
    let temp = env.home().join("runner");
    std::fs::create_dir_all(&temp).unwrap();
    Command::new(project("packaging/ci/run.sh"))
        .current_dir(env.home())
        .env("RUNNER_TEMP", &temp)
        .env("GITHUB_WORKSPACE", env.home())
        .env("GITHUB_STEP_SUMMARY", temp.join("summary"))
        .env("GITHUB_OUTPUT", temp.join("output"))
        .env("EVENT", event)
        .env("BINARY", env!("CARGO_BIN_EXE_dato-mirror"))
        .env("CONFIG", "dato-mirror.toml")
        .env("ARGUMENTS", "--mirror brand")
        .envs(&env.vars)
        .env("DATO_MIRROR_SETTLE", "")
        .env("DATOCMS_API_TOKEN", token)
        .output()
        .unwrap()
}

#[test]
fn the_action_plans_on_pull_requests_mirrors_on_pushes_and_annotates_problems() {
    if !have("jq") {
        eprintln!("skipped: jq is not on this machine, and the action's script needs it");
        return;
    }
    let env = TestEnv::new();
    env.config_with("");
    env.write("fine.png", "fine");
    env.write("odd, 100%: x.png", "");
    let big = std::fs::OpenOptions::new().write(true).open(env.at("odd, 100%: x.png")).unwrap();
    big.set_len(1_000_000_001).unwrap();
    let plan = action(&env, "pull_request", "sandbox");
    let said = String::from_utf8(plan.stdout).unwrap();
    assert_eq!(plan.status.code(), Some(1), "{said}\n{}", String::from_utf8_lossy(&plan.stderr));
    assert!(
        said.contains("::error file=brand/odd%2C 100%25%3A x.png,title=dato-mirror%3A brand::it is larger than 1 GB"),
        "{said}"
    );
    assert!(said.lines().all(|line| line.starts_with("::error ")), "{said}");
    let summary = std::fs::read_to_string(env.home().join("runner/summary")).unwrap();
    assert!(summary.contains("| `fine.png` | new asset: the file is new | file: – → 4 B |"), "{summary}");
    let output = std::fs::read_to_string(env.home().join("runner/output")).unwrap();
    assert!(output.contains("report=") && output.contains("markdown="), "{output}");
    assert!(env.assets().is_empty(), "a plan changes nothing");

    assert_eq!(action(&env, "push", "sandbox").status.code(), Some(1));
    assert_eq!(env.assets().len(), 1);
    let fork = action(&env, "pull_request", "");
    assert!(fork.status.success() && String::from_utf8_lossy(&fork.stdout).contains("no API token"), "{fork:?}");
}

/// What a run that fails leaves: its exit code, its annotations, its part of the summary.
fn failed(env: &TestEnv, event: &str, token: &str) -> (Option<i32>, Vec<String>, String) {
    let summary = env.home().join("runner/summary");
    let _ = std::fs::remove_file(&summary);
    let ran = action(env, event, token);
    let lines = String::from_utf8(ran.stdout).unwrap().lines().map(str::to_owned).collect();
    (ran.status.code(), lines, std::fs::read_to_string(summary).unwrap_or_default())
}

#[test]
fn a_run_that_cannot_begin_gives_a_summary_and_one_annotation() {
    if !have("jq") {
        eprintln!("skipped: jq is not on this machine, and the action's script needs it");
        return;
    }
    let env = TestEnv::new();
    env.config_with("");
    env.write("fine.png", "fine");
    for event in ["push", "pull_request"] {
        let (code, lines, summary) = failed(&env, event, "nobody");
        assert_eq!(code, Some(3), "{lines:?}");
        assert!(matches!(lines.as_slice(), [one] if one.starts_with("::error title=dato-mirror::")), "{lines:#?}");
        assert!(lines[0].contains("%0A→ "), "the advice is there: {lines:#?}");
        assert!(summary.contains("**The run could not begin**") && summary.contains("token"), "{summary}");
    }
    let report = std::fs::read_to_string(env.home().join("runner/dato-mirror-report.json")).unwrap();
    assert!(report.contains("\"action\":\"start\""), "{report}");

    let (code, lines, summary) = failed(&env, "push", "");
    assert_eq!((code, lines.len()), (Some(2), 1), "{lines:#?}");
    assert!(lines[0].starts_with("::error ") && lines[0].contains("no API token"), "{lines:#?}");
    assert!(summary.contains("no API token"), "{summary}");

    env.config_with("nonsense = 1");
    let (code, lines, summary) = failed(&env, "push", "sandbox");
    assert_eq!((code, lines.len()), (Some(2), 1), "{lines:#?}");
    assert!(lines[0].starts_with("::error file=dato-mirror.toml,line="), "{lines:#?}");
    assert!(
        lines[0].contains("nonsense") && summary.contains("nonsense") && summary.contains("exit code 2"),
        "{summary}"
    );
    assert!(!summary.contains('\u{1b}'), "{summary}");
}

#[test]
fn the_deletion_guard_is_one_annotation_and_one_line_of_the_plan() {
    if !have("jq") {
        eprintln!("skipped: jq is not on this machine, and the action's script needs it");
        return;
    }
    let env = TestEnv::new();
    env.config_with("on_delete = \"delete\"\nmax_delete = 1\nauthoritative = true");
    env.write("stays.png", "stays");
    for n in 0..6 {
        env.write(format!("{n}.png"), n.to_string());
    }
    assert_eq!(action(&env, "push", "sandbox").status.code(), Some(0));
    for n in 0..6 {
        env.remove(&format!("{n}.png"));
    }
    for event in ["pull_request", "push"] {
        let (code, lines, summary) = failed(&env, event, "sandbox");
        assert_eq!((code, lines.len()), (Some(4), 1), "{event}: {lines:#?}");
        assert!(lines[0].contains("max_delete: 6 of 7 files are gone"), "{lines:#?}");
        assert_eq!(summary.matches("are gone").count(), 1, "{summary}");
        assert!(summary.contains("| `0.png, 1.png, 2.png and 3 more` |") && !summary.contains("4.png"), "{summary}");
    }
}

#[test]
fn the_package_installs_into_a_clean_root() {
    if !have("dpkg-deb") {
        eprintln!("skipped: dpkg-deb is not on this machine");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let built = Command::new(project("packaging/build-deb.sh"))
        .args([Path::new(env!("CARGO_BIN_EXE_dato-mirror")), dir.path()])
        // A debug build is large.
        .env("COMPRESSION", "none")
        .output()
        .unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let package = String::from_utf8(built.stdout).unwrap();
    let checked = Command::new(project("packaging/check-deb.sh")).arg(package.trim()).output().unwrap();
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
}
