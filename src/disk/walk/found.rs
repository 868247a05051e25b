//! What a walk tells.
//!
//! Owns: the values. Never does: looking.

use std::io;
use std::path::PathBuf;

use super::super::fingerprint::Fingerprint;
use crate::model::{RelPath, SidecarKind};

/// One thing the walk came upon.
#[derive(Debug)]
pub enum Found {
    /// A file to mirror.
    File {
        /// Where; a linked file has the link's path.
        path: RelPath,
        /// Of the file itself, also when it was reached by a link.
        print: Fingerprint,
    },
    /// A file that tells about others; it is reported whatever `include` says.
    Sidecar {
        /// Where.
        path: RelPath,
        /// About what.
        kind: SidecarKind,
        /// Of the sidecar.
        print: Fingerprint,
    },
    /// Selected by its name, but nothing that can be mirrored.
    Skipped {
        /// Where.
        path: RelPath,
        /// Why.
        why: SkipReason,
    },
    /// It is there, but the system refused to tell about it. It has *not* vanished.
    Unreadable {
        /// A file, or a folder with all that is in it.
        path: RelPath,
        /// What the system said.
        cause: io::Error,
    },
}

/// Why something with a selected name is not mirrored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum SkipReason {
    /// A named pipe.
    #[error("it is a named pipe, not a file")]
    Fifo,
    /// A socket.
    #[error("it is a socket, not a file")]
    Socket,
    /// A block or character device.
    #[error("it is a device, not a file")]
    Device,
    /// A symlink out of the root.
    #[error("it is a link to a place outside the mirror's root; copy the file into the root to mirror it")]
    LinkOutside,
    /// A symlink to a folder it lies in, or to itself.
    #[error("it is a link that leads back to itself")]
    LinkLoop,
    /// A folder that the built-in list leaves out for a name that a person may have given it.
    #[error("the folder is left out with all that is in it, for its name: {reason}")]
    Folder {
        /// What such names stand for.
        reason: &'static str,
    },
    /// A symlink to nothing.
    #[error("it is a link to something that does not exist")]
    LinkBroken,
    /// More links to folders inside links to folders than anyone means.
    #[error("it is a link inside too many linked folders")]
    LinkTooDeep,
    /// An index of dato-mirror, whichever configuration it belongs to, or a file that SQLite keeps beside one.
    #[error("it belongs to an index of dato-mirror, which is never mirrored")]
    OwnIndex,
    /// Its name reads the same as another's in its folder, only the bytes differ.
    #[error(
        "another file in its folder has the same name in another Unicode spelling, and only that one can be mirrored"
    )]
    SameName,
    /// The same of a folder.
    #[error(
        "another folder beside it has the same name in another Unicode spelling, and only what is in that one can be mirrored"
    )]
    SameFolder,
}

/// What the walk amounts to.
#[derive(Debug, Default)]
pub struct Walked {
    /// Files to mirror.
    pub files: u64,
    /// Sidecars.
    pub sidecars: u64,
    /// Things reported as [`Found::Skipped`].
    pub skipped: u64,
    /// Things reported as [`Found::Unreadable`].
    pub unreadable: u64,
    /// Why the root could not be listed to its end, if so.
    pub root_failure: Option<io::Error>,
    /// Folders among them: files known to lie below are *not* gone.
    pub unreadable_dirs: Vec<RelPath>,
    /// Whether every folder was listed and every entry looked at; only then does absence mean anything.
    pub complete: bool,
}

/// The walk could not begin.
#[derive(Debug, thiserror::Error)]
#[error("the folder {} cannot be read: {cause}", .root.display())]
pub struct WalkError {
    /// The root of the walk.
    pub root: PathBuf,
    /// What the system said.
    #[source]
    pub cause: io::Error,
}

/// What is at one path.
#[derive(Debug)]
pub enum AtPath {
    /// What the walk would report of it.
    Found(Found),
    /// A folder the walk would enter.
    Folder,
    /// Nothing, or nothing that was selected.
    Nothing,
}
