//! A project as the service tells it.
//!
//! Owns: the value. Never does: its wire shape (that is `wire`).

/// How a project keeps what an upload's metadata say in each locale (`meta.non_localized_focal_points` tells). Values that
/// have no locale, such as the focal point, are repeated in each of them by the older shape and stand once in the newer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetadataShape {
    /// Locale, then field: `{"en": {"alt": "…"}}`. The older one.
    ByLocale,
    /// Field, then locale: `{"alt": {"en": "…"}}`. The newer one, which new projects have.
    ByField,
}

impl MetadataShape {
    /// By the word of the service: whether focal points have no locale.
    #[must_use]
    pub const fn of(by_field: bool) -> Self {
        if by_field { Self::ByField } else { Self::ByLocale }
    }

    /// Whether it is the newer one.
    #[must_use]
    pub const fn is_by_field(self) -> bool {
        matches!(self, Self::ByField)
    }
}

/// A project, called a site by the API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    /// Its id.
    pub id: String,
    /// The project's name, for people.
    pub name: String,
    /// Locales, the main one first.
    pub locales: Vec<String>,
    /// How it keeps the metadata of its uploads.
    pub shape: MetadataShape,
    /// `meta.custom_upload_storage_settings`: no `keep_url` here.
    pub custom_storage: bool,
    /// `internal_domain`: the host of the CMS's own pages.
    pub domain: Option<String>,
}

impl Site {
    /// The main locale: the first one, or `en` where none is told.
    #[must_use]
    pub fn main_locale(&self) -> &str {
        self.locales.first().map_or("en", String::as_str)
    }
}
