//! Why a track is not, or could not be, made or deleted, for people.
//!
//! Owns: the words, and whether trying again helps.

use super::plan::{Refusal, Whose};
use crate::index::Problem;
use crate::model::{ActionKind, Advice};
use crate::remote::{ApiError, ApiErrorKind, Scope, advice};
use crate::sync::execute::Failure;
use crate::sync::track_file::TrackFile;

/// What a refusal says.
pub(super) fn refused(claim: &TrackFile, refusal: &Refusal) -> Problem {
    let (label, video) = (claim.companion.label(), &claim.video);
    let (cause, advice) = match refusal {
        Refusal::InTheWay(whose) => {
            let whose = match whose {
                Whose::File(name) => format!("that {name} made"),
                Whose::Mirror => "of another mirror".into(),
                Whose::Editor => "that the mirror did not make".into(),
            };
            (
                format!("its video {video} already has a track {whose} for {label}: that one stays"),
                "delete that track to have this file instead, or remove the file",
            )
        }
        Refusal::Deleted => (
            format!("somebody deleted its track of {video}: {label}"),
            "remove the file, or set on_remote_delete = \"recreate\"; a changed file makes a new track",
        ),
        Refusal::Unusable(error) => (
            format!("the service cannot use the track: {error}"),
            "correct the file; the track is made anew when it changes",
        ),
    };
    Problem::new(ActionKind::Report, cause, advice)
}

pub(super) fn outcome_unknown(action: ActionKind, error: &ApiError) -> Failure {
    if error.kind == ApiErrorKind::Between && error.scope() == Scope::All {
        // It answers every call so.
        return Failure::All(error.clone());
    }
    Failure::Path {
        problem: Problem::new(
            action,
            format!("the answer was lost, and the track does not show: {error}"),
            "it is looked at again before anything is sent again",
        ),
        retry: true,
    }
}

/// A refusal is the companion's trouble alone: the video and all other files go on.
pub(super) fn failed(action: ActionKind, error: ApiError) -> Failure {
    if error.scope() == Scope::All {
        return Failure::All(error);
    }
    let (advice, retry): (Advice, bool) = match error.kind {
        ApiErrorKind::Permission => ("give the token's role the permission to change the video's asset".into(), false),
        ApiErrorKind::Plan => {
            ("the project's plan has no room for this track; the video itself is mirrored".into(), false)
        }
        ApiErrorKind::NotFound => {
            (Advice::then_again("the video's asset is gone, or the service has no tracks here"), true)
        }
        ApiErrorKind::Invalid if error.refuses_tracks_for_good() => (advice(&error), false),
        // A video takes tracks only once it has been processed, which can take as long as it plays.
        ApiErrorKind::Invalid => {
            (Advice::then_again("correct the file, or wait if the video is still being processed"), true)
        }
        _ => (advice(&error), true),
    };
    Failure::Path { problem: Problem::new(action, error.to_string(), advice), retry }
}
