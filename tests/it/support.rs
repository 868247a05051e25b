//! The surroundings of a test: a folder, a media area of its own, and the real binary.
//!
//! Nothing of the machine reaches the binary: its environment is cleared, its home is a temporary folder. No process
//! outlives its test.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io::{Read, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use dato_mirror::sandbox::{Answers, AssetView, LogEntry, Options, Sandbox, Settings};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// Longer than any run here takes on a busy machine: only a failure uses it up.
const LONG: Duration = Duration::from_secs(600);

thread_local! {
    /// The metadata shape of the media areas that this test makes.
    static BY_FIELD: Cell<bool> = const { Cell::new(true) };
}

/// Runs a test in a project of either metadata shape: the media areas that it makes with [`fast`] or [`jobs`] have it. What
/// a test that fails has printed names the shape.
#[allow(clippy::print_stdout, reason = "shown where the test fails")]
pub fn in_both_shapes(test: impl Fn()) {
    for by_field in [true, false] {
        println!("metadata by field: {by_field}");
        BY_FIELD.set(by_field);
        test();
    }
    BY_FIELD.set(true);
}

/// Whether metadata are by field, as in new projects, or by locale.
pub fn is_by_field() -> bool {
    BY_FIELD.get()
}

/// A change of a field that each locale has for itself, in the main locale.
pub fn localized(field: &str, value: &Value) -> Value {
    localized_in(is_by_field(), field, value)
}

/// As [`localized`], for another thread, which does not know the test's shape.
pub fn localized_in(by_field: bool, field: &str, value: &Value) -> Value {
    if by_field { json!({field: {"en": value}}) } else { json!({"en": {field: value}}) }
}

/// What an asset has of such a field.
pub fn stored(asset: &AssetView, field: &str) -> Value {
    let path = if is_by_field() { format!("/{field}/en") } else { format!("/en/{field}") };
    asset.metadata.pointer(&path).cloned().unwrap_or_default()
}

/// A folder, a media area and the way to the binary.
pub struct TestEnv {
    /// The media area.
    pub sandbox: Sandbox,
    /// Variables of each run.
    pub vars: BTreeMap<String, String>,
    dir: TempDir,
    // Last: the sandbox's task runs on it.
    _runtime: Runtime,
}

/// How a run of the binary ended.
#[derive(Debug)]
pub struct Run {
    /// Exit code; -1 when a signal ended it.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
    /// From start to end.
    pub took: Duration,
}

impl TestEnv {
    /// With a media area that answers at once.
    pub fn new() -> Self {
        Self::with(fast())
    }

