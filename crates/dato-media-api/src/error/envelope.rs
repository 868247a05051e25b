//! All errors of one answer.
//!
//! Owns: reading the service's error envelope, and which of several errors speaks for all. Pure. Never does: verdicts
//! (that is `error`).

use serde_json::Value;

use super::codes::row_of;
use super::{ApiErrorKind, Scope, shorten};

/// Errors of one answer that are shown to people.
const SHOWN: usize = 4;
/// Characters of a code; the service's are shorter.
const LONGEST_CODE: usize = 80;

/// One error of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ErrorEntry {
    pub(super) code: String,
    /// `details.field`.
    pub(super) field: Option<String>,
    /// `details.limit`: of the plan.
    pub(super) limit: Option<String>,
    /// `details.action`: what the token may not do.
    pub(super) action: Option<String>,
    /// `details.code`.
    pub(super) reason: Option<String>,
    pub(super) transient: bool,
    /// For people.
    details: Option<String>,
}

impl ErrorEntry {
    /// Everything in it that the service wrote.
    pub(super) fn texts(&mut self) -> impl Iterator<Item = &mut String> {
        let rest = [&mut self.field, &mut self.limit, &mut self.action, &mut self.reason, &mut self.details];
        std::iter::once(&mut self.code).chain(rest.into_iter().flatten())
    }
}

/// The errors of a document; none when it is not the service's envelope.
pub(super) fn read(document: &Value) -> Vec<ErrorEntry> {
    let one = |error: &Value| {
        let attributes = error.get("attributes")?;
        let code = attributes.get("code")?.as_str()?;
        let details = attributes.get("details").filter(|details| !is_empty(details));
        let text = |key: &str| details?.get(key)?.as_str().map(str::to_owned);
        Some(ErrorEntry {
            code: code.chars().filter(|c| !c.is_control()).take(LONGEST_CODE).collect(),
            field: text("field"),
            limit: text("limit"),
            action: text("action").filter(|action| is_name(action)),
            reason: text("code"),
            transient: attributes.get("transient").and_then(Value::as_bool).unwrap_or(false),
            details: details.map(|details| shorten(&plain(details))),
        })
    };
    match document.get("data") {
        Some(Value::Array(errors)) => errors.iter().filter_map(one).collect(),
        Some(error) => one(error).into_iter().collect(),
        None => Vec::new(),
    }
}

/// The one that speaks for all: what stops everything for good, then a limit of the plan, then what does not pass by
/// itself, then what stops everything for a while, then the first. Nobody waits for what will be refused all the same.
pub(super) fn main(entries: &[ErrorEntry]) -> Option<&ErrorEntry> {
    entries.iter().min_by_key(|entry| {
        let row = row_of(&entry.code);
        let stops_all = row.is_some_and(|row| row.scope == Scope::All);
        let passes = entry.transient || row.is_some_and(|row| row.later);
        let is_plan = row.is_some_and(|row| row.kind == ApiErrorKind::Plan);
        match (stops_all, passes) {
            (true, false) => 0,
            _ if is_plan => 1,
            (false, false) => 2,
            (true, true) => 3,
            (false, true) => 4,
        }
    })
}

/// What the errors say, each once.
pub(super) fn details(entries: &[ErrorEntry]) -> Option<String> {
    let mut texts: Vec<&str> = Vec::new();
    for text in entries.iter().filter_map(|entry| entry.details.as_deref()) {
        if !texts.contains(&text) && texts.len() <= SHOWN {
            texts.push(text);
        }
    }
    let more = if texts.len() > SHOWN { "; and more" } else { "" };
    texts.truncate(SHOWN);
    (!texts.is_empty()).then(|| format!("{}{more}", texts.join("; ")))
}

/// Their codes, each once.
pub(super) fn codes(entries: &[ErrorEntry]) -> Option<String> {
    let mut codes: Vec<&str> = Vec::new();
    for entry in entries {
        if !codes.contains(&entry.code.as_str()) && codes.len() < SHOWN {
            codes.push(&entry.code);
        }
    }
    (!codes.is_empty()).then(|| codes.join(", "))
}

/// Whether it looks like an action of a role, such as `replace_asset`.
fn is_name(text: &str) -> bool {
    (1..=LONGEST_CODE).contains(&text.len()) && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(map) => map.is_empty(),
        Value::String(text) => text.is_empty(),
        _ => false,
    }
}

/// `{"field":"id","code":"X"}` as `field id, code X`.
fn plain(details: &Value) -> String {
    let one = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    match details {
        Value::Object(map) => map.iter().map(|(key, v)| format!("{key} {}", one(v))).collect::<Vec<_>>().join(", "),
        other => one(other),
    }
}
