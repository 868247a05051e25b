//! The metadata keys that a mirror, a rule and a sidecar file have in common.
//!
//! Owns: their shape and how they are read. Never does: expanding or merging them.

use std::collections::BTreeMap;

use serde_json::Value;
use toml::de::DeValue;

use super::template::{Placeholder, Template, TemplateError};
use crate::config::document::{Found, Section};
use crate::config::value::{FromInput, Input, Wrong, kind, nearest};
use crate::model::STAMP_KEY;

/// One layer of metadata. A text that is not given leaves the layers below alone; one given as `""` says "none".
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Layer {
    /// Tags to add.
    pub tags: Vec<Template>,
    /// Who made it.
    pub author: Option<Template>,
    /// The rights line.
    pub copyright: Option<Template>,
    /// Internal notes.
    pub notes: Option<Template>,
    /// Alternative text by locale.
    pub alt: BTreeMap<String, Template>,
    /// Title by locale.
    pub title: BTreeMap<String, Template>,
    /// Custom data by locale and key.
    pub custom_data: BTreeMap<String, BTreeMap<String, CustomValue>>,
}

/// A value of custom data.
#[derive(Debug, Clone, PartialEq)]
pub enum CustomValue {
    /// A string, with placeholders.
    Text(Template),
    /// Anything else, as it is.
    Json(Value),
}

impl Layer {
    /// Reads the layer's keys of `section`, with problems to its findings.
    pub fn read(section: &mut Section<'_>) -> Self {
        let mut text = |key| section.get::<Template>(key).map(|found| found.value);
        let (author, copyright, notes) = (text("author"), text("copyright"), text("notes"));
        let tags = section.or("tags", Vec::new());
        let title = section.title().to_owned();
        let alt = by_locale(&section.table("alt", &sub(&title, "alt")));
        let titles = by_locale(&section.table("title", &sub(&title, "title")));
        let custom = section.table("custom_data", &sub(&title, "custom_data"));
        let mut custom_data = BTreeMap::new();
        for (locale, keys) in custom.free_tables() {
            let mut values = BTreeMap::new();
            for (key, Found { value, place }) in keys.free::<CustomValue>() {
                if key == STAMP_KEY {
                    let advice = "the mirror keeps its own record there; use another key";
                    keys.findings().add(place, format!("`{STAMP_KEY}` is not free for custom data"), advice);
                } else {
                    values.insert(key, value);
                }
            }
            custom_data.insert(locale, values);
        }
        Self { tags, author, copyright, notes, alt, title: titles, custom_data }
    }
}

/// How a table inside `title` is written: `[mirror.alt]`.
fn sub(title: &str, key: &str) -> String {
    let inner = title.trim_start_matches('[').trim_end_matches(']');
    if title.starts_with('[') { format!("[{inner}.{key}]") } else { format!("[{key}]") }
}

fn by_locale(section: &Section<'_>) -> BTreeMap<String, Template> {
    section.free::<Template>().into_iter().map(|(locale, found)| (locale, found.value)).collect()
}

impl FromInput for Template {
    fn from_input(input: Input<'_>) -> Result<Self, Vec<Wrong>> {
        let text = String::from_input(input)?;
        Self::parse(&text).map_err(|error| {
            let names = Placeholder::ALL.map(|(name, _)| name);
            let advice = match &error {
                TemplateError::Unknown(name) => nearest(name, names).map_or_else(
                    || format!("known are {}", names.map(|name| format!("{{{name}}}")).join(", ")),
                    |near| format!("did you mean {{{near}}}?"),
                ),
                TemplateError::Unbalanced(brace) => format!("write `{brace}{brace}` for a brace itself"),
            };
            vec![Wrong::new(error.to_string(), advice)]
        })
    }
}

impl FromInput for CustomValue {
    fn from_input(input: Input<'_>) -> Result<Self, Vec<Wrong>> {
        match input {
            Input::Toml(DeValue::String(_)) | Input::Text(_) => Template::from_input(input).map(Self::Text),
            Input::Toml(value) => json(value).map(Self::Json).map_err(|wrong| vec![wrong]),
        }
    }
}

/// The JSON of a TOML value; dates become their text.
fn json(value: &DeValue<'_>) -> Result<Value, Wrong> {
    let refused = || Wrong::new(format!("is {} that JSON cannot hold", kind(value)), "use a smaller or finite number");
    Ok(match value {
        DeValue::String(text) => Value::from(text.as_ref()),
        DeValue::Boolean(value) => Value::from(*value),
        DeValue::Datetime(time) => Value::from(time.to_string()),
        DeValue::Integer(number) => {
            i64::from_str_radix(number.as_str(), number.radix()).map(Value::from).map_err(|_| refused())?
        }
        DeValue::Float(number) => {
            let number = number.as_str().parse::<f64>().map_err(|_| refused())?;
            serde_json::Number::from_f64(number).map(Value::Number).ok_or_else(refused)?
        }
        DeValue::Array(items) => Value::Array(items.iter().map(|item| json(item.get_ref())).collect::<Result<_, _>>()?),
        DeValue::Table(table) => Value::Object(
            table
                .iter()
                .map(|(key, value)| Ok((key.get_ref().to_string(), json(value.get_ref())?)))
                .collect::<Result<_, Wrong>>()?,
        ),
    })
}
