//! `status`: what is mirrored, what waits, what failed, and what the month costs.
//!
//! Owns: reading it from the index and the running daemon's status page, and how it looks. Makes no API call.

use std::time::Duration;

use anstyle::{AnsiColor, Style};
use bytesize::ByteSize;
use jiff::Timestamp;
use serde::Serialize;

use super::args::{Args, Format};
use super::run::shown_configuration;
use super::show::{self, printable};
use crate::config::Config;
use crate::error::{Exit, RunError};
use crate::features::budget::is_spread;
use crate::index::daemon_notes;
use crate::index::files::{FileCounts, ProblemKind, RetryAt};
use crate::index::status_notes;
use crate::index::status_notes::{How, LastPass, Unread, Watching};
use crate::index::{self, Index, InstanceLock, StoredProblem, files};
use crate::model::{ActionKind, GoesOn};
use crate::report::{ReportedProblem, for_people};
use crate::runtime_state::forecast;
use crate::sync::metadata_warnings;
use crate::sync::session::this_month;

/// Problems shown to people; JSON has all.
const SHOWN: usize = 10;
/// How long the daemon's page may take to answer.
const PAGE_WAIT: Duration = Duration::from_secs(2);

/// What `status --format json` prints. These names are an interface: add, do not rename.
#[derive(Debug, Clone, Serialize)]
struct Status {
    running: Option<u32>,
    state_path: String,
    api: Api,
    mirrors: Vec<Mirror>,
}

#[derive(Debug, Clone, Default, Serialize)]
struct Api {
    calls_this_month: u64,
    budget: Option<u64>,
    forecast: u64,
}

#[derive(Debug, Clone, Serialize)]
struct Mirror {
    name: String,
    root: String,
    /// It has run with this index.
    known: bool,
    present: u64,
    mirrored: u64,
    pending: u64,
    failed: u64,
    /// Where the files stand, each counted once.
    counts: FileCounts,
    watching: Option<Watching>,
    /// Why a running daemon does nothing for it now.
    waits: Option<String>,
    last_pass: Option<LastPass>,
    problems: Vec<Problem>,
}

/// Its JSON is path, action, cause, advice and the time.
#[derive(Debug, Clone, Serialize)]
struct Problem {
    #[serde(flatten)]
    reported: ReportedProblem,
    retry_at: Option<Timestamp>,
}

/// Runs.
pub async fn run(args: &Args) -> Exit {
    let config = match shown_configuration(&args.global, false) {
        Ok(config) => config,
        Err(exit) => return exit,
    };
    let mut status = match gather(&config).await {
        Ok(status) => status,
        Err(error) => {
            tracing::error!("{error}");
            return error.exit();
        }
    };
    if let (Some(_), Some(listen)) = (status.running, config.status_listen) {
        from_page(&format!("http://{listen}/status.json"), &mut status).await;
    }
    let text = match args.global.format {
        Format::Json => show::json(&status),
        Format::Text | Format::Markdown => text(&status, Timestamp::now()),
    };
    show::print(&text)
}

