//! The configuration: one validated value from flags, environment, file and defaults, in this order.
//!
//! Owns: every key, its default and its rules, and telling all that is wrong at once. Never does: reading the process
//! environment by itself, touching a mirror's folder (but to tell whether two roots are one), calling the service.
//! Start reading: [`load`], then `mirror.rs`.

pub mod api;
mod beside_root;
mod certificates;
pub mod document;
pub mod environment;
mod folders;
pub mod layer;
pub mod mirror;
mod own_files;
pub mod pattern;
pub mod policy;
pub mod problem;
mod proxy;
mod source;
pub mod template;
mod trust;
mod unknown_variables;
pub mod value;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

pub use api::{Api, TokenOrigin};
pub use environment::Environment;
pub use folders::real_path;
pub use mirror::{Mirror, Rule};
pub use pattern::Pattern;
pub use problem::{Place, Problem, Problems};

use beside_root::told_of_unused;
use certificates::check_certificates;
use document::{Document, Findings, Found, Section};
use folders::{Folders, StatePlace};
use mirror::Placed;
use own_files::{exclude_own_files, own_files};
use proxy::check_proxies;
use source::{Source, read_file, what_to_read};
use unknown_variables::warn_of_variables;
use value::{Bytes, Wrong, nearest, shown};

/// What the command line asks for.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// `--config`.
    pub config_file: Option<PathBuf>,
    /// `--root`.
    pub root: Option<PathBuf>,
    /// `--name`: the name of the mirror that `root` makes.
    pub name: Option<String>,
    /// `--mirror`.
    pub mirror: Option<String>,
    /// Whether the command calls the service; without a token that is a problem.
    pub needs_token: bool,
    /// The working directory, absolute; empty when the system does not tell it, and then no relative path means
    /// anything.
    pub cwd: PathBuf,
    /// The user's home, absolute.
    pub home: Option<PathBuf>,
}

/// The whole configuration, valid.
#[derive(Debug, Clone)]
pub struct Config {
    /// How the service is reached.
    pub api: Api,
    /// The index, absolute.
    pub state_path: PathBuf,
    /// Where the index may lie from the time when all configurations of a user shared one.
    pub old_state: Option<OldState>,
    /// Bytes that files fetched from URLs may take beside the index.
    pub remote_cache: u64,
    /// Where the status page listens.
    pub status_listen: Option<SocketAddr>,
    /// The mirrors, in the file's order; at least one.
    pub mirrors: Vec<Mirror>,
    /// The configuration file; `None` when there is none.
    pub source: Option<PathBuf>,
    /// Where each value that is no default came from, by its full name: `api.base_url`, `mirror.brand.settle`.
    pub origins: BTreeMap<String, Place>,
    /// What is no problem but probably not meant.
    pub warnings: Vec<String>,
}

impl Config {
    /// A configuration made in code, for the demo and for tests.
    #[must_use]
    pub fn new(api: Api, state_path: impl Into<PathBuf>, mirrors: Vec<Mirror>) -> Self {
        Self {
            api,
            state_path: state_path.into(),
            old_state: None,
            remote_cache: REMOTE_CACHE,
            status_listen: None,
            mirrors,
            source: None,
            origins: BTreeMap::new(),
            warnings: Vec::new(),
        }
    }
}

/// The place where all configurations of a user had their one index, and what tells whether it was this one's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OldState {
    /// The index, absolute.
    pub path: PathBuf,
    /// Every mirror of the configuration by name with its root, whichever are picked for this run.
    pub mirrors: Vec<(String, PathBuf)>,
}

/// Ten of the largest files that the service takes.
const REMOTE_CACHE: u64 = 10_000_000_000;
/// The variables of mirrors' keys begin so.
const PREFIX: &str = "DATO_MIRROR_";

/// Reads the configuration.
///
/// # Errors
/// All that is wrong with it.
pub fn load(request: &Request, environment: &Environment) -> Result<Config, Problems> {
    let findings = Findings::default();
    let mut warnings = Vec::new();
    let (root, file) = what_to_read(request, environment, &findings, &mut warnings);
    let document = file.as_ref().and_then(|path| read_file(path, request, &findings));
    read(request, environment, Source { root, file, document }, findings, warnings)
}

/// Reads a configuration that is yet to be written: as [`load`] will read `text` once the file `path` holds it and
/// `request` names that file.
///
/// # Errors
/// All that is wrong with it.
pub fn parse(path: &Path, text: &str, request: &Request, environment: &Environment) -> Result<Config, Problems> {
    let document = Some(Document::new(path.display().to_string(), text));
    let source = Source { root: None, file: Some(path.to_path_buf()), document };
    read(request, environment, source, Findings::default(), Vec::new())
}

