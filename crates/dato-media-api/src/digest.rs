//! MD5 digests: the one measure of "the same bytes" that a file, the bucket and the service share.
//!
//! Owns: the digest value, its hexadecimal form, and the streaming hasher.
//! Never does: reading files.

use std::fmt;
use std::str::FromStr;

use md5::Digest as _;

/// An MD5 digest, 16 bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Md5([u8; 16]);

/// The text was not 32 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an MD5 digest (32 hexadecimal digits)")]
pub struct ParseMd5Error;

impl Md5 {
    /// The digest of `bytes`, all in memory.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        let mut hasher = Md5Hasher::new();
        hasher.update(bytes);
        hasher.finish()
    }

    /// The digest of texts, told so that no two lists of them run together.
    #[must_use]
    pub fn of_parts(parts: &[&str]) -> Self {
        let mut hasher = Md5Hasher::new();
        for part in parts {
            hasher.update(&(part.len() as u64).to_be_bytes());
            hasher.update(part.as_bytes());
        }
        hasher.finish()
    }

    /// The digest from its 16 bytes; `None` when `bytes` has another length.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// The 16 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for Md5 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Md5 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Md5({self})")
    }
}

impl FromStr for Md5 {
    type Err = ParseMd5Error;

    /// Accepts upper and lower case: the service prints lower, some buckets print upper.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.len() != 32 || !text.is_ascii() {
            return Err(ParseMd5Error);
        }
        let mut bytes = [0; 16];
        for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            let high = char::from(pair[0]).to_digit(16).ok_or(ParseMd5Error)?;
            let low = char::from(pair[1]).to_digit(16).ok_or(ParseMd5Error)?;
            *byte = u8::try_from(high * 16 + low).map_err(|_| ParseMd5Error)?;
        }
        Ok(Self(bytes))
    }
}

/// Hashes bytes as they stream by.
#[derive(Clone, Default)]
pub struct Md5Hasher(md5::Md5);

impl Md5Hasher {
    /// A hasher that has seen nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Feeds the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The digest of all bytes fed.
    #[must_use]
    pub fn finish(self) -> Md5 {
        Md5(self.0.finalize().into())
    }
}

impl fmt::Debug for Md5Hasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Md5Hasher")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_of_known_bytes_prints_and_parses() {
        let digest = Md5::of(b"abc");
        assert_eq!(digest.to_string(), "900150983cd24fb0d6963f7d28e17f72");
        assert_eq!("900150983CD24FB0D6963F7D28E17F72".parse(), Ok(digest));
        assert_eq!(Md5::from_bytes(digest.as_bytes()), Some(digest));
    }

    #[test]
    fn what_is_no_digest_is_refused() {
        for text in ["", "900150983cd24fb0d6963f7d28e17f7", "g00150983cd24fb0d6963f7d28e17f72", "ééééééééééééééééé"]
        {
            assert_eq!(text.parse::<Md5>(), Err(ParseMd5Error), "{text}");
        }
    }

    #[test]
    fn streaming_gives_the_same_digest_as_all_at_once() {
        let mut hasher = Md5Hasher::new();
        hasher.update(b"a");
        hasher.update(b"");
        hasher.update(b"bc");
        assert_eq!(hasher.finish(), Md5::of(b"abc"));
    }
}
