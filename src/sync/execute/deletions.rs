//! Deleting many assets with few calls.
//!
//! Owns: that all of them are looked at in one listing with the call's permit in hand, on the disk as well, and that
//! each outcome is told by itself: the call tells only numbers, so unless they are those of all, the assets are looked
//! for by id, and one that is left goes the way of a single deletion, which tells why. Chooses nothing.

use std::collections::HashSet;

use tokio_util::sync::CancellationToken;

use super::look::Attempts;
use super::{Executed, Execution, Executor, Failure, failed};
use crate::index::intents::IntentKind;
use crate::model::{ActionKind, UploadId};
use crate::remote::{ApiErrorKind, BulkOutcome, ListQuery, NotDone};
use crate::sync::execute::bulk::{AT_ONCE, BulkItem};

/// One deletion, with the note of what is about to be done.
struct Deletion {
    item: Execution,
    id: UploadId,
    intent: i64,
}

impl Executor {
    /// Deletes the assets of `group` that nothing uses and that are as planned when they are looked at last; one outcome for
    /// each.
    pub async fn delete_all(&self, group: Vec<BulkItem>, cancel: &CancellationToken) -> Vec<Executed> {
        let mut rest: Vec<Execution> = group.into_iter().map(|item| Execution::new(item.row, item.plan)).collect();
        let mut ended = Vec::new();
        let mut most = AT_ONCE;
        while !rest.is_empty() {
            // All that one call deletes are looked at in one listing.
            let batch = most.min(self.remote.bulk_limit()).min(self.remote.batch_limits().ids);
            let after = rest.split_off(rest.len().min(batch.max(1)));
            let part = std::mem::replace(&mut rest, after);
            let size = part.len();
            let again = self.delete_part(part, cancel, &mut ended).await;
            if !again.is_empty() {
                most = (size / 2).max(1);
                rest.splice(0..0, again);
            }
        }
        ended
    }

    /// One call, and its proof. Gives those back that are to be sent with fewer others.
    async fn delete_part(
        &self,
        mut part: Vec<Execution>,
        cancel: &CancellationToken,
        ended: &mut Vec<Executed>,
    ) -> Vec<Execution> {
        if cancel.is_cancelled() {
            ended.extend(part.into_iter().map(|item| item.ended(Err(Failure::Stopped))));
            return Vec::new();
        }
        if part.len() == 1
            && let Some(Execution { row, plan, .. }) = part.pop()
        {
            ended.push(self.execute(row, plan, None, cancel).await);
            return Vec::new();
        }
        let mut due = Vec::new();
        for item in part {
            let Some(id) = item.plan.action.asset().cloned() else {
                ended.push(item.ended(Err(Failure::Replan)));
                continue;
            };
            match self.begin(&item.row, &id, IntentKind::Delete, None, None).await {
                Ok(intent) => due.push(Deletion { item, id, intent }),
                Err(failure) => ended.push(item.ended(Err(failure))),
            }
        }
        let mut attempts = Attempts::default();
        let again = loop {
            match self.send_deletions(&mut due, &mut attempts, ended).await {
                Sent::Again => {}
                Sent::Split => break std::mem::take(&mut due),
                Sent::Done | Sent::All => break Vec::new(),
            }
        };
        for deletion in due {
            self.end_deletion(deletion, ended).await;
        }
        let mut halves = Vec::new();
        for Deletion { item, intent, .. } in again {
            match self.end(intent).await {
                Ok(()) => halves.push(item),
                Err(failure) => ended.push(item.ended(Err(failure))),
            }
        }
        halves
    }

