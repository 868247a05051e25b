//! Assets that actions are under way for.
//!
//! This module owns the rule which two actions may be under way at the same time. It never looks at what an action does.

use std::collections::{HashMap, HashSet};

use crate::index::FileRow;
use crate::model::UploadId;
use crate::sync::plan::Plan;

/// What an action does with an asset while it is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Use {
    /// Works on it: nothing else is done with it meanwhile.
    WorksOn,
    /// Its path gets another one, and others stay. Any number of paths may leave an asset at a time; while one does, nobody
    /// works on it, for what is to be done with it depends on who is left.
    Leaves,
}

/// The assets in use, and by how many actions.
#[derive(Debug, Default)]
pub struct AssetsInUse {
    worked_on: HashSet<UploadId>,
    left: HashMap<UploadId, usize>,
    /// What each action took when it started, by the row that asked: the action may have been planned again since.
    taken: HashMap<i64, Vec<(UploadId, Use)>>,
}

impl AssetsInUse {
    /// Whether the action may be under way beside those that are.
    pub fn admits(&self, row: &FileRow, plan: &Plan) -> bool {
        uses(row, plan).iter().all(|(id, does)| match does {
            Use::WorksOn => !self.worked_on.contains(id) && !self.left.contains_key(id),
            Use::Leaves => !self.worked_on.contains(id),
        })
    }

    /// The action starts.
    pub fn take(&mut self, row: &FileRow, plan: &Plan) {
        let taken = uses(row, plan);
        for (id, does) in &taken {
            match does {
                Use::WorksOn => {
                    self.worked_on.insert(id.clone());
                }
                Use::Leaves => *self.left.entry(id.clone()).or_default() += 1,
            }
        }
        self.taken.insert(row.id, taken);
    }

    /// The action that `row` asked for has ended.
    pub fn give_back(&mut self, row: i64) {
        for (id, does) in self.taken.remove(&row).unwrap_or_default() {
            match (does, self.left.get_mut(&id)) {
                (Use::WorksOn, _) => {
                    self.worked_on.remove(&id);
                }
                (Use::Leaves, Some(count)) if *count > 1 => *count -= 1,
                (Use::Leaves, _) => {
                    self.left.remove(&id);
                }
            }
        }
    }
}

/// Each asset once: the one that is worked on, and those that the paths leave.
fn uses(row: &FileRow, plan: &Plan) -> Vec<(UploadId, Use)> {
    let target = plan.action.asset();
    let left: HashSet<&UploadId> =
        plan.rows(row).filter_map(|row| row.asset.as_ref()).filter(|id| Some(*id) != target).collect();
    let leaves = if plan.others_stay { Use::Leaves } else { Use::WorksOn };
    let target = target.map(|id| (id.clone(), Use::WorksOn));
    target.into_iter().chain(left.into_iter().map(|id| (id.clone(), leaves))).collect()
}
