//! Calls on many assets at once, collections, and what `doctor` looks at.
//!
//! Owns: the bulk operations, at most 200 assets each, and the small reads.
//! Never does: deciding. Source: media-area-api.md "The rest".
//! Called by: the executor, the planner's observation of collections, `doctor`.

use reqwest::Method;
use serde_json::{Value, json};

use crate::model::{CollectionId, UploadId};

use super::http::Call;
use super::retry::Effect;
use super::{ApiError, CallPermit, NotDone, Remote, wire};

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

/// A limit of the project's plan.
#[derive(Debug, Clone, PartialEq)]
pub struct SubscriptionLimit {
    /// For example `uploadable_bytes`.
    pub code: String,
    /// Used so far.
    pub usage: Option<f64>,
    /// Allowed; `None` for no limit.
    pub limit: Option<f64>,
}

impl Remote {
    /// Adds tags to assets, with the permit in hand; those they have stay.
    ///
    /// # Errors
    /// As [`Remote::site`]. Safe to repeat.
    pub async fn bulk_tag_in(
        &self,
        permit: CallPermit,
        ids: &[UploadId],
        tags: &[String],
    ) -> Result<BulkOutcome, ApiError> {
        let body =
            |ids: &[UploadId]| wire::bulk_body("upload_bulk_tag_operation", ids, Some(json!({"tags": tags})), None);
        let outcome = self.bulk(Some(permit), ids, "tag", Effect::Repeatable, body).await;
        outcome.map_err(|(NotDone::Final(error) | NotDone::Again { error, .. })| error)
    }

    /// Moves assets into a collection, or out of any: sent once, with its permit in hand, since it may move what somebody
    /// else has moved meanwhile. Where the service takes fewer at once than 200, the others follow at once.
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
        let kind = "upload_bulk_set_upload_collection_operation";
        let body = |ids: &[UploadId]| wire::bulk_body(kind, ids, None, Some(target.clone()));
        self.bulk(Some(permit), ids, "set-upload-collection", Effect::Repeatable, body).await
    }

    /// Deletes assets for good. Ask for their references first.
    ///
    /// # Errors
    /// As [`Remote::site`].
    pub async fn bulk_destroy(&self, ids: &[UploadId]) -> Result<BulkOutcome, ApiError> {
        let body = |ids: &[UploadId]| wire::bulk_body("upload_bulk_destroy_operation", ids, None, None);
        let outcome = self.bulk(None, ids, "destroy", Effect::Once, body).await;
        outcome.map_err(|(NotDone::Final(error) | NotDone::Again { error, .. })| error)
    }

    /// One call, or several where the service takes fewer at once than the facts say; each is sent with a permit, and
    /// where the first one is given, sent once.
    async fn bulk(
        &self,
        mut permit: Option<CallPermit>,
        ids: &[UploadId],
        operation: &str,
        effect: Effect,
        body: impl Fn(&[UploadId]) -> Value,
    ) -> Result<BulkOutcome, NotDone> {
        let mut outcome = BulkOutcome::default();
        let (mut rest, mut most) = (ids, usize::MAX);
        while !rest.is_empty() {
            let (batch, after) = rest.split_at(rest.len().min(most).min(self.door.learned.bulk()));
            let call = Call::new(Method::POST, &["uploads", "bulk", operation], effect).body(body(batch));
            let moves = operation == "set-upload-collection";
            let sent = match permit.take() {
                Some(permit) if moves => self.door.result_once(&call, permit).await,
                None if moves => {
                    let permit = self.call_permit(self.budget_permit().await?).await;
                    self.door.result_once(&call, permit).await
                }
                permit => self.door.result_from(&call, permit).await.map_err(NotDone::Final),
            };
            match sent {
                Ok(payload) => {
                    let done = outcome_of(&payload, batch);
                    outcome.successful += done.successful;
                    outcome.failed += done.failed;
                    rest = after;
                }
                Err(NotDone::Final(error)) if error.is_too_many() && batch.len() > 1 => {
                    most = batch.len() / 2;
                    self.door.learned.bulk_is(most);
                    tracing::info!(assets = batch.len(), "too many for one call of the API: half as many are sent");
                }
                Err(error) => return Err(error),
            }
        }
        Ok(outcome)
    }

    /// The records that use an asset.
    ///
    /// # Errors
    /// As [`Remote::site`].
    pub async fn references(&self, id: &UploadId) -> Result<Vec<Reference>, ApiError> {
        let document = self.door.result(&Call::get(&["uploads", id.as_str(), "references"])).await?;
        let records = wire::bare_list(&document)?;
        Ok(records.into_iter().map(|r| Reference { model: r.related("item_type"), id: r.id }).collect())
    }

    /// All collections. The list has no pages.
    ///
    /// # Errors
    /// As [`Remote::site`].
    pub async fn collections(&self) -> Result<Vec<Collection>, ApiError> {
        let document = self.door.result(&Call::get(&["upload-collections"])).await?;
        let collection = |c: wire::Bare| Collection {
            label: text(&c.attributes, "label").unwrap_or_default(),
            parent: c.related("parent"),
            id: c.id,
        };
        Ok(wire::bare_list(&document)?.into_iter().map(collection).collect())
    }

    /// Makes a collection under a client-made id; nothing when the id is taken: by the same one, made before or by
    /// another process, or by one since deleted.
    ///
    /// # Errors
    /// As [`Remote::site`].
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
        let call = Call::new(Method::POST, &["upload-collections"], Effect::Repeatable).body(body);
        match self.door.result(&call).await {
            Ok(_) => {}
            Err(error) if error.is_uniqueness_of_id() => return Ok(None),
            Err(error) => return Err(error),
        }
        Ok(Some(Collection { id: id.to_owned(), label: label.to_owned(), parent: parent.map(str::to_owned) }))
    }

    /// The project's environments.
    ///
    /// # Errors
    /// As [`Remote::site`].
    pub async fn environments(&self) -> Result<Vec<Environment>, ApiError> {
        let document = self.door.result(&Call::get(&["environments"])).await?;
        let primary = |e: &wire::Bare| e.meta.get("primary").and_then(Value::as_bool).unwrap_or(false);
        let environments = wire::bare_list(&document)?;
        Ok(environments.into_iter().map(|e| Environment { primary: primary(&e), id: e.id }).collect())
    }

    /// The limits of the project's plan.
    ///
    /// # Errors
    /// As [`Remote::site`].
    pub async fn subscription_limits(&self) -> Result<Vec<SubscriptionLimit>, ApiError> {
        let document = self.door.result(&Call::get(&["subscription-limits"])).await?;
        let limit = |l: wire::Bare| SubscriptionLimit {
            code: text(&l.attributes, "code").unwrap_or(l.id),
            usage: l.attributes.get("usage").and_then(Value::as_f64),
            limit: l.attributes.get("limit").and_then(Value::as_f64),
        };
        Ok(wire::bare_list(&document)?.into_iter().map(limit).collect())
    }
}

fn text(attributes: &Value, key: &str) -> Option<String> {
    attributes.get(key).and_then(Value::as_str).map(str::to_owned)
}

/// Without counts it is taken at its word; the caller reads back what matters.
fn outcome_of(payload: &Value, ids: &[UploadId]) -> BulkOutcome {
    let (successful, failed) = wire::bulk_outcome(payload).unwrap_or((ids.len() as u64, 0));
    BulkOutcome { successful, failed }
}
