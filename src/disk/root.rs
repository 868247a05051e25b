//! The guard over a mirror's root.
//!
//! Owns: the answer to "is this still the folder that was mirrored before?". An unmounted share leaves an empty folder
//! behind; to believe it would be to believe that every file was deleted. Never does: looking at the files; whether the
//! root is empty is told by the walk. It may hang on a dead network server: call it off the runtime.

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
    /// What is mounted below it, one for each point; `None` where nobody looked.
    #[serde(default)]
    pub below: Option<Vec<Mount>>,
    /// Which of these points held a file to mirror.
    #[serde(default)]
    pub filled: Vec<PathBuf>,
    /// The folder without symlinks.
    #[serde(default)]
    pub real: PathBuf,
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
    /// There is nothing in it.
    #[error(
        "the root {} is empty, as when a share is not mounted; the mirror waits and deletes nothing. Mount the share, or \
         put the files back", .root.display()
    )]
    Bare {
        /// The configured root.
        root: PathBuf,
    },
    /// Another file system is there than before.
    #[error(
        "the root {} lies on another file system than before (was {before}, is {now}), as when a share is not mounted; the \
         mirror waits and deletes nothing. Mount the share, or run once with --force (beside a daemon: `retry --force`) if the \
         folder has really moved",
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
    /// What was mounted below it is not there.
    #[error(
        "{} below the root {} is not mounted any more (was {before}); the mirror waits and deletes nothing. Mount it \
         again, or run once with --force (beside a daemon: `retry --force`) if it is gone for good", .point.display(), .root.display()
    )]
    Unmounted {
        /// The configured root.
        root: PathBuf,
        /// Where it was mounted.
        point: PathBuf,
        /// What was mounted there.
        before: String,
    },
    /// What is mounted below it held files and holds none now.
    #[error(
        "{} below the root {} holds no file to mirror any more, as when an empty file system is mounted in the place of the \
         right one; the mirror waits and deletes nothing. Mount the right one, or run once with --force (beside a daemon: \
         `retry --force`) if its files are gone for good", .point.display(), .root.display()
    )]
    Emptied {
        /// The configured root.
        root: PathBuf,
        /// Where it is mounted.
        point: PathBuf,
    },
    /// Something is mounted over files that were mirrored.
    #[error(
        "{now} is mounted over mirrored files below the root {}; the mirror waits and deletes nothing. Unmount it, or \
         run once with --force (beside a daemon: `retry --force`) if it is to take their place", .root.display()
    )]
    Covered {
        /// The configured root.
        root: PathBuf,
        /// What is mounted where.
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
            (Some(before), Some(now)) => !before.is_same(now),
            _ => self.dev != now.dev,
        }
    }

    fn described(&self) -> String {
        self.mount.as_ref().map_or_else(|| format!("device {}", self.dev), ToString::to_string)
    }
}

/// What a mirror stands on: its root, what is known of it, and what was mounted below it.
#[derive(Debug, Clone, Default)]
pub struct Ground {
    /// The configured root.
    pub root: PathBuf,
    /// As it was when last mirrored.
    pub known: Option<RootIdentity>,
    /// What was seen mounted below it since.
    pub mounts: Vec<Mount>,
    /// Mount points below it that held a file to mirror, when last mirrored or since.
    pub filled: Vec<PathBuf>,
}

impl Ground {
    /// Looks whether it is as it was. It may hang on a dead network server.
    ///
    /// # Errors
    /// The guard that tripped.
    pub fn check(&self) -> Result<RootIdentity, GuardTripped> {
        let now = check_root(&self.root, self.known.as_ref())?;
        all_mounted(&self.root, now, &self.mounts)
    }

