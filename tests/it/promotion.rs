//! Somebody makes a fork the primary environment: what the mirror knew was about another media area.

use std::collections::BTreeSet;

use dato_mirror::sandbox::{Edit, Fault, FaultKind};
use serde_json::json;

use crate::support::{Run, TestEnv, bytes, fast, in_both_shapes, jobs, localized, stored};

const FORKED: [&str; 2] = ["a.bin", "b.bin"];
const LATER: [&str; 3] = ["c.bin", "d.bin", "e.bin"];

/// Two files that the fork `spring` has, and three that came to `main` after it.
fn forked(mut env: TestEnv) -> TestEnv {
    env.set("DATO_MIRROR_TAGS", "ours");
    for name in FORKED {
        env.write(name, name);
    }
    env.sync().exits(0).did("created 2");
    assert!(env.sandbox.fork("main", "spring"));
    for name in LATER {
        env.write(name, name);
    }
    env.sync().exits(0).did("created 3");
    env
}

fn ids(env: &TestEnv, environment: &str) -> BTreeSet<String> {
    env.sandbox.assets(Some(environment)).into_iter().map(|asset| asset.id).collect()
}

/// Both environments are named in one line.
#[track_caller]
fn says_so(run: Run, from: &str, to: &str) -> Run {
    let line = format!("the primary environment is \"{to}\" now and was \"{from}\"");
    assert_eq!(run.stderr.matches(&line).count(), 1, "{run:#?}");
    run
}

#[track_caller]
fn says_nothing(run: Run) -> Run {
    assert!(!run.stderr.contains("primary environment") && !run.stderr.contains("filled anew"), "{run:#?}");
    run
}

#[test]
fn what_a_promoted_fork_lacks_is_mirrored_again_and_nobody_deleted_it() {
    for env in [TestEnv::new(), TestEnv::with(jobs())] {
        let env = forked(env);
        let main = ids(&env, "main");
        assert!(env.sandbox.promote("spring"));
        let run = says_so(env.sync().exits(0).did("created 3"), "main", "spring");
        assert_eq!(run.problems(), [], "{run:#?}");
        assert_eq!(ids(&env, "spring"), main, "the same ids, and nothing twice");
        for name in FORKED.into_iter().chain(LATER) {
            assert_eq!(env.content(&env.asset(name).id), name.as_bytes());
        }
        says_nothing(env.assert_still());
        // And back: nothing is missing there.
        assert!(env.sandbox.promote("main"));
        let run = says_so(env.sync().exits(0).did(""), "spring", "main");
        assert!(run.problems().is_empty() && env.mutating().is_empty(), "{run:#?}");
        assert_eq!(ids(&env, "main"), main);
        says_nothing(env.assert_still());
    }
}

#[test]
fn a_dry_run_after_a_promotion_shows_what_is_to_be_done_and_remembers_nothing() {
    let env = forked(TestEnv::new());
    assert!(env.sandbox.promote("spring"));
    let created: Vec<_> = LATER.iter().map(|name| ("create".to_owned(), (*name).to_owned())).collect();
    for _ in 0..2 {
        let run = says_so(env.sync_with(&["--dry-run"]).exits(0), "main", "spring");
        assert_eq!(run.plan(), created, "{run:#?}");
    }
    says_so(env.sync().exits(0).did("created 3"), "main", "spring");
}

#[test]
fn primary_environments_that_alternate_lose_nothing_and_make_nothing_twice() {
    let env = forked(TestEnv::new());
    let mut from = "main";
    for (round, to) in ["spring", "main", "spring", "main"].into_iter().enumerate() {
        env.write(format!("{round}.bin"), round.to_string());
        env.write("a.bin", format!("changed {round}"));
        env.sync().exits(0).did("created 1, replaced 1");
        assert!(env.sandbox.promote(to));
        let run = says_so(env.sync().exits(0), from, to);
        assert_eq!((run.count("replaced"), run.problems()), (1, Vec::new()), "round {round}: {run:#?}");
        assert_eq!(env.assets().len(), 5 + round + 1, "{run:#?}");
        assert_eq!(env.content(&env.asset("a.bin").id), format!("changed {round}").as_bytes());
        env.assert_still();
        from = to;
    }
}

#[test]
fn what_editors_did_in_the_fork_stays() {
    in_both_shapes(|| {
        let env = forked(TestEnv::new());
        let (a, b, spring) = (env.asset("a.bin").id, env.asset("b.bin").id, Some("spring"));
        let alt = Edit { metadata: Some(localized("alt", &json!("Typed in the fork"))), ..Edit::default() };
        env.sandbox.edit_metadata(spring, &a, alt).unwrap();
        env.sandbox.edit_tags(spring, &a, &["ours", "theirs"]).unwrap();
        env.sandbox.replace_content(spring, &b, b"an editor's").unwrap();
        assert!(env.sandbox.promote("spring"));
        let run = env.sync().exits(1);
        assert_eq!((run.count("created"), run.count("replaced")), (3, 0), "{run:#?}");
        assert!(run.problem("b.bin").contains("replaced in the CMS"), "{run:#?}");
        assert_eq!(run.problems().len(), 1, "{run:#?}");
        let asset = env.asset("a.bin");
        assert_eq!(stored(&asset, "alt"), "Typed in the fork");
        assert_eq!(
            (asset.tags, env.content(&b)),
            (vec!["ours".to_owned(), "theirs".to_owned()], b"an editor's".to_vec())
        );
        env.assert_still();
    });
}

