//! What a mirror stands on: its root, and what is mounted below it.
//!
//! Owns: when the root's guard looks, what it compares with, and what is remembered for the next time. Decides nothing
//! about a file.

use std::path::{Path, PathBuf};
use std::sync::{MutexGuard, PoisonError};

use super::MirrorRun;
use crate::disk::{Ground, GuardTripped, Mount, RootIdentity, check_root};
use crate::error::RunError;
use crate::index::{Index, IndexError, files, settings};
use crate::model::RelPath;
use crate::sync::absence::holds_a_file_below;

/// What was seen below the root in this process.
#[derive(Debug, Default)]
pub struct Below {
    /// Somebody has looked.
    looked: bool,
    /// What was mounted.
    mounts: Vec<Mount>,
    /// Mount points that held a file to mirror.
    filled: Vec<PathBuf>,
}

impl MirrorRun {
    /// Looks whether the root is still the folder it was when last mirrored.
    ///
    /// # Errors
    /// The guard's, the index's.
    pub async fn check_root(&self, index: &Index) -> Result<(), RunError> {
        let (Ground { known, mounts: before, filled: were_filled, .. }, now) = self.look_at_ground(index).await?;
        let Some(mounts) = &now.below else { return Ok(()) };
        let filled = self.filled(&now.real, mounts).await?;
        if let Some(point) = were_filled
            .iter()
            .find(|point| !filled.contains(point) && mounts.iter().any(|mount| mount.point == **point))
        {
            return Err(GuardTripped::Emptied { root: self.config.root.clone(), point: point.clone() }.into());
        }
        let remembered = known.as_ref().and_then(|known| known.below.as_deref());
        let is_new = |mount: &&Mount| {
            !before.iter().chain(remembered.unwrap_or_default()).any(|remembered| remembered.is_same(mount))
        };
        let new: Vec<Mount> = mounts.iter().filter(is_new).cloned().collect();
        let newly_filled: Vec<PathBuf> = filled.into_iter().filter(|point| !were_filled.contains(point)).collect();
        let looked = std::mem::replace(&mut self.below().looked, true);
        if !self.force && (looked || remembered.is_some()) {
            self.covers_nothing(index, &now.real, &new).await?;
        }
        if new.is_empty() && newly_filled.is_empty() {
            return Ok(());
        }
        // Before anything in it is: a mount that is seen once is missed when it goes.
        {
            let mut below = self.below();
            below.mounts.extend(new.iter().cloned());
            below.filled.extend(newly_filled.iter().cloned());
        }
        if let Some(known) = known {
            let below = known.below.iter().flatten().cloned().chain(new).collect();
            let filled = known.filled.iter().cloned().chain(newly_filled).collect();
            self.set_root(index, &RootIdentity { below: Some(below), filled, ..known }).await?;
        }
        Ok(())
    }

    /// What the mirror stands on, as far as it is known.
    pub(crate) async fn ground(&self, index: &Index) -> Result<Ground, IndexError> {
        let name = self.config.name.clone();
        let row = index.call(move |conn| settings::mirror(conn, &name)).await?;
        let root = self.config.root.display().to_string();
        // What is known of another root says nothing about this one.
        let same = row.belongs.is_none_or(|before| before.is_empty() || before == root);
        let known: Option<RootIdentity> =
            row.root.filter(|_| same && !self.force).and_then(|json| serde_json::from_str(&json).ok());
        let below = self.below();
        let mut filled = below.filled.clone();
        filled.extend(known.iter().flat_map(|known| known.filled.iter().cloned()));
        Ok(Ground { root: self.config.root.clone(), known, mounts: below.mounts.clone(), filled })
    }

