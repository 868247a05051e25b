//! Where a file lives inside its mirror's root.
//!
//! Owns: the rule that a path is relative, never climbs, and has one key however its name is encoded.
//! Never does: touching the disk.

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path, PathBuf};

use unicode_normalization::{UnicodeNormalization as _, is_nfc};

/// A file's path below its mirror's root.
///
/// `key` is what a person would call the file: `/`-separated, NFC, with every byte that is no UTF-8 written as
/// `\xNN`. Two names with one key are one file to a person; the scan reports the second. The exact bytes are kept
/// for opening the file.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RelPath {
    key: String,
    /// The name on disk, when it differs from `key`.
    raw: Option<PathBuf>,
}

/// Why a path cannot name a file of a mirror.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// Absolute, or with a `..` in it.
    #[error("the path leads out of the mirror's root")]
    Outside,
    /// No component at all.
    #[error("the path is empty")]
    Empty,
}

impl RelPath {
    /// The path as found on disk, relative to the root. `.` components are dropped.
    ///
    /// # Errors
    /// When it is empty, absolute or climbs with `..`.
    pub fn new(path: &Path) -> Result<Self, PathError> {
        let mut key = String::new();
        let mut raw = PathBuf::new();
        for component in path.components() {
            match component {
                Component::Normal(name) => {
                    if !key.is_empty() {
                        key.push('/');
                    }
                    push_key(&mut key, name);
                    raw.push(name);
                }
                Component::CurDir => {}
                Component::ParentDir | Component::RootDir | Component::Prefix(_) => return Err(PathError::Outside),
            }
        }
        if key.is_empty() {
            return Err(PathError::Empty);
        }
        let raw = (raw.as_os_str().as_bytes() != key.as_bytes()).then_some(raw);
        Ok(Self { key, raw })
    }

    /// The path whose name on disk is its key.
    ///
    /// # Errors
    /// As [`RelPath::new`].
    pub fn from_key(key: &str) -> Result<Self, PathError> {
        Self::new(Path::new(key))
    }

    /// Rebuilt from the index: the key and, where it differs, the name on disk.
    #[must_use]
    pub fn from_parts(key: String, raw: Option<Vec<u8>>) -> Self {
        Self { key, raw: raw.map(|bytes| PathBuf::from(OsStr::from_bytes(&bytes))) }
    }

    /// What a person would call the file; unique in a mirror, the form kept in index, stamp and report.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The bytes on disk, when they differ from the key.
    #[must_use]
    pub fn raw_bytes(&self) -> Option<&[u8]> {
        self.raw.as_deref().map(|path| path.as_os_str().as_bytes())
    }

    /// The same file, with the letters of its name that have another Unicode spelling written as their numbers in the key:
    /// what tells it from another file whose name reads the same.
    #[must_use]
    pub fn spelt_out(&self) -> Self {
        let name = self.raw.as_deref().and_then(Path::file_name).and_then(OsStr::to_str);
        let Some(name) = name else { return self.clone() };
        let name: String = name
            .chars()
            .flat_map(|letter| if letter.is_ascii() { vec![letter] } else { letter.escape_unicode().collect() })
            .collect();
        let key = match self.key.rsplit_once('/') {
            Some((folder, _)) => format!("{folder}/{name}"),
            None => name,
        };
        Self { key, raw: self.raw.clone() }
    }

    /// The path to open, below `root`.
    #[must_use]
    pub fn below(&self, root: &Path) -> PathBuf {
        root.join(self.raw.as_deref().unwrap_or_else(|| Path::new(&self.key)))
    }

    /// The last component of the key.
    #[must_use]
    pub fn file_name(&self) -> &str {
        self.key.rsplit('/').next().unwrap_or(&self.key)
    }

    /// The name without its last extension; a leading dot starts no extension.
    #[must_use]
    pub fn stem(&self) -> &str {
        self.split_name().0
    }

