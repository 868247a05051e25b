//! What a run came to, for people and for programs.
//!
//! Owns: the counters and problems of a run, and the report's JSON, whose names are stable. Never prints: that is
//! `cli`.

pub mod change;

use jiff::Timestamp;
use serde::Serialize;
use serde::ser::{SerializeStruct as _, Serializer};

use crate::index::Problem;
use crate::index::files::{ProblemKind, RetryAt};
use crate::index::status_notes::LastPass;
use crate::model::{ActionKind, GoesOn};

/// Whether something found on disk counts as a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// Nothing that could be mirrored: a pipe, a link out of the root, a file that went away.
    Skipped,
    /// A file that should be mirrored and is not.
    Failed,
}

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
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportedProblem {
    /// Below the root; empty when it is about the whole mirror.
    pub path: String,
    /// What was tried, why it failed, and what to do.
    pub problem: Problem,
    /// When it is tried again.
    pub retry: RetryAt,
    /// Who tries it again, where this is read.
    pub goes_on: GoesOn,
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
    pub action: ActionKind,
    /// Why.
    pub why: String,
    /// What it changes, from what to what; for people: in JSON a plan has the three values above.
    #[serde(skip)]
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
    /// Counts a finished action; one that changes nothing in the media area counts for nothing.
    pub const fn count(&mut self, action: ActionKind) {
        let counter = match action {
            ActionKind::Create => &mut self.created,
            ActionKind::Adopt => &mut self.adopted,
            ActionKind::Alias => &mut self.aliased,
            ActionKind::Move => &mut self.moved,
            ActionKind::Replace => &mut self.replaced,
            ActionKind::Retag => &mut self.retagged,
            ActionKind::Delete => &mut self.deleted,
            ActionKind::Report
            | ActionKind::Nothing
            | ActionKind::Wait
            | ActionKind::Read
            | ActionKind::Skip
            | ActionKind::Upload
            | ActionKind::Connect
            | ActionKind::Guard
            | ActionKind::Manifest
            | ActionKind::Start
            | ActionKind::Unknown => return,
        };
        *counter += 1;
    }

    /// Actions done.
    #[must_use]
    pub const fn actions(&self) -> [(ActionKind, u64); 7] {
        [
            (ActionKind::Create, self.created),
            (ActionKind::Adopt, self.adopted),
            (ActionKind::Alias, self.aliased),
            (ActionKind::Move, self.moved),
            (ActionKind::Replace, self.replaced),
            (ActionKind::Retag, self.retagged),
            (ActionKind::Delete, self.deleted),
        ]
    }

    /// Paths on disk that needed something.
    #[must_use]
    pub const fn changed_paths(&self) -> u64 {
        self.created + self.adopted + self.aliased + self.moved + self.replaced + self.retagged
    }
}

/// Paths named of those that the deletion guard withheld.
const NAMED: usize = 3;

/// The problems as people read them: what the deletion guard withheld is one matter, however many files it is about. Programs
/// get each.
#[must_use]
pub fn for_people(problems: &[ReportedProblem]) -> Vec<ReportedProblem> {
    let is_withheld = |problem: &ReportedProblem| problem.problem.kind == ProblemKind::Withheld;
    let withheld: Vec<&str> =
        problems.iter().filter(|problem| is_withheld(problem)).map(|problem| problem.path.as_str()).collect();
    let mut told = false;
    let mut shown = Vec::new();
    for problem in problems {
        let mut problem = problem.clone();
        if is_withheld(&problem) && withheld.len() > 1 {
            if std::mem::replace(&mut told, true) {
                continue;
            }
            let more = withheld.len().saturating_sub(NAMED);
            problem.path = withheld.iter().take(NAMED).copied().collect::<Vec<_>>().join(", ");
            if more > 0 {
                problem.path.push_str(&format!(" and {more} more"));
            }
            problem.problem.cause = format!(
                "these {} files are gone; their assets were not deleted because the deletion guard stopped the run",
                withheld.len()
            );
        }
        shown.push(problem);
    }
    shown
}

impl ReportedProblem {
    /// A problem of `path`, where a daemon goes on, and at the next pass tries again what failed.
    #[must_use]
    pub fn of(path: impl Into<String>, problem: Problem) -> Self {
        Self { path: path.into(), problem, retry: RetryAt::NextPass, goes_on: GoesOn::Daemon }
    }

    /// What to do, as it is true where this is read.
    #[must_use]
    pub fn advice(&self) -> String {
        self.retry.told(&self.problem.advice, self.goes_on)
    }
}

