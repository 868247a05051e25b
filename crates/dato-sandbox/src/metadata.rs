//! Default field metadata, in both wire shapes.
//!
//! Owns: what is stored, how each shape is read, replaced and shown. Never does: I/O.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::answer::Refusal;

/// What kind of asset it is, as far as metadata cares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Media {
    Image,
    Video,
    Other,
}

/// The project's say in the shape.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape<'a> {
    /// The newer shape: by field, then locale.
    pub(super) by_field: bool,
    /// The older shape has a poster time in each locale.
    pub(super) poster_time_by_locale: bool,
    /// The latest poster time that is taken, seconds; 0 for any.
    pub(super) latest_poster_time_s: u32,
    /// The project's locales, the main one first.
    pub(super) locales: &'a [String],
}

/// Metadata as stored, whatever the shape.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Metadata {
    alt: BTreeMap<String, Value>,
    title: BTreeMap<String, Value>,
    custom_data: BTreeMap<String, Value>,
    focal_point: BTreeMap<String, Value>,
    /// One for all locales, or an object with one for each that has one.
    poster_time: Value,
}

impl Metadata {
    /// The metadata as the API shows it.
    pub(super) fn render(&self, shape: Shape<'_>) -> Value {
        let get = |map: &BTreeMap<String, Value>, locale: &str| map.get(locale).cloned().unwrap_or(Value::Null);
        let data = |locale: &str| self.custom_data.get(locale).cloned().unwrap_or_else(|| json!({}));
        if shape.by_field {
            let per = |read: &dyn Fn(&str) -> Value| -> Value {
                shape.locales.iter().map(|locale| (locale.clone(), read(locale))).collect::<Map<_, _>>().into()
            };
            let main = shape.locales.first().map_or("en", String::as_str);
            return json!({
                "alt": per(&|locale| get(&self.alt, locale)),
                "title": per(&|locale| get(&self.title, locale)),
                "custom_data": per(&data),
                "focal_point": get(&self.focal_point, main),
                "poster_time": self.poster_time_in(main),
            });
        }
        let locales = shape.locales.iter().map(|locale| {
            let mut value = json!({
                "alt": get(&self.alt, locale),
                "title": get(&self.title, locale),
                "custom_data": data(locale),
                "focal_point": get(&self.focal_point, locale),
            });
            if shape.poster_time_by_locale {
                value["poster_time"] = self.poster_time_in(locale);
            }
            (locale.clone(), value)
        });
        locales.collect::<Map<_, _>>().into()
    }

    fn poster_time_in(&self, locale: &str) -> Value {
        match &self.poster_time {
            Value::Object(times) => times.get(locale).cloned().unwrap_or_default(),
            one => one.clone(),
        }
    }

    fn set_poster_time(&mut self, locale: &str, time: Value, shape: Shape<'_>) {
        let times = shape.locales.iter().map(|known| (known.clone(), self.poster_time_in(known)));
        let mut times: Map<_, _> = times.collect();
        times.insert(locale.to_owned(), time);
        self.poster_time = times.into();
    }

    /// Takes in `patch` as the shape tells. Both shapes are partial: a locale or a key left out keeps its stored value.
    /// A value is taken whole: custom data that lack a stored key remove it.
    pub(super) fn apply(&mut self, patch: &Value, shape: Shape<'_>, media: Media) -> Result<(), Refusal> {
        let Value::Object(patch) = patch else { return Err(invalid("must be an object")) };
        if shape.by_field {
            self.apply_by_field(patch, shape, media)
        } else {
            self.apply_by_locale(patch, shape, media)
        }
    }

    /// Drops objects among the custom data that `patch`, which was applied, has in either shape.
    pub(super) fn drop_objects_in(&mut self, patch: &Value) {
        for (locale, stored) in &mut self.custom_data {
            let saved =
                patch.pointer(&format!("/{locale}/custom_data")).or(patch.pointer(&format!("/custom_data/{locale}")));
            if let (Some(_), Some(stored)) = (saved, stored.as_object_mut()) {
                stored.retain(|_, value| !value.is_object());
            }
        }
    }

    fn apply_by_locale(&mut self, patch: &Map<String, Value>, shape: Shape<'_>, media: Media) -> Result<(), Refusal> {
        for (locale, fields) in patch {
            known_locale(locale, shape)?;
            let Value::Object(fields) = fields else { return Err(invalid(format!("{locale}: must be an object"))) };
            for (field, value) in fields {
                match field.as_str() {
                    "alt" => set(&mut self.alt, locale, text("alt", value)?),
                    "title" => set(&mut self.title, locale, text("title", value)?),
                    "custom_data" => set(&mut self.custom_data, locale, object(value)?),
                    "focal_point" => set(&mut self.focal_point, locale, focal_point(value, media)?),
                    "poster_time" if shape.poster_time_by_locale => {
                        self.set_poster_time(locale, poster_time(value, media, shape)?, shape);
                    }
                    other => return Err(not_permitted(other)),
                }
            }
        }
        Ok(())
    }

