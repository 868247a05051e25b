//! What people let the next pass over the whole mirror do, past its guards.
//!
//! Owns: that it is heard beside whatever the keeper does, and given up once such a pass has come to its end.
//! Decides nothing about a file. Called by: the keeper's loop and its pauses.

use std::time::Instant;

use super::Keeper;
use crate::error::RunError;
use crate::index::{overrides, settings};
use crate::pipeline::mirror::MirrorRun;

impl Keeper {
    /// Takes what was asked for since the last time.
    ///
    /// # Errors
    /// The index's.
    pub(super) async fn take_overrides(&mut self) -> Result<(), RunError> {
        let name = self.config.name.clone();
        let asked = self.session.index.call(move |conn| {
            let row = settings::mirror(conn, &name)?.id;
            overrides::take(conn, row)
        });
        let asked = asked.await?;
        if asked.any() {
            let flags = asked.flags().join(" ");
            tracing::info!(
                mirror = self.config.name,
                "the next pass over the whole folder goes with {flags}, as asked"
            );
            self.overrides = self.overrides.and(asked);
            let now = Instant::now();
            (self.rescan, self.dirty, self.next_pass, self.next_root) = (true, true, now, now);
        }
        Ok(())
    }

    /// The root is right as it is, when somebody said so.
    ///
    /// # Errors
    /// The index's; a root that is not there is waited for.
    pub(super) async fn accept_root(&self, run: &MirrorRun) -> Result<(), RunError> {
        if !self.overrides.force {
            return Ok(());
        }
        match run.accept_root(&self.session.index).await {
            Err(RunError::Guard(_)) | Ok(()) => Ok(()),
            Err(error) => Err(error),
        }
    }
}
