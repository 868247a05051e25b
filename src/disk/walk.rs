//! Lists the tree below a root.
//!
//! Owns: the parallel walk, which links are followed, and telling "not there" from "could not look". Never does:
//! reading content, comparing with the index, writing.

mod found;
mod link;
mod spelling;
mod worker_pool;

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::{self, DirEntry, FileType, Metadata};
use std::io;
use std::ops::ControlFlow;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use self::found::{AtPath, Found, SkipReason, WalkError, Walked};
use self::link::{Hop, Target};
pub use self::spelling::{answers_in_another_case, as_spelt, is_under_another_spelling};
use self::spelling::{is_second_of_its_name, is_spelt_otherwise};
use self::worker_pool::{Crew, Task};
use super::fingerprint::Fingerprint;
use super::selection::{Selection, Verdict};
use crate::model::RelPath;

/// A folder on the way.
#[derive(Debug)]
struct Folder {
    path: PathBuf,
    /// `None`: the root.
    rel: Option<RelPath>,
    /// The links that led here, innermost first.
    hops: Option<Arc<Hop>>,
}

/// Entries looked at between two looks at whether another thread has nothing to do.
const CHUNK: usize = 256;
/// Finds handed over at once.
const BATCH: usize = 500;

/// Walks `root`, or the file or folder `under` in it, with `threads` threads (0: one for each core).
///
/// `sink` gets the finds in batches of up to 500, in no order, from several threads at once; when it answers `Break`
/// the walk ends early and is not complete. What vanishes during the walk is left out without a word. An `under` that is
/// not there is a complete walk that found nothing.
///
/// # Errors
/// When the root itself cannot be listed to its end.
pub fn walk(
    root: &Path,
    under: Option<&RelPath>,
    selection: &Selection,
    threads: usize,
    sink: &(dyn Fn(Vec<Found>) -> ControlFlow<()> + Sync),
) -> Result<Walked, WalkError> {
    let failed = |cause| WalkError { root: root.to_owned(), cause };
    let real_root = fs::canonicalize(root).map_err(failed)?;
    // The root's own failure must be an error, not an "unreadable folder".
    fs::read_dir(&real_root).map_err(failed)?;
    let scope = Scope { real_root: &real_root, selection };
    let crew = Crew::new(sink);
    let top = Arc::new(Folder { path: root.to_owned(), rel: None, hops: None });
    let mut start = Outcome::default();
    match under {
        None => start.tasks.push(Task::List(top)),
        Some(under) => scope.look_at_start(&top, under, &mut start),
    }
    let mut walked = crew.run(start, threads, &|task, crew, outcome| match task {
        Task::List(folder) => scope.list(&folder, crew, outcome),
        Task::Look(folder, entries) => entries.iter().for_each(|entry| scope.look_at_entry(&folder, entry, outcome)),
    });
    walked.root_failure.take().map_or(Ok(walked), |cause| Err(failed(cause)))
}

/// Looks at one path with the rules of the walk: the same links are followed, the same things skipped.
///
/// # Errors
/// When the root itself cannot be listed.
pub fn glance(root: &Path, path: &RelPath, selection: &Selection) -> Result<AtPath, WalkError> {
    let real_root = fs::canonicalize(root).map_err(|cause| WalkError { root: root.to_owned(), cause })?;
    let mut outcome = Outcome::default();
    let top = Arc::new(Folder { path: root.to_owned(), rel: None, hops: None });
    Scope { real_root: &real_root, selection }.look_at_start(&top, path, &mut outcome);
    Ok(match outcome.found.pop() {
        Some(found) => AtPath::Found(found),
        None if outcome.tasks.is_empty() => AtPath::Nothing,
        None => AtPath::Folder,
    })
}

/// What one thread has found and not yet handed over.
#[derive(Debug, Default)]
struct Outcome {
    found: Vec<Found>,
    tasks: Vec<Task>,
    tally: Walked,
}

impl Outcome {
    fn skip(&mut self, path: RelPath, why: SkipReason) {
        self.tally.skipped += 1;
        self.found.push(Found::Skipped { path, why });
    }

    fn unreadable(&mut self, path: RelPath, cause: io::Error, is_dir: bool) {
        self.tally.unreadable += 1;
        if is_dir {
            self.tally.unreadable_dirs.push(path.clone());
        }
        self.found.push(Found::Unreadable { path, cause });
    }
}

/// What stays the same during a walk.
struct Scope<'a> {
    real_root: &'a Path,
    selection: &'a Selection,
}

