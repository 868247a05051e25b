//! The live state as a value: what `/status.json` shows.
//!
//! Owns: the names in that JSON, which are an interface: add, do not rename. Times are RFC 3339 in UTC. Never does:
//! holding anything secret: no token, no presigned URL.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

use crate::index::files::FileCounts;
use crate::report::{Counts, MirrorReport, ReportedProblem};

use super::Health;

/// Everything.
#[derive(Debug, Clone, Serialize)]
pub struct RuntimeView {
    /// Of the program.
    pub version: &'static str,
    /// When the process started.
    pub since: Timestamp,
    /// Whether it still moves.
    pub health: Health,
    /// Whether every mirror had its first full pass.
    pub ready: bool,
    /// Signs of life since the start.
    pub ticks: u64,
    /// How it stands with the API.
    pub api: ApiView,
    /// In the configuration's order.
    pub mirrors: Vec<MirrorView>,
}

/// How it stands with the API, for all mirrors together.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ApiView {
    /// Calls this installation made this month (UTC).
    pub calls_this_month: u64,
    /// Calls it may make in a month.
    pub budget: Option<u64>,
    /// What is left of the budget is being spread over the rest of the month.
    pub slowed: bool,
    /// Calls it will have made at the month's end, going on like this.
    pub forecast: Option<u64>,
    /// Calls since the start of the process.
    pub requests: u64,
    /// Bytes of files that arrived in the bucket since then.
    pub bytes_uploaded: u64,
    /// How often the API said "too many requests" since then.
    pub throttled: u64,
    /// Calls a window (3 s) that the API allows the project; `None` before it told.
    pub limit: Option<u32>,
    /// Calls a window that we allow ourselves now.
    pub allowance: u32,
    /// Calls a window that other clients were seen to make lately.
    pub others: u32,
    /// Calls waiting for their answer.
    pub in_flight: usize,
    /// How long "too many requests" still stops everybody, in milliseconds.
    pub stopped_for_ms: u64,
    /// Since when the API cannot be reached.
    pub down_since: Option<Timestamp>,
    /// Where people see an asset in the CMS: put its id at the end. `None` when the project has no such place.
    pub cms_assets: Option<String>,
}

/// A mirror.
#[derive(Debug, Clone, Serialize)]
pub struct MirrorView {
    /// Its name.
    pub name: String,
    /// Its root.
    pub root: String,
    /// How its changes are found.
    pub watching: Watching,
    /// Why it works less well than it should, with what to do.
    pub degraded: Vec<String>,
    /// What it does now.
    pub phase: Phase,
    /// Whether its first scan is through.
    pub scanned: bool,
    /// Whether its first full pass is through.
    pub first_pass_done: bool,
    /// The pass that ended last.
    pub last_pass: Option<PassView>,
    /// When a pass last ended with nothing failed.
    pub last_success: Option<Timestamp>,
    /// What its passes came to since the start, together.
    pub totals: Totals,
    /// Files on disk.
    pub present: u64,
    /// Of these, those in step with their asset, with nothing left to do and without a problem.
    pub mirrored: u64,
    /// Files that wait for their turn.
    pub pending: u64,
    /// Files that are not mirrored and should be.
    pub failed: u64,
    /// Where the files stand, each counted once.
    pub counts: FileCounts,
    /// The last 100, newest first.
    pub changes: Vec<Change>,
    /// The first 200.
    pub problems: Vec<ReportedProblem>,
    /// Problems beyond those.
    pub more_problems: u64,
}

impl MirrorView {
    pub(super) fn new(name: &str, root: &str) -> Self {
        Self {
            name: name.to_owned(),
            root: root.to_owned(),
            watching: Watching::Starting,
            degraded: Vec::new(),
            phase: Phase::Starting,
            scanned: false,
            first_pass_done: false,
            last_pass: None,
            last_success: None,
            totals: Totals::default(),
            present: 0,
            mirrored: 0,
            pending: 0,
            failed: 0,
            counts: FileCounts::default(),
            changes: Vec::new(),
            problems: Vec::new(),
            more_problems: 0,
        }
    }
}

