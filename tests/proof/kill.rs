//! kill -9 at random moments: of this very pipeline in a process of its own (with short waits), and of the real binary.
//! When it is over, one run of the real binary leaves every file with one asset.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use dato_mirror::model::Md5;
use dato_mirror::sandbox::{Answers, LogEntry, Settings};
use tokio::task::JoinSet;

use crate::world::{World, config, run, stamped, told};

/// Kills without KILLS in the environment.
const KILLS: usize = 208;
/// Worlds, side by side.
const WORLDS: usize = 8;
/// One kill of so many is of the real binary.
const REAL: usize = 8;

pub fn real(world: &World) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dato-mirror"));
    command
        .args(["--sync-once", "--format", "json", "-q", "--root"])
        .arg(world.path(""))
        .env_clear()
        .env("DATOCMS_API_TOKEN", "sandbox")
        .env("DATO_MIRROR_API_BASE_URL", world.sandbox.base_url())
        .env("DATO_MIRROR_API_RATE_SHARE", "1")
        .env("DATO_MIRROR_STATE_PATH", &world.config.state_path)
        .env("DATO_MIRROR_SETTLE", "0ms")
        .env("DATO_MIRROR_TAGS", "brand,{dir}")
        .stdin(Stdio::null());
    command
}

/// This test binary again, as a mirror.
fn child(world: &World) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", "kill::a_run_in_a_process_of_its_own", "--nocapture"])
        .env("PROOF_ROOT", world.path(""))
        .env("PROOF_STATE", &world.config.state_path)
        .env("PROOF_API", world.sandbox.base_url())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}

/// Not a test: what the kill test starts and kills.
#[tokio::test]
async fn a_run_in_a_process_of_its_own() {
    let Ok(root) = std::env::var("PROOF_ROOT") else { return };
    let text = |name: &str| std::env::var(name).unwrap();
    let _ = run(&config(root.as_ref(), text("PROOF_STATE").as_ref(), &text("PROOF_API"))).await;
}

/// The folder changes while nobody looks.
fn change(world: &World, random: &mut fastrand::Rng) {
    let path = format!("{}/{}.png", random.choice(["d", "e", "d/f"]).unwrap(), random.u32(..6));
    match random.u32(..8) {
        0..5 => world.write(&path, &format!("content {}", random.u32(..12))),
        5 | 6 if world.path(&path).is_file() => world.rename(&path, &format!("g/{}.png", random.u32(..6))),
        7 if world.path(&path).is_file() => world.remove(&path),
        _ => {}
    }
}

