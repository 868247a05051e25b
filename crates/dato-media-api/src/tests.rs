//! The client against raw loopback servers that behave well and badly.

mod broken;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::Write as _;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::stamp::samples::Note;

const TOKEN: &str = "tok3n-that-must-not-leak";
const SIGNATURE: &str = "s1gnature-that-must-not-leak";

/// A request as it came over the wire.
#[derive(Debug, Clone)]
struct Request {
    line: String,
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

impl Request {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }
}

/// What the stub does with a request.
enum Reaction {
    Answer(u16, Vec<(&'static str, String)>, String),
    Bytes(u16, Vec<(&'static str, String)>, Vec<u8>),
    HangUp,
}

fn ok(body: &Value) -> Reaction {
    Reaction::Answer(200, told(), body.to_string())
}

fn status(status: u16, body: &Value) -> Reaction {
    Reaction::Answer(status, told(), body.to_string())
}

fn told() -> Vec<(&'static str, String)> {
    vec![("X-RateLimit-Limit", "6000".into()), ("X-RateLimit-Remaining", "5000".into())]
}

fn error_body(code: &str, details: &Value) -> Value {
    json!({"data": [{"id": "e", "type": "api_error", "attributes": {"code": code, "details": details}}]})
}

fn site_body(by_field: bool) -> Value {
    json!({"data": {"id": "77", "type": "site", "attributes": {"name": "P", "locales": ["en", "it"]},
        "meta": {"non_localized_focal_points": by_field}}})
}

fn upload_body(id: &str) -> Value {
    json!({"data": {"id": id, "type": "upload", "attributes": {"path": "/1/a.png", "size": 3}}})
}

struct Stub {
    address: String,
    seen: Arc<Mutex<Vec<Request>>>,
}

impl Stub {
    /// Answers each request by its number (from 0) and itself.
    async fn start(react: impl Fn(usize, &Request) -> Reaction + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let react = Arc::new(react);
        let log = Arc::clone(&seen);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let (react, log) = (Arc::clone(&react), Arc::clone(&log));
                tokio::spawn(async move {
                    while let Some(mut request) = read_head(&mut stream).await {
                        let length = request.header("content-length").map_or(0, |n| n.parse().unwrap());
                        request.body = vec![0; length];
                        if stream.read_exact(&mut request.body).await.is_err() {
                            break;
                        }
                        let number = {
                            let mut log = log.lock().unwrap();
                            log.push(request.clone());
                            log.len() - 1
                        };
                        let (status, headers, body) = match react(number, &request) {
                            Reaction::Answer(status, headers, body) => (status, headers, body.into_bytes()),
                            Reaction::Bytes(status, headers, body) => (status, headers, body),
                            Reaction::HangUp => break,
                        };
                        let mut head = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n", body.len());
                        for (name, value) in headers {
                            head.push_str(&format!("{name}: {value}\r\n"));
                        }
                        let answer = [format!("{head}\r\n").as_bytes(), &body].concat();
                        if stream.write_all(&answer).await.is_err() {
                            break;
                        }
                    }
                });
            }
        });
        Self { address, seen }
    }

    fn seen(&self) -> Vec<Request> {
        self.seen.lock().unwrap().clone()
    }

    fn remote(&self) -> Client {
        Client::new(self.options()).unwrap()
    }

    fn options(&self) -> Options {
        options(&self.address)
    }
}

fn options(address: &str) -> Options {
    let mut options = Options::new(address, TOKEN.to_owned().into());
    options.rate_share = 1.0;
    options.timeouts = Timeouts {
        // Longer than a busy machine needs: where one is to run out, its test says so.
        connect: Duration::from_secs(60),
        call: Duration::from_secs(60),
        stall: Duration::from_secs(60),
        job: Duration::from_secs(5),
        backoff: Duration::from_millis(5),
    };
    options
}

async fn read_head(stream: &mut TcpStream) -> Option<Request> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let text = String::from_utf8(head).unwrap();
    let mut lines = text.lines();
    let line = lines.next()?.to_owned();
    let headers = lines.filter_map(|l| l.split_once(": ")).map(|(k, v)| (k.to_lowercase(), v.to_owned())).collect();
    Some(Request { line, headers, body: Vec::new() })
}

fn new_upload() -> NewUpload {
    NewUpload { id: UploadId::new("abc"), path: "/1/a.png".into(), metadata: Metadata::default() }
}

fn assert_no_secret(error: &(impl fmt::Debug + fmt::Display)) {
    let text = format!("{error} {error:?}");
    assert!(!text.contains(TOKEN) && !text.contains(SIGNATURE), "{text}");
}

