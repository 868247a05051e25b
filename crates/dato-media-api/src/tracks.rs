//! The tracks of a video: subtitles and further sound.
//!
//! Owns: `/uploads/:id/tracks`. Never does: deciding. Source: the API's documentation of "Upload track".

use reqwest::Method;
use serde_json::{Value, json};

use crate::http::Call;
use crate::retry::Effect;
use crate::{ApiError, ApiErrorKind, Client, Stamp, UploadId, proof, wire};

/// What is said of a new track.
const SENT: [&str; 5] = ["url_or_upload_request_id", "type", "language_code", "closed_captions", "name"];
/// Codes of refusals that waiting does not heal. Source: the public list of error codes.
const FOR_GOOD: [&str; 2] = ["NOT_A_VIDEO", "IMMUTABLE_UPLOAD_TRACKS_IN_SANDBOX_ENVIRONMENT"];

/// What a track is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TrackKind {
    /// Text over the picture.
    Subtitles,
    /// Another sound.
    Audio,
}

impl TrackKind {
    /// As the API spells it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Subtitles => "subtitles",
            Self::Audio => "audio",
        }
    }
}

/// A track to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewTrack<'a> {
    /// What it is.
    pub kind: TrackKind,
    /// A BCP 47 tag.
    pub language: &'a str,
    /// For the deaf and hard of hearing.
    pub closed_captions: bool,
}

/// A track of a video.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Track {
    /// Its id.
    pub id: String,
    /// `subtitles` or `audio`.
    pub kind: String,
    /// A BCP 47 tag.
    pub language: String,
    /// For the deaf and hard of hearing.
    pub closed_captions: bool,
    /// The service has not tried to use it yet.
    pub preparing: bool,
    /// Why the service could not use it, when it could not.
    pub error: Option<String>,
}

impl Track {
    fn of(wire: wire::Bare) -> Self {
        let text = |key: &str| wire.attributes.get(key).and_then(Value::as_str).map(str::to_owned);
        let is = |status: &str| text("status").as_deref() == Some(status);
        let errored = is("errored");
        Self {
            preparing: is("preparing"),
            kind: text("type").unwrap_or_default(),
            language: text("language_code").unwrap_or_default(),
            closed_captions: wire.attributes.get("closed_captions").and_then(Value::as_bool).unwrap_or(false),
            error: errored.then(|| text("error").unwrap_or_else(|| "no reason was told".into())),
            id: wire.id,
        }
    }

    /// Whether it is in the place that `new` would take: a video has one track of a kind, language and audience.
    #[must_use]
    pub fn is_for(&self, new: &NewTrack<'_>) -> bool {
        self.kind == new.kind.as_str()
            && self.language.eq_ignore_ascii_case(new.language)
            && self.closed_captions == new.closed_captions
    }
}

impl ApiError {
    /// Whether a new track may have been refused only because its video is still being processed. The service has no code
    /// for that: it is no refusal of what was sent, and none that names another reason.
    #[must_use]
    pub fn is_too_early(&self) -> bool {
        let about_track = self.fields().any(|field| SENT.contains(&field));
        self.kind == ApiErrorKind::Invalid && !about_track && !self.refuses_tracks_for_good() && !self.is_taken()
    }

    /// Whether the video can have no tracks whatever is sent.
    #[must_use]
    pub fn refuses_tracks_for_good(&self) -> bool {
        self.codes().any(|code| FOR_GOOD.contains(&code))
    }
}

impl<S: Stamp> Client<S> {
    /// All tracks of a video. The list has no pages.
    ///
    /// # Errors
    /// As [`Client::site`].
    pub async fn tracks(&self, upload: &UploadId) -> Result<Vec<Track>, ApiError> {
        let document = self.transport.result(&Call::get(&["uploads", upload.as_str(), "tracks"])).await?;
        Ok(wire::bare_list(&document)?.into_iter().map(Track::of).collect())
    }

    /// Makes a track of bytes that were sent with a ticket of this path. It is not safe to repeat: after an error that is
    /// [`outcome_unknown`](ApiError::outcome_unknown) look at [`Client::tracks`] first.
    ///
    /// # Errors
    /// As [`Client::site`].
    pub async fn create_track(&self, upload: &UploadId, path: &str, track: &NewTrack<'_>) -> Result<Track, ApiError> {
        let mut attributes = json!({
            "url_or_upload_request_id": path,
            "type": track.kind.as_str(),
            "language_code": track.language,
        });
        if track.closed_captions {
            attributes["closed_captions"] = json!(true);
            // Without a name the service names it after its language, and then it has the name of the plain subtitles.
            attributes["name"] = json!(format!("{} (CC)", track.language));
        }
        let body = json!({"data": {"type": "upload_track", "attributes": attributes}});
        let call = Call::new(Method::POST, &["uploads", upload.as_str(), "tracks"], Effect::NonIdempotent).body(body);
        let document = self.transport.result(&call).await?;
        let made = proof::is_one(&document, "upload_track").and_then(|()| wire::bare(&document));
        made.map(Track::of).map_err(ApiError::with_outcome_unknown)
    }

    /// Deletes a track; one that is not there any more counts as deleted.
    ///
    /// # Errors
    /// As [`Client::site`].
    pub async fn delete_track(&self, upload: &UploadId, track: &str) -> Result<(), ApiError> {
        let call = Call::new(Method::DELETE, &["uploads", upload.as_str(), "tracks", track], Effect::Idempotent);
        match self.transport.result(&call).await {
            Ok(document) => match proof::is_about(&document, "upload_track", track) {
                Err(error) if self.tracks(upload).await?.iter().any(|left| left.id == track) => Err(error),
                Ok(()) | Err(_) => Ok(()),
            },
            Err(error) if error.is_not_found() => Ok(()),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_refusal_without_another_reason_may_be_too_early() {
        for (status, code, details, expected) in [
            (422, "INVALID_FIELD", json!({"field": "upload", "code": "NOT_READY"}), true),
            (422, "MUX_ERROR", json!(null), true),
            (422, "INVALID_FIELD", json!({"field": "url_or_upload_request_id", "code": "INVALID_FORMAT"}), false),
            (422, "INVALID_FIELD", json!({"field": "name", "code": "VALIDATION_UNIQUENESS"}), false),
            (422, "INVALID_FIELD", json!({"field": "upload", "code": "NOT_A_VIDEO"}), false),
            (422, "IMMUTABLE_UPLOAD_TRACKS_IN_SANDBOX_ENVIRONMENT", json!(null), false),
            (403, "INSUFFICIENT_PERMISSIONS", json!(null), false),
            (404, "NOT_FOUND", json!(null), false),
        ] {
            let body = json!({"data": [{"attributes": {"code": code, "details": details}}]});
            assert_eq!(ApiError::from_answer(status, Some(&body)).is_too_early(), expected, "{code} {details}");
        }
    }
}
