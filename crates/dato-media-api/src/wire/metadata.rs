//! The two wire shapes of an asset's metadata, and how one flat map becomes either.
//!
//! Owns: reading both shapes into [`Fields`] and a [`Stamp`], and writing a change so that nothing of others is lost:
//! writes are partial in both shapes (a locale or a key left out keeps its stored value), so only what changes is sent.
//! Two values are whole: a list of tags, and a locale's custom data, which are made from the state the caller names.
//! Never does: deciding what to write.
//! Source of the shapes: the API's documentation.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use crate::{FieldKey, Fields, MetadataShape, Site, Stamp};

use super::insert_present;

/// The members of the by-field shape; no locale has such a name.
const FIELD_NAMES: [&str; 5] = ["alt", "title", "custom_data", "focal_point", "poster_time"];

/// What has one value for all locales. The older shape repeats it in each of them.
const NOT_LOCALIZED: [(FieldKey, &str); 2] =
    [(FieldKey::FocalPoint, "focal_point"), (FieldKey::PosterTime, "poster_time")];

/// A change of an asset's metadata.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Metadata<S = ()> {
    /// The whole list of tags; `None` leaves the stored one.
    pub tags: Option<Vec<String>>,
    /// The state that all fields shall have afterwards, foreign ones among them: only what is in `write` is sent of it, and
    /// the whole custom data of a locale of which a key is.
    pub fields: Fields,
    /// The fields that are meant to change; one that is absent in `fields` is cleared.
    pub write: BTreeSet<FieldKey>,
    /// The stamp to leave; `None` leaves the stored one, an empty one removes it.
    pub stamp: Option<S>,
}

impl<S: Stamp> Metadata<S> {
    /// True when writing it rewrites the custom data that hold the stamp, without saying what the stamp is.
    pub(crate) fn would_drop_stamp(&self, site: &Site) -> bool {
        S::KEY.is_some() && self.stamp.is_none() && Writer { site, metadata: self }.rewrites_main_custom_data()
    }

    /// `attributes` and `relationships` of an upload, without `path` and `basename`.
    pub(crate) fn to_wire(&self, site: &Site) -> (Map<String, Value>, Map<String, Value>) {
        let mut attributes = Map::new();
        let mut relationships = Map::new();
        if let Some(tags) = &self.tags {
            attributes.insert("tags".into(), json!(tags));
        }
        let value = |key: &FieldKey| self.fields.get(key).cloned().unwrap_or(Value::Null);
        for key in &self.write {
            match key {
                FieldKey::Author | FieldKey::Copyright | FieldKey::Notes => {
                    attributes.insert(key.to_string(), value(key));
                }
                FieldKey::Collection => {
                    let data = self.fields.get(key).map(|id| json!({"type": "upload_collection", "id": id}));
                    relationships.insert("upload_collection".into(), json!({"data": data}));
                }
                FieldKey::Creator => {
                    relationships.insert("creator".into(), json!({"data": value(key)}));
                }
                _ => {}
            }
        }
        let writer = Writer { site, metadata: self };
        let localized = match site.shape {
            MetadataShape::ByField => writer.by_field(),
            MetadataShape::ByLocale => writer.by_locale(),
        };
        if !localized.is_empty() {
            attributes.insert("default_field_metadata".into(), Value::Object(localized));
        }
        (attributes, relationships)
    }
}

struct Writer<'a, S> {
    site: &'a Site,
    metadata: &'a Metadata<S>,
}

