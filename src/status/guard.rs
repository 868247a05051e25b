//! What a request must be to get an answer.
//!
//! Owns: the refusal of requests that a web page elsewhere could have made, and the headers of every answer. A page may
//! point its own name at 127.0.0.1 (DNS rebinding) and so read what listens there; the browser then still tells that
//! name in `Host`. An address cannot be rebound, so addresses pass. Never does: knowing what is shown.

use std::net::{IpAddr, SocketAddr};

use axum::extract::{Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

/// Said with every answer, unless the answer has its own: nobody keeps it, guesses its type, frames it or embeds it.
const HEADERS: [(HeaderName, &str); 6] = [
    (header::CACHE_CONTROL, "no-store"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

/// The layer. Its state is where the server listens.
pub(super) async fn enter(State(listen): State<SocketAddr>, request: Request, next: Next) -> Response {
    let mut response = match refusal(listen, request.method(), request.uri(), request.headers()) {
        Some((StatusCode::METHOD_NOT_ALLOWED, why)) => {
            let allowed = if request.uri().path() == super::retry::PATH { "POST" } else { "GET, HEAD" };
            (StatusCode::METHOD_NOT_ALLOWED, [(header::ALLOW, allowed)], why).into_response()
        }
        Some(refusal) => refusal.into_response(),
        None => next.run(request).await,
    };
    for (name, value) in HEADERS {
        response.headers_mut().entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}

/// Why the request is refused; `None` when it is fine.
fn refusal(listen: SocketAddr, method: &Method, uri: &Uri, headers: &HeaderMap) -> Option<(StatusCode, &'static str)> {
    let mut hosts = headers.get_all(header::HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else {
        return Some((StatusCode::BAD_REQUEST, "a request must have one Host header\n"));
    };
    let host = host.to_str().ok().and_then(|text| text.parse::<Authority>().ok());
    let named = host.as_ref().is_some_and(|host| is_ours(listen, host));
    // "GET http://name/ HTTP/1.1" names it a second time.
    if !named || uri.authority().is_some_and(|authority| !is_ours(listen, authority)) {
        let why = "this name is not served: use the address that dato-mirror listens on, or localhost\n";
        return Some((StatusCode::FORBIDDEN, why));
    }
    let reads = method == Method::GET || method == Method::HEAD;
    match uri.path() == super::retry::PATH {
        true if method != Method::POST => Some((StatusCode::METHOD_NOT_ALLOWED, "only POST\n")),
        false if !reads => Some((StatusCode::METHOD_NOT_ALLOWED, "only GET\n")),
        _ => None,
    }
}

/// Whether the name is ours, whatever the port: behind a forwarded port it is another one, and it protects nothing.
fn is_ours(listen: SocketAddr, host: &Authority) -> bool {
    if host.as_str().contains('@') {
        return false;
    }
    let name = host.host();
    if name.eq_ignore_ascii_case("localhost") {
        return true;
    }
    let Ok(address) = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>() else { return false };
    let (address, listen) = (address.to_canonical(), listen.ip().to_canonical());
    // One that listens everywhere, as in a container, has addresses it does not know.
    address == listen || address.is_loopback() || listen.is_unspecified()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::needless_pass_by_value, reason = "a constant at every call")]
    fn status(listen: &str, method: Method, uri: &str, hosts: &[&str]) -> u16 {
        let mut headers = HeaderMap::new();
        for host in hosts {
            headers.append(header::HOST, HeaderValue::from_bytes(host.as_bytes()).unwrap());
        }
        refusal(listen.parse().unwrap(), &method, &uri.parse().unwrap(), &headers).map_or(200, |(why, _)| why.as_u16())
    }

    #[test]
    fn only_our_own_names_and_addresses_are_served() {
        for (listen, host, expected) in [
            ("127.0.0.1:7878", "127.0.0.1:7878", 200),
            ("127.0.0.1:7878", "127.0.0.1", 200),
            ("127.0.0.1:7878", "localhost:7878", 200),
            ("127.0.0.1:7878", "LocalHost:8080", 200),
            ("127.0.0.1:7878", "[::1]:7878", 200),
            ("127.0.0.1:7878", "10.0.0.5:7878", 403),
            ("127.0.0.1:7878", "evil.example:7878", 403),
            ("127.0.0.1:7878", "localhost.evil.example", 403),
            ("127.0.0.1:7878", "127.0.0.1.evil.example", 403),
            ("127.0.0.1:7878", "evil.localhost", 403),
            ("127.0.0.1:7878", "a@127.0.0.1:7878", 403),
            ("127.0.0.1:7878", "localhost.", 403),
            ("127.0.0.1:7878", "", 403),
            ("127.0.0.1:7878", "é", 403),
            ("[::1]:7878", "[::1]:7878", 200),
            ("[::1]:7878", "127.0.0.1", 200),
            ("10.0.0.5:7878", "10.0.0.5:7878", 200),
            ("10.0.0.5:7878", "localhost", 200),
            ("10.0.0.5:7878", "10.0.0.6:7878", 403),
            ("0.0.0.0:7878", "10.0.0.5:7878", 200),
            ("0.0.0.0:7878", "mirror.svc.cluster.local", 403),
            ("[::]:7878", "[::ffff:10.0.0.5]:7878", 200),
        ] {
            assert_eq!(status(listen, Method::GET, "/", &[host]), expected, "{listen} {host}");
        }
    }

    #[test]
    fn one_host_and_only_reading() {
        let listen = "127.0.0.1:7878";
        assert_eq!(status(listen, Method::GET, "/", &[]), 400);
        assert_eq!(status(listen, Method::GET, "/", &["localhost", "evil.example"]), 400);
        assert_eq!(status(listen, Method::GET, "http://evil.example/", &["localhost"]), 403);
        assert_eq!(status(listen, Method::GET, "http://localhost/", &["localhost"]), 200);
        assert_eq!(status(listen, Method::HEAD, "/", &["localhost"]), 200);
        for method in [Method::POST, Method::PUT, Method::DELETE, Method::OPTIONS, Method::CONNECT, Method::PATCH] {
            assert_eq!(status(listen, method.clone(), "/", &["localhost"]), 405, "{method}");
            let expected = if method == Method::POST { 200 } else { 405 };
            assert_eq!(status(listen, method.clone(), "/retry", &["localhost"]), expected, "{method}");
            assert_eq!(status(listen, method.clone(), "/retry", &["evil.example"]), 403, "{method}");
        }
        assert_eq!(status(listen, Method::GET, "/retry", &["localhost"]), 405);
    }
}
