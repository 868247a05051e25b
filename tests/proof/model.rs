//! A reference model under random histories: what people do to files and editors in the media area, between runs and in the
//! midst of one; faults, crashes, lost and old indexes, other machines with the folder or a part of it, other mirrors, forged
//! stamps. After every run all that editors left is there, and at every quiet point the media area is what was promised.
//!
//! The model knows only the folder and what editors did; it has no idea of indexes, plans or calls.

mod check;
mod choose;
mod editor;
mod flight;
mod found;
mod history;
mod machine;
mod op;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use history::History;
use op::Op;
use tokio::task::JoinSet;

/// Seeds without SEEDS in the environment: CI's share.
const SEEDS: u64 = 2000;
/// Worlds at a time.
const AT_ONCE: u64 = 16;

/// Situations that the seeds must have visited, or the proof proves less than it says.
const SITUATIONS: [&str; 34] = [
    "write",
    "edit",
    "touch",
    "rename",
    "move folder",
    "copy",
    "delete",
    "swap",
    "rewrite",
    "retag",
    "alt",
    "replace",
    "editor deletes",
    "foreign upload",
    "reference",
    "fault",
    "crash",
    "lost index",
    "old index",
    "other machine",
    "policy",
    "clock",
    "notes",
    "custom data",
    "unstamp",
    "copied stamp",
    "forged stamp",
    "editor during a run",
    "folder during a run",
    "lagging machine",
    "other mirror",
    "stranger",
    "exclude",
    "copies",
];

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// Runs a seed; the failure with its operations, when it fails.
async fn seed(seed: u64, visited: Arc<Mutex<BTreeMap<&'static str, u64>>>) -> Option<String> {
    let history = Arc::new(Mutex::new(Vec::<Op>::new()));
    let told = history.clone();
    let task = tokio::spawn(async move {
        let mut history = History::new(seed, told).await;
        history.live().await;
        history.visited
    });
    match task.await {
        Ok(seen) => {
            if std::env::var_os("STORY").is_some() {
                eprintln!("seed {seed}: {:#?}", history.lock().unwrap());
            }
            let mut visited = visited.lock().unwrap();
            for (what, times) in seen {
                *visited.entry(what).or_default() += times;
            }
            None
        }
        Err(error) => {
            let panic = error.try_into_panic().ok()?;
            let text = panic
                .downcast_ref::<String>()
                .cloned()
                .or_else(|| panic.downcast_ref::<&str>().map(|one| (*one).to_owned()));
            let mut story = format!("seed {seed}: {}\n", text.unwrap_or_default());
            for op in history.lock().unwrap().iter() {
                let _ = writeln!(story, "    {op:?}");
            }
            Some(story)
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn random_histories_keep_every_promise() {
    // After so many failures it ends.
    let (seeds, most) = (number("SEEDS", SEEDS), usize::try_from(number("MOST", 5)).unwrap());
    // Other seeds every day; the figures below and each failure tell which, for START to repeat them.
    let days = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs() / 86_400;
    let start = number("START", days * seeds);
    eprintln!("START={start} SEEDS={seeds}");
    let begun = Instant::now();
    let visited = Arc::new(Mutex::new(BTreeMap::new()));
    let next = Arc::new(AtomicU64::new(start));
    let failed = Arc::new(Mutex::new(Vec::new()));
    let mut workers = JoinSet::new();
    for _ in 0..number("AT_ONCE", AT_ONCE) {
        let (next, visited, failed) = (next.clone(), visited.clone(), failed.clone());
        workers.spawn(async move {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= start + seeds || failed.lock().unwrap().len() >= most {
                    break;
                }
                if let Some(story) = seed(number, visited.clone()).await {
                    // At once: a long run may be ended before its end.
                    eprintln!("{story}");
                    failed.lock().unwrap().push(number);
                }
            }
        });
    }
    while workers.join_next().await.is_some() {}
    let (visited, failed) = (visited.lock().unwrap(), failed.lock().unwrap());
    eprintln!("{seeds} seeds from {start} in {:?}; visited: {visited:?}", begun.elapsed());
    assert!(failed.is_empty(), "failed, each told above: {failed:?}");
    if seeds >= SEEDS {
        let missed: Vec<_> =
            SITUATIONS.iter().filter(|what| visited.get(*what).is_none_or(|times| *times < 5)).collect();
        assert!(missed.is_empty(), "never or hardly visited: {missed:?}");
    }
}
