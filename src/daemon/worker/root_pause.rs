//! When a mirror rests because its root cannot be believed, and when it goes on.
//!
//! Owns: that nothing which rests on such a root reaches the media area, and how it is found out that the root is back.
//! What is done when is the schedule's. Deletes nothing and passes over nothing.

use std::time::Instant;

use super::MirrorWorker;
use super::scan_task::holds_a_file;
use crate::error::RunError;
use crate::error::ScanError;
use crate::runtime_state::Phase;
use crate::sync::mirror::MirrorRun;

impl MirrorWorker {
    /// Stops all that is under way: what rests on a root that is not to be believed must not reach the media area.
    pub(super) fn pause(&mut self, guard: &str, now: Instant) {
        if self.schedule.root_gone(now) {
            tracing::warn!(mirror = self.config.name, "paused: {guard}");
            self.halt.cancel();
        }
        self.live.set_phase(&self.config.name, Phase::Paused { guard: guard.to_owned() });
    }

    /// The root can be believed: lets work begin again, if it was paused.
    pub(super) fn resume(&mut self) {
        if self.schedule.root_back() {
            tracing::info!(mirror = self.config.name, "the root is back: going on");
            self.halt = self.stop.child_token();
        }
    }

    /// Looks whether the root of a paused mirror is back.
    pub(super) async fn check_root(&mut self, run: &MirrorRun, now: Instant) -> Result<(), RunError> {
        match run.check_root(&self.session.index).await {
            Ok(()) => {
                // An empty root may be a mount point without its mount: only files prove that it is back.
                if holds_a_file(run).await {
                    self.resume();
                }
                Ok(())
            }
            Err(RunError::Guard(guard)) => {
                self.pause(&guard.to_string(), now);
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// A root or a disk that is not to be believed pauses the mirror.
    pub(super) fn disbelieve(&mut self, error: RunError, now: Instant) -> Result<(), RunError> {
        match error {
            RunError::Scan(ScanError::Index(error)) => Err(error.into()),
            RunError::Guard(_) | RunError::Empty { .. } | RunError::Scan(_) => {
                self.pause(&error.to_string(), now);
                Ok(())
            }
            error => Err(error),
        }
    }
}
