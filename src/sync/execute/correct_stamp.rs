//! Taking a path's name out of the stamp of an asset that the path does not have.
//!
//! Owns: that nothing else of the asset is written, and nothing at all where its stamp has changed since. Chooses no
//! asset.

use std::collections::BTreeSet;

use super::{Executor, Failure, failed, outcome_unknown};
use crate::index::assets;
use crate::model::{ActionKind, Asset, MirrorStamp};
use crate::remote::{Accepted, Expect, Metadata, NotDone, UploadChange};
use crate::sync::last_look::Purpose;

impl Executor {
    /// Writes `entry` as this mirror's part of the stamp of `asset`, which no path of the mirror has.
    ///
    /// # Errors
    /// Why it was not written; [`Failure::Replan`] when the stamp was changed meanwhile.
    pub(crate) async fn correct_stamp(&self, asset: &Asset, entry: MirrorStamp) -> Result<(), Failure> {
        let mirror = &self.scope.name;
        let seen = self.last_look.at(asset, Purpose::Write).await.map_err(|error| failed(ActionKind::Retag, error))?;
        let is_as_known = |now: &Asset| now.stamp.0.get(mirror) == asset.stamp.0.get(mirror);
        let now = seen.asset.filter(|now| is_as_known(now)).ok_or(Failure::Replan)?;
        let mut stamp = now.stamp.clone();
        stamp.0.insert(mirror.clone(), entry);
        let metadata = Metadata { tags: None, fields: now.fields, write: BTreeSet::new(), stamp: Some(stamp.clone()) };
        let change = UploadChange { metadata: Some(metadata), ..UploadChange::default() };
        let written = match self.remote.update_in(seen.permit, &asset.id, &change).await {
            Ok(Accepted::Done(written)) => Ok(written),
            Ok(Accepted::Job(job)) => {
                let wait = self.confirmer.wait(asset.id.clone(), Some(job), Expect::Stamp(Box::new(stamp)));
                wait.await.and_then(|written| written.ok_or_else(outcome_unknown))
            }
            Err(NotDone::Final(error) | NotDone::Again { error, .. }) => Err(error),
        };
        let written = written.map_err(|error| failed(ActionKind::Retag, error))?;
        Ok(self.index.call(move |conn| assets::upsert(conn, &written, None).map(drop)).await?)
    }
}
