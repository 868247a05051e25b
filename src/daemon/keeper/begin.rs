//! Scans and passes set going.
//!
//! Owns: what each is about. Their steps are in `work`, and when they may begin is in `pace`.

use std::time::Instant;

use jiff::Timestamp;

use super::Keeper;
use super::pace::{DUE_INTERVAL, jittered};
use super::work::{Job, Place, Work, look};
use crate::error::RunError;
use crate::features::remote_files::{AGAIN, due_again};
use crate::index::files;
use crate::index::overrides::Overrides;
use crate::index::remote_files;
use crate::index::retry_requests;
use crate::index::sidecars;
use crate::model::RelPath;
use crate::runtime_state::Phase;
use crate::sync::mirror::{MirrorRun, RunRequest};

impl Keeper {
    /// Begins what is to be done and can be.
    pub(super) async fn begin(&mut self, run: &MirrorRun) -> Result<(), RunError> {
        let now = Instant::now();
        if now >= self.next_overrides {
            self.next_overrides = now + DUE_INTERVAL;
            if self.take_overrides().await?.force {
                self.accept_root(run).await?;
            }
        }
        if self.paused && !self.is_back(run, now).await? {
            return Ok(());
        }
        if now >= self.next_refresh && self.can_pass(now) {
            self.refresh = true;
            self.next_refresh = now + jittered(self.config.remote_refresh);
            // What lists name lies on other people's servers: asked for at the same rhythm, and not only by a rescan.
            let mirror = run.row;
            let lists = self.session.index.call(move |conn| sidecars::lists(conn, mirror)).await?;
            self.folders.extend(lists.iter().filter_map(|list| RelPath::from_key(&list.path).ok()));
        }
        self.begin_scan(run, now);
        self.begin_fetch(run);
        if !self.can_pass(now) {
            return Ok(());
        }
        if now >= self.next_due {
            self.next_due = now + DUE_INTERVAL;
            let mirror = run.row;
            let at = Timestamp::now().as_millisecond();
            let (due, look, fetched) = self
                .session
                .index
                .call(move |conn| {
                    Ok((
                        files::is_due(conn, mirror, at)?,
                        retry_requests::take_look(conn, mirror)?,
                        remote_files::all(conn, mirror)?,
                    ))
                })
                .await?;
            self.dirty |= due;
            self.rescan |= look;
            if look {
                self.session.rights.forget();
            }
            self.refresh |= self.session.take_misses();
            if now >= self.next_fetch {
                // Also where a list is broken, so that nobody can be asked.
                self.next_fetch = now + AGAIN;
                let again = due_again(&fetched, self.config.remote_refresh, Timestamp::now());
                let is_new = |path: &RelPath| !self.fetching.contains(path) && !self.to_fetch.names(path.key());
                self.folders.extend(again.into_iter().filter(is_new));
            }
        }
        if self.has_settled(now) || self.refresh || self.dirty {
            self.begin_pass(run, now);
        }
        Ok(())
    }

    fn begin_scan(&mut self, run: &MirrorRun, now: Instant) {
        if !self.slow.is_free() {
            return;
        }
        let place = if self.rescan || now >= self.next_rescan {
            self.next_rescan = now + self.scan_interval();
            self.rescan = false;
            self.folders.clear();
            if self.pass.is_free() && !self.known {
                self.live.set_phase(&self.config.name, Phase::Scanning);
            }
            Place::Whole
        } else if self.folders.is_empty() {
            return;
        } else {
            Place::Folders(std::mem::take(&mut self.folders))
        };
        self.slow_since = now;
        self.slow.begin(look(run.clone(), self.session.clone(), place, self.halt.clone()));
    }

    /// What a scan wants fetched is fetched beside all else.
    fn begin_fetch(&mut self, run: &MirrorRun) {
        if self.fetch.is_free() && !self.to_fetch.is_empty() {
            let asks = std::mem::take(&mut self.to_fetch);
            self.fetching = asks.files.iter().map(|ask| ask.file.path.clone()).collect();
            self.fetch.begin(run.fetch_job(&self.session, asks).run(self.halt.clone()));
        }
    }

    fn begin_pass(&mut self, run: &MirrorRun, now: Instant) {
        self.job = Job {
            refresh: std::mem::take(&mut self.refresh),
            after_scan: if self.has_settled(now) { self.scanned.take() } else { None },
            overrides: Overrides::default(),
        };
        if self.job.after_scan.is_some() {
            self.job.overrides = std::mem::take(&mut self.overrides);
        }
        let Overrides { force, take_over, recreate } = self.job.overrides;
        self.dirty = false;
        let work = Work {
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
            job: self.job.clone(),
        };
        self.pass.begin(work.run());
    }
}
