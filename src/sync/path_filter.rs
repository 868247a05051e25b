//! The paths a run is about.
//!
//! Owns: that a folder stands for all below it.

use std::collections::HashSet;

use crate::model::RelPath;

/// The paths a run is about.
#[derive(Debug)]
pub struct PathFilter {
    paths: HashSet<String>,
}

impl PathFilter {
    /// These paths, and all below them.
    pub fn new(paths: &[RelPath]) -> Self {
        Self { paths: paths.iter().map(|path| path.key().to_owned()).collect() }
    }

    /// Whether `path` is one of them or below one.
    #[must_use]
    pub fn contains(&self, path: &str) -> bool {
        let above = path.match_indices('/').map(|(end, _)| &path[..end]);
        self.paths.contains(path) || above.into_iter().any(|folder| self.paths.contains(folder))
    }
}
