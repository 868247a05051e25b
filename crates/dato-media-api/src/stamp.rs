//! What a program leaves on an upload for itself.
//!
//! Owns: the seam. The client knows where such a note lies (below one key of the custom data of the site's main locale) and
//! how it is kept while others' custom data are written. Never does: knowing what is in it.

use std::fmt::Debug;

use serde_json::Value;

use crate::Md5;

/// A program's own note on an upload, kept below one key of the custom data of the site's main locale.
///
/// The client takes it out of [`Upload::fields`](crate::Upload::fields) and gives it as [`Upload::stamp`](crate::Upload::stamp);
/// a write of other custom data keeps it. `()` is for programs that leave none: all custom data are fields then.
///
/// ```
/// use dato_media_api::{Client, Stamp, Upload};
/// use serde_json::Value;
///
/// #[derive(Debug, Clone, Default, PartialEq)]
/// struct Source(Option<String>);
///
/// impl Stamp for Source {
///     const KEY: Option<&'static str> = Some("my-program");
///
///     fn read(value: &Value) -> Self {
///         Self(value.as_str().map(str::to_owned))
///     }
///
///     fn write(&self) -> Option<Value> {
///         self.0.clone().map(Value::String)
///     }
///
///     fn unite(&mut self, other: Self) {
///         self.0 = other.0.or(self.0.take());
///     }
/// }
///
/// type MyClient = Client<Source>; // MyClient::stamped(options)
/// type MyUpload = Upload<Source>;
/// ```
pub trait Stamp: Clone + Debug + Default + PartialEq + Send + Sync + 'static {
    /// The key of the custom data that holds it; `None` when there is none.
    const KEY: Option<&'static str>;

    /// Reads what is stored below the key. What cannot be read is an empty stamp, never an error: anybody may write there.
    fn read(value: &Value) -> Self;

    /// What to store below the key; `None` removes the key.
    fn write(&self) -> Option<Value>;

    /// Takes in another one of the same upload: after a change of the main locale there may be one in each of two locales.
    fn unite(&mut self, other: Self);

    /// Whether all that `part` says is said here; see [`Expect::Sent`](crate::Expect::Sent).
    fn contains(&self, part: &Self) -> bool {
        self == part
    }

    /// The digest of the content that it was written for. It stands in for the digest of an upload whose file the service's
    /// antivirus deleted: whether the service still tells one then is unconfirmed.
    fn content(&self) -> Option<Md5> {
        None
    }
}

impl Stamp for () {
    const KEY: Option<&'static str> = None;

    fn read(_: &Value) -> Self {}

    fn write(&self) -> Option<Value> {
        None
    }

    fn unite(&mut self, (): Self) {}
}

#[cfg(test)]
pub(crate) mod samples {
    //! A stamp for tests: names and values, as an object or as the text of one.

    use std::collections::BTreeMap;

    use super::{Md5, Stamp, Value};

    #[derive(Debug, Clone, Default, PartialEq)]
    pub(crate) struct Note(pub(crate) BTreeMap<String, String>);

    impl Note {
        pub(crate) fn of(name: &str, value: &str) -> Self {
            Self(BTreeMap::from([(name.to_owned(), value.to_owned())]))
        }

        pub(crate) fn as_object(&self) -> Value {
            self.0.iter().map(|(name, value)| (name.clone(), Value::from(value.as_str()))).collect()
        }
    }

    impl Stamp for Note {
        const KEY: Option<&'static str> = Some("note");

        fn read(value: &Value) -> Self {
            let text = value.as_str().and_then(|text| serde_json::from_str(text).ok());
            Self(serde_json::from_value(text.unwrap_or_else(|| value.clone())).unwrap_or_default())
        }

        fn write(&self) -> Option<Value> {
            (!self.0.is_empty()).then(|| Value::String(self.as_object().to_string()))
        }

        fn unite(&mut self, other: Self) {
            self.0.extend(other.0);
        }

        fn contains(&self, part: &Self) -> bool {
            part.0.iter().all(|(name, value)| self.0.get(name) == Some(value))
        }

        fn content(&self) -> Option<Md5> {
            self.0.get("md5").and_then(|text| text.parse().ok())
        }
    }
}
