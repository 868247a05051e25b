//! The two wire shapes of an asset's metadata, and how one flat map becomes either.
//!
//! Owns: reading both shapes into [`Fields`] and a [`Stamp`], and writing a change so that nothing of others is lost:
//! by locale, always the complete object of each touched locale (the service may replace it whole); by field, always
//! the complete map of each touched field.
//! Never does: deciding what to write.
//! Source of the shapes: media-area-api.md "Updating without a file".

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use crate::model::{FieldKey, Fields, STAMP_KEY, Site, Stamp};

use super::{insert_present, stamp_in};

/// The members of the by-field shape; no locale has such a name.
const FIELD_NAMES: [&str; 5] = ["alt", "title", "custom_data", "focal_point", "poster_time"];

/// A change of an asset's metadata.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Metadata {
    /// The whole list of tags; `None` leaves the stored one.
    pub tags: Option<Vec<String>>,
    /// The COMPLETE state that all fields shall have afterwards, foreign ones among them: what of it is sent depends on
    /// the environment's wire shape.
    pub fields: Fields,
    /// The fields that are meant to change; one that is absent in `fields` is cleared.
    pub write: BTreeSet<FieldKey>,
    /// The stamp to leave; `None` leaves the stored one, an empty one removes it.
    pub stamp: Option<Stamp>,
}

impl Metadata {
    /// True when writing it rewrites the custom data that hold the stamp, without saying what the stamp is.
    pub(in crate::remote) fn would_drop_stamp(&self, site: &Site) -> bool {
        self.stamp.is_none() && Writer { site, metadata: self }.rewrites_main_custom_data()
    }

    /// `attributes` and `relationships` of an upload, without `path` and `basename`.
    pub(in crate::remote) fn to_wire(&self, site: &Site) -> (Map<String, Value>, Map<String, Value>) {
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
        let localized = if site.by_field { writer.by_field() } else { writer.by_locale() };
        if !localized.is_empty() {
            attributes.insert("default_field_metadata".into(), Value::Object(localized));
        }
        (attributes, relationships)
    }
}

struct Writer<'a> {
    site: &'a Site,
    metadata: &'a Metadata,
}

