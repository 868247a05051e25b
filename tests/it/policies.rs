//! Every policy of a mirror once, each with what it must never do.

use serde_json::json;

use crate::support::{TestEnv, fast, in_both_shapes, is_by_field, localized, served, stamp, stamped_paths};
use dato_mirror::sandbox::{Edit, Settings};

/// A folder of two files, mirrored with these variables.
fn mirrored(vars: &[(&str, &str)]) -> TestEnv {
    let mut env = TestEnv::new();
    for (name, value) in vars {
        env.set(name, value);
    }
    env.write("a.png", "one");
    env.write("b.png", "two");
    env.sync().exits(0).did("created 2");
    env
}

#[test]
fn on_change_new_url_gives_a_new_url_to_the_same_asset() {
    let env = mirrored(&[("DATO_MIRROR_ON_CHANGE", "new_url")]);
    let before = env.asset("a.png");
    env.write("a.png", "changed");
    env.sync().exits(0).did("replaced 1");
    let after = env.asset("a.png");
    assert_eq!(after.id, before.id);
    assert_ne!(after.url, before.url);
    assert_eq!(served(&after.url), b"changed");
    env.assert_still();
}

#[test]
fn on_rename_rename_changes_the_filename_and_sends_no_bytes() {
    let env = mirrored(&[("DATO_MIRROR_ON_RENAME", "rename")]);
    let before = env.asset("a.png");
    env.rename("a.png", "folder/better name.png");
    env.sync().exits(0).did("moved 1");
    let after = env.asset("folder/better name.png");
    assert_eq!((after.id, env.sandbox.count("PUT bucket")), (before.id, 0));
    assert!(after.filename.contains("better"), "{}", after.filename);
    assert_eq!(served(&after.url), b"one");
    env.assert_still();
}

#[test]
fn on_rename_keep_url_leaves_the_filename() {
    let env = mirrored(&[]);
    let before = env.asset("a.png");
    env.rename("a.png", "better.png");
    env.sync().exits(0).did("moved 1");
    let after = env.asset("better.png");
    assert_eq!((after.id, after.url, after.filename), (before.id, before.url, before.filename));
    env.assert_still();
}

#[test]
fn on_delete_tag_says_so_in_the_media_area_and_takes_it_back() {
    let env = mirrored(&[("DATO_MIRROR_ON_DELETE", "tag")]);
    let id = env.asset("a.png").id;
    env.remove("a.png");
    env.sync().exits(0);
    assert_eq!(env.asset("a.png").tags, ["gone-from-folder"]);
    env.assert_still();
    env.write("a.png", "one");
    env.sync().exits(0);
    let back = env.asset("a.png");
    assert_eq!((back.id, back.tags), (id, vec![]));
    env.assert_still();
}

#[test]
fn on_delete_delete_deletes_what_is_unused_and_ours() {
    let env = mirrored(&[("DATO_MIRROR_ON_DELETE", "delete"), ("DATO_MIRROR_MAX_DELETE", "2")]);
    let foreign = env.sandbox.create_foreign(None, "theirs.png", b"theirs").unwrap();
    let (a, b) = (env.asset("a.png").id, env.asset("b.png").id);
    env.sandbox.add_reference(None, "page", &[&b]).unwrap();
    env.write("stays.png", "stays");
    env.remove("a.png");
    env.remove("b.png");
    let run = env.sync();
    assert_eq!(run.count("deleted"), 1, "{run:#?}");
    let left: Vec<_> = env.assets().into_iter().map(|asset| asset.id).collect();
    assert!(!left.contains(&a) && left.contains(&b) && left.contains(&foreign), "{run:#?}");
    assert!(run.problem("b.png").contains("use"), "{run:#?}");
    env.assert_still();
    // The page lets go of it: it is deleted in the end.
    env.sandbox.add_reference(None, "page", &[]).unwrap();
    let run = env.sync();
    println!("after the reference went: {} {:?}", run.changes(), run.problems());
}

#[test]
fn on_delete_delete_keeps_an_asset_that_another_path_shares() {
    let env = mirrored(&[("DATO_MIRROR_ON_DELETE", "delete")]);
    env.write("copy.png", "one");
    env.sync().exits(0).did("aliased 1");
    env.remove("a.png");
    env.sync().exits(0).did("retagged 1");
    assert_eq!(stamped_paths(&env.asset("copy.png")), ["copy.png"]);
    assert_eq!(env.content(&env.asset("copy.png").id), b"one");
    env.assert_still();
    env.remove("copy.png");
    env.sync().exits(0).did("deleted 1");
    assert_eq!(env.assets().len(), 1);
    env.assert_still();
}

