//! The disk under the index fails: at its n-th kilobyte for every n of a short scenario, or for good. The run says so and
//! ends; with the disk well again the next run converges.

use std::process::{Command, Output};
use std::sync::Arc;
use std::time::Instant;

use dato_mirror::error::Exit;
use dato_mirror::model::Md5;
use dato_mirror::sandbox::{Answers, Settings};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::kill::real;
use crate::world::{World, told};

/// Larger than the index and its log grow in the scenario, kilobytes.
const MOST: u64 = 2400;

/// The real binary where no file may grow beyond `kilobytes`: writes beyond fail, as on a full disk.
fn limited(world: &World, kilobytes: u64) -> Output {
    let plain = real(world);
    let mut command = Command::new("bash");
    command
        .arg("-c")
        .arg(format!("trap '' XFSZ; ulimit -f {kilobytes}; exec \"$0\" \"$@\""))
        .arg(plain.get_program())
        .args(plain.get_args())
        .envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.output().unwrap()
}

async fn world() -> World {
    let world = World::new(Settings { answers: Answers::Direct, ..Settings::fast() }).await;
    for number in 0..8 {
        world.write(&format!("d/{number}.png"), &format!("content {number}"));
    }
    world
}

/// The next run leaves one asset a file, and the one after it changes nothing.
async fn converges(world: &World, before: &str) {
    let end = world.run().await;
    let history = format!("{before}\nthen {}", told(&end));
    assert!(end.is_ok_and(|end| end.exit == Exit::Done), "{history}");
    let assets = world.assets();
    let tree = world.tree();
    assert_eq!(assets.len(), tree.len(), "{history}");
    for content in tree.values() {
        let md5 = Md5::of(content.as_bytes()).to_string();
        assert_eq!(assets.iter().filter(|one| one.md5 == md5).count(), 1, "{history}");
    }
    world.sandbox.clear_log();
    let again = world.run().await;
    assert!(world.changes().is_empty() && again.is_ok(), "{history}: {:?}, then {}", world.changes(), told(&again));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_fills_up_at_any_point_costs_nothing_but_time() {
    let begun = Instant::now();
    let gate = Arc::new(Semaphore::new(6));
    let mut tries = JoinSet::new();
    for kilobytes in (0..MOST).filter(|one| *one < 160 || one % 32 == 0) {
        let gate = gate.clone();
        tries.spawn(async move {
            let _permit = gate.acquire().await.unwrap();
            let world = world().await;
            let (world, output) = tokio::task::spawn_blocking(move || {
                let output = limited(&world, kilobytes);
                (world, output)
            })
            .await
            .unwrap();
            let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
            let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
            let story = format!("at {kilobytes} kB: exit {:?}\n{stdout}{stderr}", output.status.code());
            assert!(output.status.code().is_some_and(|code| code < 6), "it ends by itself: {story}");
            assert!(!stderr.contains("panicked"), "{story}");
            let failed = output.status.code() != Some(0);
            if failed {
                let said = stderr.contains(" failed: ") || stderr.contains("cannot open the index");
                assert!(said, "it says what failed: {story}");
            }
            converges(&world, &story).await;
            u32::from(failed)
        });
    }
    let (mut failures, mut all) = (0, 0);
    while let Some(done) = tries.join_next().await {
        failures += done.unwrap();
        all += 1;
    }
    eprintln!("disk full: {failures} failing runs of {all}, all converged, in {:?}", begun.elapsed());
    assert!(failures > 20 && failures < all, "{failures} of {all}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_index_that_cannot_be_made_is_said_at_once() {
    let mut world = world().await;
    let good = world.config.state_path.clone();
    world.write("../file", "no folder");
    world.config.state_path = world.path("../file/index.sqlite");
    let error = world.run().await.unwrap_err();
    assert!(error.to_string().contains("cannot open the index") && error.exit() == Exit::Usage, "{error}");
    assert_eq!(world.sandbox.api_calls(), 0, "no call before the index is there to remember it");
    world.config.state_path = good;
    converges(&world, &error.to_string()).await;
}
