//! A folder and the real binary that mirrors it into the fork.
//!
//! Owns: temporary folders, the runs and what they reported. Every run names the fork. A scene's mirror has a name that
//! nobody else has, so that scenes know nothing of each other. No process outlives its run.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::content::word;
use crate::fork::Fork;
use crate::wire::LONG;

/// What a run may take from the surroundings: the way through a proxy, and whom to trust.
const PASSED_ON: [&str; 8] =
    ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy", "NO_PROXY", "no_proxy", "SSL_CERT_FILE", "SSL_CERT_DIR"];

/// A folder with its mirror.
pub struct Scene<'a> {
    fork: &'a Fork,
    dir: TempDir,
    name: String,
    vars: BTreeMap<String, String>,
}

/// How a run ended.
#[derive(Debug)]
pub struct Run {
    pub code: i32,
    pub stdout: String,
    #[expect(dead_code, reason = "a failure shows it")]
    pub stderr: String,
}

impl<'a> Scene<'a> {
    pub fn new(fork: &'a Fork) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("brand")).unwrap();
        let name = format!("test-{}", word());
        let mut scene = Self { fork, dir, name, vars: BTreeMap::new() };
        for name in PASSED_ON {
            if let Ok(value) = std::env::var(name) {
                scene.set(name, &value);
            }
        }
        let home = scene.dir.path().display().to_string();
        if fork.wire().base().contains("//127.0.0.1") {
            scene.set("NO_PROXY", "127.0.0.1");
        }
        scene.set("HOME", &home);
        scene.set("DATOCMS_API_TOKEN", fork.wire().token());
        scene.set("DATO_MIRROR_API_BASE_URL", fork.wire().base());
        scene.set("DATO_MIRROR_STATE_PATH", &format!("{home}/state/index.sqlite"));
        scene.set("DATO_MIRROR_SETTLE", "20ms");
        scene
    }

    /// Sets a variable of the runs to come.
    pub fn set(&mut self, name: &str, value: &str) {
        self.vars.insert(name.to_owned(), value.to_owned());
    }

    fn at(&self, path: &str) -> PathBuf {
        self.dir.path().join("brand").join(path)
    }

    /// Writes a file.
    pub fn write(&self, path: &str, content: &[u8]) {
        fs::create_dir_all(self.at(path).parent().unwrap()).unwrap();
        fs::write(self.at(path), content).unwrap();
    }

    /// Removes a file.
    pub fn remove(&self, path: &str) {
        fs::remove_file(self.at(path)).unwrap();
    }

    /// Moves a file.
    pub fn rename(&self, from: &str, to: &str) {
        fs::create_dir_all(self.at(to).parent().unwrap()).unwrap();
        fs::rename(self.at(from), self.at(to)).unwrap();
    }

    /// Deletes the index, as on another machine.
    pub fn lose_index(&self) {
        fs::remove_dir_all(self.dir.path().join("state")).unwrap();
    }

    /// The asset with this content, which this mirror's stamp must name by these paths.
    #[track_caller]
    pub fn asset(&self, content: &[u8], paths: &[&str]) -> Value {
        let asset = self.fork.asset_with(content);
        let data = self.fork.site().field(&asset, "custom_data");
        let stamp = data["dato-mirror"].as_str().unwrap_or_else(|| panic!("the stamp is no string: {data}"));
        let stamp: Value = serde_json::from_str(stamp).unwrap();
        let stamped: Vec<_> = stamp[&self.name]["paths"].as_array().unwrap().iter().flat_map(Value::as_str).collect();
        assert_eq!(stamped, paths, "{stamp}");
        asset
    }

    /// Runs the binary on the folder, in the fork.
    #[track_caller]
    pub fn run(&self, args: &[&str]) -> Run {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dato-mirror"));
        command.env_clear().envs(&self.vars).env("DATO_MIRROR_API_ENVIRONMENT", self.fork.name());
        command.args(["--root", "brand", "--name", &self.name, "--format", "json"]).args(args);
        let (out, err) = (self.dir.path().join("stdout"), self.dir.path().join("stderr"));
        command.current_dir(self.dir.path()).stdin(Stdio::null());
        command.stdout(fs::File::create(&out).unwrap()).stderr(fs::File::create(&err).unwrap());
        let mut child = Running(command.spawn().unwrap());
        let started = Instant::now();
        let code = loop {
            if let Some(status) = child.0.try_wait().unwrap() {
                break status.code().unwrap_or(-1);
            }
            assert!(started.elapsed() < LONG, "the binary does not end");
            sleep(Duration::from_millis(10));
        };
        let read = |path| String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned();
        Run { code, stdout: read(out), stderr: read(err) }
    }

    /// `--sync-once`.
    #[track_caller]
    pub fn sync(&self) -> Run {
        self.run(&["--sync-once"])
    }
}

/// A process that ends with whoever waits for it.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Run {
    /// The mirror's part of the report.
    #[track_caller]
    pub fn mirror(&self) -> Value {
        let report: Value = serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:#?}"));
        report["mirrors"][0].clone()
    }

    /// How many API calls it made.
    #[track_caller]
    pub fn calls(&self) -> u64 {
        self.mirror()["api_requests"].as_u64().unwrap()
    }

    /// The causes of its problems.
    #[track_caller]
    pub fn problems(&self) -> Vec<String> {
        let problems = self.mirror()["problems"].as_array().unwrap().clone();
        problems.iter().map(|problem| problem["cause"].as_str().unwrap().to_owned()).collect()
    }

    /// Asserts that all is mirrored, and by which changes: the counters that are not zero, in the report's words.
    #[track_caller]
    pub fn did(self, changes: &str) -> Self {
        assert_eq!(self.code, 0, "{self:#?}");
        let mirror = self.mirror();
        let names = ["created", "adopted", "aliased", "moved", "replaced", "retagged", "deleted", "skipped", "failed"];
        let told = names.iter().filter(|name| mirror[**name] != 0).map(|name| format!("{name} {}", mirror[*name]));
        assert_eq!(told.collect::<Vec<_>>().join(", "), changes, "{self:#?}");
        self
    }
}
