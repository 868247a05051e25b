//! Somebody makes a fork the primary environment while the daemon runs.

use std::collections::BTreeSet;

use dato_mirror::sandbox::Edit;
use serde_json::json;

use crate::process::{Daemon, configure, digest, wait_mirrored};
use crate::support::{TestEnv, bytes, in_both_shapes, jobs, localized, stored};

const PROMOTED: &str = "the primary environment is \"spring\" now and was \"main\"";
const BACK: &str = "the primary environment is \"main\" now and was \"spring\"";

fn ids(env: &TestEnv, environment: &str) -> BTreeSet<String> {
    env.sandbox.assets(Some(environment)).into_iter().map(|asset| asset.id).collect()
}

#[test]
fn a_promotion_under_an_idle_daemon_is_noticed_by_any_answer_and_nothing_counts_as_deleted() {
    in_both_shapes(|| {
        // By the look for editors' changes, or because a file is saved.
        for (more, saves) in [("remote_refresh = \"1s\"", false), ("", true)] {
            let env = TestEnv::new();
            configure(&env, more);
            env.write("old.png", "old");
            let daemon = Daemon::ready(&env);
            daemon.wait_idle();
            assert!(env.sandbox.fork("main", "spring"));
            let mut files = vec![("old.png".to_owned(), digest("old"))];
            for number in 0..6 {
                let name = format!("{number}.png");
                env.write(&name, &name);
                files.push((name.clone(), digest(&name)));
            }
            wait_mirrored(&daemon, &env, &files);
            daemon.wait_idle();
            let alt = Edit { metadata: Some(localized("alt", &json!("Typed in the fork"))), ..Edit::default() };
            env.sandbox.edit_metadata(Some("spring"), &env.asset("old.png").id, alt).unwrap();
            assert!(env.sandbox.promote("spring"));
            if saves {
                env.write("saved.png", "saved");
                files.push(("saved.png".to_owned(), digest("saved")));
            }
            daemon.wait_line(PROMOTED);
            wait_mirrored(&daemon, &env, &files);
            daemon.wait_idle();
            assert_eq!(env.assets().len(), files.len());
            assert_eq!(daemon.mirror()["problems"], json!([]), "{:#}", daemon.status());
            assert_eq!(stored(&env.asset("old.png"), "alt"), "Typed in the fork");
            // And back, where what was saved since is missing.
            assert!(env.sandbox.promote("main"));
            env.write("last.png", "last");
            files.push(("last.png".to_owned(), digest("last")));
            daemon.wait_line(BACK);
            wait_mirrored(&daemon, &env, &files);
            daemon.wait_idle();
            assert_eq!((env.assets().len(), daemon.mirror()["problems"].clone()), (files.len(), json!([])));
            assert_eq!((daemon.lines(PROMOTED).len(), daemon.lines(BACK).len()), (1, 1), "{:#?}", daemon.log());
            assert!(daemon.lines("the API is in trouble").is_empty(), "{:#?}", daemon.log());
            daemon.stop();
            env.assert_still();
        }
    });
}

#[test]
fn a_promotion_in_the_middle_of_a_first_sync_leaves_nothing_out_and_makes_nothing_twice() {
    const FILES: usize = 60;
    for answers_at_once in [true, false] {
        let env = if answers_at_once { TestEnv::new() } else { TestEnv::with(jobs()) };
        configure(&env, "");
        let files: Vec<_> = (0..FILES)
            .map(|number| {
                let (name, content) = (format!("{number}.bin"), bytes(number as u64, 1000));
                env.write(&name, &content);
                (name, digest(&content))
            })
            .collect();
        env.sandbox.after("POST /uploads", 10, |sandbox| assert!(sandbox.fork("main", "spring")));
        env.sandbox.before("POST /uploads", 30, |sandbox| assert!(sandbox.promote("spring")));
        let daemon = Daemon::start(&env, &[]);
        daemon.wait_line(PROMOTED);
        wait_mirrored(&daemon, &env, &files);
        daemon.wait_idle();
        assert_eq!(env.assets().len(), FILES);
        assert_eq!(daemon.mirror()["problems"], json!([]), "{:#}", daemon.status());
        assert!(daemon.lines("the API is in trouble").is_empty(), "{:#?}", daemon.log());
        assert!(env.sandbox.promote("main"));
        env.write("last.bin", "last");
        daemon.wait_line(BACK);
        wait_mirrored(&daemon, &env, &files);
        daemon.wait("the last one", || env.assets().len() == FILES + 1);
        daemon.wait_idle();
        // Each in its environment has the one id of its path.
        let (main, spring) = (ids(&env, "main"), ids(&env, "spring"));
        assert!(spring.is_subset(&main) && main.len() == FILES + 1, "{} {}", main.len(), spring.len());
        daemon.stop();
        env.assert_still();
    }
}
