//! The watcher over real folders: the measured facts about file events it is built on, and what it makes of them.
//!
//! Waiting here is always for something to happen, with a limit that only a failure reaches.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic is how a test fails")]

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::ops::ControlFlow;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use dato_mirror::daemon::settle::{Look, Settle, Timing, Touch};
use dato_mirror::daemon::watch::{
    PROBE_NAME, WatchEvent, WatchEvents, WatchMode, WatchOptions, WatchState, Watched, Watching,
};
use dato_mirror::disk::{Found, MountTable, Selection, glance, walk};
use dato_mirror::model::RelPath;
use tempfile::TempDir;
use tokio::time::timeout;

const LONG: Duration = Duration::from_secs(300);

fn rel(key: &str) -> RelPath {
    RelPath::from_key(key).unwrap()
}

fn options(root: &Path, mode: WatchMode) -> WatchOptions {
    let local = b"1 0 8:1 / / rw - ext4 /dev/sda rw\n";
    WatchOptions {
        mounts: Some(MountTable::parse(local)),
        root_interval: Duration::from_millis(100),
        // A busy machine may be late to tell of the probe.
        probe_wait: LONG,
        ..WatchOptions::new(root.to_owned(), mode, Selection::new(&[], &[]).unwrap())
    }
}

async fn next(events: &mut WatchEvents) -> WatchEvent {
    timeout(LONG, events.recv()).await.expect("an event in time").expect("the watch is on")
}

/// Waits for the event, whatever comes before it.
async fn until(events: &mut WatchEvents, wanted: &WatchEvent) {
    while next(events).await != *wanted {}
}

async fn started(options: WatchOptions) -> (Watching, WatchEvents, WatchState) {
    let (watching, mut events) = Watching::start(options).unwrap();
    let WatchEvent::StateChanged(state) = next(&mut events).await else { panic!("the state comes first") };
    assert_eq!(next(&mut events).await, WatchEvent::RescanNeeded, "the watch is in place: scan now");
    assert_eq!(watching.state(), state);
    (watching, events, state)
}

async fn native(root: &Path) -> (Watching, WatchEvents) {
    let (watching, events, state) = started(options(root, WatchMode::Native)).await;
    assert_eq!(state, WatchState { how: Watched::Native, degraded: None });
    (watching, events)
}

/// All events up to the appearance of a file named `end`, which this makes. By a rename, because that takes the longer
/// of the two ways through the watcher.
async fn all(root: &Path, events: &mut WatchEvents) -> Vec<WatchEvent> {
    fs::write(root.join(".end"), "").unwrap();
    fs::rename(root.join(".end"), root.join("end")).unwrap();
    let mut heard = Vec::new();
    loop {
        match next(events).await {
            WatchEvent::Touched(path, _) if path.key() == "end" => return heard,
            event => heard.push(event),
        }
    }
}

fn touched(key: &str, touch: Touch) -> WatchEvent {
    WatchEvent::Touched(rel(key), touch)
}

#[tokio::test]
async fn a_file_written_in_place_is_created_changed_and_nothing_else() {
    let dir = TempDir::new().unwrap();
    let (_watching, mut events) = native(dir.path()).await;
    fs::write(dir.path().join("a.png"), "x").unwrap();
    let heard = all(dir.path(), &mut events).await;
    assert_eq!(heard[0], touched("a.png", Touch::Created));
    assert!(heard.len() >= 3, "data and close: {heard:?}");
    assert!(heard[1..].iter().all(|event| *event == touched("a.png", Touch::Changed)), "{heard:?}");
}

#[tokio::test]
async fn an_atomic_save_touches_the_final_name_and_the_temporary_one_is_not_heard_of() {
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("a.png"), "old").unwrap();
    let (_watching, mut events) = native(dir.path()).await;
    fs::write(dir.path().join(".a.png.k2"), "new").unwrap();
    fs::rename(dir.path().join(".a.png.k2"), dir.path().join("a.png")).unwrap();
    assert_eq!(all(dir.path(), &mut events).await, [touched("a.png", Touch::Changed)]);
}

