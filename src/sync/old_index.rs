//! The index from the time when all configurations of a user shared one.
//!
//! Owns: whether that index is this configuration's, which index a command shows, and taking it over when a run begins.
//! Never does: touching the index of another configuration, or one that is in use.

use std::path::{Path, PathBuf};

use crate::config::{Config, OldState};
use crate::disk::{RootIdentity, check_root};
use crate::error::RunError;
use crate::index::relocate::{Belongs, belongs, keep_private, relocate};
use crate::index::{IndexError, InstanceLock};

/// Where the index of this configuration lies now: at its own place, or still at the old one. For all that changes
/// nothing.
#[must_use]
pub fn place_of(config: &Config) -> PathBuf {
    match old_of(config).map(|old| (old, look(old, config))) {
        Some((old, Ok(Found::Ours))) => old.path.clone(),
        _ => config.state_path.clone(),
    }
}

/// Moves the old index to this configuration's own place when it is this one's and nothing is there yet; says so, and
/// also why not. `lock` is that of the own place.
///
/// # Errors
/// [`IndexError::Locked`] when an older dato-mirror still works with it, and the system's.
pub fn take_over(config: &Config, lock: &InstanceLock) -> Result<(), RunError> {
    if let Some(folder) = config.old_state.as_ref().and_then(|old| old.path.parent())
        && let Err(error) = keep_private(folder)
    {
        tracing::debug!(%error, "the state folder stays as it is");
    }
    let Some(old) = old_of(config) else { return Ok(()) };
    let (from, to) = (old.path.display(), config.state_path.display());
    match look(old, config) {
        Ok(Found::Nothing) => {}
        Ok(Found::Ours) => {
            relocate(&old.path, &config.state_path, lock)?;
            tracing::info!("each configuration has an index of its own now: {from} was moved to {to}");
        }
        Ok(Found::Anothers(why)) => {
            tracing::info!("the index {from}, which configurations shared before, stays: {why}. This one's is {to}");
        }
        Err(error) => tracing::info!("the index {from}, which configurations shared before, stays: {error}"),
    }
    Ok(())
}

/// The old place, when something is there and nothing is at the own one.
fn old_of(config: &Config) -> Option<&OldState> {
    let old = config.old_state.as_ref()?;
    let is_there = |path: &Path| std::fs::symlink_metadata(path).is_ok();
    (is_there(&old.path) && !is_there(&config.state_path)).then_some(old)
}

#[derive(Debug, PartialEq, Eq)]
enum Found {
    Nothing,
    Ours,
    Anothers(String),
}

fn look(old: &OldState, config: &Config) -> Result<Found, IndexError> {
    let Some(found) = belongs(&old.path)? else { return Ok(Found::Nothing) };
    let environment = config.api.environment.as_deref().unwrap_or_default();
    let told = fits(&found, &old.mirrors, environment, &|root| check_root(root, None).ok());
    Ok(told.map_or_else(Found::Anothers, |()| Found::Ours))
}

/// Whether an index is that of a configuration with these mirrors, in this environment. `look` tells what a root is now;
/// a root that cannot be looked at contradicts nothing.
fn fits(
    index: &Belongs,
    mirrors: &[(String, PathBuf)],
    environment: &str,
    look: &dyn Fn(&Path) -> Option<RootIdentity>,
) -> Result<(), String> {
    if index.mirrors.is_empty() {
        return Err("nothing was mirrored with it".into());
    }
    if let Some((_, theirs)) = index.project.as_deref().and_then(|project| project.split_once('/'))
        && theirs != environment
        && !(index.is_primary && environment.is_empty())
    {
        return Err("it is of another environment".into());
    }
    for (name, known) in &index.mirrors {
        let Some((_, root)) = mirrors.iter().find(|(ours, _)| ours == name) else {
            return Err(format!("it has a mirror \"{name}\", which this configuration has not"));
        };
        let known = known.as_deref().and_then(|json| serde_json::from_str::<RootIdentity>(json).ok());
        if let (Some(known), Some(now)) = (known, look(root))
            && (known.inode != now.inode || known.replaced_by(&now))
        {
            return Err(format!("the root of its mirror \"{name}\" is not {}", root.display()));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_is_taken_only_by_the_configuration_it_was_made_for() {
        let root =
            |inode| RootIdentity { dev: 1, inode, mount: None, below: None, filled: Vec::new(), real: PathBuf::new() };
        let json = |inode| Some(serde_json::to_string(&root(inode)).unwrap());
        let index = |mirrors: &[(&str, Option<String>)]| Belongs {
            project: Some("site/".into()),
            is_primary: false,
            mirrors: mirrors.iter().map(|(name, root)| ((*name).to_owned(), root.clone())).collect(),
        };
        let ours = [("brand".to_owned(), PathBuf::from("/brand")), ("press".to_owned(), PathBuf::from("/press"))];
        let now = |path: &Path| match path.to_str() {
            Some("/brand") => Some(root(1)),
            _ => None,
        };
        let tell = |index: &Belongs, environment: &str| fits(index, &ours, environment, &now);
        assert_eq!(tell(&index(&[("brand", json(1))]), ""), Ok(()));
        assert_eq!(
            tell(&index(&[("brand", json(1)), ("press", json(7))]), ""),
            Ok(()),
            "a share that is not mounted now"
        );
        assert_eq!(tell(&index(&[("brand", None)]), ""), Ok(()));
        let named =
            |is_primary| Belongs { project: Some("site/main".into()), is_primary, ..index(&[("brand", json(1))]) };
        assert_eq!(tell(&named(true), ""), Ok(()), "the primary environment, which answers named");
        assert_eq!(tell(&named(false), "main"), Ok(()));
        assert!(tell(&named(false), "").is_err() && tell(&named(true), "staging").is_err());
        for (index, environment, why) in [
            (index(&[]), "", "nothing was mirrored"),
            (index(&[("brand", json(2))]), "", "is not /brand"),
            (index(&[("brand", json(1)), ("other", json(3))]), "", "\"other\""),
            (index(&[("brand", json(1))]), "staging", "another environment"),
        ] {
            let told = tell(&index, environment).unwrap_err();
            assert!(told.contains(why), "{told}");
        }
    }
}
