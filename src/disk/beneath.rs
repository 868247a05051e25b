//! The one way to open what lies below a root.
//!
//! Owns: that the file which is opened lies below the root at the moment it is opened, whatever became of its name and of
//! the folders on its way since they were listed; that it is a regular file; and that opening it cannot block. Links are
//! followed as long as they lead to a place below the root.
//! Never does: listing, choosing, or keeping what it read.

use std::fs::{self, File, FileType, Metadata};
use std::io::{self, Read as _};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{Mode, OFlags, openat};
use rustix::io::Errno;

use super::walk::SkipReason;
use crate::model::RelPath;

/// How often a name is looked up again that changes while it is looked up.
const TRIES: usize = 8;
/// What every open has: without NONBLOCK, opening a named pipe would wait for a writer for ever.
const ALWAYS: OFlags = OFlags::CLOEXEC.union(OFlags::NONBLOCK).union(OFlags::NOCTTY);
/// Opens a place without the right to read it and without touching a device.
#[cfg(target_os = "linux")]
const PLACE: OFlags = OFlags::PATH;
#[cfg(not(target_os = "linux"))]
const PLACE: OFlags = OFlags::RDONLY.union(OFlags::NONBLOCK);

/// A mirror's root, held open. It stays the same folder even when its path comes to name another one, so it is opened
/// for one scan or one upload and not for the life of a daemon.
#[derive(Debug)]
pub struct RootDir {
    path: PathBuf,
    folder: OwnedFd,
    /// Whether the kernel is asked to resolve the way; otherwise each name on it is opened and checked by itself.
    by_kernel: bool,
}

/// Why nothing was opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Nothing has this name any more.
    #[error("it is gone")]
    Gone,
    /// A folder has this name.
    #[error("it is a folder, not a file")]
    Folder,
    /// Something is there that is never mirrored, such as a pipe or a link out of the root.
    #[error("{0}")]
    Skipped(SkipReason),
    /// It has more bytes than the caller takes.
    #[error("it is larger than {most} bytes")]
    TooLarge {
        /// Bytes.
        most: u64,
    },
    /// The system refused.
    #[error(transparent)]
    Refused(io::Error),
}

impl RootDir {
    /// Opens the folder `root`; links on its own way are the system's matter.
    ///
    /// # Errors
    /// The system's.
    pub fn open(root: &Path) -> io::Result<Self> {
        let flags = PLACE | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = openat(rustix::fs::CWD, root, flags, Mode::empty())?;
        Ok(Self { path: root.to_owned(), folder, by_kernel: cfg!(target_os = "linux") })
    }

