//! `init`: writes a configuration, after questions or from flags alone, and checks it first as `doctor` does.
//!
//! Owns: the order: what is given, what is asked, what is checked, what is written. Nothing is written before the
//! configuration's own parser has accepted it and, unless `--offline`, the service has accepted token and environment.

mod answers;
mod files;
pub mod policies;
mod surroundings;
mod template;
mod terminal;

use std::io::{self, BufRead as _};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::args::{Args, Format, Init};
use super::doctor::{self, Check, Level};
use super::show;
use crate::config::api::{BASE_URL, TOKEN_VARIABLE, TokenOrigin, environment_name, valid_token};
use crate::config::mirror::{default_name, valid_name};
use crate::config::{self, Config, Problems, Request};
use crate::error::Exit;
pub use answers::collections;
use answers::{Answers, Facts, Person, TokenSource, ask, ask_access, missing, told};
use files::{Readers, write};
use surroundings::Surroundings;
use template::{Settings, render};
use terminal::Terminal;

/// The file that is written when none is named.
const FILE: &str = "dato-mirror.toml";
/// What a file says goes before what this shell has of these, for they may be unset when the mirror runs.
const WRITTEN: [&str; 3] = ["DATO_MIRROR_API_BASE_URL", "DATO_MIRROR_API_ENVIRONMENT", "DATO_MIRROR_API_TOKEN_FILE"];

/// Why nothing was written.
enum Refused {
    /// Said here.
    Because(Exit, String),
    /// The configuration would be wrong.
    Problems(Problems),
}

fn usage(message: impl Into<String>) -> Refused {
    Refused::Because(Exit::Usage, message.into())
}

/// The result in `--format json`. These names are an interface: add, do not rename.
#[derive(Debug, Serialize)]
struct Answer<'a> {
    /// The file that was written.
    written: Option<&'a Path>,
    /// The file that would have been written, with `--print`.
    #[serde(skip_serializing_if = "Option::is_none")]
    configuration: Option<&'a str>,
    healthy: bool,
    checks: &'a [Check],
    next: &'a [String],
}

/// Runs.
pub async fn run(args: &Args, flags: &Init) -> Exit {
    match make(args, flags).await {
        Ok(exit) => exit,
        Err(Refused::Because(exit, message)) => {
            tracing::error!("{message}");
            exit
        }
        Err(Refused::Problems(problems)) => {
            super::run::tell(&problems);
            Exit::Usage
        }
    }
}

async fn make(args: &Args, flags: &Init) -> Result<Exit, Refused> {
    let around = Surroundings::of_process();
    let shown = args.global.config.clone().unwrap_or_else(|| FILE.into());
    let file = around.absolute(&shown).map_err(usage)?;
    if !flags.print && !flags.force && file.symlink_metadata().is_ok() {
        let path = shown.display();
        return Err(usage(format!(
            "{path} is there already: --force replaces it, --print shows what would be written, --config names another file"
        )));
    }
    let flagged = given(args, flags, &around)?;
    let mut answers = flagged.clone();
    let (has_token, absolute) = (around.has_token(), |text: &str| around.absolute(Path::new(text)));
    let facts = Facts {
        has_token,
        token_file: around.token_file(),
        may_save: !flags.print,
        absolute: &absolute,
        is_folder: &Path::is_dir,
        is_file: &|path| path.exists() && !path.is_dir(),
    };
    let mut person = Terminal::open();
    match &mut person {
        Some(person) => ask(&mut answers, person, &facts).map_err(|error| unanswered(&error))?,
        None => {
            let missing = missing(&answers, has_token, flags.offline);
            if !missing.is_empty() {
                let list = missing.join("\n  ");
                return Err(usage(format!("there is no terminal to ask on, and this is missing:\n  {list}")));
            }
        }
    }
    loop {
        let draft = Draft::new(&answers, &file, &around)?;
        // A person may say that the token is in the environment of the runs to come only.
        let can_check = draft.config.api.token_origin.is_some();
        if let Some(person) = person.as_mut().filter(|_| !flags.offline && !can_check) {
            person.say("There is no token here, so nothing was checked: `dato-mirror doctor` does it later.");
        }
        let checks = if flags.offline || !can_check { Vec::new() } else { doctor::examine(&draft.config).await };
        if !checks.iter().any(|check| check.access) {
            return draft.write(&checks, &shown, args, flags, &around);
        }
        let can_ask = flagged.token.is_none() || flagged.environment.is_none();
        let Some(person) = person.as_mut().filter(|_| can_ask) else {
            tell_checks(&checks, args, flags, None, &[]);
            return Err(Refused::Because(Exit::Api, format!("{} was not written", shown.display())));
        };
        person.say(anstream::adapter::strip_str(&doctor::text(&checks)).to_string().trim_end());
        person.say("Nothing is written yet. Answer these again, or press Ctrl-C.");
        (answers.token, answers.environment) = (flagged.token.clone(), flagged.environment.clone());
        ask_access(&mut answers, person, &facts).map_err(|error| unanswered(&error))?;
    }
}

