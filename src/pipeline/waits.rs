//! How long the pipeline waits for what.
//!
//! Owns: the values. They are parameters so that the proofs can live through hundreds of outages in a minute.
//! Called by: `pipeline::session`, which hands them on.

use std::time::Duration;

use crate::remote::Timeouts;

/// How long to wait for what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waits {
    /// For one call, one upload, one job.
    pub remote: Timeouts,
    /// For an API that cannot be reached at the very start, when nothing has been done yet.
    pub reach: Duration,
    /// For an API that cannot be reached any more.
    pub outage: Duration,
    /// For a change to show whose answer was lost, before it counts as not executed.
    pub unsure: Duration,
    /// For a change begun by an earlier process to show, before it is planned anew.
    pub left_open: Duration,
    /// For a change that was accepted, before the next pass has to look what became of it.
    pub follow: Duration,
}

impl Default for Waits {
    fn default() -> Self {
        Self {
            remote: Timeouts::default(),
            reach: Duration::from_secs(10),
            outage: Duration::from_secs(60),
            unsure: Duration::from_secs(15),
            left_open: Duration::from_secs(20),
            follow: Duration::from_secs(300),
        }
    }
}
