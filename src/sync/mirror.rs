//! One mirror's way through the house: guard, scan, what the folder wants, pass.
//!
//! Owns: the steps before a pass and their order; the passes themselves lie in `mirror/`. Decides nothing about a file.

mod context;
mod familiar;
mod ground;
mod passes;
mod stops;
mod tell;

use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use embedded_metadata::{Embedded, read_embedded};
use tokio_util::sync::CancellationToken;

use crate::config::Mirror;
use crate::disk::{
    FileClock, Fingerprint, Inodes, RootDir, Selection, answers_in_another_case, is_under_another_spelling,
};
use crate::error::RunError;
use crate::index::{FileRow, Index, absence, assets, files, settings};
use crate::model::RelPath;
use crate::runtime_state::RuntimeState;

use crate::features::remote_files::{Asks, FetchJob, Lists, cache_folder};
use crate::sync::absence::holds_a_file;
use crate::sync::execute::Sending;
use crate::sync::pass::PriorityPaths;
use crate::sync::progress::{Progress, Stage};
use crate::sync::scan::{ScanRequest, Scanned, Unsettled, Waited, scan};
use crate::sync::session::Session;

pub use context::policy_of;
pub use ground::Below;
pub use passes::RunContext;

/// A mirror ready to run.
#[derive(Debug, Clone)]
pub struct MirrorRun {
    /// Its configuration.
    pub config: Arc<Mirror>,
    /// Its row in the index.
    pub row: i64,
    /// Which names count.
    pub selection: Arc<Selection>,
    /// Told how far its scans and passes are.
    pub progress: Arc<Progress>,
    /// Where scans give signs of life.
    pub live: Option<Arc<RuntimeState>>,
    /// Whoever runs it says that the root is right as it is.
    pub force: bool,
    /// Its scans read all files, also those that look unchanged.
    pub checksum: bool,
    /// What was seen below the root in this process.
    pub below: Arc<Mutex<Below>>,
    /// The metadata files that could not be used at the last pass of this process, as (path, what is wrong).
    pub broken: Arc<Mutex<Vec<(String, String)>>>,
}

/// What a run of a mirror takes.
#[derive(Debug, Clone, Default)]
pub struct RunRequest {
    /// Only these files and folders.
    pub only: Option<Vec<RelPath>>,
    /// Pass the deletion guard.
    pub force: bool,
    /// Also try what waits for its time.
    pub impatient: bool,
    /// The files being sent, for whoever watches them.
    pub sending: Sending,
    /// Paths to take first.
    pub urgent: PriorityPaths,
    /// What to tell of the work.
    pub live: Option<Arc<RuntimeState>>,
    /// The name is this folder's, whatever the media area says.
    pub take_over: bool,
    /// Make anew what the media area lost.
    pub recreate: bool,
}

impl MirrorRun {
    /// Prepares a mirror: its row, and its root's guard.
    ///
    /// # Errors
    /// The guard that tripped; the index's; a pattern that cannot be used.
    pub async fn prepare(config: Arc<Mirror>, index: &Index, force: bool) -> Result<Self, RunError> {
        let selection = Selection::new(&config.include, &config.exclude)
            .map_err(|error| RunError::Usage(format!("mirror {}: {error}", config.name)))?;
        let (name, root, all) = (config.name.clone(), config.root.display().to_string(), config.authoritative);
        let row = index
            .call(move |conn| {
                let row = settings::mirror(conn, &name)?;
                absence::set_authoritative(conn, row.id, all)?;
                if row.belongs.as_ref().is_some_and(|before| !before.is_empty() && *before != root) {
                    absence::moved_root(conn, row.id)?;
                }
                if row.policy.is_empty() {
                    // New in the configuration: the media area may know it already.
                    assets::import_stamps(conn)?;
                }
                Ok(row)
            })
            .await?;
        let run = Self {
            config,
            row: row.id,
            selection: Arc::new(selection),
            progress: Arc::default(),
            live: None,
            force,
            checksum: false,
            below: Arc::default(),
            broken: Arc::default(),
        };
        run.check_root(index).await?;
        Ok(run)
    }

    /// Brings the index in step with the disk.
    ///
    /// # Errors
    /// The guard's, the disk's, the index's.
    pub async fn scan(
        &self,
        index: &Index,
        only: Option<Vec<RelPath>>,
        stop: &CancellationToken,
    ) -> Result<Scanned, RunError> {
        let scanned = self.scan_as(index, only, Unsettled::Wait, Waited::default(), stop).await?;
        // A root that went away meanwhile looks like one whose files were deleted.
        self.check_root(index).await?;
        Ok(scanned)
    }

