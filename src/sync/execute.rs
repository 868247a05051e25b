//! Carries out one action: the remote's only writer.
//!
//! Owns: the calls of each action in their order, intent before effect, a last look before each write of an asset that
//! is there (`look`), and what to do when an answer is lost: look before sending again. Chooses nothing: an action is
//! complete, and where its asset has moved the planner makes another. Never writes outcomes (that is `record`).

mod after;
pub mod bulk;
mod content;
mod correct_stamp;
mod delete;
mod deletions;
mod due;
mod gone;
mod left_out;
mod look;
mod rights;
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
use crate::metadata::merge::Conflict;
use crate::model::{ActionKind, Asset, FieldKey, Fields, Md5, MirrorStamp, RelPath, Stamp, UploadId};
use crate::remote::{
    Accepted, ApiError, ApiErrorKind, Expect, Metadata, Remote, Scope as ErrorScope, UploadChange, advice,
};

use crate::sync::confirm::Confirmer;
use crate::sync::last_look::LastLook;
use crate::sync::plan::edit::Edit;
use crate::sync::plan::{Action, Plan, Policy};
use crate::sync::plan_limits::Room;
use crate::sync::record::record_edit;
use crate::sync::scope::Scope;
use crate::sync::timeouts::SyncTimeouts;
use due::Due;
use left_out::LeftOut;

pub use after::changed_since;
pub(crate) use look::Attempts;
pub use rights::Rights;
pub(crate) use rights::{Place, Right, missing};
pub use sending::Sending;

/// Why an action did not come to its end.
#[derive(Debug)]
pub enum Failure {
    /// The file is not what was planned for: back to settling.
    Changed,
    /// Of the files that are gone, as the plan has it, these paths are there again, or something else lies there.
    Back(Vec<RelPath>),
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
    /// Looks at an asset right before it is written.
    pub last_look: LastLook,
    /// Where no asset may be made.
    pub rights: Arc<Rights>,
    /// What the plan lets be sent.
    pub room: Arc<Room>,
    /// What planning again observes.
    pub scope: Arc<Scope>,
    /// What planning again decides by.
    pub policy: Arc<Policy>,
    /// How long to wait for what.
    pub waits: SyncTimeouts,
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

/// An action that came to an end.
#[derive(Debug)]
pub struct Executed {
    /// The row as it was when the plan that was carried out was made.
    pub row: FileRow,
    /// The plan that was carried out.
    pub plan: Plan,
    /// Conflicts that the plan at the beginning did not know.
    pub conflicts: Vec<Conflict>,
    /// The asset as confirmed, or nothing where none is left or none was touched.
    pub result: Result<Option<Box<Asset>>, Failure>,
}

/// An action under way.
#[derive(Debug)]
pub(crate) struct Execution {
    pub row: FileRow,
    pub plan: Plan,
    pub conflicts: Vec<Conflict>,
}

impl Execution {
    pub(crate) const fn new(row: FileRow, plan: Plan) -> Self {
        Self { row, plan, conflicts: Vec::new() }
    }

    pub(crate) const fn planned(&self) -> (&FileRow, &Plan) {
        (&self.row, &self.plan)
    }

    pub(crate) fn ended(self, result: Result<Option<Box<Asset>>, Failure>) -> Executed {
        Executed { row: self.row, plan: self.plan, conflicts: self.conflicts, result }
    }
}

impl Executor {
    /// Carries out `plan` for the path of `row`, with a permit to send if it sends. Where its asset has moved when it is to
    /// be written, what is carried out is a plan made then.
    pub async fn execute(
        &self,
        row: FileRow,
        plan: Plan,
        permit: Option<OwnedSemaphorePermit>,
        cancel: &CancellationToken,
    ) -> Executed {
        let mut execution = Execution::new(row, plan);
        let result = self.carry_out(&mut execution, permit, cancel).await;
        if let Action::Create { content, .. } | Action::Replace { content, .. } = &execution.plan.action {
            // Others may have waited for what it tells about room.
            self.room.left(*content).await;
        }
        execution.ended(result)
    }

