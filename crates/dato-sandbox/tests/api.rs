//! The sandbox refuses what the service refuses: each rule over a real socket.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a panic is how a test fails, in its helpers too")]
#![expect(clippy::needless_pass_by_value, reason = "helpers take what json! makes")]

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use dato_sandbox::{Answers, Edit, Fault, FaultKind, Options, Sandbox, Settings};
use md5::{Digest as _, Md5};
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};

/// A one-pixel PNG.
const PNG: &[u8] = &[
    0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 0, 0, 0, 0x0d, 0x49, 0x48, 0x44, 0x52, 0, 0, 0, 1, 0, 0, 0, 1, 8,
    6, 0, 0, 0, 0x1f, 0x15, 0xc4, 0x89,
];
const ID: &str = "q0VNpiNQSkG6z0lif_O1zg";
const OTHER_ID: &str = "uinr2zfqQLeCo_1O0-ao-Q";

/// The digest as the service writes it.
fn md5(content: &[u8]) -> String {
    Md5::digest(content).iter().map(|byte| format!("{byte:02x}")).collect()
}

struct Api {
    sandbox: Sandbox,
    http: Client,
}

impl Api {
    async fn start(options: Options) -> Self {
        let http = Client::builder().no_proxy().build().unwrap();
        Self { sandbox: Sandbox::local(options).await.unwrap(), http }
    }

    async fn fast() -> Self {
        Self::start(Options::fast()).await
    }

    fn raw(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.sandbox.base_url()))
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.raw(method, path).bearer_auth("sandbox");
        request.header("Accept", "application/json").header("X-Api-Version", "3")
    }

    /// What an upload's URL gives when the original is asked for.
    async fn original(&self, attributes: &Value) -> Response {
        let url = attributes["url"].as_str().unwrap();
        self.http.get(format!("{url}?skip-default-optimizations=true&svg-sanitize=false")).send().await.unwrap()
    }

    async fn send(&self, method: Method, path: &str, body: Option<Value>) -> (u16, Value) {
        let mut request = self.request(method, path);
        if let Some(body) = body {
            request = request.header("Content-Type", "application/vnd.api+json").body(body.to_string());
        }
        read(request.send().await.unwrap()).await
    }

    async fn get(&self, path: &str) -> (u16, Value) {
        self.send(Method::GET, path, None).await
    }

    /// Asks for an upload URL: path, URL, headers.
    async fn ticket(&self, filename: &str) -> (String, String, Value) {
        let body = json!({"data": {"type": "upload_request", "attributes": {"filename": filename}}});
        let (status, body) = self.send(Method::POST, "/upload-requests", Some(body)).await;
        assert_eq!(status, 201, "{body}");
        let attributes = &body["data"]["attributes"];
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        (text(&body["data"]["id"]), text(&attributes["url"]), attributes["request_headers"].clone())
    }

    fn put(&self, url: &str, headers: &Value) -> RequestBuilder {
        let mut request = self.http.put(url);
        for (name, value) in headers.as_object().unwrap() {
            request = request.header(name, value.as_str().unwrap());
        }
        request
    }

    /// Uploads bytes; gives the path.
    async fn bytes(&self, filename: &str, content: &[u8]) -> String {
        let (path, url, headers) = self.ticket(filename).await;
        let answer = self.put(&url, &headers).body(content.to_vec()).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        assert_eq!(answer.headers()["etag"], format!("\"{}\"", md5(content)));
        path
    }

    /// Sends something that makes a job and waits for its result: inner status and payload.
    async fn job(&self, method: Method, path: &str, body: Value) -> (u16, Value) {
        let (status, body) = self.send(method, path, Some(body)).await;
        if status != 202 {
            return (status, body);
        }
        let id = body["data"]["id"].as_str().unwrap().to_owned();
        assert!(id.len() == 24 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{id}");
        self.wait(&id).await
    }

    async fn wait(&self, job: &str) -> (u16, Value) {
        // A minute and more: only a job that never ends takes so long.
        for _ in 0..6000 {
            let (status, body) = self.get(&format!("/job-results/{job}")).await;
            if status == 200 {
                assert_eq!(body["data"]["type"], "job_result");
                let attributes = &body["data"]["attributes"];
                let inner = u16::try_from(attributes["status"].as_u64().unwrap()).unwrap();
                return (inner, attributes["payload"].clone());
            }
            assert_eq!(status, 404);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("job {job} does not end");
    }

    /// A whole create; gives the upload.
    async fn create(&self, filename: &str, content: &[u8], id: Option<&str>) -> Value {
        let path = self.bytes(filename, content).await;
        let mut body = upload(json!({"path": path}));
        if let Some(id) = id {
            body["data"]["id"] = json!(id);
        }
        let (status, payload) = self.job(Method::POST, "/uploads", body).await;
        assert_eq!(status, 201, "{payload}");
        payload["data"].clone()
    }

    async fn update(&self, id: &str, query: &str, attributes: Value) -> (u16, Value) {
        let body = json!({"data": {"type": "upload", "id": id, "attributes": attributes}});
        self.job(Method::PUT, &format!("/uploads/{id}{query}"), body).await
    }
}

async fn read(response: Response) -> (u16, Value) {
    let status = response.status().as_u16();
    (status, serde_json::from_slice(&response.bytes().await.unwrap()).unwrap_or(Value::Null))
}

fn upload(attributes: Value) -> Value {
    json!({"data": {"type": "upload", "attributes": attributes}})
}

fn code(body: &Value) -> &str {
    assert_eq!(body["data"][0]["type"], "api_error", "{body}");
    body["data"][0]["attributes"]["code"].as_str().unwrap()
}

fn details<'a>(body: &'a Value, key: &str) -> &'a str {
    body["data"][0]["attributes"]["details"][key].as_str().unwrap_or_default()
}

#[tokio::test]
async fn an_upload_goes_through_three_calls_and_a_job() {
    let api = Api::fast().await;
    let made = api.create("My Logo.PNG", PNG, Some(ID)).await;
    assert_eq!(made["id"], ID);
    let attributes = &made["attributes"];
    assert_eq!(attributes["md5"], md5(PNG));
    assert_eq!(
        (&attributes["width"], &attributes["height"], &attributes["is_image"]),
        (&json!(1), &json!(1), &json!(true))
    );
    assert_eq!((&attributes["filename"], &attributes["format"]), (&json!("my-logo.png"), &json!("png")));
    assert_eq!(attributes["default_field_metadata"]["custom_data"]["en"], json!({}));
    let served = api.original(attributes).await;
    assert_eq!(served.headers()["content-type"], "image/png");
    assert_eq!(served.bytes().await.unwrap(), PNG);
    let (status, shown) = api.get(&format!("/uploads/{ID}")).await;
    assert_eq!((status, &shown["data"]), (200, &made));
    let page = api.http.get(api.sandbox.base_url()).send().await.unwrap().text().await.unwrap();
    assert!(page.contains("my-logo.png"));
    assert_eq!(api.sandbox.content(None, ID).unwrap(), PNG);
}

