//! How one value is read, from TOML or from the text of an environment variable, and what is said when it is wrong.
//!
//! Owns: types, units and choices. Never does: knowing keys or files.

use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

use toml::de::DeValue;

use super::policy::{Choice, Collections, MaxDelete};

/// A value as it was given.
#[derive(Clone, Copy)]
pub enum Input<'a> {
    /// In a TOML file.
    Toml(&'a DeValue<'a>),
    /// In an environment variable.
    Text(&'a str),
}

/// Why a value is refused. The message goes on after the key's name: "must be …".
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrong {
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub advice: String,
    /// The part of the file it is about, when that is not the whole value.
    pub span: Option<Range<usize>>,
}

impl Wrong {
    /// A refusal of the whole value.
    #[must_use]
    pub fn new(message: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { message: message.into(), advice: advice.into(), span: None }
    }
}

/// A type that a key can have.
pub trait FromInput: Sized {
    /// Reads the value.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    fn from_input(input: Input<'_>) -> Result<Self, Vec<Wrong>>;
}

/// What a TOML value is, with its article.
#[must_use]
pub fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a float",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

/// A name short enough and clean enough to show in a message.
#[must_use]
pub fn shown(name: &str) -> String {
    if super::problem::looks_secret(name) {
        return "…".to_owned();
    }
    let clean: String = name.chars().map(|c| if c.is_control() { '?' } else { c }).take(60).collect();
    if name.chars().count() > 60 { format!("{clean}…") } else { clean }
}

/// The known name most like `name`, when it is like enough to be what was meant.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let plain = |text: &str| text.to_lowercase().replace(['-', ' '], "_");
    let name = plain(name);
    let likeness = |candidate: &str| {
        let candidate = plain(candidate);
        // Swapped letters in a short name ("dri") count little with Jaro-Winkler, but are one slip.
        let slips = strsim::osa_distance(&name, &candidate);
        let length = name.chars().count().max(candidate.chars().count()).max(1);
        let close = if slips <= (length / 3).max(1) && slips < length { 0.9 } else { 0.0 };
        strsim::jaro_winkler(&name, &candidate).max(close)
    };
    known
        .into_iter()
        .map(|candidate| (likeness(candidate), candidate))
        .filter(|(likeness, _)| *likeness >= 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

fn must_be<T>(what: &str, input: Input<'_>, example: &str) -> Result<T, Vec<Wrong>> {
    let message = match input {
        Input::Toml(value @ (DeValue::Array(_) | DeValue::Table(_) | DeValue::Datetime(_))) => {
            format!("must be {what}, but is {}", kind(value))
        }
        Input::Toml(DeValue::String(text)) => format!("must be {what}, but is \"{}\"", shown(text)),
        Input::Toml(value) => format!("must be {what}, but is {}", kind(value)),
        Input::Text(text) => format!("must be {what}, but is \"{}\"", shown(text)),
    };
    Err(vec![Wrong::new(message, format!("for example {example}"))])
}

/// The text of a string value, or of a variable.
fn text_of<'a>(input: Input<'a>) -> Option<&'a str> {
    match input {
        Input::Toml(DeValue::String(text)) => Some(text),
        Input::Text(text) => Some(text),
        Input::Toml(_) => None,
    }
}

impl FromInput for String {
    fn from_input(input: Input<'_>) -> Result<Self, Vec<Wrong>> {
        text_of(input).map_or_else(|| must_be("a string", input, "\"text\""), |text| Ok(text.to_owned()))
    }
}

impl FromInput for PathBuf {
    fn from_input(input: Input<'_>) -> Result<Self, Vec<Wrong>> {
        match text_of(input) {
            Some("") => Err(vec![Wrong::new("is empty", "name a file or folder, or leave the key out")]),
            Some(text) if text.contains('\0') => Err(vec![Wrong::new("has a NUL character in it", "remove it")]),
            Some(text) => Ok(Self::from(text)),
            None => must_be("a path", input, "\"/srv/brand\""),
        }
    }
}

impl FromInput for bool {
    fn from_input(input: Input<'_>) -> Result<Self, Vec<Wrong>> {
        match input {
            Input::Toml(DeValue::Boolean(value)) => Ok(*value),
            // Of a variable, in any case: Python and YAML write `True`.
            Input::Text(text) => match text.trim().to_ascii_lowercase().as_str() {
                "true" | "1" | "yes" | "on" => Ok(true),
                "false" | "0" | "no" | "off" => Ok(false),
                _ => must_be("true or false", input, "true"),
            },
            _ => must_be("true or false", input, "true"),
        }
    }
}

impl FromInput for u64 {
    fn from_input(input: Input<'_>) -> Result<Self, Vec<Wrong>> {
        let value = match input {
            Input::Toml(DeValue::Integer(value)) => Self::from_str_radix(value.as_str(), value.radix()).ok(),
            Input::Text(text) => text.trim().replace('_', "").parse().ok(),
            Input::Toml(_) => None,
        };
        value.map_or_else(|| must_be("a whole number that is not negative", input, "25"), Ok)
    }
}