/// The names of the mirrors in the file that [`load`] would read, whatever else is wrong with it: what a shell completes.
#[must_use]
pub fn mirror_names(request: &Request, environment: &Environment) -> Vec<String> {
    let findings = Findings::default();
    let (_, file) = what_to_read(request, environment, &findings, &mut Vec::new());
    let Some(document) = file.and_then(|path| read_file(&path, request, &findings)) else { return Vec::new() };
    let Some(table) = document.parse(&findings) else { return Vec::new() };
    let sections = Section::root(&document, &table, &findings).tables("mirror", "[[mirror]]");
    let names = sections.into_iter().filter_map(|mut section| section.check("name", mirror::valid_name));
    names.map(|found| found.value).collect()
}

fn read(
    request: &Request,
    environment: &Environment,
    Source { root, file, document }: Source,
    findings: Findings,
    mut warnings: Vec<String>,
) -> Result<Config, Problems> {
    let table = document.as_ref().and_then(|document| document.parse(&findings));
    if findings.any() {
        return Err(findings.into_parts().0);
    }
    let folders = Folders {
        cwd: request.cwd(),
        home: request.home(),
        file: file.as_deref().and_then(Path::parent).map(Path::to_path_buf),
    };
    let mut top = match (&document, &table) {
        (Some(document), Some(table)) => Section::root(document, table, &findings),
        _ => Section::absent("the file", "", &findings),
    };
    let api = top.table("api", "[api]").with_environment(environment, "DATO_MIRROR_API_");
    let api = Api::read(api, &folders, environment, request.needs_token);
    check_proxies(environment, &findings);
    if request.needs_token {
        check_certificates(environment, &api.base_url, &findings, &mut warnings);
    }
    let mut state = top.table("state", "[state]").with_environment(environment, "DATO_MIRROR_STATE_");
    let named = state.get::<PathBuf>("path");
    let remote_cache = state.get::<Bytes>("remote_cache").map_or(REMOTE_CACHE, |found| found.value.0);
    state.finish();
    // With a folder given instead of the file's mirrors, the index is that folder's.
    let owner = root.as_ref().and_then(|found| folders.absolute(found, &Findings::default())).or_else(|| file.clone());
    let place = state_place(named, owner, &folders, environment, &findings);
    let mut status = top.table("status", "[status]").with_environment(environment, "DATO_MIRROR_STATUS_");
    let status_listen = status.check("listen", |text: String| {
        text.trim().parse::<SocketAddr>().map_err(|_| {
            Wrong::new(format!("must be an address and a port, but is \"{}\"", shown(&text)), "\"127.0.0.1:7878\"")
        })
    });
    status.finish();
    let mut mirrors: Vec<Placed> =
        read_mirrors(&mut top, root, request.name.as_deref(), &folders, environment, &findings, &mut warnings);
    top.finish();
    check_names_and_roots(&mirrors, &findings);
    let own = own_files(&api, place.as_ref(), file.as_deref());
    let all = mirrors.iter().map(|placed| (placed.mirror.name.clone(), placed.mirror.root.clone())).collect();
    for Placed { mirror, .. } in &mut mirrors {
        exclude_own_files(mirror, &own);
    }
    pick(&mut mirrors, request.mirror.as_deref(), &findings);
    warn_of_variables(environment, root_is_set(request, environment), &mut warnings);
    let (mut problems, origins) = findings.into_parts();
    if let Some(folder) = trust::found_in(request, environment, file.as_deref()) {
        let mirrors = mirrors.iter().map(|placed| &placed.mirror);
        let state = place.as_ref().map(|place| place.path.as_path());
        problems.0.extend(trust::distrust(&api, state, mirrors, folder, |key| origins.get(key).cloned()));
    }
    match place {
        Some(place) if problems.0.is_empty() => Ok(Config {
            api,
            state_path: place.path,
            old_state: place.old.map(|path| OldState { path, mirrors: all }),
            remote_cache,
            status_listen: status_listen.map(|found| found.value),
            mirrors: mirrors.into_iter().map(|placed| placed.mirror).collect(),
            source: file,
            origins,
            warnings,
        }),
        _ => Err(problems),
    }
}

/// Where the index lies: where the configuration says, else where the service manager or the user keeps state.
fn state_place(
    named: Option<Found<PathBuf>>,
    owner: Option<PathBuf>,
    folders: &Folders<'_>,
    environment: &Environment,
    findings: &Findings,
) -> Option<StatePlace> {
    if let Some(found) = named {
        return folders.absolute(&found, findings).map(|path| StatePlace { path, old: None });
    }
    // Without an owner something is wrong already.
    match folders::state_place(&owner?, folders.home, environment) {
        Ok(Some(place)) => Some(place),
        Ok(None) => {
            let message = "no place for the index: neither a state folder nor a home is known";
            findings.add(Place::Everywhere, message, "set path = \"…\" in [state], or $HOME");
            None
        }
        Err(why) => {
            let place = Place::Environment("STATE_DIRECTORY".to_owned());
            findings.add(place, why, "write the whole path, or unset it");
            None
        }
    }
}