#[tokio::test]
async fn renames_removals_links_and_new_times_are_heard() {
    let dir = TempDir::new().unwrap();
    for name in ["a.png", "b.png", "t.png"] {
        fs::write(dir.path().join(name), "x").unwrap();
    }
    let (_watching, mut events) = native(dir.path()).await;
    fs::rename(dir.path().join("a.png"), dir.path().join("c.png")).unwrap();
    fs::remove_file(dir.path().join("b.png")).unwrap();
    symlink("c.png", dir.path().join("link.png")).unwrap();
    fs::hard_link(dir.path().join("c.png"), dir.path().join("hard.png")).unwrap();
    File::options().write(true).open(dir.path().join("t.png")).unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();
    let heard = all(dir.path(), &mut events).await;
    for wanted in [
        touched("a.png", Touch::Removed),
        touched("c.png", Touch::Changed),
        touched("b.png", Touch::Removed),
        touched("link.png", Touch::Created),
        touched("hard.png", Touch::Created),
        touched("t.png", Touch::Changed),
    ] {
        assert!(heard.contains(&wanted), "{wanted:?} is missing in {heard:?}");
    }
}

#[tokio::test]
async fn reading_and_listing_make_no_events() {
    let dir = TempDir::new().unwrap();
    fs::create_dir(dir.path().join("d")).unwrap();
    fs::write(dir.path().join("d/a.png"), "x").unwrap();
    let (_watching, mut events) = native(dir.path()).await;
    for _ in 0..50 {
        fs::read_dir(dir.path().join("d")).unwrap().count();
        fs::read(dir.path().join("d/a.png")).unwrap();
    }
    assert_eq!(all(dir.path(), &mut events).await, []);
}

/// Files written right after `mkdir` are often not named by any event; scanning each new folder finds them all.
#[tokio::test]
async fn no_file_in_a_new_folder_is_missed() {
    let dir = TempDir::new().unwrap();
    let (_watching, mut events) = native(dir.path()).await;
    let mut wanted = BTreeSet::new();
    for n in 0..200 {
        let folder = dir.path().join(format!("{n}/x/y"));
        fs::create_dir_all(&folder).unwrap();
        for name in ["1.png", "2.png"] {
            fs::write(folder.join(name), "x").unwrap();
            wanted.insert(format!("{n}/x/y/{name}"));
        }
    }
    let mut known = BTreeSet::new();
    let deadline = Instant::now() + LONG;
    while known != wanted {
        assert!(Instant::now() < deadline, "missed: {:?}", wanted.difference(&known).collect::<Vec<_>>());
        match next(&mut events).await {
            WatchEvent::Touched(path, _) => _ = known.insert(path.key().to_owned()),
            WatchEvent::FolderAppeared(folder) => known.extend(files(dir.path(), Some(&folder))),
            other => panic!("{other:?}"),
        }
    }
}

fn files(root: &Path, under: Option<&RelPath>) -> BTreeSet<String> {
    let found = Mutex::new(BTreeSet::new());
    walk(root, under, &Selection::new(&[], &[]).unwrap(), 1, &|batch| {
        found.lock().unwrap().extend(batch.into_iter().filter_map(|found| match found {
            Found::File { path, .. } => Some(path.key().to_owned()),
            _ => None,
        }));
        ControlFlow::Continue(())
    })
    .unwrap();
    found.into_inner().unwrap()
}

