//! Hears what happens in a mirror's folder.
//!
//! Owns: the operating system's file events, knowing when they cannot be relied on, and saying so. Never does:
//! scanning, settling, deciding. Where events cannot be relied on it says "polling", and the caller's own scan at each
//! `poll_interval` takes their place.
//!
//! What a caller may rely on: when the watch is (again) in place, or polling begins, there is a
//! [`WatchEvent::RescanNeeded`], so a scan begun then misses nothing; the first event of all is
//! [`WatchEvent::StateChanged`], or [`WatchEvent::RootGone`] if there is no root; nothing is ever lost in silence.

mod advice;
mod heard;
mod mounts;
mod supervise;

use std::path::PathBuf;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use std::{io, thread};

use tokio::sync::{Notify, mpsc};

pub use self::heard::PROBE_NAME;
use self::supervise::{Order, Supervisor};
use crate::daemon::settle::Touch;
use crate::disk::{MountTable, Selection};
use crate::model::RelPath;

/// Whether to trust file events: the configuration's `watch`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum WatchMode {
    /// Events where the file system gives them, polling elsewhere.
    #[default]
    Auto,
    /// Events, even on a file system that does not tell of others' changes.
    Native,
    /// No events.
    Poll,
}

/// How changes are found at present.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WatchState {
    /// By events or by polling.
    pub how: Watched,
    /// Something a person should mend, with the command that does.
    pub degraded: Option<String>,
}

/// By events or by polling.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Watched {
    /// Nothing is known yet; no events come.
    Starting,
    /// By events.
    Native,
    /// By the caller's own scans.
    Polling {
        /// Why, in plain words.
        reason: String,
    },
}

/// What a watch tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WatchEvent {
    /// Something happened to a selected file or a sidecar. With [`Touch::Removed`] the path may be a folder, with all that
    /// was in it.
    Touched(RelPath, Touch),
    /// A folder was made or moved here; files in it were written unheard: scan it. From now on they are heard.
    FolderAppeared(RelPath),
    /// Events may be missing: scan the whole root.
    RescanNeeded,
    /// The root was removed, renamed or unmounted. The watch comes back by itself when the root does.
    RootGone,
    /// [`Watching::state`] is another.
    StateChanged(WatchState),
    /// A part of the tree cannot be watched; the text names the path and the cause. Scans still see it.
    Failed(String),
}

/// What to watch, and how.
#[derive(Debug, Clone)]
pub struct WatchOptions {
    /// The mirror's root.
    pub root: PathBuf,
    /// Whether to trust events.
    pub mode: WatchMode,
    /// Which files matter.
    pub selection: Selection,
    /// Events kept for a slow consumer before a rescan takes their place.
    pub capacity: usize,
    /// Watch at most so many folders and poll if there are more; `None` leaves it to the kernel's limit.
    pub max_folders: Option<usize>,
    /// The mount table to believe; `None` reads the kernel's.
    pub mounts: Option<MountTable>,
    /// How long the probe file's event may take.
    pub probe_wait: Duration,
    /// How often the root is looked at: a new mount or another target of a link gives no event.
    pub root_interval: Duration,
    /// How long after running out of watches to try again.
    pub retry_interval: Duration,
}

impl WatchOptions {
    /// The usual options.
    #[must_use]
    pub fn new(root: PathBuf, mode: WatchMode, selection: Selection) -> Self {
        Self {
            root,
            mode,
            selection,
            capacity: 8192,
            max_folders: None,
            mounts: None,
            probe_wait: Duration::from_millis(1500),
            root_interval: Duration::from_secs(5),
            retry_interval: Duration::from_secs(600),
        }
    }
}

/// A watch; dropping it ends it, and the events with it.
#[derive(Debug)]
pub struct Watching {
    signals: Arc<Signals>,
    orders: std::sync::mpsc::Sender<Order>,
}

/// The consumer's end.
#[derive(Debug)]
pub struct WatchEvents {
    touches: mpsc::Receiver<WatchEvent>,
    signals: Arc<Signals>,
    /// How many of the queued events still come before the rescan that was asked for.
    before_rescan: Option<usize>,
}

