//! Answers that are not the API's, and answers of an API that is broken or hostile.

use std::collections::BTreeMap;
use std::time::Duration;

use dato_mirror::sandbox::{Fault, FaultKind, Settings};
use serde_json::{Value, json};

use crate::support::{TestEnv, bytes, fast, jobs};

fn for_ever(route: &str, kind: FaultKind) -> Fault {
    Fault { route: route.into(), skip: 0, times: None, kind }
}

fn body(status: u16, content_type: &str, text: &str) -> FaultKind {
    FaultKind::Body { status, content_type: content_type.into(), text: text.into() }
}

#[test]
fn what_answers_in_the_apis_place_gives_up_no_file() {
    let env = TestEnv::new();
    let kinds = [("text/html", "<html>Denied</html>"), ("text/plain", "denied"), ("", "")];
    for (number, status) in [400, 401, 403, 407, 413, 414, 421, 431, 451, 500, 502, 503].into_iter().enumerate() {
        let (content_type, text) = kinds[number % kinds.len()];
        env.sandbox.fault("POST /upload-requests", body(status, content_type, text));
        env.sandbox.fault("GET /uploads", body(status, content_type, text));
        env.write(format!("{status}.bin"), bytes(u64::from(status), 100));
        env.sync().exits(0).did("created 1");
    }
    // What may have been executed is looked at before it is sent again.
    env.sandbox.fault("POST /uploads", body(403, "text/html", "<html>Denied</html>"));
    env.write("last.bin", "last");
    env.sync().exits(0).did("created 1");
    env.assert_still();
}

/// Whatever the call, and also where it happens twice. What a run is to have done in spite of it.
fn in_spite_of(route: &str, status: u16, prepare: impl Fn(&TestEnv), done: &str) {
    let env = TestEnv::new();
    env.config_with("on_delete = \"delete\"\nmax_delete = 10");
    env.write("kept.bin", "kept");
    env.write("clip.mp4", bytes(1, 4000));
    env.write("a.bin", "a");
    env.sync().exits(0).did("created 3");
    prepare(&env);
    let kind = body(status, "text/html", "<html>Denied</html>");
    env.sandbox.add_fault(Fault { route: route.into(), skip: 0, times: Some(2), kind });
    env.sync().exits(0).did(done);
    assert!(env.sandbox.faults().iter().all(|(_, hits)| *hits == 2), "{route}: {:?}", env.sandbox.faults());
    env.sandbox.clear_faults();
    env.assert_still();
}

#[test]
fn a_listing_that_something_in_between_answers_twice_ends_no_run() {
    in_spite_of("GET /uploads", 414, |env| env.write("b.bin", "b"), "created 1");
}

#[test]
fn a_creation_that_something_in_between_answers_twice_is_made() {
    in_spite_of("POST /upload-requests", 414, |env| env.write("b.bin", "b"), "created 1");
    in_spite_of("POST /uploads", 403, |env| env.write("b.bin", "b"), "created 1");
}

#[test]
fn a_creation_that_a_dead_gateway_answers_twice_is_made() {
    in_spite_of("POST /uploads", 502, |env| env.write("b.bin", "b"), "created 1");
}

#[test]
fn a_creation_that_was_made_while_something_in_between_answered_makes_no_second_asset() {
    // It shows later than the first look for it ends: what is sent again meets its own id.
    let env = TestEnv::with(Settings { job_min_ms: 6_000, job_max_ms: 6_000, ..jobs() });
    env.write("a.bin", "a");
    env.sandbox.fault("POST /uploads", FaultKind::HtmlReply { status: 403 });
    env.sync().exits(0).did("created 1");
    assert!(env.sandbox.count("POST /uploads") > 1);
    assert_eq!(env.assets().len(), 1);
    env.assert_still();
}

