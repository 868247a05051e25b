//! The nouns of the mirror, and nothing else.
//!
//! Owns: names, digests, ids, assets, fields and stamps as plain values with their parsing and printing.
//! Never does: I/O, clocks, logging, configuration.
//! Called by: every other room. Imports nothing of ours.

mod asset;
mod companion;
mod digest;
mod field;
pub mod index_file;
mod month;
mod path;
mod sidecar;
mod stamp;
mod upload_id;

pub use asset::{Antivirus, Asset, CollectionId, Site};
pub use companion::{Companion, TrackKind, video_names, video_stem};
pub use digest::{Md5, Md5Hasher, ParseMd5Error};
pub use field::{FieldKey, Fields};
pub use month::Month;
pub use path::{PathError, RelPath};
pub use sidecar::{SidecarKind, sidecar_kind};
pub use stamp::{MirrorStamp, STAMP_KEY, STAMP_PATHS, Stamp, TrackStamp};
pub use upload_id::{PathDigest, UploadId};
