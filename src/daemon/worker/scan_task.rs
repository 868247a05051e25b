//! A scan, as a task beside the worker's loop.
//!
//! Owns: the steps of a scan, and that its result may be believed. Never does: choosing when; that is the schedule's.

use std::sync::Arc;
use std::time::Instant;

use tokio_util::sync::CancellationToken;

use super::schedule::ScanPlace;
use crate::error::RunError;
use crate::features::remote_files::Asks;
use crate::index::{Problem, files};
use crate::model::RelPath;
use crate::report::Severity;
use crate::sync::absence;
use crate::sync::mirror::MirrorRun;
use crate::sync::scan::{Look, Scanned, Unsettled, Waited};
use crate::sync::session::Session;

/// What a scan showed.
#[derive(Debug)]
pub struct ScanResult {
    /// The place that was scanned.
    pub place: ScanPlace,
    /// How many files in that place are to be mirrored.
    pub files: u64,
    /// Files that may be in the middle of being written, with the last look at each.
    pub unsettled: Vec<Look>,
    /// Paths at which there is nothing any more. The file may have another name, or be saved just now.
    pub absent: Vec<RelPath>,
    /// Files that cannot be mirrored as they are.
    pub problems: Vec<(RelPath, Problem, Severity)>,
    /// When the scan began.
    pub began: Instant,
    /// There is no file in the whole mirror any more.
    pub emptied: bool,
    /// What lists name and is to be fetched.
    pub asks: Asks,
}

/// Scans a place and writes what it sees to the index. Whoever gets an answer may believe it: the root was the right
/// one before and after.
///
/// # Errors
/// The guard's, the disk's, the index's; [`RunError::Stopped`] when `stop` is cancelled.
pub async fn scan_place(
    run: MirrorRun,
    session: Arc<Session>,
    place: ScanPlace,
    stop: CancellationToken,
) -> Result<ScanResult, RunError> {
    let began = Instant::now();
    let index = &session.index;
    run.check_root(index).await?;
    let (only, waited) = match &place {
        ScanPlace::Whole => (None, Waited::default()),
        ScanPlace::Folders(folders) => (Some(folders.clone()), Waited::default()),
        ScanPlace::Settled(paths, waited) => (Some(paths.clone()), waited.clone()),
    };
    let Scanned { files, mut unsettled, held: mut absent, mut problems, mut asks, .. } =
        run.scan_as(index, only.clone(), Unsettled::LeaveAbsent, waited.clone(), &stop).await?;
    if let Some(paths) = only {
        let related = run.related(index, &paths).await?;
        if !related.is_empty() {
            let scanned = run.scan_as(index, Some(related), Unsettled::LeaveAbsent, waited, &stop).await?;
            unsettled.extend(scanned.unsettled);
            absent.extend(scanned.held);
            problems.extend(scanned.problems);
            asks.add(scanned.asks);
        }
    }
    // A root that went away meanwhile looks like one whose files were deleted.
    run.check_root(index).await?;
    let mirror = run.row;
    // A file that is still being written is one, though the index does not have it yet.
    let emptied =
        files == 0 && unsettled.is_empty() && !index.call(move |conn| files::any_present(conn, mirror)).await?;
    // Until it is asked for again, what was the matter with it stands.
    let failed = asks.files.iter().filter_map(|ask| Some((ask.file.path.clone(), ask.problem.clone()?)));
    problems.extend(failed.map(|(path, problem)| (path, problem, Severity::Failed)));
    Ok(ScanResult { place, files, unsettled, absent, problems, began, emptied, asks })
}

/// Whether there is any file to mirror below the root.
pub async fn holds_a_file(run: &MirrorRun) -> bool {
    let (root, selection) = (run.root().clone(), run.selection.clone());
    tokio::task::spawn_blocking(move || absence::holds_a_file(&root, &selection)).await.unwrap_or(false)
}