    /// With these settings of the media area.
    pub fn with(settings: Settings) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("brand")).unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let sandbox = runtime.block_on(Sandbox::local(Options { settings, ..Options::default() })).unwrap();
        let mut env = Self { sandbox, vars: BTreeMap::new(), dir, _runtime: runtime };
        let (url, home) = (env.sandbox.base_url(), env.dir.path().display().to_string());
        env.set("DATOCMS_API_TOKEN", "sandbox");
        env.set("DATO_MIRROR_API_BASE_URL", &url);
        env.set("DATO_MIRROR_STATE_PATH", &env.index().display().to_string());
        env.set("DATO_MIRROR_SETTLE", "20ms");
        env.set("HOME", &home);
        env.set("NO_PROXY", "127.0.0.1");
        env
    }

    /// Sets a variable of the runs to come; an empty value counts as not set.
    pub fn set(&mut self, name: &str, value: &str) {
        self.vars.insert(name.to_owned(), value.to_owned());
    }

    /// The folder for everything.
    pub fn home(&self) -> &Path {
        self.dir.path()
    }

    /// The mirrored folder.
    pub fn root(&self) -> PathBuf {
        self.home().join("brand")
    }

    /// The index.
    pub fn index(&self) -> PathBuf {
        self.home().join("state").join("index.sqlite")
    }

    /// Deletes the index, as on another machine.
    pub fn lose_index(&self) {
        fs::remove_dir_all(self.home().join("state")).unwrap();
    }

    /// A path below the mirrored folder.
    pub fn at(&self, path: impl AsRef<Path>) -> PathBuf {
        self.root().join(path)
    }

    /// Writes a file below the mirrored folder.
    pub fn write(&self, path: impl AsRef<Path>, content: impl AsRef<[u8]>) {
        let path = self.at(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    /// Removes a file below the mirrored folder.
    pub fn remove(&self, path: &str) {
        fs::remove_file(self.at(path)).unwrap();
    }

    /// Moves a file below the mirrored folder.
    pub fn rename(&self, from: &str, to: &str) {
        fs::create_dir_all(self.at(to).parent().unwrap()).unwrap();
        fs::rename(self.at(from), self.at(to)).unwrap();
    }

    /// Writes `dato-mirror.toml` into the working directory; `[api]` and `[state]` come from the environment.
    pub fn config(&self, text: &str) {
        fs::write(self.home().join("dato-mirror.toml"), text).unwrap();
    }

    /// The one mirror of the folder, with more keys.
    pub fn config_with(&self, more: &str) {
        self.config(&format!("[[mirror]]\nname = \"brand\"\nroot = \"brand\"\nsettle = \"20ms\"\n{more}\n"));
    }

    fn command<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(&self, args: I) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dato-mirror"));
        command.args(args).env_clear().envs(&self.vars).current_dir(self.home());
        command
    }

    /// Runs the binary with these arguments and nothing on its standard input.
    pub fn run<S: AsRef<OsStr>>(&self, args: &[S]) -> Run {
        self.start(args, b"").end()
    }

    /// Runs the binary with this on its standard input.
    pub fn run_with_input<S: AsRef<OsStr>>(&self, args: &[S], input: &[u8]) -> Run {
        self.start(args, input).end()
    }

    /// Starts the binary and lets it run.
    pub fn start<S: AsRef<OsStr>>(&self, args: &[S], input: &[u8]) -> Started {
        let mut command = self.command(args);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let started = Instant::now();
        let mut child = command.spawn().unwrap();
        // A run that reads no input closes the pipe: that is not this test's business.
        let _ = child.stdin.take().unwrap().write_all(input);
        let stdout = collect(child.stdout.take().unwrap());
        let stderr = collect(child.stderr.take().unwrap());
        Started { child, stdout: Some(stdout), stderr: Some(stderr), started }
    }

    /// `--root brand --sync-once` with a JSON report, after forgetting the media area's log.
    pub fn sync(&self) -> Run {
        self.sync_with(&[])
    }

    /// As [`TestEnv::sync`], with more arguments.
    pub fn sync_with(&self, more: &[&str]) -> Run {
        self.sandbox.clear_log();
        let mut args = vec!["--sync-once", "--format", "json"];
        if !self.home().join("dato-mirror.toml").exists() && !more.contains(&"--root") {
            args.extend(["--root", "brand"]);
        }
        args.extend(more);
        self.run(&args)
    }

    /// Every asset of the primary environment.
    pub fn assets(&self) -> Vec<AssetView> {
        self.sandbox.assets(None)
    }

    /// The asset whose stamp names `path`.
    #[track_caller]
    pub fn asset(&self, path: &str) -> AssetView {
        self.find(path).unwrap_or_else(|| panic!("no asset is stamped with {path}; there are {:#?}", self.assets()))
    }

    /// The asset whose stamp names `path`, if there is one.
    pub fn find(&self, path: &str) -> Option<AssetView> {
        self.assets().into_iter().find(|asset| stamped_paths(asset).iter().any(|stamped| stamped == path))
    }

    /// The bytes of an asset.
    #[track_caller]
    pub fn content(&self, id: &str) -> Vec<u8> {
        self.sandbox.content(None, id).unwrap()
    }

    /// The logged calls that change something, puts to the bucket among them.
    pub fn mutating(&self) -> Vec<LogEntry> {
        self.sandbox.log().into_iter().filter(|entry| entry.method != "GET").collect()
    }

    /// Asserts that the folder and the media area are in step: every file has its bytes in the asset its stamp names,
    /// and another run does nothing.
    #[track_caller]
    pub fn assert_still(&self) -> Run {
        let run = self.sync();
        let calls: Vec<_> = self.mutating().iter().map(|entry| format!("{} {}", entry.method, entry.path)).collect();
        assert!(calls.is_empty(), "a run with nothing to do changed something: {calls:?}\n{run:#?}");
        assert!(self.sandbox.api_calls() <= 3, "{:#?}", self.sandbox.log());
        run
    }
}

/// A running binary; it is killed when the test lets go of it.
pub struct Started {
    child: Child,
    stdout: Option<thread::JoinHandle<String>>,
    stderr: Option<thread::JoinHandle<String>>,
    started: Instant,
}

impl Started {
    /// Waits for its end.
    #[track_caller]
    pub fn end(mut self) -> Run {
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(self.started.elapsed() < LONG, "the binary does not end");
            thread::sleep(Duration::from_millis(5));
        };
        let took = self.started.elapsed();
        let text = |reader: Option<thread::JoinHandle<String>>| reader.unwrap().join().unwrap();
        let (stdout, stderr) = (text(self.stdout.take()), text(self.stderr.take()));
        Run { code: status.code().unwrap_or(-1), stdout, stderr, took }
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn collect(mut pipe: impl Read + Send + 'static) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = pipe.read_to_end(&mut bytes);
        String::from_utf8(bytes).expect("the binary prints UTF-8")
    })
}

impl Run {
    /// The JSON report.
    #[track_caller]
    pub fn report(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:#?}"))
    }

    /// The first mirror's part of the report.
    #[track_caller]
    pub fn mirror(&self) -> Value {
        self.report()["mirrors"][0].clone()
    }

    /// A counter of the first mirror.
    #[track_caller]
    pub fn count(&self, name: &str) -> u64 {
        self.mirror()[name].as_u64().unwrap_or_else(|| panic!("no counter {name}: {self:#?}"))
    }

