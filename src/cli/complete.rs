//! What may stand at the end of a command line: what the completion scripts ask for at each TAB.
//!
//! Owns: reading the words before it as `clap` would, and what fits there. Pure: what only the configuration knows is a
//! parameter. Never does: completing paths, which the shell does best; it is only told that one belongs there.

use clap::{Arg, Command, ValueHint};

use super::hint::KINDS;

/// A line for the script that stands for the shell's own completion of files, or of folders.
const FILES: &str = ":files";
const FOLDERS: &str = ":folders";

/// Orders that people ask for.
const ORDERS: [&str; 6] =
    ["_created_at_DESC", "_updated_at_DESC", "size_DESC", "size_ASC", "filename_ASC", "_created_at_ASC"];

/// A word that fits, and what it is for.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Candidate {
    word: String,
    help: String,
}

impl Candidate {
    fn new(word: impl Into<String>, help: impl Into<String>) -> Self {
        Self { word: word.into(), help: help.into() }
    }
}

/// Where the cursor is.
struct Cursor<'a> {
    command: &'a Command,
    /// The option whose value comes next.
    pending: Option<&'a Arg>,
    /// How many arguments without a flag there were.
    positionals: usize,
    /// Whether a lone `--` ended the flags.
    only_positionals: bool,
    /// The file that `--config` names.
    config: Option<&'a str>,
}

/// The lines that a script reads: a word that fits, a tab and what it is for; or that the shell completes paths.
/// The last of `words` is the one that is being typed; `mirrors` tells the names in a configuration, or in the one that
/// is found when none is named.
pub fn lines(root: &Command, words: &[String], mirrors: &dyn Fn(Option<&str>) -> Vec<String>) -> String {
    let Some((typed, before)) = words.split_last() else { return String::new() };
    let mut root = root.clone();
    root.build();
    let cursor = walk(&root, before);
    let (candidates, paths) = fitting(&cursor, typed, mirrors);
    let fits = candidates.into_iter().filter(|candidate| candidate.word.starts_with(typed.as_str()));
    let lines = fits.map(|Candidate { word, help }| format!("{word}\t{help}\n"));
    lines.chain(paths.map(|paths| format!("{paths}\n"))).collect()
}

fn walk<'a>(root: &'a Command, words: &'a [String]) -> Cursor<'a> {
    let mut at = Cursor { command: root, pending: None, positionals: 0, only_positionals: false, config: None };
    for word in words {
        if let Some(arg) = at.pending.take() {
            take(&mut at, arg, word);
        } else if at.only_positionals {
            at.positionals += 1;
        } else if word == "--" {
            at.only_positionals = true;
        } else if let Some(long) = word.strip_prefix("--") {
            let (name, value) = long.split_once('=').map_or((long, None), |(name, value)| (name, Some(value)));
            let known = at.command.get_arguments().find(|arg| arg.get_long() == Some(name));
            match (known.filter(|arg| arg.get_action().takes_values()), value) {
                (Some(arg), Some(value)) => take(&mut at, arg, value),
                (arg, _) => at.pending = arg,
            }
        } else if let Some(shorts) = word.strip_prefix('-').filter(|shorts| !shorts.is_empty()) {
            flags(&mut at, shorts);
        } else if let Some(command) = at.command.find_subcommand(word).filter(|_| at.positionals == 0) {
            at.command = command;
        } else {
            at.positionals += 1;
        }
    }
    at
}

/// Short flags in one word, the last of which may have its value in it.
fn flags<'a>(at: &mut Cursor<'a>, shorts: &'a str) {
    for (index, short) in shorts.char_indices() {
        let known = at.command.get_arguments().find(|arg| arg.get_short() == Some(short));
        if let Some(arg) = known.filter(|arg| arg.get_action().takes_values()) {
            match shorts.get(index + short.len_utf8()..).unwrap_or_default() {
                "" => at.pending = Some(arg),
                value => take(at, arg, value.strip_prefix('=').unwrap_or(value)),
            }
            return;
        }
    }
}

fn take<'a>(at: &mut Cursor<'a>, arg: &Arg, value: &'a str) {
    if arg.get_id() == "config" {
        at.config = Some(value);
    }
}

