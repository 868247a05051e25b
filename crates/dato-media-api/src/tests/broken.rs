//! Answers that are not the API's, are larger than any answer, or tell nonsense; buckets that send elsewhere.

use std::io::Write as _;

use super::*;

/// What stands between us and an API says these with whatever body it likes.
const NOT_THE_APIS: [u16; 21] =
    [400, 401, 402, 403, 404, 405, 406, 407, 408, 409, 410, 413, 414, 415, 421, 422, 431, 451, 500, 502, 511];

const BODIES: [&str; 6] =
    ["<html>Blocked by policy</html>", "no", "", "{\"error\":\"unauthorized\"}", "[]", "{\"data\":[{\"id\":"];

fn answer(status: u16, body: &str) -> Reaction {
    Reaction::Answer(status, Vec::new(), body.to_owned())
}

#[tokio::test]
async fn an_answer_that_is_not_the_apis_is_never_taken_for_its_word() {
    for code in NOT_THE_APIS {
        // Every body with what matters most, and each with some other.
        let bodies = if matches!(code, 401 | 403 | 500) { &BODIES[..] } else { &BODIES[usize::from(code) % 6..][..1] };
        for &body in bodies {
            let stub = Stub::start(move |number, _| match number {
                0 | 1 => answer(code, body),
                _ => ok(&site_body(false)),
            })
            .await;
            // A read is asked again, after a pause.
            stub.remote().site().await.unwrap_or_else(|error| panic!("{code} {body:?}: {error}"));

            let stub = Stub::start(move |_, _| answer(code, body)).await;
            let remote = stub.remote();
            let error = remote.site().await.unwrap_err();
            assert_eq!(stub.seen().len(), 5, "{code} {body:?}");
            assert!(!error.is_access() && error.is_unreachable() && error.heals(), "{code} {body:?}: {error:?}");
            assert!(!error.is_not_found() && !error.is_uniqueness_of_id(), "{error:?}");
            assert!(error.to_string().starts_with("something between us and the API answers"), "{error}");
            assert_eq!(error.retry(), Retry::Later, "{error:?}");
            // Whether a change was made nobody knows: it is not sent blindly again, and not given up.
            let stub = Stub::start(move |_, _| answer(code, body)).await;
            let error = stub.remote().destroy(&UploadId::new("abc")).await.unwrap_err();
            assert!(error.outcome_unknown() && error.heals(), "{code} {body:?}: {error:?}");
            assert_eq!(stub.seen().len(), 1, "{code} {body:?}");
        }
    }
}

/// Calls by their routes, and whether each may be sent again unseen.
const CALLS: [(&str, bool); 11] = [
    ("GET /uploads", true),
    ("GET /uploads of one id", true),
    ("GET /uploads/:id", true),
    ("GET /uploads/:id/references", true),
    ("GET /uploads/:id/tracks", true),
    ("GET /upload-collections", true),
    ("POST /upload-requests", true),
    ("POST /uploads", false),
    ("PUT /uploads/:id", false),
    ("DELETE /uploads/:id", false),
    ("POST /uploads/bulk/destroy", false),
];

