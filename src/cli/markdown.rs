//! Reports and plans as Markdown, for people who review a change.
//!
//! Owns: the words of a plan for somebody who has never read the manual, and what makes foreign text harmless on a page
//! that knows HTML, links and mentions.

use super::show::{live, printable};
use crate::index::files::ProblemKind;
use crate::model::ActionKind;
use crate::report::change::{ChangedAsset, ChangedValue, WITHHELD_IN_A_PLAN};
use crate::report::{MirrorReport, PlannedAction, ReportedProblem, for_people};

/// A table is not made longer than this, bytes: a comment on GitHub takes 65,536 characters.
const COMMENT: usize = 24_000;
/// A value of an asset is not shown longer than this, characters.
const VALUE: usize = 120;
/// Paths named of those that the deletion guard withheld.
const NAMED: usize = 3;

/// A mirror's report.
pub fn mirror(mirror: &MirrorReport) -> String {
    let mut out = format!("### dato-mirror: {}\n\n", cell(&mirror.name));
    match &mirror.plan {
        Some(plan) => planned(mirror, plan, &mut out),
        None if mirror.problems.iter().any(|problem| problem.problem.action == ActionKind::Start) => {
            out.push_str("**The run could not begin**: nothing was looked at and nothing was changed.\n");
        }
        None => out.push_str(&format!(
            "{} files: {}; {} unchanged; {} API calls.\n",
            mirror.counts.scanned,
            mirror.counts(),
            mirror.counts.unchanged,
            mirror.api_requests
        )),
    }
    if let Some(live) = live(mirror) {
        out.push_str(&format!("\n{}\n", live.lines().map(cell).collect::<Vec<_>>().join("  \n")));
    }
    let problems = problems(&mirror.problems);
    if !problems.is_empty() {
        let row = |problem: &ReportedProblem| {
            let path = if problem.path.is_empty() { "(the mirror)".to_owned() } else { code(&problem.path) };
            format!("| {path} | {} | {} |\n", cell(&problem.problem.cause), cell(&problem.advice()))
        };
        out.push('\n');
        rows(&mut out, "| problem | cause | what to do |\n|---|---|---|\n", problems.iter().map(row));
    }
    out.push('\n');
    out
}

fn planned(mirror: &MirrorReport, plan: &[PlannedAction], out: &mut String) {
    // What the guard withholds is told once, as a problem.
    let shown: Vec<&PlannedAction> = plan.iter().filter(|action| action.why != WITHHELD_IN_A_PLAN).collect();
    let scanned = mirror.counts.scanned;
    if shown.is_empty() {
        let withheld = if plan.is_empty() { "" } else { "; what is withheld is below" };
        out.push_str(&format!("{scanned} files, nothing to do{withheld}.\n"));
        return;
    }
    let counted = counted(&shown);
    let files = match mirror.planned_files() {
        0 => String::new(),
        1 => format!(" 1 of {scanned} files needs something."),
        files => format!(" {files} of {scanned} files need something."),
    };
    out.push_str(&format!("When this is merged: {counted}.{files}\n\n"));
    let row = |action: &&PlannedAction| {
        let place = if action.path.is_empty() { "(the mirror)".to_owned() } else { code(&action.path) };
        format!("| {place} | {} | {} |\n", what_happens(action), before_and_after(action))
    };
    rows(out, "| file | what happens | asset: before → after |\n|---|---|---|\n", shown.iter().map(row));
}

/// How many there are of each kind, the most visible kinds first.
fn counted(plan: &[&PlannedAction]) -> String {
    let kinds = [
        (ActionKind::Create, "new asset", "new assets"),
        (ActionKind::Replace, "asset gets a new file", "assets get a new file"),
        (ActionKind::Move, "moved file keeps its asset", "moved files keep their assets"),
        (ActionKind::Alias, "file shares an asset", "files share an asset"),
        (ActionKind::Adopt, "file takes an asset that is there", "files take assets that are there"),
        (ActionKind::Retag, "asset gets other metadata", "assets get other metadata"),
        (ActionKind::Delete, "asset is deleted", "assets are deleted"),
        (ActionKind::Report, "thing to look at", "things to look at"),
    ];
    let count = |kind: ActionKind| plan.iter().filter(|action| action.action == kind).count();
    let known = kinds.iter().map(|(kind, one, many)| match count(*kind) {
        0 => String::new(),
        1 => format!("1 {one}"),
        more => format!("{more} {many}"),
    });
    // A word that this table does not know is better than an action that nobody hears of.
    let is_known = |action: &&&PlannedAction| kinds.iter().any(|(kind, ..)| *kind == action.action);
    let others = plan.iter().filter(|action| !is_known(action)).count();
    let others = if others == 0 { String::new() } else { format!("{others} others") };
    known.chain([others]).filter(|part| !part.is_empty()).collect::<Vec<_>>().join(", ")
}

