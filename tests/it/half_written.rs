//! A file that is being written is not sent, whatever times its writer or its file system give it.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime};

use crate::support::{TestEnv, bytes};

/// How long a file must rest; many times the pause between two pieces, so that a busy machine makes no rest.
const SETTLE: &str = "1500ms";
const PIECES: usize = 20;
const PIECE: usize = 4000;
const PAUSE: Duration = Duration::from_millis(100);

/// Which modification time a writer gives its file after each piece.
#[derive(Debug, Clone, Copy)]
enum Stamped {
    /// The one the system gives.
    Now,
    Ahead(u64),
    Behind(u64),
    /// The same each time, as a copy that keeps times.
    Kept,
}

impl Stamped {
    fn apply(self, file: &File) {
        let now = SystemTime::now();
        let time = match self {
            Self::Now => return,
            Self::Ahead(seconds) => now + Duration::from_secs(seconds),
            Self::Behind(seconds) => now - Duration::from_secs(seconds),
            Self::Kept => SystemTime::UNIX_EPOCH + Duration::from_secs(1_500_000_000),
        };
        file.set_modified(time).unwrap();
    }
}

/// Writes a file in pieces with pauses; the first piece is there when this returns.
fn write_slowly(path: &Path, content: &[u8], stamped: Stamped) -> JoinHandle<()> {
    let mut file = File::create(path).unwrap();
    let mut pieces: Vec<Vec<u8>> = content.chunks(PIECE).map(<[u8]>::to_vec).collect();
    let first = pieces.remove(0);
    file.write_all(&first).unwrap();
    stamped.apply(&file);
    thread::spawn(move || {
        for piece in pieces {
            thread::sleep(PAUSE);
            file.write_all(&piece).unwrap();
            stamped.apply(&file);
        }
    })
}

const WRITERS: [(&str, Stamped); 6] = [
    ("now.mp4", Stamped::Now),
    ("2-seconds-ahead.mp4", Stamped::Ahead(2)),
    ("1-hour-ahead.mp4", Stamped::Ahead(3600)),
    ("1-year-ahead.mp4", Stamped::Ahead(365 * 86400)),
    ("2-hours-behind.mp4", Stamped::Behind(7200)),
    ("kept.mp4", Stamped::Kept),
];

fn content(number: usize) -> Vec<u8> {
    bytes(u64::try_from(number).unwrap() + 1, PIECES * PIECE)
}

/// Tries `check` with each writer, alone in a folder of its own: beside others, a run might wait for those.
fn with_each_writer(check: fn(&TestEnv, &str, &[u8], JoinHandle<()>)) {
    let tries = (0..).zip(WRITERS).map(|(number, (name, stamped))| {
        thread::spawn(move || {
            let mut env = TestEnv::new();
            env.set("DATO_MIRROR_SETTLE", SETTLE);
            let writer = write_slowly(&env.at(name), &content(number), stamped);
            check(&env, name, &content(number), writer);
        })
    });
    let tries: Vec<_> = tries.collect();
    let failed: Vec<_> =
        tries.into_iter().zip(WRITERS).filter_map(|(one, (name, _))| one.join().err().map(|_| name)).collect();
    assert!(failed.is_empty(), "{failed:?}");
}

#[test]
fn sync_once_waits_for_a_file_being_written_whatever_its_times_say() {
    with_each_writer(|env, name, content, writer| {
        let run = env.sync();
        writer.join().unwrap();
        run.exits(0).did("created 1");
        assert!(env.content(&env.asset(name).id) == content, "{name} was sent half-written");
        assert_eq!(env.sandbox.count("POST /upload-requests"), 1, "{name} was sent in part first");
        env.assert_still().exits(0);
    });
}

#[test]
fn a_dry_run_waits_for_a_file_being_written_too() {
    with_each_writer(|env, name, _, writer| {
        let run = env.run(&["--root", "brand", "--dry-run", "--format", "json"]);
        assert!(writer.is_finished(), "it did not wait for {name}, which is being written");
        assert_eq!(run.plan().len(), 1, "{run:#?}");
    });
}

#[test]
fn a_metadata_file_that_is_being_written_is_not_read_in_part() {
    let mut env = TestEnv::new();
    env.set("DATO_MIRROR_SETTLE", SETTLE);
    env.write("good.png", "good");
    env.sync().exits(0);
    for (name, stamped) in [("_folder.meta.toml", Stamped::Ahead(2)), ("good.png.meta.toml", Stamped::Behind(7200))] {
        // What comes first is a whole file for a reader that does not wait.
        let key = if name.starts_with('_') { "copyright" } else { "author" };
        let mut file = File::create(env.at(name)).unwrap();
        file.write_all(format!("{key} = \"draft\"\n").as_bytes()).unwrap();
        stamped.apply(&file);
        let path = env.at(name);
        let writer = thread::spawn(move || {
            for round in 0..15 {
                thread::sleep(PAUSE);
                let last = if round == 14 { "final" } else { "draft" };
                fs::write(&path, format!("{key} = \"{last}\"\n{}", "# more\n".repeat(round))).unwrap();
                stamped.apply(&File::options().write(true).open(&path).unwrap());
            }
        });
        let run = env.sync();
        writer.join().unwrap();
        run.exits(0).did("retagged 1");
        let asset = serde_json::to_string(&env.asset("good.png")).unwrap();
        assert!(asset.contains("final") && !asset.contains("draft"), "{name}: {asset}");
    }
}

#[test]
fn a_quiet_tree_is_read_without_a_second_look() {
    let mut env = TestEnv::new();
    for number in 0..300 {
        env.write(format!("{number}.png"), number.to_string());
    }
    thread::sleep(Duration::from_millis(400));
    // Waiting for a second look at them, it would still be busy when this test is given up.
    env.set("DATO_MIRROR_SETTLE", "300ms");
    let old = env.sync().exits(0).did("created 300");
    env.set("DATO_MIRROR_SETTLE", "1d");
    let again = env.sync().exits(0);
    println!("first {:?}, again {:?}", old.took, again.took);
    assert_eq!(again.changes(), "");
}
