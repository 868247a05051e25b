//! The mirrored folder as it is on disk.
//!
//! Owns: which files count (`selection`), how a file is told from its earlier self (`fingerprint`), listing the tree
//! (`walk`), reading content (`digest`), the guard over the root (`root`) and what file system lies below (`mount`).
//! Never does: writing into the mirrored folder, the index, the remote, deciding what to do about a difference.
//! Called by: `pipeline` (scan, observe, watch) and the `explain` command. Imports `model` only.

mod digest;
mod fingerprint;
mod mount;
mod root;
mod selection;
mod walk;

pub use digest::{DigestError, Digested, HEAD_BYTES, Job, digest_all, digest_file, mime_of};
pub use fingerprint::Fingerprint;
pub use mount::{Mount, MountTable};
pub use root::{Ground, GuardTripped, RootIdentity, check_root};
pub use selection::{PatternSet, Selection, SelectionError, Verdict};
pub use walk::{Found, Glance, SkipReason, WalkError, Walked, glance, walk};
