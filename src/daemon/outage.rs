//! An API that is in trouble, seen by several mirrors at once: one of them asks, all of them wait, and the log has one
//! line when it begins and one when it ends.
//!
//! Owns: how long to wait before the next try. An API that answers reads and refuses writes looks well to whoever only
//! asks, so it counts as well again only when a pass came through.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::remote::{ApiError, ApiErrorKind, advice};

use crate::sync::session::{Session, reach};

/// How often a spent budget is looked at again: a new month, or a new configuration.
const BUDGET_PAUSE: Duration = Duration::from_secs(600);
/// The longest pause between two tries.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// See the module.
#[derive(Debug, Default)]
pub struct Outage {
    asking: tokio::sync::Mutex<()>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    since: Option<(Instant, Timestamp)>,
    /// Tries since then.
    tries: u32,
    /// Waits that ended.
    waited: u64,
}

impl Outage {
    /// Since when the API is in trouble.
    pub fn since(&self) -> Option<Timestamp> {
        self.state().since.map(|(_, at)| at)
    }

    /// Waits until the API may be tried again.
    ///
    /// # Errors
    /// When it refuses token or environment: no waiting heals that.
    pub async fn wait_out(&self, session: &Session, error: &ApiError) -> Result<(), ApiError> {
        let seen = self.state().waited;
        let _asking = self.asking.lock().await;
        if self.state().waited != seen {
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
        self.state().waited += 1;
        Ok(())
    }

    /// Notes one more try, and says how long to wait before it.
    fn begin(&self, error: &ApiError) -> Duration {
        let mut state = self.state();
        if state.since.is_none() {
            state.since = Some((Instant::now(), Timestamp::now()));
            tracing::warn!("the API is in trouble: {error}; waiting until that is over. {}", advice(error));
        } else {
            tracing::debug!("the API is still in trouble: {error}");
        }
        let pause = pause(state.tries, error.kind);
        state.tries += 1;
        pause
    }

    /// A pass came through: the trouble, if there was any, is over.
    pub fn over(&self) {
        let mut state = self.state();
        state.tries = 0;
        if let Some((since, _)) = state.since.take() {
            tracing::info!("the API answers again after {} s", since.elapsed().as_secs());
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn pause(tries: u32, kind: ApiErrorKind) -> Duration {
    match kind {
        ApiErrorKind::Budget => BUDGET_PAUSE,
        _ => Duration::from_secs(1 << tries.min(9)).min(LONGEST_PAUSE),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_try_in_vain_doubles_the_pause() {
        let pauses: Vec<u64> = (0..11).map(|tries| pause(tries, ApiErrorKind::Maintenance).as_secs()).collect();
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
        assert_eq!(pause(0, ApiErrorKind::Budget), BUDGET_PAUSE);
    }
}