#[tokio::test]
async fn every_call_carries_its_headers() {
    let stub = Stub::start(|number, _| ok(&if number == 0 { site_body(false) } else { upload_body("abc") })).await;
    let mut options = stub.options();
    options.environment = Some("sandbox-env".into());
    let remote = Client::new(options).unwrap();
    assert_eq!(remote.site().await.unwrap().locales, ["en", "it"]);
    let accepted = remote.create(&new_upload()).await.unwrap();
    assert!(matches!(accepted, Accepted::Done(asset) if asset.path == "/1/a.png"));
    let seen = stub.seen();
    assert_eq!(seen[0].line, "GET /site HTTP/1.1");
    assert_eq!(seen[1].line, "POST /uploads HTTP/1.1");
    for request in &seen {
        assert_eq!(request.header("authorization"), Some(format!("Bearer {TOKEN}").as_str()));
        assert_eq!(request.header("accept"), Some("application/json"));
        assert_eq!(request.header("x-api-version"), Some("3"));
        assert_eq!(request.header("x-environment"), Some("sandbox-env"));
        assert!(request.header("user-agent").unwrap().starts_with("dato-media-api/"));
    }
    assert_eq!(seen[0].header("content-type"), None);
    assert_eq!(seen[1].header("content-type"), Some("application/vnd.api+json"));
    let body = json!({"data": {"type": "upload", "id": "abc", "attributes": {"path": "/1/a.png"}}});
    assert_eq!(seen[1].json(), body);
    assert_eq!(remote.usage().api_requests, 2);
    assert_eq!(remote.usage().rate_limit, Some(6000));
}

#[tokio::test]
async fn a_lost_reply_makes_a_change_unsure_and_a_read_repeated() {
    // On a fresh connection and on one that was used before.
    for before in [0, 1] {
        let stub = Stub::start(move |number, request| match request.line.as_str() {
            "GET /site HTTP/1.1" if number != 1 || before == 1 => ok(&site_body(false)),
            "POST /uploads HTTP/1.1" => Reaction::HangUp,
            _ => ok(&site_body(false)),
        })
        .await;
        let remote = stub.remote();
        for _ in 0..before {
            remote.site().await.unwrap();
        }
        let error = remote.create(&new_upload()).await.unwrap_err();
        assert!(error.outcome_unknown(), "{error:?}");
        assert_eq!(error.kind, ApiErrorKind::Network);
        let posts = stub.seen().iter().filter(|r| r.line.starts_with("POST")).count();
        assert_eq!(posts, 1, "sent again blindly");
        assert_no_secret(&error);
    }
    let stub = Stub::start(|number, _| if number < 2 { Reaction::HangUp } else { ok(&site_body(false)) }).await;
    assert_eq!(stub.remote().site().await.unwrap().id, "77");
    assert_eq!(stub.seen().len(), 3);
}

#[tokio::test]
async fn html_and_garbage_are_retried_for_reads_and_unsure_for_changes() {
    let cases = [(502, "<html>bad gateway</html>"), (200, "<html>log in</html>"), (200, "{\"data\":")];
    for (code, body) in cases {
        let bad = move || Reaction::Answer(code, Vec::new(), body.to_owned());
        let stub = Stub::start(move |number, request| match request.line.as_str() {
            "GET /site HTTP/1.1" if number == 0 => bad(),
            "GET /site HTTP/1.1" => ok(&site_body(false)),
            _ => bad(),
        })
        .await;
        let remote = stub.remote();
        assert_eq!(remote.site().await.unwrap().id, "77", "{body}");
        let error = remote.create(&new_upload()).await.unwrap_err();
        assert!(error.outcome_unknown() && !error.to_string().contains('<'), "{error}");
        assert_eq!(stub.seen().len(), 3, "{body}");
        let error = remote.destroy(&UploadId::new("abc")).await.unwrap_err();
        assert!(error.outcome_unknown(), "{error}");
    }
}

#[tokio::test]
async fn a_read_that_keeps_failing_ends_after_five_attempts() {
    let stub = Stub::start(|_, _| Reaction::Answer(500, Vec::new(), "oops".into())).await;
    let error = stub.remote().site().await.unwrap_err();
    assert_eq!((error.kind, error.retry(), error.scope()), (ApiErrorKind::Between, Retry::Later, Scope::All));
    assert!(!error.outcome_unknown());
    assert_eq!(stub.seen().len(), 5);
}

