//! A look at the disk for a video that is not in the index yet.
//!
//! This module owns which of the possible names is there. It never opens a file.

use std::path::PathBuf;
use std::sync::Arc;

use crate::disk::{RootDir, Selection};
use crate::model::{RelPath, video_names};

/// A look at the disk for a video that is not in the index yet: a large one is still being copied when the small file
/// beside it has settled.
#[derive(Debug, Clone)]
pub struct VideoLookup {
    /// The mirror's root.
    pub root: PathBuf,
    /// Which names count.
    pub selection: Arc<Selection>,
}

impl VideoLookup {
    /// The video with this name but for its extension, if there is one.
    #[must_use]
    pub fn video(&self, stem: &str) -> Option<String> {
        let root = RootDir::open(&self.root).ok()?;
        video_names(stem).find(|name| {
            RelPath::from_key(name).is_ok_and(|path| {
                self.selection.admits_file(&path) && root.metadata(&path).is_ok_and(|found| found.is_file())
            })
        })
    }
}
