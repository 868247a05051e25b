//! What a scan found on disk and could not take in.
//!
//! Owns: what of it is a failure, and how it gets into a report and into the index's notes for `status`.

use crate::index::Problem;
use crate::index::status_notes::Unread;
use crate::model::ActionKind;
use crate::report::change::Change;
use crate::report::{MirrorReport, PlannedAction, Severity};

use super::Scanned;

/// The failures, as `status` reads them.
pub fn unread<'a>(problems: impl Iterator<Item = (&'a str, &'a Problem, Severity)>) -> Vec<Unread> {
    problems
        .filter(|(_, _, severity)| *severity == Severity::Failed)
        .map(|(path, Problem { cause, advice, .. }, _)| Unread {
            path: path.to_owned(),
            cause: cause.clone(),
            advice: advice.clone(),
        })
        .collect()
}

/// Adds what a scan could not read to the report.
pub fn take_scan_problems(scanned: &Scanned, report: &mut MirrorReport) {
    for (path, problem, severity) in &scanned.problems {
        match severity {
            Severity::Skipped => report.counts.skipped += 1,
            Severity::Failed => report.failed += 1,
        }
        report.problem(path.key(), problem);
    }
    report.apart.failures += scanned.unreadable;
    if let Some(plan) = &mut report.plan {
        plan.extend(scanned.would_fetch.iter().map(|path| PlannedAction {
            path: path.key().to_owned(),
            action: ActionKind::Create,
            why: "a list names it; it would be fetched from its URL".into(),
            change: Change::default(),
            on_disk: false,
        }));
    }
}
