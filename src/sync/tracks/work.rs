//! The calls for the tracks of one video.
//!
//! Owns: that every change begins with a look at the video's tracks, that the index has the intent before the call, and
//! what to do when an answer is lost. Decides nothing: that is `tracks::plan`.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::Due;
use super::plan::{Look, Refusal, Step, kept, outcome, pause, plan, plan_all};
use super::trouble::{failed, outcome_unknown, refused};
use crate::config::policy::OnRemoteDelete;
use crate::index::{Index, IndexError, Problem, assets, files};
use crate::model::{ActionKind, Asset, MirrorStamp, TrackStamp, UploadId};
use crate::remote::{ApiError, PlanLimit, Remote, Track};
use crate::sync::execute::{Attempts, Executor, Failure, Place};
use crate::sync::plan::Policy;
use crate::sync::track_file::TrackFile;

/// Looks for a track whose making lost its answer.
const LOOKS: u32 = 5;

/// What the calls for one track came to.
#[derive(Debug)]
pub struct Done {
    /// The file.
    pub claim: TrackFile,
    /// What was done, or why not.
    pub result: Result<Due, Failure>,
    /// Whether the service still has to tell that it can use the track.
    pub preparing: bool,
}

/// What a dry run tells of one track.
#[derive(Debug)]
pub struct Foreseen {
    /// The file.
    pub claim: TrackFile,
    /// What would be done.
    pub due: Due,
    /// Why it would not be done.
    pub problem: Option<Problem>,
}

/// The files that are tracks of one asset, and what is due for them.
#[derive(Debug)]
pub struct Work {
    /// The mirror's row in the index.
    pub mirror: i64,
    /// The video's asset.
    pub asset: Asset,
    /// Its file was just sent.
    pub fresh: bool,
    /// The files, all of this asset.
    pub claims: Vec<TrackFile>,
    /// What a vanished file and an editor's deletion mean.
    pub policy: Arc<Policy>,
}

impl Work {
    /// Does it all, one after the other.
    ///
    /// # Errors
    /// The index's.
    pub async fn run(self, executor: Executor, cancel: CancellationToken) -> Result<Vec<Done>, IndexError> {
        let listed = match executor.remote.tracks(&self.asset.id).await {
            Ok(listed) => listed,
            Err(error) => {
                let failed =
                    |claim| Done { claim, result: Err(failed(ActionKind::Create, error.clone())), preparing: false };
                return Ok(self.claims.into_iter().map(failed).collect());
            }
        };
        let look = self.look(listed, &executor.index).await?;
        let patience = if self.fresh { executor.waits.video } else { Duration::ZERO };
        let mut hands =
            AssetTracks { executor: &executor, mirror: self.mirror, id: &self.asset.id, look, patience, since: None };
        let mut done = Vec::new();
        for claim in self.claims {
            if cancel.is_cancelled() {
                break;
            }
            let result = hands.settle(&claim, claim.due(self.policy.on_delete), &cancel).await;
            done.push(Done { claim, result, preparing: false });
        }
        hands.see_ready(&mut done, &cancel).await;
        Ok(done)
    }

    /// What [`Work::run`] would do, and what it would say. Calls nothing but the list of tracks, and that only when the
    /// asset `is_there` already.
    ///
    /// # Errors
    /// The index's.
    pub async fn foresee(self, remote: &Remote, index: &Index, is_there: bool) -> Result<Vec<Foreseen>, IndexError> {
        let listed = if is_there { remote.tracks(&self.asset.id).await } else { Ok(Vec::new()) };
        // What cannot be seen is told as far as the index knows.
        let Ok(listed) = listed else {
            let told = |claim: TrackFile| (claim.due(self.policy.on_delete), claim);
            return Ok(self
                .claims
                .into_iter()
                .map(told)
                .map(|(due, claim)| Foreseen { claim, due, problem: None })
                .collect());
        };
        let look = self.look(listed, index).await?;
        let foreseen = |(claim, steps): (TrackFile, Vec<Step>)| {
            let problem = steps.iter().find_map(|step| match step {
                Step::Refuse(refusal) => Some(refused(&claim, refusal)),
                _ => None,
            });
            Foreseen { due: outcome(&claim, &steps), claim, problem }
        };
        Ok(plan_all(self.claims, self.policy.on_delete, look).into_iter().map(foreseen).collect())
    }

