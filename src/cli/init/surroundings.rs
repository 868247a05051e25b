//! What `init` was started with.
//!
//! Owns: environment, working directory and home as values, and what they mean for a path or a token. Never does: writing
//! anything.

use std::path::{Path, PathBuf};

use crate::cli::place::{seen_from, working_directory};
use crate::config::Environment;
use crate::config::api::{TOKEN_CREDENTIAL, TOKEN_VARIABLE};

/// What this process was started with.
pub(super) struct Surroundings {
    pub(super) environment: Environment,
    pub(super) cwd: Option<PathBuf>,
    pub(super) home: Option<PathBuf>,
}

impl Surroundings {
    /// Those of this process.
    pub(super) fn of_process() -> Self {
        Self { environment: Environment::of_process(), cwd: working_directory(), home: std::env::home_dir() }
    }

    /// The text of a variable that is set.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.environment.text(name)?.ok()
    }

    /// The whole path of one that a person typed or gave by flag.
    pub(super) fn absolute(&self, path: &Path) -> Result<PathBuf, String> {
        if let Ok(rest) = path.strip_prefix("~") {
            let home = self.home.as_ref().filter(|home| home.is_absolute());
            return home.map(|home| home.join(rest)).ok_or_else(|| "no home is known: write the whole path".to_owned());
        }
        let path = seen_from(self.cwd.as_deref(), path)?;
        Ok(path.components().collect())
    }

    /// Whether a run finds a token without a file that names one.
    pub(super) fn has_token(&self) -> bool {
        let credential = self.environment.path("CREDENTIALS_DIRECTORY").map(|folder| folder.join(TOKEN_CREDENTIAL));
        self.text(TOKEN_VARIABLE).is_some() || credential.is_some_and(|path| path.exists())
    }

    /// Where a typed token is kept unless another file is named: never in the working directory, which may be a
    /// repository.
    pub(super) fn token_file(&self) -> Option<PathBuf> {
        let xdg = self.environment.path("XDG_CONFIG_HOME").filter(|path| path.is_absolute());
        let folder = xdg.or_else(|| self.home.as_ref().map(|home| home.join(".config")));
        folder.filter(|folder| folder.is_absolute()).map(|folder| folder.join("dato-mirror/token"))
    }
}
