//! What a planned action changes: of which asset, from what to what.
//!
//! Owns: these values as a report has them, for people. Decides nothing.

/// Why a dry run leaves an asset alone that the deletion guard withholds.
pub const WITHHELD_IN_A_PLAN: &str = "its asset is withheld by the deletion guard";

/// What a planned action changes.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Change {
    /// The asset that is there already and is changed; none where a new one is made.
    pub asset: Option<ChangedAsset>,
    /// Each value that becomes another one.
    pub changes: Vec<ChangedValue>,
}

/// An asset as people find it in the CMS and on pages.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ChangedAsset {
    /// Its id.
    pub id: String,
    /// The name shown in the media area.
    pub filename: String,
    /// Where it is served; empty for one that an earlier action of the same plan makes.
    pub url: String,
}

/// One value of an asset, before and after.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ChangedValue {
    /// `file` (its size), `url`, `name`, `tags`, or the name of a metadata field.
    pub what: String,
    /// What it is; `None`: nothing.
    pub before: Option<String>,
    /// What it becomes; `None`: nothing.
    pub after: Option<String>,
}