    async fn look(&self, listed: Vec<Track>, index: &Index) -> Result<Look, IndexError> {
        let entry = self.claims.first().map(|claim| claim.entry.clone()).unwrap_or_default();
        let others = self.asset.stamp.0.iter().filter(|(name, _)| **name != self.policy.mirror);
        let others = others.flat_map(|(_, entry)| entry.tracks.values());
        let foreign = others.filter_map(|track| Some((track.id.clone()?, track.md5.clone()))).collect();
        let gone = gone(index, self.mirror, &entry).await?;
        let recreate = self.policy.on_remote_delete == OnRemoteDelete::Recreate;
        Ok(Look { entry, foreign, listed, gone, recreate })
    }
}

/// Names of files with a track that are not on disk. Of a name that is a digest nobody can tell.
async fn gone(index: &Index, mirror: i64, entry: &MirrorStamp) -> Result<BTreeSet<String>, IndexError> {
    let names: Vec<String> = entry.tracks.keys().filter(|name| !name.starts_with('#')).cloned().collect();
    let find = move |conn: &rusqlite::Connection| {
        let mut gone = BTreeSet::new();
        for name in names {
            if !files::by_path(conn, mirror, &name)?.is_some_and(|row| row.present) {
                gone.insert(name);
            }
        }
        Ok(gone)
    };
    index.call(find).await
}

fn refuse(claim: &TrackFile, refusal: &Refusal) -> Failure {
    Failure::Path { problem: refused(claim, refusal), retry: false }
}

/// One asset under work.
struct AssetTracks<'a> {
    executor: &'a Executor,
    mirror: i64,
    id: &'a UploadId,
    look: Look,
    /// How long to wait for the video to take tracks.
    patience: Duration,
    /// When it first did not.
    since: Option<Instant>,
}

