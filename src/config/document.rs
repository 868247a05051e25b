//! A TOML file as sections that remember where each value stands.
//!
//! Owns: looking keys up in the file and the environment, and telling every unknown key and every wrong value, not only
//! the first: serde stops there, and `flatten` loses the positions, so the document is walked by hand. A section knows
//! which keys it was asked for; what is left in the file is unknown, so the list of keys is the code. Never does:
//! opening files; knowing what a key means.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::Range;

use toml::de::{DeTable, DeValue};

use super::environment::Environment;
use super::problem::{FilePlace, Place, Problem, Problems};
use super::value::{FromInput, Input, Wrong, nearest};

/// A TOML file's name and text.
#[derive(Debug, Clone)]
pub struct Document {
    name: String,
    text: String,
    /// Where each line begins, in bytes: places are asked for often, and must not cost a walk of the text each.
    lines: Vec<usize>,
}

/// A value and where it was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Found<T> {
    /// The value.
    pub value: T,
    /// Where it was given.
    pub place: Place,
}

impl Document {
    /// A document from text already read; `name` is how the user calls the file.
    #[must_use]
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Self {
        let text = text.into();
        let lines = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Self { name: name.into(), text, lines }
    }

    /// The name the user calls the file by.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The whole text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The number of the line that holds byte `at`, from 0, and the bytes it spans without its end.
    pub(super) fn line_at(&self, at: usize) -> (usize, Range<usize>) {
        let line = self.lines.partition_point(|start| *start <= at).saturating_sub(1);
        let start = self.lines.get(line).copied().unwrap_or_default();
        let end = self.lines.get(line + 1).map_or(self.text.len(), |next| next - 1);
        (line, start..end)
    }

    /// The document's tables, or nothing when it is no TOML; then every syntax error is in `found`.
    #[must_use]
    pub fn parse(&self, found: &Findings) -> Option<DeTable<'_>> {
        let (table, errors) = DeTable::parse_recoverable(&self.text);
        for error in errors.iter().take(MAX_PROBLEMS) {
            let place = FilePlace::new(self, &error.span().unwrap_or(0..0));
            // The parser's first line says what; its advice about alternatives follows and reads well as it is.
            let message = error.message().lines().collect::<Vec<_>>().join("; ");
            found.add(Place::File(place), format!("this is no valid TOML: {message}"), "");
        }
        errors.is_empty().then(|| table.into_inner())
    }
}

/// What was found while reading: problems, and where each value came from.
#[derive(Debug, Default)]
pub struct Findings {
    problems: RefCell<Problems>,
    origins: RefCell<BTreeMap<String, Place>>,
}

/// So many problems are told of one document; nobody reads more, and a hostile file could have a million.
const MAX_PROBLEMS: usize = 100;

impl Findings {
    /// Notes a problem, unless there are too many already.
    pub fn add(&self, place: Place, message: impl Into<String>, advice: impl Into<String>) {
        if self.is_full() {
            return;
        }
        self.problems.borrow_mut().0.push(Problem { place, message: message.into(), advice: advice.into() });
    }

    fn origin(&self, key: String, place: Place) {
        self.origins.borrow_mut().insert(key, place);
    }

    fn is_full(&self) -> bool {
        self.problems.borrow().0.len() >= MAX_PROBLEMS
    }

    /// Whether a problem was noted.
    #[must_use]
    pub fn any(&self) -> bool {
        !self.problems.borrow().0.is_empty()
    }

    /// Whether a problem was noted about this key.
    #[must_use]
    pub fn any_about(&self, key: &str) -> bool {
        let key = format!("`{key}` ");
        self.problems.borrow().0.iter().any(|problem| problem.message.starts_with(&key))
    }

    /// All problems, and where each given value came from by its full name, such as `api.base_url`.
    #[must_use]
    pub fn into_parts(self) -> (Problems, BTreeMap<String, Place>) {
        let mut problems = self.problems.into_inner();
        problems.sort();
        (problems, self.origins.into_inner())
    }
}

/// One table of a document, or only its shadow in the environment when the file has no such table.
pub struct Section<'a> {
    /// What messages call it, such as `[api]`.
    title: String,
    /// Prefix of the full names of its keys, such as `api.`.
    prefix: String,
    /// What goes before a key in messages; empty but for tables inside a table, such as `alt.`.
    label: String,
    document: Option<&'a Document>,
    table: Option<&'a DeTable<'a>>,
    span: Range<usize>,
    environment: Option<(&'a Environment, &'static str)>,
    asked: Vec<&'static str>,
    findings: &'a Findings,
}

