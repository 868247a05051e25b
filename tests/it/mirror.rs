//! What a mirror does, from a new file to a lost index: issue A's scenario and the ways files change.

use std::collections::BTreeMap;

use dato_mirror::sandbox::AssetView;

use crate::support::{TestEnv, bytes, jobs, served, stamped_paths};

#[test]
fn a_file_becomes_an_asset_and_a_second_run_is_still() {
    let env = TestEnv::new();
    env.write("a.png", "x");
    env.sync().exits(0).did("created 1");
    let asset = env.asset("a.png");
    assert_eq!(env.content(&asset.id), b"x");
    assert_eq!(served(&asset.url), b"x");
    assert!(asset.tags.is_empty() && asset.filename.ends_with("a.png"), "{asset:#?}");
    env.assert_still().exits(0).did("");
}

fn name(number: u64) -> String {
    format!("f{}/g{}/file {number}.bin", number % 5, number % 3)
}

/// 300 files of 20 to 200 KB, 30 of them duplicates of others.
fn three_hundred(env: &TestEnv) {
    for number in 0..300 {
        let seed = if number >= 270 { number - 270 } else { number };
        env.write(name(number), bytes(seed, 20_000 + usize::try_from(seed).unwrap() * 600));
    }
}

fn by_id(env: &TestEnv) -> BTreeMap<String, AssetView> {
    env.assets().into_iter().map(|asset| (asset.id.clone(), asset)).collect()
}

#[test]
fn three_hundred_files_through_a_week() {
    let env = TestEnv::with(jobs());
    env.config_with("");
    three_hundred(&env);

    // First run: everything.
    let run = env.sync().exits(0).did("created 270, aliased 30");
    assert_eq!((run.count("scanned"), run.count("unchanged")), (300, 0));
    assert_eq!((env.assets().len(), env.sandbox.count("PUT bucket")), (270, 270), "a duplicate costs no upload");
    let calls = env.sandbox.api_calls();
    println!("first sync: {calls} calls for 270 assets, {:?}", run.took);
    assert!(calls <= 3 * 270, "{calls}");

    // Second run: nothing.
    let still = env.assert_still().exits(0).did("");
    assert_eq!((still.count("unchanged"), still.count("bytes_uploaded")), (300, 0));
    println!("unchanged: {} calls, {:?}", env.sandbox.api_calls(), still.took);

    // Five edits: exactly five replacements, at unchanged URLs.
    let before = by_id(&env);
    let edited: Vec<u64> = (100..105).collect();
    for number in &edited {
        env.write(name(*number), bytes(10_000 + number, 30_000));
    }
    let run = env.sync().exits(0).did("replaced 5");
    println!("five edits: {} calls, {:?}", env.sandbox.api_calls(), run.took);
    assert_eq!(env.sandbox.count("PUT bucket"), 5);
    assert_eq!(env.sandbox.count("PUT /uploads/:id"), 5);
    assert_eq!(env.sandbox.count("POST /uploads"), 0);
    for number in &edited {
        let asset = env.asset(&name(*number));
        assert_eq!(asset.url, before[&asset.id].url);
        assert_eq!(served(&asset.url), bytes(10_000 + number, 30_000));
    }
    let changed = by_id(&env).into_iter().filter(|(id, asset)| before[id].md5 != asset.md5).count();
    assert_eq!((changed, env.assets().len()), (5, 270));
    env.assert_still();

    // Five moves: the same assets, no bytes.
    let before = by_id(&env);
    for number in 110..115 {
        env.rename(&name(number), &format!("moved/{number}.bin"));
    }
    let run = env.sync().exits(0).did("moved 5");
    println!("five moves: {} calls, {:?}", env.sandbox.api_calls(), run.took);
    assert_eq!((env.sandbox.count("PUT bucket"), env.sandbox.count("POST /upload-requests")), (0, 0));
    for number in 110..115 {
        let asset = env.asset(&format!("moved/{number}.bin"));
        assert_eq!((&asset.url, &asset.md5), (&before[&asset.id].url, &before[&asset.id].md5));
    }
    env.assert_still();

    // A tag rule: only tags change, and an editor's tag set meanwhile is still there.
    let before = by_id(&env);
    let touched = env.asset(&name(120));
    env.sandbox.edit_tags(None, &touched.id, &["hero"]).unwrap();
    env.config_with("[[mirror.rule]]\nmatch = \"f0/**\"\ntags = [\"zero\"]");
    let run = env.sync().exits(0);
    println!("a tag rule: {} calls, {}, {:?}", env.sandbox.api_calls(), run.changes(), run.took);
    assert_eq!((env.sandbox.count("PUT bucket"), env.sandbox.count("POST /upload-requests")), (0, 0));
    assert_eq!(env.asset(&name(120)).tags, ["hero", "zero"]);
    for (id, asset) in by_id(&env) {
        let old = &before[&id];
        assert_eq!((&asset.url, &asset.md5, &asset.author), (&old.url, &old.md5, &old.author));
        let in_f0 = stamped_paths(&asset).iter().any(|path| path.starts_with("f0/"));
        assert_eq!(asset.tags.iter().any(|tag| tag == "zero"), in_f0, "{asset:#?}");
    }
    env.assert_still();

    // The index is lost: no new asset, no upload; an edited file is still replaced in place.
    env.lose_index();
    let run = env.sync().exits(0);
    println!("index lost: {} calls, {:?}", env.sandbox.api_calls(), run.took);
    assert_eq!((env.assets().len(), env.sandbox.count("PUT bucket"), env.sandbox.count("POST /uploads")), (270, 0, 0));
    env.assert_still();
    env.lose_index();
    env.write(name(130), bytes(20_000, 40_000));
    let url = env.asset(&name(130)).url;
    env.sync().exits(0).did("replaced 1");
    assert_eq!((env.assets().len(), env.sandbox.count("PUT bucket")), (270, 1));
    assert_eq!(served(&url), bytes(20_000, 40_000));
    env.assert_still();
}