#[tokio::test]
async fn a_refused_connection_is_no_doubt_even_for_a_change() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let ledger = FewCalls::of(100);
    let remote = Client::new(Options { ledger: Some(ledger.clone()), ..options(&address) }).unwrap();
    let error = remote.destroy(&UploadId::new("abc")).await.unwrap_err();
    assert_eq!(error.kind, ApiErrorKind::Network);
    assert!(!error.outcome_unknown() && error.is_unreachable());
    // Tried five times, and counted as no call: a dead line must not eat up a month's budget.
    assert_eq!((ledger.given_back.load(Ordering::SeqCst), remote.usage().api_requests), (5, 0));
    assert_no_secret(&error);
}

#[tokio::test]
async fn a_429_is_sat_out_and_the_call_sent_again() {
    let stub = Stub::start(|number, _| match number {
        0 => Reaction::Answer(429, vec![("X-RateLimit-Reset", "1".into())], "{}".into()),
        _ => ok(&upload_body("abc")),
    })
    .await;
    let remote = stub.remote();
    let start = Instant::now();
    remote.destroy(&UploadId::new("abc")).await.unwrap();
    assert!(start.elapsed() >= Duration::from_secs(1), "{:?}", start.elapsed());
    assert_eq!(stub.seen().len(), 2);
    assert_eq!(remote.usage().throttled, 1);
}

#[tokio::test]
async fn a_429_stops_every_clone_at_once() {
    let stub = Stub::start(|number, _| match number {
        1 => Reaction::Answer(429, vec![("X-RateLimit-Reset", "1".into())], "{}".into()),
        _ => ok(&site_body(false)),
    })
    .await;
    let remote = stub.remote();
    remote.site().await.unwrap();
    let refused = tokio::spawn({
        let remote = remote.clone();
        async move { remote.site().await }
    });
    let start = Instant::now();
    while remote.usage().throttled == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let others = (0..5).map(|_| {
        let remote = remote.clone();
        tokio::spawn(async move { remote.site().await })
    });
    let others: Vec<_> = others.collect();
    // All of them have come to the stop, and it is not over: nobody has gone on.
    loop {
        // In this order: what was seen before the stop was over.
        let seen = stub.seen().len();
        if remote.pace().stopped_for.is_zero() {
            break;
        }
        assert_eq!(seen, 2, "somebody did not stop");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for call in others.into_iter().chain([refused]) {
        call.await.unwrap().unwrap();
    }
    assert!(start.elapsed() >= Duration::from_millis(950), "{:?}", start.elapsed());
    assert_eq!(stub.seen().len(), 8);
}

#[tokio::test]
async fn a_told_limit_is_kept_by_all_clones_together() {
    let start = Instant::now();
    let times = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&times);
    let stub = Stub::start(move |_, _| {
        let mut log = log.lock().unwrap();
        log.push(start.elapsed());
        let now = start.elapsed();
        let used = log.iter().filter(|at| now - **at < Duration::from_secs(3)).count();
        let headers = vec![("X-RateLimit-Limit", "20".into()), ("X-RateLimit-Remaining", (20 - used).to_string())];
        Reaction::Answer(200, headers, site_body(false).to_string())
    })
    .await;
    let remote = stub.remote();
    let calls = (0..30).map(|_| {
        let remote = remote.clone();
        tokio::spawn(async move { remote.site().await })
    });
    for call in calls.collect::<Vec<_>>() {
        call.await.unwrap().unwrap();
    }
    let times = times.lock().unwrap();
    assert_eq!(times.len(), 30);
    for (first, last) in times.iter().zip(&times[20..]) {
        assert!(*last - *first >= Duration::from_secs(3), "21 calls in {:?}", *last - *first);
    }
    // One after the other, a window each, they would take three times as long.
    assert!(start.elapsed() < Duration::from_secs(30), "{:?}", start.elapsed());
}

#[tokio::test]
async fn a_proxys_404_page_is_not_taken_for_a_deletion() {
    let stub = Stub::start(|_, _| Reaction::Answer(404, Vec::new(), "<html>not here</html>".into())).await;
    let error = stub.remote().find(&UploadId::new("abc")).await.unwrap_err();
    assert_eq!(error.kind, ApiErrorKind::Between);
    let stub = Stub::start(|_, _| status(404, &error_body("NOT_FOUND", &json!({})))).await;
    assert_eq!(stub.remote().find(&UploadId::new("abc")).await.unwrap(), None);
}