    fn apply_by_field(&mut self, patch: &Map<String, Value>, shape: Shape<'_>, media: Media) -> Result<(), Refusal> {
        for (field, value) in patch {
            match field.as_str() {
                "alt" | "title" | "custom_data" => {
                    let Value::Object(locales) = value else {
                        return Err(invalid(format!("{field}: by locale, please")));
                    };
                    for (locale, value) in locales {
                        known_locale(locale, shape)?;
                        match field.as_str() {
                            "alt" => set(&mut self.alt, locale, text("alt", value)?),
                            "title" => set(&mut self.title, locale, text("title", value)?),
                            _ => set(&mut self.custom_data, locale, object(value)?),
                        }
                    }
                }
                "focal_point" => {
                    let point = focal_point(value, media)?;
                    for locale in shape.locales {
                        set(&mut self.focal_point, locale, point.clone());
                    }
                }
                "poster_time" => self.poster_time = poster_time(value, media, shape)?,
                other => return Err(not_permitted(other)),
            }
        }
        Ok(())
    }
}

fn invalid(message: impl Into<String>) -> Refusal {
    Refusal::field("default_field_metadata", "INVALID_FORMAT", message)
}

/// How the service refuses a key that the shape does not have, the other shape's keys among them.
fn not_permitted(key: &str) -> Refusal {
    Refusal::format(format!("{key:?} is not a permitted key"))
}

fn known_locale(locale: &str, shape: Shape<'_>) -> Result<(), Refusal> {
    if shape.locales.iter().any(|known| known == locale) { Ok(()) } else { Err(not_permitted(locale)) }
}

fn set(map: &mut BTreeMap<String, Value>, locale: &str, value: Value) {
    map.insert(locale.to_owned(), value);
}

fn text(field: &str, value: &Value) -> Result<Value, Refusal> {
    if value.is_null() || value.is_string() {
        return Ok(value.clone());
    }
    Err(invalid(format!("{field}: must be a string or null")))
}

fn object(value: &Value) -> Result<Value, Refusal> {
    if value.is_object() { Ok(value.clone()) } else { Err(invalid("custom_data: must be an object")) }
}

fn focal_point(value: &Value, media: Media) -> Result<Value, Refusal> {
    if value.is_null() {
        return Ok(Value::Null);
    }
    if media != Media::Image {
        return Err(invalid("focal_point: for images only"));
    }
    let inside = |key: &str| value.get(key).and_then(Value::as_f64).is_some_and(|n| (0.0..=1.0).contains(&n));
    let exact = value.as_object().is_some_and(|point| point.len() == 2);
    if exact && inside("x") && inside("y") {
        return Ok(value.clone());
    }
    Err(invalid("focal_point: needs x and y from 0 to 1, and nothing else"))
}

