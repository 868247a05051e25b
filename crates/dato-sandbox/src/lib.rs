//! A local media area: the same API as the service, on loopback, kept on disk, stricter than the real one.
//!
//! Owns: a stand-in server with rate limit, jobs, presigned bucket, both metadata shapes, environments, faults on
//! request and a request log. Its facts come from the API's documentation and recorded answers; it writes its own
//! JSON and shares no wire type with the client, so that a misspelt field cannot agree with itself.
//! Never does: traffic beyond the machine, unless asked. Used by: `dato-mirror sandbox`, `dato-mirror demo`, and tests.

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

mod amend;
mod answer;
mod antivirus;
mod api;
mod bucket;
mod bulk;
mod call;
mod cdn;
mod collections;
mod control;
mod create;
mod digest;
mod door;
mod editor;
mod entity;
mod fault;
mod filter;
mod hold;
mod host;
mod job;
mod journal;
mod line;
mod listing;
mod log;
mod metadata;
mod others;
mod page;
mod place;
mod rate;
mod rights;
mod settings;
mod site;
mod state;
mod tracks;
mod update;

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

pub use editor::{AssetView, Edit, Planted, TrackView};
pub use fault::{Fault, FaultKind};
pub use hold::Held;
pub use log::LogEntry;
pub use rights::Right;
pub use settings::{Answers, InUseFilter, Settings};

use door::Shared;
use journal::Journal;
use line::{Line, Lines};
use place::Place;
use state::World;

/// How long a stopping sandbox waits for requests under way.
const GRACE: Duration = Duration::from_secs(2);

/// How to start a sandbox.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where to keep the state; without it, in a temporary directory that is removed at the end.
    pub data: Option<PathBuf>,
    /// Allow a listener that others can reach; the tokens are public.
    pub allow_remote: bool,
    /// What clients call the sandbox, without a slash at the end; the listener's address when there is none. Needed
    /// where that address means nothing to them, as in a container.
    pub public_url: Option<String>,
    /// The project's id, digits; it is part of every path.
    pub site_id: String,
    /// The project's name.
    pub site_name: String,
    /// Settings; when these are the defaults, those kept in `data` are used.
    pub settings: Settings,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            data: None,
            allow_remote: false,
            public_url: None,
            site_id: "205".to_owned(),
            site_name: "Sandbox".to_owned(),
            settings: Settings::default(),
        }
    }
}

impl Options {
    /// A sandbox for tests: no rate limit, no job latency, nothing kept.
    #[must_use]
    pub fn fast() -> Self {
        Self { settings: Settings::fast(), ..Self::default() }
    }
}

/// Whether a sandbox may listen at this address: who prints the address asks before it does.
///
/// # Errors
/// When others than this machine can reach it, in plain words.
pub fn check_address(address: SocketAddr) -> io::Result<()> {
    if line::is_private(address) {
        return Ok(());
    }
    let message =
        format!("{address} can be reached by others and the sandbox's tokens are public; listen on 127.0.0.1");
    Err(io::Error::new(io::ErrorKind::InvalidInput, message))
}

/// A running sandbox. Dropping it stops it without waiting.
#[derive(Debug)]
pub struct Sandbox {
    shared: Arc<Shared>,
    base_url: String,
    stop: Option<oneshot::Sender<()>>,
    task: Option<JoinHandle<io::Result<()>>>,
    temporary: Option<PathBuf>,
}

impl Sandbox {
    /// Starts on `listener`, in the current tokio runtime.
    ///
    /// # Errors
    /// When the listener is not on loopback and that is not allowed, or the data directory cannot be used.
    pub fn start(listener: TcpListener, options: Options) -> io::Result<Self> {
        let address = listener.local_addr()?;
        if !options.allow_remote {
            check_address(address)?;
        }
        let base_url = options.public_url.clone().unwrap_or_else(|| format!("http://{address}"));
        let (world, temporary) = open(options, base_url.clone())?;
        let shared = Arc::new(Shared(Mutex::new(world)));
        let (stop, stopped) = oneshot::channel::<()>();
        let router = Router::new().fallback(door::enter).with_state(Arc::clone(&shared));
        let service = router.into_make_service_with_connect_info::<Line>();
        let task = tokio::spawn(async move {
            let end = async {
                // A dropped sender ends the sandbox as well.
                let _ = stopped.await;
            };
            axum::serve(Lines(listener), service).with_graceful_shutdown(end).await
        });
        Ok(Self { shared, base_url, stop: Some(stop), task: Some(task), temporary })
    }

    /// Starts on a free loopback port.
    ///
    /// # Errors
    /// As [`Sandbox::start`].
    pub async fn local(options: Options) -> io::Result<Self> {
        Self::start(TcpListener::bind(("127.0.0.1", 0)).await?, options)
    }

    /// A second handle, for who acts inside the sandbox: dropping it ends nothing.
    fn hand(shared: Arc<Shared>) -> Self {
        let base_url = shared.world().base_url.clone();
        Self { shared, base_url, stop: None, task: None, temporary: None }
    }

