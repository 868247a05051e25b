//! Carries out one action: the remote's only writer.
//!
//! Owns: the calls of each action in their order, intent before effect, and what to do when an answer is lost: look
//! before sending again. Chooses nothing: an action is complete. Never writes outcomes (that is `record`).
//! Called by: `pipeline::pass`, several at a time, never two on one path or one asset.

mod content;
mod sending;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use crate::disk::Ground;
use crate::index::intents::{self, IntentKind};
use crate::index::{FileRow, Index, IndexError, Problem, assets};
use crate::model::{Asset, Md5, UploadId};
use crate::remote::{Accepted, ApiError, Expect, Metadata, Remote, Retry, Scope, UploadChange};

use super::absence::is_vacant;
use super::confirm::Confirmer;
use super::edit::Edit;
use super::plan::Action;
use super::waits::Waits;
use content::Content;

pub use sending::Sending;

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
    /// The root is not to be believed: nothing counts as gone.
    Guard(String),
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
    /// How long to wait for what.
    pub waits: Waits,
    /// The mirror's root.
    pub root: Arc<PathBuf>,
    /// What has to be as it was for an absence to mean anything.
    pub ground: Arc<Ground>,
    /// Where the bytes of files fetched from URLs lie.
    pub cache: Arc<PathBuf>,
    /// Bounds the files being sent at a time.
    pub senders: Arc<Semaphore>,
    /// The files being sent, to be cut short when they change.
    pub sending: Sending,
}

impl Executor {
    /// Carries out `action` for the path of `row`, with a permit to send if it sends; the asset as confirmed, or nothing
    /// where none is left or none was touched.
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
                self.create(Content { row, md5: *content, permit, cancel }, id, edit).await.map(Some)
            }
            Action::Adopt { asset, edit } | Action::Alias { asset, edit, .. } | Action::Retag { asset, edit } => {
                self.edit(action, asset, edit, None).await
            }
            Action::Move { asset, edit, basename, .. } => self.edit(action, asset, edit, basename.clone()).await,
            Action::Replace { asset, content, keep_url, edit } => {
                let content = Content { row, md5: *content, permit, cancel };
                self.replace(content, asset, *keep_url, edit).await.map(Some)
            }
            Action::Delete { asset } => self.delete(row, asset).await.map(|()| None),
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

    /// A fresh look at the disk before something is done because a file is gone.
    pub(super) async fn still_gone(&self, row: &FileRow) -> Result<(), Failure> {
        let (ground, path) = (self.ground.clone(), row.path.clone());
        // It may hang on a dead network server.
        let look = tokio::task::spawn_blocking(move || {
            // First the file, then what it lies on: a mount that went in between is noticed.
            let vacant = is_vacant(&ground.root, &path);
            match ground.check() {
                Ok(_) if ground.is_bare() => Err("the root is empty, as when a share is not mounted".to_owned()),
                Ok(_) => Ok(vacant),
                Err(guard) => Err(guard.to_string()),
            }
        });
        match look.await.map_err(|_| Failure::Stopped)? {
            Ok(true) => Ok(()),
            // It came back since the scan, or something else lies there.
            Ok(false) => Err(Failure::Changed),
            Err(guard) => Err(Failure::Guard(guard)),
        }
    }

    async fn delete(&self, row: &FileRow, asset: &Asset) -> Result<(), Failure> {
        self.still_gone(row).await?;
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
        self.still_gone(row).await?;
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
