//! The last look before a write, and what it means for the plan.
//!
//! Owns: that nothing is written by a plan which the asset has moved away from: it is planned again, and only a plan that
//! goes on with what was begun is carried out. Chooses nothing itself: planning is `plan`'s.

use super::{Execution, Executor, Failure, failed};
use crate::index::{assets, files, intents};
use crate::model::{ActionKind, Asset};
use crate::remote::{ApiError, CallPermit, NotDone};
use crate::sync::last_look::Purpose;
use crate::sync::metadata_warnings;
use crate::sync::observe::{Company, Looks};

use crate::sync::plan::plan;

/// A write that was not executed is tried so often in all.
pub(super) const ATTEMPTS: u32 = 5;
/// One that other clients' calls had refused, so often.
const REFUSALS: u32 = 10;

/// How often a write was not executed.
#[derive(Debug, Default)]
pub(crate) struct Attempts {
    failed: u32,
    refused: u32,
}

impl Executor {
    /// Whether a write is to be tried again, after a wait where one is needed; else its last word.
    pub(crate) async fn again(&self, error: NotDone, attempts: &mut Attempts) -> Result<(), ApiError> {
        match error {
            NotDone::Final(error) => Err(error),
            NotDone::Again { error, paced: true } => {
                attempts.refused += 1;
                if attempts.refused < REFUSALS { Ok(()) } else { Err(error) }
            }
            NotDone::Again { error, paced: false } => {
                if self.once_more(attempts).await {
                    Ok(())
                } else {
                    Err(error)
                }
            }
        }
    }

    /// Whether a write is tried again that something in between answered, and of which nothing shows. It waits before.
    pub(crate) async fn once_more(&self, attempts: &mut Attempts) -> bool {
        attempts.failed += 1;
        if attempts.failed < ATTEMPTS {
            self.remote.pause(attempts.failed).await;
        }
        attempts.failed < ATTEMPTS
    }

    /// Waits until the write may go out, and looks at its asset then. The write is to be sent at once.
    pub(super) async fn look(&self, execution: &mut Execution, intent: Option<i64>) -> Result<CallPermit, Failure> {
        let action = &execution.plan.action;
        let Some(planned) = action.before() else { return Err(Failure::Replan) };
        let name = action.name().unwrap_or(ActionKind::Retag);
        let seen = self.last_look.at(planned, Purpose::Write).await.map_err(|error| failed(name, error))?;
        let Some(now) = seen.asset else {
            let id = planned.id.clone();
            self.index.call(move |conn| assets::remove(conn, &id)).await?;
            return Err(Failure::Replan);
        };
        if *now != *planned {
            self.plan_again(execution, Some(*now), intent).await?;
        }
        Ok(seen.permit)
    }

    /// What was planned for is so no more: plans again, and goes on if that is still the same action. `now` is the asset as
    /// it was just seen, where it was.
    pub(crate) async fn plan_again(
        &self,
        execution: &mut Execution,
        now: Option<Asset>,
        intent: Option<i64>,
    ) -> Result<(), Failure> {
        let (scope, policy) = (self.scope.clone(), self.policy.clone());
        let (before, begun) = (execution.row.clone(), execution.plan.action.clone());
        let company = Company::taking(execution.plan.members.iter().map(|member| member.row.id));
        let again = self
            .index
            .call(move |conn| {
                now.iter().try_for_each(|now| assets::upsert(conn, now, None).map(drop))?;
                let row = files::by_path(conn, scope.mirror, before.path.key())?.filter(|row| {
                    row.id == before.id
                        && row.md5 == before.md5
                        && row.present == before.present
                        && row.asset == before.asset
                });
                let Some(row) = row else { return Ok(None) };
                let mut looks = Looks::new(conn, &scope, &company);
                let seen = looks.observe(&row)?;
                let plan = plan(&seen, &policy);
                metadata_warnings::keep(&looks, &row, &seen, &plan)?;
                let members = plan.members.iter().map(|member| member.row.id).collect();
                // All that it spoke for, or it is begun anew: none of them is left hanging.
                if !plan.action.goes_on_with(&begun) || company.taking != Some(members) {
                    return Ok(None);
                }
                if let (Some(intent), Some(edit)) = (intent, plan.action.edit()) {
                    intents::set_entry(conn, intent, &edit.entry)?;
                }
                Ok(Some((row, plan)))
            })
            .await?;
        let path = &execution.row.path;
        let Some((row, plan)) = again else {
            tracing::info!(%path, "it is not as it was planned for: it is planned anew");
            return Err(Failure::Replan);
        };
        tracing::debug!(%path, "it is not as it was planned for: what is written follows that");
        let known = execution.plan.conflicts();
        let found = plan.conflicts().iter().filter(|conflict| !known.contains(conflict)).cloned();
        execution.conflicts.extend(found);
        execution.row = row;
        execution.plan = plan;
        Ok(())
    }
}
