//! The folder that the sandbox keeps its state in.
//!
//! Owns: that what a developer mirrors is readable by the owner alone: what is made there is, and what an older sandbox
//! left there becomes so. Never does: touching what is not the sandbox's; knowing what is kept.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// The rights of everybody but the owner.
const OTHERS: u32 = 0o077;
/// The journal, and what SQLite keeps beside it.
const STATE: [&str; 4] = ["state.sqlite", "state.sqlite-wal", "state.sqlite-shm", "state.sqlite-journal"];

/// A folder that is ready.
#[derive(Debug)]
pub(super) struct Place {
    /// Where blobs are.
    pub(super) blobs: PathBuf,
    /// The journal.
    pub(super) state: PathBuf,
    /// What to tell people about rights.
    pub(super) told: Vec<String>,
}

/// Makes the folder and what it needs, and takes from others the right to read what a sandbox made there.
///
/// # Errors
/// When the folder cannot be made or read.
pub(super) fn prepare(directory: &Path) -> io::Result<Place> {
    let (blobs, state) = (directory.join("blobs"), directory.join(STATE[0]));
    // A folder may be named by a link to it.
    let told = if directory.exists() { tighten(&directory.canonicalize()?)? } else { Vec::new() };
    DirBuilder::new().recursive(true).mode(0o700).create(&blobs)?;
    Ok(Place { blobs, state, told })
}

fn tighten(directory: &Path) -> io::Result<Vec<String>> {
    let (blobs, mut told) = (directory.join("blobs"), Vec::new());
    let mut ours: Vec<PathBuf> = STATE.iter().map(|name| directory.join(name)).collect();
    // Without a journal, what lies there was made by something else.
    let is_ours = is_a(&ours[0], fs::Metadata::is_file);
    let is_known = |name: &str| is_ours && is_blob(name);
    let mut holds_others = holds(directory, |name| name == "blobs" || STATE.contains(&name))?;
    if is_a(&blobs, fs::Metadata::is_dir) {
        for entry in fs::read_dir(&blobs)? {
            let entry = entry?;
            if entry.file_name().to_str().is_some_and(is_known) {
                ours.push(entry.path());
            }
        }
        match holds(&blobs, is_known)? {
            true => holds_others = true,
            false => ours.push(blobs),
        }
    }
    if !holds_others {
        ours.push(directory.to_owned());
    } else if mode(directory).is_some_and(|mode| mode & OTHERS != 0) {
        // Somebody's own folder, named by mistake or on purpose: others may have to reach what else is in it.
        told.push(format!(
            "{} holds other things than a sandbox's, so its own rights are left as they are; give --data a folder of its own",
            directory.display()
        ));
    }
    let (mut closed, mut refused) = (0_u64, None);
    for path in ours {
        // Where a link leads is not the sandbox's.
        let Some(mode) = mode(&path).filter(|mode| mode & OTHERS != 0) else { continue };
        match fs::set_permissions(&path, Permissions::from_mode(mode & !OTHERS)) {
            Ok(()) => closed += 1,
            Err(error) => drop(refused.get_or_insert((path, error))),
        }
    }
    if closed > 0 {
        told.push(format!(
            "others could read what the sandbox keeps in {}: {closed} files and folders are their owner's alone from here on",
            directory.display()
        ));
    }
    if let Some((path, error)) = refused {
        told.push(format!(
            "others may read what the sandbox keeps in {}, and its rights cannot be changed: {error}; run the sandbox as \
             the folder's owner",
            path.display()
        ));
    }
    Ok(told)
}

/// A blob's name, as the sandbox makes them.
pub(super) fn is_blob(name: &str) -> bool {
    name.len() == 32 && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Whether a folder holds something of another name, or a link.
fn holds(directory: &Path, known: impl Fn(&str) -> bool) -> io::Result<bool> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_symlink() || !entry.file_name().to_str().is_some_and(&known) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn is_a(path: &Path, kind: impl Fn(&fs::Metadata) -> bool) -> bool {
    fs::symlink_metadata(path).is_ok_and(|found| kind(&found))
}

/// The rights of a file or folder; nothing for a link, or where nothing is.
fn mode(path: &Path) -> Option<u32> {
    let found = fs::symlink_metadata(path).ok()?;
    (found.is_file() || found.is_dir()).then(|| found.permissions().mode() & 0o7777)
}

/// Makes a file that only its owner can read, or empties it.
pub(super) fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)
}