#[tokio::test]
async fn every_call_must_bring_its_headers() {
    let api = Api::fast().await;
    let plain = || api.raw(Method::GET, "/site");
    let cases = [
        (
            plain().header("Accept", "application/json").header("X-Api-Version", "3"),
            401,
            "INVALID_AUTHORIZATION_HEADER",
        ),
        (plain().bearer_auth("wrong").header("X-Api-Version", "3"), 401, "INVALID_AUTHORIZATION_HEADER"),
        (plain().bearer_auth("sandbox").header("X-Api-Version", "3"), 406, "INVALID_ACCEPT_HEADER"),
        (plain().bearer_auth("sandbox").header("Accept", "application/json"), 422, "INVALID_API_VERSION_HEADER"),
        (api.request(Method::GET, "/site").header("X-Environment", "nowhere"), 404, "INVALID_ENVIRONMENT"),
        (api.request(Method::POST, "/uploads").body("{}"), 415, "INVALID_CONTENT_TYPE_HEADER"),
        (api.request(Method::GET, "/nonsense"), 404, "NOT_FOUND"),
        (api.request(Method::GET, &format!("/uploads?filter[query]={}", "x".repeat(9000))), 414, "URI_TOO_LONG"),
    ];
    for (request, status, expected) in cases {
        let (found, body) = read(request.send().await.unwrap()).await;
        assert_eq!((found, code(&body)), (status, expected));
    }
    let readonly = api.raw(Method::DELETE, "/uploads/x").bearer_auth("sandbox-readonly");
    let readonly = readonly.header("Accept", "application/json").header("X-Api-Version", "3");
    let (status, body) = read(readonly.send().await.unwrap()).await;
    assert_eq!((status, code(&body)), (403, "INSUFFICIENT_PERMISSIONS"));
}

#[tokio::test]
async fn the_rate_limit_is_told_and_kept() {
    let settings = Settings { rate_limit: 3, rate_window_ms: 60_000, ..Settings::fast() };
    let api = Api::start(Options { settings, ..Options::default() }).await;
    for left in ["2", "1", "0"] {
        let answer = api.request(Method::GET, "/site").send().await.unwrap();
        assert_eq!(
            (answer.status().as_u16(), answer.headers()["x-ratelimit-remaining"].to_str().unwrap()),
            (200, left)
        );
        assert_eq!(answer.headers()["x-ratelimit-limit"], "3");
    }
    let answer = api.request(Method::GET, "/site").send().await.unwrap();
    assert_eq!(answer.status().as_u16(), 429);
    let reset: u64 = answer.headers()["x-ratelimit-reset"].to_str().unwrap().parse().unwrap();
    assert!((59..=60).contains(&reset), "{reset}");
    assert_eq!(code(&read(answer).await.1), "RATE_LIMIT_EXCEEDED");
    assert_eq!(api.sandbox.count("GET /site"), 4);
}

#[tokio::test]
async fn the_bucket_is_as_strict_as_s3() {
    let api = Api::fast().await;
    let (_, url, headers) = api.ticket("a.bin").await;
    let chunked = reqwest::Body::wrap_stream(futures_util::stream::iter([Ok::<_, std::io::Error>("abc")]));
    let mut wrong = headers.clone();
    wrong["x-amz-meta-sandbox"] = json!("other");
    let cases = [
        ("chunked", api.put(&url, &headers).body(chunked), 501),
        ("no length", api.put(&url, &headers), 411),
        ("no headers", api.http.put(&url).body("abc"), 403),
        ("a wrong header", api.put(&url, &wrong).body("abc"), 403),
        ("a token", api.put(&url, &headers).bearer_auth("sandbox").body("abc"), 400),
        ("another signature", api.put(&url.replace("Signature=", "Signature=0"), &headers).body("abc"), 403),
        ("an unknown path", api.put(&url.replace("a.bin", "b.bin"), &headers).body("abc"), 403),
        ("a GET", api.http.get(&url), 405),
    ];
    for (name, request, status) in cases {
        assert_eq!(request.send().await.unwrap().status().as_u16(), status, "{name}");
    }
    let empty = api.put(&url, &headers).header("Content-Length", "0").send().await.unwrap();
    assert_eq!(empty.headers()["etag"], "\"d41d8cd98f00b204e9800998ecf8427e\"");
    api.sandbox.set(|settings| settings.clock_offset_ms = 899_000);
    assert_eq!(api.put(&url, &headers).body("abc").send().await.unwrap().status().as_u16(), 200);
    api.sandbox.set(|settings| settings.clock_offset_ms = 900_001);
    assert_eq!(api.put(&url, &headers).body("abc").send().await.unwrap().status().as_u16(), 403, "expired");
    assert!(api.sandbox.log().iter().filter(|entry| entry.is("* bucket")).all(|entry| entry.query.is_empty()));
}

