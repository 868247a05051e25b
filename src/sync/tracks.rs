//! What becomes of files that are tracks of a video.
//!
//! This module owns the decision (`plan`, which is pure) and the calls (`work`). Which file is a track is
//! [`crate::sync::track_file`]'s to tell. What was made is remembered in the stamp of the video's asset, so that a lost index makes no
//! second track and an editor's track is never taken for ours.

mod plan;
mod trouble;
mod work;

pub use plan::Due;
pub use work::{Done, Foreseen, Work};
