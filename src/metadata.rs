//! The metadata an asset should have, and how it meets what editors typed.
//!
//! Owns: templates, layers, sidecar files, the desired metadata of a path, and the three-way merge. Never does: calling
//! the service, writing files; but for the sidecar's reader, everything here is pure. Start reading: `desired.rs`, then
//! `merge.rs`.

use std::fs::File;
use std::io;

use crate::model::RelPath;

pub mod desired;
pub mod merge;
pub mod remote_list;
pub mod sidecar;

/// Reads what people wrote into a file of so many bytes, as the index keeps it; nothing where there is nothing.
pub type ReadEmbedded = fn(File, &RelPath, u64) -> io::Result<Option<String>>;

pub use embedded_metadata::{self as read, Embedded};
