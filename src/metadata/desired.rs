//! The metadata a file's asset should have.
//!
//! Owns: the one order of precedence. Lowest first: the metadata in the file; the mirror's keys; its rules, in order;
//! `_folder.meta.toml` from the root in; `NAME.EXT.meta.toml`. Tags add up over all layers. Of a text the last layer
//! counts that gives one; `""` says "none". A text whose placeholder has no value gives nothing, so the layer below
//! counts. Never does: I/O, calling the service, knowing what the asset has now (that is `metadata::merge`).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use embedded_metadata::Embedded;
use serde::Serialize;
use serde_json::{Value, json};

use super::merge::canonical;
use super::sidecar::{FOLDER_NAME, Sidecar};
use crate::config::layer::{CustomValue, Layer};
use crate::config::policy::Collections;
use crate::config::template::{Placeholder, Template, Values};
use crate::config::value::nearest;
use crate::config::{Mirror, Rule};
use crate::model::{FieldKey, Fields, RelPath};

/// All that decides about a file's metadata.
#[derive(Debug, Clone, Copy)]
pub struct Sources<'a> {
    /// Its mirror.
    pub mirror: &'a Mirror,
    /// The file.
    pub path: &'a RelPath,
    /// What the file says about itself.
    pub embedded: &'a Embedded,
    /// Its sidecar files by their keys, in the order of [`super::sidecar::names_for`].
    pub sidecars: &'a [(String, Arc<Sidecar>)],
    /// The project's locales, the main one first.
    pub locales: &'a [String],
    /// What `{year}` is: of the asset's creation, not of today, else every asset changes on New Year's Day.
    pub year: i16,
}

/// The metadata an asset should have.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Desired {
    /// Tags.
    pub tags: BTreeSet<String>,
    /// All other fields but the collection, whose id only the service knows. Numbers are canonical (see
    /// [`canonical`]).
    pub fields: Fields,
    /// The labels of its collection, from the outermost in, joined by `/`; `None` leaves it where it is, or at the top
    /// when the mirror put it into one.
    pub collection: Option<String>,
    /// Where each value came from: a field's name such as `alt.en`, or `tags.` and the tag.
    pub origins: BTreeMap<String, Origin>,
    /// What could not be used, for people.
    pub problems: Vec<String>,
    /// A metadata file about the path cannot be read now: what an asset has stays until it can. A new one is made
    /// without it.
    pub frozen: bool,
}

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// The file itself.
    File,
    /// The mirror's keys.
    Mirror,
    /// The rule with this pattern.
    Rule(String),
    /// The sidecar file at this path.
    Sidecar(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File => f.write_str("the file itself"),
            Self::Mirror => f.write_str("[[mirror]]"),
            Self::Rule(pattern) => write!(f, "rule {pattern}"),
            Self::Sidecar(path) => f.write_str(path),
        }
    }
}

/// Merges all layers.
#[must_use]
pub fn desired(sources: &Sources<'_>) -> Desired {
    let nothing = Embedded::default();
    let embedded = if sources.mirror.embedded_metadata { sources.embedded } else { &nothing };
    let mut merging = Merging { sources: Sources { embedded, ..*sources }, desired: Desired::default() };
    merging.embedded();
    merging.layer(&sources.mirror.layer, &Origin::Mirror);
    for rule in sources.mirror.rules.iter().filter(|rule| rule.pattern.matches(sources.path)) {
        merging.layer(&rule.layer, &Origin::Rule(rule.pattern.as_str().to_owned()));
    }
    for (name, sidecar) in sources.sidecars {
        merging.sidecar(name, sidecar);
    }
    merging.desired.collection = collection_of(sources.mirror, sources.path);
    merging.desired
}

/// The labels of a file's collection, from the outermost in, joined by `/`.
#[must_use]
pub fn collection_of(mirror: &Mirror, path: &RelPath) -> Option<String> {
    let of_rule = |rule: &'_ Rule| rule.pattern.matches(path).then(|| rule.collections.clone()).flatten();
    let collections = mirror.rules.iter().rev().find_map(of_rule).unwrap_or_else(|| mirror.collections.clone());
    match collections {
        Collections::None => None,
        Collections::Mirror => Some(path.folder().to_owned()).filter(|folder| !folder.is_empty()),
        Collections::Into(path) => Some(path),
    }
}