    async fn carry_out(
        &self,
        execution: &mut Execution,
        permit: Option<OwnedSemaphorePermit>,
        cancel: &CancellationToken,
    ) -> Result<Option<Box<Asset>>, Failure> {
        match &execution.plan.action {
            Action::Nothing
            | Action::Record { .. }
            | Action::Accept { .. }
            | Action::Forget
            | Action::Wait
            | Action::Report { .. } => Ok(None),
            Action::Create { .. } => self.create(execution, permit, cancel).await.map(Some),
            Action::Adopt { .. } | Action::Alias { .. } | Action::Move { .. } | Action::Retag { .. } => {
                self.edit(execution).await
            }
            Action::Replace { .. } => self.replace(execution, permit, cancel).await.map(Some),
            Action::Delete { .. } => self.delete(execution).await.map(|()| None),
        }
    }

    /// Metadata, name or stamp; no bytes. No call when nothing is due.
    async fn edit(&self, execution: &mut Execution) -> Result<Option<Box<Asset>>, Failure> {
        let (mut attempts, mut left_out) = (Attempts::default(), LeftOut::default());
        while let Some(due) = Due::of(&execution.plan.action) {
            let intent = match due.is_silent {
                true => {
                    let (row, id) = (&execution.row, &due.asset.id);
                    Some(self.begin(row, id, IntentKind::Edit, None, Some(&due.edit.entry)).await?)
                }
                false => None,
            };
            let written = self.write_edit(execution, intent, &mut attempts, &mut left_out).await;
            if let Some(intent) = intent {
                self.end(intent).await?;
            }
            if let Some(asset) = written? {
                return Ok(Some(asset));
            }
        }
        Ok(None)
    }

    /// One attempt to write what is due; `None` when there is to be another.
    async fn write_edit(
        &self,
        execution: &mut Execution,
        intent: Option<i64>,
        attempts: &mut Attempts,
        left_out: &mut LeftOut,
    ) -> Result<Option<Box<Asset>>, Failure> {
        let permit = self.look(execution, intent).await?;
        self.still_gone([execution.planned()]).await?;
        let name = execution.plan.action.name().unwrap_or(ActionKind::Retag);
        // What was due may be done, or may need an intent now.
        let Some(due) = Due::of(&execution.plan.action).filter(|due| intent.is_some() || !due.is_silent) else {
            return Ok(None);
        };
        let Due { asset, edit, basename, is_silent } = due;
        let metadata = Some(self.metadata_of(edit, Some(&asset.stamp)));
        let change = UploadChange { basename, metadata, ..UploadChange::default() };
        // Where the stamp changes, it shows that the change is done; else only the job tells.
        let expect = if is_silent { Expect::JobDone } else { Expect::Stamp(Box::new(edit.stamp.clone())) };
        let accepted = match self.remote.update_in(permit, &asset.id, &change).await {
            Ok(accepted) => Ok(accepted),
            Err(error) => match self.again(error, attempts).await {
                Ok(()) => return Ok(None),
                Err(error) => Err(error),
            },
        };
        let edited = match accepted {
            Ok(Accepted::Done(asset)) => Ok(asset),
            Ok(Accepted::Job(job)) => {
                if let Some(intent) = intent {
                    self.note_job(intent, job.as_str()).await;
                }
                match self.confirmer.wait(asset.id.clone(), Some(job), expect).await {
                    Ok(Some(asset)) => Ok(asset),
                    Ok(None) => match self.remote.find(&asset.id).await {
                        Ok(Some(asset)) => Ok(Box::new(asset)),
                        Ok(None) => Err(outcome_unknown()),
                        Err(error) => Err(error),
                    },
                    Err(error) => Err(error),
                }
            }
            // Observed again before anything is sent again.
            Err(error) if error.outcome_unknown() => {
                tokio::time::sleep(Duration::from_secs(1)).await;
                match self.remote.find(&asset.id).await {
                    Ok(Some(found)) if error.kind == ApiErrorKind::Between && found == *asset => {
                        if self.once_more(attempts).await {
                            return Ok(None);
                        }
                        Err(error)
                    }
                    Ok(Some(found)) => {
                        let (file, entry) = (execution.row.id, edit.entry.clone());
                        self.index
                            .call(move |conn| {
                                assets::upsert(conn, &found, None)?;
                                record_edit(conn, file, &found, &entry)
                            })
                            .await?;
                        return Err(Failure::Replan);
                    }
                    Ok(None) | Err(_) => Err(error),
                }
            }
            Err(error) => Err(error),
        };
        match edited {
            Ok(asset) => Ok(Some(asset)),
            Err(error) => {
                let is_move = edit.write.contains(&FieldKey::Collection) && edit.write.len() == 1;
                let (right, asset) = (if is_move { Right::Move } else { Right::of(name) }, asset.clone());
                match self.leave_out(execution, left_out, error, intent).await? {
                    Some(error) => self.refused(name, right, &asset, error).await,
                    None => Ok(None),
                }
            }
        }
    }

