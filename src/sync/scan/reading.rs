//! The contents that a scan reads, on all cores.
//!
//! Owns: what becomes of each file that is read, and that results are written in batches. Decides nothing about which.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::Receiver;
use std::time::Duration;

use super::looks::{Kind, Look};
use super::{Scan, ScanError, lock, now_ns, taken};
use crate::disk::{DigestError, Digested, Fingerprint, Job, digest_all};
use crate::index::files::{FoundFile, Problem};
use crate::index::{IndexError, files};
use crate::model::{ActionKind, RelPath};
use crate::report::Severity;

/// Files written to the index at once.
const BATCH: usize = 500;

/// What the digest threads have read and not yet written.
pub(super) struct Reading<'a> {
    scan: &'a Scan,
    started_ns: i64,
    pending: Mutex<Vec<FoundFile>>,
    read: AtomicU64,
    bytes: AtomicU64,
    looks: Mutex<Vec<Look>>,
    problems: Mutex<Vec<(RelPath, Problem, Severity)>>,
    failure: Mutex<Option<IndexError>>,
}

/// What was read.
pub(super) struct Read {
    files: u64,
    bytes: u64,
    looks: Vec<Look>,
    problems: Vec<(RelPath, Problem, Severity)>,
}

impl Scan {
    /// Adds what was read to the totals.
    pub(super) fn add(&mut self, read: Read) {
        let Read { files, bytes, looks, problems } = read;
        self.totals.read += files;
        self.totals.bytes_read += bytes;
        self.totals.problems.extend(problems);
        self.looks.add(looks);
    }
}

impl<'a> Reading<'a> {
    pub(super) fn new(scan: &'a Scan) -> Self {
        Self {
            scan,
            started_ns: now_ns(),
            pending: Mutex::default(),
            read: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            looks: Mutex::default(),
            problems: Mutex::default(),
            failure: Mutex::default(),
        }
    }

    pub(super) fn read_all(&self, queue: Receiver<Job>) {
        digest_all(&self.scan.root, queue.into_iter(), 0, &self.scan.stop, &|job, outcome| {
            self.done(job, outcome);
        });
    }

    fn done(&self, job: Job, outcome: Result<Digested, DigestError>) {
        let Job { path, print, seen_for } = job;
        self.scan.request.tick();
        match outcome {
            Ok(digested) => self.keep(path, print, seen_for, digested),
            Err(DigestError::Changed) => {
                lock(&self.looks).push(Look { path, kind: Kind::File, print, at: None });
            }
            Err(DigestError::Vanished) => {
                self.note(path, Severity::Skipped, "it went away while it was read", "nothing: it is gone");
            }
            Err(DigestError::Skipped(why)) => {
                self.note(path, Severity::Skipped, &why.to_string(), "exclude it, or put a regular file there");
            }
            Err(error @ DigestError::Unreadable(_)) => {
                self.note(path, Severity::Failed, &error.to_string(), "check its permissions and the disk");
            }
            Err(DigestError::Stopped) => {}
        }
    }

    fn keep(&self, path: RelPath, print: Fingerprint, seen_for: Duration, digested: Digested) {
        let request = &self.scan.request;
        let embedded = request.embedded.map(|read| read(digested.file, &path, print.size)).transpose();
        let embedded = match embedded {
            Ok(embedded) => embedded.flatten(),
            // Taken in without them, it would lose what its metadata say until it changes again.
            Err(error) => {
                let cause = format!("the metadata in the file cannot be read: {error}");
                return self.note(path, Severity::Failed, &cause, "check its permissions and the disk");
            }
        };
        self.read.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(print.size, Ordering::Relaxed);
        request.progress.read(print.size);
        let found = FoundFile {
            path,
            print,
            read_at_ns: request.read_at(&print, self.started_ns, seen_for),
            md5: digested.md5,
            embedded,
        };
        let full = {
            let mut pending = lock(&self.pending);
            pending.push(found);
            (pending.len() >= BATCH).then(|| std::mem::take(&mut *pending))
        };
        let Some(full) = full else { return };
        let mirror = request.mirror;
        if let Err(error) = self.scan.index.call_blocking(move |conn| files::found(conn, mirror, &full)) {
            self.scan.stop.store(true, Ordering::Relaxed);
            lock(&self.failure).get_or_insert(error);
        }
    }

    /// What was read, once all is; nothing is left behind unwritten.
    pub(super) fn end(self) -> Result<Read, ScanError> {
        let Self { scan, read, bytes, looks, problems, failure, pending, .. } = self;
        if let Some(error) = taken(failure) {
            return Err(error.into());
        }
        let (mirror, pending) = (scan.request.mirror, taken(pending));
        scan.index.call_blocking(move |conn| files::found(conn, mirror, &pending))?;
        Ok(Read { files: read.into_inner(), bytes: bytes.into_inner(), looks: taken(looks), problems: taken(problems) })
    }

    fn note(&self, path: RelPath, severity: Severity, cause: &str, advice: &'static str) {
        let problem = Problem::new(ActionKind::Read, cause, advice);
        lock(&self.problems).push((path, problem, severity));
    }
}