impl<S: Stamp> Writer<'_, S> {
    fn rewrites_main_custom_data(&self) -> bool {
        let main = self.site.main_locale();
        self.metadata.write.iter().any(|key| matches!(key, FieldKey::CustomData(locale, _) if locale == main))
    }

    fn by_locale(&self) -> Map<String, Value> {
        let mut locales: BTreeMap<&str, Map<String, Value>> = BTreeMap::new();
        let mut put = |locale, name: &str, value| drop(locales.entry(locale).or_default().insert(name.into(), value));
        for (locale, name, value) in self.localized() {
            put(locale, name, value);
        }
        for (key, name) in NOT_LOCALIZED {
            if self.metadata.write.contains(&key) {
                // This shape has one in each locale: they get the same.
                self.site.locales.iter().for_each(|locale| put(locale, name, self.value(&key)));
            }
        }
        locales.into_iter().map(|(locale, fields)| (locale.to_owned(), Value::Object(fields))).collect()
    }

    fn by_field(&self) -> Map<String, Value> {
        let mut fields: BTreeMap<String, Value> = BTreeMap::new();
        for (locale, name, value) in self.localized() {
            fields.entry(name.to_owned()).or_insert_with(|| json!({}))[locale] = value;
        }
        for (key, name) in NOT_LOCALIZED {
            if self.metadata.write.contains(&key) {
                fields.insert(name.to_owned(), self.value(&key));
            }
        }
        fields.into_iter().collect()
    }

    /// What is sent of the fields that each locale has for itself: locale, field, value.
    fn localized(&self) -> Vec<(&str, &'static str, Value)> {
        let mut sent = Vec::new();
        let mut data = BTreeSet::new();
        for key in &self.metadata.write {
            match key {
                FieldKey::Alt(locale) => sent.push((locale.as_str(), "alt", self.value(key))),
                FieldKey::Title(locale) => sent.push((locale.as_str(), "title", self.value(key))),
                FieldKey::CustomData(locale, _) => drop(data.insert(locale.as_str())),
                _ => {}
            }
        }
        if S::KEY.is_some() && self.metadata.stamp.is_some() {
            data.insert(self.site.main_locale());
        }
        sent.extend(data.into_iter().map(|locale| (locale, "custom_data", self.custom_data(locale))));
        sent
    }

    fn value(&self, key: &FieldKey) -> Value {
        self.metadata.fields.get(key).cloned().unwrap_or(Value::Null)
    }

    fn custom_data(&self, locale: &str) -> Value {
        let mut object = Map::new();
        for (key, value) in &self.metadata.fields {
            if let FieldKey::CustomData(of, name) = key
                && of == locale
            {
                object.insert(name.clone(), value.clone());
            }
        }
        if locale == self.site.main_locale()
            && let Some(key) = S::KEY
            && let Some(stored) = self.metadata.stamp.as_ref().and_then(Stamp::write)
        {
            object.insert(key.into(), stored);
        }
        Value::Object(object)
    }
}

/// Reads either shape.
///
/// Custom data are taken as they are, empty values too: what others keep there is theirs to mean. The stamp is taken
/// from whichever locale has one (the project's main locale may have changed since); more than one are united.
pub(super) fn flatten<S: Stamp>(metadata: &Value) -> (Fields, S) {
    let mut fields = Fields::new();
    let mut stamp = S::default();
    let Some(object) = metadata.as_object() else { return (fields, stamp) };
    let by_field = !object.is_empty() && object.keys().all(|key| FIELD_NAMES.contains(&key.as_str()));
    if by_field {
        for (locale, value) in entries(object.get("alt")) {
            insert_present(&mut fields, FieldKey::Alt(locale.clone()), value.clone());
        }
        for (locale, value) in entries(object.get("title")) {
            insert_present(&mut fields, FieldKey::Title(locale.clone()), value.clone());
        }
        for (locale, value) in entries(object.get("custom_data")) {
            flatten_custom_data(&mut fields, &mut stamp, locale, value);
        }
        for (key, name) in NOT_LOCALIZED {
            insert_present(&mut fields, key, object.get(name).cloned().unwrap_or_default());
        }
    } else {
        for (locale, of_locale) in object {
            for (name, value) in entries(Some(of_locale)) {
                match name.as_str() {
                    "alt" => insert_present(&mut fields, FieldKey::Alt(locale.clone()), value.clone()),
                    "title" => insert_present(&mut fields, FieldKey::Title(locale.clone()), value.clone()),
                    "custom_data" => flatten_custom_data(&mut fields, &mut stamp, locale, value),
                    _ => {}
                }
            }
        }
        for (key, name) in NOT_LOCALIZED {
            insert_present(&mut fields, key, of_all_locales(object, name));
        }
    }
    (fields, stamp)
}

