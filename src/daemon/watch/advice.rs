//! What a person can do about a watch that is not what it should be.
//!
//! Owns: the texts, and the numbers in them.

use std::fs;
use std::path::Path;

/// Out of watches: `current` is the kernel's limit, `folders` how many the root has.
pub(super) fn too_few_watches(current: Option<u64>, folders: u64) -> String {
    let wanted = recommended(current, folders);
    let limit =
        current.map_or_else(String::new, |limit| format!(" (it is {limit} now, for all programs of this user)"));
    format!(
        "the root has {folders} folders, more than the system lets this user watch{limit}; until \
         `sysctl fs.inotify.max_user_watches={wanted}` is set, changes are found by polling"
    )
}

/// Out of watchers.
pub(super) fn too_few_instances(current: Option<u64>) -> String {
    let wanted = current.unwrap_or(0).saturating_mul(2).max(1024);
    format!(
        "the system gives this user no more file watchers; until `sysctl fs.inotify.max_user_instances={wanted}` is set, \
         changes are found by polling"
    )
}

/// More events at once than the kernel keeps.
pub(super) fn overflowed(current: Option<u64>) -> String {
    let wanted = current.unwrap_or(0).saturating_mul(4).max(65_536);
    format!(
        "more changes came at once than the system keeps; the root was scanned again, nothing is lost. If this happens often, \
         `sysctl fs.inotify.max_queued_events={wanted}` makes room"
    )
}

/// Room to grow: twice the folders, and never less than systems with a generous default have.
fn recommended(current: Option<u64>, folders: u64) -> u64 {
    let needed = folders.saturating_add(current.unwrap_or(0)).saturating_mul(2).max(524_288);
    needed.checked_next_power_of_two().unwrap_or(needed)
}

/// A kernel limit; `None` where there is none to read.
pub(super) fn limit(name: &str) -> Option<u64> {
    fs::read_to_string(Path::new("/proc/sys/fs/inotify").join(name)).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_named_is_always_more_than_what_is_there_and_what_is_needed() {
        for (current, folders) in [(None, 10), (Some(8192), 100), (Some(524_288), 600_000), (Some(u64::MAX), 1)] {
            let wanted = recommended(current, folders);
            assert!(wanted >= current.unwrap_or(0) && wanted > folders, "{current:?} {folders} {wanted}");
            assert!(too_few_watches(current, folders).contains(&format!("fs.inotify.max_user_watches={wanted}")));
        }
        assert!(too_few_instances(Some(128)).contains("max_user_instances=1024"));
        assert!(overflowed(Some(16_384)).contains("max_queued_events=65536"));
    }
}
