//! The system under the mirror fails: the n-th write, sync, read, open, listing … for every n of a short scenario, once or
//! from then on, by `strace` in the real binary. The run says so and ends; with the system well again the next run leaves
//! the very media area that a run without failures leaves, and the one after it changes nothing.
//!
//! `FAILURES=all` tries every n also where many calls are alike; `SITE=name` tries one site. Where there is no `strace`,
//! or it may not trace, the test says so.

mod traced;

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use dato_mirror::error::Exit;
use dato_mirror::model::Md5;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::world::{Bare, World, told};
use traced::{On, SITES, Site, Start, Traced, calls, drawing, site, traced};

/// Worlds at a time.
const AT_ONCE: usize = 6;
/// Without FAILURES: of more calls than so many, so many are failed, spread evenly.
const MANY: usize = 24;

/// What is wrong after the failing run, or after those that follow it; `Ok(None)`: the failure met no call.
async fn trial(start: Start, site: Site, when: String, golden: Arc<Vec<Bare>>) -> Result<Option<i32>, String> {
    let world = start.world().await;
    let before: BTreeSet<String> = world.assets().into_iter().map(|asset| asset.md5).collect();
    let (world, run) = tokio::task::spawn_blocking(move || {
        let run = traced(&world, site, Some(&when));
        (world, run)
    })
    .await
    .unwrap();
    let hits: Vec<&String> = run.trace.iter().filter(|line| line.contains("(INJECTED)")).collect();
    if hits.is_empty() {
        return Ok(None);
    }
    let story = format!("exit {:?}\n  {}\n  {}", run.code, run.told.trim(), hits[0]);
    let holds = |truth: bool, what: &str| if truth { Ok(()) } else { Err(format!("{what}: {story}")) };
    let Some(code) = run.code else { return Err(format!("it does not end by itself: {story}")) };
    holds((0..=5).contains(&code), "an exit code that is documented")?;
    holds(!run.stderr.contains("panicked"), "no panic")?;
    if code == 0 {
        holds(world.bare() == *golden, "it says that all is mirrored")?;
    } else {
        let place = world.config.mirrors[0].root.parent().unwrap().display().to_string();
        let problem = run.told.contains("\"cause\":\"");
        holds(problem || run.stderr.contains(&place), "it names the path")?;
        let causes = [
            "os error",
            "I/O error",
            "disk I/O",
            "unable to open",
            "readonly",
            "locking",
            "malformed",
            "cannot be read",
        ];
        holds(causes.iter().any(|cause| run.told.contains(cause)), "it names the cause")?;
    }
    // Whatever happened: nothing is there twice, nothing is lost.
    let md5 = |content: &str| Md5::of(content.as_bytes()).to_string();
    let now: Vec<String> = world.assets().into_iter().map(|asset| asset.md5).collect();
    let unique: BTreeSet<&String> = now.iter().collect();
    holds(unique.len() == now.len(), "no asset is there twice")?;
    let may_go: &[String] =
        if start == Start::Nothing { &[] } else { &[md5("d/gone"), md5("d/changed"), md5(&drawing("A title"))] };
    let lost = before.iter().any(|one| !now.contains(one) && !may_go.contains(one));
    holds(!lost, "no asset is lost")?;
    if site.on == On::Folders {
        let deleted = format!("\"deleted\":{}", world.sandbox.count("DELETE /uploads/:id"));
        holds(run.told.contains(&deleted), "the report tells what was deleted")?;
    }
    let second = world.run().await;
    let story = format!("{story}\n  then {}", told(&second));
    let holds = |truth: bool, what: &str| if truth { Ok(()) } else { Err(format!("{what}: {story}")) };
    holds(second.is_ok_and(|end| end.exit == Exit::Done), "the next run mirrors all")?;
    if world.bare() != *golden {
        let of = |all: &[Bare], other: &[Bare]| -> String {
            all.iter().filter(|one| !other.contains(one)).map(|one| format!("\n    {one:?}")).collect()
        };
        let (is, should) = (of(&world.bare(), &golden), of(&golden, &world.bare()));
        return Err(format!("another media area: {story}\n  it has{is}\n  instead of{should}"));
    }
    world.sandbox.clear_log();
    let third = world.run().await;
    holds(third.is_ok_and(|end| end.exit == Exit::Done), "the third run ends well")?;
    let changes = world.changes();
    if !changes.is_empty() {
        return Err(format!("the third run changed something: {story}\n  {changes:?}"));
    }
    Ok(Some(code))
}

/// Whether `strace` is here and may trace.
fn may_trace() -> bool {
    let probe = Command::new("strace")
        .args(["--seccomp-bpf", "-f", "-qq", "-o", "/dev/null", "-e", "inject=pwrite64:error=EIO:when=1", "true"])
        .output();
    let may = probe.is_ok_and(|output| output.status.success());
    if !may {
        eprintln!("skipped: strace is missing, or may not trace here");
    }
    may
}

/// A run in which the first such call fails, and what it told.
async fn once(world: World, call: &'static str, key: &'static str) -> (World, Traced) {
    let run = move || {
        let run = traced(&world, site(call, On::One(key), "EIO"), Some("1"));
        (world, run)
    };
    let (world, run) = tokio::task::spawn_blocking(run).await.unwrap();
    assert!(run.trace.iter().any(|line| line.contains("(INJECTED)")), "{}", run.told);
    assert_eq!(run.code, Some(1), "{call} {key}: {}", run.told);
    (world, run)
}

