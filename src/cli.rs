//! The command line: dispatch, and all printing.
//!
//! Owns: what goes to standard output and how it looks; reading the process's environment, working directory and
//! standard input for the rooms below. Never does: mirroring.

pub mod args;
mod beside_service;
mod calls;
mod complete;
mod completions;
mod demo;
mod doctor;
mod explain;
mod hint;
pub mod init;
pub mod logs;
mod ls;
mod man;
mod markdown;
mod place;
mod progress;
mod retry;
mod run;
mod sandbox;
mod show;
mod status;

use crate::error::Exit;
use crate::index::overrides::Overrides;

use args::{Args, Command};

/// Whether the run is followed by a bar on the terminal, which takes the place of a line for each file.
#[must_use]
pub fn shows_bar(args: &Args) -> bool {
    progress::wanted(args)
}

/// Runs what the arguments ask for.
pub async fn run(args: Args) -> Exit {
    match args.command {
        None => run::run(&args).await,
        Some(Command::Sandbox(ref options)) => sandbox::run(options).await,
        Some(Command::Demo(ref options)) => demo::run(options).await,
        Some(Command::Completions { shell }) => completions::shell(shell),
        Some(Command::Complete { ref words }) => completions::complete(words),
        Some(Command::Man { ref command, ref dir }) => man::run(command.as_deref(), dir.as_deref()),
        Some(Command::Status) => status::run(&args).await,
        Some(Command::Explain { ref path }) => explain::run(&args, path).await,
        Some(Command::Ls(ref options)) => ls::run(&args, options).await,
        Some(Command::Retry { ref paths, force, take_over, recreate }) => {
            retry::run(&args, paths, Overrides { force, take_over, recreate }).await
        }
        Some(Command::Init(ref flags)) => init::run(&args, flags).await,
        Some(Command::Doctor) => doctor::run(&args).await,
        Some(Command::Healthcheck) => run::healthcheck(&args).await,
    }
}