impl AssetTracks<'_> {
    async fn settle(&mut self, claim: &TrackFile, due: Due, cancel: &CancellationToken) -> Result<Due, Failure> {
        if due == Due::Delete {
            self.executor.are_gone(vec![claim.row.path.clone()]).await?;
        }
        if due != Due::Delete && claim.row.md5.is_none() {
            // It is not what the scan saw.
            return Err(Failure::Changed);
        }
        let steps = plan(claim, due, &self.look);
        for step in &steps {
            match step {
                Step::Create => self.make(claim, None, cancel).await?,
                Step::Replace { old } => self.make(claim, Some(old.clone()), cancel).await?,
                Step::Refuse(refusal) => return Err(refuse(claim, refusal)),
                Step::Delete(_) | Step::Keep(_) | Step::Forget(_) => self.take(claim, step).await?,
            }
        }
        Ok(outcome(claim, &steps))
    }

    /// A step that makes nothing.
    async fn take(&mut self, claim: &TrackFile, step: &Step) -> Result<(), Failure> {
        if let Step::Delete(id) = step
            && self.look.is_listed(id)
        {
            let deleted = self.executor.remote.delete_track(self.id, id).await;
            deleted.map_err(|error| failed(ActionKind::Delete, error))?;
        }
        self.look.took(claim, step);
        if matches!(step, Step::Keep(_) | Step::Forget(_)) {
            self.save().await?;
        }
        Ok(())
    }

    async fn make(
        &mut self,
        claim: &TrackFile,
        old: Option<String>,
        cancel: &CancellationToken,
    ) -> Result<(), Failure> {
        let Some(content) = claim.row.md5 else { return Err(Failure::Changed) };
        let action = if old.is_some() { ActionKind::Replace } else { ActionKind::Create };
        let path = self.executor.send(&claim.row, content, action, Place::default(), cancel).await?;
        let intent = TrackStamp::unknown(content.to_string(), old.clone());
        self.look.entry.tracks.insert(claim.name.clone(), intent);
        self.save().await?;
        let mut old = old;
        let mut attempts = Attempts::default();
        let created = loop {
            let created = self.create(claim, &path, &mut old).await?;
            if let Err(error) = &created
                && error.outcome_unknown()
            {
                if let Some(track) = self.look_for(claim, old.as_ref()).await {
                    break Ok(track);
                }
                if error.is_blocked() && self.executor.once_more(&mut attempts).await {
                    continue;
                }
                // The intent stays: the next pass looks again.
                return Err(outcome_unknown(action, error));
            }
            let Some(pause) = created.as_ref().err().and_then(|error| self.pause(claim, error)) else { break created };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = cancel.cancelled() => {
                    self.forget_intent(claim, old).await?;
                    return Err(Failure::Stopped);
                }
            }
        };
        let track = match created {
            Ok(track) => track,
            Err(error) => {
                self.forget_intent(claim, old).await?;
                if error.plan_limit().is_some_and(|limit| matches!(limit, PlanLimit::Storage | PlanLimit::SingleUpload))
                {
                    let size = claim.row.print.map_or(0, |print| print.size);
                    return Err(self.executor.not_taken(action, error, content, size, Place::default()).await);
                }
                return Err(failed(action, error));
            }
        };
        self.look.listed.push(track.clone());
        let made = TrackStamp { id: Some(track.id), md5: content.to_string(), old };
        for step in kept(made, &self.look) {
            self.take(claim, &step).await?;
        }
        match track.error {
            Some(error) => Err(refuse(claim, &Refusal::Unusable(error))),
            None => Ok(()),
        }
    }

    async fn create(
        &mut self,
        claim: &TrackFile,
        path: &str,
        old: &mut Option<String>,
    ) -> Result<Result<Track, ApiError>, Failure> {
        let created = self.executor.remote.create_track(self.id, path, &claim.companion.track()).await;
        if !created.as_ref().is_err_and(ApiError::is_taken) {
            return Ok(created);
        }
        let Some(before) = old.take() else { return Ok(created) };
        // Its place has to be free first.
        self.take(claim, &Step::Delete(before)).await?;
        Ok(self.executor.remote.create_track(self.id, path, &claim.companion.track()).await)
    }

    /// How long to wait before the track is sent again, when it was refused because its video is not far enough.
    fn pause(&mut self, claim: &TrackFile, error: &ApiError) -> Option<Duration> {
        if !error.is_too_early() {
            return None;
        }
        let waited = self.since.get_or_insert_with(Instant::now).elapsed();
        let pause = pause(waited, self.patience)?;
        tracing::info!(path = %claim.row.path, video = claim.video, %error, ?pause, "waiting for the video to be processed");
        Some(pause)
    }

    /// Looks once more at tracks that the service had not tried to use when they were made.
    async fn see_ready(&mut self, done: &mut [Done], cancel: &CancellationToken) {
        let is_preparing = |look: &Look, done: &Done| {
            done.result.is_ok() && look.track_of(&done.claim.name).is_some_and(|track| track.preparing)
        };
        let is_new = |done: &&Done| matches!(done.result, Ok(Due::Create | Due::Replace));
        if done.iter().filter(is_new).any(|done| is_preparing(&self.look, done)) {
            tokio::select! {
                () = tokio::time::sleep(self.executor.waits.track) => {}
                () = cancel.cancelled() => {}
            }
            if let Ok(listed) = self.executor.remote.tracks(self.id).await {
                self.look.listed = listed;
            }
        }
        for done in done {
            done.preparing = is_preparing(&self.look, done);
            let error = self.look.track_of(&done.claim.name).and_then(|track| track.error.clone());
            if let Some(error) = error.filter(|_| done.result.is_ok()) {
                done.result = Err(refuse(&done.claim, &Refusal::Unusable(error)));
            }
        }
    }

    /// The service refused: what was there before is still ours.
    async fn forget_intent(&mut self, claim: &TrackFile, old: Option<String>) -> Result<(), Failure> {
        let before = claim.entry.tracks.get(&claim.name).filter(|before| old.is_some() && before.id == old).cloned();
        match before {
            Some(before) => drop(self.look.entry.tracks.insert(claim.name.clone(), before)),
            None => drop(self.look.entry.tracks.remove(&claim.name)),
        }
        self.save().await
    }

    async fn look_for(&mut self, claim: &TrackFile, old: Option<&String>) -> Option<Track> {
        for _ in 0..LOOKS {
            tokio::time::sleep(self.executor.waits.unsure.min(Duration::from_secs(10)) / LOOKS).await;
            let Ok(listed) = self.executor.remote.tracks(self.id).await else { continue };
            let ours = self.look.ours();
            let is_new = |track: &&Track| {
                track.is_for(&claim.companion.track()) && !ours.contains(track.id.as_str()) && Some(&track.id) != old
            };
            if let Some(track) = listed.iter().find(is_new) {
                return Some(track.clone());
            }
        }
        None
    }

    /// Into the index, on disk before this returns; the stamp follows with the video's next turn.
    async fn save(&self) -> Result<(), Failure> {
        let (mirror, id, entry) = (self.mirror, self.id.clone(), self.look.entry.clone());
        let save = self.executor.index.call(move |conn| {
            assets::set_pushed(conn, mirror, &id, &entry)?;
            files::mark_owners_dirty(conn, &id)
        });
        Ok(save.await?)
    }
}
