//! Actions that are the same for several assets, gathered so that few calls make them all.
//!
//! This module owns which actions are gathered, and when a group is full. It never sends anything.

use std::collections::BTreeMap;

use super::{Planned, Start};
use crate::sync::execute::bulk;
use crate::sync::plan::Action;
use crate::sync::plan::edit::BulkChange;

/// The groups that are being gathered. Their actions count as under way.
#[derive(Debug, Default)]
pub struct Groups {
    changes: BTreeMap<BulkChange, Vec<Planned>>,
    deletions: Vec<Planned>,
}

impl Groups {
    /// Takes an action that is made with others, and gives out its group when that is full; any other action is given back to
    /// be started by itself.
    pub fn gather(&mut self, planned: Planned) -> Option<Start> {
        match &planned.plan.action {
            Action::Retag { edit, .. } => match edit.in_bulk() {
                Some(change) => {
                    let group = self.changes.entry(change.clone()).or_default();
                    group.push(planned);
                    let is_full = group.len() >= bulk::AT_ONCE;
                    is_full
                        .then(|| self.changes.remove_entry(&change))
                        .flatten()
                        .map(|(change, group)| Start::Same(change, group))
                }
                None => Some(Start::One(Box::new(planned))),
            },
            Action::Delete { .. } => {
                self.deletions.push(planned);
                (self.deletions.len() >= bulk::AT_ONCE).then(|| Start::Deletions(std::mem::take(&mut self.deletions)))
            }
            _ => Some(Start::One(Box::new(planned))),
        }
    }

    /// Gives out a group that is not full, when nothing more comes.
    pub fn take(&mut self) -> Option<Start> {
        if let Some((change, group)) = self.changes.pop_first() {
            return Some(Start::Same(change, group));
        }
        (!self.deletions.is_empty()).then(|| Start::Deletions(std::mem::take(&mut self.deletions)))
    }
}
