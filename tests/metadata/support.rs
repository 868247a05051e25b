//! The surroundings of a test: a folder, a media area of its own, and the real binary.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use dato_mirror::sandbox::{AssetView, Options, Sandbox, Settings};
use serde_json::Value;
use tempfile::TempDir;
use tokio::runtime::Runtime;

pub struct Env {
    pub sandbox: Sandbox,
    dir: TempDir,
    _runtime: Runtime,
}

impl Env {
    /// One mirror `brand` with these keys besides name and root; the media area has the locales en and it.
    pub fn new(keys: &str) -> Self {
        Self::with(keys, |_| {})
    }

    pub fn with(keys: &str, change: impl FnOnce(&mut Settings)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("brand")).unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let mut settings = Settings { locales: vec!["en".into(), "it".into()], ..Settings::fast() };
        change(&mut settings);
        let sandbox = runtime.block_on(Sandbox::local(Options { settings, ..Options::default() })).unwrap();
        let env = Self { sandbox, dir, _runtime: runtime };
        env.configure(keys);
        env
    }

    pub fn configure(&self, keys: &str) {
        let root = self.root();
        let text = format!("[[mirror]]\nname = \"brand\"\nroot = {root:?}\nsettle = \"10ms\"\n{keys}\n");
        fs::write(self.dir.path().join("dato-mirror.toml"), text).unwrap();
    }

    pub fn root(&self) -> PathBuf {
        self.dir.path().join("brand")
    }

    pub fn home(&self) -> &Path {
        self.dir.path()
    }

    pub fn write(&self, path: &str, content: impl AsRef<[u8]>) {
        let path = self.root().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    pub fn forget_index(&self) {
        for file in fs::read_dir(self.dir.path()).unwrap().flatten() {
            if file.file_name().to_string_lossy().starts_with("index.sqlite") && file.path().is_file() {
                fs::remove_file(file.path()).unwrap();
            }
        }
    }

    pub fn command(&self, index: &str, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dato-mirror"));
        command
            .args(["--sync-once", "--format", "json"])
            .args(args)
            .current_dir(self.dir.path())
            .env_clear()
            .env("HOME", self.dir.path())
            .env("DATOCMS_API_TOKEN", "sandbox")
            .env("DATO_MIRROR_API_BASE_URL", self.sandbox.base_url())
            .env("DATO_MIRROR_STATE_PATH", self.dir.path().join(index))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    pub fn start(&self, index: &str) -> Child {
        self.command(index, &[]).spawn().unwrap()
    }

    pub fn run(&self, args: &[&str]) -> Run {
        Run::of(self.command("index.sqlite", args).output().unwrap())
    }

    /// A run that mirrors everything.
    pub fn sync(&self) -> Run {
        let run = self.run(&[]);
        assert_eq!(run.code, 0, "{run:#?}");
        run
    }

    /// The asset of that filename.
    pub fn asset(&self, filename: &str) -> AssetView {
        let assets = self.sandbox.assets(None);
        let named = assets.iter().find(|asset| asset.filename == filename);
        named.unwrap_or_else(|| panic!("no {filename} in {assets:#?}")).clone()
    }

    /// Calls that change something.
    pub fn changes(&self) -> usize {
        self.sandbox.count("POST *") + self.sandbox.count("PUT /*") + self.sandbox.count("DELETE *")
    }
}

#[derive(Debug)]
pub struct Run {
    pub code: i32,
    pub report: Value,
    pub stderr: String,
}

impl Run {
    pub fn of(output: Output) -> Self {
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        let mut report: Value = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
        let report = report["mirrors"][0].take();
        Self { code: output.status.code().unwrap_or(-1), report, stderr }
    }

    pub fn count(&self, key: &str) -> u64 {
        self.report[key].as_u64().unwrap_or_else(|| panic!("no {key} in {self:#?}"))
    }

    pub fn problems(&self) -> Vec<String> {
        let text = |problem: &Value, key: &str| problem[key].as_str().unwrap_or_default().to_owned();
        let problems = self.report["problems"].as_array().cloned().unwrap_or_default();
        problems.iter().map(|problem| format!("{}: {}", text(problem, "path"), text(problem, "cause"))).collect()
    }

    pub fn has_problem(&self, part: &str) -> bool {
        self.problems().iter().any(|problem| problem.contains(part))
    }
}

/// A PNG of one pixel whose bytes depend on `seed`.
pub fn png(seed: &str) -> Vec<u8> {
    let mut bytes = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x02\0\0\0\x90wS\xde".to_vec();
    bytes.extend(b"\0\0\0\x0cIDATx\x9cc\xf8\xcf\xc0\0\0\x03\x01\x01\0\xc9\xfe\x92\xef\0\0\0\0IEND\xaeB`\x82");
    bytes.extend(seed.as_bytes());
    bytes
}
