//! The local index: a cache of digests and of the media area, and the list of intents.
//!
//! Owns: the SQLite file, its one connection, the thread that has it, and the single-instance lock. Never does: decide
//! anything, or talk to the remote. Losing it costs time only: stamps and ids on the remote rebuild it.

pub mod absence;
pub mod assets;
pub mod binding;
pub mod claims;
mod clean_shutdown;
pub mod collections;
pub mod companions;
pub mod contact;
pub mod daemon_notes;
mod error;
pub mod files;
pub mod hearsay;
pub mod history;
pub mod intents;
mod lock;
pub mod overrides;
mod owner;
mod place;
pub mod refused;
pub mod relocate;
pub mod remote_files;
pub mod retry_requests;
mod schema;
pub mod settings;
pub mod sidecars;
pub mod status_notes;
mod transactions;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, TransactionBehavior};
use tokio::sync::oneshot;

pub use error::IndexError;
pub use files::{FileRow, FoundFile, Problem, StoredProblem, Tally};
pub use lock::InstanceLock;
pub use settings::MirrorRow;
pub use sidecars::StoredSidecar;

use place::{
    cannot_open, connect, fits, is_damage, make_private, must_exist, nameless, read_only, read_through, set_aside,
};
use transactions::{Job, Task};

/// A handle to the index; clones share one connection.
#[derive(Clone, Debug)]
pub struct Index {
    jobs: mpsc::Sender<Job>,
    path: PathBuf,
    snapshot: bool,
    /// For the one process that has the index: whether a statement met damage.
    met_damage: Option<Arc<AtomicBool>>,
}

/// An opened index.
#[derive(Debug)]
pub struct Opened {
    /// The handle.
    pub index: Index,
    /// Said once, when a damaged file was set aside and a new one begun.
    pub notice: Option<String>,
}

impl Index {
    /// Opens the index at `path`, making it (mode 0600) and its folder (0700) when missing. A damaged index is renamed
    /// aside and a new one begun; what is no index of ours is left alone. Take the [`InstanceLock`] first.
    ///
    /// # Errors
    /// [`IndexError::Foreign`], [`IndexError::Newer`], [`IndexError::Open`] and [`IndexError::Disk`].
    pub fn open(path: &Path) -> Result<Opened, IndexError> {
        let of_system = |error| IndexError::of_system(path, &error);
        owner::check(path)?;
        make_private(path).map_err(of_system)?;
        let connected = match connect(path, !clean_shutdown::take(path)) {
            // What a disk in trouble did not give for a moment looks like damage, too.
            Err(error) if is_damage(&error) => {
                read_through(path).map_err(of_system)?;
                connect(path, true)
            }
            connected => connected,
        };
        let (conn, notice) = match connected {
            Ok(conn) => (conn, None),
            Err(rusqlite::Error::IntegralValueOutOfRange(..)) => {
                return Err(IndexError::Newer { path: path.to_owned() });
            }
            Err(error) if is_damage(&error) => {
                let aside = set_aside(path).map_err(of_system)?;
                make_private(path).map_err(of_system)?;
                let conn = connect(path, false).map_err(|error| IndexError::of_sqlite(path, &error))?;
                let notice = format!(
                    "the index {} was damaged ({error}); it was set aside as {} and is being rebuilt from the media \
                     area, which costs time but loses nothing",
                    path.display(),
                    aside.display()
                );
                (conn, Some(notice))
            }
            Err(error) => return Err(IndexError::of_sqlite(path, &error)),
        };
        let index = Self { met_damage: Some(Arc::default()), ..Self::serve(conn, path, false, true)? };
        Ok(Opened { index, notice })
    }

    /// A throw-away copy of the index at `path` (empty when there is none): what a dry run works on.
    ///
    /// # Errors
    /// [`IndexError::Foreign`], [`IndexError::Newer`], or SQLite's.
    pub fn snapshot(path: &Path) -> Result<Self, IndexError> {
        let failed = |cause| IndexError::Sqlite { path: path.to_owned(), cause };
        let mut conn = nameless().map_err(failed)?;
        if owner::check(path)? == owner::Owned::Ours {
            let source = read_only(path).and_then(|source| {
                source.query_row("SELECT count(*) FROM sqlite_master", [], |_| Ok(())).map(|()| source)
            });
            match source {
                Ok(source) => {
                    rusqlite::backup::Backup::new(&source, &mut conn)
                        .and_then(|backup| backup.run_to_completion(4096, Duration::ZERO, None))
                        .or_else(|error| if is_damage(&error) { Ok(()) } else { Err(failed(error)) })?;
                }
                Err(error) if is_damage(&error) => {}
                Err(error) => return Err(IndexError::of_sqlite(path, &error)),
            }
        }
        match schema::migrate(&mut conn) {
            Ok(()) => {}
            Err(rusqlite::Error::IntegralValueOutOfRange(..)) => {
                return Err(IndexError::Newer { path: path.to_owned() });
            }
            Err(error) => return Err(failed(error)),
        }
        Self::serve(conn, path, true, true)
    }

