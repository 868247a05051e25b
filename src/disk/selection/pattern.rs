//! Patterns over a mirror's paths.
//!
//! Owns: the meaning of `include`, `exclude` and `match`. A pattern with a slash at its start or inside is about the
//! root; one without matches at any depth. `*` stays within a name, `**` crosses folders, `{a,b}` and `[a-z]` work. A
//! pattern that matches a folder matches all that is in it. Upper and lower case are the same (`*.png` takes
//! `LOGO.PNG`), and so are the two Unicode spellings of an accent. `?` and `[…]` stand for one byte, so an accent is
//! written out, or as `{é,ü}`.
//! Never does: I/O.

use std::fmt;

use globset::{Candidate, GlobBuilder, GlobSet, GlobSetBuilder};
use unicode_normalization::UnicodeNormalization as _;

use crate::model::RelPath;

/// Some patterns that could not be understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SelectionError {
    /// Pattern and cause, in the order given.
    pub bad: Vec<(String, String)>,
}

impl fmt::Display for SelectionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, (pattern, cause)) in self.bad.iter().enumerate() {
            let separator = if number == 0 { "" } else { "; " };
            write!(f, "{separator}the pattern {pattern:?} cannot be used: {cause}")?;
        }
        Ok(())
    }
}

impl std::error::Error for SelectionError {}

/// A list of patterns; a path matches when any of them does.
#[derive(Debug, Clone)]
pub struct PatternSet {
    written: Vec<String>,
    files: GlobSet,
    /// Index of the pattern each glob of `files` came from.
    file_owner: Vec<usize>,
    folders: GlobSet,
    folder_owner: Vec<usize>,
    /// The literal folders each pattern starts with, lower case; a pattern for any depth has none.
    starts: Vec<Vec<String>>,
}

/// A pattern brought into the form globset takes.
struct Parsed {
    glob: String,
    /// Ends in a slash: it means a folder, not a file of that name.
    folder_only: bool,
}

impl PatternSet {
    /// Compiles patterns.
    ///
    /// # Errors
    /// Names every pattern that cannot be understood.
    pub fn new(patterns: &[String]) -> Result<Self, SelectionError> {
        let (mut files, mut folders) = (GlobSetBuilder::new(), GlobSetBuilder::new());
        let (mut file_owner, mut folder_owner, mut starts) = (Vec::new(), Vec::new(), Vec::new());
        let mut bad = Vec::new();
        for (number, written) in patterns.iter().enumerate() {
            match globs_of(written) {
                Ok((parsed, globs)) => {
                    let [itself, below, base] = globs;
                    for glob in (!parsed.folder_only).then(|| itself.clone()).into_iter().chain([below.clone()]) {
                        files.add(glob);
                        file_owner.push(number);
                    }
                    for glob in [itself, below, base] {
                        folders.add(glob);
                        folder_owner.push(number);
                    }
                    starts.push(literal_start(&parsed.glob));
                }
                Err(cause) => bad.push((written.clone(), cause)),
            }
        }
        if !bad.is_empty() {
            return Err(SelectionError { bad });
        }
        let whole =
            |error: globset::Error| SelectionError { bad: vec![(patterns.join(", "), error.kind().to_string())] };
        Ok(Self {
            written: patterns.to_vec(),
            files: files.build().map_err(whole)?,
            file_owner,
            folders: folders.build().map_err(whole)?,
            folder_owner,
            starts,
        })
    }

    /// Whether a file matches.
    #[must_use]
    pub fn matches(&self, path: &RelPath) -> bool {
        !self.files.is_empty() && self.files.is_match(folded(path.key()))
    }

    /// The first pattern, as written, that matches a file with this key.
    pub(super) fn first_match(&self, key: &str) -> Option<&str> {
        first(&self.files, &self.file_owner, &self.written, key)
    }

    /// The first pattern, as written, that takes the whole folder.
    pub(super) fn first_match_of_folder(&self, key: &str) -> Option<&str> {
        first(&self.folders, &self.folder_owner, &self.written, key)
    }

    /// False when no file below this folder can match.
    pub(super) fn may_match_below(&self, folder: &str) -> bool {
        let folder = folded(folder);
        self.starts.iter().any(|start| start.iter().zip(folder.split('/')).all(|(literal, name)| literal == name))
    }
}

fn first<'a>(set: &GlobSet, owner: &[usize], written: &'a [String], key: &str) -> Option<&'a str> {
    // The plain test comes first: it is the common case and needs no list.
    let key = if set.is_empty() { return None } else { folded(key) };
    let candidate = Candidate::new(&key);
    if !set.is_match_candidate(&candidate) {
        return None;
    }
    let number = set.matches_candidate(&candidate).into_iter().filter_map(|glob| owner.get(glob)).min()?;
    written.get(*number).map(String::as_str)
}

/// One case for all. Folding both sides keeps globset's fast tables, which its own case-insensitive mode turns off.
fn folded(text: &str) -> String {
    if text.is_ascii() { text.to_ascii_lowercase() } else { text.to_lowercase() }
}

/// The globs of one pattern: itself, what is below it, and the folder that a trailing `/**` empties.
fn globs_of(written: &str) -> Result<(Parsed, [globset::Glob; 3]), String> {
    let parsed = parse(written)?;
    let build = |glob: &str| {
        GlobBuilder::new(glob).literal_separator(true).backslash_escape(true).build().map_err(|e| e.kind().to_string())
    };
    let itself = build(&parsed.glob)?;
    let below = build(&format!("{}/**", parsed.glob))?;
    let base = build(parsed.glob.strip_suffix("/**").filter(|base| !base.is_empty()).unwrap_or(&parsed.glob))?;
    Ok((parsed, [itself, below, base]))
}

fn parse(written: &str) -> Result<Parsed, String> {
    if let Some(rest) = written.strip_prefix('!') {
        return Err(format!(
            "a leading `!` has no meaning here; put {rest:?} into the other list, or write `\\!` for the sign"
        ));
    }
    let text = folded(&written.nfc().collect::<String>());
    let text = text.strip_prefix("./").unwrap_or(&text);
    let body = text.trim_end_matches('/');
    if body.is_empty() {
        return Err("it is empty".to_owned());
    }
    if body.split('/').any(|name| name == "..") {
        return Err("a pattern cannot leave the root with `..`".to_owned());
    }
    if has_wide_class(body) {
        return Err("`[…]` takes plain ASCII characters only; write a list as `{é,ü}`".to_owned());
    }
    let glob = match body.strip_prefix('/') {
        Some(anchored) => anchored.to_owned(),
        None if body.contains('/') => body.to_owned(),
        None if body == "**" => body.to_owned(),
        None => format!("**/{body}"),
    };
    Ok(Parsed { glob, folder_only: text.ends_with('/') })
}

/// Whether a bracket holds a character of several bytes, which it would match byte by byte: never.
fn has_wide_class(glob: &str) -> bool {
    let (mut open, mut escaped) = (false, false);
    glob.chars().any(|character| {
        let plain = !escaped;
        escaped = plain && character == '\\';
        match character {
            '[' if plain => open = true,
            ']' if plain => open = false,
            _ => {}
        }
        open && !character.is_ascii()
    })
}

/// The folders a glob names without any wildcard before the first one: what else cannot match is not walked.
fn literal_start(glob: &str) -> Vec<String> {
    let mut names: Vec<_> = glob.split('/').collect();
    let literal = names.iter().take_while(|name| !name.contains(['*', '?', '[', '{', '\\', ']', '}'])).count();
    names.truncate(literal);
    names.into_iter().map(str::to_owned).collect()
}
