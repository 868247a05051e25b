//! Brings the index in step with the disk: what is new, changed, gone.
//!
//! Owns: the walk compared with the index, reading what changed on all cores, waiting for files that are still being
//! written, and telling "gone" from "could not look". Never does: deciding, or talking to the remote.

mod looks;
mod problems;
mod reading;
mod request;
mod second;
mod sidecars;
mod walked;

use std::collections::HashSet;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::disk::{
    AtPath, Fingerprint, Found, OpenError, RootDir, Selection, SkipReason, WalkError, Walked, glance,
    is_under_another_spelling, walk,
};
use crate::features::remote_files::{Asks, Compared};
use crate::index::files::{KnownFiles, Problem};
use crate::index::{Index, files};
use crate::model::{ActionKind, RelPath};

use crate::error::ScanError;
use crate::report::Severity;

use self::looks::Looks;
use self::reading::Reading;
use self::walked::{Known, Shared};

pub use self::looks::{Kind, Look};
pub use self::problems::{take_scan_problems, unread};

pub use self::request::{ScanRequest, Unsettled, Waited};

/// Rows looked at once that a walk did not meet.
const AT_ONCE: usize = 500;
/// Walked files that wait for a digest thread.
const QUEUE: usize = 4096;

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
    /// What could not even be looked at, and is not among the files: it has a problem that says so.
    pub unreadable: u64,
    /// What is there but cannot be mirrored as it is.
    pub problems: Vec<(RelPath, Problem, Severity)>,
    /// Files that may still be in the middle of being written, with the last look at each.
    pub unsettled: Vec<Look>,
    /// Second looks.
    pub looked_again: u64,
    /// Known files that are not where they were, and may be what is unsettled under another name, or be saved just now. Not
    /// taken for gone: they are to be looked at again later.
    pub held: Vec<RelPath>,
    /// `_remote.toml` and other sidecars that changed.
    pub sidecars_changed: u64,
    /// Every folder could be listed.
    pub complete: bool,
    /// Files that `_remote.toml` lists, fetched or not.
    pub listed: u64,
    /// Files of `_remote.toml` that are to be asked for.
    pub asks: Asks,
    /// Files of `_remote.toml` that a dry run leaves unfetched.
    pub would_fetch: Vec<RelPath>,
}

impl Scanned {
    /// Counts what lists name among what was found.
    pub fn take_listed(&mut self, compared: Compared) {
        let Compared { listed, files, problems, asks, would_fetch } = compared;
        self.listed += listed;
        self.files += files;
        self.problems.extend(problems);
        self.asks = asks;
        self.would_fetch.extend(would_fetch);
    }
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
    scan.second_looks()?;
    scan.respelt()?;
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
    looks: Looks,
    /// Rows of files that may have moved to where something is not read yet.
    held: Vec<i64>,
    /// Rows of files that were missed and are there under another spelling only.
    respelt: Vec<i64>,
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn taken<T>(mutex: Mutex<T>) -> T {
    mutex.into_inner().unwrap_or_else(PoisonError::into_inner)
}

impl Scan {
    fn new(index: Index, request: ScanRequest, root: RootDir, stop: Arc<AtomicBool>) -> Self {
        Self {
            looks: Looks::new(request.settle),
            index,
            request,
            root: Arc::new(root),
            stop,
            totals: Scanned { complete: true, ..Scanned::default() },
            held: Vec::new(),
            respelt: Vec::new(),
        }
    }

    /// A file that got another spelling and another content at once is the same file.
    fn respelt(&mut self) -> Result<(), ScanError> {
        let (mirror, old) = (self.request.mirror, std::mem::take(&mut self.respelt));
        if !old.is_empty() {
            self.index.call_blocking(move |conn| files::take_over(conn, mirror, &old))?;
        }
        Ok(())
    }

