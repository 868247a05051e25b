//! Which file of which mirror a path on the command line means.
//!
//! Owns: the rule: below a root as seen from the working directory, else relative to a root. Called by: `--files-from`,
//! `explain`, `retry`.

use std::path::Path;

use crate::config::{Config, Mirror};
use crate::model::RelPath;

/// The mirror below whose root `path` lies as seen from `cwd`, or else every mirror whose root it may be relative to.
#[must_use]
pub fn places<'a>(path: &Path, cwd: &Path, config: &'a Config) -> Vec<(&'a Mirror, RelPath)> {
    let absolute = cwd.join(path);
    // A link on the way must not hide the root: names are compared as given and as they really are.
    let real = absolute.parent().and_then(|parent| parent.canonicalize().ok());
    let real = real.zip(absolute.file_name()).map(|(parent, name)| parent.join(name));
    for mirror in &config.mirrors {
        let inside = absolute.strip_prefix(&mirror.root).ok().map(Path::to_path_buf).or_else(|| {
            let root = mirror.root.canonicalize().ok()?;
            real.as_ref()?.strip_prefix(root).ok().map(Path::to_path_buf)
        });
        if let Some(found) = inside.and_then(|inside| RelPath::new(&inside).ok()) {
            return vec![(mirror, found)];
        }
    }
    if path.is_absolute() {
        return Vec::new();
    }
    let Ok(relative) = RelPath::new(path) else { return Vec::new() };
    let mut all: Vec<(&Mirror, RelPath)> = config.mirrors.iter().map(|mirror| (mirror, relative.clone())).collect();
    if all.iter().any(|(mirror, path)| path.below(&mirror.root).exists()) {
        all.retain(|(mirror, path)| path.below(&mirror.root).exists());
    }
    all
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
            let path = path.strip_prefix('/').map_or_else(|| path.into(), |path| base.join(path));
            let all = places(&path, &base.join(cwd), &config);
            all.into_iter().map(|(mirror, path)| (mirror.name.clone(), path.key().to_owned())).collect()
        };
        let one = |mirror: &str, path: &str| vec![(mirror.to_owned(), path.to_owned())];
        assert_eq!(found("logos/x.svg", "a"), one("a", "logos/x.svg"));
        assert_eq!(found("x.svg", "a/logos"), one("a", "logos/x.svg"));
        assert_eq!(found("/a/logos/x.svg", "b"), one("a", "logos/x.svg"));
        assert_eq!(found("/link/logos/x.svg", "b"), one("a", "logos/x.svg"));
        assert_eq!(found("only.png", ""), one("b", "only.png"));
        assert_eq!(found("x.png", "").len(), 2);
        assert!(found("/c/x.png", "").is_empty() && found("../x.png", "").is_empty());
    }
}
