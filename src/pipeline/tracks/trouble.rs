//! Why a track could not be made or deleted, for people.
//!
//! Owns: the words, and whether trying again helps. Called by: `tracks::work`.

use super::Claim;
use crate::index::Problem;
use crate::pipeline::execute::Failure;
use crate::remote::{ApiError, ApiErrorKind, Scope};

pub(super) fn in_the_way(claim: &Claim, whose: &str) -> Failure {
    Failure::Path {
        problem: Problem {
            action: "report".into(),
            cause: format!(
                "its video {} already has a track {whose} for {}: that one stays",
                claim.video,
                claim.companion.label()
            ),
            advice: "delete that track to have this file instead, or remove the file".into(),
        },
        retry: false,
    }
}

pub(super) fn deleted(claim: &Claim) -> Failure {
    Failure::Path {
        problem: Problem {
            action: "report".into(),
            cause: format!("somebody deleted its track of {}: {}", claim.video, claim.companion.label()),
            advice: "remove the file, or set on_remote_delete = \"recreate\"; a changed file makes a new track".into(),
        },
        retry: false,
    }
}

pub(super) fn lost(action: &str, error: &ApiError) -> Failure {
    Failure::Path {
        problem: Problem {
            action: action.into(),
            cause: format!("the answer was lost, and the track does not show: {error}"),
            advice: "the next pass looks again before anything is sent again".into(),
        },
        retry: true,
    }
}

pub(super) fn unusable(error: &str) -> Failure {
    Failure::Path {
        problem: Problem {
            action: "report".into(),
            cause: format!("the service cannot use the track: {error}"),
            advice: "correct the file; the track is made anew when it changes".into(),
        },
        retry: false,
    }
}

/// A refusal is the companion's trouble alone: the video and all other files go on.
pub(super) fn failed(action: &str, error: ApiError) -> Failure {
    let of_this = match error.kind {
        ApiErrorKind::Permission | ApiErrorKind::NotFound => true,
        ApiErrorKind::Plan => error.details.as_deref().is_none_or(|details| !details.contains("cma_api_calls")),
        _ => false,
    };
    if error.scope() == Scope::All && !of_this {
        return Failure::All(error);
    }
    let (advice, retry) = match error.kind {
        ApiErrorKind::Permission => ("give the token's role the permission to change the video's asset", false),
        ApiErrorKind::Plan => ("the project's plan has no room for this track; the video itself is mirrored", false),
        ApiErrorKind::NotFound => {
            ("the video's asset is gone, or the service has no tracks here; it is tried again", true)
        }
        // A video takes tracks only once it has been processed, which can take as long as it plays.
        ApiErrorKind::Invalid => {
            ("correct the file; if the video is still being processed, wait: it is tried again", true)
        }
        _ => (error.advice(), true),
    };
    Failure::Path { problem: Problem { action: action.into(), cause: error.to_string(), advice: advice.into() }, retry }
}
