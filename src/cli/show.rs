//! Reports and plans as text and JSON; Markdown is `markdown`'s.
//!
//! Owns: how they look.

use std::collections::BTreeMap;
use std::io::{self, Write as _};

use anstyle::{AnsiColor, Style};
use bytesize::ByteSize;
use comfy_table::{Attribute, Cell, ContentArrangement, Table};

use super::args::Format;
use super::markdown;
use crate::error::Exit;
use crate::model::ActionKind;
use crate::report::{LiveState, MirrorReport, PlannedAction, Report, for_people};

/// A column of paths is not made wider than this, characters.
const WIDEST: usize = 48;

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

/// The report in the wanted format.
#[must_use]
pub fn report(report: &Report, format: Format) -> String {
    match format {
        Format::Json => json(report),
        Format::Text => report.mirrors.iter().map(|mirror| text(mirror, report.duration_ms)).collect(),
        Format::Markdown => report.mirrors.iter().map(markdown::mirror).collect(),
    }
}

/// How many of each action a plan has, in the order of the actions' names.
fn planned(plan: &[PlannedAction]) -> String {
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    for action in plan {
        *counts.entry(action.action.as_str()).or_default() += 1;
    }
    counts.iter().map(|(action, count)| format!("{count} to {action}")).collect::<Vec<_>>().join(", ")
}

/// What `verify_live` saw, in one sentence, and what is behind.
pub(super) fn live(mirror: &MirrorReport) -> Option<String> {
    let took: Vec<u64> = mirror.live.iter().filter_map(|url| url.after_ms).collect();
    let paths = |state: LiveState| -> Vec<String> {
        mirror.live.iter().filter(|url| url.state == state).take(10).map(|url| printable(&url.path)).collect()
    };
    let (behind, untold) = (paths(LiveState::NotYet), paths(LiveState::CannotBeTold));
    let served = took.iter().max().map(|slowest| {
        let urls =
            if took.len() == 1 { "1 replaced URL serves" } else { &format!("{} replaced URLs serve", took.len()) };
        format!("live: {urls} the new bytes, {:.1} s after the replacement at the latest", *slowest as f64 / 1000.0)
    });
    let waits = (!behind.is_empty())
        .then(|| format!("not live yet: {}; a CDN may take 5 to 10 minutes, nothing is lost", behind.join(", ")));
    let cannot = (!untold.is_empty())
        .then(|| format!("whether they are live cannot be told: {}; the report has the reasons", untold.join(", ")));
    let lines: Vec<String> = [served, waits, cannot].into_iter().flatten().collect();
    (!lines.is_empty()).then(|| lines.join("\n"))
}

/// What failed.
const RED: Style = AnsiColor::Red.on_default();

const fn colour(action: ActionKind) -> Style {
    match action {
        ActionKind::Create | ActionKind::Adopt | ActionKind::Alias => AnsiColor::Green.on_default(),
        ActionKind::Delete => RED,
        ActionKind::Report => AnsiColor::Yellow.on_default(),
        _ => AnsiColor::Cyan.on_default(),
    }
}

