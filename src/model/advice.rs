//! What to do about a problem, in words for people.
//!
//! Owns: that "it is tried again" is a value and not a part of the words, so that whoever shows the advice says it as it is
//! true there; and the stored form of both. Never does: knowing when that is (see `index/files/retry.rs`).

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};

/// How a daemon tries again what failed, for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Promise {
    /// It does, sooner or later.
    Sometime,
    /// After an hour at most, or when somebody asks for it.
    WithinTheHour,
    /// After pauses that grow.
    AfterLongerPauses,
}

/// Who tries again what failed, where an advice is read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum GoesOn {
    /// A daemon runs, and does it by itself.
    #[default]
    Daemon,
    /// Nobody, until the next run.
    NextRun,
    /// Nobody at all, before something changes.
    Nobody,
}

/// What to do about a problem.
///
/// Stored, it is the sentence that a daemon says, as older versions wrote it, and beside it the parts, if it has any.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(from = "Stored", into = "Stored")]
pub struct Advice {
    before: Cow<'static, str>,
    again: Option<Promise>,
    after: Cow<'static, str>,
}

/// How an [`Advice`] is stored.
#[derive(Serialize, Deserialize)]
struct Stored {
    advice: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    advice_parts: Option<Parts>,
}

#[derive(Serialize, Deserialize)]
struct Parts {
    before: String,
    again: Promise,
    after: String,
}

impl Promise {
    const fn by_a_daemon(self) -> &'static str {
        match self {
            Self::Sometime => TRIED_AGAIN,
            Self::WithinTheHour => {
                "it is tried again by itself, after an hour at most, and at once by `dato-mirror retry`"
            }
            Self::AfterLongerPauses => "it is tried again after ever longer pauses",
        }
    }
}

/// What a daemon says of whatever it tries again.
const TRIED_AGAIN: &str = "it is tried again";
const BY_THE_NEXT_RUN: &str = "the next run tries it again";

impl Advice {
    /// Words alone: nothing is said of trying again.
    #[must_use]
    pub fn new(words: impl Into<Cow<'static, str>>) -> Self {
        Self { before: words.into(), again: None, after: Cow::Borrowed("") }
    }

    /// `words`, and then that it is tried again.
    #[must_use]
    pub fn then_again(words: impl Into<Cow<'static, str>>) -> Self {
        Self::around(words, Promise::Sometime, "")
    }

    /// That it is tried again, and then `words`.
    #[must_use]
    pub fn again_then(words: impl Into<Cow<'static, str>>) -> Self {
        Self::around("", Promise::Sometime, words)
    }

    /// That it is tried again like that, between these words.
    #[must_use]
    pub fn around(before: impl Into<Cow<'static, str>>, again: Promise, after: impl Into<Cow<'static, str>>) -> Self {
        Self { before: before.into(), again: Some(again), after: after.into() }
    }

    /// Whether it says that it is tried again.
    #[must_use]
    pub const fn promises(&self) -> bool {
        self.again.is_some()
    }

    /// The sentence where `goes_on` tries it again.
    #[must_use]
    pub fn told(&self, goes_on: GoesOn) -> String {
        let again = match (self.again, goes_on) {
            (None, _) | (_, GoesOn::Nobody) => "",
            (Some(again), GoesOn::Daemon) => again.by_a_daemon(),
            (Some(_), GoesOn::NextRun) => BY_THE_NEXT_RUN,
        };
        let parts = [self.before.as_ref(), again, self.after.as_ref()];
        parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("; ")
    }

    /// From a sentence that an older version stored. Only here is it read what the words say.
    fn of_an_older_version(sentence: String) -> Self {
        let all = [Promise::WithinTheHour, Promise::AfterLongerPauses, Promise::Sometime];
        let found = all.into_iter().find_map(|again| Some((again, sentence.split_once(again.by_a_daemon())?)));
        let Some((again, (before, after))) = found else { return Self::new(sentence) };
        let separators = |c: char| matches!(c, ';' | ':' | ' ');
        let (before, after) = (before.trim_end_matches(separators), after.trim_start_matches(separators));
        Self::around(before.to_owned(), again, after.to_owned())
    }
}