#[test]
fn a_rule_that_goes_takes_its_tags_along_even_when_the_index_is_lost() {
    let env = TestEnv::new();
    env.config_with("");
    env.write("a.png", "x");
    env.sync().exits(0).did("created 1");
    env.config_with("tags = [\"ours\"]");
    env.sync().exits(0).did("retagged 1");
    let id = env.asset("a.png").id;
    env.sandbox.edit_tags(None, &id, &["ours", "theirs"]).unwrap();
    env.lose_index();
    env.config_with("");
    env.sync().exits(0).did("retagged 1");
    assert_eq!(env.asset("a.png").tags, ["theirs"]);
    env.assert_still();
}

#[test]
fn two_files_that_swap_their_contents_keep_their_urls() {
    let env = TestEnv::new();
    env.write("a.png", "one");
    env.write("b.png", "two");
    env.sync().exits(0).did("created 2");
    let (a, b) = (env.asset("a.png"), env.asset("b.png"));
    env.rename("a.png", "c.png");
    env.rename("b.png", "a.png");
    env.rename("c.png", "b.png");
    env.sync().exits(0).did("replaced 2");
    assert_eq!(env.asset("a.png").url, a.url);
    assert_eq!((served(&a.url), served(&b.url)), (b"two".to_vec(), b"one".to_vec()));
    assert_eq!(env.assets().len(), 2);
    env.assert_still();
}

#[test]
fn a_new_logo_takes_the_old_ones_url_and_the_old_one_gets_its_own() {
    let env = TestEnv::new();
    env.write("logo.svg", "<svg>old</svg>");
    env.sync().exits(0).did("created 1");
    let url = env.asset("logo.svg").url;
    env.rename("logo.svg", "logo-old.svg");
    env.write("logo.svg", "<svg>new</svg>");
    env.sync().exits(0);
    assert_eq!(env.asset("logo.svg").url, url, "every page that uses the logo shows the new one");
    assert_eq!(served(&url), b"<svg>new</svg>");
    assert_eq!(env.content(&env.asset("logo-old.svg").id), b"<svg>old</svg>");
    assert_eq!(env.assets().len(), 2);
    env.assert_still();
}

