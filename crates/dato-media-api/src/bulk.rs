//! Calls on many assets at once, collections, environments, and what uses an asset.
//!
//! Owns: the bulk operations, at most 200 assets each, and the small reads.
//! Never does: deciding. Source: the API's documentation.

use reqwest::Method;
use serde_json::{Value, json};

use crate::{CollectionId, UploadId};

use super::http::Call;
use super::retry::Effect;
use super::{ApiError, CallPermit, Client, NotDone, Stamp, proof, wire};

/// Assets a bulk call takes at most.
pub(super) const BULK_LIMIT: usize = 200;

/// What a bulk call reports: counts, without saying which.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BulkOutcome {
    /// Assets done.
    pub successful: u64,
    /// Assets not done.
    pub failed: u64,
}

/// A folder of the media area.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Collection {
    /// Its id.
    pub id: CollectionId,
    /// Its name.
    pub label: String,
    /// The collection it lies in.
    pub parent: Option<CollectionId>,
}

/// A record that uses an asset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// The record's id.
    pub id: String,
    /// Its model's id.
    pub model: Option<String>,
}

/// An environment of the project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Environment {
    /// Its name.
    pub id: String,
    /// The one that is used when no name is given.
    pub primary: bool,
}

impl<S: Stamp> Client<S> {
    /// How many assets one bulk call takes, as far as is known.
    #[must_use]
    pub fn bulk_limit(&self) -> usize {
        self.transport.learned.bulk()
    }

    /// Adds tags to assets, with the permit in hand; those they have stay. One call: where that is too many at once
    /// ([`ApiError::is_too_many`]), [`Client::bulk_limit`] tells how many may not be.
    ///
    /// # Errors
    /// As [`Client::site`]. Safe to repeat.
    pub async fn bulk_tag_in(
        &self,
        permit: CallPermit,
        ids: &[UploadId],
        tags: &[String],
    ) -> Result<BulkOutcome, ApiError> {
        let body = wire::bulk_body("upload_bulk_tag_operation", ids, Some(json!({"tags": tags})), None);
        let call = bulk_call("tag", Effect::Idempotent, body);
        let sent = self.transport.result_from(&call, Some(permit)).await.map_err(NotDone::Final);
        self.told_of(ids, sent).map_err(|(NotDone::Final(error) | NotDone::Again { error, .. })| error)
    }

    /// Moves assets into a collection, or out of any: one call, sent once, with its permit in hand, since it may move what
    /// somebody else has moved meanwhile. Too many at once: as [`Client::bulk_tag_in`].
    ///
    /// # Errors
    /// See [`NotDone`].
    pub async fn bulk_set_collection_in(
        &self,
        permit: CallPermit,
        ids: &[UploadId],
        collection: Option<&CollectionId>,
    ) -> Result<BulkOutcome, NotDone> {
        let target = collection.map_or(Value::Null, |id| json!({"type": "upload_collection", "id": id}));
        let body = wire::bulk_body("upload_bulk_set_upload_collection_operation", ids, None, Some(target));
        let call = bulk_call("set-upload-collection", Effect::Idempotent, body);
        self.told_of(ids, self.transport.result_once(&call, permit).await)
    }

    /// Deletes assets for good: one call, sent once, with its permit in hand. What each of them came to, a look tells. Too
    /// many at once: as [`Client::bulk_tag_in`].
    ///
    /// # Errors
    /// See [`NotDone`].
    pub async fn bulk_destroy_in(&self, permit: CallPermit, ids: &[UploadId]) -> Result<BulkOutcome, NotDone> {
        let call = bulk_call(
            "destroy",
            Effect::NonIdempotent,
            wire::bulk_body("upload_bulk_destroy_operation", ids, None, None),
        );
        self.told_of(ids, self.transport.result_once(&call, permit).await)
    }

