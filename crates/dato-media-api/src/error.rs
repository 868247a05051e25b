//! What can go wrong between us and the API, in plain words.
//!
//! Owns: the one error type of all API calls, and its verdicts: try again when, this file or everything, what to do.
//! The table of the service's codes is in `codes`, what goes for each kind of trouble in `kind`, what it is that was
//! refused in `refused`. Never does: deciding whether one call is sent again (that is `retry`), printing, logging.

mod certificate;
mod codes;
mod envelope;
mod kind;
mod refused;

use std::fmt;
use std::time::Duration;

use serde_json::Value;

pub use kind::ApiErrorKind;

use super::plan::PlanLimit;
use codes::{Row, row_of};
use envelope::ErrorEntry;

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
    /// `x-request-id` of the answer: the service's support asks for it.
    pub request: Option<String>,
    /// All errors of the answer.
    entries: Vec<ErrorEntry>,
    too_large: bool,
    outcome_unknown: bool,
    after: Option<Duration>,
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
            request: None,
            entries: Vec::new(),
            too_large: false,
            outcome_unknown: false,
            after: None,
        }
    }

    /// Reads an error answer. `body` is the JSON, or nothing when the body was no JSON. What is not in the API's own
    /// envelope is not the API's word, whatever its status; only a 429 says the same whoever says it: wait.
    #[must_use]
    pub fn from_answer(status: u16, body: Option<&Value>) -> Self {
        let entries = body.map(envelope::read).unwrap_or_default();
        match envelope::main(&entries) {
            None if status == 429 => Self::of_status(status),
            None => Self::not_the_apis(status, "with something that is not the API's"),
            Some(_) => Self::of_entries(status, entries),
        }
    }

    /// Reads what a job says that it failed with. That is the API's own word also where it is in no envelope.
    pub(super) fn of_job(status: u16, payload: &Value) -> Self {
        let entries = envelope::read(payload);
        if entries.is_empty() { Self::of_status(status) } else { Self::of_entries(status, entries) }
    }

    /// Whether a document is an error in the API's own envelope.
    pub(super) fn is_envelope(document: &Value) -> bool {
        !envelope::read(document).is_empty()
    }

    /// Something answered in the API's place. `nature`: with what.
    pub(super) fn not_the_apis(status: u16, nature: &str) -> Self {
        Self { status: Some(status), ..Self::new(ApiErrorKind::Between, nature) }
    }

    /// A good answer that is larger than any of the API's.
    pub(super) fn too_large(status: u16) -> Self {
        let error = Self::new(ApiErrorKind::Garbled, "it is larger than 8 MB");
        Self { status: Some(status), too_large: true, ..error }
    }

    fn of_status(status: u16) -> Self {
        Self { status: Some(status), details: None, ..Self::new(ApiErrorKind::of_status(status), "") }
    }

    fn of_entries(status: u16, entries: Vec<ErrorEntry>) -> Self {
        let main = envelope::main(&entries);
        Self {
            kind: main.and_then(|entry| row_of(&entry.code)).map_or(ApiErrorKind::of_status(status), |row| row.kind),
            code: main.map(|entry| entry.code.clone()),
            details: envelope::details(&entries),
            // What passes does not help where something else does not.
            transient: entries.iter().all(|entry| entry.transient),
            entries,
            ..Self::of_status(status)
        }
    }

    pub(super) fn of_request(mut self, request: Option<String>) -> Self {
        self.request = request;
        self
    }

    /// Takes a secret out of all texts.
    pub(super) fn without(mut self, secret: &str) -> Self {
        if !secret.is_empty() {
            let texts = self.entries.iter_mut().flat_map(ErrorEntry::texts);
            for text in texts.chain(self.details.as_mut()).chain(self.code.as_mut()).chain(self.request.as_mut()) {
                *text = text.replace(secret, "…");
            }
        }
        self
    }

    pub(super) fn with_outcome_unknown(mut self) -> Self {
        self.outcome_unknown = true;
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
        if self.transient || self.outcome_unknown || self.kind.passes() || by_code {
            Retry::Later
        } else {
            Retry::Never
        }
    }

    /// Whether trying the same file again can help: also where the call itself would fail again, but another look at the
    /// media area, or another upload, makes it another call.
    #[must_use]
    pub fn heals(&self) -> bool {
        self.retry() != Retry::Never || self.kind == ApiErrorKind::NotFound || self.refuses_the_upload()
    }

    /// Whether the other files are stopped by it too.
    #[must_use]
    pub fn scope(&self) -> Scope {
        if let Some(limit) = self.plan_limit() {
            // Only without calls nothing can be done any more: where files are too large or too many, the rest goes on.
            return if limit == PlanLimit::Calls { Scope::All } else { Scope::File };
        }
        if let Some(row) = self.row() {
            return row.scope;
        }
        match (self.kind, self.status) {
            // A login page, a dead gateway: it answers every call so.
            (ApiErrorKind::Between, Some(401 | 407 | 408 | 421 | 431 | 451 | 300..=399 | 500..)) => Scope::All,
            (kind, _) => kind.scope(),
        }
    }

    /// What to do about it, as far as the API is concerned. What a program does by itself, it has to add.
    #[must_use]
    pub fn advice(&self) -> &'static str {
        if self.is_uniqueness_of_id() {
            return "the id is taken: look at what has it, or take another id";
        }
        if self.refuses_the_upload() {
            return "the service does not take the uploaded file: upload it again";
        }
        if let Some(row) = self.row() {
            return row.advice;
        }
        if self.kind == ApiErrorKind::Between && self.status == Some(407) {
            return "the proxy asks for a login: put it into HTTPS_PROXY (http://user:password@host)";
        }
        let details = self.details.as_deref().filter(|_| self.kind == ApiErrorKind::Network);
        details.and_then(certificate::advice).unwrap_or_else(|| self.kind.advice())
    }

    /// True when the call may or may not have changed the remote: look at the remote before sending it again.
    #[must_use]
    pub const fn outcome_unknown(&self) -> bool {
        self.outcome_unknown
    }

    /// The limit of the plan that is reached, when it is one; of several, the one that stops most.
    #[must_use]
    pub fn plan_limit(&self) -> Option<PlanLimit> {
        let limits = || self.entries.iter().map(|entry| PlanLimit::of(entry.limit.as_deref()));
        (self.kind == ApiErrorKind::Plan).then(|| limits().min().unwrap_or(PlanLimit::Other))
    }

    /// The collection does not exist.
    #[must_use]
    pub fn is_about_collection(&self) -> bool {
        self.kind == ApiErrorKind::Invalid
            && self
                .entries
                .iter()
                .any(|entry| entry.field.as_deref().is_some_and(|field| field.contains("upload_collection")))
    }

    /// The same upload request without a collection's name may be taken.
    pub(super) const fn is_about_naming_a_collection(&self) -> bool {
        matches!(self.kind, ApiErrorKind::Invalid | ApiErrorKind::NotFound | ApiErrorKind::Permission)
    }

    /// What the token may not do, in the service's own word, where it tells: `update`, `replace_asset` and so on.
    #[must_use]
    pub fn missing_right(&self) -> Option<&str> {
        let refused = (self.kind == ApiErrorKind::Permission).then(|| envelope::main(&self.entries))?;
        refused.and_then(|entry| entry.action.as_deref())
    }

    /// The fields that the service refuses.
    pub(super) fn fields(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().filter_map(|entry| entry.field.as_deref())
    }

    /// All codes of the answer: of errors, and of what is wrong with fields.
    pub(super) fn codes(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().flat_map(|entry| [Some(entry.code.as_str()), entry.reason.as_deref()]).flatten()
    }

    /// More in one call than the service takes: fewer may do.
    #[must_use]
    pub fn is_too_many(&self) -> bool {
        self.entries.iter().any(|entry| entry.code == "TOO_MANY_OPERATIONS")
    }

    /// The URL is longer than the service, or something before it, takes.
    #[must_use]
    pub fn is_url_too_long(&self) -> bool {
        self.status == Some(414)
    }

    /// The answer is larger than what is read: a smaller page may not be.
    pub(super) const fn is_too_large(&self) -> bool {
        self.too_large
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

    /// Something between us and the API dislikes this one call: others may pass, and so may this one the next time.
    #[must_use]
    pub fn is_blocked(&self) -> bool {
        self.kind == ApiErrorKind::Between && self.scope() == Scope::File
    }

    /// Another environment became the primary one: this client is of no use any more, and a new one works on that one.
    #[must_use]
    pub const fn is_promotion(&self) -> bool {
        matches!(self.kind, ApiErrorKind::Promoted)
    }

    /// The API could not be reached at all, or not through what stands between: exit code 3 when it lasts.
    #[must_use]
    pub const fn is_unreachable(&self) -> bool {
        matches!(
            self.kind,
            ApiErrorKind::Network
                | ApiErrorKind::Service
                | ApiErrorKind::Maintenance
                | ApiErrorKind::Garbled
                | ApiErrorKind::Between
        )
    }

    /// The metadata may have been sent in the shape that this environment does not take.
    pub(super) fn is_shape_refusal(&self) -> bool {
        self.entries.iter().any(|entry| match entry.code.as_str() {
            "INVALID_FORMAT" => true,
            "INVALID_FIELD" => entry.field.as_deref().is_some_and(|field| field.starts_with("default_field_metadata")),
            _ => false,
        })
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
        let status = self.status.map(|status| format!("HTTP {status}"));
        let request = self.request.as_ref().map(|id| format!("{REQUEST}{id}"));
        let parts: Vec<String> = [status, envelope::codes(&self.entries), request].into_iter().flatten().collect();
        if parts.is_empty() { Ok(()) } else { write!(f, " ({})", parts.join(", ")) }
    }
}