#[tokio::test]
async fn a_create_that_is_wrong_is_refused_at_once_or_in_its_job() {
    let api = Api::fast().await;
    let used = api.create("a.png", PNG, Some(ID)).await;
    let never = api.ticket("never.png").await.0;
    let path = api.bytes("b.txt", b"text").await;
    let with_id = |id: &str, attributes: Value| {
        let mut body = upload(attributes);
        body["data"]["id"] = json!(id);
        body
    };
    let cases = [
        (with_id(ID, json!({"path": path})), "INVALID_FIELD", "id"),
        (with_id("4124", json!({"path": path})), "INVALID_ENTITY_ID", ""),
        (upload(json!({"path": "/205/1-unknown.png"})), "INVALID_FIELD", "path"),
        (upload(json!({"path": never})), "INVALID_FIELD", "path"),
        (upload(json!({})), "INVALID_FIELD", "path"),
        (upload(json!({"path": path, "alt": "x"})), "INVALID_FORMAT", ""),
        (upload(json!({"path": path, "tags": "x"})), "INVALID_FIELD", "tags"),
        (upload(json!({"path": path, "author": 7})), "INVALID_FIELD", "author"),
        (upload(json!({"path": path, "default_field_metadata": {"alt": {"de": "x"}}})), "INVALID_FORMAT", ""),
        (upload(json!({"path": path, "default_field_metadata": {"en": {"alt": "x"}}})), "INVALID_FORMAT", ""),
        (
            upload(json!({"path": path, "default_field_metadata": {"alt": {"en": 1}}})),
            "INVALID_FIELD",
            "default_field_metadata",
        ),
        (json!({"data": {"type": "uploads", "attributes": {"path": path}}}), "INVALID_FORMAT", ""),
        (
            json!({"data": {"type": "upload", "attributes": {"path": path}, "relationships": {"upload_collection": {"data": {"type": "upload_collection", "id": OTHER_ID}}}}}),
            "INVALID_FIELD",
            "upload_collection",
        ),
        (json!({"type": "upload"}), "INVALID_FORMAT", ""),
    ];
    for (body, expected, field) in cases {
        let (status, answer) = api.send(Method::POST, "/uploads", Some(body.clone())).await;
        assert_eq!((status, code(&answer), details(&answer, "field")), (422, expected, field), "{body}");
    }
    let taken = with_id(ID, json!({"path": path}));
    let (_, answer) = api.send(Method::POST, "/uploads", Some(taken.clone())).await;
    assert_eq!(details(&answer, "code"), "VALIDATION_UNIQUENESS");
    api.sandbox.set(|settings| settings.refuse_late = true);
    let (status, answer) = api.send(Method::POST, "/uploads", Some(taken)).await;
    assert_eq!(status, 202);
    let (status, answer) = api.wait(answer["data"]["id"].as_str().unwrap()).await;
    assert_eq!((status, code(&answer)), (422, "INVALID_FIELD"));
    assert_eq!(api.sandbox.assets(None).len(), 1);
    assert_eq!(api.get(&format!("/uploads/{ID}")).await.1["data"], used);
}

#[tokio::test]
async fn an_upload_is_visible_only_when_its_job_is_done_but_its_id_is_taken_at_once() {
    let settings = Settings { job_min_ms: 3_600_000, job_max_ms: 3_600_000, ..Settings::fast() };
    let api = Api::start(Options { settings, ..Options::default() }).await;
    let path = api.bytes("a.png", PNG).await;
    let mut body = upload(json!({"path": path}));
    body["data"]["id"] = json!(ID);
    let (status, job) = api.send(Method::POST, "/uploads", Some(body.clone())).await;
    assert_eq!(status, 202);
    let result = format!("/job-results/{}", job["data"]["id"].as_str().unwrap());
    assert_eq!(api.get(&result).await.0, 404);
    assert_eq!(api.get(&format!("/uploads/{ID}")).await.0, 404);
    assert_eq!(api.get("/uploads").await.1["meta"]["total_count"], 0);
    assert_eq!(details(&api.send(Method::POST, "/uploads", Some(body)).await.1, "code"), "VALIDATION_UNIQUENESS");
    assert_eq!(api.sandbox.running_jobs(), 1);
    api.sandbox.set(|settings| settings.clock_offset_ms = 3_700_000);
    assert_eq!(api.get(&result).await.1["data"]["attributes"]["status"], 201);
    assert_eq!(api.get(&format!("/uploads/{ID}")).await.0, 200);
}

#[tokio::test]
async fn a_replacement_keeps_the_url_only_when_asked_and_possible() {
    let api = Api::fast().await;
    let made = api.create("a.txt", b"one", Some(ID)).await;
    let attributes = |payload: &Value| payload["data"]["attributes"].clone();
    let path = api.bytes("other.txt", b"two").await;
    let (status, kept) = api.update(ID, "?replace_strategy=keep_url", json!({"path": path})).await;
    assert_eq!(status, 200, "{kept}");
    assert_eq!(attributes(&kept)["url"], made["attributes"]["url"]);
    assert_eq!(attributes(&kept)["md5"], md5(b"two"));
    assert_eq!(api.sandbox.content(None, ID).unwrap(), b"two");

    let path = api.bytes("other.csv", b"three").await;
    let (status, refused) = api.update(ID, "?replace_strategy=keep_url", json!({"path": path})).await;
    assert_eq!((status, details(&refused, "field")), (422, "path"));
    let (status, moved) = api.update(ID, "", json!({"path": path})).await;
    assert_eq!((status, &attributes(&moved)["path"]), (200, &json!(path)));
    let gone = api.http.get(made["attributes"]["url"].as_str().unwrap()).send().await.unwrap();
    assert_eq!(gone.status().as_u16(), 404);

    let path = api.bytes("other.csv", b"four").await;
    api.sandbox.set(|settings| settings.custom_storage = true);
    let (status, refused) = api.update(ID, "?replace_strategy=keep_url", json!({"path": path})).await;
    assert_eq!((status, code(&refused)), (422, "INCOMPATIBLE_WITH_UPLOAD_STORAGE_SETTINGS"));
    let (status, refused) = api.update(ID, "?replace_strategy=keep", json!({"path": path})).await;
    assert_eq!((status, code(&refused)), (422, "INVALID_FORMAT"));
}

#[tokio::test]
async fn an_update_changes_what_it_names_and_tags_wholesale() {
    let api = Api::fast().await;
    api.create("a.png", PNG, Some(ID)).await;
    let (_, first) = api.update(ID, "", json!({"tags": ["a", "b"], "author": "Me", "notes": "n"})).await;
    let (_, second) = api.update(ID, "", json!({"tags": ["c"], "notes": null})).await;
    let attributes = &second["data"]["attributes"];
    assert_eq!(
        (&attributes["tags"], &attributes["author"], &attributes["notes"]),
        (&json!(["c"]), &json!("Me"), &json!(null))
    );
    assert!(attributes["updated_at"].as_str() >= first["data"]["attributes"]["updated_at"].as_str());
    let (_, renamed) = api.update(ID, "", json!({"basename": "New Name"})).await;
    let attributes = &renamed["data"]["attributes"];
    assert_eq!((&attributes["filename"], &attributes["basename"]), (&json!("new-name.png"), &json!("new-name")));
    assert_eq!(api.original(attributes).await.bytes().await.unwrap(), PNG);
    let no_id = upload(json!({"tags": []}));
    assert_eq!(api.send(Method::PUT, &format!("/uploads/{ID}"), Some(no_id)).await.0, 422);
    assert_eq!(api.update(OTHER_ID, "", json!({"tags": []})).await.0, 404);
}

