//! What became of a scan, a fetch, a pass, or a wait for the API.
//!
//! Owns: what the schedule and people are told of it, and which errors end the worker. Starts no scan and no pass.

use std::time::Instant;

use jiff::Timestamp;

use super::MirrorWorker;
use super::pass_task::PassResult;
use super::scan_task::ScanResult;
use super::schedule::{PassOutcome, ScanKind, ScanOutcome, ScanPlace, Seen, WholeScan};
use crate::daemon::settle::Touch;
use crate::error::RunError;
use crate::features::remote_files::FetchEnd;
use crate::model::RelPath;
use crate::remote::ApiError;
use crate::runtime_state::{Phase, Waiting};
use crate::sync::pass::PassEnd;
use crate::sync::scan::Waited;

/// How a task ended; nothing inside when it ended abnormally.
type Ended<T> = Option<Result<T, RunError>>;

impl MirrorWorker {
    pub(super) fn scan_ended(
        &mut self,
        kind: ScanKind,
        ended: Ended<ScanResult>,
        now: Instant,
    ) -> Result<(), RunError> {
        let scan = match ended {
            Some(Ok(scan)) => scan,
            None => {
                self.schedule.scan_ended(kind, ScanOutcome::Crashed, now);
                return Ok(());
            }
            Some(Err(RunError::Stopped)) => {
                self.schedule.scan_ended(kind, ScanOutcome::Stopped, now);
                return Ok(());
            }
            Some(Err(error)) => {
                self.schedule.scan_ended(kind, ScanOutcome::Failed, now);
                return self.disbelieve(error, now);
            }
        };
        let ScanResult { place, files, unsettled, absent, problems, began, emptied, asks } = scan;
        let whole = matches!(place, ScanPlace::Whole).then_some(WholeScan { files, began });
        let seen = Seen { whole, unsettled, absent, asks, emptied };
        self.schedule.scan_ended(kind, ScanOutcome::Seen(seen), now);
        if self.schedule.is_paused() {
            return Ok(());
        }
        self.health.scanned(&self.config.name, &place, problems);
        self.published.unread_may_differ = true;
        if emptied {
            let guard =
                "the root holds no file to mirror any more; nothing is deleted, and it goes on when files are back";
            self.pause(guard, now);
            return Ok(());
        }
        if whole.is_some() {
            self.live.scanned(&self.config.name);
        }
        if let (ScanPlace::Settled(paths, _), false) = (place, self.slots.pass.is_free()) {
            self.urgent.push(paths.into_iter().map(|path| path.key().to_owned()));
        }
        Ok(())
    }

    pub(super) fn fetch_ended(&mut self, ended: Ended<FetchEnd>, now: Instant) -> Result<(), RunError> {
        let fetched = ended.transpose()?;
        self.schedule.fetch_ended(fetched.is_none(), now);
        if let Some(FetchEnd { asked, problems, .. }) = fetched
            && !self.schedule.is_paused()
        {
            self.health.scanned(&self.config.name, &ScanPlace::Settled(asked, Waited::default()), problems);
            self.published.unread_may_differ = true;
        }
        Ok(())
    }

    pub(super) async fn pass_ended(&mut self, ended: Ended<PassResult>, now: Instant) -> Result<(), RunError> {
        match ended {
            Some(Ok(result)) => self.passed(result, now).await,
            Some(Err(error)) => {
                self.schedule.pass_ended(PassOutcome::Cut, now);
                match error {
                    RunError::Api(error) => self.wait_out(&error),
                    RunError::Stopped => Ok(()),
                    error => self.disbelieve(error, now),
                }
            }
            None => {
                self.schedule.pass_ended(PassOutcome::Crashed, now);
                Ok(())
            }
        }
    }

    async fn passed(&mut self, result: PassResult, now: Instant) -> Result<(), RunError> {
        let PassResult { report, end, took, cut } = result;
        let PassEnd { guard, stopped, fatal, changed, .. } = end;
        for path in changed.iter().filter_map(|path| RelPath::from_key(path).ok()) {
            self.schedule.saved(path, Touch::Changed, now);
        }
        let answered = fatal.is_none() && !cut;
        if answered && report.api_requests > 0 {
            self.api_backoff.over();
        }
        self.summarise(&report, took);
        let outcome = match (stopped, answered) {
            (true, _) => PassOutcome::NotBelieved,
            (false, true) => PassOutcome::Whole,
            (false, false) => PassOutcome::Cut,
        };
        let stood_for_all = self.schedule.pass_ended(outcome, now);
        if stopped {
            self.report_stop(guard.unwrap_or_default());
        } else if let Some(guard) = guard {
            self.report_guard(guard);
        }
        if outcome == PassOutcome::Whole {
            self.report_going_on();
        }
        self.publish_pass(report, took, stood_for_all).await?;
        fatal.map_or(Ok(()), |error| self.wait_out(&error))
    }

    fn wait_out(&mut self, error: &ApiError) -> Result<(), RunError> {
        // No waiting heals it. After a promotion a session of its own follows.
        if error.is_access() || error.is_promotion() {
            return Err(RunError::Api(error.clone()));
        }
        if !self.schedule.is_paused() {
            let waiting = Waiting::Api { since: Timestamp::now(), cause: error.to_string() };
            self.live.set_phase(&self.config.name, Phase::Waiting { waiting });
        }
        self.schedule.api_outage();
        let (session, api_backoff, error) = (self.session.clone(), self.api_backoff.clone(), error.clone());
        self.slots.api_wait.begin(async move { Ok(api_backoff.wait_out(&session, &error).await?) });
        Ok(())
    }

    pub(super) fn api_wait_ended(&mut self, ended: Ended<()>, now: Instant) -> Result<(), RunError> {
        self.schedule.api_wait_ended(ended.is_none(), now);
        ended.unwrap_or(Ok(()))
    }
}
