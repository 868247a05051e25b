//! One glob of the configuration.
//!
//! Owns: the dialect: `*` and `?` stay inside a folder, `**` crosses folders, `{a,b}` is either; a pattern without a slash
//! is about the file's name, in whatever folder. Case counts.
//! Never does: walking.

use globset::{Glob, GlobBuilder, GlobMatcher};

use super::value::{FromInput, Input, Wrong};
use crate::model::RelPath;

/// A pattern over the keys of paths.
#[derive(Clone)]
pub struct Pattern {
    text: String,
    matcher: GlobMatcher,
}

impl Pattern {
    /// Compiles a pattern.
    ///
    /// # Errors
    /// When it is empty, begins with a slash, or is no glob; the text says why.
    pub fn parse(text: &str) -> Result<Self, String> {
        let glob = Self::glob(text)?;
        Ok(Self { text: text.to_owned(), matcher: glob.compile_matcher() })
    }

    /// The glob behind a pattern, for building sets of them; it is to be matched against whole keys.
    ///
    /// # Errors
    /// As [`Pattern::parse`].
    pub fn glob(text: &str) -> Result<Glob, String> {
        if text.trim().is_empty() {
            return Err("is empty".to_owned());
        }
        if text.starts_with('/') {
            return Err("begins with a slash, but paths are relative to the mirror's root".to_owned());
        }
        let anywhere = if text.contains('/') { text.to_owned() } else { format!("**/{text}") };
        GlobBuilder::new(&anywhere)
            .literal_separator(true)
            .build()
            .map_err(|error| format!("is no valid glob: {}", error.kind()))
    }

    /// Whether the pattern names `path`.
    #[must_use]
    pub fn matches(&self, path: &RelPath) -> bool {
        self.matcher.is_match(path.key())
    }

    /// The pattern as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl std::fmt::Debug for Pattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Pattern({:?})", self.text)
    }
}

impl FromInput for Pattern {
    fn from_input(input: Input<'_>) -> Result<Self, Vec<Wrong>> {
        let text = String::from_input(input)?;
        Self::parse(&text).map_err(|why| vec![Wrong::new(why, "for example \"**/*.{png,jpg}\" or \"logos/**\"")])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_keys() {
        for (pattern, path, expected) in [
            ("logos/**", "logos/a.svg", true),
            ("logos/**", "logos/x/a.svg", true),
            ("logos/**", "old/logos/a.svg", false),
            ("logos/*", "logos/x/a.svg", false),
            ("**/*.{png,jpg}", "a.png", true),
            ("**/*.{png,jpg}", "x/y/a.jpg", true),
            ("*.png", "x/y/a.png", true),
            ("*.png", "a.PNG", false),
            ("a.png", "x/a.png", true),
        ] {
            let path = RelPath::from_key(path).unwrap();
            assert_eq!(Pattern::parse(pattern).unwrap().matches(&path), expected, "{pattern} {path}");
        }
        for pattern in ["", " ", "/a", "[", "{a"] {
            assert!(Pattern::parse(pattern).is_err(), "{pattern}");
        }
    }
}
