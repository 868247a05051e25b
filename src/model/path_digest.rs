//! How a path is named where it must not be read.
//!
//! Owns: the digest of a path. Never does: deciding where it stands for the path (that is `stamp = "digest"`).

use super::{Md5, RelPath};

/// How a stamp names a path without telling it (`stamp = "digest"`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PathDigest;

impl PathDigest {
    /// `#` and 16 hexadecimal digits, the same on every machine for one project, mirror and path.
    #[must_use]
    pub fn of(site: &str, mirror: &str, path: &RelPath) -> String {
        let hex = Md5::of_parts(&[site, mirror, path.key()]).to_string();
        format!("#{}", &hex[..16])
    }
}