#[tokio::test]
async fn a_folder_moved_in_or_out_is_told_as_one() {
    let outside = TempDir::new().unwrap();
    let dir = TempDir::new().unwrap();
    fs::create_dir(outside.path().join("in")).unwrap();
    fs::write(outside.path().join("in/a.png"), "x").unwrap();
    fs::create_dir(dir.path().join("out")).unwrap();
    fs::write(dir.path().join("out/b.png"), "x").unwrap();
    let (_watching, mut events) = native(dir.path()).await;
    fs::rename(outside.path().join("in"), dir.path().join("in")).unwrap();
    until(&mut events, &WatchEvent::FolderAppeared(rel("in"))).await;
    fs::rename(dir.path().join("out"), outside.path().join("out")).unwrap();
    fs::write(dir.path().join("in/later.png"), "x").unwrap();
    let heard = all(dir.path(), &mut events).await;
    assert!(heard.contains(&touched("out", Touch::Removed)), "{heard:?}");
    assert!(heard.contains(&touched("in/later.png", Touch::Created)), "{heard:?}");
    // A new folder is told of when the watcher has done what it was busy with: letting go of the old one, too.
    fs::create_dir(dir.path().join("turn")).unwrap();
    until(&mut events, &WatchEvent::FolderAppeared(rel("turn"))).await;
    fs::write(outside.path().join("out/foreign.png"), "x").unwrap();
    assert_eq!(all(dir.path(), &mut events).await, [], "what was moved out is not heard of any more");
}

/// The watcher takes up new folders after it told of them; only then may the caller's scan begin.
#[tokio::test]
async fn what_is_written_after_a_folder_was_told_of_is_heard() {
    let dir = TempDir::new().unwrap();
    let (_watching, mut events) = native(dir.path()).await;
    for n in 0..100 {
        fs::create_dir_all(dir.path().join(format!("{n}/x"))).unwrap();
        until(&mut events, &WatchEvent::FolderAppeared(rel(&format!("{n}")))).await;
        let path = format!("{n}/after.png");
        fs::write(dir.path().join(&path), "x").unwrap();
        until(&mut events, &touched(&path, Touch::Created)).await;
    }
}

#[tokio::test]
async fn a_slow_consumer_loses_nothing() {
    let dir = TempDir::new().unwrap();
    let (_watching, mut events, _) =
        started(WatchOptions { capacity: 8, ..options(dir.path(), WatchMode::Native) }).await;
    for n in 0..500 {
        fs::write(dir.path().join(format!("{n}.png")), "x").unwrap();
    }
    until(&mut events, &WatchEvent::RescanNeeded).await;
    // And after it has caught up, single events come again. The file is written until one is heard of, because the queue
    // may still be full.
    let deadline = Instant::now() + LONG;
    loop {
        assert!(Instant::now() < deadline);
        fs::write(dir.path().join("later.png"), "x").unwrap();
        if let Ok(Some(WatchEvent::Touched(path, _))) = timeout(Duration::from_millis(50), events.recv()).await
            && path.key() == "later.png"
        {
            break;
        }
    }
}

#[tokio::test]
async fn a_root_that_goes_and_comes_back_is_watched_again() {
    let dir = TempDir::new().unwrap();
    let root = dir.path().join("brand");
    fs::create_dir(&root).unwrap();
    let (_watching, mut events) = native(&root).await;
    fs::remove_dir(&root).unwrap();
    until(&mut events, &WatchEvent::RootGone).await;
    fs::create_dir(&root).unwrap();
    until(&mut events, &WatchEvent::RescanNeeded).await;
    fs::write(root.join("a.png"), "x").unwrap();
    until(&mut events, &touched("a.png", Touch::Created)).await;
}

#[tokio::test]
async fn a_root_that_is_swapped_is_noticed_and_the_new_one_watched() {
    let dir = TempDir::new().unwrap();
    let root = dir.path().join("current");
    for release in ["one", "two"] {
        fs::create_dir(dir.path().join(release)).unwrap();
    }
    symlink("one", &root).unwrap();
    let (_watching, mut events) = native(&root).await;
    symlink("two", dir.path().join("next")).unwrap();
    fs::rename(dir.path().join("next"), &root).unwrap();
    until(&mut events, &WatchEvent::RootGone).await;
    until(&mut events, &WatchEvent::RescanNeeded).await;
    fs::write(dir.path().join("two/a.png"), "x").unwrap();
    until(&mut events, &touched("a.png", Touch::Created)).await;
}

#[tokio::test]
async fn a_root_that_is_not_there_yet_is_waited_for() {
    let dir = TempDir::new().unwrap();
    let root = dir.path().join("later");
    let (watching, mut events) = Watching::start(options(&root, WatchMode::Auto)).unwrap();
    assert_eq!(next(&mut events).await, WatchEvent::RootGone);
    fs::create_dir(&root).unwrap();
    until(&mut events, &WatchEvent::RescanNeeded).await;
    assert_eq!(watching.state().how, Watched::Native);
}

