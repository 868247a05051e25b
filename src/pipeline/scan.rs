//! Brings the index in step with the disk: what is new, changed, gone.
//!
//! Owns: the walk compared with the index, reading what changed on all cores, waiting for files that are still being
//! written, and telling "gone" from "could not look". Never does: deciding, or talking to the remote.
//! Called by: `pipeline::pass` for the whole tree, and for the paths a watcher or `--files-from` named.

mod problems;
mod reading;
mod sidecars;
mod walked;

use std::collections::HashSet;
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::disk::{Fingerprint, Found, Glance, Job, OpenError, RootDir, Selection, WalkError, Walked, glance, walk};
use crate::index::files::{KnownFiles, Problem};
use crate::index::{Index, IndexError, files};
use crate::live::Live;
use crate::model::RelPath;

use self::reading::Reading;
use self::walked::{Known, Shared};

pub use self::problems::{Severity, take_scan_problems, unread};
pub use self::walked::MAX_FILE_BYTES;
use super::progress::Progress;

/// Rows looked at once that a walk did not meet.
const AT_ONCE: usize = 500;
/// Walked files that wait for a digest thread.
const QUEUE: usize = 4096;

/// Reads the metadata inside an open file (with its path below the root, and its bytes) into JSON for the index.
///
/// # Errors
/// When the disk fails: what is inside is then unknown.
pub type ReadEmbedded = fn(File, &RelPath, u64) -> io::Result<Option<String>>;

/// What to scan and how.
#[derive(Debug, Clone)]
pub struct ScanRequest {
    /// The mirror's row in the index.
    pub mirror: i64,
    /// Its root.
    pub root: PathBuf,
    /// Which names count.
    pub selection: Arc<Selection>,
    /// How long a file must be quiet before it is read.
    pub settle: Duration,
    /// Only these files and folders; `None`: everything.
    pub only: Option<Vec<RelPath>>,
    /// What to do about files that are still being written.
    pub restless: Restless,
    /// Reads metadata from inside the file; JSON for the index.
    pub embedded: Option<ReadEmbedded>,
    /// Told of every file.
    pub progress: Arc<Progress>,
    /// Where to give signs of life.
    pub live: Option<Arc<Live>>,
}

/// What a scan does about files that changed less than `settle` ago.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Restless {
    /// Waits for them, for a while, and reports those that never rest.
    Wait,
    /// Leaves them to the caller, who settles them.
    Leave,
    /// Reads them all the same: the caller has settled them.
    Read,
}

/// What a scan found.
#[derive(Debug, Default)]
pub struct Scanned {
    /// Files that are to be mirrored.
    pub files: u64,
    /// Of these, those read because they were new or looked changed.
    pub read: u64,
    /// Bytes read.
    pub bytes_read: u64,
    /// Files that were known and are gone.
    pub vanished: u64,
    /// What is there but cannot be mirrored as it is.
    pub problems: Vec<(RelPath, Problem, Severity)>,
    /// Files still being written when the scan ended.
    pub unsettled: Vec<RelPath>,
    /// `_remote.toml` and other sidecars that changed.
    pub sidecars_changed: u64,
    /// Every folder could be listed.
    pub complete: bool,
    /// Files that `_remote.toml` lists, fetched or not.
    pub listed: u64,
    /// Files of `_remote.toml` that a dry run leaves unfetched.
    pub would_fetch: Vec<RelPath>,
}

impl ScanRequest {
    fn tick(&self) {
        if let Some(live) = &self.live {
            live.progress(std::time::Instant::now());
        }
    }
}

/// Why a scan could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ScanError {
    /// The root cannot be listed.
    #[error(transparent)]
    Walk(#[from] WalkError),
    /// The index failed.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// It was stopped.
    #[error("stopped during the scan")]
    Stopped,
}

/// Scans. Blocks: run it off the runtime. `stop` ends it early, with nothing taken for vanished.
///
/// # Errors
/// When the root cannot be listed, the index fails, or `stop` is set.
pub fn scan(index: &Index, request: &ScanRequest, stop: &Arc<AtomicBool>) -> Result<Scanned, ScanError> {
    let root = RootDir::open(&request.root).map_err(|cause| WalkError { root: request.root.clone(), cause })?;
    let mut scan = Scan::new(index.clone(), request.clone(), root, stop.clone());
    match &request.only {
        None => scan.part(None)?,
        Some(paths) => {
            for folder in scan.points(paths)? {
                scan.part(Some(folder))?;
            }
        }
    }
    if request.restless != Restless::Wait {
        scan.totals.unsettled = std::mem::take(&mut scan.restless).into_iter().map(|(path, _)| path).collect();
        return Ok(scan.totals);
    }
    scan.wait_for_quiet()?;
    scan.report_unsettled();
    let held = std::mem::take(&mut scan.held);
    scan.vanish(&held)?;
    Ok(scan.totals)
}

/// Nanoseconds since 1970 by the wall clock.
fn now_ns() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
}

