//! What `init` was told, by flags, by the environment, or by a person who is asked.
//!
//! Owns: which questions there are, their order, and what is right as an answer. Whoever is asked is a parameter. Never
//! does: reading a terminal, writing a file, calling the service.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use super::policies::{POLICIES, Policy};
use crate::config::api::{TOKEN_VARIABLE, environment_name, valid_token};
use crate::config::mirror::{default_name, valid_name};
use crate::config::value::{FromInput as _, Input, Wrong};

/// Whoever answers questions.
pub trait Person {
    /// Asks, and returns the line that was typed.
    ///
    /// # Errors
    /// When no answer can come any more.
    fn line(&mut self, question: &str) -> io::Result<String>;
    /// As [`Person::line`], for what nobody who looks on may read.
    ///
    /// # Errors
    /// As [`Person::line`].
    fn secret(&mut self, question: &str) -> io::Result<String>;
    /// Says something.
    fn say(&mut self, text: &str);
}

/// Where the token comes from.
#[derive(Clone, PartialEq, Eq)]
pub enum TokenSource {
    /// `$DATOCMS_API_TOKEN` or the systemd credential: nothing is in the configuration.
    Surroundings,
    /// A file that is there.
    File(PathBuf),
    /// A file that is written with this token.
    Saved(PathBuf, String),
}

impl fmt::Debug for TokenSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Surroundings => f.write_str("Surroundings"),
            Self::File(path) => write!(f, "File({path:?})"),
            Self::Saved(path, _) => write!(f, "Saved({path:?}, …)"),
        }
    }
}

/// What is known of the answers; what is `None` was not given.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answers {
    /// The folder to mirror, absolute.
    pub root: Option<PathBuf>,
    /// The mirror's name.
    pub name: Option<String>,
    /// The token's source.
    pub token: Option<TokenSource>,
    /// The environment; the inner `None` is the primary one.
    pub environment: Option<Option<String>>,
    /// The policies that were given.
    pub policies: Vec<(&'static str, String)>,
}

/// What the questions depend on.
pub struct Facts<'a> {
    /// Whether `$DATOCMS_API_TOKEN` or the systemd credential has a token.
    pub has_token: bool,
    /// Where a token is written when no file is named.
    pub token_file: Option<PathBuf>,
    /// Whether a token may be written.
    pub may_save: bool,
    /// Makes a path absolute, or says why it cannot.
    pub absolute: &'a dyn Fn(&str) -> Result<PathBuf, String>,
    /// Whether a path is a folder.
    pub is_folder: &'a dyn Fn(&Path) -> bool,
    /// Whether a path is a file, or anything else that can be read.
    pub is_file: &'a dyn Fn(&Path) -> bool,
}

/// The flags that are missing where nobody can be asked, each with what it says.
#[must_use]
pub fn missing(answers: &Answers, has_token: bool, offline: bool) -> Vec<String> {
    let mut all = Vec::new();
    if answers.root.is_none() {
        all.push("--root DIR: the folder to mirror".to_owned());
    }
    if answers.token.is_none() && !has_token && !offline {
        all.push(format!(
            "--token-file FILE: the file that holds the API token, if ${TOKEN_VARIABLE} is not set (or --offline, to check \
             nothing)"
        ));
    }
    all
}

/// Asks for what was not given.
///
/// # Errors
/// When no answer can come any more.
pub fn ask(answers: &mut Answers, person: &mut dyn Person, facts: &Facts<'_>) -> io::Result<()> {
    if answers.root.is_none() {
        let folder = |text: &str| match (facts.absolute)(text)? {
            path if !(facts.is_folder)(&path) => Err(format!("there is no folder {}", path.display())),
            path => Ok(path),
        };
        answers.root = Some(until_right(person, "The folder to mirror", None, folder)?);
    }
    if answers.name.is_none() {
        let suggested = answers.root.as_deref().map(default_name);
        person.say("Assets are found by the name of the mirror: it must never change.");
        let name = |text: &str| valid_name(text.to_owned()).map_err(told);
        answers.name = Some(until_right(person, "Its name", suggested.as_deref(), name)?);
    }
    ask_access(answers, person, facts)?;
    if answers.policies.is_empty() {
        person.say("By default nothing is deleted, URLs stay, and what editors did is reported and left alone.");
        if !until_right(person, "Keep it so? yes or no", Some("yes"), yes_or_no)? {
            for policy in &POLICIES {
                let value = |text: &str| policy_value(policy, text);
                let value = until_right(person, policy.asks, Some(policy.default()), value)?;
                answers.policies.push((policy.key, value));
            }
        }
    }
    Ok(())
}

