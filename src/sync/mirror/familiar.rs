//! The same files under another device name: a disk that was plugged in again, a file system that was moved to a larger one; or
//! on another file system of the same name, where it has none of its own.
//!
//! Owns: when a file system in the place of another is believed for the files that it holds. Deletes and reads nothing:
//! a look at names, sizes and times is all.

use super::MirrorRun;
use super::ground::folder_of;
use crate::disk::{AtPath, Fingerprint, Found, GuardTripped, Mount, RootIdentity, check_root, glance};
use crate::error::RunError;
use crate::index::{FileRow, Index, files};

/// A mount that took another's place.
#[derive(Debug, PartialEq, Eq)]
struct Swap<'a> {
    before: &'a Mount,
    now: &'a Mount,
}

impl MirrorRun {
    /// What is to be remembered of the root when the guard tripped over a file system that holds the same files as the one that
    /// was there before; nothing when it does not.
    ///
    /// # Errors
    /// The index's.
    pub(super) async fn familiar(
        &self,
        index: &Index,
        known: &RootIdentity,
        guard: &GuardTripped,
    ) -> Result<Option<RootIdentity>, RunError> {
        if !matches!(guard, GuardTripped::Replaced { .. } | GuardTripped::Unmounted { .. }) {
            return Ok(None);
        }
        let root = self.config.root.clone();
        let looked = tokio::task::spawn_blocking(move || check_root(&root, None)).await;
        let Ok(now) = looked.map_err(|_| RunError::Stopped)? else { return Ok(None) };
        let Some(Swap { before, now: mount }) = swap(known, &now) else { return Ok(None) };
        let folder = folder_of(&now.real, mount).map(|folder| folder.key().to_owned()).unwrap_or_default();
        let row = self.row;
        let rows = index.call(move |conn| files::below(conn, row, &folder)).await?;
        let (root, selection) = (self.config.root.clone(), self.selection.clone());
        let look = move |row: &FileRow| match glance(&root, &row.path, &selection) {
            Ok(AtPath::Found(Found::File { print, .. })) => Some(print),
            _ => None,
        };
        // Another disk is another disk, and its files are all there or it is an old copy. What has no name is made anew and filled
        // again as a matter of course, by whoever has its files elsewhere.
        let holds = if mount.is_nameless() { holds_half } else { holds_all };
        let same = tokio::task::spawn_blocking(move || holds(&rows, &look)).await;
        if !same.map_err(|_| RunError::Stopped)? {
            return Ok(None);
        }
        tracing::info!(
            mirror = self.config.name,
            "{mount} took the place of {before} and holds the same files: it is taken for the same"
        );
        Ok(Some(with(known, &now, before, mount)))
    }
}

/// The first mount that another one took the place of.
fn swap<'a>(known: &'a RootIdentity, now: &'a RootIdentity) -> Option<Swap<'a>> {
    let mounted = |identity: &'a RootIdentity| identity.mount.iter().chain(identity.below.iter().flatten());
    mounted(known)
        .filter_map(|before| Some(Swap { before, now: mounted(now).find(|now| now.point == before.point)? }))
        .find(|Swap { before, now }| !now.is_same(before))
}

/// What was known, with a mount in the place of another.
fn with(known: &RootIdentity, now: &RootIdentity, before: &Mount, mount: &Mount) -> RootIdentity {
    let put = |one: &Mount| if one == before { mount.clone() } else { one.clone() };
    let is_root = known.mount.as_ref() == Some(before);
    RootIdentity {
        dev: if is_root { now.dev } else { known.dev },
        inode: if is_root { now.inode } else { known.inode },
        mount: known.mount.as_ref().map(put),
        below: known.below.as_ref().map(|below| below.iter().map(put).collect()),
        ..known.clone()
    }
}

/// A look at a known file, as it is.
type Look<'a> = &'a dyn Fn(&FileRow) -> Option<Fingerprint>;

/// Whether every file that was there is there, and none in an older state: an old copy of the folder, or another disk, would
/// have its earlier contents mirrored and the rest taken for deleted.
fn holds_all(rows: &[FileRow], look: Look<'_>) -> bool {
    let mut told = told(rows, look).peekable();
    told.peek().is_some() && told.all(|is_there| is_there)
}

/// Whether at least half of the files that were there are there, and not in an older state; so it is where none was.
fn holds_half(rows: &[FileRow], look: Look<'_>) -> bool {
    let (there, all) = told(rows, look).fold((0, 0), |(there, all), is_there| (there + usize::from(is_there), all + 1));
    2 * there >= all
}

