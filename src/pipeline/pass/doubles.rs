//! The end of a pass: no path is named by two assets with its content.
//!
//! Owns: which rows are looked at for that: those that the pass came to an end with. What is stale the index tells
//! (`index::claims`). Called by: `pipeline::pass`.

use super::{Pass, PassError};
use crate::index::claims;

/// Rows looked at in one transaction.
const AT_ONCE: usize = 500;

impl Pass<'_> {
    /// Has stamps corrected that name a path of this pass beside the stamp of its asset. True when paths that share such an
    /// asset have to be looked at again.
    pub(super) async fn doubles(&mut self) -> Result<bool, PassError> {
        let Some(executor) = self.context.executor.clone() else { return Ok(false) };
        let mut rows: Vec<i64> = self.turns.keys().copied().chain(self.concluded.drain(..)).collect();
        rows.sort_unstable();
        rows.dedup();
        let mut again = false;
        for chunk in rows.chunks(AT_ONCE) {
            if !self.goes_on() {
                break;
            }
            let (chunk, scope) = (chunk.to_vec(), self.context.scope.clone());
            let find = move |conn: &rusqlite::Connection| {
                claims::doubles(conn, (scope.mirror, &scope.name), &chunk, |path| scope.stamp_name(path))
            };
            let (doubles, looked_again) = self.context.index.call(find).await?;
            again |= looked_again > 0;
            for (asset, entry) in doubles {
                executor.correct_stamp(&asset, entry).await?;
            }
        }
        Ok(again)
    }
}
