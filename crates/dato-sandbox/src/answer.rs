//! What the sandbox says back: answers, and refusals in the service's error envelope.
//!
//! Owns: the envelope and its codes. Never does: deciding who is refused.

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use serde_json::{Value, json};

/// A JSON answer.
#[derive(Debug, Clone)]
pub(super) struct Answer {
    /// HTTP status.
    pub(super) status: u16,
    /// JSON body.
    pub(super) body: Value,
}

/// A refusal: becomes an answer in the error envelope.
#[derive(Debug, Clone)]
pub(super) struct Refusal {
    /// HTTP status.
    pub(super) status: u16,
    /// The code clients branch on.
    pub(super) code: String,
    /// What exactly is wrong.
    pub(super) details: Value,
    /// Whether trying the same again later can help.
    pub(super) transient: bool,
}

impl Answer {
    /// 200 with `body`.
    pub(super) const fn ok(body: Value) -> Self {
        Self { status: 200, body }
    }
}

impl Refusal {
    /// A refusal with details.
    pub(super) fn new(status: u16, code: &str, details: Value) -> Self {
        Self { status, code: code.to_owned(), details, transient: false }
    }

    /// The request's document, query or headers do not have the form the API asks for.
    pub(super) fn format(message: impl Into<String>) -> Self {
        Self::new(422, "INVALID_FORMAT", json!({ "message": message.into() }))
    }

    /// A value of a well-formed document is not acceptable.
    pub(super) fn field(field: &str, code: &str, message: impl Into<String>) -> Self {
        Self::new(422, "INVALID_FIELD", json!({ "field": field, "code": code, "message": message.into() }))
    }

    /// There is no such thing.
    pub(super) fn not_found(what: &str) -> Self {
        Self::new(404, "NOT_FOUND", json!({ "message": format!("no such {what}") }))
    }

    /// The error envelope.
    pub(super) fn envelope(&self) -> Value {
        let mut attributes = json!({
            "code": self.code,
            "doc_url": format!("https://www.datocms.com/docs/content-management-api/errors#{}", self.code),
            "details": self.details,
        });
        if self.transient {
            attributes["transient"] = json!(true);
        }
        json!({ "data": [{ "id": format!("{:06x}", fastrand::u32(..0x0100_0000)), "type": "api_error", "attributes": attributes }] })
    }
}

impl From<Refusal> for Answer {
    fn from(refusal: Refusal) -> Self {
        Self { status: refusal.status, body: refusal.envelope() }
    }
}

/// A response of any kind.
pub(super) fn respond(status: u16, content_type: &str, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    if let Ok(value) = HeaderValue::from_str(content_type) {
        response.headers_mut().insert(header::CONTENT_TYPE, value);
    }
    response
}

/// A bucket's XML error.
pub(super) fn bucket_error(status: u16, code: &str, message: &str) -> Response {
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code><Message>{message}</Message></Error>"
    );
    respond(status, "application/xml", body)
}
