//! By which names the sandbox may be asked for.
//!
//! Owns: the refusal of requests that a web page elsewhere made under a name of its own (DNS rebinding): the sandbox
//! shows whatever a developer mirrors into it. Never does: knowing what is asked.

use std::net::IpAddr;

use axum::http::uri::Authority;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};

/// The refusal of a request that names another host than this machine's loopback. One that names none is no browser's.
pub(super) fn refusal(headers: &HeaderMap) -> Option<Response> {
    let is_ours = |host: &Authority| {
        let name = host.host().trim_start_matches('[').trim_end_matches(']');
        let is_loopback = name.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback());
        !host.as_str().contains('@') && (is_loopback || name.eq_ignore_ascii_case("localhost"))
    };
    let read = |value: &axum::http::HeaderValue| value.to_str().ok()?.parse::<Authority>().ok();
    let hosts = headers.get_all(header::HOST);
    match hosts.iter().all(|value| read(value).is_some_and(|host| is_ours(&host))) {
        true => None,
        false => {
            let why = "this name is not served: the sandbox is asked for by its address or as localhost\n";
            Some((StatusCode::MISDIRECTED_REQUEST, why).into_response())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_is_served() {
        for (host, served) in [
            (Some("127.0.0.1:3999"), true),
            (Some("127.9.9.9"), true),
            (Some("[::1]:3999"), true),
            (Some("LocalHost:1"), true),
            (None, true),
            (Some("evil.example:3999"), false),
            (Some("127.0.0.1.evil.example"), false),
            (Some("localhost@evil.example"), false),
            (Some("192.168.1.5:3999"), false),
            (Some(""), false),
        ] {
            let headers = host.map(|host| (header::HOST, host.parse().unwrap())).into_iter().collect();
            assert_eq!(refusal(&headers).is_none(), served, "{host:?}");
        }
    }
}