/// The asset of a content, by its id.
fn asset_of(world: &World, content: &str) -> Option<String> {
    let md5 = Md5::of(content.as_bytes()).to_string();
    world.assets().into_iter().find(|asset| asset.md5 == md5).map(|asset| asset.id)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_moved_to_where_the_disk_fails_keeps_its_asset() {
    if !may_trace() {
        return;
    }
    for (call, key) in [("read", "e/new name.png"), ("openat2", "e/new name.png"), ("getdents64", "e"), ("openat", "e")]
    {
        let world = Start::Mirrored.world().await;
        let before = asset_of(&world, "d/old name");
        assert!(before.is_some());
        let (world, run) = once(world, call, key).await;
        assert_eq!(asset_of(&world, "d/old name"), before, "{call} {key}: {}", run.told);
        let end = world.run().await;
        assert_eq!(asset_of(&world, "d/old name"), before, "{call} {key}: {}", told(&end));
        assert_eq!(asset_of(&world, "d/gone"), None, "what is gone is deleted when all can be read");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_title_that_a_failing_disk_hides_is_not_lost_for_good() {
    if !may_trace() {
        return;
    }
    let world = Start::Nothing.world().await;
    let drawn = "d/drawing.svg";
    let (world, clean) = tokio::task::spawn_blocking(move || {
        // Its digest takes two, the last of which finds nothing more.
        let clean = traced(&world, site("read", On::One(drawn), "EIO"), Some("3"));
        (world, clean)
    })
    .await
    .unwrap();
    assert!(clean.told.contains("the metadata in the file cannot be read: Input/output error"), "{}", clean.told);
    let end = world.run().await;
    assert!(end.as_ref().is_ok_and(|end| end.exit == Exit::Done), "{}", told(&end));
    assert!(format!("{:?}", world.bare()).contains("A title"), "{:#?}", world.bare());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_root_whose_listing_breaks_off_is_not_called_empty() {
    if !may_trace() {
        return;
    }
    let world = Start::Mirrored.world().await;
    let assets = world.assets().len();
    let (world, run) = tokio::task::spawn_blocking(move || {
        let run = traced(&world, site("openat", On::Folders, "EIO"), Some("2"));
        (world, run)
    })
    .await
    .unwrap();
    assert_ne!(run.code, Some(0), "{}", run.told);
    assert!(run.told.contains("cannot be read") && run.told.contains("Input/output error"), "{}", run.told);
    assert!(!run.told.contains("holds no file"), "{}", run.told);
    assert_eq!(world.assets().len(), assets);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_index_on_a_disk_in_trouble_is_no_wrong_configuration() {
    if !may_trace() {
        return;
    }
    for (error, code) in [("EIO", 1), ("EROFS", 1), ("ENOSPC", 1), ("EACCES", 2)] {
        let world = Start::Nothing.world().await;
        let run = tokio::task::spawn_blocking(move || traced(&world, site("openat", On::State, error), Some("1+")));
        let run = run.await.unwrap();
        assert!(run.stderr.contains("cannot open the index"), "{error}: {}", run.told);
        assert_eq!(run.code, Some(code), "{error}: {}", run.told);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_of_the_system_that_fails_at_any_point_costs_nothing_but_time() {
    if !may_trace() {
        return;
    }
    let begun = Instant::now();
    let all = std::env::var("FAILURES").is_ok_and(|value| value == "all");
    let only = std::env::var("SITE").unwrap_or_default();
    let gate = Arc::new(Semaphore::new(AT_ONCE));
    let mut trials = JoinSet::new();
    for start in [Start::Nothing, Start::Mirrored] {
        let world = start.world().await;
        let end = world.run().await;
        assert!(end.as_ref().is_ok_and(|end| end.exit == Exit::Done), "{}", told(&end));
        let golden = Arc::new(world.bare());
        assert!(format!("{golden:?}").contains(" title\""), "{golden:#?}");
        for site in SITES {
            let name = format!("{start:?} {} {:?} {}", site.call, site.on, site.error);
            if !name.contains(&only) {
                continue;
            }
            let most = calls(start, site).await;
            let step = if all { 1 } else { most.div_ceil(MANY).max(1) };
            for (n, suffix) in (1..=most).step_by(step).flat_map(|n| [(n, ""), (n, "+")]) {
                let (gate, golden) = (gate.clone(), golden.clone());
                let (name, when) = (name.clone(), format!("{n}{suffix}"));
                trials.spawn(async move {
                    let _permit = gate.acquire().await.unwrap();
                    let outcome = trial(start, site, when.clone(), golden).await;
                    (name, when, outcome)
                });
            }
        }
    }
    let mut met: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    let (mut failed, mut unmet, mut codes) = (Vec::new(), 0, BTreeMap::<i32, usize>::new());
    while let Some(done) = trials.join_next().await {
        let (name, when, outcome) = done.unwrap();
        match outcome {
            Ok(None) => unmet += 1,
            Ok(Some(code)) => {
                let site = met.entry(name).or_default();
                site.0 += 1;
                site.1 += usize::from(code != 0);
                *codes.entry(code).or_default() += 1;
            }
            Err(why) => {
                eprintln!("{name} when={when}: {why}");
                failed.push(format!("{name} when={when}"));
            }
        }
    }
    for (name, (runs, ends)) in &met {
        eprintln!("{name}: {runs} runs, {ends} of them ended by it");
    }
    let runs: usize = met.values().map(|(runs, _)| runs).sum();
    eprintln!(
        "failing calls: {runs} runs converged, by exit code {codes:?}; {unmet} met no call; {:?}",
        begun.elapsed()
    );
    failed.sort();
    assert!(failed.is_empty(), "{} runs went wrong:\n{}", failed.len(), failed.join("\n"));
    assert!(!only.is_empty() || runs > 300, "only {runs} runs met their failure");
}
