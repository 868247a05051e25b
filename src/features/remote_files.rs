//! Compares the `_remote.toml` lists of a mirror with the index: what they name is fetched beside the index and then counts
//! as a file of the list's folder, without being written into it.
//!
//! Owns: what is asked for and when, and that a file of the root goes before a listed one of the same name. A scan only
//! tells what is to be asked for: other people's servers are asked in `job`, beside all else.
//! Never does: deciding about assets.

mod cache;
mod job;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;

use crate::disk::RootDir;
use crate::disk::read_as;
use crate::fetch::Validators;
use crate::index::remote_files::{self, Held, ListedFile};
use crate::index::sidecars::{self, StoredSidecar};
use crate::index::{Index, IndexError, Problem};
use crate::metadata::remote_list::{RemoteFile, parse, url_digest, without_urls};
use crate::model::{ActionKind, Md5, RelPath};
use crate::report::Severity;

pub use cache::Cache;
pub use job::{FetchEnd, FetchJob};

/// What could not be fetched is asked for again after so long, then after twice as long, and so on.
pub const AGAIN: Duration = Duration::from_secs(60);
/// So many times it is doubled: about an hour.
const DOUBLINGS: u32 = 6;

/// A file to ask for.
#[derive(Debug, Clone, PartialEq)]
pub struct Ask {
    list: String,
    /// What the list says of it.
    pub file: RemoteFile,
    /// To ask with; none when its bytes are needed.
    validators: Option<Validators>,
    /// Why it could not be fetched before.
    pub problem: Option<Problem>,
    failures: u32,
}

/// What is to be fetched, and what goes when that is done: a file that got another name is then one that moved.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Asks {
    /// Files to ask for.
    pub files: Vec<Ask>,
    gone: Vec<String>,
}

impl Asks {
    /// Whether there is nothing to do.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.files.is_empty() && self.gone.is_empty()
    }

    /// Takes in what a later look wants.
    pub fn add(&mut self, later: Self) {
        let Self { files, gone } = later;
        for file in files {
            let path = file.file.path.key();
            self.files.retain(|before| before.file.path.key() != path);
            self.gone.retain(|before| before != path);
            self.files.push(file);
        }
        for path in gone {
            self.files.retain(|before| *before.file.path.key() != path);
            if !self.gone.contains(&path) {
                self.gone.push(path);
            }
        }
    }

    /// Whether this path is to be asked for.
    #[must_use]
    pub fn names(&self, path: &str) -> bool {
        self.files.iter().any(|ask| ask.file.path.key() == path)
    }
}

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

/// How long a file that could not be fetched `failures` times in a row is left alone.
#[must_use]
pub const fn pause_after(failures: u32) -> Duration {
    let doublings = failures.saturating_sub(1);
    AGAIN.saturating_mul(1 << if doublings < DOUBLINGS { doublings } else { DOUBLINGS })
}

/// The files that could not be fetched and whose time to be asked for again has come. `every`: how often all are.
#[must_use]
pub fn due_again(known: &[ListedFile], every: Duration, now: Timestamp) -> Vec<RelPath> {
    let failed = known.iter().filter(|one| one.problem.is_some() && is_time(one, every, now));
    failed.filter_map(|one| RelPath::from_key(&one.path).ok()).collect()
}

fn is_time(known: &ListedFile, every: Duration, now: Timestamp) -> bool {
    let every = if known.problem.is_some() { every.min(pause_after(known.failures)) } else { every };
    let age = now.as_millisecond().saturating_sub(known.asked_at);
    age < 0 || age.unsigned_abs() >= u64::try_from(every.as_millis()).unwrap_or(u64::MAX)
}

/// What a comparison needs.
#[derive(Debug)]
pub struct Lists<'a> {
    /// The index.
    pub index: &'a Index,
    /// The mirror's row.
    pub mirror: i64,
    /// The mirror's root.
    pub root: &'a Path,
    /// The paths that the scan just made was about; `None`: the whole tree.
    pub only: Option<&'a [RelPath]>,
    /// See [`cache_folder`].
    pub folder: PathBuf,
    /// How long an answer is good for; `None`: it is asked at each scan of the whole tree.
    pub ask_every: Option<Duration>,
}

