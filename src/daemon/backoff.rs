//! Pauses between tries that double.
//!
//! Owns: how long the next pause is. Never does: waiting, counting the tries.

use std::time::Duration;

/// Each try in vain doubles the pause before the next one, up to the longest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// The pause after the first try in vain.
    pub first: Duration,
    /// No pause is longer.
    pub longest: Duration,
}

impl Backoff {
    /// The pause when so many tries were in vain before this one.
    pub fn after(self, tries: u32) -> Duration {
        self.first.saturating_mul(1 << tries.min(31)).min(self.longest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_try_in_vain_doubles_the_pause_up_to_the_longest() {
        let backoff = Backoff { first: Duration::from_secs(5), longest: Duration::from_secs(300) };
        let pauses = [0, 1, 2, 5, 6, 7, 31, 32, u32::MAX].map(|tries| backoff.after(tries).as_secs());
        assert_eq!(pauses, [5, 10, 20, 160, 300, 300, 300, 300, 300]);
    }
}
