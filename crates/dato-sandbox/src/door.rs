//! Where requests come in: logging, faults, holds, and the way to API, bucket, page or control path.
//!
//! Owns: carrying out the faults of API calls. Never does: the meaning of a call (that is `api`).

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::Response;
use futures_util::stream;
use tokio::sync::watch;

use super::answer::{Answer, Refusal, respond};
use super::api::{self, Token};
use super::call::parse_query;
use super::fault::FaultKind;
use super::hold::{Moment, When};
use super::job::Fate;
use super::line::Line;
use super::log::LogEntry;
use super::rate::Verdict;
use super::state::World;
use super::{Sandbox, amend, bucket, control, host, page};

/// The largest document that is read, bytes.
const MAX_DOCUMENT: usize = 16 * 1024 * 1024;

/// What every request shares.
#[derive(Debug)]
pub(super) struct Shared(pub(super) Mutex<World>);

impl Shared {
    /// The state. A handler that panicked cannot have left it half changed: changes are made after all checks.
    pub(super) fn world(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Every request.
pub(super) async fn enter(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(line): ConnectInfo<Line>,
    request: Request,
) -> Response {
    if let Some(refusal) = host::refusal(request.headers()) {
        return refusal;
    }
    let path = request.uri().path().to_owned();
    if path.starts_with("/_sandbox/") {
        return control::enter(&shared, request).await;
    }
    let (seq, fault, mut cleared, moments) = match meet(&shared, &request) {
        Met::Down => {
            line.cut();
            return Response::default();
        }
        Met::Person => return page::enter(&shared, &path, request.uri().query().unwrap_or_default()).await,
        Met::Client(seq, fault, cleared, moments) => (seq, fault, cleared, moments),
    };
    let (before, after): (Vec<_>, Vec<_>) = moments.into_iter().partition(|(when, _)| *when == When::Before);
    live(&shared, before).await;
    if let Some(FaultKind::Delay { ms }) = fault {
        // Over, or forgotten: either way the call goes on.
        let _ = tokio::time::timeout(Duration::from_millis(ms), cleared.changed()).await;
    }
    if fault == Some(FaultKind::Drop) {
        line.cut();
        return Response::default();
    }
    if let Some(FaultKind::Endless { status }) = fault {
        return endless(&shared, seq, status);
    }
    if let Some(early) = fault.as_ref().and_then(instead) {
        return finish(&shared, seq, early).await;
    }
    let offset = offset_of(&request);
    let response = if bucket::is(&path) {
        bucket::enter(&shared, &line, seq, request, fault.as_ref()).await
    } else {
        answer(&shared, seq, request, fault.as_ref()).await
    };
    live(&shared, after).await;
    match fault {
        Some(FaultKind::LoseReply) => {
            line.cut();
            Response::default()
        }
        Some(FaultKind::HtmlReply { status }) => finish(&shared, seq, html(status)).await,
        Some(FaultKind::CutBody) => halve(response).await,
        Some(
            fault @ (FaultKind::Headers { .. }
            | FaultKind::Alter { .. }
            | FaultKind::SamePage
            | FaultKind::GrowingTotal),
        ) => {
            let changed = amend::answer(&fault, offset, response).await;
            finish(&shared, seq, changed).await
        }
        _ => finish(&shared, seq, response).await,
    }
}

/// The `page[offset]` of a listing.
fn offset_of(request: &Request) -> u64 {
    let query = parse_query(request.uri().query().unwrap_or_default());
    query.iter().find(|(key, _)| key == "page[offset]").and_then(|(_, value)| value.parse().ok()).unwrap_or(0)
}

/// What a request meets first.
enum Met {
    /// The service is down.
    Down,
    /// A person looks at the page or at an asset.
    Person,
    /// A client's call, with its number in the log, the fault scripted for it, what ends that fault, and what
    /// happens at the call.
    Client(u64, Option<FaultKind>, watch::Receiver<()>, Vec<(When, Moment)>),
}

fn meet(shared: &Shared, request: &Request) -> Met {
    let path = request.uri().path();
    let mut world = shared.world();
    let seq = arrive(&mut world, request);
    if world.settings.down {
        return Met::Down;
    }
    let Some(seq) = seq else { return Met::Person };
    let (label, named) = if bucket::is(path) { ("bucket".to_owned(), "bucket") } else { (api::label(path), path) };
    let fault = world.script.take(request.method().as_str(), &label, named);
    if let Some(fault) = &fault {
        world.log.amend(seq, |entry| entry.fault = serde_json::to_value(fault).ok());
    }
    let moments = world.holds.take(request.method().as_str(), &label, named);
    Met::Client(seq, fault, world.script.cleared(), moments)
}

/// Lives through what happens at a call: waits where it is held, lets editors act.
async fn live(shared: &Arc<Shared>, moments: Vec<(When, Moment)>) {
    for (_, moment) in moments {
        match moment {
            Moment::Wait(gate) => gate.pass().await,
            Moment::Act(act) => act(&Sandbox::hand(Arc::clone(shared))),
        }
    }
}

/// Notes the request's arrival; the page and the assets are for people and not noted.
fn arrive(world: &mut World, request: &Request) -> Option<u64> {
    let path = request.uri().path();
    if path == "/" || path.starts_with("/_assets/") {
        return None;
    }
    let in_bucket = bucket::is(path);
    let environment = request.headers().get("x-environment").and_then(|value| value.to_str().ok());
    let entry = LogEntry {
        seq: 0,
        at_ms: world.now(),
        method: request.method().to_string(),
        path: path.to_owned(),
        label: if in_bucket { "bucket".to_owned() } else { api::label(path) },
        query: if in_bucket { String::new() } else { request.uri().query().unwrap_or_default().to_owned() },
        status: 0,
        token: Token::of(request.headers()).class().to_owned(),
        environment: if in_bucket { String::new() } else { environment.map_or_else(|| world.primary(), str::to_owned) },
        fault: None,
        request_id: if in_bucket { String::new() } else { format!("{:032x}", fastrand::u128(..)) },
        bytes_in: 0,
        bytes_out: 0,
    };
    Some(world.log.arrive(entry))
}

/// The answer of a fault that keeps the call from being handled.
fn instead(fault: &FaultKind) -> Option<Response> {
    let response = match fault {
        FaultKind::Status { status, code, transient, details } => {
            let refusal = Refusal { transient: *transient, ..Refusal::new(*status, code, details.clone()) };
            json(&refusal.into())
        }
        FaultKind::Html { status } => html(*status),
        FaultKind::Body { status, content_type, text } => respond(*status, content_type, text.clone()),
        FaultKind::Errors { status, errors } => {
            let one = |(code, details): &(String, serde_json::Value)| Refusal::new(*status, code, details.clone());
            let errors = errors.iter().map(one).map(|refusal| refusal.envelope()["data"][0].clone());
            let body = serde_json::json!({ "data": errors.collect::<Vec<_>>() });
            json(&Answer { status: *status, body })
        }
        FaultKind::GzipBomb { status, megabytes } => amend::bomb(*status, *megabytes),
        FaultKind::Headers { headers, refused: true } => {
            let mut response = json(&Refusal::new(429, "RATE_LIMIT_EXCEEDED", serde_json::json!({})).into());
            amend::headers(&mut response, headers);
            response
        }
        FaultKind::Garbage => respond(200, "application/json", "{\"data\": [{\"id\": "),
        FaultKind::EmptyList => json(&Answer::ok(serde_json::json!({ "data": [], "meta": { "total_count": 0 } }))),
        FaultKind::RateLimited { reset } => {
            let refusal = Refusal::new(429, "RATE_LIMIT_EXCEEDED", serde_json::json!({}));
            let mut response = json(&refusal.into());
            response.headers_mut().insert("x-ratelimit-remaining", HeaderValue::from(0));
            response.headers_mut().insert("x-ratelimit-reset", HeaderValue::from(*reset));
            response
        }
        _ => return None,
    };
    Some(response)
}

fn html(status: u16) -> Response {
    let body = format!("<html><head><title>{status}</title></head><body><h1>{status}</h1><p>proxy</p></body></html>");
    respond(status, "text/html; charset=utf-8", body)
}

fn json(answer: &Answer) -> Response {
    respond(answer.status, "application/json; charset=utf-8", answer.body.to_string())
}

/// One call of the API.
async fn answer(shared: &Shared, seq: u64, request: Request, fault: Option<&FaultKind>) -> Response {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, MAX_DOCUMENT).await;
    let mut world = shared.world();
    let now = world.now();
    let token = Token::of(&parts.headers);
    let verdict = api::rate(&mut world, token, now);
    let answer = match (&body, verdict.reset) {
        (_, Some(_)) => Refusal::new(429, "RATE_LIMIT_EXCEEDED", serde_json::json!({})).into(),
        (Err(_), None) => Refusal::new(413, "DOCUMENT_TOO_LARGE", serde_json::json!({ "limit": MAX_DOCUMENT })).into(),
        (Ok(body), None) => {
            world.log.amend(seq, |entry| entry.bytes_in = body.len() as u64);
            let url = parts.uri.path_and_query().map_or("/", |url| url.as_str());
            let method = parts.method.as_str();
            let found = api::access(&world, token, method, &parts.headers, url.len(), !body.is_empty());
            let found = found.and_then(|environment| api::quota(&mut world, now).map(|()| environment));
            match found {
                Ok(environment) => {
                    world.log.amend(seq, |entry| entry.environment.clone_from(&environment));
                    let query = parts.uri.query().unwrap_or_default();
                    let mut call = api::call(method, parts.uri.path(), query, environment, token, now);
                    script(&mut call, fault);
                    let answer = api::serve(&mut world, &mut call, body);
                    if fault == Some(&FaultKind::AsJob) { api::as_job(&mut world, &call, answer) } else { answer }
                }
                Err(refusal) => refusal.into(),
            }
        }
    };
    drop(world);
    let mut response = json(&answer);
    told(response.headers_mut(), verdict);
    response
}

/// Sets what a fault asks of the call itself.
fn script(call: &mut super::call::Call, fault: Option<&FaultKind>) {
    match fault {
        Some(FaultKind::JobFails { status, code }) => call.fate = Fate::Fails { status: *status, code: code.clone() },
        Some(FaultKind::JobNeverEnds) => call.fate = Fate::NeverEnds,
        Some(FaultKind::JobResultLost) => call.fate = Fate::ResultLost,
        Some(FaultKind::JobSlow { ms }) => call.slow = i64::try_from(*ms).unwrap_or(i64::MAX / 4),
        Some(FaultKind::JobRefusedLate) => call.late = true,
        Some(FaultKind::Direct) => call.direct = true,
        Some(FaultKind::ExpireAtOnce) => call.expired = true,
        Some(FaultKind::SamePage) => call.query.retain(|(key, _)| key != "page[offset]"),
        _ => {}
    }
}

/// The rate limit's headers.
fn told(headers: &mut HeaderMap, verdict: Verdict) {
    if verdict.limit == 0 {
        return;
    }
    headers.insert("x-ratelimit-limit", HeaderValue::from(verdict.limit));
    headers.insert("x-ratelimit-remaining", HeaderValue::from(verdict.remaining));
    if let Some(reset) = verdict.reset {
        headers.insert("x-ratelimit-reset", HeaderValue::from(reset));
    }
}

/// A body that never ends; the client has to hang up.
fn endless(shared: &Shared, seq: u64, status: u16) -> Response {
    shared.world().log.amend(seq, |entry| entry.status = status);
    let block = Bytes::from(vec![b'x'; 64 * 1024]);
    let chunks = stream::repeat_with(move || Ok::<_, io::Error>(block.clone()));
    respond(status, "text/html", Body::from_stream(chunks))
}

fn is_json(headers: &HeaderMap) -> bool {
    let content_type = headers.get("content-type").and_then(|value| value.to_str().ok()).unwrap_or_default();
    content_type.starts_with("application/json")
}

/// Notes the answer in the log, and names the call and its environment in it.
async fn finish(shared: &Shared, seq: u64, response: Response) -> Response {
    let status = response.status().as_u16();
    let (mut parts, body) = response.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap_or_default();
    let bytes = body.len() as u64;
    let (mut request, mut environment) = (String::new(), String::new());
    {
        let mut world = shared.world();
        world.log.amend(seq, |entry| {
            entry.status = status;
            entry.bytes_out = bytes;
            request.clone_from(&entry.request_id);
            environment.clone_from(&entry.environment);
        });
        // A proxy's page knows nothing of environments.
        if !world.settings.names_environment || !is_json(&parts.headers) {
            environment.clear();
        }
    }
    for (name, text) in [("x-request-id", request), ("x-environment", environment)] {
        if let (false, Ok(value)) = (text.is_empty(), HeaderValue::from_str(&text)) {
            parts.headers.entry(name).or_insert(value);
        }
    }
    Response::from_parts(parts, Body::from(body))
}

/// Sends half of the body, then breaks off.
async fn halve(response: Response) -> Response {
    let (mut parts, body) = response.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap_or_default();
    parts.headers.insert("content-length", HeaderValue::from(body.len()));
    let half = body.slice(..body.len() / 2);
    let chunks = stream::unfold(Some(half), |half| async move {
        match half {
            Some(half) if !half.is_empty() => Some((Ok::<Bytes, io::Error>(half), Some(Bytes::new()))),
            _ => {
                // The first half must have left before the connection breaks, else it would be lost as well.
                tokio::time::sleep(Duration::from_millis(20)).await;
                Some((Err(io::ErrorKind::ConnectionAborted.into()), None))
            }
        }
    });
    Response::from_parts(parts, Body::from_stream(chunks))
}
