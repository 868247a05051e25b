//! The bytes of a file, on their way to the bucket.
//!
//! Owns: that a file is sent as planned or not at all, and that whoever learns of a change can cut it short. Makes no
//! asset of it.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::{Executor, Failure, Place, Right, failed, missing};
use crate::disk::{OpenError, RootDir, SkipReason};
use crate::features::remote_files::cached_name;
use crate::index::{FileRow, Problem};
use crate::model::{ActionKind, Md5, RelPath};
use crate::remote::{ApiError, ApiErrorKind, FileToSend, OpenFile, PlanLimit, SendError, advice_on_sending};
use crate::sync::plan_limits::NoRoom;

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

    fn begin(&self, path: &str, stop: &CancellationToken) -> Upload {
        let token = stop.child_token();
        self.lock().insert(path.to_owned(), token.clone());
        Upload { all: self.clone(), path: path.to_owned(), token }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, CancellationToken>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A file on its way; on the list for as long as this lives.
struct Upload {
    all: Sending,
    path: String,
    token: CancellationToken,
}

impl Drop for Upload {
    fn drop(&mut self) {
        self.all.lock().remove(&self.path);
    }
}

/// Opens what is sent below the mirror's root as it is at that moment: since the scan, a folder on the way may have been
/// swapped for a link to another place, and the file for a pipe.
fn opening(root: Arc<PathBuf>, path: RelPath) -> OpenFile {
    Arc::new(move || {
        let root = RootDir::open(root.as_path()).map_err(|cause| match cause.kind() {
            std::io::ErrorKind::NotFound => SendError::Changed("the mirror's root is gone"),
            _ => SendError::Unreadable(cause),
        })?;
        root.file(&path).map_err(|error| match error {
            OpenError::Gone => SendError::Changed("it is gone"),
            OpenError::Skipped(SkipReason::LinkOutside) => {
                SendError::Changed("a link on its way leads out of the mirror's root")
            }
            OpenError::Refused(cause) => SendError::Unreadable(cause),
            OpenError::Folder | OpenError::Skipped(_) | OpenError::TooLarge { .. } => {
                SendError::Changed("it is no file any more")
            }
        })
    })
}

impl Executor {
    /// Sends the file's bytes; the path they were stored under.
    pub(crate) async fn send(
        &self,
        row: &FileRow,
        content: Md5,
        action: ActionKind,
        place: Place<'_>,
        cancel: &CancellationToken,
    ) -> Result<String, Failure> {
        let upload = self.sending.begin(row.path.key(), cancel);
        let cut_short = || if cancel.is_cancelled() { Failure::Stopped } else { Failure::Changed };
        let open = if row.cached {
            opening(self.cache.clone(), cached_name(&row.path))
        } else {
            opening(self.root.clone(), row.path.clone())
        };
        let size = row.print.map_or(0, |print| print.size);
        let mime = mime_guess::from_path(row.path.file_name()).first_raw();
        tokio::select! {
            before = self.room.before(content, size) => before.map_err(|why| no_room(why, action, size))?,
            () = upload.token.cancelled() => return Err(cut_short()),
        }
        let mut attempt = 0;
        loop {
            if upload.token.is_cancelled() {
                return Err(cut_short());
            }
            let ticket = match self.remote.upload_request(row.path.file_name(), place.collection).await {
                Ok(ticket) => ticket,
                Err(error) => return Err(self.not_taken(action, error, content, size, place).await),
            };
            let error =
                match self.remote.put_file(&ticket, FileToSend { open: open.clone(), size, mime }, &upload.token).await
                {
                    Ok(sent) if sent.md5 == content => return Ok(ticket.path),
                    Ok(_) | Err(SendError::Changed(_)) => return Err(Failure::Changed),
                    Err(SendError::Cancelled) => return Err(cut_short()),
                    Err(error) => error,
                };
            if error.is_too_large() {
                self.room.note_refused(PlanLimit::SingleUpload, content, size).await;
                return Err(no_room(NoRoom::RefusedBefore, action, size));
            }
            attempt += 1;
            if !error.retry_with_new_ticket() || attempt >= SEND_ATTEMPTS {
                let problem = Problem::new(action, error.to_string(), advice_on_sending(&error));
                return Err(Failure::Path { problem, retry: error.heals() });
            }
            tracing::debug!(path = %row.path, %error, attempt, "sending again with a new ticket");
            let most = 250_u64 << attempt;
            tokio::select! {
                () = tokio::time::sleep(Duration::from_millis(fastrand::u64(most / 2..=most))) => {}
                () = upload.token.cancelled() => return Err(cut_short()),
            }
        }
    }

    /// A file was refused: where that is the plan's word about sending, or one about its collection, no other is sent to
    /// hear the same. `place`: where the file is to lie.
    pub(crate) async fn not_taken(
        &self,
        action: ActionKind,
        error: ApiError,
        content: Md5,
        size: u64,
        place: Place<'_>,
    ) -> Failure {
        if error.kind == ApiErrorKind::Permission {
            if action == ActionKind::Create {
                self.rights.refuse(place, &error, Instant::now());
            }
            return missing(action, Right::of(action), &error, place.collection, &self.scope.desires);
        }
        match self.room.refused(&error, content, size).await {
            Some(why) => no_room(why, action, size),
            None => failed(action, error),
        }
    }
}

fn no_room(why: NoRoom, action: ActionKind, size: u64) -> Failure {
    // Nothing is sent to see whether it still holds.
    Failure::Path { problem: why.problem(action, size), retry: true }
}
