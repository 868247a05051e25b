//! The files that `init` writes.
//!
//! Owns: that a file is written whole or not at all, that nothing which is there is replaced unless that was asked for,
//! and that a token is readable by its owner alone from its first byte on. Never does: deciding what is written.

use std::fs::{DirBuilder, OpenOptions, remove_file, rename};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// Who may read a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readers {
    /// Whoever the process's umask lets.
    Usual,
    /// Its owner.
    Owner,
}

impl Readers {
    fn modes(self) -> (u32, u32) {
        match self {
            Self::Usual => (0o666, 0o777),
            Self::Owner => (0o600, 0o700),
        }
    }
}

/// Writes a file, and the folders on the way to it.
///
/// # Errors
/// What the system says. Without `replace`, also that something has this name already.
pub fn write(path: &Path, text: &str, readers: Readers, replace: bool) -> io::Result<()> {
    let (file_mode, folder_mode) = readers.modes();
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        DirBuilder::new().recursive(true).mode(folder_mode).create(folder)?;
    }
    // The file that a link leads to is replaced, and not the link.
    let target = path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
    let first = if replace { beside(&target) } else { target.clone() };
    let mut file = OpenOptions::new().write(true).create_new(true).mode(file_mode).open(&first)?;
    let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
    let ended = written.and_then(|()| if replace { rename(&first, &target) } else { Ok(()) });
    if ended.is_err() {
        // What is half written must not stay; whether it can be removed changes nothing about the failure.
        let _ = remove_file(&first);
    }
    ended
}

fn beside(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.{}.new", std::process::id()))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_file_is_replaced_only_when_asked_for_and_a_token_is_its_owners() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("deep/er/token");
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        write(&path, "abc\n", Readers::Owner, false).unwrap();
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
        let refused = write(&path, "def\n", Readers::Owner, false).unwrap_err();
        assert_eq!(
            (refused.kind(), fs::read_to_string(&path).unwrap()),
            (io::ErrorKind::AlreadyExists, "abc\n".into())
        );
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        write(&link, "def\n", Readers::Owner, true).unwrap();
        assert_eq!((mode(&path), fs::read_to_string(&path).unwrap()), (0o600, "def\n".into()));
        assert!(link.is_symlink());
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "nothing half written is left");
    }
}
