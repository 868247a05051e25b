//! DatoCMS's official client, unchanged, works against the sandbox, in both metadata shapes. The checks are in
//! `conformance/run.mjs`.
//!
//! Where node or npm is missing, or npm reaches no registry, the test says so and passes: the rest of the house needs
//! neither.

#![expect(clippy::expect_used, reason = "a panic is how a test fails")]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "what was checked, and why not, is for whoever runs it")]

use std::path::Path;
use std::process::{Command, Output};

use dato_mirror::sandbox::{Options, Sandbox, Settings};

const FILES: [&str; 3] = ["package.json", "package-lock.json", "run.mjs"];

fn runs(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success())
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Copies the package beside the build, so that the sources stay as they are, and installs what its lock file pins.
fn install(source: &Path, place: &Path) -> Result<(), String> {
    std::fs::create_dir_all(place).map_err(|error| error.to_string())?;
    let mut fresh = !place.join("node_modules/.package-lock.json").exists();
    for name in FILES {
        let wanted = std::fs::read(source.join(name)).map_err(|error| format!("{name}: {error}"))?;
        let found = std::fs::read(place.join(name)).unwrap_or_default();
        fresh |= name != "run.mjs" && found != wanted;
        std::fs::write(place.join(name), wanted).map_err(|error| format!("{name}: {error}"))?;
    }
    if !fresh {
        return Ok(());
    }
    let mut npm = Command::new("npm");
    npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]).current_dir(place);
    let output = npm.output().map_err(|error| error.to_string())?;
    if output.status.success() { Ok(()) } else { Err(text(&output)) }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_official_client_works_against_the_sandbox_where_metadata_is_by_field() {
    run("field").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_official_client_works_against_the_sandbox_where_metadata_is_by_locale() {
    run("locale").await;
}

async fn run(shape: &'static str) {
    if !runs("node") || !runs("npm") {
        eprintln!("skipped: node and npm are not on this machine, so the official client cannot be run");
        return;
    }
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance");
    // One place for each shape: the two tests run beside each other.
    let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("conformance-{shape}"));
    if let Err(why) = install(&source, &place) {
        eprintln!("skipped: npm cannot install the official client here:\n{why}");
        return;
    }
    let settings = Settings { by_field: shape == "field", ..Settings::default() };
    let sandbox = Sandbox::local(Options { settings, ..Options::default() }).await.expect("the sandbox starts");
    let url = sandbox.base_url();
    let output = tokio::task::spawn_blocking(move || {
        let mut node = Command::new("node");
        node.arg("run.mjs").current_dir(place).env("SANDBOX_URL", url).env("SANDBOX_SHAPE", shape);
        node.env("NO_PROXY", "127.0.0.1").output()
    });
    let output = output.await.expect("the task ends").expect("node starts");
    assert!(output.status.success(), "metadata by {shape}: {}", text(&output));
    println!("{}", text(&output));
}
