//! The command line's shape.
//!
//! Owns: every flag and subcommand and their help. Wrong usage exits 2, as clap does. There is no flag for the token:
//! it would show in process lists. Never does: running anything.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use clap::{ArgAction, Args as ClapArgs, CommandFactory as _, Parser, Subcommand, ValueEnum, ValueHint};

use super::hint;
use crate::config::policy::{
    Choice, Duplicates, OnChange, OnDelete, OnRemoteChange, OnRemoteDelete, OnRename, StampMode,
};

const INIT_EXAMPLES: &str = "\
The file is --config, or ./dato-mirror.toml; --root and --name are the folder and the mirror's name. Without a terminal
nothing is asked: --root is then needed, and a token unless --offline.

Examples:
  dato-mirror init                                    asks
  dato-mirror init --root ./brand --token-file ~/.config/dato-mirror/token --save-token < token.txt
  dato-mirror init --root ./brand --offline --print   what it would write";

const EXAMPLES: &str = "\
Examples:
  dato-mirror demo                                    see it work: no account, no token, no network
  dato-mirror init                                    write a configuration, after a few questions
  dato-mirror --root ./brand --dry-run                what would happen to this folder
  DATOCMS_API_TOKEN=… dato-mirror --root ./brand --sync-once
  dato-mirror --config brand.toml                     mirror everything, then watch
  git diff --name-only HEAD^ -- brand | dato-mirror -c brand.toml --sync-once --files-from -
  dato-mirror explain logos/logo.svg                  its asset, its URL, and why

Exit codes:
  0 all mirrored   1 finished, but some files could not be mirrored   2 wrong usage or configuration
  3 the API refused the token or environment, or could not be reached
  4 stopped by a safety guard   5 another instance has this index";

/// Mirrors a folder into a DatoCMS project's media area.
///
/// Without a command it mirrors everything, then watches for changes. A changed file replaces its asset at the same URL;
/// what editors typed in the CMS stays; nothing is deleted unless the configuration says so.
#[derive(Debug, Clone, Parser)]
#[command(name = "dato-mirror", version, after_help = EXAMPLES, max_term_width = 100)]
pub struct Args {
    /// What a run takes.
    #[command(flatten, next_help_heading = "Options of a run")]
    pub run: Run,
    /// What every command takes.
    #[command(flatten, next_help_heading = "Options of every command")]
    pub global: Global,
    /// The command; none means a run.
    #[command(subcommand)]
    pub command: Option<Command>,
}

impl Args {
    /// Parses a command line, the program's name first. Use this and not clap's own `parse`: a run's flags beside a
    /// command would do nothing, which clap cannot refuse without refusing `-c FILE status` too.
    ///
    /// # Errors
    /// On wrong usage, and for `--help` and `--version`; `exit()` of the error prints it and exits as it should.
    pub fn read<T: Into<OsString> + Clone>(words: impl IntoIterator<Item = T>) -> Result<Self, clap::Error> {
        let args = Self::try_parse_from(words).map_err(hint::wrong_usage)?;
        let run = &args.run;
        let given = [
            ("--files-from", run.files_from.is_some()),
            ("--sync-once", run.sync_once),
            ("--dry-run", run.dry_run),
            ("--force", run.force),
            ("--take-over", run.take_over),
            ("--recreate", run.recreate),
            ("--checksum", run.checksum),
            ("--report", run.report.is_some()),
        ];
        match given.iter().find(|(_, given)| *given && args.command.is_some()) {
            Some((flag, _)) => {
                let message = format!("{flag} is for a run and does nothing with a command; leave one of them out");
                Err(Self::command().error(clap::error::ErrorKind::ArgumentConflict, message))
            }
            None if matches!(args.command, Some(Command::Init(_))) && args.global.mirror.is_some() => {
                let message = "--mirror picks one of a configuration's mirrors; init makes one: name it with --name";
                Err(Self::command().error(clap::error::ErrorKind::ArgumentConflict, message))
            }
            None => Ok(args),
        }
    }
}

