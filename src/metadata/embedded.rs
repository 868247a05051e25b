//! The one shape of a file's own metadata, whatever container it came in.
//!
//! Owns: the names of the slots. Never does: reading or merging them (that is `metadata::read`).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What a file says about itself. An empty slot means "the file does not say".
///
/// Maps go from locale to text. Locales are language tags as written in the file, or `x-default` for text whose
/// language the file does not name.
#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize)]
pub struct Embedded {
    /// Keywords in the file's order, each once.
    pub keywords: Vec<String>,
    /// Who made it; several people are joined with `, `.
    pub creator: Option<String>,
    /// The rights line.
    pub rights: BTreeMap<String, String>,
    /// The title, or else the headline.
    pub title: BTreeMap<String, String>,
    /// The alternative text.
    pub alt: BTreeMap<String, String>,
    /// The extended description, or else the caption.
    pub description: BTreeMap<String, String>,
    /// What could not be read, in plain words; for the report.
    pub notes: Vec<String>,
}
