//! Deleting an asset.
//!
//! Owns: that only an asset which is as planned, and which nothing uses, is deleted: seen at the last moment.
//! Chooses nothing.

use super::look::Attempts;
use super::{Execution, Executor, Failure, Right, failed};
use crate::index::intents::IntentKind;
use crate::index::{Problem, assets};
use crate::model::{ActionKind, Asset};
use crate::remote::{Accepted, ApiError, ApiErrorKind, Expect, ListQuery};
use crate::sync::last_look::Purpose;

impl Executor {
    pub(super) async fn delete(&self, execution: &mut Execution) -> Result<(), Failure> {
        let Some(asset) = execution.plan.action.before() else { return Err(Failure::Replan) };
        if execution.row.failures > 0 {
            // It was in use before, as a rule: one call tells that it still is.
            self.not_referenced(asset).await?;
        }
        let intent = self.begin(&execution.row, &asset.id, IntentKind::Delete, None, None).await?;
        let deleted = self.delete_unused(execution, intent).await;
        self.end(intent).await?;
        deleted
    }

    pub(super) async fn delete_unused(&self, execution: &mut Execution, intent: i64) -> Result<(), Failure> {
        let mut attempts = Attempts::default();
        loop {
            let Some(asset) = execution.plan.action.before().cloned() else { return Err(Failure::Replan) };
            self.still_gone([execution.planned()]).await?;
            let seen =
                self.last_look.at(&asset, Purpose::Delete).await.map_err(|error| failed(ActionKind::Delete, error))?;
            let Some(now) = seen.asset else { return self.delete_what_does_not_show(execution, asset, intent).await };
            self.plan_deletion_again(execution, &asset, *now).await?;
            self.still_gone([execution.planned()]).await?;
            match self.remote.destroy_in(seen.permit, &asset.id).await {
                Ok(accepted) => return self.deleted(Ok(accepted), &asset, intent).await,
                Err(error) => match self.again(error, &mut attempts).await {
                    Ok(()) => {}
                    Err(error) => {
                        let is_there = error.is_blocked() && matches!(self.remote.find(&asset.id).await, Ok(Some(_)));
                        if !(is_there && self.once_more(&mut attempts).await) {
                            return self.deleted(Err(error), &asset, intent).await;
                        }
                    }
                },
            }
        }
    }

    /// Another content or another stamp than planned for: whatever the plan is then, this deletion is over.
    pub(super) async fn plan_deletion_again(
        &self,
        execution: &mut Execution,
        planned: &Asset,
        now: Asset,
    ) -> Result<(), Failure> {
        let is_as_planned = (now.md5, &now.stamp) == (planned.md5, &planned.stamp);
        if now != *planned {
            self.plan_again(execution, Some(now), None).await?;
        }
        if is_as_planned { Ok(()) } else { Err(Failure::Replan) }
    }

    /// The listing of unused assets does not have it: it is in use, or gone, or the listing lags behind.
    pub(super) async fn delete_what_does_not_show(
        &self,
        execution: &mut Execution,
        asset: Asset,
        intent: i64,
    ) -> Result<(), Failure> {
        self.not_referenced(&asset).await?;
        let failed = |error| failed(ActionKind::Delete, error);
        let listed = self.remote.list(&ListQuery::ids(vec![asset.id.clone()])).await.map_err(failed)?;
        let lags = listed.assets.first().is_none_or(|listed| listed.updated_at < asset.updated_at);
        let Some(now) = self.remote.find(&asset.id).await.map_err(failed)? else {
            self.index.call(move |conn| assets::remove(conn, &asset.id)).await?;
            return Err(Failure::Replan);
        };
        self.plan_deletion_again(execution, &asset, now).await?;
        // Where no listing tells what is in use, that no record shows it is all there is to know.
        if lags || !self.remote.tells_use() {
            self.still_gone([execution.planned()]).await?;
            return self.deleted(self.remote.destroy(&asset.id).await, &asset, intent).await;
        }
        Err(in_use(
            &asset,
            "in use, and no record shows it: the environment itself uses it (favicon, logo or SEO image)",
            "choose another picture in the environment's settings, or put the file back; it is looked at again by itself",
        ))
    }

    /// Fails, with the records, when records use the asset.
    async fn not_referenced(&self, asset: &Asset) -> Result<(), Failure> {
        let references = match self.remote.references(&asset.id).await {
            Ok(references) => references,
            Err(error) => return self.refused(ActionKind::Delete, Right::Delete, asset, error).await,
        };
        if references.is_empty() {
            return Ok(());
        }
        let records: Vec<&str> = references.iter().take(5).map(|record| record.id.as_str()).collect();
        let more = references.len().saturating_sub(records.len());
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        Err(in_use(
            asset,
            &format!("used by records {}{more}", records.join(", ")),
            "take the asset out of these records, or put the file back",
        ))
    }

    async fn deleted(&self, accepted: Result<Accepted, ApiError>, asset: &Asset, intent: i64) -> Result<(), Failure> {
        let deleted = match accepted {
            Ok(Accepted::Done(_)) => Ok(()),
            Ok(Accepted::Job(job)) => {
                self.note_job(intent, job.as_str()).await;
                self.confirmer.wait(asset.id.clone(), Some(job), Expect::Gone).await.map(drop)
            }
            Err(error) if error.outcome_unknown() => match self.remote.find(&asset.id).await {
                Ok(None) => Ok(()),
                Ok(Some(_)) => Err(error),
                Err(error) => Err(error),
            },
            Err(error) if error.is_not_found() => Ok(()),
            Err(error) => Err(error),
        };
        if deleted.is_ok() {
            self.room.freed().await;
        }
        match deleted {
            Err(error) if error.kind == ApiErrorKind::Permission => {
                self.refused(ActionKind::Delete, Right::Delete, asset, error).await
            }
            deleted => deleted.map_err(|error| failed(ActionKind::Delete, error)),
        }
    }
}

fn in_use(asset: &Asset, how: &str, advice: &'static str) -> Failure {
    Failure::Path {
        problem: Problem::new(
            ActionKind::Delete,
            format!("the file is gone, but its asset {} is {how}: it is not deleted", asset.url),
            advice,
        ),
        retry: true,
    }
}