async fn call(remote: &Client, route: &str) -> Result<(), ApiError> {
    let id = UploadId::new("abc");
    match route {
        "GET /uploads" => remote.list(&ListQuery::all(0)).await.map(drop),
        "GET /uploads of one id" => remote.list(&ListQuery::ids(ids(1))).await.map(drop),
        "GET /uploads/:id" => remote.find(&id).await.map(drop),
        "GET /uploads/:id/references" => remote.references(&id).await.map(drop),
        "GET /uploads/:id/tracks" => remote.tracks(&id).await.map(drop),
        "GET /upload-collections" => remote.collections().await.map(drop),
        "POST /upload-requests" => remote.upload_request("a.png", None).await.map(drop),
        "POST /uploads" => {
            let new = NewUpload { id, path: "/205/a.png".into(), metadata: Metadata::default() };
            remote.create(&new).await.map(drop)
        }
        "PUT /uploads/:id" => {
            let change = UploadChange { path: Some("/205/a.png".into()), ..UploadChange::default() };
            remote.update(&id, &change).await.map(drop)
        }
        "DELETE /uploads/:id" => remote.destroy(&id).await.map(drop),
        "POST /uploads/bulk/destroy" => {
            let permit = remote.call_permit(remote.budget_permit().await.unwrap()).await;
            match remote.bulk_destroy_in(permit, &ids(3)).await {
                Ok(_) => Ok(()),
                Err(NotDone::Final(error) | NotDone::Again { error, .. }) => Err(error),
            }
        }
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn what_is_not_the_apis_is_treated_alike_at_every_call() {
    for (route, repeats) in CALLS {
        for (code, body) in
            [(400, BODIES[0]), (403, BODIES[1]), (404, BODIES[0]), (414, BODIES[0]), (414, ""), (502, "")]
        {
            let stub = Stub::start(move |_, request| {
                // What tells the project's shape before a write is well.
                if request.line.contains(" /site ") { ok(&site_body(true)) } else { answer(code, body) }
            })
            .await;
            let error = call(&stub.remote(), route).await.unwrap_err();
            let case = format!("{route} {code} {body:?}: {error:?}");
            assert_eq!(error.kind, ApiErrorKind::Between, "{case}");
            assert_eq!(error.retry(), Retry::Later, "{case}");
            assert!(error.is_unreachable() && error.outcome_unknown() != repeats, "{case}");
            let calls = stub.seen().iter().filter(|request| !request.line.contains(" /site ")).count();
            assert_eq!(calls, if repeats { 5 } else { 1 }, "{case}");
        }
    }
}

#[tokio::test]
async fn a_success_without_the_apis_document_is_no_success() {
    for body in ["", "<html>Welcome to the hotel</html>", "{}", "{\"ok\":true}", "[]", "7", "{\"meta\":{}}"] {
        for code in [200, 201, 202] {
            let stub = Stub::start(move |_, _| answer(code, body)).await;
            let error = stub.remote().destroy(&UploadId::new("abc")).await.unwrap_err();
            assert!(error.outcome_unknown() && error.heals(), "{code} {body:?}: {error:?}");
            assert!(error.to_string().starts_with("something between us and the API answers"), "{error}");
        }
    }
}

#[tokio::test]
async fn a_change_is_proved_by_its_own_asset_and_by_nothing_else() {
    let strange = [
        (204, ""),
        (200, r#"{"data":null}"#),
        (200, r#"{"data":[]}"#),
        (200, r#"{"data":{}}"#),
        (200, r#"{"data":{"type":"upload","id":"another"}}"#),
        (200, r#"{"data":{"type":"job_result","id":"1","attributes":{"status":200,"payload":{}}}}"#),
        (200, r#"{"data":{"type":"job_result","id":"abc","attributes":{"status":200,"payload":{}}}}"#),
    ];
    for (code, body) in strange {
        for route in ["POST /uploads", "PUT /uploads/:id", "DELETE /uploads/:id"] {
            let stub =
                Stub::start(
                    move |_, request| {
                        if request.line.contains(" /site ") { ok(&site_body(true)) } else { answer(code, body) }
                    },
                )
                .await;
            let case = format!("{route} {code} {body:?}");
            let error = call(&stub.remote(), route).await.expect_err(&case);
            assert!(error.outcome_unknown() && error.heals() && error.is_blocked(), "{case}: {error:?}");
            assert!(error.to_string().starts_with("something between us and the API answers"), "{case}: {error}");
            assert_eq!(stub.seen().iter().filter(|r| !r.line.contains(" /site ")).count(), 1, "{case}");
        }
        // Numbers that nobody told prove nothing: each is looked at.
        let stub = Stub::start(move |_, _| answer(code, body)).await;
        let remote = stub.remote();
        let permit = remote.call_permit(remote.budget_permit().await.unwrap()).await;
        match remote.bulk_destroy_in(permit, &ids(3)).await {
            Ok(outcome) => assert_eq!(outcome, BulkOutcome::default(), "{code} {body:?}"),
            Err(NotDone::Final(error)) => assert!(error.outcome_unknown(), "{code} {body:?}: {error:?}"),
            Err(other) => panic!("{code} {body:?}: {other:?}"),
        }
        // Nor does it show an asset, or that there is none.
        let stub = Stub::start(move |_, _| answer(code, body)).await;
        assert!(stub.remote().find(&UploadId::new("abc")).await.is_err(), "{code} {body:?}");
    }
}

#[tokio::test]
async fn the_result_of_another_job_ends_no_job() {
    for (id, is_it) in [("j", true), ("k", false)] {
        let stub = Stub::start(move |_, _| {
            ok(&json!({"data": {"type": "job_result", "id": id, "attributes": {"status": 200, "payload": {}}}}))
        })
        .await;
        assert_eq!(stub.remote().job(&JobId::new("j")).await.is_ok(), is_it, "{id}");
    }
}

#[tokio::test]
async fn a_refusal_of_the_token_in_the_apis_own_json_ends_everything() {
    for (code, name) in [(401, "INVALID_AUTHORIZATION_HEADER"), (401, "NEW_CODE"), (404, "INVALID_ENVIRONMENT")] {
        let stub = Stub::start(move |_, _| status(code, &error_body(name, &json!({})))).await;
        let error = stub.remote().site().await.unwrap_err();
        assert!(error.is_access(), "{name}: {error:?}");
        assert_eq!(stub.seen().len(), 1);
    }
}

#[tokio::test]
async fn a_job_that_is_not_there_yet_is_no_reason_to_hurry() {
    for body in ["", "<html>404</html>"] {
        let stub = Stub::start(move |_, _| answer(404, body)).await;
        assert_eq!(stub.remote().job(&JobId::new("j")).await.unwrap(), JobState::Pending);
        assert_eq!(stub.seen().len(), 1, "one call a question");
    }
}

/// A body without end; counts what was taken of it, bytes.
async fn endless(head: &'static str, block: Vec<u8>) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let taken = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&taken);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let (count, block) = (Arc::clone(&count), block.clone());
            tokio::spawn(async move {
                read_head(&mut stream).await;
                let _ = stream.write_all(head.as_bytes()).await;
                while stream.write_all(&block).await.is_ok() {
                    count.fetch_add(block.len(), Ordering::SeqCst);
                    if count.load(Ordering::SeqCst) > 512 * 1024 * 1024 {
                        break;
                    }
                }
            });
        }
    });
    (address, taken)
}

/// What sockets hold beside what was read, for five attempts.
const IN_SOCKETS: usize = 5 * 8 * 1024 * 1024;

#[tokio::test]
async fn an_answer_without_end_is_cut() {
    let heads = [
        ("HTTP/1.1 403 X\r\nconnection: close\r\n\r\n", 64 * 1024),
        ("HTTP/1.1 500 X\r\nconnection: close\r\n\r\n", 64 * 1024),
        ("HTTP/1.1 200 X\r\nconnection: close\r\n\r\n", 8 * 1024 * 1024),
    ];
    for (head, most) in heads {
        let (address, taken) = endless(head, vec![b'x'; 64 * 1024]).await;
        let error = Client::new(options(&address)).unwrap().site().await.unwrap_err();
        assert!(error.is_unreachable() && error.heals(), "{head}: {error:?}");
        let taken = taken.load(Ordering::SeqCst);
        assert!(taken < 5 * most + IN_SOCKETS, "{head}: {taken} bytes");
    }
}

fn gzip(bytes: &[u8], times: usize) -> Vec<u8> {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    for _ in 0..times {
        packed.write_all(bytes).unwrap();
    }
    packed.finish().unwrap()
}

#[tokio::test]
async fn a_packed_answer_is_cut_by_what_it_unpacks_to() {
    let bomb = Arc::new(gzip(&vec![b' '; 1024 * 1024], 256));
    for code in [200, 403, 500] {
        let bomb = Arc::clone(&bomb);
        let stub =
            Stub::start(move |_, _| Reaction::Bytes(code, vec![("content-encoding", "gzip".into())], bomb.to_vec()))
                .await;
        let start = Instant::now();
        let error = stub.remote().site().await.unwrap_err();
        assert!(error.is_unreachable() && error.heals(), "{code}: {error:?}");
        assert!(start.elapsed() < Duration::from_secs(30), "{:?}", start.elapsed());
    }
    // A good one is read.
    let packed = gzip(site_body(true).to_string().as_bytes(), 1);
    let stub =
        Stub::start(move |_, _| Reaction::Bytes(200, vec![("content-encoding", "gzip".into())], packed.clone())).await;
    assert!(stub.remote().site().await.unwrap().shape.is_by_field());
}

#[tokio::test]
async fn a_buckets_refusal_without_end_is_cut() {
    for head in [
        "HTTP/1.1 403 X\r\nconnection: close\r\n\r\n",
        "HTTP/1.1 403 X\r\nconnection: close\r\ncontent-encoding: gzip\r\n\r\n",
    ] {
        let (address, taken) = endless(head, vec![b'x'; 64 * 1024]).await;
        let file = file_of(b"abc");
        let start = Instant::now();
        put(&address, file.path(), 3).await.unwrap_err();
        assert!(start.elapsed() < Duration::from_secs(10));
        let taken = taken.load(Ordering::SeqCst);
        assert!(taken < 64 * 1024 + IN_SOCKETS, "{taken} bytes");
    }
}

#[tokio::test]
async fn the_request_id_stands_in_the_error() {
    let with_id =
        |code: u16, body: String, id: &str| Reaction::Answer(code, vec![("X-Request-Id", id.to_owned())], body);
    let body = error_body("INVALID_FIELD", &json!({"field": "title"})).to_string();
    let stub = Stub::start(move |_, _| with_id(422, body.clone(), "0d1c-77aa")).await;
    let error = stub.remote().site().await.unwrap_err();
    assert!(error.to_string().ends_with("(HTTP 422, INVALID_FIELD, request 0d1c-77aa)"), "{error}");

    let stub = Stub::start(move |_, _| with_id(502, "<html>".into(), "abc")).await;
    assert!(stub.remote().site().await.unwrap_err().to_string().contains("request abc"));

    // A header of any length and kind is not copied into a log.
    let stub = Stub::start(move |_, _| with_id(502, String::new(), &format!("a b<\"{}", "x".repeat(5000)))).await;
    let text = stub.remote().site().await.unwrap_err().to_string();
    assert!(text.len() < 400 && !text.contains('<'), "{text}");

    // A job's failure names the call that told of it.
    let inner = json!({"data": {"id": "j", "type": "job_result", "attributes": {"status": 422, "payload": error_body("INVALID_FIELD", &json!({}))}}});
    let stub = Stub::start(move |_, _| with_id(200, inner.to_string(), "job-1")).await;
    let JobState::Failed(error) = stub.remote().job(&JobId::new("j")).await.unwrap() else { panic!() };
    assert!(error.to_string().contains("request job-1"), "{error}");
}

#[tokio::test]
async fn all_errors_of_an_answer_are_read() {
    let one = |code: &str, details: &Value| json!({"id": "e", "type": "api_error", "attributes": {"code": code, "details": details}});
    let title = one("INVALID_FIELD", &json!({"field": "default_field_metadata.title"}));
    let taken = one("INVALID_FIELD", &json!({"field": "id", "code": "VALIDATION_UNIQUENESS"}));
    let collection = one("INVALID_FIELD", &json!({"field": "upload_collection"}));
    let token = one("INVALID_AUTHORIZATION_HEADER", &json!({}));
    let busy = json!({"attributes": {"code": "CONCURRENT_UPLOAD_UPDATE", "details": {}, "transient": true}});
    let error = |errors: &[&Value]| ApiError::from_answer(422, Some(&json!({"data": errors})));

    let both = error(&[&title, &taken]);
    assert!(both.is_uniqueness_of_id(), "{both:?}");
    assert!(both.to_string().contains("title") && both.to_string().contains("field id"), "{both}");
    assert!(error(&[&title, &collection]).is_about_collection());
    assert!(error(&[&title, &token]).is_access());
    assert_eq!(error(&[&title, &token]).scope(), Scope::All);
    // What passes does not help where something else does not.
    assert_eq!(error(&[&busy, &title]).retry(), Retry::Never);
    assert_eq!(error(&[&busy, &busy]).retry(), Retry::Later);
    let many: Vec<&Value> = std::iter::repeat_n(&title, 5000).collect();
    assert!(error(&many).to_string().len() < 2000);
}

#[tokio::test]
async fn a_wait_that_is_odd_is_bounded_by_a_minute() {
    let now = 1_790_000_000;
    let seconds = |reset: Option<&str>, after: Option<&str>| rate_headers::wait_of(reset, after, now).seconds.as_secs();
    assert_eq!(seconds(Some("2"), None), 2);
    assert_eq!(seconds(Some("60"), None), 60);
    assert_eq!(seconds(Some("61"), None), 60);
    assert_eq!(seconds(Some("4294967296"), None), 60);
    assert_eq!(seconds(Some("99999999999999999999999"), None), 60);
    // An epoch, in seconds and in milliseconds: what is left until then.
    assert_eq!(seconds(Some("1790000007"), None), 7);
    assert_eq!(seconds(Some("1790000007000"), None), 7);
    assert_eq!(seconds(Some("1790009999"), None), 60);
    assert_eq!(seconds(Some("1780000000"), None), 1);
    assert_eq!(seconds(Some("0"), None), 1);
    assert_eq!(seconds(Some("-3"), None), 3);
    assert_eq!(seconds(Some("1.2"), None), 2);
    assert_eq!(seconds(Some("soon"), None), 3);
    assert_eq!(seconds(Some("soon"), Some("9")), 9);
    assert_eq!(seconds(None, Some("3600")), 60);
    assert_eq!(seconds(None, None), 3);
    let odd = |reset: &str| rate_headers::wait_of(Some(reset), None, now).is_odd;
    assert!(!odd("3") && !odd("60") && odd("61") && odd("1790000007") && odd("soon") && odd("-3"));
}

#[tokio::test]
async fn a_limit_of_nothing_does_not_stop_the_client() {
    let stub = Stub::start(|_, _| {
        let told = vec![("X-RateLimit-Limit", "0".to_owned()), ("X-RateLimit-Remaining", "0".to_owned())];
        Reaction::Answer(200, told, site_body(false).to_string())
    })
    .await;
    let remote = stub.remote();
    let start = Instant::now();
    for _ in 0..5 {
        remote.site().await.unwrap();
    }
    assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
    assert_eq!(remote.usage().rate_limit, None);
}

#[tokio::test]
async fn a_bucket_that_sends_elsewhere_gets_the_file_there() {
    for (code, size) in [(307, 3), (308, 3), (307, 0), (307, 300_000)] {
        let bytes = vec![7; size];
        let md5 = Md5::of(&bytes);
        let there =
            Stub::start(move |_, _| Reaction::Answer(200, vec![("ETag", format!("\"{md5}\""))], String::new())).await;
        let location = format!("{}/elsewhere?X-Amz-Signature={SIGNATURE}", there.address);
        let here =
            Stub::start(move |_, _| Reaction::Answer(code, vec![("Location", location.clone())], String::new())).await;
        let file = file_of(&bytes);
        let remote = here.remote();
        let to_send = FileToSend { open: opening(file.path()), size: size as u64, mime: None };
        let ticket = ticket(&here.address, &[("x-amz-acl", "public-read")]);
        let sent = remote.put_file(&ticket, to_send, &CancellationToken::new()).await.unwrap();
        assert_eq!(sent, Sent { md5, bytes: size as u64 });
        let seen = &there.seen()[0];
        assert!(seen.line.starts_with("PUT /elsewhere?"), "{}", seen.line);
        assert_eq!(seen.header("authorization"), None);
        assert_eq!(seen.header("x-amz-acl"), Some("public-read"));
        assert!(seen.body == bytes);
        assert_eq!(remote.usage().bytes_uploaded, size as u64);
    }
    // Relative to where it was.
    let stub = Stub::start(|_, request| match request.line.contains("/next") {
        true => Reaction::Answer(200, Vec::new(), String::new()),
        false => Reaction::Answer(307, vec![("Location", "/next".to_owned())], String::new()),
    })
    .await;
    let file = file_of(b"abc");
    put(&stub.address, file.path(), 3).await.unwrap();
}

#[tokio::test]
async fn a_web_page_is_no_buckets_word_that_a_file_arrived() {
    let stub =
        Stub::start(|_, _| Reaction::Answer(200, vec![("Content-Type", "text/html".into())], "<html>".into())).await;
    let file = file_of(b"abc");
    let error = put(&stub.address, file.path(), 3).await.unwrap_err();
    assert!(error.heals() && error.to_string().contains("something between us"), "{error}");
}

#[tokio::test]
async fn a_bucket_sends_nowhere_unsafe_and_not_in_circles() {
    for location in ["http://bucket.example/x", "ftp://127.0.0.1/x", "file:///etc/passwd", "", "http://"] {
        let stub =
            Stub::start(move |_, _| Reaction::Answer(307, vec![("Location", location.to_owned())], String::new()))
                .await;
        let file = file_of(b"abc");
        let error = put(&stub.address, file.path(), 3).await.unwrap_err();
        assert!(
            error.heals() && matches!(error, SendError::Refused { status: Some(307), .. }),
            "{location}: {error:?}"
        );
        assert_eq!(stub.seen().len(), 1, "{location}");
    }
    let stub = Stub::start(|_, _| Reaction::Answer(307, vec![("Location", "/again".to_owned())], String::new())).await;
    let file = file_of(b"abc");
    put(&stub.address, file.path(), 3).await.unwrap_err();
    assert!(stub.seen().len() <= 5, "{}", stub.seen().len());
}

#[tokio::test]
async fn a_ticket_rules_no_transport() {
    let stub = Stub::start(|_, _| Reaction::Answer(200, Vec::new(), String::new())).await;
    let remote = stub.remote();
    let host = stub.address.trim_start_matches("http://").to_owned();
    let headers = [
        ("Host", "evil.example"),
        ("Content-Length", "1"),
        ("Transfer-Encoding", "chunked"),
        ("Cookie", "a=b"),
        ("Connection", "close, x-amz-acl"),
        ("Keep-Alive", "1"),
        ("Upgrade", "websocket"),
        ("TE", "trailers"),
        ("Trailer", "x"),
        ("Expect", "100-continue"),
        ("Proxy-Authorization", "x"),
        ("Proxy-Connection", "close"),
        ("Authorization", "x"),
        ("x-amz-acl", "public-read"),
    ];
    let file = file_of(b"abc");
    let to_send = FileToSend { open: opening(file.path()), size: 3, mime: None };
    remote.put_file(&ticket(&stub.address, &headers), to_send, &CancellationToken::new()).await.unwrap();
    let seen = &stub.seen()[0];
    assert_eq!((seen.header("host"), seen.header("content-length")), (Some(host.as_str()), Some("3")));
    for (name, _) in &headers[2..13] {
        assert_eq!(seen.header(&name.to_lowercase()), None, "{name}");
    }
    assert_eq!(seen.header("x-amz-acl"), Some("public-read"));
}

#[tokio::test]
async fn a_ticket_leads_to_https_only_or_to_this_machine_when_the_api_is_here() {
    let file = file_of(b"abc");
    let to_send = || FileToSend { open: opening(file.path()), size: 3, mime: None };
    let stub = Stub::start(|_, _| Reaction::Answer(200, Vec::new(), String::new())).await;
    let far = Client::new(options("https://api.example")).unwrap();
    let near = stub.remote();
    for (remote, url, headers, word) in [
        (&far, stub.address.as_str(), &[][..], "not https"),
        (&near, "http://bucket.example", &[][..], "not https"),
        (&near, "ftp://127.0.0.1/x", &[][..], "not https"),
        (&near, "bucket", &[][..], "no URL"),
        (&near, stub.address.as_str(), &[("a b", "c")][..], "a header that is none"),
    ] {
        let error = remote.put_file(&ticket(url, headers), to_send(), &CancellationToken::new()).await.unwrap_err();
        let said = error.to_string();
        assert!(said.contains(word) && said.contains("the service named") && said.contains("not sent there"), "{said}");
        assert!(error.heals() && !said.contains("reached"), "{said}");
        assert!(!said.contains("bucket.example"), "{said}");
    }
    assert_eq!(stub.seen().len(), 0);
}

fn ids(count: usize) -> Vec<UploadId> {
    (0..count).map(|n| UploadId::new(format!("id{n:020}"))).collect()
}

/// A listing by ids that takes no URL longer than `most`.
async fn short_sighted(most: usize, own: bool) -> Stub {
    Stub::start(move |_, request| {
        let url = request.line.split(' ').nth(1).unwrap_or_default();
        if url.len() > most {
            return if own {
                status(414, &error_body("URI_TOO_LONG", &json!({})))
            } else {
                answer(414, "<html>414</html>")
            };
        }
        let asked =
            url.split_once("filter%5Bids%5D=").map_or("", |(_, rest)| rest.split('&').next().unwrap_or_default());
        let data: Vec<Value> = asked.split(',').map(|id| upload_body(id)["data"].clone()).collect();
        ok(&json!({"data": data, "meta": {"total_count": data.len()}}))
    })
    .await
}

#[tokio::test]
async fn a_url_that_is_too_long_is_halved_and_the_length_remembered() {
    for own in [true, false] {
        let stub = short_sighted(2000, own).await;
        let remote = stub.remote();
        let asked = ids(remote.batch_limits().ids);
        let page = remote.list(&ListQuery::ids(asked.clone())).await.unwrap();
        let found: BTreeSet<_> = page.assets.iter().map(|asset| asset.id.clone()).collect();
        assert_eq!((found.len(), page.total), (asked.len(), asked.len() as u64));
        assert!(stub.seen().len() < 20, "{} calls", stub.seen().len());
        assert!(remote.batch_limits().ids < 90);
        let before = stub.seen().len();
        remote.list(&ListQuery::ids(asked.clone())).await.unwrap();
        assert!(stub.seen()[before..].iter().all(|request| request.line.len() < 2020), "it is asked too long again");
    }
    // One that is too long by itself is an error, and no loop.
    let stub = short_sighted(1, true).await;
    stub.remote().list(&ListQuery::ids(ids(300))).await.unwrap_err();
    assert!(stub.seen().len() < 30, "{} calls", stub.seen().len());
    stub.remote().list(&ListQuery::all(0)).await.unwrap_err();
}

/// A bulk call that takes no more than `most`; counts what it has done.
async fn narrow(most: usize) -> Stub {
    Stub::start(move |_, request| {
        let count = request.json()["data"]["relationships"]["uploads"]["data"].as_array().map_or(0, Vec::len);
        if count > most {
            return status(422, &error_body("TOO_MANY_OPERATIONS", &json!({"limit": most})));
        }
        let payload = json!({"data": [], "meta": {"successful": count, "failed": 0}});
        ok(&payload)
    })
    .await
}

#[tokio::test]
async fn what_is_too_much_for_one_bulk_call_is_learned_and_never_sent_again_unseen() {
    let stub = narrow(60).await;
    let remote = stub.remote();
    let permit = || async { remote.call_permit(remote.budget_permit().await.unwrap()).await };
    assert_eq!(remote.bulk_limit(), 200);
    let error = remote.bulk_tag_in(permit().await, &ids(200), &["t".into()]).await.unwrap_err();
    assert!(error.is_too_many() && remote.bulk_limit() == 100, "{error:?}");
    let refused = remote.bulk_set_collection_in(permit().await, &ids(100), None).await.unwrap_err();
    assert!(matches!(refused, NotDone::Final(error) if error.is_too_many()));
    assert_eq!((remote.bulk_limit(), stub.seen().len()), (50, 2), "whoever sends the rest looks again before");
    let all = BulkOutcome { successful: 50, failed: 0 };
    assert_eq!(remote.bulk_tag_in(permit().await, &ids(50), &["t".into()]).await.unwrap(), all);
    assert_eq!(remote.bulk_destroy_in(permit().await, &ids(50)).await.unwrap(), all);

    // What refuses for another reason makes no call tiny.
    let stub = narrow(0).await;
    let remote = stub.remote();
    for count in [200, 100, 10, 2, 1] {
        let permit = remote.call_permit(remote.budget_permit().await.unwrap()).await;
        remote.bulk_tag_in(permit, &ids(count), &["t".into()]).await.unwrap_err();
    }
    assert_eq!((remote.bulk_limit(), stub.seen().len()), (10, 5));
}

#[tokio::test]
async fn a_page_that_is_too_large_is_asked_in_smaller_ones() {
    let stub = Stub::start(|_, request| {
        let limit = request.line.split("limit%5D=").nth(1).and_then(|rest| rest.split([' ', '&']).next());
        let limit: usize = limit.and_then(|text| text.parse().ok()).unwrap_or(30);
        let notes = "n".repeat(100_000);
        let one = |n: usize| json!({"id": format!("a{n}"), "type": "upload", "attributes": {"path": "/1/a.png", "notes": notes}});
        ok(&json!({"data": (0..limit).map(one).collect::<Vec<_>>(), "meta": {"total_count": 9000}}))
    })
    .await;
    let remote = stub.remote();
    let page = remote.list(&ListQuery::all(0)).await.unwrap();
    assert!((20..=80).contains(&page.assets.len()), "{}", page.assets.len());
    assert!(stub.seen().len() < 8);
    let before = stub.seen().len();
    remote.list(&ListQuery::all(500)).await.unwrap();
    assert_eq!(stub.seen().len() - before, 1, "the size is remembered");
}