async fn gather(config: &Config) -> Result<Status, RunError> {
    let index = Index::open_read_only(&config.state_path)?;
    let mirrors: Vec<(String, String)> =
        config.mirrors.iter().map(|mirror| (mirror.name.clone(), mirror.root.display().to_string())).collect();
    let running = InstanceLock::holder(&config.state_path);
    let (calls, mirrors) = index
        .call(move |conn| {
            let calls = status_notes::calls_in(conn, &this_month())?;
            let mirrors = mirrors.into_iter().map(|(name, root)| {
                let note =
                    running.map(|pid| daemon_notes::of(conn, &name, pid)).transpose()?.flatten().unwrap_or_default();
                let mut watching = running.and(status_notes::watching(conn, &name)?);
                if let Some(watching) = watching.as_mut().filter(|_| !note.degraded.is_empty()) {
                    watching.degraded = note.degraded;
                }
                let mut mirror = Mirror {
                    watching,
                    last_pass: status_notes::last_pass(conn, &name)?,
                    name,
                    root,
                    waits: note.waits,
                    known: false,
                    present: 0,
                    mirrored: 0,
                    pending: 0,
                    failed: 0,
                    counts: FileCounts::default(),
                    problems: Vec::new(),
                };
                let Some(row) = status_notes::mirror_row(conn, &mirror.name)? else { return Ok(mirror) };
                let tally = files::tally(conn, row)?;
                mirror.known = true;
                (mirror.present, mirror.mirrored, mirror.failed) = (tally.present, tally.mirrored, tally.failed);
                mirror.pending = status_notes::pending(conn, row)?;
                mirror.problems = files::problems(conn, row)?.into_iter().map(Problem::of).collect();
                let unread = status_notes::unread(conn, &mirror.name)?;
                mirror.counts = files::counts(conn, row, unread.iter().map(|one| one.path.as_str()))?;
                for Unread { path, cause, advice } in unread {
                    // A file that is mirrored can still have something in it that could not be read.
                    let mirrored = files::by_path(conn, row, &path)?.is_some_and(|row| row.present);
                    mirror.failed += u64::from(!mirrored);
                    let problem = index::Problem::new(ActionKind::Read, cause, advice);
                    mirror.problems.push(Problem::untimed(ReportedProblem::of(path, problem)));
                }
                mirror.problems.extend(metadata_warnings::told(conn, row, |_| true)?.into_iter().map(Problem::untimed));
                Ok(mirror)
            });
            Ok((calls, mirrors.collect::<rusqlite::Result<Vec<Mirror>>>()?))
        })
        .await?;
    Ok(Status {
        running,
        state_path: config.state_path.display().to_string(),
        api: Api {
            calls_this_month: calls,
            budget: config.api.monthly_budget,
            forecast: forecast(calls, Timestamp::now()),
        },
        mirrors,
    })
}

impl Problem {
    fn of(stored: StoredProblem) -> Self {
        let StoredProblem { path, problem, retry } = stored;
        // A time under a wrong clock is not repeated to people: the file is due.
        let now = Timestamp::now();
        let retry_at = match retry.at(now.as_millisecond()) {
            RetryAt::NextPass => Some(now),
            RetryAt::Time(at) => Timestamp::from_millisecond(at).ok(),
            RetryAt::AfterAChange => None,
        };
        Self { reported: ReportedProblem { retry, ..ReportedProblem::of(path, problem) }, retry_at }
    }

    /// One of which no time is known.
    const fn untimed(reported: ReportedProblem) -> Self {
        Self { reported, retry_at: None }
    }

    /// What the deletion guard withheld is one matter.
    fn for_people(problems: &[Self]) -> Vec<Self> {
        let (withheld, mut rest): (Vec<Self>, Vec<Self>) =
            problems.iter().cloned().partition(|one| one.reported.problem.kind == ProblemKind::Withheld);
        let withheld: Vec<ReportedProblem> = withheld.into_iter().map(|one| one.reported).collect();
        let mut shown: Vec<Self> = for_people(&withheld).into_iter().map(Self::untimed).collect();
        shown.append(&mut rest);
        shown
    }
}

/// Takes from the daemon's page what only the daemon knows. Without an answer the index's word stands.
async fn from_page(url: &str, status: &mut Status) {
    let ask = async {
        let client = reqwest::Client::builder().no_proxy().timeout(PAGE_WAIT).build().ok()?;
        client.get(url).send().await.ok()?.error_for_status().ok()?.json::<serde_json::Value>().await.ok()
    };
    let Some(page) = ask.await else {
        tracing::debug!("the status page does not answer");
        return;
    };
    if let Some(calls) = page["api"]["calls_this_month"].as_u64() {
        status.api.calls_this_month = calls.max(status.api.calls_this_month);
        status.api.forecast = forecast(status.api.calls_this_month, Timestamp::now());
    }
    for seen in page["mirrors"].as_array().into_iter().flatten() {
        let Some(mirror) = status.mirrors.iter_mut().find(|mirror| seen["name"] == mirror.name.as_str()) else {
            continue;
        };
        mirror.failed = mirror.failed.max(seen["failed"].as_u64().unwrap_or_default());
        for problem in seen["problems"].as_array().into_iter().flatten() {
            let text = |name: &str| problem[name].as_str().unwrap_or_default().to_owned();
            let (path, cause) = (text("path"), text("cause"));
            let is_it = |known: &Problem| known.reported.path == path && known.reported.problem.cause == cause;
            if !mirror.problems.iter().any(is_it) {
                let problem = index::Problem::new(ActionKind::of(&text("action")), cause, text("advice"));
                mirror.problems.push(Problem::untimed(ReportedProblem::of(path, problem)));
            }
        }
        let phase = &seen["phase"];
        mirror.waits = match (phase["name"].as_str(), phase["for"].as_str()) {
            (Some("paused"), _) => phase["guard"].as_str().map(|guard| format!("paused: {guard}")),
            (Some("waiting"), Some("api")) => {
                Some(format!("waits for the API: {}", phase["cause"].as_str().unwrap_or_default()))
            }
            (Some("waiting"), _) => Some("waits for the API's allowance".to_owned()),
            _ => None,
        };
        let Ok(how) = serde_json::from_value(seen["watching"]["how"].clone()) else { continue };
        let texts = seen["degraded"].as_array().into_iter().flatten().filter_map(|text| text.as_str());
        mirror.watching = Some(Watching {
            how,
            reason: seen["watching"]["reason"].as_str().map(str::to_owned),
            degraded: texts.map(str::to_owned).collect(),
        });
    }
}

