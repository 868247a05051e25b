//! Paths that a person waits for.
//!
//! This module owns the queue between the daemon, which hears of changes, and the pass that runs. It looks at no file and plans
//! nothing; when the queue is asked, the scheduler says.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

/// Urgent paths planned at once: what is saved after them waits for these at most.
const URGENT_AT_ONCE: usize = 8;

/// Paths that a person waits for: taken before all others, the last saved first. A folder of thousands that settled
/// meanwhile is here too, and must not be in the way of the one file that is saved after it.
#[derive(Debug, Clone, Default)]
pub struct PriorityPaths(Arc<Mutex<Vec<VecDeque<String>>>>);

impl PriorityPaths {
    /// Adds what settled together.
    pub fn push(&self, batch: impl IntoIterator<Item = String>) {
        let batch: VecDeque<String> = batch.into_iter().collect();
        if !batch.is_empty() {
            self.lock().push(batch);
        }
    }

    /// Whether a person waits for any path.
    pub(super) fn is_waiting(&self) -> bool {
        !self.lock().is_empty()
    }

    /// Some paths of the last batch.
    pub(super) fn take(&self) -> Vec<String> {
        let mut batches = self.lock();
        let Some(last) = batches.last_mut() else { return Vec::new() };
        let taken = last.drain(..last.len().min(URGENT_AT_ONCE)).collect();
        if last.is_empty() {
            batches.pop();
        }
        taken
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<VecDeque<String>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::PriorityPaths;

    #[test]
    fn the_last_saved_file_is_not_behind_a_folder_of_thousands() {
        let urgent = PriorityPaths::default();
        urgent.push((0..1000).map(|number| number.to_string()));
        assert_eq!(urgent.take().first().map(String::as_str), Some("0"));
        urgent.push(["logo.svg".to_owned()]);
        urgent.push([]);
        assert_eq!(urgent.take(), ["logo.svg"]);
        let mut rest = Vec::new();
        while urgent.is_waiting() {
            rest.extend(urgent.take());
        }
        assert_eq!((rest.len(), rest[0].as_str()), (992, "8"));
    }
}
