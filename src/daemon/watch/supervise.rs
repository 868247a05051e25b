//! Keeps one root watched.
//!
//! Owns: setting the watch up, building it anew after an overflow or when the root comes back, and falling back to polling.
//! Never does: judging single files. It is a thread of its own, because all it does may block.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use notify::{Config, EventKindMask, RecommendedWatcher, RecursiveMode, Watcher as _};

use super::heard::{Heard, PROBE_NAME, translate};
use super::mounts::Mounts;
use super::{Outlet, WatchEvent, WatchMode, WatchOptions, WatchState, Watched, advice};
use crate::daemon::settle::Touch;
use crate::disk::Verdict;
use crate::model::RelPath;

/// What the supervisor is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Order {
    /// A folder, or something that may be one, has this name now.
    Appeared(RelPath),
    Overflow,
    LimitReached,
    RootGone,
    ProbeSeen,
    Stop,
}

pub(super) struct Supervisor {
    options: WatchOptions,
    outlet: Outlet,
    orders: Sender<Order>,
    armed: Option<Armed>,
    /// Until when the probe's event must arrive.
    probe_until: Option<Instant>,
    /// The probe did its work once; it is not repeated at each new watch.
    probed: bool,
    /// When to build the watch anew.
    rearm_at: Option<Instant>,
    /// The root is known to be missing.
    gone: bool,
    /// What is mounted there, as it was when the watch was set up; `None` where that is not known or does not matter.
    mounts: Option<Mounts>,
    degraded: Option<String>,
    /// When an overflow is no longer worth a word.
    healed_at: Option<Instant>,
}

/// A watch in place.
struct Armed {
    root: RootSeen,
    /// Watches as long as it lives.
    watcher: RecommendedWatcher,
}

/// Which folder is watched: device, inode.
type RootSeen = (u64, u64);

/// After an overflow the storm may go on; watches are not rebuilt faster than this.
const REARM_PAUSE: Duration = Duration::from_millis(500);
/// How soon a root that came back is noticed.
const RETURN_INTERVAL: Duration = Duration::from_secs(1);

enum Refusal {
    /// Too many folders.
    Watches,
    /// Too many watchers.
    Instances,
    RootMissing,
    Other(String),
}

impl Supervisor {
    pub(super) fn new(options: WatchOptions, outlet: Outlet, orders: Sender<Order>) -> Self {
        Self {
            options,
            outlet,
            orders,
            armed: None,
            probe_until: None,
            probed: false,
            rearm_at: None,
            gone: false,
            mounts: None,
            degraded: None,
            healed_at: None,
        }
    }

    pub(super) fn run(mut self, inbox: &Receiver<Order>) {
        self.begin();
        let mut appeared = Vec::new();
        loop {
            let order = match inbox.try_recv() {
                Ok(order) => Ok(order),
                Err(_) => {
                    // Many names come at once; one wait for the watcher does for all of them.
                    self.tell_appeared(&mut appeared);
                    inbox.recv_timeout(self.patience(Instant::now()))
                }
            };
            match order {
                Ok(Order::Appeared(path)) => appeared.push(path),
                Ok(Order::Overflow) => self.overflowed(),
                Ok(Order::LimitReached) => self.poll_for_want_of_watches(),
                Ok(Order::RootGone) => self.root_went(),
                Ok(Order::ProbeSeen) => self.end_probe(),
                Ok(Order::Stop) | Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => self.on_time(Instant::now()),
            }
        }
        self.end_probe();
    }

    fn begin(&mut self) {
        if self.options.mode == WatchMode::Poll {
            return self.poll("the configuration says so (`watch = \"poll\"`)".to_owned());
        }
        self.mounts = Mounts::look(&self.options);
        if let Some(silent) = self.mounts.as_ref().and_then(|mounts| mounts.silent.clone()) {
            if self.options.mode == WatchMode::Auto {
                return self.poll(format!("{silent} does not tell of changes made elsewhere"));
            }
            self.degraded = Some(format!(
                "{silent} does not tell of changes made elsewhere: they are found at each rescan only; set `watch = \"auto\"` to poll"
            ));
        }
        self.arm();
    }