    async fn refused<T>(&self, action: ActionKind, right: Right, asset: &Asset, error: ApiError) -> Result<T, Failure> {
        let id = &asset.id;
        if error.is_not_found() {
            let id = id.clone();
            self.index.call(move |conn| assets::remove(conn, &id)).await?;
            return Err(Failure::Replan);
        }
        if error.kind == ApiErrorKind::Permission {
            let collection = collection_of(&asset.fields);
            return Err(missing(action, right, &error, collection, &self.scope.desires));
        }
        Err(failed(action, error))
    }

    async fn begin(
        &self,
        row: &FileRow,
        asset: &UploadId,
        kind: IntentKind,
        md5: Option<Md5>,
        entry: Option<&MirrorStamp>,
    ) -> Result<i64, Failure> {
        let (file, asset, now) = (row.id, asset.clone(), Timestamp::now().as_millisecond());
        let entry = entry.cloned();
        Ok(self.index.call(move |conn| intents::begin(conn, file, &asset, kind, md5, entry.as_ref(), now)).await?)
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

/// The answer was lost and the change does not show; what came in its place.
#[derive(Debug)]
struct OutcomeUnknown(Option<ApiError>);

impl OutcomeUnknown {
    /// For people: what answered in the API's place, when something did.
    fn told(self) -> ApiError {
        self.0.filter(|error| error.kind == ApiErrorKind::Between).unwrap_or_else(outcome_unknown)
    }
}

fn outcome_unknown() -> ApiError {
    ApiError::new(ApiErrorKind::Network, "the answer was lost, and the change does not show; it is looked at again")
}

impl Executor {
    /// What is sent of an edit: what changes. The stamp goes along when it says something new, and when the custom data it
    /// lies among are written: they are one value.
    fn metadata_of(&self, edit: &Edit, stored: Option<&Stamp>) -> Metadata {
        let main = self.scope.site.main_locale();
        let beside = edit.write.iter().any(|key| matches!(key, FieldKey::CustomData(locale, _) if locale == main));
        Metadata {
            tags: edit.tags.clone(),
            fields: edit.fields.clone(),
            write: edit.write.clone(),
            stamp: (beside || stored != Some(&edit.stamp)).then(|| edit.stamp.clone()),
        }
    }
}

/// The collection among an asset's fields.
fn collection_of(fields: &Fields) -> Option<&str> {
    fields.get(&FieldKey::Collection).and_then(serde_json::Value::as_str)
}

fn failed(action: ActionKind, error: ApiError) -> Failure {
    if error.is_about_collection() {
        Failure::Collection
    } else if error.scope() == ErrorScope::All {
        Failure::All(error)
    } else {
        path_problem(action, &error, error.heals())
    }
}

fn path_problem(action: ActionKind, error: &ApiError, retry: bool) -> Failure {
    Failure::Path { problem: Problem::new(action, error.to_string(), advice(error)), retry }
}
