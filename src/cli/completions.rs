//! Completion scripts, and what they ask for at each TAB.
//!
//! Owns: the scripts of bash, zsh and fish, which ask this program (`complete`), so that they know the configuration's
//! mirrors and never lag behind it; and those of other shells, made from the arguments, which know no more than these.

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::path::PathBuf;

use clap::CommandFactory as _;
use clap_complete::Shell;

use super::args::Args;
use super::complete::lines;
use super::place::working_directory;
use super::show::wrote;
use crate::config::{Environment, Request, mirror_names};
use crate::error::Exit;

/// Prints the completion script of a shell.
pub fn shell(shell: Shell) -> Exit {
    let script = match shell {
        Shell::Bash => include_bytes!("completions/dato-mirror.bash").to_vec(),
        Shell::Zsh => include_bytes!("completions/_dato-mirror").to_vec(),
        Shell::Fish => include_bytes!("completions/dato-mirror.fish").to_vec(),
        other => {
            let mut script = Vec::new();
            clap_complete::generate(other, &mut Args::command(), "dato-mirror", &mut script);
            script
        }
    };
    wrote(io::stdout().write_all(&script))
}

/// Prints what may stand where the last of these words is.
pub fn complete(words: &[OsString]) -> Exit {
    let words: Vec<String> = words.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    let mirrors = |config: Option<&str>| {
        let request = Request {
            config_file: config.map(PathBuf::from),
            cwd: working_directory().unwrap_or_default(),
            home: std::env::home_dir(),
            ..Request::default()
        };
        mirror_names(&request, &Environment::of_process())
    };
    wrote(io::stdout().write_all(lines(&Args::command(), &words, &mirrors).as_bytes()))
}
