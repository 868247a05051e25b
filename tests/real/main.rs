//! The promises and the facts they stand on, checked in a real project: with `DATOCMS_TEST_TOKEN` set, in an environment
//! that is forked for it and destroyed at the end (docs/service.md says how). Without one, the same suite runs against
//! the sandbox only, in both metadata shapes and with every unknown fact the other way, so that it is known to work.
//!
//! `suite` runs the checks of `checks/`; `fork` owns the environment; `wire` is a client of the suite's own; `front`
//! stands before the sandbox.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic is how a test fails")]
#![expect(clippy::print_stdout, reason = "what a suite tells is for whoever runs it")]

mod assets;
mod checks;
mod content;
mod fork;
mod front;
mod scene;
mod suite;
mod told;
mod wire;

use dato_mirror::sandbox::{Answers, Settings};

use front::Rehearsal;
use suite::Check;
use told::{Told, aloud};

/// A variable that is set to something: a secret that CI does not have is empty.
fn set(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

#[test]
fn the_promises_hold_in_a_real_project() {
    let Some(token) = set("DATOCMS_TEST_TOKEN") else {
        aloud("skipped: set DATOCMS_TEST_TOKEN to run this against a real project (docs/service.md)");
        return;
    };
    let base = set("DATOCMS_TEST_BASE_URL").unwrap_or_else(|| "https://site-api.datocms.com".to_owned());
    let project = fork::Project { base, token, source: set("DATOCMS_TEST_ENVIRONMENT") };
    let mut checks = suite::checks();
    if let Some(only) = set("DATOCMS_TEST_ONLY") {
        checks.retain(|check| check.name.contains(&only));
        assert!(!checks.is_empty(), "no check has {only:?} in its name");
    }
    if let Err(why) = suite::run(&project, &Told::loudly(), &checks) {
        panic!("{why}");
    }
}

/// A service that is in no hurry to refuse calls: this is about other things.
fn calm() -> Settings {
    Settings { rate_limit: 1_000_000, answers: Answers::Direct, ..Settings::fast() }
}

/// The whole suite against the sandbox; nothing is skipped, nothing fails, nothing is left.
fn rehearse(settings: Settings) -> Told {
    let (rehearsal, told) = (Rehearsal::with(settings), Told::quietly());
    rehearsal.sandbox().create_foreign(None, "theirs.txt", b"an editor's own").unwrap();
    if let Err(why) = suite::run(&rehearsal.project("sandbox"), &told, &suite::checks()) {
        panic!("{why}");
    }
    assert!(!told.has("skipped"), "the sandbox can do all of it");
    assert!(!told.has("moves by itself"), "a second run changes nothing at all");
    assert!(told.has("every answer carries x-request-id"));
    assert_eq!(rehearsal.destroyed().len(), 1);
    let calls = rehearsal.sandbox().api_calls();
    println!("{calls} API calls in all");
    assert!(calls < 600, "docs/service.md says how many calls it takes: {calls}");
    let name = &rehearsal.destroyed()[0];
    let log = rehearsal.sandbox().log();
    let elsewhere = log.iter().filter(|call| call.is_api() && call.method != "GET" && call.environment != *name);
    let elsewhere: Vec<_> = elsewhere.map(|call| format!("{} {}", call.method, call.path)).collect();
    assert_eq!(elsewhere, ["POST /environments/main/fork"], "all that changes something names the fork");
    told
}

#[test]
fn the_suite_works_where_metadata_is_by_field() {
    let told = rehearse(Settings { by_field: true, answers: Answers::Usual, ..calm() });
    assert!(told.has("keeps metadata by field") && told.has("POST /uploads is answered in a job"));
}

#[test]
fn the_suite_works_where_metadata_is_by_locale() {
    let told = rehearse(Settings { by_field: false, ..calm() });
    for found in [
        "keeps metadata by locale",
        "a deleted id can be used again",
        "a taken id is refused: 422 at once, INVALID_FIELD id VALIDATION_UNIQUENESS",
        "deleting an asset in use is refused: 422 at once, UPLOAD_IS_CURRENTLY_IN_USE",
        "answers name their environment",
        "/public-info tells the largest file",
        "pic.png is served changed",
        "POST /uploads is answered at once",
    ] {
        assert!(told.has(found), "not found: {found}");
    }
}

#[test]
fn the_suite_finds_it_where_the_service_is_otherwise() {
    let told = rehearse(Settings {
        by_field: true,
        answers: Answers::Usual,
        refuse_late: true,
        taken_id_code: "ID_ALREADY_TAKEN".to_owned(),
        deleted_ids_stay_taken: true,
        refuse_delete_in_use: false,
        names_environment: false,
        tells_largest_upload: false,
        tells_limits: false,
        cdn_optimises: false,
        cdn_sanitises_svg: false,
        locales: vec!["it".to_owned(), "en-GB".to_owned()],
        ..calm()
    });
    for found in [
        "its locales are it, en-GB",
        "a deleted id cannot be used again",
        "a taken id is refused: 422 in the job, ID_ALREADY_TAKEN",
        "deleting an asset in use is done, and leaves holes",
        "answers do not name their environment",
        "does not tell the largest file",
        "/subscription-limits are not told",
        "pic.png is served as it was uploaded",
    ] {
        assert!(told.has(found), "not found: {found}");
    }
}

#[test]
fn a_project_with_storage_of_its_own_fails_nothing_that_cannot_be_there() {
    let rehearsal = Rehearsal::with(Settings { custom_storage: true, ..calm() });
    let mut checks = suite::checks();
    let about_replacing = ["URL", "editor", "index", "live"];
    checks.retain(|check| about_replacing.iter().any(|word| check.name.contains(word)));
    assert_eq!(checks.len(), 7, "each check that replaces a file");
    let told = Told::quietly();
    if let Err(why) = suite::run(&rehearsal.project("sandbox"), &told, &checks) {
        panic!("{why}");
    }
    assert!(told.has("skipped: this project has storage of its own"));
}

#[test]
fn the_fork_is_destroyed_also_when_checks_fail() {
    let rehearsal = Rehearsal::with(calm());
    let fails = Check { name: "fails", about: "", run: |at| panic!("in {}", at.fork.name()) };
    let holds = Check { name: "holds", about: "", run: |_| Ok(()) };
    let told = Told::quietly();
    let why = suite::run(&rehearsal.project("sandbox"), &told, &[fails, holds]).unwrap_err();
    assert_eq!(why, format!("fails: in {}", rehearsal.destroyed()[0]));
    assert!(told.has("check holds") && told.has("FAILED"), "the others are made");
}

#[test]
fn the_fork_is_destroyed_also_after_a_panic() {
    let rehearsal = Rehearsal::with(calm());
    let project = rehearsal.project("sandbox");
    let end = std::panic::catch_unwind(|| {
        let _fork = fork::Fork::make(&project, &Told::quietly()).unwrap();
        panic!("outside of any check");
    });
    assert!(end.is_err());
    assert_eq!(rehearsal.destroyed().len(), 1);
}

#[test]
fn a_fork_that_is_refused_is_said_and_nothing_is_written() {
    let rehearsal = Rehearsal::with(calm());
    let why = suite::run(&rehearsal.project("sandbox-readonly"), &Told::quietly(), &suite::checks()).unwrap_err();
    assert!(why.contains("main could not be forked: 403 at once, INSUFFICIENT_PERMISSIONS"), "{why}");
    assert!(why.contains("a role that may manage environments"), "{why}");
    assert_eq!((rehearsal.sandbox().assets(None).len(), rehearsal.destroyed().len()), (0, 0));
    let mut project = rehearsal.project("sandbox");
    project.source = Some("nowhere".to_owned());
    let why = suite::run(&project, &Told::quietly(), &suite::checks()).unwrap_err();
    assert!(why.contains("there is no environment Some(\"nowhere\") to fork; there are [\"main\"]"), "{why}");
}

#[test]
fn where_another_environment_answers_nothing_is_written_to_it() {
    let rehearsal = Rehearsal::losing_the_environment(calm());
    let why = suite::run(&rehearsal.project("sandbox"), &Told::quietly(), &suite::checks()).unwrap_err();
    assert!(why.contains(", main answers"), "{why}");
    let changes = rehearsal.sandbox().log().into_iter().filter(|call| call.method != "GET");
    let changes: Vec<_> = changes.map(|call| format!("{} {}", call.method, call.path)).collect();
    assert_eq!(changes, ["POST /environments/main/fork"]);
    assert_eq!(rehearsal.destroyed().len(), 1);
}

#[test]
fn what_reached_the_environment_that_was_forked_is_found() {
    let rehearsal = Rehearsal::with(calm());
    rehearsal.sandbox().create_foreign(None, "astray.txt", &content::text()).unwrap();
    let why = suite::run(&rehearsal.project("sandbox"), &Told::quietly(), &[]).unwrap_err();
    assert_eq!(why, "main has 1 assets of this suite, which must never be");
    assert_eq!(rehearsal.destroyed().len(), 1);
}

#[test]
fn every_check_is_about_a_line_that_is_there() {
    let here = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |name: &str| std::fs::read_to_string(here.join(name)).unwrap();
    let pages = ["docs/service.md", "README.md", "ARCHITECTURE.md"].map(read).concat();
    let pages = pages.split_whitespace().collect::<Vec<_>>().join(" ");
    for check in suite::checks() {
        assert!(pages.contains(check.about), "{:?} is about a line that is not there: {:?}", check.name, check.about);
    }
}
