//! Faults, scripted by route and call: what goes wrong, where, and how often.
//!
//! Owns: the script and its counters. Never does: carrying a fault out (that is `door` and `bucket`).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::watch;

/// One scripted fault.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// `METHOD PATH`: `POST /uploads`, `GET /uploads/:id`, `GET /job-results`, `PUT bucket`. `*` stands for any
    /// method, a trailing `*` for any rest of the path; a path with a real id matches that id only.
    pub route: String,
    /// Matching calls to let pass first.
    #[serde(default)]
    pub skip: u64,
    /// Matching calls to hit after that; `None` is for ever.
    #[serde(default = "once")]
    pub times: Option<u64>,
    /// What happens.
    pub kind: FaultKind,
}

#[expect(clippy::unnecessary_wraps, reason = "the field's type")]
const fn once() -> Option<u64> {
    Some(1)
}

/// What goes wrong.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "snake_case", deny_unknown_fields)]
pub enum FaultKind {
    /// Refused with this status and code; nothing is done.
    Status {
        /// HTTP status.
        status: u16,
        /// The envelope's code.
        code: String,
        /// Whether the envelope says `transient`.
        #[serde(default)]
        transient: bool,
        /// The envelope's details.
        #[serde(default)]
        details: Value,
    },
    /// A proxy's HTML page with this status (502, 503 …); nothing is done.
    Html {
        /// HTTP status.
        status: u16,
    },
    /// What something in between says: this status, content type and body; nothing is done.
    Body {
        /// HTTP status.
        status: u16,
        /// For example `text/plain`.
        #[serde(default)]
        content_type: String,
        /// The body; it may be empty.
        #[serde(default)]
        text: String,
    },
    /// Refused with this status and several errors; nothing is done.
    Errors {
        /// HTTP status.
        status: u16,
        /// Each a code and its details.
        errors: Vec<(String, Value)>,
    },
    /// A body without end, with this status; nothing is done.
    Endless {
        /// HTTP status.
        status: u16,
    },
    /// A small packed body that unpacks to so much, with this status; nothing is done.
    GzipBomb {
        /// HTTP status.
        status: u16,
        /// Megabytes of spaces.
        megabytes: u32,
    },
    /// Everything is done, the answer has these headers besides.
    Headers {
        /// By name.
        headers: BTreeMap<String, String>,
        /// Refused with 429 instead, and nothing is done.
        #[serde(default)]
        refused: bool,
    },
    /// Everything is done, the answer's JSON is changed at this pointer.
    Alter {
        /// For example `/data/attributes/url`.
        at: String,
        /// What stands there then.
        to: Value,
    },
    /// Listings: the first page, whichever is asked for.
    SamePage,
    /// Listings: `total_count` grows with each answer by a thousand, and each page is full of assets not seen before.
    GrowingTotal,
    /// 200 with a JSON content type and a body that is no JSON; nothing is done.
    Garbage,
    /// 200 with a list without an entry and a count of nothing, whatever there is; nothing is done.
    EmptyList,
    /// 429 with this `X-RateLimit-Reset`; nothing is done.
    RateLimited {
        /// Seconds.
        reset: u64,
    },
    /// Handled as usual, after a wait; forgetting the faults ends it.
    Delay {
        /// Milliseconds.
        ms: u64,
    },
    /// The connection breaks before anything is done.
    Drop,
    /// Everything is done, then the connection breaks: the reply is lost.
    LoseReply,
    /// Everything is done, half of the reply's body arrives.
    CutBody,
    /// Everything is done, the reply is a proxy's HTML page with this status.
    HtmlReply {
        /// HTTP status.
        status: u16,
    },
    /// The job of this call has no effect and ends with this refusal.
    JobFails {
        /// The inner status.
        status: u16,
        /// The envelope's code.
        code: String,
    },
    /// The job of this call has no effect and its result is 404 for ever.
    JobNeverEnds,
    /// The job of this call has its effect, but its result is 404 for ever.
    JobResultLost,
    /// The job of this call takes this much longer.
    JobSlow {
        /// Milliseconds.
        ms: u64,
    },
    /// The call is checked only inside its job.
    JobRefusedLate,
    /// 202 and a job, also where the result is usual at once.
    AsJob,
    /// The result at once, also where a job is usual.
    Direct,
    /// Bucket: 503 SlowDown after reading nothing.
    SlowDown,
    /// Bucket: 403 before the body is read, then the connection closes.
    EarlyForbidden,
    /// Bucket: sent elsewhere with 307, before the body is read; without a place, to the same one.
    Redirect {
        /// `Location`.
        #[serde(default)]
        to: Option<String>,
    },
    /// Bucket: the bytes are stored, the ETag is another's.
    WrongEtag,
    /// Bucket: the connection is reset in mid-body.
    ResetMidBody,
    /// Bucket: one stored byte differs; the ETag tells the digest of what is stored.
    CorruptBytes,
    /// Bucket: one stored byte differs; the ETag is that of what was sent.
    CorruptQuietly,
    /// Upload request: the URL has expired when it is told.
    ExpireAtOnce,
}

#[derive(Debug)]
struct Scripted {
    fault: Fault,
    seen: u64,
    used: u64,
}