/// What a comparison came to.
#[derive(Debug, Default)]
pub struct Compared {
    /// Files that are listed, fetched or not.
    pub listed: u64,
    /// Of these, those that are there and to be mirrored.
    pub files: u64,
    /// What is wrong with the lists and with what they name.
    pub problems: Vec<(RelPath, Problem, Severity)>,
    /// What is to be asked for.
    pub asks: Asks,
    /// What a dry run leaves unfetched.
    pub would_fetch: Vec<RelPath>,
}

impl Lists<'_> {
    /// What is listed, what of it is there, and what is to be asked for: what is new, what is known when the whole tree was
    /// compared. Asks nobody.
    ///
    /// # Errors
    /// The index's.
    pub async fn compare(&self) -> Result<Compared, IndexError> {
        let mut compared = Compared::default();
        let mirror = self.mirror;
        let (lists, known) =
            self.index.call(move |conn| Ok((sidecars::lists(conn, mirror)?, remote_files::all(conn, mirror)?))).await?;
        if lists.is_empty() && known.is_empty() {
            return Ok(compared);
        }
        let mut wanted: BTreeMap<String, (String, RemoteFile)> = BTreeMap::new();
        let mut broken = BTreeSet::new();
        for (path, content) in self.read(lists).await {
            // One that is being changed is looked at when it has settled.
            let Some(content) = content else {
                broken.insert(path);
                continue;
            };
            match parse(&path, &content) {
                Ok(files) => {
                    wanted.extend(files.into_iter().map(|file| (file.path.key().to_owned(), (path.clone(), file))));
                }
                Err(problems) => {
                    // Without the lines themselves: they may hold a secret.
                    let cause = problems.0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
                    let advice = "correct the list; until then what it named stays as it is";
                    compared.problems.extend(problem(&path, cause, advice));
                    broken.insert(path);
                }
            }
        }
        let mut gone = Vec::new();
        for one in known.iter().filter(|one| !wanted.contains_key(&one.path)) {
            if broken.contains(&one.list) {
                compared.listed += 1;
                compared.files += 1;
            } else {
                gone.push(one.path.clone());
            }
        }
        let known: BTreeMap<&str, &ListedFile> = known.iter().map(|one| (one.path.as_str(), one)).collect();
        let files = self.asks(wanted, &known, &mut compared).await?;
        if self.index.is_snapshot() {
            // A dry run fetches nothing.
            for Ask { file, validators, .. } in files {
                match validators {
                    Some(_) => compared.files += 1,
                    None => compared.would_fetch.push(file.path),
                }
            }
        } else if !files.is_empty() {
            compared.asks = Asks { files, gone };
            return Ok(compared);
        }
        for path in gone {
            drop_file(self.index, mirror, &self.folder, &path).await?;
        }
        Ok(compared)
    }

    /// The lists as they are in the folder, where they are still what the scan took in: the index keeps no URL.
    async fn read(&self, lists: Vec<StoredSidecar>) -> Vec<(String, Option<Vec<u8>>)> {
        let root = self.root.to_owned();
        let names: Vec<String> = lists.iter().map(|list| list.path.clone()).collect();
        let read = tokio::task::spawn_blocking(move || {
            let root = RootDir::open(&root).ok();
            let now = |list: &StoredSidecar| {
                let path = RelPath::from_key(&list.path).ok()?;
                let content = read_as(root.as_ref()?, &path, &list.print).ok()??;
                (without_urls(&list.path, &content) == list.content).then_some(content)
            };
            lists.iter().map(|list| (list.path.clone(), now(list))).collect()
        });
        read.await.unwrap_or_else(|_| names.into_iter().map(|name| (name, None)).collect())
    }

    async fn asks(
        &self,
        wanted: BTreeMap<String, (String, RemoteFile)>,
        known: &BTreeMap<&str, &ListedFile>,
        compared: &mut Compared,
    ) -> Result<Vec<Ask>, IndexError> {
        let mut asks = Vec::new();
        compared.listed += wanted.len() as u64;
        for (path, (list, file)) in wanted {
            let (mirror, key) = (self.mirror, path.clone());
            let held = self.index.call(move |conn| remote_files::held(conn, mirror, &key)).await?;
            if held == Held::Real {
                let cause = format!("{list} lists a file of this name, but one lies in the folder, which is mirrored");
                compared.problems.extend(problem(&path, cause, "rename one of the two"));
                drop_file(self.index, mirror, &self.folder, &path).await?;
                continue;
            }
            let before = known.get(path.as_str()).filter(|known| known.url_digest == url_digest(&file.url));
            // The bytes of what is mirrored may have made room for others.
            let is_kept = held == Held::Mirrored || cached_at(&self.folder, &file.path).is_file();
            let there = before.is_some() && is_kept;
            let failed = before.and_then(|known| known.problem.clone());
            if self.is_due(&list, &path, before.copied()) {
                let validators = before
                    .filter(|_| there)
                    .map(|known| Validators { etag: known.etag.clone(), modified: known.modified.clone() });
                let failures = before.map_or(0, |known| known.failures);
                asks.push(Ask { list, file, validators, problem: failed, failures });
            } else {
                compared.files += u64::from(there);
                compared.problems.extend(failed.map(|problem| (file.path, problem, Severity::Failed)));
            }
        }
        Ok(asks)
    }

    /// Whether a file of `list` is to be asked for now. A single saved file is no reason to ask other people's servers:
    /// only a look at the whole tree, or a list that was itself touched, asks.
    fn is_due(&self, list: &str, file: &str, known: Option<&ListedFile>) -> bool {
        if let Some(only) = self.only {
            let below = |key: &str, path: &RelPath| key == path.key() || key.starts_with(&format!("{}/", path.key()));
            let touched = |path: &RelPath| below(list, path) || below(file, path);
            return only.iter().any(touched);
        }
        let (Some(known), Some(every)) = (known, self.ask_every) else { return true };
        is_time(known, every, Timestamp::now())
    }
}