fn what_happens(PlannedAction { action, why, change, .. }: &PlannedAction) -> String {
    let why = cell(why);
    match action {
        ActionKind::Create => format!("new asset: {why}"),
        ActionKind::Delete => format!("**the asset is deleted**: {why}"),
        ActionKind::Report => format!("to look at: {why}"),
        // Of metadata alone, before and after say it better.
        ActionKind::Retag if !change.changes.is_empty() => format!("other metadata{}", after_gone(&why)),
        _ => why,
    }
}

/// Why the tag of a file that is gone comes or goes; of all other metadata the values speak.
fn after_gone(why: &str) -> String {
    if why.starts_with("the file is") { format!(": {why}") } else { String::new() }
}

fn before_and_after(action: &PlannedAction) -> String {
    let asset = action.change.asset.as_ref().map(link);
    let values = action.change.changes.iter().map(value);
    asset.into_iter().chain(values).collect::<Vec<_>>().join("<br>")
}

/// The asset by its name, with the address under which pages have it.
fn link(asset: &ChangedAsset) -> String {
    let name = cell(&asset.filename);
    let is_address = asset.url.starts_with("https://") || asset.url.starts_with("http://");
    if !is_address {
        return name;
    }
    let mut address = String::new();
    for c in asset.url.chars() {
        match c {
            '(' | ')' | '<' | '>' | '|' | '\\' | '`' | '"' | ' ' => address.push_str(&format!("%{:02X}", u32::from(c))),
            _ if c.is_control() => {}
            _ => address.push(c),
        }
    }
    format!("[{name}]({address})")
}

fn value(ChangedValue { what, before, after }: &ChangedValue) -> String {
    let shown = |value: &Option<String>| {
        let Some(value) = value else { return "–".to_owned() };
        let mut short: String = value.chars().take(VALUE).collect();
        if short.len() < value.len() {
            short.push('…');
        }
        cell(&short)
    };
    let (before, after) = (shown(before), shown(after));
    let same = if before == after && what == "file" { ", other content" } else { "" };
    format!("{}: {before} → {after}{same}", cell(what))
}

/// The problems as a reviewer reads them: what the deletion guard withheld is part of the guard's own line.
fn problems(all: &[ReportedProblem]) -> Vec<ReportedProblem> {
    let is_withheld = |problem: &ReportedProblem| problem.problem.kind == ProblemKind::Withheld;
    // Only the guard against mass deletion withholds assets.
    let is_guard = |problem: &ReportedProblem| problem.problem.action == ActionKind::Guard;
    let Some(at) = all.iter().position(is_guard).filter(|_| all.iter().any(is_withheld)) else {
        return for_people(all);
    };
    let (withheld, mut shown): (Vec<_>, Vec<_>) = all.iter().cloned().partition(is_withheld);
    let before = all.iter().take(at).filter(|problem| is_withheld(problem)).count();
    if let Some(guard) = shown.get_mut(at - before) {
        let names: Vec<&str> = withheld.iter().take(NAMED).map(|problem| problem.path.as_str()).collect();
        guard.path = names.join(", ");
        if withheld.len() > NAMED {
            guard.path.push_str(&format!(" and {} more", withheld.len() - NAMED));
        }
    }
    shown
}

/// A table that stays small enough for a comment on a pull request.
fn rows(out: &mut String, head: &str, rows: impl Iterator<Item = String>) {
    out.push_str(head);
    let (mut length, mut left_out) = (0, 0);
    for row in rows {
        length += row.len();
        if length > COMMENT {
            left_out += 1;
        } else {
            out.push_str(&row);
        }
    }
    if left_out > 0 {
        out.push_str(&format!("\n… and {left_out} more.\n"));
    }
}

/// Text in a table of a page that also understands HTML and mentions people.
fn cell(text: &str) -> String {
    let mut out = String::new();
    for c in printable(text).chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '&' => out.push_str("&amp;"),
            '@' => out.push_str("&#64;"),
            '\\' | '|' | '*' | '_' | '`' | '[' | ']' => {
                out.push('\\');
                out.push(c);
            }
            _ => out.push(c),
        }
    }
    out
}

