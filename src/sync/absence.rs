//! What it means that a file is not there.
//!
//! Owns: telling "gone" from "never seen here", "left out" and "something else lies there", and the measures by which a
//! folder or a media area is not believed: most of what a name's stamps name is not here, most assets of ours are not
//! there. Reads single paths of the disk; never the network, and never the index.

use std::io::ErrorKind;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::disk::{Found, Selection, is_under_another_spelling, walk};
use crate::index::FileRow;
use crate::metadata::remote_list::LIST_NAME;
use crate::model::RelPath;

/// Fewer missing assets than this are what editors do.
const FEW: u64 = 5;
/// Paths named in a message.
const EXAMPLES: usize = 3;

/// Why a file of the index is not among those on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Absence {
    /// It was here, and nothing is there any more.
    Gone,
    /// Nothing is there, and the folder is the truth; but only stamps say that there ever was a file, and anyone can write
    /// one: it counts for an asset that the mirror is proved to have made.
    Hearsay,
    /// This index never saw it here: it is somebody else's to say that it is gone.
    Elsewhere,
    /// The selection leaves it out.
    LeftOut,
    /// Something is there that is no file to mirror, or cannot be looked at.
    Occupied,
}

impl Absence {
    /// For a row that is not on disk. `place`: the root and what is selected in it; without it only the index counts.
    /// `authoritative`: what is not in the folder is gone, whoever saw it.
    #[must_use]
    pub fn of(row: &FileRow, authoritative: bool, place: Option<(&Path, &Selection)>) -> Self {
        if !row.seen && !authoritative {
            return Self::Elsewhere;
        }
        match place {
            // What was fetched lies in no folder.
            Some(_) if row.cached => Self::Gone,
            Some((_, selection)) if !selection.admits_file(&row.path) => Self::LeftOut,
            Some((root, _)) if !is_vacant(root, &row.path) => Self::Occupied,
            _ if !row.seen => Self::Hearsay,
            _ => Self::Gone,
        }
    }

    /// Whether the file is gone for an asset that this mirror is proved to have made, or not.
    #[must_use]
    pub const fn is_gone(self, made: bool) -> bool {
        match self {
            Self::Gone => true,
            Self::Hearsay => made,
            Self::Elsewhere | Self::LeftOut | Self::Occupied => false,
        }
    }

    /// In plain words.
    #[must_use]
    pub const fn why(self) -> &'static str {
        match self {
            Self::Gone => "the file is gone",
            Self::Hearsay => "only a stamp tells of the file, and nothing proves that the mirror made its asset",
            Self::Elsewhere => "the file was never seen in this folder: it may be elsewhere",
            Self::LeftOut => "the configuration leaves the file out: it is not gone",
            Self::Occupied => "something else lies in the file's place, or it cannot be looked at: it is not gone",
        }
    }
}

/// Whether nothing at all is at the path, as far as the system tells; what is there under another spelling only, is another
/// path.
#[must_use]
pub fn is_vacant(root: &Path, path: &RelPath) -> bool {
    match std::fs::symlink_metadata(path.below(root)) {
        Ok(_) => is_under_another_spelling(root, path),
        Err(error) => matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory),
    }
}

/// Whether there is any file to mirror below the root, or a list of such. Reads folders: call it off the runtime.
#[must_use]
pub fn holds_a_file(root: &Path, selection: &Selection) -> bool {
    holds_a_file_below(root, None, selection)
}

/// As [`holds_a_file`], for a folder below the root.
#[must_use]
pub fn holds_a_file_below(root: &Path, folder: Option<&RelPath>, selection: &Selection) -> bool {
    let found = AtomicBool::new(false);
    let walked = walk(root, folder, selection, 1, &|batch| {
        // A list of files to fetch stands for files.
        let counts = |found: &Found| match found {
            Found::File { .. } => true,
            Found::Sidecar { path, .. } => path.file_name() == LIST_NAME,
            Found::Skipped { .. } | Found::Unreadable { .. } => false,
        };
        if batch.iter().any(counts) {
            found.store(true, Ordering::Relaxed);
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    });
    walked.is_ok() && found.into_inner()
}

/// How the paths that a mirror's stamps name compare with the folder.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Contact {
    /// Paths that stamps name.
    pub named: u64,
    /// Of these, those whose path and content are both not here.
    pub missing: u64,
    /// Some of these, in path order.
    pub examples: Vec<String>,
}

impl Contact {
    /// Whether it is another folder's name: more than half of what its stamps name is not here, neither by path nor by
    /// content.
    #[must_use]
    pub const fn is_strange(&self) -> bool {
        self.missing * 2 > self.named
    }

    /// Whether somebody mirrors another folder under the name, for what others put there since the first contact. A second
    /// machine with the same folder is ahead of this one by a few files; `first`: this folder is being mirrored for the
    /// first time, so there is nothing yet that tells it from another.
    #[must_use]
    pub const fn is_contested(&self, first: bool) -> bool {
        self.is_strange() && (first || self.missing >= FEW)
    }

    /// For people.
    #[must_use]
    pub fn told(&self, name: &str, root: &str) -> String {
        format!(
            "the name \"{name}\" seems to belong to another folder: of {} files that the media area has under it, {} are \
             not in {root}{}; nothing was changed. {WHAT_TO_DO}",
            self.named,
            self.missing,
            self.some()
        )
    }

    /// For people: what others put there was met in the middle of the work.
    #[must_use]
    pub fn told_contested(&self, name: &str, root: &str) -> String {
        format!(
            "the name \"{name}\" seems to belong to another folder as well: of {} files that others put into the media area \
             under it, {} are not in {root}{}; none of these was changed. {WHAT_TO_DO}",
            self.named,
            self.missing,
            self.some()
        )
    }

