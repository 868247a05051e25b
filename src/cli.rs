//! The command line: dispatch, and all printing.
//!
//! Owns: what goes to standard output and how it looks; reading the process's environment, working directory and
//! standard input for the rooms below. Never does: mirroring. Called by: `main`.

pub mod args;
mod completions;
mod demo;
pub mod logs;
mod run;
mod sandbox;
mod show;

use crate::error::Exit;

use args::{Args, Command};

/// Runs what the arguments ask for.
pub async fn run(args: Args) -> Exit {
    match args.command {
        None => run::run(&args).await,
        Some(Command::Sandbox(ref options)) => sandbox::run(options).await,
        Some(Command::Demo(ref options)) => demo::run(options).await,
        Some(Command::Completions { shell }) => completions::shell(shell),
        Some(Command::Man) => completions::man(),
        Some(Command::Healthcheck) => run::healthcheck(&args).await,
        Some(_) => show::not_yet(),
    }
}
