//! What the planner decides by.
//!
//! Owns: the settings that decide and the facts about one path, as values. Holds no rule and reads nothing.

use crate::config::policy::{Duplicates, OnChange, OnDelete, OnRemoteChange, OnRemoteDelete, OnRename};
use crate::index::FileRow;
use crate::metadata::desired::Desired;
use crate::model::{Asset, Md5, MirrorStamp, RelPath, UploadId};
use crate::sync::absence::Absence;

/// The settings that decide, for one mirror in one project.
#[derive(Debug, Clone)]
pub struct Policy {
    /// The mirror's name, its key in stamps.
    pub mirror: String,
    /// What a changed file does to its URL.
    pub on_change: OnChange,
    /// What a rename does to filename and URL.
    pub on_rename: OnRename,
    /// What a vanished file does to its asset.
    pub on_delete: OnDelete,
    /// What an editor's replacement means.
    pub on_remote_change: OnRemoteChange,
    /// What an editor's deletion means.
    pub on_remote_delete: OnRemoteDelete,
    /// Whether paths with the same content share an asset.
    pub duplicates: Duplicates,
    /// The project keeps its files in a bucket of its own: the service cannot keep a URL there.
    pub custom_storage: bool,
}

/// A path with what the folder wants for it.
#[derive(Debug, Clone, PartialEq)]
pub struct Sharer {
    /// The path.
    pub path: RelPath,
    /// How the stamp names it.
    pub stamp_name: String,
    /// Its content on disk.
    pub content: Option<Md5>,
    /// Tags and fields by rules, sidecars and embedded metadata.
    pub desired: Desired,
}

/// The asset known for a path.
#[derive(Debug, Clone, PartialEq)]
pub enum Known {
    /// None ever was.
    Never,
    /// One was; it is not in the media area any more.
    Gone(UploadId),
    /// It is there.
    There(Box<Asset>),
}

/// An asset with what this mirror last pushed to it (`None`: nothing yet).
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    /// The asset.
    pub asset: Box<Asset>,
    /// The base of the merge.
    pub pushed: Option<MirrorStamp>,
}

/// A path of this mirror, no longer on disk, that had this content.
#[derive(Debug, Clone, PartialEq)]
pub struct GoneTwin {
    /// Its row in the index.
    pub row: i64,
    /// How the stamp names it.
    pub stamp_name: String,
    /// Its path.
    pub path: RelPath,
    /// The asset's id derives from the path, and stamps tell paths.
    pub birth: bool,
    /// Its asset, which is there and still has the content.
    pub candidate: Candidate,
    /// The paths on disk that share the asset.
    pub sharers: Vec<Sharer>,
}

/// Paths of this mirror, on disk now, with this content.
#[derive(Debug, Clone, PartialEq)]
pub struct LiveTwin {
    /// The first of them in path order that has an asset with this content, else the first in path order.
    pub path: RelPath,
    /// Its asset; `None` while it is being created.
    pub candidate: Option<Candidate>,
    /// All paths that share the asset or wait to.
    pub sharers: Vec<Sharer>,
}

/// A path of this mirror that is gone.
#[derive(Debug, Clone, PartialEq)]
pub struct Origin {
    /// Its row in the index.
    pub row: i64,
    /// How the stamp names it.
    pub stamp_name: String,
    /// Its path.
    pub path: RelPath,
    /// The asset's id derives from the path, and stamps tell paths.
    pub birth: bool,
}

/// Another path on disk with the same content and without an asset for it.
#[derive(Debug, Clone, PartialEq)]
pub struct Follower {
    /// The path, and what the folder wants for it.
    pub sharer: Sharer,
    /// Its row, where it is certain that it will share the asset that the observed path gets, or wait for the same one.
    pub row: Option<Box<FileRow>>,
    /// The vanished path that it came from, which had the asset that the observed path gets.
    pub from: Option<Origin>,
}

/// All that is known of one path: what the planner decides by.
#[derive(Debug, Clone, PartialEq)]
pub struct Observation {
    /// The path, and what the folder wants for it.
    pub me: Sharer,
    /// Content on disk; `None` when the file is not there.
    pub local: Option<Md5>,
    /// Why it is not there, should that be so.
    pub absence: Absence,
    /// Content when path and asset were last in step; `None` when they never were.
    pub base: Option<Md5>,
    /// The asset known for the path by index, stamp or derived id.
    pub known: Known,
    /// The index has another asset for the path, or another content as last in step, than the media area tells: what is
    /// seen here must be written down also where nothing is to be done.
    pub behind: bool,
    /// What this mirror last pushed to the known asset.
    pub pushed: Option<MirrorStamp>,
    /// Other paths of this mirror, on disk, that share the known asset.
    pub sharers: Vec<Sharer>,
    /// Paths that share the known asset and are not this folder's files: of other mirrors, of this one on other machines,
    /// and those that are left out or hidden here.
    pub foreign_sharers: usize,
    /// For a path without an asset: a vanished path with its content.
    pub gone_twin: Option<GoneTwin>,
    /// For a path without an asset: paths on disk with its content.
    pub live_twin: Option<LiveTwin>,
    /// For a path without an asset: an asset of the media area with its content.
    pub remote_twin: Option<Candidate>,
    /// An asset with the file's content whose file the service deleted as infected, where it is another than the known one:
    /// these bytes are not sent again.
    pub infected_twin: Option<Box<Asset>>,
    /// Other paths with the same content that will share the asset the path gets, or wait for the same one.
    pub followers: Vec<Follower>,
    /// Other due rows with the same asset about which nothing is known that is not known of this one: on disk or not, the
    /// content, the content when last in step, the extension.
    pub alike: Vec<FileRow>,
    /// The id for a new asset of this path.
    pub new_id: UploadId,
}
