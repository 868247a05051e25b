//! Fetches what lists name, beside all else: no other file waits for other people's servers.
//!
//! Owns: that what came is whole and in the index before anybody mirrors it, and what could not be fetched.
//! Never does: the single call (that is `fetch`), choosing what to ask for.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use futures_util::StreamExt as _;
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::{Ask, Asks, Cache, cached_at, cached_name, drop_file};
use crate::disk::{Fingerprint, RootDir};
use crate::error::RunError;
use crate::fetch::{FetchError, Fetched, Fetcher, Validators};
use crate::index::remote_files::{self, ListedFile};
use crate::index::{FoundFile, Index, IndexError, Problem};
use crate::metadata::remote_list::url_digest;
use crate::model::{ActionKind, RelPath};

use crate::metadata::ReadEmbedded;
use crate::remote::MAX_FILE_BYTES;
use crate::report::Severity;

/// Files fetched at a time.
const AT_ONCE: usize = 4;

/// What to fetch, and with what.
#[derive(Debug)]
pub struct FetchJob {
    /// The index.
    pub index: Index,
    /// The mirror's row.
    pub mirror: i64,
    /// See [`super::cache_folder`].
    pub folder: PathBuf,
    /// Whether private addresses may be fetched from.
    pub allow_private: bool,
    /// Reads the metadata inside a file.
    pub embedded: Option<ReadEmbedded>,
    /// Where the bytes may lie.
    pub cache: Arc<Cache>,
    /// See [`Asks`].
    pub asks: Asks,
}

/// What came of it.
#[derive(Debug, Default)]
pub struct FetchEnd {
    /// Files that were asked for.
    pub asked: Vec<RelPath>,
    /// Of these, those that are there, also from before.
    pub there: u64,
    /// What is new, changed or gone.
    pub changed: Vec<RelPath>,
    /// What could not be fetched.
    pub problems: Vec<(RelPath, Problem, Severity)>,
    /// What was not asked for, or not to the end, before it was stopped.
    pub left: Vec<RelPath>,
}

enum Trouble {
    Fetch(FetchError),
    Index(IndexError),
}

impl From<FetchError> for Trouble {
    fn from(error: FetchError) -> Self {
        Self::Fetch(error)
    }
}

impl From<IndexError> for Trouble {
    fn from(error: IndexError) -> Self {
        Self::Index(error)
    }
}

impl FetchJob {
    /// Fetches, until all is asked for or `stop` is cancelled.
    ///
    /// # Errors
    /// The index's; what cannot be fetched is told.
    pub async fn run(mut self, stop: CancellationToken) -> Result<FetchEnd, RunError> {
        let Asks { files, gone } = std::mem::take(&mut self.asks);
        let mut end = FetchEnd { left: files.iter().map(|ask| ask.file.path.clone()).collect(), ..FetchEnd::default() };
        self.cache.look(&self.index).await?;
        let fetcher = Fetcher::new(self.allow_private);
        let job = &self;
        let fetches = files.into_iter().map(|ask| {
            let fetcher = &fetcher;
            async move {
                let outcome = match fetcher {
                    Ok(fetcher) => job.fetch(fetcher, &ask).await,
                    Err(error) => {
                        Err(FetchError::Network { host: "the client".into(), cause: error.to_string() }.into())
                    }
                };
                (ask, outcome)
            }
        });
        let mut fetches = futures_util::stream::iter(fetches).buffer_unordered(AT_ONCE);
        loop {
            let next = tokio::select! {
                next = fetches.next() => next,
                // What goes goes when all is fetched.
                () = stop.cancelled() => return Ok(end),
            };
            let Some((ask, outcome)) = next else { break };
            let path = ask.file.path.clone();
            end.left.retain(|left| *left != path);
            end.there += u64::from(outcome.is_ok() || ask.validators.is_some());
            match outcome {
                Ok(true) => end.changed.push(path.clone()),
                Ok(false) => {}
                Err(Trouble::Index(error)) => return Err(error.into()),
                Err(Trouble::Fetch(error)) => {
                    let problem = self.failed(&ask, &error).await?;
                    end.problems.push((path.clone(), problem, Severity::Failed));
                }
            }
            end.asked.push(path);
        }
        for path in gone {
            drop_file(&self.index, self.mirror, &self.folder, &path).await?;
            end.changed.extend(RelPath::from_key(&path));
        }
        Ok(end)
    }