impl FromInput for f64 {
    fn from_input(input: Input<'_>) -> Result<Self, Vec<Wrong>> {
        let value = match input {
            Input::Toml(DeValue::Integer(value)) if value.radix() == 10 => value.as_str().parse().ok(),
            Input::Toml(DeValue::Float(value)) => value.as_str().parse().ok(),
            Input::Text(text) => text.trim().parse().ok(),
            Input::Toml(_) => None,
        };
        value.filter(|number: &Self| number.is_finite()).map_or_else(|| must_be("a number", input, "0.8"), Ok)
    }
}

impl FromInput for Duration {
    fn from_input(input: Input<'_>) -> Result<Self, Vec<Wrong>> {
        text_of(input).and_then(parse_duration).map_or_else(
            || must_be("a duration with a unit", input, "\"500ms\", \"2s\", \"30m\", \"1h\" or \"1d\""),
            Ok,
        )
    }
}

/// A friendly duration ("2s", "1h 30m", "1d"); a day is 24 hours.
#[must_use]
pub fn parse_duration(text: &str) -> Option<Duration> {
    let span: jiff::Span = text.trim().parse().ok()?;
    let duration = span.to_duration(jiff::SpanRelativeTo::days_are_24_hours()).ok()?;
    Duration::try_from(duration).ok()
}

/// A number of bytes, such as `"8MB"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bytes(pub u64);

impl FromInput for Bytes {
    fn from_input(input: Input<'_>) -> Result<Self, Vec<Wrong>> {
        let size = match input {
            Input::Toml(DeValue::Integer(_)) => u64::from_input(input).ok(),
            _ => text_of(input).and_then(|text| text.trim().parse::<bytesize::ByteSize>().ok()).map(|size| size.0),
        };
        match size {
            Some(0) => Err(vec![Wrong::new("must be more than nothing", "leave the key out for no limit")]),
            Some(bytes) => Ok(Self(bytes)),
            None => must_be("a size in bytes", input, "\"8MB\" or \"500KiB\""),
        }
    }
}

impl<T: FromInput> FromInput for Vec<T> {
    /// In the environment the items are separated by commas; a comma inside braces separates nothing, so that
    /// `**/*.{png,jpg}` is one item.
    fn from_input(input: Input<'_>) -> Result<Self, Vec<Wrong>> {
        let mut items = Self::new();
        let mut wrongs = Vec::new();
        let mut take = |read: Result<T, Vec<Wrong>>, span: Option<Range<usize>>| match read {
            Ok(item) => items.push(item),
            Err(found) => wrongs.extend(found.into_iter().map(|wrong| Wrong {
                message: format!("has an item that {}", wrong.message),
                span: wrong.span.or_else(|| span.clone()),
                ..wrong
            })),
        };
        match input {
            Input::Toml(DeValue::Array(values)) => {
                for value in values.iter() {
                    take(T::from_input(Input::Toml(value.get_ref())), Some(value.span()));
                }
            }
            Input::Toml(value) => {
                let message = format!("must be a list, but is {}", kind(value));
                return Err(vec![Wrong::new(message, "put it in brackets: [\"…\"]")]);
            }
            Input::Text(text) => {
                for item in split_list(text) {
                    take(T::from_input(Input::Text(item)), None);
                }
            }
        }
        if wrongs.is_empty() { Ok(items) } else { Err(wrongs) }
    }
}

fn split_list(text: &str) -> impl Iterator<Item = &str> {
    let mut depth = 0_i32;
    text.split(move |c| {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        c == ',' && depth <= 0
    })
    .map(str::trim)
    .filter(|item| !item.is_empty())
}

impl<T: Choice> FromInput for T {
    fn from_input(input: Input<'_>) -> Result<Self, Vec<Wrong>> {
        let names = || Self::ALL.iter().map(|choice| choice.as_str());
        let Some(text) = text_of(input) else {
            let example = names().next().unwrap_or_default();
            return must_be("a string", input, &format!("\"{example}\""));
        };
        let known = Self::ALL.iter().copied().find(|choice| choice.as_str() == text.trim());
        known.ok_or_else(|| {
            let list = names().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(", ");
            let advice = nearest(text, names()).map_or_else(String::new, |near| format!("did you mean \"{near}\"?"));
            vec![Wrong::new(format!("must be one of {list}, but is \"{}\"", shown(text)), advice)]
        })
    }
}

impl FromInput for MaxDelete {
    fn from_input(input: Input<'_>) -> Result<Self, Vec<Wrong>> {
        if let Some((files, percent)) = text_of(input).and_then(|text| text.split_once(',')) {
            let both = (Self::from_input(Input::Text(files.trim()))?, Self::from_input(Input::Text(percent.trim()))?);
            return match both {
                (Self::Files(files), Self::Percent(percent)) => Ok(Self::Both(files, percent)),
                _ => must_be("a number of files and a percentage", input, "\"25, 10%\""),
            };
        }
        if let Some(percent) = text_of(input).and_then(|text| text.trim().strip_suffix('%')) {
            let percent = percent.trim().parse::<f64>().ok().filter(|percent| (0.0..=100.0).contains(percent));
            return percent
                .map(Self::Percent)
                .ok_or_else(|| vec![Wrong::new("must be between 0% and 100%", "for example \"10%\"")]);
        }
        match u64::from_input(input) {
            Ok(files) => Ok(Self::Files(files)),
            Err(_) => {
                must_be("a number of files or a percentage", input, "25, \"10%\", or \"25, 10%\" for the less of both")
            }
        }
    }
}

