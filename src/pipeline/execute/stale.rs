//! Taking a path's name out of the stamp of an asset that the path does not have.
//!
//! Owns: that nothing else of the asset is written, and nothing at all where its stamp has changed since. What fails is left
//! for another pass: a name too much loses nothing. Chooses no asset. Called by: the end of a pass.

use std::collections::BTreeSet;

use super::Executor;
use crate::index::{IndexError, assets};
use crate::model::{Asset, MirrorStamp};
use crate::pipeline::last_look::Purpose;
use crate::remote::{Accepted, Expect, Metadata, NotDone, UploadChange};

impl Executor {
    /// Writes `entry` as this mirror's part of the stamp of `asset`, which no path of the mirror has.
    ///
    /// # Errors
    /// The index's.
    pub(in crate::pipeline) async fn correct_stamp(&self, asset: &Asset, entry: MirrorStamp) -> Result<(), IndexError> {
        match self.stamped_with(asset, entry).await {
            Ok(written) => self.index.call(move |conn| assets::upsert(conn, &written, None).map(drop)).await,
            Err(why) => {
                tracing::debug!(asset = %asset.id, why, "its stamp goes on naming a path that it is not of");
                Ok(())
            }
        }
    }

    /// The asset after that, or why it was not written.
    async fn stamped_with(&self, asset: &Asset, entry: MirrorStamp) -> Result<Box<Asset>, String> {
        let mirror = &self.scope.name;
        let seen = self.last_look.at(asset, Purpose::Write).await.map_err(|error| error.to_string())?;
        let is_as_known = |now: &Asset| now.stamp.0.get(mirror) == asset.stamp.0.get(mirror);
        let now = seen.asset.filter(|now| is_as_known(now)).ok_or("it was changed meanwhile")?;
        let mut stamp = now.stamp.clone();
        stamp.0.insert(mirror.clone(), entry);
        let metadata = Metadata { tags: None, fields: now.fields, write: BTreeSet::new(), stamp: Some(stamp.clone()) };
        let change = UploadChange { metadata: Some(metadata), ..UploadChange::default() };
        match self.remote.update_in(seen.permit, &asset.id, &change).await {
            Ok(Accepted::Done(written)) => Ok(written),
            Ok(Accepted::Job(job)) => {
                let wait = self.confirmer.wait(asset.id.clone(), Some(job), Expect::Stamp(Box::new(stamp)));
                wait.await.map_err(|error| error.to_string())?.ok_or_else(|| "the job does not end".to_owned())
            }
            Err(NotDone::Final(error) | NotDone::Again { error, .. }) => Err(error.to_string()),
        }
    }
}