impl Request {
    fn cwd(&self) -> Option<&Path> {
        Some(self.cwd.as_path()).filter(|cwd| cwd.is_absolute())
    }

    fn home(&self) -> Option<&Path> {
        self.home.as_deref().filter(|home| home.is_absolute())
    }
}

/// Whether the single mirror comes from `--root` or `$DATO_MIRROR_ROOT`, with no `--config` to overrule the latter.
fn root_is_set(request: &Request, environment: &Environment) -> bool {
    request.root.is_some() || (request.config_file.is_none() && environment.path("DATO_MIRROR_ROOT").is_some())
}

fn read_mirrors(
    top: &mut Section<'_>,
    root: Option<Found<PathBuf>>,
    name: Option<&str>,
    folders: &Folders<'_>,
    environment: &Environment,
    findings: &Findings,
    warnings: &mut Vec<String>,
) -> Vec<Placed> {
    let mut mirrors = Vec::new();
    // With a folder from outside the file's mirrors are not run, but what is wrong with them is still told.
    for section in top.tables("mirror", "[[mirror]]") {
        let place = section.place();
        mirrors.push(Placed { mirror: Mirror::read(section, None, None, folders), place });
    }
    if let (Some(_), None) = (name, &root) {
        let advice = "write name = \"…\" under [[mirror]], or mirror one folder with --root";
        findings.add(Place::Flag("--name"), "`--name` is for --root", advice);
    }
    if let Some(root) = root {
        let place = root.place.clone();
        if root.value.as_os_str().is_empty() {
            findings.add(place.clone(), "names no folder", "give it the folder to mirror");
        }
        if let Some(unused) = told_of_unused(&mirrors, &root.value, folders) {
            warnings.push(unused);
        }
        let section = Section::absent("--root", "mirror.", findings).with_environment(environment, PREFIX);
        mirrors = vec![Placed { mirror: Mirror::read(section, Some(root), name, folders), place }];
    } else if mirrors.is_empty() && !findings.any_about("mirror") {
        let advice = "add one:\n[[mirror]]\nname = \"brand\"\nroot = \"/srv/brand\"";
        findings.add(top.place(), "there is no [[mirror]]", advice);
    }
    mirrors
}

/// Two mirrors may share neither a name (it is part of the derived ids) nor a folder (each would see the other's
/// files).
fn check_names_and_roots(mirrors: &[Placed], findings: &Findings) {
    for (at, Placed { mirror, place }) in mirrors.iter().enumerate() {
        for Placed { mirror: earlier, .. } in &mirrors[..at] {
            if mirror.name == earlier.name && !mirror.name.is_empty() && !mirror.root.as_os_str().is_empty() {
                let message = format!("two mirrors are named \"{}\"", mirror.name);
                findings.add(place.clone(), message, "give each mirror its own name");
            }
            if mirror.root.as_os_str().is_empty() || earlier.root.as_os_str().is_empty() {
                continue;
            }
            let (inner, outer) = (real_path(&mirror.root), real_path(&earlier.root));
            if inner.starts_with(&outer) || outer.starts_with(&inner) {
                let message = format!(
                    "the roots of the mirrors \"{}\" ({}) and \"{}\" ({}) overlap",
                    earlier.name,
                    earlier.root.display(),
                    mirror.name,
                    mirror.root.display()
                );
                let advice = "give each mirror its own folder; use rules for what is different inside one";
                findings.add(place.clone(), message, advice);
            }
        }
    }
}

/// Leaves only the mirror that `--mirror` names.
fn pick(mirrors: &mut Vec<Placed>, name: Option<&str>, findings: &Findings) {
    let Some(name) = name else { return };
    if mirrors.iter().any(|placed| placed.mirror.name == name) {
        mirrors.retain(|placed| placed.mirror.name == name);
        return;
    }
    let names: Vec<_> = mirrors.iter().map(|placed| placed.mirror.name.as_str()).collect();
    let known = names.join(", ");
    let advice = nearest(name, names).map_or_else(
        || format!("known mirrors: {known}"),
        |near| format!("did you mean \"{near}\"? known mirrors: {known}"),
    );
    findings.add(Place::Flag("--mirror"), format!("no mirror is named \"{}\"", shown(name)), advice);
}

#[cfg(test)]
mod tests;
