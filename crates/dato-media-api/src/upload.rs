//! An upload as the service tells it. People call it an asset.
//!
//! Owns: the values. Never does: wire shapes (that is `wire`).

use crate::{Fields, Md5, UploadId};

/// The id of an upload collection (a folder of the media area).
pub type CollectionId = String;

/// One asset of the media area. `S`: what the program leaves on it, see [`Stamp`](crate::Stamp).
#[derive(Debug, Clone, PartialEq)]
pub struct Upload<S = ()> {
    /// Its id, the same in forked environments.
    pub id: UploadId,
    /// Digest of its content; `None` while the service has not told one.
    pub md5: Option<Md5>,
    /// Bytes.
    pub size: u64,
    /// Its place in the bucket, which makes its URL.
    pub path: String,
    /// Where it is served.
    pub url: String,
    /// The name shown in the media area.
    pub filename: String,
    /// File format as the service names it (`png`, `jpg`, `svg` …).
    pub format: Option<String>,
    /// MIME type as the service names it.
    pub mime_type: Option<String>,
    /// Pixels.
    pub width: Option<u32>,
    /// Pixels.
    pub height: Option<u32>,
    /// A compact placeholder image.
    pub blurhash: Option<String>,
    /// Tags in the service's order.
    pub tags: Vec<String>,
    /// All other metadata, the collection among it; never the stamp.
    pub fields: Fields,
    /// The program's own note on the asset; empty when there is none.
    pub stamp: S,
    /// What the service's antivirus says of its file.
    pub antivirus: Antivirus,
    /// RFC 3339 time of its creation, by the service's clock; empty when it was not told.
    pub created_at: String,
    /// RFC 3339 time of the last change, by the service's clock; compares as text.
    pub updated_at: String,
}

/// What the service's antivirus says of an asset's file (`meta.antivirus.status`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Antivirus {
    /// It was not told, or told in a word that is not known here.
    #[default]
    Untold,
    /// The file is still to be looked at.
    Pending,
    /// Nothing was found.
    Clean,
    /// The service deleted the file and does not serve it any more; the asset's row stays.
    Infected,
    /// The file could not be looked at.
    Failed,
    /// The file was not looked at.
    Skipped,
}

impl Antivirus {
    /// By the service's word for it.
    #[must_use]
    pub fn of(word: &str) -> Self {
        match word {
            "pending" => Self::Pending,
            "clean" => Self::Clean,
            "infected" => Self::Infected,
            "failed" => Self::Failed,
            "skipped" => Self::Skipped,
            _ => Self::Untold,
        }
    }

    /// The service's word; empty for [`Antivirus::Untold`].
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Untold => "",
            Self::Pending => "pending",
            Self::Clean => "clean",
            Self::Infected => "infected",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        }
    }
}

impl<S> Upload<S> {
    /// Whether the service deleted its file as infected.
    #[must_use]
    pub fn is_infected(&self) -> bool {
        self.antivirus == Antivirus::Infected
    }

    /// The year it was created, UTC; the same on every machine and in every year to come.
    #[must_use]
    pub fn year(&self) -> Option<i16> {
        self.created_at.split_once('-').and_then(|(year, _)| year.parse().ok())
    }
}