impl Scope<'_> {
    fn list(&self, folder: &Arc<Folder>, crew: &Crew<'_>, outcome: &mut Outcome) {
        let entries = match fs::read_dir(&folder.path) {
            Ok(entries) => entries,
            Err(cause) => return folder_failed(folder, cause, outcome),
        };
        let mut odd = Vec::new();
        let mut chunk = Vec::with_capacity(CHUNK);
        for entry in entries {
            match entry {
                // Names that might read the same as another's wait until all are known.
                Ok(entry) if may_read_like_another(&entry.file_name()) => odd.push(entry),
                Ok(entry) => chunk.push(entry),
                Err(cause) => {
                    folder_failed(folder, cause, outcome);
                    break;
                }
            }
            if chunk.len() == CHUNK {
                let full = std::mem::replace(&mut chunk, Vec::with_capacity(CHUNK));
                // One huge folder must not leave the other cores idle.
                if crew.someone_is_idle() {
                    crew.hand_over(Task::Look(Arc::clone(folder), full));
                } else {
                    full.iter().for_each(|entry| self.look_at_entry(folder, entry, outcome));
                    if crew.flush(outcome).is_break() {
                        return;
                    }
                }
            }
        }
        chunk.extend(self.one_of_each_name(folder, odd, outcome));
        chunk.iter().for_each(|entry| self.look_at_entry(folder, entry, outcome));
    }

    fn look_at_entry(&self, folder: &Arc<Folder>, entry: &DirEntry, outcome: &mut Outcome) {
        let path = child(folder, &entry.file_name());
        match entry.file_type() {
            Ok(file_type) => self.look_at(folder, path, file_type, || entry.path(), || entry.metadata(), outcome),
            Err(cause) => entry_failed(path, cause, outcome),
        }
    }

    /// Of names that read the same, keeps the one whose bytes are what is read, else the first by bytes.
    fn one_of_each_name(&self, folder: &Folder, entries: Vec<DirEntry>, outcome: &mut Outcome) -> Vec<DirEntry> {
        let mut by_key: BTreeMap<String, BTreeMap<(bool, OsString), DirEntry>> = BTreeMap::new();
        for entry in entries {
            let path = child(folder, &entry.file_name());
            let name = entry.file_name();
            let differs = name.as_bytes() != path.file_name().as_bytes();
            by_key.entry(path.key().to_owned()).or_default().insert((differs, name), entry);
        }
        let mut kept = Vec::new();
        for (_, mut same) in by_key {
            kept.extend(same.pop_first().map(|(_, entry)| entry));
            for ((_, name), entry) in same {
                let is_folder = fs::metadata(entry.path()).is_ok_and(|found| found.is_dir());
                self.second_of_its_name(child(folder, &name), is_folder, outcome);
            }
        }
        kept
    }

    /// Tells of what has the same name as another in its folder, if it is selected.
    fn second_of_its_name(&self, path: RelPath, is_folder: bool, outcome: &mut Outcome) {
        if is_folder {
            if self.selection.admits_dir_in_admitted_folder(&path) {
                // What is known to lie in a folder of this name may lie in this one, and is not gone.
                outcome.tally.unreadable += 1;
                outcome.tally.unreadable_dirs.push(path.clone());
                outcome.skip(path, SkipReason::SameFolder);
            }
        } else if matches!(self.selection.verdict_in_admitted_folder(&path), Verdict::Mirrored | Verdict::Sidecar(_)) {
            outcome.skip(path, SkipReason::SameName);
        }
    }

    /// The start of a walk below the root: every link on the way counts as if it had been walked.
    fn look_at_start(&self, top: &Arc<Folder>, under: &RelPath, outcome: &mut Outcome) {
        let mut folder = Arc::clone(top);
        let below = under.below(Path::new(""));
        let mut names = below.iter().peekable();
        while let Some(name) = names.next() {
            let (path, full) = (child(&folder, name), folder.path.join(name));
            let file_type = match fs::symlink_metadata(&full) {
                // Under this name there is nothing: a listing would show another.
                Ok(found) if is_spelt_otherwise(&folder.path, name, &found) => return *outcome = Outcome::default(),
                Ok(found) if is_second_of_its_name(&folder.path, &path, name) => {
                    *outcome = Outcome::default();
                    let is_folder = found.is_dir() || names.peek().is_some();
                    return self.second_of_its_name(path, is_folder, outcome);
                }
                Ok(found) => found.file_type(),
                Err(cause) => return entry_failed(path, cause, outcome),
            };
            self.look_at(&folder, path, file_type, || full.clone(), || fs::symlink_metadata(&full), outcome);
            if names.peek().is_some() {
                // Only the way matters until the last name: what was found on it is put back.
                match outcome.tasks.pop() {
                    Some(Task::List(next)) => folder = next,
                    _ if outcome.tally.unreadable > 0 => return,
                    _ => return *outcome = Outcome::default(),
                }
            }
        }
    }

    fn look_at(
        &self,
        folder: &Arc<Folder>,
        path: RelPath,
        file_type: FileType,
        full: impl Fn() -> PathBuf,
        metadata: impl Fn() -> io::Result<Metadata>,
        outcome: &mut Outcome,
    ) {
        if file_type.is_dir() {
            if self.selection.admits_dir_in_admitted_folder(&path) {
                let hops = folder.hops.clone();
                outcome.tasks.push(Task::List(Arc::new(Folder { path: full(), rel: Some(path), hops })));
            } else if let Some(reason) = self.selection.unexpected_obstacle(&path) {
                outcome.skip(path, SkipReason::Folder { reason });
            }
        } else if file_type.is_symlink() {
            self.look_at_link(folder, path, full(), outcome);
        } else {
            let verdict = self.selection.verdict_in_admitted_folder(&path);
            if !matches!(verdict, Verdict::Mirrored | Verdict::Sidecar(_)) {
                return;
            }
            if let Some(why) = not_a_file(file_type) {
                return outcome.skip(path, why);
            }
            match metadata() {
                Ok(metadata) => file(path, &verdict, &metadata, outcome),
                Err(cause) => entry_failed(path, cause, outcome),
            }
        }
    }

    fn look_at_link(&self, folder: &Arc<Folder>, path: RelPath, full: PathBuf, outcome: &mut Outcome) {
        let verdict = self.selection.verdict_in_admitted_folder(&path);
        let as_file = matches!(verdict, Verdict::Mirrored | Verdict::Sidecar(_));
        let as_dir = self.selection.admits_dir_in_admitted_folder(&path);
        if !as_file && !as_dir {
            return;
        }
        match link::follow(self.real_root, &folder.path, folder.hops.as_ref(), &full) {
            Ok(Target::Folder(hop)) if as_dir => {
                let hops = Some(Arc::new(hop));
                outcome.tasks.push(Task::List(Arc::new(Folder { path: full, rel: Some(path), hops })));
            }
            Ok(Target::File(metadata)) if as_file => match not_a_file(metadata.file_type()) {
                Some(why) => outcome.skip(path, why),
                None => file(path, &verdict, &metadata, outcome),
            },
            Ok(Target::Refused(why)) if as_file => outcome.skip(path, why),
            Ok(_) => {}
            Err(cause) => entry_failed(path, cause, outcome),
        }
    }
}

