//! What a refusal of the bucket says, and whether it is the bucket that says it.
//!
//! Owns: telling a web page of something in between from the bucket's own words, of which it keeps the code alone.
//! Sends nothing.

use std::time::Duration;

use reqwest::Response;
use reqwest::header::{CONTENT_TYPE, HeaderValue};

use super::SendError;
use crate::answer::{self, Body as Answer, LARGEST_ERROR};
use crate::error::shorten;

/// Whether it is a web page: no bucket answers with one.
pub(super) fn is_page(response: &Response) -> bool {
    let kind = response.headers().get(CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    kind.to_ascii_lowercase().starts_with(b"text/html")
}

pub(super) async fn refusal(response: Response) -> SendError {
    let status = response.status().as_u16();
    match status {
        // A proxy wants a login, or a network does.
        407 | 511 => return SendError::Between { status },
        503 | 429 => return SendError::Throttled { status },
        408 | 500.. => return SendError::Network(format!("HTTP {status}")),
        _ => {}
    }
    let page = is_page(&response);
    let body = tokio::time::timeout(Duration::from_secs(2), answer::read(response, LARGEST_ERROR)).await;
    let body = match body {
        Ok(Ok(Answer::Whole(bytes) | Answer::Cut(bytes))) => bytes,
        Ok(Err(_)) | Err(_) => Vec::new(),
    };
    let body = String::from_utf8_lossy(&body);
    if page || looks_like_a_page(&body) {
        return SendError::Between { status };
    }
    SendError::Refused { status: Some(status), details: s3_code(&body) }
}

/// Whether a body without a type is a web page: a bucket's own words are XML that begins with its error.
fn looks_like_a_page(body: &str) -> bool {
    let start = body.trim_start().get(..9).unwrap_or_default().to_ascii_lowercase();
    start.starts_with("<html") || start.starts_with("<!doctype")
}

/// The `<Code>` of an S3 error: the rest of such a body can hold the signature.
fn s3_code(body: &str) -> String {
    let code = body.split_once("<Code>").and_then(|(_, rest)| rest.split_once("</Code>")).map(|(code, _)| code);
    code.map_or_else(|| "no reason given".to_owned(), shorten)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_code_of_a_bucket_error_is_kept() {
        assert_eq!(s3_code("<Error><Code>AccessDenied</Code><X>sig</X></Error>"), "AccessDenied");
        assert_eq!(s3_code("<html>sig</html>"), "no reason given");
    }
}
