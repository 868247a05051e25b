//! A pass, as a task beside the worker's loop.
//!
//! Owns: the steps of a pass: the look at the remote before it, and the report after it. Never does: choosing when; that is
//! the schedule's.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::schedule::PassJob;
use crate::error::RunError;
use crate::index::{files, retry_requests};
use crate::report::MirrorReport;
use crate::runtime_state::{Phase, RuntimeState};
use crate::sync::list_remote::RefreshError;
use crate::sync::mirror::{MirrorRun, RunContext, RunRequest};
use crate::sync::pass::PassEnd;
use crate::sync::session::Session;

/// A look at the remote older than this is renewed before a batch.
const FRESH: Duration = Duration::from_secs(5);

/// What a pass came to.
#[derive(Debug)]
pub struct PassResult {
    /// What people are shown.
    pub report: MirrorReport,
    /// What the worker goes by.
    pub end: PassEnd,
    /// The time since the begin of the scan that the pass stands for, or of the pass.
    pub took: Duration,
    /// The pass was told to stop: what is left is for the next one.
    pub cut: bool,
}

/// A pass, with all it needs.
pub struct PassTask {
    /// The mirror.
    pub run: MirrorRun,
    /// What all mirrors share.
    pub session: Arc<Session>,
    /// The pass shows here what it does.
    pub live: Arc<RuntimeState>,
    /// Cancelling this ends the pass early.
    pub stop: CancellationToken,
    /// How to pass.
    pub request: RunRequest,
    /// What the pass is begun for.
    pub job: PassJob,
}

impl PassTask {
    /// Looks at the remote and passes over all that is dirty.
    ///
    /// # Errors
    /// The API's, the guard's, the index's.
    pub async fn run(self) -> Result<PassResult, RunError> {
        let name = self.run.config.name.clone();
        let began = self.job.for_all.map_or_else(Instant::now, |scan| scan.began);
        let mut report =
            MirrorReport { name: name.clone(), root: self.run.root().display().to_string(), ..MirrorReport::default() };
        report.counts.scanned = self.job.for_all.map_or(0, |scan| scan.files);
        let before = self.session.remote.usage();
        let index = &self.session.index;
        let looked = if self.job.refresh { self.session.refresh().await } else { Ok(()) };
        let (mirror, at) = (self.run.row, Timestamp::now().as_millisecond());
        if self.job.overrides.any() {
            // A guard may have stopped them again since they were asked for.
            index.call(move |conn| retry_requests::make_due(conn, mirror, None)).await?;
        }
        let (due, hint) =
            index.call(move |conn| Ok((files::is_due(conn, mirror, at)?, files::count_dirty(conn, mirror)?))).await?;
        // With nothing to look at there is no reason to ask whether it is fresh.
        let looked = match looked {
            Ok(()) if due => self.session.freshen(FRESH).await,
            looked => looked,
        };
        match looked {
            Ok(()) => {}
            Err(RefreshError::Api(error)) => return Err(error.into()),
            Err(RefreshError::Index(error)) => return Err(error.into()),
        }
        if due {
            self.live.set_phase(&name, Phase::Mirroring { done: 0, total_hint: hint, bytes: 0 });
        }
        let turn = RunContext { session: &self.session, request: &self.request, stop: &self.stop };
        let end = self.run.pass_once(turn, &mut report).await?;
        let cut = self.stop.is_cancelled();
        if self.job.for_all.is_some() && !cut {
            self.run.remember_root(index).await?;
        }
        let usage = self.session.remote.usage();
        report.api_requests = usage.api_requests - before.api_requests;
        report.bytes_uploaded = usage.bytes_uploaded - before.bytes_uploaded;
        // The next pass goes on with them.
        report.waiting = end.left.len() as u64;
        report.settle_unchanged();
        self.run.close_pass(index, began.elapsed(), &mut report).await?;
        Ok(PassResult { report, end, took: began.elapsed(), cut })
    }
}
