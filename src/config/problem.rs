//! What is wrong with a configuration, told all at once.
//!
//! Owns: one problem with its place, its cause in plain words and what to do, and how a list of them prints. Never
//! does: reading files; deciding what is a problem. A value that may be a secret is masked here, before it is kept, so
//! that no later print can show it.

use std::fmt;
use std::ops::Range;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

use super::document::Document;

/// Where a value came from, or where a problem is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A place in a TOML file.
    File(FilePlace),
    /// The environment variable of this name.
    Environment(String),
    /// The command line option of this name, such as `--root`.
    Flag(&'static str),
    /// The whole configuration.
    Everywhere,
}

/// A place in a TOML file, with the line it is on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilePlace {
    /// The file as the user named it.
    pub name: String,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// The line's text, masked where it may hold a secret.
    text: String,
    /// Bytes of `text` to underline.
    underline: Range<usize>,
}

impl FilePlace {
    /// The place of the bytes `span` of `document`.
    #[must_use]
    pub fn new(document: &Document, span: &Range<usize>) -> Self {
        let source = document.text();
        let start = floor_boundary(source, span.start.min(source.len()));
        let (number, bytes) = document.line_at(start);
        let line = &source[bytes.clone()];
        let before = &line[..start.saturating_sub(bytes.start).min(line.len())];
        // A line this long is no one's hand; its characters are not worth counting.
        let column = if before.len() > LONG { before.len() } else { before.chars().count() };
        let line = line.trim_end_matches('\r');
        let (text, cut) = if line.len() > LONG {
            // The window is too narrow to tell whose value it shows, so it shows none.
            ("(a very long line)".to_owned(), usize::MAX)
        } else {
            (masked(line), before.len())
        };
        let from = floor_boundary(&text, if cut == usize::MAX { 0 } else { cut.min(text.len()) });
        let to = floor_boundary(&text, span.end.saturating_sub(bytes.start).clamp(from, text.len()));
        Self { name: document.name().to_owned(), line: number + 1, column: column + 1, text, underline: from..to }
    }
}

/// Bytes of a line too long to be shown.
const LONG: usize = 2000;

fn floor_boundary(text: &str, mut at: usize) -> usize {
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

/// Hides what may be a secret in a line: the value of a key that speaks of one, and the user part of a URL.
fn masked(line: &str) -> String {
    let Some((key, value)) = line.split_once('=') else {
        return if looks_secret(line) { "…".to_owned() } else { line.to_owned() };
    };
    let name = key.to_ascii_lowercase();
    let speaks = ["token", "secret", "password", "api_key", "apikey"].iter().any(|word| name.contains(word));
    let is_path = name.trim() == "token_file" && !looks_secret(value);
    let has_user = value.contains("://") && value.contains('@');
    if (speaks && !is_path) || has_user || looks_secret(value) {
        let gap = value.len() - value.trim_start().len();
        format!("{key}={}…", &value[..gap])
    } else {
        line.to_owned()
    }
}

/// Whether a word of `text` looks like an API token: long, letters and digits only, with both.
#[must_use]
pub fn looks_secret(text: &str) -> bool {
    text.split(|c: char| !c.is_ascii_alphanumeric()).any(|word| {
        word.len() >= 24
            && word.bytes().any(|byte| byte.is_ascii_digit())
            && word.bytes().any(|byte| byte.is_ascii_alphabetic())
    })
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(place) => write!(f, "{}:{}:{}", place.name, place.line, place.column),
            Self::Environment(variable) => write!(f, "${variable}"),
            Self::Flag(flag) => f.write_str(flag),
            Self::Everywhere => f.write_str("configuration"),
        }
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where.
    pub place: Place,
    /// What, in plain words.
    pub message: String,
    /// What to do about it; may be empty.
    pub advice: String,
}

impl Problem {
    /// The problem as several lines of text, with the source line underlined; `color` adds terminal colours.
    #[must_use]
    pub fn render(&self, color: bool) -> String {
        let renderer = if color { Renderer::styled() } else { Renderer::plain() };
        renderer.render(&[self.group()])
    }

