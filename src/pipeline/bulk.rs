//! The same change of many assets with few calls.
//!
//! Owns: the bulk calls and their proof. Its answer tells only numbers, so the assets are read back by id. Called by:
//! `pipeline::pass`, for edits that do nothing else.

use std::collections::HashMap;

use tokio_util::sync::CancellationToken;

use crate::index::{FileRow, IndexError, Problem, assets};
use crate::model::{Asset, MirrorStamp, UploadId};
use crate::remote::{ListQuery, Scope};

use super::edit::BulkChange;
use super::execute::{Executor, Failure};
use super::plan::{Action, Plan};

/// Assets a call takes at most. Source: media-area-api.md "Bulk".
pub const AT_ONCE: usize = 200;

/// One asset that gets the change.
#[derive(Debug, Clone)]
pub struct BulkItem {
    /// The asset.
    pub asset: UploadId,
    /// The row of the path that asked.
    pub row: FileRow,
    /// Its plan.
    pub plan: Plan,
}

/// Makes `change` to all assets of `group`; one outcome for each. `mirror` is its row in the index.
pub async fn send_bulk(
    executor: &Executor,
    mirror: i64,
    change: &BulkChange,
    group: Vec<BulkItem>,
    cancel: &CancellationToken,
) -> Vec<(BulkItem, Result<Option<Box<Asset>>, Failure>)> {
    if cancel.is_cancelled() {
        return group.into_iter().map(|item| (item, Err(Failure::Stopped))).collect();
    }
    // A single one is a plain change: one call, and its stamp comes along.
    if let [only] = group.as_slice() {
        let result = executor.execute(&only.row, &only.plan.action, None, cancel).await;
        return group.into_iter().zip([result]).collect();
    }
    let intended = group
        .iter()
        .filter_map(|item| match &item.plan.action {
            Action::Retag { edit, .. } => Some((item.asset.clone(), Some(edit.entry.clone()))),
            _ => None,
        })
        .collect();
    if let Err(error) = intend(executor, mirror, intended).await {
        tracing::warn!(%error, "the index cannot take the intent: nothing is sent");
        return group.into_iter().map(|item| (item, Err(Failure::Stopped))).collect();
    }
    let ids: Vec<UploadId> = group.iter().map(|item| item.asset.clone()).collect();
    let outcome = match change {
        BulkChange::Tags(tags) => executor.remote.bulk_tag(&ids, tags).await,
        BulkChange::Collection(id) => executor.remote.bulk_set_collection(&ids, id.as_ref()).await,
    };
    let found = read_back(executor, &ids).await;
    if let Ok(found) = &found {
        let undone = |id: &&UploadId| found.get(*id).is_some_and(|asset| !change.shows(asset));
        let undone = ids.iter().filter(undone).map(|id| (id.clone(), None)).collect();
        if let Err(error) = intend(executor, mirror, undone).await {
            tracing::warn!(%error, "an intent that came to nothing stays in the index");
        }
    }
    group
        .into_iter()
        .map(|item| {
            let result = match (&outcome, &found) {
                (_, Ok(found)) => match found.get(&item.asset) {
                    Some(asset) if change.shows(asset) => Ok(Some(Box::new(asset.clone()))),
                    Some(_) => Err(match &outcome {
                        Err(error) if error.is_about_collection() => Failure::Collection,
                        Err(error) if error.scope() == Scope::All => Failure::All(error.clone()),
                        Err(error) => problem(error.to_string(), error.advice(), error.heals()),
                        Ok(_) => problem(
                            "the service did not make the change to this asset".into(),
                            "it is tried again; see whether the token may change it",
                            true,
                        ),
                    }),
                    None => Err(Failure::Replan),
                },
                (_, Err(error)) => Err(Failure::All(error.clone())),
            };
            (item, result)
        })
        .collect()
}

async fn intend(
    executor: &Executor,
    mirror: i64,
    entries: Vec<(UploadId, Option<MirrorStamp>)>,
) -> Result<(), IndexError> {
    executor.index.call(move |conn| assets::set_intended(conn, mirror, &entries)).await
}

async fn read_back(executor: &Executor, ids: &[UploadId]) -> Result<HashMap<UploadId, Asset>, crate::remote::ApiError> {
    let mut found = HashMap::new();
    for chunk in ids.chunks(executor.remote.batch_limits().ids) {
        let page = executor.remote.list(&ListQuery::ids(chunk.to_vec())).await?;
        found.extend(page.assets.into_iter().map(|asset| (asset.id.clone(), asset)));
    }
    Ok(found)
}

fn problem(cause: String, advice: &str, retry: bool) -> Failure {
    Failure::Path { problem: Problem { action: "retag".into(), cause, advice: advice.into() }, retry }
}
