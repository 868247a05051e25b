//! The listing of everything, beside the mirrors' workers: no save waits for its pages.
//!
//! Owns: asking whether it is due, and making it. Never does: deciding when (that is `listing_schedule` and
//! `full_listing`), or taking anything for gone. What it finds makes rows dirty, which workers take up within seconds.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::api_backoff::ApiBackoff;
use super::listing_schedule::{Facts, ListingSchedule, Step};
use crate::error::RunError;
use crate::sync::list_remote::RefreshError;
use crate::sync::session::Session;

/// Lists everything whenever that is due, until it is stopped.
///
/// # Errors
/// The index's, and what no waiting heals: another environment became the primary one, or access is refused.
pub async fn list_now_and_then(
    session: Arc<Session>,
    api_backoff: Arc<ApiBackoff>,
    stop: CancellationToken,
) -> Result<(), RunError> {
    let mut schedule = ListingSchedule::default();
    loop {
        let nap = tokio::select! {
            nap = list_when_due(&session, &api_backoff, &mut schedule) => nap?,
            () = stop.cancelled() => return Ok(()),
        };
        tokio::select! {
            () = tokio::time::sleep(nap) => {}
            () = stop.cancelled() => return Ok(()),
        }
    }
}

/// Lists everything if that is due; returns in how long to ask again.
async fn list_when_due(
    session: &Session,
    api_backoff: &ApiBackoff,
    schedule: &mut ListingSchedule,
) -> Result<Duration, RunError> {
    let facts = if session.knows_remote().await? {
        let due_in = session.full_listing_due_in(Timestamp::now()).await?;
        Facts::Known { due_in, api_is_down: api_backoff.since().is_some() }
    } else {
        Facts::RemoteUnknown(session.rhythm.interval)
    };
    if let Step::AskIn(nap) = schedule.decide(facts) {
        return Ok(nap);
    }
    match session.list_beside().await {
        Ok(()) => Ok(schedule.ended(false)),
        Err(RefreshError::Index(error)) => Err(error.into()),
        Err(RefreshError::Api(error)) if error.is_access() || error.is_promotion() => Err(error.into()),
        Err(RefreshError::Api(error)) => {
            // A worker that needs the API tells of an outage; this can wait.
            tracing::debug!("the listing of everything broke off and is begun anew later: {error}");
            Ok(schedule.ended(true))
        }
    }
}
