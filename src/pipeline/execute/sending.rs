//! The bytes of a file, on their way to the bucket.
//!
//! Owns: that a file is sent as planned or not at all, and that whoever learns of a change can cut it short.
//! Makes no asset of it. Called by: `execute` and `tracks`.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::{Executor, Failure, failed};
use crate::index::{FileRow, Problem};
use crate::model::Md5;
use crate::pipeline::listed::cached_at;
use crate::remote::{FileToSend, SendError};

/// A file is sent this often, each time with a new ticket, before the next pass has to try.
const SEND_ATTEMPTS: u32 = 4;

/// The files being sent right now. Whoever learns that one of them changed cuts its upload short: what is on the way
/// is no longer wanted.
#[derive(Clone, Debug, Default)]
pub struct Sending(Arc<Mutex<HashMap<String, CancellationToken>>>);

impl Sending {
    /// Cuts the upload of `path` short, if there is one.
    pub fn changed(&self, path: &str) {
        if let Some(token) = self.lock().get(path) {
            token.cancel();
        }
    }

    pub(super) fn begin(&self, path: &str, stop: &CancellationToken) -> CancellationToken {
        let token = stop.child_token();
        self.lock().insert(path.to_owned(), token.clone());
        token
    }

    pub(super) fn end(&self, path: &str) {
        self.lock().remove(path);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, CancellationToken>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Executor {
    /// Sends the file's bytes; the path they were stored under.
    pub(in crate::pipeline) async fn send(
        &self,
        row: &FileRow,
        content: Md5,
        action: &str,
        cancel: &CancellationToken,
    ) -> Result<String, Failure> {
        let token = self.sending.begin(row.path.key(), cancel);
        let sent = self.send_until_whole(row, content, action, &token).await;
        self.sending.end(row.path.key());
        match sent {
            Err(Failure::Stopped) if !cancel.is_cancelled() => Err(Failure::Changed),
            sent => sent,
        }
    }

    async fn send_until_whole(
        &self,
        row: &FileRow,
        content: Md5,
        action: &str,
        cancel: &CancellationToken,
    ) -> Result<String, Failure> {
        let path = if row.cached { cached_at(&self.cache, &row.path) } else { row.path.below(&self.root) };
        let size = row.print.map_or(0, |print| print.size);
        let mime = mime_guess::from_path(row.path.file_name()).first_raw();
        let mut attempt = 0;
        loop {
            if cancel.is_cancelled() {
                return Err(Failure::Stopped);
            }
            let ticket =
                self.remote.upload_request(row.path.file_name()).await.map_err(|error| failed(action, error))?;
            let error = match self.remote.put_file(&ticket, FileToSend { path: &path, size, mime }, cancel).await {
                Ok(sent) if sent.md5 == content => return Ok(ticket.path),
                Ok(_) | Err(SendError::Changed(_)) => return Err(Failure::Changed),
                Err(SendError::Cancelled) => return Err(Failure::Stopped),
                Err(error) => error,
            };
            attempt += 1;
            if !error.retry_with_new_ticket() || attempt >= SEND_ATTEMPTS {
                let problem =
                    Problem { action: action.into(), cause: error.to_string(), advice: error.advice().into() };
                return Err(Failure::Path { problem, retry: error.retry_with_new_ticket() });
            }
            tracing::debug!(path = %row.path, %error, attempt, "sending again with a new ticket");
            let most = 250_u64 << attempt;
            tokio::select! {
                () = tokio::time::sleep(Duration::from_millis(fastrand::u64(most / 2..=most))) => {}
                () = cancel.cancelled() => return Err(Failure::Stopped),
            }
        }
    }
}
