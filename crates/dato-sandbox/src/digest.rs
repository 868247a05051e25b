//! MD5 digests as the sandbox takes them of what it stores.
//!
//! Owns: its own digest, so that a mistake in a client's cannot agree with itself. Never does: reading files.

use std::fmt;

use md5::Digest as _;

/// An MD5 digest; it is shown as 32 hexadecimal digits in lower case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Md5([u8; 16]);

impl Md5 {
    /// The digest of `bytes`.
    pub(crate) fn of(bytes: &[u8]) -> Self {
        Self(md5::Md5::digest(bytes).into())
    }
}

impl fmt::Display for Md5 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Hashes bytes as they stream by.
#[derive(Default)]
pub(crate) struct Md5Hasher(md5::Md5);

impl Md5Hasher {
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    pub(crate) fn finish(self) -> Md5 {
        Md5(self.0.finalize().into())
    }
}
