//! The tracks of a video: subtitles and further sound.
//!
//! Owns: `/uploads/:id/tracks`. Never does: deciding. Source: the API's documentation of "Upload track".
//! Called by: `pipeline::tracks`.

use reqwest::Method;
use serde_json::{Value, json};

use crate::model::{Companion, UploadId};

use super::http::Call;
use super::retry::Effect;
use super::{ApiError, Remote, wire};

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
    /// Why the service could not use it, when it could not.
    pub error: Option<String>,
}

impl Track {
    fn of(wire: wire::Bare) -> Self {
        let text = |key: &str| wire.attributes.get(key).and_then(Value::as_str).map(str::to_owned);
        let errored = text("status").as_deref() == Some("errored");
        Self {
            kind: text("type").unwrap_or_default(),
            language: text("language_code").unwrap_or_default(),
            closed_captions: wire.attributes.get("closed_captions").and_then(Value::as_bool).unwrap_or(false),
            error: errored.then(|| text("error").unwrap_or_else(|| "no reason was told".into())),
            id: wire.id,
        }
    }

    /// Whether it is in the place of the track that `companion` wants.
    #[must_use]
    pub fn is_for(&self, companion: &Companion) -> bool {
        self.kind == companion.kind.as_str()
            && self.language.eq_ignore_ascii_case(&companion.language)
            && self.closed_captions == companion.closed_captions
    }
}

impl Remote {
    /// All tracks of a video. The list has no pages.
    ///
    /// # Errors
    /// As [`Remote::site`].
    pub async fn tracks(&self, upload: &UploadId) -> Result<Vec<Track>, ApiError> {
        let document = self.door.result(&Call::get(&["uploads", upload.as_str(), "tracks"])).await?;
        Ok(wire::bare_list(&document)?.into_iter().map(Track::of).collect())
    }

    /// Makes a track of bytes that were sent with a ticket of this path. It is not safe to repeat: after an error that is
    /// [`unsure`](ApiError::unsure) look at [`Remote::tracks`] first.
    ///
    /// # Errors
    /// As [`Remote::site`].
    pub async fn create_track(&self, upload: &UploadId, path: &str, track: &Companion) -> Result<Track, ApiError> {
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
        let call = Call::new(Method::POST, &["uploads", upload.as_str(), "tracks"], Effect::Once).body(body);
        let document = self.door.result(&call).await?;
        wire::bare(&document).map(Track::of).map_err(ApiError::made_unsure)
    }

    /// Deletes a track; one that is not there any more counts as deleted.
    ///
    /// # Errors
    /// As [`Remote::site`].
    pub async fn delete_track(&self, upload: &UploadId, track: &str) -> Result<(), ApiError> {
        let call = Call::new(Method::DELETE, &["uploads", upload.as_str(), "tracks", track], Effect::Repeatable);
        match self.door.result(&call).await {
            Ok(_) => Ok(()),
            Err(error) if error.is_not_found() => Ok(()),
            Err(error) => Err(error),
        }
    }
}