#[test]
fn what_was_told_as_deleted_by_an_editor_before_is_not_brought_back_by_a_promotion() {
    let env = forked(TestEnv::new());
    let (a, b) = (env.asset("a.bin").id, env.asset("b.bin").id);
    env.sandbox.delete_asset(None, &a).unwrap();
    env.sandbox.delete_asset(Some("spring"), &a).unwrap();
    // This one lives on in the fork.
    env.sandbox.delete_asset(None, &b).unwrap();
    assert_eq!(env.sync().exits(1).problems().len(), 2);
    assert!(env.sandbox.promote("spring"));
    let run = says_so(env.sync().exits(1).did("created 3, failed 1"), "main", "spring");
    assert!(run.problem("a.bin").contains("deleted in the CMS") && run.problems().len() == 1, "{run:#?}");
    assert_eq!(env.assets().len(), 4);
    env.assert_still();
}

#[test]
fn files_that_are_gone_from_the_folder_make_nobody_else_s_name_of_it() {
    let mut env = TestEnv::new();
    for number in 0..8 {
        env.write(format!("{number}.bin"), number.to_string());
    }
    env.sync().exits(0);
    for number in 1..8 {
        env.remove(&format!("{number}.bin"));
        env.sync().exits(0);
    }
    assert!(env.sandbox.fork("main", "spring") && env.sandbox.promote("spring"));
    env.write("new.bin", "new");
    says_so(env.sync().exits(0).did("created 1"), "main", "spring");
    env.assert_still();
    // Which are gone is known as before.
    env.set("DATO_MIRROR_ON_DELETE", "tag");
    env.sync().exits(0).did("retagged 7");
    env.assert_still();
}

#[test]
fn a_run_that_is_overtaken_by_a_promotion_begins_anew() {
    for (skip, settings) in [(0, fast()), (1, fast()), (2, fast()), (4, fast()), (3, jobs()), (5, jobs())] {
        let env = forked(TestEnv::with(settings));
        for number in 0..20 {
            env.write(format!("{number}.bin"), bytes(number, 100));
        }
        env.write("a.bin", "changed");
        env.sandbox.before("* *", 4 + skip * 9, |sandbox| assert!(sandbox.promote("spring")));
        let run = says_so(env.sync().exits(0), "main", "spring");
        assert_eq!(run.problems(), [], "{skip}: {run:#?}");
        assert_eq!(env.assets().len(), 25, "{skip}: {run:#?}");
        assert_eq!(env.content(&env.asset("a.bin").id), b"changed", "{skip}");
        env.assert_still();
        assert!(env.sandbox.promote("main"));
        env.sync().exits(0);
        assert_eq!(ids(&env, "main"), ids(&env, "spring"), "{skip}");
        env.assert_still();
    }
}

#[test]
fn a_service_that_does_not_name_its_environment_is_believed_as_before() {
    let env = TestEnv::new();
    env.sandbox.set(|settings| settings.names_environment = false);
    env.write("a.bin", "a");
    says_nothing(env.sync().exits(0).did("created 1"));
    says_nothing(env.assert_still());
    // It begins to: what an older version left is as good.
    env.sandbox.set(|settings| settings.names_environment = true);
    says_nothing(env.assert_still());
    env.sandbox.set(|settings| settings.names_environment = false);
    says_nothing(env.assert_still());
    env.sandbox.set(|settings| settings.names_environment = true);
    assert!(env.sandbox.fork("main", "spring"));
    env.write("b.bin", "b");
    env.sync().exits(0).did("created 1");
    assert!(env.sandbox.promote("spring"));
    says_so(env.sync().exits(0).did("created 1"), "main", "spring");
}

#[test]
fn an_environment_that_is_asked_for_is_kept_to_and_no_other_one_is_written_to() {
    let mut env = TestEnv::new();
    env.set("DATO_MIRROR_API_ENVIRONMENT", "main");
    let env = forked(env);
    assert!(env.sandbox.promote("spring"));
    env.write("new.bin", "new");
    says_nothing(env.sync().exits(0).did("created 1"));
    assert_eq!((ids(&env, "main").len(), ids(&env, "spring").len()), (6, 2));
    says_nothing(env.assert_still());
    // As if the name that is asked for were left out on the way.
    let headers = [("x-environment".to_owned(), "spring".to_owned())].into();
    let kind = FaultKind::Headers { headers, refused: false };
    env.sandbox.add_fault(Fault { route: "GET /site".into(), skip: 0, times: None, kind });
    env.write("more.bin", "more");
    let run = env.sync().exits(3);
    assert!(run.stderr.contains("\"main\" was asked for and \"spring\" answered"), "{run:#?}");
    assert!(env.mutating().is_empty(), "{:#?}", env.sandbox.log());
}
