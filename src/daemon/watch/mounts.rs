//! What is mounted at a root and below it, as far as hearing of changes goes.
//!
//! Owns: which of these file systems keep changes made elsewhere to themselves. Never does: asking a file system
//! itself, which may hang; the mount table does not.

use std::fs;
use std::path::Path;

use super::WatchOptions;
use crate::disk::{Mount, MountTable};
use crate::model::RelPath;

/// What a look at the mount table showed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Mounts {
    /// The file system that does not tell of all changes, in plain words.
    pub silent: Option<String>,
    /// What is mounted below the root, where files are mirrored.
    pub below: Vec<Mount>,
}

impl Mounts {
    /// `None` where the system does not tell.
    pub fn look(options: &WatchOptions) -> Option<Self> {
        let table = options.mounts.clone().or_else(|| MountTable::read().ok())?;
        let real = fs::canonicalize(&options.root).ok()?;
        Some(Self::by(&table, &real, |folder| options.selection.admits_dir(folder)))
    }

    fn by(table: &MountTable, real: &Path, admits: impl Fn(&RelPath) -> bool) -> Self {
        let place = |mount: &Mount| mount.point.strip_prefix(real).ok().and_then(|path| RelPath::new(path).ok());
        let below: Vec<Mount> =
            table.below(real).into_iter().filter(|mount| place(mount).is_some_and(|path| admits(&path))).collect();
        let own = table.of(real).filter(|mount| mount.is_silent());
        let silent = match (own, below.iter().find(|mount| mount.is_silent())) {
            (Some(own), _) => Some(format!("the file system ({})", own.fs_type)),
            (None, Some(mount)) => Some(format!("the file system of {} ({})", mount.point.display(), mount.fs_type)),
            (None, None) => None,
        };
        Self { silent, below }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &[u8] = b"22 1 252:0 / / rw - ext4 /dev/vda rw
31 22 0:41 / /srv/brand/archive rw - nfs4 nas:/archive rw
32 22 0:42 / /srv/web/cache rw - tmpfs none rw
33 22 0:43 / /mnt/share rw - cifs //nas/share rw
";

    #[test]
    fn what_holds_for_the_file_system_of_the_root_holds_for_each_below_it_that_is_mirrored() {
        let table = MountTable::parse(TABLE);
        let look = |root: &str, excluded: &str| Mounts::by(&table, Path::new(root), |path| path.key() != excluded);
        for (root, excluded, silent, below) in [
            ("/srv/brand", "", Some("the file system of /srv/brand/archive (nfs4)"), 1),
            ("/srv/brand", "archive", None, 0),
            ("/srv/brand/archive", "", Some("the file system (nfs4)"), 0),
            ("/srv/web", "", None, 1),
            ("/srv", "", Some("the file system of /srv/brand/archive (nfs4)"), 2),
            ("/mnt/share/logos", "", Some("the file system (cifs)"), 0),
            ("/home", "", None, 0),
        ] {
            let mounts = look(root, excluded);
            assert_eq!((mounts.silent.as_deref(), mounts.below.len()), (silent, below), "{root} without {excluded}");
        }
    }
}
