//! A run that is asked to stop ends soon, whatever it waits for, and the next one goes on.

use std::time::Duration;

use dato_mirror::error::{Exit, RunError};
use dato_mirror::index::IndexError;
use dato_mirror::sandbox::{Answers, Settings};
use dato_mirror::sync::once::{OnceEnd, OnceOptions, run_once};
use dato_mirror::sync::timeouts::SyncTimeouts;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::world::{World, short, told};

/// Longer than any run waits in these tests.
const FOR_EVER: Duration = Duration::from_secs(3600);
/// Only a failure uses it up.
const LONG: Duration = Duration::from_secs(120);

/// Begins a run that can be stopped.
fn begin(world: &World, waits: SyncTimeouts) -> (CancellationToken, JoinHandle<Result<OnceEnd, RunError>>) {
    let (config, stop) = (world.config.clone(), CancellationToken::new());
    let asked = stop.clone();
    let run = tokio::spawn(async move {
        let options = OnceOptions { waits, ..OnceOptions::default() };
        loop {
            match run_once(&config, &options, &asked).await {
                // The one that was killed lets go of its index a moment later.
                Err(RunError::Index(IndexError::Locked { .. })) => tokio::time::sleep(Duration::from_millis(5)).await,
                end => return end,
            }
        }
    });
    (stop, run)
}

async fn until(what: &str, is_so: impl Fn() -> bool) {
    let waited = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    assert!(tokio::time::timeout(LONG, waited).await.is_ok(), "never: {what}");
}

/// Asks for a stop, and waits for it.
async fn stopped(stop: &CancellationToken, run: JoinHandle<Result<OnceEnd, RunError>>) {
    stop.cancel();
    match tokio::time::timeout(LONG, run).await {
        Ok(Ok(Err(RunError::Stopped))) => {}
        Ok(end) => panic!("not stopped: {}", told(&end.unwrap())),
        Err(_) => panic!("it does not end"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_waits_for_what_an_earlier_one_began_can_be_stopped() {
    let world = World::new(Settings { answers: Answers::Direct, ..Settings::fast() }).await;
    world.write("a.png", "one");
    let held = world.sandbox.hold("POST /uploads");
    world.killed_at(&held).await;
    world.sandbox.clear_log();
    let (stop, run) = begin(&world, SyncTimeouts { left_open: FOR_EVER, follow: FOR_EVER, ..short() });
    until("it looks for the asset", || world.sandbox.count("GET /uploads") > 1).await;
    stopped(&stop, run).await;
    drop(held);
    assert_eq!(world.run().await.unwrap().exit, Exit::Done);
    assert_eq!(world.assets().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_follows_a_job_without_an_end_can_be_stopped() {
    let world = World::new(Settings { job_min_ms: 3_600_000, job_max_ms: 3_600_000, ..Settings::fast() }).await;
    world.write("a.png", "one");
    let (stop, run) = begin(&world, SyncTimeouts { follow: FOR_EVER, ..short() });
    let accepted = || world.sandbox.log().iter().any(|entry| entry.method == "POST" && entry.status == 202);
    until("the asset is accepted", accepted).await;
    stopped(&stop, run).await;
}
