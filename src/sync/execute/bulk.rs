//! The same change of many assets with few calls.
//!
//! Owns: the bulk calls and their proof. Its answer tells only numbers, so the assets are read back by id.

use std::collections::HashMap;

use tokio_util::sync::CancellationToken;

use crate::index::{FileRow, IndexError, Problem, assets};
use crate::model::{ActionKind, Advice, Asset, MirrorStamp, UploadId};
use crate::remote::{ApiError, ApiErrorKind, BulkOutcome, CallPermit, ListQuery, NotDone, Scope, advice};

use crate::sync::execute::{Attempts, Executed, Execution, Executor, Failure};
use crate::sync::plan::Plan;
use crate::sync::plan::edit::BulkChange;

/// Assets a call takes at most. Source: media-area-api.md "Bulk".
pub const AT_ONCE: usize = 200;

/// One asset that gets the change.
#[derive(Debug, Clone)]
pub struct BulkItem {
    /// The row of the path that asked.
    pub row: FileRow,
    /// Its plan.
    pub plan: Plan,
}

/// Makes `change` to all assets of `group` that still need it when they are looked at last; one outcome for each. `mirror`
/// is its row in the index. Where the service takes fewer at once, each part is looked at by itself.
pub async fn send_bulk(
    executor: &Executor,
    mirror: i64,
    change: &BulkChange,
    group: Vec<BulkItem>,
    cancel: &CancellationToken,
) -> Vec<Executed> {
    let mut rest: Vec<Execution> = group.into_iter().map(|item| Execution::new(item.row, item.plan)).collect();
    let mut ended = Vec::new();
    // What a move may undo is looked at in one listing, with the call's permit in hand; tags are only added.
    let looked_at_once = || match change {
        BulkChange::Collection(_) => executor.remote.batch_limits().ids,
        BulkChange::Tags(_) => AT_ONCE,
    };
    let mut most = AT_ONCE;
    while !rest.is_empty() {
        let after = rest.split_off(rest.len().min(most).min(executor.remote.bulk_limit()).min(looked_at_once()));
        let part = std::mem::replace(&mut rest, after);
        let size = part.len();
        let too_many = send_part(executor, mirror, change, part, cancel, &mut ended).await;
        if !too_many.is_empty() {
            most = (size / 2).max(1);
            rest.splice(0..0, too_many);
        }
    }
    ended
}

/// One call, and its proof. Gives those back that are too many for one.
async fn send_part(
    executor: &Executor,
    mirror: i64,
    change: &BulkChange,
    mut group: Vec<Execution>,
    cancel: &CancellationToken,
    ended: &mut Vec<Executed>,
) -> Vec<Execution> {
    if cancel.is_cancelled() {
        ended.extend(group.into_iter().map(|item| item.ended(Err(Failure::Stopped))));
        return Vec::new();
    }
    // A single one is a plain change: one call, and its stamp comes along.
    if group.len() == 1
        && let Some(Execution { row, plan, .. }) = group.pop()
    {
        ended.push(executor.execute(row, plan, None, cancel).await);
        return Vec::new();
    }
    let mut attempts = Attempts::default();
    let (outcome, ids) = loop {
        let permit = match look(executor, change, &mut group, ended).await {
            Ok(permit) => permit,
            Err(error) => {
                ended.extend(group.into_iter().map(|item| item.ended(Err(Failure::All(error.clone())))));
                return Vec::new();
            }
        };
        if group.is_empty() {
            return Vec::new();
        }
        let ids: Vec<UploadId> = group.iter().map(id_of).collect();
        let entry = |item: &Execution| item.plan.action.edit().map(|edit| (id_of(item), Some(edit.entry.clone())));
        if let Err(error) = intend(executor, mirror, group.iter().filter_map(entry).collect()).await {
            tracing::warn!(%error, "the index cannot take the intent: nothing is sent");
            ended.extend(group.into_iter().map(|item| item.ended(Err(Failure::Stopped))));
            return Vec::new();
        }
        let sent = match change {
            // Tags are only added: to do so twice, or late, takes nothing from anybody.
            BulkChange::Tags(tags) => executor.remote.bulk_tag_in(permit, &ids, tags).await.map_err(NotDone::Final),
            BulkChange::Collection(id) => executor.remote.bulk_set_collection_in(permit, &ids, id.as_ref()).await,
        };
        match sent {
            Ok(outcome) => break (Ok(outcome), ids),
            // A right that is missing for one asset is not missing for the others: fewer show for which.
            Err(NotDone::Final(error))
                if (error.is_too_many() || error.kind == ApiErrorKind::Permission) && group.len() > 1 =>
            {
                intend_nothing(executor, mirror, ids.iter()).await;
                return group;
            }
            Err(error) => match executor.again(error, &mut attempts).await {
                Ok(()) => {}
                Err(error) => break (Err(error), ids),
            },
        }
    };
    let found = read_back(executor, &ids).await;
    if let Ok(found) = &found {
        let undone = |id: &&UploadId| found.get(*id).is_some_and(|asset| !change.shows(asset));
        intend_nothing(executor, mirror, ids.iter().filter(undone)).await;
    }
    for item in group {
        let seen = found.as_ref().map(|found| found.get(&id_of(&item)));
        let result = match &seen {
            // Left out of the call for a reason of its own, which only a call of its own tells.
            Ok(Some(asset)) if outcome.is_ok() && !change.shows(asset) && ids.len() > 1 => {
                let Execution { row, plan, .. } = item;
                ended.push(executor.execute(row, plan, None, cancel).await);
                continue;
            }
            Ok(asset) => became(change, &outcome, *asset),
            Err(error) => Err(Failure::All((*error).clone())),
        };
        ended.push(item.ended(result));
    }
    Vec::new()
}

