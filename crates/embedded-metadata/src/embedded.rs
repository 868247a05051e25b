//! The one shape of a file's own metadata, whatever container it came in.
//!
//! Owns: the names of the slots. Never does: reading or merging them (that is `metadata::read`).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What a file says about itself. An empty slot means "the file does not say".
///
/// Maps go from locale to text. Locales are language tags as written in the file, or `x-default` for text whose
/// language the file does not name. Empty slots are not written: the index holds one of these for each file.
#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Embedded {
    /// Keywords in the file's order, each once.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub keywords: Vec<String>,
    /// Who made it; several people are joined with `, `.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub creator: Option<String>,
    /// The rights line.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub rights: BTreeMap<String, String>,
    /// The title, or else the headline.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub title: BTreeMap<String, String>,
    /// The alternative text.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub alt: BTreeMap<String, String>,
    /// The extended description, or else the caption.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub description: BTreeMap<String, String>,
    /// What could not be read, in plain words; for the report.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}