#[tokio::test]
async fn a_transient_code_is_tried_again_and_a_permanent_one_is_not() {
    let transient = || {
        let attributes = json!({"code": "CONCURRENT_UPLOAD_UPDATE", "details": {}, "transient": true});
        status(422, &json!({"data": [{"attributes": attributes}]}))
    };
    let stub = Stub::start(move |number, _| if number == 0 { transient() } else { ok(&upload_body("abc")) }).await;
    stub.remote().destroy(&UploadId::new("abc")).await.unwrap();
    assert_eq!(stub.seen().len(), 2);

    let stub =
        Stub::start(|_, _| status(401, &error_body("INVALID_AUTHORIZATION_HEADER", &json!({"got": TOKEN})))).await;
    let error = stub.remote().site().await.unwrap_err();
    assert!(error.is_access(), "{error}");
    assert_no_secret(&error);
    assert_eq!(stub.seen().len(), 1);
}

#[tokio::test]
async fn any_call_may_be_answered_by_a_job() {
    let result = |payload: &Value| {
        json!({"data": {"type": "job_result", "id": "j", "attributes": {"status": 200,
        "payload": payload}}})
    };
    let stub = Stub::start(move |number, request| {
        let jobs_asked = number % 3;
        match (request.line.as_str(), jobs_asked) {
            ("GET /job-results/j HTTP/1.1", 1) => status(404, &error_body("NOT_FOUND", &json!({}))),
            ("GET /job-results/j HTTP/1.1", _) if number < 3 => ok(&result(&site_body(false))),
            ("GET /job-results/j HTTP/1.1", _) if number < 6 => ok(&result(&upload_body("abc"))),
            ("GET /job-results/j HTTP/1.1", _) => ok(&result(&json!({"meta": {"successful": 1, "failed": 1}}))),
            _ => status(202, &json!({"data": {"type": "job", "id": "j"}})),
        }
    })
    .await;
    let remote = stub.remote();
    assert_eq!(remote.site().await.unwrap().id, "77");
    assert_eq!(remote.find(&UploadId::new("abc")).await.unwrap().unwrap().path, "/1/a.png");
    let ids = [UploadId::new("abc"), UploadId::new("def")];
    let permit = remote.call_permit(remote.budget_permit().await.unwrap()).await;
    let outcome = remote.bulk_tag_in(permit, &ids, &["t".into()]).await.unwrap();
    assert_eq!(outcome, BulkOutcome { successful: 1, failed: 1 });
    let seen = stub.seen();
    assert_eq!(seen.len(), 9);
    assert_eq!(seen[6].line, "POST /uploads/bulk/tag HTTP/1.1");
    let uploads = json!([{"type": "upload", "id": "abc"}, {"type": "upload", "id": "def"}]);
    let expected = json!({"data": {"type": "upload_bulk_tag_operation", "attributes": {"tags": ["t"]},
        "relationships": {"uploads": {"data": uploads}}}});
    assert_eq!(seen[6].json(), expected);
}

#[tokio::test]
async fn a_job_of_a_creation_is_told_pending_done_or_failed() {
    let inner = |status: u16, payload: &Value| json!({"data": {"id": "j", "type": "job_result", "attributes": {"status": status, "payload": payload}}});
    let stub = Stub::start(move |number, _| match number {
        0 => ok(&site_body(false)),
        1 => status(202, &json!({"data": {"type": "job", "id": "j"}})),
        2 => status(404, &error_body("NOT_FOUND", &json!({}))),
        3 => ok(&inner(201, &upload_body("abc"))),
        _ => {
            let details = json!({"field": "id", "code": "VALIDATION_UNIQUENESS"});
            ok(&inner(422, &error_body("INVALID_FIELD", &details)))
        }
    })
    .await;
    let remote = stub.remote();
    let Accepted::Job(job) = remote.create(&new_upload()).await.unwrap() else { panic!() };
    assert_eq!(remote.job(&job).await.unwrap(), JobState::Pending);
    assert!(matches!(remote.job(&job).await.unwrap(), JobState::Done(Some(asset)) if asset.id.as_str() == "abc"));
    assert!(matches!(remote.job(&job).await.unwrap(), JobState::Failed(error) if error.is_uniqueness_of_id()));
}

#[tokio::test]
async fn a_change_of_the_metadata_shape_is_noticed_and_followed() {
    let stub = Stub::start(|number, _| match number {
        0 => ok(&site_body(false)),
        1 => status(422, &error_body("INVALID_FIELD", &json!({"field": "default_field_metadata"}))),
        2 => ok(&site_body(true)),
        _ => ok(&upload_body("abc")),
    })
    .await;
    let mut new = new_upload();
    new.metadata.fields = Fields::from([(FieldKey::Alt("en".into()), json!("x"))]);
    new.metadata.write = BTreeSet::from([FieldKey::Alt("en".into())]);
    stub.remote().create(&new).await.unwrap();
    let seen = stub.seen();
    let metadata = |n: usize| seen[n].json()["data"]["attributes"]["default_field_metadata"].clone();
    assert_eq!(metadata(1), json!({"en": {"alt": "x"}}));
    assert_eq!(metadata(3), json!({"alt": {"en": "x"}}));
}

