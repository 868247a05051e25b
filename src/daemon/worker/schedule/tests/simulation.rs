//! A worker without a clock: it asks its schedule as the real one does, and its time is what a test says.

use std::time::{Duration, Instant};

use super::super::{
    Due, Intervals, PassJob, PassOutcome, ScanKind, ScanOutcome, ScanPlace, Schedule, Seen, Start, WholeScan,
};
use crate::daemon::settle::{Look, Touch};
use crate::disk::Fingerprint;
use crate::index::overrides::Overrides;
use crate::model::RelPath;
use crate::sync::scan::{Kind, Look as ScanLook};

fn path(key: &str) -> RelPath {
    RelPath::from_key(key).unwrap()
}

pub fn paths(keys: &[&str]) -> Vec<RelPath> {
    keys.iter().map(|key| path(key)).collect()
}

/// A schedule at a time. All files look the same at each look; questions are answered by what a test put here.
pub struct Sim {
    pub schedule: Schedule,
    pub now: Instant,
    /// What the index says is due; told once.
    pub due: Due,
    /// The lists that the index knows.
    pub lists: Vec<RelPath>,
    start: Instant,
    scan_began: Instant,
}

impl Sim {
    /// A worker that has just begun.
    pub fn new() -> Self {
        Self::with(|_| {})
    }

    fn with(change: impl FnOnce(&mut Intervals)) -> Self {
        let seconds = Duration::from_secs;
        let mut intervals = Intervals {
            settle: seconds(2),
            rescan: seconds(3600),
            poll: seconds(30),
            refresh: seconds(6 * 3600),
            spread: |interval| interval,
        };
        change(&mut intervals);
        let start = Instant::now();
        Self {
            schedule: Schedule::new(intervals, start),
            now: start,
            due: Due::default(),
            lists: Vec::new(),
            start,
            scan_began: start,
        }
    }

    /// A worker whose first scan and first pass took no time at all.
    pub fn ready() -> Self {
        Self::ready_with(|_| {})
    }

    pub fn ready_with(change: impl FnOnce(&mut Intervals)) -> Self {
        let mut sim = Self::with(change);
        sim.rescan_needed();
        assert_eq!(sim.tasks(), ["scan all"]);
        sim.scanned_all(Seen::default());
        sim.finish_pass("pass refresh for all");
        sim
    }

    /// Goes to so many seconds after the begin.
    pub fn at(&mut self, seconds: f64) -> &mut Self {
        self.now = self.start + Duration::from_secs_f64(seconds);
        self
    }

    pub fn later(&mut self, seconds: f64) -> &mut Self {
        self.now += Duration::from_secs_f64(seconds);
        self
    }

    /// Seconds since the begin, to the millisecond.
    pub fn seconds(&self) -> f64 {
        ((self.now - self.start).as_secs_f64() * 1000.0).round() / 1000.0
    }

    /// What is started now, questions with a mark at their end.
    pub fn starts(&mut self) -> Vec<String> {
        let mut all = Vec::new();
        loop {
            let starts = self.schedule.decide(self.now);
            if starts.is_empty() {
                return all;
            }
            for start in starts {
                all.push(name(&start));
                match start {
                    Start::Scan(ScanPlace::Whole) => self.scan_began = self.now,
                    Start::ReadLists => self.schedule.lists_found(self.lists.clone()),
                    Start::ReadDue { failed_fetches } => {
                        let mut due = std::mem::take(&mut self.due);
                        if !failed_fetches {
                            self.due.failed_fetches = std::mem::take(&mut due.failed_fetches);
                        }
                        all.extend(self.schedule.due_found(due, self.now).map(|job| pass(&job)));
                    }
                    _ => {}
                }
            }
            assert!(all.len() < 100, "no end of starts: {all:?}");
        }
    }

    /// The tasks that are started now.
    pub fn tasks(&mut self) -> Vec<String> {
        let is_task = |start: &String| !start.ends_with('?') && !start.starts_with("still changing");
        self.starts().into_iter().filter(is_task).collect()
    }

    /// Sleeps and asks as the worker does until a task is started, which must be one, or until `limit` seconds after the
    /// begin. Returns when, and which.
    pub fn next_task(&mut self, limit: f64) -> Option<(f64, String)> {
        let limit = self.start + Duration::from_secs_f64(limit);
        let (from, mut wakes) = (self.now, 0);
        loop {
            self.glance();
            let mut tasks = self.tasks();
            assert!(tasks.len() < 2, "{tasks:?}");
            if let Some(task) = tasks.pop() {
                return Some((self.seconds(), task));
            }
            if !self.sleep(limit) {
                return None;
            }
            wakes += 1;
            let most = 50 + 2 * (self.now - from).as_secs();
            assert!(wakes < most, "a busy loop: {wakes} wakes in {:?}", self.now - from);
        }
    }

    /// When a question is asked from now until `limit`.
    pub fn asked(&mut self, question: &str, limit: f64) -> Vec<f64> {
        let limit = self.start + Duration::from_secs_f64(limit);
        let (mut asked, mut wakes) = (Vec::new(), 0);
        loop {
            self.glance();
            if self.starts().iter().any(|start| start == question) {
                asked.push(self.seconds());
            }
            wakes += 1;
            assert!(wakes < 200, "a busy loop");
            if !self.sleep(limit) {
                return asked;
            }
        }
    }

