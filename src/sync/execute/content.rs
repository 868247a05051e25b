//! The actions that send a file: a new asset, and a new file for one.
//!
//! Owns: that the bytes are in the bucket before the intent, and the intent on disk before the call; what a taken id
//! means. Chooses nothing.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;

use super::left_out::LeftOut;
use super::look::{ATTEMPTS, Attempts};
use super::{Execution, Executor, Failure, OutcomeUnknown, Place, Right, collection_of, failed, missing, path_problem};
use crate::index::intents::{self, IntentKind};
use crate::index::{FileRow, Problem, assets, contact, hearsay, retry_requests};
use crate::model::{ActionKind, Asset, Md5, MirrorStamp, UploadId};
use crate::remote::{Accepted, ApiError, ApiErrorKind, Expect, JobId, NewUpload, ReplaceStrategy, UploadChange};
use crate::sync::plan::{Action, KeepUrl};

/// What an action sends.
pub(super) struct Content<'a> {
    /// The file.
    pub row: &'a FileRow,
    /// Its digest as planned.
    pub md5: Md5,
    /// Given back once it is sent, and the service has said whether it takes it.
    pub permit: Option<OwnedSemaphorePermit>,
    /// Ends it early.
    pub cancel: &'a CancellationToken,
}

/// An asset as it was seen after a call, and who can tell what that call made of it.
struct Made {
    asset: Box<Asset>,
    witness: Witness,
}

enum Witness {
    /// The call's own answer: the asset is as the call left it.
    OwnAnswer,
    /// Its job's result.
    Job(JobId),
    /// Nobody: the answer was lost.
    Nobody,
}

/// A file in the bucket, and the note of what is about to be done with it.
struct Sent {
    path: String,
    intent: i64,
    permit: Option<OwnedSemaphorePermit>,
}

impl Executor {
    pub(super) async fn create(
        &self,
        execution: &mut Execution,
        permit: Option<OwnedSemaphorePermit>,
        cancel: &CancellationToken,
    ) -> Result<Box<Asset>, Failure> {
        let Action::Create { id, content: md5, edit } = &execution.plan.action else { return Err(Failure::Replan) };
        let (id, md5) = (id.clone(), *md5);
        // Whoever wants failed files tried again made this one due in the transaction that counts it.
        let asked = self.index.call(retry_requests::asked).await?;
        let place = Place { collection: collection_of(&edit.fields), asked };
        if let Some(error) = self.rights.refused(place, Instant::now()) {
            return Err(missing(ActionKind::Create, Right::Create, &error, place.collection, &self.scope.desires));
        }
        let content = Content { row: &execution.row, md5, permit, cancel };
        let Sent { path, intent, permit } = self.send_for(content, &id, IntentKind::Create, &edit.entry, place).await?;
        let made = self.create_by(execution, &path, intent, permit).await;
        self.end(intent).await?;
        match made? {
            Ok(made) => {
                self.room.taken(md5).await;
                self.verified(made, md5, ActionKind::Create).await
            }
            // Whatever it says: the service may have made the asset before, and its word for that is not known.
            Err(error) if error.may_be_of_the_id() => self.refused_create(&execution.row, &id, md5, error).await,
            Err(error) => {
                let collection = execution.plan.action.edit().and_then(|edit| collection_of(&edit.fields));
                let place = Place { collection, asked };
                Err(self.not_taken(ActionKind::Create, error, md5, size_of(&execution.row), place).await)
            }
        }
    }

    /// Makes the asset of what is in the bucket at `ticket`, or tells the service's last word about that.
    async fn create_by(
        &self,
        execution: &mut Execution,
        ticket: &str,
        intent: i64,
        mut permit: Option<OwnedSemaphorePermit>,
    ) -> Result<Result<Made, ApiError>, Failure> {
        let mut left_out = LeftOut::default();
        loop {
            let error = match self.create_once(execution, ticket, intent, permit.take()).await? {
                Ok(made) => return Ok(Ok(made)),
                Err(error) => error,
            };
            if let Some(error) = self.leave_out(execution, &mut left_out, error, Some(intent)).await? {
                return Ok(Err(error));
            }
        }
    }

