//! What could not be read, or is not read yet: a file that vanished may be there under another name.
//!
//! Owns: which vanished files it may be, by their sizes. Decides nothing about them. Called by: `pipeline::scan`, before it
//! takes a file for gone.

use std::collections::HashSet;

use super::{Scan, Severity};
use crate::disk::OpenError;

/// Files on disk whose contents are not known: one that vanished may be any of them under another name.
#[derive(Debug, Clone)]
pub(super) struct Unread {
    sizes: HashSet<u64>,
    /// One of them may have any size.
    any: bool,
}

impl Unread {
    /// Whether a file of this size may be one of them.
    pub(super) fn may_be(&self, size: u64) -> bool {
        self.any || self.sizes.contains(&size)
    }
}

impl Scan {
    /// What is known of the files that could not be read, and of those still to be read.
    pub(super) fn unread(&self) -> Unread {
        let problems = self.totals.problems.iter();
        let refused =
            problems.filter(|(_, problem, severity)| *severity == Severity::Failed && problem.action == "read");
        let mut unread = Unread { sizes: self.looks.sizes().collect(), any: false };
        for (path, ..) in refused {
            match self.root.metadata(path) {
                Ok(metadata) => drop(unread.sizes.insert(metadata.len())),
                Err(OpenError::Gone | OpenError::Folder | OpenError::Skipped(_)) => {}
                // A disk that does not even tell the size.
                Err(_) => unread.any = true,
            }
        }
        unread
    }
}