/// Where it is said in which collection a file lies: the last rule that speaks of it, else the mirror's keys.
#[must_use]
pub fn collection_origin(mirror: &Mirror, path: &RelPath) -> Origin {
    let speaks = |rule: &&Rule| rule.collections.is_some() && rule.pattern.matches(path);
    let rule = mirror.rules.iter().rev().find(speaks);
    rule.map_or(Origin::Mirror, |rule| Origin::Rule(rule.pattern.as_str().to_owned()))
}

/// The metadata of an asset that several paths share: tags united; of each field, and of the collection, the first path
/// that has one counts.
#[must_use]
pub fn unite(all: impl IntoIterator<Item = Desired>) -> Desired {
    let mut united = Desired::default();
    for desired in all {
        united.tags.extend(desired.tags);
        for (key, value) in desired.fields {
            // The id of a later path's collection is not that of an earlier path's whose id is not known.
            if key != FieldKey::Collection || united.collection.is_none() {
                united.fields.entry(key).or_insert(value);
            }
        }
        for (name, origin) in desired.origins {
            united.origins.entry(name).or_insert(origin);
        }
        united.collection = united.collection.or(desired.collection);
        united.frozen |= desired.frozen;
        for problem in desired.problems {
            if !united.problems.contains(&problem) {
                united.problems.push(problem);
            }
        }
    }
    united
}

struct Merging<'a> {
    sources: Sources<'a>,
    desired: Desired,
}

impl Merging<'_> {
    fn embedded(&mut self) {
        let Sources { embedded, locales, .. } = self.sources;
        for keyword in &embedded.keywords {
            self.tag(keyword, &Origin::File);
        }
        self.put_text(FieldKey::Author, embedded.creator.as_deref(), &Origin::File);
        let main = locales.first().map_or("", String::as_str);
        self.put_text(FieldKey::Copyright, text_for_all(&embedded.rights, main), &Origin::File);
        for locale in locales {
            let text = |map| in_locale(map, locale).or_else(|| (locale == main).then(|| for_everyone(map)).flatten());
            self.put_text(FieldKey::Alt(locale.clone()), text(&embedded.alt), &Origin::File);
            self.put_text(FieldKey::Title(locale.clone()), text(&embedded.title), &Origin::File);
        }
    }

    fn layer(&mut self, layer: &Layer, origin: &Origin) {
        for template in &layer.tags {
            for tag in template.tags(&self.values(None)) {
                self.tag(&tag, origin);
            }
        }
        for (key, template) in [
            (FieldKey::Author, &layer.author),
            (FieldKey::Copyright, &layer.copyright),
            (FieldKey::Notes, &layer.notes),
        ] {
            if let Some(template) = template {
                self.template(key, template, None, origin);
            }
        }
        for (locale, template) in &layer.alt {
            if self.known(locale, "alt", origin) {
                self.template(FieldKey::Alt(locale.clone()), template, Some(locale), origin);
            }
        }
        for (locale, template) in &layer.title {
            if self.known(locale, "title", origin) {
                self.template(FieldKey::Title(locale.clone()), template, Some(locale), origin);
            }
        }
        for (locale, values) in &layer.custom_data {
            if !self.known(locale, "custom_data", origin) {
                continue;
            }
            for (key, value) in values {
                let field = FieldKey::CustomData(locale.clone(), key.clone());
                match value {
                    CustomValue::Text(template) => self.template(field, template, Some(locale), origin),
                    CustomValue::Json(value) => self.put(field, value, origin),
                }
            }
        }
    }

    fn sidecar(&mut self, name: &str, sidecar: &Sidecar) {
        let origin = Origin::Sidecar(name.to_owned());
        self.layer(&sidecar.layer, &origin);
        let kind = mime_guess::from_path(self.sources.path.file_name()).first_or_octet_stream();
        let of_folder = name == FOLDER_NAME || name.ends_with(&format!("/{FOLDER_NAME}"));
        let mut only = |key: FieldKey, value: Option<Value>, wanted: &str| {
            let Some(value) = value else { return };
            if kind.type_() == wanted {
                self.put(key, &value, &origin);
            } else if !of_folder {
                // For a whole folder it is meant for the files it fits.
                self.desired.problems.push(format!("{key} in {origin} is left out: this file is no {wanted}"));
            }
        };
        only(FieldKey::FocalPoint, sidecar.focal_point.map(|(x, y)| json!({"x": x, "y": y})), "image");
        only(FieldKey::PosterTime, sidecar.poster_time.map(Value::from), "video");
        if let Some(creator) = &sidecar.creator {
            self.put(FieldKey::Creator, creator, &origin);
        }
    }

    /// Whether the project has `locale`; else it is a problem, told here rather than by a refusal of the whole asset.
    fn known(&mut self, locale: &str, field: &str, origin: &Origin) -> bool {
        let locales = self.sources.locales;
        if locales.iter().any(|known| known == locale) {
            return true;
        }
        let near = nearest(locale, locales.iter().map(String::as_str));
        let near = near.map_or_else(String::new, |near| format!("; did you mean {near}?"));
        let list = locales.join(", ");
        let problem = format!("{field}.{locale} in {origin} is left out: the project's locales are {list}{near}");
        if !self.desired.problems.contains(&problem) {
            self.desired.problems.push(problem);
        }
        false
    }

    fn values<'b>(&'b self, locale: Option<&'b str>) -> FileValues<'b> {
        FileValues { sources: &self.sources, locale }
    }

    fn template(&mut self, key: FieldKey, template: &Template, locale: Option<&str>, origin: &Origin) {
        if template.is_none() {
            self.desired.origins.remove(&key.to_string());
            self.desired.fields.remove(&key);
        } else {
            let text = template.text(&self.values(locale));
            self.put_text(key, text.as_deref(), origin);
        }
    }

    fn put_text(&mut self, key: FieldKey, text: Option<&str>, origin: &Origin) {
        if let Some(text) = text.map(str::trim).filter(|text| !text.is_empty()) {
            self.put(key, &Value::from(text), origin);
        }
    }

    fn put(&mut self, key: FieldKey, value: &Value, origin: &Origin) {
        self.desired.origins.insert(key.to_string(), origin.clone());
        self.desired.fields.insert(key, canonical(value));
    }

    fn tag(&mut self, tag: &str, origin: &Origin) {
        let tag = tag.split_whitespace().collect::<Vec<_>>().join(" ");
        if !tag.is_empty() && !self.desired.tags.contains(&tag) {
            self.desired.origins.insert(format!("tags.{tag}"), origin.clone());
            self.desired.tags.insert(tag);
        }
    }
}