/// The value that the locales which have one agree on. An editor may have set another one in one locale: then it is an
/// object with the value of each, which is nothing that was ever written here and so is the editor's.
fn of_all_locales(metadata: &Map<String, Value>, name: &str) -> Value {
    let mut values: Map<String, Value> = Map::new();
    for (locale, of_locale) in metadata {
        let value = of_locale.get(name).filter(|value| !value.is_null());
        values.extend(value.map(|value| (locale.clone(), value.clone())));
    }
    let mut distinct = values.values();
    match distinct.next() {
        Some(first) if distinct.all(|value| value == first) => first.clone(),
        Some(_) => Value::Object(values),
        None => Value::Null,
    }
}

fn flatten_custom_data<S: Stamp>(fields: &mut Fields, stamp: &mut S, locale: &str, custom_data: &Value) {
    for (name, value) in entries(Some(custom_data)) {
        if S::KEY == Some(name.as_str()) {
            stamp.unite(S::read(value));
        } else {
            fields.insert(FieldKey::CustomData(locale.to_owned(), name.clone()), value.clone());
        }
    }
}

fn entries(value: Option<&Value>) -> impl Iterator<Item = (&String, &Value)> {
    value.and_then(Value::as_object).into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stamp::samples::Note;

    type Metadata = super::Metadata<Note>;

    fn flatten(metadata: &Value) -> (Fields, Note) {
        super::flatten(metadata)
    }

    fn site(by_field: bool) -> Site {
        Site {
            id: "1".into(),
            name: String::new(),
            locales: vec!["en".into(), "it".into()],
            shape: MetadataShape::of(by_field),
            custom_storage: false,
            domain: None,
        }
    }

    fn stamp() -> Note {
        Note::of("md5", "x")
    }

    fn custom(locale: &str, key: &str) -> FieldKey {
        FieldKey::CustomData(locale.into(), key.into())
    }

    fn state() -> Fields {
        Fields::from([
            (FieldKey::Alt("en".into()), json!("ours")),
            (FieldKey::Alt("it".into()), json!("an editor's")),
            (FieldKey::Title("en".into()), json!("an editor's")),
            (custom("en", "foreign"), json!(null)),
            (custom("it", "foreign"), json!({"a": [1]})),
        ])
    }

    fn written(metadata: &Metadata, by_field: bool) -> Value {
        metadata.to_wire(&site(by_field)).0.remove("default_field_metadata").unwrap_or_default()
    }

    #[test]
    fn only_what_is_to_be_written_is_sent_and_a_locales_custom_data_whole() {
        let metadata = Metadata {
            fields: state(),
            write: BTreeSet::from([FieldKey::Alt("en".into())]),
            stamp: Some(stamp()),
            ..Metadata::default()
        };
        let custom = json!({"foreign": null, "note": stamp().write()});
        assert_eq!(written(&metadata, false), json!({"en": {"alt": "ours", "custom_data": custom}}));
        assert_eq!(written(&metadata, true), json!({"alt": {"en": "ours"}, "custom_data": {"en": custom}}));
        let other = Metadata { write: BTreeSet::from([custom_key()]), stamp: None, ..metadata };
        assert_eq!(written(&other, false), json!({"it": {"custom_data": {"foreign": {"a": [1]}}}}));
        assert_eq!(written(&other, true), json!({"custom_data": {"it": {"foreign": {"a": [1]}}}}));
    }

    fn custom_key() -> FieldKey {
        custom("it", "foreign")
    }

    #[test]
    fn what_is_written_reads_back_in_both_shapes() {
        for by_field in [false, true] {
            let mut fields = state();
            fields.insert(FieldKey::FocalPoint, json!({"x": 0.5, "y": 0.25}));
            fields.insert(FieldKey::PosterTime, json!(12.5));
            let metadata = Metadata {
                write: fields.keys().cloned().collect(),
                fields: fields.clone(),
                stamp: Some(stamp()),
                tags: None,
            };
            assert_eq!(flatten(&written(&metadata, by_field)), (fields, stamp()), "by field: {by_field}");
        }
    }

    #[test]
    fn what_locales_of_the_older_shape_disagree_on_is_nothing_that_was_written() {
        let of = |en: Value, it: Value| flatten(&json!({"en": {"poster_time": en}, "it": {"poster_time": it}})).0;
        let one = |value: Value| Fields::from([(FieldKey::PosterTime, value)]);
        assert_eq!(of(json!(3), json!(3)), one(json!(3)));
        assert_eq!(of(json!(0), json!(null)), one(json!(0)), "a locale may be new");
        assert_eq!(of(json!(null), json!(null)), Fields::new());
        assert_eq!(of(json!(3), json!(4)), one(json!({"en": 3, "it": 4})));
    }

    #[test]
    fn a_stamp_is_taken_out_of_the_custom_data_in_whatever_form_it_reads() {
        for value in [stamp().write().unwrap(), stamp().as_object()] {
            let data = json!({"note": value, "foreign": "x"});
            for metadata in [json!({"en": {"custom_data": data}}), json!({"custom_data": {"en": data}})] {
                let foreign = Fields::from([(custom("en", "foreign"), json!("x"))]);
                assert_eq!(flatten(&metadata), (foreign, stamp()), "{metadata}");
            }
        }
    }

    #[test]
    fn a_field_to_write_that_is_absent_is_cleared() {
        let write = BTreeSet::from([
            FieldKey::Author,
            FieldKey::Collection,
            FieldKey::FocalPoint,
            FieldKey::Title("en".into()),
            custom("en", "gone"),
        ]);
        let metadata = Metadata { write, ..Metadata::default() };
        let point = json!({"focal_point": null});
        let main = json!({"title": null, "custom_data": {}, "focal_point": null});
        assert_eq!(written(&metadata, false), json!({"en": main, "it": point}));
        let cleared = json!({"title": {"en": null}, "custom_data": {"en": {}}, "focal_point": null});
        assert_eq!(written(&metadata, true), cleared);
        let (attributes, relationships) = metadata.to_wire(&site(false));
        assert_eq!(attributes.get("author"), Some(&Value::Null));
        assert_eq!(Value::Object(relationships), json!({"upload_collection": {"data": null}}));
    }

    #[test]
    fn nothing_to_write_sends_nothing() {
        let metadata = Metadata { fields: state(), ..Metadata::default() };
        for by_field in [false, true] {
            assert_eq!(metadata.to_wire(&site(by_field)), (Map::new(), Map::new()));
        }
    }

    #[test]
    fn a_rewrite_of_the_stamps_home_is_noticed() {
        let cases = [
            (FieldKey::Alt("en".into()), false),
            (custom("en", "k"), true),
            (custom("it", "k"), false),
            (FieldKey::FocalPoint, false),
            (FieldKey::Author, false),
        ];
        for (key, drops) in cases {
            let mut metadata = Metadata { write: BTreeSet::from([key.clone()]), ..Metadata::default() };
            assert_eq!(metadata.would_drop_stamp(&site(false)), drops, "{key}");
            assert_eq!(metadata.would_drop_stamp(&site(true)), drops, "{key}");
            metadata.stamp = Some(stamp());
            assert!(!metadata.would_drop_stamp(&site(false)) && !metadata.would_drop_stamp(&site(true)), "{key}");
        }
    }

    #[test]
    fn empty_values_are_absent_and_damage_is_survived() {
        let old = json!({"en": {"alt": "", "title": null, "custom_data": {}, "focal_point": null}, "it": null});
        let new = json!({"alt": {"en": ""}, "title": null, "custom_data": {"en": {}}, "focal_point": null});
        for metadata in [old, new, json!({}), json!(null), json!("x"), json!({"en": {"custom_data": 3}})] {
            assert_eq!(flatten(&metadata), (Fields::new(), Note::default()), "{metadata}");
        }
    }

    #[test]
    fn locales_the_project_gave_up_are_not_sent() {
        let mut fields = state();
        fields.insert(FieldKey::Alt("fr".into()), json!("left behind"));
        fields.insert(custom("fr", "k"), json!("left behind"));
        let write = BTreeSet::from([FieldKey::Alt("en".into()), FieldKey::FocalPoint]);
        let metadata = Metadata { fields, write, stamp: Some(stamp()), ..Metadata::default() };
        for by_field in [false, true] {
            assert!(!written(&metadata, by_field).to_string().contains("left behind"));
        }
    }
}