#[tokio::test]
async fn an_update_that_names_no_stamp_keeps_the_stored_one() {
    let stamp = Note::of("made", "here");
    let stored = stamp.as_object();
    let stub = Stub::start(move |number, _| match number {
        0 => ok(&site_body(false)),
        1 => {
            let mut upload = upload_body("abc");
            upload["data"]["attributes"]["default_field_metadata"] = json!({"en": {"custom_data": {"note": stored}}});
            ok(&upload)
        }
        _ => ok(&upload_body("abc")),
    })
    .await;
    let metadata = Metadata {
        fields: Fields::from([(FieldKey::CustomData("en".into(), "k".into()), json!("x"))]),
        write: BTreeSet::from([FieldKey::CustomData("en".into(), "k".into())]),
        ..Metadata::default()
    };
    let change =
        UploadChange { metadata: Some(metadata), strategy: Some(ReplaceStrategy::KeepUrl), ..Default::default() };
    let client = Client::<Note>::stamped(stub.options()).unwrap();
    client.update(&UploadId::new("abc"), &change).await.unwrap();
    let seen = stub.seen();
    assert_eq!(seen[2].line, "PUT /uploads/abc?replace_strategy=keep_url HTTP/1.1");
    let sent = &seen[2].json()["data"]["attributes"]["default_field_metadata"]["en"]["custom_data"]["note"];
    assert_eq!(Some(sent), stamp.write().as_ref());
}

/// A ledger of a few calls, whose first answer is to wait.
struct FewCalls {
    waited: AtomicBool,
    left: AtomicUsize,
    given_back: AtomicUsize,
}

impl FewCalls {
    fn of(left: usize) -> Arc<Self> {
        Arc::new(Self { waited: AtomicBool::new(false), left: AtomicUsize::new(left), given_back: AtomicUsize::new(0) })
    }
}

impl Ledger for FewCalls {
    fn admit(&self) -> Admission {
        if !self.waited.swap(true, Ordering::SeqCst) {
            return Admission::Later(Duration::from_millis(1));
        }
        match self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)) {
            Ok(_) => Admission::Go,
            Err(_) => Admission::Spent,
        }
    }

    fn give_back(&self) {
        self.given_back.fetch_add(1, Ordering::SeqCst);
    }
}

#[tokio::test]
async fn the_owners_budget_is_asked_before_every_call() {
    let stub = Stub::start(|_, _| ok(&site_body(false))).await;
    let ledger = FewCalls::of(2);
    let remote = Client::new(Options { ledger: Some(ledger.clone()), ..stub.options() }).unwrap();
    remote.site().await.unwrap();
    remote.site().await.unwrap();
    let error = remote.site().await.unwrap_err();
    assert_eq!((error.kind, error.scope(), error.retry()), (ApiErrorKind::Budget, Scope::All, Retry::Never));
    assert_eq!((stub.seen().len(), ledger.given_back.load(Ordering::SeqCst)), (2, 0));
}

#[tokio::test]
async fn a_setup_that_cannot_work_is_refused_in_plain_words() {
    for (url, token) in [("nonsense", "t"), ("http://example.com", "t"), ("https://example.com", "a\nb")] {
        let error = Client::new(Options::new(url, token.to_owned().into())).unwrap_err();
        assert_eq!(error.kind, ApiErrorKind::Setup, "{url}");
    }
}

#[test]
fn calls_can_be_spawned_and_nothing_prints_a_secret() {
    fn sendable<T: Send>(_: &T) {}
    let remote = Client::new(options("http://127.0.0.1:1")).unwrap();
    let ticket = ticket("http://127.0.0.1:1", &[]);
    let cancel = CancellationToken::new();
    let file = FileToSend { open: opening("x".as_ref()), size: 1, mime: None };
    sendable(&remote.put_file(&ticket, file, &cancel));
    sendable(&remote.create(&new_upload()));
    sendable(&remote.update(&UploadId::new("a"), &UploadChange::default()));
    sendable(&remote.list(&ListQuery::count()));
    let text = format!("{remote:?} {:?} {ticket:?}", options("http://127.0.0.1:1"));
    assert!(!text.contains(TOKEN) && !text.contains(SIGNATURE), "{text}");
}

// The bucket.

fn ticket(address: &str, headers: &[(&str, &str)]) -> UploadTicket {
    UploadTicket {
        path: "/1/a.png".into(),
        url: format!("{address}/bucket/a.png?X-Amz-Signature={SIGNATURE}").into(),
        headers: headers.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned().into())).collect(),
    }
}

