//! Reads files and tells their digests.
//!
//! Owns: stat → hash → stat, so that a digest always belongs to the fingerprint it is reported with; and keeping
//! every core busy. Never does: deciding what to do with a file that changed; keeping records.

use std::fs::{File, Metadata};
use std::io::{self, Read as _};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use super::beneath::{OpenError, RootDir};
use super::fingerprint::Fingerprint;
use super::walk::SkipReason;
use crate::model::{Md5, Md5Hasher, RelPath, index_file};

/// How much of a file's beginning tells whether it is an index; bytes.
const HEAD_BYTES: usize = index_file::HEADER_BYTES;
/// Bytes read at once; smaller reads cost more, larger ones gain nothing.
const READ_BYTES: usize = 256 * 1024;

/// What reading a whole file tells.
#[derive(Debug)]
pub struct Digested {
    /// Digest of the content.
    pub md5: Md5,
    /// The file that was read, for what else is to be found in it: its name may mean another file by now.
    pub file: File,
}

/// Why there is no digest.
#[derive(Debug, thiserror::Error)]
pub enum DigestError {
    /// It is not the file that was looked at before, or it changed while it was read: back to settling.
    #[error("the file changed while it was read; it is tried again when it has settled")]
    Changed,
    /// It is gone.
    #[error("the file vanished while it was read")]
    Vanished,
    /// Something took the file's name that is never mirrored, such as a pipe or a link out of the root.
    #[error("{0}")]
    Skipped(SkipReason),
    /// The system refused.
    #[error("the file cannot be read: {0}")]
    Unreadable(#[source] io::Error),
    /// The caller asked to stop.
    #[error("stopped before the file was read to its end")]
    Stopped,
}

/// A file to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// Below the root.
    pub path: RelPath,
    /// What was known of it when the job was made.
    pub print: Fingerprint,
    /// How long it had been seen like this by then; zero when it was not looked at before.
    pub seen_for: Duration,
}

/// Reads the file at `path` below `root` to its end; `expect` is what it must be before and after.
///
/// `stop` is looked at between two reads. Blocks: not for the async runtime.
///
/// # Errors
/// When the file is not, or not any more, the expected one; when it cannot be read; when stopped.
pub fn digest_file(
    root: &RootDir,
    path: &RelPath,
    expect: &Fingerprint,
    stop: &AtomicBool,
) -> Result<Digested, DigestError> {
    let (file, metadata) = root.file_and_metadata(path)?;
    unchanged(&metadata, expect)?;
    digest_open(file, root, path, expect, stop)
}

fn digest_open(
    file: File,
    root: &RootDir,
    path: &RelPath,
    expect: &Fingerprint,
    stop: &AtomicBool,
) -> Result<Digested, DigestError> {
    if belongs_to_an_index(root, path) {
        return Err(DigestError::Skipped(SkipReason::OwnIndex));
    }
    read_ahead(&file);
    let (md5, head, bytes) = read_all(&file, expect.size, stop)?;
    // Before all else: an index in use changes all the time.
    if index_file::is_index(&head) {
        return Err(DigestError::Skipped(SkipReason::OwnIndex));
    }
    unchanged(&file.metadata().map_err(refused)?, expect)?;
    // By name too: a link may have been pointed elsewhere, and not every share tells of a rename by the old file's ctime.
    unchanged(&root.named(path)?, expect)?;
    if bytes != expect.size {
        return Err(DigestError::Changed);
    }
    Ok(Digested { md5, file })
}

/// Whether the file lies beside an index, as what SQLite keeps there does. Its own index is left out of a mirror by name;
/// this knows those of other configurations, and links to them.
fn belongs_to_an_index(root: &RootDir, path: &RelPath) -> bool {
    let key = path.below(Path::new(""));
    let index = path.file_name().is_ascii().then(|| index_file::index_of_companion(path.file_name())).flatten();
    let Some(index) = index.and_then(|name| RelPath::new(&key.with_file_name(name)).ok()) else { return false };
    let mut head = Vec::new();
    let read = root.file(&index).map(|file| file.take(index_file::HEADER_BYTES as u64).read_to_end(&mut head));
    matches!(read, Ok(Ok(_))) && index_file::is_index(&head)
}

/// Digests all `jobs` with `threads` threads (0: one for each core) and gives each outcome to `sink`, in no order and
/// from several threads at once. The iterator is asked only when a thread is free, so memory stays flat. Returns when it
/// ends, or soon after `stop` is set; the jobs then not yet begun are left in silence.
pub fn digest_all(
    root: &RootDir,
    jobs: impl Iterator<Item = Job> + Send,
    threads: usize,
    stop: &AtomicBool,
    sink: &(dyn Fn(Job, Result<Digested, DigestError>) + Sync),
) {
    let jobs = Mutex::new(jobs);
    let work = || {
        while !stop.load(Ordering::Relaxed) {
            let next = jobs.lock().unwrap_or_else(PoisonError::into_inner).next();
            let Some(job) = next else { break };
            let outcome = digest_file(root, &job.path, &job.print, stop);
            sink(job, outcome);
        }
    };
    let threads = if threads == 0 { thread::available_parallelism().map_or(1, usize::from) } else { threads };
    thread::scope(|scope| {
        for _ in 1..threads {
            // With fewer threads than asked for it takes longer, no more.
            let _ = thread::Builder::new().name("digest".into()).spawn_scoped(scope, work);
        }
        work();
    });
}

