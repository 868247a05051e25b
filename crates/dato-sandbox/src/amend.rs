//! Answers that are changed, or made up, on their way: what a hostile or broken service says.
//!
//! Owns: carrying out the faults that touch an answer's JSON, headers and packing. Never does: the meaning of a call.

use std::collections::BTreeMap;
use std::io::Write as _;

use axum::body::{Body, to_bytes};
use axum::http::{HeaderName, HeaderValue};
use axum::response::Response;
use serde_json::{Value, json};

use super::answer::respond;
use super::fault::FaultKind;

/// What `fault` makes of a good answer; `offset` is what a listing was to skip.
pub(super) async fn answer(fault: &FaultKind, offset: u64, response: Response) -> Response {
    let (mut parts, body) = response.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap_or_default();
    if let FaultKind::Headers { headers: set, .. } = fault {
        let mut response = Response::from_parts(parts, Body::from(body));
        headers(&mut response, set);
        return response;
    }
    let Ok(mut document) = serde_json::from_slice::<Value>(&body) else {
        return Response::from_parts(parts, Body::from(body));
    };
    match fault {
        FaultKind::Alter { at, to } => set(&mut document, at, to),
        FaultKind::SamePage => document["meta"]["total_count"] = json!(1_000_000),
        FaultKind::GrowingTotal => grow(&mut document, offset),
        _ => {}
    }
    parts.headers.remove("content-length");
    Response::from_parts(parts, Body::from(document.to_string()))
}

/// Puts `to` where `at` points; what is not there is made, one member deep.
fn set(document: &mut Value, at: &str, to: &Value) {
    if let Some(place) = document.pointer_mut(at) {
        *place = to.clone();
    } else if let Some((parent, key)) = at.rsplit_once('/')
        && let Some(Value::Object(parent)) = document.pointer_mut(parent)
    {
        parent.insert(key.to_owned(), to.clone());
    }
}

/// Fills a page with assets that nobody has seen, and says that there are a thousand more.
fn grow(document: &mut Value, offset: u64) {
    let asset = |_| {
        let id = format!("{:022x}", fastrand::u128(..) >> 40);
        let attributes = json!({ "path": format!("/1/{id}.png"), "size": 1, "updated_at": "2026-01-01T00:00:00Z" });
        json!({ "id": id, "type": "upload", "attributes": attributes })
    };
    document["data"] = (0..500).map(asset).collect();
    document["meta"]["total_count"] = json!(offset + 1000);
}

/// Sets headers; names and values that are none are left out.
pub(super) fn headers(response: &mut Response, set: &BTreeMap<String, String>) {
    for (name, value) in set {
        if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), HeaderValue::from_str(value)) {
            response.headers_mut().insert(name, value);
        }
    }
}

/// Spaces, packed a thousand to one.
pub(super) fn bomb(status: u16, megabytes: u32) -> Response {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    let block = vec![b' '; 1024 * 1024];
    for _ in 0..megabytes {
        // Into memory: it cannot fail.
        let _ = packed.write_all(&block);
    }
    let mut response = respond(status, "application/json", packed.finish().unwrap_or_default());
    response.headers_mut().insert("content-encoding", HeaderValue::from_static("gzip"));
    response
}
