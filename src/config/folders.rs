//! Which files and folders the configuration speaks of.
//!
//! Owns: the order in which configuration files are looked for, what a relative path is relative to, and where the index
//! lies by default.
//! Never does: reading files, or guessing: a look-up that fails is a problem and never becomes another folder. Where a
//! path leads is the system's to tell, since `x/..` is another folder than it reads when `x` is a link.

use std::io;
use std::path::{Component, Path, PathBuf};

use super::document::{Findings, Found};
use super::environment::Environment;
use super::problem::Place;
use crate::model::Md5;

/// The folders that paths start from.
#[derive(Debug)]
pub(super) struct Folders<'a> {
    /// The working directory; `None` when the system does not tell it.
    pub(super) cwd: Option<&'a Path>,
    /// The user's home, for `~/`.
    pub(super) home: Option<&'a Path>,
    /// The folder of the configuration file, if there is one.
    pub(super) file: Option<PathBuf>,
}

impl Folders<'_> {
    /// The absolute path: one from the file is relative to the file's folder, any other to the working directory. `None`
    /// when that is not known, which is then among the findings.
    pub(super) fn absolute(&self, found: &Found<PathBuf>, findings: &Findings) -> Option<PathBuf> {
        let told = || format!("names {}", found.value.display());
        if let Ok(rest) = found.value.strip_prefix("~") {
            let Some(home) = self.home else {
                let message = format!("{}, and no home is known", told());
                findings.add(found.place.clone(), message, "set $HOME to an absolute path, or write the whole path");
                return None;
            };
            return Some(resolved(&home.join(rest)));
        }
        let base = match (&found.place, &self.file) {
            (Place::File(_), Some(file)) => Some(file.as_path()),
            _ => self.cwd,
        };
        if found.value.is_absolute() {
            return Some(resolved(&found.value));
        }
        let Some(base) = base else {
            findings.add(found.place.clone(), format!("{}, {NO_CWD}", told()), NO_CWD_ADVICE);
            return None;
        };
        Some(resolved(&base.join(&found.value)))
    }
}

/// Why a relative path means nothing.
pub(super) const NO_CWD: &str = "but the working directory cannot be told: it may have been deleted";
/// What to do about it.
pub(super) const NO_CWD_ADVICE: &str = "change to a folder that is there, or write the whole path";

/// The path without `.`, its ways up resolved by the system. Where the system knows no such way the path stays as it is
/// written, and whoever opens it hears so.
pub(super) fn resolved(path: &Path) -> PathBuf {
    let parts: Vec<Component<'_>> = path.components().collect();
    let up = parts.iter().rposition(|part| *part == Component::ParentDir);
    let way = up.map(|up| parts.split_at(up + 1));
    let real = way.and_then(|(way, rest)| Some((std::fs::canonicalize(way.iter().collect::<PathBuf>()).ok()?, rest)));
    real.map_or_else(|| parts.iter().collect(), |(real, rest)| rest.iter().fold(real, |path, part| path.join(part)))
}

