//! Completion scripts and the manual page, made from the arguments themselves.

use std::io;

use clap::CommandFactory as _;

use super::args::Args;
use super::show::wrote;
use crate::error::Exit;

/// Prints the completion script of a shell.
pub fn shell(shell: clap_complete::Shell) -> Exit {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Args::command(), "dato-mirror", &mut script);
    wrote(io::Write::write_all(&mut io::stdout(), &script))
}

/// Prints the manual page.
pub fn man() -> Exit {
    wrote(clap_mangen::Man::new(Args::command()).render(&mut io::stdout()))
}
