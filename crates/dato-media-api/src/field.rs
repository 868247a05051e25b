//! An asset's metadata as one flat map, whatever shape it has on the wire.
//!
//! Owns: the names of the fields. A flat map makes whatever compares or merges metadata one rule for all of them.
//! Never does: wire shapes (that is `wire`), merging.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde_json::Value;

/// One slot of an asset's metadata. Its text form (`author`, `alt.en`, `custom_data.en.campaign`) is read back by
/// [`FieldKey::from_str`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FieldKey {
    /// Who made it; text.
    Author,
    /// The collection that holds it; the collection's id.
    Collection,
    /// The rights line; text.
    Copyright,
    /// Internal notes; text.
    Notes,
    /// Alternative text in one locale; text.
    Alt(String),
    /// Title in one locale; text.
    Title(String),
    /// One key of the custom data of one locale; any JSON. The key of the program's [`Stamp`](crate::Stamp) is never among them.
    CustomData(String, String),
    /// `{"x","y"}`, 0 to 1; images only.
    FocalPoint,
    /// Seconds into the video; videos only.
    PosterTime,
    /// Who the service shows as the creator; `{"type","id"}`.
    Creator,
}

/// Field values; a field that is empty on the remote (`null`, `""`) is absent.
pub type Fields = BTreeMap<FieldKey, Value>;

impl fmt::Display for FieldKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Author => f.write_str("author"),
            Self::Collection => f.write_str("collection"),
            Self::Copyright => f.write_str("copyright"),
            Self::Notes => f.write_str("notes"),
            Self::Alt(locale) => write!(f, "alt.{locale}"),
            Self::Title(locale) => write!(f, "title.{locale}"),
            Self::CustomData(locale, key) => write!(f, "custom_data.{locale}.{key}"),
            Self::FocalPoint => f.write_str("focal_point"),
            Self::PosterTime => f.write_str("poster_time"),
            Self::Creator => f.write_str("creator"),
        }
    }
}

/// The text names no field.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not the name of a metadata field")]
pub struct ParseFieldKeyError;

impl FromStr for FieldKey {
    type Err = ParseFieldKeyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut parts = text.splitn(3, '.');
        let key = match (parts.next(), parts.next(), parts.next()) {
            (Some("author"), None, None) => Self::Author,
            (Some("collection"), None, None) => Self::Collection,
            (Some("copyright"), None, None) => Self::Copyright,
            (Some("notes"), None, None) => Self::Notes,
            (Some("focal_point"), None, None) => Self::FocalPoint,
            (Some("poster_time"), None, None) => Self::PosterTime,
            (Some("creator"), None, None) => Self::Creator,
            (Some("alt"), Some(locale), None) => Self::Alt(locale.to_owned()),
            (Some("title"), Some(locale), None) => Self::Title(locale.to_owned()),
            (Some("custom_data"), Some(locale), Some(key)) => Self::CustomData(locale.to_owned(), key.to_owned()),
            _ => return Err(ParseFieldKeyError),
        };
        Ok(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_prints_a_name_that_parses_back() {
        let keys = [
            FieldKey::Author,
            FieldKey::Collection,
            FieldKey::Copyright,
            FieldKey::Notes,
            FieldKey::Alt("en".into()),
            FieldKey::Title("pt-BR".into()),
            FieldKey::CustomData("en".into(), "a.b".into()),
            FieldKey::FocalPoint,
            FieldKey::PosterTime,
            FieldKey::Creator,
        ];
        for key in keys {
            assert_eq!(key.to_string().parse(), Ok(key));
        }
        for text in ["", "alt", "author.en", "nonsense", "custom_data.en"] {
            assert_eq!(text.parse::<FieldKey>(), Err(ParseFieldKeyError), "{text}");
        }
    }
}
