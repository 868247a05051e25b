//! An API that does not answer, seen by several mirrors at once: one of them asks, all of them wait, and the log has one
//! line when it begins and one when it ends.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::Mutex;

use crate::remote::{ApiError, ApiErrorKind};

use super::super::session::{Session, reach};

/// How often a spent budget is looked at again: a new month, or a new configuration.
const BUDGET_PAUSE: Duration = Duration::from_secs(600);

/// See the module.
#[derive(Debug, Default)]
pub struct Outage {
    asking: Mutex<()>,
    ended: AtomicU64,
}

impl Outage {
    /// Waits until the API answers again.
    ///
    /// # Errors
    /// When it refuses token or environment: no waiting heals that.
    pub async fn wait_out(&self, session: &Session, error: &ApiError) -> Result<(), ApiError> {
        let seen = self.ended.load(Ordering::Acquire);
        let _asking = self.asking.lock().await;
        if self.ended.load(Ordering::Acquire) != seen {
            // Another mirror has waited it out.
            return Ok(());
        }
        let since = Instant::now();
        if error.kind == ApiErrorKind::Budget {
            tracing::warn!("{error}; {}", error.advice());
            tokio::time::sleep(BUDGET_PAUSE).await;
            return Ok(());
        }
        tracing::warn!("the API is in trouble: {error}; waiting until it answers again");
        // At once would be too soon for whatever it is.
        tokio::time::sleep(Duration::from_secs(1)).await;
        reach(&session.remote, Duration::MAX).await?;
        tracing::info!("the API answers again after {} s", since.elapsed().as_secs());
        self.ended.fetch_add(1, Ordering::Release);
        Ok(())
    }
}
