//! An API that is in trouble, seen by several mirrors at once: one of them asks, all of them wait, and the log has one
//! line when it begins and one when it ends.
//!
//! Owns: how long to wait before the next try. An API that answers reads and refuses writes looks well to whoever only
//! asks, so it counts as well again only when a pass came through.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::backoff::Backoff;
use crate::remote::{ApiError, ApiErrorKind, advice};
use crate::sync::session::{Session, reach};

/// How often a spent budget is looked at again: a new month, or a new configuration.
const BUDGET_PAUSE: Duration = Duration::from_secs(600);
/// The pauses between two tries.
const PAUSES: Backoff = Backoff { first: Duration::from_secs(1), longest: Duration::from_secs(300) };

/// Has the mirrors of a daemon wait for the API together.
#[derive(Debug, Default)]
pub struct ApiBackoff {
    asking: tokio::sync::Mutex<()>,
    state: Mutex<Outage>,
}

/// The trouble that the API is in. Time is a parameter.
#[derive(Debug, Default)]
struct Outage {
    since: Option<(Instant, Timestamp)>,
    /// Tries since then.
    tries: u32,
    /// Waits that ended, in the whole life of the daemon.
    waits_ended: u64,
}

impl Outage {
    /// A call failed at `now`, which is `at` by the wall clock: notes one more try. Returns whether the trouble is new, and
    /// how long to wait before the next try.
    fn failed(&mut self, kind: ApiErrorKind, now: Instant, at: Timestamp) -> (bool, Duration) {
        let is_new = self.since.is_none();
        self.since.get_or_insert((now, at));
        let pause = if kind == ApiErrorKind::Budget { BUDGET_PAUSE } else { PAUSES.after(self.tries) };
        self.tries += 1;
        (is_new, pause)
    }

    /// A pass came through at `now`. Returns how long the trouble lasted that is over by that, if there was any.
    fn over(&mut self, now: Instant) -> Option<Duration> {
        self.tries = 0;
        self.since.take().map(|(since, _)| now.saturating_duration_since(since))
    }
}

impl ApiBackoff {
    /// Since when the API is in trouble.
    pub fn since(&self) -> Option<Timestamp> {
        self.state().since.map(|(_, at)| at)
    }

    /// Waits until the API may be tried again.
    ///
    /// # Errors
    /// When it refuses token or environment: no waiting heals that.
    pub async fn wait_out(&self, session: &Session, error: &ApiError) -> Result<(), ApiError> {
        let seen = self.state().waits_ended;
        let _asking = self.asking.lock().await;
        if self.state().waits_ended != seen {
            // Another mirror has waited it out.
            return Ok(());
        }
        let pause = self.begin(error);
        // At once would be too soon for whatever it is.
        tokio::time::sleep(pause).await;
        if error.kind != ApiErrorKind::Budget
            && let Err(error) = reach(&session.remote, Duration::MAX, |_| ()).await
            && error.is_access()
        {
            return Err(error);
        }
        self.state().waits_ended += 1;
        Ok(())
    }

    /// Notes one more try, and says how long to wait before it.
    fn begin(&self, error: &ApiError) -> Duration {
        let (is_new, pause) = self.state().failed(error.kind, Instant::now(), Timestamp::now());
        if is_new {
            tracing::warn!("the API is in trouble: {error}; waiting until that is over. {}", advice(error));
        } else {
            tracing::debug!("the API is still in trouble: {error}");
        }
        pause
    }

    /// A pass came through: the trouble, if there was any, is over.
    pub fn over(&self) {
        let lasted = self.state().over(Instant::now());
        if let Some(lasted) = lasted {
            tracing::info!("the API answers again after {} s", lasted.as_secs());
        }
    }

    fn state(&self) -> MutexGuard<'_, Outage> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_try_in_vain_doubles_the_pause_until_a_pass_comes_through() {
        let (mut outage, start, at) = (Outage::default(), Instant::now(), Timestamp::UNIX_EPOCH);
        let fail = |outage: &mut Outage, second| {
            let (is_new, pause) = outage.failed(ApiErrorKind::Maintenance, start + Duration::from_secs(second), at);
            (is_new, pause.as_secs())
        };
        let pauses: Vec<u64> = (0..11).map(|second| fail(&mut outage, second).1).collect();
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
        assert_eq!(outage.over(start + Duration::from_secs(60)), Some(Duration::from_secs(60)));
        assert_eq!(outage.over(start + Duration::from_secs(61)), None, "it is told once");
        assert_eq!([fail(&mut outage, 70), fail(&mut outage, 80)], [(true, 1), (false, 2)]);
    }

    #[test]
    fn a_spent_budget_is_looked_at_every_ten_minutes() {
        let mut outage = Outage::default();
        for _ in 0..3 {
            let (_, pause) = outage.failed(ApiErrorKind::Budget, Instant::now(), Timestamp::UNIX_EPOCH);
            assert_eq!(pause, Duration::from_secs(600));
        }
    }
}
