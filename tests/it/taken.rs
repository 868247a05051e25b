//! Ids that are taken, whatever the service's word for it, and calls that change more at once than it takes.

use dato_mirror::sandbox::{Answers, Edit, FaultKind, Settings};
use serde_json::json;

use crate::support::{TestEnv, bytes, fast};

/// The codes that the service may have for a taken id: which one is not known.
const CODES: [&str; 4] = ["VALIDATION_UNIQUENESS", "VALIDATION_UNIQUE", "ID_ALREADY_TAKEN", "SOMETHING_ELSE"];

fn each(run: impl Fn(Settings)) {
    for code in CODES {
        run(Settings { taken_id_code: code.into(), answers: Answers::Direct, ..fast() });
    }
    // What comes as a job takes as long as a job may take.
    run(Settings { taken_id_code: CODES[1].into(), refuse_late: true, answers: Answers::Usual, ..fast() });
}

#[test]
fn a_taken_id_is_looked_at_whatever_the_code_and_makes_no_second_asset() {
    each(|settings| {
        // Neither by id nor by content does the listing show what was made.
        let env = TestEnv::with(Settings { listing_lag_ms: 600_000, answers: Answers::Direct, ..settings.clone() });
        env.write("a.bin", "a");
        env.write("b.bin", "b");
        env.sync().exits(0).did("created 2");
        let (a, b) = (env.asset("a.bin").id, env.asset("b.bin").id);
        env.lose_index();
        env.write("b.bin", "another");
        env.sandbox.set(|now| now.answers = settings.answers);
        env.sync().exits(0);
        let ids: Vec<String> = env.assets().into_iter().map(|asset| asset.id).collect();
        assert_eq!(ids.len(), 2, "{ids:?}");
        assert!(ids.contains(&a) && ids.contains(&b), "{ids:?}");
        assert_eq!((env.content(&a), env.content(&b)), (b"a".to_vec(), b"another".to_vec()));
    });
}

#[test]
fn an_id_that_was_spent_on_a_deleted_asset_gives_way_to_the_next() {
    // Each takes as long as a lost answer is waited for; the rest of the codes is the error's own test.
    for (code, refuse_late) in [("VALIDATION_UNIQUE", false), ("ID_ALREADY_TAKEN", true)] {
        let more = Settings { taken_id_code: code.into(), refuse_late, ..fast() };
        let env = TestEnv::with(Settings { deleted_ids_stay_taken: true, ..more });
        env.write("a.bin", "a");
        env.sync().exits(0).did("created 1");
        let id = env.asset("a.bin").id;
        env.sandbox.delete_asset(None, &id).unwrap();
        env.lose_index();
        env.sync().exits(0).did("created 1");
        assert_ne!(env.asset("a.bin").id, id);
    }
}

#[test]
fn another_refusal_of_a_create_costs_one_look_and_is_said() {
    let env = TestEnv::new();
    env.write("a.bin", "a");
    let details = json!({"field": "author", "code": "VALIDATION_LENGTH"});
    let kind = FaultKind::Status { status: 422, code: "INVALID_FIELD".into(), transient: false, details };
    env.sandbox.fault("POST /uploads", kind);
    let run = env.sync().exits(1);
    assert!(run.problem("a.bin").contains("author"), "{}", run.problem("a.bin"));
    assert_eq!(env.sandbox.count("POST /uploads"), 1);
    assert_eq!(env.sandbox.count("GET /uploads/:id"), 1);
}

#[test]
fn a_collection_whose_id_is_taken_is_found_whatever_the_code() {
    for code in CODES {
        let env = TestEnv::with(Settings { taken_id_code: code.into(), ..fast() });
        env.config_with("collections = \"mirror\"");
        env.write("f/a.bin", "a");
        // It is made, and nobody hears of it.
        env.sandbox.fault("POST /upload-collections", FaultKind::LoseReply);
        let run = env.sync().exits(0);
        let asset = env.asset("f/a.bin");
        assert!(asset.collection.is_some(), "{code}: {run:#?}");
    }
}

#[test]
fn each_part_of_a_move_that_is_too_large_at_once_is_looked_at_by_itself() {
    let env = TestEnv::with(Settings { bulk_limit: 5, ..fast() });
    env.config_with("tags = [\"ours\"]");
    for number in 0..12 {
        env.write(format!("f/{number:02}.bin"), bytes(number, 100));
    }
    env.sync().exits(0).did("created 12");
    let theirs = env.sandbox.create_collection(None, "theirs").unwrap();
    env.config_with("tags = [\"ours\"]\ncollections = \"mirror\"");
    // The third call is the first that is small enough: an editor moves the rest meanwhile.
    let target = theirs.clone();
    env.sandbox.after("POST /uploads/bulk/set-upload-collection", 2, move |sandbox| {
        for asset in sandbox.assets(None).into_iter().filter(|asset| asset.collection.is_none()) {
            let edit = Edit { collection: Some(target.clone()), ..Edit::default() };
            sandbox.edit_metadata(None, &asset.id, edit).unwrap();
        }
    });
    env.sync();
    let assets = env.assets();
    let moved = assets.iter().filter(|asset| asset.collection.as_ref() != Some(&theirs)).count();
    assert!((1..=5).contains(&moved), "{moved} were moved");
    assert!(assets.iter().all(|asset| asset.collection.is_some()));
}

#[test]
fn a_move_and_a_tag_of_more_than_the_service_takes_at_once_come_to_their_end() {
    for limit in [1, 7] {
        let env = TestEnv::with(Settings { bulk_limit: limit, ..fast() });
        env.config_with("tags = [\"ours\"]");
        for number in 0..40 {
            env.write(format!("f/{number:03}.bin"), bytes(number, 100));
        }
        env.sync().exits(0).did("created 40");
        env.config_with("tags = [\"ours\"]\ncollections = \"mirror\"");
        env.sync().exits(0).did("retagged 40");
        assert!(env.assets().iter().all(|asset| asset.collection.is_some()));
        env.config_with("tags = [\"ours\", \"more\"]\ncollections = \"mirror\"");
        env.sync().exits(0).did("retagged 40");
        assert!(env.assets().iter().all(|asset| asset.tags.contains(&"more".to_owned())));
    }
}
