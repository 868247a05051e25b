//! What keeps a mirror from working as well as it should, beside what the index says.
//!
//! Owns: the problems that scans found, each logged once; the reasons why a mirror is degraded. Decides nothing by them.

use std::collections::BTreeMap;

use crate::index::Problem;
use crate::index::status_notes::Unread;
use crate::model::RelPath;
use crate::report::ReportedProblem;
use crate::report::Severity;
use crate::sync::scan::unread;

use super::schedule::ScanPlace;

/// Lines a scan adds to the log at most.
const LINES: usize = 20;

/// What is wrong with a mirror at the moment.
#[derive(Debug, Default)]
pub struct MirrorHealth {
    problems: BTreeMap<String, (Problem, Severity)>,
    /// Why the watcher is degraded.
    pub watch: Option<String>,
    /// What the deletion guard said.
    pub guard: Option<String>,
    /// Why nothing at all is changed.
    pub stop: Option<String>,
}

impl MirrorHealth {
    /// Takes over what a scan of `place` found, and logs what is new.
    pub fn scanned(&mut self, mirror: &str, place: &ScanPlace, found: Vec<(RelPath, Problem, Severity)>) {
        let before = match place {
            ScanPlace::Whole => std::mem::take(&mut self.problems),
            ScanPlace::Folders(paths) | ScanPlace::Settled(paths, _) => self.take(paths),
        };
        let mut new = Vec::new();
        for (path, problem, severity) in found {
            if before.get(path.key()).is_none_or(|(before, _)| *before != problem) {
                new.push((path.clone(), problem.clone(), severity));
            }
            self.problems.insert(path.key().to_owned(), (problem, severity));
        }
        for (path, Problem { cause, advice, .. }, severity) in new.iter().take(LINES) {
            match severity {
                Severity::Failed => tracing::warn!(mirror, %path, cause, advice = advice.to_string(), "not mirrored"),
                Severity::Skipped => tracing::info!(mirror, %path, cause, "skipped"),
            }
        }
        if new.len() > LINES {
            tracing::warn!(mirror, "{} more files cannot be mirrored as they are; see `status`", new.len() - LINES);
        }
    }

    fn take(&mut self, paths: &[RelPath]) -> BTreeMap<String, (Problem, Severity)> {
        let mut taken = BTreeMap::new();
        for path in paths {
            taken.extend(self.problems.remove_entry(path.key()));
            taken.extend(self.problems.remove_entry(path.spelt_out().key()));
            let folder = format!("{}/", path.key());
            let below: Vec<String> = self
                .problems
                .range(folder.clone()..)
                .map(|(path, _)| path.clone())
                .take_while(|path| path.starts_with(&folder))
                .collect();
            taken.extend(below.iter().filter_map(|path| self.problems.remove_entry(path)));
        }
        taken
    }

    /// The paths with a problem at or below `path`, or all of them.
    pub fn paths(&self, path: Option<&str>) -> Vec<RelPath> {
        let is_asked = |key: &str| {
            path.is_none_or(|path| key.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')))
        };
        self.problems.keys().filter(|key| is_asked(key)).filter_map(|key| RelPath::from_key(key).ok()).collect()
    }

    /// Files that should be mirrored and cannot be read.
    pub fn failed(&self) -> u64 {
        self.problems.values().filter(|(_, severity)| *severity == Severity::Failed).count() as u64
    }

    /// The files that should be mirrored and cannot be read, for the index.
    pub fn unread(&self) -> Vec<Unread> {
        unread(self.problems.iter().map(|(path, (problem, severity))| (path.as_str(), problem, *severity)))
    }

    /// The problems for people; failures first.
    pub fn problems(&self) -> Vec<ReportedProblem> {
        let of = |wanted| {
            self.problems
                .iter()
                .filter(move |(_, (_, severity))| *severity == wanted)
                .map(|(path, (problem, _))| ReportedProblem::of(path.clone(), problem.clone()))
        };
        of(Severity::Failed).chain(of(Severity::Skipped)).collect()
    }

    /// Why the mirror works less well than it should.
    pub fn degraded(&self) -> Vec<String> {
        self.watch.iter().chain(&self.stop).chain(&self.guard).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ActionKind;
    use crate::sync::scan::Waited;

    #[test]
    fn a_look_at_a_place_replaces_what_was_known_of_it_and_nothing_else() {
        let path = |key| RelPath::from_key(key).unwrap();
        let problem = |key, cause: &str| {
            let problem = Problem::new(ActionKind::Read, cause, "");
            (path(key), problem, Severity::Failed)
        };
        let shown = |health: &MirrorHealth| {
            health
                .problems()
                .into_iter()
                .map(|problem| format!("{} {}", problem.path, problem.problem.cause))
                .collect::<Vec<_>>()
        };
        let mut health = MirrorHealth::default();
        health.scanned("m", &ScanPlace::Whole, vec![problem("a/x", "1"), problem("a/y", "1"), problem("ab", "1")]);
        health.scanned("m", &ScanPlace::Folders(vec![path("a")]), vec![problem("a/y", "2")]);
        assert_eq!(shown(&health), ["a/y 2", "ab 1"]);
        assert_eq!(health.paths(None), [path("a/y"), path("ab")]);
        assert_eq!(health.paths(Some("a")), [path("a/y")]);
        assert_eq!(health.paths(Some("a/y")), [path("a/y")]);
        health.scanned("m", &ScanPlace::Settled(vec![path("ab")], Waited::default()), Vec::new());
        assert_eq!((shown(&health), health.failed()), (vec!["a/y 2".to_owned()], 1));
        health.scanned("m", &ScanPlace::Whole, Vec::new());
        assert_eq!(health.failed(), 0);
    }
}