    /// Where the API is: `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn base_url(&self) -> String {
        self.base_url.clone()
    }

    /// Every request since the start or the last [`Sandbox::clear_log`].
    #[must_use]
    pub fn log(&self) -> Vec<LogEntry> {
        self.shared.world().log.entries().cloned().collect()
    }

    /// How many requests a route pattern names: `POST /uploads`, `PUT bucket`, `* *`.
    #[must_use]
    pub fn count(&self, route: &str) -> usize {
        self.shared.world().log.entries().filter(|entry| entry.is(route)).count()
    }

    /// How many calls of the API there were; puts to the bucket are none.
    #[must_use]
    pub fn api_calls(&self) -> usize {
        self.shared.world().log.entries().filter(|entry| entry.is_api()).count()
    }

    /// Forgets the log.
    pub fn clear_log(&self) {
        self.shared.world().log.clear();
    }

    /// Scripts a fault.
    pub fn add_fault(&self, fault: Fault) {
        self.shared.world().script.add(fault);
    }

    /// Scripts a fault for the first matching call.
    pub fn fault(&self, route: &str, kind: FaultKind) {
        self.add_fault(Fault { route: route.to_owned(), skip: 0, times: Some(1), kind });
    }

    /// Forgets all faults and lets every held call go.
    pub fn clear_faults(&self) {
        let mut world = self.shared.world();
        world.script.clear();
        world.holds.clear();
    }

    /// Each fault with the number of calls it has hit.
    #[must_use]
    pub fn faults(&self) -> Vec<(Fault, u64)> {
        self.shared.world().script.list()
    }

    /// The settings.
    #[must_use]
    pub fn settings(&self) -> Settings {
        self.shared.world().settings.clone()
    }

    /// Changes settings.
    pub fn set(&self, change: impl FnOnce(&mut Settings)) {
        let mut world = self.shared.world();
        let mut settings = world.settings.clone();
        change(&mut settings);
        world.set(settings);
    }

    /// Every asset of an environment (the primary one without a name), by id.
    #[must_use]
    pub fn assets(&self, environment: Option<&str>) -> Vec<AssetView> {
        let mut world = self.shared.world();
        let environment = environment.map_or_else(|| world.primary(), str::to_owned);
        world.views(&environment)
    }

    /// Jobs that have not ended.
    #[must_use]
    pub fn running_jobs(&self) -> usize {
        let mut world = self.shared.world();
        let now = world.now();
        world.settle(now);
        world.due.len()
    }

    /// Stops: no new connections, requests under way may finish for a moment.
    pub async fn stop(mut self) {
        self.clear_faults();
        self.stop.take();
        if let Some(mut task) = self.task.take()
            && tokio::time::timeout(GRACE, &mut task).await.is_err()
        {
            task.abort();
        }
        self.close();
    }

    /// Lets go of the data directory, so that another sandbox can open it although a slow client still holds a
    /// connection.
    fn close(&self) {
        self.shared.world().journal = Journal::none();
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        // Only the handle that holds the listener ends it; an editor's hand in `door` is a handle without one.
        if let Some(task) = self.task.take() {
            task.abort();
            self.close();
        }
        if let Some(directory) = self.temporary.take() {
            // What cannot be removed is in the system's temporary directory and goes with it.
            let _ = std::fs::remove_dir_all(directory);
        }
    }
}

/// Runs a sandbox until `shutdown` ends.
///
/// # Errors
/// As [`Sandbox::start`].
pub async fn run(listener: TcpListener, options: Options, shutdown: impl Future<Output = ()>) -> io::Result<()> {
    let sandbox = Sandbox::start(listener, options)?;
    shutdown.await;
    sandbox.stop().await;
    Ok(())
}

fn open(options: Options, base_url: String) -> io::Result<(World, Option<PathBuf>)> {
    let (directory, temporary) = match options.data {
        Some(directory) => (directory, None),
        None => {
            let name = format!("dato-mirror-sandbox-{}-{:016x}", std::process::id(), fastrand::u64(..));
            let directory = std::env::temp_dir().join(name);
            (directory.clone(), Some(directory))
        }
    };
    // What a developer mirrors is not for every user of the machine.
    let Place { blobs, state: file, told } = place::prepare(&directory).map_err(|error| named(&directory, &error))?;
    for told in told {
        tracing::warn!("{told}");
    }
    let broken = |error: rusqlite::Error| {
        let hint = match error.sqlite_error_code() {
            Some(rusqlite::ErrorCode::DatabaseBusy) => "; another sandbox is using this directory",
            _ => "",
        };
        named(&file, &io::Error::other(format!("{error}{hint}")))
    };
    let journal = if temporary.is_some() {
        Journal::none()
    } else {
        place::touch(&file).map_err(|error| named(&file, &error))?;
        Journal::open(&file).map_err(broken)?
    };
    let site = (options.site_id, options.site_name);
    let world = World::load(options.settings, site, base_url, blobs, journal).map_err(broken)?;
    Ok((world, temporary))
}

fn named(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}
