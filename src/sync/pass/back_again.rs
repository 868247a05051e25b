//! Files that were gone when something was done for that, and are there again.
//!
//! This module owns one look at the disk at the end of a pass, so that such a file is mirrored in the same run and not only at
//! the next scan. It changes nothing itself.

use super::{Pass, PassError};
use crate::index::FileRow;
use crate::sync::execute::Failure;
use crate::sync::plan::edit::FileIs;
use crate::sync::plan::{Action, Plan};

impl Pass<'_> {
    /// Notes that the plan was carried out because the files of its rows were gone, if that is so.
    pub(super) fn note_gone(&mut self, row: &FileRow, plan: &Plan) {
        let for_absence = matches!(&plan.action, Action::Delete { .. } | Action::Retag { file: FileIs::Gone, .. });
        if for_absence && self.context.executor.is_some() {
            self.notes.thought_gone.extend(plan.rows(row).map(|row| row.path.clone()));
        }
    }

    /// Looks once whether any of those is there again: between the last look before the call and the call's effect lies a
    /// round trip.
    pub(super) async fn look_for_files_that_are_back(&mut self) -> Result<(), PassError> {
        let Some(executor) = self.context.executor.as_ref().filter(|_| !self.notes.thought_gone.is_empty()) else {
            return Ok(());
        };
        match executor.are_gone(std::mem::take(&mut self.notes.thought_gone)).await {
            Err(Failure::Back(paths)) => {
                self.end.changed.extend(paths.iter().map(|path| path.key().to_owned()));
                Ok(())
            }
            Err(Failure::Index(error)) => Err(error.into()),
            // A root that is not to be believed is told by the next look at it.
            Ok(()) | Err(_) => Ok(()),
        }
    }
}