fn text(status: &Status, now: Timestamp) -> String {
    let mut out = String::new();
    let daemon = match status.running {
        Some(pid) => format!("running (process {pid})"),
        None => "not running".to_owned(),
    };
    out.push_str(&format!("daemon: {daemon}\n"));
    let budget = status.api.budget.map_or_else(String::new, |budget| format!(" of {budget}"));
    let over = status.api.budget.is_some_and(|budget| status.api.forecast > budget);
    let warning = match status.api.budget {
        Some(budget) if status.api.calls_this_month >= budget => {
            "; all is spent: nothing is mirrored until the next month"
        }
        Some(budget) if is_spread(budget, status.api.calls_this_month) => {
            "; the daemon spreads what is left over the month"
        }
        _ if over => "; that is over the budget",
        _ => "",
    };
    let forecast =
        painted(&format!("about {} at its end{warning}", status.api.forecast), over.then_some(AnsiColor::Yellow));
    out.push_str(&format!("API calls this month: {}{budget}, {forecast}\n", status.api.calls_this_month));
    for mirror in &status.mirrors {
        out.push('\n');
        mirror_text(mirror, status.running.is_some(), now, &mut out);
    }
    out
}

fn mirror_text(mirror: &Mirror, running: bool, now: Timestamp, out: &mut String) {
    out.push_str(&format!("{} ({})\n", painted(&printable(&mirror.name), None), printable(&mirror.root)));
    if !mirror.known {
        out.push_str("  has not run yet\n");
        return;
    }
    let FileCounts { files, mirrored, pending, failed, gone } = mirror.counts;
    let failed = painted(&format!("{failed} failed"), (failed > 0).then_some(AnsiColor::Red));
    out.push_str(&format!("  {files} files: {mirrored} mirrored, {pending} pending, {failed}\n"));
    if gone > 0 {
        out.push_str(&format!(
            "  {gone} more are gone from the folder, and something is still to be done about their assets\n"
        ));
    }
    if let Some(watching) = &mirror.watching {
        let how = match (watching.how, &watching.reason) {
            (How::Native, _) => "watched by file events".to_owned(),
            (How::Polling, Some(reason)) => format!("polled: {reason}"),
            (How::Polling, None) => "polled".to_owned(),
            (How::Starting, _) => "the watch is starting".to_owned(),
        };
        out.push_str(&format!("  {how}\n"));
        for reason in &watching.degraded {
            out.push_str(&format!("  {}: {reason}\n", painted("degraded", Some(AnsiColor::Yellow))));
        }
    }
    if let Some(waits) = &mirror.waits {
        out.push_str(&format!("  {}\n", painted(&printable(waits), Some(AnsiColor::Yellow))));
    }
    match &mirror.last_pass {
        None => out.push_str("  no pass has ended yet\n"),
        Some(pass) => {
            out.push_str(&format!(
                "  last pass {}: {} changed, {} deleted, {} failed; {} API calls, {} sent, {:.1} s\n",
                ago(pass.at, now),
                pass.changed,
                pass.deleted,
                pass.failed,
                pass.api_requests,
                ByteSize::b(pass.bytes_uploaded).display().si(),
                Duration::from_millis(pass.duration_ms).as_secs_f64(),
            ));
            for (cause, advice) in &pass.problems {
                out.push_str(&format!("  {}: {cause}\n      → {advice}\n", painted("stopped", Some(AnsiColor::Red))));
            }
        }
    }
    let problems = Problem::for_people(&mirror.problems);
    for problem in problems.iter().take(SHOWN) {
        let when = match problem.retry_at {
            // Where no daemon runs nobody is there who would do it at that time.
            Some(at) if running && at > now => format!(" (tried again {})", until(at, now)),
            Some(_) => " (tried again at the next pass)".to_owned(),
            None => String::new(),
        };
        let Problem { reported: ReportedProblem { path, problem, retry, .. }, .. } = problem;
        let path = painted(&printable(path), Some(AnsiColor::Red));
        let advice = retry.told(&problem.advice, if running { GoesOn::Daemon } else { GoesOn::NextRun });
        out.push_str(&format!("  {path}: {}{when}\n      → {advice}\n", problem.cause));
    }
    if problems.len() > SHOWN {
        out.push_str(&format!("  … and {} more; --format json has all\n", problems.len() - SHOWN));
    }
    if mirror.failed > 0 {
        out.push_str("  when mended: dato-mirror retry\n");
    }
}