    fn some(&self) -> String {
        let shown: Vec<&str> =
            self.examples.iter().filter(|path| !path.starts_with('#')).take(EXAMPLES).map(String::as_str).collect();
        if shown.is_empty() { String::new() } else { format!(" ({}, …)", shown.join(", ")) }
    }
}

/// The way out for whoever meets another folder under a name.
const WHAT_TO_DO: &str = "If this is another folder, give it a name of its own with --name, DATO_MIRROR_NAME or `name` in \
    the configuration; if it is the same one, run once with --take-over (beside a daemon: `retry --take-over`)";

/// How many of the assets that files on disk have are not in the media area any more.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Missing {
    /// Files on disk that have an asset.
    pub placed: u64,
    /// Of these, those whose asset is missing and was not told as missing before.
    pub missing: u64,
    /// Assets in the media area, of anyone.
    pub assets: u64,
}

impl Missing {
    /// Whether no editor did that: a project was reset, or the list is not the whole one.
    #[must_use]
    pub const fn is_strange(&self) -> bool {
        let most = self.missing * 2 > self.placed;
        let emptied = self.assets == 0 && self.missing > 1;
        most && (self.missing >= FEW || emptied)
    }

    /// For people.
    #[must_use]
    pub fn told(&self) -> String {
        format!(
            "{} of {} assets of this mirror are not in the media area any more, as after a reset of the project; nothing \
             was changed. To mirror all of them anew, run once with --recreate; if editors deleted them, run once with \
             --force to have each one told (beside a daemon: `retry --recreate`, `retry --force`)",
            self.missing, self.placed
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(seen: bool, cached: bool) -> FileRow {
        FileRow {
            id: 1,
            path: RelPath::from_key("d/a.png").unwrap(),
            present: false,
            print: None,
            md5: None,
            embedded: None,
            asset: None,
            base_md5: None,
            failures: 0,
            cached,
            news: 1,
            seen,
        }
    }

    #[test]
    fn only_a_file_that_was_seen_and_has_left_nothing_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let selection = |exclude: &str| Selection::new(&[], &[exclude.to_owned()]).unwrap();
        let (all, out) = (selection("*.txt"), selection("d/**"));
        let of =
            |row: &FileRow, authoritative, selection| Absence::of(row, authoritative, Some((dir.path(), selection)));
        assert_eq!(of(&row(true, false), false, &all), Absence::Gone);
        assert_eq!(of(&row(false, false), false, &all), Absence::Elsewhere);
        assert_eq!(of(&row(false, false), true, &all), Absence::Hearsay);
        assert!(Absence::Hearsay.is_gone(true) && !Absence::Hearsay.is_gone(false) && Absence::Gone.is_gone(false));
        assert_eq!(of(&row(true, false), true, &out), Absence::LeftOut);
        assert_eq!(of(&row(true, true), false, &out), Absence::Gone);
        std::fs::create_dir_all(dir.path().join("d/a.png")).unwrap();
        assert_eq!(of(&row(true, false), true, &all), Absence::Occupied);
        std::fs::remove_dir_all(dir.path().join("d")).unwrap();
        std::fs::write(dir.path().join("d"), "a file where the folder was").unwrap();
        assert_eq!(of(&row(true, false), false, &all), Absence::Gone);
    }

    #[test]
    fn a_name_is_strange_when_most_of_it_is_not_here() {
        for (named, missing, strange) in
            [(0, 0, false), (1, 0, false), (1, 1, true), (60, 20, false), (60, 30, false), (60, 31, true)]
        {
            let contact = Contact { named, missing, examples: Vec::new() };
            assert_eq!(contact.is_strange(), strange, "{missing} of {named}");
        }
        let contact = Contact { named: 9, missing: 5, examples: ["a", "#0", "b", "c", "d"].map(String::from).to_vec() };
        let told = contact.told("brand", "/srv/brand");
        assert!(told.contains("(a, b, c, …)") && !told.contains("#0"), "{told}");
    }

    #[test]
    fn a_name_is_contested_by_one_file_in_the_first_pass_and_by_several_later() {
        for (named, missing, first, contested) in [
            (1, 1, true, true),
            (1, 1, false, false),
            (4, 4, false, false),
            (5, 5, false, true),
            (9, 5, false, true),
            (10, 5, false, false),
            (2, 1, true, false),
            (0, 0, true, false),
        ] {
            let contact = Contact { named, missing, examples: Vec::new() };
            assert_eq!(contact.is_contested(first), contested, "{missing} of {named}, {first}");
        }
        let told = Contact { named: 2, missing: 2, examples: vec!["a".into()] }.told_contested("brand", "/srv/brand");
        for part in ["brand", "(a, …)", "--name", "DATO_MIRROR_NAME", "--take-over"] {
            assert!(told.contains(part), "{told}");
        }
    }

    #[test]
    fn most_assets_missing_is_strange_and_a_few_are_not() {
        for (placed, missing, assets, strange) in [
            (10, 0, 10, false),
            (10, 4, 6, false),
            (10, 5, 5, false),
            (10, 6, 4, true),
            (6, 4, 2, false),
            (4, 4, 0, true),
            (2, 2, 0, true),
            (2, 2, 100, false),
            (1, 1, 0, false),
            (100, 60, 9_000, true),
        ] {
            assert_eq!(Missing { placed, missing, assets }.is_strange(), strange, "{missing} of {placed}, {assets}");
        }
    }
}
