//! What can go wrong between us and the API, in plain words.
//!
//! Owns: the one error type of all API calls, and its verdicts: try again when, this file or everything, what to do.
//! The table of the service's codes is in `codes`, what goes for each kind of trouble in `kind`.
//! Never does: deciding whether one call is sent again (that is `retry`), printing, logging.
//! Called by: everything in `remote`; the pipeline asks `retry()`, `scope()` and `unsure()`.

mod codes;
mod kind;

use std::fmt;
use std::time::Duration;

use serde_json::Value;

pub use kind::ApiErrorKind;

use codes::{Row, row_of};

/// Whether trying again can help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// Not without somebody changing something.
    Never,
    /// Yes, at the caller's own rhythm.
    Later,
    /// Yes, after this time.
    After(Duration),
}

/// What the trouble stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// This one file; the others go on.
    File,
    /// Every call.
    All,
}

/// One call's failure. Holds no URL, no token, no header.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct ApiError {
    /// What kind of trouble it is.
    pub kind: ApiErrorKind,
    /// HTTP status, when there was an answer.
    pub status: Option<u16>,
    /// The service's error code.
    pub code: Option<String>,
    /// What the service or the network said, shortened.
    pub details: Option<String>,
    /// The service says that it passes.
    pub transient: bool,
    pub(super) field: Option<String>,
    pub(super) reason: Option<String>,
    pub(super) unsure: bool,
    pub(super) after: Option<Duration>,
}

impl ApiError {
    /// An error that has only a kind and a cause.
    #[must_use]
    pub fn new(kind: ApiErrorKind, details: impl Into<String>) -> Self {
        Self {
            kind,
            status: None,
            code: None,
            details: Some(shorten(&details.into())),
            transient: false,
            field: None,
            reason: None,
            unsure: false,
            after: None,
        }
    }

    /// Reads an error answer. `body` is the JSON, or nothing when the body was no JSON:API error (a proxy's page).
    #[must_use]
    pub fn from_answer(status: u16, body: Option<&Value>) -> Self {
        let attributes = body
            .and_then(|body| body.get("data"))
            .and_then(|data| data.as_array().map_or(Some(data), |all| all.first()))
            .and_then(|error| error.get("attributes"));
        let code = attributes.and_then(|a| a.get("code")).and_then(Value::as_str).map(str::to_owned);
        let details = attributes.and_then(|a| a.get("details")).filter(|d| !is_empty(d));
        let text = |key: &str| details.and_then(|d| d.get(key)).and_then(Value::as_str).map(str::to_owned);
        let kind = match code.as_deref().map(row_of) {
            Some(Some(row)) => row.kind,
            Some(None) => ApiErrorKind::of_status(status),
            // "It is gone" must be the API's own word: a proxy's 404 page must not look like an editor's deletion.
            None if matches!(status, 404 | 410) => ApiErrorKind::Garbled,
            None => ApiErrorKind::of_status(status),
        };
        Self {
            kind,
            status: Some(status),
            details: details.map(|d| shorten(&plain(d))),
            transient: attributes.and_then(|a| a.get("transient")).and_then(Value::as_bool).unwrap_or(false),
            field: text("field"),
            reason: text("code"),
            code,
            unsure: false,
            after: None,
        }
    }

    pub(super) fn made_unsure(mut self) -> Self {
        self.unsure = true;
        self
    }

    pub(super) fn wait(mut self, after: Duration) -> Self {
        self.after = Some(after);
        self
    }

    /// When trying again can help.
    #[must_use]
    pub fn retry(&self) -> Retry {
        if let Some(after) = self.after {
            return Retry::After(after);
        }
        let by_code = self.row().is_some_and(|row| row.later);
        if self.transient || self.unsure || self.kind.passes() || by_code { Retry::Later } else { Retry::Never }
    }

    /// Whether trying the same file again can help: also where the call itself would fail again, but another look at the
    /// media area, or another upload, makes it another call.
    #[must_use]
    pub fn heals(&self) -> bool {
        self.retry() != Retry::Never || self.kind == ApiErrorKind::NotFound || self.refuses_the_upload()
    }

    /// The service does not take the path of an uploaded file.
    fn refuses_the_upload(&self) -> bool {
        self.code.as_deref() == Some("INVALID_FIELD") && self.field.as_deref() == Some("path")
    }

