//! What the schedule says to start, started.
//!
//! Owns: how each start is done: which task it is, and who is asked each question. Decides neither when nor whether.

use std::time::Instant;

use jiff::Timestamp;

use super::MirrorWorker;
use super::pass_task::PassTask;
use super::scan_task::scan_place;
use super::schedule::{Due, PassJob, ScanPlace, Start};
use crate::daemon::settle::StillChanging;
use crate::error::RunError;
use crate::features::remote_files::due_again;
use crate::index::files;
use crate::index::overrides::Overrides;
use crate::index::remote_files;
use crate::index::retry_requests;
use crate::index::sidecars;
use crate::model::RelPath;
use crate::runtime_state::Phase;
use crate::sync::mirror::{MirrorRun, RunRequest};

/// Files told at a time that are being written for long.
const STILL_TOLD: usize = 5;

impl MirrorWorker {
    pub(super) async fn start(&mut self, start: Start, run: &MirrorRun, now: Instant) -> Result<(), RunError> {
        match start {
            Start::ReportStillChanging(files) => self.report_still_changing(&files, now),
            Start::TakeOverrides => {
                if self.take_overrides(now).await?.force {
                    self.accept_root(run).await?;
                }
            }
            Start::CheckRoot => self.check_root(run, now).await?,
            Start::ReadLists => {
                let mirror = run.row;
                let lists = self.session.index.call(move |conn| sidecars::lists(conn, mirror)).await?;
                self.schedule.lists_found(lists.iter().filter_map(|list| RelPath::from_key(&list.path).ok()));
            }
            Start::ReadDue { failed_fetches } => {
                let due = self.read_due(run, failed_fetches).await?;
                if let Some(job) = self.schedule.due_found(due, now) {
                    self.start_pass(job, run);
                }
            }
            Start::Scan(place) => self.start_scan(place, run),
            Start::Fetch(asks) => {
                self.slots.fetch.begin(run.fetch_job(&self.session, asks).run(self.halt.clone()));
            }
            Start::Pass(job) => self.start_pass(job, run),
        }
        Ok(())
    }

    fn report_still_changing(&self, files: &[StillChanging], now: Instant) {
        let more = files.len().saturating_sub(STILL_TOLD);
        if more > 0 {
            tracing::warn!(mirror = self.config.name, "{more} more files are still being written");
        }
        for still in files.iter().take(STILL_TOLD) {
            tracing::warn!(
                mirror = self.config.name,
                path = %still.path,
                "still being written after {} s; it is mirrored when it rests",
                now.saturating_duration_since(still.since).as_secs()
            );
        }
    }

    async fn read_due(&self, run: &MirrorRun, failed_fetches: bool) -> Result<Due, RunError> {
        let mirror = run.row;
        let at = Timestamp::now();
        let (files, scan, fetched) = self
            .session
            .index
            .call(move |conn| {
                let files = files::is_due(conn, mirror, at.as_millisecond())?;
                Ok((files, retry_requests::take_look(conn, mirror)?, remote_files::all(conn, mirror)?))
            })
            .await?;
        if scan {
            self.session.rights.forget();
        }
        let refresh = self.session.take_misses();
        let failed_fetches =
            if failed_fetches { due_again(&fetched, self.config.remote_refresh, Timestamp::now()) } else { Vec::new() };
        Ok(Due { files, scan, refresh, failed_fetches })
    }

    fn start_scan(&mut self, place: ScanPlace, run: &MirrorRun) {
        let slot = match &place {
            ScanPlace::Settled(..) => &mut self.slots.settled_scan,
            ScanPlace::Folders(_) => &mut self.slots.wide_scan,
            ScanPlace::Whole => {
                if self.slots.pass.is_free() && !self.schedule.knows_tree() {
                    self.live.set_phase(&self.config.name, Phase::Scanning);
                }
                &mut self.slots.wide_scan
            }
        };
        slot.begin(scan_place(run.clone(), self.session.clone(), place, self.halt.clone()));
    }

    fn start_pass(&mut self, job: PassJob, run: &MirrorRun) {
        let Overrides { force, take_over, recreate } = job.overrides;
        let task = PassTask {
            run: run.clone(),
            session: self.session.clone(),
            live: self.live.clone(),
            stop: self.halt.clone(),
            request: RunRequest {
                sending: self.sending.clone(),
                urgent: self.urgent.clone(),
                live: Some(self.live.clone()),
                force,
                take_over,
                recreate,
                ..RunRequest::default()
            },
            job,
        };
        self.slots.pass.begin(task.run());
    }
}
