//! The nouns of the mirror, and nothing else.
//!
//! Owns: names, stamps, companions, actions' words and advice as plain values with their parsing and printing. Assets, their ids, digests and fields
//! are the client's nouns, in `dato-media-api`; here an asset carries the mirror's stamp.
//! Never does: I/O, clocks, logging, configuration. Imports nothing of ours but those nouns.

mod action_kind;
mod advice;
mod companion;
pub mod index_file;
mod month;
mod path;
mod path_digest;
mod sidecar;
mod stamp;

pub use dato_media_api::{
    Antivirus, CollectionId, FieldKey, Fields, Md5, Md5Hasher, MetadataShape, ParseMd5Error, Site, TrackKind, UploadId,
};

pub use action_kind::ActionKind;
#[cfg(test)]
pub use advice::promises;
pub use advice::{Advice, GoesOn, Promise};
pub use companion::{Companion, video_names, video_stem};
pub use month::Month;
pub use path::{PathError, RelPath};
pub use path_digest::PathDigest;
pub use sidecar::{SidecarKind, sidecar_kind};
pub use stamp::{MirrorStamp, STAMP_KEY, STAMP_PATHS, Stamp, TrackStamp};

/// One asset of the media area, with the mirror's stamp.
pub type Asset = dato_media_api::Upload<Stamp>;
