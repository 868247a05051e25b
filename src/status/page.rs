//! `/`: the status page.
//!
//! Owns: putting its one answer together from `page/`, and what a browser may do with it: run our script and style, ask
//! us for news, show images, and nothing else. What is shown comes over `/events` and is put in as text only.

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse as _, Response};
use axum::routing::get;

use super::Shared;
use super::secret::Secret;

const PAGE: &str = include_str!("page/page.html");
const STYLE: &str = include_str!("page/page.css");
const SCRIPT: &str = include_str!("page/page.js");

pub(super) fn routes() -> Router<Shared> {
    Router::new().route("/", get(page))
}

async fn page(State(shared): State<Shared>) -> Response {
    let Ok(nonce) = Secret::new() else {
        return (StatusCode::SERVICE_UNAVAILABLE, "the system has no random numbers\n").into_response();
    };
    let page = put_together(nonce.expose(), shared.secret.expose());
    ([(header::CONTENT_SECURITY_POLICY, policy(nonce.expose()))], Html(page)).into_response()
}

fn put_together(nonce: &str, secret: &str) -> String {
    PAGE.replace("{{nonce}}", nonce)
        .replace("{{secret}}", secret)
        .replace("{{style}}", STYLE)
        .replace("{{script}}", SCRIPT)
}

/// Thumbnails come from wherever the project serves its assets; a sandbox serves them from this machine.
fn policy(nonce: &str) -> String {
    let images = "https: data: http://127.0.0.1:* http://localhost:*";
    format!(
        "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; img-src {images}; \
         connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
         require-trusted-types-for 'script'; trusted-types 'none'"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_whole_and_needs_nothing_from_elsewhere() {
        let page = put_together("NONCE", "SECRET");
        assert!(!page.contains("{{"), "a place was left empty");
        assert_eq!(page.matches("NONCE").count(), 2);
        assert_eq!(page.matches("SECRET").count(), 1);
        for outside in ["src=\"http", "href=\"http", "url(", "@import", "import(", " style=\""] {
            assert!(!page.contains(outside), "{outside}");
        }
        // The policy would refuse these at run time; here the reason is told.
        for sink in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "javascript:"] {
            assert!(!SCRIPT.contains(sink), "{sink}");
        }
        assert!(SCRIPT.contains("new EventSource") && page.len() < 60_000, "{}", page.len());
    }
}
