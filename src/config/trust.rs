//! What a configuration file that nobody named may do with a token, what it may read, and where it may write.
//!
//! Owns: the rule for a file that was merely found in the working directory: whoever clones a repository and types
//! `dato-mirror` in it has not said that its configuration may have their secrets or their files, or write where it likes.
//! Never does: reading anything but where links lead.

use std::path::Path;

use super::Request;
use super::api::{Api, BASE_URL, TokenOrigin, is_loopback};
use super::environment::Environment;
use super::folders;
use super::mirror::Mirror;
use super::problem::{Place, Problem};

/// What to do about it.
const NAME_IT: &str = "if you trust the file, name it: --config dato-mirror.toml";
/// Why.
const FOUND: &str = "in a file that was only found in the working directory";

/// The folder of a file that nobody named: it was found in the working directory.
pub(super) fn found_in<'a>(request: &'a Request, environment: &Environment, file: Option<&Path>) -> Option<&'a Path> {
    let named = request.config_file.is_some() || environment.path("DATO_MIRROR_CONFIG").is_some();
    let cwd = request.cwd().filter(|_| !named)?;
    let mut candidates = folders::candidates(cwd, request.home(), environment).into_iter();
    let found = candidates.next().is_some_and(|found| file == Some(found.as_path()));
    // Who works in the folders of the user's or the system's own configuration has found nothing that is a stranger's.
    (found && candidates.all(|own| own.parent() != Some(cwd))).then_some(cwd)
}

/// What of these settings such a file in `folder` may not say. `place_of` tells where a key's value was given.
pub(super) fn distrust<'a>(
    api: &Api,
    state: Option<&Path>,
    mirrors: impl Iterator<Item = &'a Mirror>,
    folder: &Path,
    place_of: impl Fn(&str) -> Option<Place>,
) -> Vec<Problem> {
    let by_file = |key: &str| place_of(key).filter(|place| matches!(place, Place::File(_)));
    let problem = |place, message| Problem { place, message, advice: NAME_IT.to_owned() };
    let leads_out = |key: &str, full_key: &str, path: &Path| {
        let place = by_file(full_key).filter(|_| !is_or_will_be_below(path, folder))?;
        Some(problem(place, format!("`{key}` names {}, which lies outside this folder, {FOUND}", path.display())))
    };
    let mut problems = Vec::new();
    // Its own token it may send where it likes.
    let has_own_token = matches!(api.token_origin, Some(TokenOrigin::File(_))) && by_file("api.token_file").is_some();
    if let (Some(_), Some(place)) = (&api.token_origin, by_file("api.base_url"))
        && !has_own_token
        && api.base_url != BASE_URL
        && !reqwest::Url::parse(&api.base_url).is_ok_and(|url| is_loopback(&url))
    {
        problems.push(problem(place, format!("sends the token of this process to another host, {FOUND}")));
    }
    if let Some(TokenOrigin::File(file)) = &api.token_origin {
        problems.extend(leads_out("token_file", "api.token_file", file));
    }
    // With the token of this process, files and index stay its user's own wherever they lie.
    if let Some(path) = state.filter(|_| has_own_token) {
        problems.extend(leads_out("path", "state.path", path));
        if let (Some(place), Some(beside)) = (by_file("state.path"), link_beside(path, folder)) {
            let message =
                format!("`path` has {} beside it, which leads outside this folder, {FOUND}", beside.display());
            problems.push(problem(place, message));
        }
    }
    for mirror in mirrors {
        let full = |key: &str| format!("mirror.{}.{key}", mirror.name);
        if has_own_token {
            problems.extend(leads_out("root", &full("root"), &mirror.root));
        }
        if let Some(file) = &mirror.manifest {
            problems.extend(leads_out("manifest", &full("manifest"), file));
        }
        // With a token of its own it would bring what only this network can see to a stranger's project.
        let is_theirs = has_own_token && mirror.allow_private_urls;
        if let Some(place) = by_file(&full("allow_private_urls")).filter(|_| is_theirs) {
            let message =
                format!("`allow_private_urls` sends what lies in this network to the project of its token, {FOUND}");
            problems.push(problem(place, message));
        }
    }
    problems
}

/// What the index would write to beside itself, its journal and the like, and what is a link out of the folder.
fn link_beside(index: &Path, folder: &Path) -> Option<std::path::PathBuf> {
    let name = index.file_name()?.as_encoded_bytes();
    let entries = std::fs::read_dir(index.parent()?).ok()?.flatten();
    let beside = entries.filter(|entry| {
        let other = entry.file_name();
        other.as_encoded_bytes().starts_with(name) && other.as_encoded_bytes() != name
    });
    beside.map(|entry| entry.path()).find(|path| !is_below(path, folder))
}

/// As [`is_below`], for a file that may still have to be written, and folders that may have to be made for it.
fn is_or_will_be_below(file: &Path, folder: &Path) -> bool {
    if file.symlink_metadata().is_ok() {
        return is_below(file, folder);
    }
    match (file.file_name(), file.parent()) {
        (Some(_), Some(parent)) => is_or_will_be_below(parent, folder),
        _ => false,
    }
}

/// By the system's own resolution: a link below the folder may lead out of it.
fn is_below(file: &Path, folder: &Path) -> bool {
    match (file.canonicalize(), folder.canonicalize()) {
        (Ok(file), Ok(folder)) => file.starts_with(folder),
        _ => false,
    }
}