#[tokio::test]
async fn too_many_folders_mean_polling_and_a_way_out() {
    let dir = TempDir::new().unwrap();
    for n in 0..5 {
        fs::create_dir(dir.path().join(format!("{n}"))).unwrap();
    }
    let limited = WatchOptions { max_folders: Some(3), ..options(dir.path(), WatchMode::Native) };
    let (_watching, _events, state) = started(limited).await;
    assert!(matches!(state.how, Watched::Polling { .. }));
    let text = state.degraded.expect("degraded");
    assert!(text.contains("6 folders") && text.contains("fs.inotify.max_user_watches="), "{text}");
}

#[tokio::test]
async fn too_few_watches_are_tried_again_after_a_while() {
    let dir = TempDir::new().unwrap();
    fs::create_dir(dir.path().join("one-too-many")).unwrap();
    let limited = WatchOptions {
        max_folders: Some(1),
        retry_interval: Duration::from_millis(50),
        ..options(dir.path(), WatchMode::Native)
    };
    let (watching, mut events, _) = started(limited).await;
    fs::remove_dir(dir.path().join("one-too-many")).unwrap();
    until(&mut events, &WatchEvent::StateChanged(WatchState { how: Watched::Native, degraded: None })).await;
    assert_eq!(watching.state().how, Watched::Native);
}

#[tokio::test]
async fn file_systems_that_keep_silent_are_polled_unless_told_otherwise() {
    let dir = TempDir::new().unwrap();
    for fs_type in ["nfs4", "cifs", "fuse.sshfs", "overlay", "9p"] {
        let table = MountTable::parse(format!("1 0 8:1 / / rw - {fs_type} server:/x rw\n").as_bytes());
        let with = |mode| WatchOptions { mounts: Some(table.clone()), ..options(dir.path(), mode) };
        let (_watching, _events, state) = started(with(WatchMode::Auto)).await;
        let Watched::Polling { reason } = state.how else { panic!("{fs_type} is watched") };
        assert!(reason.contains(fs_type), "{reason}");
        assert_eq!(state.degraded, None, "polling is right here: nobody has to mend anything");

        let (_watching, _events, state) = started(with(WatchMode::Native)).await;
        assert_eq!(state.how, Watched::Native);
        assert!(state.degraded.is_some_and(|text| text.contains(fs_type)));
    }
}

#[tokio::test]
async fn poll_means_poll() {
    let dir = TempDir::new().unwrap();
    let (_watching, mut events, state) = started(options(dir.path(), WatchMode::Poll)).await;
    assert!(matches!(state.how, Watched::Polling { .. }));
    fs::write(dir.path().join("a.png"), "x").unwrap();
    assert!(timeout(Duration::from_millis(200), events.recv()).await.is_err(), "no events");
    assert!(!dir.path().join(PROBE_NAME).exists());
}