#[test]
fn on_remote_change_report_overwrites_nothing() {
    let env = mirrored(&[]);
    let id = env.asset("a.png").id;
    env.sandbox.replace_content(None, &id, b"editor's").unwrap();
    let run = env.sync().exits(1);
    assert!(run.problem("a.png").contains("CMS"), "{run:#?}");
    assert_eq!((env.content(&id), env.mutating().len()), (b"editor's".to_vec(), 0));
    // Also when the file changes here.
    env.write("a.png", "ours");
    let run = env.sync().exits(1);
    assert!(run.problem("a.png").contains("CMS"), "{run:#?}");
    assert_eq!((env.content(&id), env.mutating().len()), (b"editor's".to_vec(), 0));
    // Nor after the index is lost.
    env.lose_index();
    env.sync().exits(1);
    assert_eq!((env.content(&id), env.assets().len(), env.mutating().len()), (b"editor's".to_vec(), 2, 0));
}

#[test]
fn on_remote_change_overwrite_puts_the_folder_s_file_back() {
    let env = mirrored(&[("DATO_MIRROR_ON_REMOTE_CHANGE", "overwrite")]);
    let asset = env.asset("a.png");
    env.sandbox.replace_content(None, &asset.id, b"editor's").unwrap();
    env.sync().exits(0).did("replaced 1");
    assert_eq!(served(&asset.url), b"one");
    env.assert_still();
}

#[test]
fn on_remote_change_accept_lets_the_editor_s_file_stand_until_ours_changes() {
    let env = mirrored(&[("DATO_MIRROR_ON_REMOTE_CHANGE", "accept")]);
    let asset = env.asset("a.png");
    env.sandbox.replace_content(None, &asset.id, b"editor's").unwrap();
    env.sync().exits(0);
    assert_eq!(served(&asset.url), b"editor's");
    env.assert_still().exits(0);
    env.write("a.png", "newer");
    env.sync().exits(0).did("replaced 1");
    assert_eq!(served(&asset.url), b"newer");
    env.assert_still();
}

#[test]
fn on_remote_delete_report_brings_nothing_back() {
    let env = mirrored(&[]);
    let id = env.asset("a.png").id;
    env.sandbox.delete_asset(None, &id).unwrap();
    let run = env.sync().exits(1);
    assert!(run.problem("a.png").contains("deleted in the CMS"), "{run:#?}");
    assert_eq!(env.assets().len(), 1);
    let again = env.assert_still();
    assert_eq!(again.code, 1, "it is remembered: {again:#?}");
}

#[test]
fn on_remote_delete_recreate_brings_it_back() {
    let env = mirrored(&[("DATO_MIRROR_ON_REMOTE_DELETE", "recreate")]);
    env.sandbox.delete_asset(None, &env.asset("a.png").id).unwrap();
    env.sync().exits(0).did("created 1");
    assert_eq!(env.content(&env.asset("a.png").id), b"one");
    env.assert_still();
}

#[test]
fn recreate_works_where_a_deleted_id_can_never_be_used_again() {
    for code in ["VALIDATION_UNIQUENESS", "SOMETHING_ELSE"] {
        let env = mirrored(&[("DATO_MIRROR_ON_REMOTE_DELETE", "recreate")]);
        env.sandbox.set(|settings| {
            settings.deleted_ids_stay_taken = true;
            settings.taken_id_code = code.into();
        });
        env.sandbox.delete_asset(None, &env.asset("a.png").id).unwrap();
        env.sync().exits(0).did("created 1");
        assert_eq!(env.content(&env.asset("a.png").id), b"one", "{code}");
        env.assert_still();
        env.lose_index();
        env.sync().exits(0);
        assert_eq!(env.assets().len(), 2, "{code}");
    }
}

#[test]
fn duplicates_separate_gives_each_path_its_own_asset() {
    let mut env = TestEnv::new();
    env.set("DATO_MIRROR_DUPLICATES", "separate");
    for name in ["a.png", "b.png", "c/a.png"] {
        env.write(name, "same");
    }
    env.sync().exits(0).did("created 3");
    assert_eq!(env.assets().len(), 3);
    env.assert_still();
    env.lose_index();
    env.sync().exits(0);
    assert_eq!((env.assets().len(), env.sandbox.count("PUT bucket")), (3, 0));
    env.write("b.png", "changed");
    env.sync().exits(0).did("replaced 1");
    assert_eq!(env.content(&env.asset("b.png").id), b"changed");
    assert_eq!(env.content(&env.asset("a.png").id), b"same");
    env.assert_still();
}

