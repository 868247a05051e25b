//! Brings index and cache in step with the `_remote.toml` lists of a mirror: what they name is fetched beside the index and
//! then counts as a file of the list's folder, without being written into it.
//!
//! Owns: what is asked for and when, the cache, and that a file of the root goes before a listed one of the same name.
//! Never does: the fetching itself (that is `fetch`), deciding about assets. Called by: `pipeline::mirror`, after a scan.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_util::StreamExt as _;
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::disk::{Fingerprint, RootDir};
use crate::fetch::{FetchError, Fetched, Fetcher, Validators};
use crate::index::listed::{self, ListedFile};
use crate::index::{FoundFile, Index, IndexError, Problem, sidecars};
use crate::metadata::remote_list::{RemoteFile, parse};
use crate::model::{Md5, RelPath};

use super::scan::{MAX_FILE_BYTES, ScanRequest, Scanned, Severity};

/// What could not be fetched is asked for again after so long, or after `ask_every` if that is shorter.
const AGAIN: Duration = Duration::from_secs(300);
/// Files fetched at a time.
const AT_ONCE: usize = 4;

/// Where the fetched files of a mirror lie: beside the index.
#[must_use]
pub fn cache_folder(index: &Path, mirror: &str) -> PathBuf {
    let mut folder = index.as_os_str().to_owned();
    folder.push(".remote");
    PathBuf::from(folder).join(Md5::of(mirror.as_bytes()).to_string())
}

/// Where the bytes of one lie.
#[must_use]
pub fn cached_at(folder: &Path, path: &RelPath) -> PathBuf {
    cached_name(path).below(folder)
}

/// The name of one in the cache's folder.
#[must_use]
pub fn cached_name(path: &RelPath) -> RelPath {
    RelPath::from_parts(Md5::of(path.key().as_bytes()).to_string(), None)
}

/// What a bringing in step needs.
#[derive(Debug)]
pub struct Lists<'a> {
    /// The index.
    pub index: &'a Index,
    /// The scan just made.
    pub scan: &'a ScanRequest,
    /// See [`cache_folder`].
    pub folder: PathBuf,
    /// Whether private addresses may be fetched from.
    pub allow_private: bool,
    /// How long an answer is good for; `None`: it is asked at each scan of the whole tree.
    pub ask_every: Option<Duration>,
}

