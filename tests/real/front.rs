//! What stands before the sandbox in this suite's own tests: it hands every call on, and does what the sandbox lacks.
//!
//! Owns: destroying environments, a site's favicon, a fork that is not ready at once, and a proxy that loses the header
//! which names the environment. Never does: answering a call that the sandbox answers.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse as _, Json, Response};
use dato_mirror::sandbox::{Options, Sandbox, Settings};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

use crate::fork::{PREFIX, Project};

/// A project that is this machine's own.
pub struct Rehearsal {
    shared: Arc<Shared>,
    url: String,
    // Last: all of it runs on it.
    _runtime: Runtime,
}

struct Shared {
    sandbox: Sandbox,
    loses_environment: bool,
    destroyed: Mutex<BTreeSet<String>>,
    looked_at: Mutex<BTreeSet<String>>,
    http: reqwest::Client,
}

impl Rehearsal {
    pub fn with(settings: Settings) -> Self {
        Self::start(settings, false)
    }

    /// One with a proxy on the way that loses `x-environment`.
    pub fn losing_the_environment(settings: Settings) -> Self {
        Self::start(settings, true)
    }

    fn start(settings: Settings, loses_environment: bool) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let (shared, url) = runtime.block_on(async {
            let sandbox = Sandbox::local(Options { settings, ..Options::default() }).await.unwrap();
            let (destroyed, looked_at) = (Mutex::default(), Mutex::default());
            let http = reqwest::Client::builder().no_proxy().build().unwrap();
            let shared = Arc::new(Shared { sandbox, loses_environment, destroyed, looked_at, http });
            let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
            let url = format!("http://{}", listener.local_addr().unwrap());
            let router = Router::new().fallback(enter).with_state(Arc::clone(&shared));
            tokio::spawn(async move { axum::serve(listener, router).await });
            (shared, url)
        });
        Self { shared, url, _runtime: runtime }
    }

    /// The media area behind it.
    pub fn sandbox(&self) -> &Sandbox {
        &self.shared.sandbox
    }

    /// The environments that were destroyed.
    pub fn destroyed(&self) -> Vec<String> {
        self.shared.destroyed.lock().unwrap().iter().cloned().collect()
    }

    /// The project, for this token.
    pub fn project(&self, token: &str) -> Project {
        Project { base: self.url.clone(), token: token.to_owned(), source: None }
    }
}

async fn enter(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let mut response = answer(&shared, request).await;
    response.headers_mut().entry("x-request-id").or_insert(HeaderValue::from_static("front"));
    response
}

async fn answer(shared: &Shared, request: Request) -> Response {
    let (mut parts, body) = request.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap();
    if shared.loses_environment {
        parts.headers.remove("x-environment");
    }
    let (method, path) = (parts.method.as_str(), parts.uri.path().to_owned());
    let about = parts.headers.get("x-environment").and_then(|name| name.to_str().ok());
    let named = path.strip_prefix("/environments/");
    let is_gone = |name: &str| shared.destroyed.lock().unwrap().contains(name);
    if about.is_some_and(is_gone) || named.is_some_and(is_gone) {
        return refusal(404, "INVALID_ENVIRONMENT");
    }
    match (method, named, about) {
        ("DELETE", Some(name), _) => {
            assert!(name.starts_with(PREFIX), "the suite destroys {name}");
            shared.destroyed.lock().unwrap().insert(name.to_owned());
            return Json(json!({ "data": { "id": name, "type": "environment" } })).into_response();
        }
        ("GET", Some(name), _) if shared.looked_at.lock().unwrap().insert(name.to_owned()) => {
            let meta = json!({ "status": "creating", "primary": false });
            return Json(json!({ "data": { "id": name, "type": "environment", "meta": meta } })).into_response();
        }
        ("PUT", None, Some(environment)) if path == "/site" => {
            let site: Value = serde_json::from_slice(&body).unwrap();
            let icon: Vec<&str> = site["data"]["attributes"]["favicon"].as_str().into_iter().collect();
            shared.sandbox.add_reference(Some(environment), "favicon", &icon).unwrap();
            return Json(json!({ "data": { "id": "1", "type": "site" } })).into_response();
        }
        _ => {}
    }
    let rest = parts.uri.path_and_query().map_or("/", |rest| rest.as_str());
    let url = format!("{}{rest}", shared.sandbox.base_url());
    parts.headers.remove("host");
    parts.headers.remove("content-length");
    let call = shared.http.request(parts.method.clone(), url).headers(parts.headers.clone()).body(body);
    let Ok(answer) = call.send().await else { return refusal(502, "NOBODY_BEHIND") };
    let (status, headers): (_, HeaderMap) = (answer.status(), answer.headers().clone());
    let mut response = Response::new(Body::from(answer.bytes().await.unwrap_or_default()));
    *response.status_mut() = status;
    for (name, value) in headers.iter().filter(|(name, _)| *name != "content-length" && *name != "transfer-encoding") {
        response.headers_mut().insert(name, value.clone());
    }
    response
}

fn refusal(status: u16, code: &str) -> Response {
    let error = json!({ "id": "1", "type": "api_error", "attributes": { "code": code, "details": {} } });
    (axum::http::StatusCode::from_u16(status).unwrap(), Json(json!({ "data": [error] }))).into_response()
}
