//! placeholder
use crate::model::{FieldKey, Fields};
use std::collections::{BTreeMap, BTreeSet};
/// d
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Desired {
    /// t
    pub tags: BTreeSet<String>,
    /// f
    pub fields: Fields,
}
/// c
#[derive(Debug, Clone, PartialEq)]
pub struct Conflict {
    /// k
    pub key: String,
}
/// i
#[derive(Debug)]
pub struct MergeInput<'a> {
    /// b
    pub base_tags: &'a BTreeSet<String>,
    /// b
    pub base_fields: &'a BTreeMap<String, String>,
    /// b
    pub desired_tags: &'a BTreeSet<String>,
    /// b
    pub desired_fields: &'a Fields,
    /// b
    pub remote_tags: &'a [String],
    /// b
    pub remote_fields: &'a Fields,
}
/// m
#[derive(Debug)]
pub struct Merged {
    /// t
    pub tags: Vec<String>,
    /// s
    pub set: Fields,
    /// c
    pub clear: Vec<FieldKey>,
    /// c
    pub conflicts: Vec<Conflict>,
    /// p
    pub pushed_tags: BTreeSet<String>,
    /// p
    pub pushed_fields: BTreeMap<String, String>,
}
/// m
#[must_use]
pub fn merge(_i: &MergeInput<'_>) -> Merged {
    unimplemented!()
}
/// u
#[must_use]
pub fn unite(all: &[Desired]) -> Desired {
    all[0].clone()
}