#[tokio::test]
async fn a_second_update_while_one_runs_is_refused_as_transient() {
    let api = Api::fast().await;
    api.create("a.png", PNG, Some(ID)).await;
    api.sandbox.set(|settings| (settings.job_min_ms, settings.job_max_ms) = (3_600_000, 3_600_000));
    let body = json!({"data": {"type": "upload", "id": ID, "attributes": {"author": "x"}}});
    let path = format!("/uploads/{ID}");
    assert_eq!(api.send(Method::PUT, &path, Some(body.clone())).await.0, 202);
    let (status, refused) = api.send(Method::PUT, &path, Some(body)).await;
    assert_eq!((status, code(&refused)), (422, "CONCURRENT_UPLOAD_UPDATE"));
    assert_eq!(refused["data"][0]["attributes"]["transient"], true);
}

#[tokio::test]
async fn images_without_an_extension_get_one() {
    let api = Api::fast().await;
    let path = api.bytes("logo", PNG).await;
    let (_, made) = api.job(Method::POST, "/uploads", upload(json!({"path": path}))).await;
    assert_eq!(made["data"]["attributes"]["path"], format!("{path}.png"));
    assert_eq!(made["data"]["attributes"]["mime_type"], "image/png");
}

#[tokio::test]
async fn the_listing_filters_orders_and_pages() {
    let api = Api::fast().await;
    api.sandbox.create_foreign_many(None, 1200).unwrap();
    let made = api.create("a.png", PNG, Some(ID)).await;
    let md5 = made["attributes"]["md5"].as_str().unwrap();
    let (_, found) =
        api.get(&format!("/uploads?filter[fields][md5][in][]={md5}&filter%5Bfields%5D%5Bmd5%5D%5Bin%5D%5B%5D=x")).await;
    assert_eq!((&found["meta"]["total_count"], &found["data"][0]["id"]), (&json!(1), &json!(ID)));
    let (_, found) = api.get(&format!("/uploads?filter[ids]={ID},{OTHER_ID}")).await;
    assert_eq!(found["meta"]["total_count"], 1);
    let (_, count) = api.get("/uploads?page[limit]=0").await;
    assert_eq!((&count["meta"]["total_count"], count["data"].as_array().unwrap().len()), (&json!(1201), 0));
    assert_eq!(api.get("/uploads").await.1["data"].as_array().unwrap().len(), 30);
    let mut ids = Vec::new();
    for offset in [0, 500, 1000] {
        let (_, page) = api.get(&format!("/uploads?order_by=id_ASC&page[offset]={offset}&page[limit]=500")).await;
        ids.extend(page["data"].as_array().unwrap().iter().map(|upload| upload["id"].as_str().unwrap().to_owned()));
    }
    assert_eq!(ids.len(), 1201);
    assert!(ids.is_sorted());
    for query in ["page[limit]=501", "order_by=nonsense", "per_page=3", "page[offset]=-1"] {
        assert_eq!(api.get(&format!("/uploads?{query}")).await.0, 422, "{query}");
    }
    let (status, refused) = api.get("/uploads?filter[fields][md5][like]=x").await;
    assert_eq!((status, code(&refused)), (422, "INVALID_FILTER_FIELDS_PARAM"));
}

#[tokio::test]
async fn bulk_calls_take_at_most_200_and_count() {
    let api = Api::fast().await;
    let ids = api.sandbox.create_foreign_many(None, 3).unwrap();
    let link =
        |ids: &[String]| json!({"data": ids.iter().map(|id| json!({"type": "upload", "id": id})).collect::<Vec<_>>()});
    let operation = |kind: &str, attributes: Value, ids: &[String]| json!({"data": {"type": kind, "attributes": attributes, "relationships": {"uploads": link(ids)}}});
    let mut named = ids.clone();
    named.push(OTHER_ID.to_owned());
    let tag = operation("upload_bulk_tag_operation", json!({"tags": ["new"]}), &named);
    let (status, done) = api.job(Method::POST, "/uploads/bulk/tag", tag).await;
    assert_eq!((status, &done["meta"]), (200, &json!({"successful": 3, "failed": 1})));
    assert!(api.sandbox.assets(None).iter().all(|asset| asset.tags == ["foreign", "new"]));

    api.sandbox.add_reference(None, "record", &[&ids[0]]).unwrap();
    let path = format!("/uploads/{}", ids[0]);
    assert_eq!(api.get(&format!("{path}/references")).await.1["data"][0]["id"], "record");
    let (status, refused) = api.send(Method::DELETE, &path, None).await;
    assert_eq!((status, code(&refused)), (422, "UPLOAD_IS_CURRENTLY_IN_USE"));
    let destroy = operation("upload_bulk_destroy_operation", json!({}), &ids);
    let (_, done) = api.job(Method::POST, "/uploads/bulk/destroy", destroy).await;
    assert_eq!(done["meta"], json!({"successful": 2, "failed": 1}));

    let many: Vec<_> = (0..201).map(|_| OTHER_ID.to_owned()).collect();
    for (ids, expected) in [(many, "TOO_MANY_OPERATIONS"), (vec![], "MISSING_UPLOAD_IDS")] {
        let tag = operation("upload_bulk_tag_operation", json!({"tags": ["new"]}), &ids);
        let (status, refused) = api.send(Method::POST, "/uploads/bulk/tag", Some(tag)).await;
        assert_eq!((status, code(&refused)), (422, expected));
    }
}

#[tokio::test]
async fn collections_are_a_tree() {
    let api = Api::fast().await;
    let collection = |id: &str, label: &str, parent: Value| json!({"data": {"type": "upload_collection", "id": id, "attributes": {"label": label}, "relationships": {"parent": {"data": parent}}}});
    let (status, _) = api.send(Method::POST, "/upload-collections", Some(collection(ID, "Brand", json!(null)))).await;
    assert_eq!(status, 201);
    let parent = json!({"type": "upload_collection", "id": ID});
    let (_, child) = api.send(Method::POST, "/upload-collections", Some(collection(OTHER_ID, "Logos", parent))).await;
    assert_eq!(child["data"]["relationships"]["parent"]["data"]["id"], ID);
    let (_, all) = api.get("/upload-collections").await;
    assert_eq!(all["data"][0]["relationships"]["children"]["data"][0]["id"], OTHER_ID);
    let below = json!({"type": "upload_collection", "id": OTHER_ID});
    let circle = collection(ID, "Brand", below);
    assert_eq!(api.send(Method::PUT, &format!("/upload-collections/{ID}"), Some(circle)).await.0, 422);
    let (status, _) = api.send(Method::POST, "/upload-collections", Some(collection(ID, "Again", json!(null)))).await;
    assert_eq!(status, 422);
    assert_eq!(api.send(Method::DELETE, &format!("/upload-collections/{ID}"), None).await.0, 200);
    let (_, child) = api.get(&format!("/upload-collections/{OTHER_ID}")).await;
    assert_eq!(child["data"]["relationships"]["parent"]["data"], Value::Null);
}

