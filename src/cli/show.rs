//! Reports and plans as text, JSON and Markdown.
//!
//! Owns: how they look. Called by: the commands.

use std::io::{self, Write as _};

use bytesize::ByteSize;
use comfy_table::{Attribute, Cell, ContentArrangement, Table};

use super::args::Format;
use crate::error::Exit;
use crate::report::{MirrorReport, Report};

/// Turns the outcome of printing into an exit code: a reader that went away is no failure.
pub fn wrote(result: io::Result<()>) -> Exit {
    match result {
        Ok(()) => Exit::Done,
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Exit::Done,
        Err(error) => {
            tracing::error!(%error, "standard output cannot be written");
            Exit::Incomplete
        }
    }
}

/// Prints to standard output; colours only where they are seen.
pub fn print(text: &str) -> Exit {
    wrote(anstream::AutoStream::auto(io::stdout()).write_all(text.as_bytes()))
}

/// One JSON object, on one line.
pub fn json(value: &impl serde::Serialize) -> String {
    let mut text = serde_json::to_string(value).unwrap_or_default();
    text.push('\n');
    text
}

/// A command that needs the daemon's records.
pub fn not_yet() -> Exit {
    tracing::error!("this command is not available in this version");
    Exit::Usage
}

/// The report in the wanted format.
#[must_use]
pub fn report(report: &Report, format: Format) -> String {
    match format {
        Format::Json => {
            let mut text = serde_json::to_string(report).unwrap_or_default();
            text.push('\n');
            text
        }
        Format::Text => report.mirrors.iter().map(|mirror| text(mirror, report.duration_ms)).collect(),
        Format::Markdown => report.mirrors.iter().map(markdown).collect(),
    }
}

fn text(mirror: &MirrorReport, duration_ms: u64) -> String {
    let mut out = String::new();
    if let Some(plan) = &mirror.plan {
        out.push_str(&format!(
            "{}: {} files in {}, {} unchanged\n",
            mirror.name,
            mirror.scanned,
            mirror.root,
            mirror.scanned.saturating_sub(plan.len() as u64)
        ));
        if plan.is_empty() {
            out.push_str("nothing to do\n");
        } else {
            let mut table = table(["action", "file", "why"]);
            for action in plan {
                table.add_row([&action.action, &printable(&action.path), &action.why]);
            }
            out.push_str(&format!("{table}\n"));
        }
    } else {
        out.push_str(&format!(
            "{}: {} files, {}; {} unchanged; {} API calls, {} sent, {:.1} s\n",
            mirror.name,
            mirror.scanned,
            mirror.counts(),
            mirror.unchanged,
            mirror.api_requests,
            ByteSize::b(mirror.bytes_uploaded).display().si(),
            duration_ms as f64 / 1000.0,
        ));
    }
    if !mirror.problems.is_empty() {
        out.push_str(&format!("{} to look at:\n", mirror.problems.len()));
        for problem in &mirror.problems {
            let place = if problem.path.is_empty() { "(the mirror)".to_owned() } else { printable(&problem.path) };
            out.push_str(&format!("  {place}: {}\n      → {}\n", problem.cause, problem.advice));
        }
    }
    out
}

fn markdown(mirror: &MirrorReport) -> String {
    let cell = |text: &str| printable(text).replace('\\', "\\\\").replace('|', "\\|").replace('<', "&lt;");
    let mut out = format!("### dato-mirror: {}\n\n", cell(&mirror.name));
    match &mirror.plan {
        Some(plan) if plan.is_empty() => {
            out.push_str(&format!("{} files, nothing to do.\n", mirror.scanned));
        }
        Some(plan) => {
            out.push_str(&format!(
                "{} of {} files need something:\n\n| action | file | why |\n|---|---|---|\n",
                plan.len(),
                mirror.scanned
            ));
            for action in plan {
                out.push_str(&format!("| {} | {} | {} |\n", action.action, cell(&action.path), cell(&action.why)));
            }
        }
        None => out.push_str(&format!(
            "{} files: {}; {} unchanged; {} API calls.\n",
            mirror.scanned,
            mirror.counts(),
            mirror.unchanged,
            mirror.api_requests
        )),
    }
    if !mirror.problems.is_empty() {
        out.push_str("\n| problem | cause | what to do |\n|---|---|---|\n");
        for problem in &mirror.problems {
            let path = if problem.path.is_empty() { "(the mirror)" } else { &problem.path };
            out.push_str(&format!("| {} | {} | {} |\n", cell(path), cell(&problem.cause), cell(&problem.advice)));
        }
    }
    out.push('\n');
    out
}

/// A table without frames.
pub fn table<const N: usize>(header: [&str; N]) -> Table {
    let mut table = Table::new();
    table.load_style(comfy_table::presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(header.map(|name| Cell::new(name).add_attribute(Attribute::Bold)));
    table
}

/// A file name is any bytes: what could drive a terminal is spelt out.
#[must_use]
pub fn printable(text: &str) -> String {
    text.chars().flat_map(|c| if c.is_control() { c.escape_default().collect::<Vec<_>>() } else { vec![c] }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{PlannedAction, ReportedProblem};

    fn sample() -> Report {
        Report {
            mirrors: vec![MirrorReport {
                name: "brand".into(),
                root: "/srv/brand".into(),
                scanned: 12,
                unchanged: 9,
                created: 1,
                replaced: 1,
                failed: 1,
                problems: vec![ReportedProblem {
                    path: "a|b\n.png".into(),
                    action: "create".into(),
                    cause: "the file cannot be read".into(),
                    advice: "check its permissions".into(),
                }],
                api_requests: 7,
                bytes_uploaded: 2_500_000,
                ..MirrorReport::default()
            }],
            duration_ms: 1_500,
        }
    }

    #[test]
    fn a_report_reads_well_in_every_format() {
        insta::assert_snapshot!(report(&sample(), Format::Text));
        insta::assert_snapshot!(report(&sample(), Format::Markdown));
        insta::assert_snapshot!(report(&sample(), Format::Json));
    }

    #[test]
    fn a_plan_reads_well() {
        let mut planned = sample();
        planned.mirrors[0].plan = Some(vec![PlannedAction {
            path: "logo.svg".into(),
            action: "replace".into(),
            why: "the content changed".into(),
        }]);
        insta::assert_snapshot!(report(&planned, Format::Text));
        insta::assert_snapshot!(report(&planned, Format::Markdown));
    }

    #[test]
    fn a_name_cannot_drive_the_terminal() {
        assert_eq!(printable("a\u{1b}[2Jb\n"), "a\\u{1b}[2Jb\\n");
        assert_eq!(printable("ä 🎨.png"), "ä 🎨.png");
    }
}
