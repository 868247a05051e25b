//! The actions that send a file: a new asset, and a new file for one.
//!
//! Owns: that the bytes are in the bucket before the intent, and the intent on disk before the call; what a taken id means.
//! Chooses nothing. Called by: `execute`.

use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;

use super::{Executor, Failure, Lost, failed, lost, metadata_of, path_problem};
use crate::index::intents::IntentKind;
use crate::index::{FileRow, Problem, assets};
use crate::model::{Asset, Md5, UploadId};
use crate::pipeline::edit::Edit;
use crate::pipeline::plan::KeepUrl;
use crate::remote::{Accepted, ApiError, Expect, NewUpload, ReplaceStrategy, UploadChange};

/// What an action sends.
pub(super) struct Content<'a> {
    /// The file.
    pub row: &'a FileRow,
    /// Its digest as planned.
    pub md5: Md5,
    /// Given back once it is sent.
    pub permit: Option<OwnedSemaphorePermit>,
    /// Ends it early.
    pub cancel: &'a CancellationToken,
}

/// A file in the bucket, and the note of what is about to be done with it.
struct Sent {
    path: String,
    intent: i64,
}

impl Executor {
    pub(super) async fn create(&self, content: Content<'_>, id: &UploadId, edit: &Edit) -> Result<Box<Asset>, Failure> {
        let md5 = content.md5;
        let Sent { path, intent } = self.send_for(content, id, IntentKind::Create).await?;
        let new = NewUpload { id: id.clone(), path, metadata: metadata_of(edit) };
        // The stamp tells our asset also when its content is not what was sent.
        let expect = Expect::Stamp(Box::new(edit.stamp.clone()));
        let mut created = self.outcome(self.remote.create(&new).await, id, intent, expect.clone()).await;
        if let Err(Lost) = created {
            // Never executed: the same call again is the same asset.
            created = self.outcome(self.remote.create(&new).await, id, intent, expect).await;
        }
        self.end(intent).await?;
        let asset = match created {
            Ok(asset) => asset,
            Err(Lost) => return Err(path_problem("create", &lost(), true)),
        };
        match asset {
            Ok(asset) => verified(asset, md5, "create"),
            Err(error) if error.is_uniqueness_of_id() => self.taken(id, md5).await,
            Err(error) => Err(failed("create", error)),
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

    pub(super) async fn replace(
        &self,
        content: Content<'_>,
        asset: &Asset,
        keep_url: KeepUrl,
        edit: &Edit,
    ) -> Result<Box<Asset>, Failure> {
        let md5 = content.md5;
        let Sent { path, intent } = self.send_for(content, &asset.id, IntentKind::Replace).await?;
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
            if edit.stamp == asset.stamp { Expect::Md5(md5) } else { Expect::Stamp(Box::new(edit.stamp.clone())) };
        let accepted = self.remote.update(&asset.id, &change).await;
        let replaced = self.outcome(accepted, &asset.id, intent, expect).await.unwrap_or_else(|Lost| Err(lost()));
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
            Ok(replaced) => verified(replaced, md5, "replace"),
            Err(error) => self.refused("replace", &asset.id, error).await,
        }
    }

    /// Sends the file, then notes what comes next.
    async fn send_for(&self, content: Content<'_>, asset: &UploadId, kind: IntentKind) -> Result<Sent, Failure> {
        let Content { row, md5, permit, cancel } = content;
        let path = self.send(row, md5, kind.as_str(), cancel).await?;
        drop(permit);
        let intent = self.begin(row, asset, kind, Some(md5)).await?;
        Ok(Sent { path, intent })
    }

    /// What became of a call; `Lost` when its answer was lost and its effect does not show.
    async fn outcome(
        &self,
        accepted: Result<Accepted, ApiError>,
        asset: &UploadId,
        intent: i64,
        expect: Expect,
    ) -> Result<Result<Box<Asset>, ApiError>, Lost> {
        let job = match accepted {
            Ok(Accepted::Done(asset)) => return Ok(Ok(asset)),
            Ok(Accepted::Job(job)) => job,
            Err(error) if error.unsure() => return self.shows(asset, expect).await.map(Ok),
            Err(error) => return Ok(Err(error)),
        };
        self.note_job(intent, job.as_str()).await;
        match self.confirmer.wait(asset.clone(), Some(job), expect).await {
            Ok(Some(asset)) => Ok(Ok(asset)),
            Ok(None) => Err(Lost),
            Err(error) => Ok(Err(error)),
        }
    }

    /// Waits a while for a change to show whose answer was lost.
    async fn shows(&self, id: &UploadId, expect: Expect) -> Result<Box<Asset>, Lost> {
        let wait = self.confirmer.wait(id.clone(), None, expect);
        match tokio::time::timeout(self.waits.unsure, wait).await {
            Ok(Ok(Some(asset))) => Ok(asset),
            _ => Err(Lost),
        }
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