    /// Opens the regular file at `path` for reading.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn file(&self, path: &RelPath) -> Result<File, OpenError> {
        self.file_and_metadata(path).map(|(file, _)| file)
    }

    /// [`RootDir::file`], with what the opened file is.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn file_and_metadata(&self, path: &RelPath) -> Result<(File, Metadata), OpenError> {
        let file = match self.descriptor(path, OFlags::RDONLY | ALWAYS) {
            Ok(opened) => File::from(opened),
            // A socket cannot be opened, nor can a device without a driver: what it is, is told by its place.
            Err(Trouble::System(Errno::NXIO | Errno::NODEV | Errno::OPNOTSUPP)) => {
                let kind = self.metadata(path)?.file_type();
                return Err(not_a_file(kind).unwrap_or_else(|| OpenError::Refused(Errno::NXIO.into())));
            }
            Err(trouble) => return Err(trouble.into()),
        };
        let metadata = file.metadata().map_err(OpenError::Refused)?;
        not_a_file(metadata.file_type()).map_or(Ok((file, metadata)), Err)
    }

    /// What the name means now, wherever it leads: only good to tell whether that is still the file which was opened, for
    /// which it is cheaper than [`RootDir::metadata`].
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn named(&self, path: &RelPath) -> Result<Metadata, OpenError> {
        fs::metadata(path.below(&self.path)).map_err(|error| Trouble::Other(error).into())
    }

    /// What is at `path`, links followed; it may be anything.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn metadata(&self, path: &RelPath) -> Result<Metadata, OpenError> {
        // No other flag: the kernel refuses those that mean nothing for a place.
        let place = self.descriptor(path, PLACE | OFlags::CLOEXEC)?;
        File::from(place).metadata().map_err(OpenError::Refused)
    }

    /// Reads the regular file at `path`, which may have at most `most` bytes.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn read(&self, path: &RelPath, most: u64) -> Result<Vec<u8>, OpenError> {
        let mut content = Vec::new();
        let file = self.file(path)?;
        // What the file says of its size is not believed: it may grow, and some systems' files tell none.
        file.take(most.saturating_add(1)).read_to_end(&mut content).map_err(OpenError::Refused)?;
        if content.len() as u64 > most { Err(OpenError::TooLarge { most }) } else { Ok(content) }
    }

    fn descriptor(&self, path: &RelPath, flags: OFlags) -> Result<OwnedFd, Trouble> {
        let below = path.below(Path::new(""));
        #[cfg(target_os = "linux")]
        if self.by_kernel {
            use rustix::fs::ResolveFlags;
            let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
            for _ in 0..TRIES {
                match rustix::fs::openat2(&self.folder, &below, flags, Mode::empty(), resolve) {
                    // Something was renamed while a `..` in a link was followed.
                    Err(Errno::AGAIN | Errno::INTR) => {}
                    // A link that is absolute or climbs may lead back to a place below the root; and a kernel before
                    // 5.6, or a filter of system calls, knows nothing of this call.
                    Err(Errno::XDEV | Errno::NOSYS | Errno::PERM | Errno::LOOP) => break,
                    outcome => return Ok(outcome?),
                }
            }
        }
        self.by_hand(&below, flags)
    }

    /// Asks the system where the path leads, then goes that way name by name without following any link: a link that
    /// came to be meanwhile is met, and the question is asked again.
    fn by_hand(&self, below: &Path, flags: OFlags) -> Result<OwnedFd, Trouble> {
        let mut last = Errno::LOOP;
        for _ in 0..TRIES {
            let root = fs::canonicalize(&self.path).map_err(Trouble::Other)?;
            let target = fs::canonicalize(self.path.join(below)).map_err(Trouble::Other)?;
            let Ok(inside) = target.strip_prefix(&root) else { return Err(Trouble::Outside) };
            match step_by_step(self.folder.as_fd(), inside, flags) {
                Err(error @ (Errno::LOOP | Errno::NOTDIR)) => last = error,
                outcome => return Ok(outcome?),
            }
        }
        Err(last.into())
    }
}

/// Opens `inside`, which has plain names only, below `folder`; no link is followed.
fn step_by_step(folder: BorrowedFd<'_>, inside: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
    let mut names = inside.components().filter_map(|part| match part {
        Component::Normal(name) => Some(name),
        _ => None,
    });
    let last = names.next_back();
    let mut here: Option<OwnedFd> = None;
    for name in names {
        let on_the_way = PLACE | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        here = Some(openat(here.as_ref().map_or(folder, |here| here.as_fd()), name, on_the_way, Mode::empty())?);
    }
    let here = here.as_ref().map_or(folder, |here| here.as_fd());
    let Some(name) = last else { return openat(here, ".", flags, Mode::empty()) };
    let opened = openat(here, name, flags | OFlags::NOFOLLOW, Mode::empty())?;
    // A place can be opened that is a link itself.
    let stat = rustix::fs::fstat(&opened)?;
    if rustix::fs::FileType::from_raw_mode(stat.st_mode).is_symlink() { Err(Errno::LOOP) } else { Ok(opened) }
}

/// What stopped an open, before it is told.
enum Trouble {
    Outside,
    System(Errno),
    Other(io::Error),
}

impl From<Errno> for Trouble {
    fn from(error: Errno) -> Self {
        Self::System(error)
    }
}