impl<'a> Section<'a> {
    /// The top of a document.
    #[must_use]
    pub fn root(document: &'a Document, table: &'a DeTable<'a>, findings: &'a Findings) -> Self {
        Self {
            title: "the file".to_owned(),
            prefix: String::new(),
            label: String::new(),
            document: Some(document),
            table: Some(table),
            span: 0..0,
            environment: None,
            asked: Vec::new(),
            findings,
        }
    }

    /// A section with nothing in a file.
    #[must_use]
    pub fn absent(title: &str, prefix: &str, findings: &'a Findings) -> Self {
        Self {
            title: title.to_owned(),
            prefix: prefix.to_owned(),
            label: String::new(),
            document: None,
            table: None,
            span: 0..0,
            environment: None,
            asked: Vec::new(),
            findings,
        }
    }

    /// Lets environment variables `PREFIX` + key in capitals go before the file's values.
    #[must_use]
    pub fn with_environment(mut self, environment: &'a Environment, prefix: &'static str) -> Self {
        self.environment = Some((environment, prefix));
        self
    }

    /// What messages call the section.
    #[must_use]
    pub fn title(&self) -> &str {
        &self.title
    }

    /// Names the section anew, once its own name is known.
    pub fn rename(&mut self, prefix: String) {
        self.prefix = prefix;
    }

    /// Where the section begins.
    #[must_use]
    pub fn place(&self) -> Place {
        self.place_of(&self.span)
    }

