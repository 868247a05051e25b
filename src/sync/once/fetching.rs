//! Files from URLs on their way, beside all else of a run.
//!
//! Owns: that the run does not end before them, nor wait for ever.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::error::RunError;
use crate::features::remote_files::{FetchEnd, FetchJob};
use crate::index::Problem;
use crate::model::{ActionKind, RelPath};
use crate::report::Severity;
use crate::sync::scan::{Scanned, take_scan_problems};

use super::{Once, Work};

/// See the module. Dropped, it ends.
pub(super) struct Fetching {
    task: AbortOnDropHandle<Result<FetchEnd, RunError>>,
    stop: CancellationToken,
}

impl Fetching {
    /// Begins.
    pub(super) fn begin(job: FetchJob, stop: CancellationToken) -> Self {
        Self { task: AbortOnDropHandle::new(tokio::spawn(job.run(stop.clone()))), stop }
    }

    /// What came of it; nothing when it takes longer than that.
    pub(super) async fn wait(&mut self, most: Duration) -> Option<Result<FetchEnd, RunError>> {
        let end = tokio::time::timeout(most, &mut self.task).await.ok()?;
        Some(end.unwrap_or_else(|error| Err(RunError::Broken(format!("fetching files from URLs: {error}")))))
    }

    /// What came of it within that time; what did not is left.
    pub(super) async fn end(mut self, most: Duration) -> Result<FetchEnd, RunError> {
        if let Some(end) = self.wait(most).await {
            return end;
        }
        self.stop.cancel();
        self.wait(most).await.unwrap_or_else(|| Ok(FetchEnd::default()))
    }
}

impl Once<'_> {
    /// Tells what came of fetching; what is to be mirrored now.
    pub(super) async fn take_fetched(&self, work: &mut Work<'_>, end: FetchEnd) -> Result<Vec<RelPath>, RunError> {
        let minutes = self.options.waits.fetches.as_secs() / 60;
        let left = end.left.into_iter().map(|path| {
            let cause = format!("it was not fetched within {minutes} min after all else was mirrored");
            let problem = Problem::new(ActionKind::Read, cause, "the next run goes on with it");
            (path, problem, Severity::Failed)
        });
        let problems: Vec<_> = end.problems.into_iter().chain(left).collect();
        let fetched = Scanned { files: end.there, problems, ..Scanned::default() };
        work.report.counts.scanned += fetched.files;
        take_scan_problems(&fetched, &mut work.report);
        work.problems.extend(fetched.problems);
        self.note_unread(work.mirror, &work.problems).await?;
        Ok(end.changed)
    }
}
