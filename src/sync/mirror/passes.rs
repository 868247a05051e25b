//! Passes over a mirror until nothing changes under them.
//!
//! Owns: that collections are found before a pass, that changed rules make every file looked at, and what becomes of
//! files that change while they are sent. Decides nothing about a file: that is `plan`.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::tell::{is_told, tell_collections, tell_left};
use super::{MirrorRun, RunRequest};
use crate::error::RunError;
use crate::features::collections::{ResolveError, Resolved, Resolver};
use crate::index::files::RetryAt;
use crate::index::{IndexError, Problem, contact, settings};
use crate::model::{ActionKind, Advice, RelPath};
use crate::report::MirrorReport;
use crate::sync::list_remote::RefreshError;
use crate::sync::metadata_warnings;
use crate::sync::pass::{self, PassEnd};
use crate::sync::path_filter::PathFilter;
use crate::sync::progress::Stage;
use crate::sync::scan::take_scan_problems;
use crate::sync::session::Session;

/// A pass sends a path back to settling; so often in a run before it is reported.
const RESETTLES: u32 = 3;

/// What all passes of a run have in common.
#[derive(Debug, Clone, Copy)]
pub struct RunContext<'a> {
    /// The index, the remote and the project.
    pub session: &'a Session,
    /// What the run takes.
    pub request: &'a RunRequest,
    /// Ends it early.
    pub stop: &'a CancellationToken,
}

impl MirrorRun {
    /// Observes, plans and executes all that is dirty, and adds it to `report`. Files that changed meanwhile are the
    /// caller's to settle again.
    ///
    /// # Errors
    /// The index's.
    pub async fn pass_once(&self, turn: RunContext<'_>, report: &mut MirrorReport) -> Result<PassEnd, RunError> {
        let RunContext { session, stop, request } = turn;
        let (index, row) = (&session.index, self.row);
        let mut distrust = false;
        loop {
            if index.call(move |conn| contact::is_contested(conn, row)).await? {
                // What is there now tells whose the name is. A list that lags behind must not take away what was met.
                match session.freshen(Duration::ZERO).await {
                    Ok(()) => {}
                    Err(RefreshError::Api(error)) => return Ok(PassEnd { fatal: Some(error), ..PassEnd::default() }),
                    Err(RefreshError::Index(error)) => return Err(error.into()),
                }
            }
            if let Some(guard) = self.stop(turn).await? {
                return Ok(PassEnd { guard: Some(guard), stopped: true, ..PassEnd::default() });
            }
            let resolved = match self.collections(session, distrust).await {
                Ok(resolved) => resolved,
                Err(ResolveError::Api(error)) => return Ok(PassEnd { fatal: Some(error), ..PassEnd::default() }),
                Err(ResolveError::Index(error)) => return Err(error.into()),
            };
            tell_collections(&resolved, report);
            let context = self.context(turn, resolved.ids).await?;
            let mut end = pass::run(&context, report).await.map_err(|pass::PassError::Index(error)| error)?;
            if end.outdated && end.fatal.is_none() && !stop.is_cancelled() {
                continue;
            }
            let uncollected = std::mem::take(&mut end.uncollected);
            if !uncollected.is_empty() && !distrust && end.fatal.is_none() && !stop.is_cancelled() {
                distrust = true;
                continue;
            }
            for path in uncollected {
                let problem = Problem::new(
                    ActionKind::Report,
                    "the service refuses the collection that the file is to lie in",
                    Advice::again_then("see whether another program changes the collections"),
                );
                report.fail(&path, &problem, RetryAt::NextPass);
            }
            if request.only.is_none() && end.fatal.is_none() && !stop.is_cancelled() {
                index.call(move |conn| contact::settle(conn, row)).await?;
            }
            return Ok(end);
        }
    }

    /// [`MirrorRun::pass_once`] until nothing changes under it any more.
    ///
    /// # Errors
    /// The index's and the disk's.
    pub async fn pass(&self, turn: RunContext<'_>, report: &mut MirrorReport) -> Result<PassEnd, RunError> {
        let end = self.passes(turn, report).await?;
        tell_left(&end.left, report);
        // Also when nothing was to be done this time.
        let (row, only) = (self.row, turn.request.only.as_deref().map(PathFilter::new));
        let wanted = move |path: &str| only.as_ref().is_none_or(|only| only.contains(path));
        let notices = turn.session.index.call(move |conn| metadata_warnings::told(conn, row, wanted)).await?;
        report.problems.extend(notices);
        Ok(end)
    }

    async fn passes(&self, turn: RunContext<'_>, report: &mut MirrorReport) -> Result<PassEnd, RunError> {
        self.progress.enter(Stage::Mirroring, &self.config.name);
        let mut attempt = 0;
        loop {
            let mut end = self.pass_once(turn, report).await?;
            if end.changed.is_empty() || end.fatal.is_some() || turn.stop.is_cancelled() {
                return Ok(end);
            }
            let changed = std::mem::take(&mut end.changed);
            attempt += 1;
            if attempt > RESETTLES {
                // What a look at the disk in between told counts as told.
                let untold: Vec<String> = changed.into_iter().filter(|path| !is_told(report, path)).collect();
                for path in untold {
                    report.fail(
                        &path,
                        &Problem::new(
                            ActionKind::Upload,
                            "the file changed each time it was being sent",
                            "it is mirrored when it has been quiet for `settle`; run again, or raise `settle`",
                        ),
                        RetryAt::NextPass,
                    );
                }
                return Ok(end);
            }
            let paths = changed.iter().filter_map(|path| RelPath::from_key(path).ok()).collect();
            let mut scanned = self.scan(&turn.session.index, Some(paths), turn.stop).await?;
            if !scanned.asks.is_empty() {
                // Bytes that made room for others and are needed again.
                let asks = std::mem::take(&mut scanned.asks);
                let end = self.fetch_job(turn.session, asks).run(turn.stop.clone()).await?;
                scanned.problems.extend(end.problems);
            }
            scanned.problems.retain(|(path, ..)| !is_told(report, path.key()));
            take_scan_problems(&scanned, report);
        }
    }

    async fn collections(&self, session: &Session, distrust: bool) -> Result<Resolved, ResolveError> {
        let resolver = Resolver {
            index: &session.index,
            remote: &session.remote,
            site: &session.site,
            row: self.row,
            dry_run: session.dry_run,
            distrust,
        };
        self.mark_changed_rules(session).await?;
        resolver.resolve(&self.config).await
    }

    /// When the rules changed since the last pass, every file is looked at again.
    async fn mark_changed_rules(&self, session: &Session) -> Result<(), IndexError> {
        let (name, rules) = (self.config.name.clone(), format!("{} {:?}", self.config.policy_digest(), session.site));
        session
            .index
            .call(move |conn| {
                let mirror = settings::mirror(conn, &name)?;
                settings::set_policy(conn, &mirror, &rules)
            })
            .await
    }
}
