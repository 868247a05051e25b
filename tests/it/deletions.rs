//! Deletions by the hundred, and what is kept because something uses it.

use dato_mirror::sandbox::{Fault, FaultKind, InUseFilter, Right, Settings};

use crate::support::{TestEnv, bytes, fast, jobs};

fn mirrored(settings: Settings, files: u64) -> TestEnv {
    let env = TestEnv::with(settings);
    env.config_with("on_delete = \"delete\"\nmax_delete = \"100%\"");
    for number in 0..files {
        env.write(format!("{number:03}.bin"), bytes(number, 100));
    }
    env.write("stays.bin", "stays");
    env.sync().exits(0).did(&format!("created {}", files + 1));
    env
}

fn remove_all(env: &TestEnv, files: u64) {
    (0..files).for_each(|number| env.remove(&format!("{number:03}.bin")));
}

#[test]
fn n_deletions_cost_a_few_calls_and_each_outcome_is_told_by_itself() {
    for (settings, most) in [(fast(), 14), (jobs(), 30), (Settings { bulk_limit: 40, ..fast() }, 60)] {
        let env = mirrored(settings, 300);
        let (used, draft, icon) = (env.asset("000.bin").id, env.asset("001.bin").id, env.asset("002.bin").id);
        env.sandbox.add_reference(None, "page", &[&used]).unwrap();
        env.sandbox.add_reference(None, "draft-page", &[&draft]).unwrap();
        env.sandbox.add_reference(None, "favicon", &[&icon]).unwrap();
        remove_all(&env, 300);
        let run = env.sync().exits(1);
        assert_eq!((run.count("deleted"), run.count("failed")), (297, 3), "{}", run.stdout);
        assert_eq!(env.assets().len(), 4);
        let calls = env.sandbox.api_calls();
        println!("300 deletions, 3 of them in use: {calls} calls");
        assert!(calls <= most, "{calls} calls: {:#?}", env.sandbox.log());
        assert_eq!(env.sandbox.count("DELETE /uploads/:id"), 0);
        assert!(run.problem("000.bin").contains("used by records page"), "{}", run.problem("000.bin"));
        assert!(run.problem("001.bin").contains("used by records draft-page"), "{}", run.problem("001.bin"));
        assert!(run.problem("002.bin").contains("the environment itself"), "{}", run.problem("002.bin"));
        // They are tried again by themselves, and go when nothing uses them any more.
        for record in ["page", "draft-page", "favicon"] {
            env.sandbox.add_reference(None, record, &[]).unwrap();
        }
        env.sync().exits(0).did("deleted 3");
        assert_eq!(env.assets().len(), 1);
    }
}

#[test]
fn deletions_that_the_service_counts_one_and_all_are_not_looked_for_again() {
    let env = mirrored(fast(), 100);
    remove_all(&env, 100);
    env.sandbox.clear_log();
    env.sync().exits(0).did("deleted 100");
    assert_eq!(env.assets().len(), 1);
    assert_eq!(env.sandbox.count("POST /uploads/bulk/destroy"), 1);
    // The site and its changes, as every run; a look at all hundred; and the call.
    let calls = env.sandbox.api_calls();
    assert!(calls <= 3 + 2, "{calls} calls: {:#?}", env.sandbox.log());
}

#[test]
fn what_is_in_use_is_kept_also_where_the_service_would_delete_it() {
    for record in ["page", "draft-page", "favicon"] {
        let env = mirrored(Settings { refuse_delete_in_use: false, ..fast() }, 3);
        env.sandbox.add_reference(None, record, &[&env.asset("001.bin").id]).unwrap();
        remove_all(&env, 3);
        env.sync().exits(1).did("deleted 2, failed 1");
        assert!(env.find("001.bin").is_some());
    }
}

#[test]
fn what_comes_into_use_between_the_look_and_the_call_is_kept_and_the_others_go() {
    let env = mirrored(fast(), 20);
    remove_all(&env, 20);
    env.sandbox.before("POST /uploads/bulk/destroy", 0, |sandbox| {
        let id = sandbox.assets(None).into_iter().find(|asset| asset.filename.contains("007")).unwrap().id;
        sandbox.add_reference(None, "page", &[&id]).unwrap();
    });
    let run = env.sync().exits(1).did("deleted 19, failed 1");
    assert!(run.problem("007.bin").contains("used by records page"), "{run:#?}");
}

#[test]
fn what_may_not_be_deleted_keeps_no_other_from_going() {
    for bulk_refused_whole in [true, false] {
        let mut env = mirrored(Settings { bulk_refused_whole, ..fast() }, 4);
        env.set("DATOCMS_API_TOKEN", "sandbox-restricted");
        let right = |action: &str, own| Right { action: action.into(), collection: None, own };
        env.sandbox.set(|settings| settings.rights = vec![right("read", false), right("all", true)]);
        for number in 10..20 {
            env.write(format!("{number:03}.bin"), bytes(number, 100));
        }
        env.sync().exits(0).did("created 10");
        remove_all(&env, 4);
        (10..20).for_each(|number| env.remove(&format!("{number:03}.bin")));
        let run = env.sync().exits(1).did("deleted 10, failed 4");
        assert!(run.problem("000.bin").contains("\"delete\""), "{run:#?}");
    }
}

#[test]
fn what_is_in_use_is_kept_also_where_no_listing_tells_it() {
    for in_use_filter in [InUseFilter::IgnoredWithIds, InUseFilter::Refused] {
        let env = mirrored(Settings { refuse_delete_in_use: false, in_use_filter, ..fast() }, 6);
        env.sandbox.add_reference(None, "page", &[&env.asset("001.bin").id]).unwrap();
        remove_all(&env, 5);
        let run = env.sync().exits(1).did("deleted 4, failed 1");
        assert!(run.problem("001.bin").contains("used by records page"), "{in_use_filter:?}: {run:#?}");
        assert!(env.find("001.bin").is_some(), "{in_use_filter:?}");
        // One alone goes the way of a single deletion.
        env.sandbox.add_reference(None, "page", &[&env.asset("005.bin").id]).unwrap();
        env.remove("005.bin");
        let run = env.sync().exits(1).did("deleted 1, failed 1");
        assert!(run.problem("005.bin").contains("used by records page"), "{in_use_filter:?}: {run:#?}");
    }
}

#[test]
fn what_nobody_tells_the_use_of_is_kept_and_told() {
    let env = mirrored(Settings { in_use_filter: InUseFilter::Refused, ..fast() }, 3);
    remove_all(&env, 3);
    let kind = FaultKind::Status {
        status: 403,
        code: "INSUFFICIENT_PERMISSIONS".into(),
        transient: false,
        details: serde_json::Value::Null,
    };
    env.sandbox.add_fault(Fault { route: "GET /uploads/:id/references".into(), skip: 0, times: None, kind });
    let run = env.sync().exits(1).did("failed 3");
    assert!(run.problem("001.bin").contains("the token lacks the right"), "{run:#?}");
    assert_eq!(env.assets().len(), 4);
    env.sandbox.clear_faults();
    env.run(&["retry", "--root", env.root().to_str().unwrap()]).exits(0);
    env.sync().exits(0).did("deleted 3");
}
