//! Anything as input: a configuration, a metadata file, an answer, a name. It may be refused, never crash or hang.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::http::{StatusCode, header};
use dato_mirror::config::{Environment, Request, load};
use dato_mirror::metadata::sidecar::Sidecar;
use dato_mirror::model::{FieldKey, RelPath, Stamp, UploadId};
use dato_mirror::remote::{JobId, ListQuery, Metadata, NewUpload, Options, Remote, Timeouts};
use proptest::prelude::*;
use serde_json::{Value, json};

const EXAMPLE: &str = include_str!("../../config.example.toml");
const SIDECAR: &str = "tags = [\"a\", \"b\"]\nauthor = \"A\"\nnotes = \"\"\nfocal_point = { x = 0.5, y = 0.25 }\nposter_time = 3.5\n\
                       [alt]\nen = \"{stem}\"\n[custom_data.en]\nkey = [1, { a = 2 }]\n";

/// A text with pieces cut out, doubled or replaced by what breaks parsers.
fn damaged(text: &'static str) -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just(b"\"".to_vec()),
        Just(b"[[mirror]]\n".to_vec()),
        Just(b"{".to_vec()),
        Just(b" = ".to_vec()),
        Just(b"-9999999999999999999999".to_vec()),
        Just(b"1e999".to_vec()),
        Just("\u{202e}\u{0}é".as_bytes().to_vec()),
        prop::collection::vec(any::<u8>(), 0..6),
    ];
    let cut = (any::<prop::sample::Index>(), 0..40_usize, piece);
    prop::collection::vec(cut, 0..5).prop_map(move |cuts| {
        let mut bytes = text.as_bytes().to_vec();
        for (at, length, piece) in cuts {
            let at = at.index(bytes.len() + 1);
            let end = (at + length).min(bytes.len());
            bytes.splice(at..end, piece);
        }
        bytes
    })
}

fn some_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(|number| json!(number)),
        "[a-z0-9./é\u{0}-]{0,12}".prop_map(Value::from),
        prop::sample::select(vec!["upload", "job", "site", "brand", "paths", "d41d8cd98f00b204e9800998ecf8427e"])
            .prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 5, |inner| {
        let keys = prop::sample::select(vec![
            "data",
            "id",
            "type",
            "attributes",
            "relationships",
            "meta",
            "total_count",
            "md5",
            "size",
            "path",
            "url",
            "tags",
            "default_field_metadata",
            "en",
            "alt",
            "poster_time",
            "custom_data",
            "dato-mirror",
            "brand",
            "paths",
            "made",
            "status",
            "payload",
            "code",
            "details",
            "locales",
            "request_headers",
            "updated_at",
        ]);
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::btree_map(keys, inner, 0..6)
                .prop_map(|map| map.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()),
        ]
    })
}

/// A good answer with one value anywhere replaced.
fn bent(good: Value) -> impl Strategy<Value = Value> {
    (any::<prop::sample::Index>(), some_json()).prop_map(move |(at, new)| {
        let mut pointers = Vec::new();
        collect(&good, String::new(), &mut pointers);
        let mut bent = good.clone();
        if let Some(place) = bent.pointer_mut(&pointers[at.index(pointers.len())]) {
            *place = new;
        }
        bent
    })
}

fn collect(value: &Value, at: String, pointers: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            for (key, inner) in map {
                collect(inner, format!("{at}/{}", key.replace('~', "~0").replace('/', "~1")), pointers);
            }
        }
        Value::Array(all) => {
            for (key, inner) in all.iter().enumerate() {
                collect(inner, format!("{at}/{key}"), pointers);
            }
        }
        _ => {}
    }
    pointers.push(at);
}

fn good() -> Value {
    let upload = json!({
        "id": "q0VNpiNQSkG6z0lif_O1zg", "type": "upload",
        "attributes": {
            "size": 3, "width": 1, "height": 1, "path": "/1/a.png", "basename": "a", "filename": "a.png", "url": "http://127.0.0.1/1/a.png",
            "format": "png", "author": null, "copyright": null, "notes": null, "md5": "900150983cd24fb0d6963f7d28e17f72",
            "default_field_metadata": {"en": {"alt": "A", "title": null, "focal_point": {"x": 0.5, "y": 0.5}, "poster_time": null,
                "custom_data": {"dato-mirror": {"brand": {"paths": ["a.png"], "md5": "900150983cd24fb0d6963f7d28e17f72", "made": true}}}}},
            "is_image": true, "created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:00Z",
            "mime_type": "image/png", "tags": ["a"], "blurhash": null
        },
        "relationships": {"creator": {"data": {"type": "user", "id": "1"}}, "upload_collection": {"data": null}}
    });
    let mut newer = upload.clone();
    newer["attributes"]["default_field_metadata"] = json!({
        "alt": {"en": "A"}, "title": {"en": null}, "focal_point": null, "poster_time": 12.5,
        "custom_data": {"en": {"dato-mirror": "{\"brand\":{\"paths\":[\"a.png\"],\"made\":true}}"}},
    });
    json!({
        "newer": {"data": newer},
        "newer site": {"data": {"type": "site", "id": "1", "attributes": {"name": "S", "locales": ["en"]}, "meta": {"non_localized_focal_points": true}}},
        "one": {"data": upload}, "many": {"data": [upload], "meta": {"total_count": 1}},
        "job": {"data": {"type": "job", "id": "0123456789abcdef01234567"}},
        "result": {"data": {"type": "job_result", "id": "0", "attributes": {"status": 200, "payload": {"data": upload}}}},
        "ticket": {"data": {"type": "upload_request", "id": "/1/a.png", "attributes": {"url": "http://127.0.0.1:1/x", "request_headers": {"a": "b"}}}},
        "site": {"data": {"type": "site", "id": "1", "attributes": {"name": "S", "locales": ["en"]}, "meta": {}}},
        "error": {"data": [{"id": "1", "type": "api_error", "attributes": {"code": "INVALID_FIELD", "details": {"field": "id", "code": "VALIDATION_UNIQUENESS"}}}]}
    })
}