/// Asks the system to read ahead generously; where it cannot, reading is slower, no more.
fn read_ahead(file: &File) {
    #[cfg(target_os = "linux")]
    let _ = rustix::fs::fadvise(file, 0, None, rustix::fs::Advice::Sequential);
    #[cfg(not(target_os = "linux"))]
    let _ = file;
}

/// Digest, beginning and length of what is read. Stops when there is more than `size`: the file is growing.
fn read_all(mut file: &File, size: u64, stop: &AtomicBool) -> Result<(Md5, Vec<u8>, u64), DigestError> {
    let mut hasher = Md5Hasher::new();
    let mut head = Vec::new();
    let mut bytes = 0;
    // Small files are the many: they should not pay for a large buffer.
    let mut buffer = vec![0; usize::try_from(size.saturating_add(1)).unwrap_or(READ_BYTES).min(READ_BYTES)];
    while bytes <= size {
        if stop.load(Ordering::Relaxed) {
            return Err(DigestError::Stopped);
        }
        let read = match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => read,
            Err(cause) if cause.kind() == io::ErrorKind::Interrupted => continue,
            Err(cause) => return Err(refused(cause)),
        };
        let piece = buffer.get(..read).unwrap_or_default();
        hasher.update(piece);
        head.extend_from_slice(piece.get(..piece.len().min(HEAD_BYTES.saturating_sub(head.len()))).unwrap_or_default());
        bytes += read as u64;
    }
    Ok((hasher.finish(), head, bytes))
}

fn unchanged(now: &Metadata, expect: &Fingerprint) -> Result<(), DigestError> {
    if now.is_file() && Fingerprint::from(now) == *expect { Ok(()) } else { Err(DigestError::Changed) }
}

impl From<OpenError> for DigestError {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Gone | OpenError::Folder => Self::Vanished,
            OpenError::Skipped(why) => Self::Skipped(why),
            OpenError::TooLarge { .. } => Self::Changed,
            OpenError::Refused(cause) => refused(cause),
        }
    }
}

