//! What happens while an action is under way is news when it ends, whatever it came to.

use std::time::Duration;

use dato_mirror::index::{Index, retry_requests, settings};
use dato_mirror::model::Md5;
use dato_mirror::sandbox::{LogEntry, Right, Settings};
use serde_json::Value;

use crate::process::{Daemon, configure, wait_mirrored};
use crate::support::TestEnv;

/// A media area whose jobs take so long that anything can happen meanwhile.
fn slow() -> TestEnv {
    TestEnv::with(Settings { rate_limit: 0, job_min_ms: 4000, job_max_ms: 4000, ..Settings::default() })
}

fn quick(env: &TestEnv) {
    env.sandbox.set(|settings| (settings.job_min_ms, settings.job_max_ms) = (0, 0));
}

fn is_accepted(entry: &LogEntry, method: &str) -> bool {
    entry.method == method && entry.path.starts_with("/uploads") && entry.status == 202
}

#[test]
fn a_file_deleted_while_its_creation_or_replacement_is_confirmed_is_a_deleted_file() {
    for (policy, saved) in [("delete", false), ("delete", true), ("tag", false), ("tag", true)] {
        let env = slow();
        env.write("stays.png", "stays");
        configure(&env, &format!("on_delete = \"{policy}\""));
        quick(&env);
        if saved {
            env.write("a.png", "old");
        }
        let daemon = Daemon::ready(&env);
        daemon.wait_idle();
        env.sandbox.clear_log();
        env.sandbox.set(|settings| (settings.job_min_ms, settings.job_max_ms) = (4000, 4000));
        env.write("a.png", "new");
        let method = if saved { "PUT" } else { "POST" };
        daemon.wait("accepted", || env.sandbox.log().iter().any(|entry| is_accepted(entry, method)));
        env.remove("a.png");
        let is_gone = || match (policy, env.find("a.png")) {
            ("delete", found) => found.is_none() && env.assets().len() == 1,
            (_, found) => found.is_some_and(|asset| asset.tags.iter().any(|tag| tag == "gone-from-folder")),
        };
        daemon.wait_for(&format!("{policy}, saved before: {saved}"), Duration::from_secs(120), is_gone);
        daemon.stop();
    }
}

#[test]
fn a_folder_s_metadata_saved_again_while_the_first_are_written_is_what_counts() {
    const FILES: usize = 40;
    let env = slow();
    quick(&env);
    for number in 0..FILES {
        env.write(format!("{number}.png"), number.to_string());
    }
    configure(&env, "");
    let daemon = Daemon::ready(&env);
    daemon.wait_idle();
    env.sandbox.clear_log();
    env.sandbox.set(|settings| (settings.job_min_ms, settings.job_max_ms) = (4000, 4000));
    env.write("_folder.meta.toml", "notes = \"draft\"\n");
    daemon.wait("the first are accepted", || env.sandbox.log().iter().any(|entry| is_accepted(entry, "PUT")));
    env.write("_folder.meta.toml", "notes = \"final\"\n");
    daemon.wait_for("all are final", Duration::from_secs(180), || {
        env.assets().iter().filter(|asset| asset.notes.as_deref() == Some("final")).count() == FILES
    });
    daemon.stop();
}

#[test]
fn an_editor_s_replacement_noticed_while_our_own_change_is_confirmed_is_reported() {
    let env = slow();
    quick(&env);
    env.write("a.png", "one");
    env.write("b.png", "b");
    configure(&env, "remote_refresh = \"1s\"");
    let daemon = Daemon::ready(&env);
    daemon.wait_idle();
    env.sandbox.clear_log();
    env.sandbox.set(|settings| (settings.job_min_ms, settings.job_max_ms) = (4000, 4000));
    env.write("a.png.meta.toml", "notes = \"ours\"\n");
    daemon.wait("accepted", || env.sandbox.log().iter().any(|entry| is_accepted(entry, "PUT")));
    let id = env.asset("a.png").id;
    env.sandbox.replace_content(None, &id, b"an editor's").unwrap();
    // Something else is saved meanwhile, so that the remote is looked at before our change is confirmed.
    env.write("b.png", "b again");
    wait_mirrored(&daemon, &env, &[("b.png".into(), Md5::of(b"b again").to_string())]);
    daemon.wait_for("the editor's replacement is told", Duration::from_secs(90), || {
        let problems = daemon.mirror()["problems"].clone();
        problems.as_array().into_iter().flatten().any(|problem| {
            problem["path"] == "a.png"
                && problem["cause"].as_str().is_some_and(|cause| cause.contains("replaced in the CMS"))
        })
    });
    assert_eq!(env.content(&id), b"an editor's");
    assert!(daemon.mirror()["problems"] != Value::Null);
    daemon.stop();
}

#[test]
fn files_that_are_due_again_are_tried_also_by_a_pass_that_begins_before_the_request_is_read() {
    let mut env = TestEnv::with(Settings::fast());
    env.set("DATOCMS_API_TOKEN", "sandbox-restricted");
    let right = |action: &str| Right { action: action.into(), collection: None, own: false };
    env.sandbox.set(|settings| settings.rights = vec![right("read")]);
    env.write("a.png", "a");
    configure(&env, "");
    let daemon = Daemon::ready(&env);
    daemon.wait("a missing right", || daemon.mirror()["problems"].to_string().contains("lacks the right"));
    env.sandbox.set(|settings| settings.rights = vec![right("all")]);
    // The first half of a `retry`: the second, the look that it asks for, is read seconds later.
    let due_again = async {
        let index = Index::open_beside(&env.index()).unwrap();
        let due = index.call(|conn| retry_requests::make_due(conn, settings::mirror(conn, "brand")?.id, None));
        due.await.unwrap()
    };
    assert_eq!(tokio::runtime::Runtime::new().unwrap().block_on(due_again), 1);
    daemon.wait("it is made", || env.assets().len() == 1);
    daemon.stop();
}
