//! The ids of uploads, and how a program derives the id of a new one.
//!
//! Owns: the rule "the id of a new upload is a function of what it is made of". Creating the same thing twice, from
//! anywhere, meets the same id, and the service's own uniqueness makes it one upload.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use crate::{CollectionId, Md5};

/// An upload's id: normally 22 characters of URL-safe base64; short integers on legacy assets.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UploadId(String);

impl UploadId {
    /// An id the service told us.
    #[must_use]
    pub fn new(id: impl Into<String>) -> Self {
        Self(id.into())
    }

    /// The id of the upload that `owner` makes for `name` in the project `site`: a UUIDv4-shaped hash. `owner` keeps the
    /// ids of programs, or of parts of one, apart; `name` is what the upload is made of, for example a file's path.
    ///
    /// `generation` counts up when an id turned out unusable (taken by another's asset, or spent on one since
    /// deleted). The first bit is cleared, as the official client does, so that the id starts with a letter.
    #[must_use]
    pub fn derived(site: &str, owner: &str, name: &(impl AsRef<str> + ?Sized), generation: u32) -> Self {
        Self(shaped(Md5::of_parts(&[site, owner, name.as_ref(), &generation.to_string()])))
    }

    /// The id of a new collection in the project `site` by its labels from the outermost in, joined by `/`. Which program
    /// makes it makes no difference: several may put their uploads into one.
    #[must_use]
    pub fn of_collection(site: &str, labels: &str, generation: u32) -> CollectionId {
        shaped(Md5::of_parts(&["upload_collection", site, labels, &generation.to_string()]))
    }

    /// The id as the service spells it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for UploadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for UploadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UploadId({})", self.0)
    }
}

fn shaped(digest: Md5) -> String {
    let mut bytes = *digest.as_bytes();
    bytes[0] &= 0x7f;
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    URL_SAFE_NO_PAD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn derived(site: &str, owner: &str, name: &str, generation: u32) -> UploadId {
        UploadId::derived(site, owner, name, generation)
    }

    #[test]
    fn a_derived_id_is_a_uuid_of_version_4_in_22_characters() {
        for n in 0..200 {
            let id = derived("1", "brand", &format!("a/{n}.png"), n);
            assert_eq!(id.as_str().len(), 22);
            let bytes = URL_SAFE_NO_PAD.decode(id.as_str()).unwrap();
            assert_eq!(bytes.len(), 16);
            assert_eq!((bytes[6] >> 4, bytes[8] >> 6, bytes[0] >> 7), (4, 2, 0));
            assert!(id.as_str().as_bytes()[0].is_ascii_alphabetic());
        }
    }

    #[test]
    fn the_id_depends_on_every_part_and_on_nothing_else() {
        let base = derived("1", "brand", "a/b.png", 0);
        assert_eq!(base, derived("1", "brand", "a/b.png", 0));
        assert_eq!(base.as_str(), "Rlx6fMf4Qy6u8Vae3uNaSA", "ids already in media areas must never change");
        for other in [
            derived("2", "brand", "a/b.png", 0),
            derived("1", "brand2", "a/b.png", 0),
            derived("1", "brand", "a/c.png", 0),
            derived("1", "brand", "a/b.png", 1),
            derived("1b", "rand", "a/b.png", 0),
        ] {
            assert_ne!(base, other);
        }
    }
}