/// Asks for token and environment, as far as they were not given.
///
/// # Errors
/// When no answer can come any more.
pub fn ask_access(answers: &mut Answers, person: &mut dyn Person, facts: &Facts<'_>) -> io::Result<()> {
    if answers.token.is_none() {
        answers.token = Some(ask_token(person, facts)?);
    }
    if answers.environment.is_none() {
        let environment = |text: &str| match text {
            "primary" => Ok(None),
            name => environment_name(name).map(Some).map_err(told),
        };
        let question = "The environment of the project";
        answers.environment = Some(until_right(person, question, Some("primary"), environment)?);
    }
    Ok(())
}

fn ask_token(person: &mut dyn Person, facts: &Facts<'_>) -> io::Result<TokenSource> {
    let mut ways = vec!["file"];
    let mut question = "The API token: the path of a file that holds it (file)".to_owned();
    if facts.may_save {
        ways.push("type");
        question.push_str(", type it now and have it kept in a file that only you can read (type)");
    }
    ways.push("environment");
    question.push_str(&format!(", or ${TOKEN_VARIABLE} at each run (environment)"));
    let usual = match (facts.has_token, facts.may_save) {
        (true, _) => "environment",
        (false, true) => "type",
        (false, false) => "file",
    };
    let way = |text: &str| ways.iter().copied().find(|way| *way == text).ok_or_else(|| one_of(&ways));
    match until_right(person, &question, Some(usual), way)? {
        "file" => {
            let file = |text: &str| match (facts.absolute)(text)? {
                path if !(facts.is_file)(&path) => Err(format!("there is no file {}", path.display())),
                path => Ok(path),
            };
            Ok(TokenSource::File(until_right(person, "The file that holds the token", None, file)?))
        }
        "type" => {
            let suggested = facts.token_file.as_deref().and_then(Path::to_str);
            let file = |text: &str| match (facts.absolute)(text)? {
                path if (facts.is_file)(&path) => Err(format!("{} is there already; name another", path.display())),
                path => Ok(path),
            };
            let file = until_right(person, "The file to keep it in", suggested, file)?;
            loop {
                match valid_token(&person.secret("The token (it is not shown)")?) {
                    Ok(token) => return Ok(TokenSource::Saved(file, token)),
                    Err(why) => person.say(&format!("that {why}")),
                }
            }
        }
        _ => Ok(TokenSource::Surroundings),
    }
}

/// Asks until the answer is right; an empty one is the default.
fn until_right<T>(
    person: &mut dyn Person,
    question: &str,
    default: Option<&str>,
    right: impl Fn(&str) -> Result<T, String>,
) -> io::Result<T> {
    let question = default.map_or_else(|| format!("{question}: "), |default| format!("{question} [{default}]: "));
    loop {
        let line = person.line(&question)?;
        let answer = match (line.trim(), default) {
            ("", None) => continue,
            ("", Some(default)) => default,
            (answer, _) => answer,
        };
        match right(answer) {
            Ok(value) => return Ok(value),
            Err(why) => person.say(&why),
        }
    }
}

fn yes_or_no(text: &str) -> Result<bool, String> {
    match text.to_lowercase().as_str() {
        "y" | "yes" => Ok(true),
        "n" | "no" => Ok(false),
        _ => Err(one_of(&["yes", "no"])),
    }
}

fn policy_value(policy: &Policy, text: &str) -> Result<String, String> {
    if policy.key == "collections" {
        return collections(text);
    }
    let known = policy.values();
    known.iter().find(|value| **value == text).map(|value| (*value).to_owned()).ok_or_else(|| one_of(&known))
}

/// A way to use collections, as the configuration takes it.
///
/// # Errors
/// What is wrong with it.
pub fn collections(text: &str) -> Result<String, String> {
    let read = crate::config::policy::Collections::from_input(Input::Text(text));
    read.map(|_| text.trim().to_owned()).map_err(|wrongs| wrongs.into_iter().map(told).collect::<Vec<_>>().join("; "))
}

fn one_of(known: &[&str]) -> String {
    format!("answer one of these: {}", known.join(", "))
}

