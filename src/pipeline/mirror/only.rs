//! The paths a run is about.
//!
//! Owns: that a folder stands for all below it. Called by: `pipeline::mirror`, and `pass`, which leaves the rest alone.

use std::collections::HashSet;

use crate::model::RelPath;

/// The paths a run is about.
#[derive(Debug)]
pub struct Only {
    exact: HashSet<String>,
    folders: Vec<String>,
}

impl Only {
    pub(super) fn new(paths: &[RelPath]) -> Self {
        Self {
            exact: paths.iter().map(|path| path.key().to_owned()).collect(),
            folders: paths.iter().map(|path| format!("{}/", path.key())).collect(),
        }
    }

    /// Whether `path` is one of them or below one.
    #[must_use]
    pub fn contains(&self, path: &str) -> bool {
        self.exact.contains(path) || self.folders.iter().any(|folder| path.starts_with(folder))
    }
}