#[tokio::test]
async fn the_probe_is_removed_when_it_was_heard_of() {
    let dir = TempDir::new().unwrap();
    let (watching, mut events, _) = started(options(dir.path(), WatchMode::Auto)).await;
    let deadline = Instant::now() + LONG;
    while dir.path().join(PROBE_NAME).exists() {
        assert!(Instant::now() < deadline, "the probe is still there");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(watching.state().how, Watched::Native);
    assert_eq!(all(dir.path(), &mut events).await, [], "the probe is nobody's business");
}

#[tokio::test]
async fn dropping_the_watch_ends_the_events() {
    let dir = TempDir::new().unwrap();
    let (watching, mut events) = native(dir.path()).await;
    drop(watching);
    assert_eq!(timeout(LONG, events.recv()).await.unwrap(), None);
}

/// The kernel's own limits, in a user namespace of our own; skipped where the system allows none.
#[test]
fn the_kernels_limits_are_met_with_polling_and_advice() {
    const INSIDE: &str = "DATO_MIRROR_TEST_LIMITED_ROOT";
    if let Some(root) = std::env::var_os(INSIDE) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (_, _, state) = runtime.block_on(started(options(Path::new(&root), WatchMode::Auto)));
        println!("STATE {state:?}");
        return;
    }
    let dir = TempDir::new().unwrap();
    for n in 0..20 {
        fs::create_dir(dir.path().join(format!("{n}"))).unwrap();
    }
    for (limit, setting) in
        [("max_inotify_watches", "max_user_watches"), ("max_inotify_instances", "max_user_instances")]
    {
        let script = format!(
            "echo 1 > /proc/sys/user/{limit} && [ $(cat /proc/sys/user/{limit}) = 1 ] || exit 77; exec \"$0\" \"$@\""
        );
        let script = if limit == "max_inotify_instances" {
            script.replace("echo 1", "echo 0").replace("= 1", "= 0")
        } else {
            script
        };
        let output = Command::new("unshare")
            .args(["-Ur", "sh", "-c", &script])
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", "the_kernels_limits_are_met_with_polling_and_advice", "--nocapture"])
            .env(INSIDE, dir.path())
            .output();
        let Ok(output) = output else {
            eprintln!("skipped: there is no unshare");
            return;
        };
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        if !text.contains("running 1 test") {
            eprintln!("skipped: no user namespace ({})", String::from_utf8_lossy(&output.stderr));
            return;
        }
        assert!(text.contains("Polling"), "{text}");
        assert!(text.contains(&format!("fs.inotify.{setting}=")), "{text}");
    }
}

/// Watch, settle and disk together, as the daemon joins them.
struct Shell {
    root: PathBuf,
    settle: Settle,
}

impl Shell {
    /// Everything that came out, and then until nothing has for `silence`: changed, removed; with the time of each batch.
    async fn run(&mut self, events: &mut WatchEvents, silence: Duration) -> Vec<(Instant, Vec<String>, Vec<String>)> {
        let mut out = Vec::new();
        let begun = Instant::now();
        let mut last = begun;
        loop {
            let now = Instant::now();
            let wake = self.settle.next_deadline().unwrap_or(now.max(last) + silence);
            if self.settle.is_empty() && !out.is_empty() && now > last + silence {
                return out;
            }
            assert!(!out.is_empty() || begun.elapsed() < LONG, "nothing comes");
            match timeout(wake.saturating_duration_since(now), events.recv()).await {
                Ok(Some(WatchEvent::Touched(path, touch))) => self.settle.touched(path, touch, Instant::now()),
                Ok(Some(WatchEvent::FolderAppeared(path))) => self.settle.touched(path, Touch::Folder, Instant::now()),
                Ok(event) => panic!("{event:?}"),
                Err(_) => {}
            }
            let now = Instant::now();
            for ask in self.settle.asks(now) {
                let look = Look::from(glance(&self.root, &ask.path, &Selection::new(&[], &[]).unwrap()));
                self.settle.looked(ask, look, now);
            }
            if let Some(batch) = self.settle.due(now) {
                for folder in &batch.folders {
                    for key in files(&self.root, Some(folder)) {
                        self.settle.touched(rel(&key), Touch::Changed, now);
                    }
                }
                let keys = |paths: &[RelPath]| paths.iter().map(|path| path.key().to_owned()).collect::<Vec<_>>();
                if !batch.changed.is_empty() || !batch.removed.is_empty() {
                    out.push((now, keys(&batch.changed), keys(&batch.removed)));
                }
                last = now;
            }
        }
    }
}

/// How late a thread is woken that sleeps 10 ms again and again, at worst.
struct Lateness {
    over: Arc<AtomicBool>,
    worst: std::thread::JoinHandle<Duration>,
}

impl Lateness {
    fn measure() -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let seen = over.clone();
        let worst = std::thread::spawn(move || {
            let (nap, mut worst) = (Duration::from_millis(10), Duration::ZERO);
            while !seen.load(Ordering::Relaxed) {
                let begun = Instant::now();
                std::thread::sleep(nap);
                worst = worst.max(begun.elapsed() - nap);
            }
            worst
        });
        Self { over, worst }
    }

    fn end(self) -> Duration {
        self.over.store(true, Ordering::Relaxed);
        self.worst.join().unwrap()
    }
}