async fn live(number: usize, kills: usize) -> (usize, usize) {
    let settings = Settings { job_min_ms: 10, job_max_ms: 120, ..Settings::fast() };
    let world = World::new(settings).await;
    world.write("always.png", "always");
    let mut random = fastrand::Rng::with_seed(number as u64);
    let mut killed = 0;
    for round in 0..kills {
        for _ in 0..random.u32(0..5) {
            change(&world, &mut random);
        }
        let real_one = round % REAL == 7;
        let mut command = if real_one { real(&world) } else { child(&world) };
        // At one of its calls, or before the first, and a moment later: however fast the machine is. When it makes fewer,
        // it ends by itself.
        let calls = world.sandbox.count("* *") + random.usize(0..8);
        let mut process = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        while world.sandbox.count("* *") < calls && process.try_wait().unwrap().is_none() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        tokio::time::sleep(Duration::from_micros(random.u64(0..10_000))).await;
        if process.try_wait().unwrap().is_none() {
            killed += 1;
        }
        process.kill().unwrap();
        process.wait().unwrap();
    }
    let last = tokio::task::spawn_blocking({
        let mut command = real(&world);
        move || command.output().unwrap()
    });
    let last = last.await.unwrap();
    let told = String::from_utf8_lossy(&last.stdout).into_owned() + &String::from_utf8_lossy(&last.stderr);
    assert_eq!(last.status.code(), Some(0), "world {number}: {told}");
    let tree = world.tree();
    let assets = world.assets();
    for (path, content) in &tree {
        let md5 = Md5::of(content.as_bytes()).to_string();
        let own: Vec<_> = assets.iter().filter(|one| one.md5 == md5 && stamped(one, "brand").contains(path)).collect();
        assert_eq!(own.len(), 1, "world {number}: {path} has {own:#?}");
    }
    world.sandbox.clear_log();
    let again = world.run().await.unwrap();
    assert!(world.changes().is_empty(), "world {number}: a second run changed something: {:?}", world.changes());
    assert_eq!(again.exit, dato_mirror::error::Exit::Done);
    (killed, tree.len())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_at_any_moment_and_the_next_run_converges() {
    let kills = std::env::var("KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(KILLS);
    let begun = Instant::now();
    let mut worlds = JoinSet::new();
    for number in 0..WORLDS {
        worlds.spawn(live(number, kills / WORLDS));
    }
    let (mut killed, mut files) = (0, 0);
    while let Some(done) = worlds.join_next().await {
        let (more, there) = done.unwrap();
        killed += more;
        files += there;
    }
    eprintln!("kill -9: {killed} of {kills} while running, {files} files in step at the end, in {:?}", begun.elapsed());
    assert!(killed * 2 > kills, "most kills come while it runs");
}

/// The alias had its effect in the media area and not in the index; then the file has its old asset for itself.
#[tokio::test]
async fn a_path_killed_while_it_joined_an_asset_has_one_asset_also_when_it_stays_with_its_own() {
    let world = World::new(Settings { answers: Answers::Direct, ..Settings::fast() }).await;
    for (path, content) in [("a.png", "one"), ("b.png", "one"), ("c.png", "two")] {
        world.write(path, content);
    }
    world.run().await.unwrap();
    world.write("b.png", "two");
    let held = world.sandbox.hold_after("PUT /uploads/:id");
    world.killed_at(&held).await;
    held.release();
    world.remove("a.png");
    assert_eq!(world.run().await.unwrap().exit, dato_mirror::error::Exit::Done);
    let two = Md5::of(b"two").to_string();
    for path in ["b.png", "c.png"] {
        let all = world.assets();
        let own: Vec<_> = all.iter().filter(|one| one.md5 == two && stamped(one, "brand").contains(path)).collect();
        assert_eq!(own.len(), 1, "{path} has {own:#?}");
    }
    world.sandbox.clear_log();
    world.run().await.unwrap();
    assert!(world.changes().is_empty(), "a second run changed something: {:?}", world.changes());
}

/// The replacement had its effect in the media area and not in the index; then the file is put back as it was before.
#[tokio::test]
async fn a_file_killed_after_its_replacement_and_put_back_is_replaced_again() {
    let world = World::new(Settings { answers: Answers::Direct, ..Settings::fast() }).await;
    world.write("a.png", "one");
    world.run().await.unwrap();
    world.write("a.png", "two");
    let held = world.sandbox.hold_after("PUT /uploads/:id");
    world.killed_at(&held).await;
    held.release();
    world.write("a.png", "one");
    let end = world.run().await;
    assert!(end.as_ref().is_ok_and(|end| end.exit == dato_mirror::error::Exit::Done), "{}", told(&end));
    let contents: Vec<String> = world.assets().into_iter().map(|one| one.md5).collect();
    assert_eq!(contents, [Md5::of(b"one").to_string()]);
}

#[tokio::test]
async fn a_path_killed_while_it_left_a_shared_asset_has_the_one_made_for_it() {
    let world = World::new(Settings { job_min_ms: 300, job_max_ms: 300, ..Settings::fast() }).await;
    world.write("a.png", "one");
    world.write("b.png", "one");
    world.run().await.unwrap();
    assert_eq!(world.assets().len(), 1, "one asset for both");
    world.sandbox.clear_log();
    world.write("b.png", "two");
    let spawn = || real(&world).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let mut process = spawn();
    let accepted = |entry: &LogEntry| entry.method == "POST" && entry.path == "/uploads" && entry.status == 202;
    while !world.sandbox.log().iter().any(accepted) {
        match process.try_wait().unwrap().map(|ended| ended.code()) {
            None => {}
            // A child that another test just forked holds the index that our run let go.
            Some(Some(5)) => process = spawn(),
            Some(code) => panic!("it was to make an asset for b.png: {code:?}"),
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    process.kill().unwrap();
    process.wait().unwrap();
    // Both could share the old asset again, and the new one would be left to nobody.
    world.write("a.png", "two");
    assert_eq!(world.run().await.unwrap().exit, dato_mirror::error::Exit::Done);
    for path in ["a.png", "b.png"] {
        let two = Md5::of(b"two").to_string();
        let own: Vec<_> = world.assets().into_iter().filter(|one| stamped(one, "brand").contains(path)).collect();
        assert!(own.len() == 1 && own[0].md5 == two, "{path} has {own:#?}");
    }
    world.sandbox.clear_log();
    world.run().await.unwrap();
    assert!(world.changes().is_empty(), "a second run changed something: {:?}", world.changes());
}
