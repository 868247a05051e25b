//! The end of a pass: no stamp goes on naming a path that has another asset.
//!
//! This module owns which rows are looked at for that: those that the pass came to an end with, and those that left an asset to
//! another mirror or machine, where no path of ours is left to say so. It never decides what is stale: that the index tells
//! (`index::claims`).

use futures_util::{StreamExt as _, stream};

use super::{Pass, PassError};
use crate::index::claims;
use crate::sync::execute::Failure;

/// Rows looked at in one transaction.
const AT_ONCE: usize = 500;
/// Stamps written at a time, so that their last looks are shared.
const WRITES: usize = 16;

impl Pass<'_> {
    /// Has such stamps corrected. True when paths that share such an asset have to be looked at again.
    pub(super) async fn correct_stale_stamps(&mut self) -> Result<bool, PassError> {
        let Some(executor) = self.context.executor.clone() else { return Ok(false) };
        let mut rows: Vec<i64> = self.scheduler.rows().acted_on().chain(self.notes.concluded.drain(..)).collect();
        rows.sort_unstable();
        rows.dedup();
        let mut departures = std::mem::take(&mut self.notes.departures);
        let mut again = false;
        for chunk in rows.chunks(AT_ONCE) {
            let (chunk, scope, departures) =
                (chunk.to_vec(), self.context.scope.clone(), std::mem::take(&mut departures));
            let find = move |conn: &rusqlite::Connection| {
                claims::stale(conn, (scope.mirror, &scope.name), &chunk, &departures, |path| scope.stamp_name(path))
            };
            let stale = self.context.index.call(find).await?;
            again |= stale.looked_again > 0;
            let writes = stale.stamps.into_iter().map(|(asset, entry)| {
                let executor = &executor;
                async move { executor.correct_stamp(&asset, entry).await }
            });
            let mut written = stream::iter(writes).buffer_unordered(WRITES);
            while let Some(result) = written.next().await {
                match result {
                    Ok(()) => {}
                    Err(Failure::Index(error)) => return Err(error.into()),
                    Err(Failure::All(error)) => {
                        self.end.fatal.get_or_insert(error);
                    }
                    // A name too much loses nothing: the next pass over the path corrects it.
                    Err(_) => {}
                }
                if !self.goes_on() {
                    return Ok(again);
                }
            }
            if !self.goes_on() {
                break;
            }
        }
        Ok(again)
    }
}