const REQUEST: &str = "request ";

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
            ("INSUFFICIENT_PERMISSIONS", K::Permission, false, File),
            ("INVALID_ENVIRONMENT", K::Environment, false, All),
            ("ENVIRONMENT_NOT_READY", K::Maintenance, true, All),
            ("ENVIRONMENT_IN_READ_ONLY_MODE", K::Maintenance, true, All),
            ("MAINTENANCE_MODE", K::Maintenance, true, All),
            ("DEACTIVATED_SITE", K::Project, false, All),
            ("SITE_NOT_READY", K::Maintenance, true, All),
            ("PLAN_UPGRADE_REQUIRED", K::Plan, false, File),
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

    /// The client does not know who calls it: it promises nothing in its caller's name, and names none of its settings.
    #[test]
    fn the_advice_speaks_of_the_api_only() {
        use ApiErrorKind as K;
        let kinds = [
            K::Setup,
            K::Token,
            K::Environment,
            K::Promoted,
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
            K::Between,
            K::Network,
            K::Job,
        ];
        let path = answer(422, "INVALID_FIELD", &json!({"field": "path", "code": "INVALID_FORMAT"}));
        let id = answer(422, "INVALID_FIELD", &json!({"field": "id", "code": "VALIDATION_UNIQUENESS"}));
        let codes = TABLE.iter().map(|row| answer(422, row.code, &json!({})));
        let all = codes.chain(kinds.map(|kind| ApiError::new(kind, "x"))).chain([
            path.clone(),
            id,
            ApiError::from_answer(407, None),
            ApiError::new(K::Network, "invalid peer certificate: UnknownIssuer"),
        ]);
        for error in all {
            let advice = error.advice();
            for word in ["mirror", "sidecar", "on_change", "monthly_budget", "configuration", "run again"] {
                assert!(!advice.contains(word), "{word:?} is a caller's word: {advice}");
            }
            for promise in ["is tried", "is sent again", "is uploaded", "is looked at", "looks again"] {
                assert!(!advice.contains(promise), "nobody here does that: {advice}");
            }
            assert!(error.heals() || !advice.contains("it passes"), "{error:?}: {advice}");
        }
        assert!(path.heals(), "{path:?}");
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
            let error = answer(status, "NEW_CODE", &json!({}));
            assert_eq!((error.kind, error.retry(), error.is_access()), (kind, retry, access), "{status}");
            // A job's failure is the API's word in any form.
            assert_eq!(ApiError::of_job(status, &json!("oops")).kind, kind, "{status}");
            // In no envelope it is nobody's word, but for "wait".
            let error = ApiError::from_answer(status, None);
            let kind = if status == 429 { K::Throttled } else { K::Between };
            assert_eq!((error.kind, error.retry(), error.is_access()), (kind, Retry::Later, false), "{status}");
        }
    }

    #[test]
    fn what_answers_every_call_in_the_apis_place_stops_all_and_what_dislikes_one_call_stops_that() {
        for status in [302, 401, 407, 421, 431, 451, 500, 502, 511] {
            let error = ApiError::from_answer(status, None);
            assert_eq!((error.scope(), error.is_blocked()), (Scope::All, false), "{status}");
        }
        for status in [400, 403, 404, 413, 414, 422] {
            let error = ApiError::from_answer(status, None);
            assert_eq!((error.scope(), error.is_blocked()), (Scope::File, true), "{status}");
        }
        assert!(!answer(403, "INSUFFICIENT_PERMISSIONS", &json!({})).is_blocked());
    }

    #[test]
    fn only_the_api_itself_can_say_that_something_is_gone() {
        assert!(answer(404, "NOT_FOUND", &json!({})).is_not_found());
        assert!(answer(404, "NEW_CODE", &json!({})).is_not_found());
        for body in [None, Some(json!({})), Some(json!({"error": "no route"}))] {
            let error = ApiError::from_answer(404, body.as_ref());
            assert_eq!((error.kind, error.retry()), (ApiErrorKind::Between, Retry::Later), "{body:?}");
        }
    }

    #[test]
    fn a_taken_id_is_told_from_other_refusals() {
        let taken = answer(422, "INVALID_FIELD", &json!({"field": "id", "code": "VALIDATION_UNIQUENESS"}));
        assert!(taken.to_string().contains("field id"), "{taken}");
        let says = [
            ("INVALID_FIELD", json!({"field": "id", "code": "VALIDATION_UNIQUENESS"})),
            ("INVALID_FIELD", json!({"field": "id", "code": "VALIDATION_UNIQUE"})),
            ("INVALID_FIELD", json!({"field": "id", "code": "SOMETHING"})),
            ("ID_ALREADY_TAKEN", json!({})),
            ("DUPLICATE_ENTITY", json!(null)),
        ];
        for (code, details) in says {
            let error = answer(422, code, &details);
            assert!(error.is_uniqueness_of_id() && error.may_be_of_the_id(), "{code} {details}");
        }
        let others = [
            ("INVALID_FIELD", json!({"field": "id"})),
            ("INVALID_FIELD", json!({"field": "id", "code": "INVALID_FORMAT"})),
            ("INVALID_FIELD", json!({"field": "path", "code": "VALIDATION_UNIQUENESS"})),
            ("INVALID_FIELD", json!("id")),
            ("SOMETHING_ELSE", json!({})),
        ];
        for (code, details) in others {
            let error = answer(422, code, &details);
            assert!(!error.is_uniqueness_of_id() && error.may_be_of_the_id(), "{code} {details}");
        }
        for (status, code) in [(403, "INSUFFICIENT_PERMISSIONS"), (402, "PLAN_UPGRADE_REQUIRED"), (503, "X")] {
            assert!(!answer(status, code, &json!({})).may_be_of_the_id(), "{code}");
        }
        assert!(!ApiError::from_answer(403, None).may_be_of_the_id());
    }

    #[test]
    fn transient_means_later_whatever_the_code() {
        let body = json!({"data": [{"attributes": {"code": "NEW", "transient": true}}]});
        assert_eq!(ApiError::from_answer(422, Some(&body)).retry(), Retry::Later);
    }

    #[test]
    fn only_a_plan_without_calls_stops_everything() {
        let of = |limit: &str| answer(402, "PLAN_UPGRADE_REQUIRED", &json!({"limit": limit}));
        for (limit, plan, scope) in [
            ("mux_encoding_seconds", PlanLimit::Other, Scope::File),
            ("maximum_single_upload_bytes", PlanLimit::SingleUpload, Scope::File),
            ("uploadable_bytes", PlanLimit::Storage, Scope::File),
            ("cma_api_calls", PlanLimit::Calls, Scope::All),
        ] {
            assert_eq!((of(limit).plan_limit(), of(limit).scope()), (Some(plan), scope), "{limit}");
        }
        let unnamed = answer(402, "PLAN_UPGRADE_REQUIRED", &json!({}));
        assert_eq!((unnamed.plan_limit(), unnamed.scope()), (Some(PlanLimit::Other), Scope::File));
        assert_eq!(answer(422, "INVALID_FIELD", &json!({"limit": "uploadable_bytes"})).plan_limit(), None);
    }

    #[test]
    fn a_limit_of_the_plan_and_a_final_word_are_heard_wherever_they_stand_in_an_answer() {
        let error = |code: &str, limit: &str| json!({"attributes": {"code": code, "details": {"limit": limit}}});
        let plan = |limit: &str| error("PLAN_UPGRADE_REQUIRED", limit);
        let of = |status, errors: [&Value; 2]| ApiError::from_answer(status, Some(&json!({"data": errors})));
        let other = [plan("upload_video_seconds"), error("INVALID_FIELD", ""), error("SOMETHING_NEW", "")];
        for (limit, expected, scope) in [
            ("uploadable_bytes", PlanLimit::Storage, Scope::File),
            ("maximum_single_upload_bytes", PlanLimit::SingleUpload, Scope::File),
            ("api_calls", PlanLimit::Calls, Scope::All),
        ] {
            for other in &other {
                for errors in [[other, &plan(limit)], [&plan(limit), other]] {
                    let error = of(422, errors);
                    assert_eq!((error.plan_limit(), error.scope()), (Some(expected), scope), "{errors:?}");
                }
            }
        }
        for passing in ["RATE_LIMIT_EXCEEDED", "SERVICE_UNAVAILABLE", "CONCURRENT_UPLOAD_UPDATE"] {
            let (passing, last) = (error(passing, ""), error("INVALID_FIELD", ""));
            for errors in [[&passing, &last], [&last, &passing]] {
                let error = of(422, errors);
                assert_eq!(
                    (error.kind, error.retry(), error.scope()),
                    (ApiErrorKind::Invalid, Retry::Never, Scope::File)
                );
            }
        }
    }

    #[test]
    fn details_lose_signatures_and_length() {
        let text = shorten("see https://b.example/x?X-Amz-Signature=secret now\nand 'http://c/?k=v' too?");
        assert_eq!(text, "see https://b.example/x?… now and 'http://c/?…' too?");
        assert!(shorten(&"é".repeat(500)).chars().count() <= 201);
    }
}
