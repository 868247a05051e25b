//! What a configuration file that nobody named may do with a token, and where it may write.
//!
//! Owns: the rule for a file that was merely found in the working directory: whoever clones a repository and types
//! `dato-mirror` in it has not said that its configuration may have their secrets, or write where it likes. Never does: reading anything.

use std::path::Path;

use super::Request;
use super::api::{Api, BASE_URL, TokenOrigin, is_loopback};
use super::environment::Environment;
use super::mirror::Mirror;
use super::problem::{Place, Problem};

/// What to do about it.
const NAME_IT: &str = "if you trust the file, name it: --config dato-mirror.toml";

/// The folder of a file that nobody named: it was found in the working directory.
pub(super) fn found_in<'a>(request: &'a Request, environment: &Environment, file: Option<&Path>) -> Option<&'a Path> {
    let named = request.config_file.is_some() || environment.path("DATO_MIRROR_CONFIG").is_some();
    request.cwd().filter(|cwd| !named && file.and_then(Path::parent) == Some(cwd))
}

/// What of these settings such a file in `folder` may not say. `place_of` tells where a key's value was given.
pub(super) fn distrust<'a>(
    api: &Api,
    mirrors: impl Iterator<Item = &'a Mirror>,
    folder: &Path,
    place_of: impl Fn(&str) -> Option<Place>,
) -> Vec<Problem> {
    let by_file = |key: &str| place_of(key).filter(|place| matches!(place, Place::File(_)));
    let mut problems = Vec::new();
    if let (Some(TokenOrigin::Environment | TokenOrigin::Credential(_)), Some(place)) =
        (&api.token_origin, by_file("api.base_url"))
        && api.base_url != BASE_URL
        && !reqwest::Url::parse(&api.base_url).is_ok_and(|url| is_loopback(&url))
    {
        let message = "sends the token of this process to another host, in a file that was only found in the working \
                       directory";
        problems.push(Problem { place, message: message.to_owned(), advice: NAME_IT.to_owned() });
    }
    if let (Some(TokenOrigin::File(file)), Some(place)) = (&api.token_origin, by_file("api.token_file"))
        && !is_below(file, folder)
    {
        let message = "names a file outside this folder as the token, in a file that was only found in the working \
                       directory";
        problems.push(Problem { place, message: message.to_owned(), advice: NAME_IT.to_owned() });
    }
    for mirror in mirrors {
        if let (Some(file), Some(place)) = (&mirror.manifest, by_file(&format!("mirror.{}.manifest", mirror.name)))
            && !is_or_will_be_below(file, folder)
        {
            let message = "writes a file outside this folder, in a file that was only found in the working directory";
            problems.push(Problem { place, message: message.to_owned(), advice: NAME_IT.to_owned() });
        }
    }
    problems
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