/// Of each file that was read there, whether it is there and not in an older state.
fn told<'a>(rows: &'a [FileRow], look: Look<'a>) -> impl Iterator<Item = bool> + 'a {
    let read = rows.iter().filter(|row| !row.cached).filter_map(|row| Some((row, row.print?)));
    read.map(move |(row, before)| {
        look(row).is_some_and(|now| {
            now.mtime_ns > before.mtime_ns || now.mtime_ns == before.mtime_ns && now.size == before.size
        })
    })
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::model::RelPath;

    fn mount(point: &str, source: &str) -> Mount {
        Mount { point: point.into(), fs_type: "exfat".into(), source: source.into(), uuid: None }
    }

    fn identity(mounts: &[Mount]) -> RootIdentity {
        let mut mounts = mounts.to_vec();
        RootIdentity {
            dev: 1,
            inode: 2,
            mount: Some(mounts.remove(0)),
            below: Some(mounts),
            filled: vec![PathBuf::from("/mnt/brand/archive")],
            real: "/mnt/brand".into(),
        }
    }

    #[test]
    fn only_what_is_mounted_in_the_very_place_takes_another_ones_place() {
        let (root, below) = (mount("/mnt/brand", "/dev/sdb1"), mount("/mnt/brand/archive", "/dev/sdd1"));
        let known = identity(&[root.clone(), below.clone()]);
        let (other_root, other_below) = (mount("/mnt/brand", "/dev/sdc1"), mount("/mnt/brand/archive", "/dev/sde1"));
        let swapped = |now: &[Mount]| swap(&known, &identity(now)).map(|swap| swap.now.source.clone());
        assert_eq!(swapped(&[root.clone(), below.clone()]), None);
        assert_eq!(swapped(&[other_root.clone(), below.clone()]).as_deref(), Some("/dev/sdc1"));
        assert_eq!(swapped(&[root.clone(), other_below.clone()]).as_deref(), Some("/dev/sde1"));
        // An unmounted share shows what lies above it.
        assert_eq!(swapped(&[mount("/", "/dev/vda"), below.clone()]), None);
        assert_eq!(swapped(std::slice::from_ref(&root)), None);

        let now = RootIdentity { dev: 7, inode: 9, ..identity(&[other_root.clone(), below.clone()]) };
        let kept = with(&known, &now, &root, &other_root);
        assert_eq!((kept.dev, kept.mount.as_ref()), (7, Some(&other_root)));
        assert_eq!((kept.below.as_ref(), &kept.filled), (Some(&vec![below.clone()]), &known.filled));
        let now = identity(&[root.clone(), other_below.clone()]);
        let kept = with(&known, &now, &below, &other_below);
        assert_eq!((kept.dev, kept.mount, kept.below), (1, Some(root), Some(vec![other_below])));
    }

    #[test]
    fn every_file_has_to_be_there_and_none_older() {
        let print = |size, mtime_ns| Fingerprint { size, mtime_ns, ctime_ns: 5, inode: 6, dev: 7 };
        let row = |path: &str| FileRow {
            id: 1,
            path: RelPath::from_key(path).unwrap(),
            present: true,
            print: Some(print(3, 100)),
            md5: None,
            embedded: None,
            asset: None,
            base_md5: None,
            failures: 0,
            cached: false,
            seen: true,
            news: 0,
        };
        let rows = [row("a.png"), row("b.png")];
        let with = |b: Option<Fingerprint>| {
            holds_all(&rows, &|row| if row.path.key() == "b.png" { b } else { Some(print(3, 100)) })
        };
        let copied = Fingerprint { ctime_ns: 900, inode: 60, dev: 70, ..print(3, 100) };
        for (what, b, same) in [
            ("as it was", Some(print(3, 100)), true),
            ("another inode and device", Some(copied), true),
            ("saved elsewhere meanwhile", Some(print(4, 200)), true),
            ("an older copy", Some(print(3, 99)), false),
            ("another file", Some(print(4, 100)), false),
            ("gone", None, false),
        ] {
            assert_eq!(with(b), same, "{what}");
        }
        let fetched = FileRow { cached: true, ..row("c.png") };
        assert!(!holds_all(&[], &|_| None) && !holds_all(&[fetched], &|_| None), "nothing tells nothing");

        // Where a file system has no name of its own.
        let rows: Vec<FileRow> = (0..5).map(|number| row(&format!("{number}.png"))).collect();
        for (there, same) in [(0, false), (1, false), (2, false), (3, true), (5, true)] {
            let first = |row: &FileRow| (row.path.key() < format!("{there}").as_str()).then(|| print(3, 100));
            assert_eq!(holds_half(&rows, &first), same, "{there} of 5");
        }
        assert!(!holds_half(&rows, &|_| Some(print(3, 99))), "older ones");
        assert!(holds_half(&[], &|_| None), "nothing is missed");
    }
}
