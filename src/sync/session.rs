//! What all mirrors of a process share: the index, the project, the API client and its confirming task.
//!
//! Owns: the order in which they are opened, binding the index to the project, settling what the last process left
//! open, and when the remote is looked at.

mod calls;
mod open_intents;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::Semaphore;

use crate::config::Config;
use crate::error::RunError;
use crate::index::binding::{self, Binding, Place};
use crate::index::{Index, IndexError, InstanceLock, settings, status_notes};
use crate::model::{Month, Site};
use crate::remote::{self, ApiError, Options, Remote, Retry};

use crate::features::budget::Budget;
use crate::features::cdn_check::Verifier;
use crate::features::remote_files::Cache;
use crate::sync::confirm::Confirmer;
use crate::sync::execute::Rights;
use crate::sync::full_listing::{self, Rhythm};
use crate::sync::last_look::LastLook;
use crate::sync::list_remote::{self, RefreshError};
use crate::sync::old_index;
use crate::sync::plan_limits::Room;
use crate::sync::timeouts::SyncTimeouts;
use calls::Calls;

/// Files sent at a time: enough to hide the bucket's latency at the API's pace.
const SENDERS: usize = 8;
/// How long a new configuration's token may take to be taken or refused.
const ADMISSION: Duration = Duration::from_secs(10);

/// An open session.
#[derive(Debug)]
pub struct Session {
    /// The index; a throw-away copy for a dry run.
    pub index: Index,
    /// The API.
    pub remote: Remote,
    /// The project.
    pub site: Site,
    /// Follows what the service accepted.
    pub confirmer: Confirmer,
    /// Looks at assets right before they are written.
    pub last_look: LastLook,
    /// Where no asset may be made.
    pub rights: Arc<Rights>,
    /// What the plan lets be sent.
    pub room: Arc<Room>,
    /// The bytes of fetched files.
    pub fetched: Arc<Cache>,
    /// Bounds the files being sent at a time.
    pub senders: Arc<Semaphore>,
    /// Nothing is changed, here or there.
    pub dry_run: bool,
    /// Follows the URLs of replaced assets, for mirrors that want it; the owner sets it.
    pub verifier: Option<Verifier>,
    /// How long to wait for what.
    pub waits: SyncTimeouts,
    /// How often everything is listed.
    pub rhythm: Rhythm,
    /// A listing beside the passes met less than the index knows.
    misses: AtomicBool,
    calls: Arc<Calls>,
    looked: Mutex<Instant>,
    /// One mirror at a time lists: what it learns serves all.
    listing: tokio::sync::Mutex<()>,
    _lock: Option<InstanceLock>,
}

/// Opens the index: the lock first, so that a second instance touches nothing.
///
/// # Errors
/// The index's.
pub fn open_index(config: &Config, dry_run: bool) -> Result<(Index, Option<InstanceLock>), RunError> {
    if dry_run {
        return Ok((Index::snapshot(&old_index::place_of(config))?, None));
    }
    let lock = InstanceLock::acquire(&config.state_path)?;
    old_index::take_over(config, &lock)?;
    let opened = Index::open(&config.state_path)?;
    lock.tell(&config.state_path, &for_whom(config));
    if let Some(notice) = opened.notice {
        tracing::warn!("{notice}");
    }
    Ok((opened.index, Some(lock)))
}

/// What the process that has the index mirrors, for whoever finds it taken.
fn for_whom(config: &Config) -> String {
    match &config.source {
        Some(file) => file.display().to_string(),
        None => config.mirrors.iter().map(|mirror| mirror.root.display().to_string()).collect::<Vec<_>>().join(", "),
    }
}

