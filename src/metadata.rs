//! What people wrote into the files themselves: keywords, creators, rights, titles, alternative texts.
//!
//! Owns: reading embedded metadata and sidecars into one shape.
//! Never does: deciding what of it reaches an asset, or writing it anywhere. Called when a file is digested.

pub mod embedded;
pub mod read;

pub use embedded::Embedded;
