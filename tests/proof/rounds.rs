//! A run that does not come to the end with all files says so, and the next one goes on.

use std::fs;

use dato_mirror::config::policy::{OnDelete, OnRemoteChange};
use dato_mirror::error::Exit;
use dato_mirror::model::Md5;
use dato_mirror::sandbox::Settings;
use dato_mirror::sync::once::{OnceEnd, OnceOptions};
use dato_mirror::sync::timeouts::SyncTimeouts;

use super::world::{World, run, run_as, short, stamped, told};

/// One `--sync-once` whose passes take so many rounds at most.
async fn run_with_rounds(world: &World, rounds: u32) -> OnceEnd {
    let options = OnceOptions { waits: SyncTimeouts { rounds, ..short() }, ..OnceOptions::default() };
    run_as(&world.config, options).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_rounds_did_not_suffice_for_is_told_counted_as_waiting_and_done_by_later_runs() {
    const COPIES: u64 = 9;
    let mut world = World::new(Settings::fast()).await;
    world.mirror().on_remote_change = OnRemoteChange::Overwrite;
    (0..COPIES).for_each(|copy| world.write(&format!("{copy:02}.txt"), "the same"));
    let end = world.run().await;
    assert_eq!(end.as_ref().unwrap().exit, Exit::Done, "{}", told(&end));
    assert_eq!(world.assets().len(), 1);
    // An editor's file is in the asset that all share, and each wants other content there: one after the other leaves it, and
    // the last one overwrites it.
    world.sandbox.replace_content(None, &world.assets()[0].id, b"an editor's").unwrap();
    (0..COPIES).for_each(|copy| world.write(&format!("{copy:02}.txt"), &format!("its own {copy}")));
    let mut left_before = COPIES;
    let mut runs = 0;
    loop {
        let end = run_with_rounds(&world, 1).await;
        runs += 1;
        let report = &end.report.mirrors[0];
        let left = report.waiting;
        println!("left {left}: {:?} {:?}", report.counts, report.problems);
        assert!(left < left_before, "no run goes on where the last one ended: {report:?}");
        left_before = left;
        assert_eq!(report.failed, 0, "{report:?}");
        let counts = &report.counts;
        assert_eq!(counts.unchanged + counts.changed_paths() + left, counts.scanned, "{report:?}");
        if left == 0 {
            assert_eq!((end.exit, report.problems.len()), (Exit::Done, 0), "{report:?}");
            break;
        }
        assert_eq!((end.exit, Exit::Incomplete as u8), (Exit::Incomplete, 1), "{report:?}");
        let [problem] = &report.problems[..] else { panic!("{report:?}") };
        let are = if left == 1 { "1 file is".to_owned() } else { format!("{left} files are") };
        assert!(problem.problem.cause.starts_with(&format!("{are} still to be looked at: ")), "{problem:?}");
        assert!(problem.problem.cause.contains(".txt") && problem.advice().starts_with("run again"), "{problem:?}");
    }
    assert!(runs > 1, "one round was enough");
    assert_eq!(world.assets().len(), usize::try_from(COPIES).unwrap());
    world.sandbox.clear_log();
    let end = world.run().await;
    assert_eq!(end.as_ref().unwrap().exit, Exit::Done, "{}", told(&end));
    assert!(world.changes().is_empty(), "{:#?}", world.changes());
}

/// The other machine's index has a row for each path that the stamps name, also for those that never came there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_machine_with_a_part_of_the_folder_has_looked_at_all_it_knows_of_when_its_run_ends() {
    for arrived in [&["a.png"][..], &["c.png"], &["a.png", "c.png"]] {
        let mut world = World::new(Settings::fast()).await;
        world.mirror().on_delete = OnDelete::Delete;
        let end = {
            world.write("a.png", "one");
            world.write("c.png", "one");
            world.write("d.png", "three");
            world.run().await.unwrap();
            world.write("a.png", "two");
            let mut other = world.config.clone();
            other.state_path = world.path("../other/index.sqlite");
            other.mirrors[0].root = world.path("../partly");
            fs::create_dir_all(&other.mirrors[0].root).unwrap();
            fs::write(other.mirrors[0].root.join("d.png"), "three").unwrap();
            for path in arrived {
                fs::copy(world.path(path), other.mirrors[0].root.join(path)).unwrap();
            }
            run(&other).await
        };
        assert!(end.as_ref().is_ok_and(|end| end.exit == Exit::Done), "{arrived:?}: {}", told(&end));
        let one = Md5::of(b"one").to_string();
        let kept = world.assets().iter().any(|asset| asset.md5 == one && stamped(asset, "brand").contains("c.png"));
        assert!(kept, "{arrived:?}: {:#?}", world.assets());
    }
}
