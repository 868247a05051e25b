//! Reading an answer, whoever gave it.
//!
//! Owns: how much of a body is read, packed or not; whether it is the API's own or that of something in between; its
//! request id; what a failed request says.
//! Never does: knowing what a call means, retrying.

use reqwest::Response;
use reqwest::header::HeaderMap;
use serde_json::{Value, json};

use super::error::{ApiError, ApiErrorKind, shorten};

/// A page larger than this is not read: 500 uploads with all their metadata are a few MB. Bytes, unpacked.
pub(super) const LARGEST_PAGE: usize = 8 * 1024 * 1024;
/// An error larger than this is cut. Bytes, unpacked.
pub(super) const LARGEST_ERROR: usize = 64 * 1024;
/// Objects in an answer: each takes hundreds of bytes of memory, however few it has on the wire. A full page has 20,000.
const MOST_OBJECTS: usize = 200_000;
/// Characters of a request id; the service's are UUIDs.
const LONGEST_ID: usize = 64;

/// What was read of a body.
pub(super) enum Body {
    /// All of it.
    Whole(Vec<u8>),
    /// Its beginning: it is larger than any answer of the API, and the rest is left unread.
    Cut(Vec<u8>),
}

/// Reads a body as it comes, and no more than `most` bytes of what it unpacks to.
pub(super) async fn read(mut response: Response, most: usize) -> Result<Body, ApiError> {
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(network_error)? {
        let room = most - bytes.len();
        if chunk.len() > room {
            bytes.extend_from_slice(&chunk[..room]);
            return Ok(Body::Cut(bytes));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(Body::Whole(bytes))
}

/// The document of a good answer, when it is one of the API's: JSON with `data`. None of our calls is answered with nothing.
pub(super) fn document(body: &[u8]) -> Option<Value> {
    if memchr::memchr_iter(b'{', body).count() > MOST_OBJECTS {
        return None;
    }
    let says_something = |document: &Value| match document.get("data") {
        None => false,
        Some(Value::Null) => document.get("meta").is_some_and(Value::is_object),
        Some(_) => true,
    };
    serde_json::from_slice::<Value>(body).ok().filter(says_something)
}

/// The document of an error, when it is one of the API's. Of one that was cut, its first code.
pub(super) fn refusal(body: &Body) -> Option<Value> {
    let document = match body {
        Body::Whole(bytes) => serde_json::from_slice(bytes).ok()?,
        Body::Cut(bytes) => {
            let text = String::from_utf8_lossy(bytes);
            let text = text.trim_start().strip_prefix('{').filter(|text| text.contains("\"api_error\""))?;
            let (_, rest) = text.split_once("\"code\":")?;
            let code = rest.trim_start().strip_prefix('"')?.split('"').next()?;
            json!({ "data": [{ "attributes": { "code": code } }] })
        }
    };
    ApiError::is_envelope(&document).then_some(document)
}

/// What something in between answered, in a few words.
pub(super) fn nature(body: &Body) -> &'static str {
    let (Body::Whole(bytes) | Body::Cut(bytes)) = body;
    let start = bytes.trim_ascii_start();
    match start.first() {
        None => "with nothing",
        Some(b'<') => "with a web page",
        Some(b'{' | b'[') => "with JSON that is not the API's",
        Some(_) => "with a text",
    }
}

/// `X-Request-Id`, by which the service's support finds a call. What no id looks like is left out.
pub(super) fn request_id(headers: &HeaderMap) -> Option<String> {
    let text = headers.get("x-request-id")?.to_str().ok()?.trim();
    let good = |c: char| c.is_ascii_alphanumeric() || "-_.:=/+".contains(c);
    (!text.is_empty() && text.len() <= LONGEST_ID && text.chars().all(good)).then(|| text.to_owned())
}

/// The chain of causes, without the URL.
pub(super) fn network_error(error: reqwest::Error) -> ApiError {
    ApiError::new(ApiErrorKind::Network, causes(error))
}

/// What a failed request says, innermost causes last, without its URL.
pub(super) fn causes(error: reqwest::Error) -> String {
    if error.is_timeout() && !error.is_connect() {
        return "no answer in time".into();
    }
    let error = error.without_url();
    let mut text = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(cause) = source {
        let words = cause.to_string();
        if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
        source = cause.source();
    }
    shorten(&text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_of_countless_objects_is_not_the_apis() {
        let of = |objects: usize| format!("{{\"data\":[{}]}}", vec!["{\"\":0}"; objects].join(","));
        assert!(document(of(MOST_OBJECTS - 1).as_bytes()).is_some());
        assert!(document(of(MOST_OBJECTS).as_bytes()).is_none());
    }

    #[test]
    fn of_an_error_that_was_cut_the_code_is_read() {
        let text = br#"{"data":[{"id":"1","type":"api_error","attributes":{"code":"IN_USE","details":{"records":["a"#;
        let error = ApiError::from_answer(422, refusal(&Body::Cut(text.to_vec())).as_ref());
        assert_eq!(error.code.as_deref(), Some("IN_USE"));
        for other in ["<html>\"api_error\" \"code\":\"X\"", "{\"code\":\"X\"", "{\"data\":[{\"type\":\"api_error\""] {
            assert!(refusal(&Body::Cut(other.into())).is_none(), "{other}");
        }
    }
}
