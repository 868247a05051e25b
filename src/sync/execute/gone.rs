//! A fresh look at the disk before something is done because files are gone.
//!
//! Owns: that nothing is deleted or tagged while any path that had the asset is there again, also one that the plan does
//! not speak for, or while the root is not to be believed. Decides nothing else.

use super::{Executor, Failure};
use crate::index::{FileRow, files};
use crate::model::{RelPath, UploadId};
use crate::sync::absence::is_vacant;
use crate::sync::plan::Plan;

impl Executor {
    /// Whether all files are still gone whose absence these plans rest on: those that the plans speak for, and all others
    /// that had the same assets.
    pub(crate) async fn still_gone<'p>(
        &self,
        plans: impl IntoIterator<Item = (&'p FileRow, &'p Plan)>,
    ) -> Result<(), Failure> {
        let resting = plans.into_iter().filter(|(row, _)| !row.present);
        let (mut gone, mut assets) = (Vec::new(), Vec::<UploadId>::new());
        for (row, plan) in resting {
            gone.extend(plan.rows(row).map(|row| row.path.clone()));
            assets.extend(plan.action.asset().cloned());
        }
        if gone.is_empty() {
            return Ok(());
        }
        let mirror = self.scope.name.clone();
        let others = self.index.call(move |conn| {
            let mut others = Vec::new();
            for asset in &assets {
                let owners = files::owners(conn, asset)?.into_iter();
                others.extend(owners.filter(|(name, row)| *name == mirror && !row.present).map(|(_, row)| row.path));
            }
            Ok(others)
        });
        gone.extend(others.await?);
        gone.sort_unstable();
        gone.dedup();
        self.are_gone(gone).await
    }

    /// Whether nothing is at any of these paths.
    pub(crate) async fn are_gone(&self, mut paths: Vec<RelPath>) -> Result<(), Failure> {
        let ground = self.ground.clone();
        // It may hang on a dead network server.
        let look = tokio::task::spawn_blocking(move || {
            // First the files, then what they lie on: a mount that went in between is noticed.
            paths.retain(|path| !is_vacant(&ground.root, path));
            match ground.check().and_then(|_| ground.holds_something()) {
                Ok(()) => Ok(paths),
                Err(guard) => Err(guard.to_string()),
            }
        });
        match look.await.map_err(|_| Failure::Stopped)? {
            Ok(back) if back.is_empty() => Ok(()),
            Ok(back) => Err(Failure::Back(back)),
            Err(guard) => Err(Failure::Guard(guard)),
        }
    }
}
