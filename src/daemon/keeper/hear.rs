//! What a keeper hears, and what settles of it.
//!
//! Owns: which event touches what; that settled files are looked at. Reads no content and decides nothing about a file.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use super::Keeper;
use super::work::{Place, look};
use crate::daemon::retrier::Again;
use crate::daemon::settle::{Ask, Look, Touch};
use crate::daemon::watch::{WatchEvent, WatchState, Watched};
use crate::disk::{Selection, glance};
use crate::model::RelPath;
use crate::sync::mirror::MirrorRun;
use crate::sync::scan::Waited;

/// Files told at a time that are being written for long.
const STILL_TOLD: usize = 5;

impl Keeper {
    pub(super) fn heard(&mut self, event: Option<WatchEvent>) {
        let now = Instant::now();
        match event {
            None => {
                tracing::error!(mirror = self.config.name, "the watcher has ended; changes are found by polling");
                self.deaf = true;
                let reason = "the watcher has ended; restart the mirror".to_owned();
                self.show_watching(&WatchState {
                    how: Watched::Polling { reason: reason.clone() },
                    degraded: Some(reason),
                });
                self.rescan = true;
            }
            Some(WatchEvent::Touched(path, touch)) => {
                self.sending.changed(path.key());
                self.settle.touched(path, touch, now);
            }
            Some(WatchEvent::FolderAppeared(path)) => self.settle.touched(path, Touch::Folder, now),
            Some(WatchEvent::RescanNeeded) => {
                self.rescan = true;
                self.next_root = now;
            }
            Some(WatchEvent::RootGone) => {
                self.pause("the root is gone; nothing is deleted, and it goes on when the root is back");
            }
            Some(WatchEvent::StateChanged(state)) => self.show_watching(&state),
            Some(WatchEvent::Failed(message)) => tracing::warn!(mirror = self.config.name, "{message}"),
        }
    }

    /// Somebody wants failed files tried now: the index has them due already, and what a scan could not take in is looked at.
    pub(super) fn asked(&mut self, again: &Again) {
        if again.is_about(&self.config.name) {
            let now = Instant::now();
            self.session.rights.forget();
            // A pass follows in any case: its end is the answer.
            self.dirty = true;
            if self.rests > 0 {
                self.next_pass = now;
            }
            for path in self.standing.paths(again.path.as_deref()) {
                self.settle.touched(path, Touch::Changed, now);
            }
        }
    }

    /// Looks at what wants to be looked at, and lets settled files in.
    pub(super) async fn settle_due(&mut self, run: &MirrorRun) {
        if !self.files.is_free() {
            return;
        }
        let asks = self.settle.asks(Instant::now());
        if !asks.is_empty() {
            for (ask, look) in look_at(self.config.root.clone(), run.selection.clone(), asks).await {
                self.settle.looked(ask, look, Instant::now());
            }
        }
        let Some(batch) = self.settle.due(Instant::now()) else { return };
        let more = batch.still_changing.len().saturating_sub(STILL_TOLD);
        if more > 0 {
            tracing::warn!(mirror = self.config.name, "{more} more files are still being written");
        }
        for still in batch.still_changing.iter().take(STILL_TOLD) {
            tracing::warn!(
                mirror = self.config.name,
                path = %still.path,
                "still being written after {} s; it is mirrored when it rests",
                still.since.elapsed().as_secs()
            );
        }
        if self.paused {
            // What changed is found by the scan that follows the pause.
            return;
        }
        self.folders.extend(batch.folders);
        let away = batch.removed.iter().cloned().collect();
        let settled: Vec<RelPath> = batch.changed.into_iter().chain(batch.removed).collect();
        if !settled.is_empty() {
            // What was seen to change may be gone by now: that is a removal yet to be waited for.
            let waited = Waited { settled: Arc::new(batch.prints), away: Arc::new(away) };
            let place = Place::Settled(settled, waited);
            self.files.begin(look(run.clone(), self.session.clone(), place, self.halt.clone()));
        }
    }
}

/// The next request; everything when some were lost, nothing when nobody can ask any more.
pub(super) async fn next(again: &mut broadcast::Receiver<Again>) -> Option<Again> {
    match again.recv().await {
        Ok(again) => Some(again),
        Err(RecvError::Lagged(_)) => Some(Again::default()),
        Err(RecvError::Closed) => None,
    }
}

async fn look_at(root: PathBuf, selection: Arc<Selection>, asks: Vec<Ask>) -> Vec<(Ask, Look)> {
    let looked = tokio::task::spawn_blocking(move || {
        asks.into_iter()
            .map(|ask| {
                let look = glance(&root, &ask.path, &selection).into();
                (ask, look)
            })
            .collect()
    });
    looked.await.unwrap_or_default()
}
