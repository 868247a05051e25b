//! What a keeper shows of its mirror beside the index's own word.
//!
//! Owns: the problems that scans found, each logged once; the reasons why a mirror works less well than it should.

use std::collections::BTreeMap;

use crate::index::Problem;
use crate::index::status_notes::Unread;
use crate::model::RelPath;
use crate::report::ReportedProblem;

use super::work::Place;
use crate::report::Severity;
use crate::sync::scan::unread;

/// Lines a scan adds to the log at most.
const LINES: usize = 20;

/// See the module.
#[derive(Debug, Default)]
pub struct Standing {
    problems: BTreeMap<String, (Problem, Severity)>,
    /// How the watcher limps.
    pub watch: Option<String>,
    /// The deletion guard's word.
    pub guard: Option<String>,
    /// Why nothing at all is changed.
    pub stop: Option<String>,
}

impl Standing {
    /// Takes over what a scan of `place` found, and logs what is new.
    pub fn scanned(&mut self, mirror: &str, place: &Place, found: Vec<(RelPath, Problem, Severity)>) {
        let before = match place {
            Place::Whole => std::mem::take(&mut self.problems),
            Place::Folders(paths) | Place::Settled(paths, _) => self.take(paths),
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
                Severity::Failed => tracing::warn!(mirror, %path, cause, advice, "not mirrored"),
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

    /// Them, for the index.
    pub fn unread(&self) -> Vec<Unread> {
        unread(self.problems.iter().map(|(path, (problem, severity))| (path.as_str(), problem, *severity)))
    }

    /// The problems for people; failures first.
    pub fn problems(&self) -> Vec<ReportedProblem> {
        let of = |wanted| {
            self.problems.iter().filter(move |(_, (_, severity))| *severity == wanted).map(|(path, (problem, _))| {
                let Problem { action, cause, advice } = problem.clone();
                ReportedProblem { path: path.clone(), action, cause, advice }
            })
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
    use crate::sync::scan::Waited;

    #[test]
    fn a_look_at_a_place_replaces_what_was_known_of_it_and_nothing_else() {
        let path = |key| RelPath::from_key(key).unwrap();
        let problem = |key, cause: &str| {
            let problem = Problem { action: "read".into(), cause: cause.into(), advice: String::new() };
            (path(key), problem, Severity::Failed)
        };
        let shown = |standing: &Standing| {
            standing
                .problems()
                .into_iter()
                .map(|problem| format!("{} {}", problem.path, problem.cause))
                .collect::<Vec<_>>()
        };
        let mut standing = Standing::default();
        standing.scanned("m", &Place::Whole, vec![problem("a/x", "1"), problem("a/y", "1"), problem("ab", "1")]);
        standing.scanned("m", &Place::Folders(vec![path("a")]), vec![problem("a/y", "2")]);
        assert_eq!(shown(&standing), ["a/y 2", "ab 1"]);
        assert_eq!(standing.paths(None), [path("a/y"), path("ab")]);
        assert_eq!(standing.paths(Some("a")), [path("a/y")]);
        assert_eq!(standing.paths(Some("a/y")), [path("a/y")]);
        standing.scanned("m", &Place::Settled(vec![path("ab")], Waited::default()), Vec::new());
        assert_eq!((shown(&standing), standing.failed()), (vec!["a/y 2".to_owned()], 1));
        standing.scanned("m", &Place::Whole, Vec::new());
        assert_eq!(standing.failed(), 0);
    }
}