impl Session {
    /// Opens a session on an index. The API is asked for the project, again and again for `waits.reach` when it
    /// cannot be reached.
    ///
    /// # Errors
    /// The API's and the index's.
    pub async fn open(
        config: &Config,
        index: Index,
        lock: Option<InstanceLock>,
        dry_run: bool,
        waits: SyncTimeouts,
        heard: impl Fn(&ApiError),
    ) -> Result<Self, RunError> {
        let now = Timestamp::now();
        let spent = index.call(move |conn| settings::count_calls(conn, &Month::name_of(now), 0)).await?;
        let calls = Arc::new(Calls::new(Budget::new(config.api.monthly_budget, waits.spreads_budget, spent, now)));
        let remote = Remote::stamped(Options {
            environment: config.api.environment.clone(),
            rate_share: config.api.rate_share,
            upload_bandwidth: config.api.upload_bandwidth,
            ledger: Some(calls.clone()),
            timeouts: waits.remote,
            ..remote::options(&config.api.base_url, config.api.token.clone())
        })?;
        let site = reach(&remote, waits.reach, heard).await?;
        bind(&index, &site, config.api.environment.clone(), remote.environment()).await?;
        let seen = site.clone();
        index.call(move |conn| status_notes::set_site(conn, &seen)).await?;
        let (confirmer, task) = Confirmer::new(remote.clone(), waits.follow);
        tokio::spawn(task);
        let (last_look, task) = LastLook::new(remote.clone());
        tokio::spawn(task);
        let senders = Arc::new(Semaphore::new(SENDERS));
        let room = Arc::new(Room::new(remote.clone(), index.clone()));
        let fetched = Arc::new(Cache::new(index.path(), config.remote_cache));
        let session = Self {
            index,
            remote,
            site,
            confirmer,
            last_look,
            rights: Arc::default(),
            room,
            fetched,
            senders,
            dry_run,
            verifier: None,
            waits,
            rhythm: Rhythm { interval: config.api.full_listing_interval, budget: config.api.monthly_budget },
            misses: AtomicBool::new(false),
            calls,
            looked: Mutex::new(Instant::now()),
            listing: tokio::sync::Mutex::default(),
            _lock: lock,
        };
        if !dry_run {
            session.resolve_open_intents().await?;
        }
        Ok(session)
    }

    /// Whether a look at the remote needs nothing that a scan finds out: the index has seen every asset once.
    ///
    /// # Errors
    /// The index's.
    pub async fn knows_remote(&self) -> Result<bool, RunError> {
        Ok(self.index.call(list_remote::is_complete).await?)
    }

    /// Looks at the whole remote: changes and deletions.
    ///
    /// # Errors
    /// The API's and the index's.
    pub async fn refresh(&self) -> Result<(), RefreshError> {
        self.look_over(false).await
    }

    /// [`Session::refresh`], by a listing of everything where that is due: for a run, which has nobody waiting beside it.
    ///
    /// # Errors
    /// The API's and the index's.
    pub async fn refresh_in_full_when_due(&self) -> Result<(), RefreshError> {
        let due = self.full_listing_due_in(Timestamp::now()).await?;
        self.look_over(due == Some(Duration::ZERO)).await
    }

    /// In how long a listing of everything is due; `None`: the budget never lets there be one.
    ///
    /// # Errors
    /// The index's.
    pub async fn full_listing_due_in(&self, now: Timestamp) -> Result<Option<Duration>, IndexError> {
        full_listing::due_in(&self.index, &self.rhythm, self.calls_this_month(), now).await
    }

    async fn look_over(&self, everything: bool) -> Result<(), RefreshError> {
        let _listing = self.listing.lock().await;
        let at = Instant::now();
        list_remote::refresh(&self.index, &self.remote, everything).await?;
        self.saw(at);
        Ok(())
    }

    /// Lists everything beside the passes. What it misses is left to the refresh of a pass: see [`Session::take_misses`].
    ///
    /// # Errors
    /// The API's and the index's.
    pub async fn list_beside(&self) -> Result<(), RefreshError> {
        let misses = full_listing::list_beside(&self.index, &self.remote, || self.is_slowed()).await?;
        self.misses.fetch_or(misses, Ordering::Relaxed);
        Ok(())
    }

    /// Whether the last listing beside the passes met less than the index knows; only the first who asks is told.
    pub fn take_misses(&self) -> bool {
        self.misses.swap(false, Ordering::Relaxed)
    }

