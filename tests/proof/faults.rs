//! Every fault of the media area × every action × every route of that action: when the faults are over, the next run
//! leaves the very media area that a run without faults leaves, and the one after it changes nothing.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dato_mirror::config::policy::OnDelete;
use dato_mirror::config::template::Template;
use dato_mirror::sandbox::{Answers, Fault, FaultKind, Settings};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::world::{Bare, World, told};

/// Worlds at a time.
const AT_ONCE: usize = 40;

const READ: [&str; 2] = ["GET /site", "GET /uploads"];
const SEND: [&str; 2] = ["POST /upload-requests", "PUT bucket"];
const CREATE: [&str; 2] = ["POST /uploads", "GET /job-results"];
const CHANGE: [&str; 3] = ["PUT /uploads/:id", "GET /job-results", "GET /uploads/:id"];
const BULK: [&str; 2] = ["POST /uploads/bulk/tag", "GET /job-results"];
const DELETE: [&str; 3] = ["GET /uploads/:id/references", "DELETE /uploads/:id", "GET /uploads/:id"];

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Action {
    Create,
    Adopt,
    Alias,
    Move,
    Replace,
    Retag,
    BulkRetag,
    Delete,
    TagGone,
}

const ACTIONS: [Action; 9] = [
    Action::Create,
    Action::Adopt,
    Action::Alias,
    Action::Move,
    Action::Replace,
    Action::Retag,
    Action::BulkRetag,
    Action::Delete,
    Action::TagGone,
];

impl Action {
    fn routes(self) -> Vec<&'static str> {
        let own: &[&[&str]] = match self {
            Self::Create => &[&SEND, &CREATE],
            Self::Replace => &[&SEND, &CHANGE],
            Self::Adopt | Self::Alias | Self::Move | Self::Retag | Self::TagGone => &[&CHANGE],
            Self::BulkRetag => &[&BULK],
            Self::Delete => &[&DELETE],
        };
        READ.into_iter().chain(own.iter().copied().flatten().copied()).collect()
    }

    /// A mirrored folder in which an editor has been, and then the change that makes the action due.
    async fn prepare(self) -> World {
        let mut world = World::new(Settings { answers: Answers::Direct, ..Settings::fast() }).await;
        for (key, content) in [("a.png", "a"), ("d/b.png", "b"), ("d/c.png", "c")] {
            world.write(key, content);
        }
        let end = world.run().await;
        assert!(end.as_ref().is_ok_and(|end| end.report.mirrors[0].counts.created == 3), "{}", told(&end));
        for asset in world.assets() {
            let mut tags: Vec<&str> = asset.tags.iter().map(String::as_str).collect();
            tags.push("typed");
            world.sandbox.edit_tags(None, &asset.id, &tags).unwrap();
        }
        world.sandbox.create_foreign(None, "theirs.png", b"theirs").unwrap();
        match self {
            Self::Create => world.write("e/new.png", "new"),
            Self::Adopt => world.write("e/mine.png", "theirs"),
            Self::Alias => world.write("e/copy.png", "a"),
            Self::Move => world.rename("a.png", "e/moved.png"),
            Self::Replace => world.write("a.png", "changed"),
            Self::Retag => world.write("a.png.meta.toml", "tags = [\"one\"]\nnotes = \"A note\"\n"),
            Self::BulkRetag => world.mirror().layer.tags.push(Template::parse("more").unwrap()),
            Self::Delete | Self::TagGone => {
                let delete = self == Self::Delete;
                world.mirror().on_delete = if delete { OnDelete::Delete } else { OnDelete::Tag };
                world.remove("d/c.png");
            }
        }
        world.sandbox.set(|settings| settings.answers = Answers::Usual);
        world.sandbox.clear_log();
        world
    }
}

fn status(status: u16, code: &str, transient: bool) -> FaultKind {
    FaultKind::Status { status, code: code.into(), transient, details: serde_json::Value::Null }
}

fn kinds(route: &str) -> Vec<FaultKind> {
    let mut kinds = vec![
        FaultKind::Html { status: 502 },
        FaultKind::Delay { ms: 30 },
        FaultKind::Drop,
        FaultKind::LoseReply,
        FaultKind::CutBody,
        FaultKind::HtmlReply { status: 502 },
    ];
    if route == "PUT bucket" {
        kinds.extend([
            FaultKind::SlowDown,
            FaultKind::EarlyForbidden,
            FaultKind::WrongEtag,
            FaultKind::ResetMidBody,
            FaultKind::CorruptBytes,
            FaultKind::CorruptQuietly,
        ]);
        return kinds;
    }
    kinds.extend([
        status(500, "INTERNAL_SERVER_ERROR", false),
        status(503, "SERVICE_UNAVAILABLE", true),
        FaultKind::Garbage,
        FaultKind::RateLimited { reset: 0 },
        FaultKind::AsJob,
    ]);
    if route == "POST /upload-requests" {
        kinds.push(FaultKind::ExpireAtOnce);
    }
    if !route.starts_with("GET") {
        kinds.extend([
            status(401, "INVALID_AUTHORIZATION_HEADER", false),
            status(422, "CONCURRENT_UPLOAD_UPDATE", true),
            FaultKind::JobFails { status: 422, code: "INVALID_FIELD".into() },
            FaultKind::JobFails { status: 503, code: "SERVICE_UNAVAILABLE".into() },
            FaultKind::JobNeverEnds,
            FaultKind::JobResultLost,
            FaultKind::JobSlow { ms: 400 },
            FaultKind::JobRefusedLate,
            FaultKind::Direct,
        ]);
    }
    kinds
}

