//! What a worker is told by the watcher and by people, and the looks at files that wait to settle.
//!
//! Owns: which fact the schedule is told for which event. Reads no content and decides nothing about a file.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use super::MirrorWorker;
use crate::daemon::retry_requests::RetryRequest;
use crate::daemon::settle::{Ask, Look, Touch};
use crate::daemon::watch::{WatchEvent, WatchState, Watched};
use crate::disk::{Selection, glance};
use crate::sync::mirror::MirrorRun;

impl MirrorWorker {
    /// The watcher told something; nothing when it has ended.
    pub(super) fn watched(&mut self, event: Option<WatchEvent>, now: Instant) {
        match event {
            None => {
                tracing::error!(mirror = self.config.name, "the watcher has ended; changes are found by polling");
                self.watcher_ended = true;
                let reason = "the watcher has ended; restart the mirror".to_owned();
                self.schedule.watch_lost(now);
                self.publish_watching(&WatchState {
                    how: Watched::Polling { reason: reason.clone() },
                    degraded: Some(reason),
                });
            }
            Some(WatchEvent::Touched(path, touch)) => {
                self.sending.changed(path.key());
                self.schedule.saved(path, touch, now);
            }
            Some(WatchEvent::FolderAppeared(path)) => self.schedule.saved(path, Touch::Folder, now),
            Some(WatchEvent::RescanNeeded) => self.schedule.rescan_needed(now),
            Some(WatchEvent::RootGone) => {
                self.pause("the root is gone; nothing is deleted, and it goes on when the root is back", now);
            }
            Some(WatchEvent::StateChanged(state)) => {
                self.schedule.watching(matches!(state.how, Watched::Polling { .. }), now);
                self.publish_watching(&state);
            }
            Some(WatchEvent::Failed(message)) => tracing::warn!(mirror = self.config.name, "{message}"),
        }
    }

    /// Somebody wants failed files tried now.
    pub(super) fn retry_asked(&mut self, request: &RetryRequest, now: Instant) {
        if request.is_about(&self.config.name) {
            self.session.rights.forget();
            self.schedule.retry_asked(self.health.paths(request.path.as_deref()), now);
        }
    }

    /// Looks at the files that wait to settle and want a look now.
    pub(super) async fn glance(&mut self, run: &MirrorRun) {
        let asks = self.schedule.files_to_glance_at(Instant::now());
        if !asks.is_empty() {
            for (ask, look) in look_at(self.config.root.clone(), run.selection.clone(), asks).await {
                self.schedule.glanced(ask, look, Instant::now());
            }
        }
    }
}

/// The next request; everything when some were lost, nothing when nobody can ask any more.
pub(super) async fn next_request(requests: &mut broadcast::Receiver<RetryRequest>) -> Option<RetryRequest> {
    match requests.recv().await {
        Ok(request) => Some(request),
        Err(RecvError::Lagged(_)) => Some(RetryRequest::default()),
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
