//! Whether the URLs that a run replaced show the new files.
//!
//! Owns: following them beside the run, and what the report says of each. The asking is `features::cdn_check`'s.

use std::sync::{Arc, Mutex, PoisonError};

use tokio_util::sync::CancellationToken;

use super::OnceOptions;
use crate::config::Config;
use crate::features::cdn_check::{End, Followed, PATIENCE_OF_ONCE, Verifier};
use crate::report::{LiveState, LiveUrl, MirrorReport};
use crate::sync::session::Session;

/// Starts following replaced URLs, when a mirror wants it.
pub(super) fn verify(
    config: &Config,
    session: &mut Session,
    options: &OnceOptions,
    stop: &CancellationToken,
    live: &Arc<Mutex<Vec<Followed>>>,
) -> Option<tokio::task::JoinHandle<()>> {
    if options.dry_run || !config.mirrors.iter().any(|mirror| mirror.verify_live) {
        return None;
    }
    let ends = live.clone();
    let tell = move |end: Followed| {
        end.log();
        ends.lock().unwrap_or_else(PoisonError::into_inner).push(end);
    };
    let (verifier, task) = Verifier::new(&config.api.base_url, PATIENCE_OF_ONCE, stop.clone(), tell);
    session.verifier = Some(verifier);
    Some(tokio::spawn(task))
}

/// Writes what became of each URL into the report of its mirror.
pub(super) fn take_live(ends: Vec<Followed>, reports: &mut [MirrorReport]) {
    for Followed { what, end } in ends {
        let Some(report) = reports.iter_mut().find(|report| report.name == what.mirror) else { continue };
        let (state, after_ms, instead) = match end {
            End::Live(took) => (LiveState::Live, Some(u64::try_from(took.as_millis()).unwrap_or(u64::MAX)), None),
            End::NotYet(cause) => (LiveState::NotYet, None, Some(cause)),
            End::CannotTell(cause) => (LiveState::CannotBeTold, None, Some(cause)),
        };
        report.live.push(LiveUrl { path: what.path, url: what.url, state, after_ms, instead });
        report.live.sort();
    }
}
