//! Carries out one action: the remote's only writer.
//!
//! Owns: the calls of each action in their order, intent before effect, and what to do when an answer is lost: look
//! before sending again. Chooses nothing: an action is complete. Never writes outcomes (that is `record`).
//! Called by: `pipeline::pass`, several at a time, never two on one path or one asset.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use crate::index::intents::{self, IntentKind};
use crate::index::{FileRow, Index, IndexError, Problem, assets};
use crate::model::{Asset, Md5, UploadId};
use crate::remote::{
    Accepted, ApiError, Expect, FileToSend, Metadata, NewUpload, Remote, ReplaceStrategy, Retry, Scope, SendError,
    UploadChange,
};

use super::confirm::Confirmer;
use super::edit::Edit;
use super::listed::cached_at;
use super::plan::{Action, KeepUrl};

/// A file is sent this often, each time with a new ticket, before the next pass has to try.
const SEND_ATTEMPTS: u32 = 4;

/// Why an action did not come to its end.
#[derive(Debug)]
pub enum Failure {
    /// The file is not what was planned for: back to settling.
    Changed,
    /// The remote is not what was planned for; the index now knows. Observe and plan again.
    Replan,
    /// The collection that was planned for is not there any more: find or make it anew.
    Collection,
    /// The service stored other bytes than were sent; this is the asset as it is now.
    Damaged {
        /// The asset.
        asset: Box<Asset>,
        /// For people.
        problem: Problem,
    },
    /// This path cannot be done now.
    Path {
        /// For people.
        problem: Problem,
        /// Trying again by itself can help.
        retry: bool,
    },
    /// Nothing can be done now.
    All(ApiError),
    /// The index failed.
    Index(IndexError),
    /// The pass is being stopped.
    Stopped,
}

impl From<IndexError> for Failure {
    fn from(error: IndexError) -> Self {
        Self::Index(error)
    }
}

