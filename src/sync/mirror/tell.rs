//! What a run of a mirror tells beside what became of its files.
//!
//! Owns: the manifest's outcome, and the note that `status` shows. Decides nothing.

use std::sync::{MutexGuard, PoisonError};
use std::time::Duration;

use super::MirrorRun;
use crate::error::RunError;
use crate::features::collections::Resolved;
use crate::features::manifest;
use crate::index::status_notes;
use crate::index::{Index, IndexError, Problem, sidecars};
use crate::model::ActionKind;
use crate::report::change::Change;
use crate::report::{MirrorReport, PlannedAction};
use crate::sync::metadata_warnings::BROKEN_ADVICE;

/// Lines that broken metadata files add to the log at most, for each pass.
const LINES: usize = 20;

impl MirrorRun {
    /// What follows every pass that was no dry run: the manifest, and the note that `status` shows. False when the manifest
    /// could not be written; `report` has the problem then.
    ///
    /// # Errors
    /// The index's.
    pub async fn close_pass(&self, index: &Index, took: Duration, report: &mut MirrorReport) -> Result<bool, RunError> {
        let (work_index, row, config) = (index.clone(), self.row, self.config.clone());
        let written = tokio::task::spawn_blocking(move || manifest::update(&work_index, row, &config)).await;
        let mut fine = true;
        match written.map_err(|_| RunError::Stopped)? {
            Ok(false) => {}
            Ok(true) => tracing::info!(mirror = self.config.name, "the manifest was written"),
            Err(manifest::ManifestError::Index(error)) => return Err(error.into()),
            Err(error @ manifest::ManifestError::Write { .. }) => {
                fine = false;
                tracing::warn!(mirror = self.config.name, "{error}");
                let advice = "correct `manifest` or the folder's permissions; it is written at the next pass";
                report.problem("", &Problem::new(ActionKind::Manifest, error.to_string(), advice));
            }
        }
        let took = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        let (name, pass) = (self.config.name.clone(), report.last_pass(jiff::Timestamp::now(), took));
        index.call(move |conn| status_notes::set_last_pass(conn, &name, &pass)).await?;
        Ok(fine)
    }
}

impl MirrorRun {
    /// Notes the metadata files that cannot be used, as (path, what is wrong): what a report, `status` and the page tell is
    /// read from there. A daemon, whose passes nobody reads, also logs each when it breaks, and once more when it is mended.
    pub(super) async fn tell_broken(
        &self,
        index: &Index,
        broken: Vec<(String, String)>,
        logs: bool,
    ) -> Result<(), IndexError> {
        let before = std::mem::replace(&mut *self.broken(), broken.clone());
        let mirror = &self.config.name;
        for (path, cause) in broken.iter().filter(|one| logs && !before.contains(one)).take(LINES) {
            tracing::warn!(mirror, path, cause, advice = BROKEN_ADVICE, "a metadata file cannot be used");
        }
        let is_mended = |path: &str| broken.iter().all(|(one, _)| one != path);
        for (path, _) in before.iter().filter(|(path, _)| logs && is_mended(path)).take(LINES) {
            tracing::info!(mirror, path, "the metadata file is in order again, or gone");
        }
        let row = self.row;
        index.call(move |conn| sidecars::set_broken(conn, row, &broken)).await
    }

    fn broken(&self) -> MutexGuard<'_, Vec<(String, String)>> {
        self.broken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) fn tell_collections(resolved: &Resolved, report: &mut MirrorReport) {
    if let Some(problem) = &resolved.problem {
        report.problem("", problem);
    }
    if let Some(plan) = &mut report.plan {
        plan.extend(resolved.would_make.iter().map(|labels| PlannedAction {
            path: String::new(),
            action: ActionKind::Report,
            why: format!("would create the collection {labels}"),
            change: Change::default(),
            on_disk: false,
        }));
    }
}

/// Says which files a run did not come to the end with, although nothing is wrong with them.
pub(super) fn tell_left(left: &[String], report: &mut MirrorReport) {
    let [first, rest @ ..] = left else { return };
    let more = if rest.is_empty() { String::new() } else { format!(" and {} more", rest.len()) };
    report.waiting += left.len() as u64;
    let are = if rest.is_empty() { "1 file is".to_owned() } else { format!("{} files are", left.len()) };
    let problem = Problem::new(
        ActionKind::Report,
        format!("{are} still to be looked at: {first}{more}"),
        "run again: it goes on where this run ended; please report it when that lasts",
    );
    report.problem("", &problem);
}

pub(super) fn is_told(report: &MirrorReport, path: &str) -> bool {
    report.problems.iter().any(|problem| problem.path == path)
}