    /// [`MirrorRun::scan`], with what is to be done about files that are still being written, and what was waited for.
    ///
    /// # Errors
    /// The guard's, the disk's, the index's.
    pub async fn scan_as(
        &self,
        index: &Index,
        only: Option<Vec<RelPath>>,
        restless: Unsettled,
        waited: Waited,
        stop: &CancellationToken,
    ) -> Result<Scanned, RunError> {
        let whole = only.is_none();
        self.progress.enter(Stage::Reading, &self.config.name);
        let request = ScanRequest {
            mirror: self.row,
            root: self.config.root.clone(),
            selection: self.selection.clone(),
            settle: self.config.settle,
            clock: FileClock::Unknown,
            inodes: Inodes::default(),
            waited,
            checksum: self.checksum,
            only,
            restless,
            embedded: self.config.embedded_metadata.then_some(embedded_of),
            progress: self.progress.clone(),
            live: self.live.clone(),
        };
        let flag = Arc::new(AtomicBool::new(false));
        let (work_index, work_flag, work_request) = (index.clone(), flag.clone(), request.clone());
        let work = tokio::task::spawn_blocking(move || {
            let clock = FileClock::of(&work_request.root);
            scan(&work_index, &ScanRequest { clock, inodes: Inodes::read(), ..work_request }, &work_flag)
        });
        let mut scanned = tokio::select! {
            scanned = work => scanned.map_err(|_| RunError::Stopped)??,
            () = stop.cancelled() => {
                flag.store(true, Ordering::Relaxed);
                return Err(RunError::Stopped);
            }
        };
        let lists = Lists {
            index,
            mirror: request.mirror,
            root: &request.root,
            only: request.only.as_deref(),
            folder: cache_folder(index.path(), &self.config.name),
            ask_every: (restless != Unsettled::Wait).then_some(self.config.remote_refresh),
        };
        scanned.take_listed(lists.compare().await?);
        let (root, selection) = (self.config.root.clone(), self.selection.clone());
        let emptied = scanned.files == 0
            && scanned.listed == 0
            && (whole || restless == Unsettled::Wait && scanned.vanished > 0)
            && (whole || !tokio::task::spawn_blocking(move || holds_a_file(&root, &selection)).await.unwrap_or(false));
        if emptied {
            return Err(RunError::Empty { root: self.config.root.display().to_string() });
        }
        if whole && scanned.complete {
            let mirror = self.row;
            index.call(move |conn| absence::saw_all(conn, mirror)).await?;
        }
        Ok(scanned)
    }

    /// What fetches what a scan wants fetched.
    #[must_use]
    pub fn fetch_job(&self, session: &Session, asks: Asks) -> FetchJob {
        FetchJob {
            index: session.index.clone(),
            mirror: self.row,
            folder: cache_folder(session.index.path(), &self.config.name),
            allow_private: self.config.allow_private_urls,
            embedded: self.config.embedded_metadata.then_some(embedded_of),
            cache: session.fetched.clone(),
            asks,
        }
    }

    /// Paths that a change of `paths` may have touched without an event of their own, and that are not as the index has
    /// them: where a moved file came from, and links to a changed one.
    ///
    /// # Errors
    /// The index's.
    pub async fn related(&self, index: &Index, paths: &[RelPath]) -> Result<Vec<RelPath>, RunError> {
        let (mirror, paths, root) = (self.row, paths.to_vec(), self.config.root.clone());
        let (at, wanted) = (root.clone(), paths.clone());
        let either = move || wanted.into_iter().filter(|path| answers_in_another_case(&at, path)).collect();
        let either: Vec<RelPath> = tokio::task::spawn_blocking(either).await.unwrap_or_default();
        let rows = index.call(move |conn| {
            let mut rows = files::related(conn, mirror, paths.iter().map(RelPath::key))?;
            rows.extend(files::spelt_like(conn, mirror, &either)?);
            Ok(rows)
        });
        let rows = rows.await?;
        let look = tokio::task::spawn_blocking(move || {
            let (at, root, inodes) = (root.clone(), RootDir::open(&root).ok(), Inodes::read());
            let is_as_known = |row: &FileRow| {
                let now = root.as_ref().and_then(|root| root.metadata(&row.path).ok());
                let now = now.map(|metadata| Fingerprint::from(&metadata));
                now.zip(row.print).is_some_and(|(now, known)| inodes.unchanged(&now, &known))
                    && !is_under_another_spelling(&at, &row.path)
            };
            rows.into_iter().filter(|row| !is_as_known(row)).map(|row| row.path).collect()
        });
        Ok(look.await.unwrap_or_default())
    }

    /// The mirror's root.
    #[must_use]
    pub fn root(&self) -> &PathBuf {
        &self.config.root
    }
}

/// The metadata inside a file, as the index keeps it; nothing when there is none. What cannot be understood is left
/// out: the file itself is mirrored all the same.
///
/// # Errors
/// When the disk fails.
pub(crate) fn embedded_of(mut file: File, path: &RelPath, size: u64) -> io::Result<Option<String>> {
    // Whoever made a digest of it has read it to its end.
    io::Seek::rewind(&mut file)?;
    let mut reader = Heard { file, failure: None };
    let embedded = read_embedded(&mut reader, path.file_name(), size);
    if let Some(failure) = reader.failure {
        return Err(failure);
    }
    for note in &embedded.notes {
        tracing::debug!(%path, note, "embedded metadata");
    }
    Ok((embedded != Embedded::default()).then(|| serde_json::to_string(&embedded).ok()).flatten())
}

/// A file that remembers how reading it failed: readers of metadata never fail, they find less.
struct Heard {
    file: File,
    failure: Option<io::Error>,
}

impl io::Read for Heard {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.file.read(buffer).inspect_err(|error| {
            if error.kind() != io::ErrorKind::Interrupted {
                self.failure = Some(io::Error::new(error.kind(), error.to_string()));
            }
        })
    }
}

impl io::Seek for Heard {
    fn seek(&mut self, to: io::SeekFrom) -> io::Result<u64> {
        self.file.seek(to)
    }
}