    /// Looks at all that are due, and deletes those that are still to be. What is left in `due` was sent.
    async fn send_deletions(
        &self,
        due: &mut Vec<Deletion>,
        attempts: &mut Attempts,
        ended: &mut Vec<Executed>,
    ) -> Sent {
        self.keep_back(due, ended).await;
        let ids: Vec<UploadId> = due.iter().map(|deletion| deletion.id.clone()).collect();
        if ids.is_empty() {
            return Sent::Done;
        }
        let (mut seen, permit) = match self.last_look.at_unused(&ids).await {
            Ok(looked) => looked,
            Err(error) => {
                for deletion in due.drain(..) {
                    self.close(deletion, Err(failed(ActionKind::Delete, error.clone())), ended).await;
                }
                return Sent::Done;
            }
        };
        let mut unseen = Vec::new();
        for mut deletion in std::mem::take(due) {
            let planned = deletion.item.plan.action.before().cloned();
            match (planned, seen.remove(&deletion.id)) {
                (Some(planned), Some(now)) if now.updated_at >= planned.updated_at => {
                    match self.plan_deletion_again(&mut deletion.item, &planned, now).await {
                        Ok(()) => due.push(deletion),
                        Err(failure) => self.close(deletion, Err(failure), ended).await,
                    }
                }
                _ => unseen.push(deletion),
            }
        }
        self.keep_back(due, ended).await;
        let ids: Vec<UploadId> = due.iter().map(|deletion| deletion.id.clone()).collect();
        let sent = match ids.len() {
            0 => Sent::Done,
            _ => match self.remote.bulk_destroy_in(permit, &ids).await {
                Ok(outcome) if outcome == (BulkOutcome { successful: ids.len() as u64, failed: 0 }) => Sent::All,
                Ok(_) => Sent::Done,
                // A right that is missing for one asset is not missing for the others: fewer show for which.
                Err(NotDone::Final(error))
                    if (error.is_too_many() || error.kind == ApiErrorKind::Permission) && ids.len() > 1 =>
                {
                    Sent::Split
                }
                Err(error) => match self.again(error, attempts).await {
                    Ok(()) => Sent::Again,
                    // What became of each is looked at, also where nobody knows.
                    Err(error) => {
                        tracing::debug!(%error, assets = ids.len(), "a bulk deletion was not answered well");
                        Sent::Done
                    }
                },
            },
        };
        // In use, gone, or the listing lags behind: each for itself.
        let looks = unseen.into_iter().map(|mut deletion| async move {
            let planned = deletion.item.plan.action.before().cloned();
            let result = match planned {
                Some(planned) => self.delete_what_does_not_show(&mut deletion.item, planned, deletion.intent).await,
                None => Err(Failure::Replan),
            };
            (deletion, result)
        });
        for (deletion, result) in futures_util::future::join_all(looks).await {
            self.close(deletion, result, ended).await;
        }
        match sent {
            Sent::All => {
                for deletion in due.drain(..) {
                    self.close_deleted(deletion, ended).await;
                }
            }
            Sent::Done if !ids.is_empty() => self.prove(due, &ids, ended).await,
            Sent::Done | Sent::Again | Sent::Split => {}
        }
        sent
    }

    /// Those that are gone are deleted. What stays in `due` is there still.
    async fn prove(&self, due: &mut Vec<Deletion>, ids: &[UploadId], ended: &mut Vec<Executed>) {
        let page = match self.remote.list(&ListQuery::ids(ids.to_vec())).await {
            Ok(page) => page,
            Err(error) => {
                for deletion in due.drain(..) {
                    self.close(deletion, Err(failed(ActionKind::Delete, error.clone())), ended).await;
                }
                return;
            }
        };
        let left: HashSet<UploadId> = page.assets.into_iter().map(|asset| asset.id).collect();
        for deletion in std::mem::take(due) {
            if left.contains(&deletion.id) {
                due.push(deletion);
            } else {
                self.close_deleted(deletion, ended).await;
            }
        }
    }

    async fn close_deleted(&self, deletion: Deletion, ended: &mut Vec<Executed>) {
        self.room.freed().await;
        self.close(deletion, Ok(()), ended).await;
    }

    /// What a call for many left there: a call of its own tells why.
    async fn end_deletion(&self, mut deletion: Deletion, ended: &mut Vec<Executed>) {
        let result = self.delete_unused(&mut deletion.item, deletion.intent).await;
        self.close(deletion, result, ended).await;
    }

    /// Those whose files are there again have ended.
    async fn keep_back(&self, due: &mut Vec<Deletion>, ended: &mut Vec<Executed>) {
        if self.still_gone(due.iter().map(|deletion| deletion.item.planned())).await.is_ok() {
            return;
        }
        for deletion in std::mem::take(due) {
            match self.still_gone([deletion.item.planned()]).await {
                Ok(()) => due.push(deletion),
                Err(failure) => self.close(deletion, Err(failure), ended).await,
            }
        }
    }

    async fn close(&self, deletion: Deletion, result: Result<(), Failure>, ended: &mut Vec<Executed>) {
        let closed = self.end(deletion.intent).await;
        ended.push(deletion.item.ended(closed.and(result).map(|()| None)));
    }
}

enum Sent {
    /// It was not executed, and is tried again.
    Again,
    /// It is to be sent in parts.
    Split,
    /// It was sent.
    Done,
    /// It was sent, and the service counts each of them as deleted.
    All,
}
