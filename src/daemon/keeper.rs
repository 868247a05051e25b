//! Keeps one mirror in step: events, polls and timers in; scans and passes out.
//!
//! Owns: when a mirror is scanned, when it is passed over, and what pauses it. Its loop, here, only chooses: whatever takes time
//! runs in a lane beside it, so that events are heard, a stop is obeyed and a hang shows at any time.
//!
//! ```text
//! events ─▶ settle ─▶ files (lane) ─────┐
//!   └─ folders, rescans ─▶ slow (lane) ─┼▶ pass (lane) ─▶ trouble (lane, in the place of passes)
//!        what lists name ─▶ fetch (lane) ┘
//! ```
//!
//! Never two passes of one mirror at a time; a file that changes while a pass runs is taken first by that pass. Decides
//! nothing about a file: that is `plan`.

mod begin;
mod ended;
mod hear;
mod lane;
mod overrides;
mod pace;
mod pause;
mod standing;
mod tell;
mod work;

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;

use crate::config::Mirror;
use crate::config::policy::Watch;
use crate::disk::Selection;
use crate::error::RunError;
use crate::index::overrides::Overrides;
use crate::index::status_notes::Unread;
use crate::model::RelPath;
use crate::runtime_state::RuntimeState;

use super::outage::Outage;
use super::retrier::Again;
use crate::daemon::settle::{Settle, Timing};
use crate::daemon::watch::{WatchMode, WatchOptions, WatchState, Watching};
use crate::features::remote_files::{Asks, FetchEnd};
use crate::sync::execute::Sending;
use crate::sync::mirror::MirrorRun;
use crate::sync::pass::PriorityPaths;
use crate::sync::session::Session;
use hear::next;
use lane::Lane;
use pace::{DUE_INTERVAL, jittered};
use pause::PAUSED_INTERVAL;
use standing::Standing;
use work::{Job, Looked, Worked};

/// The watcher says when it stands, and a scan begun then misses nothing; one that does not say is not waited for.
const WATCHER_PATIENCE: Duration = Duration::from_secs(10);

/// Keeps one mirror.
pub struct Keeper {
    config: Arc<Mirror>,
    session: Arc<Session>,
    outage: Arc<Outage>,
    live: Arc<RuntimeState>,
    /// People who do not want to wait.
    again: broadcast::Receiver<Again>,
    stop: CancellationToken,
    /// Stops what is under way when the root cannot be believed.
    halt: CancellationToken,
    settle: Settle,
    urgent: PriorityPaths,
    sending: Sending,
    standing: Standing,
    polled: bool,
    /// The watcher has ended.
    deaf: bool,
    files: Lane<Looked>,
    slow: Lane<Looked>,
    slow_since: Instant,
    pass: Lane<Worked>,
    job: Job,
    trouble: Lane<()>,
    /// What lists name, from other people's servers: nothing waits for it.
    fetch: Lane<FetchEnd>,
    /// What is fetched now.
    fetching: Vec<RelPath>,
    /// What is fetched then.
    to_fetch: Asks,
    /// What could not be fetched is not asked for again before.
    next_fetch: Instant,
    /// Folders to scan.
    folders: Vec<RelPath>,
    /// The whole tree has to be scanned.
    rescan: bool,
    /// The whole tree was scanned, by how many files and since when; its pass is still to come.
    scanned: Option<(u64, Instant)>,
    /// The whole tree was scanned once.
    known: bool,
    /// Something is dirty: a pass is due.
    dirty: bool,
    /// The remote has to be looked over.
    refresh: bool,
    /// Waits for its root.
    paused: bool,
    /// What the next pass over the whole mirror may do.
    overrides: Overrides,
    next_overrides: Instant,
    next_root: Instant,
    next_rescan: Instant,
    next_refresh: Instant,
    next_due: Instant,
    /// No pass before.
    next_pass: Instant,
    /// Passes in a row that were stopped before they changed anything.
    rests: u32,
    /// What `status` was told of the watch.
    noted: Option<WatchState>,
    /// What `status` was told of files that cannot be read; nothing yet in this process.
    noted_unread: Option<Vec<Unread>>,
    /// A look at the disk ended since.
    unread_may_differ: bool,
}

