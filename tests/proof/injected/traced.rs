//! The real binary under `strace`: where the mirror begins, which call fails, and what a run came to.
//!
//! Owns: the sites and how each is narrowed to paths. Never does: judging a run (that is `injected`).

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use dato_mirror::config::policy::OnDelete;
use dato_mirror::error::Exit;
use dato_mirror::sandbox::{Answers, Settings};
use rustix::process::{Pid, Signal, kill_process_group};

use crate::kill::real;
use crate::world::{World, told};

/// Longer than a run takes on a busy machine: only one that hangs uses it up.
const LONG: Duration = Duration::from_secs(300);
/// Where the mirror begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Start {
    /// No index, an empty media area but for an editor's asset.
    Nothing,
    /// All mirrored, and then every kind of change.
    Mirrored,
}

impl Start {
    pub async fn world(self) -> World {
        let mut world = World::new(Settings { answers: Answers::Direct, ..Settings::fast() }).await;
        world.mirror().on_delete = OnDelete::Delete;
        for name in ["d/kept", "d/gone", "d/changed", "d/old name", "tagged"] {
            world.write(&format!("{name}.png"), name);
        }
        world.write("d/drawing.svg", &drawing("A title"));
        if self == Self::Mirrored {
            let end = world.run().await;
            assert!(end.as_ref().is_ok_and(|end| end.exit == Exit::Done), "{}", told(&end));
            world.remove("d/gone.png");
            world.write("d/changed.png", "changed since");
            world.write("d/drawing.svg", &drawing("Another title"));
            // Which of two new files gets the asset is not told.
            world.write("e/copy.png", "d/kept");
            world.rename("d/old name.png", "e/new name.png");
            world.write("e/new.png", "new");
        }
        world.write("tagged.png.meta.toml", "tags = [\"one\"]\n");
        world.sandbox.create_foreign(None, "theirs.png", b"theirs").unwrap();
        world.sandbox.clear_log();
        world
    }
}

/// A file with a title inside.
pub fn drawing(title: &str) -> String {
    format!("<svg xmlns=\"http://www.w3.org/2000/svg\"><title>{title}</title></svg>\n")
}

/// Paths a site is narrowed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum On {
    Anything,
    /// The index, the files beside it, and its folder.
    State,
    /// The mirrored files.
    Files,
    /// The root and its folders.
    Folders,
    /// One of the mirrored files, or a folder.
    One(&'static str),
}

impl On {
    fn paths(self, world: &World) -> Vec<PathBuf> {
        let index = &world.config.state_path;
        match self {
            Self::Anything => Vec::new(),
            Self::State => ["", "-wal", "-shm", "-journal", ".lock"]
                .iter()
                .map(|suffix| format!("{}{suffix}", index.display()).into())
                .chain(index.parent().map(PathBuf::from))
                .collect(),
            Self::One(key) => both_names(world, key).into(),
            Self::Files => world.tree().keys().flat_map(|key| both_names(world, key)).collect(),
            Self::Folders => ["", "d", "e"].iter().map(|key| tidy(&world.path(key))).collect(),
        }
    }
}

/// As it is seen from anywhere, and as it is opened from its root.
fn both_names(world: &World, key: &str) -> [PathBuf; 2] {
    [world.path(key), key.into()]
}

/// Without the slash that joining nothing leaves.
fn tidy(path: &Path) -> PathBuf {
    path.components().collect()
}

/// A call, where, and how it fails.
#[derive(Debug, Clone, Copy)]
pub struct Site {
    pub call: &'static str,
    pub on: On,
    pub error: &'static str,
}

pub const fn site(call: &'static str, on: On, error: &'static str) -> Site {
    Site { call, on, error }
}

pub const SITES: [Site; 18] = [
    site("pwrite64", On::Anything, "EIO"),
    site("pwrite64", On::Anything, "EROFS"),
    site("pread64", On::State, "EIO"),
    site("fsync", On::Anything, "EIO"),
    site("ftruncate", On::Anything, "EIO"),
    site("mkdir", On::Anything, "EROFS"),
    site("unlink", On::Anything, "EROFS"),
    site("unlink", On::Anything, "EIO"),
    site("flock", On::Anything, "ENOLCK"),
    site("openat", On::State, "EROFS"),
    site("openat", On::State, "EACCES"),
    site("openat", On::State, "EIO"),
    site("read", On::State, "EIO"),
    site("write", On::State, "EIO"),
    site("openat2", On::Files, "EIO"),
    site("read", On::Files, "EIO"),
    site("openat", On::Folders, "EIO"),
    site("getdents64", On::Folders, "EIO"),
];

/// What a run under `strace` came to.
pub struct Traced {
    pub code: Option<i32>,
    pub told: String,
    pub stderr: String,
    /// The lines of the trace.
    pub trace: Vec<String>,
}

/// The real binary under `strace`; without `when` nothing fails.
pub fn traced(world: &World, site: Site, when: Option<&str>) -> Traced {
    let given_up = Instant::now() + LONG;
    loop {
        let run = traced_once(world, site, when);
        // A child that another test just forked may hold the index that a run of ours let go.
        if !run.stderr.contains("another dato-mirror is using the index") || Instant::now() > given_up {
            return run;
        }
    }
}

fn traced_once(world: &World, site: Site, when: Option<&str>) -> Traced {
    let folder = world.config.mirrors[0].root.parent().unwrap().to_owned();
    let trace = folder.join("trace");
    let plain = real(world);
    let mut command = Command::new("strace");
    command.args(["--seccomp-bpf", "-f", "-qq", "-o"]).arg(&trace).args(["-e", &format!("trace={}", site.call)]);
    if let Some(when) = when {
        command.args(["-e", &format!("inject={}:error={}:when={when}", site.call, site.error)]);
    }
    for path in site.on.paths(world) {
        command.arg("-P").arg(path);
    }
    command
        .arg(plain.get_program())
        .args(plain.get_args())
        .envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))))
        .env("DATO_MIRROR_ON_DELETE", "delete")
        .stdin(Stdio::null())
        .stdout(fs::File::create(folder.join("stdout")).unwrap())
        .stderr(fs::File::create(folder.join("stderr")).unwrap())
        .process_group(0);
    let mut child = command.spawn().unwrap();
    let begun = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break Some(status);
        }
        if begun.elapsed() > LONG {
            kill_process_group(Pid::from_child(&child), Signal::KILL).unwrap();
            child.wait().unwrap();
            break None;
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    let text = |name: &str| String::from_utf8_lossy(&fs::read(folder.join(name)).unwrap()).into_owned();
    let (stdout, stderr) = (text("stdout"), text("stderr"));
    Traced {
        code: status.and_then(|status| status.code()),
        told: format!("{stdout}{stderr}"),
        stderr,
        trace: text("trace").lines().map(str::to_owned).collect(),
    }
}

/// How often the busiest thread makes the call in a run without failures.
pub async fn calls(start: Start, site: Site) -> usize {
    let world = start.world().await;
    let clean = tokio::task::spawn_blocking(move || traced(&world, site, None)).await.unwrap();
    assert_eq!(clean.code, Some(0), "{start:?} {site:?}: {}", clean.told);
    let mut of_thread: BTreeMap<&str, usize> = BTreeMap::new();
    for line in &clean.trace {
        // A call that another thread's line cut in two is told in two lines.
        if !line.contains(" resumed>") && line.contains(&format!(" {}(", site.call)) {
            *of_thread.entry(line.split(' ').next().unwrap_or_default()).or_default() += 1;
        }
    }
    of_thread.into_values().max().unwrap_or(0)
}
