//! The calls for the tracks of one video.
//!
//! Owns: that every change begins with a look at the video's tracks, what that look means for what a [`Claim`] wants, and
//! that the index has the intent before the call. Called by: the pass's `tracks` stage.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::trouble::{deleted, failed, in_the_way, lost, unusable};
use super::{Claim, Due};
use crate::config::policy::OnRemoteDelete;
use crate::index::{assets, files};
use crate::model::{Asset, Md5, MirrorStamp, TrackStamp, UploadId};
use crate::pipeline::execute::{Executor, Failure};
use crate::pipeline::plan::Policy;
use crate::remote::{ApiError, Track};

/// Looks for a track whose making lost its answer.
const LOOKS: u32 = 5;

/// What the calls for one track came to: what was done, or why not.
pub type Done = (Claim, Result<Due, Failure>);

/// Carries out what is due for tracks of one asset, one after the other.
#[derive(Debug)]
pub struct Work {
    /// The calls.
    pub executor: Executor,
    /// The mirror's row in the index.
    pub mirror: i64,
    /// The video's asset.
    pub asset: Asset,
    /// The files, all of this asset.
    pub claims: Vec<Claim>,
    /// What a vanished file and an editor's deletion mean.
    pub policy: Arc<Policy>,
}

impl Work {
    /// Does it all.
    pub async fn run(self, cancel: CancellationToken) -> Vec<Done> {
        let Self { executor, mirror, asset, claims, policy } = self;
        let listed = match executor.remote.tracks(&asset.id).await {
            Ok(listed) => listed,
            Err(error) => {
                return claims.into_iter().map(|claim| (claim, Err(failed("create", error.clone())))).collect();
            }
        };
        let entry = claims.first().map(|claim| claim.entry.clone()).unwrap_or_default();
        let others = asset.stamp.0.iter().filter(|(name, _)| **name != policy.mirror);
        let others = others.flat_map(|(_, entry)| entry.tracks.values());
        let foreign = others.filter_map(|track| Some((track.id.clone()?, track.md5.clone()))).collect();
        let recreate = policy.on_remote_delete == OnRemoteDelete::Recreate;
        let mut hands = Hands { executor: &executor, mirror, id: &asset.id, entry, foreign, listed, recreate };
        let mut done = Vec::new();
        for claim in claims {
            if cancel.is_cancelled() {
                break;
            }
            let result = hands.settle(&claim, claim.due(policy.on_delete), &cancel).await;
            done.push((claim, result));
        }
        done
    }
}

fn ids_of(entry: &MirrorStamp) -> BTreeSet<String> {
    entry.tracks.values().flat_map(|track| track.id.iter().chain(&track.old)).cloned().collect()
}

/// One asset under work.
struct Hands<'a> {
    executor: &'a Executor,
    mirror: i64,
    id: &'a UploadId,
    /// What the mirror pushed, as it is now.
    entry: MirrorStamp,
    /// Tracks that other mirrors use, and the digests of their content.
    foreign: BTreeMap<String, String>,
    /// The tracks there are.
    listed: Vec<Track>,
    /// Whether a track that an editor deleted is made again.
    recreate: bool,
}

