//! Where a symlink leads, and whether the walk goes there.
//!
//! Owns: the rule "inside the root, never in a loop".
//! Never does: listing.

use std::fs::{self, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::SkipReason;

/// A folder that was left through a link.
#[derive(Debug)]
pub(super) struct Hop {
    /// The real path of the folder the link lies in.
    from: PathBuf,
    before: Option<Arc<Hop>>,
    depth: usize,
}

/// What is behind a link.
pub(super) enum Target {
    Folder(Hop),
    File(Metadata),
    Refused(SkipReason),
}

/// Links to folders inside linked folders: without an end to them, a few links among siblings make a walk of millions.
const MAX_DEPTH: usize = 8;
/// "Too many levels of symbolic links", the same number on every Linux.
const ELOOP: i32 = rustix::io::Errno::LOOP.raw_os_error();

/// Follows the link `full`, which lies in `folder`, reached through `hops`.
pub(super) fn follow(real_root: &Path, folder: &Path, hops: Option<&Arc<Hop>>, full: &Path) -> io::Result<Target> {
    let target = match fs::canonicalize(full) {
        Ok(target) => target,
        Err(cause) if cause.raw_os_error() == Some(ELOOP) => return Ok(Target::Refused(SkipReason::LinkLoop)),
        Err(cause) if super::is_gone(&cause) => return Ok(Target::Refused(SkipReason::LinkBroken)),
        Err(cause) => return Err(cause),
    };
    if !target.starts_with(real_root) {
        return Ok(Target::Refused(SkipReason::LinkOutside));
    }
    let metadata = fs::metadata(&target)?;
    if !metadata.is_dir() {
        return Ok(Target::File(metadata));
    }
    let from = fs::canonicalize(folder)?;
    let mut on_the_way = std::iter::successors(hops, |hop| hop.before.as_ref()).map(|hop| &hop.from);
    if from.starts_with(&target) || on_the_way.any(|from| from.starts_with(&target)) {
        return Ok(Target::Refused(SkipReason::LinkLoop));
    }
    let depth = hops.map_or(0, |hop| hop.depth) + 1;
    if depth > MAX_DEPTH {
        return Ok(Target::Refused(SkipReason::LinkTooDeep));
    }
    Ok(Target::Folder(Hop { from, before: hops.cloned(), depth }))
}
