//! What a keeper tells of its mirror: the log, the live state, and the index for `status`, which may have no page to ask.
//!
//! Owns: that each is told once. Decides nothing by it, but how often a mirror that is polled is scanned.

use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::Keeper;
use crate::daemon::watch::{WatchState, Watched, Watching};
use crate::error::RunError;
use crate::index::files::ProblemKind;
use crate::index::{files, settings, status_notes};
use crate::report::{MirrorReport, ReportedProblem};
use crate::runtime_state::{Phase, Watching as Shown};
use crate::sync::metadata_warnings;

impl Keeper {
    pub(super) fn show_watching(&mut self, state: &WatchState) {
        let every_ms = u64::try_from(self.config.poll_interval.as_millis()).unwrap_or(u64::MAX);
        let shown = match &state.how {
            Watched::Starting => Shown::Starting,
            Watched::Native => Shown::Native,
            Watched::Polling { reason } => Shown::Polling { reason: reason.clone(), every_ms },
        };
        let polled = matches!(state.how, Watched::Polling { .. });
        if polled != self.polled {
            self.polled = polled;
            self.next_rescan = Instant::now() + self.scan_interval();
        }
        match &state.degraded {
            Some(reason) => tracing::warn!(mirror = self.config.name, "degraded: {reason}"),
            None => tracing::debug!(mirror = self.config.name, ?state, "watching"),
        }
        self.live.set_watching(&self.config.name, shown);
        self.standing.watch.clone_from(&state.degraded);
        self.live.set_degraded(&self.config.name, self.standing.degraded());
    }

    /// Tells `status` how changes are found.
    pub(super) async fn note_watching(&mut self, watching: &Watching) -> Result<(), RunError> {
        let state = watching.state();
        if self.noted.as_ref() == Some(&state) {
            return Ok(());
        }
        self.noted = Some(state.clone());
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

    pub(super) async fn note_unread(&mut self) -> Result<(), RunError> {
        // Before everything was looked at, what an earlier process said is still the best that is known.
        if !self.known || !std::mem::take(&mut self.unread_may_differ) {
            return Ok(());
        }
        let unread = self.standing.unread();
        if self.noted_unread.as_ref() == Some(&unread) {
            return Ok(());
        }
        self.noted_unread = Some(unread.clone());
        let name = self.config.name.clone();
        Ok(self.session.index.call(move |conn| status_notes::set_unread(conn, &name, &unread)).await?)
    }

    /// One line for a batch, however many files it had.
    pub(super) fn summarise(&self, report: &MirrorReport, took: Duration) {
        if report.counts.changed_paths() + report.counts.deleted + report.failed > 0 {
            let counts = report.counts();
            tracing::info!(mirror = self.config.name, "{counts} in {:.1} s", took.as_secs_f64());
        }
    }

    pub(super) async fn show(&mut self, mut report: MirrorReport, took: Duration, full: bool) -> Result<(), RunError> {
        let name = self.config.name.clone();
        let (mirror_name, unread) = (name.clone(), self.standing.unread());
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
            self.standing.guard = None;
        }
        let on_disk = self.standing.problems();
        report.failed += self.standing.failed();
        self.live.pass_ended(&name, &report, Timestamp::now(), took, full);
        self.live.set_files(&name, tally.present, tally.mirrored);
        self.live.set_counts(&name, counts);
        self.live.set_standing(&name, tally.dirty.saturating_sub(tally.failed), tally.failed + self.standing.failed());
        self.live.set_degraded(&name, self.standing.degraded());
        let stored = problems
            .into_iter()
            .map(|stored| ReportedProblem { retry: stored.retry, ..ReportedProblem::of(stored.path, stored.problem) });
        self.live.set_problems(&name, stored.chain(on_disk).chain(notices));
        if !self.paused {
            self.live.set_phase(&name, Phase::Idle);
        }
        Ok(())
    }
}
