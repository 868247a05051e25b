//! What the mirror writes on an asset so that the media area itself is the record.
//!
//! Owns: the value of `custom_data[main locale]["dato-mirror"]`: JSON in one string, because the CMS keeps custom data as names
//! and values, and whether a value that is an object survives an editor's save there is not known. An object, as older
//! versions wrote it, reads the same. In it are, per mirror, the paths that share the asset, the
//! digest and the metadata it last pushed. With it, a machine that has never seen the folder can tell "changed
//! here" from "changed by an editor". A foreign or damaged stamp reads as "no stamp", never as an error.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Asset, FieldKey, Fields, Md5, Md5Hasher, UploadId};

/// The custom data key that holds the stamp.
pub const STAMP_KEY: &str = "dato-mirror";

/// Paths of a mirror that a stamp names at most. A stamp travels with each call about its asset, so it must not grow with
/// the copies of a file. A path that is not named is found by its content all the same, also when the index is lost.
pub const STAMP_PATHS: usize = 1000;

/// The stamp of one asset: one entry for each mirror that uses it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Stamp(pub BTreeMap<String, MirrorStamp>);

impl dato_media_api::Stamp for Stamp {
    const KEY: Option<&'static str> = Some(STAMP_KEY);

    fn read(value: &Value) -> Self {
        Self::from_json(value)
    }

    fn write(&self) -> Option<Value> {
        (!self.0.is_empty()).then(|| self.to_custom_data())
    }

    fn unite(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    fn contains(&self, part: &Self) -> bool {
        part.0.iter().all(|(mirror, entry)| self.0.get(mirror) == Some(entry))
    }

    fn content(&self) -> Option<Md5> {
        self.0.values().find_map(MirrorStamp::digest)
    }
}

/// What one mirror knows of one asset.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MirrorStamp {
    /// Keys of the paths that share the asset (or their digests, with `stamp = "digest"`), sorted.
    pub paths: BTreeSet<String>,
    /// Hexadecimal MD5 of the content last pushed (or adopted).
    pub md5: String,
    /// Hexadecimal MD5 of an editor's replacement that `on_remote_change = "accept"` let stand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accepted: Option<String>,
    /// The asset it was written for: an editor's copy of an asset carries a copy of its stamp.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<UploadId>,
    /// A path that left the asset and that its id derives from: the proof that the mirror made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub born: Option<String>,
    /// True when this mirror created the asset; only such an asset may ever be renamed or deleted by it. It counts only
    /// where it can be proved (`index::claims`).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub made: bool,
    /// The tags last pushed.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub tags: BTreeSet<String>,
    /// The other fields last pushed: name → short digest of the value.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub fields: BTreeMap<String, String>,
    /// The tracks of a video that companion files made: the file's path (or its digest) → the track.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tracks: BTreeMap<String, TrackStamp>,
}

/// A track that a companion file made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrackStamp {
    /// The track's id; none while it is not known whether the call that makes it had its effect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Hexadecimal MD5 of the companion's content.
    pub md5: String,
    /// The track that this one takes the place of, until it is deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub old: Option<String>,
}

impl TrackStamp {
    /// One of which it is not known whether it is there.
    #[must_use]
    pub fn unknown(md5: impl Into<String>, old: Option<String>) -> Self {
        Self { id: None, md5: md5.into(), old }
    }
}

impl Stamp {
    /// Reads the value under [`STAMP_KEY`], in either form; anything that is no stamp is an empty one.
    #[must_use]
    pub fn from_json(value: &Value) -> Self {
        match value {
            Value::String(text) => serde_json::from_str(text).unwrap_or_default(),
            other => serde_json::from_value(other.clone()).unwrap_or_default(),
        }
    }

    /// The value to store under [`STAMP_KEY`].
    #[must_use]
    pub fn to_custom_data(&self) -> Value {
        Value::String(self.to_json().to_string())
    }

    /// The stamp as an object, for the index.
    #[must_use]
    pub fn to_json(&self) -> Value {
        serde_json::to_value(self).unwrap_or(Value::Null)
    }
}

impl MirrorStamp {
    /// Whether the asset is not `path`'s, as stamps name it; one that names as many as it can says nothing of the others.
    #[must_use]
    pub fn leaves_out(&self, path: &str) -> bool {
        self.paths.len() < STAMP_PATHS && !self.paths.contains(path)
    }

    /// The content last pushed; `None` when the stamp is damaged.
    #[must_use]
    pub fn digest(&self) -> Option<Md5> {
        self.md5.parse().ok()
    }

    /// The editor's replacement that was let stand.
    #[must_use]
    pub fn accepted_digest(&self) -> Option<Md5> {
        self.accepted.as_deref().and_then(|text| text.parse().ok())
    }

    /// The short digests of `fields`, as kept in a stamp.
    #[must_use]
    pub fn digests_of(fields: &Fields) -> BTreeMap<String, String> {
        fields.iter().map(|(key, value)| (key.to_string(), Self::value_digest(value))).collect()
    }