#[tokio::test]
async fn environments_part_ways_but_keep_ids_and_files() {
    let api = Api::fast().await;
    api.create("a.png", PNG, Some(ID)).await;
    assert!(api.sandbox.fork("main", "draft"));
    let inside = api.request(Method::PUT, &format!("/uploads/{ID}")).header("X-Environment", "draft");
    let body = json!({"data": {"type": "upload", "id": ID, "attributes": {"author": "Draft"}}});
    let inside = inside.header("Content-Type", "application/vnd.api+json").body(body.to_string());
    assert_eq!(inside.send().await.unwrap().status().as_u16(), 202);
    let draft = api.sandbox.assets(Some("draft"));
    let main = api.sandbox.assets(None);
    assert_eq!((draft[0].author.as_deref(), main[0].author.as_deref()), (Some("Draft"), None));
    assert_eq!((&draft[0].id, &draft[0].url), (&main[0].id, &main[0].url));
    api.sandbox.delete_asset(None, ID).unwrap();
    assert_eq!(api.sandbox.content(Some("draft"), ID).unwrap(), PNG);
    assert_eq!(api.get("/environments").await.1["data"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn both_metadata_shapes_are_told_and_kept_apart() {
    let api = Api::fast().await;
    api.create("a.png", PNG, Some(ID)).await;
    let is_newer = async || api.get("/site").await.1["data"]["meta"]["non_localized_focal_points"].clone();
    let older = json!({"default_field_metadata": {"en": {"alt": "A"}}});
    let newer = json!({"default_field_metadata": {"alt": {"en": "B"}}});
    assert_eq!(is_newer().await, true, "as new projects have it");
    assert_eq!(api.update(ID, "", newer.clone()).await.0, 200);
    let refused = api.update(ID, "", older.clone()).await.1;
    assert_eq!((code(&refused), details(&refused, "message")), ("INVALID_FORMAT", "\"en\" is not a permitted key"));
    api.sandbox.set(|settings| settings.by_field = false);
    assert_eq!(is_newer().await, false);
    let refused = api.update(ID, "", newer).await.1;
    assert_eq!((code(&refused), details(&refused, "message")), ("INVALID_FORMAT", "\"alt\" is not a permitted key"));
    let (_, after) = api.update(ID, "", older).await;
    assert_eq!(after["data"]["attributes"]["default_field_metadata"]["en"]["alt"], "A");
}

#[tokio::test]
async fn what_the_sandbox_keeps_is_its_owners_alone_also_in_a_folder_that_was_not() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let open_to_all = |path: &Path, mode| std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    open_to_all(data, 0o755);
    let blobs = || std::fs::read_dir(data.join("blobs")).unwrap().map(|entry| entry.unwrap().path());
    for _ in 0..2 {
        let api = Api::start(Options { data: Some(data.to_owned()), ..Options::fast() }).await;
        api.bytes("b.txt", b"sent").await;
        api.sandbox.create_foreign(None, "theirs.png", b"theirs").unwrap();
        api.sandbox.stop().await;
        assert_eq!((mode(data), mode(&data.join("blobs")), mode(&data.join("state.sqlite"))), (0o700, 0o700, 0o600));
        assert!(blobs().count() >= 2 && blobs().all(|path| mode(&path) == 0o600));
        // As an older sandbox left it.
        blobs().for_each(|path| open_to_all(&path, 0o644));
        open_to_all(&data.join("state.sqlite"), 0o644);
        open_to_all(&data.join("blobs"), 0o755);
        open_to_all(data, 0o755);
    }
}

#[tokio::test]
async fn a_restart_serves_the_same_state_and_finishes_what_was_pending() {
    let directory = tempfile::tempdir().unwrap();
    let options = || Options {
        data: Some(directory.path().to_owned()),
        settings: Settings { job_min_ms: 50, job_max_ms: 50, ..Settings::fast() },
        ..Options::default()
    };
    let api = Api::start(options()).await;
    api.create("a.png", PNG, Some(ID)).await;
    api.sandbox.add_reference(None, "record", &[ID]).unwrap();
    let path = api.bytes("b.txt", b"pending").await;
    let (status, job) = api.send(Method::POST, "/uploads", Some(upload(json!({"path": path})))).await;
    assert_eq!(status, 202);
    let before = api.sandbox.assets(None)[0].clone();
    let second = Sandbox::local(options()).await.unwrap_err();
    assert!(second.to_string().contains("another sandbox"), "{second}");
    let orphan = directory.path().join("blobs").join("0".repeat(32));
    let strange = directory.path().join("blobs/holiday.jpg");
    std::fs::write(&orphan, "").unwrap();
    std::fs::write(&strange, "").unwrap();
    api.sandbox.stop().await;

    let api = Api::start(options()).await;
    let (status, payload) = api.wait(job["data"]["id"].as_str().unwrap()).await;
    assert_eq!(status, 201, "{payload}");
    assert!(!orphan.exists() && strange.exists(), "only what a broken put left is swept");
    let assets = api.sandbox.assets(None);
    assert_eq!(assets.len(), 2);
    let kept = assets.iter().find(|asset| asset.id == ID).unwrap();
    assert_eq!((&kept.md5, &kept.path, kept.updated_at_ms), (&before.md5, &before.path, before.updated_at_ms));
    assert_eq!(api.sandbox.content(None, ID).unwrap(), PNG);
    assert_eq!(api.get(&format!("/uploads/{ID}/references")).await.1["data"][0]["id"], "record");
}

#[tokio::test]
async fn faults_do_what_they_say() {
    let api = Api::fast().await;
    let site = || api.request(Method::GET, "/site").send();
    let fault = |kind| api.sandbox.fault("GET /site", kind);
    fault(FaultKind::Status { status: 503, code: "SERVICE_UNAVAILABLE".into(), transient: true, details: json!({}) });
    let (status, body) = read(site().await.unwrap()).await;
    assert_eq!((status, code(&body)), (503, "SERVICE_UNAVAILABLE"));
    fault(FaultKind::Html { status: 502 });
    let answer = site().await.unwrap();
    assert_eq!(
        (answer.status().as_u16(), answer.headers()["content-type"].to_str().unwrap()),
        (502, "text/html; charset=utf-8")
    );
    fault(FaultKind::Garbage);
    assert!(site().await.unwrap().json::<Value>().await.is_err());
    fault(FaultKind::RateLimited { reset: 7 });
    assert_eq!(site().await.unwrap().headers()["x-ratelimit-reset"], "7");
    fault(FaultKind::Drop);
    assert!(site().await.is_err());
    fault(FaultKind::CutBody);
    assert!(site().await.unwrap().bytes().await.is_err());
    fault(FaultKind::AsJob);
    let (status, job) = read(site().await.unwrap()).await;
    assert_eq!(status, 202);
    let (status, payload) = api.wait(job["data"]["id"].as_str().unwrap()).await;
    assert_eq!((status, &payload["data"]["type"]), (200, &json!("site")));
    let statuses: Vec<_> =
        api.sandbox.log().iter().filter(|entry| entry.is("GET /site")).map(|entry| entry.status).collect();
    assert_eq!(statuses, [503, 502, 200, 429, 0, 0, 202]);
    api.sandbox.set(|settings| settings.down = true);
    assert!(site().await.is_err());
    api.sandbox.set(|settings| settings.down = false);
    assert_eq!(site().await.unwrap().status().as_u16(), 200);
}

#[tokio::test]
async fn faults_of_a_broken_service_do_what_they_say() {
    let api = Api::fast().await;
    api.sandbox.create_foreign_many(None, 3).unwrap();
    let list = |offset: u32| api.request(Method::GET, &format!("/uploads?page%5Boffset%5D={offset}")).send();
    let fault = |kind| api.sandbox.fault("GET /uploads", kind);
    fault(FaultKind::Body { status: 451, content_type: "text/plain".into(), text: "no".into() });
    let answer = list(0).await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.text().await.unwrap().as_str()), (451, "no"));
    fault(FaultKind::Errors {
        status: 422,
        errors: vec![("A".into(), json!({})), ("B".into(), json!({"field": "x"}))],
    });
    let (status, body) = read(list(0).await.unwrap()).await;
    assert_eq!((status, body["data"].as_array().unwrap().len(), code(&body)), (422, 2, "A"));
    fault(FaultKind::Endless { status: 500 });
    let mut endless = list(0).await.unwrap();
    let mut taken = 0;
    while taken < 20_000_000 {
        taken += endless.chunk().await.unwrap().unwrap().len();
    }
    drop(endless);
    fault(FaultKind::GzipBomb { status: 403, megabytes: 50 });
    let packed = Client::builder().no_proxy().no_gzip().build().unwrap();
    let bomb = packed.get(format!("{}/uploads", api.sandbox.base_url())).bearer_auth("sandbox").send().await.unwrap();
    assert_eq!((bomb.status().as_u16(), bomb.headers()["content-encoding"].to_str().unwrap()), (403, "gzip"));
    assert!(bomb.bytes().await.unwrap().len() < 1_000_000);
    let headers = || [("x-ratelimit-limit".to_owned(), "0".to_owned())].into();
    fault(FaultKind::Headers { headers: headers(), refused: false });
    let answer = list(0).await.unwrap();
    assert_eq!((answer.status().as_u16(), &answer.headers()["x-ratelimit-limit"]), (200, &"0".parse().unwrap()));
    fault(FaultKind::Headers { headers: headers(), refused: true });
    assert_eq!(list(0).await.unwrap().status().as_u16(), 429);
    fault(FaultKind::Alter { at: "/meta/total_count".into(), to: json!(7) });
    assert_eq!(read(list(0).await.unwrap()).await.1["meta"]["total_count"], 7);
    fault(FaultKind::SamePage);
    assert_eq!(read(list(500).await.unwrap()).await.1["data"].as_array().unwrap().len(), 3);
    fault(FaultKind::GrowingTotal);
    let (_, grown) = read(list(500).await.unwrap()).await;
    assert_eq!((grown["data"].as_array().unwrap().len(), &grown["meta"]["total_count"]), (500, &json!(1500)));
    // Each call has a name, in its answer and in the log.
    let answer = list(0).await.unwrap();
    let id = answer.headers()["x-request-id"].to_str().unwrap().to_owned();
    assert_eq!(api.sandbox.log().last().unwrap().request_id, id);
    // A service that takes less at once.
    api.sandbox.set(|settings| (settings.longest_url, settings.bulk_limit) = (100, 1));
    assert_eq!(api.get(&format!("/uploads?filter%5Bids%5D={}", "a".repeat(100))).await.0, 414);
    let data = json!([{"type": "upload", "id": ID}, {"type": "upload", "id": OTHER_ID}]);
    let tag = json!({"data": {"type": "upload_bulk_tag_operation", "attributes": {"tags": ["t"]},
        "relationships": {"uploads": {"data": data}}}});
    let (status, body) = api.send(Method::POST, "/uploads/bulk/tag", Some(tag)).await;
    assert_eq!((status, code(&body)), (422, "TOO_MANY_OPERATIONS"));
}