impl Lists<'_> {
    /// Fetches what is new, and asks after what is known when the whole tree was scanned. Adds to `scanned`.
    ///
    /// # Errors
    /// The index's; what cannot be fetched is told in `scanned`.
    pub async fn update(&self, scanned: &mut Scanned, stop: &CancellationToken) -> Result<(), IndexError> {
        let mirror = self.scan.mirror;
        let (lists, known) =
            self.index.call(move |conn| Ok((sidecars::lists(conn, mirror)?, listed::all(conn, mirror)?))).await?;
        if lists.is_empty() && known.is_empty() {
            return Ok(());
        }
        let mut wanted: BTreeMap<String, (String, RemoteFile)> = BTreeMap::new();
        let mut broken = BTreeSet::new();
        for list in lists {
            match parse(&list.path, &list.content) {
                Ok(files) => {
                    wanted
                        .extend(files.into_iter().map(|file| (file.path.key().to_owned(), (list.path.clone(), file))));
                }
                Err(problems) => {
                    let advice = "correct the list; until then what it named stays as it is";
                    problem(scanned, &list.path, problems.render(false), advice);
                    broken.insert(list.path);
                }
            }
        }
        for gone in known.iter().filter(|one| !wanted.contains_key(&one.path)) {
            if broken.contains(&gone.list) {
                scanned.listed += 1;
                scanned.files += 1;
            } else {
                self.drop(&gone.path).await?;
            }
        }
        let known: BTreeMap<&str, &ListedFile> = known.iter().map(|one| (one.path.as_str(), one)).collect();
        self.fetch_all(wanted, &known, scanned, stop).await
    }

    async fn fetch_all(
        &self,
        wanted: BTreeMap<String, (String, RemoteFile)>,
        known: &BTreeMap<&str, &ListedFile>,
        scanned: &mut Scanned,
        stop: &CancellationToken,
    ) -> Result<(), IndexError> {
        let mut asks = Vec::new();
        scanned.listed += wanted.len() as u64;
        for (path, (list, file)) in wanted {
            let (mirror, key) = (self.scan.mirror, path.clone());
            if self.index.call(move |conn| listed::is_real(conn, mirror, &key)).await? {
                let cause = format!("{list} lists a file of this name, but one lies in the folder, which is mirrored");
                problem(scanned, &path, cause, "rename one of the two");
                self.drop(&path).await?;
                continue;
            }
            let before = known.get(path.as_str()).filter(|known| known.url == file.url);
            let there = before.is_some() && cached_at(&self.folder, &file.path).is_file();
            if !self.is_due(&list, &path, before.copied()) {
                scanned.files += u64::from(there);
                if let Some(known) = before.and_then(|known| known.problem.as_ref()) {
                    scanned.problems.push((file.path, known.clone(), Severity::Failed));
                }
            } else {
                let validators = before
                    .filter(|_| there)
                    .map(|known| Validators { etag: known.etag.clone(), modified: known.modified.clone() });
                asks.push((list, file, validators));
            }
        }
        if asks.is_empty() {
            return Ok(());
        }
        if self.index.is_snapshot() {
            // A dry run fetches nothing.
            for (_, file, validators) in asks {
                match validators {
                    Some(_) => scanned.files += 1,
                    None => scanned.would_fetch.push(file.path),
                }
            }
            return Ok(());
        }
        let fetcher = match Fetcher::new(self.allow_private) {
            Ok(fetcher) => fetcher,
            Err(error) => {
                for (_, file, _) in asks {
                    problem(scanned, file.path.key(), error.to_string(), error.advice());
                }
                return Ok(());
            }
        };
        let fetches = asks.into_iter().map(|(list, file, validators)| {
            let fetcher = &fetcher;
            async move {
                let outcome = self.fetch(fetcher, &list, &file, validators.as_ref()).await;
                (list, file, validators, outcome)
            }
        });
        let mut fetches = futures_util::stream::iter(fetches).buffer_unordered(AT_ONCE);
        loop {
            let next = tokio::select! {
                next = fetches.next() => next,
                () = stop.cancelled() => return Ok(()),
            };
            let Some((list, file, validators, outcome)) = next else { return Ok(()) };
            let there = validators.is_some();
            match outcome {
                Ok(()) => scanned.files += 1,
                Err(Trouble::Index(error)) => return Err(error),
                Err(Trouble::Fetch(error)) => {
                    scanned.files += u64::from(there);
                    let kept = if there { "; what was fetched before stays" } else { "" };
                    problem(scanned, file.path.key(), format!("{error}{kept}"), error.advice());
                    let told = scanned.problems.last().map(|(_, problem, _)| problem.clone());
                    let (mirror, asked) =
                        (self.scan.mirror, listed_as(&list, &file, validators.unwrap_or_default(), told));
                    self.index.call(move |conn| listed::asked(conn, mirror, &asked)).await?;
                }
            }
        }
    }

    /// Whether a file of `list` is to be asked for now. A single saved file must not wait for other people's servers:
    /// only a look at the whole tree, or a list that was itself touched, asks.
    fn is_due(&self, list: &str, file: &str, known: Option<&ListedFile>) -> bool {
        if let Some(only) = &self.scan.only {
            let below = |key: &str, path: &RelPath| key == path.key() || key.starts_with(&format!("{}/", path.key()));
            let touched = |path: &RelPath| below(list, path) || below(file, path);
            return only.iter().any(touched);
        }
        let (Some(known), Some(every)) = (known, self.ask_every) else { return true };
        let every = if known.problem.is_some() { every.min(AGAIN) } else { every };
        let age = Timestamp::now().as_millisecond().saturating_sub(known.asked_at);
        age < 0 || age.unsigned_abs() >= u64::try_from(every.as_millis()).unwrap_or(u64::MAX)
    }

    async fn fetch(
        &self,
        fetcher: &Fetcher,
        list: &str,
        file: &RemoteFile,
        validators: Option<&Validators>,
    ) -> Result<(), Trouble> {
        let place = cached_at(&self.folder, &file.path);
        let part = place.with_extension("part");
        tokio::fs::create_dir_all(&self.folder).await.map_err(FetchError::from)?;
        let nothing = Validators::default();
        let fetched = fetcher.fetch(&file.url, validators.unwrap_or(&nothing), &part, MAX_FILE_BYTES).await;
        let (md5, validators) = match fetched {
            Ok(Fetched::Unchanged) => {
                let asked = listed_as(list, file, validators.cloned().unwrap_or_default(), None);
                let mirror = self.scan.mirror;
                return Ok(self.index.call(move |conn| listed::asked(conn, mirror, &asked)).await?);
            }
            Ok(Fetched::New { md5, validators }) => (md5, validators),
            Err(error) => {
                // Half a file is of no use to anybody.
                let _ = tokio::fs::remove_file(&part).await;
                return Err(error.into());
            }
        };
        tokio::fs::rename(&part, &place).await.map_err(FetchError::from)?;
        let (path, read, folder) = (file.path.clone(), self.scan.embedded, self.folder.clone());
        let looked = tokio::task::spawn_blocking(move || {
            let file = RootDir::open(&folder)?.file(&cached_name(&path)).map_err(std::io::Error::other)?;
            let print = Fingerprint::from(&file.metadata()?);
            let embedded = read.map(|read| read(file, &path, print.size)).transpose()?;
            Ok::<_, std::io::Error>((print, embedded.flatten()))
        });
        let looked = looked.await.unwrap_or_else(|_| Err(std::io::ErrorKind::Other.into()));
        let (print, embedded) = looked.map_err(FetchError::from)?;
        let found = FoundFile { path: file.path.clone(), print, read_at_ns: now_ns(), md5, embedded };
        let listed = listed_as(list, file, validators, None);
        let mirror = self.scan.mirror;
        Ok(self.index.call(move |conn| listed::fetched(conn, mirror, &listed, &found)).await?)
    }

    /// What is no longer listed is gone, as a deleted file is.
    async fn drop(&self, path: &str) -> Result<(), IndexError> {
        let (mirror, key) = (self.scan.mirror, path.to_owned());
        self.index.call(move |conn| listed::dropped(conn, mirror, &key)).await?;
        if let Ok(path) = RelPath::from_key(path)
            && !self.index.is_snapshot()
        {
            // One that stays takes room, no more.
            let _ = tokio::fs::remove_file(cached_at(&self.folder, &path)).await;
        }
        Ok(())
    }
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

fn listed_as(list: &str, file: &RemoteFile, validators: Validators, problem: Option<Problem>) -> ListedFile {
    ListedFile {
        path: file.path.key().to_owned(),
        list: list.to_owned(),
        url: file.url.clone(),
        etag: validators.etag,
        modified: validators.modified,
        asked_at: Timestamp::now().as_millisecond(),
        problem,
    }
}

fn problem(scanned: &mut Scanned, path: &str, cause: String, advice: &str) {
    let problem = Problem { action: "read".into(), cause, advice: advice.into() };
    if let Ok(path) = RelPath::from_key(path) {
        scanned.problems.push((path, problem, Severity::Failed));
    }
}

fn now_ns() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
}