fn refused(cause: io::Error) -> DigestError {
    match cause.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => DigestError::Vanished,
        // A share that was mounted again, or a file replaced on the server: what was open is no more.
        io::ErrorKind::StaleNetworkFileHandle => DigestError::Changed,
        _ => DigestError::Unreadable(cause),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::sync::atomic::AtomicUsize;
    use std::time::{Duration, SystemTime};

    use super::*;

    static GO: AtomicBool = AtomicBool::new(false);

    /// Digests the file at `path` as seen from its folder.
    fn digest(path: &Path, print: &Fingerprint, stop: &AtomicBool) -> Result<Digested, DigestError> {
        digest_file(&RootDir::open(path.parent().unwrap()).unwrap(), &name_of(path), print, stop)
    }

    fn name_of(path: &Path) -> RelPath {
        RelPath::new(Path::new(path.file_name().unwrap())).unwrap()
    }

    fn print_of(path: &Path) -> Fingerprint {
        Fingerprint::from(&fs::metadata(path).unwrap())
    }

    #[test]
    fn a_digest_is_of_the_whole_file_whatever_its_length() {
        let dir = tempfile::tempdir().unwrap();
        for length in [0, 1, HEAD_BYTES, READ_BYTES - 1, READ_BYTES, READ_BYTES + 1, 3 * READ_BYTES + 7] {
            let content: Vec<u8> = (0..length).map(|n| (n % 251) as u8).collect();
            let path = dir.path().join("a.bin");
            fs::write(&path, &content).unwrap();
            let digested = digest(&path, &print_of(&path), &GO).unwrap();
            assert_eq!(digested.md5, Md5::of(&content), "{length}");
        }
    }

    #[test]
    fn a_file_that_is_not_the_expected_one_has_no_digest() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.png");
        fs::write(&path, "one").unwrap();
        let print = print_of(&path);

        let renamed_over = dir.path().join("new");
        fs::write(&renamed_over, "two").unwrap();
        fs::rename(&renamed_over, &path).unwrap();
        assert!(matches!(digest(&path, &print, &GO), Err(DigestError::Changed)));

        let print = print_of(&path);
        let earlier = SystemTime::now() - Duration::from_secs(3600);
        File::options().write(true).open(&path).unwrap().set_modified(earlier).unwrap();
        assert!(matches!(digest(&path, &print, &GO), Err(DigestError::Changed)), "restored with an older mtime");

        fs::remove_file(&path).unwrap();
        assert!(matches!(digest(&path, &print, &GO), Err(DigestError::Vanished)));
        fs::create_dir(&path).unwrap();
        assert!(matches!(digest(&path, &print, &GO), Err(DigestError::Vanished)), "a folder is not the file");
        fs::remove_dir(&path).unwrap();
        let fifo = rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, 0o600.into(), 0);
        fifo.unwrap();
        let outcome = digest(&path, &print, &GO);
        assert!(matches!(outcome, Err(DigestError::Skipped(SkipReason::Fifo))), "a pipe must not hang");
        fs::remove_file(&path).unwrap();
        symlink("/etc/passwd", &path).unwrap();
        let print = print_of(Path::new("/etc/passwd"));
        let outcome = digest(&path, &print, &GO);
        assert!(matches!(outcome, Err(DigestError::Skipped(SkipReason::LinkOutside))), "{outcome:?}");
    }

    #[test]
    fn an_index_and_what_lies_beside_it_have_no_digest_whatever_they_are_called() {
        let dir = tempfile::tempdir().unwrap();
        let mut index = vec![0; 4096];
        index[..16].copy_from_slice(index_file::SQLITE_MAGIC);
        fs::write(dir.path().join("theirs.db"), &index).unwrap();
        fs::write(dir.path().join("theirs.db-wal"), "x").unwrap();
        index[68..72].copy_from_slice(&index_file::APPLICATION_ID.to_be_bytes());
        fs::write(dir.path().join("photo.png"), &index).unwrap();
        for beside in ["photo.png-wal", "photo.png-shm", "photo.png.lock", "other-wal", "Cargo.lock"] {
            fs::write(dir.path().join(beside), "x").unwrap();
        }
        symlink("photo.png", dir.path().join("link.png")).unwrap();
        for (name, is_ours) in [
            ("photo.png", true),
            ("photo.png-wal", true),
            ("photo.png-shm", true),
            ("photo.png.lock", true),
            ("link.png", true),
            ("theirs.db", false),
            ("theirs.db-wal", false),
            ("other-wal", false),
            ("Cargo.lock", false),
        ] {
            let path = dir.path().join(name);
            let outcome = digest(&path, &print_of(&path), &GO);
            let refused = matches!(outcome, Err(DigestError::Skipped(SkipReason::OwnIndex)));
            assert_eq!(refused, is_ours, "{name}: {outcome:?}");
        }
    }

    #[test]
    fn a_file_changed_while_it_is_read_has_no_digest() {
        // A size that `stat` cannot know: procfs files read longer than they claim, like a file that grows.
        let path = Path::new("/proc/self/status");
        assert!(matches!(digest(path, &print_of(path), &GO), Err(DigestError::Changed)));
    }

    #[test]
    fn a_link_pointed_elsewhere_while_its_file_is_read_has_no_digest() {
        let dir = tempfile::tempdir().unwrap();
        let link = dir.path().join("link.png");
        for name in ["one", "two"] {
            fs::write(dir.path().join(name), name).unwrap();
        }
        symlink("one", &link).unwrap();
        let (print, open) = (print_of(&link), File::open(&link).unwrap());
        let (root, name) = (RootDir::open(dir.path()).unwrap(), name_of(&link));
        assert!(digest_open(open, &root, &name, &print, &GO).is_ok());
        fs::remove_file(&link).unwrap();
        symlink("two", &link).unwrap();
        let open_still = File::open(dir.path().join("one")).unwrap();
        assert!(matches!(digest_open(open_still, &root, &name, &print, &GO), Err(DigestError::Changed)));
    }

    #[test]
    fn all_jobs_are_done_by_several_threads_and_none_twice() {
        let dir = tempfile::tempdir().unwrap();
        let jobs: Vec<Job> = (0..200)
            .map(|n| {
                let path = RelPath::from_key(&format!("{n}.txt")).unwrap();
                fs::write(path.below(dir.path()), path.key()).unwrap();
                Job { print: print_of(&path.below(dir.path())), path, seen_for: Duration::ZERO }
            })
            .collect();
        let done = Mutex::new(Vec::new());
        digest_all(&RootDir::open(dir.path()).unwrap(), jobs.into_iter(), 4, &GO, &|job, outcome| {
            assert_eq!(outcome.unwrap().md5, Md5::of(job.path.key().as_bytes()));
            done.lock().unwrap().push(job.path);
        });
        let mut done = done.into_inner().unwrap();
        done.sort();
        done.dedup();
        assert_eq!(done.len(), 200);
    }

    #[test]
    fn stop_ends_it_without_asking_for_more_jobs() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("a"), "a").unwrap();
        let job = Job {
            path: RelPath::from_key("a").unwrap(),
            print: print_of(&dir.path().join("a")),
            seen_for: Duration::ZERO,
        };
        let (stop, asked) = (AtomicBool::new(false), AtomicUsize::new(0));
        let endless = std::iter::repeat_with(|| {
            asked.fetch_add(1, Ordering::Relaxed);
            job.clone()
        });
        digest_all(&RootDir::open(dir.path()).unwrap(), endless, 2, &stop, &|_, _| stop.store(true, Ordering::Relaxed));
        assert!(asked.load(Ordering::Relaxed) <= 4);
        assert!(matches!(digest(&dir.path().join("a"), &job.print, &stop), Err(DigestError::Stopped)));
    }
}
