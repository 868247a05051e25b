//! The end of a pass: no stamp goes on naming a path that has another asset.
//!
//! Owns: which rows are looked at for that: those that the pass came to an end with, and those that left an asset to another
//! mirror or machine, where no path of ours is left to say so. What is stale the index tells (`index::claims`).
//! Called by: `pipeline::pass`.

use super::{Pass, PassError};
use crate::index::claims;

/// Rows looked at in one transaction.
const AT_ONCE: usize = 500;

impl Pass<'_> {
    /// Has such stamps corrected. True when paths that share such an asset have to be looked at again.
    pub(super) async fn doubles(&mut self) -> Result<bool, PassError> {
        let Some(executor) = self.context.executor.clone() else { return Ok(false) };
        let mut rows: Vec<i64> = self.turns.keys().copied().chain(self.concluded.drain(..)).collect();
        rows.sort_unstable();
        rows.dedup();
        let mut left = std::mem::take(&mut self.left);
        let mut again = false;
        for chunk in rows.chunks(AT_ONCE) {
            if !self.goes_on() {
                break;
            }
            let (chunk, scope, left) = (chunk.to_vec(), self.context.scope.clone(), std::mem::take(&mut left));
            let find = move |conn: &rusqlite::Connection| {
                claims::stale(conn, (scope.mirror, &scope.name), &chunk, &left, |path| scope.stamp_name(path))
            };
            let stale = self.context.index.call(find).await?;
            again |= stale.looked_again > 0;
            for (asset, entry) in stale.stamps {
                executor.correct_stamp(&asset, entry).await?;
            }
        }
        Ok(again)
    }
}
