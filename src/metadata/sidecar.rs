//! Sidecar files: `NAME.EXT.meta.toml` for one file, `_folder.meta.toml` for a folder and all below.
//!
//! Owns: which of them are about a path, their keys and checks. Never does: reading the disk, merging.
//!
//! A sidecar file with a problem gives no values at all. Its file's metadata must then be left as it is: going on
//! without the sidecar would empty what it set before, only because someone is in the middle of typing.

use serde_json::{Value, json};
use toml::de::DeValue;

use crate::config::Problems;
use crate::config::document::{Document, Findings, Section};
use crate::config::layer::Layer;
use crate::config::problem::Place;
use crate::config::value::{FromInput, Input, Wrong, kind};
use crate::model::RelPath;

/// The sidecar file of a folder.
pub const FOLDER_NAME: &str = "_folder.meta.toml";
/// What follows a file's name in the name of its sidecar file.
pub const SUFFIX: &str = ".meta.toml";
/// No sidecar file is larger, in bytes.
pub const MAX_BYTES: usize = 1 << 20;

/// The content of a sidecar file.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Sidecar {
    /// The keys that rules have too.
    pub layer: Layer,
    /// The point of an image to keep in view, each 0 to 1 from the upper left.
    pub focal_point: Option<(f64, f64)>,
    /// Seconds into a video.
    pub poster_time: Option<f64>,
    /// Who the service shows as the creator: `{"type","id"}`.
    pub creator: Option<Value>,
}

/// The keys of the sidecar files that are about `path`, lowest precedence first: folders from the root in, then its own.
#[must_use]
pub fn names_for(path: &RelPath) -> Vec<String> {
    let mut names = vec![FOLDER_NAME.to_owned()];
    let mut folder = String::new();
    for name in path.folders() {
        folder.push_str(name);
        folder.push('/');
        names.push(format!("{folder}{FOLDER_NAME}"));
    }
    names.push(format!("{}{SUFFIX}", path.key()));
    names
}

impl Sidecar {
    /// Reads the content of the sidecar file that people know as `name`.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn parse(name: &str, content: &[u8]) -> Result<Self, Problems> {
        if content.len() > MAX_BYTES {
            return Err(Problems::one(Place::Everywhere, format!("{name} is larger than 1 MiB"), "make it shorter"));
        }
        let text = std::str::from_utf8(content)
            .map_err(|_| Problems::one(Place::Everywhere, format!("{name} is not valid UTF-8"), "save it as UTF-8"))?;
        let document = Document::new(name, text);
        let findings = Findings::default();
        let sidecar = document.parse(&findings).map(|table| {
            let mut section = Section::root(&document, &table, &findings);
            let sidecar = Self::read(&mut section);
            section.finish();
            sidecar
        });
        let (problems, _) = findings.into_parts();
        if problems.0.is_empty() { Ok(sidecar.unwrap_or_default()) } else { Err(problems) }
    }

    /// Reads the sidecar keys of a section that may have others.
    pub fn read(section: &mut Section<'_>) -> Self {
        let layer = Layer::read(section);
        let focal_point = section.get::<FocalPoint>("focal_point").map(|found| found.value.0);
        let poster_time = section.check("poster_time", |seconds: f64| {
            let wrong = || Wrong::new("must not be negative", "it counts seconds from the video's beginning");
            (seconds >= 0.0).then_some(seconds).ok_or_else(wrong)
        });
        let creator = section.get::<Creator>("creator").map(|found| found.value.0);
        Self { layer, focal_point, poster_time: poster_time.map(|found| found.value), creator }
    }
}

struct FocalPoint((f64, f64));