    /// Whether the other files are stopped by it too.
    #[must_use]
    pub fn scope(&self) -> Scope {
        if let Some(row) = self.row() {
            // Minutes of video are a limit of their own: pictures still go.
            let of_video = row.kind == ApiErrorKind::Plan && self.details.as_deref().is_some_and(|d| d.contains("mux"));
            return if of_video { Scope::File } else { row.scope };
        }
        self.kind.scope()
    }

    /// What to do about it.
    #[must_use]
    pub fn advice(&self) -> &'static str {
        if self.is_uniqueness_of_id() {
            return "the id is taken: the mirror looks at what has it, and adopts it or takes the next id";
        }
        if self.refuses_the_upload() {
            return "the service does not take the uploaded file; it is uploaded again";
        }
        if let Some(row) = self.row() {
            return row.advice;
        }
        self.kind.advice()
    }

    /// True when the call may or may not have changed the remote: look at the remote before sending it again.
    #[must_use]
    pub const fn unsure(&self) -> bool {
        self.unsure
    }

    /// The client-made id is taken already.
    #[must_use]
    pub fn is_uniqueness_of_id(&self) -> bool {
        self.code.as_deref() == Some("INVALID_FIELD")
            && self.field.as_deref() == Some("id")
            && self.reason.as_deref() == Some("VALIDATION_UNIQUENESS")
    }

    /// Something else has the name or place that was asked for.
    #[must_use]
    pub fn is_taken(&self) -> bool {
        let says = |details: &String| {
            let details = details.to_ascii_lowercase();
            ["unique", "already", "taken", "duplicate"].iter().any(|word| details.contains(word))
        };
        self.kind == ApiErrorKind::Invalid
            && (self.reason.as_deref() == Some("VALIDATION_UNIQUENESS") || self.details.as_ref().is_some_and(says))
    }

    /// The collection does not exist.
    #[must_use]
    pub fn is_about_collection(&self) -> bool {
        self.kind == ApiErrorKind::Invalid
            && self.field.as_deref().is_some_and(|field| field.contains("upload_collection"))
    }

    /// What was asked for does not exist.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        self.kind == ApiErrorKind::NotFound
    }

    /// The API refuses the token, the environment or the permission: exit code 3.
    #[must_use]
    pub const fn is_access(&self) -> bool {
        matches!(
            self.kind,
            ApiErrorKind::Token | ApiErrorKind::Environment | ApiErrorKind::Permission | ApiErrorKind::Project
        )
    }

    /// The API could not be reached at all, or not through what stands between: exit code 3 when it lasts.
    #[must_use]
    pub const fn is_unreachable(&self) -> bool {
        matches!(
            self.kind,
            ApiErrorKind::Network | ApiErrorKind::Service | ApiErrorKind::Maintenance | ApiErrorKind::Garbled
        )
    }

    /// The metadata may have been sent in the shape that this environment does not take.
    pub(super) fn is_shape_refusal(&self) -> bool {
        match self.code.as_deref() {
            Some("INVALID_FORMAT") => true,
            Some("INVALID_FIELD") => {
                self.field.as_deref().is_some_and(|field| field.starts_with("default_field_metadata"))
            }
            _ => false,
        }
    }

    fn row(&self) -> Option<&'static Row> {
        self.code.as_deref().and_then(row_of)
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.words())?;
        if let Some(details) = &self.details {
            write!(f, ": {details}")?;
        }
        match (self.status, &self.code) {
            (Some(status), Some(code)) => write!(f, " (HTTP {status}, {code})"),
            (Some(status), None) => write!(f, " (HTTP {status})"),
            (None, Some(code)) => write!(f, " ({code})"),
            (None, None) => Ok(()),
        }
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(map) => map.is_empty(),
        Value::String(text) => text.is_empty(),
        _ => false,
    }
}

/// `{"field":"id","code":"X"}` as `field id, code X`.
fn plain(details: &Value) -> String {
    let one = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    match details {
        Value::Object(map) => map.iter().map(|(key, v)| format!("{key} {}", one(v))).collect::<Vec<_>>().join(", "),
        other => one(other),
    }
}

