//! Notes in the index what each mirror waits for, so that `status` can tell it where nothing listens.
//!
//! Owns: that a change is noted within a moment, and that a daemon with nothing to tell writes nothing. Decides nothing.
//! One task does it for all mirrors.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::index::Index;
use crate::index::daemon_notes::{self, DaemonNote};
use crate::runtime_state::RuntimeState;

/// The live state changes with every file; what is noted of it hardly ever does, and need not be looked at more often.
const APART: Duration = Duration::from_millis(500);

/// Writes what is new until it is stopped. Of an index that cannot be written the workers tell.
pub(super) async fn write_runtime_notes(index: Index, live: Arc<RuntimeState>, stop: CancellationToken) {
    let mut version = live.subscribe();
    let mut noted: BTreeMap<String, DaemonNote> = BTreeMap::new();
    loop {
        version.mark_unchanged();
        let now = notes(&live);
        let new: Vec<(String, DaemonNote)> = now
            .iter()
            .filter(|(name, note)| noted.get(*name) != Some(*note))
            .map(|(n, note)| (n.clone(), note.clone()))
            .collect();
        if !new.is_empty() {
            let wrote =
                index.call(move |conn| new.iter().try_for_each(|(name, note)| daemon_notes::set(conn, name, note)));
            if wrote.await.is_ok() {
                noted = now;
            }
        }
        let next = async {
            // An error means that nobody changes it any more.
            let _ = version.changed().await;
            tokio::time::sleep(APART).await;
        };
        tokio::select! {
            () = next => {}
            () = stop.cancelled() => return,
        }
    }
}

fn notes(live: &RuntimeState) -> BTreeMap<String, DaemonNote> {
    let note = |(name, waits, degraded)| (name, DaemonNote { process: std::process::id(), waits, degraded });
    live.standing().into_iter().map(note).collect()
}