struct FileValues<'a> {
    sources: &'a Sources<'a>,
    /// The locale of the field; none for a field without.
    locale: Option<&'a str>,
}

impl Values for FileValues<'_> {
    fn value(&self, placeholder: Placeholder) -> String {
        let Sources { mirror, path, embedded, locales, year, .. } = self.sources;
        let text = |map| {
            let found = match self.locale {
                Some(locale) => in_locale(map, locale).or_else(|| for_everyone(map)),
                None => text_for_all(map, locales.first().map_or("", String::as_str)),
            };
            found.unwrap_or_default().to_owned()
        };
        match placeholder {
            Placeholder::Dir => path.folder().to_owned(),
            Placeholder::Ext => path.extension().to_lowercase(),
            Placeholder::Mirror => mirror.name.clone(),
            Placeholder::Stem => path.stem().to_owned(),
            Placeholder::Filename => path.file_name().to_owned(),
            Placeholder::Year => year.to_string(),
            Placeholder::Title => text(&embedded.title),
            Placeholder::Description => text(&embedded.description),
            Placeholder::Alt => text(&embedded.alt),
            Placeholder::Creator => embedded.creator.clone().unwrap_or_default(),
            Placeholder::Rights => text(&embedded.rights),
        }
    }

    fn folders(&self) -> Vec<&str> {
        self.sources.path.folders().collect()
    }
}

/// The text for `locale`: in that locale, or in the same language where only one of both names a region.
fn in_locale<'a>(map: &'a BTreeMap<String, String>, locale: &str) -> Option<&'a str> {
    let plain = |locale: &str| locale.replace('_', "-").to_lowercase();
    let wanted = plain(locale);
    let exact = map.iter().find(|(known, _)| plain(known) == wanted);
    let related = || {
        map.iter().find(|(known, _)| {
            let known = plain(known);
            let begins = |long: &str, short: &str| long.strip_prefix(short).is_some_and(|rest| rest.starts_with('-'));
            begins(&known, &wanted) || begins(&wanted, &known)
        })
    };
    exact.or_else(related).map(|(_, text)| text.as_str()).filter(|text| !text.trim().is_empty())
}

fn for_everyone(map: &BTreeMap<String, String>) -> Option<&str> {
    in_locale(map, "x-default")
}

/// The text for a field that has no locale.
fn text_for_all<'a>(map: &'a BTreeMap<String, String>, main: &str) -> Option<&'a str> {
    in_locale(map, main).or_else(|| for_everyone(map)).or_else(|| map.values().next().map(String::as_str))
}

#[cfg(test)]
mod tests;
