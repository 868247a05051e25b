//! When a mirror rests because its root, or what the media area shows, cannot be believed, and when it goes on.
//!
//! Owns: that nothing which rests on such a root reaches the media area, and that a scan comes before anything after
//! it; how often a media area that is not believed is looked at again. Deletes nothing and passes over nothing.

use std::time::{Duration, Instant};

use super::Keeper;
use super::work::holds_a_file;
use crate::error::RunError;
use crate::error::ScanError;
use crate::features::remote_files::Asks;
use crate::runtime_state::Phase;
use crate::sync::mirror::MirrorRun;

/// How often a paused mirror looks whether its root is back.
pub(super) const PAUSED_INTERVAL: Duration = Duration::from_secs(3);

/// After a pass that was stopped before it changed anything; twice as long after each further one.
const FIRST_REST: Duration = Duration::from_secs(5);
/// So many times it is doubled.
const DOUBLINGS: u32 = 6;

impl Keeper {
    /// What the media area shows is not to be believed: says so once, and looks ever more rarely whether that is over.
    pub(super) fn rest(&mut self, stop: String, now: Instant) {
        if self.standing.stop.as_ref() != Some(&stop) {
            tracing::warn!(mirror = self.config.name, "{stop}");
        }
        self.standing.stop = Some(stop);
        self.next_pass = now + rest_of(self.rests);
        self.rests = self.rests.saturating_add(1);
        // What was seen is what is not believed.
        self.refresh = true;
    }

    /// A pass went over everything that was due.
    pub(super) fn go_on(&mut self) {
        self.rests = 0;
        if self.standing.stop.take().is_some() {
            tracing::info!(mirror = self.config.name, "what stopped it is over: going on");
        }
    }

    /// Stops all that is under way: what rests on a root that is not to be believed must not reach the media area.
    pub(super) fn pause(&mut self, guard: &str) {
        if !self.paused {
            tracing::warn!(mirror = self.config.name, "paused: {guard}");
            self.halt.cancel();
        }
        self.paused = true;
        self.next_root = Instant::now() + PAUSED_INTERVAL;
        self.live.set_phase(&self.config.name, Phase::Paused { guard: guard.to_owned() });
    }

    pub(super) fn resume(&mut self) {
        if self.paused {
            tracing::info!(mirror = self.config.name, "the root is back: going on");
            self.paused = false;
            self.halt = self.stop.child_token();
            // What was concluded from the wrong root is set right by a scan, before any pass.
            self.known = false;
            self.rescan = true;
            self.folders.clear();
            self.to_fetch = Asks::default();
        }
    }

    pub(super) async fn is_back(&mut self, run: &MirrorRun, now: Instant) -> Result<bool, RunError> {
        // What the pause stopped has to end first.
        let at_rest = self.files.is_free() && self.slow.is_free() && self.pass.is_free() && self.fetch.is_free();
        if now < self.next_root || !at_rest {
            return Ok(false);
        }
        self.next_root = now + PAUSED_INTERVAL;
        match run.check_root(&self.session.index).await {
            Ok(()) => {}
            Err(RunError::Guard(guard)) => {
                self.pause(&guard.to_string());
                return Ok(false);
            }
            Err(error) => return Err(error),
        }
        // An empty root may be a mount point without its mount: only files prove that it is back.
        if !holds_a_file(run).await {
            return Ok(false);
        }
        self.resume();
        Ok(true)
    }

    /// A root or a disk that is not to be believed pauses the mirror.
    pub(super) fn disbelieve(&mut self, error: RunError) -> Result<(), RunError> {
        match error {
            RunError::Scan(ScanError::Index(error)) => Err(error.into()),
            RunError::Guard(_) | RunError::Empty { .. } | RunError::Scan(_) => {
                self.pause(&error.to_string());
                Ok(())
            }
            error => Err(error),
        }
    }
}

const fn rest_of(rests: u32) -> Duration {
    FIRST_REST.saturating_mul(1 << if rests < DOUBLINGS { rests } else { DOUBLINGS })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_media_area_that_is_not_believed_is_looked_at_ever_more_rarely_and_never_given_up() {
        let rests: Vec<u64> = [0, 1, 2, 5, 6, 7, u32::MAX].into_iter().map(|rests| rest_of(rests).as_secs()).collect();
        assert_eq!(rests, [5, 10, 20, 160, 320, 320, 320]);
    }
}