    /// Looks that there is anything at all in the root, and in what is mounted below it and held files: an unmounted share
    /// leaves nothing behind.
    ///
    /// # Errors
    /// [`GuardTripped::Bare`], [`GuardTripped::Emptied`], and [`GuardTripped::Unreadable`] where that cannot be told.
    pub fn holds_something(&self) -> Result<(), GuardTripped> {
        let root = self.root.clone();
        if !holds_an_entry(&root).map_err(|cause| GuardTripped::Unreadable { root: root.clone(), cause })? {
            return Err(GuardTripped::Bare { root });
        }
        let is_emptied = |point: &&PathBuf| holds_an_entry(point).is_ok_and(|any| !any);
        match self.filled.iter().find(is_emptied) {
            Some(point) => Err(GuardTripped::Emptied { root, point: point.clone() }),
            None => Ok(()),
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
            let (before, mut now) = (before.described(), now.described());
            if before == now {
                "another one of that name".clone_into(&mut now);
            }
            Err(GuardTripped::Replaced { root: root.to_owned(), before, now })
        }
        Some(RootIdentity { below: Some(mounts), .. }) => all_mounted(root, now, mounts),
        _ => Ok(now),
    }
}

/// Whether all of these that lie below the root are mounted.
fn all_mounted(root: &Path, now: RootIdentity, before: &[Mount]) -> Result<RootIdentity, GuardTripped> {
    let Some(mounted) = &now.below else { return Ok(now) };
    let is_there = |mount: &Mount| mounted.iter().any(|now| now.is_same(mount));
    let gone = |mount: &&Mount| mount.point.starts_with(&now.real) && !is_there(mount);
    match before.iter().find(gone) {
        // An automounter takes away what nobody uses; a look brings it back.
        Some(mount) if fs::read_dir(&mount.point).is_ok() && is_mounted(mount) => Ok(now),
        Some(mount) => Err(GuardTripped::Unmounted {
            root: root.to_owned(),
            point: mount.point.clone(),
            before: format!("{} {}", mount.fs_type, mount.source),
        }),
        None => Ok(now),
    }
}

fn holds_an_entry(folder: &Path) -> io::Result<bool> {
    Ok(fs::read_dir(folder)?.next().transpose()?.is_some())
}

fn is_mounted(mount: &Mount) -> bool {
    MountTable::read()
        .is_ok_and(|table| table.of(&mount.point).is_some_and(|now| now.clone().identified().is_same(mount)))
}

fn look(root: &Path) -> io::Result<RootIdentity> {
    // Listing comes first: it mounts what an automounter has only promised, and tells what `stat` does not.
    fs::read_dir(root)?.next().transpose()?;
    let real = fs::canonicalize(root)?;
    let metadata = fs::metadata(&real)?;
    let table = MountTable::read().ok();
    let mount = table.as_ref().and_then(|table| table.of(&real).cloned()).map(Mount::identified);
    let below = table.map(|table| table.below(&real).into_iter().map(Mount::identified).collect());
    Ok(RootIdentity { dev: metadata.dev(), inode: metadata.ino(), mount, below, filled: Vec::new(), real })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(dev: u64, inode: u64, mount: Option<(&str, &str, &str)>) -> RootIdentity {
        let mount = mount.map(|(point, fs_type, source)| Mount {
            point: point.into(),
            fs_type: fs_type.into(),
            source: source.into(),
            uuid: None,
        });
        RootIdentity { dev, inode, mount, below: None, filled: Vec::new(), real: PathBuf::new() }
    }

    #[test]
    fn what_was_mounted_below_has_to_be_mounted() {
        let mount = |point: &str, source: &str| Mount {
            point: point.into(),
            fs_type: "nfs4".into(),
            source: source.into(),
            uuid: None,
        };
        let (archive, other) = (mount("/srv/brand/archive", "nas:/a"), mount("/srv/brand/archive", "nas:/b"));
        let now = |below: &[&Mount]| RootIdentity {
            below: Some(below.iter().map(|mount| (*mount).clone()).collect()),
            real: "/srv/brand".into(),
            ..identity(1, 2, None)
        };
        let check = |now, before: &[&Mount]| {
            let before: Vec<Mount> = before.iter().map(|mount| (*mount).clone()).collect();
            all_mounted(Path::new("/srv/brand"), now, &before).is_ok()
        };
        assert!(check(now(&[]), &[]) && check(now(&[&archive]), &[]) && check(now(&[&archive]), &[&archive]));
        assert!(!check(now(&[]), &[&archive]), "it went");
        assert!(!check(now(&[&other]), &[&archive]), "another one is there");
        assert!(check(now(&[]), &[&mount("/srv/brand2/archive", "nas:/a")]), "it lies below another folder");
        assert!(check(identity(1, 2, None), &[&archive]), "the system does not tell");
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