    /// The short digest of one value: 12 hexadecimal digits of the MD5 of its canonical JSON.
    #[must_use]
    pub fn value_digest(value: &Value) -> String {
        let mut hasher = Md5Hasher::new();
        hasher.update(value.to_string().as_bytes());
        hasher.finish().to_string()[..12].to_owned()
    }

    /// Whether a write that was to make `before` into this had its effect: the asset has all that it would have pushed anew,
    /// and nothing that it would have emptied.
    #[must_use]
    pub fn shows_on(&self, before: Option<&Self>, asset: &Asset) -> bool {
        let nothing = Self::default();
        let before = before.unwrap_or(&nothing);
        let has: BTreeMap<String, String> = Self::digests_of(&asset.fields);
        let names: BTreeSet<&String> = self.fields.keys().chain(before.fields.keys()).collect();
        let fields = names.into_iter().filter(|name| self.fields.get(*name) != before.fields.get(*name));
        fields.into_iter().all(|name| has.get(name) == self.fields.get(name))
            && self.tags.difference(&before.tags).all(|tag| asset.tags.contains(tag))
            && before.tags.difference(&self.tags).all(|tag| !asset.tags.contains(tag))
    }

    /// Whether `value` is what this mirror last pushed into `key`.
    #[must_use]
    pub fn pushed(&self, key: &FieldKey, value: &Value) -> bool {
        self.fields.get(&key.to_string()).is_some_and(|digest| *digest == Self::value_digest(value))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_stamp_reads_back_as_written() {
        let fields = Fields::from([(FieldKey::Alt("en".into()), json!("A logo"))]);
        let entry = MirrorStamp {
            paths: BTreeSet::from(["a.svg".to_owned()]),
            md5: Md5::of(b"x").to_string(),
            accepted: None,
            of: Some(UploadId::new("u1")),
            born: Some("old.svg".to_owned()),
            made: true,
            tags: BTreeSet::from(["logo".to_owned()]),
            fields: MirrorStamp::digests_of(&fields),
            tracks: BTreeMap::from([(
                "clip.en.vtt".to_owned(),
                TrackStamp { id: Some("t1".into()), md5: Md5::of(b"WEBVTT").to_string(), old: None },
            )]),
        };
        let stamp = Stamp(BTreeMap::from([("brand".to_owned(), entry.clone())]));
        assert_eq!(Stamp::from_json(&stamp.to_json()), stamp);
        let stored = stamp.to_custom_data();
        assert!(stored.is_string(), "{stored}");
        assert_eq!(Stamp::from_json(&stored), stamp);
        for damaged in [json!("{\"brand\": "), json!(""), json!("\"{}\""), json!([]), json!(1), json!("[]")] {
            assert_eq!(Stamp::from_json(&damaged), Stamp::default(), "{damaged}");
        }
        assert!(entry.pushed(&FieldKey::Alt("en".into()), &json!("A logo")));
        assert!(!entry.pushed(&FieldKey::Alt("en".into()), &json!("An editor's words")));
        assert_eq!(entry.digest(), Some(Md5::of(b"x")));
    }

    #[test]
    fn a_write_shows_when_the_asset_has_what_was_to_be_new_and_lacks_what_was_to_go() {
        let (author, alt) = (FieldKey::Author, FieldKey::Alt("en".into()));
        let entry = |author_is: &str, tags: &[&str]| MirrorStamp {
            tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
            fields: MirrorStamp::digests_of(&Fields::from([(author.clone(), json!(author_is))])),
            ..MirrorStamp::default()
        };
        let (before, after) = (entry("one", &["old", "both"]), entry("two", &["new", "both"]));
        let asset = |author_is: &str, tags: &[&str]| Asset {
            id: UploadId::new("u"),
            md5: None,
            size: 0,
            path: String::new(),
            url: String::new(),
            filename: String::new(),
            format: None,
            mime_type: None,
            width: None,
            height: None,
            blurhash: None,
            tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
            fields: Fields::from([(author.clone(), json!(author_is)), (alt.clone(), json!("an editor's"))]),
            stamp: Stamp::default(),
            antivirus: crate::model::Antivirus::default(),
            created_at: String::new(),
            updated_at: String::new(),
        };
        assert!(after.shows_on(Some(&before), &asset("two", &["new", "theirs"])));
        for not_yet in [asset("one", &["new"]), asset("two", &["both"]), asset("two", &["new", "old"])] {
            assert!(!after.shows_on(Some(&before), &not_yet), "{not_yet:?}");
        }
        assert!(after.shows_on(None, &asset("two", &["new", "both"])));
    }

    #[test]
    fn what_is_no_stamp_is_an_empty_one() {
        for value in [json!(null), json!("x"), json!([1]), json!({"brand": 3}), json!({"brand": {"paths": "a"}})] {
            assert_eq!(Stamp::from_json(&value), Stamp::default(), "{value}");
        }
    }
}