impl Keeper {
    /// A keeper that has not begun.
    pub fn new(
        config: Arc<Mirror>,
        session: Arc<Session>,
        outage: Arc<Outage>,
        live: Arc<RuntimeState>,
        again: broadcast::Receiver<Again>,
        stop: CancellationToken,
    ) -> Self {
        let now = Instant::now();
        Self {
            settle: Settle::new(Timing::new(config.settle)),
            overrides: Overrides::default(),
            next_overrides: now,
            next_root: now,
            next_rescan: now + WATCHER_PATIENCE,
            next_refresh: now + jittered(config.remote_refresh),
            next_due: now + DUE_INTERVAL,
            next_pass: now,
            rests: 0,
            halt: stop.child_token(),
            slow_since: now,
            config,
            session,
            outage,
            live,
            again,
            stop,
            urgent: PriorityPaths::default(),
            sending: Sending::default(),
            standing: Standing::default(),
            polled: false,
            deaf: false,
            files: Lane::default(),
            slow: Lane::default(),
            pass: Lane::default(),
            job: Job::default(),
            trouble: Lane::default(),
            fetch: Lane::default(),
            fetching: Vec::new(),
            to_fetch: Asks::default(),
            next_fetch: now,
            folders: Vec::new(),
            rescan: false,
            scanned: None,
            known: false,
            dirty: false,
            refresh: true,
            paused: false,
            noted: None,
            noted_unread: None,
            unread_may_differ: false,
        }
    }

    /// Runs until it is stopped.
    ///
    /// # Errors
    /// What no waiting can heal.
    pub async fn run(mut self) -> Result<(), RunError> {
        let Some(run) = self.prepare().await? else { return Ok(()) };
        let mut options =
            WatchOptions::new(self.config.root.clone(), mode(self.config.watch), Selection::clone(&run.selection));
        options.root_interval = PAUSED_INTERVAL;
        let (watching, mut events) = Watching::start(options).map_err(|error| {
            RunError::Broken(format!("mirror {}: no thread to watch with: {error}", self.config.name))
        })?;
        loop {
            self.settle_due(&run).await;
            self.begin(&run).await?;
            self.note_watching(&watching).await?;
            self.note_unread().await?;
            let wake = self.wake();
            self.live.rest_until(wake);
            tokio::select! {
                event = events.recv(), if !self.deaf => self.heard(event),
                Some(again) = next(&mut self.again) => self.asked(&again),
                looked = self.files.end() => self.looked(looked)?,
                looked = self.slow.end() => self.looked(looked)?,
                worked = self.pass.end() => self.worked(worked).await?,
                fetched = self.fetch.end() => self.fetched(fetched)?,
                waited = self.trouble.end() => self.waited(waited)?,
                () = tokio::time::sleep_until(wake.into()) => {}
                () = self.stop.cancelled() => break,
            }
            self.live.awake(Instant::now());
        }
        drop(watching);
        // They have been told to stop as well; what they do not finish is taken up by the next start.
        tokio::join!(self.files.drain(), self.slow.drain(), self.pass.drain(), self.fetch.drain());
        Ok(())
    }

    /// Waits for a root that can be believed; nothing when stopped before.
    async fn prepare(&mut self) -> Result<Option<MirrorRun>, RunError> {
        loop {
            let force = self.take_overrides().await?.force;
            match MirrorRun::prepare(self.config.clone(), &self.session.index, force).await {
                Ok(run) => {
                    if force {
                        self.accept_root(&run).await?;
                    }
                    self.resume();
                    // Only what is asked for while it runs, and only once.
                    return Ok(Some(MirrorRun { live: Some(self.live.clone()), force: false, ..run }));
                }
                Err(RunError::Guard(guard)) => self.pause(&guard.to_string()),
                Err(error) => return Err(error),
            }
            self.live.rest_until(Instant::now() + PAUSED_INTERVAL * 2);
            tokio::select! {
                () = tokio::time::sleep(PAUSED_INTERVAL) => {}
                () = self.stop.cancelled() => return Ok(None),
            }
        }
    }
}

const fn mode(watch: Watch) -> WatchMode {
    match watch {
        Watch::Auto => WatchMode::Auto,
        Watch::Native => WatchMode::Native,
        Watch::Poll => WatchMode::Poll,
    }
}
