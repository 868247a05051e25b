//! A running daemon: its log, its status, its signals.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use dato_mirror::model::Md5;
use dato_mirror::sandbox::AssetView;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::support::{TestEnv, stamped_paths};

/// Longer than anything here takes on a busy machine.
const LONG: Duration = Duration::from_secs(600);
pub const BINARY: &str = env!("CARGO_BIN_EXE_dato-mirror");

/// A running daemon; killed when the test lets go of it.
pub struct Daemon {
    child: Child,
    log: Arc<Mutex<Vec<String>>>,
    reader: Option<thread::JoinHandle<()>>,
    pub address: SocketAddr,
}

/// Settings for the one mirror of the folder: settles in 200 ms, with these keys more.
pub fn configure(env: &TestEnv, more: &str) {
    configure_with(env, "", more);
}

/// As [`configure`], with sections before the mirror.
pub fn configure_with(env: &TestEnv, sections: &str, more: &str) {
    env.config(&format!("{sections}\n[[mirror]]\nname = \"brand\"\nroot = \"brand\"\nsettle = \"200ms\"\n{more}\n"));
}

/// Puts the index into memory where there is such a place: a sync of thousands of files waits for the disk at each of its
/// thousands of commits, and that is not what is tested. Keep the folder for as long as the test.
pub fn index_in_memory(env: &mut TestEnv) -> Option<tempfile::TempDir> {
    let folder = tempfile::tempdir_in("/dev/shm").ok()?;
    env.set("DATO_MIRROR_STATE_PATH", folder.path().join("index.sqlite").to_str().unwrap());
    Some(folder)
}

/// An address that nobody else takes until the daemon listens there: on Linux every process has a few of the loopback
/// addresses for itself, whose ports no outgoing connection and no other test is given.
fn free_address() -> SocketAddr {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let own = std::process::id().wrapping_mul(256).wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed) % 256);
    let [_, b, c, d] = own.to_be_bytes();
    let own = TcpListener::bind((Ipv4Addr::new(127, b | 1, c, d.clamp(1, 254)), 0));
    own.or_else(|_| TcpListener::bind(("127.0.0.1", 0))).unwrap().local_addr().unwrap()
}

impl Daemon {
    /// Starts it, and waits until it is ready.
    #[track_caller]
    pub fn ready(env: &TestEnv) -> Self {
        // What was written just now would be left to settle, and not be in the first pass.
        thread::sleep(Duration::from_millis(300));
        let daemon = Self::start(env, &[]);
        daemon.wait_ready();
        daemon
    }

    /// Starts it with more arguments.
    pub fn start(env: &TestEnv, args: &[&str]) -> Self {
        let mut command = Command::new(BINARY);
        command.args(args);
        Self::spawn(env, command)
    }

    /// Starts it where an earlier one listened.
    #[allow(dead_code, reason = "for the test of the page, which waits for it there")]
    pub fn start_at(env: &TestEnv, address: SocketAddr) -> Self {
        Self::spawn_at(env, Command::new(BINARY), address)
    }

    /// Starts `command`, which becomes the daemon.
    pub fn spawn(env: &TestEnv, command: Command) -> Self {
        Self::spawn_at(env, command, free_address())
    }

    fn spawn_at(env: &TestEnv, mut command: Command, address: SocketAddr) -> Self {
        command.env_clear().envs(&env.vars).env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").current_dir(env.home());
        command.env("DATO_MIRROR_STATUS_LISTEN", address.to_string());
        // The mirror's keys come from its file.
        command.env_remove("DATO_MIRROR_SETTLE");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let log = Arc::new(Mutex::new(Vec::new()));
        let (lines, into) = (BufReader::new(child.stderr.take().unwrap()).lines(), log.clone());
        let reader =
            thread::spawn(move || lines.map_while(Result::ok).for_each(|line| into.lock().unwrap().push(line)));
        Self { child, log, reader: Some(reader), address }
    }

    /// The process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// All lines so far.
    pub fn log(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }

    /// The lines that hold `part`.
    pub fn lines(&self, part: &str) -> Vec<String> {
        self.log().into_iter().filter(|line| line.contains(part)).collect()
    }

    /// Waits for `condition`.
    #[track_caller]
    pub fn wait(&self, what: &str, condition: impl FnMut() -> bool) {
        self.wait_for(what, LONG, condition);
    }

    /// Waits for `condition`, so long at most.
    #[track_caller]
    pub fn wait_for(&self, what: &str, most: Duration, mut condition: impl FnMut() -> bool) {
        let until = Instant::now() + most;
        while !condition() {
            assert!(Instant::now() < until, "never: {what}\n{}\n{:#}", self.log().join("\n"), self.status());
            thread::sleep(Duration::from_millis(10));
        }
    }

