//! What a worker publishes of its mirror: in the log, in the live state, and in the index for `status`, which may have no
//! page to ask.
//!
//! Owns: that each is told once. Decides nothing by it.

use std::time::Duration;

use jiff::Timestamp;

use super::MirrorWorker;
use crate::daemon::watch::{WatchState, Watched, Watching};
use crate::error::RunError;
use crate::index::files::ProblemKind;
use crate::index::status_notes::Unread;
use crate::index::{files, settings, status_notes};
use crate::report::{MirrorReport, ReportedProblem};
use crate::runtime_state::{Phase, Watching as Shown};
use crate::sync::metadata_warnings;

/// What `status` was told in this process.
#[derive(Debug, Default)]
pub struct Published {
    /// How changes are found.
    watching: Option<WatchState>,
    /// The files that cannot be read.
    unread: Option<Vec<Unread>>,
    /// A scan ended since the files that cannot be read were told.
    pub unread_may_differ: bool,
}

impl MirrorWorker {
    /// Shows how changes are found, and logs it.
    pub(super) fn publish_watching(&mut self, state: &WatchState) {
        let every_ms = u64::try_from(self.config.poll_interval.as_millis()).unwrap_or(u64::MAX);
        let shown = match &state.how {
            Watched::Starting => Shown::Starting,
            Watched::Native => Shown::Native,
            Watched::Polling { reason } => Shown::Polling { reason: reason.clone(), every_ms },
        };
        match &state.degraded {
            Some(reason) => tracing::warn!(mirror = self.config.name, "degraded: {reason}"),
            None => tracing::debug!(mirror = self.config.name, ?state, "watching"),
        }
        self.live.set_watching(&self.config.name, shown);
        self.health.watch.clone_from(&state.degraded);
        self.live.set_degraded(&self.config.name, self.health.degraded());
    }

    /// Writes how changes are found to the index, if that changed.
    pub(super) async fn note_watching(&mut self, watching: &Watching) -> Result<(), RunError> {
        let state = watching.state();
        if self.published.watching.as_ref() == Some(&state) {
            return Ok(());
        }
        self.published.watching = Some(state.clone());
        let WatchState { how, degraded } = state;
        let (how, reason) = match how {
            Watched::Starting => (status_notes::How::Starting, None),
            Watched::Native => (status_notes::How::Native, None),
            Watched::Polling { reason } => (status_notes::How::Polling, Some(reason)),
        };
        let noted = status_notes::Watching { how, reason, degraded: degraded.into_iter().collect() };
        let name = self.config.name.clone();
        Ok(self.session.index.call(move |conn| status_notes::set_watching(conn, &name, &noted)).await?)
    }

    /// Writes which files cannot be read to the index, if that changed.
    pub(super) async fn note_unread(&mut self) -> Result<(), RunError> {
        // Before everything was looked at, what an earlier process said is still the best that is known.
        if !self.schedule.knows_tree() || !std::mem::take(&mut self.published.unread_may_differ) {
            return Ok(());
        }
        let unread = self.health.unread();
        if self.published.unread.as_ref() == Some(&unread) {
            return Ok(());
        }
        self.published.unread = Some(unread.clone());
        let name = self.config.name.clone();
        Ok(self.session.index.call(move |conn| status_notes::set_unread(conn, &name, &unread)).await?)
    }

    /// Says once that the media area is not to be believed, and nothing is changed.
    pub(super) fn report_stop(&mut self, stop: String) {
        if self.health.stop.as_ref() != Some(&stop) {
            tracing::warn!(mirror = self.config.name, "{stop}");
        }
        self.health.stop = Some(stop);
    }

    /// Says once that the deletion guard withheld something.
    pub(super) fn report_guard(&mut self, guard: String) {
        if self.health.guard.as_ref() != Some(&guard) {
            tracing::warn!(mirror = self.config.name, "{guard}");
        }
        self.health.guard = Some(guard);
    }

    /// A pass went over everything that was due: what stopped earlier ones, if anything did, is over.
    pub(super) fn report_going_on(&mut self) {
        if self.health.stop.take().is_some() {
            tracing::info!(mirror = self.config.name, "what stopped it is over: going on");
        }
    }

    /// Logs one line for a pass, however many files it changed.
    pub(super) fn summarise(&self, report: &MirrorReport, took: Duration) {
        if report.counts.changed_paths() + report.counts.deleted + report.failed > 0 {
            let counts = report.counts();
            tracing::info!(mirror = self.config.name, "{counts} in {:.1} s", took.as_secs_f64());
        }
    }

    /// Shows what a pass came to, and what the index says after it. `full` is true when it stood for the whole mirror.
    pub(super) async fn publish_pass(
        &mut self,
        mut report: MirrorReport,
        took: Duration,
        full: bool,
    ) -> Result<(), RunError> {
        let name = self.config.name.clone();
        let (mirror_name, unread) = (name.clone(), self.health.unread());
        let (tally, counts, problems, notices) = self
            .session
            .index
            .call(move |conn| {
                let mirror = settings::mirror(conn, &mirror_name)?.id;
                Ok((
                    files::tally(conn, mirror)?,
                    files::counts(conn, mirror, unread.iter().map(|one| one.path.as_str()))?,
                    files::problems(conn, mirror)?,
                    metadata_warnings::told(conn, mirror, |_| true)?,
                ))
            })
            .await?;
        if !problems.iter().any(|stored| stored.problem.kind == ProblemKind::Withheld) {
            self.health.guard = None;
        }
        let on_disk = self.health.problems();
        report.failed += self.health.failed();
        self.live.pass_ended(&name, &report, Timestamp::now(), took, full);
        self.live.set_files(&name, tally.present, tally.mirrored);
        self.live.set_counts(&name, counts);
        self.live.set_standing(&name, tally.dirty.saturating_sub(tally.failed), tally.failed + self.health.failed());
        self.live.set_degraded(&name, self.health.degraded());
        let stored = problems
            .into_iter()
            .map(|stored| ReportedProblem { retry: stored.retry, ..ReportedProblem::of(stored.path, stored.problem) });
        self.live.set_problems(&name, stored.chain(on_disk).chain(notices));
        if !self.schedule.is_paused() {
            self.live.set_phase(&name, Phase::Idle);
        }
        Ok(())
    }
}
