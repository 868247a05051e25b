//! Text with placeholders: `"© {year} Example"`.
//!
//! Owns: the placeholders, their syntax, and how a template becomes a text or tags. Never does: knowing where a
//! template was written, reading files. Imports nothing of ours.

use std::fmt;

/// What a `{name}` stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Placeholder {
    /// The folders on the way from the mirror's root.
    Dir,
    /// The file's extension without its dot, in lower case.
    Ext,
    /// The mirror's name.
    Mirror,
    /// The file's name without its extension.
    Stem,
    /// The file's name.
    Filename,
    /// The year given by the caller.
    Year,
    /// The title in the file.
    Title,
    /// The description in the file.
    Description,
    /// The alternative text in the file.
    Alt,
    /// The creator in the file.
    Creator,
    /// The rights line in the file.
    Rights,
}

impl Placeholder {
    /// All placeholders and their names.
    pub const ALL: [(&'static str, Self); 11] = [
        ("dir", Self::Dir),
        ("ext", Self::Ext),
        ("mirror", Self::Mirror),
        ("stem", Self::Stem),
        ("filename", Self::Filename),
        ("year", Self::Year),
        ("title", Self::Title),
        ("description", Self::Description),
        ("alt", Self::Alt),
        ("creator", Self::Creator),
        ("rights", Self::Rights),
    ];
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Part {
    Text(String),
    Placeholder(Placeholder),
}

/// A parsed template.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Template(Vec<Part>);

/// Why a text is no template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// No placeholder has this name.
    #[error("has an unknown placeholder {{{0}}}")]
    Unknown(String),
    /// A `{` without its `}`, or the reverse.
    #[error("has a single `{0}`")]
    Unbalanced(char),
}

/// The values a template is filled from.
pub trait Values {
    /// The value of `placeholder`; empty when there is none. Not asked for [`Placeholder::Dir`].
    fn value(&self, placeholder: Placeholder) -> String;
    /// The folders on the way, outermost first.
    fn folders(&self) -> Vec<&str>;
}

impl Template {
    /// Parses a text; `{{` and `}}` stand for a brace.
    ///
    /// # Errors
    /// When a placeholder is unknown or a brace stands alone.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            literal.push_str(&rest[..at]);
            let (brace, after) = rest[at..].split_at(1);
            if let Some(after) = after.strip_prefix(brace) {
                literal.push_str(brace);
                rest = after;
            } else if brace == "{" {
                let (name, after) = after.split_once('}').ok_or(TemplateError::Unbalanced('{'))?;
                let known = Placeholder::ALL.iter().find(|(known, _)| *known == name.trim());
                let (_, placeholder) = known.ok_or_else(|| TemplateError::Unknown(name.to_owned()))?;
                if !literal.is_empty() {
                    parts.push(Part::Text(std::mem::take(&mut literal)));
                }
                parts.push(Part::Placeholder(*placeholder));
                rest = after;
            } else {
                return Err(TemplateError::Unbalanced('}'));
            }
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            parts.push(Part::Text(literal));
        }
        Ok(Self(parts))
    }

    /// The template that is exactly this text.
    #[must_use]
    pub fn literal(text: &str) -> Self {
        if text.is_empty() { Self::default() } else { Self(vec![Part::Text(text.to_owned())]) }
    }

    /// Whether it was written as `""`, which says "none".
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.0.is_empty()
    }

    /// The text, with the folders joined by `/`; `None` when a placeholder has no value or the result is blank, so
    /// that "Photo: {creator}" never becomes "Photo: ".
    #[must_use]
    pub fn text(&self, values: &impl Values) -> Option<String> {
        self.fill(values, &values.folders().join("/"))
    }

    /// The tags: one for each folder on the way when `{dir}` is in it, else one; those without a value are dropped.
    #[must_use]
    pub fn tags(&self, values: &impl Values) -> Vec<String> {
        if self.0.contains(&Part::Placeholder(Placeholder::Dir)) {
            values.folders().into_iter().filter_map(|folder| self.fill(values, folder)).collect()
        } else {
            self.fill(values, "").into_iter().collect()
        }
    }

    fn fill(&self, values: &impl Values, dir: &str) -> Option<String> {
        let mut text = String::new();
        for part in &self.0 {
            match part {
                Part::Text(literal) => text.push_str(literal),
                Part::Placeholder(placeholder) => {
                    let value =
                        if *placeholder == Placeholder::Dir { dir.to_owned() } else { values.value(*placeholder) };
                    if value.trim().is_empty() {
                        return None;
                    }
                    text.push_str(value.trim());
                }
            }
        }
        let text = text.trim();
        (!text.is_empty()).then(|| text.to_owned())
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in &self.0 {
            match part {
                Part::Text(text) => f.write_str(&text.replace('{', "{{").replace('}', "}}"))?,
                Part::Placeholder(placeholder) => {
                    let name = Placeholder::ALL.iter().find(|(_, known)| known == placeholder);
                    write!(f, "{{{}}}", name.map_or("", |(name, _)| name))?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Sample;

    impl Values for Sample {
        fn value(&self, placeholder: Placeholder) -> String {
            match placeholder {
                Placeholder::Ext => "png".into(),
                Placeholder::Title => " A title ".into(),
                Placeholder::Year => "2026".into(),
                _ => String::new(),
            }
        }

        fn folders(&self) -> Vec<&str> {
            vec!["brand", "logos"]
        }
    }

    #[test]
    fn templates_fill() {
        for (template, text, tags) in [
            ("", None, vec![]),
            ("  ", None, vec![]),
            ("plain", Some("plain"), vec!["plain"]),
            ("{ext}", Some("png"), vec!["png"]),
            ("© {year} Example", Some("© 2026 Example"), vec!["© 2026 Example"]),
            ("{ title }!", Some("A title!"), vec!["A title!"]),
            ("Photo: {creator}", None, vec![]),
            ("{dir}", Some("brand/logos"), vec!["brand", "logos"]),
            ("in:{dir}.{ext}", Some("in:brand/logos.png"), vec!["in:brand.png", "in:logos.png"]),
            ("{{dir}}", Some("{dir}"), vec!["{dir}"]),
            ("a}}b{{", Some("a}b{"), vec!["a}b{"]),
            ("{{{ext}}}", Some("{png}"), vec!["{png}"]),
        ] {
            let parsed = Template::parse(template).unwrap();
            assert_eq!(parsed.text(&Sample).as_deref(), text, "{template}");
            assert_eq!(parsed.tags(&Sample), tags, "{template}");
            assert_eq!(Template::parse(&parsed.to_string()), Ok(parsed), "{template}");
        }
    }

    #[test]
    fn what_is_no_template_is_refused() {
        for (text, error) in [
            ("{nope}", TemplateError::Unknown("nope".into())),
            ("{}", TemplateError::Unknown(String::new())),
            ("{dir", TemplateError::Unbalanced('{')),
            ("dir}", TemplateError::Unbalanced('}')),
            ("{{dir}", TemplateError::Unbalanced('}')),
        ] {
            assert_eq!(Template::parse(text), Err(error), "{text}");
        }
        assert_eq!(TemplateError::Unknown("x".into()).to_string(), "has an unknown placeholder {x}");
    }

    #[test]
    fn a_literal_has_no_placeholders() {
        assert_eq!(Template::literal("{dir}").text(&Sample).as_deref(), Some("{dir}"));
        assert!(Template::literal("").is_none());
    }
}
