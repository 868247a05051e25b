//! One mirror's way through the house: guard, scan, what the folder wants, pass.
//!
//! Owns: the steps before a pass and their order. Called by: `pipeline::once` and `pipeline::daemon`.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::config::Mirror;
use crate::config::policy::{Duplicates, StampMode};
use crate::disk::{Fingerprint, RootIdentity, Selection, check_root};
use crate::error::RunError;
use crate::index::told::{self, LastPass};
use crate::index::{FileRow, Index, IndexError, Problem, assets, files, settings, sidecars};
use crate::live::Live;
use crate::metadata::Embedded;
use crate::metadata::read::read_embedded;
use crate::model::{CollectionId, PathDigest, RelPath, Site};
use crate::report::{MirrorReport, PlannedAction};

use super::collections::{ResolveError, Resolved, Resolver};
use super::desire::Desires;
use super::execute::{Executor, Sending};
use super::listed::{Lists, cache_folder};
use super::manifest;
use super::notices;
use super::observe::Scope;
use super::pass::{self, PassContext, PassEnd, Urgent};
use super::plan::Policy;
use super::progress::{Progress, Stage};
use super::scan::{Restless, ScanRequest, Scanned, scan, take_scan_problems};
use super::session::Session;
use super::tracks::Sight;

/// A pass sends a path back to settling; so often in a run before it is reported.
const RESETTLES: u32 = 3;

/// A mirror ready to run.
#[derive(Debug, Clone)]
pub struct MirrorRun {
    /// Its configuration.
    pub config: Arc<Mirror>,
    /// Its row in the index.
    pub row: i64,
    /// Which names count.
    pub selection: Arc<Selection>,
    /// Told how far its scans and passes are.
    pub progress: Arc<Progress>,
    /// Where scans give signs of life.
    pub live: Option<Arc<Live>>,
}

/// What a run of a mirror takes.
#[derive(Debug, Clone, Default)]
pub struct RunRequest {
    /// Only these files and folders.
    pub only: Option<Vec<RelPath>>,
    /// Pass the deletion guard.
    pub force: bool,
    /// Also try what waits for its time.
    pub impatient: bool,
    /// The files being sent, for whoever watches them.
    pub sending: Sending,
    /// Paths to take first.
    pub urgent: Urgent,
    /// What to tell of the work.
    pub live: Option<Arc<Live>>,
    /// Assets deleted shortly before: they count for the deletion guard.
    pub deleted_lately: u64,
}

impl MirrorRun {
    /// Prepares a mirror: its row, and its root's guard.
    ///
    /// # Errors
    /// The guard that tripped; the index's; a pattern that cannot be used.
    pub async fn prepare(config: Arc<Mirror>, index: &Index, force: bool) -> Result<Self, RunError> {
        let selection = Selection::new(&config.include, &config.exclude)
            .map_err(|error| RunError::Usage(format!("mirror {}: {error}", config.name)))?;
        let name = config.name.clone();
        let row = index
            .call(move |conn| {
                let row = settings::mirror(conn, &name)?;
                if row.policy.is_empty() {
                    // New in the configuration: the media area may know it already.
                    assets::import_stamps(conn)?;
                }
                Ok(row)
            })
            .await?;
        let run = Self { config, row: row.id, selection: Arc::new(selection), progress: Arc::default(), live: None };
        run.guard(row.root.as_deref(), force)?;
        Ok(run)
    }

    /// Looks whether the root is still the folder it was when last mirrored.
    ///
    /// # Errors
    /// The guard's, the index's.
    pub async fn check_root(&self, index: &Index) -> Result<(), RunError> {
        let name = self.config.name.clone();
        let row = index.call(move |conn| settings::mirror(conn, &name)).await?;
        let run = self.clone();
        // It may hang on a dead network server.
        let checked = tokio::task::spawn_blocking(move || run.guard(row.root.as_deref(), false).map(drop));
        checked.await.unwrap_or(Err(RunError::Stopped))
    }

    fn guard(&self, known: Option<&str>, force: bool) -> Result<RootIdentity, RunError> {
        let known = known.filter(|_| !force).and_then(|json| serde_json::from_str::<RootIdentity>(json).ok());
        Ok(check_root(&self.config.root, known.as_ref())?)
    }

