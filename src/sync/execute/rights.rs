//! What the token may not do, for people, and for whom it is known.
//!
//! Owns: which right an action needs where the service does not say which one it misses, the words for that, and that a right to make assets which was
//! refused in a collection is not asked for again with each file. What may not be done to one asset says nothing about
//! another. Makes no call.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::index::Problem;
use crate::model::{ActionKind, CollectionId};
use crate::remote::{ApiError, ApiErrorKind};
use crate::sync::desired_state::Desires;

use super::Failure;

/// A refused right is taken for refused so long: somebody may give it.
const HOLDS: Duration = Duration::from_secs(600);

/// Where an asset is to be made, and what was known when that was begun.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Place<'a> {
    /// The collection; `None`: outside of any.
    pub collection: Option<&'a str>,
    /// How often people had wanted failed files tried again by then (`index::retry_requests`).
    pub asked: u64,
}

/// The collections in which no asset may be made, as the service said of late; `None`: outside of any.
#[derive(Debug, Default)]
pub struct Rights(Mutex<Refusals>);

#[derive(Debug, Default)]
struct Refusals {
    asked: u64,
    of: HashMap<Option<CollectionId>, (Instant, ApiError)>,
}

impl Refusals {
    /// A person who wants failed files tried again may have given the right: what was heard before says nothing any more.
    fn hear(&mut self, asked: u64) {
        if asked > self.asked {
            self.asked = asked;
            self.of.clear();
        }
    }
}

impl Rights {
    /// Why no asset may be made there, if that is known.
    pub(super) fn refused(&self, place: Place<'_>, now: Instant) -> Option<ApiError> {
        let mut refusals = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        refusals.hear(place.asked);
        let (at, error) = refusals.of.get(&place.collection.map(str::to_owned))?;
        (now.saturating_duration_since(*at) < HOLDS).then(|| error.clone())
    }

    /// A person wants it tried again: the right may have been given.
    pub fn forget(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).of.clear();
    }

    /// No asset may be made there.
    pub(super) fn refuse(&self, place: Place<'_>, error: &ApiError, now: Instant) {
        let mut refusals = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        refusals.hear(place.asked);
        // What was begun before a person asked may have been refused before the right was given.
        if error.kind == ApiErrorKind::Permission && place.asked == refusals.asked {
            refusals.of.insert(place.collection.map(str::to_owned), (now, error.clone()));
        }
    }
}

/// A right of the token's role, in the service's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Right {
    /// To make assets.
    Create,
    /// To replace the files of assets.
    Replace,
    /// To change their metadata.
    Update,
    /// To put them into another collection.
    Move,
    /// To delete them.
    Delete,
}

impl Right {
    /// What an action needs, where it does not only put the asset into another collection.
    pub(super) const fn of(action: ActionKind) -> Self {
        match action {
            ActionKind::Create => Self::Create,
            ActionKind::Replace => Self::Replace,
            ActionKind::Delete => Self::Delete,
            _ => Self::Update,
        }
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Replace => "replace_asset",
            Self::Update => "update",
            Self::Move => "move",
            Self::Delete => "delete",
        }
    }
}

/// The right as the service names it; where it does not, the one that the action needs.
fn right_for(right: Right, error: &ApiError) -> &str {
    error.missing_right().unwrap_or(right.as_str())
}

/// A refusal that concerns one file: with the missing right. It is not tried again by itself: nothing changes by that.
pub(crate) fn missing(
    action: ActionKind,
    right: Right,
    error: &ApiError,
    collection: Option<&str>,
    desires: &Desires,
) -> Failure {
    let place = match collection {
        Some(id) => format!(" in the collection {}", desires.collection_labels(id).unwrap_or(id)),
        None if right == Right::Create => " outside of any collection".into(),
        None => String::new(),
    };
    let right = right_for(right, error);
    let problem = Problem::new(
        action,
        format!("the token lacks the right \"{right}\" for this asset{place}: {error}"),
        format!(
            "give the token's role the right \"{right}\"{place}, or exclude the file; then run `dato-mirror retry`"
        ),
    );
    Failure::Path { problem, retry: false }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const fn place(collection: Option<&str>, asked: u64) -> Place<'_> {
        Place { collection, asked }
    }

    #[test]
    fn a_right_refused_in_one_collection_is_known_there_and_for_a_while() {
        let (rights, now) = (Rights::default(), Instant::now());
        let (a, b, outside) = (place(Some("a"), 0), place(Some("b"), 0), place(None, 0));
        rights.refuse(a, &ApiError::new(ApiErrorKind::Permission, "no"), now);
        rights.refuse(outside, &ApiError::new(ApiErrorKind::Network, "no"), now);
        assert!(rights.refused(a, now).is_some());
        assert!(rights.refused(b, now).is_none() && rights.refused(outside, now).is_none());
        assert!(rights.refused(a, now + HOLDS).is_none());
        rights.forget();
        assert!(rights.refused(a, now).is_none());
    }

    #[test]
    fn what_was_refused_before_a_person_asked_again_is_not_taken_for_refused() {
        let (rights, now) = (Rights::default(), Instant::now());
        let no = ApiError::new(ApiErrorKind::Permission, "no");
        rights.refuse(place(None, 3), &no, now);
        assert!(rights.refused(place(None, 3), now).is_some());
        assert!(rights.refused(place(None, 4), now).is_none());
        rights.refuse(place(None, 3), &no, now);
        assert!(rights.refused(place(None, 4), now).is_none(), "that call was under way when the person asked");
        rights.refuse(place(None, 4), &no, now);
        assert!(rights.refused(place(None, 4), now).is_some());
    }

    #[test]
    fn the_missing_right_is_the_one_that_the_service_names_or_else_the_one_that_the_action_needs() {
        let refusal = |details: serde_json::Value| {
            let body = json!({"data": [{"attributes": {"code": "INSUFFICIENT_PERMISSIONS", "details": details}}]});
            ApiError::from_answer(403, Some(&body))
        };
        for (needed, details, right) in [
            (Right::Move, json!({"action": "update"}), "update"),
            (Right::Move, json!({"action": "move_to_upload_collection"}), "move_to_upload_collection"),
            (Right::Move, json!({"action": 7}), "move"),
            (Right::Move, json!({"action": "a \"word\""}), "move"),
            (Right::Move, json!({}), "move"),
            (Right::Replace, json!(null), "replace_asset"),
            (Right::Update, json!({"action": "update"}), "update"),
            (Right::Delete, json!({"action": "read"}), "read"),
        ] {
            assert_eq!(right_for(needed, &refusal(details.clone())), right, "{needed:?} {details}");
        }
    }
}
