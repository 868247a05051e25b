//! What a release is made of: the archive, its names where they are looked for, and the download of the GitHub Action.
//!
//! The scripts run as in a release, with a stand-in for the binary; releases are served by a server in this process.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use super::ci::{have, project};

const VERSION: &str = env!("CARGO_PKG_VERSION");

fn manifest() -> toml::Table {
    std::fs::read_to_string(project("Cargo.toml")).unwrap().parse().unwrap()
}

/// A program that says its version and takes every command, as the archive's script asks for them.
fn stand_in(dir: &Path) -> PathBuf {
    let path = dir.join("stand-in");
    let script = format!("#!/bin/sh\n[ \"$1\" != --version ] || echo dato-mirror {VERSION}\n");
    std::fs::write(&path, script).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path
}

/// The archive for `target`, as a release has it, and what is in it.
fn archive(dir: &Path, target: &str) -> (PathBuf, BTreeSet<String>) {
    let built = Command::new(project("packaging/build-archive.sh"))
        .args([stand_in(dir).as_path(), Path::new(target), dir])
        .output()
        .unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let path = PathBuf::from(String::from_utf8(built.stdout).unwrap().trim());
    let listed = Command::new("tar").arg("-tzf").arg(&path).output().unwrap();
    (path, String::from_utf8(listed.stdout).unwrap().lines().map(str::to_owned).collect())
}

/// What the release workflow builds for.
fn targets() -> Vec<String> {
    let workflow = std::fs::read_to_string(project(".github/workflows/release.yml")).unwrap();
    let named = workflow.lines().filter_map(|line| line.trim().strip_prefix("- target: ").map(str::to_owned));
    named.collect()
}

#[test]
fn cargo_binstall_looks_for_what_a_release_has() {
    let manifest = manifest();
    let package = &manifest["package"];
    let metadata = &package["metadata"]["binstall"];
    let repository = package["repository"].as_str().unwrap();
    let key = |target: &str, key: &str| -> String {
        let own = metadata["overrides"].get(target).and_then(|own| own.get(key));
        let filled = own.unwrap_or(&metadata[key]).as_str().unwrap();
        let variables = [
            ("repo", repository),
            ("name", "dato-mirror"),
            ("version", VERSION),
            ("target", target),
            ("bin", "dato-mirror"),
            ("binary-ext", ""),
        ];
        let fill = |text: String, (name, value): (&str, &str)| text.replace(&format!("{{ {name} }}"), value);
        let filled = variables.into_iter().fold(filled.to_owned(), fill);
        assert!(!filled.contains(['{', '}']), "{filled}");
        filled
    };
    let targets = targets();
    assert_eq!(targets, ["x86_64-unknown-linux-musl", "aarch64-unknown-linux-musl"]);
    let dir = tempfile::tempdir().unwrap();
    for target in targets {
        let (path, inside) = archive(dir.path(), &target);
        let name = path.file_name().unwrap().to_str().unwrap();
        // A machine with glibc runs the same static binary.
        for asks in [target.clone(), target.replace("-musl", "-gnu")] {
            assert_eq!(key(&asks, "pkg-url"), format!("{repository}/releases/download/v{VERSION}/{name}"));
            assert!(inside.contains(&key(&asks, "bin-dir")), "{inside:#?}");
        }
        for wanted in ["README.md", "LICENSE", "docs/ci.md", "systemd/dato-mirror.service"] {
            assert!(inside.iter().any(|path| path.ends_with(&format!("/{wanted}"))), "{wanted}: {inside:#?}");
        }
    }
    assert_eq!(metadata["pkg-fmt"].as_str(), Some("tgz"));
}

/// Serves the files of a folder until the test ends; any path that is none is not found.
fn serve(dir: PathBuf) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
            let path = lines.next().and_then(|line| line.split(' ').nth(1).map(str::to_owned)).unwrap_or_default();
            while lines.next().is_some_and(|line| !line.is_empty()) {}
            let (status, body) = match std::fs::read(dir.join(path.trim_start_matches('/'))) {
                Ok(body) => ("200 OK", body),
                Err(_) => ("404 Not Found", Vec::new()),
            };
            let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
            let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body));
        }
    });
    address
}

fn install(temp: &Path, url: &str, more: &[(&str, &str)]) -> (Output, String, String) {
    for file in ["summary", "output", "dato-mirror"] {
        let _ = std::fs::remove_file(temp.join(file));
        let _ = std::fs::remove_dir_all(temp.join(file));
    }
    let output = Command::new(project("packaging/ci/install.sh"))
        .env("RUNNER_TEMP", temp)
        .env("GITHUB_STEP_SUMMARY", temp.join("summary"))
        .env("GITHUB_OUTPUT", temp.join("output"))
        .env("DOWNLOAD_URL", url)
        .env("no_proxy", "*")
        .envs(more.iter().copied())
        .output()
        .unwrap();
    let read = |name: &str| std::fs::read_to_string(temp.join(name)).unwrap_or_default();
    let (summary, told) = (read("summary"), read("output"));
    (output, summary, told)
}