    /// Opens the index for the commands that show state, also while a daemon has it: takes no lock, makes and changes
    /// nothing.
    ///
    /// # Errors
    /// [`IndexError::Missing`], [`IndexError::Newer`], [`IndexError::Older`], [`IndexError::Open`].
    pub fn open_read_only(path: &Path) -> Result<Self, IndexError> {
        must_exist(path)?;
        let open = || {
            let conn = read_only(path)?;
            conn.busy_timeout(Duration::from_secs(10))?;
            let version = schema::version(&conn)?;
            Ok::<_, rusqlite::Error>((conn, version))
        };
        let (conn, version) = open().map_err(|error| cannot_open(path, &error))?;
        fits(path, version)?;
        Self::serve(conn, path, false, false)
    }

    /// Opens the index for one small change beside a daemon that may have it: takes no lock, makes nothing.
    ///
    /// # Errors
    /// As [`Index::open_read_only`].
    pub fn open_beside(path: &Path) -> Result<Self, IndexError> {
        must_exist(path)?;
        let open = || {
            let conn = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
            conn.busy_timeout(Duration::from_secs(10))?;
            let version = schema::version(&conn)?;
            Ok::<_, rusqlite::Error>((conn, version))
        };
        let (conn, version) = open().map_err(|error| cannot_open(path, &error))?;
        fits(path, version)?;
        Self::serve(conn, path, false, true)
    }

    /// Whether it is a throw-away copy.
    #[must_use]
    pub const fn is_snapshot(&self) -> bool {
        self.snapshot
    }

    /// Closes the file: its write-ahead log is folded in, and nothing is left beside it. Later calls fail. For the end
    /// of a process, which does not wait for the index's thread.
    pub async fn close(&self) {
        let (reply, answer) = oneshot::channel();
        let sound = self.met_damage.as_ref().is_some_and(|damage| !damage.load(Ordering::Relaxed));
        let path = self.path.clone();
        let job = Job::Close(Box::new(move || {
            if sound {
                clean_shutdown::set(&path);
            }
            // The asker may have been cancelled; it is closed all the same.
            let _ = reply.send(());
        }));
        if self.jobs.send(job).is_ok() {
            // The thread is gone only when the file is closed as well.
            let _ = answer.await;
        }
    }