impl From<Trouble> for OpenError {
    fn from(trouble: Trouble) -> Self {
        let error = match trouble {
            Trouble::Outside => return Self::Skipped(SkipReason::LinkOutside),
            Trouble::System(error) => error.into(),
            Trouble::Other(error) => error,
        };
        match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Self::Gone,
            _ if Errno::from_io_error(&error) == Some(Errno::LOOP) => Self::Skipped(SkipReason::LinkLoop),
            _ => Self::Refused(error),
        }
    }
}

fn not_a_file(kind: FileType) -> Option<OpenError> {
    if kind.is_file() {
        None
    } else if kind.is_dir() {
        Some(OpenError::Folder)
    } else if kind.is_fifo() {
        Some(OpenError::Skipped(SkipReason::Fifo))
    } else if kind.is_socket() {
        Some(OpenError::Skipped(SkipReason::Socket))
    } else {
        Some(OpenError::Skipped(SkipReason::Device))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn rel(key: &str) -> RelPath {
        RelPath::from_key(key).unwrap()
    }

    /// The root opened for both ways of resolving: by the kernel, and by hand as where the kernel cannot.
    fn both(root: &Path) -> [RootDir; 2] {
        let by_hand = RootDir { by_kernel: false, ..RootDir::open(root).unwrap() };
        [RootDir::open(root).unwrap(), by_hand]
    }

    fn told(root: &RootDir, key: &str) -> String {
        match root.read(&rel(key), 100) {
            Ok(content) => String::from_utf8(content).unwrap(),
            Err(error) => {
                let word = format!("{error:?}");
                word.trim_start_matches("Skipped(").trim_end_matches(')').to_owned()
            }
        }
    }

    /// `root` with everything that a name can be, and `secret` beside it.
    fn zoo() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let base = dir.path().canonicalize().unwrap();
        fs::create_dir_all(base.join("root/sub/deep")).unwrap();
        fs::create_dir_all(base.join("private/sub")).unwrap();
        fs::create_dir_all(base.join("root-like")).unwrap();
        for file in ["root/plain", "root/sub/plain", "root/sub/deep/plain"] {
            fs::write(base.join(file), "ours").unwrap();
        }
        for file in ["private/plain", "private/sub/plain", "root-like/plain"] {
            fs::write(base.join(file), "secret").unwrap();
        }
        let links: &[(&str, &str)] = &[
            ("within", "sub/plain"),
            ("climbs-within", "sub/deep/../../plain"),
            ("folder-within", "sub"),
            ("around", "../root/plain"),
            ("out", "../private/plain"),
            ("folder-out", "../private"),
            ("like", "../root-like/plain"),
            ("loop", "loop"),
            ("nowhere", "nothing"),
            ("up", ".."),
            ("device", "/dev/zero"),
            ("process", "/proc/self/environ"),
        ];
        for (name, target) in links {
            symlink(target, base.join("root").join(name)).unwrap();
        }
        symlink(base.join("root/plain"), base.join("root/absolute-within")).unwrap();
        symlink(base.join("private/plain"), base.join("root/absolute-out")).unwrap();
        symlink(base.join("private"), base.join("root/sub/folder-out")).unwrap();
        let pipe = base.join("root/pipe");
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        drop(std::os::unix::net::UnixListener::bind(base.join("root/socket")).unwrap());
        dir
    }

    #[test]
    fn what_is_opened_lies_below_the_root_and_is_a_file() {
        let dir = zoo();
        for root in both(&dir.path().join("root")) {
            for (key, expected) in [
                ("plain", "ours"),
                ("sub/deep/plain", "ours"),
                ("within", "ours"),
                ("climbs-within", "ours"),
                ("folder-within/plain", "ours"),
                ("folder-within/deep/plain", "ours"),
                ("around", "ours"),
                ("absolute-within", "ours"),
                ("out", "LinkOutside"),
                ("absolute-out", "LinkOutside"),
                ("folder-out/plain", "LinkOutside"),
                ("folder-out/sub/plain", "LinkOutside"),
                ("sub/folder-out/plain", "LinkOutside"),
                ("like", "LinkOutside"),
                ("up", "LinkOutside"),
                ("up/private/plain", "LinkOutside"),
                ("device", "LinkOutside"),
                ("process", "LinkOutside"),
                ("loop", "LinkLoop"),
                ("pipe", "Fifo"),
                ("socket", "Socket"),
                ("sub", "Folder"),
                ("folder-within", "Folder"),
                ("nowhere", "Gone"),
                ("missing", "Gone"),
                ("plain/below", "Gone"),
            ] {
                assert_eq!(told(&root, key), expected, "{key}, by kernel: {}", root.by_kernel);
            }
        }
    }

    #[test]
    fn a_path_that_climbs_is_not_believed_wherever_it_comes_from() {
        let dir = zoo();
        for root in both(&dir.path().join("root")) {
            // As an index or a stamp could have it.
            let climbing = RelPath::from_parts("x".into(), Some(b"../private/plain".to_vec()));
            assert!(matches!(root.file(&climbing), Err(OpenError::Skipped(SkipReason::LinkOutside))));
            let absolute = RelPath::from_parts("/etc/passwd".into(), None);
            assert!(matches!(root.file(&absolute), Err(OpenError::Skipped(SkipReason::LinkOutside))));
        }
    }

    #[test]
    fn a_folder_swapped_for_a_link_after_the_root_was_opened_is_no_way_out() {
        let dir = zoo();
        let base = dir.path().canonicalize().unwrap();
        let opened = both(&base.join("root"));
        fs::rename(base.join("root/sub"), base.join("root/was")).unwrap();
        symlink("../private/sub", base.join("root/sub")).unwrap();
        for root in &opened {
            assert_eq!(told(root, "sub/plain"), "LinkOutside");
            assert!(root.metadata(&rel("sub/plain")).is_err());
        }
        // The root's own name may come to mean another folder: what was opened is what was listed.
        fs::rename(base.join("root"), base.join("moved")).unwrap();
        symlink("private", base.join("root")).unwrap();
        for root in &opened {
            assert_ne!(told(root, "plain"), "secret");
        }
    }

    #[test]
    fn names_swapped_all_the_time_never_show_what_lies_outside() {
        use std::sync::atomic::{AtomicBool, Ordering};
        let dir = zoo();
        let base = dir.path().canonicalize().unwrap();
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let (place, kept, link) = (base.join("root/sub"), base.join("root/kept"), base.join("root/link"));
                symlink("../private/sub", &link).unwrap();
                while !stop.load(Ordering::Relaxed) {
                    fs::rename(&place, &kept).unwrap();
                    fs::rename(&link, &place).unwrap();
                    fs::rename(&place, &link).unwrap();
                    fs::rename(&kept, &place).unwrap();
                }
            });
            for root in both(&base.join("root")) {
                for _ in 0..3_000 {
                    let seen = told(&root, "sub/plain");
                    if seen == "secret" {
                        stop.store(true, Ordering::Relaxed);
                        panic!("what lies outside was read, by kernel: {}", root.by_kernel);
                    }
                }
            }
            stop.store(true, Ordering::Relaxed);
        });
    }

    #[test]
    fn reading_is_bounded_whatever_the_file_says_of_its_size() {
        let dir = tempfile::tempdir().unwrap();
        File::create(dir.path().join("huge")).unwrap().set_len(2 << 30).unwrap();
        fs::write(dir.path().join("full"), [7; 100]).unwrap();
        for root in both(dir.path()) {
            assert!(matches!(root.read(&rel("huge"), 100), Err(OpenError::TooLarge { most: 100 })));
            assert_eq!(root.read(&rel("full"), 100).unwrap().len(), 100);
        }
        for root in both(Path::new("/dev")) {
            assert!(matches!(root.read(&rel("zero"), 100), Err(OpenError::Skipped(SkipReason::Device))));
        }
        for root in both(Path::new("/proc")) {
            assert!(matches!(root.read(&rel("kallsyms"), 10), Err(OpenError::TooLarge { .. } | OpenError::Refused(_))));
        }
    }
}