    /// Looks at single paths, all in one go, and reads what changed; returns those that are folders, to be walked.
    fn points<'p>(&mut self, paths: &'p [RelPath]) -> Result<Vec<&'p RelPath>, ScanError> {
        let (mut folders, mut points, mut found) = (Vec::new(), Vec::new(), Vec::new());
        let mut unreadable_dirs = Vec::new();
        for path in paths {
            match glance(&self.request.root, path, &self.request.selection)? {
                AtPath::Folder => {
                    // It is back, and may be filled just now.
                    Arc::make_mut(&mut self.request.waited.away).remove(path);
                    folders.push(path);
                    continue;
                }
                AtPath::Found(seen) => {
                    if let Found::Unreadable { path, .. } | Found::Skipped { path, why: SkipReason::SameFolder } = &seen
                    {
                        // It may be a folder, whose files are then not gone.
                        unreadable_dirs.push(path.clone());
                    }
                    found.push(seen);
                }
                AtPath::Nothing => {}
            }
            points.push(path.key().to_owned());
        }
        if !points.is_empty() {
            let (complete, unreadable) = (unreadable_dirs.is_empty(), unreadable_dirs.len() as u64);
            let under: Vec<&str> = points.iter().map(String::as_str).collect();
            self.compare(Some(&under), |shared| {
                let _ = shared.take(found);
                Ok(Walked { unreadable, unreadable_dirs, complete, ..Walked::default() })
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
            looks: Mutex::default(),
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
            let Shared { jobs, files, looks, sidecars, problems, .. } = shared;
            // The digest threads end when no more jobs can come.
            drop(jobs);
            walked.map(|walked| (walked, files, looks, sidecars, problems))
        });
        let (walked, files, looks, sidecars, problems) = walked?;
        let known = known.into_inner().ok_or(ScanError::Stopped)??;
        let read = reading.end()?;
        self.totals.files += files.into_inner();
        self.totals.unreadable += walked.unreadable;
        self.totals.problems.extend(taken(problems));
        self.looks.add(taken(looks));
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

    /// Takes these rows' files for gone, but for those that may be, under another name, what is not read yet, and those that
    /// the caller waits for; what has moved is known by its content.
    fn vanish(&mut self, rows: &[i64]) -> Result<(), ScanError> {
        let Some(unread) = self.sizes_unread() else {
            self.held.extend(rows);
            return Ok(());
        };
        let unreadable: HashSet<String> = self.totals.problems.iter().map(|(path, ..)| path.key().to_owned()).collect();
        for chunk in rows.chunks(AT_ONCE) {
            let (chunk, unreadable, unread) = (chunk.to_vec(), unreadable.clone(), unread.clone());
            let (root, selection) = (self.request.root.clone(), self.request.selection.clone());
            let (leave, request) = (self.request.restless == Unsettled::LeaveAbsent, self.request.clone());
            let (vanished, back, held, respelt) = self.index.call_blocking(move |conn| {
                let (mut gone, mut back, mut held, mut respelt) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
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
                    if is_under_another_spelling(&root, &path) {
                        respelt.push(id);
                    }
                    // Deleted when the walk came by, and made anew since: a save, no deletion.
                    match is_back(&root, &path, &selection) {
                        Some((kind, print)) => back.push(Look { path, kind, print, at: None }),
                        None if leave && !request.is_away(&path) && !files::can_go(conn, id)? => held.push(id),
                        None => gone.push(id),
                    }
                }
                files::vanished(conn, &gone)?;
                Ok((gone.len() as u64, back, held, respelt))
            })?;
            self.totals.vanished += vanished;
            self.looks.add(back);
            self.held.extend(held);
            self.respelt.extend(respelt);
        }
        Ok(())
    }

    /// Sizes of the files that could not be read, and of those still to be read. `None` when one cannot be told: whatever
    /// is missing may be that file.
    fn sizes_unread(&self) -> Option<HashSet<u64>> {
        let problems = self.totals.problems.iter();
        let refused = problems
            .filter(|(_, problem, severity)| *severity == Severity::Failed && problem.action == ActionKind::Read);
        let mut sizes: HashSet<u64> = self.looks.sizes().collect();
        for (path, ..) in refused {
            match self.root.metadata(path) {
                Ok(metadata) => drop(sizes.insert(metadata.len())),
                Err(OpenError::Gone) => {}
                Err(_) => return None,
            }
        }
        Some(sizes)
    }

    fn problem(&mut self, path: &RelPath, action: ActionKind, cause: &str, advice: &'static str) {
        let problem = Problem::new(action, cause, advice);
        self.totals.problems.push((path.clone(), problem, Severity::Failed));
    }

    /// What a file that was met before is like now; `None` when it is gone. That something else took its name is told when
    /// it is opened.
    fn print_of(&self, path: &RelPath) -> Result<Option<Fingerprint>, SkipReason> {
        match self.root.metadata(path) {
            Ok(_) if is_under_another_spelling(&self.request.root, path) => Ok(None),
            Ok(metadata) => Ok(Some(Fingerprint::from(&metadata))),
            Err(OpenError::Skipped(why)) => Err(why),
            Err(_) => Ok(None),
        }
    }

    fn skipped(&mut self, path: RelPath, why: SkipReason) {
        let advice = "exclude it, or put a regular file there";
        let problem = Problem::new(ActionKind::Skip, why.to_string(), advice);
        self.totals.problems.push((path, problem, Severity::Skipped));
    }
}

/// What lies at `path` now, where a walk that just ended met nothing. Its times tell nothing: they may be another
/// machine's. Its name is looked for letter by letter, because a file system that does not tell `A` from `a` answers to
/// the old name of a file that has another one by now.
fn is_back(root: &Path, path: &RelPath, selection: &Selection) -> Option<(Kind, Fingerprint)> {
    let found = match glance(root, path, selection) {
        Ok(AtPath::Found(Found::File { print, .. })) => (Kind::File, print),
        Ok(AtPath::Found(Found::Sidecar { print, .. })) => (Kind::Sidecar, print),
        _ => return None,
    };
    let mut folder = root.to_owned();
    for name in path.below(Path::new("")).iter() {
        let entries = std::fs::read_dir(&folder).ok()?;
        entries.flatten().find(|entry| entry.file_name() == name)?;
        folder.push(name);
    }
    Some(found)
}

#[cfg(test)]
mod tests;
