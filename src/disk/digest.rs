//! Reads files and tells their digests.
//!
//! Owns: stat → hash → stat, so that a digest always belongs to the fingerprint it is reported with; keeping every core
//! busy; and a file's MIME type.
//! Never does: deciding what to do with a file that changed; keeping records. Called by: observe, the first scan.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use std::{fs, thread};

use rustix::fs::OFlags;

use super::fingerprint::Fingerprint;
use crate::model::{Md5, Md5Hasher, RelPath};

/// How much of a file's beginning is looked at to tell its type; bytes.
pub const HEAD_BYTES: usize = 8192;
/// Bytes read at once; smaller reads cost more, larger ones gain nothing.
const READ_BYTES: usize = 256 * 1024;

/// What reading a whole file tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Digested {
    /// Digest of the content.
    pub md5: Md5,
    /// By content where that is sure, else by name.
    pub mime: String,
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

/// Reads the file at `path` to its end; `expect` is what it must be before and after.
///
/// `stop` is looked at between two reads. Blocks: not for the async runtime.
///
/// # Errors
/// When the file is not, or not any more, the expected one; when it cannot be read; when stopped.
pub fn digest_file(path: &Path, expect: &Fingerprint, stop: &AtomicBool) -> Result<Digested, DigestError> {
    // Without NONBLOCK, opening a named pipe that took the file's place would wait for a writer for ever.
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path).map_err(refused)?;
    digest_open(&file, path, expect, stop)
}

fn digest_open(file: &File, path: &Path, expect: &Fingerprint, stop: &AtomicBool) -> Result<Digested, DigestError> {
    unchanged(&file.metadata().map_err(refused)?, expect)?;
    read_ahead(file);
    let (md5, head, bytes) = read_all(file, expect.size, stop)?;
    unchanged(&file.metadata().map_err(refused)?, expect)?;
    // By name too: a link may have been pointed elsewhere, and not every share tells of a rename by the old file's ctime.
    unchanged(&fs::metadata(path).map_err(refused)?, expect)?;
    if bytes != expect.size {
        return Err(DigestError::Changed);
    }
    Ok(Digested { md5, mime: mime_of(path, &head) })
}

/// Digests all `jobs` with `threads` threads (0: one for each core) and gives each outcome to `sink`, in no order and
/// from several threads at once. The iterator is asked only when a thread is free, so memory stays flat. Returns when it
/// ends, or soon after `stop` is set; the jobs then not yet begun are left in silence.
pub fn digest_all(
    root: &Path,
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
            let outcome = digest_file(&job.path.below(root), &job.print, stop);
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

/// The MIME type of a file with this name and beginning.
///
/// Web images are told by their content, whatever they are called; all else by the extension, which knows an SVG from
/// other XML and a document from a ZIP archive; and by content again when the extension says nothing.
#[must_use]
pub fn mime_of(name: &Path, head: &[u8]) -> String {
    let by_content = infer::get(head).map(|kind| kind.mime_type());
    if let Some(image @ ("image/png" | "image/jpeg" | "image/gif" | "image/webp" | "image/avif")) = by_content {
        return image.to_owned();
    }
    match mime_guess::from_path(name).first_raw() {
        Some(by_name) => by_name.to_owned(),
        None => by_content.unwrap_or("application/octet-stream").to_owned(),
    }
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
            let digested = digest_file(&path, &print_of(&path), &GO).unwrap();
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
        assert!(matches!(digest_file(&path, &print, &GO), Err(DigestError::Changed)));

        let print = print_of(&path);
        let earlier = SystemTime::now() - Duration::from_secs(3600);
        File::options().write(true).open(&path).unwrap().set_modified(earlier).unwrap();
        assert!(matches!(digest_file(&path, &print, &GO), Err(DigestError::Changed)), "restored with an older mtime");

        fs::remove_file(&path).unwrap();
        assert!(matches!(digest_file(&path, &print, &GO), Err(DigestError::Vanished)));
        fs::create_dir(&path).unwrap();
        assert!(matches!(digest_file(&path, &print, &GO), Err(DigestError::Changed)));
        fs::remove_dir(&path).unwrap();
        let fifo = rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, 0o600.into(), 0);
        fifo.unwrap();
        assert!(matches!(digest_file(&path, &print, &GO), Err(DigestError::Changed)), "a pipe must not hang");
    }

    #[test]
    fn a_file_changed_while_it_is_read_has_no_digest() {
        // A size that `stat` cannot know: procfs files read longer than they claim, like a file that grows.
        let path = Path::new("/proc/self/status");
        assert!(matches!(digest_file(path, &print_of(path), &GO), Err(DigestError::Changed)));
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
        assert!(digest_open(&open, &link, &print, &GO).is_ok());
        fs::remove_file(&link).unwrap();
        symlink("two", &link).unwrap();
        let open_still = File::open(dir.path().join("one")).unwrap();
        assert!(matches!(digest_open(&open_still, &link, &print, &GO), Err(DigestError::Changed)));
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
        digest_all(dir.path(), jobs.into_iter(), 4, &GO, &|job, outcome| {
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
        digest_all(dir.path(), endless, 2, &stop, &|_, _| stop.store(true, Ordering::Relaxed));
        assert!(asked.load(Ordering::Relaxed) <= 4);
        assert!(matches!(digest_file(&dir.path().join("a"), &job.print, &stop), Err(DigestError::Stopped)));
    }

    #[test]
    fn types_are_told_by_content_where_sure_and_by_name_otherwise() {
        let png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR";
        let zip = b"PK\x03\x04\x14\0\0\0";
        let cases: &[(&str, &[u8], &str)] = &[
            ("a.png", png, "image/png"),
            ("misnamed.jpg", png, "image/png"),
            ("noext", png, "image/png"),
            ("a.svg", b"<?xml version=\"1.0\"?><svg/>", "image/svg+xml"),
            ("a.docx", zip, "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
            ("noext", zip, "application/zip"),
            ("a.mp4", b"", "video/mp4"),
            ("a.PDF", b"%PDF-1.7", "application/pdf"),
            ("empty", b"", "application/octet-stream"),
        ];
        for (name, head, mime) in cases {
            assert_eq!(mime_of(Path::new(name), head), *mime, "{name}");
        }
    }
}