type Fitting = (Vec<Candidate>, Option<&'static str>);

fn fitting(at: &Cursor<'_>, typed: &str, mirrors: &dyn Fn(Option<&str>) -> Vec<String>) -> Fitting {
    let value = |arg: &Arg| values(arg, &|| mirrors(at.config));
    if let Some(arg) = at.pending {
        return value(arg);
    }
    if !at.only_positionals {
        if let Some((flag, _)) = typed.strip_prefix("--").and_then(|long| long.split_once('=')) {
            let known = at.command.get_arguments().find(|arg| arg.get_long() == Some(flag));
            let Some(arg) = known.filter(|arg| arg.get_action().takes_values()) else { return Fitting::default() };
            let (candidates, paths) = value(arg);
            let whole = |Candidate { word, help }| Candidate::new(format!("--{flag}={word}"), help);
            return (candidates.into_iter().map(whole).collect(), paths);
        }
        if typed.starts_with('-') {
            return (options(at.command), None);
        }
    }
    let positional = at.command.get_positionals().filter(|arg| !arg.is_hide_set()).nth(at.positionals);
    let last = at.command.get_positionals().last().filter(|arg| arg.get_action().takes_values());
    let several = last.filter(|arg| arg.get_num_args().is_some_and(|range| range.max_values() > 1));
    let (mut candidates, paths) = positional.or(several).map(value).unwrap_or_default();
    if at.positionals == 0 && !at.only_positionals {
        let shown = at.command.get_subcommands().filter(|command| !command.is_hide_set());
        candidates.extend(shown.map(|command| Candidate::new(command.get_name(), first(command.get_about()))));
    }
    (candidates, paths)
}

fn options(command: &Command) -> Vec<Candidate> {
    let mut all = Vec::new();
    for arg in command.get_arguments().filter(|arg| !arg.is_hide_set()) {
        let help = first(arg.get_help());
        all.extend(arg.get_long().map(|long| Candidate::new(format!("--{long}"), &help)));
        all.extend(arg.get_short().map(|short| Candidate::new(format!("-{short}"), &help)));
    }
    all
}

fn values(arg: &Arg, mirrors: &dyn Fn() -> Vec<String>) -> Fitting {
    let plain = |words: &[&str]| words.iter().map(|word| Candidate::new(*word, "")).collect();
    match arg.get_id().as_str() {
        "mirror" => return (mirrors().into_iter().map(|name| Candidate::new(name, "")).collect(), None),
        "kind" => return (plain(&KINDS), None),
        "order_by" => return (plain(&ORDERS), None),
        "collections" => return (plain(&super::init::policies::collections()), None),
        _ => {}
    }
    let shown = arg.get_possible_values().into_iter().filter(|value| !value.is_hide_set());
    let candidates = shown.map(|value| Candidate::new(value.get_name(), first(value.get_help()))).collect();
    let paths = match arg.get_value_hint() {
        ValueHint::AnyPath | ValueHint::FilePath => Some(FILES),
        ValueHint::DirPath => Some(FOLDERS),
        _ => None,
    };
    (candidates, paths)
}

/// The first line of a help text.
fn first(text: Option<&clap::builder::StyledStr>) -> String {
    text.map(ToString::to_string).unwrap_or_default().lines().next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;
    use crate::cli::args::Args;

    /// The words that fit, in one line.
    fn fits(line: &str) -> String {
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        let mirrors = |config: Option<&str>| match config {
            Some(file) => vec![format!("of {file}")],
            None => vec!["brand".to_owned(), "press kit".to_owned()],
        };
        let lines = lines(&Args::command(), &words, &mirrors);
        lines.lines().map(|line| line.split('\t').next().unwrap()).collect::<Vec<_>>().join("|")
    }

    #[test]
    fn each_place_has_what_fits_there() {
        for (line, expected) in [
            ("sta", "status"),
            ("--mirro", "--mirror"),
            ("status --mirro", "--mirror"),
            ("--mirror ", "brand|press kit"),
            ("--mirror p", "press kit"),
            ("status --mirror=br", "--mirror=brand"),
            ("-c x.toml --mirror ", "of x.toml"),
            ("-cx.toml status --mirror ", "of x.toml"),
            ("-vc x.toml --mirror ", "of x.toml"),
            ("--config=x.toml --mirror ", "of x.toml"),
            ("--format ", "text|json|markdown"),
            ("ls --type ", &KINDS.join("|")),
            ("ls --type=im", "--type=image"),
            ("ls --order-by s", "size_DESC|size_ASC"),
            ("init --on-delete ", "keep|tag|delete"),
            ("init --collections ", "none|mirror"),
            ("completions ", "bash|elvish|fish|powershell|zsh"),
            ("completions bash ", ""),
            ("--config ", ":files"),
            ("--config=x", ":files"),
            ("--root ", ":folders"),
            ("explain ", ":files"),
            ("retry a b ", ":files"),
            ("retry -- --x", ":files"),
            ("status ", ""),
            ("--name ", ""),
            ("--nope ", "init|status|explain|ls|doctor|retry|demo|sandbox|completions|help"),
            ("--nope=", ""),
        ] {
            assert_eq!(fits(line), expected, "{line}");
        }
        let options = fits("ls -");
        for option in ["--type", "--mirror", "--config", "-c", "--help"] {
            assert!(options.split('|').any(|word| word == option), "{option}: {options}");
        }
        for other in ["--dry-run", "--force", "--report"] {
            assert!(!options.contains(other), "{other}: {options}");
        }
        assert!(!fits("").contains("healthcheck") && fits("").contains("status"));
    }
}
