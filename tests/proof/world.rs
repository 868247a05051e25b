//! A folder, an index, a media area, and runs over them in this process.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use dato_mirror::config::template::Template;
use dato_mirror::config::{Api, Config, Mirror};
use dato_mirror::error::RunError;
use dato_mirror::index::IndexError;
use dato_mirror::model::Stamp;
use dato_mirror::remote::Timeouts;
use dato_mirror::sandbox::{AssetView, Held, LogEntry, Options, Sandbox, Settings};
use dato_mirror::sync::once::{OnceEnd, OnceOptions, run_once};
use dato_mirror::sync::timeouts::SyncTimeouts;
use serde_json::Value;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

/// Where temporary folders go: in memory where there is such a place, as a run syncs its index to the disk.
pub fn folder() -> TempDir {
    let memory = Path::new("/dev/shm");
    let made = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    made.unwrap()
}

/// A world of its own.
pub struct World {
    /// The media area.
    pub sandbox: Arc<Sandbox>,
    /// The configuration of the next run.
    pub config: Config,
    /// Holds folder and index.
    _dir: TempDir,
}

/// All files below a folder with their content; none where there is no folder.
pub fn tree_of(root: &Path) -> BTreeMap<String, String> {
    fn walk(root: &Path, folder: &Path, found: &mut BTreeMap<String, String>) {
        for entry in fs::read_dir(folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(root, &path, found);
            } else {
                let key = path.strip_prefix(root).unwrap().to_string_lossy().into_owned();
                found.insert(key, fs::read_to_string(&path).unwrap());
            }
        }
    }
    let mut found = BTreeMap::new();
    walk(root, root, &mut found);
    found
}

/// One mirror, `brand`.
pub fn config(root: &Path, state: &Path, api: &str) -> Config {
    let mut mirror = Mirror::new("brand", root);
    mirror.settle = Duration::ZERO;
    mirror.layer.tags = vec![Template::parse("brand").unwrap(), Template::parse("{dir}").unwrap()];
    let mut api = Api::new(api, "sandbox".to_owned().into());
    api.rate_share = 1.0;
    Config {
        api,
        state_path: state.to_owned(),
        old_state: None,
        remote_cache: 1 << 30,
        status_listen: None,
        mirrors: vec![mirror],
        source: None,
        origins: BTreeMap::new(),
        warnings: Vec::new(),
    }
}

/// One `--sync-once`.
pub async fn run(config: &Config) -> Result<OnceEnd, RunError> {
    run_with(config, OnceOptions::default()).await
}

/// One `--sync-once` with flags.
pub async fn run_with(config: &Config, flags: OnceOptions) -> Result<OnceEnd, RunError> {
    run_as(config, OnceOptions { waits: short(), ..flags }).await
}