/// The script.
#[derive(Debug, Default)]
pub(super) struct Script {
    faults: Vec<Scripted>,
    /// Tells whoever is held up by a fault that it is forgotten.
    cleared: watch::Sender<()>,
}

impl Script {
    /// Adds a fault; the oldest that applies wins.
    pub(super) fn add(&mut self, fault: Fault) {
        self.faults.push(Scripted { fault, seen: 0, used: 0 });
    }

    /// Forgets all faults.
    pub(super) fn clear(&mut self) {
        self.faults.clear();
        self.cleared.send_replace(());
    }

    /// Changes when all faults are forgotten from now on.
    pub(super) fn cleared(&self) -> watch::Receiver<()> {
        self.cleared.subscribe()
    }

    /// Each fault with the number of calls it has hit.
    pub(super) fn list(&self) -> Vec<(Fault, u64)> {
        self.faults.iter().map(|scripted| (scripted.fault.clone(), scripted.used)).collect()
    }

    /// The fault for this call, if any. `label` has `:id` for ids, `path` is as asked. Every matching fault counts
    /// the call, so that "the third create" means the same whatever other faults there are.
    pub(super) fn take(&mut self, method: &str, label: &str, path: &str) -> Option<FaultKind> {
        let mut hit = None;
        for scripted in &mut self.faults {
            if !matches(&scripted.fault.route, method, label, path) {
                continue;
            }
            scripted.seen += 1;
            let due = scripted.seen > scripted.fault.skip
                && scripted.fault.times.is_none_or(|times| scripted.seen <= scripted.fault.skip.saturating_add(times));
            if due && hit.is_none() {
                scripted.used += 1;
                hit = Some(scripted.fault.kind.clone());
            }
        }
        hit
    }
}

/// Whether a route pattern names this call.
pub(super) fn matches(route: &str, method: &str, label: &str, path: &str) -> bool {
    let (wanted, pattern) = route.split_once(' ').unwrap_or(("*", route));
    if wanted != "*" && !wanted.eq_ignore_ascii_case(method) {
        return false;
    }
    let pattern = pattern.trim();
    if let Some(prefix) = pattern.strip_suffix('*') {
        return path.starts_with(prefix) || label.starts_with(prefix);
    }
    let named = |part: &str| if part.starts_with(':') { ":id".to_owned() } else { part.to_owned() };
    let pattern = pattern.split('/').map(named).collect::<Vec<_>>().join("/");
    // The two routes that make no sense without an id may be named without it.
    let short = matches!(pattern.as_str(), "/job-results" | "/usage-log-counters") && label == format!("{pattern}/:id");
    pattern == label || pattern == path || short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_match_what_they_name_and_nothing_else() {
        let cases = [
            ("POST /uploads", "POST", "/uploads", "/uploads", true),
            ("POST /uploads", "GET", "/uploads", "/uploads", false),
            ("POST /uploads", "POST", "/uploads/bulk/tag", "/uploads/bulk/tag", false),
            ("POST /uploads*", "POST", "/uploads/bulk/tag", "/uploads/bulk/tag", true),
            ("GET /uploads/:upload", "GET", "/uploads/:id", "/uploads/abc", true),
            ("GET /uploads/abc", "GET", "/uploads/:id", "/uploads/abc", true),
            ("GET /uploads/abd", "GET", "/uploads/:id", "/uploads/abc", false),
            ("GET /job-results", "GET", "/job-results/:id", "/job-results/12", true),
            ("* *", "DELETE", "/uploads/:id", "/uploads/abc", true),
            ("PUT bucket", "PUT", "bucket", "bucket", true),
            ("PUT /uploads/:id", "PUT", "bucket", "bucket", false),
        ];
        for (route, method, label, path, expected) in cases {
            assert_eq!(matches(route, method, label, path), expected, "{route} against {method} {path}");
        }
    }

    #[test]
    fn a_fault_hits_the_calls_it_was_scripted_for() {
        let mut script = Script::default();
        script.add(Fault { route: "POST /uploads".into(), skip: 1, times: Some(2), kind: FaultKind::Drop });
        script.add(Fault { route: "* /uploads".into(), skip: 4, times: None, kind: FaultKind::Garbage });
        let hits: Vec<_> = (0..6).map(|_| script.take("POST", "/uploads", "/uploads")).collect();
        let garbage = Some(FaultKind::Garbage);
        assert_eq!(hits, [None, Some(FaultKind::Drop), Some(FaultKind::Drop), None, garbage.clone(), garbage]);
        assert_eq!(script.take("GET", "/site", "/site"), None);
    }

    #[test]
    fn a_fault_reads_from_json() {
        let text = r#"{"route":"POST /uploads","kind":{"name":"status","status":503,"code":"SERVICE_UNAVAILABLE","transient":true}}"#;
        let fault: Fault = serde_json::from_str(text).unwrap();
        assert_eq!((fault.skip, fault.times), (0, Some(1)));
        assert!(matches!(fault.kind, FaultKind::Status { status: 503, transient: true, .. }));
        assert!(serde_json::from_str::<Fault>(r#"{"route":"x","kind":{"name":"nonsense"}}"#).is_err());
    }
}