struct Scan {
    index: Index,
    request: ScanRequest,
    /// What is read is opened below it: a name may have come to mean something else since it was listed.
    root: Arc<RootDir>,
    stop: Arc<AtomicBool>,
    totals: Scanned,
    restless: Vec<(RelPath, Fingerprint)>,
    /// Rows of files that may have moved to where something is not read yet.
    held: Vec<i64>,
    /// When it began, by the wall clock; coarse clocks of file systems lag a little.
    began_ns: i64,
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn taken<T>(mutex: Mutex<T>) -> T {
    mutex.into_inner().unwrap_or_else(PoisonError::into_inner)
}

impl Scan {
    fn new(index: Index, request: ScanRequest, root: RootDir, stop: Arc<AtomicBool>) -> Self {
        let began_ns = now_ns() - 1_000_000_000;
        Self {
            index,
            request,
            root: Arc::new(root),
            stop,
            totals: Scanned { complete: true, ..Scanned::default() },
            restless: Vec::new(),
            held: Vec::new(),
            began_ns,
        }
    }

    /// Looks at single paths, all in one go, and reads what changed; returns those that are folders, to be walked.
    fn points<'p>(&mut self, paths: &'p [RelPath]) -> Result<Vec<&'p RelPath>, ScanError> {
        let (mut folders, mut points, mut found) = (Vec::new(), Vec::new(), Vec::new());
        let mut unreadable_dirs = Vec::new();
        for path in paths {
            match glance(&self.request.root, path, &self.request.selection)? {
                Glance::Folder => {
                    folders.push(path);
                    continue;
                }
                Glance::Found(seen) => {
                    if let Found::Unreadable { path, .. } = &seen {
                        // It may be a folder, whose files are then not gone.
                        unreadable_dirs.push(path.clone());
                    }
                    found.push(seen);
                }
                Glance::Nothing => {}
            }
            points.push(path.key().to_owned());
        }
        if !points.is_empty() {
            let complete = unreadable_dirs.is_empty();
            let under: Vec<&str> = points.iter().map(String::as_str).collect();
            self.compare(Some(&under), |shared| {
                let _ = shared.take(found);
                Ok(Walked { unreadable_dirs, complete, ..Walked::default() })
            })?;
        }
        Ok(folders)
    }

    /// Walks one part of the tree and reads what changed.
    fn part(&mut self, under: Option<&RelPath>) -> Result<(), ScanError> {
        let request = self.request.clone();
        let place = under.map(|path| [path.key()]);
        self.compare(place.as_ref().map(<[&str; 1]>::as_slice), |shared| {
            walk(&request.root, under, &request.selection, 0, &|batch| shared.take(batch))
        })
    }

    /// Compares what `look` finds with what is known in these places (everywhere for none), and reads what changed.
    fn compare(
        &mut self,
        under: Option<&[&str]>,
        look: impl FnOnce(&Shared<'_>) -> Result<Walked, WalkError>,
    ) -> Result<(), ScanError> {
        let mirror = self.request.mirror;
        let keys = under.map(|under| under.iter().map(|key| (*key).to_owned()).collect::<Vec<_>>());
        let known = Known::new();
        let (jobs, queue) = sync_channel(QUEUE);
        let shared = Shared {
            scan: self,
            known: &known,
            early: Mutex::default(),
            jobs,
            files: AtomicU64::new(0),
            restless: Mutex::default(),
            sidecars: Mutex::default(),
            problems: Mutex::default(),
        };
        let reading = Reading::new(self);
        let walked = thread::scope(|scope| {
            scope.spawn(|| reading.read_all(queue));
            scope.spawn(|| {
                known.set(self.index.call_blocking(move |conn| KnownFiles::load(conn, mirror, keys.as_deref())))
            });
            let walked = look(&shared);
            // Where it broke off, the reason is told below.
            let _ = shared.catch_up();
            let Shared { jobs, files, restless, sidecars, problems, .. } = shared;
            // The digest threads end when no more jobs can come.
            drop(jobs);
            walked.map(|walked| (walked, files, restless, sidecars, problems))
        });
        let (walked, files, restless, sidecars, problems) = walked?;
        let known = known.into_inner().ok_or(ScanError::Stopped)??;
        let read = reading.end()?;
        self.totals.files += files.into_inner();
        self.totals.problems.extend(taken(problems));
        self.restless.extend(taken(restless));
        self.add(read);
        if self.stop.load(Ordering::Relaxed) {
            return Err(ScanError::Stopped);
        }
        self.sidecars(under, taken(sidecars), &walked)?;
        self.vanished(&known, &walked)
    }

    /// What the walk did not meet is gone, if the walk could look everywhere: where it could not, what is missed may lie
    /// by now.
    fn vanished(&mut self, known: &KnownFiles, walked: &Walked) -> Result<(), ScanError> {
        self.totals.complete &= walked.complete;
        if !walked.complete {
            return Ok(());
        }
        self.vanish(&known.unseen().collect::<Vec<_>>())
    }

    /// Takes these rows' files for gone, but for those that may be, under another name, what is not read yet.
    fn vanish(&mut self, rows: &[i64]) -> Result<(), ScanError> {
        let unread = self.sizes_unread();
        let unreadable: HashSet<String> = self.totals.problems.iter().map(|(path, ..)| path.key().to_owned()).collect();
        for chunk in rows.chunks(AT_ONCE) {
            let (chunk, unreadable, unread) = (chunk.to_vec(), unreadable.clone(), unread.clone());
            let (root, began) = (self.request.root.clone(), self.began_ns);
            let (vanished, back, held) = self.index.call_blocking(move |conn| {
                let (mut gone, mut back, mut held) = (Vec::new(), Vec::new(), Vec::new());
                for id in chunk {
                    let path = files::path_of(conn, id)?;
                    if unreadable.contains(path.key()) {
                        continue;
                    }
                    let size: Option<i64> =
                        conn.query_row("SELECT size FROM file WHERE id = ?1", [id], |row| row.get(0))?;
                    if size.is_some_and(|size| unread.contains(&size.cast_unsigned())) {
                        held.push(id);
                        continue;
                    }
                    // Deleted when the walk came by, and made anew since: a save, no deletion.
                    match std::fs::symlink_metadata(path.below(&root)) {
                        Ok(metadata) if metadata.is_file() && Fingerprint::from(&metadata).ctime_ns >= began => {
                            back.push((path, Fingerprint::from(&metadata)));
                        }
                        _ => gone.push(id),
                    }
                }
                files::vanished(conn, &gone)?;
                Ok((gone.len() as u64, back, held))
            })?;
            self.totals.vanished += vanished;
            self.restless.extend(back);
            self.held.extend(held);
        }
        Ok(())
    }

    /// Sizes of the files that could not be read, and of those still to be read.
    fn sizes_unread(&self) -> HashSet<u64> {
        let problems = self.totals.problems.iter();
        let refused =
            problems.filter(|(_, problem, severity)| *severity == Severity::Failed && problem.action == "read");
        let sizes = refused.filter_map(|(path, ..)| self.root.metadata(path).ok());
        let still = self.restless.iter().filter(|_| self.request.restless == Restless::Wait);
        sizes.map(|metadata| metadata.len()).chain(still.map(|(_, print)| print.size)).collect()
    }

    fn problem(&mut self, path: &RelPath, action: &str, cause: &str, advice: &str) {
        let problem = Problem { action: action.into(), cause: cause.into(), advice: advice.into() };
        self.totals.problems.push((path.clone(), problem, Severity::Failed));
    }

    /// Files that were being written: looked at again when they could be quiet, a few times.
    fn wait_for_quiet(&mut self) -> Result<(), ScanError> {
        // Long enough for a save to end, short enough that a log file in the folder cannot hold up a run.
        let give_up = std::time::Instant::now() + (self.request.settle * 5).max(Duration::from_secs(10));
        while !self.restless.is_empty() && std::time::Instant::now() < give_up {
            thread::sleep(self.request.settle.min(Duration::from_millis(100)).max(Duration::from_millis(10)));
            if self.stop.load(Ordering::Relaxed) {
                return Err(ScanError::Stopped);
            }
            let (now, settle) = (now_ns(), self.request.settle);
            let (quiet, still): (Vec<_>, Vec<_>) = std::mem::take(&mut self.restless)
                .into_iter()
                .filter_map(|(path, _)| self.print_of(&path).map(|print| (path, print)))
                .partition(|(_, print)| is_quiet(print, now, settle));
            self.restless = still;
            self.read_now(quiet)?;
        }
        self.totals.unsettled = std::mem::take(&mut self.restless).into_iter().map(|(path, _)| path).collect();
        Ok(())
    }

    /// What a file that was met before is like now; `None` when it is gone, or when something else took its name, which is
    /// told.
    fn print_of(&mut self, path: &RelPath) -> Option<Fingerprint> {
        match self.root.metadata(path) {
            Ok(metadata) => Some(Fingerprint::from(&metadata)),
            Err(OpenError::Skipped(why)) => {
                let advice = "exclude it, or put a regular file there".into();
                let problem = Problem { action: "skip".into(), cause: why.to_string(), advice };
                self.totals.problems.push((path.clone(), problem, Severity::Skipped));
                None
            }
            Err(_) => None,
        }
    }

    fn read_now(&mut self, files: Vec<(RelPath, Fingerprint)>) -> Result<(), ScanError> {
        if files.is_empty() {
            return Ok(());
        }
        let reading = Reading::new(self);
        let (jobs, queue) = sync_channel(files.len());
        for (path, print) in files {
            // The queue holds them all.
            let _ = jobs.send(Job { path, print });
        }
        drop(jobs);
        reading.read_all(queue);
        let read = reading.end()?;
        self.add(read);
        Ok(())
    }

    fn report_unsettled(&mut self) {
        for path in self.totals.unsettled.clone() {
            self.problem(
                &path,
                "read",
                "the file is still being written",
                "it is mirrored when it has been quiet for `settle`; run again, or exclude it if it never is",
            );
        }
    }
}

/// A file is read when it has not been changed for `settle`; one from the future counts as quiet.
fn is_quiet(print: &Fingerprint, now: i64, settle: Duration) -> bool {
    print.quiet_for(now).is_none_or(|quiet| quiet >= settle)
}