/// How changes are found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "how", rename_all = "snake_case")]
pub enum Watching {
    /// Not decided yet.
    Starting,
    /// The system tells.
    Native,
    /// The folder is scanned again and again.
    Polling {
        /// Why, in plain words.
        reason: String,
        /// From scan to scan, in milliseconds.
        every_ms: u64,
    },
}

/// What a mirror does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "name", rename_all = "snake_case")]
pub enum Phase {
    /// Nothing yet.
    Starting,
    /// It walks the folder.
    Scanning,
    /// It brings the media area up to the folder.
    Mirroring {
        /// Files done in this pass.
        done: u64,
        /// About how many there are to do.
        total_hint: u64,
        /// Bytes sent in this pass.
        bytes: u64,
    },
    /// All is done; it waits for changes.
    Idle,
    /// A guard stopped it; nothing is changed or deleted until that is over.
    Paused {
        /// Which, in plain words with what to do.
        guard: String,
    },
    /// It would work, but must wait.
    Waiting {
        /// For what.
        #[serde(flatten)]
        waiting: Waiting,
    },
}

impl Phase {
    /// Why nothing is done now, for people; nothing where it works or rests.
    #[must_use]
    pub fn waits(&self) -> Option<String> {
        match self {
            Self::Starting | Self::Scanning | Self::Mirroring { .. } | Self::Idle => None,
            Self::Paused { guard } => Some(format!("paused: {guard}")),
            Self::Waiting { waiting: Waiting::Api { cause, .. } } => Some(format!("waits for the API: {cause}")),
        }
    }
}

/// What is waited for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "for", rename_all = "snake_case")]
pub enum Waiting {
    /// The API cannot be reached.
    Api {
        /// Since when.
        since: Timestamp,
        /// The cause in plain words.
        cause: String,
    },
}

/// A pass that ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PassView {
    /// When it ended.
    pub at: Timestamp,
    /// How long it took, in milliseconds.
    pub duration_ms: u64,
    /// Whether it was about the whole mirror and was not cut short.
    pub full: bool,
    /// What was seen and done.
    #[serde(flatten)]
    pub counts: Counts,
    /// Files that are not mirrored and should be.
    pub failed: u64,
    /// API calls made.
    pub api_requests: u64,
    /// Bytes sent to the bucket.
    pub bytes_uploaded: u64,
}

impl PassView {
    pub(super) fn new(report: &MirrorReport, at: Timestamp, took: Duration, full: bool) -> Self {
        Self {
            at,
            duration_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            full,
            counts: report.counts,
            failed: report.failed,
            api_requests: report.api_requests,
            bytes_uploaded: report.bytes_uploaded,
        }
    }
}

/// Passes since the start of the process.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// Passes that ended.
    pub passes: u64,
    /// Of these, those about the whole mirror that were not cut short.
    pub full_passes: u64,
    /// When the last of those ended.
    pub last_full_pass: Option<Timestamp>,
    /// Actions done, by name; see [`Change::action`].
    pub actions: BTreeMap<&'static str, u64>,
}

impl Totals {
    pub(super) fn add(&mut self, report: &MirrorReport, at: Timestamp, full: bool) {
        self.passes += 1;
        if full {
            self.full_passes += 1;
            self.last_full_pass = Some(at);
        }
        for (action, count) in report.counts.actions() {
            *self.actions.entry(action.as_str()).or_default() += count;
        }
    }
}

/// A change in the media area.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// Below the root.
    pub path: String,
    /// create, adopt, alias, move, replace, retag or delete.
    pub action: String,
    /// When.
    pub at: Timestamp,
    /// The asset's public URL; `None` when it is gone.
    pub url: Option<String>,
    /// The asset's id.
    pub asset: Option<String>,
}
