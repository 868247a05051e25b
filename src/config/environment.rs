//! The process environment as a value.
//!
//! Owns: a copy of the variables. Never does: reading the process itself, except in [`Environment::of_process`], which
//! only `main` calls; so every rule about variables can be tested. Its `Debug` shows names only: values may be secrets.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;

use super::value::Wrong;

/// Environment variables, by name. An empty variable counts as not set.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Environment(BTreeMap<OsString, OsString>);

impl Environment {
    /// The variables of this process.
    #[must_use]
    pub fn of_process() -> Self {
        std::env::vars_os().collect()
    }

    /// The text of a variable; an error when it is set to bytes that are no text.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<Result<&str, Wrong>> {
        let value = self.set(name)?;
        Some(value.to_str().ok_or_else(|| Wrong::new("is not valid UTF-8", "write it as plain text")))
    }

    /// A variable that names a file or folder, whatever its bytes.
    #[must_use]
    pub fn path(&self, name: &str) -> Option<PathBuf> {
        self.set(name).map(PathBuf::from)
    }

    /// Whether the variable is set, even to nothing.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.0.contains_key(std::ffi::OsStr::new(name))
    }

    /// The names of the set variables that begin with `prefix`.
    pub fn names<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(|(_, value)| !value.is_empty()).filter_map(move |(name, _)| {
            let name = name.to_str()?;
            name.starts_with(prefix).then_some(name)
        })
    }

    fn set(&self, name: &str) -> Option<&OsString> {
        self.0.get(std::ffi::OsStr::new(name)).filter(|value| !value.is_empty())
    }
}

impl<K: Into<OsString>, V: Into<OsString>> FromIterator<(K, V)> for Environment {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(variables: I) -> Self {
        Self(variables.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}