#[test]
fn a_change_that_something_in_between_answers_twice_is_made() {
    in_spite_of("PUT /uploads/:id", 403, |env| env.write("a.bin", "changed"), "replaced 1");
    in_spite_of("PUT /uploads/:id", 400, |env| env.write("a.bin.meta.toml", "[alt]\nen = \"x\"\n"), "retagged 1");
    in_spite_of(
        "POST /uploads/:id/tracks",
        403,
        |env| env.write("clip.en.vtt", "WEBVTT\n\n00:00.000 --> 00:01.000\nHello\n"),
        "created 1",
    );
}

#[test]
fn a_deletion_that_something_in_between_answers_twice_is_made() {
    in_spite_of("DELETE /uploads/:id", 403, |env| env.remove("a.bin"), "deleted 1");
}

/// JSON of something else, with a good status.
const STRANGE: [(u16, &str); 4] = [
    (204, ""),
    (200, r#"{"data":null}"#),
    (200, r#"{"data":[]}"#),
    (200, r#"{"data":{"type":"job_result","id":"1","attributes":{"status":200,"payload":{}}}}"#),
];

#[test]
fn a_deletion_counts_only_by_its_own_asset_or_by_a_look() {
    for (status, text) in STRANGE {
        let env = TestEnv::new();
        env.config_with("on_delete = \"delete\"\nmax_delete = 10");
        for name in ["kept.bin", "a.bin", "b.bin"] {
            env.write(name, name);
        }
        env.sync().exits(0).did("created 3");
        env.remove("a.bin");
        env.remove("b.bin");
        for route in ["DELETE /uploads/:id", "POST /uploads/bulk/destroy"] {
            env.sandbox.add_fault(for_ever(route, body(status, "application/json", text)));
        }
        let run = env.sync().exits(1).did("failed 2");
        for path in ["a.bin", "b.bin"] {
            let problem = run.problem(path);
            assert!(problem.contains("something between us and the API answers"), "{text}: {problem}");
        }
        assert_eq!(env.assets().len(), 3, "{text}");
        env.sandbox.clear_faults();
        env.sync().exits(0).did("deleted 2");
        assert_eq!(env.assets().len(), 1, "{text}");
    }
}

#[test]
fn a_change_counts_only_by_its_own_asset_or_by_a_look() {
    for (status, text) in STRANGE {
        let env = TestEnv::new();
        env.write("a.bin", "a");
        env.sync().exits(0).did("created 1");
        env.sandbox.add_fault(for_ever("PUT /uploads/:id", body(status, "application/json", text)));
        env.config_with("tags = [\"new\"]");
        let run = env.sync().exits(1).did("failed 1");
        let problem = run.problem("a.bin");
        assert!(problem.contains("something between us and the API answers"), "{text}: {problem}");
        env.sandbox.clear_faults();
        env.sync().exits(0).did("retagged 1");
        assert_eq!(env.asset("a.bin").tags, ["new"], "{text}");
    }
}

#[test]
fn a_login_page_is_named_as_such_and_is_no_refusal_of_the_token() {
    let env = TestEnv::new();
    env.write("a.bin", "a");
    for status in [401, 403] {
        env.sandbox.add_fault(for_ever("* *", body(status, "text/html", "<html>Please log in</html>")));
        let run = env.sync().exits(3);
        assert!(run.stderr.contains("something between us and the API answers"), "{}", run.stderr);
        assert!(!run.stderr.contains("wrong, revoked"), "{}", run.stderr);
        env.sandbox.clear_faults();
    }
    let refused = FaultKind::Errors { status: 401, errors: vec![("INVALID_AUTHORIZATION_HEADER".into(), json!({}))] };
    env.sandbox.add_fault(for_ever("* *", refused));
    let run = env.sync().exits(3);
    assert!(run.stderr.contains("the API refuses the token"), "{}", run.stderr);
}

#[test]
fn a_file_that_something_in_between_dislikes_stops_no_other() {
    let env = TestEnv::new();
    env.write("a.bin", "a");
    env.sync().exits(0);
    let id = env.asset("a.bin").id;
    env.sandbox.add_fault(for_ever(&format!("PUT /uploads/{id}"), body(403, "text/html", "<html>Blocked</html>")));
    env.write("a.bin", "changed");
    env.write("b.bin", "b");
    let run = env.sync().exits(1);
    assert_eq!(run.count("created"), 1, "{}", run.stdout);
    assert!(run.problem("a.bin").contains("something between us and the API answers"), "{}", run.problem("a.bin"));
    env.sandbox.clear_faults();
    env.sync().exits(0).did("replaced 1");
}

#[test]
fn a_service_that_refuses_each_write_ends_a_run_in_the_stated_time() {
    let env = TestEnv::new();
    env.write("a.bin", "a");
    let refused = FaultKind::Status { status: 503, code: "X".into(), transient: true, details: Value::Null };
    env.sandbox.add_fault(for_ever("POST /upload-requests", refused));
    env.sync().exits(3);
    let tries = env.sandbox.count("POST /upload-requests");
    assert!(tries <= 60, "{tries} tries");
}

#[test]
fn a_bucket_that_sends_elsewhere_gets_the_file_where_it_says() {
    let env = TestEnv::new();
    for (number, size) in [(0, 0), (1, 100), (2, 3_000_000)] {
        env.sandbox.fault("PUT bucket", FaultKind::Redirect { to: None });
        env.write(format!("{number}.bin"), bytes(number, size));
        env.sync().exits(0).did("created 1");
    }
    env.sandbox.add_fault(for_ever("PUT bucket", FaultKind::Redirect { to: Some("http://bucket.example/x".into()) }));
    env.write("3.bin", "3");
    let run = env.sync().exits(1);
    assert!(run.problem("3.bin").contains("not https"), "{}", run.problem("3.bin"));
    env.sandbox.clear_faults();
    env.sync().exits(0).did("created 1");
}

#[test]
fn a_ticket_that_leads_astray_sends_nothing_and_one_that_rules_the_transport_does_not() {
    let env = TestEnv::new();
    let at = |at: &str, to: Value| FaultKind::Alter { at: format!("/data/attributes/{at}"), to };
    env.sandbox.add_fault(for_ever("POST /upload-requests", at("url", json!("http://bucket.example/x"))));
    env.write("a.bin", "a");
    let run = env.sync().exits(1);
    let problem = run.problem("a.bin");
    assert!(problem.contains("not https") && problem.contains("was not sent there"), "{problem}");
    assert!(!problem.contains("cannot be reached"), "{problem}");
    assert_eq!(env.sandbox.count("PUT bucket"), 0);
    env.sandbox.clear_faults();
    let many: serde_json::Map<_, _> = (0..40_000).map(|number| (format!("x-{number}"), json!("1"))).collect();
    env.sandbox.add_fault(for_ever("POST /upload-requests", at("request_headers", json!(many))));
    let run = env.sync().exits(1);
    assert!(run.problem("a.bin").contains("more headers than any bucket takes"), "{}", run.problem("a.bin"));
    assert_eq!(env.sandbox.count("PUT bucket"), 0);
    env.sandbox.clear_faults();
    for (name, value) in [("Transfer-Encoding", "chunked"), ("Content-Length", "7"), ("Host", "evil.example")] {
        env.sandbox.add_fault(Fault {
            route: "POST /upload-requests".into(),
            skip: 0,
            times: Some(1),
            kind: at(&format!("request_headers/{name}"), json!(value)),
        });
        env.write("a.bin", name);
        env.sync().exits(0);
        assert_eq!(env.content(&env.asset("a.bin").id), name.as_bytes());
    }
}

#[test]
fn answers_without_end_and_packed_ones_are_cut() {
    let env = TestEnv::new();
    for (number, kind) in [
        FaultKind::Endless { status: 500 },
        FaultKind::Endless { status: 403 },
        FaultKind::GzipBomb { status: 502, megabytes: 300 },
        FaultKind::GzipBomb { status: 400, megabytes: 300 },
    ]
    .into_iter()
    .enumerate()
    {
        env.sandbox.fault("POST /upload-requests", kind.clone());
        env.sandbox.fault("PUT bucket", kind);
        env.write(format!("{number}.bin"), number.to_string());
        env.sync().exits(0).did("created 1");
    }
    assert_eq!(env.assets().len(), 4);
}

#[test]
fn a_listing_that_tells_nothing_new_or_grows_for_ever_ends() {
    for kind in [FaultKind::SamePage, FaultKind::GrowingTotal] {
        let env = TestEnv::new();
        env.sandbox.create_foreign_many(None, 1_200).unwrap();
        env.write("a.bin", "a");
        env.sync().exits(0);
        for index in [true, false] {
            if !index {
                env.lose_index();
            }
            env.sandbox.add_fault(for_ever("GET /uploads", kind.clone()));
            env.sandbox.clear_log();
            env.sync();
            let calls = env.sandbox.api_calls();
            println!("{kind:?}, index {index}: {calls} calls");
            assert!(calls < 200, "{kind:?}: {calls} calls");
            env.sandbox.clear_faults();
            // Nothing was taken for gone, and nothing was made twice.
            env.sync().exits(0);
            assert_eq!(env.assets().len(), 1_201);
            assert_eq!(env.content(&env.asset("a.bin").id), b"a");
        }
    }
}

#[test]
fn a_service_that_takes_less_at_once_gets_less_at_once() {
    let env = TestEnv::with(Settings { bulk_limit: 30, longest_url: 1_500, ..fast() });
    for number in 0..130 {
        env.write(format!("{number}.bin"), bytes(number, 100));
    }
    env.config_with("tags = [\"one\"]");
    env.sync().exits(0).did("created 130");
    env.config_with("tags = [\"one\", \"two\"]");
    env.sandbox.clear_log();
    env.sync().exits(0).did("retagged 130");
    let calls = env.sandbox.api_calls();
    println!("130 assets tagged 30 at a time, URLs of 1,500 bytes: {calls} calls");
    assert!(env.assets().iter().all(|asset| asset.tags.contains(&"two".to_owned())));
    assert!(calls < 60, "{calls} calls");
    env.lose_index();
    env.sync().exits(0);
    assert_eq!(env.assets().len(), 130);
}

#[test]
fn the_request_id_of_a_refusal_stands_in_report_and_log() {
    let env = TestEnv::new();
    env.write("a.bin", "a");
    let errors = vec![
        ("INVALID_FIELD".to_owned(), json!({"field": "author"})),
        ("INVALID_FIELD".to_owned(), json!({"field": "notes"})),
    ];
    env.sandbox.fault("POST /uploads", FaultKind::Errors { status: 422, errors });
    let run = env.sync().exits(1);
    let log = env.sandbox.log();
    let id = &log.iter().find(|entry| entry.is("POST /uploads")).unwrap().request_id;
    let problem = run.problem("a.bin");
    assert!(problem.contains(&format!("request {id}")), "{problem}");
    assert!(problem.contains("author") && problem.contains("notes"), "all errors: {problem}");
    assert!(run.stderr.contains(id.as_str()), "{}", run.stderr);
}

#[test]
fn odd_rate_limits_are_said_once_and_stop_nothing() {
    let env = TestEnv::new();
    env.write("a.bin", "a");
    let headers = |pairs: &[(&str, String)]| {
        let headers: BTreeMap<_, _> = pairs.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        headers
    };
    let nothing = headers(&[("x-ratelimit-limit", "0".into()), ("x-ratelimit-remaining", "0".into())]);
    let soon = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() + 3;
    let epoch = headers(&[("x-ratelimit-reset", soon.to_string())]);
    env.sandbox.fault("POST /upload-requests", FaultKind::Headers { headers: epoch, refused: true });
    env.sandbox.add_fault(for_ever("* *", FaultKind::Headers { headers: nothing, refused: false }));
    let run = env.sync().exits(0).did("created 1");
    assert!(run.took < Duration::from_secs(60), "{:?}", run.took);
    assert_eq!(run.stderr.matches("makes no sense").count(), 1, "{}", run.stderr);
}
