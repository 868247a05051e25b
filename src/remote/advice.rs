//! What a person does about an error of the API, where the mirror is what meets it.
//!
//! Owns: what the mirror adds to the client's advice: which of its own settings it is about, what it does by itself, and that
//! it tries again. Never does: deciding whether it does (that is the rule of `ApiError::heals`, and `RetryAt`).

use super::{ApiError, ApiErrorKind, Scope, SendError};
use crate::model::{Advice, Promise};

/// What to do about `error`.
#[must_use]
pub fn advice(error: &ApiError) -> Advice {
    if error.is_uniqueness_of_id() {
        return "the id is taken: the mirror looks at what has it, and adopts it or takes the next id".into();
    }
    if error.refuses_the_upload() {
        return "the service does not take the uploaded file; it is uploaded again".into();
    }
    match error.kind {
        ApiErrorKind::Network | ApiErrorKind::Between | ApiErrorKind::Service | ApiErrorKind::Maintenance => {
            Advice::then_again(error.advice())
        }
        ApiErrorKind::Garbled => Advice::around(
            "the API answers with something unexpected",
            Promise::Sometime,
            "if it lasts, report a bug",
        ),
        ApiErrorKind::NotFound => format!("{}; the media area is looked at again", error.advice()).into(),
        ApiErrorKind::Job => "the service did not finish in time; what became of it is looked at again".into(),
        ApiErrorKind::Promoted => "run again: the media area of the new one is looked at anew".into(),
        ApiErrorKind::Budget => "monthly_budget is spent: raise it, or wait for the next month".into(),
        ApiErrorKind::Permission if error.code.is_some() => {
            format!("{}, and collections if they are mirrored", error.advice()).into()
        }
        ApiErrorKind::Storage if error.scope() == Scope::File && error.code.is_some() => {
            "the project keeps its files in a storage of its own, which cannot keep the URL: set on_change = \"new_url\""
                .into()
        }
        ApiErrorKind::Invalid if error.is_about_a_value() => {
            format!("{}, in the configuration or in the file's sidecar", error.advice()).into()
        }
        ApiErrorKind::Invalid if error.is_not_a_video() => {
            format!("{}: rename the file to mirror it as an asset", error.advice()).into()
        }
        ApiErrorKind::Invalid if error.is_for_the_primary_environment() => {
            format!("{}: mirror into that one, or exclude the file", error.advice()).into()
        }
        ApiErrorKind::Setup
        | ApiErrorKind::Token
        | ApiErrorKind::Environment
        | ApiErrorKind::Permission
        | ApiErrorKind::Project
        | ApiErrorKind::Plan
        | ApiErrorKind::Throttled
        | ApiErrorKind::Concurrent
        | ApiErrorKind::Invalid
        | ApiErrorKind::InUse
        | ApiErrorKind::Validation
        | ApiErrorKind::Storage => error.advice().into(),
    }
}

