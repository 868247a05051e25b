//! What was done, or tried, as one word.
//!
//! Owns: the words that stand in reports, plans, problems and histories. They are an interface: add, do not rename. Never does:
//! deciding what to do.

use std::cmp::Ordering;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What was done, or tried.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum ActionKind {
    /// A new asset.
    Create,
    /// An asset found by content and taken over.
    Adopt,
    /// A path that joins another path's asset.
    Alias,
    /// An asset that follows a moved file.
    Move,
    /// An asset with a new file.
    Replace,
    /// An asset with new metadata only.
    Retag,
    /// An asset deleted.
    Delete,
    /// Nothing but saying so: only a person can decide.
    Report,
    /// Nothing: all is in step.
    Nothing,
    /// Nothing yet: something else has to be done first.
    Wait,
    /// Reading a file or a folder.
    Read,
    /// Leaving out what is no file that can be mirrored.
    Skip,
    /// Sending a file.
    Upload,
    /// Reaching the API.
    Connect,
    /// Asking a guard that stops a whole mirror.
    Guard,
    /// Writing the manifest.
    Manifest,
    /// Beginning a run.
    Start,
    /// A word that this version does not know, or none.
    #[default]
    Unknown,
}

impl ActionKind {
    /// All of them that have a word.
    pub const ALL: [Self; 17] = [
        Self::Create,
        Self::Adopt,
        Self::Alias,
        Self::Move,
        Self::Replace,
        Self::Retag,
        Self::Delete,
        Self::Report,
        Self::Nothing,
        Self::Wait,
        Self::Read,
        Self::Skip,
        Self::Upload,
        Self::Connect,
        Self::Guard,
        Self::Manifest,
        Self::Start,
    ];

    /// The word; empty for [`ActionKind::Unknown`].
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Adopt => "adopt",
            Self::Alias => "alias",
            Self::Move => "move",
            Self::Replace => "replace",
            Self::Retag => "retag",
            Self::Delete => "delete",
            Self::Report => "report",
            Self::Nothing => "nothing",
            Self::Wait => "wait",
            Self::Read => "read",
            Self::Skip => "skip",
            Self::Upload => "upload",
            Self::Connect => "connect",
            Self::Guard => "guard",
            Self::Manifest => "manifest",
            Self::Start => "start",
            Self::Unknown => "",
        }
    }

    /// From its word.
    #[must_use]
    pub fn of(word: &str) -> Self {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word).unwrap_or_default()
    }
}

/// In the order of the words: that is how reports are sorted.
impl Ord for ActionKind {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_str().cmp(other.as_str())
    }
}

impl PartialOrd for ActionKind {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for ActionKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Serialize for ActionKind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for ActionKind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self::of(&String::deserialize(deserializer)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_word_is_read_back_and_an_unknown_one_is_no_error() {
        for kind in ActionKind::ALL {
            let json = serde_json::to_string(&kind).unwrap();
            assert_eq!(json, format!("\"{kind}\""));
            assert_eq!(serde_json::from_str::<ActionKind>(&json).unwrap(), kind);
            assert!(!kind.as_str().is_empty());
        }
        for word in ["", "Create", "of a newer version"] {
            assert_eq!(ActionKind::of(word), ActionKind::Unknown, "{word:?}");
        }
        assert!(ActionKind::Adopt < ActionKind::Create && ActionKind::Unknown < ActionKind::Adopt);
        assert_eq!(format!("{:<8}|", ActionKind::Move), "move    |");
    }
}