    /// Brings the index in step with the disk.
    ///
    /// # Errors
    /// The guard's, the disk's, the index's.
    pub async fn scan(
        &self,
        index: &Index,
        only: Option<Vec<RelPath>>,
        stop: &CancellationToken,
    ) -> Result<Scanned, RunError> {
        self.scan_as(index, only, Restless::Wait, stop).await
    }

    /// [`MirrorRun::scan`], with what is to be done about files that are still being written.
    ///
    /// # Errors
    /// The guard's, the disk's, the index's.
    pub async fn scan_as(
        &self,
        index: &Index,
        only: Option<Vec<RelPath>>,
        restless: Restless,
        stop: &CancellationToken,
    ) -> Result<Scanned, RunError> {
        let whole = only.is_none();
        self.progress.enter(Stage::Reading, &self.config.name);
        let request = ScanRequest {
            mirror: self.row,
            root: self.config.root.clone(),
            selection: self.selection.clone(),
            settle: self.config.settle,
            only,
            restless,
            embedded: self.config.embedded_metadata.then_some(embedded_of),
            progress: self.progress.clone(),
            live: self.live.clone(),
        };
        let flag = Arc::new(AtomicBool::new(false));
        let (work_index, work_flag, work_request) = (index.clone(), flag.clone(), request.clone());
        let work = tokio::task::spawn_blocking(move || scan(&work_index, &work_request, &work_flag));
        let mut scanned = tokio::select! {
            scanned = work => scanned.map_err(|_| RunError::Stopped)??,
            () = stop.cancelled() => {
                flag.store(true, Ordering::Relaxed);
                return Err(RunError::Stopped);
            }
        };
        let lists = Lists {
            index,
            scan: &request,
            folder: cache_folder(index.path(), &self.config.name),
            allow_private: self.config.allow_private_urls,
            ask_every: (restless == Restless::Leave).then_some(self.config.remote_refresh),
        };
        lists.update(&mut scanned, stop).await?;
        if whole && scanned.files == 0 && scanned.listed == 0 {
            return Err(RunError::Empty { root: self.config.root.display().to_string() });
        }
        Ok(scanned)
    }

    /// Paths that a change of `paths` may have touched without an event of their own, and that are not as the index has
    /// them: where a moved file came from, and links to a changed one.
    ///
    /// # Errors
    /// The index's.
    pub async fn related(&self, index: &Index, paths: &[RelPath]) -> Result<Vec<RelPath>, RunError> {
        let (mirror, paths, root) = (self.row, paths.to_vec(), self.config.root.clone());
        let rows = index
            .call(move |conn| {
                let mut related = Vec::new();
                for path in &paths {
                    related.extend(files::related(conn, mirror, path.key())?);
                }
                Ok(related)
            })
            .await?;
        let look = tokio::task::spawn_blocking(move || {
            let is_as_known = |row: &FileRow| {
                let now = std::fs::metadata(row.path.below(&root)).ok().map(|metadata| Fingerprint::from(&metadata));
                now.zip(row.print).is_some_and(|(now, known)| now.unchanged_since(&known))
            };
            rows.into_iter().filter(|row| !is_as_known(row)).map(|row| row.path).collect()
        });
        Ok(look.await.unwrap_or_default())
    }

    /// Remembers the root as it is now: after a run that believed it.
    ///
    /// # Errors
    /// The guard's and the index's.
    pub async fn remember_root(&self, index: &Index) -> Result<(), RunError> {
        let identity = check_root(&self.config.root, None)?;
        let (row, json) = (self.row, serde_json::to_string(&identity).unwrap_or_default());
        Ok(index.call(move |conn| settings::set_root(conn, row, &json)).await?)
    }

