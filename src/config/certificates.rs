//! The variables that name whose certificates are trusted.
//!
//! Owns: telling of one that names nothing that can be used. The TLS library passes over what it cannot read, and then a
//! certificate is refused, or trusted, for a reason that nobody sees. Never does: trusting, or checking a certificate.

use std::env::split_paths;
use std::fs::{self, File};
use std::io;
use std::path::Path;

use rustls::RootCertStore;

use super::document::Findings;
use super::environment::Environment;
use super::problem::Place;

/// One file of certificates.
const FILE: &str = "SSL_CERT_FILE";
/// Folders of such files.
const FOLDERS: &str = "SSL_CERT_DIR";
const ADVICE: &str =
    "name the authorities' certificates in PEM form, readable by the user that runs dato-mirror, or unset it";

/// What was found: what cannot be meant, and what is only worth a word.
#[derive(Debug, Default)]
struct Trusted {
    /// The variable, what is wrong with it, and what to do.
    problems: Vec<(Place, String, &'static str)>,
    /// A part of it is passed over; the rest is used.
    warnings: Vec<String>,
}

/// Tells what is wrong with what the variables name: a problem where the service at `base_url` needs a certificate, else a
/// warning.
pub(super) fn check_certificates(
    environment: &Environment,
    base_url: &str,
    findings: &Findings,
    warnings: &mut Vec<String>,
) {
    let trusted = look_at_variables(environment);
    warnings.extend(trusted.warnings);
    // Over plain http, which goes within this machine only, the service needs no certificate; other addresses may.
    let needed = !base_url.starts_with("http:");
    for (place, why, advice) in trusted.problems {
        if needed {
            findings.add(place, why, advice);
        } else {
            warnings.push(format!("{place} {why}; {advice}"));
        }
    }
}

/// Looks at what the variables name. A file that was named has to be one; of several folders one is enough, since lists
/// for many systems are common.
fn look_at_variables(environment: &Environment) -> Trusted {
    let mut found = Trusted::default();
    let problem = |name: &str, why: String| (Place::Environment(name.to_owned()), why, ADVICE);
    let file = environment.path(FILE);
    if let Some(path) = &file
        && let Err(why) = holds_certificates(path)
    {
        found.problems.push(problem(FILE, format!("names {}, which {why}", path.display())));
    }
    let folders = environment.path(FOLDERS);
    let folders: Vec<_> = folders.iter().flat_map(split_paths).filter(|path| !path.as_os_str().is_empty()).collect();
    if file.is_none() && folders.is_empty() && environment.has(FILE) {
        let why = "is set to nothing, which the TLS library takes for a file without a name: no certificate is trusted";
        found.problems.push(problem(FILE, why.into()));
    }
    let unusable: Vec<(String, String)> = folders
        .iter()
        .filter_map(|path| has_certificates(path).err().map(|why| (path.display().to_string(), why)))
        .collect();
    if file.is_none() && unusable.len() == folders.len() {
        let told = unusable.iter().map(|(path, why)| format!("{path}, which {why}")).collect::<Vec<_>>().join("; ");
        if !told.is_empty() {
            found.problems.push(problem(FOLDERS, format!("names {told}")));
        }
    } else {
        let told = |(path, why)| format!("${FOLDERS} names {path}, which {why}: it is passed over");
        found.warnings.extend(unusable.into_iter().map(told));
    }
    found
}

/// Why there is no certificate in this file: by what the TLS library itself makes of it.
fn holds_certificates(path: &Path) -> Result<(), String> {
    let about = fs::metadata(path).map_err(|error| words(&error))?;
    if about.is_dir() {
        return Err("is a folder".into());
    }
    if !about.is_file() {
        // A pipe would be waited for, and gives what is in it only once.
        return Err("is not a regular file".into());
    }
    File::open(path).map_err(|error| words(&error))?;
    let read = rustls_native_certs::load_certs_from_paths(Some(path), None);
    let mut store = RootCertStore::empty();
    let (usable, _) = store.add_parsable_certificates(read.certs);
    if usable > 0 { Ok(()) } else { Err("holds no certificate in PEM form that can be read".into()) }
}

/// Why there is no certificate in this folder; one is enough.
fn has_certificates(folder: &Path) -> Result<(), String> {
    let mut entries = fs::read_dir(folder).map_err(|error| words(&error))?.flatten();
    let any = entries.any(|entry| entry.path().is_file() && holds_certificates(&entry.path()).is_ok());
    any.then_some(()).ok_or_else(|| "has no file with a certificate in PEM form".into())
}

fn words(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "does not exist".into(),
        io::ErrorKind::PermissionDenied => "may not be read by this user".into(),
        io::ErrorKind::NotADirectory => "is not a folder, or lies below what is none".into(),
        _ => format!("cannot be read: {error}"),
    }
}
