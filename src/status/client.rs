//! The other side of `/healthz`, for containers that have no program but ours.
//!
//! Owns: one request.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use reqwest::Client;

/// A healthy process answers at once; container platforms themselves wait longer than this.
const TIMEOUT: Duration = Duration::from_secs(3);

/// Asks the process that listens on `listen` whether it is healthy. A proxy of the environment is not used.
///
/// # Errors
/// One line for people: nobody answers, or it is not healthy.
pub async fn check(listen: SocketAddr) -> Result<(), String> {
    let address = reachable(listen);
    let why = |error: reqwest::Error| {
        // The URL is in the message already, and the causes are what matters.
        let error = error.without_url();
        let cause = std::iter::successors(std::error::Error::source(&error), |error| error.source()).last();
        cause.map_or_else(|| error.to_string(), ToString::to_string)
    };
    let client = Client::builder()
        .no_proxy()
        .timeout(TIMEOUT)
        .redirect(reqwest::redirect::Policy::none())
        .tls_certs_only([])
        .build()
        .map_err(why)?;
    let url = format!("http://{address}/healthz");
    let answer = client.get(&url).send().await.map_err(|error| format!("no answer from {url}: {}", why(error)))?;
    let status = answer.status();
    if status.is_success() {
        return Ok(());
    }
    let body = answer.text().await.unwrap_or_default();
    let body: String = body.chars().filter(|one| !one.is_control()).take(500).collect();
    Err(format!("{url} says {}: {body}", status.as_u16()))
}

/// An address to reach a server by that listens on all of them.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everywhere_is_asked_at_home() {
        for (listen, expected) in [
            ("0.0.0.0:7878", "127.0.0.1:7878"),
            ("[::]:7878", "[::1]:7878"),
            ("10.0.0.5:7878", "10.0.0.5:7878"),
            ("127.0.0.1:1", "127.0.0.1:1"),
        ] {
            assert_eq!(reachable(listen.parse().unwrap()).to_string(), expected);
        }
    }
}