    /// Observes, plans and executes all that is dirty, and adds it to `report`. Files that changed meanwhile are the
    /// caller's to settle again.
    ///
    /// # Errors
    /// The index's.
    pub async fn pass_once(
        &self,
        session: &Session,
        request: &RunRequest,
        stop: &CancellationToken,
        report: &mut MirrorReport,
    ) -> Result<PassEnd, RunError> {
        let mut distrust = false;
        loop {
            let resolved = match self.collections(session, distrust).await {
                Ok(resolved) => resolved,
                Err(ResolveError::Api(error)) => return Ok(PassEnd { fatal: Some(error), ..PassEnd::default() }),
                Err(ResolveError::Index(error)) => return Err(error.into()),
            };
            tell_collections(&resolved, report);
            let context = self.context(session, request, stop, resolved.ids, report).await?;
            let mut end = pass::run(&context, report).await.map_err(|pass::PassError::Index(error)| error)?;
            let uncollected = std::mem::take(&mut end.uncollected);
            if !uncollected.is_empty() && !distrust && end.fatal.is_none() && !stop.is_cancelled() {
                distrust = true;
                continue;
            }
            for path in uncollected {
                report.failed += 1;
                let problem = Problem {
                    action: "report".into(),
                    cause: "the service refuses the collection that the file is to lie in".into(),
                    advice: "it is tried again; see whether another program changes the collections".into(),
                };
                report.problem(&path, &problem);
            }
            return Ok(end);
        }
    }

    /// [`MirrorRun::pass_once`] until nothing changes under it any more.
    ///
    /// # Errors
    /// The index's and the disk's.
    pub async fn pass(
        &self,
        session: &Session,
        request: &RunRequest,
        stop: &CancellationToken,
        report: &mut MirrorReport,
    ) -> Result<PassEnd, RunError> {
        let end = self.passes(session, request, stop, report).await?;
        // Also when nothing was to be done this time.
        let (row, only) = (self.row, request.only.as_deref().map(Only::new));
        let wanted = move |path: &str| only.as_ref().is_none_or(|only| only.contains(path));
        let notices = session.index.call(move |conn| notices::told(conn, row, wanted)).await?;
        report.problems.extend(notices);
        Ok(end)
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

    async fn passes(
        &self,
        session: &Session,
        request: &RunRequest,
        stop: &CancellationToken,
        report: &mut MirrorReport,
    ) -> Result<PassEnd, RunError> {
        self.progress.enter(Stage::Mirroring, &self.config.name);
        let mut attempt = 0;
        loop {
            let mut end = self.pass_once(session, request, stop, report).await?;
            if end.changed.is_empty() || end.fatal.is_some() || stop.is_cancelled() {
                return Ok(end);
            }
            let changed = std::mem::take(&mut end.changed);
            attempt += 1;
            if attempt > RESETTLES {
                // What a look at the disk in between told counts as told.
                let untold: Vec<String> = changed.into_iter().filter(|path| !is_told(report, path)).collect();
                for path in untold {
                    report.failed += 1;
                    report.problem(
                        &path,
                        &Problem {
                            action: "upload".into(),
                            cause: "the file changed each time it was being sent".into(),
                            advice: "it is mirrored when it has been quiet for `settle`; run again, or raise `settle`"
                                .into(),
                        },
                    );
                }
                return Ok(end);
            }
            let paths = changed.iter().filter_map(|path| RelPath::from_key(path).ok()).collect();
            let mut scanned = self.scan(&session.index, Some(paths), stop).await?;
            scanned.problems.retain(|(path, ..)| !is_told(report, path.key()));
            take_scan_problems(&scanned, report);
        }
    }

    async fn context(
        &self,
        session: &Session,
        request: &RunRequest,
        stop: &CancellationToken,
        collections: BTreeMap<String, CollectionId>,
        report: &mut MirrorReport,
    ) -> Result<PassContext, RunError> {
        let (row, site, config) = (self.row, session.site.clone(), self.config.clone());
        let hide_paths = config.stamp == StampMode::Digest;
        let policy = policy_of(&config, &site);
        let (name, site_id) = (config.name.clone(), site.id.clone());
        let stored = session
            .index
            .call(move |conn| {
                if hide_paths {
                    files::name_hidden(conn, row, |path| PathDigest::of(&site_id, &name, path))?;
                }
                sidecars::toml(conn, row)
            })
            .await?;
        let (mut desires, broken) = Desires::new(config.clone(), row, &site, &stored);
        for (path, cause) in broken {
            report.problem(
                &path,
                &Problem {
                    action: "read".into(),
                    cause,
                    advice: "correct the metadata file; until then the metadata of its files stays as it is".into(),
                },
            );
        }
        desires.set_collections(collections);
        let scope = Scope {
            mirror: row,
            name: config.name.clone(),
            site,
            hide_paths,
            share: config.duplicates == Duplicates::Share,
            desires,
            sight: Some(Sight { root: config.root.clone(), selection: self.selection.clone() }),
        };
        let executor = (!session.dry_run).then(|| Executor {
            remote: session.remote.clone(),
            index: session.index.clone(),
            confirmer: session.confirmer.clone(),
            unsure: session.waits.unsure,
            root: Arc::new(config.root.clone()),
            cache: Arc::new(cache_folder(session.index.path(), &config.name)),
            senders: session.senders.clone(),
            sending: request.sending.clone(),
        });
        Ok(PassContext {
            scope: Arc::new(scope),
            policy: Arc::new(policy),
            executor,
            index: session.index.clone(),
            remote: session.remote.clone(),
            max_delete: config.max_delete,
            force: request.force,
            only: request.only.as_ref().map(|paths| Arc::new(Only::new(paths))),
            stop: stop.clone(),
            impatient: request.impatient,
            urgent: request.urgent.clone(),
            live: request.live.clone(),
            deleted_lately: request.deleted_lately,
            fresh: session.looked_at(),
            progress: self.progress.clone(),
            verifier: session.verifier.clone().filter(|_| config.verify_live),
        })
    }

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
                let advice = "correct `manifest` or the folder's permissions; it is written at the next pass".into();
                report.problem("", &Problem { action: "manifest".into(), cause: error.to_string(), advice });
            }
        }
        let took = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        let (name, pass) = (self.config.name.clone(), LastPass::of(report, jiff::Timestamp::now(), took));
        index.call(move |conn| told::set_last_pass(conn, &name, &pass)).await?;
        Ok(fine)
    }

    /// The mirror's root.
    #[must_use]
    pub fn root(&self) -> &PathBuf {
        &self.config.root
    }
}