fn poster_time(value: &Value, media: Media, shape: Shape<'_>) -> Result<Value, Refusal> {
    if value.is_null() {
        return Ok(Value::Null);
    }
    if media != Media::Video {
        return Err(invalid("poster_time: for videos only"));
    }
    let latest = shape.latest_poster_time_s;
    match value.as_f64() {
        Some(seconds) if latest > 0 && seconds > f64::from(latest) => {
            Err(invalid("poster_time: after the video's end"))
        }
        Some(seconds) if seconds >= 0.0 => Ok(value.clone()),
        _ => Err(invalid("poster_time: seconds, not negative")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn locales() -> Vec<String> {
        vec!["en".to_owned(), "it".to_owned()]
    }

    fn shape(by_field: bool, locales: &[String]) -> Shape<'_> {
        Shape { by_field, poster_time_by_locale: true, latest_poster_time_s: 0, locales }
    }

    #[test]
    fn the_older_shape_keeps_locales_and_keys_left_out_and_takes_a_value_whole() {
        let locales = locales();
        let shape = shape(false, &locales);
        let mut stored = Metadata::default();
        let first = json!({"en": {"alt": "A", "title": "T", "custom_data": {"k": 1}}, "it": {"alt": "B"}});
        stored.apply(&first, shape, Media::Image).unwrap();
        stored.apply(&json!({"en": {"title": "U"}}), shape, Media::Image).unwrap();
        stored.apply(&json!({"en": {"custom_data": {"l": 2}}}), shape, Media::Image).unwrap();
        assert_eq!(
            stored.render(shape),
            json!({
                "en": {"alt": "A", "title": "U", "custom_data": {"l": 2}, "focal_point": null, "poster_time": null},
                "it": {"alt": "B", "title": null, "custom_data": {}, "focal_point": null, "poster_time": null},
            })
        );
    }

    #[test]
    fn the_newer_shape_replaces_a_key_for_the_locales_given() {
        let locales = locales();
        let shape = shape(true, &locales);
        let mut stored = Metadata::default();
        let first = json!({"alt": {"en": "A", "it": "B"}, "custom_data": {"en": {"k": 1, "l": 2}}, "focal_point": {"x": 0.1, "y": 1}});
        stored.apply(&first, shape, Media::Image).unwrap();
        stored.apply(&json!({"alt": {"en": "C"}, "custom_data": {"en": {"k": 3}}}), shape, Media::Image).unwrap();
        assert_eq!(
            stored.render(shape),
            json!({
                "alt": {"en": "C", "it": "B"}, "title": {"en": null, "it": null},
                "custom_data": {"en": {"k": 3}, "it": {}}, "focal_point": {"x": 0.1, "y": 1}, "poster_time": null,
            })
        );
        let older = Shape { by_field: false, ..shape };
        assert_eq!(stored.render(older)["it"]["focal_point"], json!({"x": 0.1, "y": 1}));
    }

    #[test]
    fn a_poster_time_is_kept_in_both_shapes_and_by_locale_where_that_is_the_shape() {
        let locales = locales();
        let (older, newer) = (shape(false, &locales), shape(true, &locales));
        let mut stored = Metadata::default();
        stored.apply(&json!({"poster_time": 12.5}), newer, Media::Video).unwrap();
        assert_eq!(stored.render(older).pointer("/it/poster_time"), Some(&json!(12.5)));
        stored.apply(&json!({"it": {"poster_time": 3}}), older, Media::Video).unwrap();
        let shown = stored.render(older);
        assert_eq!((&shown["en"]["poster_time"], &shown["it"]["poster_time"]), (&json!(12.5), &json!(3)));
        assert_eq!(stored.render(newer)["poster_time"], 12.5);
        let refusing = Shape { poster_time_by_locale: false, ..older };
        assert_eq!(stored.render(refusing).pointer("/it/poster_time"), None);
        let refusal = stored.apply(&json!({"it": {"poster_time": 3}}), refusing, Media::Video).unwrap_err();
        assert_eq!((refusal.status, refusal.code.as_str()), (422, "INVALID_FORMAT"));
        let short = Shape { latest_poster_time_s: 12, ..newer };
        assert!(stored.apply(&json!({"poster_time": 12}), short, Media::Video).is_ok());
        assert!(stored.apply(&json!({"poster_time": 12.5}), short, Media::Video).is_err());
    }

    #[test]
    fn the_wrong_shape_and_wrong_values_are_refused() {
        let locales = locales();
        let (key, value) = ("INVALID_FORMAT", "INVALID_FIELD");
        let cases = [
            (false, Media::Image, key, json!({"alt": {"en": "A"}})),
            (true, Media::Image, key, json!({"en": {"alt": "A"}})),
            (false, Media::Image, key, json!({"de": {"alt": "A"}})),
            (true, Media::Image, key, json!({"alt": {"de": "A"}})),
            (false, Media::Image, key, json!({"en": {"colour": 1}})),
            (true, Media::Image, value, json!({"alt": "A"})),
            (false, Media::Image, value, json!({"en": {"poster_time": 1}})),
            (false, Media::Other, value, json!({"en": {"focal_point": {"x": 0.5, "y": 0.5}}})),
            (true, Media::Image, value, json!({"focal_point": {"x": 0.5}})),
            (true, Media::Image, value, json!({"focal_point": {"x": 0.5, "y": 1.1}})),
            (true, Media::Image, value, json!({"poster_time": 1.5})),
            (true, Media::Video, value, json!({"poster_time": "1"})),
            (true, Media::Image, value, json!({"custom_data": {"en": [1]}})),
            (true, Media::Image, value, json!({"title": {"en": 4}})),
            (true, Media::Image, value, json!([])),
        ];
        for (by_field, media, code, patch) in cases {
            let refusal = Metadata::default().apply(&patch, shape(by_field, &locales), media).unwrap_err();
            assert_eq!((refusal.status, refusal.code.as_str()), (422, code), "{patch}");
        }
        let shape = shape(true, &locales);
        Metadata::default().apply(&json!({"poster_time": 1.5, "focal_point": null}), shape, Media::Video).unwrap();
    }
}