    #[track_caller]
    pub fn wait_ready(&self) {
        self.wait("ready", || self.get("/readyz").0 == 200);
    }

    /// Waits for a line of the log.
    #[track_caller]
    pub fn wait_line(&self, part: &str) {
        self.wait(part, || !self.lines(part).is_empty());
    }

    /// Waits until the mirror rests: nothing waits, nothing is under way.
    #[track_caller]
    pub fn wait_idle(&self) {
        self.wait("idle", || {
            let mirror = self.mirror();
            mirror["phase"]["name"] == "idle" && mirror["pending"] == 0
        });
    }

    /// Asks the status page: status and body; 0 when nobody answers.
    pub fn get(&self, path: &str) -> (u16, String) {
        get(self.address, path)
    }

    /// `/status.json`; null when nobody answers.
    pub fn status(&self) -> Value {
        serde_json::from_str(&self.get("/status.json").1).unwrap_or_default()
    }

    /// The first mirror in `/status.json`.
    pub fn mirror(&self) -> Value {
        self.status()["mirrors"][0].clone()
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_raw(self.child.id().cast_signed()).unwrap(), signal).unwrap();
    }

    /// Stops the process where it is, and returns when no thread of it runs any more: on a busy machine that takes a while.
    #[track_caller]
    pub fn freeze(&self) {
        self.signal(Signal::STOP);
        let tasks = format!("/proc/{}/task", self.child.id());
        // The state follows the name, which is in parentheses.
        let is_stopped = |stat: &str| stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('T'));
        self.wait("every thread is stopped", || {
            fs::read_dir(&tasks).unwrap().all(|task| {
                // A thread that has just ended has no state.
                fs::read_to_string(task.unwrap().path().join("stat")).is_ok_and(|stat| is_stopped(&stat))
            })
        });
    }

    /// Waits for the end: exit code (-1 after a signal), how long it took, the log.
    #[track_caller]
    pub fn end(mut self) -> (i32, Duration, Vec<String>) {
        let began = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(began.elapsed() < LONG, "it does not end:\n{}", self.log().join("\n"));
            thread::sleep(Duration::from_millis(5));
        };
        let took = began.elapsed();
        self.reader.take().unwrap().join().unwrap();
        (status.code().unwrap_or(-1), took, self.log())
    }

    /// SIGTERM, and a good end.
    #[track_caller]
    pub fn stop(self) -> Vec<String> {
        self.signal(Signal::TERM);
        let (code, _, log) = self.end();
        assert_eq!(code, 0, "{log:#?}");
        log
    }

    /// SIGKILL.
    pub fn kill(self) {
        self.signal(Signal::KILL);
        self.end();
    }

    /// Seconds of processor time so far, and resident bytes.
    pub fn used(&self) -> (f64, u64) {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid())).unwrap();
        let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
        let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        let kib: u64 = resident.trim().trim_end_matches(" kB").trim().parse().unwrap();
        (ticks as f64 / 100.0, kib * 1024)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn get(address: SocketAddr, path: &str) -> (u16, String) {
    let ask = || {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        write!(stream, "GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        std::io::Result::Ok(answer)
    };
    let Ok(answer) = ask() else { return (0, String::new()) };
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_default();
    let code = head.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
    (code, body.to_owned())
}

/// `unshare` with these flags before the daemon, and a shell line in between; nothing where the system does not allow it.
pub fn unshared(flags: &str, line: &str) -> Option<Command> {
    let may = Command::new("unshare").args([flags, "true"]).output().is_ok_and(|output| output.status.success());
    if !may {
        #[expect(clippy::print_stderr, reason = "a skipped test says so")]
        {
            eprintln!("skipped: unshare {flags} is not allowed here");
        }
        return None;
    }
    let mut command = Command::new("unshare");
    command.args([flags, "sh", "-c", &format!("{line} && exec \"$0\" \"$@\""), BINARY]);
    Some(command)
}

/// Files and their digests.
pub type Files = Vec<(String, String)>;

/// The digest of a content.
pub fn digest(content: impl AsRef<[u8]>) -> String {
    Md5::of(content.as_ref()).to_string()
}

/// Waits until every one of these files has its content in the media area.
#[track_caller]
pub fn wait_mirrored(daemon: &Daemon, env: &TestEnv, files: &[(String, String)]) {
    let wanted: BTreeSet<(String, String)> = files.iter().cloned().collect();
    daemon.wait("everything is mirrored", || wanted.is_subset(&mirrored(env)));
}

/// Every stamped path with its asset's digest.
pub fn mirrored(env: &TestEnv) -> BTreeSet<(String, String)> {
    let of = |asset: &AssetView| -> Vec<_> {
        stamped_paths(asset).into_iter().map(|path| (path, asset.md5.clone())).collect()
    };
    env.assets().iter().flat_map(of).collect()
}
