//! What a run came to, for people and for programs.
//!
//! Owns: the counters and problems of a run, and the report's JSON, whose names are stable. Never prints: that is
//! `cli`. Called by: `pipeline::pass` fills it, `cli` shows it.

use serde::Serialize;

use crate::index::Problem;

/// A run's report.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Report {
    /// One for each mirror.
    pub mirrors: Vec<MirrorReport>,
    /// Milliseconds from start to end.
    pub duration_ms: u64,
}

/// What a run did for one mirror.
#[derive(Debug, Clone, Default, Serialize)]
pub struct MirrorReport {
    /// The mirror's name.
    pub name: String,
    /// Its root.
    pub root: String,
    /// What was seen and done.
    #[serde(flatten)]
    pub counts: Counts,
    /// Files that a run which was cut short did not come to.
    #[serde(skip_serializing_if = "is_zero")]
    pub waiting: u64,
    /// Files that are not mirrored and should be.
    pub failed: u64,
    /// Each of them, and what else a person should know.
    pub problems: Vec<ReportedProblem>,
    /// API calls made.
    pub api_requests: u64,
    /// Bytes sent to the bucket.
    pub bytes_uploaded: u64,
    /// With `verify_live`: what the URLs of replaced assets served in the end.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub live: Vec<LiveUrl>,
    /// With `--dry-run`: what would be done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan: Option<Vec<PlannedAction>>,
}

/// What a run, or one pass of the daemon, saw and did, in numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Files that were looked at.
    pub scanned: u64,
    /// Files that needed nothing.
    pub unchanged: u64,
    /// New assets.
    pub created: u64,
    /// Assets found by content and taken over.
    pub adopted: u64,
    /// Paths that joined another path's asset.
    pub aliased: u64,
    /// Assets that followed a moved file.
    pub moved: u64,
    /// Assets with a new file.
    pub replaced: u64,
    /// Assets with new metadata only.
    pub retagged: u64,
    /// Assets deleted.
    pub deleted: u64,
    /// What is no file that can be mirrored.
    pub skipped: u64,
}

/// A problem with its path.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct ReportedProblem {
    /// Below the root; empty when it is about the whole mirror.
    pub path: String,
    /// What was tried.
    pub action: String,
    /// The cause in plain words.
    pub cause: String,
    /// What to do.
    pub advice: String,
}

/// What is known of a replaced asset's URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LiveState {
    /// It serves the new bytes.
    Live,
    /// It does not serve them yet.
    NotYet,
    /// What it serves tells nothing: other bytes than the new and the old ones, or none.
    CannotBeTold,
}

/// A replaced asset's URL, followed until it served the new bytes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct LiveUrl {
    /// Below the root.
    pub path: String,
    /// Where the asset is served.
    pub url: String,
    /// What is known of it.
    pub state: LiveState,
    /// Milliseconds from the replacement until the new bytes were seen; `None`: not seen.
    pub after_ms: Option<u64>,
    /// What it did instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instead: Option<String>,
}

/// An action a dry run would take.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct PlannedAction {
    /// Below the root.
    pub path: String,
    /// create, adopt, alias, move, replace, retag, delete or report.
    pub action: String,
    /// Why.
    pub why: String,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
const fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl Counts {
    /// Counts a finished action by its name.
    pub fn count(&mut self, action: &str) {
        let counter = match action {
            "create" => &mut self.created,
            "adopt" => &mut self.adopted,
            "alias" => &mut self.aliased,
            "move" => &mut self.moved,
            "replace" => &mut self.replaced,
            "retag" => &mut self.retagged,
            "delete" => &mut self.deleted,
            _ => return,
        };
        *counter += 1;
    }

    /// Actions done, by name.
    #[must_use]
    pub const fn actions(&self) -> [(&'static str, u64); 7] {
        [
            ("create", self.created),
            ("adopt", self.adopted),
            ("alias", self.aliased),
            ("move", self.moved),
            ("replace", self.replaced),
            ("retag", self.retagged),
            ("delete", self.deleted),
        ]
    }

    /// Paths on disk that needed something.
    #[must_use]
    pub const fn changed_paths(&self) -> u64 {
        self.created + self.adopted + self.aliased + self.moved + self.replaced + self.retagged
    }
}

impl MirrorReport {
    /// Adds a path that could not be mirrored.
    pub fn fail(&mut self, path: &str, problem: &Problem) {
        self.failed += 1;
        self.problem(path, problem);
    }

    /// Adds a problem.
    pub fn problem(&mut self, path: &str, problem: &Problem) {
        self.problems.push(ReportedProblem {
            path: path.to_owned(),
            action: problem.action.clone(),
            cause: problem.cause.clone(),
            advice: problem.advice.clone(),
        });
    }

    /// What was done, in a few words.
    #[must_use]
    pub fn counts(&self) -> String {
        let parts: Vec<String> = [
            ("created", self.counts.created),
            ("adopted", self.counts.adopted),
            ("aliased", self.counts.aliased),
            ("moved", self.counts.moved),
            ("replaced", self.counts.replaced),
            ("retagged", self.counts.retagged),
            ("deleted", self.counts.deleted),
            ("skipped", self.counts.skipped),
            ("failed", self.failed),
            ("waiting", self.waiting),
        ]
        .iter()
        .filter(|(_, count)| *count > 0)
        .map(|(name, count)| format!("{count} {name}"))
        .collect();
        if parts.is_empty() { "nothing to do".into() } else { parts.join(", ") }
    }
}
