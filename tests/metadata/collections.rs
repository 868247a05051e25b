//! Folders become collections.

use std::fs;

use dato_mirror::sandbox::{Edit, Fault, FaultKind};
use serde_json::json;

use super::support::{Env, Run, png};

const MIRROR: &str = "collections = \"mirror\"";

fn moved_to(collection: &str) -> Edit {
    Edit { collection: Some(collection.to_owned()), ..Edit::default() }
}

/// 300 folders, 20 deep, a file in each.
fn deep_tree(env: &Env) -> Vec<String> {
    let mut folders = Vec::new();
    for branch in 0..15 {
        let mut folder = format!("b{branch}");
        for level in 0..20 {
            folders.push(folder.clone());
            env.write(&format!("{folder}/f.png"), png(&folder));
            folder.push_str(&format!("/l{level}"));
        }
    }
    folders.sort();
    folders
}

#[test]
fn three_hundred_folders_become_as_many_collections_once_with_two_processes_at_a_time() {
    let env = Env::new(MIRROR);
    let folders = deep_tree(&env);
    assert_eq!(folders.len(), 300);
    let both = [env.start("index.sqlite"), env.start("other.sqlite")];
    for child in both {
        let run = Run::of(child.wait_with_output().unwrap());
        assert_eq!((run.code, run.problems()), (0, vec![]), "{run:#?}");
    }
    let labels: Vec<String> = env.collections().into_iter().map(|(labels, _)| labels).collect();
    assert_eq!(labels, folders);
    let assets = env.sandbox.assets(None);
    assert_eq!(assets.len(), 300);
    for (labels, id) in env.collections() {
        assert_eq!(assets.iter().filter(|asset| asset.collection.as_ref() == Some(&id)).count(), 1, "{labels}");
    }
    env.sandbox.clear_log();
    env.forget_index();
    let run = env.sync();
    assert_eq!((env.changes(), run.problems()), (0, vec![]), "{run:#?}");
    assert_eq!(env.sandbox.count("GET /upload-collections"), 1);
    env.sandbox.clear_log();
    env.sync();
    assert_eq!(env.sandbox.count("GET /upload-collections"), 0);
}

#[test]
fn a_moved_folder_moves_its_assets_and_sends_no_bytes() {
    let env = Env::new(MIRROR);
    for n in 0..5 {
        env.write(&format!("old/{n}.png"), png(&n.to_string()));
    }
    env.sync();
    let own = env.make_collection("picked by hand");
    env.sandbox.edit_metadata(None, &env.asset("3.png").id, moved_to(&own)).unwrap();
    // Also by a machine that has never seen the folder.
    env.forget_index();
    fs::create_dir(env.root().join("new")).unwrap();
    fs::rename(env.root().join("old"), env.root().join("new/er")).unwrap();
    env.sandbox.clear_log();
    let run = env.sync();
    assert_eq!((run.count("moved"), run.count("created"), run.count("bytes_uploaded")), (5, 0, 0), "{run:#?}");
    assert_eq!(env.sandbox.count("PUT bucket"), 0);
    let target = env.collection("new/er");
    for n in [0, 1, 2, 4] {
        assert_eq!(env.asset(&format!("{n}.png")).collection.as_ref(), Some(&target));
    }
    assert_eq!(env.asset("3.png").collection, Some(own), "an editor moved it elsewhere");
    let conflict = "new/er/3.png: collection was changed both here (to new/er) and in the CMS (to picked by hand)";
    assert!(run.has_problem(conflict), "{run:#?}");
    assert!(env.collections().iter().any(|(labels, _)| labels == "old"), "an empty one is left alone");
    assert!(!env.sync().has_problem("3.png"), "said once");
}

#[test]
fn an_editors_collection_of_that_name_is_used_and_case_counts() {
    let env = Env::new(MIRROR);
    let (lower, upper) = (env.make_collection("logos"), env.make_collection("Logos"));
    env.write("logos/a.png", png("a"));
    env.write("Logos/b.png", png("b"));
    env.write("LOGOS/c.png", png("c"));
    env.write("top.png", png("top"));
    env.sync();
    assert_eq!(env.asset("a.png").collection, Some(lower));
    assert_eq!(env.asset("b.png").collection, Some(upper));
    assert_eq!(env.asset("c.png").collection, Some(env.collection("LOGOS")));
    assert_eq!(env.asset("top.png").collection, None);
    assert_eq!(env.collections().len(), 3);
}