fn text(mirror: &MirrorReport, duration_ms: u64) -> String {
    let bold = Style::new().bold();
    let name = printable(&mirror.name);
    let mut out = String::new();
    if let Some(plan) = &mirror.plan {
        let (root, unchanged) = (printable(&mirror.root), mirror.counts.unchanged);
        out.push_str(&format!(
            "{bold}{name}{bold:#}: {} files in {root}, {unchanged} unchanged\n",
            mirror.counts.scanned
        ));
        if plan.is_empty() {
            out.push_str("nothing to do\n");
        } else {
            let paths: Vec<String> = plan.iter().map(|action| printable(&action.path)).collect();
            // One long name must not push the reasons of all others off the screen.
            let width = paths.iter().map(|path| path.chars().count()).max().unwrap_or_default().min(WIDEST);
            for (PlannedAction { action, why, .. }, path) in plan.iter().zip(paths) {
                let colour = colour(*action);
                out.push_str(&format!("  {colour}{action:<8}{colour:#} {path:<width$}  {}\n", printable(why)));
            }
            out.push_str(&format!("{}; nothing was changed\n", planned(plan)));
        }
    } else {
        out.push_str(&format!(
            "{bold}{name}{bold:#}: {} files, {}; {} unchanged; {} API calls, {} sent, {:.1} s\n",
            mirror.counts.scanned,
            mirror.counts(),
            mirror.counts.unchanged,
            mirror.api_requests,
            ByteSize::b(mirror.bytes_uploaded).display().si(),
            duration_ms as f64 / 1000.0,
        ));
        if let Some(live) = live(mirror) {
            out.push_str(&format!("{live}\n"));
        }
    }
    if !mirror.problems.is_empty() {
        let (red, problems) = (RED, for_people(&mirror.problems));
        out.push_str(&format!("{red}{} to look at{red:#}\n", problems.len()));
        for problem in &problems {
            let place = if problem.path.is_empty() { "(the mirror)".to_owned() } else { printable(&problem.path) };
            let (cause, advice) = (printable(&problem.problem.cause), printable(&problem.advice()));
            out.push_str(&format!("  {bold}{place}{bold:#}: {cause}\n      → {advice}\n"));
        }
    }
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
    let lies = |c: char| c.is_control() || DIRECTIONS.iter().any(|range| range.contains(&c));
    text.chars().flat_map(|c| if lies(c) { c.escape_default().collect::<Vec<_>>() } else { vec![c] }).collect()
}

/// Signs that are not seen and turn the direction of text around them, so that a name could look like another.
const DIRECTIONS: [std::ops::RangeInclusive<char>; 4] =
    ['\u{61c}'..='\u{61c}', '\u{200e}'..='\u{200f}', '\u{2028}'..='\u{202e}', '\u{2060}'..='\u{2069}'];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::Problem;
    use crate::report::change::{Change, ChangedAsset, ChangedValue};
    use crate::report::{Counts, PlannedAction, ReportedProblem};

    fn sample() -> Report {
        Report {
            mirrors: vec![MirrorReport {
                name: "brand".into(),
                root: "/srv/brand".into(),
                counts: Counts { scanned: 12, unchanged: 9, created: 1, replaced: 1, ..Counts::default() },
                failed: 1,
                problems: vec![ReportedProblem::of(
                    "a|b\n.png",
                    Problem::new(ActionKind::Create, "the file cannot be read", "check its permissions"),
                )],
                api_requests: 7,
                bytes_uploaded: 2_500_000,
                ..MirrorReport::default()
            }],
            duration_ms: 1_500,
        }
    }

    /// As it is where colours are not seen.
    fn plain(shown: &Report, format: Format) -> String {
        anstream::adapter::strip_str(&report(shown, format)).to_string()
    }

    #[test]
    fn a_report_reads_well_in_every_format() {
        insta::assert_snapshot!(plain(&sample(), Format::Text));
        insta::assert_snapshot!(plain(&sample(), Format::Markdown));
        insta::assert_snapshot!(plain(&sample(), Format::Json));
    }

    #[test]
    fn a_plan_reads_well() {
        let mut planned = sample();
        planned.mirrors[0].counts = Counts { scanned: 12, ..Counts::default() };
        planned.mirrors[0].plan = Some(vec![PlannedAction {
            path: "logo.svg".into(),
            action: ActionKind::Replace,
            why: "the content changed".into(),
            change: Change {
                asset: Some(ChangedAsset {
                    id: "i".into(),
                    filename: "logo.svg".into(),
                    url: "https://www.datocms-assets.com/1/logo.svg".into(),
                }),
                changes: vec![ChangedValue {
                    what: "file".into(),
                    before: Some("2.0 kB".into()),
                    after: Some("2.4 kB".into()),
                }],
            },
            on_disk: true,
        }]);
        planned.mirrors[0].settle_unchanged();
        insta::assert_snapshot!(plain(&planned, Format::Text));
        insta::assert_snapshot!(plain(&planned, Format::Markdown));
        insta::assert_snapshot!(plain(&planned, Format::Json));
    }

    #[test]
    fn a_name_cannot_drive_the_terminal() {
        assert_eq!(printable("a\u{1b}[2Jb\n"), "a\\u{1b}[2Jb\\n");
        assert_eq!(printable("ä 🎨.png"), "ä 🎨.png");
        assert_eq!(printable("a\u{202e}gpj.exe"), "a\\u{202e}gpj.exe");
    }
}
