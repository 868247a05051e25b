//! The facts that a schedule is told, each with its time.
//!
//! Owns: what each fact means for what is to be done next. Starts nothing: that is `decide`.

use std::time::Instant;

use super::terms::{Due, PassJob, PassOutcome, ScanKind, ScanOutcome, Seen};
use super::{AFTER_A_CRASH, REST, ROOT_INTERVAL, Schedule};
use crate::daemon::settle::{Ask, Look, Touch};
use crate::features::remote_files::Asks;
use crate::index::overrides::Overrides;
use crate::model::RelPath;
use crate::sync::scan::Look as ScanLook;

impl Schedule {
    /// Something happened to the file or folder `path`.
    pub fn saved(&mut self, path: RelPath, touch: Touch, now: Instant) {
        self.settle.touched(path, touch, now);
    }

    /// A file was looked at, as [`Schedule::files_to_glance_at`] wanted.
    pub fn glanced(&mut self, ask: Ask, look: Look, now: Instant) {
        self.settle.looked(ask, look, now);
    }

    /// The watcher may have missed something: everything has to be looked at, a root that is waited for as well.
    pub const fn rescan_needed(&mut self, now: Instant) {
        self.wanted.whole_scan = true;
        self.next.root = now;
    }

    /// The watcher says how it finds changes. Another way has another interval, which begins with the switch.
    pub fn watching(&mut self, polling: bool, now: Instant) {
        if polling != self.polling {
            self.polling = polling;
            self.next.rescan = now + self.rescan_interval();
        }
    }

    /// The watcher has ended: what happened meanwhile is found by a scan, and later by polling.
    pub fn watch_lost(&mut self, now: Instant) {
        self.watching(true, now);
        self.wanted.whole_scan = true;
    }

    /// Somebody wants failed files tried now: the index has them due already, and `unread`, what no scan could take in, is
    /// looked at again.
    pub fn retry_asked(&mut self, unread: Vec<RelPath>, now: Instant) {
        // A pass follows in any case: its end is the answer.
        self.wanted.pass = true;
        if self.rests > 0 {
            self.next.pass = now;
        }
        for path in unread {
            self.settle.touched(path, Touch::Changed, now);
        }
    }

    /// People let the next pass over the whole mirror go past some of its guards: it comes at once.
    pub const fn overrides_asked(&mut self, asked: Overrides, now: Instant) {
        self.wanted.overrides = self.wanted.overrides.and(asked);
        (self.wanted.whole_scan, self.wanted.pass) = (true, true);
        (self.next.pass, self.next.root) = (now, now);
    }

    /// These lists name remote files: a scan of them says what of it is to be asked for.
    pub fn lists_found(&mut self, lists: impl IntoIterator<Item = RelPath>) {
        self.wanted.folders.extend(lists);
    }

    /// The index told what is due. Returns the pass that begins now, if one does: it begins before a scan that the answer
    /// asks for, since who wants failed files tried again need not wait for a scan.
    pub fn due_found(&mut self, due: Due, now: Instant) -> Option<PassJob> {
        self.wanted.pass |= due.files;
        self.wanted.whole_scan |= due.scan;
        self.wanted.refresh |= due.refresh;
        let is_under_way = |path: &RelPath| {
            let is_fetched = self.running.fetch.as_ref().is_some_and(|fetched| fetched.contains(path));
            is_fetched || self.wanted.fetch.names(path.key())
        };
        let new: Vec<RelPath> = due.failed_fetches.into_iter().filter(|path| !is_under_way(path)).collect();
        self.wanted.folders.extend(new);
        self.pass(now)
    }

    /// The root cannot be believed: nothing begins before it is back. Returns whether the mirror was not paused before.
    pub fn root_gone(&mut self, now: Instant) -> bool {
        self.next.root = now + ROOT_INTERVAL;
        !std::mem::replace(&mut self.paused, true)
    }