/// Flags of every command.
#[derive(Debug, Clone, Default, ClapArgs)]
pub struct Global {
    /// Configuration file [default: $DATO_MIRROR_CONFIG, ./dato-mirror.toml,
    /// $XDG_CONFIG_HOME/dato-mirror/config.toml, /etc/dato-mirror/config.toml]
    #[arg(short, long, value_name = "FILE", global = true)]
    pub config: Option<PathBuf>,
    /// Mirror one folder with no configuration file; the token comes from the environment
    #[arg(long, value_name = "DIR", global = true, value_hint = ValueHint::DirPath)]
    pub root: Option<PathBuf>,
    /// The name that the mirror of --root has in the media area [default: $DATO_MIRROR_NAME, else the folder's name]
    #[arg(long, value_name = "NAME", global = true)]
    pub name: Option<String>,
    /// Only the mirror of this name
    #[arg(long, value_name = "NAME", global = true)]
    pub mirror: Option<String>,
    /// What goes to standard output; logs go to standard error
    #[arg(long, value_enum, value_name = "FORMAT", global = true, default_value_t)]
    pub format: Format,
    /// How logs are written
    #[arg(long, value_enum, value_name = "FORMAT", global = true, default_value_t)]
    pub log_format: LogFormat,
    /// Say more; twice for every request
    #[arg(short, long, action = ArgAction::Count, global = true, conflicts_with = "quiet")]
    pub verbose: u8,
    /// Say only what went wrong
    #[arg(short, long, global = true)]
    pub quiet: bool,
}

/// Flags of a run.
#[derive(Debug, Clone, Default, ClapArgs)]
pub struct Run {
    /// Only these paths, one a line (- for standard input)
    #[arg(long, value_name = "FILE")]
    pub files_from: Option<PathBuf>,
    /// Mirror once and exit
    #[arg(long)]
    pub sync_once: bool,
    /// Show the plan and exit; changes nothing, here or there
    #[arg(long)]
    pub dry_run: bool,
    /// Let this run pass the deletion guard
    #[arg(long)]
    pub force: bool,
    /// The mirror's name is this folder's from now on, although the media area has other files under it
    #[arg(long)]
    pub take_over: bool,
    /// Make every asset anew that the media area lost, as after a reset of the project
    #[arg(long)]
    pub recreate: bool,
    /// Read every file anew, also those whose size and times say that they did not change
    #[arg(long)]
    pub checksum: bool,
    /// Also write the report as JSON to this file, whatever goes to standard output: for CI
    #[arg(long, value_name = "FILE", hide = true)]
    pub report: Option<PathBuf>,
}

/// What goes to standard output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// One JSON object.
    Json,
    /// For a pull request.
    Markdown,
}

/// How logs are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum LogFormat {
    /// For people and the journal.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// The commands.
#[derive(Debug, Clone, Subcommand)]
pub enum Command {
    /// Write a configuration: asks for what no flag says, checks it as doctor does, prints the next command
    #[command(after_help = INIT_EXAMPLES)]
    Init(Init),
    /// Show what is mirrored, pending, failed; works while the daemon runs
    Status,
    /// Show a file's asset, its URL, the last decision and where each value of its metadata came from
    Explain {
        /// The file, relative to the working directory or to the mirror's root
        path: PathBuf,
    },
    /// List the media area, with the local path of what is mirrored
    Ls(Ls),
    /// Check token, permissions, environment, locales, limits, watching, disk and index, with a fix for each
    Doctor,
    /// Try failed files again now
    Retry {
        /// Only these [default: all that failed]
        paths: Vec<PathBuf>,
        /// Let the running dato-mirror pass the deletion guard and the root's guard once
        #[arg(long, conflicts_with = "paths")]
        force: bool,
        /// The mirror's name is this folder's from now on, also for the running dato-mirror
        #[arg(long, conflicts_with = "paths")]
        take_over: bool,
        /// Have the running dato-mirror make every asset anew that the media area lost
        #[arg(long, conflicts_with = "paths")]
        recreate: bool,
    },
    /// Mirror a small made-up folder into a sandbox and show what happens
    Demo(Demo),
    /// Run a local media area with the same API
    Sandbox(Sandbox),
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print a manual page
    #[command(hide = true)]
    Man {
        /// The command that it is about [default: all of dato-mirror]
        command: Option<String>,
        /// Write the pages of all commands into this folder, as a package installs them
        #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath, conflicts_with = "command")]
        dir: Option<PathBuf>,
    },
    /// Print what may stand at the end of a command line: what the completion scripts ask for
    #[command(hide = true)]
    Complete {
        /// The words, without the program's name; the last one is being typed
        #[arg(last = true)]
        words: Vec<OsString>,
    },
    /// Exit 0 when the daemon's status page says it is healthy
    #[command(hide = true)]
    Healthcheck,
}