#[tokio::test]
async fn a_bucket_that_redirects_takes_the_file_where_it_says() {
    let api = Api::fast().await;
    api.sandbox.fault("PUT bucket", FaultKind::Redirect { to: None });
    let (_, url, headers) = api.ticket("a.txt").await;
    let http = Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let put = |url: &str| {
        let mut put = http.put(url).body("abc");
        for (name, value) in headers.as_object().unwrap() {
            put = put.header(name, value.as_str().unwrap());
        }
        put.send()
    };
    let answer = put(&url).await.unwrap();
    assert_eq!(answer.status().as_u16(), 307);
    let there = answer.headers()["location"].to_str().unwrap().to_owned();
    assert_eq!(put(&format!("{}{there}", api.sandbox.base_url())).await.unwrap().status().as_u16(), 200);
}

#[tokio::test]
async fn faults_of_jobs_do_what_they_say() {
    let api = Api::fast().await;
    let path = api.bytes("a.txt", b"a").await;
    let body = |id: &str| json!({"data": {"type": "upload", "id": id, "attributes": {"path": path}}});

    api.sandbox.fault("POST /uploads", FaultKind::LoseReply);
    let lost = api.request(Method::POST, "/uploads").header("Content-Type", "application/vnd.api+json");
    assert!(lost.body(body(ID).to_string()).send().await.is_err());
    assert_eq!(api.get(&format!("/uploads/{ID}")).await.0, 200, "the effect is there");
    api.sandbox.delete_asset(None, ID).unwrap();

    let path = api.bytes("a.txt", b"a").await;
    let body = |id: &str| json!({"data": {"type": "upload", "id": id, "attributes": {"path": path}}});
    api.sandbox.fault("POST /uploads", FaultKind::JobFails { status: 422, code: "INVALID_FIELD".into() });
    let (status, payload) = api.job(Method::POST, "/uploads", body(ID)).await;
    assert_eq!((status, code(&payload)), (422, "INVALID_FIELD"));
    assert!(api.sandbox.assets(None).is_empty());

    for (kind, assets) in [(FaultKind::JobNeverEnds, 0), (FaultKind::JobResultLost, 1)] {
        api.sandbox.fault("POST /uploads", kind);
        let (_, job) = api.send(Method::POST, "/uploads", Some(body(ID))).await;
        let result = format!("/job-results/{}", job["data"]["id"].as_str().unwrap());
        assert_eq!(api.get(&result).await.0, 404);
        assert_eq!(api.sandbox.assets(None).len(), assets);
    }
    api.sandbox.fault("POST /uploads", FaultKind::Direct);
    let path = api.bytes("b.txt", b"b").await;
    let (status, made) = api.send(Method::POST, "/uploads", Some(upload(json!({"path": path})))).await;
    assert_eq!((status, &made["data"]["type"]), (201, &json!("upload")));
    api.sandbox.set(|settings| settings.answers = Answers::Jobs);
    assert_eq!(api.send(Method::DELETE, &format!("/uploads/{ID}"), None).await.0, 202);
}

