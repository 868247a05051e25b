//! What of files' metadata could not be used: a locale the project does not have, a sidecar file with a mistake in it.
//!
//! Owns: how such notices are gathered and worded. The files themselves are mirrored, so these are no failures.

use std::collections::BTreeMap;

use rusqlite::Connection;

use crate::index::{FileRow, Problem, files, sidecars};
use crate::model::ActionKind;
use crate::report::ReportedProblem;

use crate::sync::observe::Looks;
use crate::sync::plan::{Observation, Plan};

/// Notices read at most.
const MAX_READ: u32 = 1000;
/// Notices told at most; one mistake in a rule is in thousands of files.
const MAX_TOLD: usize = 50;

/// What to do about a metadata file that cannot be used.
pub const BROKEN_ADVICE: &str = "correct the metadata file; until then the metadata of its files stays as it is";

/// Keeps what of the metadata of the planned `row`, and of those that the plan speaks for, could not be used.
///
/// # Errors
/// SQLite's.
pub fn keep(looks: &Looks<'_>, row: &FileRow, seen: &Observation, plan: &Plan) -> rusqlite::Result<()> {
    let problems = &seen.me.desired.problems;
    let notice = (row.present && !problems.is_empty()).then(|| problems.join("\n"));
    files::set_notice(looks.conn(), row.id, notice.as_deref())?;
    for member in &plan.members {
        let notice = looks.notice(member.row.id).filter(|_| member.row.present);
        files::set_notice(looks.conn(), member.row.id, notice.as_deref())?;
    }
    Ok(())
}

/// The metadata files that cannot be used, and the notices about files of a mirror whose paths are `wanted`; one that is the
/// same for many is told once. What lies in a file's nature, as with an encrypted PDF, is nothing to correct: `explain` has it.
///
/// # Errors
/// SQLite's.
pub fn told(conn: &Connection, mirror: i64, wanted: impl Fn(&str) -> bool) -> rusqlite::Result<Vec<ReportedProblem>> {
    let notices = files::notices(conn, mirror, MAX_READ)?;
    let mut told: BTreeMap<&str, (&str, u64)> = BTreeMap::new();
    for (lines, path, count) in notices.iter().filter(|(_, path, _)| wanted(path)) {
        for line in lines.lines().filter(|line| !embedded_metadata::is_by_nature(line)) {
            told.entry(line).or_insert((path, 0)).1 += count;
        }
    }
    let mut told: Vec<_> = told.into_iter().map(|(line, (path, count))| (path, line, count)).collect();
    told.sort_unstable();
    let hidden = told.len().saturating_sub(MAX_TOLD);
    let notice = |path: &str, cause: String, advice: &'static str| {
        ReportedProblem::of(path, Problem::new(ActionKind::Read, cause, advice))
    };
    let broken = sidecars::broken(conn, mirror)?;
    let mut problems: Vec<ReportedProblem> =
        broken.into_iter().map(|(path, cause)| notice(&path, cause, BROKEN_ADVICE)).collect();
    problems.extend(told.into_iter().take(MAX_TOLD).map(|(path, line, count)| {
        let more = if count > 1 { format!(" (and {} more files)", count - 1) } else { String::new() };
        notice(path, format!("{line}{more}"), "correct it; the file itself is mirrored, without this")
    }));
    if hidden > 0 {
        let cause = format!("{hidden} more of the kind: metadata that could not be used");
        problems.push(notice("", cause, "correct those above; the rest is told then"));
    }
    Ok(problems)
}
