//! What it is that the service refuses: the uploaded file, the id, a name, a value.
//!
//! Owns: the reading of a refusal's fields and reasons, whose words are unconfirmed. Never does: deciding what is done about it.

use super::codes::row_of;
use super::{ApiError, ApiErrorKind};

impl ApiError {
    /// The service does not take the path of an uploaded file.
    #[must_use]
    pub fn refuses_the_upload(&self) -> bool {
        self.told.iter().any(|told| told.code == "INVALID_FIELD" && told.field.as_deref() == Some("path"))
    }

    /// The client-made id is taken already. The service's code for that is unconfirmed: whatever is wrong with the field
    /// `id` but its form, and a code that speaks of something taken and names no other field, says so.
    #[must_use]
    pub fn is_uniqueness_of_id(&self) -> bool {
        let says = |text: &str| ["UNIQ", "TAKEN", "DUPLICATE", "ALREADY"].iter().any(|word| text.contains(word));
        let is_form = |reason: &str| reason.contains("FORMAT") || reason.contains("INVALID");
        self.told.iter().any(|told| match told.field.as_deref() {
            Some("id") => told.reason.as_deref().is_some_and(|reason| says(reason) || !is_form(reason)),
            Some(_) => false,
            None => row_of(&told.code).is_none() && says(&told.code),
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
        !self.unsure && matches!(kind, ApiErrorKind::Invalid | ApiErrorKind::Concurrent) && !self.told.is_empty()
    }

    /// Something else has the name or place that was asked for.
    #[must_use]
    pub fn is_taken(&self) -> bool {
        let says = |details: &String| {
            let details = details.to_ascii_lowercase();
            ["unique", "already", "taken", "duplicate"].iter().any(|word| details.contains(word))
        };
        self.kind == ApiErrorKind::Invalid
            && (self.told.iter().any(|told| told.reason.as_deref() == Some("VALIDATION_UNIQUENESS"))
                || self.details.as_ref().is_some_and(says))
    }

    /// A value of the metadata may be what is refused: the same without it may be taken.
    #[must_use]
    pub fn may_be_of_a_value(&self) -> bool {
        let is_of_another = self.is_uniqueness_of_id() || self.is_about_collection() || self.refuses_the_upload();
        self.kind == ApiErrorKind::Invalid && !self.unsure && !is_of_another
    }
}