    /// Learns from a refusal how many are too many.
    fn told_of(&self, ids: &[UploadId], sent: Result<Value, NotDone>) -> Result<BulkOutcome, NotDone> {
        match sent {
            Ok(payload) => Ok(outcome_of(&payload)),
            Err(error) => {
                if let (NotDone::Final(refusal), true) = (&error, ids.len() > 1)
                    && refusal.is_too_many()
                {
                    self.transport.learned.bulk_is(ids.len() / 2);
                    tracing::info!(assets = ids.len(), "too many for one call of the API: half as many are sent");
                }
                Err(error)
            }
        }
    }

    /// The records that use an asset, in the version that is published or in the one that is edited.
    ///
    /// # Errors
    /// As [`Client::site`].
    pub async fn references(&self, id: &UploadId) -> Result<Vec<Reference>, ApiError> {
        let document = self
            .transport
            .result(&Call::get(&["uploads", id.as_str(), "references"]).query("version=published-or-current"))
            .await?;
        let records = wire::bare_list(&document)?;
        Ok(records.into_iter().map(|r| Reference { model: r.related("item_type"), id: r.id }).collect())
    }

    /// All collections. The list has no pages.
    ///
    /// # Errors
    /// As [`Client::site`].
    pub async fn collections(&self) -> Result<Vec<Collection>, ApiError> {
        let document = self.transport.result(&Call::get(&["upload-collections"])).await?;
        let collection = |c: wire::Bare| Collection {
            label: text(&c.attributes, "label").unwrap_or_default(),
            parent: c.related("parent"),
            id: c.id,
        };
        Ok(wire::bare_list(&document)?.into_iter().map(collection).collect())
    }

    /// Makes a collection under a client-made id; nothing when the id is taken: by the same one, made before or by
    /// another process, or by one since deleted. A refusal that does not say so may still mean that: see
    /// [`ApiError::may_be_of_the_id`].
    ///
    /// # Errors
    /// As [`Client::site`].
    pub async fn create_collection(
        &self,
        id: &str,
        label: &str,
        parent: Option<&str>,
    ) -> Result<Option<Collection>, ApiError> {
        let mut data = json!({"type": "upload_collection", "id": id, "attributes": {"label": label}});
        if let Some(parent) = parent {
            data["relationships"] = json!({"parent": {"data": {"type": "upload_collection", "id": parent}}});
        }
        let body = json!({"data": data});
        let call = Call::new(Method::POST, &["upload-collections"], Effect::Idempotent).body(body);
        match self.transport.result(&call).await {
            Ok(document) => {
                if let Err(error) = proof::is_about(&document, "upload_collection", id)
                    && !self.collections().await?.iter().any(|collection| collection.id == id)
                {
                    return Err(error);
                }
            }
            Err(error) if error.is_uniqueness_of_id() => return Ok(None),
            Err(error) => return Err(error),
        }
        Ok(Some(Collection { id: id.to_owned(), label: label.to_owned(), parent: parent.map(str::to_owned) }))
    }

    /// The project's environments.
    ///
    /// # Errors
    /// As [`Client::site`].
    pub async fn environments(&self) -> Result<Vec<Environment>, ApiError> {
        let document = self.transport.result(&Call::get(&["environments"])).await?;
        let primary = |e: &wire::Bare| e.meta.get("primary").and_then(Value::as_bool).unwrap_or(false);
        let environments = wire::bare_list(&document)?;
        Ok(environments.into_iter().map(|e| Environment { primary: primary(&e), id: e.id }).collect())
    }
}

fn bulk_call(operation: &str, effect: Effect, body: Value) -> Call {
    Call::new(Method::POST, &["uploads", "bulk", operation], effect).body(body)
}

fn text(attributes: &Value, key: &str) -> Option<String> {
    attributes.get(key).and_then(Value::as_str).map(str::to_owned)
}

/// An answer without counts claims nothing: the caller reads back what matters.
fn outcome_of(payload: &Value) -> BulkOutcome {
    let (successful, failed) = wire::bulk_outcome(payload).unwrap_or_default();
    BulkOutcome { successful, failed }
}
