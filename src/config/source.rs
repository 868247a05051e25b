//! Where a configuration comes from.
//!
//! Owns: the order of `--config`, `--root`, their variables and the files that are looked for, and opening the file. Never
//! does: reading what is in it.

use std::path::{Path, PathBuf};

use super::Request;
use super::document::{Document, Findings, Found};
use super::environment::Environment;
use super::folders::{self, Folders};
use super::problem::Place;

/// No configuration file is larger, in bytes.
const MAX_BYTES: u64 = 4 << 20;

/// What a configuration is read from.
pub(super) struct Source {
    /// The folder given instead of the file's mirrors.
    pub(super) root: Option<Found<PathBuf>>,
    /// The configuration file.
    pub(super) file: Option<PathBuf>,
    /// What is in it.
    pub(super) document: Option<Document>,
}

/// The folder given instead of a file's mirrors, and the file to read.
pub(super) fn what_to_read(
    request: &Request,
    environment: &Environment,
    findings: &Findings,
    warnings: &mut Vec<String>,
) -> (Option<Found<PathBuf>>, Option<PathBuf>) {
    let named = |value: PathBuf, place: Place| {
        let from = Folders { cwd: request.cwd(), home: request.home(), file: None };
        from.absolute(&Found { value, place }, findings)
    };
    let flag = request.root.clone().map(|value| Found { value, place: Place::Flag("--root") });
    let variable = environment
        .path("DATO_MIRROR_ROOT")
        .map(|value| Found { value, place: Place::Environment("DATO_MIRROR_ROOT".to_owned()) });
    if let Some(file) = &request.config_file {
        if flag.is_none() && variable.is_some() {
            warnings.push("$DATO_MIRROR_ROOT is not used, because --config names a file".to_owned());
        }
        return (flag, named(file.clone(), Place::Flag("--config")));
    }
    let config_variable = environment.path("DATO_MIRROR_CONFIG");
    if let Some(root) = flag.or(variable) {
        if config_variable.is_some() {
            warnings.push(format!("$DATO_MIRROR_CONFIG is not read, because {} names a folder", root.place));
        }
        return (Some(root), None);
    }
    if let Some(file) = config_variable {
        return (None, named(file, Place::Environment("DATO_MIRROR_CONFIG".to_owned())));
    }
    let Some(cwd) = request.cwd() else {
        let message =
            "no configuration file is named, and the working directory cannot be told: it may have been deleted";
        findings.add(Place::Everywhere, message, "change to a folder that is there, or name a file with --config");
        return (None, None);
    };
    let candidates = folders::candidates(cwd, request.home(), environment);
    for file in &candidates {
        match folders::is_there(file) {
            Ok(true) => return (None, Some(file.clone())),
            Ok(false) => {}
            // A service may not see homes; none of its configuration is there.
            Err(_) if request.home().is_some_and(|home| file.starts_with(home) && !cwd.starts_with(home)) => {}
            Err(error) => {
                let message = format!("the configuration file {} cannot be looked for: {error}", file.display());
                findings.add(Place::Everywhere, message, "correct its permissions, or name a file with --config");
                return (None, None);
            }
        }
    }
    let list = candidates.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ");
    let advice = format!("write one of these files: {list}; or name one with --config; or mirror a folder with --root");
    findings.add(Place::Everywhere, "no configuration file", advice);
    (None, None)
}

/// The file's text; what is wrong with it is among the findings.
pub(super) fn read_file(path: &Path, request: &Request, findings: &Findings) -> Option<Document> {
    use std::io::Read as _;
    let read = || {
        let mut text = String::new();
        let file = std::fs::File::open(path)?;
        if file.metadata()?.is_dir() {
            return Err(std::io::ErrorKind::IsADirectory.into());
        }
        file.take(MAX_BYTES + 1).read_to_string(&mut text)?;
        Ok::<_, std::io::Error>(text)
    };
    // Below the working directory the short name is the one people know; a service works in `/`.
    let below = request.cwd().filter(|cwd| cwd.parent().is_some()).and_then(|cwd| path.strip_prefix(cwd).ok());
    let name = below.unwrap_or(path).display().to_string();
    let (why, advice) = match read() {
        Ok(text) if text.len() as u64 <= MAX_BYTES => return Some(Document::new(name, text)),
        Ok(_) => ("is larger than 4 MiB".to_owned(), "name the right file"),
        Err(error) => match error.kind() {
            std::io::ErrorKind::NotFound => ("does not exist".to_owned(), "check the path given to --config"),
            std::io::ErrorKind::PermissionDenied => {
                ("may not be read by this user".to_owned(), "give the user that runs dato-mirror read permission")
            }
            std::io::ErrorKind::InvalidData => ("is not valid UTF-8".to_owned(), "save it as UTF-8 text"),
            std::io::ErrorKind::IsADirectory => ("is a folder".to_owned(), "name a file"),
            _ => (format!("cannot be read: {error}"), ""),
        },
    };
    findings.add(Place::Everywhere, format!("configuration file {name} {why}"), advice);
    None
}