/// What is no longer listed is gone, as a deleted file is.
async fn drop_file(index: &Index, mirror: i64, folder: &Path, path: &str) -> Result<(), IndexError> {
    let key = path.to_owned();
    index.call(move |conn| remote_files::dropped(conn, mirror, &key)).await?;
    if let Ok(path) = RelPath::from_key(path)
        && !index.is_snapshot()
    {
        // One that stays takes room, no more.
        let _ = tokio::fs::remove_file(cached_at(folder, &path)).await;
    }
    Ok(())
}

fn problem(path: &str, cause: String, advice: &'static str) -> Option<(RelPath, Problem, Severity)> {
    let problem = Problem::new(ActionKind::Read, cause, advice);
    Some((RelPath::from_key(path).ok()?, problem, Severity::Failed))
}

#[cfg(test)]
impl Asks {
    /// Wants these files, for tests of whoever has them fetched.
    pub(crate) fn of(paths: &[&str]) -> Self {
        let ask = |path: &&str| {
            let path = RelPath::from_key(path).unwrap();
            let file = RemoteFile { path, url: String::new(), sidecar: crate::metadata::sidecar::Sidecar::default() };
            Ask { list: String::new(), file, validators: None, problem: None, failures: 0 }
        };
        Self { files: paths.iter().map(ask).collect(), gone: Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(path: &str, failures: u32, asked_at: i64) -> ListedFile {
        let problem = Problem::new(ActionKind::Read, String::new(), String::new());
        ListedFile {
            path: path.into(),
            list: "_remote.toml".into(),
            url_digest: String::new(),
            etag: None,
            modified: None,
            asked_at,
            problem: (failures > 0).then_some(problem),
            failures,
        }
    }

    #[test]
    fn what_could_not_be_fetched_is_asked_for_again_after_pauses_that_grow() {
        let pauses = [0, 1, 2, 3, 6, 7, 8, u32::MAX].map(|failures| pause_after(failures).as_secs());
        assert_eq!(pauses, [60, 60, 120, 240, 1920, 3840, 3840, 3840]);
        let now = Timestamp::from_second(10_000).unwrap();
        let known = [
            failed("a", 1, 9_940_000),
            failed("b", 2, 9_940_000),
            failed("c", 7, 1_000_000),
            failed("d", 0, 0),
            failed("clock", 7, 11_000_000),
        ];
        let due = |every| {
            due_again(&known, Duration::from_secs(every), now).iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(due(21_600), ["a", "c", "clock"]);
        assert_eq!(due(60), ["a", "b", "c", "clock"], "never more rarely than all the others");
    }
}