#[tokio::test]
async fn faults_of_the_bucket_do_what_they_say() {
    let api = Api::fast().await;
    let content = vec![7_u8; 3_000_000];
    let (_, url, headers) = api.ticket("a.bin").await;
    let put = || api.put(&url, &headers).body(content.clone()).send();
    let etag = |content: &[u8]| format!("\"{}\"", md5(content));
    let fault = |kind| api.sandbox.fault("PUT bucket", kind);
    fault(FaultKind::WrongEtag);
    assert_ne!(put().await.unwrap().headers()["etag"], etag(&content));
    fault(FaultKind::CorruptBytes);
    assert_ne!(put().await.unwrap().headers()["etag"], etag(&content));
    fault(FaultKind::CorruptQuietly);
    assert_eq!(put().await.unwrap().headers()["etag"], etag(&content));
    fault(FaultKind::ResetMidBody);
    assert!(put().await.is_err());
    fault(FaultKind::SlowDown);
    let small = api.put(&url, &headers).body("x").send().await.unwrap();
    assert_eq!(small.status().as_u16(), 503);
    fault(FaultKind::EarlyForbidden);
    // Whether the client sees the 403 or a broken pipe is a race, as in real life.
    if let Ok(answer) = put().await {
        assert_eq!(answer.status().as_u16(), 403);
    }
    assert_eq!(put().await.unwrap().headers()["etag"], etag(&content));
    api.sandbox.fault("POST /upload-requests", FaultKind::ExpireAtOnce);
    let (_, url, headers) = api.ticket("b.bin").await;
    assert_eq!(api.put(&url, &headers).body("x").send().await.unwrap().status().as_u16(), 403);
}

#[tokio::test]
async fn listings_may_lag_behind_while_reads_by_id_do_not() {
    let api = Api::fast().await;
    api.create("a.png", PNG, Some(ID)).await;
    api.sandbox.set(|settings| settings.listing_lag_ms = 3_600_000);
    api.create("b.txt", b"b", Some(OTHER_ID)).await;
    api.update(ID, "", json!({"author": "New"})).await;
    let (_, listed) = api.get("/uploads").await;
    assert_eq!(listed["meta"]["total_count"], 1);
    assert_eq!(listed["data"][0]["attributes"]["author"], Value::Null);
    assert_eq!(api.get(&format!("/uploads/{OTHER_ID}")).await.0, 200);
    api.sandbox.set(|settings| settings.clock_offset_ms = 3_700_000);
    let (_, listed) = api.get("/uploads?filter[fields][size][gt]=0").await;
    assert_eq!(listed["meta"]["total_count"], 2);
}

#[tokio::test]
async fn the_control_path_is_not_logged_and_works_while_down() {
    let api = Api::fast().await;
    let patch = api.raw(Method::PATCH, "/_sandbox/settings").json(&json!({"down": true})).send().await.unwrap();
    assert_eq!(patch.status().as_u16(), 200);
    assert!(api.sandbox.settings().down);
    let unknown = api.raw(Method::PATCH, "/_sandbox/settings").json(&json!({"dawn": true})).send().await.unwrap();
    assert_eq!(unknown.status().as_u16(), 422);
    api.raw(Method::PATCH, "/_sandbox/settings").json(&json!({"down": false})).send().await.unwrap();
    let fault = Fault { route: "GET /site".into(), skip: 0, times: None, kind: FaultKind::Html { status: 502 } };
    api.raw(Method::POST, "/_sandbox/faults").json(&fault).send().await.unwrap();
    assert_eq!(api.get("/site").await.0, 502);
    api.raw(Method::DELETE, "/_sandbox/faults").send().await.unwrap();
    let edit = json!({"op": "foreign", "filename": "x.txt", "content": "eA=="});
    let made: Value = api.raw(Method::POST, "/_sandbox/edit").json(&edit).send().await.unwrap().json().await.unwrap();
    let edit = json!({"op": "edit", "id": made["id"], "edit": {"tags": ["t"]}});
    assert_eq!(api.raw(Method::POST, "/_sandbox/edit").json(&edit).send().await.unwrap().status().as_u16(), 200);
    assert_eq!(api.sandbox.assets(None)[0].tags, ["t"]);
    let record = json!({"record": "page", "uploads": [made["id"]]});
    assert_eq!(api.raw(Method::POST, "/_sandbox/records").json(&record).send().await.unwrap().status().as_u16(), 200);
    let state: Value = api.raw(Method::GET, "/_sandbox/state").send().await.unwrap().json().await.unwrap();
    assert_eq!(state["environments"]["main"]["records"]["page"][0], made["id"]);
    let form =
        api.raw(Method::POST, "/_sandbox/edit").header("Content-Type", "text/plain").body("{}").send().await.unwrap();
    assert_eq!(form.status().as_u16(), 415, "a foreign page must not be able to send this");
    let log: Value = api.raw(Method::GET, "/_sandbox/log").send().await.unwrap().json().await.unwrap();
    assert_eq!(log["count"], 1);
    api.sandbox
        .edit_metadata(None, made["id"].as_str().unwrap(), Edit { author: Some("A".into()), ..Edit::default() })
        .unwrap();
    api.raw(Method::DELETE, "/_sandbox/log").send().await.unwrap();
    assert!(api.sandbox.log().is_empty());
}