impl Writer<'_> {
    fn rewrites_main_custom_data(&self) -> bool {
        let main = self.site.main_locale();
        self.metadata.write.iter().any(|key| match key {
            FieldKey::CustomData(locale, _) => self.site.by_field || locale == main,
            FieldKey::Alt(locale) | FieldKey::Title(locale) => !self.site.by_field && locale == main,
            FieldKey::FocalPoint => !self.site.by_field,
            _ => false,
        })
    }

    fn by_locale(&self) -> Map<String, Value> {
        let mut locales = BTreeSet::new();
        for key in &self.metadata.write {
            match key {
                FieldKey::Alt(locale) | FieldKey::Title(locale) | FieldKey::CustomData(locale, _) => {
                    locales.insert(locale.as_str());
                }
                // In this shape the one point is repeated in every locale.
                FieldKey::FocalPoint => locales.extend(self.site.locales.iter().map(String::as_str)),
                // `poster_time` has no place in this shape.
                _ => {}
            }
        }
        if self.metadata.stamp.is_some() {
            locales.insert(self.site.main_locale());
        }
        locales.into_iter().map(|locale| (locale.to_owned(), self.locale_object(locale))).collect()
    }

    fn locale_object(&self, locale: &str) -> Value {
        let mut object = Map::new();
        object.insert("alt".into(), self.text(&FieldKey::Alt(locale.to_owned())));
        object.insert("title".into(), self.text(&FieldKey::Title(locale.to_owned())));
        object.insert("custom_data".into(), self.custom_data(locale));
        let cleared = self.metadata.write.contains(&FieldKey::FocalPoint);
        match self.metadata.fields.get(&FieldKey::FocalPoint) {
            Some(point) => drop(object.insert("focal_point".into(), point.clone())),
            None if cleared => drop(object.insert("focal_point".into(), Value::Null)),
            None => {}
        }
        Value::Object(object)
    }

    fn by_field(&self) -> Map<String, Value> {
        let mut fields = Map::new();
        let touched = |of: fn(&FieldKey) -> bool| self.metadata.write.iter().any(of);
        let everywhere = |of: &dyn Fn(&str) -> Value, name: fn(&FieldKey) -> Option<&str>| -> Value {
            self.locales_of(name).into_iter().map(|locale| (locale.to_owned(), of(locale))).collect()
        };
        if touched(|key| matches!(key, FieldKey::Alt(_))) {
            let value = everywhere(&|locale| self.text(&FieldKey::Alt(locale.to_owned())), |key| match key {
                FieldKey::Alt(locale) => Some(locale),
                _ => None,
            });
            fields.insert("alt".into(), value);
        }
        if touched(|key| matches!(key, FieldKey::Title(_))) {
            let value = everywhere(&|locale| self.text(&FieldKey::Title(locale.to_owned())), |key| match key {
                FieldKey::Title(locale) => Some(locale),
                _ => None,
            });
            fields.insert("title".into(), value);
        }
        if touched(|key| matches!(key, FieldKey::CustomData(..))) || self.metadata.stamp.is_some() {
            let value = everywhere(&|locale| self.custom_data(locale), |key| match key {
                FieldKey::CustomData(locale, _) => Some(locale),
                _ => None,
            });
            fields.insert("custom_data".into(), value);
        }
        for key in [FieldKey::FocalPoint, FieldKey::PosterTime] {
            if self.metadata.write.contains(&key) {
                let value = self.metadata.fields.get(&key).cloned().unwrap_or(Value::Null);
                fields.insert(key.to_string(), value);
            }
        }
        fields
    }

    /// The project's locales, and any other that the caller asks for by name: a value left behind in a locale that
    /// the project has given up is not sent, since the service would refuse it.
    fn locales_of<'m>(&'m self, name: fn(&'m FieldKey) -> Option<&'m str>) -> BTreeSet<&'m str> {
        let mut locales: BTreeSet<_> = self.site.locales.iter().map(String::as_str).collect();
        locales.insert(self.site.main_locale());
        locales.extend(self.metadata.write.iter().filter_map(name));
        locales
    }

    fn text(&self, key: &FieldKey) -> Value {
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
            && let Some(stamp) = self.metadata.stamp.as_ref().filter(|stamp| !stamp.0.is_empty())
        {
            object.insert(STAMP_KEY.into(), stamp.to_json());
        }
        Value::Object(object)
    }
}

/// Reads either shape.
///
/// Custom data are taken as they are, empty values too: what others keep there is theirs to mean. The stamp is taken
/// from whichever locale has one (the project's main locale may have changed since); more than one are united.
pub(super) fn flatten(metadata: &Value) -> (Fields, Stamp) {
    let mut fields = Fields::new();
    let mut stamp = Stamp::default();
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
        for (key, name) in [(FieldKey::FocalPoint, "focal_point"), (FieldKey::PosterTime, "poster_time")] {
            insert_present(&mut fields, key, object.get(name).cloned().unwrap_or_default());
        }
    } else {
        for (locale, of_locale) in object {
            for (name, value) in entries(Some(of_locale)) {
                match name.as_str() {
                    "alt" => insert_present(&mut fields, FieldKey::Alt(locale.clone()), value.clone()),
                    "title" => insert_present(&mut fields, FieldKey::Title(locale.clone()), value.clone()),
                    "custom_data" => flatten_custom_data(&mut fields, &mut stamp, locale, value),
                    // Repeated in every locale; any of them will do.
                    "focal_point" => insert_present(&mut fields, FieldKey::FocalPoint, value.clone()),
                    "poster_time" => insert_present(&mut fields, FieldKey::PosterTime, value.clone()),
                    _ => {}
                }
            }
        }
    }
    (fields, stamp)
}

fn flatten_custom_data(fields: &mut Fields, stamp: &mut Stamp, locale: &str, custom_data: &Value) {
    for (name, value) in entries(Some(custom_data)) {
        if name != STAMP_KEY {
            fields.insert(FieldKey::CustomData(locale.to_owned(), name.clone()), value.clone());
        }
    }
    let found: BTreeMap<_, _> = stamp_in(custom_data).unwrap_or_default().0;
    stamp.0.extend(found);
}