    /// Builds a new watch before the old one goes, so that there is no moment without, and asks for a scan.
    fn arm(&mut self) {
        self.rearm_at = None;
        match self.build() {
            Ok(armed) => {
                self.gone = false;
                self.armed = Some(armed);
                self.outlet.set_state(WatchState { how: Watched::Native, degraded: self.degraded.clone() });
                self.outlet.rescan();
                self.begin_probe();
            }
            Err(Refusal::Watches) => self.poll_for_want_of_watches(),
            Err(Refusal::Instances) => {
                self.degraded = Some(advice::too_few_instances(advice::limit("max_user_instances")));
                self.rearm_at = Some(Instant::now() + self.options.retry_interval);
                self.poll("there are too few file watchers".to_owned());
            }
            Err(Refusal::RootMissing) => self.root_gone(),
            Err(Refusal::Other(cause)) => {
                self.degraded = Some(format!("the root cannot be watched: {cause}"));
                self.rearm_at = Some(Instant::now() + self.options.retry_interval);
                self.poll(format!("the root cannot be watched ({cause})"));
            }
        }
    }

    fn build(&self) -> Result<Armed, Refusal> {
        let real = fs::canonicalize(&self.options.root).map_err(|_| Refusal::RootMissing)?;
        let seen = seen_at(&real).ok_or(Refusal::RootMissing)?;
        if let Some(most) = self.options.max_folders
            && count_folders(&real) > most as u64
        {
            return Err(Refusal::Watches);
        }
        // Opening files, as our own hashing does, must not fill the queue with events.
        let config = Config::default()
            .with_event_kinds(EventKindMask::CORE | EventKindMask::ACCESS_CLOSE)
            .with_follow_symlinks(false);
        let (outlet, orders) = (self.outlet.clone(), self.orders.clone());
        let (root, selection) = (real.clone(), self.options.selection.clone());
        let handler = move |event| {
            for heard in translate(&event, &root, &selection) {
                let order = match heard {
                    Heard::Tell(event) => {
                        outlet.touched(event);
                        continue;
                    }
                    Heard::Rescan => {
                        outlet.rescan();
                        continue;
                    }
                    Heard::Nothing => continue,
                    Heard::Appeared(path) => Order::Appeared(path),
                    Heard::Overflow => Order::Overflow,
                    Heard::LimitReached => Order::LimitReached,
                    Heard::RootGone => Order::RootGone,
                    Heard::Probe => Order::ProbeSeen,
                };
                // Without a supervisor there is nobody to tell, and soon no watch.
                let _ = orders.send(order);
            }
        };
        let mut watcher = RecommendedWatcher::new(handler, config).map_err(|error| refusal(&error, &real))?;
        watcher.watch(&real, RecursiveMode::Recursive).map_err(|error| refusal(&error, &real))?;
        Ok(Armed { root: seen, watcher })
    }

    /// Tells files from folders. A folder is told of only when the watcher has taken it up, with all folders in it: what
    /// is written before that, the scan finds; what is written after, is heard.
    fn tell_appeared(&self, appeared: &mut Vec<RelPath>) {
        let (folders, files): (Vec<_>, Vec<_>) = appeared.drain(..).partition(|path| {
            fs::symlink_metadata(path.below(&self.options.root)).is_ok_and(|metadata| metadata.is_dir())
        });
        let selection = &self.options.selection;
        for path in files {
            if matches!(selection.verdict(&path), Verdict::Mirrored | Verdict::Sidecar(_)) {
                self.outlet.touched(WatchEvent::Touched(path, Touch::Changed));
            }
        }
        if let (false, Some(armed)) = (folders.is_empty(), &self.armed) {
            // The answer comes from the watcher's own thread, after what it is busy with.
            let _ = armed.watcher.watched_paths();
        }
        for path in folders {
            if selection.admits_dir(&path) {
                self.outlet.touched(WatchEvent::FolderAppeared(path));
            }
        }
    }