    /// The counters of the first mirror that are not zero, in the report's words, sorted; `scanned`, `unchanged` and
    /// what counts no files are left out.
    #[track_caller]
    pub fn changes(&self) -> String {
        let mirror = self.mirror();
        let names = ["created", "adopted", "aliased", "moved", "replaced", "retagged", "deleted", "skipped", "failed"];
        let told = names.iter().filter(|name| mirror[**name] != 0).map(|name| format!("{name} {}", mirror[*name]));
        told.collect::<Vec<_>>().join(", ")
    }

    /// The problems of the first mirror: path and cause.
    #[track_caller]
    pub fn problems(&self) -> Vec<(String, String)> {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let problems = self.mirror()["problems"].as_array().unwrap().clone();
        problems.iter().map(|problem| (text(&problem["path"]), text(&problem["cause"]))).collect()
    }

    /// The cause told for a path.
    #[track_caller]
    pub fn problem(&self, path: &str) -> String {
        let found = self.problems().into_iter().find(|(of, _)| of == path).map(|(_, cause)| cause);
        found.unwrap_or_else(|| panic!("nothing is told about {path:?}: {self:#?}"))
    }

    /// The plan of a dry run: action and path, sorted.
    #[track_caller]
    pub fn plan(&self) -> Vec<(String, String)> {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let plan = self.mirror()["plan"].as_array().unwrap_or_else(|| panic!("no plan: {self:#?}")).clone();
        let mut plan: Vec<_> = plan.iter().map(|action| (text(&action["action"]), text(&action["path"]))).collect();
        plan.sort();
        plan
    }

    /// Asserts the exit code.
    #[track_caller]
    pub fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{self:#?}");
        self
    }

    /// Asserts the changes, in the words of [`Run::changes`].
    #[track_caller]
    pub fn did(self, changes: &str) -> Self {
        assert_eq!(self.changes(), changes, "{self:#?}");
        self
    }
}

/// The paths an asset's stamp names, of all mirrors, in either metadata shape.
pub fn stamped_paths(asset: &AssetView) -> Vec<String> {
    let Some(stamp) = stamp(asset) else { return Vec::new() };
    let mirrors = stamp.as_object().unwrap().values().flat_map(|mirror| mirror["paths"].as_array().unwrap().clone());
    mirrors.map(|path| path.as_str().unwrap().to_owned()).collect()
}

/// An asset's stamp, in either metadata shape and either form.
pub fn stamp(asset: &AssetView) -> Option<Value> {
    let stored = stored_stamp(asset)?;
    Some(match stored.as_str() {
        Some(text) => serde_json::from_str(text).unwrap(),
        None => stored,
    })
}

/// The value that is stored as an asset's stamp.
pub fn stored_stamp(asset: &AssetView) -> Option<Value> {
    let by_locale = asset.metadata.pointer("/en/custom_data/dato-mirror");
    by_locale.or_else(|| asset.metadata.pointer("/custom_data/en/dato-mirror")).cloned()
}

/// `len` bytes that no other `seed` has.
pub fn bytes(seed: u64, len: usize) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut content = vec![0; len];
    random.fill(&mut content);
    content
}

/// How many times slower than a quiet machine this one is just now, 1 at least: by how long the binary takes to tell its
/// version. For the promises that are about time.
pub fn slowness(env: &TestEnv) -> u32 {
    let slowest = (0..3).map(|_| env.run(&["--version"]).took).max().unwrap();
    u32::try_from(slowest.as_millis() / 100).unwrap().max(1)
}

/// Waits until `happened`, with a patience that only a failure uses up.
#[track_caller]
pub fn wait_until(what: &str, mut happened: impl FnMut() -> bool) {
    let started = Instant::now();
    while !happened() {
        assert!(started.elapsed() < LONG, "it never comes to this: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// What the media area serves at a URL to whoever asks for the file as it was uploaded.
#[track_caller]
pub fn served(url: &str) -> Vec<u8> {
    let (host, path) = url.strip_prefix("http://").unwrap().split_once('/').unwrap();
    let mut stream = std::net::TcpStream::connect(host).unwrap();
    write!(stream, "GET /{path}?skip-default-optimizations=true&svg-sanitize=false HTTP/1.0\r\nHost: {host}\r\n\r\n")
        .unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let split = answer.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
    let head = String::from_utf8_lossy(&answer[..split]).into_owned();
    assert!(head.contains(" 200 "), "{url}: {head}");
    answer.split_off(split + 4)
}

/// Results at once, and an allowance that no test uses up. (Without any limit told the client would go slowly.)
pub fn fast() -> Settings {
    Settings { answers: Answers::Direct, ..jobs() }
}

/// As [`fast`], with jobs where the service is known to make them; a run that changes something takes a second.
pub fn jobs() -> Settings {
    Settings { rate_limit: 1_000_000, by_field: is_by_field(), ..Settings::fast() }
}