    /// The last extension without its dot, as written; empty when there is none.
    #[must_use]
    pub fn extension(&self) -> &str {
        self.split_name().1
    }

    /// The folders on the way, outermost first.
    pub fn folders(&self) -> impl Iterator<Item = &str> {
        let folder = self.folder();
        folder.split('/').filter(|name| !name.is_empty())
    }

    /// The folder's key; empty for a file in the root.
    #[must_use]
    pub fn folder(&self) -> &str {
        self.key.rsplit_once('/').map_or("", |(folder, _)| folder)
    }

    fn split_name(&self) -> (&str, &str) {
        let name = self.file_name();
        match name.rsplit_once('.') {
            Some((stem, extension)) if !stem.is_empty() => (stem, extension),
            _ => (name, ""),
        }
    }
}

/// Appends a name's key: NFC where it is text, `\xNN` for what is not.
fn push_key(key: &mut String, name: &OsStr) {
    for chunk in name.as_bytes().utf8_chunks() {
        let text = chunk.valid();
        if is_nfc(text) {
            key.push_str(text);
        } else {
            key.extend(text.nfc());
        }
        for byte in chunk.invalid() {
            key.push_str(&format!("\\x{byte:02X}"));
        }
    }
}

/// Its key.
impl AsRef<str> for RelPath {
    fn as_ref(&self) -> &str {
        &self.key
    }
}

impl fmt::Display for RelPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.key)
    }
}

impl fmt::Debug for RelPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RelPath({:?})", self.key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rel(path: &str) -> RelPath {
        RelPath::from_key(path).unwrap()
    }

    #[test]
    fn a_path_never_leaves_the_root() {
        for path in ["/etc/passwd", "../a", "a/../../b", "a/.."] {
            assert_eq!(RelPath::from_key(path), Err(PathError::Outside), "{path}");
        }
        for path in ["", ".", "./"] {
            assert_eq!(RelPath::from_key(path), Err(PathError::Empty), "{path}");
        }
        assert_eq!(rel("./a//b/./c.png").key(), "a/b/c.png");
    }

    #[test]
    fn nfc_and_nfd_of_one_name_have_one_key_and_keep_their_bytes() {
        let composed = rel("caf\u{e9}.png");
        let decomposed = rel("cafe\u{301}.png");
        assert_eq!(composed.key(), decomposed.key());
        assert_eq!(composed.raw_bytes(), None);
        assert_eq!(decomposed.raw_bytes(), Some("cafe\u{301}.png".as_bytes()));
        assert_eq!(decomposed.below(Path::new("/r")), Path::new("/r/cafe\u{301}.png"));
    }

    #[test]
    fn bytes_that_are_no_text_are_spelt_out_and_kept() {
        let path = RelPath::new(Path::new(OsStr::from_bytes(b"d/a\xff\xfeb.png"))).unwrap();
        assert_eq!(path.key(), "d/a\\xFF\\xFEb.png");
        assert_eq!(path.below(Path::new("/r")).as_os_str().as_bytes(), b"/r/d/a\xff\xfeb.png");
        let again = RelPath::from_parts(path.key().to_owned(), path.raw_bytes().map(<[u8]>::to_vec));
        assert_eq!(again, path);
    }

    #[test]
    fn names_are_taken_apart() {
        let cases = [
            ("a/b/logo.final.SVG", "logo.final", "SVG", "a/b"),
            ("noext", "noext", "", ""),
            (".hidden", ".hidden", "", ""),
            ("x/.hidden.png", ".hidden", "png", "x"),
            ("dot.", "dot", "", ""),
        ];
        for (key, stem, extension, folder) in cases {
            let path = rel(key);
            assert_eq!((path.stem(), path.extension(), path.folder()), (stem, extension, folder), "{key}");
        }
        assert_eq!(rel("a/b/c").folders().collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(rel("c").folders().count(), 0);
    }
}
