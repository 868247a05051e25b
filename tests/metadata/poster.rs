//! The poster time of a video: written and followed, an editor's kept, and a refusal survived and said.

use dato_mirror::sandbox::{Answers, Edit, Fault, FaultKind};
use serde_json::{Value, json};

use super::BY_FIELD;
use super::support::Env;

const REFUSED: &str = "v.mp4: poster_time in v.mp4.meta.toml is left out: the service does not take it for this file: \
                       the API refuses a value";

/// The video `v.mp4` with this in its metadata file.
fn video(env: &Env, metadata: &str) {
    env.write("v.mp4", "video");
    env.write("v.mp4.meta.toml", metadata);
}

/// The poster times that the media area has for a video: one, or one for each locale.
fn posters(env: &Env, filename: &str) -> Vec<Value> {
    let metadata = env.asset(filename).metadata;
    match BY_FIELD {
        true => vec![metadata["poster_time"].clone()],
        false => ["en", "it"].iter().map(|locale| metadata[*locale]["poster_time"].clone()).collect(),
    }
}

#[track_caller]
fn assert_poster(env: &Env, filename: &str, seconds: &Value) {
    let posters = posters(env, filename);
    assert!(posters.iter().all(|poster| poster == seconds), "{posters:?} instead of {seconds}");
}

/// An editor types a poster time.
fn typed(env: &Env, filename: &str, patch: Value) {
    let edit = Edit { metadata: Some(patch), ..Edit::default() };
    env.sandbox.edit_metadata(None, &env.asset(filename).id, edit).unwrap();
}

fn everywhere(seconds: f64) -> Value {
    match BY_FIELD {
        true => json!({ "poster_time": seconds }),
        false => json!({"en": {"poster_time": seconds}, "it": {"poster_time": seconds}}),
    }
}

#[test]
fn a_poster_time_is_written_and_followed_and_an_editors_is_kept() {
    let env = Env::new("");
    video(&env, "poster_time = 12.5\n");
    env.write("own.mp4", "another video");
    env.write("w.mp4", "a third video");
    env.write("w.mp4.meta.toml", "poster_time = 3\n");
    assert_eq!(env.sync().count("created"), 3);
    assert_poster(&env, "v.mp4", &json!(12.5));
    assert_poster(&env, "own.mp4", &json!(null));
    assert_poster(&env, "w.mp4", &json!(3));

    typed(&env, "own.mp4", everywhere(7.5));
    env.write("v.mp4.meta.toml", "poster_time = 20\n");
    std::fs::remove_file(env.root().join("w.mp4.meta.toml")).unwrap();
    let run = env.sync();
    assert_eq!((run.count("retagged"), run.problems().len()), (2, 0), "{run:#?}");
    assert_poster(&env, "v.mp4", &json!(20));
    assert_poster(&env, "w.mp4", &json!(null));

    typed(&env, "v.mp4", everywhere(33.5));
    env.sandbox.clear_log();
    env.sync();
    env.forget_index();
    env.sync();
    assert_eq!(env.changes(), 0);
    env.write("v.mp4.meta.toml", "poster_time = 21\n");
    let run = env.sync();
    let conflict = "v.mp4: poster_time was changed both here (to 21) and in the CMS (to 33.5): the CMS's value stays";
    assert!(run.has_problem(conflict) && run.problems().len() == 1, "{run:#?}");
    assert_eq!(env.sync().problems(), [""; 0], "it is said once");
    assert_poster(&env, "v.mp4", &json!(33.5));
    assert_poster(&env, "own.mp4", &json!(7.5));
}

#[test]
fn a_poster_time_that_an_editor_set_in_one_locale_is_kept() {
    if BY_FIELD {
        // There is one for all locales.
        return;
    }
    let env = Env::new("");
    video(&env, "poster_time = 12.5\n");
    env.sync();
    typed(&env, "v.mp4", json!({"it": {"poster_time": 3}}));
    env.write("v.mp4.meta.toml", "poster_time = 20\n");
    let run = env.sync();
    assert!(run.has_problem("v.mp4: poster_time was changed both here (to 20) and in the CMS"), "{run:#?}");
    assert_eq!(posters(&env, "v.mp4"), [json!(12.5), json!(3)]);
    env.sandbox.clear_log();
    assert_eq!((env.sync().problems().len(), env.changes()), (0, 0));
}

