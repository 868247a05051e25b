//! The manual pages.
//!
//! Owns: one page for the program and one for each command that is shown: names, synopsis and options come from the
//! arguments themselves, the rest from `text`. Never does: naming a page that is not among them.

mod text;

use std::io::{self, Write as _};
use std::path::Path;

use clap::{Command, CommandFactory as _};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use super::args::Args;
use super::show::wrote;
use crate::error::Exit;

/// Prints a page, or writes all of them into a folder.
pub fn run(command: Option<&str>, dir: Option<&Path>) -> Exit {
    let root = root();
    if let Some(dir) = dir {
        return match write_all(&root, dir) {
            Ok(()) => Exit::Done,
            Err(error) => {
                tracing::error!("the manual pages cannot be written to {}: {error}", dir.display());
                Exit::Incomplete
            }
        };
    }
    let found = match command {
        None => Some(&root),
        Some(name) => shown(&root).find(|command| command.get_name() == name),
    };
    let Some(found) = found else {
        let known: Vec<&str> = shown(&root).map(Command::get_name).collect();
        tracing::error!("there is no page for that; there is one for {}", known.join(", "));
        return Exit::Usage;
    };
    wrote(page(found, &root).and_then(|page| io::stdout().write_all(&page)))
}

/// The program's arguments. `help` is no command that has a page.
fn root() -> Command {
    let mut root = Args::command().disable_help_subcommand(true);
    root.build();
    root
}

fn shown(root: &Command) -> impl Iterator<Item = &Command> {
    root.get_subcommands().filter(|command| !command.is_hide_set())
}

fn write_all(root: &Command, dir: &Path) -> io::Result<()> {
    for command in shown(root).chain([root]) {
        let name = command.get_display_name().unwrap_or_else(|| command.get_name());
        std::fs::write(dir.join(format!("{name}.1")), page(command, root)?)?;
    }
    Ok(())
}

fn page(command: &Command, root: &Command) -> io::Result<Vec<u8>> {
    let whole = command.get_name() == root.get_name();
    let version = root.get_version().unwrap_or_default();
    let man = Man::new(command.clone()).source(format!("dato-mirror {version}")).manual("dato-mirror");
    let mut out = Vec::new();
    man.render_title(&mut out)?;
    man.render_name_section(&mut out)?;
    man.render_synopsis_section(&mut out)?;
    man.render_description_section(&mut out)?;
    if let Some(notes) = text::NOTES.iter().find(|(name, _)| *name == command.get_name()) {
        let mut roff = Roff::new();
        for paragraph in notes.1 {
            roff.control("PP", []).text([roman(*paragraph)]);
        }
        roff.to_writer(&mut out)?;
    }
    man.render_options_section(&mut out)?;
    let mut roff = Roff::new();
    if whole {
        commands(&mut roff, root);
        list(&mut roff, "FILES", &text::FILES);
        list(&mut roff, "ENVIRONMENT", &text::ENVIRONMENT);
    }
    let status: &[(&str, &str)] = if whole { &text::EXIT_STATUS } else { text::exit_status(command.get_name()) };
    list(&mut roff, "EXIT STATUS", status);
    let examples: Vec<_> = text::EXAMPLES.iter().filter(|(of, ..)| *of == command.get_name()).collect();
    if !examples.is_empty() {
        roff.control("SH", ["EXAMPLES"]);
    }
    for (_, line, does) in examples {
        roff.control("TP", []).text([bold(*line)]).text([roman(*does)]);
    }
    roff.control("SH", ["SEE ALSO"]);
    let names: Vec<String> = match whole {
        true => shown(root).map(|command| format!("dato-mirror-{}(1)", command.get_name())).collect(),
        false => vec!["dato-mirror(1)".to_owned()],
    };
    roff.text([roman(names.join(", "))]);
    roff.to_writer(&mut out)?;
    Ok(out)
}