fn unanswered(error: &io::Error) -> Refused {
    usage(match error.kind() {
        io::ErrorKind::UnexpectedEof => "the answers ended; nothing was written".to_owned(),
        _ => format!("the terminal cannot be used: {error}; give the answers as flags, see `dato-mirror init --help`"),
    })
}

/// What flags and variables say.
fn given(args: &Args, flags: &Init, around: &Surroundings) -> Result<Answers, Refused> {
    let root = args.global.root.as_ref().map(|root| around.absolute(root)).transpose().map_err(usage)?;
    let name = args.global.name.clone().or_else(|| around.text("DATO_MIRROR_NAME").map(str::to_owned));
    let name = name.map(valid_name).transpose().map_err(|wrong| usage(format!("--name: {}", told(wrong))))?;
    let variable = around.environment.path("DATO_MIRROR_API_TOKEN_FILE");
    let token = match flags.token_file.clone().or(variable) {
        None => None,
        Some(path) => {
            let path = around.absolute(&path).map_err(usage)?;
            Some(match flags.save_token {
                true => to_save(path, flags, around)?,
                false if path.exists() => TokenSource::File(path),
                false => {
                    let path = path.display();
                    return Err(usage(format!(
                        "--token-file: there is no file {path}; with --save-token init writes it"
                    )));
                }
            })
        }
    };
    let environment = flags.environment.as_deref().or_else(|| around.text("DATO_MIRROR_API_ENVIRONMENT"));
    let environment = environment.map(environment_name).transpose();
    let environment = environment.map_err(|wrong| usage(format!("--environment: {}", told(wrong))))?;
    let policies = [
        ("on_delete", &flags.on_delete),
        ("on_change", &flags.on_change),
        ("on_rename", &flags.on_rename),
        ("on_remote_change", &flags.on_remote_change),
        ("on_remote_delete", &flags.on_remote_delete),
        ("duplicates", &flags.duplicates),
        ("collections", &flags.collections),
        ("stamp", &flags.stamp),
    ];
    let policies = policies.into_iter().filter_map(|(key, value)| Some((key, value.clone()?)));
    Ok(Answers { root, name, token, environment: environment.map(Some), policies: policies.collect() })
}

/// The token that `--save-token` writes: the environment's, or else what standard input has.
fn to_save(path: PathBuf, flags: &Init, around: &Surroundings) -> Result<TokenSource, Refused> {
    if !flags.force && path.symlink_metadata().is_ok() {
        let path = path.display();
        return Err(usage(format!(
            "{path} is there already: leave --save-token out to use it, or --force to replace it"
        )));
    }
    let from_variable = around.text(TOKEN_VARIABLE).map(str::to_owned);
    let text = match (from_variable, Terminal::open()) {
        (Some(text), _) => text,
        (None, Some(mut person)) => person.secret("The token (it is not shown)").map_err(|error| unanswered(&error))?,
        (None, None) => {
            let mut line = String::new();
            let read = io::stdin().lock().read_line(&mut line);
            read.map_err(|error| usage(format!("standard input cannot be read: {error}")))?;
            line
        }
    };
    let token = valid_token(&text).map_err(|why| {
        usage(format!("the token to save {why}: set ${TOKEN_VARIABLE}, or give it on standard input, as its only line"))
    })?;
    Ok(TokenSource::Saved(path, token))
}

/// A configuration that the parser has accepted.
struct Draft {
    text: String,
    config: Config,
    /// The token that goes into a file of its own.
    token: Option<(PathBuf, String)>,
}

