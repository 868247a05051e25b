//! What a file says about itself.
//!
//! Owns: the plain values, whatever container and format they came from.
//! Never does: reading files.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Metadata found in a file. Maps go from locale to text; `x-default` is the text for everyone.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Embedded {
    /// Keywords.
    pub keywords: Vec<String>,
    /// Who made it.
    pub creator: Option<String>,
    /// The rights line.
    pub rights: BTreeMap<String, String>,
    /// Title or headline.
    pub title: BTreeMap<String, String>,
    /// Alternative text.
    pub alt: BTreeMap<String, String>,
    /// Description or caption.
    pub description: BTreeMap<String, String>,
    /// What could not be read, for people.
    pub notes: Vec<String>,
}
