//! A person at a terminal.
//!
//! Owns: prompts on standard error, answers from standard input, and hiding what is typed while it is a secret. Never
//! does: knowing what is asked.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

use super::answers::Person;
use crate::cli::show::printable;

/// The terminal that this process has.
pub struct Terminal(());

impl Terminal {
    /// The terminal, where both questions and answers go through one.
    #[must_use]
    pub fn open() -> Option<Self> {
        (io::stdin().is_terminal() && io::stderr().is_terminal()).then_some(Self(()))
    }
}

impl Person for Terminal {
    fn line(&mut self, question: &str) -> io::Result<String> {
        let mut out = io::stderr();
        write!(out, "{}", printable(question))?;
        out.flush()?;
        let mut line = String::new();
        if io::stdin().lock().read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(line)
    }

    fn secret(&mut self, question: &str) -> io::Result<String> {
        let hidden = Hidden::new()?;
        let line = self.line(&format!("{question}: "));
        drop(hidden);
        // The line's own end was not shown.
        self.say("");
        line
    }

    fn say(&mut self, text: &str) {
        for line in text.split('\n') {
            // Who cannot be told anything cannot be asked anything either, and that is told then.
            let _ = writeln!(io::stderr(), "{}", printable(line));
        }
    }
}

/// While it lives, the terminal does not show what is typed.
struct Hidden(Termios);

impl Hidden {
    fn new() -> io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut quiet = before.clone();
        quiet.local_modes.remove(LocalModes::ECHO);
        tcsetattr(io::stdin(), OptionalActions::Flush, &quiet)?;
        Ok(Self(before))
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        // A terminal that went away needs nothing.
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.0);
    }
}