fn config() -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn any_configuration_is_read_or_refused_in_words(text in damaged(EXAMPLE)) {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("dato-mirror.toml");
        fs::write(&file, &text).unwrap();
        let request = Request { config_file: Some(file), cwd: dir.path().to_owned(), ..Request::default() };
        if let Err(problems) = load(&request, &Environment::default()) {
            prop_assert!(!problems.render(false).trim().is_empty());
        }
    }

    #[test]
    fn any_metadata_file_is_read_or_refused_in_words(text in damaged(SIDECAR), folder in any::<bool>()) {
        let name = if folder { "d/_folder.meta.toml" } else { "a.png.meta.toml" };
        if let Err(problems) = Sidecar::parse(name, &text) {
            prop_assert!(!problems.render(false).trim().is_empty());
        }
    }

    #[test]
    fn any_name_has_a_key_that_stays_inside_and_finds_the_file_again(bytes in prop::collection::vec(any::<u8>(), 0..24)) {
        let Ok(path) = RelPath::new(Path::new(OsStr::from_bytes(&bytes))) else { return Ok(()) };
        prop_assert!(!path.key().is_empty() && !path.key().starts_with('/'));
        prop_assert!(path.key().split('/').all(|part| part != ".." && !part.is_empty()));
        let again = RelPath::from_parts(path.key().to_owned(), path.raw_bytes().map(<[u8]>::to_vec));
        prop_assert_eq!(again.below(Path::new("/r")), path.below(Path::new("/r")));
        prop_assert!(path.below(Path::new("/r")).starts_with("/r"));
    }

    #[test]
    fn any_stamp_reads_and_what_is_read_is_written_back(value in some_json(), name in ".{0,12}") {
        let stamp = Stamp::from_json(&value);
        prop_assert_eq!(&Stamp::from_json(&stamp.to_custom_data()), &stamp);
        prop_assert_eq!(Stamp::from_json(&stamp.to_json()), stamp);
        if let Ok(key) = name.parse::<FieldKey>() {
            prop_assert_eq!(key.to_string(), name);
        }
    }
}

/// Every kind of call against a service that answers `body`.
async fn ask_everything(remote: &Remote) {
    let id = UploadId::new("q0VNpiNQSkG6z0lif_O1zg");
    let _ = remote.site().await;
    let _ = remote.list(&ListQuery::all(0)).await;
    let _ = remote.find(&id).await;
    let _ = remote.references(&id).await;
    let _ = remote.upload_request("a.png", None).await;
    let _ = remote.create(&NewUpload { id: id.clone(), path: "/1/a.png".into(), metadata: Metadata::default() }).await;
    if let Ok(budget) = remote.budget_permit().await {
        let permit = remote.call_permit(budget).await;
        let _ = remote.bulk_tag_in(permit, std::slice::from_ref(&id), &["t".into()]).await;
    }
    let _ = remote.destroy(&id).await;
    let _ = remote.job(&JobId::new("0123456789abcdef01234567".to_owned())).await;
}

#[test]
fn any_answer_is_understood_or_refused() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let answer = Arc::new(Mutex::new((200_u16, String::new())));
    let told = answer.clone();
    let base = runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().fallback(move || {
            let (status, body) = told.lock().unwrap().clone();
            async move { (StatusCode::from_u16(status).unwrap(), [(header::CONTENT_TYPE, "application/json")], body) }
        });
        tokio::spawn(async move { axum::serve(listener, router).await });
        base
    });
    let ms = Duration::from_millis;
    let timeouts = Timeouts { connect: ms(500), call: ms(500), stall: ms(500), job: ms(50), backoff: ms(1) };
    let goods: Vec<Value> = good().as_object().unwrap().values().cloned().collect();
    let bodies = (0..goods.len()).prop_flat_map(move |nth| bent(goods[nth].clone()));
    let statuses = prop::sample::select(vec![200_u16, 201, 202, 204, 400, 404, 422, 503]);
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        cases: config().cases.min(96).max(config().cases / 8),
        ..config()
    });
    let outcome = runner.run(&(statuses, bodies), |(status, body)| {
        *answer.lock().unwrap() = (status, body.to_string());
        let mut options = Options::new(base.clone(), "sandbox".to_owned().into());
        (options.timeouts, options.rate_share) = (timeouts, 1.0);
        let remote = Remote::stamped(options).unwrap();
        let asked =
            runtime.block_on(async { tokio::time::timeout(Duration::from_secs(60), ask_everything(&remote)).await });
        prop_assert!(asked.is_ok(), "a call hangs on {status} {body}");
        Ok(())
    });
    outcome.unwrap();
}