impl FromInput for FocalPoint {
    fn from_input(input: Input<'_>) -> Result<Self, Vec<Wrong>> {
        let example = "for example focal_point = { x = 0.5, y = 0.25 }";
        let mut read = Table::new(input, ["x", "y"], example)?;
        let mut coordinate = |key| {
            let number = read.get::<f64>(key)?;
            if (0.0..=1.0).contains(&number) {
                Some(number)
            } else {
                read.wrong(key, "must be between 0 and 1");
                None
            }
        };
        let (x, y) = (coordinate("x"), coordinate("y"));
        match (x, y, read.wrongs.is_empty()) {
            (Some(x), Some(y), true) => Ok(Self((x, y))),
            _ => Err(read.wrongs),
        }
    }
}

struct Creator(Value);

/// The service's types of creators. Source: relationships.creator of an upload in the API reference.
const CREATORS: [&str; 5] = ["account", "user", "sso_user", "access_token", "organization"];

impl FromInput for Creator {
    fn from_input(input: Input<'_>) -> Result<Self, Vec<Wrong>> {
        let mut read = Table::new(input, ["type", "id"], "for example creator = { type = \"user\", id = \"312\" }")?;
        let (kind, id) = (read.get::<String>("type"), read.get::<String>("id"));
        if kind.as_deref().is_some_and(|kind| !CREATORS.contains(&kind)) {
            read.wrong("type", &format!("must be one of {}", CREATORS.join(", ")));
        }
        if id.as_deref().is_some_and(|id| id.trim().is_empty()) {
            read.wrong("id", "must not be empty");
        }
        match (kind, id, read.wrongs.is_empty()) {
            (Some(kind), Some(id), true) => Ok(Self(json!({"type": kind, "id": id.trim()}))),
            _ => Err(read.wrongs),
        }
    }
}

/// A small table whose keys are all needed.
struct Table<'a> {
    table: &'a toml::de::DeTable<'a>,
    example: &'static str,
    wrongs: Vec<Wrong>,
}

