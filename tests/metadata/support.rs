//! The surroundings of a test: a folder, a media area of its own, and the real binary.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

use dato_mirror::sandbox::{AssetView, Options, Sandbox, Settings};
use serde_json::Value;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use super::BY_FIELD;

pub struct Env {
    pub sandbox: Sandbox,
    dir: TempDir,
    runtime: Runtime,
}

impl Env {
    /// One mirror `brand` with these keys besides name and root; the media area has the locales en and it, and metadata in
    /// the shape that the test is in.
    pub fn new(keys: &str) -> Self {
        Self::with(keys, |_| {})
    }

    pub fn with(keys: &str, change: impl FnOnce(&mut Settings)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("brand")).unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let locales = vec!["en".into(), "it".into()];
        let mut settings = Settings { locales, by_field: BY_FIELD, ..Settings::fast() };
        // Told a limit so high, the client waits for nothing; told none, it keeps to the usual one.
        settings.rate_limit = 100_000;
        change(&mut settings);
        let sandbox = runtime.block_on(Sandbox::local(Options { settings, ..Options::default() })).unwrap();
        let env = Self { sandbox, dir, runtime };
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

    /// A field that each locale has for itself.
    pub fn localized(&self, filename: &str, locale: &str, field: &str) -> Value {
        let metadata = self.asset(filename).metadata;
        if BY_FIELD { metadata[field][locale].clone() } else { metadata[locale][field].clone() }
    }

    pub fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    /// A call of the API, as another program makes it.
    pub fn api(&self, method: &str, path: &str, body: &Value) -> Value {
        let url = format!("{}{path}", self.sandbox.base_url());
        let method = method.parse::<reqwest::Method>().unwrap();
        self.runtime.block_on(async {
            let client = reqwest::Client::builder().no_proxy().build().unwrap();
            let mut call = client.request(method, url).header("accept", "application/json").bearer_auth("sandbox");
            call = call.header("x-api-version", "3");
            if !body.is_null() {
                call = call.header("content-type", "application/vnd.api+json").body(body.to_string());
            }
            serde_json::from_str(&call.send().await.unwrap().text().await.unwrap()).unwrap()
        })
    }

    /// Collections by their labels from the outermost in, joined by `/`; as (labels, id).
    pub fn collections(&self) -> Vec<(String, String)> {
        let listed = self.api("GET", "/upload-collections", &Value::Null);
        let listed = listed["data"].as_array().unwrap();
        let find = |id: &Value| listed.iter().find(|one| one["id"] == *id);
        let mut all: Vec<_> = listed
            .iter()
            .map(|one| {
                let mut labels = one["attributes"]["label"].as_str().unwrap().to_owned();
                let mut at = one;
                while let Some(parent) = find(&at["relationships"]["parent"]["data"]["id"]) {
                    labels = format!("{}/{labels}", parent["attributes"]["label"].as_str().unwrap());
                    at = parent;
                }
                (labels, one["id"].as_str().unwrap().to_owned())
            })
            .collect();
        all.sort();
        all
    }

    pub fn collection(&self, labels: &str) -> String {
        let all = self.collections();
        let found = all.iter().find(|(path, _)| path == labels);
        found.unwrap_or_else(|| panic!("no {labels} in {all:?}")).1.clone()
    }

    /// An editor's collection; its id.
    pub fn make_collection(&self, label: &str) -> String {
        let body = serde_json::json!({"data": {"type": "upload_collection", "attributes": {"label": label}}});
        self.api("POST", "/upload-collections", &body)["data"]["id"].as_str().unwrap().to_owned()
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
    #[expect(dead_code, reason = "for failed assertions")]
    pub stderr: String,
}

impl Run {
    #[expect(clippy::needless_pass_by_value, reason = "the end of the process")]
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
