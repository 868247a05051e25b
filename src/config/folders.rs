//! Which files and folders the configuration speaks of.
//!
//! Owns: the order in which configuration files are looked for, what a relative path is relative to, and where the index
//! lies by default. Never does: reading files.

use std::path::{Component, Path, PathBuf};

use super::document::Found;
use super::environment::Environment;
use super::problem::Place;

/// The folders that paths start from.
#[derive(Debug)]
pub(super) struct Folders<'a> {
    /// The working directory.
    pub(super) cwd: &'a Path,
    /// The user's home, for `~/`.
    pub(super) home: Option<&'a Path>,
    /// The folder of the configuration file.
    pub(super) file: PathBuf,
}

impl Folders<'_> {
    /// The absolute path: one from the file is relative to the file's folder, any other to the working directory.
    pub(super) fn absolute(&self, found: &Found<PathBuf>) -> PathBuf {
        let base = if matches!(found.place, Place::File(_)) { self.file.as_path() } else { self.cwd };
        let path = match (self.home, found.value.strip_prefix("~")) {
            (Some(home), Ok(rest)) => home.join(rest),
            _ => base.join(&found.value),
        };
        normal(&path)
    }
}

/// The path without `.` and without `x/..`. A path through a symlink may mean another folder then, but the user meant
/// what is written.
pub(super) fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                normal.pop();
            }
            other => normal.push(other),
        }
    }
    normal
}

/// Where a configuration file is looked for, in order, when none is named.
pub(super) fn candidates(cwd: &Path, home: Option<&Path>, environment: &Environment) -> Vec<PathBuf> {
    let xdg = environment.path("XDG_CONFIG_HOME").filter(|path| path.is_absolute());
    let config = xdg.or_else(|| home.map(|home| home.join(".config")));
    let mut all = vec![cwd.join("dato-mirror.toml")];
    all.extend(config.map(|folder| folder.join("dato-mirror/config.toml")));
    all.push(PathBuf::from("/etc/dato-mirror/config.toml"));
    all
}

/// Where the index lies by default; `None` when not even a home is known.
pub(super) fn state_path(home: Option<&Path>, environment: &Environment) -> Option<PathBuf> {
    // systemd gives several folders separated by colons when the unit names several; the first is ours.
    let systemd = environment
        .path("STATE_DIRECTORY")
        .map(|path| path.to_str().and_then(|text| text.split(':').next()).map_or_else(|| path.clone(), PathBuf::from));
    let xdg = environment.path("XDG_STATE_HOME").filter(|path| path.is_absolute());
    let user = || xdg.or_else(|| home.map(|home| home.join(".local/state")));
    systemd.or_else(|| user().map(|folder| folder.join("dato-mirror"))).map(|folder| folder.join("index.sqlite"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(variables: &[(&str, &str)]) -> Environment {
        variables.iter().copied().collect()
    }

    #[test]
    fn the_index_lies_where_the_service_manager_or_the_user_keeps_state() {
        let home = Some(Path::new("/home/u"));
        for (variables, home, expected) in [
            (vec![("STATE_DIRECTORY", "/var/lib/dato-mirror")], home, Some("/var/lib/dato-mirror/index.sqlite")),
            (vec![("STATE_DIRECTORY", "/a:/b")], home, Some("/a/index.sqlite")),
            (vec![("XDG_STATE_HOME", "/x")], home, Some("/x/dato-mirror/index.sqlite")),
            (vec![("XDG_STATE_HOME", "not/absolute")], home, Some("/home/u/.local/state/dato-mirror/index.sqlite")),
            (vec![], home, Some("/home/u/.local/state/dato-mirror/index.sqlite")),
            (vec![], None, None),
        ] {
            assert_eq!(state_path(home, &environment(&variables)), expected.map(PathBuf::from), "{variables:?}");
        }
    }

    #[test]
    fn files_are_looked_for_in_the_order_of_the_manual() {
        let home = Some(Path::new("/home/u"));
        let all = candidates(Path::new("/w"), home, &environment(&[("XDG_CONFIG_HOME", "/x")]));
        let expected = ["/w/dato-mirror.toml", "/x/dato-mirror/config.toml", "/etc/dato-mirror/config.toml"];
        assert_eq!(all, expected.map(PathBuf::from));
        let all = candidates(Path::new("/w"), home, &environment(&[]));
        assert_eq!(all[1], PathBuf::from("/home/u/.config/dato-mirror/config.toml"));
    }

    #[test]
    fn a_path_is_relative_to_where_it_was_written() {
        let folders = Folders { cwd: Path::new("/w"), home: Some(Path::new("/home/u")), file: "/etc/x".into() };
        let flag = |value: &str| Found { value: PathBuf::from(value), place: Place::Flag("--root") };
        assert_eq!(folders.absolute(&flag("a/../b/.")), PathBuf::from("/w/b"));
        assert_eq!(folders.absolute(&flag("~/b")), PathBuf::from("/home/u/b"));
        let document = super::super::document::Document::new("f", "x");
        let place = Place::File(super::super::problem::FilePlace::new(&document, &(0..1)));
        assert_eq!(folders.absolute(&Found { value: "b".into(), place }), PathBuf::from("/etc/x/b"));
    }
}
