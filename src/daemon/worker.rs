//! The worker of one mirror: the shell around its [`Schedule`].
//!
//! Owns: the clock, and the tasks that run beside the worker's loop. The loop tells the schedule what happened, starts what
//! the schedule says, and sleeps until the next event. Whatever takes time runs in a task slot, so that events are heard, a
//! stop is obeyed and a hang shows at any time. A file that changes while a pass runs is taken first by that pass.
//! Never does: deciding when something is done (that is `schedule`), or anything about a file (that is `plan`).

mod events;
mod health;
mod outcomes;
mod overrides;
mod pass_task;
mod publish;
mod root_pause;
mod scan_task;
mod schedule;
mod start;
mod task_slot;

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;

use super::api_backoff::ApiBackoff;
use super::retry_requests::RetryRequest;
use crate::config::Mirror;
use crate::config::policy::Watch;
use crate::daemon::watch::{WatchMode, WatchOptions, Watching};
use crate::disk::Selection;
use crate::error::RunError;
use crate::features::remote_files::FetchEnd;
use crate::runtime_state::RuntimeState;
use crate::sync::execute::Sending;
use crate::sync::mirror::MirrorRun;
use crate::sync::pass::PriorityPaths;
use crate::sync::session::Session;
use events::next_request;
use health::MirrorHealth;
use pass_task::PassResult;
use publish::Published;
use scan_task::ScanResult;
use schedule::{Intervals, ROOT_INTERVAL, ScanKind, Schedule};
use task_slot::TaskSlot;

/// Mirrors one folder for as long as it runs.
pub struct MirrorWorker {
    config: Arc<Mirror>,
    session: Arc<Session>,
    api_backoff: Arc<ApiBackoff>,
    live: Arc<RuntimeState>,
    /// What people who do not want to wait ask for.
    retry_requests: broadcast::Receiver<RetryRequest>,
    stop: CancellationToken,
    /// Stops what is under way when the root cannot be believed.
    halt: CancellationToken,
    schedule: Schedule,
    slots: TaskSlots,
    /// What the pass that runs takes first.
    urgent: PriorityPaths,
    /// What the pass that runs is sending.
    sending: Sending,
    health: MirrorHealth,
    /// The watcher has ended, and nothing is to be heard from it any more.
    watcher_ended: bool,
    published: Published,
}

/// The tasks under way, one of each kind at most.
#[derive(Debug, Default)]
struct TaskSlots {
    settled_scan: TaskSlot<ScanResult>,
    wide_scan: TaskSlot<ScanResult>,
    pass: TaskSlot<PassResult>,
    /// What lists name is fetched from other people's servers: nothing waits for it.
    fetch: TaskSlot<FetchEnd>,
    api_wait: TaskSlot<()>,
}

impl MirrorWorker {
    /// A worker that has not begun.
    pub fn new(
        config: Arc<Mirror>,
        session: Arc<Session>,
        api_backoff: Arc<ApiBackoff>,
        live: Arc<RuntimeState>,
        retry_requests: broadcast::Receiver<RetryRequest>,
        stop: CancellationToken,
    ) -> Self {
        let intervals = Intervals {
            settle: config.settle,
            rescan: config.rescan_interval,
            poll: config.poll_interval,
            refresh: config.remote_refresh,
            spread: spread_by_chance,
        };
        Self {
            schedule: Schedule::new(intervals, Instant::now()),
            halt: stop.child_token(),
            config,
            session,
            api_backoff,
            live,
            retry_requests,
            stop,
            slots: TaskSlots::default(),
            urgent: PriorityPaths::default(),
            sending: Sending::default(),
            health: MirrorHealth::default(),
            watcher_ended: false,
            published: Published::default(),
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
        options.root_interval = ROOT_INTERVAL;
        let (watching, mut events) = Watching::start(options).map_err(|error| {
            RunError::Broken(format!("mirror {}: no thread to watch with: {error}", self.config.name))
        })?;
        loop {
            self.glance(&run).await;
            self.start_all(&run).await?;
            self.note_watching(&watching).await?;
            self.note_unread().await?;
            let wake = self.schedule.next_wake(Instant::now());
            self.live.rest_until(wake);
            let slots = &mut self.slots;
            tokio::select! {
                event = events.recv(), if !self.watcher_ended => self.watched(event, Instant::now()),
                Some(request) = next_request(&mut self.retry_requests) => self.retry_asked(&request, Instant::now()),
                scanned = slots.settled_scan.end() => self.scan_ended(ScanKind::Settled, scanned, Instant::now())?,
                scanned = slots.wide_scan.end() => self.scan_ended(ScanKind::Wide, scanned, Instant::now())?,
                passed = slots.pass.end() => self.pass_ended(passed, Instant::now()).await?,
                fetched = slots.fetch.end() => self.fetch_ended(fetched, Instant::now())?,
                waited = slots.api_wait.end() => self.api_wait_ended(waited, Instant::now())?,
                () = tokio::time::sleep_until(wake.into()) => {}
                () = self.stop.cancelled() => break,
            }
            self.live.awake(Instant::now());
        }
        drop(watching);
        // They have been told to stop as well; what they do not finish is taken up by the next start.
        let TaskSlots { settled_scan, wide_scan, pass, fetch, api_wait: _ } = &mut self.slots;
        tokio::join!(settled_scan.drain(), wide_scan.drain(), pass.drain(), fetch.drain());
        Ok(())
    }

    /// Starts what the schedule says. All in one round has one time: each question is asked once in it, so it ends.
    async fn start_all(&mut self, run: &MirrorRun) -> Result<(), RunError> {
        let now = Instant::now();
        loop {
            let starts = self.schedule.decide(now);
            if starts.is_empty() {
                return Ok(());
            }
            for start in starts {
                self.start(start, run, now).await?;
            }
        }
    }

    /// Waits for a root that can be believed; nothing when stopped before.
    async fn prepare(&mut self) -> Result<Option<MirrorRun>, RunError> {
        loop {
            let force = self.take_overrides(Instant::now()).await?.force;
            match MirrorRun::prepare(self.config.clone(), &self.session.index, force).await {
                Ok(run) => {
                    if force {
                        self.accept_root(&run).await?;
                    }
                    self.resume();
                    // Only what is asked for while it runs, and only once.
                    return Ok(Some(MirrorRun { live: Some(self.live.clone()), force: false, ..run }));
                }
                Err(RunError::Guard(guard)) => self.pause(&guard.to_string(), Instant::now()),
                Err(error) => return Err(error),
            }
            self.live.rest_until(Instant::now() + ROOT_INTERVAL * 2);
            tokio::select! {
                () = tokio::time::sleep(ROOT_INTERVAL) => {}
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

/// Nine to eleven tenths of the interval, so that many daemons do not knock at once.
fn spread_by_chance(interval: Duration) -> Duration {
    interval.mul_f64(0.9 + fastrand::f64() * 0.2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_is_spread_by_a_tenth_either_way() {
        let spread: Vec<f64> = (0..1000).map(|_| spread_by_chance(Duration::from_secs(1)).as_secs_f64()).collect();
        assert!(spread.iter().all(|seconds| (0.9..1.1).contains(seconds)));
        assert!(spread.iter().any(|seconds| *seconds < 0.95) && spread.iter().any(|seconds| *seconds > 1.05));
    }
}