fn file_of(bytes: &[u8]) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    file
}

/// A bucket that does with the one connection what it is told after the head was read.
async fn bucket<F, R>(serve: F) -> (String, tokio::task::JoinHandle<R::Output>)
where
    F: FnOnce(TcpStream, Request) -> R + Send + 'static,
    R: Future<Output: Send> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let task = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let request = read_head(&mut stream).await.unwrap();
        serve(stream, request).await
    });
    (address, task)
}

/// Opens the file at `path`, and tells what is no file.
fn opening(path: &std::path::Path) -> OpenFile {
    let path = path.to_owned();
    Arc::new(move || match std::fs::metadata(&path) {
        Ok(found) if !found.is_file() => Err(SendError::Changed("it is no file any more")),
        Ok(_) => std::fs::File::open(&path).map_err(SendError::Unreadable),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err(SendError::Changed("it is gone")),
        Err(error) => Err(SendError::Unreadable(error)),
    })
}

async fn put(address: &str, path: &std::path::Path, size: usize) -> Result<Sent, SendError> {
    put_by(options(address), address, path, size).await
}

async fn put_by(options: Options, address: &str, path: &std::path::Path, size: usize) -> Result<Sent, SendError> {
    let remote = Client::new(options).unwrap();
    let file = FileToSend { open: opening(path), size: size as u64, mime: Some("image/png") };
    let outcome = remote.put_file(&ticket(address, &[]), file, &CancellationToken::new()).await;
    if let Err(error) = &outcome {
        assert_no_secret(error);
    }
    outcome
}

async fn drain(stream: &mut TcpStream, pause: Duration) -> usize {
    let mut buffer = vec![0; 64 * 1024];
    let mut total = 0;
    while let Ok(read) = stream.read(&mut buffer).await {
        if read == 0 {
            break;
        }
        total += read;
        tokio::time::sleep(pause).await;
    }
    total
}

#[tokio::test]
async fn a_file_is_sent_with_its_exact_length_all_headers_and_never_the_token() {
    for size in [0, 1, 256 * 1024, 700_001] {
        let bytes: Vec<u8> = (0..size).map(|n| (n % 251) as u8).collect();
        let md5 = Md5::of(&bytes);
        let stub =
            Stub::start(move |_, _| Reaction::Answer(200, vec![("ETag", format!("\"{md5}\""))], String::new())).await;
        let remote = stub.remote();
        let headers = [("X-Amz-Acl", "public-read"), ("x-other", "1"), ("Authorization", "x"), ("Content-Length", "9")];
        let ticket = ticket(&stub.address, &headers);
        let file = file_of(&bytes);
        let to_send = FileToSend { open: opening(file.path()), size: size as u64, mime: Some("image/png") };
        let sent = remote.put_file(&ticket, to_send, &CancellationToken::new()).await.unwrap();
        assert_eq!(sent, Sent { md5, bytes: size as u64 });
        let request = &stub.seen()[0];
        assert_eq!(request.line, format!("PUT /bucket/a.png?X-Amz-Signature={SIGNATURE} HTTP/1.1"));
        assert_eq!(request.header("content-length"), Some(size.to_string().as_str()));
        assert_eq!(request.header("transfer-encoding"), None);
        assert_eq!(request.header("authorization"), None);
        assert_eq!(request.header("x-api-version"), None);
        assert_eq!(request.header("content-type"), Some("image/png"));
        assert_eq!(request.header("x-amz-acl"), Some("public-read"));
        assert_eq!(request.header("x-other"), Some("1"));
        assert!(request.body == bytes, "other bytes arrived");
        assert_eq!(remote.usage().bytes_uploaded, size as u64);
        assert_eq!(remote.usage().api_requests, 0, "the bucket is no API");
    }
}

