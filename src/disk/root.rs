//! The guard over a mirror's root.
//!
//! Owns: the answer to "is this still the folder that was mirrored before?". An unmounted share leaves an empty folder
//! behind; to believe it would be to believe that every file was deleted.
//! Never does: looking at the files; whether the root is empty is told by the walk.
//! Called by: the daemon before each scan. It may hang on a dead network server: call it off the runtime.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::{fs, io};

use serde::{Deserialize, Serialize};

use super::mount::{Mount, MountTable};

/// What makes a root the same folder as before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootIdentity {
    /// Number of the file system; changes when a share is mounted again.
    pub dev: u64,
    /// Number of the folder in it.
    pub inode: u64,
    /// What is mounted there; `None` where the system does not tell. Unlike `dev` it survives a reboot.
    pub mount: Option<Mount>,
}

/// The root is not to be believed; nothing may be concluded from what is, or is not, in it.
#[derive(Debug, thiserror::Error)]
pub enum GuardTripped {
    /// Nothing is there.
    #[error(
        "the root {} is missing; the mirror waits and deletes nothing. Mount the share or restore the folder, or correct \
         `root` in the configuration", .root.display()
    )]
    Missing {
        /// The configured root.
        root: PathBuf,
    },
    /// A file is there.
    #[error("the root {} is not a folder; the mirror waits. Correct `root` in the configuration", .root.display())]
    NotAFolder {
        /// The configured root.
        root: PathBuf,
    },
    /// It cannot be listed.
    #[error(
        "the root {} cannot be read ({cause}); the mirror waits and deletes nothing. Check the permissions and the \
         network share", .root.display()
    )]
    Unreadable {
        /// The configured root.
        root: PathBuf,
        /// What the system said.
        #[source]
        cause: io::Error,
    },
    /// Another file system is there than before.
    #[error(
        "the root {} lies on another file system than before (was {before}, is {now}), as when a share is not mounted; the \
         mirror waits and deletes nothing. Mount the share, or run once with --force if the folder has really moved",
        .root.display()
    )]
    Replaced {
        /// The configured root.
        root: PathBuf,
        /// What was mounted when it was last mirrored.
        before: String,
        /// What is mounted now.
        now: String,
    },
}

impl RootIdentity {
    /// Whether another file system took this one's place.
    ///
    /// A new inode on the same file system is no alarm: `git checkout`, rsync and restores make folders anew. A new
    /// device number under the same mount is none either: network shares get one at each mount. What is mounted where
    /// decides; the device number only where that is unknown.
    #[must_use]
    pub fn replaced_by(&self, now: &Self) -> bool {
        match (&self.mount, &now.mount) {
            (Some(before), Some(now)) => before != now,
            _ => self.dev != now.dev,
        }
    }

    fn described(&self) -> String {
        match &self.mount {
            Some(mount) => format!("{} {} on {}", mount.fs_type, mount.source, mount.point.display()),
            None => format!("device {}", self.dev),
        }
    }
}

/// Looks at the root and compares it with what is known of it.
///
/// # Errors
/// The guard that tripped. The identity to remember is returned only when none did.
pub fn check_root(root: &Path, known: Option<&RootIdentity>) -> Result<RootIdentity, GuardTripped> {
    let now = look(root).map_err(|cause| match cause.kind() {
        io::ErrorKind::NotFound => GuardTripped::Missing { root: root.to_owned() },
        io::ErrorKind::NotADirectory => GuardTripped::NotAFolder { root: root.to_owned() },
        _ => GuardTripped::Unreadable { root: root.to_owned(), cause },
    })?;
    match known {
        Some(before) if before.replaced_by(&now) => {
            Err(GuardTripped::Replaced { root: root.to_owned(), before: before.described(), now: now.described() })
        }
        _ => Ok(now),
    }
}

fn look(root: &Path) -> io::Result<RootIdentity> {
    // Listing comes first: it mounts what an automounter has only promised, and tells what `stat` does not.
    fs::read_dir(root)?.next().transpose()?;
    let real = fs::canonicalize(root)?;
    let metadata = fs::metadata(&real)?;
    let mount = MountTable::read().ok().and_then(|table| table.of(&real).cloned());
    Ok(RootIdentity { dev: metadata.dev(), inode: metadata.ino(), mount })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(dev: u64, inode: u64, mount: Option<(&str, &str, &str)>) -> RootIdentity {
        let mount = mount.map(|(point, fs_type, source)| Mount {
            point: point.into(),
            fs_type: fs_type.into(),
            source: source.into(),
        });
        RootIdentity { dev, inode, mount }
    }

    #[test]
    fn only_another_file_system_replaces_a_root() {
        let share = Some(("/mnt/brand", "nfs4", "nas:/brand"));
        let disk = Some(("/", "ext4", "/dev/vda"));
        let cases = [
            ("nothing changed", identity(1, 2, share), identity(1, 2, share), false),
            ("made anew by git or rsync", identity(1, 2, disk), identity(1, 9, disk), false),
            ("the share mounted again", identity(1, 2, share), identity(7, 2, share), false),
            ("the share is not mounted", identity(1, 2, share), identity(3, 9, disk), true),
            (
                "a bind mount is not mounted",
                identity(1, 2, Some(("/srv/brand", "ext4", "/dev/vda"))),
                identity(1, 9, disk),
                true,
            ),
            ("another share", identity(1, 2, share), identity(1, 2, Some(("/mnt/brand", "nfs4", "old:/x"))), true),
            ("no table, same device", identity(1, 2, None), identity(1, 9, None), false),
            ("no table, another device", identity(1, 2, None), identity(3, 2, None), true),
            ("the table came later", identity(1, 2, None), identity(1, 2, disk), false),
        ];
        for (what, before, now, replaced) in cases {
            assert_eq!(before.replaced_by(&now), replaced, "{what}");
        }
    }

    #[test]
    fn each_guard_names_the_root_and_the_way_out() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("brand");
        let tripped = |known: Option<&RootIdentity>| check_root(&root, known).unwrap_err();

        assert!(matches!(tripped(None), GuardTripped::Missing { .. }));
        fs::write(&root, "x").unwrap();
        assert!(matches!(tripped(None), GuardTripped::NotAFolder { .. }));
        fs::remove_file(&root).unwrap();
        fs::create_dir(&root).unwrap();
        let known = check_root(&root, None).unwrap();
        assert_eq!(check_root(&root, Some(&known)).unwrap(), known);

        let elsewhere = identity(known.dev + 1, 1, Some(("/mnt/brand", "nfs4", "nas:/brand")));
        let error = tripped(Some(&elsewhere));
        assert!(matches!(error, GuardTripped::Replaced { .. }));
        let text = error.to_string();
        for part in [root.to_str().unwrap(), "nas:/brand", "--force"] {
            assert!(text.contains(part), "{text}");
        }
    }

    #[test]
    fn an_identity_survives_being_stored() {
        let known = identity(1, 2, Some(("/mnt/brand files", "nfs4", "nas:/brand")));
        let text = serde_json::to_string(&known).unwrap();
        assert_eq!(serde_json::from_str::<RootIdentity>(&text).unwrap(), known);
    }
}
