//! What each error code of the service means for us.
//!
//! Owns: the table. Never does: reading answers (that is `error`).

use super::{ApiErrorKind, Scope};

/// One row of the table of codes.
pub(super) struct Row {
    pub(super) code: &'static str,
    pub(super) kind: ApiErrorKind,
    /// Passes by itself.
    pub(super) later: bool,
    pub(super) scope: Scope,
    pub(super) advice: &'static str,
}

const fn row(code: &'static str, kind: ApiErrorKind, later: bool, scope: Scope, advice: &'static str) -> Row {
    Row { code, kind, later, scope, advice }
}

/// Every code that touches uploads. Sources: the API's documentation; the public list of error codes.
pub(super) const TABLE: &[Row] = &[
    row(
        "INVALID_AUTHORIZATION_HEADER",
        ApiErrorKind::Token,
        false,
        Scope::All,
        "check the API token: it is wrong, revoked or of another project",
    ),
    row(
        "INSUFFICIENT_PERMISSIONS",
        ApiErrorKind::Permission,
        false,
        Scope::File,
        "give the token's role the upload actions it lacks (read, create, update, replace_asset, move, delete)",
    ),
    row(
        "INVALID_ENVIRONMENT",
        ApiErrorKind::Environment,
        false,
        Scope::All,
        "check `environment`: the project has no environment of this name",
    ),
    row(
        "ENVIRONMENT_NOT_READY",
        ApiErrorKind::Maintenance,
        true,
        Scope::All,
        "the environment is still being created; wait until it is ready",
    ),
    row(
        "ENVIRONMENT_IN_READ_ONLY_MODE",
        ApiErrorKind::Maintenance,
        true,
        Scope::All,
        "the environment is read-only now (a fork or a promotion is running); wait until it ends",
    ),
    row(
        "MAINTENANCE_MODE",
        ApiErrorKind::Maintenance,
        true,
        Scope::All,
        "the project is in maintenance mode; wait, or end it in the project's settings",
    ),
    row(
        "PLATFORM_SCHEDULED_MAINTENANCE",
        ApiErrorKind::Maintenance,
        true,
        Scope::All,
        "the service is under planned maintenance; nothing to do but wait",
    ),
    row(
        "SERVICE_UNAVAILABLE",
        ApiErrorKind::Service,
        true,
        Scope::All,
        "the service is not available; nothing to do but wait",
    ),
    row(
        "SITE_NOT_READY",
        ApiErrorKind::Maintenance,
        true,
        Scope::All,
        "the project is still being prepared; wait until it is ready",
    ),
    row(
        "DEACTIVATED_SITE",
        ApiErrorKind::Project,
        false,
        Scope::All,
        "the project is switched off: look at its plan and its billing",
    ),
    row(
        "PLAN_UPGRADE_REQUIRED",
        ApiErrorKind::Plan,
        false,
        Scope::File,
        "a limit of the project's plan is reached: free some of it, or upgrade the plan",
    ),
    row(
        "RATE_LIMIT_EXCEEDED",
        ApiErrorKind::Throttled,
        true,
        Scope::All,
        "other clients use up the project's rate limit; it passes",
    ),
    row(
        "CONCURRENT_UPLOAD_UPDATE",
        ApiErrorKind::Concurrent,
        true,
        Scope::File,
        "another change to the same asset is running; it passes",
    ),
    row(
        "TOO_MANY_OPERATIONS",
        ApiErrorKind::Concurrent,
        true,
        Scope::File,
        "too many operations run at once or in one call; it passes",
    ),
    row("INVALID_FIELD", ApiErrorKind::Invalid, false, Scope::File, "correct the value named here"),
    row(
        "INVALID_FORMAT",
        ApiErrorKind::Invalid,
        false,
        Scope::File,
        "the service does not understand a request of ours; if the metadata of this file is in order, report a bug",
    ),
    row(
        "INVALID_ENTITY_ID",
        ApiErrorKind::Invalid,
        false,
        Scope::File,
        "the service does not accept an id of ours; report a bug",
    ),
    row(
        "INVALID_FILTER_FIELDS_PARAM",
        ApiErrorKind::Invalid,
        false,
        Scope::All,
        "the service does not know a filter: check it, or report a bug if it is not yours",
    ),
    row("NOT_FOUND", ApiErrorKind::NotFound, false, Scope::File, "it was deleted meanwhile"),
    row(
        "MISSING_UPLOAD_IDS",
        ApiErrorKind::NotFound,
        false,
        Scope::File,
        "some of these assets were deleted meanwhile",
    ),
    row(
        "UPLOAD_IS_CURRENTLY_IN_USE",
        ApiErrorKind::InUse,
        false,
        Scope::File,
        "records use the asset: take it out of them first, then it can be deleted",
    ),
    row(
        "DELETE_RESTRICTION",
        ApiErrorKind::InUse,
        false,
        Scope::File,
        "something still uses the asset: take it out there first, then it can be deleted",
    ),
    row(
        "REQUIRED_BY_ASSOCIATION",
        ApiErrorKind::InUse,
        false,
        Scope::File,
        "something still uses the asset: take it out there first, then it can be deleted",
    ),
    row(
        "UPLOAD_NOT_PASSING_FIELD_VALIDATIONS",
        ApiErrorKind::Validation,
        false,
        Scope::File,
        "records that use the asset would break their validations (type, size, dimensions): change the file, or the \
         validations",
    ),
    row(
        "INCOMPATIBLE_WITH_UPLOAD_STORAGE_SETTINGS",
        ApiErrorKind::Storage,
        false,
        Scope::File,
        "the project keeps its files in a storage of its own, which cannot keep the URL: let the file have a new one",
    ),
    row(
        "NOT_A_VIDEO",
        ApiErrorKind::Invalid,
        false,
        Scope::File,
        "the service does not take the asset for a video, and only videos have tracks",
    ),
    row(
        "IMMUTABLE_UPLOAD_TRACKS_IN_SANDBOX_ENVIRONMENT",
        ApiErrorKind::Invalid,
        false,
        Scope::File,
        "the service changes tracks in the primary environment only",
    ),
    row(
        "INVALID_UPLOAD_STORAGE_SETTINGS",
        ApiErrorKind::Storage,
        false,
        Scope::All,
        "the project's own storage is set up wrongly: correct it in the project's settings",
    ),
];

/// The row of a code, when it is known.
pub(super) fn row_of(code: &str) -> Option<&'static Row> {
    TABLE.iter().find(|row| row.code == code)
}