impl<'a> Table<'a> {
    fn new<const N: usize>(
        input: Input<'a>,
        keys: [&'static str; N],
        example: &'static str,
    ) -> Result<Self, Vec<Wrong>> {
        let Input::Toml(DeValue::Table(table)) = input else {
            let is = if let Input::Toml(value) = input { kind(value) } else { "text" };
            return Err(vec![Wrong::new(format!("must be a table, but is {is}"), example)]);
        };
        let mut wrongs = Vec::new();
        for (name, _) in table.iter().filter(|(name, _)| !keys.contains(&name.get_ref().as_ref())) {
            let message = format!("has an unknown key `{}`", crate::config::value::shown(name.get_ref()));
            wrongs.push(Wrong { span: Some(name.span()), ..Wrong::new(message, example) });
        }
        Ok(Self { table, example, wrongs })
    }

    fn get<T: FromInput>(&mut self, key: &str) -> Option<T> {
        let Some((_, value)) = self.table.iter().find(|(name, _)| name.get_ref().as_ref() == key) else {
            self.wrongs.push(Wrong::new(format!("has no `{key}`"), self.example));
            return None;
        };
        match T::from_input(Input::Toml(value.get_ref())) {
            Ok(read) => Some(read),
            Err(wrongs) => {
                self.wrongs.extend(wrongs.into_iter().map(|wrong| Wrong {
                    message: format!("has a wrong `{key}`: it {}", wrong.message),
                    span: Some(value.span()),
                    ..wrong
                }));
                None
            }
        }
    }

    fn wrong(&mut self, key: &str, message: &str) {
        let value = self.table.iter().find(|(name, _)| name.get_ref().as_ref() == key);
        let span = value.map(|(_, value)| value.span());
        let message = format!("has a wrong `{key}`: it {message}");
        self.wrongs.push(Wrong { span, ..Wrong::new(message, self.example) });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::layer::CustomValue;
    use crate::config::template::Template;

    #[test]
    fn every_key_is_read() {
        let sidecar = Sidecar::parse(
            "a.jpg.meta.toml",
            br#"
tags = ["hero", "{dir}"]
author = "Ann"
copyright = ""
notes = "n"
poster_time = 12
focal_point = { x = 0, y = 0.25 }
creator = { type = "user", id = "312" }
[alt]
en = "A dog"
[title]
en = "Dog"
[custom_data.en]
list = [1, 2.5, "x", { a = true }]
when = 2026-01-02
text = "{stem}"
"#,
        )
        .unwrap();
        assert_eq!((sidecar.focal_point, sidecar.poster_time), (Some((0.0, 0.25)), Some(12.0)));
        assert_eq!(sidecar.creator, Some(json!({"type": "user", "id": "312"})));
        assert_eq!(sidecar.layer.tags.len(), 2);
        assert!(sidecar.layer.copyright.unwrap().is_none());
        assert_eq!(sidecar.layer.alt["en"], Template::literal("A dog"));
        let custom = &sidecar.layer.custom_data["en"];
        assert_eq!(custom["list"], CustomValue::Json(json!([1, 2.5, "x", {"a": true}])));
        assert_eq!(custom["when"], CustomValue::Json(json!("2026-01-02")));
        assert_eq!(custom["text"], CustomValue::Text(Template::parse("{stem}").unwrap()));
    }

    #[test]
    fn all_that_is_wrong_is_told_with_its_place() {
        let toml = "tag = [\"x\"]\nauthor = 3\nfocal_point = { x = 2, z = 1 }\nposter_time = -1\ncreator = \"me\"\n[alt]\nen = \"{nme}\"\n[custom_data]\nen = 3\n";
        let problems = Sidecar::parse("x/a.jpg.meta.toml", toml.as_bytes()).unwrap_err();
        let lines: Vec<_> = problems.0.iter().map(ToString::to_string).collect();
        insta::assert_snapshot!(lines.join("\n"), @r#"
    x/a.jpg.meta.toml:1:1: unknown key `tag` in the file (did you mean `tags`?)
    x/a.jpg.meta.toml:2:10: `author` must be a string, but is an integer (for example "text")
    x/a.jpg.meta.toml:3:15: `focal_point` has no `y` (for example focal_point = { x = 0.5, y = 0.25 })
    x/a.jpg.meta.toml:3:21: `focal_point` has a wrong `x`: it must be between 0 and 1 (for example focal_point = { x = 0.5, y = 0.25 })
    x/a.jpg.meta.toml:3:24: `focal_point` has an unknown key `z` (for example focal_point = { x = 0.5, y = 0.25 })
    x/a.jpg.meta.toml:4:15: `poster_time` must not be negative (it counts seconds from the video's beginning)
    x/a.jpg.meta.toml:5:11: `creator` must be a table, but is a string (for example creator = { type = "user", id = "312" })
    x/a.jpg.meta.toml:7:6: `alt.en` has an unknown placeholder {nme} (known are {dir}, {ext}, {mirror}, {stem}, {filename}, {year}, {title}, {description}, {alt}, {creator}, {rights})
    x/a.jpg.meta.toml:9:6: `custom_data.en` must be a table, but is an integer (write it as one table for each locale)
    "#);
        for content in [&b"\xff\xfe"[..], &[b'#'; MAX_BYTES + 1], b"= 3", b"[[[["] {
            assert!(Sidecar::parse("a", content).is_err());
        }
        assert_eq!(Sidecar::parse("a", b"").unwrap(), Sidecar::default());
    }

    #[test]
    fn a_path_has_its_sidecar_files_in_order() {
        let names = names_for(&RelPath::from_key("a/b/c.png").unwrap());
        assert_eq!(names, ["_folder.meta.toml", "a/_folder.meta.toml", "a/b/_folder.meta.toml", "a/b/c.png.meta.toml"]);
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_give_values_or_problems(content: Vec<u8>, text in "[a-z_.\\[\\]{}=\" 0-9\n]{0,80}") {
            for content in [&content[..], text.as_bytes()] {
                let _ = Sidecar::parse("a", content).map_err(|problems| problems.to_string());
            }
        }
    }
}