/// Where a path really lies: as much of its way as there is, with the links on it followed; the rest need not be there
/// yet.
#[must_use]
pub fn real_path(path: &Path) -> PathBuf {
    for there in path.ancestors() {
        if let (Ok(real), Ok(rest)) = (std::fs::canonicalize(there), path.strip_prefix(there)) {
            return if rest.as_os_str().is_empty() { real } else { real.join(rest) };
        }
    }
    path.to_path_buf()
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

/// Whether something has this name, be it a link that leads nowhere.
///
/// # Errors
/// When that cannot be told.
pub(super) fn is_there(path: &Path) -> io::Result<bool> {
    match std::fs::symlink_metadata(path) {
        Ok(_) => Ok(true),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Where the index lies by default.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct StatePlace {
    /// The index.
    pub(super) path: PathBuf,
    /// Where all configurations of a user had their one index, before each had its own; `None` where the service manager
    /// gives the folder, which belongs to one service.
    pub(super) old: Option<PathBuf>,
}

/// Where the index of the configuration at `owner` (its file, or the root that was given instead) lies by default;
/// `None` when not even a home is known.
///
/// # Errors
/// What is wrong with the variable that names the folder.
pub(super) fn state_place(
    owner: &Path,
    home: Option<&Path>,
    environment: &Environment,
) -> Result<Option<StatePlace>, String> {
    use std::os::unix::ffi::OsStrExt as _;
    // systemd gives several folders separated by colons when the unit names several; the first is ours.
    if let Some(all) = environment.path("STATE_DIRECTORY") {
        let first = all.as_os_str().as_bytes().split(|byte| *byte == b':').next().unwrap_or_default();
        let folder = Path::new(std::ffi::OsStr::from_bytes(first));
        if !folder.is_absolute() {
            return Err(format!("names {}, which is no absolute path", folder.display()));
        }
        return Ok(Some(StatePlace { path: folder.join("index.sqlite"), old: None }));
    }
    let xdg = environment.path("XDG_STATE_HOME").filter(|path| path.is_absolute());
    let user = xdg.or_else(|| home.map(|home| home.join(".local/state")));
    Ok(user.map(|folder| folder.join("dato-mirror")).map(|folder| StatePlace {
        path: folder.join(key(owner)).join("index.sqlite"),
        old: Some(folder.join("index.sqlite")),
    }))
}

/// The name of a configuration's own state folder: one that people recognise, and a digest of where the configuration
/// really lies, so that no two have the same.
fn key(owner: &Path) -> String {
    use std::os::unix::ffi::OsStrExt as _;
    let real = real_path(owner);
    let digest = Md5::of(real.as_os_str().as_bytes()).to_string();
    let is_file = real.extension().is_some_and(|extension| extension == "toml");
    let name = if is_file { real.file_stem() } else { real.file_name() };
    let name = name.map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let plain = |letter: char| if letter.is_ascii_alphanumeric() || "-_".contains(letter) { letter } else { '_' };
    let name: String = name.chars().map(plain).take(40).collect();
    format!("{name}-{}", digest.get(..12).unwrap_or(&digest))
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
        let owner = Path::new("/w/brand.toml");
        let own = key(owner);
        assert!(own.starts_with("brand-") && own.len() == 18, "{own}");
        for (variables, home, expected) in [
            (vec![("STATE_DIRECTORY", "/var/lib/dato-mirror")], home, Some("/var/lib/dato-mirror/index.sqlite")),
            (vec![("STATE_DIRECTORY", "/a:/b")], home, Some("/a/index.sqlite")),
            (vec![("XDG_STATE_HOME", "/x")], home, Some("/x/dato-mirror/KEY/index.sqlite")),
            (vec![("XDG_STATE_HOME", "not/absolute")], home, Some("/home/u/.local/state/dato-mirror/KEY/index.sqlite")),
            (vec![], home, Some("/home/u/.local/state/dato-mirror/KEY/index.sqlite")),
            (vec![], None, None),
        ] {
            let place = state_place(owner, home, &environment(&variables)).unwrap();
            let expected = expected.map(|path| PathBuf::from(path.replace("KEY", &own)));
            assert_eq!(place.as_ref().map(|place| &place.path), expected.as_ref(), "{variables:?}");
            let is_the_users = expected.is_some_and(|path| path.to_string_lossy().contains(&own));
            assert_eq!(place.and_then(|place| place.old).is_some(), is_the_users, "{variables:?}");
        }
        assert!(state_place(owner, home, &environment(&[("STATE_DIRECTORY", "state")])).is_err());
    }

    #[test]
    fn each_configuration_has_a_state_folder_of_its_own_by_whatever_way_it_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let base = dir.path();
        std::fs::create_dir_all(base.join("one")).unwrap();
        std::fs::create_dir_all(base.join("two")).unwrap();
        for file in ["one/dato-mirror.toml", "two/dato-mirror.toml"] {
            std::fs::write(base.join(file), "").unwrap();
        }
        std::os::unix::fs::symlink("one", base.join("link")).unwrap();
        assert_ne!(key(&base.join("one/dato-mirror.toml")), key(&base.join("two/dato-mirror.toml")));
        assert_eq!(key(&base.join("one/dato-mirror.toml")), key(&base.join("link/dato-mirror.toml")));
        assert_eq!(key(&base.join("one/dato-mirror.toml")), key(&base.join("two/../one/dato-mirror.toml")));
        assert_eq!(key(&base.join("one")), key(&base.join("link")));
        for odd in ["/", "/w/..", "/w/Ünï cøde/x y", "/w/.toml", "/w/-rf"] {
            let key = key(Path::new(odd));
            assert!(!key.contains(['/', '.', ' ']) && key.len() >= 13 && key.is_ascii(), "{odd}: {key}");
        }
    }

    #[test]
    fn a_way_up_leads_where_the_system_says() {
        let dir = tempfile::tempdir().unwrap();
        let base = dir.path().canonicalize().unwrap();
        std::fs::create_dir_all(base.join("real/deep")).unwrap();
        std::fs::create_dir_all(base.join("real/brand")).unwrap();
        std::os::unix::fs::symlink("real/deep", base.join("link")).unwrap();
        for (written, meant) in [
            ("link/../brand", "real/brand"),
            ("link/../brand/../brand/x", "real/brand/x"),
            ("link/..", "real"),
            ("real/./brand/", "real/brand"),
            ("link/x", "link/x"),
            // No such way: the system says so when it is opened.
            ("nowhere/../real", "nowhere/../real"),
        ] {
            assert_eq!(resolved(&base.join(written)), base.join(meant), "{written}");
        }
        assert_eq!(real_path(&base.join("link/new/file")), base.join("real/deep/new/file"));
    }

    #[test]
    fn what_cannot_be_looked_up_is_a_problem_and_no_other_folder() {
        let flag = |value: &str| Found { value: PathBuf::from(value), place: Place::Flag("--root") };
        let nothing = Folders { cwd: None, home: None, file: None };
        for (value, told) in [
            (".", "working directory"),
            ("b", "working directory"),
            ("..", "working directory"),
            ("~/b", "no home"),
            ("~", "no home"),
        ] {
            let findings = Findings::default();
            assert_eq!(nothing.absolute(&flag(value), &findings), None, "{value}");
            let problems = findings.into_parts().0.to_string();
            assert!(problems.contains(told) && problems.contains(value), "{problems}");
        }
        let findings = Findings::default();
        assert_eq!(nothing.absolute(&flag("/b"), &findings), Some("/b".into()));
        assert!(!findings.any());
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
        let folders =
            Folders { cwd: Some(Path::new("/w")), home: Some(Path::new("/home/u")), file: Some("/etc/x".into()) };
        let findings = Findings::default();
        let flag = |value: &str| Found { value: PathBuf::from(value), place: Place::Flag("--root") };
        assert_eq!(folders.absolute(&flag("a/./b/."), &findings), Some(PathBuf::from("/w/a/b")));
        assert_eq!(folders.absolute(&flag("~/b"), &findings), Some(PathBuf::from("/home/u/b")));
        let document = super::super::document::Document::new("f", "x");
        let place = Place::File(super::super::problem::FilePlace::new(&document, &(0..1)));
        assert_eq!(folders.absolute(&Found { value: "b".into(), place }, &findings), Some(PathBuf::from("/etc/x/b")));
    }
}
