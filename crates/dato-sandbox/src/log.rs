//! The request log: every call of a client, what it met, and what it got.
//!
//! Owns: the entries and how many are kept. Never does: logging control calls, which are the observer's.

use std::collections::VecDeque;

use serde::Serialize;

use super::fault::matches;

/// Entries kept; older ones are dropped, so that a soak run stays flat in memory.
const KEPT: usize = 500_000;

/// One request.
#[derive(Debug, Clone, Serialize)]
pub struct LogEntry {
    /// Counts requests from 1, in the order of arrival.
    pub seq: u64,
    /// Milliseconds since 1970, by the sandbox's clock, at arrival.
    pub at_ms: i64,
    /// HTTP method.
    pub method: String,
    /// The path as asked; a bucket path without its signature.
    pub path: String,
    /// The path with ids replaced: `/uploads/:id`; `bucket` for the bucket.
    pub label: String,
    /// The raw query; empty for the bucket, whose query is a secret.
    pub query: String,
    /// The `x-request-id` of the answer; empty for the bucket.
    pub request_id: String,
    /// HTTP status; 0 when no answer was sent.
    pub status: u16,
    /// `full`, `readonly`, `restricted`, `unknown` or `none`.
    pub token: String,
    /// The environment worked on; empty for the bucket.
    pub environment: String,
    /// The fault that was applied, in JSON.
    pub fault: Option<serde_json::Value>,
    /// Bytes of the request's body that arrived.
    pub bytes_in: u64,
    /// Bytes of the answer's body.
    pub bytes_out: u64,
}

impl LogEntry {
    /// Whether a route pattern, as in a fault, names this request.
    #[must_use]
    pub fn is(&self, route: &str) -> bool {
        matches(route, &self.method, &self.label, &self.path)
    }

    /// Whether it was a call of the API; puts to the bucket are not.
    #[must_use]
    pub fn is_api(&self) -> bool {
        self.label != "bucket"
    }
}

/// The log.
#[derive(Debug, Default)]
pub(super) struct Log {
    entries: VecDeque<LogEntry>,
    next: u64,
}

impl Log {
    /// Notes an arrival and gives its number.
    pub(super) fn arrive(&mut self, mut entry: LogEntry) -> u64 {
        self.next += 1;
        entry.seq = self.next;
        if self.entries.len() == KEPT {
            self.entries.pop_front();
        }
        self.entries.push_back(entry);
        self.next
    }

    /// Changes the entry `seq`, if it is still there.
    pub(super) fn amend(&mut self, seq: u64, change: impl FnOnce(&mut LogEntry)) {
        let found = self.entries.binary_search_by_key(&seq, |entry| entry.seq);
        if let Some(entry) = found.ok().and_then(|index| self.entries.get_mut(index)) {
            change(entry);
        }
    }

    /// The entries, oldest first.
    pub(super) fn entries(&self) -> impl Iterator<Item = &LogEntry> {
        self.entries.iter()
    }

    /// Forgets the entries; the numbers go on.
    pub(super) fn clear(&mut self) {
        self.entries.clear();
    }
}
