//! The variables that name a proxy.
//!
//! Owns: refusing one that no client would use. The HTTP library passes over what it cannot read, and then the traffic goes
//! another way than its owner thinks. Never does: choosing a proxy.

use super::document::Findings;
use super::environment::Environment;
use super::problem::Place;

/// Those that the HTTP library reads.
const VARIABLES: [&str; 6] = ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"];

/// Tells of each that is no address. The value is not shown: it may hold a password.
pub(super) fn check_proxies(environment: &Environment, findings: &Findings) {
    for name in VARIABLES {
        let why = match environment.text(name) {
            None => continue,
            Some(Ok(text)) if is_address(text) => continue,
            Some(Ok(text)) if text.chars().any(|c| c.is_whitespace() || c.is_control()) => {
                "has white space or a line break in it, so that it would be passed over"
            }
            Some(Ok(_)) => "is no address of a proxy, so that it would be passed over",
            Some(Err(_)) => "is not valid UTF-8, so that it would be passed over",
        };
        let advice = "write it as http://proxy.example:3128, or unset it";
        findings.add(Place::Environment(name.to_owned()), why, advice);
    }
}

/// A URL, or a host with a port as many tools take it.
fn is_address(text: &str) -> bool {
    let plain = !text.chars().any(|c| c.is_whitespace() || c.is_control());
    let has_host =
        |text: &str| reqwest::Url::parse(text).is_ok_and(|url| url.host_str().is_some_and(|host| !host.is_empty()));
    plain && if text.contains("://") { has_host(text) } else { has_host(&format!("http://{text}")) }
}
