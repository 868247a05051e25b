//! Names on disks that take upper and lower case for the same: exFAT, FAT, NTFS, many shares.
//!
//! Owns: telling whether a folder spells a name as it was asked for. There `Logo.png` answers after it was renamed to
//! `logo.png`, and would be taken for a second file.

use std::ffi::{OsStr, OsString};
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use crate::model::RelPath;

/// Whether the disk answers to a path below the root only because it takes this spelling and another for the same.
#[must_use]
pub fn is_under_another_spelling(root: &Path, path: &RelPath) -> bool {
    let mut folder = root.to_owned();
    path.below(Path::new("")).iter().any(|name| {
        let is_another = fs::symlink_metadata(folder.join(name)).is_ok_and(|it| is_spelt_otherwise(&folder, name, &it));
        folder.push(name);
        is_another
    })
}

/// Whether the disk answers to a path below the root in another case as well.
#[must_use]
pub fn answers_in_another_case(root: &Path, path: &RelPath) -> bool {
    let mut folder = root.to_owned();
    path.below(Path::new("")).iter().any(|name| {
        let answers =
            fs::symlink_metadata(folder.join(name)).is_ok_and(|it| is_same_in_another_case(&folder, name, &it));
        folder.push(name);
        answers
    })
}

/// Whether `name`, whose metadata was found, is in `folder` under another spelling only.
pub(super) fn is_spelt_otherwise(folder: &Path, name: &OsStr, found: &Metadata) -> bool {
    // Where case matters the other spelling is nothing, or another file: that costs one look, and no listing.
    is_same_in_another_case(folder, name, found)
        && fs::read_dir(folder).is_ok_and(|entries| !may_hold(entries.map(|entry| Ok(entry?.file_name())), name))
}

fn is_same_in_another_case(folder: &Path, name: &OsStr, found: &Metadata) -> bool {
    let Some(other) = in_other_case(name) else { return false };
    // Not the inode: some of these file systems make up a number for each name.
    let told = |file: &Metadata| (file.dev(), file.is_dir(), file.len(), file.mtime(), file.mtime_nsec());
    fs::symlink_metadata(folder.join(other)).is_ok_and(|other| told(&other) == told(found))
}

/// Whether the name is in a listing, or may be: one that fails on the way tells of no absence.
fn may_hold(mut names: impl Iterator<Item = io::Result<OsString>>, name: &OsStr) -> bool {
    names.any(|found| found.map_or(true, |found| found == name))
}

/// The name with its letters in the other case; `None` without letters.
fn in_other_case(name: &OsStr) -> Option<OsString> {
    let bytes = name.as_bytes();
    let other = match name.to_str() {
        Some(text) if text.chars().any(char::is_lowercase) => text.to_uppercase().into_bytes(),
        Some(text) => text.to_lowercase().into_bytes(),
        None => bytes.to_ascii_uppercase(),
    };
    (other != bytes).then(|| OsString::from_vec(other))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_change_case_and_names_without_letters_have_one_spelling() {
        let other = |name: &str| in_other_case(OsStr::new(name)).map(|name| name.into_string().unwrap());
        for (name, expected) in [
            ("Logo.png", Some("LOGO.PNG")),
            ("LOGO.PNG", Some("logo.png")),
            ("é.1", Some("É.1")),
            ("2026-11", None),
            ("", None),
        ] {
            assert_eq!(other(name).as_deref(), expected, "{name}");
        }
    }

    #[test]
    fn a_listing_that_fails_on_the_way_tells_of_no_absence() {
        let holds = |names: Vec<io::Result<&str>>| {
            may_hold(names.into_iter().map(|name| name.map(OsString::from)), OsStr::new("logo.png"))
        };
        assert!(holds(vec![Ok("a"), Ok("logo.png")]) && !holds(vec![Ok("a"), Ok("Logo.png")]));
        assert!(holds(vec![Ok("a"), Err(io::Error::other("a disk that fails")), Ok("b")]));
    }

    #[test]
    fn where_case_matters_every_name_is_spelt_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("logo.png"), "one").unwrap();
        let asks =
            |name: &str| is_spelt_otherwise(folder.path(), OsStr::new(name), &fs::metadata(at("logo.png")).unwrap());
        assert!(!asks("logo.png"));
        fs::write(at("LOGO.PNG"), "another file").unwrap();
        assert!(!asks("logo.png"));
        // Two names of one file are both there.
        fs::remove_file(at("LOGO.PNG")).unwrap();
        fs::hard_link(at("logo.png"), at("LOGO.PNG")).unwrap();
        assert!(!asks("logo.png") && !asks("LOGO.PNG"));
        // As where case does not matter: found, and in no list.
        fs::rename(at("logo.png"), at("Logo.png")).unwrap();
        let found = fs::metadata(at("Logo.png")).unwrap();
        assert!(is_spelt_otherwise(folder.path(), OsStr::new("logo.png"), &found));
    }
}
