//! The API's routes, and what every call must bring.
//!
//! Owns: access (token, headers, environment, rate limit) and dispatch. Never does: sockets, faults.

use axum::http::HeaderMap;
use serde_json::{Value, json};

use super::answer::{Answer, Refusal};
use super::call::{Call, decode, parse_query};
use super::job::{Fate, result};
use super::rate::Verdict;
use super::settings::Answers;
use super::state::World;
use super::{bulk, collections, create, listing, rights, site, tracks, update};

/// Who is asking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Token {
    /// May do everything.
    Full,
    /// May only read.
    Readonly,
    /// May do what the settings say.
    Restricted,
    /// Some other token.
    Unknown,
    /// None at all.
    None,
}

impl Token {
    /// From the `Authorization` header.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let value = headers.get("authorization").and_then(|value| value.to_str().ok());
        match value.and_then(|value| value.strip_prefix("Bearer ")) {
            Some("sandbox") => Self::Full,
            Some("sandbox-readonly") => Self::Readonly,
            Some(rights::TOKEN) => Self::Restricted,
            Some(_) => Self::Unknown,
            None => Self::None,
        }
    }

    /// Its name in the log.
    pub(super) const fn class(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Readonly => "readonly",
            Self::Restricted => "restricted",
            Self::Unknown => "unknown",
            Self::None => "none",
        }
    }
}

/// The path with ids replaced, as faults and the log name routes.
pub(super) fn label(path: &str) -> String {
    let mut parts: Vec<&str> = path.split('/').collect();
    if let Some(first) = parts.get(1).copied()
        && let Some(second) = parts.get_mut(2)
        && !matches!((first, &**second), ("uploads", "bulk") | ("users", "me"))
    {
        *second = ":id";
    }
    if let [_, "uploads", _, "tracks", track] = parts.as_mut_slice() {
        *track = ":id";
    }
    parts.join("/")
}

/// Counts the call against the rate limit.
pub(super) fn rate(world: &mut World, token: Token, now: i64) -> Verdict {
    let settings = &world.settings;
    let (limit, window, fixed) = (settings.rate_limit, i64::from(settings.rate_window_ms), settings.rate_fixed);
    world.rate.ask(token.class(), now, limit, window, fixed)
}

/// Checks what every call must bring; gives the call's environment.
pub(super) fn access(
    world: &World,
    token: Token,
    method: &str,
    headers: &HeaderMap,
    url_length: usize,
    has_body: bool,
) -> Result<String, Refusal> {
    if !matches!(token, Token::Full | Token::Readonly | Token::Restricted) {
        return Err(Refusal::new(401, "INVALID_AUTHORIZATION_HEADER", json!({})));
    }
    let get = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if url_length > world.settings.longest_url {
        return Err(Refusal::new(414, "URI_TOO_LONG", json!({ "limit": world.settings.longest_url })));
    }
    if !get("accept").split(',').any(|part| part.split(';').next().unwrap_or_default().trim() == "application/json") {
        return Err(Refusal::new(406, "INVALID_ACCEPT_HEADER", json!({ "expected": "application/json" })));
    }
    if get("x-api-version") != "3" {
        return Err(Refusal::new(422, "INVALID_API_VERSION_HEADER", json!({ "expected": "3" })));
    }
    let content_type = get("content-type").split(';').next().unwrap_or_default().trim();
    // The documentation asks for the JSON:API type; the official client sends plain JSON and is served.
    if has_body && !matches!(content_type, "application/vnd.api+json" | "application/json") {
        let expected = json!({ "expected": "application/vnd.api+json" });
        return Err(Refusal::new(415, "INVALID_CONTENT_TYPE_HEADER", expected));
    }
    let primary = world.primary();
    let environment = headers.get("x-environment").map_or(primary.as_str(), |value| value.to_str().unwrap_or_default());
    if !world.environments.contains_key(environment) {
        return Err(Refusal::new(404, "INVALID_ENVIRONMENT", json!({ "environment": environment })));
    }
    if method != "GET" {
        if token == Token::Readonly {
            return Err(Refusal::new(403, "INSUFFICIENT_PERMISSIONS", json!({})));
        }
        if world.settings.maintenance {
            return Err(Refusal { transient: true, ..Refusal::new(503, "MAINTENANCE_MODE", json!({})) });
        }
        if world.settings.read_only {
            return Err(Refusal::new(422, "ENVIRONMENT_IN_READ_ONLY_MODE", json!({})));
        }
    }
    Ok(environment.to_owned())
}

/// Counts the call against the month.
pub(super) fn quota(world: &mut World, now: i64) -> Result<(), Refusal> {
    let date = super::entity::rfc3339(now)[..10].to_owned();
    let calls = world.calls.entry(date.clone()).or_default();
    *calls += 1;
    let calls = *calls;
    world.journal.put("calls", "", &date, &calls);
    let used: u64 = world.calls.iter().filter(|(day, _)| day[..7] == date[..7]).map(|(_, calls)| calls).sum();
    if world.settings.monthly_calls > 0 && used > world.settings.monthly_calls {
        return Err(Refusal::new(402, "PLAN_UPGRADE_REQUIRED", json!({ "limit": "cma_api_calls" })));
    }
    Ok(())
}