/// What is wrong with a value and what to do, in one line.
#[allow(clippy::needless_pass_by_value, reason = "the shape of a `map_err`")]
pub fn told(wrong: Wrong) -> String {
    format!("it {}: {}", wrong.message, wrong.advice)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Somebody who has all answers ready.
    struct Script {
        /// The last is given first.
        answers: Vec<&'static str>,
        heard: Vec<String>,
    }

    impl Person for Script {
        fn line(&mut self, question: &str) -> io::Result<String> {
            self.heard.push(question.to_owned());
            self.answers.pop().map(str::to_owned).ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
        }

        fn secret(&mut self, question: &str) -> io::Result<String> {
            self.line(question)
        }

        fn say(&mut self, text: &str) {
            self.heard.push(format!("- {text}"));
        }
    }

    fn asked(mut answers: Answers, has_token: bool, script: &[&'static str]) -> (io::Result<Answers>, Vec<String>) {
        let mut person = Script { answers: script.iter().rev().copied().collect(), heard: Vec::new() };
        let facts = Facts {
            has_token,
            token_file: Some("/home/me/.config/dato-mirror/token".into()),
            may_save: true,
            absolute: &|text| Ok(Path::new("/srv").join(text)),
            is_folder: &|path| path.ends_with("brand"),
            is_file: &|path| path.ends_with("there"),
        };
        let ended = ask(&mut answers, &mut person, &facts);
        if ended.is_ok() {
            assert_eq!(person.answers.len(), 0, "answers are left: {:#?}", person.heard);
        }
        (ended.map(|()| answers), person.heard)
    }

    fn fine(root: &str, name: &str, token: TokenSource) -> Answers {
        Answers {
            root: Some(root.into()),
            name: Some(name.into()),
            token: Some(token),
            environment: Some(None),
            policies: Vec::new(),
        }
    }

    #[test]
    fn each_way_to_answer_comes_to_what_was_meant() {
        let usual = fine("/srv/brand", "brand", TokenSource::Surroundings);
        let typed = TokenSource::Saved("/home/me/.config/dato-mirror/token".into(), "abc".into());
        let all_no: Vec<_> = POLICIES.iter().map(|policy| (policy.key, policy.default().to_owned())).collect();
        let mut other = all_no.clone();
        other[0].1 = "tag".into();
        other[6].1 = "A/B".into();
        for (script, has_token, expected) in [
            (vec!["brand", "", "", "", ""], true, usual.clone()),
            (
                vec!["", "brand", "Brand 2", "environment", "", "Y"],
                false,
                Answers { name: Some("Brand 2".into()), ..usual.clone() },
            ),
            // What is wrong is said and asked again.
            (vec!["nowhere", "brand", " ", "token", "", "", "perhaps", "yes"], true, usual.clone()),
            (vec!["brand", "", "", "", "abc", "", ""], false, fine("/srv/brand", "brand", typed)),
            (
                vec!["brand", "", "type", "there", "new", "a b", "abc", "", ""],
                true,
                fine("/srv/brand", "brand", TokenSource::Saved("/srv/new".into(), "abc".into())),
            ),
            (
                vec!["brand", "", "file", "gone", "there", "a b", "spring", ""],
                false,
                Answers {
                    environment: Some(Some("spring".into())),
                    ..fine("/srv/brand", "brand", TokenSource::File("/srv/there".into()))
                },
            ),
            (
                vec!["brand", "", "", "", "no", "", "", "", "", "", "", "", ""],
                true,
                Answers { policies: all_no, ..usual.clone() },
            ),
            (
                vec!["brand", "", "", "", "n", "remove", "tag", "", "", "", "", "", "/A", "A/B", ""],
                true,
                Answers { policies: other, ..usual },
            ),
        ] {
            let (answers, heard) = asked(Answers::default(), has_token, &script);
            assert_eq!(answers.unwrap(), expected, "{script:?}: {heard:#?}");
        }
    }

    #[test]
    fn what_flags_said_is_not_asked() {
        let mut given = fine("/srv/brand", "brand", TokenSource::Surroundings);
        given.policies.push(("on_delete", "tag".into()));
        let (answers, heard) = asked(given.clone(), false, &[]);
        assert_eq!((answers.unwrap(), heard), (given, Vec::new()));
    }

    #[test]
    fn no_more_answers_end_the_questions() {
        let (answers, _) = asked(Answers::default(), true, &["brand"]);
        assert_eq!(answers.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn without_a_person_each_missing_flag_is_named() {
        let named = |answers: &Answers, has_token, offline| -> Vec<String> {
            let all = missing(answers, has_token, offline);
            all.iter().map(|one| one.split(' ').next().unwrap().to_owned()).collect()
        };
        let none = Answers::default();
        let root = Answers { root: Some("/srv".into()), ..Answers::default() };
        assert_eq!(named(&none, false, false), ["--root", "--token-file"]);
        assert_eq!(named(&none, true, false), ["--root"]);
        assert_eq!(named(&root, false, false), ["--token-file"]);
        assert!(named(&root, false, true).is_empty() && named(&root, true, false).is_empty());
    }
}