/// Makes an empty file that only its owner can read, where there is none: who opens it later makes none that all can.
pub(super) fn touch(path: &Path) -> io::Result<()> {
    OpenOptions::new().append(true).create(true).mode(0o600).open(path).map(drop)
}

/// Writes a file that only its owner can read.
pub(super) fn write(path: &Path, content: &[u8]) -> io::Result<()> {
    create(path)?.write_all(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn modes(directory: &Path, paths: &[&str]) -> Vec<u32> {
        paths.iter().map(|path| mode(&directory.join(path)).unwrap()).collect()
    }

    /// A folder with these files, all readable by everybody.
    fn open_to_all(files: &[&str]) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        for file in files {
            let path = directory.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, "x").unwrap();
            fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
            fs::set_permissions(path.parent().unwrap(), Permissions::from_mode(0o755)).unwrap();
        }
        fs::set_permissions(directory.path(), Permissions::from_mode(0o755)).unwrap();
        directory
    }

    const BLOB: &str = "blobs/0123456789abcdef0123456789abcdef";

    #[test]
    fn what_an_older_sandbox_made_becomes_its_owners_alone_and_it_is_said() {
        let directory = open_to_all(&["state.sqlite", "state.sqlite-wal", BLOB]);
        let place = prepare(directory.path()).unwrap();
        assert_eq!(
            modes(directory.path(), &["", "blobs", "state.sqlite", "state.sqlite-wal", BLOB]),
            [0o700, 0o700, 0o600, 0o600, 0o600]
        );
        assert!(matches!(&place.told[..], [one] if one.contains("5 files and folders")), "{:?}", place.told);
        assert!(prepare(directory.path()).unwrap().told.is_empty(), "said once");
    }

    #[test]
    fn a_folder_that_is_empty_or_new_is_its_owners_alone() {
        let directory = open_to_all(&[]);
        assert_eq!(prepare(directory.path()).unwrap().told.len(), 1);
        let new = directory.path().join("deep/er");
        assert!(prepare(&new).unwrap().told.is_empty());
        assert_eq!(modes(directory.path(), &["", "blobs", "deep", "deep/er", "deep/er/blobs"]), [0o700; 5]);
    }

    #[test]
    fn what_is_not_the_sandboxs_keeps_its_rights() {
        let directory = open_to_all(&["index.html", "state.sqlite", BLOB]);
        let place = prepare(directory.path()).unwrap();
        let paths = ["", "index.html", "state.sqlite", "blobs", BLOB];
        assert_eq!(modes(directory.path(), &paths), [0o755, 0o644, 0o600, 0o700, 0o600]);
        assert!(place.told.iter().any(|told| told.contains("holds other things")), "{:?}", place.told);

        // Pictures of somebody's own, beside a journal; and a cache of another program, beside none.
        let cases: [(&[&str], [u32; 4]); 2] = [
            (&["blobs/photo.png", BLOB, "state.sqlite"], [0o755, 0o755, 0o600, 0o644]),
            (&["blobs/photo.png", BLOB], [0o755, 0o755, 0o644, 0o644]),
        ];
        for (files, expected) in cases {
            let directory = open_to_all(files);
            let place = prepare(directory.path()).unwrap();
            assert_eq!(modes(directory.path(), &["", "blobs", BLOB, "blobs/photo.png"]), expected, "{files:?}");
            assert!(place.told.iter().any(|told| told.contains("holds other things")), "{:?}", place.told);
        }

        // What a link leads to is somewhere else.
        let (directory, elsewhere) = (open_to_all(&[]), open_to_all(&["theirs"]));
        std::os::unix::fs::symlink(elsewhere.path(), directory.path().join("blobs")).unwrap();
        std::os::unix::fs::symlink(elsewhere.path().join("theirs"), directory.path().join("state.sqlite")).unwrap();
        prepare(directory.path()).unwrap();
        assert_eq!(modes(elsewhere.path(), &["", "theirs"]), [0o755, 0o644]);
    }

    #[test]
    fn what_is_written_is_its_owners_alone() {
        let directory = tempfile::tempdir().unwrap();
        write(&directory.path().join("a"), b"x").unwrap();
        touch(&directory.path().join("b")).unwrap();
        touch(&directory.path().join("a")).unwrap();
        assert_eq!(modes(directory.path(), &["a", "b"]), [0o600; 2]);
        assert_eq!(fs::read(directory.path().join("a")).unwrap(), b"x");
    }
}