/// Path, action, cause and advice.
impl Serialize for ReportedProblem {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("ReportedProblem", 4)?;
        fields.serialize_field("path", &self.path)?;
        fields.serialize_field("action", &self.problem.action)?;
        fields.serialize_field("cause", &self.problem.cause)?;
        fields.serialize_field("advice", &self.advice())?;
        fields.end()
    }
}

impl Report {
    /// No daemon goes on: all advice says what is true at the end of a run.
    pub fn ends_a_run(&mut self) {
        for problem in self.mirrors.iter_mut().flat_map(|mirror| &mut mirror.problems) {
            problem.goes_on = GoesOn::NextRun;
        }
    }
}

impl MirrorReport {
    /// What `status` reads of it in the index; the pass ended `at` after `duration_ms`.
    #[must_use]
    pub fn last_pass(&self, at: Timestamp, duration_ms: u64) -> LastPass {
        let whole = self.problems.iter().filter(|problem| problem.path.is_empty());
        LastPass {
            at,
            duration_ms,
            scanned: self.counts.scanned,
            changed: self.counts.changed_paths(),
            deleted: self.counts.deleted,
            failed: self.failed,
            api_requests: self.api_requests,
            bytes_uploaded: self.bytes_uploaded,
            problems: whole.map(|problem| (problem.problem.cause.clone(), problem.advice())).collect(),
        }
    }

    /// Counts a finished action. `counted`: it is the first for a file that is on disk.
    pub fn count(&mut self, action: ActionKind, counted: bool) {
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

    /// Adds a path that could not be mirrored, and when that is tried again.
    pub fn fail(&mut self, path: &str, problem: &Problem, retry: RetryAt) {
        self.failed += 1;
        self.problems.push(ReportedProblem { retry, ..ReportedProblem::of(path, problem.clone()) });
    }

    /// Adds a problem.
    pub fn problem(&mut self, path: &str, problem: &Problem) {
        self.problems.push(ReportedProblem::of(path, problem.clone()));
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
    use serde_json::json;

    use super::*;
    use crate::model::Advice;

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
        for (action, counted) in [
            (ActionKind::Create, true),
            (ActionKind::Retag, false),
            (ActionKind::Replace, true),
            (ActionKind::Move, true),
            (ActionKind::Retag, false),
        ] {
            report.count(action, counted);
        }
        report.settle_unchanged();
        assert_eq!((report.counts.unchanged, report.counts.changed_paths()), (5, 5));
        let planned = |path: &str, on_disk| PlannedAction {
            path: path.into(),
            action: ActionKind::Retag,
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
        // The same words of something else are not the guard's.
        let other = Problem { kind: ProblemKind::Other, ..Problem::withheld() };
        let mut problems = vec![ReportedProblem::of("big.bin", other)];
        problems.extend((1..6).map(|n| ReportedProblem::of(format!("{n}.png"), Problem::withheld())));
        let shown = for_people(&problems);
        assert_eq!(shown.len(), 2, "{shown:#?}");
        assert_eq!(shown[1].path, "1.png, 2.png, 3.png and 2 more");
        assert!(shown[1].problem.cause.starts_with("these 5 files are gone"), "{shown:#?}");
        assert_eq!(for_people(&problems[..2]), problems[..2]);
    }

    /// The fields of a problem in reports and on the status page are an interface.
    #[test]
    fn a_problem_says_who_tries_again_what_failed() {
        let advice = Advice::then_again("check the network");
        let problem = Problem::new(ActionKind::Create, "no answer", advice);
        for (retry, goes_on, said) in [
            (RetryAt::Time(9), GoesOn::Daemon, "check the network; it is tried again"),
            (RetryAt::NextPass, GoesOn::NextRun, "check the network; the next run tries it again"),
            (RetryAt::AfterAChange, GoesOn::NextRun, "check the network"),
        ] {
            let mut report = Report { mirrors: vec![MirrorReport::default()], duration_ms: 0 };
            report.mirrors[0].fail("a.png", &problem, retry);
            if goes_on == GoesOn::NextRun {
                report.ends_a_run();
            }
            let json = serde_json::to_value(&report.mirrors[0].problems).unwrap();
            assert_eq!(
                json,
                json!([{"path": "a.png", "action": "create", "cause": "no answer", "advice": said}]),
                "{retry:?} {goes_on:?}"
            );
        }
    }
}