#[tokio::test]
async fn a_project_may_be_full_closed_or_read_only() {
    let api = Api::fast().await;
    let path = api.bytes("a.png", PNG).await;
    let create = || api.send(Method::POST, "/uploads", Some(upload(json!({"path": path}))));
    api.sandbox.set(|settings| settings.read_only = true);
    assert_eq!(code(&create().await.1), "ENVIRONMENT_IN_READ_ONLY_MODE");
    assert_eq!(api.get("/uploads").await.0, 200);
    api.sandbox.set(|settings| (settings.read_only, settings.maintenance) = (false, true));
    let (_, refused) = create().await;
    assert_eq!((code(&refused), &refused["data"][0]["attributes"]["transient"]), ("MAINTENANCE_MODE", &json!(true)));
    api.sandbox.set(|settings| (settings.maintenance, settings.uploadable_bytes) = (false, 1));
    let (_, refused) = create().await;
    assert_eq!((code(&refused), details(&refused, "limit")), ("PLAN_UPGRADE_REQUIRED", "uploadable_bytes"));
    api.sandbox.set(|settings| (settings.uploadable_bytes, settings.monthly_calls) = (0, 3));
    let (_, refused) = create().await;
    assert_eq!((code(&refused), details(&refused, "limit")), ("PLAN_UPGRADE_REQUIRED", "cma_api_calls"));
}

#[tokio::test]
async fn the_id_of_a_deleted_upload_can_be_used_again_unless_told_otherwise() {
    let api = Api::fast().await;
    for _ in 0..2 {
        api.create("a.png", PNG, Some(ID)).await;
        assert_eq!(api.send(Method::DELETE, &format!("/uploads/{ID}"), None).await.0, 200);
    }
    api.sandbox.set(|settings| settings.deleted_ids_stay_taken = true);
    let mut body = upload(json!({"path": api.bytes("a.png", PNG).await}));
    body["data"]["id"] = json!(ID);
    let (status, refused) = api.send(Method::POST, "/uploads", Some(body)).await;
    assert_eq!((status, details(&refused, "code")), (422, "VALIDATION_UNIQUENESS"));
}

#[tokio::test]
async fn a_rename_after_a_replacement_in_another_environment_still_has_bytes() {
    let api = Api::fast().await;
    api.create("a.txt", b"one", Some(ID)).await;
    assert!(api.sandbox.fork("main", "draft"));
    let path = api.bytes("b.txt", b"two").await;
    assert_eq!(api.update(ID, "?replace_strategy=keep_url", json!({"path": path})).await.0, 200);
    let body = json!({"data": {"type": "upload", "id": ID, "attributes": {"basename": "renamed"}}}).to_string();
    let draft = api.request(Method::PUT, &format!("/uploads/{ID}")).header("X-Environment", "draft");
    let draft = draft.header("Content-Type", "application/vnd.api+json").body(body).send().await.unwrap();
    assert_eq!(draft.status().as_u16(), 202);
    let renamed = api.sandbox.assets(Some("draft"))[0].clone();
    assert_eq!(api.http.get(&renamed.url).send().await.unwrap().text().await.unwrap(), "two");
}

#[tokio::test]
async fn a_listener_that_others_can_reach_is_refused() {
    let listener = tokio::net::TcpListener::bind(("0.0.0.0", 0)).await.unwrap();
    let error = Sandbox::start(listener, Options::fast()).unwrap_err();
    assert!(error.to_string().contains("127.0.0.1"), "{error}");
}

#[tokio::test]
async fn every_answer_names_its_environment_and_a_promoted_fork_answers_for_the_primary_one() {
    let api = Api::fast().await;
    api.create("a.png", PNG, Some(ID)).await;
    let named = async |path: &str, environment: Option<&str>| {
        let mut request = api.request(Method::GET, path);
        if let Some(environment) = environment {
            request = request.header("X-Environment", environment);
        }
        let answer = request.send().await.unwrap();
        let name = answer.headers().get("x-environment").map(|name| name.to_str().unwrap().to_owned());
        (answer.status().as_u16(), name)
    };
    let is = |status, name: &str| (status, Some(name.to_owned()));
    assert!(api.sandbox.fork("main", "draft"));
    assert_eq!(named("/site", None).await, is(200, "main"));
    assert_eq!(named("/uploads", Some("draft")).await, is(200, "draft"));
    assert_eq!(named("/uploads/none", Some("draft")).await, is(404, "draft"));
    api.create("b.png", b"b", Some(OTHER_ID)).await;
    assert_eq!(api.send(Method::PUT, "/environments/nowhere/promote", None).await.0, 404);
    let control = |body: Value| api.raw(Method::POST, "/_sandbox/edit").json(&body).send();
    assert_eq!(control(json!({"op": "promote", "name": "nowhere"})).await.unwrap().status().as_u16(), 422);
    assert_eq!(control(json!({"op": "promote", "name": "draft"})).await.unwrap().status().as_u16(), 200);
    assert_eq!(named(&format!("/uploads/{ID}"), None).await, is(200, "draft"));
    assert_eq!(named(&format!("/uploads/{OTHER_ID}"), None).await, is(404, "draft"), "made after the fork");
    assert_eq!(named(&format!("/uploads/{OTHER_ID}"), Some("main")).await, is(200, "main"));
    api.sandbox.set(|settings| settings.names_environment = false);
    assert_eq!(named("/site", None).await, (200, None));
    assert_eq!(api.send(Method::PUT, "/environments/main/promote", None).await.0, 202);
    assert_eq!(named(&format!("/uploads/{OTHER_ID}"), None).await, (200, None));
}