#[test]
fn the_action_downloads_a_release_and_runs_nothing_with_another_checksum() {
    if !have("curl") {
        eprintln!("skipped: curl is not on this machine, and the action downloads with it");
        return;
    }
    let (site, temp) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let release = site.path().join(format!("v{VERSION}"));
    std::fs::create_dir(&release).unwrap();
    let target = match std::env::consts::ARCH {
        "x86_64" => "x86_64-unknown-linux-musl",
        "aarch64" => "aarch64-unknown-linux-musl",
        other => {
            eprintln!("skipped: there is no release for {other}");
            return;
        }
    };
    let (path, _) = archive(&release, target);
    let name = path.file_name().unwrap().to_str().unwrap();
    let summed = Command::new("sha256sum").arg(name).current_dir(&release).output().unwrap();
    let sums = String::from_utf8(summed.stdout).unwrap();
    std::fs::write(release.join("SHA256SUMS"), format!("{}  another.deb\n{sums}", "0".repeat(64))).unwrap();
    let url = serve(site.path().to_owned());
    let binary = temp.path().join("dato-mirror/bin/dato-mirror");

    // The version is that of the action's own source.
    let (ran, _, told) = install(temp.path(), &url, &[]);
    assert!(ran.status.success(), "{ran:?}");
    assert_eq!(told, format!("binary={}\n", binary.display()));
    assert!(String::from_utf8_lossy(&ran.stdout).contains(&format!("dato-mirror {VERSION}")), "{ran:?}");

    let sum = sums.split(' ').next().unwrap();
    let wrong = sum.chars().rev().collect::<String>();
    for (more, says) in [
        (vec![("CHECKSUM", wrong.as_str())], "has another checksum than it should have"),
        (vec![("VERSION", "v9.9.9")], "v9.9.9/dato-mirror-9.9.9-"),
        (vec![("VERSION", "../1")], "is no version"),
        (vec![("DOWNLOAD_URL", "http://example.com")], "over https only"),
    ] {
        let (ran, summary, told) = install(temp.path(), &url, &more);
        let said = String::from_utf8_lossy(&ran.stdout).into_owned();
        assert_eq!(ran.status.code(), Some(1), "{more:?}: {ran:?}");
        assert!(said.contains("::error title=dato-mirror::") && said.contains(says), "{more:?}: {said}");
        assert!(summary.contains(says) && told.is_empty(), "{more:?}: {summary}");
        assert!(!binary.exists(), "{more:?}");
    }
    let (shouted, named) = (sum.to_uppercase(), format!("v{VERSION}"));
    let (ran, ..) = install(temp.path(), &url, &[("CHECKSUM", shouted.as_str()), ("VERSION", named.as_str())]);
    assert!(ran.status.success(), "{ran:?}");

    // The release's own list is believed as well, and one that lacks the archive is no leave.
    for (list, says) in
        [(sums.replace(sum, &wrong), "has another checksum"), (sums.replace(name, "other.tar.gz"), "does not name")]
    {
        std::fs::write(release.join("SHA256SUMS"), list).unwrap();
        let (ran, summary, _) = install(temp.path(), &url, &[]);
        assert_eq!(ran.status.code(), Some(1), "{ran:?}");
        assert!(summary.contains(says) && !binary.exists(), "{summary}");
    }
}

#[test]
fn the_action_builds_only_when_told_so() {
    let action = std::fs::read_to_string(project("action.yml")).unwrap();
    let of_step = |name: &str| -> String {
        let rest = action.split(&format!("- name: {name}\n")).nth(1).unwrap();
        rest.split("    - name: ").next().unwrap().to_owned()
    };
    let build = of_step("Build dato-mirror");
    assert!(build.contains("if: inputs.binary == '' && inputs.build == 'true'") && build.contains("cargo install"));
    let download = of_step("Download dato-mirror");
    assert!(download.contains("if: inputs.binary == '' && inputs.build != 'true'"), "{download}");
    // Text in an input never becomes part of a script.
    for step in action.split("    - name: ").skip(1) {
        let script = step.split("      run: ").nth(1).unwrap();
        assert!(!script.contains("${{"), "{script}");
    }
    let inputs = action.split("\noutputs:").next().unwrap();
    let page = std::fs::read_to_string(project("docs/ci.md")).unwrap();
    for input in inputs.lines().filter_map(|line| line.strip_prefix("  ")?.strip_suffix(':')) {
        if !input.starts_with(' ') && input != "icon" {
            assert!(page.contains(&format!("| `{input}` |")), "docs/ci.md lacks the input {input}");
        }
    }
}

#[test]
fn a_tag_is_published_only_where_all_names_agree() {
    let check = |tag: &str, repository: &str| -> Output {
        let mut command = Command::new(project("packaging/check-release.sh"));
        command.env("TAG", tag).env("REPOSITORY", repository).output().unwrap()
    };
    let manifest = manifest();
    let repository = manifest["package"]["repository"].as_str().unwrap();
    let own = format!("v{VERSION}");
    for (tag, repository, says) in [
        ("v99.0.0", repository, "Cargo.toml says"),
        (own.as_str(), "https://github.com/somebody/else", "where nobody would find the release"),
    ] {
        let ran = check(tag, repository);
        assert_eq!(ran.status.code(), Some(1), "{ran:?}");
        assert!(String::from_utf8_lossy(&ran.stderr).contains(says), "{ran:?}");
    }
    // Before a release its section is still called Unreleased.
    let changelog = std::fs::read_to_string(project("CHANGELOG.md")).unwrap();
    let is_named = changelog.lines().any(|line| line.starts_with(&format!("## [{VERSION}]")));
    assert_eq!(check(&own, repository).status.success(), is_named);
}