#[test]
fn a_chain_of_renames_leaves_every_path_with_its_content_and_its_url() {
    let env = TestEnv::new();
    env.write("v1.png", "one");
    env.write("v2.png", "two");
    env.sync().exits(0).did("created 2");
    let url = env.asset("v2.png").url;
    env.rename("v2.png", "v3.png");
    env.rename("v1.png", "v2.png");
    env.sync().exits(0).did("created 1, replaced 1");
    assert_eq!((env.asset("v2.png").url, served(&url)), (url.clone(), b"one".to_vec()), "a path keeps its URL");
    assert_eq!(env.content(&env.asset("v3.png").id), b"two");
    env.assert_still();
}

#[test]
fn a_copy_shares_the_asset_until_one_of_them_changes() {
    let env = TestEnv::new();
    env.write("a.png", "same");
    env.sync().exits(0).did("created 1");
    let shared = env.asset("a.png");
    env.write("copy.png", "same");
    env.sync().exits(0).did("aliased 1");
    assert_eq!(env.sandbox.count("PUT bucket"), 0);
    assert_eq!(stamped_paths(&env.asset("a.png")), ["a.png", "copy.png"]);
    env.assert_still();
    env.write("copy.png", "other");
    env.sync().exits(0).did("created 1, retagged 1");
    assert_eq!(served(&shared.url), b"same");
    assert_eq!(stamped_paths(&env.asset("a.png")), ["a.png"], "who left is no owner any more");
    assert_eq!(env.content(&env.asset("copy.png").id), b"other");
    env.assert_still();
    // The other order: the one that had the asset first changes.
    env.write("copy2.png", "same");
    env.sync().exits(0).did("aliased 1");
    env.write("a.png", "third");
    env.sync().exits(0).did("created 1, retagged 1");
    assert_eq!((served(&shared.url), env.asset("copy2.png").id), (b"same".to_vec(), shared.id));
    assert_eq!(env.content(&env.asset("a.png").id), b"third");
    env.assert_still();
}

#[test]
fn a_file_that_comes_back_finds_its_asset() {
    let env = TestEnv::new();
    env.write("a.png", "one");
    env.write("b.png", "b");
    env.sync().exits(0).did("created 2");
    let asset = env.asset("a.png");
    env.remove("a.png");
    env.sync().exits(0).did("");
    assert_eq!(env.assets().len(), 2, "nothing is deleted by default");
    env.assert_still();
    env.write("a.png", "two");
    env.sync().exits(0).did("replaced 1");
    assert_eq!((env.assets().len(), served(&asset.url)), (2, b"two".to_vec()));
    env.assert_still();
}

#[test]
fn an_asset_of_someone_else_is_adopted_and_never_renamed_or_deleted() {
    let mut env = TestEnv::new();
    env.set("DATO_MIRROR_ON_RENAME", "rename");
    env.set("DATO_MIRROR_ON_DELETE", "delete");
    env.set("DATO_MIRROR_TAGS", "brand");
    let id = env.sandbox.create_foreign(None, "their name.png", b"content").unwrap();
    env.write("ours.png", "content");
    env.write("other.png", "other");
    env.sync().exits(0).did("created 1, adopted 1");
    assert_eq!(env.sandbox.count("PUT bucket"), 1);
    let adopted = env.asset("ours.png");
    assert_eq!((&adopted.id, adopted.tags.clone()), (&id, vec!["foreign".to_owned(), "brand".to_owned()]));
    env.assert_still();
    env.rename("ours.png", "renamed.png");
    env.sync().exits(0).did("moved 1");
    let moved = env.asset("renamed.png");
    assert_eq!((moved.id, moved.url), (id.clone(), adopted.url), "it is not ours to rename");
    env.assert_still();
    env.remove("renamed.png");
    let run = env.sync();
    assert!(env.assets().iter().any(|asset| asset.id == id), "it is not ours to delete: {run:#?}");
    assert_eq!((run.code, run.count("deleted")), (0, 0), "{run:#?}");
    env.assert_still();
    // The same without an index.
    env.lose_index();
    env.sync();
    assert!(env.assets().iter().any(|asset| asset.id == id));
}

