//! All that is known about one path, and what the next pass would do with it.
//!
//! Owns: gathering it from disk and index, without a call and without a change: what the index has not seen yet is
//! scanned into a throw-away copy. Never does: deciding (that is `plan`), printing. Blocks.

mod slots;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::Connection;
use serde::Serialize;

use crate::config::Mirror;
use crate::config::policy::{Duplicates, StampMode};
use crate::disk::{FileClock, Fingerprint, Inodes, RootDir, Selection, Verdict};
use crate::error::RunError;
use crate::index::history;
use crate::index::history::Done;
use crate::index::status_notes;
use crate::index::{FileRow, Index, IndexError, Problem, StoredProblem, collections, files, sidecars};
use crate::metadata::sidecar::names_for;
use crate::model::{ActionKind, Asset, GoesOn, MirrorStamp, RelPath, SidecarKind, Site};

use crate::sync::desired_state::Desires;
use crate::sync::mirror::{embedded_of, policy_of};
use crate::sync::observe::observe;
use crate::sync::plan::{Known, plan};
use crate::sync::progress::Progress;
use crate::sync::scan::{ScanRequest, Scanned, Unsettled, Waited, scan};
use crate::sync::scope::Scope;
use crate::sync::track_file::track_file;

pub use slots::Slot;
use slots::slots;

/// What is known about a path.
#[derive(Debug, Clone, Serialize)]
pub struct Explanation {
    /// Its mirror.
    pub mirror: String,
    /// Below the root.
    pub path: String,
    /// On disk.
    pub file: String,
    /// Whether the mirror looks at it.
    pub selected: bool,
    /// Why, or why not.
    pub selection: String,
    /// On disk now.
    pub on_disk: bool,
    /// Bytes on disk.
    pub size: Option<u64>,
    /// Digest of the content on disk.
    pub md5: Option<String>,
    /// The asset.
    pub asset: Option<AssetView>,
    /// What the next pass would do: an action's name, or `nothing`; none where that cannot be told.
    pub action: Option<ActionKind>,
    /// Why.
    pub why: String,
    /// Why it is not mirrored.
    pub problem: Option<ProblemView>,
    /// Other paths that share the asset, as `mirror:path` where the mirror is another.
    pub shared_with: Vec<String>,
    /// Each value that folder or asset has.
    pub metadata: Vec<Slot>,
    /// What of the folder's metadata could not be used.
    pub notes: Vec<String>,
    /// The last few actions that succeeded, oldest first.
    pub history: Vec<Done>,
    /// Neither disk nor index knows the path: it may be a slip of the pen.
    #[serde(skip)]
    pub unknown: bool,
}

/// The asset as last listed.
#[derive(Debug, Clone, Serialize, Default)]
pub struct AssetView {
    /// Its id.
    pub id: String,
    /// Where it is served.
    pub url: String,
    /// Its name in the media area.
    pub filename: String,
    /// Bytes.
    pub size: u64,
    /// Digest of its content.
    pub md5: Option<String>,
    /// File format.
    pub format: Option<String>,
    /// Pixels.
    pub width: Option<u32>,
    /// Pixels.
    pub height: Option<u32>,
    /// Changed last, by the service's clock.
    pub updated_at: String,
    /// The mirror made it, and so may rename or delete it.
    pub made_by_mirror: bool,
    /// It is not in the media area any more.
    pub gone: bool,
}

/// Why the path is not mirrored.
#[derive(Debug, Clone, Serialize)]
pub struct ProblemView {
    /// What was tried.
    pub action: ActionKind,
    /// In plain words.
    pub cause: String,
    /// What to do.
    pub advice: String,
    /// When it is tried again by itself.
    pub retry_at: Option<Timestamp>,
}

/// Why a name counts or does not.
#[must_use]
pub fn selection_of(verdict: &Verdict) -> (bool, String) {
    match verdict {
        Verdict::Mirrored => (true, "it is one of the mirror's files".into()),
        Verdict::Sidecar(kind) => {
            let about = match kind {
                SidecarKind::File | SidecarKind::Xmp => "the metadata of the file beside it",
                SidecarKind::Folder => "the metadata of its folder and below",
                SidecarKind::Remote => "files to fetch from URLs",
            };
            (false, format!("it holds {about} and is no asset itself"))
        }
        Verdict::BuiltIn { name, reason } => (false, format!("{name} is always skipped: {reason}")),
        Verdict::Excluded(pattern) => (false, format!("`exclude` has {pattern}")),
        Verdict::NotIncluded => (false, "no pattern of `include` matches it".into()),
    }
}

