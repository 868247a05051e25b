//! What a run came to, for people and for programs.
//!
//! Owns: the counters and problems of a run, and the report's JSON, whose names are stable. Never prints: that is
//! `cli`.

pub mod change;

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
    /// What of the counts is not about one more of the scanned files.
    #[serde(skip)]
    pub apart: Apart,
}

/// What has to be left out for each scanned file to be counted once: see [`MirrorReport::settle_unchanged`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Apart {
    /// Actions on assets of files that are gone, and further actions on a file that had one already.
    pub actions: u64,
    /// Failures of what is not among the scanned files: a file that is gone, a folder that cannot be listed; and of what the
    /// plan of a dry run has as well.
    pub failures: u64,
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
    /// What it changes, from what to what.
    #[serde(flatten)]
    pub change: change::Change,
    /// The path is one of the scanned files.
    #[serde(skip)]
    pub on_disk: bool,
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

/// Why the asset of a gone file was not deleted, where the deletion guard kept it.
pub const WITHHELD: &str = "the file is gone; its asset was not deleted because the deletion guard stopped the run";
/// Paths named of those that the deletion guard withheld.
const NAMED: usize = 3;

/// The problems as people read them: what the deletion guard withheld is one matter, however many files it is about. Programs
/// get each.
#[must_use]
pub fn for_people(problems: &[ReportedProblem]) -> Vec<ReportedProblem> {
    let withheld: Vec<&str> =
        problems.iter().filter(|problem| problem.cause == WITHHELD).map(|problem| problem.path.as_str()).collect();
    let mut told = false;
    let mut shown = Vec::new();
    for problem in problems {
        let mut problem = problem.clone();
        if problem.cause == WITHHELD && withheld.len() > 1 {
            if std::mem::replace(&mut told, true) {
                continue;
            }
            let more = withheld.len().saturating_sub(NAMED);
            problem.path = withheld.iter().take(NAMED).copied().collect::<Vec<_>>().join(", ");
            if more > 0 {
                problem.path.push_str(&format!(" and {more} more"));
            }
            problem.cause = format!(
                "these {} files are gone; their assets were not deleted because the deletion guard stopped the run",
                withheld.len()
            );
        }
        shown.push(problem);
    }
    shown
}

/// Advice, or an error with its advice, as it is true where no daemon goes on: a run ends, and the next one tries again.
#[must_use]
pub fn where_nothing_goes_on(text: &str) -> String {
    let Some((before, rest)) = text.split_once("it is tried again") else { return text.to_owned() };
    // When, as a daemon would do it, goes with the promise.
    let after = rest.find(';').and_then(|end| rest.get(end..)).unwrap_or_default();
    format!("{before}the next run tries it again{after}")
}

impl Report {
    /// Puts all advice into words that are true at the end of a run.
    pub fn ends_a_run(&mut self) {
        for problem in self.mirrors.iter_mut().flat_map(|mirror| &mut mirror.problems) {
            problem.advice = where_nothing_goes_on(&problem.advice);
            problem.cause = where_nothing_goes_on(&problem.cause);
        }
    }
}

impl MirrorReport {
    /// Counts a finished action by its name. `counted`: it is the first for a file that is on disk.
    pub fn count(&mut self, action: &str, counted: bool) {
        self.counts.count(action);
        self.apart.actions += u64::from(!counted);
    }

    /// Counts what needed nothing: each scanned file that nothing was done for, that did not fail and does not wait.
    pub fn settle_unchanged(&mut self) {
        let changed = self.counts.changed_paths().saturating_sub(self.apart.actions);
        let failed = self.failed.saturating_sub(self.apart.failures);
        let planned = self.planned_files();
        self.counts.unchanged = self.counts.scanned.saturating_sub(changed + failed + self.waiting + planned);
    }

    /// Scanned files that a dry run would do something for.
    #[must_use]
    pub fn planned_files(&self) -> u64 {
        let plan = self.plan.iter().flatten().filter(|planned| planned.on_disk);
        plan.map(|planned| planned.path.as_str()).collect::<std::collections::BTreeSet<_>>().len() as u64
    }

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

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(path: &str, cause: &str) -> ReportedProblem {
        ReportedProblem { path: path.into(), action: "delete".into(), cause: cause.into(), advice: "a".into() }
    }

    #[test]
    fn each_scanned_file_is_counted_once() {
        // Ten files: three changed, one of them twice, one failed; the asset of a gone file was tagged, those of two were
        // withheld, and a folder could not be listed.
        let mut report = MirrorReport {
            counts: Counts { scanned: 10, ..Counts::default() },
            failed: 4,
            waiting: 1,
            apart: Apart { actions: 0, failures: 3 },
            ..MirrorReport::default()
        };
        for (action, counted) in
            [("create", true), ("retag", false), ("replace", true), ("move", true), ("retag", false)]
        {
            report.count(action, counted);
        }
        report.settle_unchanged();
        assert_eq!((report.counts.unchanged, report.counts.changed_paths()), (5, 5));
        let planned = |path: &str, on_disk| PlannedAction {
            path: path.into(),
            action: "retag".into(),
            why: String::new(),
            change: change::Change::default(),
            on_disk,
        };
        let plan = vec![planned("a", true), planned("a", true), planned("gone", false), planned("", false)];
        let mut dry = MirrorReport {
            counts: Counts { scanned: 3, ..Counts::default() },
            plan: Some(plan),
            ..MirrorReport::default()
        };
        dry.settle_unchanged();
        assert_eq!((dry.planned_files(), dry.counts.unchanged), (1, 2));
    }

    #[test]
    fn what_the_guard_withheld_is_one_matter_for_people() {
        let mut problems = vec![problem("big.bin", "too large")];
        problems.extend((1..6).map(|n| problem(&format!("{n}.png"), WITHHELD)));
        let shown = for_people(&problems);
        assert_eq!(shown.len(), 2, "{shown:#?}");
        assert_eq!(shown[1].path, "1.png, 2.png, 3.png and 2 more");
        assert!(shown[1].cause.starts_with("these 5 files are gone"), "{shown:#?}");
        assert_eq!(for_people(&problems[..2]), problems[..2]);
    }

    #[test]
    fn nothing_is_promised_where_nothing_goes_on() {
        for (text, expected) in [
            ("check it; it is tried again", "check it; the next run tries it again"),
            ("it is tried again; see who does it", "the next run tries it again; see who does it"),
            (
                "upgrade; it is tried again by itself, after an hour at most, and at once by `retry`",
                "upgrade; the next run tries it again",
            ),
            ("it is tried again after ever longer pauses; tell them", "the next run tries it again; tell them"),
            ("check its permissions", "check its permissions"),
        ] {
            assert_eq!(where_nothing_goes_on(text), expected);
        }
    }
}
