//! The mirrored folder as it is on disk.
//!
//! Owns: which files count (`selection`), how a file is told from its earlier self (`fingerprint`), listing the tree
//! (`walk`), whose clock stamps it (`file_clock`), whose inode numbers count (`inodes`), opening what lies below the
//! root (`beneath`), reading content (`digest`), the guard over the root (`root`) and what file system lies below
//! (`mount`). Never does: writing into the mirrored folder, the index, the remote, deciding what to do about a
//! difference. Imports `model` only.

mod beneath;
mod digest;
mod file_clock;
mod fingerprint;
mod inodes;
mod mount;
mod root;
mod selection;
mod small_file;
mod walk;

pub use beneath::{OpenError, RootDir};
pub use digest::{DigestError, Digested, Job, digest_all};
pub use file_clock::FileClock;
pub use fingerprint::Fingerprint;
pub use inodes::Inodes;
pub use mount::{Mount, MountTable};
pub use root::{Ground, GuardTripped, RootIdentity, check_root};
pub use selection::{PatternSet, Selection, SelectionError, Verdict};
pub use small_file::read_as;
pub use walk::{
    AtPath, Found, SkipReason, WalkError, Walked, answers_in_another_case, as_spelt, glance, is_under_another_spelling,
    walk,
};
