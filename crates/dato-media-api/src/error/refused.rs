//! What it is that the service refuses: the uploaded file, the id, a name, a value.
//!
//! Owns: the reading of a refusal's fields and reasons, whose words are unconfirmed. Never does: deciding what is done about it.

use super::codes::row_of;
use super::{ApiError, ApiErrorKind};

impl ApiError {
    /// The service does not take the path of an uploaded file.
    #[must_use]
    pub fn refuses_the_upload(&self) -> bool {
        self.entries.iter().any(|entry| entry.code == "INVALID_FIELD" && entry.field.as_deref() == Some("path"))
    }

    /// The client-made id is taken already. The service's code for that is unconfirmed: whatever is wrong with the field
    /// `id` but its form, and a code that speaks of something taken and names no other field, says so.
    #[must_use]
    pub fn is_uniqueness_of_id(&self) -> bool {
        let says = |text: &str| ["UNIQ", "TAKEN", "DUPLICATE", "ALREADY"].iter().any(|word| text.contains(word));
        let is_form = |reason: &str| reason.contains("FORMAT") || reason.contains("INVALID");
        self.entries.iter().any(|entry| match entry.field.as_deref() {
            Some("id") => entry.reason.as_deref().is_some_and(|reason| says(reason) || !is_form(reason)),
            Some(_) => false,
            None => row_of(&entry.code).is_none() && says(&entry.code),
        })
    }

    /// Whether a create that was refused so may have been refused because its id is taken: only a look at the id tells.
    #[must_use]
    pub fn may_be_of_the_id(&self) -> bool {
        let kind = match self.row() {
            Some(row) => row.kind,
            None if self.status.is_some_and(|status| (400..500).contains(&status)) => ApiErrorKind::Invalid,
            None => self.kind,
        };
        !self.outcome_unknown
            && matches!(kind, ApiErrorKind::Invalid | ApiErrorKind::Concurrent)
            && !self.entries.is_empty()
    }

    /// One value of the request is refused, and the answer names it.
    #[must_use]
    pub fn is_about_a_value(&self) -> bool {
        self.code.as_deref() == Some("INVALID_FIELD")
    }

    /// The asset is no video, so it can have no tracks.
    #[must_use]
    pub fn is_not_a_video(&self) -> bool {
        self.code.as_deref() == Some("NOT_A_VIDEO")
    }

    /// Tracks can be changed in the primary environment only, and this is another one.
    #[must_use]
    pub fn is_for_the_primary_environment(&self) -> bool {
        self.code.as_deref() == Some("IMMUTABLE_UPLOAD_TRACKS_IN_SANDBOX_ENVIRONMENT")
    }

    /// Something else has the name or place that was asked for.
    #[must_use]
    pub fn is_taken(&self) -> bool {
        let says = |details: &String| {
            let details = details.to_ascii_lowercase();
            ["unique", "already", "taken", "duplicate"].iter().any(|word| details.contains(word))
        };
        self.kind == ApiErrorKind::Invalid
            && (self.entries.iter().any(|entry| entry.reason.as_deref() == Some("VALIDATION_UNIQUENESS"))
                || self.details.as_ref().is_some_and(says))
    }

    /// A value of the metadata may be what is refused: the same without it may be taken.
    #[must_use]
    pub fn may_be_of_a_value(&self) -> bool {
        let is_of_another = self.is_uniqueness_of_id() || self.is_about_collection() || self.refuses_the_upload();
        self.kind == ApiErrorKind::Invalid && !self.outcome_unknown && !is_of_another
    }
}
