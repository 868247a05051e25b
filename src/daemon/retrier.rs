//! Has failed files tried again while the daemon runs.
//!
//! Owns: the way from the status page to the index and the keepers. What it does in the index is what the `retry`
//! command does beside a daemon; here the keepers are told as well, so that nobody waits for their next look. Never
//! does: trying anything itself.

use std::sync::{Mutex, PoisonError};

use tokio::sync::broadcast;

use crate::index::{Index, IndexError, retry_requests, status_notes};

/// Requests that a busy keeper may be behind with; one that lost some tries everything that is due.
const BACKLOG: usize = 64;

/// What is to be tried again.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Again {
    /// The mirror's name; all mirrors without one.
    pub mirror: Option<String>,
    /// The file or folder below its root; everything without one.
    pub path: Option<String>,
}

impl Again {
    /// Whether it concerns the mirror `name`.
    #[must_use]
    pub fn is_about(&self, name: &str) -> bool {
        self.mirror.as_deref().is_none_or(|mirror| mirror == name)
    }
}

/// See the module.
#[derive(Debug)]
pub struct Retrier {
    index: Mutex<Option<Index>>,
    keepers: broadcast::Sender<Again>,
}

impl Default for Retrier {
    fn default() -> Self {
        Self { index: Mutex::new(None), keepers: broadcast::Sender::new(BACKLOG) }
    }
}

impl Retrier {
    /// The index that the daemon works on from now on.
    pub(super) fn works_on(&self, index: &Index) {
        *self.index.lock().unwrap_or_else(PoisonError::into_inner) = Some(index.clone());
    }

    /// Tells of every request.
    pub(super) fn subscribe(&self) -> broadcast::Receiver<Again> {
        self.keepers.subscribe()
    }

    /// Makes failed files due, and wakes the keepers. Returns how many there were; what has no row in the index because
    /// it could not be read is looked at again and not counted.
    ///
    /// # Errors
    /// The index's.
    pub async fn retry(&self, again: Again) -> Result<u64, IndexError> {
        let index = self.index.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(index) = index else { return Ok(0) };
        let asked = again.clone();
        let files = index
            .call(move |conn| {
                let mut files = 0;
                for (name, row) in status_notes::mirror_rows(conn)? {
                    if asked.is_about(&name) {
                        files += retry_requests::retry(conn, row, asked.path.as_deref())?;
                    }
                }
                Ok(files)
            })
            .await?;
        // Without keepers there is nobody to wake: the API is waited for, and the first pass takes what is due.
        let _ = self.keepers.send(again);
        Ok(files)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::{Problem, files, settings};
    use crate::model::ActionKind;

    #[tokio::test]
    async fn failed_files_become_due_and_the_keepers_hear_of_it() {
        let folder = tempfile::tempdir().unwrap();
        let index = Index::open(&folder.path().join("index.sqlite")).unwrap().index;
        let fail = |conn: &rusqlite::Connection| {
            for (name, path) in [("brand", "a/1.png"), ("brand", "b.png"), ("docs", "a/1.png")] {
                let mirror = settings::mirror(conn, name)?.id;
                let sql = "INSERT INTO file (mirror, path, present, handled) VALUES (?1, ?2, 1, 1)";
                conn.execute(sql, rusqlite::params![mirror, path])?;
                let problem = Problem::new(ActionKind::Create, "c", "a");
                let row = files::by_path(conn, mirror, path)?.unwrap();
                files::failed(conn, &row, &problem, files::RetryAt::AfterAChange, 0)?;
            }
            Ok(())
        };
        let retrier = Retrier::default();
        let mut keeper = retrier.subscribe();
        let one = Again { mirror: Some("brand".into()), path: Some("a".into()) };
        assert_eq!(retrier.retry(one.clone()).await.unwrap(), 0, "it works on no index yet");
        index.call(fail).await.unwrap();
        retrier.works_on(&index);
        assert_eq!(retrier.retry(one.clone()).await.unwrap(), 1);
        assert_eq!(keeper.recv().await.unwrap(), one);
        assert!(one.is_about("brand") && !one.is_about("docs"));
        let row = index.call(|conn| Ok(settings::mirror(conn, "brand")?.id)).await.unwrap();
        assert!(index.call(move |conn| files::is_due(conn, row, 0)).await.unwrap());
        assert_eq!(retrier.retry(Again::default()).await.unwrap(), 2, "the rest, of every mirror");
        assert_eq!(keeper.recv().await.unwrap(), Again::default());
    }
}
