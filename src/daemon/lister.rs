//! The listing of everything, beside the keepers: no save waits for its pages.
//!
//! Owns: asking when it is due, and the pauses after one that failed. Never does: deciding what is due (that is
//! `full_listing`), or taking anything for gone. What it finds makes rows dirty, which keepers take up within seconds.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::outage::Outage;
use crate::error::RunError;
use crate::sync::list_remote::RefreshError;
use crate::sync::session::Session;

/// The wall clock is looked at so often at least: a machine that slept, or whose clock was set, is not late by more.
const LONGEST_NAP: Duration = Duration::from_secs(15 * 60);
/// However short the interval is.
const SHORTEST_NAP: Duration = Duration::from_secs(1);
/// Until the first look at the remote has listed everything there is nothing to list once more.
const FIRST_NAP: Duration = Duration::from_secs(30);
/// After a listing that failed; doubled each time, up to the longest.
const AFTER_FAILURE: Duration = Duration::from_secs(60);
const LONGEST_AFTER_FAILURE: Duration = Duration::from_secs(3600);

/// Lists everything whenever that is due, until it is stopped.
///
/// # Errors
/// The index's, and what no waiting heals: another environment became the primary one, or access is refused.
pub async fn list_now_and_then(
    session: Arc<Session>,
    outage: Arc<Outage>,
    stop: CancellationToken,
) -> Result<(), RunError> {
    let mut failures = 0;
    loop {
        let nap = tokio::select! {
            nap = list_when_due(&session, &outage, &mut failures) => nap?,
            () = stop.cancelled() => return Ok(()),
        };
        tokio::select! {
            () = tokio::time::sleep(nap) => {}
            () = stop.cancelled() => return Ok(()),
        }
    }
}

/// Lists everything if that is due; returns in how long to ask again.
async fn list_when_due(session: &Session, outage: &Outage, failures: &mut u32) -> Result<Duration, RunError> {
    if !session.knows_remote().await? {
        return Ok(session.rhythm.interval.clamp(SHORTEST_NAP, FIRST_NAP));
    }
    let wait = session.full_listing_due_in(Timestamp::now()).await?.unwrap_or(LONGEST_NAP);
    if !wait.is_zero() {
        return Ok(wait.clamp(SHORTEST_NAP, LONGEST_NAP));
    }
    if outage.since().is_some() {
        return Ok(AFTER_FAILURE);
    }
    match session.list_beside().await {
        Ok(()) => {
            *failures = 0;
            Ok(SHORTEST_NAP)
        }
        Err(RefreshError::Index(error)) => Err(error.into()),
        Err(RefreshError::Api(error)) if error.is_access() || error.is_promotion() => Err(error.into()),
        Err(RefreshError::Api(error)) => {
            // A keeper that needs the API tells of an outage; this can wait.
            tracing::debug!("the listing of everything broke off and is begun anew later: {error}");
            let pause = pause(*failures);
            *failures = failures.saturating_add(1);
            Ok(pause)
        }
    }
}

fn pause(failures: u32) -> Duration {
    AFTER_FAILURE.saturating_mul(1 << failures.min(6)).min(LONGEST_AFTER_FAILURE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listing_that_fails_is_begun_anew_after_pauses_that_grow() {
        let minutes: Vec<u64> = (0..8).map(|failures| pause(failures).as_secs() / 60).collect();
        assert_eq!(minutes, [1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(pause(u32::MAX), LONGEST_AFTER_FAILURE);
    }
}