impl Draft {
    fn new(answers: &Answers, file: &Path, around: &Surroundings) -> Result<Self, Refused> {
        let root = answers.root.as_deref().unwrap_or(Path::new(""));
        if !root.is_dir() {
            return Err(usage(format!("there is no folder {}: make it, or mount it, first", root.display())));
        }
        let folder = file.parent().unwrap_or(Path::new("/"));
        let (token_file, token) = match &answers.token {
            Some(TokenSource::File(path)) => (Some(path), None),
            Some(TokenSource::Saved(path, token)) => (Some(path), Some((path.clone(), token.clone()))),
            Some(TokenSource::Surroundings) | None => (None, None),
        };
        let base_url = around.text("DATO_MIRROR_API_BASE_URL").filter(|url| *url != BASE_URL);
        let settings = Settings {
            root: written(root, folder)?,
            name: answers.name.clone().unwrap_or_else(|| default_name(root)),
            base_url: base_url.map(str::to_owned),
            environment: answers.environment.clone().flatten(),
            token_file: token_file.map(|path| written(path, folder)).transpose()?,
            policies: answers.policies.clone(),
        };
        let config = Self::read(&settings, token.as_ref(), file, around).map_err(Refused::Problems)?;
        Ok(Self { text: render(&settings), config, token })
    }

    /// As a run will read it. A token that is yet to be written is given another way meanwhile.
    fn read(
        settings: &Settings,
        token: Option<&(PathBuf, String)>,
        file: &Path,
        around: &Surroundings,
    ) -> Result<Config, Problems> {
        let own = |name: &std::ffi::OsStr| WRITTEN.iter().any(|own| name == *own);
        let variables = std::env::vars_os().filter(|(name, _)| !own(name));
        let extra = token.map(|(_, token)| (TOKEN_VARIABLE.into(), token.into()));
        let environment = variables.chain(extra).collect();
        let request = Request {
            config_file: Some(file.to_path_buf()),
            needs_token: settings.token_file.is_some() || around.has_token(),
            cwd: around.cwd.clone().unwrap_or_default(),
            home: around.home.clone(),
            ..Request::default()
        };
        let checked = match token {
            Some(_) => render(&Settings { token_file: None, ..settings.clone() }),
            None => render(settings),
        };
        let mut config = config::parse(file, &checked, &request, &environment)?;
        if let Some((path, _)) = token {
            config.api.token_origin = Some(TokenOrigin::File(path.clone()));
        }
        Ok(config)
    }

    fn write(
        &self,
        checks: &[Check],
        shown: &Path,
        args: &Args,
        flags: &Init,
        around: &Surroundings,
    ) -> Result<Exit, Refused> {
        let needs_variable = self.config.api.token_origin.is_none() && !around.has_token();
        let next = next(shown, needs_variable);
        if !flags.print {
            if let Some((path, token)) = &self.token {
                write(path, &format!("{token}\n"), Readers::Owner, flags.force)
                    .map_err(|error| unwritten(path, &error))?;
            }
            let path = around.absolute(shown).map_err(usage)?;
            if let Err(error) = write(&path, &self.text, Readers::Usual, flags.force) {
                if let Some((token, _)) = self.token.as_ref().filter(|_| !flags.force) {
                    // A secret must not stay behind unnoticed; that it cannot be removed changes nothing here.
                    let _ = std::fs::remove_file(token);
                }
                return Err(unwritten(shown, &error));
            }
        }
        let printed = match (flags.print, args.global.format) {
            (_, Format::Json) => tell_checks(checks, args, flags, Some((shown, &self.text)), &next),
            (true, _) => {
                tell_checks(checks, args, flags, None, &[]);
                show::print(&self.text)
            }
            (false, _) => {
                tell_checks(checks, args, flags, None, &[]);
                show::print(&end(shown, self.token.as_ref().map(|(path, _)| path.as_path()), &next))
            }
        };
        let healthy = checks.iter().all(|check| check.level != Level::Fail);
        Ok(if healthy { printed } else { printed.max(Exit::Incomplete) })
    }
}

fn unwritten(path: &Path, error: &io::Error) -> Refused {
    Refused::Because(Exit::Incomplete, format!("{} cannot be written: {error}", path.display()))
}