/// A path as code: inside a table only the bar has to be escaped; a path with a backtick in it is text.
fn code(path: &str) -> String {
    let path = printable(path);
    if path.contains('`') || path.contains('\\') { cell(&path) } else { format!("`{}`", path.replace('|', "\\|")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::Problem;
    use crate::report::Counts;
    use crate::report::change::Change;

    fn action(path: &str, action: ActionKind, why: &str, change: Change) -> PlannedAction {
        PlannedAction { path: path.into(), action, why: why.into(), change, on_disk: action != ActionKind::Delete }
    }

    fn changed(filename: &str, url: &str, values: &[(&str, &str, &str)]) -> Change {
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Change {
            asset: some(filename).map(|filename| ChangedAsset { id: "i".into(), filename, url: url.into() }),
            changes: values
                .iter()
                .map(|(what, before, after)| ChangedValue {
                    what: (*what).into(),
                    before: some(before),
                    after: some(after),
                })
                .collect(),
        }
    }

    fn problem(path: &str, action: ActionKind, cause: &str) -> ReportedProblem {
        ReportedProblem::of(path, Problem::new(action, cause, "mend it"))
    }

    #[test]
    fn a_reviewer_reads_what_becomes_of_which_asset() {
        let long = "x".repeat(200);
        let plan = vec![
            action("new.png", ActionKind::Create, "the file is new", changed("", "", &[("file", "", "3 B")])),
            action(
                "a.png",
                ActionKind::Replace,
                "the content changed: the asset gets the new file at the same URL",
                changed("a (1).png", "https://x/a (1).png", &[("file", "2 B", "2 B"), ("alt.en", "", "*A*")]),
            ),
            action(
                "t.jpg",
                ActionKind::Retag,
                "write notes",
                changed("t.jpg", "https://x/t.jpg", &[("notes", "old", &long)]),
            ),
            action(
                "g.jpg",
                ActionKind::Retag,
                "the file is gone; on_delete = \"tag\"",
                changed("g.jpg", "javascript:x", &[("tags", "", "gone-from-folder")]),
            ),
            action(
                "x.jpg",
                ActionKind::Delete,
                "the file is gone",
                changed("x.jpg", "https://x/x.jpg", &[("file", "1 B", "")]),
            ),
            action("w.jpg", ActionKind::Report, WITHHELD_IN_A_PLAN, Change::default()),
        ];
        let report = MirrorReport {
            name: "brand".into(),
            counts: Counts { scanned: 9, ..Counts::default() },
            plan: Some(plan),
            ..MirrorReport::default()
        };
        insta::assert_snapshot!(mirror(&report));
    }

    #[test]
    fn the_deletion_guard_is_one_line() {
        let mut all = vec![problem("big.bin", ActionKind::Create, "too large")];
        all.extend((1..6).map(|n| ReportedProblem::of(format!("{n}.png"), Problem::withheld())));
        all.push(problem("", ActionKind::Guard, "max_delete: 5 of 8 files are gone"));
        let shown = problems(&all);
        let lines: Vec<_> = shown.iter().map(|one| format!("{}: {}", one.path, one.problem.cause)).collect();
        assert_eq!(lines, ["big.bin: too large", "1.png, 2.png, 3.png and 2 more: max_delete: 5 of 8 files are gone"]);
        let plan =
            (1..6).map(|n| action(&format!("{n}.png"), ActionKind::Report, WITHHELD_IN_A_PLAN, Change::default()));
        let report = MirrorReport { plan: Some(plan.collect()), problems: all, ..MirrorReport::default() };
        let text = mirror(&report);
        assert!(text.contains("nothing to do; what is withheld is below.") && !text.contains("4.png"), "{text}");
        assert_eq!(text.matches("max\\_delete").count(), 1, "{text}");
        // Another guard names no files.
        let other = [problem("", ActionKind::Guard, "the root is empty")];
        assert_eq!(problems(&other), other);
    }

    #[test]
    fn a_run_that_could_not_begin_says_so() {
        let report = MirrorReport {
            name: "brand".into(),
            problems: vec![problem("", ActionKind::Start, "the API refused the token")],
            ..MirrorReport::default()
        };
        let text = mirror(&report);
        assert!(text.contains("could not begin") && text.contains("refused the token"), "{text}");
        assert!(!text.contains("0 files"), "{text}");
    }
}
