//! What an editor does in the very round trip between the mirror's last look at an asset and its write of it.
//!
//! Owns: telling from the service's log that it was so. Tags, custom data and the file are written as wholes, so these may
//! be lost there, as the README says; an editor who acts at the call of another asset may meet that round trip by chance.
//! What was done before the look, or after the write, is not lost in it.

use std::collections::{BTreeMap, BTreeSet};

use dato_mirror::sandbox::{AssetView, LogEntry, Sandbox};

use super::editor::Left;
use crate::world::custom_of;

/// One act of an editor on an asset, in the midst of a run.
#[derive(Debug)]
pub struct Done {
    /// The asset.
    pub id: String,
    /// What was written as a part of a whole: a tag, a key of the custom data, the digest of a file.
    pub what: String,
    /// The calls that had come then. One of them that is not known to be answered may have been carried out already: the log
    /// tells the status a moment later.
    begun: BTreeSet<u64>,
    /// Those that had been answered.
    answered: BTreeSet<u64>,
}

impl Done {
    /// Done now.
    pub fn now(sandbox: &Sandbox, id: &str, what: &str) -> Self {
        let log = sandbox.log();
        let begun = log.iter().map(|call| call.seq).collect();
        let answered = log.iter().filter(|call| call.status != 0).map(|call| call.seq).collect();
        Self { id: id.to_owned(), what: what.to_owned(), begun, answered }
    }

    /// Whether a write of the asset was under way that rested on a look from before.
    pub fn was_in_flight(&self, log: &[LogEntry]) -> bool {
        let path = format!("/uploads/{}", self.id);
        let is_write = |call: &&LogEntry| call.path == path && (call.method == "PUT" || call.method == "DELETE");
        let is_look = |call: &&LogEntry| {
            call.method == "GET" && (call.path == path || call.path == "/uploads" && call.query.contains(&self.id))
        };
        log.iter().filter(is_write).filter(|write| !self.answered.contains(&write.seq)).any(|write| {
            let look = log.iter().filter(is_look).rfind(|look| look.seq < write.seq);
            look.is_some_and(|look| self.begun.contains(&look.seq))
        })
    }
}

impl Left {
    /// Strikes out of the book what was lost in flight.
    pub fn strike_what_was_in_flight(&mut self, log: &[LogEntry], after: &BTreeMap<String, AssetView>) {
        for act in std::mem::take(&mut self.acts).iter().filter(|act| act.was_in_flight(log)) {
            let (asset, Done { id, what, .. }) = (after.get(&act.id), act);
            if let Some(typed) = self.tags.get_mut(id)
                && asset.is_some_and(|now| !now.tags.contains(what))
            {
                typed.remove(what);
            }
            if let Some(typed) = self.custom.get_mut(id)
                && asset.is_some_and(|now| custom_of(&now.metadata).is_none_or(|data| data.get(what).is_none()))
            {
                typed.remove(what);
            }
            if self.files.get(id) == Some(what) && asset.is_none_or(|now| now.md5 != *what) {
                self.files.remove(id);
            }
        }
    }
}

#[test]
fn only_what_is_done_between_the_last_look_and_its_write_is_in_flight() {
    let call = |seq: u64, method: &str, path: &str, query: &str| LogEntry {
        seq,
        at_ms: 0,
        method: method.into(),
        path: path.into(),
        label: String::new(),
        query: query.into(),
        status: 200,
        token: String::new(),
        environment: String::new(),
        fault: None,
        request_id: String::new(),
        bytes_in: 0,
        bytes_out: 0,
    };
    let log = [
        call(1, "GET", "/uploads", "page[offset]=0"),
        call(2, "GET", "/uploads", "filter[ids]=a,b"),
        call(3, "PUT", "/uploads/a", ""),
        call(4, "GET", "/uploads/b", ""),
        call(5, "PUT", "/uploads/b", ""),
    ];
    for (id, begun, answered, in_flight, when) in [
        ("a", 1, 1, false, "before the look"),
        ("a", 2, 1, true, "the look is under way, and may not show it"),
        ("a", 2, 2, true, "between look and write"),
        ("a", 3, 2, true, "the write is under way, and may undo it"),
        ("a", 3, 3, false, "after the write"),
        ("b", 2, 2, false, "a later look shows it"),
        ("b", 4, 4, true, "after that look"),
        ("c", 4, 4, false, "nobody wrote it"),
    ] {
        let (begun, answered) = ((1..=begun).collect(), (1..=answered).collect());
        let done = Done { id: id.into(), what: String::new(), begun, answered };
        assert_eq!(done.was_in_flight(&log), in_flight, "{id}: {when}");
    }
}