    /// Where reading findings go.
    #[must_use]
    pub fn findings(&self) -> &'a Findings {
        self.findings
    }

    fn place_of(&self, span: &Range<usize>) -> Place {
        self.document.map_or(Place::Everywhere, |document| Place::File(FilePlace::new(document, span)))
    }

    fn entry(&self, key: &str) -> Option<(Range<usize>, Range<usize>, &'a DeValue<'a>)> {
        let table = self.table?;
        table
            .iter()
            .find(|(name, _)| name.get_ref().as_ref() == key)
            .map(|(name, value)| (name.span(), value.span(), value.get_ref()))
    }

    /// The value of `key`, checked by `check`; the environment goes before the file, and both are checked.
    pub fn check<T: FromInput, U>(
        &mut self,
        key: &'static str,
        check: impl Fn(T) -> Result<U, Wrong>,
    ) -> Option<Found<U>> {
        self.asked.push(key);
        let in_file = self.entry(key).and_then(|(_, span, value)| {
            let read = T::from_input(Input::Toml(value)).and_then(|value| check(value).map_err(|wrong| vec![wrong]));
            self.take(key, read, |wrong| self.place_of(wrong.unwrap_or(&span)))
        });
        let in_environment = self.environment.and_then(|(environment, prefix)| {
            let variable = format!("{prefix}{}", key.to_ascii_uppercase());
            let read = match environment.text(&variable)? {
                Ok(text) => {
                    T::from_input(Input::Text(text)).and_then(|value| check(value).map_err(|wrong| vec![wrong]))
                }
                Err(wrong) => Err(vec![wrong]),
            };
            self.take(key, read, |_| Place::Environment(variable.clone()))
        });
        let found = in_environment.or(in_file)?;
        self.findings.origin(format!("{}{key}", self.prefix), found.place.clone());
        Some(found)
    }

    fn take<U>(
        &self,
        key: &str,
        read: Result<U, Vec<Wrong>>,
        place: impl Fn(Option<&Range<usize>>) -> Place,
    ) -> Option<Found<U>> {
        match read {
            Ok(value) => Some(Found { value, place: place(None) }),
            Err(wrongs) => {
                for wrong in wrongs {
                    let message = format!("`{}{}` {}", self.label, super::value::shown(key), wrong.message);
                    self.findings.add(place(wrong.span.as_ref()), message, wrong.advice);
                }
                None
            }
        }
    }

    /// The value of `key`, if given and right.
    pub fn get<T: FromInput>(&mut self, key: &'static str) -> Option<Found<T>> {
        self.check(key, Ok)
    }

    /// The value of `key`, or `default`.
    pub fn or<T: FromInput>(&mut self, key: &'static str, default: T) -> T {
        self.get(key).map_or(default, |found| found.value)
    }

    /// Tells that `key` must be given but is not.
    pub fn missing(&self, key: &str, advice: &str) {
        if self.entry(key).is_none() {
            self.findings.add(self.place(), format!("{} has no `{key}`", self.title), advice);
        }
    }

    /// The table under `key`; when there is none, an absent section of that name.
    pub fn table(&mut self, key: &'static str, title: &str) -> Section<'a> {
        self.asked.push(key);
        let mut section = Section::absent(title, &format!("{}{key}.", self.prefix), self.findings);
        section.label = format!("{}{key}.", self.label);
        if let Some((_, span, value)) = self.entry(key) {
            match value {
                DeValue::Table(table) => {
                    section.document = self.document;
                    section.table = Some(table);
                    section.span = span;
                }
                other => self.not_a_table(key, title, &span, other),
            }
        }
        section
    }

    /// The tables under `key` (`[[key]]`).
    pub fn tables(&mut self, key: &'static str, title: &str) -> Vec<Section<'a>> {
        self.asked.push(key);
        let Some((_, span, value)) = self.entry(key) else { return Vec::new() };
        let DeValue::Array(values) = value else {
            self.not_a_table(key, title, &span, value);
            return Vec::new();
        };
        let mut sections = Vec::new();
        for value in values.iter() {
            match value.get_ref() {
                DeValue::Table(table) => {
                    let mut section = Section::absent(title, "", self.findings);
                    section.document = self.document;
                    section.table = Some(table);
                    section.span = value.span();
                    sections.push(section);
                }
                other => self.not_a_table(key, title, &value.span(), other),
            }
        }
        sections
    }

    fn not_a_table(&self, key: &str, title: &str, span: &Range<usize>, value: &DeValue<'_>) {
        // TOML writes one table in single brackets and a list of tables in double ones: a mix-up is told as that.
        let (wanted, is) = match (title.starts_with("[["), value) {
            (true, DeValue::Table(_)) => ("a list of tables", "a single table".to_owned()),
            (true, _) => ("a list of tables", super::value::kind(value).to_owned()),
            (false, DeValue::Array(values))
                if values.iter().all(|value| matches!(value.get_ref(), DeValue::Table(_))) =>
            {
                ("a single table", "a list of tables".to_owned())
            }
            (false, _) => ("a table", super::value::kind(value).to_owned()),
        };
        let message = format!("`{}{key}` must be {wanted}, but is {is}", self.label);
        self.findings.add(self.place_of(span), message, format!("write it as {title}"));
    }

    /// All keys of a table whose keys are free, with their values.
    pub fn free<T: FromInput>(&self) -> Vec<(String, Found<T>)> {
        let mut all = Vec::new();
        for (name, value) in self.table.into_iter().flat_map(|table| table.iter()) {
            let key = name.get_ref().to_string();
            let read = T::from_input(Input::Toml(value.get_ref()));
            let span = value.span();
            if let Some(found) = self.take(&key, read, |wrong| self.place_of(wrong.unwrap_or(&span))) {
                self.findings.origin(format!("{}{key}", self.prefix), found.place.clone());
                all.push((key, found));
            }
        }
        all
    }

    /// All tables of a table whose keys are free.
    pub fn free_tables(&self) -> Vec<(String, Section<'a>)> {
        let mut all = Vec::new();
        for (name, value) in self.table.into_iter().flat_map(|table| table.iter()) {
            let key = name.get_ref().to_string();
            match value.get_ref() {
                DeValue::Table(table) => {
                    let mut section = Section::absent(&self.title, &format!("{}{key}.", self.prefix), self.findings);
                    section.label = format!("{}{key}.", self.label);
                    section.document = self.document;
                    section.table = Some(table);
                    section.span = name.span();
                    all.push((key, section));
                }
                other => self.not_a_table(&key, "one table for each locale", &value.span(), other),
            }
        }
        all
    }

    /// Tells every key that nobody asked for.
    pub fn finish(self) {
        for (name, _) in self.table.into_iter().flat_map(|table| table.iter()) {
            let key = name.get_ref().as_ref();
            if self.findings.is_full() {
                return;
            }
            if self.asked.contains(&key) {
                continue;
            }
            let advice = nearest(key, self.asked.iter().copied()).map_or_else(
                || format!("known keys are {}", self.asked.join(", ")),
                |known| format!("did you mean `{known}`?"),
            );
            let message = format!("unknown key `{}` in {}", super::value::shown(key), self.title);
            self.findings.add(self.place_of(&name.span()), message, advice);
        }
    }
}