    fn overflowed(&mut self) {
        // Folders made during the overflow are not watched: only a new watch finds them.
        if self.armed.is_some() {
            self.degraded = Some(advice::overflowed(advice::limit("max_queued_events")));
            self.rearm_at.get_or_insert(Instant::now() + REARM_PAUSE);
            self.healed_at = Some(Instant::now() + self.options.retry_interval);
        }
    }

    fn poll_for_want_of_watches(&mut self) {
        let folders = fs::canonicalize(&self.options.root).map_or(0, |real| count_folders(&real));
        self.degraded = Some(advice::too_few_watches(advice::limit("max_user_watches"), folders));
        self.rearm_at = Some(Instant::now() + self.options.retry_interval);
        self.poll("there are too few folder watches".to_owned());
    }

    /// A half-watched tree is not better than none: it would only look as if it were watched.
    fn poll(&mut self, reason: String) {
        self.armed = None;
        self.end_probe();
        self.outlet.set_state(WatchState { how: Watched::Polling { reason }, degraded: self.degraded.clone() });
        self.outlet.rescan();
    }

    fn root_gone(&mut self) {
        self.armed = None;
        self.end_probe();
        if !self.gone {
            self.gone = true;
            self.outlet.root_gone();
        }
        self.rearm_at = None;
    }

    /// The watched root went. What is there now is another folder, even when it got the old one's number.
    fn root_went(&mut self) {
        if seen_at(&self.options.root).is_none() {
            self.root_gone();
        } else if self.armed.is_some() {
            self.outlet.root_gone();
            self.begin_again();
        }
    }

    /// Is what is watched still what is there?
    fn look_at_root(&mut self) {
        match (seen_at(&self.options.root), &self.armed) {
            (None, _) => self.root_gone(),
            (Some(now), Some(armed)) if armed.root == now => self.look_at_mounts(),
            (Some(_), Some(_)) => {
                // Another folder took its place without our seeing it go.
                self.outlet.root_gone();
                self.begin_again();
            }
            (Some(_), None) if self.gone => self.begin_again(),
            (Some(_), None) => self.look_at_mounts(),
        }
    }

    /// What is mounted over a watched folder takes its place without an event, and is not watched.
    fn look_at_mounts(&mut self) {
        let now = Mounts::look(&self.options);
        if self.mounts.is_some() && now.is_some() && now != self.mounts {
            self.begin_again();
        }
    }

    fn begin_again(&mut self) {
        self.gone = false;
        self.armed = None;
        self.degraded = None;
        self.probed = false;
        self.begin();
    }

    /// Some file systems pretend to watch. One file of our own tells, where we may write one.
    fn begin_probe(&mut self) {
        if self.options.mode == WatchMode::Auto && !self.probed && fs::write(self.probe_path(), b"").is_ok() {
            self.probe_until = Some(Instant::now() + self.options.probe_wait);
        }
    }

    fn end_probe(&mut self) {
        if self.probe_until.take().is_some() {
            self.probed = true;
            // If it cannot be removed it stays, hidden and empty, until the next probe.
            let _ = fs::remove_file(self.probe_path());
        }
    }

    fn probe_path(&self) -> PathBuf {
        self.options.root.join(PROBE_NAME)
    }

    fn on_time(&mut self, now: Instant) {
        if self.probe_until.is_some_and(|until| until <= now) {
            self.poll("a file written as a test gave no event".to_owned());
        }
        if self.healed_at.is_some_and(|at| at <= now) {
            self.healed_at = None;
            self.degraded = None;
            if self.armed.is_some() {
                self.outlet.set_state(WatchState { how: Watched::Native, degraded: None });
            }
        }
        if self.rearm_at.is_some_and(|at| at <= now) {
            if self.armed.is_none() {
                self.degraded = None;
            }
            self.arm();
        }
        self.look_at_root();
    }

    fn patience(&self, now: Instant) -> Duration {
        let root = if self.gone { RETURN_INTERVAL.min(self.options.root_interval) } else { self.options.root_interval };
        let timers = [self.probe_until, self.rearm_at, self.healed_at].into_iter().flatten();
        timers.map(|at| at.saturating_duration_since(now)).fold(root, Duration::min)
    }
}