/// One `--sync-once` with flags and waits.
pub async fn run_as(config: &Config, options: OnceOptions) -> Result<OnceEnd, RunError> {
    let given_up = Instant::now() + Duration::from_secs(120);
    loop {
        match run_once(config, &options, &CancellationToken::new()).await {
            // A run that crashed in this process lets go of its index a moment later, and so does a child just forked.
            Err(RunError::Index(IndexError::Locked { .. })) if Instant::now() < given_up => {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            end => return end,
        }
    }
}

/// An asset without what differs between two worlds.
#[derive(Debug, Clone, PartialEq)]
pub struct Bare {
    pub id: String,
    pub md5: String,
    pub filename: String,
    pub tags: Vec<String>,
    pub metadata: Value,
}

/// Waits short enough for hundreds of outages a minute.
pub const fn short() -> SyncTimeouts {
    SyncTimeouts {
        remote: Timeouts {
            // No fault leaves a call without an end: only a machine that stands still comes near these.
            connect: Duration::from_secs(30),
            call: Duration::from_secs(60),
            stall: Duration::from_secs(30),
            job: Duration::from_secs(2),
            backoff: Duration::from_millis(2),
        },
        reach: Duration::from_millis(1500),
        outage: Duration::from_millis(1500),
        unsure: Duration::from_millis(1500),
        left_open: Duration::from_millis(1500),
        follow: Duration::from_secs(6),
        video: Duration::from_millis(1500),
        track: Duration::from_millis(200),
        fetch_first: Duration::from_millis(100),
        fetches: Duration::from_millis(1500),
        rounds: 1000,
        spreads_budget: false,
    }
}

impl World {
    /// With a limit so high that it never counts; told, for an untold one is taken for a low one.
    pub async fn new(settings: Settings) -> Self {
        let settings = Settings { rate_limit: 1_000_000, ..settings };
        let sandbox = Sandbox::local(Options { settings, ..Options::default() }).await.unwrap();
        let dir = folder();
        let root = dir.path().join("brand");
        fs::create_dir(&root).unwrap();
        let config = config(&root, &dir.path().join("state/index.sqlite"), &sandbox.base_url());
        Self { sandbox: Arc::new(sandbox), config, _dir: dir }
    }

    pub fn mirror(&mut self) -> &mut Mirror {
        &mut self.config.mirrors[0]
    }

    pub fn path(&self, key: &str) -> PathBuf {
        self.config.mirrors[0].root.join(key)
    }

    pub fn write(&self, key: &str, content: &str) {
        let path = self.path(key);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        if path.is_dir() {
            fs::remove_dir(&path).unwrap();
        }
        fs::write(path, content).unwrap();
    }

    pub fn rename(&self, from: &str, to: &str) {
        let to = self.path(to);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        if to.is_dir() {
            fs::remove_dir(&to).unwrap();
        }
        fs::rename(self.path(from), to).unwrap();
    }

    pub fn remove(&self, key: &str) {
        fs::remove_file(self.path(key)).unwrap();
    }

    /// One `--sync-once`.
    pub async fn run(&self) -> Result<OnceEnd, RunError> {
        run(&self.config).await
    }

    /// One `--sync-once` that is killed when it has come to the call that is held.
    pub async fn killed_at(&self, held: &Held) {
        let config = self.config.clone();
        let killed = tokio::spawn(async move { run(&config).await });
        held.arrived().await;
        killed.abort();
        assert!(killed.await.is_err());
    }

    /// All files below the root with their content.
    pub fn tree(&self) -> BTreeMap<String, String> {
        tree_of(&self.path(""))
    }

    pub fn assets(&self) -> Vec<AssetView> {
        self.sandbox.assets(None)
    }

    pub fn bare(&self) -> Vec<Bare> {
        let mut all: Vec<Bare> = self.assets().into_iter().map(bare).collect();
        all.sort_by(|a, b| a.id.cmp(&b.id));
        all
    }

    /// Calls that change the media area, since the log was cleared.
    pub fn changes(&self) -> Vec<LogEntry> {
        let changes = |entry: &LogEntry| entry.method != "GET";
        self.sandbox.log().into_iter().filter(changes).collect()
    }
}

fn bare(asset: AssetView) -> Bare {
    let AssetView { id, md5, filename, mut tags, metadata, .. } = asset;
    tags.sort();
    if !filename.starts_with("theirs") {
        return Bare { id, md5, filename, tags, metadata };
    }
    // Not ours to derive, so another in each world, and so in the stamp that was written for it.
    let metadata = serde_json::from_str(&metadata.to_string().replace(&id, "theirs")).unwrap();
    Bare { id: "theirs".to_owned(), md5, filename, tags, metadata }
}

/// The custom data of the main locale.
pub fn custom_of(metadata: &Value) -> Option<&Value> {
    metadata.pointer("/en/custom_data").or_else(|| metadata.pointer("/custom_data/en"))
}

/// The paths that the stamp of an asset names for a mirror.
pub fn stamped(asset: &AssetView, mirror: &str) -> BTreeSet<String> {
    let stamp = custom_of(&asset.metadata).and_then(|data| data.get("dato-mirror")).map(Stamp::from_json);
    stamp.and_then(|mut stamp| stamp.0.remove(mirror)).map(|entry| entry.paths).unwrap_or_default()
}

/// Problems of a run, for messages.
pub fn told(end: &Result<OnceEnd, RunError>) -> String {
    match end {
        Ok(end) => {
            format!("{:?} {:?}", end.exit, end.report.mirrors.iter().map(|one| &one.problems).collect::<Vec<_>>())
        }
        Err(error) => format!("error: {error}"),
    }
}