#[test]
fn a_renamed_collection_is_followed_and_a_deleted_one_made_anew() {
    let env = Env::new(MIRROR);
    env.write("a/1.png", png("1"));
    env.sync();
    let id = env.collection("a");
    let body = json!({"data": {"type": "upload_collection", "id": id, "attributes": {"label": "Renamed"}}});
    env.api("PUT", &format!("/upload-collections/{id}"), &body);
    env.write("a/2.png", png("2"));
    env.sync();
    env.forget_index();
    env.write("a/3.png", png("3"));
    env.sync();
    for name in ["1.png", "2.png", "3.png"] {
        assert_eq!(env.asset(name).collection.as_ref(), Some(&id), "{name}");
    }
    assert_eq!(env.collections().len(), 1);
    env.api("DELETE", &format!("/upload-collections/{id}"), &json!(null));
    env.write("a/4.png", png("4"));
    let run = env.sync();
    assert_eq!(run.count("created"), 1, "{run:#?}");
    assert_eq!(env.asset("4.png").collection, Some(env.collection("a")));
    assert_eq!(env.asset("1.png").collection, None, "what an editor took out stays out");
}

#[test]
fn one_collection_for_all_is_made_and_existing_assets_move_in_bulk() {
    let env = Env::new("");
    for n in 0..450 {
        env.write(&format!("d{}/{n}.png", n % 7), png(&n.to_string()));
    }
    env.sync();
    let own = env.make_collection("picked by hand");
    env.sandbox.edit_metadata(None, &env.asset("7.png").id, moved_to(&own)).unwrap();
    env.configure("collections = \"Some/Place\"");
    env.sandbox.clear_log();
    let dry = env.run(&["--dry-run"]);
    let plan = dry.report["plan"].to_string();
    assert!(plan.contains("would create the collection Some/Place"), "{plan}");
    assert_eq!(env.changes(), 0);
    let run = env.sync();
    assert_eq!(run.count("retagged"), 449, "{run:#?}");
    let place = Some(env.collection("Some/Place"));
    assert_eq!(env.sandbox.assets(None).iter().filter(|asset| asset.collection == place).count(), 449);
    assert_eq!(env.asset("7.png").collection, Some(own));
    assert_eq!(env.changes(), 2 + 3, "two collections, 449 assets");
    assert_eq!(env.sync().count("retagged"), 0);
    // A bulk call leaves no word in the stamp. What it moved follows the rules all the same, with the index lost too.
    env.forget_index();
    assert_eq!(env.sync().count("retagged"), 0);
    env.configure(MIRROR);
    let run = env.sync();
    assert_eq!((run.count("retagged"), run.problems().len()), (449, 1), "{run:#?}");
    assert!(run.has_problem("d0/7.png: collection"), "an editor's stays");
    assert_eq!(env.asset("8.png").collection, Some(env.collection("d1")));
}

#[test]
fn without_the_permission_files_are_mirrored_and_follow_when_it_is_given() {
    let env = Env::new(MIRROR);
    env.write("a/b/1.png", png("1"));
    env.write("a/2.png", png("2"));
    let kind = FaultKind::Status {
        status: 403,
        code: "INSUFFICIENT_PERMISSIONS".into(),
        transient: false,
        details: json!({}),
    };
    env.sandbox.add_fault(Fault { route: "POST /upload-collections".into(), skip: 0, times: None, kind });
    for round in 0..2 {
        let run = env.sync();
        assert_eq!(run.count("created"), if round == 0 { 2 } else { 0 }, "{run:#?}");
        assert_eq!(run.problems().len(), 1, "{run:#?}");
        assert!(run.has_problem("the collections a, a/b are missing"), "{run:#?}");
        assert!(run.report["problems"][0]["advice"].as_str().unwrap().contains("can_manage_upload_collections"));
    }
    env.sandbox.clear_faults();
    let run = env.sync();
    assert_eq!((run.count("retagged"), run.problems().len()), (2, 0), "{run:#?}");
    assert_eq!(env.asset("1.png").collection, Some(env.collection("a/b")));
    assert_eq!(env.asset("2.png").collection, Some(env.collection("a")));
}