/// Flags of `init`.
#[derive(Debug, Clone, Default, ClapArgs)]
pub struct Init {
    /// The file that holds the API token [default: none; each run takes it from $DATOCMS_API_TOKEN]
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// Write the token into --token-file, for your eyes only: from $DATOCMS_API_TOKEN, else from standard input
    #[arg(long, requires = "token_file", conflicts_with = "print")]
    pub save_token: bool,
    /// The project's environment [default: the primary one, whichever that is at each run]
    #[arg(long, value_name = "NAME")]
    pub environment: Option<String>,
    /// What becomes of an asset whose file was deleted here [default: keep]
    #[arg(long, value_name = "WHAT", value_parser = values::<OnDelete>())]
    pub on_delete: Option<String>,
    /// What becomes of the URL when a file changes [default: keep_url]
    #[arg(long, value_name = "WHAT", value_parser = values::<OnChange>())]
    pub on_change: Option<String>,
    /// What becomes of the URL when a file is renamed [default: keep_url]
    #[arg(long, value_name = "WHAT", value_parser = values::<OnRename>())]
    pub on_rename: Option<String>,
    /// What to do when an editor replaced a file in the CMS [default: report]
    #[arg(long, value_name = "WHAT", value_parser = values::<OnRemoteChange>())]
    pub on_remote_change: Option<String>,
    /// What to do when an editor deleted an asset in the CMS [default: report]
    #[arg(long, value_name = "WHAT", value_parser = values::<OnRemoteDelete>())]
    pub on_remote_delete: Option<String>,
    /// Whether files with the same content share an asset [default: share]
    #[arg(long, value_name = "WHAT", value_parser = values::<Duplicates>())]
    pub duplicates: Option<String>,
    /// Collections: none, mirror (folders become collections), or the path of one [default: none]
    #[arg(long, value_name = "WHICH", value_parser = super::init::collections)]
    pub collections: Option<String>,
    /// What an asset tells of its file's path [default: path]
    #[arg(long, value_name = "WHAT", value_parser = values::<StampMode>())]
    pub stamp: Option<String>,
    /// Ask the service nothing, and look at no folder but whether it is there
    #[arg(long)]
    pub offline: bool,
    /// Replace files that are there already
    #[arg(long)]
    pub force: bool,
    /// Print the configuration to standard output and write nothing
    #[arg(long)]
    pub print: bool,
}

/// The names of a policy's values.
fn values<T: Choice>() -> PossibleValuesParser {
    PossibleValuesParser::new(super::init::policies::names::<T>())
}

/// Flags of `ls`.
#[derive(Debug, Clone, Default, ClapArgs)]
pub struct Ls {
    /// Full text, as the media area searches it
    #[arg(long, value_name = "TEXT")]
    pub query: Option<String>,
    /// Only assets with this tag; several times for all of them
    #[arg(long = "tag", value_name = "TAG")]
    pub tags: Vec<String>,
    /// Only assets of this kind: image, video, audio, pdfdocument …
    #[arg(long = "type", value_name = "TYPE", value_parser = hint::kind)]
    pub kind: Option<String>,
    /// Order, such as _created_at_DESC or size_ASC
    #[arg(long, value_name = "ORDER", value_parser = hint::order_by)]
    pub order_by: Option<String>,
}

/// Flags of `demo`.
#[derive(Debug, Clone, Default, ClapArgs)]
pub struct Demo {
    /// Leave the folder and the sandbox's data behind
    #[arg(long)]
    pub keep: bool,
    /// Where to make the folder; must be empty or new [default: a temporary folder]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub dir: Option<PathBuf>,
    /// Play it on a project that keeps metadata by locale, the older of the two shapes
    #[arg(long)]
    pub by_locale: bool,
}

/// Flags of `sandbox`.
#[derive(Debug, Clone, ClapArgs)]
pub struct Sandbox {
    /// Address and port; port 0 for any free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:3999")]
    pub listen: SocketAddr,
    /// Where its state is kept [default: a temporary folder]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub data: Option<PathBuf>,
    /// Requests in each window
    #[arg(long, value_name = "N", default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..))]
    pub rate_limit: u32,
    /// Length of the rate limit's window
    #[arg(long, value_name = "DURATION", default_value = "3s", value_parser = duration)]
    pub rate_window: std::time::Duration,
    /// How long a job takes, in milliseconds
    #[arg(long, value_name = "MIN..MAX", default_value = "50..200", value_parser = latency)]
    pub job_latency: Latency,
    /// Metadata by field, then locale: the newer of the two shapes, and the one that is taken anyway
    #[arg(long, conflicts_with = "by_locale")]
    pub by_field: bool,
    /// Metadata by locale, then field: the older of the two shapes, which older projects have
    #[arg(long)]
    pub by_locale: bool,
    /// Locales of the project, the main one first
    #[arg(long, value_name = "LOCALE", value_delimiter = ',', default_value = "en,it")]
    pub locales: Vec<String>,
}

/// A range of milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Latency {
    /// The least, in milliseconds.
    pub min_ms: u64,
    /// The most, in milliseconds; not below `min_ms`.
    pub max_ms: u64,
}