fn entries(value: Option<&Value>) -> impl Iterator<Item = (&String, &Value)> {
    value.and_then(Value::as_object).into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use crate::model::MirrorStamp;

    use super::*;

    fn site(by_field: bool) -> Site {
        Site {
            id: "1".into(),
            name: String::new(),
            locales: vec!["en".into(), "it".into()],
            by_field,
            custom_storage: false,
            domain: None,
        }
    }

    fn stamp() -> Stamp {
        Stamp(BTreeMap::from([("brand".to_owned(), MirrorStamp { md5: "x".into(), ..MirrorStamp::default() })]))
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
    fn a_touched_locale_is_sent_whole_in_the_older_shape() {
        let metadata = Metadata {
            fields: state(),
            write: BTreeSet::from([FieldKey::Alt("en".into())]),
            stamp: Some(stamp()),
            ..Metadata::default()
        };
        let custom = json!({"foreign": null, "dato-mirror": stamp().to_json()});
        let expected = json!({"en": {"alt": "ours", "title": "an editor's", "custom_data": custom}});
        assert_eq!(written(&metadata, false), expected);
    }

    #[test]
    fn a_touched_field_is_sent_whole_in_the_newer_shape() {
        let metadata = Metadata {
            fields: state(),
            write: BTreeSet::from([FieldKey::Alt("en".into())]),
            stamp: Some(stamp()),
            ..Metadata::default()
        };
        let custom = json!({"en": {"foreign": null, "dato-mirror": stamp().to_json()}, "it": {"foreign": {"a": [1]}}});
        let expected = json!({"alt": {"en": "ours", "it": "an editor's"}, "custom_data": custom});
        assert_eq!(written(&metadata, true), expected);
    }

    #[test]
    fn what_is_written_reads_back_in_both_shapes() {
        for by_field in [false, true] {
            let mut fields = state();
            fields.insert(FieldKey::FocalPoint, json!({"x": 0.5, "y": 0.25}));
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
    fn a_field_to_write_that_is_absent_is_cleared() {
        let write = BTreeSet::from([
            FieldKey::Author,
            FieldKey::Collection,
            FieldKey::FocalPoint,
            FieldKey::Title("en".into()),
            custom("en", "gone"),
        ]);
        let metadata = Metadata { write, ..Metadata::default() };
        let empty = json!({"alt": null, "title": null, "custom_data": {}, "focal_point": null});
        assert_eq!(written(&metadata, false), json!({"en": empty, "it": empty}));
        let cleared =
            json!({"title": {"en": null, "it": null}, "custom_data": {"en": {}, "it": {}}, "focal_point": null});
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
            (FieldKey::Alt("en".into()), true, false),
            (FieldKey::Alt("it".into()), false, false),
            (custom("en", "k"), true, true),
            (custom("it", "k"), false, true),
            (FieldKey::FocalPoint, true, false),
            (FieldKey::Author, false, false),
        ];
        for (key, older, newer) in cases {
            let mut metadata = Metadata { write: BTreeSet::from([key.clone()]), ..Metadata::default() };
            assert_eq!(metadata.would_drop_stamp(&site(false)), older, "{key}");
            assert_eq!(metadata.would_drop_stamp(&site(true)), newer, "{key}");
            metadata.stamp = Some(stamp());
            assert!(!metadata.would_drop_stamp(&site(false)) && !metadata.would_drop_stamp(&site(true)), "{key}");
        }
    }

    #[test]
    fn empty_values_are_absent_and_damage_is_survived() {
        let old = json!({"en": {"alt": "", "title": null, "custom_data": {}, "focal_point": null}, "it": null});
        let new = json!({"alt": {"en": ""}, "title": null, "custom_data": {"en": {}}, "focal_point": null});
        for metadata in [old, new, json!({}), json!(null), json!("x"), json!({"en": {"custom_data": 3}})] {
            assert_eq!(flatten(&metadata), (Fields::new(), Stamp::default()), "{metadata}");
        }
    }

    #[test]
    fn locales_the_project_gave_up_are_not_sent() {
        let mut fields = state();
        fields.insert(FieldKey::Alt("fr".into()), json!("left behind"));
        let write = BTreeSet::from([FieldKey::Alt("en".into())]);
        let metadata = Metadata { fields, write, ..Metadata::default() };
        assert_eq!(written(&metadata, true), json!({"alt": {"en": "ours", "it": "an editor's"}}));
    }
}
