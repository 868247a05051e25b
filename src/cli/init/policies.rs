//! The policies that `init` offers.
//!
//! Owns: which they are, the values of each with the safe one first, and the question that a person is asked. The values
//! themselves are the configuration's. Never does: printing.

use crate::config::policy::{
    Choice, Duplicates, OnChange, OnDelete, OnRemoteChange, OnRemoteDelete, OnRename, StampMode,
};

/// One policy.
pub struct Policy {
    /// Its key in `[[mirror]]`.
    pub key: &'static str,
    /// What a person is asked.
    pub asks: &'static str,
    values: fn() -> Vec<&'static str>,
}

impl Policy {
    /// The values that it can have, the default first; of `collections`, those that are no path.
    #[must_use]
    pub fn values(&self) -> Vec<&'static str> {
        (self.values)()
    }

    /// The safe one.
    #[must_use]
    pub fn default(&self) -> &'static str {
        self.values().first().copied().unwrap_or_default()
    }
}

/// The names of a choice's values.
#[must_use]
pub fn names<T: Choice>() -> Vec<&'static str> {
    T::ALL.iter().map(Choice::as_str).collect()
}

/// The names of the ways to use collections that are no path of one.
#[must_use]
pub fn collections() -> Vec<&'static str> {
    vec!["none", "mirror"]
}

/// All of them, in the order of the questions.
pub const POLICIES: [Policy; 8] = [
    Policy {
        key: "on_delete",
        asks: "A file is deleted here: keep its asset, tag it, or delete it if nothing uses it",
        values: names::<OnDelete>,
    },
    Policy { key: "on_change", asks: "A file changes: keep its URL, or give it a new one", values: names::<OnChange> },
    Policy {
        key: "on_rename",
        asks: "A file is renamed: keep its URL, or rename the asset, which changes the URL",
        values: names::<OnRename>,
    },
    Policy {
        key: "on_remote_change",
        asks: "An editor replaces a file in the CMS: report it, overwrite it, or accept it",
        values: names::<OnRemoteChange>,
    },
    Policy {
        key: "on_remote_delete",
        asks: "An editor deletes an asset in the CMS: report it, or make it again",
        values: names::<OnRemoteDelete>,
    },
    Policy {
        key: "duplicates",
        asks: "Two files have the same content: share one asset, or have one each",
        values: names::<Duplicates>,
    },
    Policy {
        key: "collections",
        asks: "Collections: none, mirror (folders become collections), or the path of one, such as Some/Collection",
        values: collections,
    },
    Policy {
        key: "stamp",
        asks: "What an asset tells of its file: its path, or a digest that tells nothing",
        values: names::<StampMode>,
    },
];