    async fn create_once(
        &self,
        execution: &Execution,
        ticket: &str,
        intent: i64,
        permit: Option<OwnedSemaphorePermit>,
    ) -> Result<Result<Made, ApiError>, Failure> {
        let Action::Create { id, content: md5, edit } = &execution.plan.action else { return Err(Failure::Replan) };
        let (md5, size) = (*md5, size_of(&execution.row));
        let new = NewUpload { id: id.clone(), path: ticket.to_owned(), metadata: self.metadata_of(edit, None) };
        // The stamp tells our asset also when its content is not what was sent.
        let expect = Expect::Stamp(Box::new(edit.stamp.clone()));
        let mut accepted = self.remote.create(&new).await;
        if let Err(error) = &accepted {
            // Known before the next file is sent: where the plan is full, no other is sent to hear the same.
            self.room.refused(error, md5, size).await;
        }
        drop(permit);
        let (mut attempts, mut repeated) = (Attempts::default(), false);
        let created = loop {
            let created = self.outcome(accepted, id, intent, expect.clone()).await;
            let again = match &created {
                Ok(_) => false,
                Err(OutcomeUnknown(Some(error))) if error.is_blocked() => self.once_more(&mut attempts).await,
                Err(OutcomeUnknown(_)) => !repeated,
            };
            if !again {
                break created;
            }
            // Never executed: the same call again is the same asset.
            repeated = true;
            accepted = self.remote.create(&new).await;
        };
        let may_come = match &created {
            Ok(Ok(_)) => false,
            Ok(Err(error)) => error.kind == ApiErrorKind::Job,
            Err(OutcomeUnknown(_)) => true,
        };
        if may_come || repeated {
            let tried = id.clone();
            self.index.call(move |conn| contact::tried(conn, &tried, md5)).await?;
        }
        created.map_err(|unknown| match unknown.told() {
            // What answers every call so stops all, as where the bytes are asked a place for.
            error if error.kind == ApiErrorKind::Between => failed(ActionKind::Create, error),
            error => path_problem(ActionKind::Create, &error, true),
        })
    }

    /// The id may be taken. By a creation of ours, when this index sent one whose outcome it does not know; by somebody who
    /// mirrors under the same name, when its stamp names our path: with our content it is adopted, with another nothing is
    /// overwritten before it is known whose the name is. And the id is of no use when it is refused and nothing has it: then
    /// it was spent on an asset since deleted.
    async fn refused_create(
        &self,
        row: &FileRow,
        id: &UploadId,
        content: Md5,
        error: ApiError,
    ) -> Result<Box<Asset>, Failure> {
        let found = match self.remote.find(id).await {
            Ok(Some(asset)) => Some(Box::new(asset)),
            Ok(None) if error.is_uniqueness_of_id() => self.shows(id, Expect::Any, self.waits.unsure).await.ok(),
            // The path had an asset of this id, and somebody deleted it: whatever the words, the id may be what is refused.
            Ok(None) if row.asset.as_ref() == Some(id) => None,
            Ok(None) => return Err(failed(ActionKind::Create, error)),
            Err(error) => return Err(failed(ActionKind::Create, error)),
        };
        match found {
            Some(asset) => self.taken_by(row, asset, content).await,
            None => {
                let id = id.clone();
                self.index.call(move |conn| assets::mark_spent(conn, &id)).await?;
                Err(Failure::Replan)
            }
        }
    }

    async fn taken_by(&self, row: &FileRow, asset: Box<Asset>, content: Md5) -> Result<Box<Asset>, Failure> {
        let (scope, path) = (self.scope.clone(), row.path.clone());
        let ours = self.index.call(move |conn| {
            let entry = asset.stamp.0.get(&scope.name);
            let sent = entry.and_then(MirrorStamp::digest);
            if asset.md5 == Some(content) && contact::is_ours(conn, &asset.id, content, None)? {
                return Ok(Some(asset));
            }
            let names_us = entry.is_some_and(|entry| !entry.leaves_out(&scope.stamp_name(&path)));
            let is_like_ours = asset.md5 == Some(content) || sent == Some(content);
            let made_here = match sent.or(asset.md5) {
                Some(sent) => contact::is_ours(conn, &asset.id, sent, None)?,
                None => false,
            };
            if made_here {
                hearsay::set_made(conn, &asset.id)?;
            } else if names_us && !is_like_ours {
                contact::contest(conn, scope.mirror)?;
            }
            assets::upsert(conn, &asset, None)?;
            Ok(None)
        });
        ours.await?.ok_or(Failure::Replan)
    }