impl Hands<'_> {
    async fn settle(&mut self, claim: &Claim, due: Due, cancel: &CancellationToken) -> Result<Due, Failure> {
        if due == Due::Delete {
            return self.delete(claim).await;
        }
        let Some(content) = claim.row.md5 else { return Err(Failure::Changed) };
        let md5 = content.to_string();
        let mut made = self.entry.tracks.get(&claim.name).cloned();
        let ours = ids_of(&self.entry);
        if let Some(open) = made.as_mut().filter(|made| made.id.is_none()) {
            // Begun, and its end not known.
            let there = |track: &&Track| track.is_for(&claim.companion) && !ours.contains(&track.id);
            open.id = self.listed.iter().find(there).map(|track| track.id.clone());
        }
        let is_listed = |id: &String| self.listed.iter().any(|track| track.id == *id);
        if let Some(made) = made.as_ref().filter(|made| made.md5 == md5 && made.id.as_ref().is_some_and(is_listed)) {
            let track = self.listed.iter().find(|track| Some(&track.id) == made.id.as_ref()).cloned();
            self.keep(claim, made.clone()).await?;
            return match track.and_then(|track| track.error) {
                Some(error) => Err(unusable(&error)),
                None => Ok(Due::Nothing),
            };
        }
        let ours_alone = |id: &String| is_listed(id) && !self.foreign.contains_key(id);
        let old = made.as_ref().and_then(|made| made.id.clone()).filter(ours_alone);
        let older = made.as_ref().and_then(|made| made.old.clone()).filter(ours_alone);
        if let (Some(old), Some(older)) = (&old, &older)
            && old != older
        {
            self.remove(older.clone()).await?;
        }
        let old = old.or(older);
        let blocks = |track: &&Track| track.is_for(&claim.companion) && Some(&track.id) != old.as_ref();
        if let Some(track) = self.listed.iter().find(blocks) {
            let sharer = self.entry.tracks.iter().find(|(_, made)| made.id.as_ref() == Some(&track.id));
            return match sharer.map(|(name, made)| (name.clone(), made.clone())) {
                // The same content under another name: a moved video, or one that shares its asset.
                Some((name, made)) if made.md5 == md5 => {
                    self.take_over(&name).await?;
                    self.keep(claim, made).await?;
                    Ok(Due::Nothing)
                }
                Some((name, _)) => Err(in_the_way(claim, &format!("that {name} made"))),
                None => match self.foreign.get(&track.id) {
                    Some(theirs) if *theirs == md5 => {
                        let made = TrackStamp { id: Some(track.id.clone()), md5, old: None };
                        self.keep(claim, made).await?;
                        Ok(Due::Nothing)
                    }
                    Some(_) => Err(in_the_way(claim, "of another mirror")),
                    None => Err(in_the_way(claim, "that the mirror did not make")),
                },
            };
        }
        if !self.recreate && made.is_some_and(|made| made.md5 == md5 && made.id.is_some()) {
            return Err(deleted(claim));
        }
        let due = if old.is_some() { Due::Replace } else { Due::Create };
        self.make(claim, content, old, cancel).await?;
        Ok(due)
    }

    async fn make(
        &mut self,
        claim: &Claim,
        content: Md5,
        old: Option<String>,
        cancel: &CancellationToken,
    ) -> Result<(), Failure> {
        let action = if old.is_some() { "replace" } else { "create" };
        let path = self.executor.send(&claim.row, content, action, cancel).await?;
        let intent = TrackStamp::unknown(content.to_string(), old.clone());
        self.entry.tracks.insert(claim.name.clone(), intent);
        self.save().await?;
        let mut created = self.executor.remote.create_track(self.id, &path, &claim.companion).await;
        let mut old = old;
        if let Some(before) = old.clone().filter(|_| created.as_ref().is_err_and(ApiError::is_taken)) {
            // Its place has to be free first.
            self.remove(before).await?;
            old = None;
            created = self.executor.remote.create_track(self.id, &path, &claim.companion).await;
        }
        let track = match created {
            Ok(track) => track,
            Err(error) if error.unsure() => match self.look_for(claim, old.as_ref()).await {
                Some(track) => track,
                // The intent stays: the next pass looks again.
                None => return Err(lost(action, &error)),
            },
            Err(error) => {
                self.forget_intent(claim, old).await?;
                return Err(failed(action, error));
            }
        };
        self.listed.push(track.clone());
        let made = TrackStamp { id: Some(track.id), md5: content.to_string(), old: old.clone() };
        self.keep(claim, made).await?;
        if let Some(error) = track.error {
            return Err(unusable(&error));
        }
        Ok(())
    }

    /// The service refused: what was there before is still ours.
    async fn forget_intent(&mut self, claim: &Claim, old: Option<String>) -> Result<(), Failure> {
        let before = claim.entry.tracks.get(&claim.name).filter(|before| old.is_some() && before.id == old).cloned();
        match before {
            Some(before) => drop(self.entry.tracks.insert(claim.name.clone(), before)),
            None => drop(self.entry.tracks.remove(&claim.name)),
        }
        self.save().await
    }

    async fn look_for(&mut self, claim: &Claim, old: Option<&String>) -> Option<Track> {
        for _ in 0..LOOKS {
            tokio::time::sleep(self.executor.unsure.min(Duration::from_secs(10)) / LOOKS).await;
            let Ok(listed) = self.executor.remote.tracks(self.id).await else { continue };
            let ours = ids_of(&self.entry);
            let is_new =
                |track: &&Track| track.is_for(&claim.companion) && !ours.contains(&track.id) && Some(&track.id) != old;
            if let Some(track) = listed.iter().find(is_new) {
                return Some(track.clone());
            }
        }
        None
    }

    /// The track of a file is there: remembers it, and deletes the one before.
    async fn keep(&mut self, claim: &Claim, mut made: TrackStamp) -> Result<(), Failure> {
        self.entry.tracks.insert(claim.name.clone(), made.clone());
        self.save().await?;
        if let Some(old) = made.old.take() {
            self.remove(old).await?;
            self.entry.tracks.insert(claim.name.clone(), made);
            self.save().await?;
        }
        Ok(())
    }

    /// A track now goes by another file's name; the name before goes when its file is gone.
    async fn take_over(&mut self, name: &str) -> Result<(), Failure> {
        let (mirror, key) = (self.mirror, name.to_owned());
        let gone = self.executor.index.call(move |conn| {
            Ok(!key.starts_with('#') && !files::by_path(conn, mirror, &key)?.is_some_and(|row| row.present))
        });
        if gone.await? {
            self.entry.tracks.remove(name);
        }
        Ok(())
    }

    async fn delete(&mut self, claim: &Claim) -> Result<Due, Failure> {
        if std::fs::symlink_metadata(claim.row.path.below(&self.executor.root)).is_ok() {
            // It came back since the scan.
            return Err(Failure::Changed);
        }
        // A deletion that fails leaves the track remembered: what others of this video save must not forget it.
        let mut rest = self.entry.clone();
        let Some(made) = rest.tracks.remove(&claim.name) else { return Ok(Due::Nothing) };
        let mut shared = ids_of(&rest);
        shared.extend(self.foreign.keys().cloned());
        let mut due = Due::Nothing;
        for id in made.id.into_iter().chain(made.old).filter(|id| !shared.contains(id)) {
            self.remove(id).await?;
            due = Due::Delete;
        }
        self.entry = rest;
        self.save().await?;
        Ok(due)
    }

    async fn remove(&mut self, id: String) -> Result<(), Failure> {
        if self.listed.iter().any(|track| track.id == id) {
            let deleted = self.executor.remote.delete_track(self.id, &id).await;
            deleted.map_err(|error| failed("delete", error))?;
            self.listed.retain(|track| track.id != id);
        }
        Ok(())
    }

    /// Into the index, on disk before this returns; the stamp follows with the video's next turn.
    async fn save(&self) -> Result<(), Failure> {
        let (mirror, id, entry) = (self.mirror, self.id.clone(), self.entry.clone());
        let save = self.executor.index.call(move |conn| {
            assets::set_pushed(conn, mirror, &id, &entry)?;
            files::mark_owners_dirty(conn, &id)
        });
        Ok(save.await?)
    }
}