/// How a path is written into a file in `folder`: relative where it lies below, so that both can move together.
fn written(path: &Path, folder: &Path) -> Result<String, Refused> {
    let below = path.strip_prefix(folder).unwrap_or(path);
    let text = below.to_str().ok_or_else(|| {
        let path = path.display();
        usage(format!(
            "the name {path} is not valid UTF-8, which no configuration can hold; rename it, or use --root alone"
        ))
    })?;
    Ok(match text {
        "" => ".".to_owned(),
        // Written alone it would mean the home.
        text if text == "~" || text.starts_with("~/") => format!("./{text}"),
        text => text.to_owned(),
    })
}

/// The commands to go on with, each with what it does.
fn next(shown: &Path, needs_variable: bool) -> Vec<String> {
    let file = for_shell(&shown.to_string_lossy());
    let token = needs_variable.then(|| format!("export {TOKEN_VARIABLE}=…"));
    let runs = [format!("dato-mirror --config {file} --dry-run"), format!("dato-mirror --config {file}")];
    token.into_iter().chain(runs).collect()
}

/// A word as a POSIX shell reads it.
fn for_shell(text: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "/._-+:@%".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

fn end(shown: &Path, token_file: Option<&Path>, next: &[String]) -> String {
    let mut out = String::new();
    if let Some(path) = token_file {
        out.push_str(&format!("wrote {}, which only you can read\n", show::printable(&path.to_string_lossy())));
    }
    out.push_str(&format!("wrote {}\nnext:\n", show::printable(&shown.to_string_lossy())));
    let width = next.iter().map(|command| command.chars().count()).max().unwrap_or_default();
    for command in next {
        let does = if command.ends_with("--dry-run") {
            "what would happen; changes nothing"
        } else if command.starts_with("export") {
            "the API token"
        } else {
            "mirror everything, then watch; --sync-once: only mirror"
        };
        out.push_str(&format!("  {:<width$}   # {does}\n", show::printable(command)));
    }
    out
}

/// Prints the checks; as JSON with all else.
fn tell_checks(checks: &[Check], args: &Args, flags: &Init, made: Option<(&Path, &str)>, next: &[String]) -> Exit {
    if args.global.format == Format::Json {
        let healthy = checks.iter().all(|check| check.level != Level::Fail);
        let written = made.map(|(path, _)| path).filter(|_| !flags.print);
        let configuration = made.map(|(_, text)| text).filter(|_| flags.print);
        return show::print(&show::json(&Answer { written, configuration, healthy, checks, next }));
    }
    if checks.is_empty() {
        return Exit::Done;
    }
    let text = doctor::text(checks);
    if flags.print {
        // Standard output is the configuration.
        return show::wrote(io::Write::write_all(&mut anstream::stderr(), text.as_bytes()));
    }
    show::print(&text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_written_so_that_they_mean_the_same() {
        let text = |path: &str, folder: &str| written(Path::new(path), Path::new(folder)).ok().unwrap();
        for (path, folder, expected) in [
            ("/srv/brand", "/srv", "brand"),
            ("/srv", "/srv", "."),
            ("/srv/~/x", "/srv", "./~/x"),
            ("/srv/~", "/srv", "./~"),
            ("/srv/~x", "/srv", "~x"),
            ("/srvbrand", "/srv", "/srvbrand"),
            ("/other", "/srv", "/other"),
            ("/srv", "/", "srv"),
        ] {
            assert_eq!(text(path, folder), expected, "{path} seen from {folder}");
        }
        use std::os::unix::ffi::OsStrExt as _;
        let bytes = Path::new(std::ffi::OsStr::from_bytes(b"/srv/\xff"));
        assert!(matches!(written(bytes, Path::new("/")), Err(Refused::Because(Exit::Usage, _))));
    }

    #[test]
    fn the_next_command_can_be_typed() {
        for (word, expected) in [
            ("dato-mirror.toml", "dato-mirror.toml"),
            ("/etc/x y.toml", "'/etc/x y.toml'"),
            ("it's", r"'it'\''s'"),
            ("$HOME", "'$HOME'"),
            ("", "''"),
            ("日本.toml", "日本.toml"),
        ] {
            assert_eq!(for_shell(word), expected);
        }
    }
}