fn seen_at(root: &Path) -> Option<RootSeen> {
    fs::metadata(root).ok().filter(fs::Metadata::is_dir).map(|metadata| (metadata.dev(), metadata.ino()))
}

fn refusal(error: &notify::Error, root: &Path) -> Refusal {
    match &error.kind {
        notify::ErrorKind::MaxFilesWatch => Refusal::Watches,
        notify::ErrorKind::Io(cause) if is_out_of_files(cause) => Refusal::Instances,
        notify::ErrorKind::PathNotFound if !root.is_dir() => Refusal::RootMissing,
        _ => Refusal::Other(error.to_string()),
    }
}

fn is_out_of_files(cause: &io::Error) -> bool {
    let too_many = [rustix::io::Errno::MFILE, rustix::io::Errno::NFILE];
    too_many.into_iter().any(|errno| cause.raw_os_error() == Some(errno.raw_os_error()))
}

/// The folders below, this one included; links are not followed, as they are not watched through.
fn count_folders(folder: &Path) -> u64 {
    let mut pending = vec![folder.to_owned()];
    let mut count = 0;
    while let Some(folder) = pending.pop() {
        count += 1;
        let entries = fs::read_dir(&folder).into_iter().flatten().flatten();
        pending.extend(
            entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).map(|entry| entry.path()),
        );
    }
    count
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;
    use crate::disk::{MountTable, Selection};

    #[test]
    fn a_probe_that_is_not_heard_of_means_polling() {
        let dir = tempfile::tempdir().unwrap();
        let selection = Selection::new(&[], &[]).unwrap();
        let mut options = WatchOptions::new(dir.path().to_owned(), WatchMode::Auto, selection);
        options.mounts = Some(MountTable::default());
        let (outlet, signals) = Outlet::for_test();
        let (orders, _inbox) = mpsc::channel();
        let mut supervisor = Supervisor::new(options, outlet, orders);
        supervisor.begin();
        assert_eq!(signals.state().how, Watched::Native);
        assert!(dir.path().join(PROBE_NAME).exists());
        let until = supervisor.probe_until.expect("the probe is under way");

        supervisor.on_time(until - Duration::from_millis(1));
        assert_eq!(signals.state().how, Watched::Native, "not before its time");
        supervisor.on_time(until);
        let Watched::Polling { reason } = signals.state().how else { panic!("still watched") };
        assert!(reason.contains("test"), "{reason}");
        assert!(!dir.path().join(PROBE_NAME).exists());
    }

    #[test]
    fn a_share_mounted_below_a_watched_root_means_polling_and_events_when_it_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        let table = |below: &str| {
            let share = format!("31 22 0:41 / {}/{below} rw - cifs //nas/share rw", root.display());
            let lines =
                format!("22 1 252:0 / / rw - ext4 /dev/vda rw\n{}\n", if below.is_empty() { "" } else { &share });
            Some(MountTable::parse(lines.as_bytes()))
        };
        let selection = Selection::new(&[], &["cache/".into()]).unwrap();
        let mut options = WatchOptions::new(root.clone(), WatchMode::Auto, selection);
        options.mounts = table("");
        let (outlet, signals) = Outlet::for_test();
        let (orders, _inbox) = mpsc::channel();
        let mut supervisor = Supervisor::new(options, outlet, orders);
        supervisor.begin();
        supervisor.end_probe();
        for (mounted, polled) in [("", false), ("cache", false), ("shared", true), ("", false)] {
            supervisor.options.mounts = table(mounted);
            supervisor.on_time(Instant::now());
            supervisor.end_probe();
            let how = signals.state().how;
            let reason = if let Watched::Polling { reason } = &how { reason.as_str() } else { "" };
            assert_eq!(
                (reason.contains("shared (cifs)"), how == Watched::Native),
                (polled, !polled),
                "{mounted}: {how:?}"
            );
        }
    }
}