fn painted(text: &str, color: Option<AnsiColor>) -> String {
    let style = color.map_or_else(|| Style::new().bold(), |color| color.on_default());
    format!("{style}{text}{style:#}")
}

fn ago(at: Timestamp, now: Timestamp) -> String {
    let passed = now.duration_since(at).unsigned_abs();
    if passed < Duration::from_secs(5) { "just now".to_owned() } else { format!("{} ago", rough(passed)) }
}

fn until(at: Timestamp, now: Timestamp) -> String {
    format!("in {}", rough(at.duration_since(now).unsigned_abs()))
}

/// The largest unit that fits.
fn rough(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds / 60),
        3600..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_reads_well() {
        let now: Timestamp = "2026-11-21T12:00:00Z".parse().unwrap();
        let larger = index::Problem::new(ActionKind::Create, "it is larger than 1 GB", "make it smaller");
        let problem = |path: &str, retry_at: Option<&str>| Problem {
            reported: ReportedProblem::of(path, larger.clone()),
            retry_at: retry_at.map(|at| at.parse().unwrap()),
        };
        let brand = Mirror {
            name: "brand".into(),
            root: "/srv/brand".into(),
            known: true,
            present: 120,
            mirrored: 117,
            pending: 1,
            failed: 2,
            counts: FileCounts { files: 120, mirrored: 117, pending: 1, failed: 2, gone: 0 },
            watching: Some(Watching {
                how: How::Polling,
                reason: Some("nfs4 does not tell of others' changes".into()),
                degraded: vec!["the system is out of watches".into()],
            }),
            waits: Some("paused: the root is gone".into()),
            last_pass: Some(LastPass {
                at: "2026-11-21T11:58:00Z".parse().unwrap(),
                duration_ms: 1_200,
                changed: 3,
                failed: 2,
                api_requests: 9,
                bytes_uploaded: 1_500_000,
                problems: vec![("the guard stopped it".into(), "look at the folder".into())],
                ..LastPass::default()
            }),
            problems: vec![problem("a\u{1b}.png", None), problem("b.png", Some("2026-11-21T12:05:30Z"))],
        };
        let fresh = Mirror { name: "new".into(), known: false, ..brand.clone() };
        let many = Mirror {
            name: "many".into(),
            watching: None,
            last_pass: None,
            counts: FileCounts { files: 121, mirrored: 110, pending: 0, failed: 11, gone: 3 },
            problems: (0..=SHOWN).map(|n| problem(&format!("c{n}.png"), Some("2026-11-21T11:00:00Z"))).collect(),
            waits: None,
            ..brand.clone()
        };
        let status = Status {
            running: Some(77),
            state_path: "/var/lib/dato-mirror/index.sqlite".into(),
            api: Api { calls_this_month: 700, budget: Some(1_000), forecast: 1_300 },
            mirrors: vec![brand, fresh, many],
        };
        let plain = anstream::adapter::strip_str(&text(&status, now)).to_string();
        insta::assert_snapshot!(plain);
    }
}