#[test]
fn two_mirrors_share_what_both_have() {
    let env = TestEnv::new();
    let config = |more: &str| {
        env.config(&format!(
            "[[mirror]]\nname = \"brand\"\nroot = \"brand\"\nsettle = \"20ms\"\ntags = [\"b\"]\non_delete = \"delete\"\n\
             [[mirror]]\nname = \"press\"\nroot = \"press\"\nsettle = \"20ms\"\ntags = [\"p\"]\non_delete = \"delete\"\n{more}"
        ));
    };
    config("");
    env.write("a.png", "same");
    env.write("b.png", "only brand");
    env.write("../press/x.png", "same");
    env.write("../press/y.png", "only press");
    let run = env.sync().exits(0);
    assert_eq!(env.assets().len(), 3, "{run:#?}");
    let shared = env.asset("a.png");
    assert_eq!(stamped_paths(&shared), ["a.png", "x.png"]);
    assert_eq!(shared.tags, ["b", "p"]);
    assert_eq!(run.report()["mirrors"].as_array().unwrap().len(), 2);
    env.assert_still();
    // One leaves: the asset stays with the other, without the first one's tag.
    env.remove("a.png");
    env.sync().exits(0);
    let kept = env.asset("x.png");
    assert_eq!((kept.id, env.assets().len()), (shared.id, 3));
    env.assert_still();
    // Only one of them, by name.
    env.write("b.png", "changed");
    env.write("../press/y.png", "changed too");
    let run = env.sync_with(&["--mirror", "press"]).exits(0);
    let names: Vec<_> =
        run.report()["mirrors"].as_array().unwrap().iter().map(|mirror| mirror["name"].clone()).collect();
    assert_eq!(names, ["press"]);
    assert_eq!(env.content(&env.asset("b.png").id), b"only brand");
    assert_eq!(env.content(&env.asset("y.png").id), b"changed too");
    env.sync().exits(0);
    assert_eq!(env.content(&env.asset("b.png").id), b"changed");
    env.assert_still();
}

/// A copy is edited: it gets an asset of its own. Whichever asset the listing tells first, a lost index finds it again.
#[test]
fn who_left_a_shared_asset_is_not_taken_for_its_owner_when_the_index_is_lost() {
    for (first, leaver) in
        [("a.png", "b.png"), ("b.png", "a.png"), ("c.png", "a.png"), ("a.png", "c.png"), ("x.png", "a.png")]
    {
        let env = TestEnv::new();
        env.write(first, "same");
        env.sync().exits(0).did("created 1");
        env.write(leaver, "same");
        env.sync().exits(0).did("aliased 1");
        let left = if first == "x.png" { first } else { leaver };
        env.write(left, "other");
        env.sync().exits(0).did("created 1, retagged 1");
        let url = env.assets().into_iter().find(|asset| env.content(&asset.id) == b"other").unwrap().url;
        env.assert_still();
        env.lose_index();
        env.write(left, "third");
        env.sync().exits(0).did("replaced 1");
        assert_eq!(served(&url), b"third", "{first} shared with {leaver}, {left} left");
        assert_eq!(env.assets().len(), 2);
        env.assert_still();
    }
}

/// Our own writes are newer than what an editor did while they went on, and there are more of them than a listing's
/// page holds.
#[test]
fn an_editor_s_change_during_a_long_first_sync_is_seen_by_the_next_run() {
    let mut env = TestEnv::new();
    env.write("000.txt", "first");
    env.sync().exits(0).did("created 1");
    let id = env.asset("000.txt").id;
    for number in 1..=600 {
        env.write(format!("{number:03}.txt"), format!("file {number}"));
    }
    let run = env.start(&["--root", "brand", "--sync-once", "--format", "json"], b"");
    while env.sandbox.count("POST /uploads") < 20 {
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    env.sandbox.replace_content(None, &id, b"editor's").unwrap();
    // The other 580 come more than the overlap later.
    env.sandbox.set(|settings| settings.clock_offset_ms += 300_000);
    run.end().exits(0).did("created 600");
    env.write("000.txt", "ours");
    let run = env.sync().exits(1);
    assert!(run.problem("000.txt").contains("CMS"), "{run:#?}");
    assert_eq!(env.content(&id), b"editor's", "an editor's file is never overwritten unseen");
    env.set("DATO_MIRROR_ON_REMOTE_CHANGE", "overwrite");
    env.sync().exits(0).did("replaced 1");
}
