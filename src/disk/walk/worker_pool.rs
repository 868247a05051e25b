//! The threads of one walk.
//!
//! Owns: sharing folders among threads, noticing the end, handing finds over.
//! Never does: looking at the disk.

use std::fs::DirEntry;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use super::{BATCH, Folder, Found, Outcome, Walked};

/// A piece of work.
#[derive(Debug)]
pub(super) enum Task {
    /// List a folder.
    List(Arc<Folder>),
    /// Look at some of a big folder's entries.
    Look(Arc<Folder>, Vec<DirEntry>),
}

/// What the threads share.
pub(super) struct Crew<'a> {
    board: Mutex<Board>,
    changed: Condvar,
    idle: AtomicUsize,
    stopped: AtomicBool,
    sink: &'a (dyn Fn(Vec<Found>) -> ControlFlow<()> + Sync),
}

#[derive(Default)]
struct Board {
    /// Last in, first out: depth first keeps the list short.
    tasks: Vec<Task>,
    /// Threads that work on a task and may still add some.
    busy: usize,
    tally: Walked,
}

type Work<'w> = &'w (dyn Fn(Task, &Crew<'_>, &mut Outcome) + Sync);

impl<'a> Crew<'a> {
    pub(super) fn new(sink: &'a (dyn Fn(Vec<Found>) -> ControlFlow<()> + Sync)) -> Self {
        Self {
            board: Mutex::default(),
            changed: Condvar::new(),
            idle: AtomicUsize::new(0),
            stopped: AtomicBool::new(false),
            sink,
        }
    }

    pub(super) fn run(self, mut start: Outcome, threads: usize, work: Work<'_>) -> Walked {
        self.board().tasks.append(&mut start.tasks);
        let _ = self.deliver(&mut start);
        self.settle_up(&mut start);
        let threads = if threads == 0 { thread::available_parallelism().map_or(1, usize::from) } else { threads };
        thread::scope(|scope| {
            for _ in 1..threads {
                // With fewer threads than asked for the walk is slower, not wrong.
                let _ = thread::Builder::new().name("walk".into()).spawn_scoped(scope, || self.member(work));
            }
            self.member(work);
        });
        let stopped = self.stopped.into_inner();
        let mut walked = self.board.into_inner().unwrap_or_else(PoisonError::into_inner).tally;
        walked.complete = !stopped && walked.unreadable == 0;
        walked
    }

    /// A hint; a wrong one costs a little time only.
    pub(super) fn someone_is_idle(&self) -> bool {
        self.idle.load(Ordering::Relaxed) > 0
    }

    pub(super) fn hand_over(&self, task: Task) {
        self.board().tasks.push(task);
        self.changed.notify_one();
    }

    /// Puts new folders on the board and, when there are enough of them, gives the finds to the sink.
    pub(super) fn flush(&self, outcome: &mut Outcome) -> ControlFlow<()> {
        if !outcome.tasks.is_empty() {
            self.board().tasks.append(&mut outcome.tasks);
            if self.someone_is_idle() {
                self.changed.notify_all();
            }
        }
        if outcome.found.len() >= BATCH { self.deliver(outcome) } else { self.going_on() }
    }

    fn member(&self, work: Work<'_>) {
        let mut outcome = Outcome::default();
        while let Some(task) = self.next(&mut outcome) {
            let _busy = Busy(self);
            work(task, self, &mut outcome);
            let _ = self.flush(&mut outcome);
        }
        let _ = self.deliver(&mut outcome);
        self.settle_up(&mut outcome);
    }

    fn next(&self, outcome: &mut Outcome) -> Option<Task> {
        let mut board = self.board();
        loop {
            if self.going_on().is_break() {
                return None;
            }
            if let Some(task) = board.tasks.pop() {
                board.busy += 1;
                return Some(task);
            }
            if board.busy == 0 {
                return None;
            }
            if !outcome.found.is_empty() {
                // Nothing is held back while waiting for others.
                drop(board);
                let _ = self.deliver(outcome);
                board = self.board();
                continue;
            }
            self.idle.fetch_add(1, Ordering::Relaxed);
            board = self.changed.wait(board).unwrap_or_else(PoisonError::into_inner);
            self.idle.fetch_sub(1, Ordering::Relaxed);
        }
    }

    fn deliver(&self, outcome: &mut Outcome) -> ControlFlow<()> {
        while !outcome.found.is_empty() {
            self.going_on()?;
            let rest = outcome.found.split_off(outcome.found.len().min(BATCH));
            let batch = std::mem::replace(&mut outcome.found, rest);
            if (self.sink)(batch).is_break() {
                self.stopped.store(true, Ordering::Relaxed);
                self.changed.notify_all();
            }
        }
        self.going_on()
    }

    fn settle_up(&self, outcome: &mut Outcome) {
        let own = std::mem::take(&mut outcome.tally);
        let tally = &mut self.board().tally;
        tally.files += own.files;
        tally.sidecars += own.sidecars;
        tally.skipped += own.skipped;
        tally.unreadable += own.unreadable;
        tally.root_failure = tally.root_failure.take().or(own.root_failure);
        tally.unreadable_dirs.extend(own.unreadable_dirs);
    }

    fn going_on(&self) -> ControlFlow<()> {
        if self.stopped.load(Ordering::Relaxed) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn board(&self) -> MutexGuard<'_, Board> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counted down even when the work panics, so that the others do not wait for ever.
struct Busy<'c, 'a>(&'c Crew<'a>);

impl Drop for Busy<'_, '_> {
    fn drop(&mut self) {
        let mut board = self.0.board();
        board.busy -= 1;
        if !board.tasks.is_empty() || board.busy == 0 {
            drop(board);
            self.0.changed.notify_all();
        }
    }
}