/// Explains `path` of `mirror` with the index at `state`.
///
/// # Errors
/// The index's, but for a missing one; a pattern that cannot be used.
pub fn explain(state: &Path, mirror: &Arc<Mirror>, path: &RelPath) -> Result<Explanation, RunError> {
    let selection = Selection::new(&mirror.include, &mirror.exclude)
        .map_err(|error| RunError::Usage(format!("mirror {}: {error}", mirror.name)))?;
    let (selected, why_selected) = selection_of(&selection.verdict(path));
    let file = path.below(&mirror.root);
    let root = RootDir::open(&mirror.root).ok();
    // What a link out of the root leads to is none of the mirror's files.
    let look =
        |path: &RelPath| root.as_ref()?.metadata(path).ok().map(|found| (found.is_file(), Fingerprint::from(&found)));
    let print = look(path).filter(|(is_file, _)| *is_file).map(|(_, print)| print);
    let mut told = Explanation {
        mirror: mirror.name.clone(),
        path: path.key().to_owned(),
        file: file.display().to_string(),
        selected,
        selection: why_selected,
        on_disk: print.is_some(),
        size: print.map(|print| print.size),
        md5: None,
        asset: None,
        action: None,
        why: String::new(),
        problem: None,
        shared_with: Vec::new(),
        metadata: Vec::new(),
        notes: Vec::new(),
        history: Vec::new(),
        unknown: false,
    };
    let is_folder = print.is_none() && file.is_dir();
    let index = match Index::open_read_only(state) {
        Ok(index) => index,
        Err(IndexError::Missing { .. }) => {
            told.why = "nothing was mirrored with this configuration yet".into();
            return Ok(stranger(told, is_folder));
        }
        Err(error) => return Err(error.into()),
    };
    let (name, key) = (mirror.name.clone(), path.key().to_owned());
    let known = index.call_blocking(move |conn| match status_notes::mirror_row(conn, &name)? {
        Some(row) => Ok(Some((row, files::by_path(conn, row, &key)?, sidecars::all(conn, row)?))),
        None => Ok(None),
    })?;
    let Some((row_of_mirror, row, stored)) = known else {
        told.why = "this mirror has not run yet".into();
        return Ok(stranger(told, is_folder));
    };
    let newer: Vec<RelPath> = names_for(path)
        .into_iter()
        .filter(|name| {
            let found = RelPath::from_key(name).ok().and_then(|name| look(&name)).map(|(_, print)| print);
            let known = stored.iter().find(|stored| stored.path == *name);
            found.map(|print| (print.mtime_ns, print.size))
                != known.map(|known| (known.print.mtime_ns, known.print.size))
        })
        .filter_map(|name| RelPath::from_key(&name).ok())
        .collect();
    let as_indexed = match (&row, print) {
        (Some(row), Some(now)) => row.present && row.print.is_some_and(|print| Inodes::read().unchanged(&now, &print)),
        (Some(row), None) => !row.present,
        (None, None) => true,
        (None, Some(_)) => !selected,
    };
    let (index, trouble) = if as_indexed && newer.is_empty() {
        (index, None)
    } else {
        let copy = Index::snapshot(state)?;
        let found = look_again(&copy, row_of_mirror, mirror, &selection, path, newer)?;
        let about = path.below(Path::new(""));
        (copy, found.problems.into_iter().find(|(place, ..)| about.starts_with(place.below(Path::new("")))))
    };
    let (config, key) = (mirror.clone(), path.key().to_owned());
    let told = index.call_blocking(move |conn| {
        let row = files::by_path(conn, row_of_mirror, &key)?;
        // Of two names that read the same the row is the other's.
        let is_others = |place: &RelPath| !RelPath::from_key(&key).is_ok_and(|path| is_at_or_below(&path, place));
        if let Some((_, problem, _)) = trouble.filter(|(place, ..)| row.is_none() || is_others(place)) {
            told.action = Some(ActionKind::Nothing);
            told.why = "it cannot be mirrored as it is".into();
            let Problem { action, cause, advice, .. } = problem;
            told.problem = Some(ProblemView { action, cause, advice: advice.to_string(), retry_at: None });
            return Ok(told);
        }
        let Some(row) = row else {
            told.why = "it could not be read".into();
            return Ok(stranger(told, is_folder));
        };
        fill(conn, &config, row_of_mirror, &row, &mut told)?;
        Ok(told)
    })?;
    Ok(told)
}