    /// How often the worker wakes from now until `limit`.
    pub fn wakes_until(&mut self, limit: f64) -> usize {
        let limit = self.start + Duration::from_secs_f64(limit);
        let mut wakes = 1;
        loop {
            self.starts();
            if !self.sleep(limit) {
                return wakes;
            }
            wakes += 1;
        }
    }

    /// How many seconds the worker sleeps if nothing happens.
    pub fn wait(&self) -> f64 {
        (self.schedule.next_wake(self.now) - self.now).as_secs_f64()
    }

    /// Sleeps until the next wake; no, if that is at `limit` or later. A timer fires a moment late.
    fn sleep(&mut self, limit: Instant) -> bool {
        let wake = self.schedule.next_wake(self.now).max(self.now + Duration::from_micros(10));
        self.now = wake.min(limit);
        wake < limit
    }

    /// Answers the looks that settling wants.
    pub fn glance(&mut self) {
        for ask in self.schedule.files_to_glance_at(self.now) {
            self.schedule.glanced(ask, Look::File(PRINT), self.now);
        }
    }

    pub fn save(&mut self, key: &str) {
        self.schedule.saved(path(key), Touch::Changed, self.now);
    }

    /// What a scan saw of a file right now.
    pub fn look(&self, key: &str) -> ScanLook {
        ScanLook { path: path(key), kind: Kind::File, print: PRINT, at: Some(self.now) }
    }

    pub fn scan_ended(&mut self, kind: ScanKind, outcome: ScanOutcome) {
        self.schedule.scan_ended(kind, outcome, self.now);
    }

    /// The scan of the whole tree ended that was started last.
    pub fn scanned_all(&mut self, seen: Seen) {
        let whole = Some(WholeScan { files: 1, began: self.scan_began });
        self.scan_ended(ScanKind::Wide, ScanOutcome::Seen(Seen { whole, ..seen }));
    }

    pub fn folder_appeared(&mut self, key: &str) {
        self.schedule.saved(path(key), Touch::Folder, self.now);
    }

    pub fn rescan_needed(&mut self) {
        self.schedule.rescan_needed(self.now);
    }

    pub fn watching(&mut self, polling: bool) {
        self.schedule.watching(polling, self.now);
    }

    pub fn watch_lost(&mut self) {
        self.schedule.watch_lost(self.now);
    }

    pub fn retry_asked(&mut self, unread: &[&str]) {
        self.schedule.retry_asked(paths(unread), self.now);
    }

    pub fn overrides_asked(&mut self, overrides: Overrides) {
        self.schedule.overrides_asked(overrides, self.now);
    }

    pub fn lists_found(&mut self, lists: &[&str]) {
        self.schedule.lists_found(paths(lists));
    }

    pub fn root_gone(&mut self) -> bool {
        self.schedule.root_gone(self.now)
    }

    pub fn root_back(&mut self) -> bool {
        self.schedule.root_back()
    }

    pub fn fetch_ended(&mut self, crashed: bool) {
        self.schedule.fetch_ended(crashed, self.now);
    }

    pub fn api_outage(&mut self) {
        self.schedule.api_outage();
    }

    pub fn api_wait_ended(&mut self, crashed: bool) {
        self.schedule.api_wait_ended(crashed, self.now);
    }

    /// A pass begins because somebody asks for one.
    pub fn begin_pass(&mut self, expected: &str) {
        self.retry_asked(&[]);
        assert_eq!(self.tasks(), [expected]);
    }

    pub fn pass_ended(&mut self, outcome: PassOutcome) -> bool {
        self.schedule.pass_ended(outcome, self.now)
    }

    /// A pass is started and goes over everything at once.
    pub fn finish_pass(&mut self, expected: &str) {
        assert_eq!(self.tasks(), [expected]);
        self.pass_ended(PassOutcome::Whole);
    }
}

const PRINT: Fingerprint = Fingerprint { size: 10, mtime_ns: -1, ctime_ns: -1, inode: 1, dev: 1 };

fn name(start: &Start) -> String {
    let all = |paths: &[RelPath]| paths.iter().map(RelPath::key).collect::<Vec<_>>().join(" ");
    match start {
        Start::ReportStillChanging(files) => {
            let files: Vec<RelPath> = files.iter().map(|file| file.path.clone()).collect();
            format!("still changing: {}", all(&files))
        }
        Start::TakeOverrides => "overrides?".into(),
        Start::CheckRoot => "root?".into(),
        Start::ReadLists => "lists?".into(),
        Start::ReadDue { .. } => "due?".into(),
        Start::Scan(ScanPlace::Whole) => "scan all".into(),
        Start::Scan(ScanPlace::Folders(folders)) => format!("scan {}", all(folders)),
        Start::Scan(ScanPlace::Settled(paths, _)) => format!("scan settled {}", all(paths)),
        Start::Fetch(asks) => {
            let files: Vec<RelPath> = asks.files.iter().map(|ask| ask.file.path.clone()).collect();
            format!("fetch {}", all(&files))
        }
        Start::Pass(job) => pass(job),
    }
}

fn pass(job: &PassJob) -> String {
    let mut words = vec!["pass"];
    words.extend(job.refresh.then_some("refresh"));
    words.extend(job.for_all.map(|_| "for all"));
    words.extend(job.overrides.flags());
    words.join(" ")
}
