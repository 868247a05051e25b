//! `POST /retry`: failed files are tried again now.
//!
//! Owns: who may ask. The guard has refused other names; this refuses other pages: they can send a POST here, but not
//! with a JSON type, not without telling where they come from, and not with the secret that only our page holds. Never
//! does: the trying.

use std::sync::Arc;
use std::time::Duration;

use axum::body::to_bytes;
use axum::extract::{Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderName, StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use axum::{Json, Router};
use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};
use tokio::time::timeout;

use super::Shared;
use super::secret::Secret;

pub(super) const PATH: &str = "/retry";
/// Shows the secret.
const SECRET: HeaderName = HeaderName::from_static("x-dato-mirror-page");
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
/// A path and a name fit in.
const LONGEST_BODY: usize = 16 * 1024;
/// How long a request may take to send its body: one that never does must not keep a place from others.
const BODY: Duration = Duration::from_secs(2);

/// What is to be tried again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Asked {
    /// The mirror; all without one.
    pub mirror: Option<String>,
    /// The file or folder below its root; everything without one.
    pub path: Option<String>,
}

/// Has failed files tried again, and tells how many there were, or in one line for people why not.
pub type Retry = Arc<dyn Fn(Asked) -> BoxFuture<'static, Result<u64, String>> + Send + Sync>;

#[derive(Serialize)]
struct Answer {
    files: u64,
}

pub(super) fn routes() -> Router<Shared> {
    Router::new().route(PATH, post(retry))
}

async fn retry(State(shared): State<Shared>, request: Request) -> Response {
    if let Some((status, why)) = refusal(&shared.secret, request.headers()) {
        return (status, why).into_response();
    }
    let body = match timeout(BODY, to_bytes(request.into_body(), LONGEST_BODY)).await {
        Ok(Ok(body)) => body,
        Ok(Err(_)) => return (StatusCode::PAYLOAD_TOO_LARGE, "the body is too long, or broken off\n").into_response(),
        Err(_) => return (StatusCode::REQUEST_TIMEOUT, "the body does not come\n").into_response(),
    };
    let asked = match serde_json::from_slice::<Asked>(&body) {
        Ok(asked) => asked,
        Err(error) => {
            return (StatusCode::BAD_REQUEST, format!("the body is not understood: {error}\n")).into_response();
        }
    };
    tracing::info!(mirror = asked.mirror, path = asked.path, "the status page asks to try failed files again");
    match (shared.retry)(asked).await {
        Ok(files) => Json(Answer { files }).into_response(),
        Err(why) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{why}\n")).into_response(),
    }
}

/// Why the request is refused; `None` when it is our own page's.
fn refusal(secret: &Secret, headers: &HeaderMap) -> Option<(StatusCode, &'static str)> {
    let text = |name: &HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    let json = text(&header::CONTENT_TYPE).is_some_and(|kind| {
        kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
    });
    if !json {
        return Some((StatusCode::UNSUPPORTED_MEDIA_TYPE, "only application/json\n"));
    }
    let elsewhere = text(&SEC_FETCH_SITE).is_some_and(|site| site != "same-origin")
        || text(&header::ORIGIN).is_some_and(|origin| !is_own(origin, text(&header::HOST).unwrap_or_default()));
    if elsewhere {
        return Some((StatusCode::FORBIDDEN, "only dato-mirror's own page may ask this\n"));
    }
    let shown = headers.get(SECRET).map(|value| value.as_bytes());
    if !shown.is_some_and(|shown| secret.is(shown)) {
        return Some((StatusCode::FORBIDDEN, "this page is of an earlier process: load it again\n"));
    }
    None
}

/// Whether a page of `origin` came from `host`. A proxy may have added TLS, so the scheme says nothing.
fn is_own(origin: &str, host: &str) -> bool {
    let origin = origin.parse::<Uri>().ok().and_then(|uri| uri.authority().cloned());
    let host = host.parse::<Authority>().ok();
    origin.zip(host).is_some_and(|(origin, host)| origin.as_str().eq_ignore_ascii_case(host.as_str()))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn only_our_own_page_may_ask() {
        let secret = Secret::new().unwrap();
        let own = [
            ("host", "localhost:7878"),
            ("content-type", "application/json"),
            ("origin", "http://localhost:7878"),
            ("sec-fetch-site", "same-origin"),
            ("x-dato-mirror-page", secret.expose()),
        ];
        let with = |changes: &[(&'static str, Option<&str>)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in own {
                headers.insert(name, HeaderValue::from_str(value).unwrap());
            }
            for (name, value) in changes {
                match value {
                    Some(value) => drop(headers.insert(*name, HeaderValue::from_str(value).unwrap())),
                    None => drop(headers.remove(*name)),
                }
            }
            refusal(&secret, &headers).map_or(200, |(status, _)| status.as_u16())
        };
        for (changes, expected) in [
            (vec![], 200),
            (vec![("content-type", Some("application/json; charset=utf-8"))], 200),
            (vec![("content-type", Some("text/plain"))], 415),
            (vec![("content-type", Some("application/x-www-form-urlencoded"))], 415),
            (vec![("content-type", None)], 415),
            (vec![("origin", Some("https://localhost:7878"))], 200),
            (vec![("origin", Some("http://localhost:9999"))], 403),
            (vec![("origin", Some("http://evil.example"))], 403),
            (vec![("origin", Some("null"))], 403),
            (vec![("origin", None)], 200),
            (vec![("sec-fetch-site", Some("cross-site"))], 403),
            (vec![("sec-fetch-site", Some("same-site"))], 403),
            (vec![("sec-fetch-site", Some("none"))], 403),
            (vec![("sec-fetch-site", None), ("origin", None)], 200),
            (vec![("x-dato-mirror-page", None)], 403),
            (vec![("x-dato-mirror-page", Some("guess"))], 403),
        ] {
            assert_eq!(with(&changes), expected, "{changes:?}");
        }
    }
}