/// A call from its parts; faults are set by the caller.
pub(super) fn call(method: &str, path: &str, query: &str, environment: String, token: Token, now: i64) -> Call {
    Call {
        method: method.to_owned(),
        segments: path.split('/').skip(1).map(decode).collect(),
        query: parse_query(query),
        environment,
        body: None,
        now,
        fate: Fate::Usual,
        slow: 0,
        late: false,
        direct: false,
        expired: false,
        token: match token {
            Token::Readonly => "sandbox-readonly",
            Token::Restricted => rights::TOKEN,
            Token::Full | Token::Unknown | Token::None => "sandbox",
        },
    }
}

/// Reads the body and finds the endpoint; gives its answer.
pub(super) fn serve(world: &mut World, call: &mut Call, body: &[u8]) -> Answer {
    world.settle(call.now);
    if !body.is_empty() {
        match serde_json::from_slice::<Value>(body) {
            Ok(value) => call.body = Some(value),
            Err(error) => return Refusal::new(400, "INVALID_JSON", json!({ "message": error.to_string() })).into(),
        }
    }
    let answer = dispatch(world, call).unwrap_or_else(Answer::from);
    if world.settings.answers == Answers::Jobs && call.method != "GET" && !call.direct {
        return as_job(world, call, answer);
    }
    answer
}

/// Turns a result into a job that tells it.
pub(super) fn as_job(world: &mut World, call: &Call, answer: Answer) -> Answer {
    if answer.status == 202 {
        return answer;
    }
    world.begin(call, super::job::Work::Tell { status: answer.status, body: answer.body })
}

fn dispatch(world: &mut World, call: &Call) -> Result<Answer, Refusal> {
    let segments: Vec<&str> = call.segments.iter().map(String::as_str).collect();
    match (call.method.as_str(), segments.as_slice()) {
        ("GET", ["site"]) => site::site(world, call),
        ("POST", ["upload-requests"]) => create::request(world, call),
        ("GET", ["uploads"]) => listing::uploads(world, call),
        ("POST", ["uploads"]) => create::start(world, call),
        ("POST", ["uploads", "bulk", operation]) => bulk::start(world, call, operation),
        ("GET", ["uploads", id]) => update::show(world, call, id),
        ("PUT", ["uploads", id]) => update::start(world, call, id),
        ("DELETE", ["uploads", id]) => update::delete(world, call, id),
        ("GET", ["uploads", id, "references"]) => update::references(world, call, id),
        ("GET", ["uploads", id, "tracks"]) => tracks::list(world, call, id),
        ("POST", ["uploads", id, "tracks"]) => tracks::start(world, call, id),
        ("DELETE", ["uploads", id, "tracks", track]) => tracks::delete(world, call, id, track),
        ("GET", ["job-results", id]) => result(world, call, id),
        ("GET", ["upload-collections"]) => collections::list(world, call),
        ("POST", ["upload-collections"]) => collections::create(world, call),
        ("GET", ["upload-collections", id]) => collections::show(world, call, id),
        ("PUT", ["upload-collections", id]) => collections::update(world, call, id),
        ("DELETE", ["upload-collections", id]) => collections::delete(world, call, id),
        ("GET", ["upload-tags"]) => listing::tags(world, call),
        ("GET", ["environments"]) => site::environments(world, call),
        ("GET", ["environments", name]) => site::one_environment(world, call, name),
        ("POST", ["environments", name, "fork"]) => site::fork(world, call, name),
        ("PUT", ["environments", name, "promote"]) => site::promote(world, call, name),
        ("GET", ["public-info"]) => site::public_info(world, call),
        ("GET", ["subscription-limits"]) => site::limits(world, call),
        ("GET", ["daily-site-usages"]) => site::daily(world, call),
        ("GET", ["usage-log-counters", id]) => site::counter(world, call, id),
        ("GET", ["users", "me"]) => site::me(world, call),
        ("GET", ["roles", id]) => site::role(world, call, id),
        _ => Err(Refusal::not_found("endpoint")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_hide_ids() {
        let cases = [
            ("/uploads", "/uploads"),
            ("/uploads/abc", "/uploads/:id"),
            ("/uploads/abc/references", "/uploads/:id/references"),
            ("/uploads/bulk/tag", "/uploads/bulk/tag"),
            ("/uploads/abc/tracks", "/uploads/:id/tracks"),
            ("/uploads/abc/tracks/t1", "/uploads/:id/tracks/:id"),
            ("/users/me", "/users/me"),
            ("/job-results/1", "/job-results/:id"),
        ];
        for (path, expected) in cases {
            assert_eq!(label(path), expected);
        }
    }
}