fn commands(roff: &mut Roff, root: &Command) {
    roff.control("SH", ["COMMANDS"]);
    for command in shown(root) {
        let about = command.get_about().map(ToString::to_string).unwrap_or_default();
        roff.control("TP", []).text([bold(command.get_name())]);
        roff.text([roman(format!("{about}; see dato-mirror-{}(1)", command.get_name()))]);
    }
}

fn list(roff: &mut Roff, title: &str, items: &[(&str, &str)]) {
    if items.is_empty() {
        return;
    }
    roff.control("SH", [title]);
    for (name, does) in items {
        roff.control("TP", []).text([bold(*name)]).text([roman(*does)]);
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Command as Process, Stdio};

    use super::*;

    fn pages() -> Vec<(String, String)> {
        let root = root();
        let all = shown(&root).chain([&root]).map(|command| {
            let name = command.get_display_name().unwrap_or_else(|| command.get_name()).to_owned();
            (name, String::from_utf8(page(command, &root).unwrap()).unwrap())
        });
        all.collect()
    }

    /// The names of pages that a text speaks of.
    fn named(page: &str) -> Vec<String> {
        let plain = page.replace('\\', "");
        let before = plain.match_indices("(1)").map(|(at, _)| plain[..at].to_owned());
        before
            .map(|before| {
                let start = before.rfind(|c: char| !(c.is_ascii_alphanumeric() || "-_".contains(c)));
                before[start.map_or(0, |at| at + 1)..].to_owned()
            })
            .collect()
    }

    #[test]
    fn every_page_that_is_named_is_there() {
        let pages = pages();
        assert!(pages.len() > 8);
        for (name, page) in &pages {
            let named = named(page);
            assert!(!named.is_empty(), "{name} leads nowhere");
            for other in named {
                assert!(pages.iter().any(|(name, _)| *name == other), "{name} names {other}(1), which is no page");
            }
        }
    }

    #[test]
    fn the_page_of_the_program_has_its_own_text() {
        let page = pages().into_iter().find(|(name, _)| name == "dato-mirror").unwrap().1;
        for section in ["NAME", "SYNOPSIS", "COMMANDS", "FILES", "ENVIRONMENT", "EXIT STATUS", "EXAMPLES", "SEE ALSO"] {
            let quoted = format!(".SH \"{section}\"");
            assert!(page.contains(&format!(".SH {section}\n")) || page.contains(&quoted), "{section}:\n{page}");
        }
        assert!(!page.contains("EXTRA") && !page.contains("dato-mirror-help"), "{page}");
    }

    #[test]
    fn texts_are_about_commands_that_are_there() {
        let root = root();
        let known = |name: &str| name == "dato-mirror" || shown(&root).any(|command| command.get_name() == name);
        for name in text::EXAMPLES.iter().map(|(of, ..)| *of).chain(text::NOTES.iter().map(|(of, _)| *of)) {
            assert!(known(name), "{name}");
        }
        for (of, line, _) in text::EXAMPLES {
            let words = line.split(" | ").last().unwrap().split(" < ").next().unwrap();
            let words: Vec<&str> = words.split_whitespace().skip_while(|word| *word != "dato-mirror").collect();
            assert!(Args::read(words.iter().copied()).is_ok(), "{of}: {line}");
        }
    }

    #[test]
    fn a_typesetter_has_nothing_to_complain_about() {
        for (name, page) in pages() {
            let started = Process::new("groff")
                .args(["-man", "-ww", "-z", "-Tutf8", "-k"])
                .stdin(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn();
            let Ok(mut groff) = started else {
                eprintln!("skipped: groff is not on this machine, so no manual page was set");
                return;
            };
            groff.stdin.take().unwrap().write_all(page.as_bytes()).unwrap();
            let output = groff.wait_with_output().unwrap();
            let told = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success() && told.is_empty(), "{name}: {told}\n{page}");
        }
    }
}