/// The media area takes no poster time after ten seconds; in the older shape also none at all (`as_key`).
fn a_refusal_is_survived(answers: Answers, refuse_late: bool, as_key: bool) {
    let env = Env::with("", |settings| {
        (settings.answers, settings.refuse_late) = (answers, refuse_late);
        (settings.latest_poster_time_s, settings.poster_time_by_locale) = (10, !as_key);
    });
    let case = format!("{answers:?}, late {refuse_late}, as a key {as_key}");
    video(&env, "poster_time = 12.5\ntags = [\"t\"]\n[alt]\nen = \"one\"\n");
    let run = env.sync();
    assert_eq!((run.count("created"), run.problems().len()), (1, 1), "{case}: {run:#?}");
    assert!(run.has_problem(REFUSED), "{case}: {run:#?}");
    assert!(run.report["problems"][0]["advice"].as_str().unwrap().contains("the file itself is mirrored"), "{run:#?}");
    let made = env.asset("v.mp4");
    assert_eq!((made.tags.as_slice(), env.localized("v.mp4", "en", "alt")), (&["t".to_owned()][..], json!("one")));
    assert!(posters(&env, "v.mp4").iter().all(Value::is_null), "{case}: {made:#?}");
    assert_eq!(env.sandbox.count("PUT bucket"), 1, "{case}: its bytes are sent once");

    // It is said in each run, and asked no more, also when something else is written.
    env.sandbox.clear_log();
    let run = env.sync();
    assert_eq!((run.has_problem(REFUSED), run.problems().len(), env.changes()), (true, 1, 0), "{case}: {run:#?}");
    env.write("v.mp4.meta.toml", "poster_time = 12.5\ntags = [\"t\"]\n[alt]\nen = \"two\"\n");
    let run = env.sync();
    assert_eq!((run.has_problem(REFUSED), run.count("retagged"), env.changes()), (true, 1, 1), "{case}: {run:#?}");
    assert_eq!(env.localized("v.mp4", "en", "alt"), "two");

    // Another file may be longer.
    env.sandbox.clear_log();
    env.write("v.mp4", "video, cut anew");
    let run = env.sync();
    assert_eq!((run.has_problem(REFUSED), run.count("replaced")), (true, 1), "{case}: {run:#?}");
    assert_eq!(env.sandbox.count("PUT bucket"), 1, "{case}: its bytes are sent once");
    let replaced = env.asset("v.mp4");
    assert_eq!((&replaced.id, &replaced.url), (&made.id, &made.url));
    assert_eq!(env.sandbox.content(None, &made.id).unwrap(), b"video, cut anew");

    // With the index lost it is asked once more, when nothing else is to be written.
    env.forget_index();
    let run = env.sync();
    assert_eq!((run.has_problem(REFUSED), run.problems().len()), (true, 1), "{case}: {run:#?}");
    env.sandbox.clear_log();
    assert_eq!((env.sync().problems().len(), env.changes()), (1, 0), "{case}");

    // Another value is another question.
    env.sandbox.set(|settings| settings.poster_time_by_locale = true);
    env.write("v.mp4.meta.toml", "poster_time = 3\ntags = [\"t\"]\n[alt]\nen = \"two\"\n");
    let run = env.sync();
    assert_eq!((run.count("retagged"), run.problems().len()), (1, 0), "{case}: {run:#?}");
    assert_poster(&env, "v.mp4", &json!(3));
    assert_eq!(env.sandbox.assets(None).len(), 1, "{case}");
}

#[test]
fn a_refused_poster_time_is_survived_and_said() {
    for as_key in [false, true] {
        if BY_FIELD && as_key {
            continue;
        }
        for (answers, refuse_late) in [(Answers::Direct, false), (Answers::Usual, true)] {
            a_refusal_is_survived(answers, refuse_late, as_key);
        }
    }
}

#[test]
fn what_is_refused_for_another_reason_is_not_laid_on_the_poster_time() {
    let env = Env::new("");
    let details = json!({"field": "notes", "code": "VALIDATION_LENGTH"});
    let kind = FaultKind::Status { status: 422, code: "INVALID_FIELD".into(), transient: false, details };
    env.sandbox.add_fault(Fault { route: "POST /uploads".into(), skip: 0, times: None, kind });
    video(&env, "poster_time = 12.5\n");
    let run = env.run(&[]);
    assert_eq!((run.code, run.count("failed"), run.problems().len()), (1, 1, 1), "{run:#?}");
    assert!(run.has_problem("notes") && !run.has_problem("poster_time"), "{run:#?}");
    env.sandbox.clear_faults();
    env.write("v.mp4.meta.toml", "poster_time = 12.5\nauthor = \"Ann\"\n");
    let run = env.sync();
    assert_eq!((run.count("created"), run.problems().len()), (1, 0), "{run:#?}");
    assert_poster(&env, "v.mp4", &json!(12.5));
}

#[test]
fn a_poster_time_that_the_older_shape_did_not_take_is_written_in_the_newer_one() {
    let env = Env::with("", |settings| (settings.by_field, settings.poster_time_by_locale) = (false, false));
    video(&env, "poster_time = 12.5\n");
    assert!(env.sync().has_problem(REFUSED));
    env.sandbox.set(|settings| settings.by_field = true);
    let run = env.sync();
    assert_eq!((run.count("retagged"), run.problems().len()), (1, 0), "{run:#?}");
    assert_eq!(env.asset("v.mp4").metadata["poster_time"], json!(12.5));
}
