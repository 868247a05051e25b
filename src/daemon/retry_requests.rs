//! Has failed files tried again while the daemon runs.
//!
//! Owns: the way from the status page to the index and the mirrors' workers. What it does in the index is what the `retry`
//! command does beside a daemon; here the workers are told as well, so that nobody waits for their next look.
//! Never does: trying anything itself.

use std::sync::{Mutex, PoisonError};

use tokio::sync::broadcast;

use crate::index::{Index, IndexError, retry_requests, status_notes};

/// A busy worker may be so many requests behind; one that lost some tries everything that is due.
const BACKLOG: usize = 64;

/// What somebody wants tried again.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RetryRequest {
    /// The mirror's name; all mirrors without one.
    pub mirror: Option<String>,
    /// The file or folder below its root; everything without one.
    pub path: Option<String>,
}

impl RetryRequest {
    /// Whether the request concerns the mirror `name`.
    #[must_use]
    pub fn is_about(&self, name: &str) -> bool {
        self.mirror.as_deref().is_none_or(|mirror| mirror == name)
    }
}

/// Through this, people have failed files tried again. The daemon's workers subscribe to it.
#[derive(Debug)]
pub struct RetryHandle {
    index: Mutex<Option<Index>>,
    workers: broadcast::Sender<RetryRequest>,
}

impl Default for RetryHandle {
    fn default() -> Self {
        Self { index: Mutex::new(None), workers: broadcast::Sender::new(BACKLOG) }
    }
}

impl RetryHandle {
    /// Names the index that the daemon works on from here on.
    pub(super) fn works_on(&self, index: &Index) {
        *self.index.lock().unwrap_or_else(PoisonError::into_inner) = Some(index.clone());
    }

    /// A receiver that is told of every request.
    pub(super) fn subscribe(&self) -> broadcast::Receiver<RetryRequest> {
        self.workers.subscribe()
    }

    /// Makes failed files due, and wakes the workers. Returns how many there were; what has no row in the index because
    /// it could not be read is looked at again and not counted.
    ///
    /// # Errors
    /// The index's.
    pub async fn retry(&self, request: RetryRequest) -> Result<u64, IndexError> {
        let index = self.index.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(index) = index else { return Ok(0) };
        let asked = request.clone();
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
        // Without workers there is nobody to wake: the API is waited for, and the first pass takes what is due.
        let _ = self.workers.send(request);
        Ok(files)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::{Problem, files, settings};
    use crate::model::ActionKind;

    #[tokio::test]
    async fn failed_files_become_due_and_the_workers_are_told() {
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
        let handle = RetryHandle::default();
        let mut worker = handle.subscribe();
        let one = RetryRequest { mirror: Some("brand".into()), path: Some("a".into()) };
        assert_eq!(handle.retry(one.clone()).await.unwrap(), 0, "it works on no index yet");
        index.call(fail).await.unwrap();
        handle.works_on(&index);
        assert_eq!(handle.retry(one.clone()).await.unwrap(), 1);
        assert_eq!(worker.recv().await.unwrap(), one);
        assert!(one.is_about("brand") && !one.is_about("docs"));
        let row = index.call(|conn| Ok(settings::mirror(conn, "brand")?.id)).await.unwrap();
        assert!(index.call(move |conn| files::is_due(conn, row, 0)).await.unwrap());
        assert_eq!(handle.retry(RetryRequest::default()).await.unwrap(), 2, "the rest, of every mirror");
        assert_eq!(worker.recv().await.unwrap(), RetryRequest::default());
    }
}