/// Carries out actions of one mirror.
#[derive(Clone, Debug)]
pub struct Executor {
    /// The API.
    pub remote: Remote,
    /// For intents, and for what a lost answer reveals.
    pub index: Index,
    /// Follows what the service accepted.
    pub confirmer: Confirmer,
    /// A call whose answer was lost is looked after so long before it counts as not executed.
    pub unsure: Duration,
    /// The mirror's root.
    pub root: Arc<PathBuf>,
    /// Where the bytes of files fetched from URLs lie.
    pub cache: Arc<PathBuf>,
    /// Bounds the files being sent at a time.
    pub senders: Arc<Semaphore>,
    /// The files being sent, to be cut short when they change.
    pub sending: Sending,
}

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

    fn begin(&self, path: &str, stop: &CancellationToken) -> CancellationToken {
        let token = stop.child_token();
        self.lock().insert(path.to_owned(), token.clone());
        token
    }

    fn end(&self, path: &str) {
        self.lock().remove(path);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, CancellationToken>> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Executor {
    /// Carries out `action` for the path of `row`, with a permit to send if it sends; the asset as confirmed, or nothing where none is left or none was
    /// touched.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn execute(
        &self,
        row: &FileRow,
        action: &Action,
        permit: Option<OwnedSemaphorePermit>,
        cancel: &CancellationToken,
    ) -> Result<Option<Box<Asset>>, Failure> {
        match action {
            Action::Nothing
            | Action::Record { .. }
            | Action::Accept { .. }
            | Action::Forget
            | Action::Wait
            | Action::Report { .. } => Ok(None),
            Action::Create { id, content, edit } => {
                self.create(row, id, *content, edit, permit, cancel).await.map(Some)
            }
            Action::Adopt { asset, edit } | Action::Alias { asset, edit, .. } | Action::Retag { asset, edit } => {
                self.edit(action, asset, edit, None).await
            }
            Action::Move { asset, edit, basename, .. } => self.edit(action, asset, edit, basename.clone()).await,
            Action::Replace { asset, content, keep_url, edit } => {
                self.replace(row, asset, *content, *keep_url, edit, permit, cancel).await.map(Some)
            }
            Action::Delete { asset } => self.delete(row, asset).await.map(|()| None),
        }
    }

    async fn create(
        &self,
        row: &FileRow,
        id: &UploadId,
        content: Md5,
        edit: &Edit,
        permit: Option<OwnedSemaphorePermit>,
        cancel: &CancellationToken,
    ) -> Result<Box<Asset>, Failure> {
        let path = self.send(row, content, "create", cancel).await?;
        drop(permit);
        let intent = self.begin(row, id, IntentKind::Create, Some(content)).await?;
        let new = NewUpload { id: id.clone(), path, metadata: metadata_of(edit) };
        // The stamp tells our asset also when its content is not what was sent.
        let expect = Expect::Stamp(Box::new(edit.stamp.clone()));
        let mut created = self.create_once(intent, &new, expect.clone()).await;
        if let Err(Lost) = created {
            // Never executed: the same call again is the same asset.
            created = self.create_once(intent, &new, expect).await;
        }
        self.end(intent).await?;
        let asset = match created {
            Ok(asset) => asset,
            Err(Lost) => return Err(path_problem("create", &lost(), true)),
        };
        match asset {
            Ok(asset) => verified(asset, content, "create"),
            Err(error) if error.is_uniqueness_of_id() => self.taken(id, content).await,
            Err(error) => Err(failed("create", error)),
        }
    }

    /// One try; `Lost` when the answer was lost and the asset does not show up.
    async fn create_once(
        &self,
        intent: i64,
        new: &NewUpload,
        expect: Expect,
    ) -> Result<Result<Box<Asset>, ApiError>, Lost> {
        let job = match self.remote.create(new).await {
            Ok(Accepted::Done(asset)) => return Ok(Ok(asset)),
            Ok(Accepted::Job(job)) => Some(job),
            Err(error) if error.unsure() => None,
            Err(error) => return Ok(Err(error)),
        };
        let Some(job) = job else { return self.shows(&new.id, expect).await.map(Ok) };
        self.note_job(intent, job.as_str()).await;
        match self.confirmer.wait(new.id.clone(), Some(job), expect).await {
            Ok(Some(asset)) => Ok(Ok(asset)),
            Ok(None) => Err(Lost),
            Err(error) => Ok(Err(error)),
        }
    }

    /// The id is taken. Ours, when it has our content; something to plan with when it has another; and of no use when
    /// nothing has it: then it was spent on an asset since deleted.
    async fn taken(&self, id: &UploadId, content: Md5) -> Result<Box<Asset>, Failure> {
        let found = match self.remote.find(id).await {
            Ok(Some(asset)) => Some(Box::new(asset)),
            Ok(None) => self.shows(id, Expect::Any).await.ok(),
            Err(error) => return Err(failed("create", error)),
        };
        match found {
            Some(asset) if asset.md5 == Some(content) => Ok(asset),
            Some(asset) => {
                self.index.call(move |conn| assets::upsert(conn, &asset, None).map(drop)).await?;
                Err(Failure::Replan)
            }
            None => {
                let id = id.clone();
                self.index.call(move |conn| assets::mark_spent(conn, &id)).await?;
                Err(Failure::Replan)
            }
        }
    }

    async fn replace(
        &self,
        row: &FileRow,
        asset: &Asset,
        content: Md5,
        keep_url: KeepUrl,
        edit: &Edit,
        permit: Option<OwnedSemaphorePermit>,
        cancel: &CancellationToken,
    ) -> Result<Box<Asset>, Failure> {
        let path = self.send(row, content, "replace", cancel).await?;
        drop(permit);
        let intent = self.begin(row, &asset.id, IntentKind::Replace, Some(content)).await?;
        let strategy = match keep_url {
            KeepUrl::Yes => ReplaceStrategy::KeepUrl,
            KeepUrl::No => ReplaceStrategy::NewUrl,
        };
        let change = UploadChange {
            path: Some(path),
            strategy: Some(strategy),
            basename: None,
            metadata: Some(metadata_of(edit)),
        };
        let expect =
            if edit.stamp == asset.stamp { Expect::Md5(content) } else { Expect::Stamp(Box::new(edit.stamp.clone())) };
        let replaced = match self.remote.update(&asset.id, &change).await {
            Ok(Accepted::Done(asset)) => Ok(asset),
            Ok(Accepted::Job(job)) => {
                self.note_job(intent, job.as_str()).await;
                match self.confirmer.wait(asset.id.clone(), Some(job), expect).await {
                    Ok(Some(asset)) => Ok(asset),
                    Ok(None) => Err(lost()),
                    Err(error) => Err(error),
                }
            }
            Err(error) if error.unsure() => self.shows(&asset.id, expect).await.map_err(|Lost| lost()),
            Err(error) => Err(error),
        };
        self.end(intent).await?;
        match replaced {
            Ok(replaced) if keep_url == KeepUrl::Yes && replaced.url != asset.url => Err(Failure::Path {
                problem: Problem {
                    action: "replace".into(),
                    cause: format!(
                        "the service gave the asset a new URL although it was told to keep it: {} became {}",
                        asset.url, replaced.url
                    ),
                    advice: "update what links to the old URL; check the project's storage settings".into(),
                },
                retry: false,
            }),
            Ok(replaced) => verified(replaced, content, "replace"),
            Err(error) => self.refused("replace", &asset.id, error).await,
        }
    }

    /// Metadata, name or stamp; no bytes. No call when nothing is due.
    async fn edit(
        &self,
        action: &Action,
        asset: &Asset,
        edit: &Edit,
        basename: Option<String>,
    ) -> Result<Option<Box<Asset>>, Failure> {
        if !edit.is_due() && basename.is_none() {
            return Ok(None);
        }
        let name = action.name().unwrap_or("retag");
        let change = UploadChange { basename, metadata: Some(metadata_of(edit)), ..UploadChange::default() };
        // Where the stamp changes, it shows that the change is done; else only the job tells.
        let shown = edit.stamp != asset.stamp;
        let expect = if shown { Expect::Stamp(Box::new(edit.stamp.clone())) } else { Expect::JobDone };
        let edited = match self.remote.update(&asset.id, &change).await {
            Ok(Accepted::Done(asset)) => Ok(asset),
            Ok(Accepted::Job(job)) => match self.confirmer.wait(asset.id.clone(), Some(job), expect).await {
                Ok(Some(asset)) => Ok(asset),
                Ok(None) => match self.remote.find(&asset.id).await {
                    Ok(Some(asset)) => Ok(Box::new(asset)),
                    Ok(None) => Err(lost()),
                    Err(error) => Err(error),
                },
                Err(error) => Err(error),
            },
            // Observed again before anything is sent again.
            Err(error) if error.unsure() => {
                tokio::time::sleep(Duration::from_secs(1)).await;
                match self.remote.find(&asset.id).await {
                    Ok(Some(found)) => {
                        self.index.call(move |conn| assets::upsert(conn, &found, None).map(drop)).await?;
                        return Err(Failure::Replan);
                    }
                    Ok(None) | Err(_) => Err(error),
                }
            }
            Err(error) => Err(error),
        };
        match edited {
            Ok(asset) => Ok(Some(asset)),
            Err(error) => self.refused(name, &asset.id, error).await,
        }
    }

    async fn delete(&self, row: &FileRow, asset: &Asset) -> Result<(), Failure> {
        if std::fs::symlink_metadata(row.path.below(&self.root)).is_ok() {
            // It came back since the scan.
            return Err(Failure::Changed);
        }
        let references = self.remote.references(&asset.id).await.map_err(|error| failed("delete", error))?;
        if !references.is_empty() {
            let records: Vec<&str> = references.iter().take(5).map(|record| record.id.as_str()).collect();
            let more = references.len().saturating_sub(records.len());
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            return Err(Failure::Path {
                problem: Problem {
                    action: "delete".into(),
                    cause: format!(
                        "the file is gone, but its asset {} is used by records {}{more}: it is not deleted",
                        asset.url,
                        records.join(", ")
                    ),
                    advice: "take the asset out of these records, or put the file back".into(),
                },
                retry: true,
            });
        }
        let intent = self.begin(row, &asset.id, IntentKind::Delete, None).await?;
        let deleted = match self.remote.destroy(&asset.id).await {
            Ok(Accepted::Done(_)) => Ok(()),
            Ok(Accepted::Job(job)) => {
                self.note_job(intent, job.as_str()).await;
                self.confirmer.wait(asset.id.clone(), Some(job), Expect::Gone).await.map(drop)
            }
            Err(error) if error.unsure() => match self.remote.find(&asset.id).await {
                Ok(None) => Ok(()),
                Ok(Some(_)) => Err(error),
                Err(error) => Err(error),
            },
            Err(error) if error.is_not_found() => Ok(()),
            Err(error) => Err(error),
        };
        self.end(intent).await?;
        deleted.map_err(|error| failed("delete", error))
    }

    /// Sends the file's bytes; the path they were stored under.
    pub(super) async fn send(
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

    /// Waits a while for a change to show whose answer was lost.
    async fn shows(&self, id: &UploadId, expect: Expect) -> Result<Box<Asset>, Lost> {
        let wait = self.confirmer.wait(id.clone(), None, expect);
        match tokio::time::timeout(self.unsure, wait).await {
            Ok(Ok(Some(asset))) => Ok(asset),
            _ => Err(Lost),
        }
    }

    async fn refused<T>(&self, action: &str, id: &UploadId, error: ApiError) -> Result<T, Failure> {
        if error.is_not_found() {
            let id = id.clone();
            self.index.call(move |conn| assets::remove(conn, &id)).await?;
            return Err(Failure::Replan);
        }
        Err(failed(action, error))
    }

    async fn begin(&self, row: &FileRow, asset: &UploadId, kind: IntentKind, md5: Option<Md5>) -> Result<i64, Failure> {
        let (file, asset, now) = (row.id, asset.clone(), Timestamp::now().as_millisecond());
        Ok(self.index.call(move |conn| intents::begin(conn, file, &asset, kind, md5, now)).await?)
    }

    /// Losing this note costs a look, no more.
    async fn note_job(&self, intent: i64, job: &str) {
        let job = job.to_owned();
        if let Err(error) = self.index.call(move |conn| intents::set_job(conn, intent, &job)).await {
            tracing::warn!(%error, "the job of a change could not be noted");
        }
    }

    async fn end(&self, intent: i64) -> Result<(), Failure> {
        Ok(self.index.call(move |conn| intents::end(conn, intent)).await?)
    }
}

/// The answer was lost and the change does not show.
#[derive(Debug)]
struct Lost;

fn lost() -> ApiError {
    ApiError::new(
        crate::remote::ApiErrorKind::Network,
        "the answer was lost, and the change does not show; the next pass looks again",
    )
}

fn metadata_of(edit: &Edit) -> Metadata {
    Metadata {
        tags: edit.tags.clone(),
        fields: edit.fields.clone(),
        write: edit.write.clone(),
        stamp: Some(edit.stamp.clone()),
    }
}

/// What is reported as mirrored, the service has confirmed by digest.
fn verified(asset: Box<Asset>, content: Md5, action: &str) -> Result<Box<Asset>, Failure> {
    match asset.md5 {
        Some(md5) if md5 != content => {
            let problem = Problem {
                action: action.into(),
                cause: format!("the service stored other bytes than were sent (md5 {md5} instead of {content})"),
                advice: "it is sent again; if it lasts, tell DatoCMS".into(),
            };
            Err(Failure::Damaged { asset, problem })
        }
        _ => Ok(asset),
    }
}

fn failed(action: &str, error: ApiError) -> Failure {
    if error.is_about_collection() {
        Failure::Collection
    } else if error.scope() == Scope::All {
        Failure::All(error)
    } else {
        path_problem(action, &error, error.retry() != Retry::Never)
    }
}

fn path_problem(action: &str, error: &ApiError, retry: bool) -> Failure {
    Failure::Path {
        problem: Problem { action: action.into(), cause: error.to_string(), advice: error.advice().into() },
        retry,
    }
}
