//! The bytes of fetched files, beside the index.
//!
//! Owns: how many they may be in all mirrors together, and which go first when more are fetched: those that are
//! mirrored, the oldest first. What is yet to be mirrored never goes.

use std::collections::{HashMap, HashSet, VecDeque};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use super::{cache_folder, cached_at};
use crate::fetch::Room;
use crate::index::Index;
use crate::index::IndexError;
use crate::index::remote_files;
use crate::model::RelPath;

/// See the module. One a process: it alone writes there.
#[derive(Debug)]
pub struct Cache {
    index: PathBuf,
    limit: u64,
    held: Mutex<Held>,
}

/// What lies there. Pure.
#[derive(Debug, Default)]
struct Held {
    /// Bytes of whole files.
    whole: u64,
    /// What may go, the oldest first, with its bytes.
    unused: VecDeque<(PathBuf, u64)>,
    /// What is being fetched, by the file that it will be, and the bytes that came.
    coming: HashMap<PathBuf, u64>,
}

impl Held {
    /// Takes room for more bytes of `file`: what has to go for them; nothing when that would not be enough.
    fn take(&mut self, file: &Path, bytes: u64, limit: u64) -> Option<Vec<PathBuf>> {
        let coming: u64 = self.coming.values().sum();
        let free: u64 = self.unused.iter().map(|(_, bytes)| bytes).sum();
        if (self.whole + coming + bytes).saturating_sub(free) > limit {
            return None;
        }
        let mut goes = Vec::new();
        while self.whole + coming + bytes > limit
            && let Some((path, size)) = self.unused.pop_front()
        {
            self.whole = self.whole.saturating_sub(size);
            goes.push(path);
        }
        if let Some(came) = self.coming.get_mut(file) {
            *came += bytes;
        }
        Some(goes)
    }
}

impl Cache {
    /// The cache beside the index at `index`, of at most `limit` bytes.
    #[must_use]
    pub fn new(index: &Path, limit: u64) -> Self {
        Self { index: index.to_owned(), limit, held: Mutex::default() }
    }

    /// Looks what lies there, and keeps to the limit.
    ///
    /// # Errors
    /// The index's.
    pub async fn look(&self, index: &Index) -> Result<(), IndexError> {
        // Whoever is done by the time of the question is needed, or mirrored.
        let before: HashSet<PathBuf> = self.lock().coming.keys().cloned().collect();
        let needed = index.call(remote_files::needed).await?;
        let needed = needed.into_iter().filter_map(|(mirror, path)| {
            Some(cached_at(&cache_folder(&self.index, &mirror), &RelPath::from_key(&path).ok()?))
        });
        let needed: HashSet<PathBuf> = needed.chain(before).collect();
        let mut files = Vec::new();
        for folder in fs::read_dir(all_of(&self.index)).into_iter().flatten().flatten() {
            for file in fs::read_dir(folder.path()).into_iter().flatten().flatten() {
                let Ok(metadata) = file.metadata() else { continue };
                files.push((metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH), file.path(), metadata.len()));
            }
        }
        files.sort();
        let mut held = self.lock();
        held.whole = 0;
        held.unused.clear();
        for (_, path, bytes) in files {
            if path.extension().is_some() {
                // Half a file that nobody fetches any more is a killed process's.
                if !held.coming.contains_key(&path.with_extension("")) {
                    let _ = fs::remove_file(&path);
                }
                continue;
            }
            held.whole += bytes;
            if !needed.contains(&path) && !held.coming.contains_key(&path) {
                held.unused.push_back((path, bytes));
            }
        }
        if let Some(goes) = held.take(Path::new(""), 0, self.limit) {
            remove(&goes);
        }
        Ok(())
    }

    /// Begins to fetch what will lie at `place`.
    pub fn coming<'a>(&'a self, place: &'a Path) -> Coming<'a> {
        self.lock().coming.insert(place.to_owned(), 0);
        Coming { cache: self, place }
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn all_of(index: &Path) -> PathBuf {
    cache_folder(index, "").parent().map(Path::to_path_buf).unwrap_or_default()
}

fn remove(paths: &[PathBuf]) {
    for path in paths {
        tracing::debug!(path = %path.display(), "a fetched file that is mirrored makes room for others");
        // One that stays takes room, no more.
        let _ = fs::remove_file(path);
    }
}

/// A file that is being fetched; dropped without [`Coming::arrived`], nothing came of it.
#[derive(Debug)]
pub struct Coming<'a> {
    cache: &'a Cache,
    place: &'a Path,
}

impl Coming<'_> {
    /// What lies there is about to be replaced: from now on it is needed. Until then it may go, also while it is asked
    /// after: its server then says that nothing has changed, or sends all of it.
    pub fn replaces(&self) {
        self.cache.lock().unused.retain(|(path, _)| path != self.place);
    }

    /// The file takes the place of the one before, which had so many bytes.
    pub fn arrived(self, before: u64) {
        let mut held = self.cache.lock();
        let came = held.coming.get(self.place).copied().unwrap_or_default();
        held.whole = (held.whole + came).saturating_sub(before);
    }
}

impl Room for Coming<'_> {
    fn take(&self, bytes: u64) -> bool {
        let goes = self.cache.lock().take(self.place, bytes, self.cache.limit);
        remove(goes.as_deref().unwrap_or_default());
        goes.is_some()
    }

    fn limit(&self) -> u64 {
        self.cache.limit
    }
}

impl Drop for Coming<'_> {
    fn drop(&mut self) {
        self.cache.lock().coming.remove(self.place);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_mirrored_goes_first_and_the_oldest_of_it_and_what_is_needed_stays() {
        let path = PathBuf::from;
        let unused = VecDeque::from([(path("old"), 30), (path("new"), 30)]);
        // 20 more bytes are of files yet to be mirrored.
        let mut held = Held { whole: 80, unused, coming: HashMap::from([(path("x"), 0)]) };
        assert_eq!(held.take(&path("x"), 20, 100), Some(vec![]));
        assert_eq!(held.take(&path("x"), 1, 100), Some(vec![path("old")]));
        assert_eq!(held.take(&path("x"), 29, 100), Some(vec![]));
        assert_eq!(held.take(&path("x"), 31, 100), None, "30 of 81 bytes would not be enough");
        assert_eq!((held.unused.len(), held.whole, held.coming[&path("x")]), (1, 50, 50), "so nothing goes");
        assert_eq!(held.take(&path("x"), 30, 100), Some(vec![path("new")]));
        assert_eq!(held.take(&path("x"), 1, 100), None);
    }

    #[test]
    fn a_lower_limit_is_kept_to_at_the_next_look() {
        let mut held =
            Held { whole: 80, unused: VecDeque::from([("a".into(), 30), ("b".into(), 30)]), ..Held::default() };
        assert_eq!(held.take(Path::new(""), 0, 60), Some(vec![PathBuf::from("a")]));
        assert_eq!(held.whole, 50);
    }
}