/// The settings of a mirror that decide, in a project.
#[must_use]
pub fn policy_of(config: &Mirror, site: &Site) -> Policy {
    Policy {
        mirror: config.name.clone(),
        on_change: config.on_change,
        on_rename: config.on_rename,
        on_delete: config.on_delete,
        on_remote_change: config.on_remote_change,
        on_remote_delete: config.on_remote_delete,
        duplicates: config.duplicates,
        custom_storage: site.custom_storage,
    }
}

/// The metadata inside a file, as the index keeps it; nothing when there is none. What cannot be read is left out: the
/// file itself is mirrored all the same.
pub(super) fn embedded_of(file: &Path, path: &RelPath, size: u64) -> Option<String> {
    let mut reader = std::fs::File::open(file).ok()?;
    let embedded = read_embedded(&mut reader, path.file_name(), size);
    for note in &embedded.notes {
        tracing::debug!(%path, note, "embedded metadata");
    }
    (embedded != Embedded::default()).then(|| serde_json::to_string(&embedded).ok()).flatten()
}

/// The paths a run is about.
#[derive(Debug)]
pub struct Only {
    exact: HashSet<String>,
    folders: Vec<String>,
}

impl Only {
    fn new(paths: &[RelPath]) -> Self {
        Self {
            exact: paths.iter().map(|path| path.key().to_owned()).collect(),
            folders: paths.iter().map(|path| format!("{}/", path.key())).collect(),
        }
    }

    /// Whether `path` is one of them or below one.
    #[must_use]
    pub fn contains(&self, path: &str) -> bool {
        self.exact.contains(path) || self.folders.iter().any(|folder| path.starts_with(folder))
    }
}

fn tell_collections(resolved: &Resolved, report: &mut MirrorReport) {
    if let Some(problem) = &resolved.problem {
        report.problem("", problem);
    }
    if let Some(plan) = &mut report.plan {
        plan.extend(resolved.would_make.iter().map(|labels| PlannedAction {
            path: String::new(),
            action: "report".into(),
            why: format!("would create the collection {labels}"),
        }));
    }
}

fn is_told(report: &MirrorReport, path: &str) -> bool {
    report.problems.iter().any(|problem| problem.path == path)
}