    pub(super) async fn replace(
        &self,
        execution: &mut Execution,
        permit: Option<OwnedSemaphorePermit>,
        cancel: &CancellationToken,
    ) -> Result<Box<Asset>, Failure> {
        let Action::Replace { asset, content, edit, .. } = &execution.plan.action else { return Err(Failure::Replan) };
        let content = Content { row: &execution.row, md5: *content, permit, cancel };
        let place = Place { collection: collection_of(&asset.fields), ..Place::default() };
        let Sent { path, intent, .. } =
            self.send_for(content, &asset.id, IntentKind::Replace, &edit.entry, place).await?;
        let replaced = self.replace_by(execution, &path, intent).await;
        self.end(intent).await?;
        replaced
    }

    /// Makes what is in the bucket at `ticket` the asset's file, if that is still what is to be done.
    async fn replace_by(&self, execution: &mut Execution, ticket: &str, intent: i64) -> Result<Box<Asset>, Failure> {
        let (mut attempts, mut left_out) = (Attempts::default(), LeftOut::default());
        loop {
            let permit = self.look(execution, Some(intent)).await?;
            let Action::Replace { asset, content, keep_url, edit } = &execution.plan.action else {
                return Err(Failure::Replan);
            };
            let change = UploadChange {
                path: Some(ticket.to_owned()),
                strategy: Some(match keep_url {
                    KeepUrl::Yes => ReplaceStrategy::KeepUrl,
                    KeepUrl::No => ReplaceStrategy::NewUrl,
                }),
                basename: None,
                metadata: Some(self.metadata_of(edit, Some(&asset.stamp))),
            };
            let expect = match edit.stamp == asset.stamp {
                true => Expect::Md5(*content),
                false => Expect::Stamp(Box::new(edit.stamp.clone())),
            };
            let accepted = match self.remote.update_in(permit, &asset.id, &change).await {
                Ok(accepted) => Ok(accepted),
                Err(error) => match self.again(error, &mut attempts).await {
                    Ok(()) => continue,
                    Err(error) => Err(error),
                },
            };
            let replaced = self.outcome(accepted, &asset.id, intent, expect).await;
            if let Err(OutcomeUnknown(Some(error))) = &replaced
                && error.is_blocked()
                && self.once_more(&mut attempts).await
            {
                continue;
            }
            return match replaced.unwrap_or_else(|unknown| Err(unknown.told())) {
                Ok(made) if is_moved(*keep_url, asset, &made.asset, *content) => Err(Failure::Path {
                    problem: Problem::new(
                        ActionKind::Replace,
                        format!(
                            "the service gave the asset a new URL although it was told to keep it: {} became {}",
                            asset.url, made.asset.url
                        ),
                        "update what links to the old URL; check the project's storage settings",
                    ),
                    retry: false,
                }),
                Ok(made) => {
                    self.room.taken(*content).await;
                    self.verified(made, *content, ActionKind::Replace).await
                }
                Err(error) if error.plan_limit().is_some() => Err(self
                    .not_taken(ActionKind::Replace, error, *content, size_of(&execution.row), Place::default())
                    .await),
                Err(error) => {
                    let asset = asset.clone();
                    match self.leave_out(execution, &mut left_out, error, Some(intent)).await? {
                        Some(error) => self.refused(ActionKind::Replace, Right::Replace, &asset, error).await,
                        None => continue,
                    }
                }
            };
        }
    }

    /// Sends the file, then notes what comes next.
    async fn send_for(
        &self,
        content: Content<'_>,
        asset: &UploadId,
        kind: IntentKind,
        entry: &MirrorStamp,
        place: Place<'_>,
    ) -> Result<Sent, Failure> {
        let Content { row, md5, permit, cancel } = content;
        let path = self.send(row, md5, kind.action(), place, cancel).await?;
        let intent = match kind {
            IntentKind::Create => self.begin_creation(row, asset, md5, entry).await?,
            _ => self.begin(row, asset, kind, Some(md5), Some(entry)).await?,
        };
        Ok(Sent { path, intent, permit })
    }

