//! The metadata an asset should have, and how it meets what editors typed.
//!
//! Owns: templates, layers, sidecar files, the desired metadata of a path, and the three-way merge. Never does: calling
//! the service, writing files; but for the sidecar's reader, everything here is pure. Start reading: `desired.rs`, then
//! `merge.rs`.

pub mod desired;
pub mod layer;
pub mod merge;
pub mod remote_list;
pub mod sidecar;
pub mod template;

pub use embedded_metadata::{self as read, Embedded};