/// What to do where a file could not be sent: the mirror does so again by itself, with a new upload URL.
#[must_use]
pub fn advice_on_sending(error: &SendError) -> Advice {
    match error {
        SendError::Refused { .. } => {
            "it is sent again with a new upload URL; if it lasts, check the clock and any proxy".into()
        }
        SendError::Between { .. } => format!("{}; the file is sent again", error.advice()).into(),
        SendError::Changed(_) => "it is taken up again when it has settled".into(),
        SendError::Mismatch { .. } => "it is sent again; if it lasts, something on the way alters uploads".into(),
        SendError::Throttled { .. } => "it is sent again later".into(),
        SendError::Network(_) => format!("{}; it is sent again", error.advice()).into(),
        SendError::Ticket(_) => {
            "the service is asked for another address, and the file is sent again; if it lasts, something \
                                 between here and the API alters its answers: check base_url and any proxy"
                .into()
        }
        SendError::Cancelled => "it is taken up again on the next run".into(),
        SendError::Unreadable(_) => error.advice().into(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::model::promises;

    fn answer(status: u16, code: &str, details: &Value) -> ApiError {
        let error = json!({"id": "1", "type": "api_error", "attributes": {"code": code, "details": details}});
        ApiError::from_answer(status, Some(&json!({"data": [error]})))
    }

    #[test]
    fn the_mirror_says_what_it_does_and_which_setting_helps() {
        let nothing = json!({});
        for (error, said) in [
            (
                ApiError::new(ApiErrorKind::Network, "refused"),
                "check the network, the proxy and base_url; it is tried again",
            ),
            (
                ApiError::new(ApiErrorKind::Garbled, "x"),
                "the API answers with something unexpected; it is tried again; if it lasts, report a bug",
            ),
            (answer(503, "NEW_CODE", &nothing), "the service is in trouble; it is tried again"),
            (
                ApiError::from_answer(407, None),
                "the proxy asks for a login: put it into HTTPS_PROXY (http://user:password@host); it is tried again",
            ),
            (answer(404, "NOT_FOUND", &nothing), "it was deleted meanwhile; the media area is looked at again"),
            (
                answer(422, "INVALID_FIELD", &json!({"field": "alt"})),
                "correct the value named here, in the configuration or in the file's sidecar",
            ),
            (
                answer(422, "INVALID_FIELD", &json!({"field": "path", "code": "INVALID_FORMAT"})),
                "the service does not take the uploaded file; it is uploaded again",
            ),
            (
                answer(422, "INVALID_FIELD", &json!({"field": "id", "code": "VALIDATION_UNIQUENESS"})),
                "the id is taken: the mirror looks at what has it, and adopts it or takes the next id",
            ),
            (
                answer(422, "INCOMPATIBLE_WITH_UPLOAD_STORAGE_SETTINGS", &nothing),
                "the project keeps its files in a storage of its own, which cannot keep the URL: set on_change = \
                 \"new_url\"",
            ),
            (
                answer(422, "INVALID_UPLOAD_STORAGE_SETTINGS", &nothing),
                "the project's own storage is set up wrongly: correct it in the project's settings",
            ),
            (
                answer(422, "NOT_A_VIDEO", &nothing),
                "the service does not take the asset for a video, and only videos have tracks: rename the file to mirror it \
                 as an asset",
            ),
            (
                answer(422, "IMMUTABLE_UPLOAD_TRACKS_IN_SANDBOX_ENVIRONMENT", &nothing),
                "the service changes tracks in the primary environment only: mirror into that one, or exclude the file",
            ),
            (
                answer(403, "INSUFFICIENT_PERMISSIONS", &nothing),
                "give the token's role the upload actions it lacks (read, create, update, replace_asset, move, delete), and \
                 collections if they are mirrored",
            ),
            (
                answer(401, "INVALID_AUTHORIZATION_HEADER", &nothing),
                "check the API token: it is wrong, revoked or of another project",
            ),
        ] {
            assert_eq!(advice(&error).to_string(), said);
        }
    }

    #[test]
    fn what_could_not_be_sent_is_said_to_be_sent_again_where_it_is() {
        let odd = || SendError::Mismatch { etag: String::new() };
        for (error, said) in [
            (SendError::Network("x".into()), "check the network and the proxy; it is sent again"),
            (
                SendError::Between { status: 407 },
                "the proxy asks for a login: put it into HTTPS_PROXY (http://user:password@host); the file is sent again",
            ),
            (odd(), "it is sent again; if it lasts, something on the way alters uploads"),
            (SendError::Cancelled, "it is taken up again on the next run"),
        ] {
            let advice = advice_on_sending(&error).to_string();
            assert_eq!(advice, said);
            assert!(error.heals() || !promises(&advice), "{error:?}");
        }
    }

    /// "… again" is said only of what is done again: the advice follows from the rule.
    #[test]
    fn an_advice_promises_only_what_is_done() {
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
        let codes = ["INVALID_FIELD", "NOT_FOUND", "MISSING_UPLOAD_IDS", "SERVICE_UNAVAILABLE", "MAINTENANCE_MODE"];
        let errors = kinds.map(|kind| ApiError::new(kind, "x")).into_iter();
        for error in errors.chain(codes.map(|code| answer(422, code, &json!({})))) {
            let advice = advice(&error);
            let says = advice.promises() || promises(&advice.to_string());
            assert!(error.heals() || !says, "{error:?}: {advice}");
        }
    }
}