    /// Remembers the root as it is now: after a run that believed it.
    ///
    /// # Errors
    /// The guard's and the index's.
    pub async fn remember_root(&self, index: &Index) -> Result<(), RunError> {
        // What appeared meanwhile lies over nothing, or is not remembered as having been there.
        self.check_root(index).await?;
        let (ground, mut identity) = self.look_at_ground(index).await?;
        let seen: Vec<&Mount> =
            ground.known.iter().flat_map(|known| known.below.iter().flatten()).chain(&ground.mounts).collect();
        if let Some(mounts) = &mut identity.below {
            mounts.retain(|mount| seen.iter().any(|seen| seen.is_same(mount)));
        }
        identity.filled = self.filled(&identity.real, identity.below.as_deref().unwrap_or_default()).await?;
        self.set_root(index, &identity).await
    }

    /// What is remembered, and what is there. What holds the known files in the place of another mount is remembered as the
    /// same.
    async fn look_at_ground(&self, index: &Index) -> Result<(Ground, RootIdentity), RunError> {
        loop {
            let ground = self.ground(index).await?;
            let asked = ground.clone();
            // It may hang on a dead network server.
            let checked = tokio::task::spawn_blocking(move || asked.check());
            let guard = match checked.await.map_err(|_| RunError::Stopped)? {
                Ok(now) => return Ok((ground, now)),
                Err(guard) => guard,
            };
            let familiar = match &ground.known {
                Some(known) => self.familiar(index, known, &guard).await?,
                None => None,
            };
            // Each turn takes one mount for another, so there are as many as mounts at most.
            let Some(identity) = familiar else { return Err(guard.into()) };
            let is_elsewhere = |mount: &Mount| identity.below.iter().flatten().all(|one| one.point != mount.point);
            self.below().mounts.retain(is_elsewhere);
            self.set_root(index, &identity).await?;
        }
    }

    /// Remembers the root as it is, whatever it was: somebody said that it is right.
    ///
    /// # Errors
    /// The guard's, where there is no root; the index's.
    pub async fn accept_root(&self, index: &Index) -> Result<(), RunError> {
        let root = self.config.root.clone();
        let looked = tokio::task::spawn_blocking(move || check_root(&root, None)).await;
        let mut now = looked.map_err(|_| RunError::Stopped)??;
        now.filled = self.filled(&now.real, now.below.as_deref().unwrap_or_default()).await?;
        {
            let mut below = self.below();
            below.mounts.clear();
            below.filled.clear();
        }
        self.set_root(index, &now).await
    }

    async fn set_root(&self, index: &Index, identity: &RootIdentity) -> Result<(), RunError> {
        let (row, json) = (self.row, serde_json::to_string(identity).unwrap_or_default());
        Ok(index.call(move |conn| settings::set_root(conn, row, &json)).await?)
    }

    /// The points of these mounts at which there is any file to mirror.
    async fn filled(&self, real: &Path, mounts: &[Mount]) -> Result<Vec<PathBuf>, RunError> {
        let folders: Vec<(PathBuf, RelPath)> =
            mounts.iter().filter_map(|mount| Some((mount.point.clone(), folder_of(real, mount)?))).collect();
        if folders.is_empty() {
            return Ok(Vec::new());
        }
        let (root, selection) = (self.config.root.clone(), self.selection.clone());
        let looked = tokio::task::spawn_blocking(move || {
            let filled = folders.into_iter().filter(|(_, folder)| holds_a_file_below(&root, Some(folder), &selection));
            filled.map(|(point, _)| point).collect()
        });
        looked.await.map_err(|_| RunError::Stopped)
    }

    /// What appeared below the root lies over no file that was mirrored before.
    async fn covers_nothing(&self, index: &Index, real: &Path, new: &[Mount]) -> Result<(), RunError> {
        for mount in new {
            let Some(folder) = folder_of(real, mount) else { continue };
            let row = self.row;
            if index.call(move |conn| files::any_below(conn, row, folder.key())).await? {
                let root = self.config.root.clone();
                return Err(GuardTripped::Covered { root, now: mount.to_string() }.into());
            }
        }
        Ok(())
    }

    fn below(&self) -> MutexGuard<'_, Below> {
        self.below.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where the mount lies below the root, whose real path is `real`.
pub(super) fn folder_of(real: &Path, mount: &Mount) -> Option<RelPath> {
    RelPath::new(mount.point.strip_prefix(real).ok()?).ok()
}
