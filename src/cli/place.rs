//! Which file of which mirror a path on the command line means.
//!
//! Owns: the rule: below a root as seen from the working directory, else relative to a root; and spelt as on disk.

use std::path::{Path, PathBuf};

use crate::config::{Config, Mirror, real_path};
use crate::disk::as_spelt;
use crate::model::RelPath;

/// The working directory; `None` when the system does not tell it, as when it was deleted. No other folder stands for it.
#[must_use]
pub fn working_directory() -> Option<PathBuf> {
    std::env::current_dir().ok().filter(|folder| folder.is_absolute())
}

/// The path as seen from `cwd`.
///
/// # Errors
/// A message, when the path is relative and the working directory is not known.
pub fn seen_from(cwd: Option<&Path>, path: &Path) -> Result<PathBuf, String> {
    match cwd {
        _ if path.is_absolute() => Ok(path.to_path_buf()),
        Some(cwd) => Ok(cwd.join(path)),
        None => Err(format!(
            "{} is a relative path, and the working directory cannot be told: it may have been deleted; change to a folder \
             that is there, or name the whole path",
            path.display()
        )),
    }
}

/// The mirror below whose root `path` lies as seen from `cwd`, or else every mirror whose root it may be relative to.
///
/// # Errors
/// As [`seen_from`].
pub fn places<'a>(path: &Path, cwd: Option<&Path>, config: &'a Config) -> Result<Vec<(&'a Mirror, RelPath)>, String> {
    let absolute = seen_from(cwd, path)?;
    // A link on the way must not hide the root: names are compared as given and as they really are. Where a way up leads,
    // only the system tells.
    let real = absolute.parent().zip(absolute.file_name()).map(|(parent, name)| real_path(parent).join(name));
    for mirror in &config.mirrors {
        let root = real_path(&mirror.root);
        let as_given = absolute.strip_prefix(&mirror.root).ok();
        let really = real.as_ref().and_then(|real| real.strip_prefix(&root).ok());
        let inside = [as_given, really].into_iter().flatten();
        if let Some(found) = inside.filter_map(|inside| RelPath::new(inside).ok()).next() {
            return Ok(vec![(mirror, as_spelt(&mirror.root, &found))]);
        }
    }
    if path.is_absolute() {
        return Ok(Vec::new());
    }
    let Ok(relative) = RelPath::new(path) else { return Ok(Vec::new()) };
    let mut all: Vec<(&Mirror, RelPath)> =
        config.mirrors.iter().map(|mirror| (mirror, as_spelt(&mirror.root, &relative))).collect();
    if all.iter().any(|(mirror, path)| path.below(&mirror.root).exists()) {
        all.retain(|(mirror, path)| path.below(&mirror.root).exists());
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{self, Environment, Request};

    #[test]
    fn a_path_is_found_from_anywhere() {
        let dir = tempfile::tempdir().unwrap();
        let base = dir.path().canonicalize().unwrap();
        for folder in ["a/logos", "b"] {
            std::fs::create_dir_all(base.join(folder)).unwrap();
        }
        std::fs::write(base.join("b/only.png"), "x").unwrap();
        std::os::unix::fs::symlink(base.join("a"), base.join("link")).unwrap();
        let file = base.join("c.toml");
        std::fs::write(
            &file,
            "[state]\npath = \"i.sqlite\"\n[[mirror]]\nname = \"a\"\nroot = \"a\"\n[[mirror]]\nname = \"b\"\nroot = \"b\"",
        )
        .unwrap();
        let request = Request { config_file: Some(file), cwd: base.clone(), ..Request::default() };
        let config = config::load(&request, &Environment::default()).unwrap();
        let found = |path: &str, cwd: &str| -> Vec<(String, String)> {
            let path = path.strip_prefix('/').map_or_else(|| path.into(), |below| base.join(below));
            let all = places(&path, Some(&base.join(cwd)), &config).unwrap();
            all.into_iter().map(|(mirror, path)| (mirror.name.clone(), path.key().to_owned())).collect()
        };
        let one = |mirror: &str, path: &str| vec![(mirror.to_owned(), path.to_owned())];
        assert_eq!(found("logos/x.svg", "a"), one("a", "logos/x.svg"));
        assert_eq!(found("x.svg", "a/logos"), one("a", "logos/x.svg"));
        assert_eq!(found("/a/logos/x.svg", "b"), one("a", "logos/x.svg"));
        assert_eq!(found("/link/logos/x.svg", "b"), one("a", "logos/x.svg"));
        assert_eq!(found("only.png", ""), one("b", "only.png"));
        assert_eq!(found("x.png", "").len(), 2);
        assert_eq!(found("../a/logos/x.svg", "b"), one("a", "logos/x.svg"));
        assert_eq!(found("/a/logos/../logos/x.svg", "b"), one("a", "logos/x.svg"));
        // Deleted files and folders are named too; a way up is the system's to tell.
        assert_eq!(found("/a/logos/../gone/x.svg", "b"), one("a", "gone/x.svg"));
        std::os::unix::fs::symlink(base.join("a/logos"), base.join("b/deep")).unwrap();
        assert_eq!(found("/b/deep/../x.svg", ""), one("a", "x.svg"));
        assert_eq!(found("deep/../x.svg", "b"), one("a", "x.svg"));
        assert!(places(Path::new("only.png"), None, &config).unwrap_err().contains("working directory"));
        assert!(places(&base.join("b/only.png"), None, &config).is_ok_and(|all| all.len() == 1));
        assert!(found("/c/x.png", "").is_empty() && found("../x.png", "").is_empty());
    }
}