    fn group(&self) -> Group<'_> {
        let title = match &self.place {
            Place::File(place) => format!("line {}, column {}: {}", place.line, place.column, self.message),
            Place::Environment(_) | Place::Flag(_) => format!("{}: {}", self.place, self.message),
            Place::Everywhere => self.message.clone(),
        };
        let title = Level::ERROR.primary_title(title);
        let mut group = match &self.place {
            Place::File(place) => title.element(
                Snippet::source(place.text.as_str())
                    .line_start(place.line)
                    .path(place.name.as_str())
                    .annotation(AnnotationKind::Primary.span(place.underline.clone())),
            ),
            _ => Group::with_title(title),
        };
        if !self.advice.is_empty() {
            group = group.element(Level::HELP.message(self.advice.as_str()));
        }
        group
    }
}

impl fmt::Display for Problem {
    /// One line: place, message, advice.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.message)?;
        if !self.advice.is_empty() {
            write!(f, " ({})", self.advice)?;
        }
        Ok(())
    }
}

/// All that is wrong, in the order it was found. Never empty when returned as an error.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

impl Problems {
    /// The list with a single problem.
    #[must_use]
    pub fn one(place: Place, message: impl Into<String>, advice: impl Into<String>) -> Self {
        Self(vec![Problem { place, message: message.into(), advice: advice.into() }])
    }

    /// All problems as text, in the order of the files' lines; `color` adds terminal colours.
    #[must_use]
    pub fn render(&self, color: bool) -> String {
        let mut text = self.0.iter().map(|problem| problem.render(color)).collect::<Vec<_>>().join("\n\n");
        if self.0.len() > 1 {
            text.push_str(&format!("\n\n{} problems", self.0.len()));
        }
        text
    }

    /// All problems on one line, each as its place, its message and its advice: for logs and lists, where a line break would
    /// be spelt out.
    #[must_use]
    pub fn on_one_line(&self) -> String {
        self.0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
    }

    /// Puts the problems of a file in the order of its lines, after those that have no line.
    pub(super) fn sort(&mut self) {
        self.0.sort_by(|a, b| {
            let key = |problem: &Problem| match &problem.place {
                Place::File(place) => (1, place.name.clone(), place.line, place.column),
                _ => (0, String::new(), 0, 0),
            };
            key(a).cmp(&key(b))
        });
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for Problems {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_counts_lines_and_characters_from_one() {
        let document = Document::new("a.toml", "x = 1\n\tü = \"é\"\n");
        let at = document.text().find('"').unwrap();
        let place = FilePlace::new(&document, &(at..at + 4));
        assert_eq!((place.line, place.column), (2, 6));
        assert_eq!(Place::File(place).to_string(), "a.toml:2:6");
    }

    #[test]
    fn a_place_outside_the_text_is_clamped() {
        let document = Document::new("a.toml", "é");
        for span in [0..99, 1..1, 9..9, 2..2] {
            let problem = Problem {
                place: Place::File(FilePlace::new(&document, &span)),
                message: "m".into(),
                advice: "a".into(),
            };
            assert!(problem.render(false).contains("a.toml:1:"), "{span:?}");
        }
    }

    #[test]
    fn a_line_that_may_hold_a_secret_is_masked() {
        for line in [
            "token = \"short\"",
            "api_token='x'",
            "Password = 'x'",
            "base_url = \"https://me:short@example.com\"",
            "token_file = \"0123456789abcdef0123456789abcd\"",
            "environment = \"0123456789abcdef0123456789abcd\"",
            "0123456789abcdef0123456789abcd",
        ] {
            let text = masked(line);
            assert!(text.ends_with('…') && !text.contains("short") && !text.contains("0123"), "{text}");
        }
        for line in ["token_file = \"/run/secrets/datocms\"", "root = \"/srv/brand\"", "[api]"] {
            assert_eq!(masked(line), line);
        }
    }
}