fn latency(text: &str) -> Result<Latency, String> {
    let number = |text: &str| {
        let text = text.trim().trim_end_matches("ms").trim();
        text.parse::<u64>().map_err(|_| "write it as MIN..MAX milliseconds, such as 50..200, or one number".to_owned())
    };
    let (min_ms, max_ms) = match text.split_once("..") {
        Some((min, max)) => (number(min)?, number(max.trim_start_matches('='))?),
        None => (number(text)?, number(text)?),
    };
    if min_ms > max_ms {
        Err("the first number is above the second".to_owned())
    } else {
        Ok(Latency { min_ms, max_ms })
    }
}

fn duration(text: &str) -> Result<std::time::Duration, String> {
    crate::config::value::parse_duration(text)
        .filter(|duration| !duration.is_zero())
        .ok_or_else(|| "write it with a unit, such as 3s or 500ms".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &str) -> Result<Args, clap::Error> {
        Args::read(words.split_whitespace())
    }

    #[test]
    fn every_argument_is_sound_and_has_help_and_none_takes_a_token() {
        fn walk(command: &clap::Command) {
            for arg in command.get_arguments() {
                assert!(arg.get_help().is_some(), "{} {}", command.get_name(), arg.get_id());
                // A file may be named that holds it.
                let named = arg.get_id().as_str();
                assert!(["token_file", "save_token"].contains(&named) || !named.contains("token"), "{named}");
                if named == "save_token" {
                    assert!(!arg.get_action().takes_values());
                }
                assert!(arg.get_env().is_none(), "variables are the configuration's matter: {}", arg.get_id());
            }
            for sub in command.get_subcommands() {
                assert!(sub.get_about().is_some(), "{}", sub.get_name());
                walk(sub);
            }
        }
        let mut command = Args::command();
        command.clone().debug_assert();
        command.build();
        walk(&command);
    }

    #[test]
    fn the_help_is_what_the_manual_shows() {
        insta::assert_snapshot!(Args::command().term_width(100).render_long_help().to_string());
    }

    #[test]
    fn the_runs_of_the_manual_parse() {
        let args = parse("dato-mirror").unwrap();
        assert!(args.command.is_none() && !args.run.sync_once && args.global.format == Format::Text);
        let args =
            parse("dato-mirror --root d --mirror m --sync-once --dry-run --format markdown --force -vv").unwrap();
        assert!(args.run.sync_once && args.run.dry_run && args.run.force);
        assert_eq!((args.global.format, args.global.verbose), (Format::Markdown, 2));
        let args = parse("dato-mirror ls --tag a --tag b --order-by size_ASC,_created_at_DESC --format json").unwrap();
        assert_eq!(args.global.format, Format::Json);
        assert!(matches!(args.command, Some(Command::Ls(Ls { tags, .. })) if tags == ["a", "b"]));
        let args = parse("dato-mirror -c f.toml explain a/b.png").unwrap();
        assert_eq!(args.global.config, Some(PathBuf::from("f.toml")));
        let args =
            parse("dato-mirror sandbox --listen 127.0.0.1:0 --data d --rate-window 1s --job-latency 5..9").unwrap();
        let Some(Command::Sandbox(sandbox)) = args.command else { panic!("{args:?}") };
        assert_eq!(sandbox.job_latency, Latency { min_ms: 5, max_ms: 9 });
        assert_eq!(sandbox.locales, ["en", "it"]);
        for words in [
            "status -c x",
            "doctor",
            "retry",
            "retry a b",
            "retry --force",
            "retry --take-over --recreate",
            "demo --keep",
            "demo --by-locale",
            "sandbox --by-field",
            "sandbox --by-locale",
            "init",
            "-c x.toml init --root d --name n --on-delete tag --collections A/B --save-token --token-file t",
            "init --root d --offline --print --force",
            "man",
            "man status",
            "man --dir d",
            "complete -- status --mirror x",
            "healthcheck",
            "completions zsh",
        ] {
            assert!(parse(&format!("dato-mirror {words}")).is_ok(), "{words}");
        }
    }

    #[test]
    fn wrong_usage_exits_2() {
        for words in [
            "--nope",
            "-v -q",
            "--format xml",
            "explain",
            "sandbox --job-latency 9..5",
            "sandbox --job-latency x",
            "sandbox --rate-window 3",
            "sandbox --rate-limit 0",
            "sandbox --by-field --by-locale",
            "ls --order-by size",
            "init --on-delete remove",
            "init --collections /x",
            "init --save-token",
            "init --save-token --token-file t --print",
            "init --mirror brand",
            "init --token abc",
            "nope",
            "--sync-once status",
            "--force demo",
        ] {
            let error = parse(&format!("dato-mirror {words}")).unwrap_err();
            assert_eq!(error.exit_code(), 2, "{words}");
        }
    }
}