    /// The root can be believed. Returns whether the mirror was paused until then.
    pub fn root_back(&mut self) -> bool {
        if !self.paused {
            return false;
        }
        self.paused = false;
        // What was concluded from the wrong root is set right by a scan, before any pass.
        self.tree_known = false;
        self.wanted.whole_scan = true;
        self.wanted.folders.clear();
        self.wanted.fetch = Asks::default();
        true
    }

    /// A scan ended. What one saw of a root that is not believed any more counts for nothing.
    pub fn scan_ended(&mut self, kind: ScanKind, outcome: ScanOutcome, now: Instant) {
        match kind {
            ScanKind::Settled => self.running.settled_scan = false,
            ScanKind::Wide => self.running.wide_scan = None,
        }
        match outcome {
            // It is not known what was seen: everything is looked at again.
            ScanOutcome::Crashed => self.next.rescan = self.next.rescan.min(now + AFTER_A_CRASH),
            ScanOutcome::Stopped => self.wanted.whole_scan = true,
            ScanOutcome::Failed => {}
            ScanOutcome::Seen(_) if self.paused => {}
            ScanOutcome::Seen(seen) => self.take_in(seen, now),
        }
    }

    fn take_in(&mut self, seen: Seen, now: Instant) {
        for ScanLook { path, print, at, .. } in seen.unsettled {
            match at {
                Some(at) => self.settle.seen(path, print, at, now),
                None => self.settle.touched(path, Touch::Changed, now),
            }
        }
        for path in seen.absent {
            self.settle.absent(path, now);
        }
        self.wanted.fetch.add(seen.asks);
        if seen.emptied {
            return;
        }
        if let Some(scan) = seen.whole {
            // A tree that takes long to look at is not looked at all the time.
            self.next.rescan = self.next.rescan.max(now + now.saturating_duration_since(scan.began));
            self.tree_known = true;
            self.wanted.pass_for_all = Some(scan);
        }
        self.wanted.pass = true;
    }

    /// What was to be fetched is there, or cannot be; `crashed`: what came of it is not known.
    pub fn fetch_ended(&mut self, crashed: bool, now: Instant) {
        self.running.fetch = None;
        if crashed {
            // A scan of everything asks for it again.
            self.next.rescan = self.next.rescan.min(now + AFTER_A_CRASH);
        } else if !self.paused {
            // Also for whoever looks at the page.
            self.wanted.pass = true;
        }
    }

    /// A pass ended. Returns whether it stood for the whole mirror.
    pub fn pass_ended(&mut self, outcome: PassOutcome, now: Instant) -> bool {
        let PassJob { refresh, for_all, overrides } = self.running.pass.take().unwrap_or_default();
        match outcome {
            PassOutcome::Whole => {
                self.rests = 0;
                return for_all.is_some();
            }
            PassOutcome::Cut => {}
            PassOutcome::NotBelieved => {
                // The media area is looked at ever more rarely, and what was seen of it is what is not believed.
                self.next.pass = now + REST.after(self.rests);
                self.rests = self.rests.saturating_add(1);
                self.wanted.refresh = true;
            }
            PassOutcome::Crashed => self.next.pass = now + AFTER_A_CRASH,
        }
        // What the pass was begun for is still to be done.
        self.wanted.overrides = self.wanted.overrides.and(overrides);
        self.wanted.refresh |= refresh;
        self.wanted.pass_for_all = self.wanted.pass_for_all.take().or(for_all);
        self.wanted.pass = true;
        false
    }

    /// The API is in trouble, and is waited for from here on. Others may change the remote meanwhile.
    pub const fn api_outage(&mut self) {
        self.running.api_wait = true;
        self.wanted.refresh = true;
    }

    /// The API may be tried again; `crashed`: the wait ended abnormally.
    pub fn api_wait_ended(&mut self, crashed: bool, now: Instant) {
        self.running.api_wait = false;
        if crashed {
            self.next.pass = now + AFTER_A_CRASH;
        }
    }
}
