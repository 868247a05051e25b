//! A root that never was there: a slip of the pen, and no guard's matter.
//!
//! Owns: telling it from a root that went away. That one was mirrored before, by this index, and everything about it is
//! guarded; of this one nobody knows anything, so there is nothing to guard. With several mirrors the others go on, and
//! a root that is missing is told as the guard tells it. Changes nothing.

use std::io;
use std::path::{Path, PathBuf};

use crate::config::value::nearest;
use crate::config::{Config, Mirror};
use crate::error::RunError;
use crate::index::{Index, IndexError, settings};
use crate::sync::old_index::place_of;

/// Why the one mirror of the configuration cannot be meant, if so.
pub async fn never_there(config: &Config) -> Option<RunError> {
    let [mirror] = config.mirrors.as_slice() else { return None };
    let (mirror, state) = (mirror.clone(), place_of(config));
    // A dead network share may take its time.
    let looked = tokio::task::spawn_blocking(move || {
        let told = told_of(&mirror)?;
        (!is_known(&state, &mirror.name)).then_some(told)
    });
    looked.await.ok().flatten().map(RunError::Usage)
}

fn told_of(mirror: &Mirror) -> Option<String> {
    let root = mirror.root.display();
    match std::fs::metadata(&mirror.root).map_err(|error| error.kind()) {
        Ok(found) if found.is_dir() => None,
        Ok(_) => Some(format!("{root} is a file and not a folder; name the folder to mirror")),
        Err(io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            let meant =
                like(&mirror.root).map_or_else(String::new, |near| format!("; did you mean {}?", near.display()));
            Some(format!("no such folder: {root}{meant}"))
        }
        Err(_) => None,
    }
}

/// A folder beside the missing one whose name is much like it.
fn like(root: &Path) -> Option<PathBuf> {
    let (parent, name) = (root.parent()?, root.file_name()?.to_str()?);
    let beside = std::fs::read_dir(parent).ok()?.flatten().take(1_000).filter(|entry| entry.path().is_dir());
    let names: Vec<String> = beside.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    nearest(name, names.iter().map(String::as_str)).map(|near| parent.join(near))
}

/// Whether this index mirrored the mirror before, from wherever. What cannot be told counts as known.
fn is_known(state: &Path, name: &str) -> bool {
    let index = match Index::open_read_only(state) {
        Ok(index) => index,
        Err(IndexError::Missing { .. }) => return false,
        Err(_) => return true,
    };
    let name = name.to_owned();
    index.call_blocking(move |conn| settings::was_mirrored(conn, &name)).unwrap_or(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_told_with_what_was_meant() {
        let dir = tempfile::tempdir().unwrap();
        let base = dir.path();
        std::fs::create_dir(base.join("brand")).unwrap();
        std::fs::write(base.join("logo.svg"), "").unwrap();
        let told = |name: &str| told_of(&Mirror::new("m", base.join(name)));
        let path = |name: &str| base.join(name).display().to_string();
        assert_eq!(told("brand"), None);
        assert_eq!(told("brnad"), Some(format!("no such folder: {}; did you mean {}?", path("brnad"), path("brand"))));
        assert_eq!(told("elsewhere"), Some(format!("no such folder: {}", path("elsewhere"))));
        assert!(told("logo.svg").is_some_and(|told| told.contains("is a file and not a folder")));
    }
}
