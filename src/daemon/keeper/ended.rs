//! What became of a scan, a pass, or a wait for the API.
//!
//! Owns: what their outcomes mean for what is to be done next. Begins neither scans nor passes.

use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::Keeper;
use super::work::{Job, Looked, Place, Worked};
use crate::daemon::settle::Touch;
use crate::error::RunError;
use crate::features::remote_files::FetchEnd;
use crate::model::RelPath;
use crate::remote::ApiError;
use crate::runtime_state::{Phase, Waiting};
use crate::sync::scan::{Look as FirstLook, Waited};

/// After work that ended abnormally.
const AFTER_A_FALL: Duration = Duration::from_secs(30);

impl Keeper {
    /// A look at the disk ended.
    pub(super) fn looked(&mut self, looked: Option<Result<Looked, RunError>>) -> Result<(), RunError> {
        let Looked { place, files, restless, held, problems, began, emptied, asks } = match looked {
            Some(Ok(looked)) => looked,
            // It is not known what was seen: everything is looked at again.
            None => {
                self.next_rescan = self.next_rescan.min(Instant::now() + AFTER_A_FALL);
                return Ok(());
            }
            Some(Err(RunError::Stopped)) => {
                self.rescan = true;
                return Ok(());
            }
            Some(Err(error)) => return self.disbelieve(error),
        };
        if self.paused {
            return Ok(());
        }
        let now = Instant::now();
        for FirstLook { path, print, at, .. } in restless {
            match at {
                Some(at) => self.settle.seen(path, print, at, now),
                None => self.settle.touched(path, Touch::Changed, now),
            }
        }
        for path in held {
            self.settle.absent(path, now);
        }
        self.to_fetch.add(asks);
        self.standing.scanned(&self.config.name, &place, problems);
        self.unread_may_differ = true;
        if emptied {
            self.pause(
                "the root holds no file to mirror any more; nothing is deleted, and it goes on when files are back",
            );
            return Ok(());
        }
        if let Place::Whole = place {
            // A tree that takes long to look at is not looked at all the time.
            self.next_rescan = self.next_rescan.max(now + began.elapsed());
            self.known = true;
            self.scanned = Some((files, began));
            self.live.scanned(&self.config.name);
        }
        if let (Place::Settled(paths, _), false) = (place, self.pass.is_free()) {
            self.urgent.push(paths.into_iter().map(|path| path.key().to_owned()));
        }
        self.dirty = true;
        Ok(())
    }

    /// What was to be fetched is there, or cannot be.
    pub(super) fn fetched(&mut self, fetched: Option<Result<FetchEnd, RunError>>) -> Result<(), RunError> {
        self.fetching.clear();
        let FetchEnd { asked, problems, .. } = match fetched {
            Some(Ok(end)) => end,
            // What came of it is not known: they are asked for again.
            None => {
                self.next_rescan = self.next_rescan.min(Instant::now() + AFTER_A_FALL);
                return Ok(());
            }
            Some(Err(error)) => return Err(error),
        };
        if !self.paused {
            self.standing.scanned(&self.config.name, &Place::Settled(asked, Waited::default()), problems);
            self.unread_may_differ = true;
            // Also for whoever looks at the page.
            self.dirty = true;
        }
        Ok(())
    }

    /// A pass ended.
    pub(super) async fn worked(&mut self, worked: Option<Result<Worked, RunError>>) -> Result<(), RunError> {
        let Worked { report, end, took, cut } = match worked {
            Some(Ok(worked)) => worked,
            Some(Err(RunError::Api(error))) => {
                self.once_more();
                return self.wait_out(&error);
            }
            Some(Err(RunError::Stopped)) => {
                self.once_more();
                return Ok(());
            }
            Some(Err(error)) => {
                self.once_more();
                return self.disbelieve(error);
            }
            None => {
                self.once_more();
                self.next_pass = Instant::now() + AFTER_A_FALL;
                return Ok(());
            }
        };
        let now = Instant::now();
        for path in end.changed.iter().filter_map(|path| RelPath::from_key(path).ok()) {
            self.settle.touched(path, Touch::Changed, now);
        }
        let answered = end.fatal.is_none() && !cut;
        if answered && report.api_requests > 0 {
            self.outage.over();
        }
        self.summarise(&report, took);
        let whole = answered && !end.stopped;
        if end.stopped {
            self.rest(end.guard.unwrap_or_default(), now);
        } else if let Some(guard) = end.guard {
            if self.standing.guard.as_ref() != Some(&guard) {
                tracing::warn!(mirror = self.config.name, "{guard}");
            }
            self.standing.guard = Some(guard);
        }
        if whole {
            self.go_on();
        } else {
            self.once_more();
        }
        self.show(report, took, whole && self.job.after_scan.is_some()).await?;
        match end.fatal {
            Some(error) => self.wait_out(&error),
            None => Ok(()),
        }
    }

    /// What the pass was begun for is still to be done.
    fn once_more(&mut self) {
        let Job { refresh, after_scan, overrides } = std::mem::take(&mut self.job);
        self.overrides = self.overrides.and(overrides);
        self.refresh |= refresh;
        self.scanned = self.scanned.take().or(after_scan);
        self.dirty = true;
    }

    fn wait_out(&mut self, error: &ApiError) -> Result<(), RunError> {
        // No waiting heals it. After a promotion a session of its own follows.
        if error.is_access() || error.is_promotion() {
            return Err(RunError::Api(error.clone()));
        }
        if !self.paused {
            let waiting = Waiting::Api { since: Timestamp::now(), cause: error.to_string() };
            self.live.set_phase(&self.config.name, Phase::Waiting { waiting });
        }
        // Others may have changed the remote meanwhile.
        self.refresh = true;
        let (session, outage, error) = (self.session.clone(), self.outage.clone(), error.clone());
        self.trouble.begin(async move { Ok(outage.wait_out(&session, &error).await?) });
        Ok(())
    }

    pub(super) fn waited(&mut self, waited: Option<Result<(), RunError>>) -> Result<(), RunError> {
        if waited.is_none() {
            self.next_pass = Instant::now() + AFTER_A_FALL;
        }
        waited.unwrap_or(Ok(()))
    }
}