fn file(path: RelPath, verdict: &Verdict, metadata: &Metadata, outcome: &mut Outcome) {
    let print = Fingerprint::from(metadata);
    if let Verdict::Sidecar(kind) = *verdict {
        outcome.tally.sidecars += 1;
        outcome.found.push(Found::Sidecar { path, kind, print });
    } else {
        outcome.tally.files += 1;
        outcome.found.push(Found::File { path, print });
    }
}

fn not_a_file(file_type: FileType) -> Option<SkipReason> {
    if file_type.is_fifo() {
        Some(SkipReason::Fifo)
    } else if file_type.is_socket() {
        Some(SkipReason::Socket)
    } else if file_type.is_block_device() || file_type.is_char_device() {
        Some(SkipReason::Device)
    } else {
        None
    }
}

/// What is gone by the time it is looked at was deleted: that is no failure.
fn is_gone(cause: &io::Error) -> bool {
    matches!(cause.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

fn entry_failed(path: RelPath, cause: io::Error, outcome: &mut Outcome) {
    if !is_gone(&cause) {
        outcome.unreadable(path, cause, false);
    }
}

fn folder_failed(folder: &Folder, cause: io::Error, outcome: &mut Outcome) {
    match &folder.rel {
        // A root that vanishes under the walk has not been emptied.
        None => {
            outcome.tally.unreadable += 1;
            outcome.tally.root_failure = Some(cause);
        }
        Some(_) if is_gone(&cause) => {}
        Some(path) => outcome.unreadable(path.clone(), cause, true),
    }
}

/// The path of a name in a folder, without taking the folder's path apart again for the common name.
fn child(folder: &Folder, name: &OsStr) -> RelPath {
    let parent = folder.rel.as_ref();
    if let (Some(name), None) = (name.to_str().filter(|name| name.is_ascii()), parent.and_then(RelPath::raw_bytes)) {
        let key = match parent {
            Some(parent) => [parent.key(), "/", name].concat(),
            None => name.to_owned(),
        };
        return RelPath::from_parts(key, None);
    }
    let below = parent.map_or_else(PathBuf::new, |parent| parent.below(Path::new(""))).join(name);
    // A name from a listing is neither empty nor `..`, so the path is always good.
    RelPath::new(&below).unwrap_or_else(|_| RelPath::from_parts(name.to_string_lossy().into_owned(), None))
}

/// Accents have two spellings, and a byte that is no text is spelt with a backslash.
fn may_read_like_another(name: &OsStr) -> bool {
    name.as_bytes().iter().any(|byte| !byte.is_ascii() || *byte == b'\\')
}

#[cfg(test)]
mod tests;