    /// Looks at what changed remotely, unless that was done less than `age` ago.
    ///
    /// # Errors
    /// The API's and the index's.
    pub async fn freshen(&self, age: Duration) -> Result<(), RefreshError> {
        if self.looked_at().elapsed() >= age {
            let at = Instant::now();
            list_remote::changes(&self.index, &self.remote).await?;
            self.saw(at);
        }
        Ok(())
    }

    /// When the remote was last looked at.
    #[must_use]
    pub fn looked_at(&self) -> Instant {
        *self.looked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn saw(&self, at: Instant) {
        *self.looked.lock().unwrap_or_else(PoisonError::into_inner) = at;
    }

    /// Writes the calls made since the last time to the index.
    ///
    /// # Errors
    /// The index's.
    pub async fn write_calls(&self) -> Result<(), RunError> {
        let unwritten = self.calls.budget().take_unwritten();
        if !unwritten.is_empty() && !self.dry_run {
            self.index
                .call(move |conn| {
                    unwritten.iter().try_for_each(|(month, calls)| settings::count_calls(conn, month, *calls).map(drop))
                })
                .await?;
        }
        Ok(())
    }

    /// Calls made this month by this installation.
    #[must_use]
    pub fn calls_this_month(&self) -> u64 {
        self.calls.budget().spent(Timestamp::now())
    }

    /// Whether what is left of the month's budget is being spread over the rest of the month.
    #[must_use]
    pub fn is_slowed(&self) -> bool {
        self.calls.budget().is_slowed(Timestamp::now())
    }
}

/// Makes the index that of the project and environment that the session works on, and says so when it was another's.
async fn bind(index: &Index, site: &Site, asked: Option<String>, answered: Option<String>) -> Result<(), RunError> {
    let site = site.id.clone();
    let bind = index.call(move |conn| {
        let place = Place { site: &site, asked: asked.as_deref(), answered: answered.as_deref() };
        binding::bind(conn, place)
    });
    match bind.await? {
        Binding::Kept => {}
        Binding::Promoted { from, to } => tracing::warn!(
            "the primary environment is \"{to}\" now and was \"{from}\": the media area is looked at anew; what is \
             missing in it is mirrored again, and nothing of that counts as deleted by an editor"
        ),
        Binding::Emptied => {
            tracing::warn!("the index belonged to another project or environment; it is filled anew for this one");
        }
    }
    Ok(())
}

/// Whether the API takes the token and environment of a configuration that is to replace another. One that cannot be
/// reached refuses nothing.
///
/// # Errors
/// The refusal.
pub async fn admitted(config: &Config) -> Result<(), RunError> {
    let remote = Remote::stamped(Options {
        environment: config.api.environment.clone(),
        ..remote::options(&config.api.base_url, config.api.token.clone())
    })?;
    match tokio::time::timeout(ADMISSION, remote.site()).await {
        Ok(Err(error)) if error.is_access() => Err(error.into()),
        _ => Ok(()),
    }
}

/// The current month, UTC, as the index keys its calls.
#[must_use]
pub fn this_month() -> String {
    Month::name_of(Timestamp::now())
}

/// Asks for the project until it answers, for as long as `patience` and the error allow. `heard` is told of each answer in
/// vain that is waited out.
///
/// # Errors
/// The API's last word.
pub async fn reach(remote: &Remote, patience: Duration, heard: impl Fn(&ApiError)) -> Result<Site, ApiError> {
    let started = Instant::now();
    let mut pause = Duration::from_millis(500);
    loop {
        let asked = Instant::now();
        let error = match remote.site().await {
            Ok(site) => return Ok(site),
            Err(error) => error,
        };
        // The client tries each call a few times by itself: another one takes as long as the last.
        let next = pause + asked.elapsed();
        if error.is_access() || error.retry() == Retry::Never || started.elapsed() + next > patience {
            return Err(error);
        }
        tracing::debug!(%error, "the API cannot be reached; asking again");
        heard(&error);
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_secs(60));
    }
}