fn is_at_or_below(path: &RelPath, place: &RelPath) -> bool {
    path.key().strip_prefix(place.key()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// What is said of a path that the index does not know.
fn stranger(mut told: Explanation, is_folder: bool) -> Explanation {
    told.unknown = !told.on_disk;
    if is_folder {
        told.why = "it is a folder; name a file in it".into();
    } else if !told.on_disk {
        told.why = "there is no such file, and the mirror never had one".into();
    } else if !told.selected {
        told.why.clone_from(&told.selection);
    }
    told
}

/// Brings a throw-away copy of the index in step with the disk, as far as `path` goes.
fn look_again(
    copy: &Index,
    row: i64,
    mirror: &Mirror,
    selection: &Selection,
    path: &RelPath,
    newer: Vec<RelPath>,
) -> Result<Scanned, RunError> {
    let request = ScanRequest {
        mirror: row,
        root: mirror.root.clone(),
        selection: Arc::new(selection.clone()),
        settle: Duration::ZERO,
        only: Some(newer.into_iter().chain([path.clone()]).collect()),
        restless: Unsettled::Leave,
        // Nothing is sent, so what is there now is told, settled or not.
        clock: FileClock::Unknown,
        inodes: Inodes::read(),
        waited: Waited::default(),
        checksum: false,
        embedded: mirror.embedded_metadata.then_some(embedded_of),
        progress: Arc::new(Progress::default()),
        live: None,
    };
    Ok(scan(copy, &request, &Arc::new(AtomicBool::new(false)))?)
}

fn fill(
    conn: &Connection,
    config: &Arc<Mirror>,
    mirror: i64,
    row: &FileRow,
    told: &mut Explanation,
) -> rusqlite::Result<()> {
    told.md5 = row.md5.filter(|_| row.present).map(|md5| md5.to_string());
    told.history = history::history(conn, row.id)?;
    told.problem = files::problem_of(conn, row.id)?.map(|StoredProblem { problem, retry, .. }| ProblemView {
        action: problem.action,
        cause: problem.cause,
        advice: retry.told(&problem.advice, GoesOn::Daemon),
        retry_at: retry
            .at(Timestamp::now().as_millisecond())
            .time()
            .and_then(|at| Timestamp::from_millisecond(at).ok()),
    });
    let Some(site) = status_notes::site(conn)? else {
        told.why = "the project is not known yet; the next run asks for it".into();
        return Ok(());
    };
    let policy = policy_of(config, &site);
    let (scope, broken) = scope_of(conn, config, mirror, site)?;
    if let Some(claim) = track_file(conn, &scope, row)? {
        let due = claim.due(policy.on_delete);
        told.action = Some(due.name().unwrap_or(ActionKind::Nothing));
        told.why = claim.why(due);
        told.asset = claim.asset.as_ref().map(|asset| AssetView::of(asset, Some(&claim.entry)));
        return Ok(());
    }
    let seen = observe(conn, &scope, row)?;
    let plan = plan(&seen, &policy);
    told.action = Some(plan.action.name().unwrap_or(ActionKind::Nothing));
    told.why = plan.why;
    told.notes = seen.me.desired.problems.clone();
    // Those of other files say nothing about this one.
    let about = names_for(&row.path);
    told.notes.extend(broken.into_iter().filter(|(path, _)| about.contains(path)).map(|(_, cause)| cause));
    match &seen.known {
        Known::Never => {}
        Known::Gone(id) => told.asset = Some(AssetView::gone(id.as_str())),
        Known::There(asset) => {
            told.asset = Some(AssetView::of(asset, seen.pushed.as_ref()));
            for (name, owner) in files::owners(conn, &asset.id)? {
                if owner.id != row.id && owner.present {
                    let path = owner.path.key();
                    told.shared_with.push(if name == config.name { path.to_owned() } else { format!("{name}:{path}") });
                }
            }
        }
    }
    told.metadata = slots(&seen, config, &row.path, &collections::known(conn, mirror)?);
    Ok(())
}

fn scope_of(
    conn: &Connection,
    config: &Arc<Mirror>,
    mirror: i64,
    site: Site,
) -> rusqlite::Result<(Scope, Vec<(String, String)>)> {
    let stored = sidecars::toml(conn, mirror)?;
    let (mut desires, broken) = Desires::new(config.clone(), mirror, &site, &stored);
    let known = collections::known(conn, mirror)?;
    desires.set_collections(known.into_iter().filter_map(|(labels, id)| Some((labels, id?))).collect());
    let scope = Scope {
        mirror,
        name: config.name.clone(),
        site,
        hide_paths: config.stamp == StampMode::Digest,
        share: config.duplicates == Duplicates::Share,
        desires,
        sidecar_changes: 0,
        sight: None,
        authoritative: config.authoritative,
    };
    Ok((scope, broken))
}

impl AssetView {
    fn of(asset: &Asset, pushed: Option<&MirrorStamp>) -> Self {
        Self {
            id: asset.id.to_string(),
            url: asset.url.clone(),
            filename: asset.filename.clone(),
            size: asset.size,
            md5: asset.md5.map(|md5| md5.to_string()),
            format: asset.format.clone(),
            width: asset.width,
            height: asset.height,
            updated_at: asset.updated_at.clone(),
            made_by_mirror: pushed.is_some_and(|entry| entry.made),
            gone: false,
        }
    }

    fn gone(id: &str) -> Self {
        Self { id: id.to_owned(), gone: true, ..Self::default() }
    }
}