    /// Where the file is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Runs `work` on the index's thread, in a transaction that it may share with other work.
    ///
    /// # Errors
    /// What `work` returns; nothing of a failed `work` is kept.
    pub async fn call<T, F>(&self, work: F) -> Result<T, IndexError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        self.submit(work, move |result| {
            // The asker may have been cancelled; its work is done all the same.
            let _ = reply.send(result);
        })?;
        answer.await.map_err(|_| IndexError::Closed)?.map_err(|error| self.failed(error))
    }

    /// [`Index::call`] for threads that are no async tasks.
    ///
    /// # Errors
    /// As [`Index::call`].
    pub fn call_blocking<T, F>(&self, work: F) -> Result<T, IndexError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        let (reply, answer) = mpsc::sync_channel(1);
        self.submit(work, move |result| {
            let _ = reply.send(result);
        })?;
        answer.recv().map_err(|_| IndexError::Closed)?.map_err(|error| self.failed(error))
    }

    fn failed(&self, cause: rusqlite::Error) -> IndexError {
        IndexError::Sqlite { path: self.path.clone(), cause }
    }

    fn submit<T, F, R>(&self, work: F, reply: R) -> Result<(), IndexError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
        R: FnOnce(rusqlite::Result<T>) + Send + 'static,
    {
        let met_damage = self.met_damage.clone();
        let reply = move |result: rusqlite::Result<T>| {
            if let (Some(met), Err(error)) = (&met_damage, &result)
                && is_damage(error)
            {
                met.store(true, Ordering::Relaxed);
            }
            reply(result);
        };
        self.jobs.send(Job::Work(Box::new(Task::new(work, reply)))).map_err(|_| IndexError::Closed)
    }

    fn serve(conn: Connection, path: &Path, snapshot: bool, writes: bool) -> Result<Self, IndexError> {
        let (jobs, queue) = mpsc::channel::<Job>();
        let behavior = if writes { TransactionBehavior::Immediate } else { TransactionBehavior::Deferred };
        std::thread::Builder::new()
            .name("index".into())
            .spawn(move || transactions::serve(conn, &queue, behavior))
            .map_err(|error| IndexError::of_system(path, &error))?;
        Ok(Self { jobs, path: path.to_owned(), snapshot, met_damage: None })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::place::companion;
    use super::*;

    #[test]
    fn the_file_is_private_and_opens_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state/index.sqlite");
        let opened = Index::open(&path).unwrap();
        assert!(opened.notice.is_none());
        opened.index.call_blocking(|conn| settings::set(conn, "k", "v")).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::metadata(path.parent().unwrap()).unwrap().permissions().mode() & 0o777, 0o700);
        let again = Index::open(&path).unwrap().index;
        assert_eq!(again.call_blocking(|conn| settings::get(conn, "k")).unwrap().as_deref(), Some("v"));
    }

    fn beside(path: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(path.parent().unwrap())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    #[tokio::test]
    async fn a_closed_index_is_one_file_and_a_look_at_it_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state 100%?#/index.sqlite");
        let index = Index::open(&path).unwrap().index;
        index.call(|conn| settings::set(conn, "k", "v")).await.unwrap();
        let look = || async {
            let copy = Index::snapshot(&path).unwrap();
            copy.call(|conn| settings::get(conn, "k")).await.unwrap()
        };
        assert_eq!(look().await.as_deref(), Some("v"), "also while another process has it open");
        index.close().await;
        assert_eq!(beside(&path), ["index.sqlite"]);
        assert_eq!(look().await.as_deref(), Some("v"));
        assert_eq!(beside(&path), ["index.sqlite"]);
        assert!(index.call(|conn| settings::get(conn, "k")).await.is_err());
    }

    #[test]
    fn a_damaged_file_is_set_aside_with_a_message_and_rebuilt() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("index.sqlite");
        let lock = InstanceLock::acquire(&path).unwrap();
        drop(Index::open(&path).unwrap());
        lock.tell(&path, "a test");
        // It stays the file that the lock speaks of.
        fs::write(&path, b"this is no database, but long enough to have been one once".repeat(100)).unwrap();
        let opened = Index::open(&path).unwrap();
        let notice = opened.notice.unwrap();
        assert!(notice.contains("damaged-1") && notice.contains("rebuilt"), "{notice}");
        assert!(dir.path().join("index.sqlite.damaged-1").exists());
        opened.index.call_blocking(|conn| settings::set(conn, "k", "v")).unwrap();
    }

    #[test]
    fn damage_inside_the_file_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("index.sqlite");
        let index = Index::open(&path).unwrap().index;
        index
            .call_blocking(|conn| {
                (0..2_000).try_for_each(|n| settings::set(conn, &format!("key {n}"), &"x".repeat(100)))
            })
            .unwrap();
        drop(index);
        // The connection closes with its thread; wait for the log to be folded in.
        let wal = dir.path().join("index.sqlite-wal");
        while wal.exists() {
            std::thread::yield_now();
        }
        let mut bytes = fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle..middle + 8192].fill(0xaa);
        fs::write(&path, bytes).unwrap();
        assert!(Index::open(&path).unwrap().notice.is_some());
    }

    #[test]
    fn failed_work_leaves_nothing() {
        let index = Index::snapshot(Path::new("/nonexistent/index.sqlite")).unwrap();
        let failed = index.call_blocking(|conn| {
            settings::set(conn, "k", "v")?;
            conn.execute("no such statement", [])
        });
        assert!(matches!(failed, Err(IndexError::Sqlite { .. })));
        assert_eq!(index.call_blocking(|conn| settings::get(conn, "k")).unwrap(), None);
    }

    #[tokio::test]
    async fn a_reader_beside_the_daemon_sees_what_is_committed_and_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("what? 100%.sqlite");
        assert!(matches!(Index::open_read_only(&path), Err(IndexError::Missing { .. })));
        assert!(matches!(Index::open_beside(&path), Err(IndexError::Missing { .. })));
        assert!(!path.exists());
        let index = Index::open(&path).unwrap().index;
        index.call(|conn| settings::set(conn, "k", "v")).await.unwrap();
        let reader = Index::open_read_only(&path).unwrap();
        assert_eq!(reader.call(|conn| settings::get(conn, "k")).await.unwrap().as_deref(), Some("v"));
        assert!(reader.call(|conn| settings::set(conn, "k", "w")).await.is_err());
        let beside = Index::open_beside(&path).unwrap();
        beside.call(|conn| settings::set(conn, "k", "w")).await.unwrap();
        assert_eq!(index.call(|conn| settings::get(conn, "k")).await.unwrap().as_deref(), Some("w"));
        for handle in [reader, beside, index] {
            handle.close().await;
        }
        let reader = Index::open_read_only(&path).unwrap();
        assert_eq!(reader.call(|conn| settings::get(conn, "k")).await.unwrap().as_deref(), Some("w"));
        assert!(!companion(&path, "-wal").exists() && !companion(&path, "-shm").exists());
    }

    #[test]
    fn a_snapshot_changes_nothing_on_disk() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("index.sqlite");
        let index = Index::open(&path).unwrap().index;
        index.call_blocking(|conn| settings::set(conn, "k", "v")).unwrap();
        let copy = Index::snapshot(&path).unwrap();
        assert_eq!(copy.call_blocking(|conn| settings::get(conn, "k")).unwrap().as_deref(), Some("v"));
        copy.call_blocking(|conn| settings::set(conn, "k", "w")).unwrap();
        assert_eq!(index.call_blocking(|conn| settings::get(conn, "k")).unwrap().as_deref(), Some("v"));
    }
}
