//! Names on disks that take upper and lower case for the same: exFAT, FAT, NTFS, many shares.
//!
//! Owns: telling whether a folder spells a name as it was asked for, and how else. There `Logo.png` answers after it was renamed to
//! `logo.png`, and would be taken for a second file.

use std::ffi::{OsStr, OsString};
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

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

/// The path as the folders on its way spell it, for one that a person wrote: in another case, where the disk takes both for the
/// same, or with its accents in the other Unicode spelling. What is not there at all stays as it was written.
#[must_use]
pub fn as_spelt(root: &Path, path: &RelPath) -> RelPath {
    let mut spelt = PathBuf::new();
    for name in path.below(Path::new("")).iter() {
        let folder = root.join(&spelt);
        let other = match fs::symlink_metadata(folder.join(name)) {
            Ok(found) if is_spelt_otherwise(&folder, name, &found) => name_like(&folder, name, str::to_lowercase),
            Ok(_) => None,
            Err(_) => name_like(&folder, name, str::to_owned),
        };
        spelt.push(other.as_deref().unwrap_or(name));
    }
    RelPath::new(&spelt).unwrap_or_else(|_| path.clone())
}

/// The name in the folder that reads like this one.
fn name_like(folder: &Path, name: &OsStr, case: impl Fn(&str) -> String) -> Option<OsString> {
    let read = |name: &OsStr| Some(case(RelPath::new(Path::new(name)).ok()?.key()));
    let wanted = read(name)?;
    let names = fs::read_dir(folder).ok()?.flatten().map(|entry| entry.file_name());
    names.filter(|name| read(name).as_ref() == Some(&wanted)).min()
}

/// Whether another entry of the folder has the same name in the usual Unicode spelling, so that this one is the second.
pub(super) fn is_second_of_its_name(folder: &Path, path: &RelPath, name: &OsStr) -> bool {
    let first = OsStr::new(path.file_name());
    // Where names are one whatever their spelling, only one of them is listed.
    first != name
        && fs::symlink_metadata(folder.join(first)).is_ok()
        && fs::read_dir(folder).is_ok_and(|entries| {
            let listed = entries.flatten().map(|entry| entry.file_name());
            listed.filter(|listed| listed == first || listed == name).count() == 2
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
    fn a_path_is_spelt_as_its_folders_spell_it() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        fs::create_dir(root.join("Fotos e\u{301}")).unwrap();
        for name in ["Fotos e\u{301}/u\u{308}.txt", "plain.txt", "\u{e9}.txt", "e\u{301}.txt"] {
            fs::write(root.join(name), "x").unwrap();
        }
        let spelt = |path: &str| as_spelt(root, &RelPath::from_key(path).unwrap()).below(Path::new(""));
        for (written, on_disk) in [
            ("Fotos \u{e9}/\u{fc}.txt", "Fotos e\u{301}/u\u{308}.txt"),
            ("Fotos \u{e9}", "Fotos e\u{301}"),
            ("Fotos \u{e9}/new.txt", "Fotos e\u{301}/new.txt"),
            ("\u{e9}.txt", "\u{e9}.txt"),
            ("e\u{301}.txt", "e\u{301}.txt"),
            ("plain.txt", "plain.txt"),
            // Where case matters this is another name.
            ("PLAIN.txt", "PLAIN.txt"),
            ("no/such/\u{e9}.txt", "no/such/\u{e9}.txt"),
        ] {
            assert_eq!(spelt(written), PathBuf::from(on_disk), "{written}");
        }
        // As where case does not matter: found, and listed in another case only.
        fs::write(root.join("Logo.png"), "one").unwrap();
        fs::hard_link(root.join("Logo.png"), root.join("LOGO.PNG")).unwrap();
        assert_eq!(name_like(root, OsStr::new("logo.PNG"), str::to_lowercase), Some("LOGO.PNG".into()));

        let second = |name: &str| is_second_of_its_name(root, &RelPath::from_key(name).unwrap(), OsStr::new(name));
        assert!(second("e\u{301}.txt") && !second("\u{e9}.txt") && !second("Fotos e\u{301}") && !second("plain.txt"));
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