/// What must arrive however full the queue is.
#[derive(Debug)]
struct Signals {
    raised: AtomicU8,
    wake: Notify,
    state: Mutex<WatchState>,
}

const ROOT_GONE: u8 = 1;
const STATE: u8 = 2;
const RESCAN: u8 = 4;

impl Watching {
    /// Begins to watch, on a thread of its own; returns at once.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(options: WatchOptions) -> io::Result<(Self, WatchEvents)> {
        let (sender, touches) = mpsc::channel(options.capacity.max(1));
        let (orders, inbox) = std::sync::mpsc::channel();
        let state = Mutex::new(WatchState { how: Watched::Starting, degraded: None });
        let signals = Arc::new(Signals { raised: AtomicU8::new(0), wake: Notify::new(), state });
        let outlet = Outlet { touches: sender, signals: Arc::clone(&signals) };
        let supervisor = Supervisor::new(options, outlet, orders.clone());
        thread::Builder::new().name("watch".into()).spawn(move || supervisor.run(&inbox))?;
        Ok((Self { signals: Arc::clone(&signals), orders }, WatchEvents { touches, signals, before_rescan: None }))
    }

    /// How changes are found at present.
    #[must_use]
    pub fn state(&self) -> WatchState {
        self.signals.state()
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        // The thread may sit in a slow system call; nobody waits for it.
        let _ = self.orders.send(Order::Stop);
    }
}

impl WatchEvents {
    /// The next event; `None` when the watch has ended. Safe to cancel.
    ///
    /// What was queued when a rescan is asked for comes before it, and no more than that: neither a storm of events nor a
    /// storm of rescans can starve the other.
    pub async fn recv(&mut self) -> Option<WatchEvent> {
        loop {
            if self.signals.lower(ROOT_GONE) {
                return Some(WatchEvent::RootGone);
            }
            if self.signals.lower(STATE) {
                return Some(WatchEvent::StateChanged(self.signals.state()));
            }
            if self.before_rescan.is_none() && self.signals.lower(RESCAN) {
                self.before_rescan = Some(self.touches.len());
            }
            if let Some(left) = self.before_rescan {
                let queued = if left > 0 { self.touches.try_recv().ok() } else { None };
                self.before_rescan = queued.is_some().then_some(left.saturating_sub(1));
                return queued.or(Some(WatchEvent::RescanNeeded));
            }
            tokio::select! {
                biased;
                () = self.signals.wake.notified() => {}
                event = self.touches.recv() => return event,
            }
        }
    }
}

impl Signals {
    fn raise(&self, signal: u8) {
        self.raised.fetch_or(signal, Ordering::AcqRel);
        self.wake.notify_one();
    }

    /// Whether the signal was up; it is down now.
    fn lower(&self, signal: u8) -> bool {
        self.raised.fetch_and(!signal, Ordering::AcqRel) & signal != 0
    }