/// As a daemon says it.
impl fmt::Display for Advice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.told(GoesOn::Daemon))
    }
}

impl From<&'static str> for Advice {
    fn from(words: &'static str) -> Self {
        Self::new(words)
    }
}

impl From<String> for Advice {
    fn from(words: String) -> Self {
        Self::new(words)
    }
}

impl From<Stored> for Advice {
    fn from(stored: Stored) -> Self {
        match stored.advice_parts {
            Some(Parts { before, again, after }) => Self::around(before, again, after),
            None => Self::of_an_older_version(stored.advice),
        }
    }
}

impl From<Advice> for Stored {
    fn from(advice: Advice) -> Self {
        let sentence = advice.to_string();
        let Advice { before, again, after } = advice;
        let parts = again.map(|again| Parts { before: before.into_owned(), again, after: after.into_owned() });
        Self { advice: sentence, advice_parts: parts }
    }
}

/// What advice says of what is done again, in other words than [`Advice`] has for it. A lint for tests.
#[cfg(test)]
pub fn promises(advice: &str) -> bool {
    let said = ["is tried again", "is sent again", "is uploaded again", "is looked at again", "looks again"];
    said.iter().any(|promise| advice.contains(promise))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// (advice, by a daemon, at the end of a run, where nobody goes on)
    fn table() -> Vec<(Advice, &'static str, &'static str, &'static str)> {
        vec![
            (
                Advice::new("check its permissions"),
                "check its permissions",
                "check its permissions",
                "check its permissions",
            ),
            (
                Advice::then_again("check the network"),
                "check the network; it is tried again",
                "check the network; the next run tries it again",
                "check the network",
            ),
            (
                Advice::again_then("see who does it"),
                "it is tried again; see who does it",
                "the next run tries it again; see who does it",
                "see who does it",
            ),
            (
                Advice::around("upgrade", Promise::WithinTheHour, ""),
                "upgrade; it is tried again by itself, after an hour at most, and at once by `dato-mirror retry`",
                "upgrade; the next run tries it again",
                "upgrade",
            ),
            (
                Advice::around("", Promise::AfterLongerPauses, "tell them"),
                "it is tried again after ever longer pauses; tell them",
                "the next run tries it again; tell them",
                "tell them",
            ),
            (
                Advice::around("the answer is odd", Promise::Sometime, "if it lasts, report a bug"),
                "the answer is odd; it is tried again; if it lasts, report a bug",
                "the answer is odd; the next run tries it again; if it lasts, report a bug",
                "the answer is odd; if it lasts, report a bug",
            ),
        ]
    }

    #[test]
    fn that_it_is_tried_again_is_said_as_it_is_true_where_it_is_read() {
        for (advice, daemon, run, nobody) in table() {
            assert_eq!(advice.told(GoesOn::Daemon), daemon);
            assert_eq!(advice.told(GoesOn::NextRun), run);
            assert_eq!(advice.told(GoesOn::Nobody), nobody);
            assert_eq!(advice.promises(), daemon != nobody, "{advice}");
        }
    }

    #[test]
    fn an_advice_is_stored_as_the_sentence_that_older_versions_read_and_theirs_is_read() {
        for (advice, sentence, ..) in table() {
            let stored = serde_json::to_value(&advice).unwrap();
            assert_eq!(stored["advice"], sentence);
            assert_eq!(serde_json::from_value::<Advice>(stored).unwrap(), advice);
            let older: Advice = serde_json::from_value(json!({"advice": sentence})).unwrap();
            assert_eq!(older, advice, "{sentence}");
        }
        let colon: Value = json!({"advice": "correct it; if it is being processed, wait: it is tried again"});
        let colon: Advice = serde_json::from_value(colon).unwrap();
        assert_eq!(
            colon.told(GoesOn::NextRun),
            "correct it; if it is being processed, wait; the next run tries it again"
        );
    }
}