#[tokio::test]
async fn the_buckets_answer_decides() {
    let with_etag = |etag: &str| vec![("ETag", etag.to_owned())];
    let other = Md5::of(b"other").to_string();
    let expired = "<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>";
    type Is = fn(&SendError) -> bool;
    let html = || vec![("Content-Type", "text/HTML; charset=utf-8".to_owned())];
    let cases: [(u16, Vec<_>, &str, Is); 13] = [
        (200, html(), "<p>log in", |e| matches!(e, SendError::Between { status: 200 })),
        (403, html(), "", |e| matches!(e, SendError::Between { status: 403 })),
        (413, vec![], " <!DOCTYPE html>", |e| matches!(e, SendError::Between { status: 413 })),
        (413, vec![], "<HTML><Code>EntityTooLarge</Code>", |e| !e.is_too_large()),
        (413, vec![], "<Error><Code>EntityTooLarge</Code>", SendError::is_too_large),
        (407, vec![], "", |e| e.advice().contains("HTTPS_PROXY")),
        (511, vec![], "", |e| matches!(e, SendError::Between { .. }) && e.retry_with_new_ticket()),
        (200, with_etag(&other), "", |e| matches!(e, SendError::Mismatch { .. })),
        (
            403,
            vec![],
            expired,
            |e| matches!(e, SendError::Refused { status: Some(403), details } if details == "AccessDenied"),
        ),
        (503, vec![], "<Code>SlowDown</Code>", |e| matches!(e, SendError::Throttled { status: 503 })),
        (500, vec![], "", |e| matches!(e, SendError::Network(_))),
        (411, vec![], "", |e| matches!(e, SendError::Refused { status: Some(411), .. })),
        (302, vec![("Location", "http://127.0.0.1:1/".to_owned())], "", |e| matches!(e, SendError::Refused { .. })),
    ];
    for (status, headers, body, is) in cases {
        let body = body.to_owned();
        let stub = Stub::start(move |_, _| Reaction::Answer(status, headers.clone(), body.clone())).await;
        let file = file_of(b"abc");
        let error = put(&stub.address, file.path(), 3).await.unwrap_err();
        assert!(is(&error), "{status}: {error:?}");
    }
}

#[tokio::test]
async fn a_file_that_changes_under_the_upload_never_arrives_whole() {
    const SIZE: usize = 24 * 1024 * 1024;
    type Change = fn(&std::path::Path);
    let changes: [(&str, Change); 4] = [
        ("grew", |path| std::fs::OpenOptions::new().append(true).open(path).unwrap().write_all(b"more").unwrap()),
        ("shrank", |path| std::fs::OpenOptions::new().write(true).open(path).unwrap().set_len(100).unwrap()),
        ("gone", |path| std::fs::remove_file(path).unwrap()),
        ("written", |path| {
            let mut file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
            file.write_all(b"same length").unwrap();
        }),
    ];
    for (name, change) in changes {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.png");
        std::fs::write(&path, vec![1; SIZE]).unwrap();
        let changed = path.clone();
        let (address, server) = bucket(move |mut stream, _| async move {
            // An mtime has the grain of the kernel's tick.
            tokio::time::sleep(Duration::from_millis(30)).await;
            change(&changed);
            let received = drain(&mut stream, Duration::ZERO).await;
            drop(stream);
            received
        })
        .await;
        let error = put(&address, &path, SIZE).await.unwrap_err();
        assert!(matches!(error, SendError::Changed(_)), "{name}: {error:?}");
        assert!(server.await.unwrap() < SIZE, "{name}");
    }
}

#[tokio::test]
async fn a_file_that_is_not_as_it_should_be_is_not_sent() {
    let file = file_of(b"abc");
    for (size, path) in [(2, file.path()), (4, file.path()), (3, "/nonexistent".as_ref()), (3, "/".as_ref())] {
        let (address, _server) = bucket(|mut stream, _| async move { drain(&mut stream, Duration::ZERO).await }).await;
        let error = put(&address, path, size).await.unwrap_err();
        assert!(matches!(error, SendError::Changed(_)), "{size} {path:?}: {error:?}");
    }
}

#[tokio::test]
async fn an_early_403_is_a_refusal_however_it_looks() {
    const SIZE: usize = 16 * 1024 * 1024;
    let file = file_of(&vec![1; SIZE]);
    for answer in ["HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\nconnection: close\r\n\r\n", ""] {
        let (address, _server) = bucket(move |mut stream, _| async move {
            let mut some = [0; 1000];
            stream.read_exact(&mut some).await.unwrap();
            stream.write_all(answer.as_bytes()).await.unwrap();
            // Closing with unread bytes resets the connection.
        })
        .await;
        let error = put(&address, file.path(), SIZE).await.unwrap_err();
        assert!(matches!(error, SendError::Refused { .. }), "{error:?}");
        assert!(error.retry_with_new_ticket());
    }
}

