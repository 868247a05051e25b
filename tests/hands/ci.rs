//! The script behind the GitHub Action, and the Debian package: run as CI and users run them.

use std::path::Path;
use std::process::{Command, Output};

use super::support::TestEnv;

fn project(path: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Whether a program is on this machine; its test is left out where it is not.
fn have(program: &str) -> bool {
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
    assert!(summary.contains("| create | `fine.png` |"), "{summary}");
    let output = std::fs::read_to_string(env.home().join("runner/output")).unwrap();
    assert!(output.contains("report=") && output.contains("markdown="), "{output}");
    assert!(env.assets().is_empty(), "a plan changes nothing");

    assert_eq!(action(&env, "push", "sandbox").status.code(), Some(1));
    assert_eq!(env.assets().len(), 1);
    let fork = action(&env, "pull_request", "");
    assert!(fork.status.success() && String::from_utf8_lossy(&fork.stdout).contains("no API token"), "{fork:?}");
    assert_eq!(action(&env, "push", "nobody").status.code(), Some(3));
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
