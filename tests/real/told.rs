//! What the suite tells: what each check came to, and what was found where a fact is not known.
//!
//! Owns: the lines, and whether they are printed past the test harness, which keeps what a passing test prints.

use std::cell::RefCell;
use std::io::Write as _;

/// What a check came to: `Err` says why it could not be made. A failure is a panic.
pub type Outcome = Result<(), String>;

/// The lines so far.
pub struct Told {
    loud: bool,
    lines: RefCell<Vec<String>>,
}

impl Told {
    /// To be read by a person, as it comes.
    pub const fn loudly() -> Self {
        Self { loud: true, lines: RefCell::new(Vec::new()) }
    }

    /// To be looked at by a test.
    pub const fn quietly() -> Self {
        Self { loud: false, lines: RefCell::new(Vec::new()) }
    }

    /// Whether a person reads it.
    pub const fn is_loud(&self) -> bool {
        self.loud
    }

    /// Tells a line.
    pub fn say(&self, line: impl Into<String>) {
        let line = line.into();
        if self.loud {
            aloud(&line);
        } else {
            println!("{line}");
        }
        self.lines.borrow_mut().push(line);
    }

    /// Tells what was found about something that is not known.
    pub fn found(&self, what: impl AsRef<str>) {
        self.say(format!("      found: {}", what.as_ref()));
    }

    /// Whether a line with this text was told.
    pub fn has(&self, text: &str) -> bool {
        self.lines.borrow().iter().any(|line| line.contains(text))
    }
}

/// Prints a line that is seen also where the test passes.
pub fn aloud(line: &str) {
    // Nobody to tell: nothing else to be done.
    let _ = writeln!(std::io::stderr(), "{line}");
}