#[tokio::test]
async fn a_slow_upload_that_moves_survives_and_a_stalled_one_is_cut() {
    const SIZE: usize = 12 * 1024 * 1024;
    let hasty = |address: &str| {
        let mut options = options(address);
        options.timeouts.stall = Duration::from_secs(2);
        options
    };
    let file = file_of(&vec![1; SIZE]);
    let (address, server) = bucket(|mut stream, request| async move {
        let length: usize = request.header("content-length").unwrap().parse().unwrap();
        let mut left = length;
        let mut buffer = vec![0; 64 * 1024];
        while left > 0 {
            left -= stream.read(&mut buffer).await.unwrap();
            tokio::time::sleep(Duration::from_millis(12)).await;
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.unwrap();
    })
    .await;
    let start = Instant::now();
    let sent = put_by(hasty(&address), &address, file.path(), SIZE).await.unwrap();
    assert_eq!(sent.bytes, SIZE as u64);
    assert!(start.elapsed() > Duration::from_secs(2), "it was to be slower than the stall limit");
    server.await.unwrap();

    let (address, _server) = bucket(|stream, _| async move {
        std::future::pending::<()>().await;
        drop(stream);
    })
    .await;
    let error = put_by(hasty(&address), &address, file.path(), SIZE).await.unwrap_err();
    assert!(matches!(&error, SendError::Network(text) if text.contains("no progress")), "{error:?}");
}

#[tokio::test]
async fn a_cancelled_upload_hangs_up() {
    const SIZE: usize = 24 * 1024 * 1024;
    let file = file_of(&vec![1; SIZE]);
    let cancel = CancellationToken::new();
    let from_server = cancel.clone();
    let (address, server) = bucket(move |mut stream, _| async move {
        let mut some = vec![0; 100_000];
        stream.read_exact(&mut some).await.unwrap();
        from_server.cancel();
        tokio::time::sleep(Duration::from_millis(100)).await;
        some.len() + drain(&mut stream, Duration::ZERO).await
    })
    .await;
    let remote = Client::new(options(&address)).unwrap();
    let to_send = FileToSend { open: opening(file.path()), size: SIZE as u64, mime: None };
    let error = remote.put_file(&ticket(&address, &[]), to_send, &cancel).await.unwrap_err();
    assert!(matches!(error, SendError::Cancelled), "{error:?}");
    let received = tokio::time::timeout(Duration::from_secs(60), server).await.expect("the line stayed open").unwrap();
    assert!(received < SIZE);
}

#[tokio::test]
async fn the_bandwidth_cap_is_shared_by_all_uploads() {
    let stub = Stub::start(|_, _| Reaction::Answer(200, Vec::new(), String::new())).await;
    let mut options = stub.options();
    options.upload_bandwidth = Some(200_000);
    // Shorter than the uploads take: waiting for the cap is no stall.
    options.timeouts.stall = Duration::from_millis(300);
    let remote = Client::new(options).unwrap();
    let file = file_of(&vec![1; 100_000]);
    let start = Instant::now();
    let uploads = (0..2).map(|_| {
        let (remote, address, path) = (remote.clone(), stub.address.clone(), file.path().to_owned());
        tokio::spawn(async move {
            let to_send = FileToSend { open: opening(&path), size: 100_000, mime: None };
            remote.put_file(&ticket(&address, &[]), to_send, &CancellationToken::new()).await
        })
    });
    for upload in uploads.collect::<Vec<_>>() {
        upload.await.unwrap().unwrap();
    }
    let took = start.elapsed();
    assert!(took > Duration::from_millis(800), "{took:?}");
}

#[tokio::test]
async fn waiting_for_the_cap_is_no_stall() {
    let stub = Stub::start(|_, _| Reaction::Answer(200, Vec::new(), String::new())).await;
    let mut options = stub.options();
    options.upload_bandwidth = Some(600);
    options.timeouts.stall = Duration::from_millis(1200);
    let remote = Client::new(options).unwrap();
    let file = file_of(&[1; 2000]);
    let start = Instant::now();
    let to_send = FileToSend { open: opening(file.path()), size: 2000, mime: None };
    remote.put_file(&ticket(&stub.address, &[]), to_send, &CancellationToken::new()).await.unwrap();
    assert!(start.elapsed() > Duration::from_millis(1500), "{:?}", start.elapsed());
}

#[tokio::test]
async fn a_ticket_comes_from_one_call_and_keeps_its_secret() {
    let url = format!("https://bucket.example/a.png?X-Amz-Signature={SIGNATURE}");
    let stub = Stub::start(move |_, _| {
        let attributes = json!({"url": url, "request_headers": {"x-amz-acl": "public-read"}});
        status(201, &json!({"data": {"type": "upload_request", "id": "/205/1-a.png", "attributes": attributes}}))
    })
    .await;
    let ticket = stub.remote().upload_request("a b.png", None).await.unwrap();
    assert_eq!(ticket.path, "/205/1-a.png");
    assert!(!format!("{ticket:?}").contains(SIGNATURE));
    let body = json!({"data": {"type": "upload_request", "attributes": {"filename": "a b.png"}}});
    assert_eq!(stub.seen()[0].json(), body);
}
