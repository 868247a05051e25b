//! What people let the next pass over the whole mirror do, past its guards.
//!
//! Owns: reading it from the index beside whatever the worker does, and saying so. When such a pass begins, and that it
//! gives back what it was let do when it is cut short, is the schedule's. Decides nothing about a file.

use std::time::Instant;

use jiff::Timestamp;

use super::MirrorWorker;
use crate::error::RunError;
use crate::index::overrides::{self, Overrides};
use crate::index::settings;
use crate::sync::mirror::MirrorRun;

impl MirrorWorker {
    /// Takes what was asked for since the last time, and tells it.
    ///
    /// # Errors
    /// The index's.
    pub(super) async fn take_overrides(&mut self, now: Instant) -> Result<Overrides, RunError> {
        let (name, now_ms) = (self.config.name.clone(), Timestamp::now().as_millisecond());
        let asked = self.session.index.call(move |conn| {
            let row = settings::mirror(conn, &name)?.id;
            overrides::take(conn, row, now_ms)
        });
        let asked = asked.await?;
        if asked.any() {
            let flags = asked.flags().join(" ");
            tracing::info!(
                mirror = self.config.name,
                "the next pass over the whole folder goes with {flags}, as asked"
            );
            self.schedule.overrides_asked(asked, now);
        }
        Ok(asked)
    }

    /// Somebody has just said that the root is right as it is. Another one that comes later is not meant.
    ///
    /// # Errors
    /// The index's; a root that is not there is waited for.
    pub(super) async fn accept_root(&self, run: &MirrorRun) -> Result<(), RunError> {
        match run.accept_root(&self.session.index).await {
            Err(RunError::Guard(_)) | Ok(()) => Ok(()),
            Err(error) => Err(error),
        }
    }
}
