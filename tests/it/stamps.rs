//! The stamp in the two forms it can have: one string, as it is written, and the object that older versions wrote.

use dato_mirror::sandbox::{AssetView, Edit};
use serde_json::{Value, json};

use crate::support::{TestEnv, in_both_shapes, localized, stamp, stored, stored_stamp};

/// What an editor's save of custom data would send.
fn custom_data(data: &Value) -> Edit {
    Edit { metadata: Some(localized("custom_data", data)), ..Edit::default() }
}

/// Gives every stamp the form that older versions wrote.
fn age(env: &TestEnv) {
    env.sandbox.set(|settings| settings.editors_flatten_custom_data = false);
    for asset in env.assets() {
        let data = json!({"dato-mirror": stamp(&asset).unwrap(), "theirs": "kept"});
        env.sandbox.edit_metadata(None, &asset.id, custom_data(&data)).unwrap();
    }
    env.sandbox.set(|settings| settings.editors_flatten_custom_data = true);
}

fn is_string(asset: &AssetView) -> bool {
    stored_stamp(asset).unwrap().is_string()
}

#[test]
fn a_stamp_of_an_older_version_is_read_and_is_no_reason_for_a_call() {
    in_both_shapes(|| {
        let env = TestEnv::new();
        env.write("a.png", "a");
        env.write("b.png", "b");
        env.sync().exits(0).did("created 2");
        assert!(env.assets().iter().all(is_string));
        age(&env);
        for index_is_lost in [false, true, false] {
            if index_is_lost {
                env.lose_index();
            }
            env.sync().exits(0).did("");
            assert!(env.mutating().is_empty(), "{:#?}", env.mutating());
        }
        assert!(!env.assets().iter().any(is_string));
        // A file that moved and changed on another machine is found by the stamp alone, in either form.
        let before = env.asset("a.png");
        env.lose_index();
        env.write("a.png", "a, changed");
        env.sync().exits(0).did("replaced 1");
        let after = env.asset("a.png");
        assert_eq!((&after.id, &after.url), (&before.id, &before.url));
        assert!(is_string(&after), "it goes along with what is written anyway");
        assert_eq!(stored(&after, "custom_data")["theirs"], "kept");
        assert!(!is_string(&env.asset("b.png")));
        env.assert_still().exits(0);
    });
}

#[test]
fn a_stamp_survives_an_editors_save_that_keeps_no_objects() {
    in_both_shapes(|| {
        let env = TestEnv::new();
        env.config_with("tags = [\"ours\"]");
        env.write("a.png", "a");
        env.sync().exits(0).did("created 1");
        let asset = env.asset("a.png");
        let data = json!({"dato-mirror": stored_stamp(&asset).unwrap(), "theirs": "typed", "object": {"gone": 1}});
        env.sandbox.edit_metadata(None, &asset.id, custom_data(&data)).unwrap();
        assert!(!env.asset("a.png").metadata.to_string().contains("gone"), "the sandbox keeps objects");
        env.lose_index();
        env.sync().exits(0).did("");
        assert!(env.mutating().is_empty(), "{:#?}", env.mutating());
        // A tag of ours that an editor took away stays away: the stamp tells that it was pushed.
        env.sandbox.edit_tags(None, &asset.id, &[]).unwrap();
        env.lose_index();
        env.sync().exits(0);
        assert!(env.asset("a.png").tags.is_empty());
    });
}

#[test]
fn paths_that_leave_an_asset_leave_its_stamp_of_either_form() {
    in_both_shapes(|| {
        let env = TestEnv::new();
        for path in ["a.png", "b.png", "c.png"] {
            env.write(path, "same");
        }
        env.sync().exits(0).did("created 1, aliased 2");
        age(&env);
        env.write("b.png", "b");
        env.write("c.png", "c");
        env.sync().exits(0);
        assert_eq!(env.assets().len(), 3);
        for asset in env.assets() {
            let stamp = stamp(&asset).unwrap();
            assert_eq!(stamp["brand"]["paths"].as_array().unwrap().len(), 1, "{stamp}");
        }
        env.assert_still().exits(0);
    });
}
