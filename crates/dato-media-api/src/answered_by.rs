//! Which environment the answers are about.
//!
//! Owns: the environment that this client works on, by its own word or by that of the first answer, and that the client
//! is closed for good once another one answers: what that answer says is no news about the first, and nothing is
//! written on the strength of it. Without a name in the answers nothing is known, and nothing is closed.
//! Never does: HTTP, logging.

use std::sync::{Mutex, MutexGuard, PoisonError};

use reqwest::header::HeaderMap;
use tokio::sync::watch;

use super::error::{ApiError, ApiErrorKind};

/// The header by which an answer names its environment.
const HEADER: &str = "x-environment";
/// Characters of a name; the service takes far fewer.
const LONGEST: usize = 100;

/// See the module.
#[derive(Debug)]
pub(super) struct AnsweredBy {
    /// The configuration names the environment; else it is the primary one, whichever that is.
    asked: bool,
    known: Mutex<Option<String>>,
    /// The other environment that answered.
    other: watch::Sender<Option<String>>,
}

/// What an answer's name says to one who knows `known`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Word {
    /// Nothing new.
    Same,
    /// The name of the environment.
    Name,
    /// It is about another environment.
    Other,
}

const fn is_same(one: &str, other: &str) -> bool {
    one.eq_ignore_ascii_case(other)
}

fn word_of(known: Option<&str>, answered: Option<&str>) -> Word {
    match (known, answered) {
        (_, None) => Word::Same,
        (None, Some(_)) => Word::Name,
        (Some(known), Some(answered)) if is_same(known, answered) => Word::Same,
        (Some(_), Some(_)) => Word::Other,
    }
}

/// The environment that an answer names. What no name looks like is none.
pub(super) fn name_of(headers: &HeaderMap) -> Option<String> {
    let text = headers.get(HEADER)?.to_str().ok()?.trim();
    let fits = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    (!text.is_empty() && text.len() <= LONGEST && text.chars().all(fits)).then(|| text.to_owned())
}

impl AnsweredBy {
    /// `asked`: the environment that every call asks for.
    pub(super) fn new(asked: Option<&str>) -> Self {
        let known = asked.map(|name| name.trim().to_owned());
        Self { asked: known.is_some(), known: Mutex::new(known), other: watch::Sender::new(None) }
    }

    /// The environment, as far as it is known.
    pub(super) fn name(&self) -> Option<String> {
        self.known().clone()
    }

    /// Takes in whom an answer of the API is from.
    ///
    /// # Errors
    /// When it is from another environment than all answers before, or than was asked for.
    pub(super) fn heard(&self, answered: Option<String>) -> Result<(), ApiError> {
        let word = {
            let mut known = self.known();
            let word = word_of(known.as_deref(), answered.as_deref());
            if word == Word::Name {
                known.clone_from(&answered);
            }
            word
        };
        if word == Word::Other {
            self.other.send_if_modified(|other| {
                let first = other.is_none();
                if first {
                    *other = answered;
                }
                first
            });
        }
        self.may_call()
    }

    /// Whether anything may still be sent.
    ///
    /// # Errors
    /// When another environment has answered.
    pub(super) fn may_call(&self) -> Result<(), ApiError> {
        let Some(other) = self.other.borrow().clone() else { return Ok(()) };
        let known = self.name().unwrap_or_default();
        Err(if self.asked {
            let text = format!("\"{known}\" was asked for and \"{other}\" answered, so nothing is written any more");
            ApiError::new(ApiErrorKind::Environment, text)
        } else {
            ApiError::new(ApiErrorKind::Promoted, format!("\"{other}\" answers in the place of \"{known}\""))
        })
    }

    /// Waits until another environment answers.
    pub(super) async fn other(&self) {
        // The sender lives as long as this.
        let _ = self.other.subscribe().wait_for(Option::is_some).await;
    }

    fn known(&self) -> MutexGuard<'_, Option<String>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(by: &AnsweredBy, name: &str) -> Result<(), ApiErrorKind> {
        by.heard(Some(name.to_owned()).filter(|name| !name.is_empty())).map_err(|error| error.kind)
    }

    #[test]
    fn the_first_name_counts_and_another_one_closes_the_client_for_good() {
        let by = AnsweredBy::new(None);
        assert_eq!((heard(&by, ""), by.name()), (Ok(()), None));
        assert_eq!((heard(&by, "main"), by.name().as_deref()), (Ok(()), Some("main")));
        assert_eq!((heard(&by, ""), heard(&by, "Main")), (Ok(()), Ok(())));
        assert_eq!(heard(&by, "spring"), Err(ApiErrorKind::Promoted));
        assert_eq!(heard(&by, "main"), Err(ApiErrorKind::Promoted), "what this one knows may be of either");
        let error = by.may_call().unwrap_err();
        assert!(error.is_promotion() && !error.is_access(), "{error}");
        assert_eq!(
            (by.name().as_deref(), error.details.as_deref()),
            (Some("main"), Some("\"spring\" answers in the place of \"main\""))
        );
    }

    #[test]
    fn who_asked_for_an_environment_writes_to_no_other() {
        let by = AnsweredBy::new(Some("main"));
        assert_eq!((heard(&by, "main"), heard(&by, ""), by.name().as_deref()), (Ok(()), Ok(()), Some("main")));
        assert_eq!(heard(&by, "spring"), Err(ApiErrorKind::Environment));
        let error = by.may_call().unwrap_err();
        assert!(error.is_access() && !error.is_promotion());
        assert!(error.to_string().contains("\"main\" was asked for and \"spring\" answered"), "{error}");
    }

    #[tokio::test]
    async fn whoever_waits_for_another_environment_hears_of_it() {
        let by = AnsweredBy::new(None);
        heard(&by, "main").unwrap();
        tokio::join!(by.other(), async { heard(&by, "spring").unwrap_err() });
        by.other().await;
    }

    #[test]
    fn what_no_name_looks_like_is_none() {
        let name = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(HEADER, reqwest::header::HeaderValue::from_static(value));
            name_of(&headers)
        };
        assert_eq!(name(" spring-2026 ").as_deref(), Some("spring-2026"));
        assert_eq!(name_of(&HeaderMap::new()), None);
        for odd in ["", "  ", "<main>", "main, spring", "a b"] {
            assert_eq!(name(odd), None, "{odd:?}");
        }
    }
}