/// The media area as it should be: by a run without faults.
async fn golden(action: Action) -> Golden {
    let world = action.prepare().await;
    let end = world.run().await.unwrap();
    assert_eq!(end.exit, dato_mirror::error::Exit::Done, "{action:?}");
    assert!(!world.changes().is_empty(), "{action:?} changes something");
    let calls = action.routes().into_iter().map(|route| (route, world.sandbox.count(route))).collect();
    Golden { bare: world.bare(), calls }
}

/// What a run without faults does.
struct Golden {
    bare: Vec<Bare>,
    /// How often it calls each route.
    calls: BTreeMap<&'static str, usize>,
}

/// What went wrong in a cell; nothing when the fault did not meet a call.
async fn cell(action: Action, fault: Fault, golden: Arc<Golden>) -> Option<Result<(), String>> {
    let world = action.prepare().await;
    let before: BTreeMap<String, String> = world.assets().into_iter().map(|one| (one.id, one.path)).collect();
    world.sandbox.add_fault(fault);
    let first = world.run().await;
    if world.sandbox.faults()[0].1 == 0 {
        return None;
    }
    world.sandbox.clear_faults();
    let deadline = Instant::now() + Duration::from_secs(60);
    while world.sandbox.running_jobs() > 0 && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let second = world.run().await;
    let bare = world.bare();
    let history = || format!("\n  first: {}\n  second: {}", told(&first), told(&second));
    if bare != golden.bare {
        let of = |all: &[Bare], other: &[Bare]| -> String {
            all.iter().filter(|one| !other.contains(one)).map(|one| format!("\n    {one:?}")).collect()
        };
        let (is, should) = (of(&bare, &golden.bare), of(&golden.bare, &bare));
        return Some(Err(format!("another media area:{is}\n  instead of{should}{}", history())));
    }
    for asset in world.assets() {
        if before.get(&asset.id).is_some_and(|path| *path != asset.path) {
            return Some(Err(format!("the URL of {} changed{}", asset.id, history())));
        }
    }
    world.sandbox.clear_log();
    let third = world.run().await;
    let changes = world.changes();
    if !changes.is_empty() || !third.as_ref().is_ok_and(|end| end.exit == dato_mirror::error::Exit::Done) {
        return Some(Err(format!("the third run: {} {changes:?}{}", told(&third), history())));
    }
    Some(Ok(()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_any_fault_the_next_run_converges() {
    let started = Instant::now();
    let only = std::env::var("CELL").unwrap_or_default();
    let gate = Arc::new(Semaphore::new(AT_ONCE));
    let mut cells = JoinSet::new();
    let mut goldens = BTreeMap::new();
    for action in ACTIONS {
        if only.is_empty() || only.starts_with(&format!("{action:?} ")) {
            goldens.insert(action, Arc::new(golden(action).await));
        }
    }
    for (action, golden) in goldens {
        for route in action.routes() {
            for kind in kinds(route) {
                for skip in 0..golden.calls[route].min(2) as u64 {
                    let name = format!("{action:?} | {route} | {kind:?} | call {}", skip + 1);
                    if !name.contains(&only) {
                        continue;
                    }
                    let fault = Fault { route: route.into(), skip, times: Some(1), kind: kind.clone() };
                    let (gate, golden) = (gate.clone(), golden.clone());
                    cells.spawn(async move {
                        let _permit = gate.acquire().await.unwrap();
                        let begun = Instant::now();
                        (name, cell(action, fault, golden).await, begun.elapsed())
                    });
                }
            }
        }
    }
    let (mut hit, mut unmet, mut failed, mut slow) = (0, 0, Vec::new(), Vec::new());
    while let Some(done) = cells.join_next().await {
        let (name, outcome, took) = done.unwrap();
        match outcome {
            None => unmet += 1,
            Some(Ok(())) => hit += 1,
            Some(Err(why)) => failed.push(format!("{name}: {why}")),
        }
        slow.push((took, name));
    }
    slow.sort();
    for (took, name) in slow.iter().rev().take(5) {
        eprintln!("{took:?} {name}");
    }
    eprintln!("fault matrix: {hit} cells converged, {unmet} faults met no call, in {:?}", started.elapsed());
    failed.sort();
    assert!(failed.is_empty(), "{} cells did not converge:\n{}", failed.len(), failed.join("\n\n"));
    assert!(!only.is_empty() || hit > 300, "only {hit} cells met their fault");
}