#[tokio::test]
async fn one_saved_file_is_ready_right_after_settle() {
    const SETTLE: Duration = Duration::from_millis(500);
    let dir = TempDir::new().unwrap();
    let (_watching, mut events) = native(dir.path()).await;
    let mut shell = Shell { root: dir.path().to_owned(), settle: Settle::new(Timing::new(SETTLE)) };
    let mut best = Duration::MAX;
    // The best of three, less how late the machine wakes whoever sleeps meanwhile.
    for n in 0..3 {
        let begun = Instant::now();
        fs::write(dir.path().join(format!("{n}.png")), "new").unwrap();
        let written = Instant::now();
        let late = Lateness::measure();
        let out = shell.run(&mut events, Duration::from_millis(100)).await;
        assert_eq!(out.len(), 1);
        assert!(out[0].0 - begun >= SETTLE - Duration::from_millis(20), "not before it is quiet");
        best = best.min((out[0].0 - written).saturating_sub(late.end() * 5));
    }
    assert!(best <= SETTLE + Duration::from_millis(100), "{best:?}");
    println!("ready {best:?} after its close");
}

#[tokio::test]
async fn real_saves_on_a_real_disk_settle_into_one_change_each() {
    const SETTLE: Duration = Duration::from_millis(300);
    let dir = TempDir::new().unwrap();
    let at = |name: &str| dir.path().join(name);
    for name in ["place.svg", "atomic.svg", "vim.svg", "again.svg"] {
        fs::write(at(name), "old").unwrap();
    }
    let (_watching, mut events) = native(dir.path()).await;
    let mut shell = Shell { root: dir.path().to_owned(), settle: Settle::new(Timing::new(SETTLE)) };

    fs::write(at("place.svg"), "new").unwrap();
    fs::write(at("atomic.svg.k2"), "new").unwrap();
    fs::rename(at("atomic.svg.k2"), at("atomic.svg")).unwrap();
    fs::rename(at("vim.svg"), at("vim.svg~")).unwrap();
    fs::write(at("vim.svg"), "new").unwrap();
    fs::remove_file(at("vim.svg~")).unwrap();
    fs::remove_file(at("again.svg")).unwrap();
    fs::write(at("again.svg"), "new").unwrap();
    fs::create_dir_all(at("new/deep")).unwrap();
    fs::write(at("new/deep/made.svg"), "new").unwrap();
    let written = Instant::now();

    let out = shell.run(&mut events, Duration::from_secs(1)).await;
    let changed: Vec<_> = out.iter().flat_map(|(_, changed, _)| changed.clone()).collect();
    assert_eq!(changed, ["again.svg", "atomic.svg", "new/deep/made.svg", "place.svg", "vim.svg"], "{out:?}");
    assert_eq!(out.iter().map(|(_, _, removed)| removed.len()).sum::<usize>(), 0, "{out:?}");
    assert!(out[0].0 - written >= SETTLE, "not before it is quiet");

    // A writer that pauses far shorter than it takes to settle, also when a busy machine keeps it waiting.
    const LONGER: Duration = Duration::from_secs(3);
    shell.settle = Settle::new(Timing::new(LONGER));
    let mut film = File::create(at("film.mp4")).unwrap();
    let writer = std::thread::spawn(move || {
        for _ in 0..10 {
            film.write_all(&[7; 1000]).unwrap();
            std::thread::sleep(LONGER / 8);
        }
        Instant::now()
    });
    let out = shell.run(&mut events, Duration::from_secs(2)).await;
    let closed = writer.join().unwrap();
    assert_eq!(out.iter().map(|(_, changed, _)| changed.clone()).collect::<Vec<_>>(), [["film.mp4"]]);
    assert!(out[0].0 >= closed, "never while it is written");
    let mut content = Vec::new();
    File::open(at("film.mp4")).unwrap().read_to_end(&mut content).unwrap();
    assert_eq!(content.len(), 10_000);
}
