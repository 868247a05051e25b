//! Two people's folders under one name: both are mirrored for the first time at the same moment, and nobody's files are lost.
//!
//! The media area holds the creations of one run and lets the other's through, so that the order is certain.

use std::collections::BTreeMap;
use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use dato_mirror::sandbox::{Fault, FaultKind, Settings};

use crate::support::{Run, Started, TestEnv, fast, jobs, wait_until};

/// How long a held call may take to arrive; only a failure uses it up.
const ARRIVAL: Duration = Duration::from_secs(120);

/// Files: path and content.
type Files<'a> = &'a [(&'a str, &'a str)];

/// A person with a folder and an index of their own.
struct Person {
    root: String,
    state: String,
}

impl Person {
    fn new(env: &TestEnv, place: &str, files: Files<'_>) -> Self {
        let root = env.home().join(place).join("assets");
        for (path, content) in files {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        let state = env.home().join(place).join("state/index.sqlite").display().to_string();
        Self { root: root.display().to_string(), state }
    }

    fn write(&self, path: &str, content: &str) {
        fs::write(format!("{}/{path}", self.root), content).unwrap();
    }

    fn start(&self, env: &mut TestEnv, more: &[&str]) -> Started {
        env.set("DATO_MIRROR_STATE_PATH", &self.state);
        let args = [&["--sync-once", "--format", "json", "--root", self.root.as_str()], more].concat();
        env.start(&args, b"")
    }

    #[track_caller]
    fn sync(&self, env: &mut TestEnv, more: &[&str]) -> Run {
        self.start(env, more).end()
    }

    /// Starts a run whose creations, so many, are all held; answers when all have arrived.
    #[track_caller]
    fn held(&self, env: &mut TestEnv, creations: usize) -> (Started, dato_mirror::sandbox::Held) {
        let held = env.sandbox.hold_next("POST /uploads", creations);
        let run = self.start(env, &[]);
        let started = Instant::now();
        while held.count() < creations {
            assert!(started.elapsed() < ARRIVAL, "only {} creations came", held.count());
            thread::sleep(Duration::from_millis(2));
        }
        (run, held)
    }
}

/// Two people, and a media area that both know to be empty.
fn two(settings: Settings, first: Files<'_>, second: Files<'_>) -> (TestEnv, Person, Person) {
    let mut env = TestEnv::with(settings);
    env.set("DATO_MIRROR_ON_DELETE", "delete");
    let (one, other) = (Person::new(&env, "first", first), Person::new(&env, "second", second));
    (env, one, other)
}

/// What the media area holds, by id.
fn contents(env: &TestEnv) -> BTreeMap<String, Vec<u8>> {
    env.assets().into_iter().map(|asset| (asset.id.clone(), env.content(&asset.id))).collect()
}

#[track_caller]
fn kept(env: &TestEnv, before: &BTreeMap<String, Vec<u8>>, what: &str) {
    let now = contents(env);
    for (id, content) in before {
        let now = now.get(id).map(|content| String::from_utf8_lossy(content).into_owned());
        assert_eq!(now.as_deref(), Some(&*String::from_utf8_lossy(content)), "{what}: {id}");
    }
}

#[track_caller]
fn is_stopped(run: Run, what: &str) -> Run {
    let run = run.exits(4);
    for part in ["assets", "--name", "DATO_MIRROR_NAME", "--take-over"] {
        assert!(run.stdout.contains(part), "{what}: {part}: {run:#?}");
    }
    run
}

const MINE: [(&str, &str); 5] =
    [("logo.svg", "mine"), ("a.svg", "my a"), ("b.svg", "my b"), ("sub/c.svg", "my c"), ("sub/d.svg", "my d")];
const THEIRS: [(&str, &str); 5] =
    [("logo.svg", "theirs"), ("v.svg", "their v"), ("w.svg", "their w"), ("x.svg", "their x"), ("y.svg", "their y")];
const ALL: [(&str, &str); 5] = [
    ("logo.svg", "theirs"),
    ("a.svg", "their a"),
    ("b.svg", "their b"),
    ("sub/c.svg", "theirs c"),
    ("sub/d.svg", "their d"),
];

#[test]
fn two_first_runs_at_once_under_one_name_lose_no_picture() {
    let cases: [(&str, Files<'_>, Files<'_>); 5] = [
        ("one file each", &MINE[..1], &THEIRS[..1]),
        ("one shared of many", &MINE, &THEIRS),
        ("one against many", &MINE[..1], &THEIRS),
        ("many against one", &MINE, &THEIRS[..1]),
        ("all shared", &MINE, &ALL),
    ];
    for (number, (what, mine, theirs)) in cases.into_iter().enumerate() {
        for turned in [false, true] {
            let (first, second) = if turned { (theirs, mine) } else { (mine, theirs) };
            let settings = if (number % 2 == 0) == turned { jobs() } else { fast() };
            let (mut env, one, other) = two(settings, first, second);
            if number % 3 == 1 {
                env.set("DATO_MIRROR_STAMP", "digest");
            }
            let (run, held) = one.held(&mut env, first.len());
            other.sync(&mut env, &[]).exits(0).did(&format!("created {}", second.len()));
            let before = contents(&env);
            held.release();
            is_stopped(run.end(), what);
            kept(&env, &before, what);
            // It stays so, for both, until somebody says whose the name is.
            let before = contents(&env);
            for more in [&["--dry-run"][..], &[], &[]] {
                is_stopped(one.sync(&mut env, more), what);
                kept(&env, &before, what);
            }
            other.sync(&mut env, &[]).exits(0).did("");
            kept(&env, &before, what);
            one.sync(&mut env, &["--name", "mine"]).exits(0);
            kept(&env, &before, what);
            for (path, content) in first {
                assert!(contents(&env).values().any(|there| there == content.as_bytes()), "{what}: {path}");
            }
            other.sync(&mut env, &[]).exits(0).did("");
            one.sync(&mut env, &["--name", "mine"]).exits(0).did("");
            kept(&env, &before, what);
        }
    }
}

#[test]
fn a_run_over_some_files_loses_no_picture_either() {
    let (mut env, one, other) = two(fast(), &MINE, &THEIRS);
    fs::write(env.home().join("list"), "logo.svg\n").unwrap();
    let list = ["--files-from", "list"];
    let held = env.sandbox.hold_next("POST /uploads", 1);
    let run = one.start(&mut env, &list);
    wait_until("the creation is held", || held.count() == 1);
    other.sync(&mut env, &[]).exits(0).did("created 5");
    let before = contents(&env);
    held.release();
    is_stopped(run.end(), "some files");
    for more in [&list[..], &[], &list] {
        is_stopped(one.sync(&mut env, more), "some files");
        assert_eq!(contents(&env), before);
    }
}

#[test]
fn the_name_is_taken_over_when_somebody_says_so_and_then_it_is_settled() {
    let (mut env, one, other) = two(fast(), &MINE, &ALL);
    let (run, held) = one.held(&mut env, MINE.len());
    other.sync(&mut env, &[]).exits(0);
    held.release();
    is_stopped(run.end(), "taken over");
    one.sync(&mut env, &["--take-over"]).exits(0).did("replaced 5");
    one.sync(&mut env, &[]).exits(0).did("");
}

#[test]
fn two_first_runs_at_once_of_one_folder_share_its_assets() {
    // What is there alike is adopted, and what differs follows the usual rules: the same folder is on two machines.
    for settings in [fast(), jobs()] {
        let (mut env, one, other) = two(settings, &MINE, &MINE);
        let (run, held) = one.held(&mut env, MINE.len());
        other.sync(&mut env, &[]).exits(0).did("created 5");
        let before = contents(&env);
        held.release();
        run.end().exits(0);
        assert_eq!(contents(&env), before);
        for person in [&one, &other] {
            person.sync(&mut env, &[]).exits(0).did("");
        }
    }
    let newer: Vec<(&str, &str)> = [("logo.svg", "newer")].into_iter().chain(MINE[1..].iter().copied()).collect();
    let (mut env, one, other) = two(fast(), &newer, &MINE);
    let (run, held) = one.held(&mut env, newer.len());
    other.sync(&mut env, &[]).exits(0).did("created 5");
    held.release();
    run.end().exits(0);
    assert_eq!((env.assets().len(), env.content(&env.asset("logo.svg").id)), (5, b"newer".to_vec()));
    one.sync(&mut env, &[]).exits(0).did("");
}

#[test]
fn a_creation_that_lost_its_reply_is_still_our_own_also_when_the_file_has_changed_since() {
    let (mut env, one, _) = two(fast(), &MINE[..1], &[]);
    let fault = |kind| Fault { route: "POST /uploads".into(), skip: 0, times: Some(1), kind };
    env.sandbox.add_fault(fault(FaultKind::LoseReply));
    one.sync(&mut env, &[]).exits(0).did("created 1");
    one.write("b.svg", "my b");
    env.sandbox.add_fault(fault(FaultKind::HtmlReply { status: 502 }));
    one.sync(&mut env, &[]).exits(0).did("created 1");
    for settings in [fast(), Settings { job_min_ms: 3_000, job_max_ms: 3_000, ..jobs() }] {
        let (mut env, one, _) = two(settings, &MINE[..1], &[]);
        let held = env.sandbox.hold_after("POST /uploads");
        let run = one.start(&mut env, &[]);
        wait_until("the creation is done", || held.count() == 1);
        drop(run);
        held.release();
        one.write("logo.svg", "changed");
        one.sync(&mut env, &[]).exits(0);
        assert_eq!((env.assets().len(), env.content(&env.asset("logo.svg").id)), (1, b"changed".to_vec()));
        one.sync(&mut env, &[]).exits(0).did("");
    }
}

#[test]
fn two_folders_that_came_to_share_a_name_lose_no_picture_when_they_meet_later() {
    // Neither met the other's files in its first run, for both began at once and have no path in common.
    for order in ["held", "seen before", "seen and then added"] {
        let others: Vec<(String, String)> =
            (0..8).map(|number| (format!("their {number}.svg"), format!("t {number}"))).collect();
        let others: Vec<(&str, &str)> =
            others.iter().map(|(path, content)| (path.as_str(), content.as_str())).collect();
        let (mut env, one, other) = two(fast(), &MINE[1..], &others);
        let (run, held) = one.held(&mut env, 4);
        other.sync(&mut env, &[]).exits(0).did("created 8");
        held.release();
        run.end().exits(0).did("created 4");
        let add = |person: &Person, env: &mut TestEnv, content: &str| {
            person.write("logo.svg", content);
            person.sync(env, &[])
        };
        let run = match order {
            "held" => {
                one.write("logo.svg", "mine");
                let (run, held) = one.held(&mut env, 1);
                add(&other, &mut env, "theirs").exits(0).did("created 1");
                held.release();
                run.end()
            }
            "seen before" => {
                add(&other, &mut env, "theirs").exits(0).did("created 1");
                add(&one, &mut env, "mine")
            }
            _ => {
                add(&other, &mut env, "theirs").exits(0).did("created 1");
                one.sync(&mut env, &[]).exits(0).did("");
                add(&one, &mut env, "mine")
            }
        };
        is_stopped(run, order);
        assert_eq!(env.content(&env.asset("logo.svg").id), b"theirs", "{order}");
        is_stopped(one.sync(&mut env, &[]), order);
        assert_eq!(env.content(&env.asset("logo.svg").id), b"theirs", "{order}");
        one.sync(&mut env, &["--take-over"]).exits(0).did("replaced 1");
        one.write("their 1.svg", "and another");
        one.sync(&mut env, &[]).exits(0).did("replaced 1");
    }
}