    fn state(&self) -> WatchState {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The producers' end.
#[derive(Debug, Clone)]
struct Outlet {
    touches: mpsc::Sender<WatchEvent>,
    signals: Arc<Signals>,
}

impl Outlet {
    /// Never waits: with the queue full, one rescan takes the place of all that found no room.
    fn touched(&self, event: WatchEvent) {
        if let Err(mpsc::error::TrySendError::Full(_)) = self.touches.try_send(event) {
            self.signals.raise(RESCAN);
        }
    }

    fn rescan(&self) {
        self.signals.raise(RESCAN);
    }

    fn root_gone(&self) {
        self.signals.raise(ROOT_GONE);
    }

    fn set_state(&self, state: WatchState) {
        let mut current = self.signals.state.lock().unwrap_or_else(PoisonError::into_inner);
        if *current != state {
            *current = state;
            drop(current);
            self.signals.raise(STATE);
        }
    }
}

#[cfg(test)]
impl Outlet {
    fn for_test() -> (Self, Arc<Signals>) {
        let state = Mutex::new(WatchState { how: Watched::Starting, degraded: None });
        let signals = Arc::new(Signals { raised: AtomicU8::new(0), wake: Notify::new(), state });
        (Self { touches: mpsc::channel(1).0, signals: Arc::clone(&signals) }, signals)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// The next event that is neither a touch nor a folder.
    async fn notice(events: &mut WatchEvents) -> WatchEvent {
        loop {
            let event =
                tokio::time::timeout(Duration::from_secs(300), events.recv()).await.expect("in time").expect("open");
            if !matches!(event, WatchEvent::Touched(..) | WatchEvent::FolderAppeared(_)) {
                return event;
            }
        }
    }

    #[tokio::test]
    async fn after_an_overflow_the_watch_is_built_anew_and_a_rescan_asked_for() {
        let dir = tempfile::tempdir().unwrap();
        let options = WatchOptions::new(dir.path().to_owned(), WatchMode::Native, Selection::new(&[], &[]).unwrap());
        let (watching, mut events) = Watching::start(options).unwrap();
        assert!(matches!(notice(&mut events).await, WatchEvent::StateChanged(_)));
        assert_eq!(notice(&mut events).await, WatchEvent::RescanNeeded);

        watching.orders.send(Order::Overflow).unwrap();
        watching.orders.send(Order::Overflow).unwrap();
        let WatchEvent::StateChanged(state) = notice(&mut events).await else { panic!("no word of it") };
        assert_eq!(state.how, Watched::Native);
        assert!(state.degraded.is_some_and(|text| text.contains("fs.inotify.max_queued_events=")));
        assert_eq!(notice(&mut events).await, WatchEvent::RescanNeeded);

        fs::write(dir.path().join("after.png"), "x").unwrap();
        let heard = tokio::time::timeout(Duration::from_secs(300), events.recv()).await.unwrap();
        assert_eq!(heard, Some(WatchEvent::Touched(RelPath::from_key("after.png").unwrap(), Touch::Created)));
    }

    #[tokio::test]
    async fn out_of_watches_later_on_means_polling_from_then() {
        let dir = tempfile::tempdir().unwrap();
        let options = WatchOptions::new(dir.path().to_owned(), WatchMode::Native, Selection::new(&[], &[]).unwrap());
        let (watching, mut events) = Watching::start(options).unwrap();
        assert!(matches!(notice(&mut events).await, WatchEvent::StateChanged(_)));
        assert_eq!(notice(&mut events).await, WatchEvent::RescanNeeded);
        watching.orders.send(Order::LimitReached).unwrap();
        let WatchEvent::StateChanged(state) = notice(&mut events).await else { panic!("no word of it") };
        assert!(matches!(state.how, Watched::Polling { .. }));
        assert!(state.degraded.is_some_and(|text| text.contains("fs.inotify.max_user_watches=")));
        assert_eq!(notice(&mut events).await, WatchEvent::RescanNeeded);
    }

    #[tokio::test]
    async fn what_found_no_room_in_the_queue_is_one_rescan() {
        let (touches, receiver) = mpsc::channel(2);
        let state = Mutex::new(WatchState { how: Watched::Native, degraded: None });
        let signals = Arc::new(Signals { raised: AtomicU8::new(0), wake: Notify::new(), state });
        let outlet = Outlet { touches, signals: Arc::clone(&signals) };
        let mut events = WatchEvents { touches: receiver, signals, before_rescan: None };
        let touch = |name: &str| WatchEvent::Touched(RelPath::from_key(name).unwrap(), Touch::Changed);
        ["a", "b", "c", "d"].into_iter().for_each(|name| outlet.touched(touch(name)));
        assert_eq!(events.recv().await, Some(touch("a")));
        ["e", "f"].into_iter().for_each(|name| outlet.touched(touch(name)));
        drop(outlet);
        let mut heard = Vec::new();
        while let Some(event) = events.recv().await {
            heard.push(event);
        }
        // The storm goes on, and still each rescan comes after what was queued when it was asked for.
        assert_eq!(heard, [touch("b"), WatchEvent::RescanNeeded, touch("e"), WatchEvent::RescanNeeded]);
    }
}