    /// The intent to make an asset, unless the file came to have one since it was planned.
    async fn begin_creation(
        &self,
        row: &FileRow,
        asset: &UploadId,
        md5: Md5,
        entry: &MirrorStamp,
    ) -> Result<i64, Failure> {
        let (file, asset, entry, now) = (row.clone(), asset.clone(), entry.clone(), Timestamp::now().as_millisecond());
        let begun = self
            .index
            .call(move |conn| intents::begin_creation(conn, &file, &asset, Some(md5), Some(&entry), now))
            .await?;
        begun.ok_or_else(|| {
            tracing::info!(path = %row.path, "it came to have an asset while it was being sent: it is planned anew");
            Failure::Replan
        })
    }

    /// What became of a call; [`OutcomeUnknown`] when its answer was lost and its effect does not show.
    async fn outcome(
        &self,
        accepted: Result<Accepted, ApiError>,
        asset: &UploadId,
        intent: i64,
        expect: Expect,
    ) -> Result<Result<Made, ApiError>, OutcomeUnknown> {
        let job = match accepted {
            Ok(Accepted::Done(asset)) => return Ok(Ok(Made { asset, witness: Witness::OwnAnswer })),
            Ok(Accepted::Job(job)) => job,
            Err(error) if error.outcome_unknown() => {
                // Blocked calls are tried more often, and all the looks for one take no longer together.
                let wait = if error.is_blocked() { self.waits.unsure / ATTEMPTS } else { self.waits.unsure };
                let shown = self.shows(asset, expect, wait).await.map_err(|_| OutcomeUnknown(Some(error)))?;
                return Ok(Ok(Made { asset: shown, witness: Witness::Nobody }));
            }
            Err(error) => return Ok(Err(error)),
        };
        self.note_job(intent, job.as_str()).await;
        match self.confirmer.wait(asset.clone(), Some(job.clone()), expect).await {
            Ok(Some(asset)) => Ok(Ok(Made { asset, witness: Witness::Job(job) })),
            Ok(None) => Err(OutcomeUnknown(None)),
            Err(error) => Ok(Err(error)),
        }
    }

    /// Waits a while for a change to show whose answer was lost.
    async fn shows(&self, id: &UploadId, expect: Expect, most: Duration) -> Result<Box<Asset>, OutcomeUnknown> {
        let wait = self.confirmer.wait(id.clone(), None, expect);
        match tokio::time::timeout(most, wait).await {
            Ok(Ok(Some(asset))) => Ok(asset),
            _ => Err(OutcomeUnknown(None)),
        }
    }

    /// What is reported as mirrored has arrived whole. An asset with another content was spoilt on its way, and is sent
    /// again; or it arrived, and an editor has replaced its file since. The call's own answer or its job's result tells
    /// which; where neither can, the bucket's word that the bytes arrived counts: an editor's file is not overwritten on a
    /// doubt.
    async fn verified(&self, made: Made, content: Md5, action: ActionKind) -> Result<Box<Asset>, Failure> {
        let Made { asset, witness } = made;
        let Some(md5) = asset.md5.filter(|md5| *md5 != content) else { return Ok(asset) };
        let left_by_us = match witness {
            Witness::OwnAnswer => Some(md5),
            Witness::Job(job) => self.content_after(&asset.id, job).await,
            Witness::Nobody => None,
        };
        if left_by_us != Some(md5) {
            return Ok(asset);
        }
        let cause = format!("the service stored other bytes than were sent (md5 {md5} instead of {content})");
        let problem = Problem::new(action, cause, "it is sent again; if it lasts, tell DatoCMS");
        Err(Failure::Damaged { asset, problem })
    }

    /// The content that the asset had when the job ended, if its result can be had.
    async fn content_after(&self, asset: &UploadId, job: JobId) -> Option<Md5> {
        let wait = self.confirmer.wait(asset.clone(), Some(job), Expect::JobDone);
        let told = tokio::time::timeout(self.waits.unsure, wait).await.ok()?.ok()?;
        told.and_then(|asset| asset.md5)
    }
}

fn size_of(row: &FileRow) -> u64 {
    row.print.map_or(0, |print| print.size)
}

/// Whether the service gave the asset another URL with our content. With another content an editor may have.
fn is_moved(keep_url: KeepUrl, before: &Asset, after: &Asset, content: Md5) -> bool {
    keep_url == KeepUrl::Yes && after.url != before.url && after.md5.is_none_or(|md5| md5 == content)
}
