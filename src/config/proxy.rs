//! The variables that name a proxy.
//!
//! Owns: refusing one that no client would use. The HTTP library passes over what it cannot read, and then the traffic goes
//! another way than its owner thinks. Never does: choosing a proxy.

use hyper::Uri;
use hyper_util::client::proxy::matcher::Matcher;

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
        let advice = "write it as http://proxy.example:3128, what is special in a password as %XX, or unset it";
        findings.add(Place::Environment(name.to_owned()), why, advice);
    }
    check_hidden(environment, findings);
}

/// Whether the HTTP library takes it: by its own reading.
fn is_address(text: &str) -> bool {
    let matcher = Matcher::builder().all(text.to_owned()).build();
    let used = matcher.intercept(&Uri::from_static("https://service.example"));
    used.is_some_and(|proxy| proxy.uri().host().is_some_and(|host| !host.is_empty()))
}

/// The capital spelling goes first, set to nothing or not.
fn check_hidden(environment: &Environment, findings: &Findings) {
    for [first, second] in [["HTTPS_PROXY", "https_proxy"], ["HTTP_PROXY", "http_proxy"], ["ALL_PROXY", "all_proxy"]] {
        if environment.has(first) && environment.text(first).is_none() && environment.text(second).is_some() {
            let why = format!("is set to nothing, and hides ${second}, so that no proxy would be used");
            findings.add(Place::Environment(first.to_owned()), why, "unset one of the two");
        }
    }
}
