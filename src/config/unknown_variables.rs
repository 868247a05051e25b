//! Environment variables that begin like ours and mean nothing to us.
//!
//! Owns: which of them are worth a word. Never does: refusing to start because of one.

use super::value::nearest;
use super::{Environment, PREFIX, mirror};

/// A variable that begins like ours but is none of ours may be a slip, so it is worth a word. It may also be another
/// program's, so it is no refusal.
pub(super) fn warn_of_variables(environment: &Environment, root_is_set: bool, warnings: &mut Vec<String>) {
    const SECTIONS: [&str; 11] = [
        "DATO_MIRROR_CONFIG",
        "DATO_MIRROR_API_BASE_URL",
        "DATO_MIRROR_API_ENVIRONMENT",
        "DATO_MIRROR_API_TOKEN_FILE",
        "DATO_MIRROR_API_RATE_SHARE",
        "DATO_MIRROR_API_MONTHLY_BUDGET",
        "DATO_MIRROR_API_UPLOAD_BANDWIDTH",
        "DATO_MIRROR_API_FULL_LISTING_INTERVAL",
        "DATO_MIRROR_STATE_PATH",
        "DATO_MIRROR_STATE_REMOTE_CACHE",
        "DATO_MIRROR_STATUS_LISTEN",
    ];
    let mirror: Vec<String> =
        mirror::PLAIN_KEYS.iter().map(|key| format!("{PREFIX}{}", key.to_ascii_uppercase())).collect();
    for name in environment.names(PREFIX) {
        if SECTIONS.contains(&name) || name == "DATO_MIRROR_ROOT" {
            continue;
        }
        if is_of_a_service(name) {
            continue;
        }
        if mirror.iter().any(|known| known == name) {
            if !root_is_set {
                warnings.push(format!("${name} is only used with --root or $DATO_MIRROR_ROOT"));
            }
            continue;
        }
        let suffix = name.trim_start_matches(PREFIX);
        let known = SECTIONS.iter().copied().chain(mirror.iter().map(String::as_str));
        let near = nearest(suffix, known.map(|known| known.trim_start_matches(PREFIX)));
        let near = near.map_or_else(String::new, |near| format!("; did you mean ${PREFIX}{near}?"));
        warnings.push(format!("${name} is no variable that dato-mirror reads{near}"));
    }
}

/// Kubernetes tells every container where its services are; one called dato-mirror gives `DATO_MIRROR_SERVICE_HOST`,
/// `DATO_MIRROR_SERVICE_PORT_HTTP`, `DATO_MIRROR_PORT`, `DATO_MIRROR_PORT_7878_TCP_ADDR` and their like
/// (<https://kubernetes.io/docs/tutorials/services/connect-applications-service/#environment-variables>).
fn is_of_a_service(name: &str) -> bool {
    name.ends_with("_SERVICE_HOST")
        || name.contains("_SERVICE_PORT")
        || name.ends_with("_PORT")
        || name.contains("_PORT_")
}