fn id_of(item: &Execution) -> UploadId {
    item.plan.action.asset().cloned().unwrap_or_else(|| UploadId::new(""))
}

/// Looks at all assets of `group` with the call's permit in hand. What the change is no longer right for has ended.
async fn look(
    executor: &Executor,
    change: &BulkChange,
    group: &mut Vec<Execution>,
    ended: &mut Vec<Executed>,
) -> Result<CallPermit, ApiError> {
    let ids: Vec<UploadId> = group.iter().map(id_of).collect();
    let (mut seen, permit) = executor.last_look.at_all(&ids).await?;
    for mut item in std::mem::take(group) {
        let now = match seen.remove(&id_of(&item)) {
            Some(now) => Some(now),
            // The listing may lag behind.
            None => executor.remote.find(&id_of(&item)).await?,
        };
        let looked = match now {
            Some(now) if item.plan.action.before() == Some(&now) => Ok(()),
            Some(now) => executor.plan_again(&mut item, Some(now), None).await,
            None => {
                let id = id_of(&item);
                let removed = executor.index.call(move |conn| assets::remove(conn, &id)).await;
                removed.map_err(Failure::from).and(Err(Failure::Replan))
            }
        };
        let still = item.plan.action.edit().and_then(crate::sync::plan::edit::Edit::in_bulk);
        match looked {
            Ok(()) if still.as_ref() == Some(change) => group.push(item),
            Ok(()) => ended.push(item.ended(Err(Failure::Replan))),
            Err(failure) => ended.push(item.ended(Err(failure))),
        }
    }
    keep_gone(executor, group, ended).await;
    Ok(permit)
}

/// Those that are to be tagged because their files are gone, and whose files are there again, have ended.
async fn keep_gone(executor: &Executor, group: &mut Vec<Execution>, ended: &mut Vec<Executed>) {
    if executor.still_gone(group.iter().map(Execution::planned)).await.is_ok() {
        return;
    }
    for item in std::mem::take(group) {
        match executor.still_gone([item.planned()]).await {
            Ok(()) => group.push(item),
            Err(failure) => ended.push(item.ended(Err(failure))),
        }
    }
}

/// What the change came to for one asset, as it is now.
fn became(
    change: &BulkChange,
    outcome: &Result<BulkOutcome, ApiError>,
    asset: Option<&Asset>,
) -> Result<Option<Box<Asset>>, Failure> {
    match (asset, outcome) {
        (None, _) => Err(Failure::Replan),
        (Some(asset), _) if change.shows(asset) => Ok(Some(Box::new(asset.clone()))),
        (_, Err(error)) if error.is_about_collection() => Err(Failure::Collection),
        (_, Err(error)) if error.scope() == Scope::All => Err(Failure::All(error.clone())),
        (_, Err(error)) => Err(problem(error.to_string(), advice(error), error.heals())),
        (_, Ok(_)) => Err(problem(
            "the service did not make the change to this asset".into(),
            Advice::again_then("see whether the token may change it"),
            true,
        )),
    }
}

async fn intend(
    executor: &Executor,
    mirror: i64,
    entries: Vec<(UploadId, Option<MirrorStamp>)>,
) -> Result<(), IndexError> {
    executor.index.call(move |conn| assets::set_intended(conn, mirror, &entries)).await
}

/// What was to be done to these was not.
async fn intend_nothing(executor: &Executor, mirror: i64, ids: impl Iterator<Item = &UploadId>) {
    let undone = ids.map(|id| (id.clone(), None)).collect();
    if let Err(error) = intend(executor, mirror, undone).await {
        tracing::warn!(%error, "an intent that came to nothing stays in the index");
    }
}

async fn read_back(executor: &Executor, ids: &[UploadId]) -> Result<HashMap<UploadId, Asset>, ApiError> {
    let mut found = HashMap::new();
    for chunk in ids.chunks(executor.remote.batch_limits().ids) {
        let page = executor.remote.list(&ListQuery::ids(chunk.to_vec())).await?;
        found.extend(page.assets.into_iter().map(|asset| (asset.id.clone(), asset)));
    }
    Ok(found)
}

fn problem(cause: String, advice: Advice, retry: bool) -> Failure {
    Failure::Path { problem: Problem::new(ActionKind::Retag, cause, advice), retry }
}
