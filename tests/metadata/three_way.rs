//! What an editor typed stays, between two runs and during one, also when the index is lost.

use std::time::{Duration, Instant};

use dato_mirror::sandbox::{Edit, Fault, FaultKind};
use serde_json::{Value, json};

use super::BY_FIELD;
use super::support::{Env, Run, png};

const BEFORE: &str = "tags = [\"a\", \"b\"]\nauthor = \"Ann\"\ncopyright = \"us\"\nnotes = \"n\"\n\
    [mirror.alt]\nen = \"one\"\nit = \"uno\"\n[mirror.title]\nen = \"first\"\n[mirror.custom_data.en]\nours = \"1\"";
/// Author changed, notes gone, a title more; tag b gone, tag c new.
const AFTER: &str = "tags = [\"a\", \"c\"]\nauthor = \"Bob\"\ncopyright = \"us\"\n\
    [mirror.alt]\nen = \"two\"\nit = \"uno\"\n[mirror.title]\nen = \"first\"\nit = \"primo\"\n\
    [mirror.custom_data.en]\nours = \"2\"";

/// Types into the metadata of one locale and leaves the rest.
fn typed(env: &Env, changes: &[(&str, &str, Value)]) -> Value {
    let mut metadata = env.asset("x.png").metadata;
    for (locale, field, value) in changes {
        let slot = if BY_FIELD { &mut metadata[*field][*locale] } else { &mut metadata[*locale][*field] };
        match (slot.as_object_mut(), value.as_object()) {
            (Some(slot), Some(more)) => slot.extend(more.clone()),
            _ => *slot = value.clone(),
        }
    }
    metadata
}

fn editors_are_safe(forget: bool) {
    let env = Env::new(BEFORE);
    env.write("x.png", png("x"));
    env.sync();
    let id = env.asset("x.png").id;
    let metadata = typed(
        &env,
        &[
            ("it", "alt", json!("scritto a mano")),
            ("en", "title", json!(null)),
            ("en", "custom_data", json!({"theirs": [1], "ours": "edited"})),
        ],
    );
    let edit = Edit {
        tags: Some(vec!["a".into(), "b".into(), "mine".into()]),
        metadata: Some(metadata),
        copyright: Some("typed".into()),
        ..Edit::default()
    };
    env.sandbox.edit_metadata(None, &id, edit).unwrap();
    if forget {
        env.forget_index();
    }
    env.configure(AFTER);
    let run = env.sync();
    let asset = env.asset("x.png");
    assert_eq!(asset.tags, ["a", "mine", "c"]);
    assert_eq!(asset.author.as_deref(), Some("Bob"), "only the mirror set it");
    assert_eq!(asset.copyright.as_deref(), Some("typed"), "the folder still says what it said");
    assert_eq!(asset.notes, None, "only the mirror set it, and the folder says nothing any more");
    assert_eq!(env.localized("x.png", "en", "alt"), "two");
    assert_eq!(env.localized("x.png", "it", "alt"), "scritto a mano");
    assert_eq!(env.localized("x.png", "en", "title"), json!(null), "an editor emptied it");
    assert_eq!(env.localized("x.png", "it", "title"), "primo");
    let custom = env.localized("x.png", "en", "custom_data");
    assert_eq!((&custom["theirs"], &custom["ours"]), (&json!([1]), &json!("edited")), "{custom}");
    // A true conflict is told once, with both values.
    let conflict = "x.png: custom_data.en.ours was changed both here (to \"2\") and in the CMS (to \"edited\")";
    assert!(run.has_problem(conflict) && run.problems().len() == 1, "{run:#?}");
    env.sandbox.clear_log();
    let again = env.sync();
    assert_eq!((again.problems().len(), env.changes()), (0, 0), "{again:#?}");
    if forget {
        env.forget_index();
        assert_eq!(env.sync().problems(), [""; 0]);
        assert_eq!(env.changes(), 0);
    }
}

#[test]
fn what_an_editor_typed_between_two_runs_stays() {
    editors_are_safe(false);
}

#[test]
fn what_an_editor_typed_stays_with_the_index_lost() {
    editors_are_safe(true);
}

#[test]
fn what_an_editor_typed_during_a_run_stays() {
    let env = Env::new("tags = [\"a\"]\n[mirror.alt]\nen = \"one\"");
    for n in 0..40 {
        env.write(&format!("{n:02}.png"), png(&n.to_string()));
    }
    env.sync();
    env.configure("tags = [\"a\"]\n[mirror.alt]\nen = \"two\"");
    // The first changes take long enough for an editor to type into the last asset meanwhile.
    let slow =
        Fault { route: "PUT /uploads/:id".into(), skip: 0, times: Some(20), kind: FaultKind::Delay { ms: 6500 } };
    env.sandbox.add_fault(slow);
    env.sandbox.clear_log();
    let child = env.start("index.sqlite");
    let started = Instant::now();
    while env.sandbox.count("GET /uploads") == 0 && started.elapsed() < Duration::from_secs(300) {
        std::thread::sleep(Duration::from_millis(2));
    }
    let last = env.asset("39.png");
    env.sandbox.edit_tags(None, &last.id, &["a", "typed meanwhile"]).unwrap();
    let run = Run::of(child.wait_with_output().unwrap());
    assert_eq!(run.code, 0, "{run:#?}");
    assert_eq!(env.asset("39.png").tags, ["a", "typed meanwhile"]);
    assert_eq!(env.localized("39.png", "en", "alt"), "two");
    assert_eq!(env.sync().problems(), [""; 0]);
}
