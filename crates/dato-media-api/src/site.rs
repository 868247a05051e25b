//! A project as the service tells it.
//!
//! Owns: the value. Never does: its wire shape (that is `wire`).

/// A project, called a site by the API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    /// Its id.
    pub id: String,
    /// The project's name, for people.
    pub name: String,
    /// Locales, the main one first.
    pub locales: Vec<String>,
    /// `meta.non_localized_focal_points`: the newer of the two metadata shapes.
    pub by_field: bool,
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