/// At most 200 characters, on one line, and no query of any URL: that is where signatures are.
pub(super) fn shorten(text: &str) -> String {
    let mut short = String::new();
    let mut in_query = false;
    let mut in_url = false;
    for (index, c) in text.char_indices() {
        if text[index..].starts_with("http") {
            in_url = true;
        }
        if c.is_whitespace() || matches!(c, '"' | '\'' | '<' | '>' | ')') {
            (in_url, in_query) = (false, false);
        }
        if in_url && c == '?' && !in_query {
            in_query = true;
            short.push_str("?…");
        }
        if !in_query {
            short.push(if c.is_control() { ' ' } else { c });
        }
    }
    match short.char_indices().nth(200) {
        Some((end, _)) => format!("{}…", &short[..end]),
        None => short,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::codes::TABLE;
    use super::*;

    fn answer(status: u16, code: &str, details: &Value) -> ApiError {
        let error = json!({"id": "1", "type": "api_error", "attributes": {"code": code, "details": details}});
        ApiError::from_answer(status, Some(&json!({"data": [error]})))
    }

    #[test]
    fn every_code_of_the_facts_page_has_its_verdict() {
        use ApiErrorKind as K;
        use Scope::{All, File};
        let cases = [
            ("INVALID_AUTHORIZATION_HEADER", K::Token, false, All),
            ("INSUFFICIENT_PERMISSIONS", K::Permission, false, All),
            ("INVALID_ENVIRONMENT", K::Environment, false, All),
            ("ENVIRONMENT_NOT_READY", K::Maintenance, true, All),
            ("ENVIRONMENT_IN_READ_ONLY_MODE", K::Maintenance, true, All),
            ("MAINTENANCE_MODE", K::Maintenance, true, All),
            ("DEACTIVATED_SITE", K::Project, false, All),
            ("SITE_NOT_READY", K::Maintenance, true, All),
            ("PLAN_UPGRADE_REQUIRED", K::Plan, false, All),
            ("RATE_LIMIT_EXCEEDED", K::Throttled, true, All),
            ("SERVICE_UNAVAILABLE", K::Service, true, All),
            ("PLATFORM_SCHEDULED_MAINTENANCE", K::Maintenance, true, All),
            ("CONCURRENT_UPLOAD_UPDATE", K::Concurrent, true, File),
            ("INVALID_FIELD", K::Invalid, false, File),
            ("INVALID_FORMAT", K::Invalid, false, File),
            ("INVALID_ENTITY_ID", K::Invalid, false, File),
            ("INVALID_FILTER_FIELDS_PARAM", K::Invalid, false, All),
            ("NOT_FOUND", K::NotFound, false, File),
            ("MISSING_UPLOAD_IDS", K::NotFound, false, File),
            ("TOO_MANY_OPERATIONS", K::Concurrent, true, File),
            ("UPLOAD_IS_CURRENTLY_IN_USE", K::InUse, false, File),
            ("UPLOAD_NOT_PASSING_FIELD_VALIDATIONS", K::Validation, false, File),
            ("INCOMPATIBLE_WITH_UPLOAD_STORAGE_SETTINGS", K::Storage, false, File),
            ("INVALID_UPLOAD_STORAGE_SETTINGS", K::Storage, false, All),
            ("NOT_A_VIDEO", K::Invalid, false, File),
            ("IMMUTABLE_UPLOAD_TRACKS_IN_SANDBOX_ENVIRONMENT", K::Invalid, false, File),
            ("DELETE_RESTRICTION", K::InUse, false, File),
            ("REQUIRED_BY_ASSOCIATION", K::InUse, false, File),
        ];
        assert_eq!(cases.len(), TABLE.len(), "a code has no case here");
        for (code, kind, later, scope) in cases {
            let error = answer(422, code, &json!({}));
            assert_eq!((error.kind, error.scope()), (kind, scope), "{code}");
            assert_eq!(error.retry() == Retry::Later, later, "{code}");
            assert!(error.advice().len() > 20, "{code}");
            assert!(error.to_string().contains(code), "{code}");
        }
    }

    /// "… again" is said only of what is tried again: the advice follows from the rule.
    #[test]
    fn an_advice_promises_only_what_is_done() {
        use ApiErrorKind as K;
        let kinds = [
            K::Setup,
            K::Token,
            K::Environment,
            K::Permission,
            K::Project,
            K::Maintenance,
            K::Plan,
            K::Throttled,
            K::Budget,
            K::Concurrent,
            K::Invalid,
            K::NotFound,
            K::InUse,
            K::Validation,
            K::Storage,
            K::Service,
            K::Garbled,
            K::Network,
            K::Job,
        ];
        let said =
            ["is tried again", "is sent again", "is uploaded again", "is looked at again", "looks again", "it passes"];
        let promises = |error: &ApiError| said.iter().any(|said| error.advice().contains(said));
        for code in TABLE.iter().map(|row| row.code) {
            let error = answer(422, code, &json!({}));
            assert!(error.heals() || !promises(&error), "{code}: {}", error.advice());
        }
        for kind in kinds {
            let error = ApiError::new(kind, "x");
            assert!(error.heals() || !promises(&error), "{kind:?}: {}", error.advice());
        }
        let path = answer(422, "INVALID_FIELD", &json!({"field": "path", "code": "INVALID_FORMAT"}));
        assert!(promises(&path) && path.heals(), "{path:?}");
        let title = answer(422, "INVALID_FIELD", &json!({"field": "default_field_metadata"}));
        assert!(!title.heals(), "{title:?}");
    }

    #[test]
    fn an_unknown_code_is_judged_by_its_status() {
        use ApiErrorKind as K;
        let cases = [
            (401, K::Token, Retry::Never, true),
            (403, K::Permission, Retry::Never, true),
            (422, K::Invalid, Retry::Never, false),
            (429, K::Throttled, Retry::Later, false),
            (500, K::Service, Retry::Later, false),
            (502, K::Service, Retry::Later, false),
            (302, K::Garbled, Retry::Later, false),
        ];
        for (status, kind, retry, access) in cases {
            for error in [answer(status, "NEW_CODE", &json!({})), ApiError::from_answer(status, None)] {
                assert_eq!((error.kind, error.retry(), error.is_access()), (kind, retry, access), "{status}");
            }
        }
    }

    #[test]
    fn only_the_api_itself_can_say_that_something_is_gone() {
        assert!(answer(404, "NOT_FOUND", &json!({})).is_not_found());
        assert!(answer(404, "NEW_CODE", &json!({})).is_not_found());
        for body in [None, Some(json!({})), Some(json!({"error": "no route"}))] {
            let error = ApiError::from_answer(404, body.as_ref());
            assert_eq!((error.kind, error.retry()), (ApiErrorKind::Garbled, Retry::Later), "{body:?}");
        }
    }

    #[test]
    fn a_taken_id_is_told_from_other_refusals() {
        let taken = answer(422, "INVALID_FIELD", &json!({"field": "id", "code": "VALIDATION_UNIQUENESS"}));
        assert!(taken.is_uniqueness_of_id());
        assert!(taken.to_string().contains("field id"), "{taken}");
        for details in [json!({"field": "id"}), json!({"field": "path", "code": "VALIDATION_UNIQUENESS"}), json!("id")]
        {
            assert!(!answer(422, "INVALID_FIELD", &details).is_uniqueness_of_id(), "{details}");
        }
    }

    #[test]
    fn transient_means_later_whatever_the_code() {
        let body = json!({"data": [{"attributes": {"code": "NEW", "transient": true}}]});
        assert_eq!(ApiError::from_answer(422, Some(&body)).retry(), Retry::Later);
    }

    #[test]
    fn a_video_limit_stops_no_pictures() {
        let of = |limit: &str| answer(402, "PLAN_UPGRADE_REQUIRED", &json!({"limit": limit})).scope();
        assert_eq!(of("mux_encoding_seconds"), Scope::File);
        assert_eq!(of("uploadable_bytes"), Scope::All);
    }

    #[test]
    fn details_lose_signatures_and_length() {
        let text = shorten("see https://b.example/x?X-Amz-Signature=secret now\nand 'http://c/?k=v' too?");
        assert_eq!(text, "see https://b.example/x?… now and 'http://c/?…' too?");
        assert!(shorten(&"é".repeat(500)).chars().count() <= 201);
    }
}