#[test]
fn a_digest_stamp_tells_no_path_and_still_finds_everything() {
    let env = mirrored(&[("DATO_MIRROR_STAMP", "digest")]);
    env.write("secret folder/secret.png", "three");
    env.sync().exits(0).did("created 1");
    for asset in env.assets() {
        let stamp = stamp(&asset).unwrap().to_string();
        assert!(stamp.contains('#') && !stamp.contains("secret") && !stamp.contains("png"), "{stamp}");
    }
    let asset = env.assets().into_iter().find(|asset| asset.filename.ends_with("secret.png")).unwrap();
    env.assert_still();
    env.lose_index();
    env.sync().exits(0);
    assert_eq!((env.assets().len(), env.mutating().len()), (3, 0));
    env.lose_index();
    env.write("secret folder/secret.png", "four");
    env.sync().exits(0).did("replaced 1");
    assert_eq!(served(&asset.url), b"four");
    env.assert_still();
    // A move with the index lost: only the stamp can tell.
    env.lose_index();
    env.rename("secret folder/secret.png", "open.png");
    env.sync().exits(0);
    assert_eq!((env.assets().len(), env.sandbox.count("PUT bucket")), (3, 0));
    env.assert_still();
}

#[test]
fn a_move_and_a_lost_index_send_no_bytes() {
    let env = mirrored(&[]);
    let id = env.asset("a.png").id;
    env.lose_index();
    env.rename("a.png", "c.png");
    env.sync().exits(0);
    assert_eq!((env.asset("c.png").id, env.sandbox.count("PUT bucket")), (id, 0));
    assert_eq!(env.assets().len(), 2);
    env.assert_still();
}

#[test]
fn max_delete_stops_a_mass_deletion_and_force_lets_it_pass() {
    let mut env = TestEnv::new();
    env.set("DATO_MIRROR_ON_DELETE", "delete");
    env.set("DATO_MIRROR_MAX_DELETE", "2");
    for number in 0..6 {
        env.write(format!("{number}.png"), format!("content {number}"));
    }
    env.sync().exits(0).did("created 6");
    for number in 0..3 {
        env.remove(&format!("{number}.png"));
    }
    env.write("new.png", "new");
    let run = env.sync().exits(4);
    assert!(run.stdout.contains("max_delete"), "{run:#?}");
    assert_eq!((env.assets().len(), run.count("created"), run.count("deleted")), (7, 1, 0));
    env.sync_with(&["--dry-run"]).exits(4);
    assert_eq!(env.mutating().len(), 0);
    env.sync_with(&["--force"]).exits(0).did("deleted 3");
    assert_eq!(env.assets().len(), 4);
    env.assert_still().exits(0);
}

#[test]
fn both_metadata_shapes_carry_the_same() {
    in_both_shapes(|| {
        let env = TestEnv::with(Settings { locales: vec!["en".into(), "it".into()], ..fast() });
        let keys = "author = \"Ada\"\ncopyright = \"(c)\"\ntags = [\"t\"]\n[mirror.alt]\nen = \"Alt of {stem}\"\nit = \"Testo\"\n\
                    [mirror.custom_data.en]\ncampaign = \"spring\"";
        env.config_with(keys);
        env.write("a.png", "one");
        env.sync().exits(0).did("created 1");
        let asset = env.asset("a.png");
        assert_eq!((asset.author.as_deref(), asset.copyright.as_deref()), (Some("Ada"), Some("(c)")));
        let at = |locale: &str, field: &str| {
            let path = if is_by_field() { format!("/{field}/{locale}") } else { format!("/{locale}/{field}") };
            env.asset("a.png").metadata.pointer(&path).cloned().unwrap_or_default()
        };
        assert_eq!((at("en", "alt"), at("it", "alt")), (json!("Alt of a"), json!("Testo")));
        assert_eq!(at("en", "custom_data")["campaign"], "spring");
        env.assert_still();
        // An editor's words survive a new file and a new rule.
        let words = localized("alt", &json!("Editor's"));
        env.sandbox.edit_metadata(None, &asset.id, Edit { metadata: Some(words), ..Edit::default() }).unwrap();
        env.write("a.png", "two");
        env.config_with(&keys.replace("\"t\"", "\"t\", \"u\""));
        env.sync().exits(0);
        let after = env.asset("a.png");
        assert_eq!((at("en", "alt"), at("it", "alt")), (json!("Editor's"), json!("Testo")));
        assert_eq!((after.tags, served(&after.url)), (vec!["t".to_owned(), "u".to_owned()], b"two".to_vec()));
        env.assert_still();
    });
}

#[test]
fn an_environment_is_the_only_one_that_is_changed() {
    let mut env = mirrored(&[]);
    let main = env.assets();
    assert!(env.sandbox.fork("main", "staging"));
    env.set("DATO_MIRROR_API_ENVIRONMENT", "staging");
    env.set("DATO_MIRROR_TAGS", "staged");
    env.write("c.png", "three");
    let run = env.sync().exits(0);
    assert_eq!(run.count("created"), 1, "{run:#?}");
    assert_eq!(env.assets(), main, "the primary environment is as it was");
    let staging = env.sandbox.assets(Some("staging"));
    assert_eq!(staging.len(), 3);
    assert!(staging.iter().all(|asset| asset.tags == ["staged"]), "{staging:#?}");
    assert!(env.sandbox.log().iter().all(|entry| matches!(entry.environment.as_str(), "staging" | "")));
    env.assert_still();
}
