//! What the token may not do, for people, and for whom it is known.
//!
//! Owns: which right an action needs, the words for one that is missing, and that a right to make assets which was
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

/// The collections in which no asset may be made, as the service said of late; `None`: outside of any.
#[derive(Debug, Default)]
pub struct Rights(Mutex<HashMap<Option<CollectionId>, (Instant, ApiError)>>);

impl Rights {
    /// Why no asset may be made there, if that is known.
    pub(super) fn refused(&self, collection: Option<&str>, now: Instant) -> Option<ApiError> {
        let refused = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, error) = refused.get(&collection.map(str::to_owned))?;
        (now.saturating_duration_since(*at) < HOLDS).then(|| error.clone())
    }

    /// A person wants it tried again: the right may have been given.
    pub fn forget(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// No asset may be made there.
    pub(super) fn refuse(&self, collection: Option<&str>, error: &ApiError, now: Instant) {
        if error.kind == ApiErrorKind::Permission {
            let mut refused = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            refused.insert(collection.map(str::to_owned), (now, error.clone()));
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
    let right = right.as_str();
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
    use super::*;

    #[test]
    fn a_right_refused_in_one_collection_is_known_there_and_for_a_while() {
        let (rights, now) = (Rights::default(), Instant::now());
        rights.refuse(Some("a"), &ApiError::new(ApiErrorKind::Permission, "no"), now);
        rights.refuse(None, &ApiError::new(ApiErrorKind::Network, "no"), now);
        assert!(rights.refused(Some("a"), now).is_some());
        assert!(rights.refused(Some("b"), now).is_none() && rights.refused(None, now).is_none());
        assert!(rights.refused(Some("a"), now + HOLDS).is_none());
        rights.forget();
        assert!(rights.refused(Some("a"), now).is_none());
    }
}
