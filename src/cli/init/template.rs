//! The configuration that `init` writes.
//!
//! Owns: what was chosen, and its text: the example configuration with the chosen keys set and every other key commented
//! out, so that the comments have one source. Pure. Never does: reading or writing files; deciding what is chosen.

/// Every key with its default and what it is for.
const EXAMPLE: &str = include_str!("../../../config.example.toml");
/// What stands above the example's sections.
const HEADER: &str = "\
# dato-mirror: made by `dato-mirror init`. A key that is commented out has the default that it shows, or is an example.
# An unknown key is an error. Paths are relative to this file's folder; \"~/\" is your home.

";
/// Comments begin in this column, where there is room.
const COMMENTS: usize = 44;

/// What was chosen. All of it is text that the configuration's own parser accepts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    /// The folder as the file names it.
    pub root: String,
    /// The mirror's name.
    pub name: String,
    /// The service's address; `None` for the usual one.
    pub base_url: Option<String>,
    /// The project's environment; `None` for the primary one.
    pub environment: Option<String>,
    /// The file that holds the token; `None` where it comes from the environment.
    pub token_file: Option<String>,
    /// Keys of `[[mirror]]` with their values.
    pub policies: Vec<(&'static str, String)>,
}

impl Settings {
    /// The value of a key, if it was chosen.
    fn value(&self, section: &str, key: &str) -> Option<&str> {
        match (section, key) {
            ("[api]", "base_url") => self.base_url.as_deref(),
            ("[api]", "environment") => self.environment.as_deref(),
            ("[api]", "token_file") => self.token_file.as_deref(),
            ("[[mirror]]", "root") => Some(&self.root),
            ("[[mirror]]", "name") => Some(&self.name),
            ("[[mirror]]", _) => self.policies.iter().find(|(name, _)| *name == key).map(|(_, value)| value.as_str()),
            _ => None,
        }
    }
}

/// The file's text.
#[must_use]
pub fn render(settings: &Settings) -> String {
    let mut out = HEADER.to_owned();
    let mut section = "";
    for line in EXAMPLE.lines().skip_while(|line| !line.starts_with('[')) {
        if line.starts_with('[') {
            section = line;
        }
        let shown = match assignment(line) {
            None => line.to_owned(),
            Some((key, value, comment)) => match settings.value(section, key) {
                Some(value) => aligned(&format!("{key} = {}", quoted(value)), comment),
                None => aligned(&format!("# {key} = {value}"), comment),
            },
        };
        out.push_str(shown.trim_end());
        out.push('\n');
    }
    out
}

/// The key, value and comment of a line that sets a key, be it commented out. A line of prose sets none.
fn assignment(line: &str) -> Option<(&str, &str, &str)> {
    let bare = line.strip_prefix("# ").unwrap_or(line);
    let (key, rest) = bare.split_once(" = ")?;
    let is_key = !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    let (value, comment) = rest.find("  #").map_or((rest, ""), |at| rest.split_at(at));
    is_key.then(|| (key, value.trim_end(), comment.trim_start()))
}

fn aligned(code: &str, comment: &str) -> String {
    if comment.is_empty() { code.to_owned() } else { format!("{code:<width$}  {comment}", width = COMMENTS - 2) }
}

/// A string of TOML, whatever is in it.
fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::cli::init::policies::POLICIES;
    use crate::config::policy::{Collections, OnDelete};
    use crate::config::{Config, Environment, Mirror, Request, parse};

    fn read(settings: &Settings) -> Config {
        let text = render(settings);
        let variables = Environment::from_iter([("DATOCMS_API_TOKEN", "abc"), ("XDG_STATE_HOME", "/state")]);
        let request = Request { needs_token: true, cwd: "/srv".into(), ..Request::default() };
        parse(Path::new("/srv/dato-mirror.toml"), &text, &request, &variables)
            .unwrap_or_else(|problems| panic!("{problems}\n{text}"))
    }

    fn plain() -> Settings {
        Settings { root: "brand".into(), name: "brand".into(), ..Settings::default() }
    }

    #[test]
    fn what_is_not_chosen_has_its_default_and_every_key_is_there() {
        let config = read(&plain());
        let expected =
            Mirror { name_origin: config.mirrors[0].name_origin.clone(), ..Mirror::new("brand", "/srv/brand") };
        assert_eq!(config.mirrors, [Mirror { exclude: config.mirrors[0].exclude.clone(), ..expected }]);
        assert_eq!((config.api.environment, config.warnings), (None, Vec::<String>::new()));
        let text = render(&plain());
        for line in EXAMPLE.lines().skip_while(|line| !line.starts_with('[')) {
            let Some((key, ..)) = assignment(line) else { continue };
            let there = text.lines().filter_map(assignment).any(|(name, ..)| name == key);
            assert!(there, "{key} is missing:\n{text}");
        }
        insta::assert_snapshot!(text);
    }

    #[test]
    fn every_value_of_every_policy_is_read_as_it_was_chosen() {
        for policy in &POLICIES {
            assert_eq!(
                policy.values().first().copied(),
                Some(policy.default()),
                "{}: the safe one is first",
                policy.key
            );
            for value in policy.values() {
                let config = read(&Settings { policies: vec![(policy.key, value.to_owned())], ..plain() });
                let place = format!("mirror.brand.{}", policy.key);
                assert!(config.origins.contains_key(&place), "{place}: {:?}", config.origins);
                let told = format!("{:?}", config.mirrors[0]).to_lowercase().replace('_', "");
                assert!(told.contains(&value.replace('_', "")), "{value}: {told}");
            }
        }
        let chosen = vec![("on_delete", "delete".to_owned()), ("collections", "Some/Place".to_owned())];
        let mirror = read(&Settings { policies: chosen, ..plain() }).mirrors.remove(0);
        assert_eq!(mirror.on_delete, OnDelete::Delete);
        assert_eq!(mirror.collections, Collections::Into("Some/Place".into()));
    }

    #[test]
    fn odd_names_are_quoted_for_toml() {
        for odd in [
            "with space",
            "it's",
            "say \"hi\"",
            "both ' and \"",
            "back\\slash",
            "trailing\\",
            "Füße 日本 😀",
            "tab\there",
            "new\nline",
            "# no comment  # at all",
            "'''",
            "\"\"\"",
            "a = b",
            "{dir}",
            "./~/x",
            "\u{1b}[31m",
            "\u{feff}bom",
        ] {
            let mirror = read(&Settings { root: odd.to_owned(), ..plain() }).mirrors.remove(0);
            assert_eq!(mirror.root, Path::new("/srv").join(odd.trim_start_matches("./")), "{odd:?}");
            if !odd.chars().any(char::is_control) {
                let mirror = read(&Settings { name: odd.to_owned(), ..plain() }).mirrors.remove(0);
                assert_eq!(mirror.name, odd);
            }
        }
    }

    #[test]
    fn how_the_service_is_reached_is_written_where_it_was_chosen() {
        let settings = Settings {
            base_url: Some("http://127.0.0.1:3999".into()),
            environment: Some("spring-sale".into()),
            ..plain()
        };
        let config = read(&settings);
        assert_eq!(config.api.base_url, "http://127.0.0.1:3999");
        assert_eq!(config.api.environment.as_deref(), Some("spring-sale"));
        let text = render(&Settings { token_file: Some("/run/a \"token\"".into()), ..settings });
        let table: toml::Table = toml::from_str(&text).unwrap();
        assert_eq!(table["api"]["token_file"].as_str(), Some("/run/a \"token\""));
    }
}