    async fn failed(&self, ask: &Ask, error: &FetchError) -> Result<Problem, IndexError> {
        let kept = if ask.validators.is_some() { "; what was fetched before stays" } else { "" };
        let problem = Problem::new(ActionKind::Read, format!("{error}{kept}"), error.advice());
        let asked = listed_as(ask, ask.validators.clone().unwrap_or_default(), Some(problem.clone()));
        let mirror = self.mirror;
        self.index.call(move |conn| remote_files::asked(conn, mirror, &asked)).await?;
        Ok(problem)
    }

    /// Fetches one; whether it is another than before.
    async fn fetch(&self, fetcher: &Fetcher, ask: &Ask) -> Result<bool, Trouble> {
        let (file, mirror) = (&ask.file, self.mirror);
        let place = cached_at(&self.folder, &file.path);
        let part = place.with_extension("part");
        tokio::fs::create_dir_all(&self.folder).await.map_err(FetchError::from)?;
        let nothing = Validators::default();
        let known = ask.validators.as_ref().unwrap_or(&nothing);
        let coming = self.cache.coming(&place);
        let (md5, validators) = match fetcher.fetch(&file.url, known, &part, MAX_FILE_BYTES, &coming).await {
            Ok(Fetched::Unchanged) => {
                let asked = listed_as(ask, known.clone(), None);
                self.index.call(move |conn| remote_files::asked(conn, mirror, &asked)).await?;
                return Ok(false);
            }
            Ok(Fetched::New { md5, validators }) => (md5, validators),
            Err(error) => {
                // Half a file is of no use to anybody.
                let _ = tokio::fs::remove_file(&part).await;
                return Err(error.into());
            }
        };
        coming.replaces();
        let before = tokio::fs::metadata(&place).await.map_or(0, |metadata| metadata.len());
        tokio::fs::rename(&part, &place).await.map_err(FetchError::from)?;
        let (path, read, folder) = (file.path.clone(), self.embedded, self.folder.clone());
        let looked = tokio::task::spawn_blocking(move || {
            let file = RootDir::open(&folder)?.file(&cached_name(&path)).map_err(std::io::Error::other)?;
            let print = Fingerprint::from(&file.metadata()?);
            let embedded = read.map(|read| read(file, &path, print.size)).transpose()?;
            Ok::<_, std::io::Error>((print, embedded.flatten()))
        });
        let looked = looked.await.unwrap_or_else(|_| Err(std::io::ErrorKind::Other.into()));
        let (print, embedded) = looked.map_err(FetchError::from)?;
        let found = FoundFile { path: file.path.clone(), print, read_at_ns: now_ns(), md5, embedded };
        let listed = listed_as(ask, validators, None);
        self.index.call(move |conn| remote_files::fetched(conn, mirror, &listed, &found)).await?;
        coming.arrived(before);
        Ok(true)
    }
}

fn listed_as(ask: &Ask, validators: Validators, problem: Option<Problem>) -> ListedFile {
    ListedFile {
        path: ask.file.path.key().to_owned(),
        list: ask.list.clone(),
        url_digest: url_digest(&ask.file.url),
        etag: validators.etag,
        modified: validators.modified,
        asked_at: Timestamp::now().as_millisecond(),
        failures: if problem.is_some() { ask.failures.saturating_add(1) } else { 0 },
        problem,
    }
}

fn now_ns() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
}