impl FromInput for Collections {
    fn from_input(input: Input<'_>) -> Result<Self, Vec<Wrong>> {
        match text_of(input).map(str::trim) {
            Some("none") => Ok(Self::None),
            Some("mirror") => Ok(Self::Mirror),
            Some(path) => {
                let labels: Vec<_> = path.split('/').map(str::trim).collect();
                if labels.iter().any(|label| label.is_empty() || label.chars().any(char::is_control)) {
                    let message = "must be \"none\", \"mirror\" or the path of a collection";
                    return Err(vec![Wrong::new(message, "for example \"Some/Collection\", no slash at either end")]);
                }
                Ok(Self::Into(labels.join("/")))
            }
            None => must_be("a string", input, "\"none\", \"mirror\" or \"Some/Collection\""),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::policy::OnDelete;

    fn read<T: FromInput>(toml: &str) -> Result<T, String> {
        let value = DeValue::parse(toml).unwrap();
        T::from_input(Input::Toml(value.get_ref())).map_err(|wrongs| wrongs[0].message.clone())
    }

    #[test]
    fn durations_and_sizes_need_their_units() {
        for (text, ms) in
            [("\"2s\"", 2000), ("\"500ms\"", 500), ("\"1h 30m\"", 5_400_000), ("\"1d\"", 86_400_000), ("\"0s\"", 0)]
        {
            assert_eq!(read::<Duration>(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        for text in ["2", "\"2\"", "\"-2s\"", "\"soon\"", "true", "[]", "\"\"", "\"1mo\""] {
            assert!(read::<Duration>(text).is_err(), "{text}");
        }
        for (text, bytes) in [("\"8MB\"", 8_000_000), ("\"1KiB\"", 1024), ("77", 77)] {
            assert_eq!(read::<Bytes>(text), Ok(Bytes(bytes)), "{text}");
        }
        for text in ["\"0\"", "0", "-1", "\"fast\"", "1.5"] {
            assert!(read::<Bytes>(text).is_err(), "{text}");
        }
    }

    #[test]
    fn numbers_keep_to_their_kind() {
        assert_eq!(read::<u64>("50_000"), Ok(50_000));
        assert_eq!(read::<u64>("0x10"), Ok(16));
        assert_eq!(read::<f64>("1"), Ok(1.0));
        assert_eq!(read::<f64>("0.8"), Ok(0.8));
        for text in ["-1", "1.0", "\"1\"", "99999999999999999999"] {
            assert!(read::<u64>(text).is_err(), "{text}");
        }
        for text in ["nan", "inf", "\"0.8\""] {
            assert!(read::<f64>(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_choice_names_all_choices_and_the_nearest() {
        assert_eq!(read::<OnDelete>("\"tag\""), Ok(OnDelete::Tag));
        let value = DeValue::parse("\"delet\"").unwrap();
        let wrong = OnDelete::from_input(Input::Toml(value.get_ref())).unwrap_err().remove(0);
        assert_eq!(wrong.message, "must be one of \"keep\", \"tag\", \"delete\", but is \"delet\"");
        assert_eq!(wrong.advice, "did you mean \"delete\"?");
    }

    #[test]
    fn deletion_guards_and_collections() {
        assert_eq!(read::<MaxDelete>("25"), Ok(MaxDelete::Files(25)));
        assert_eq!(read::<MaxDelete>("\"10%\""), Ok(MaxDelete::Percent(10.0)));
        assert_eq!(MaxDelete::from_input(Input::Text("7")), Ok(MaxDelete::Files(7)));
        assert_eq!(read::<MaxDelete>("\"25, 10%\""), Ok(MaxDelete::default()));
        for text in ["\"10%, 25\"", "\"25, 10\"", "\"25,\"", "\"101%\"", "\"x%\"", "-1", "\"few\"", "1.5"] {
            assert!(read::<MaxDelete>(text).is_err(), "{text}");
        }
        assert_eq!(read::<Collections>("\"Some / Place\""), Ok(Collections::Into("Some/Place".into())));
        for text in ["\"\"", "\"/a\"", "\"a//b\"", "3"] {
            assert!(read::<Collections>(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_list_in_a_variable_is_split_outside_braces() {
        let items = Vec::<String>::from_input(Input::Text("**/*.{png,jpg}, b ,,{dir}")).unwrap();
        assert_eq!(items, ["**/*.{png,jpg}", "b", "{dir}"]);
        assert_eq!(read::<Vec<String>>("[\"a\", 1, \"b\", true]").unwrap_err().matches("item").count(), 1);
        assert_eq!(
            Vec::<String>::from_input(Input::Toml(DeValue::parse("[1, 2]").unwrap().get_ref())).unwrap_err().len(),
            2
        );
    }
}
