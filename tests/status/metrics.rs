//! What Prometheus reads, and the rules that we give along.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use dato_mirror::report::{Counts, MirrorReport};
use dato_mirror::runtime_state::{ApiView, Phase, RuntimeState, Watching};
use jiff::Timestamp;

use crate::{fetch, live, serve};

fn busy() -> Arc<RuntimeState> {
    let live = live(Instant::now());
    live.set_watching("brand", Watching::Native);
    live.set_degraded("brand", vec!["too few inotify watches".into()]);
    let report = MirrorReport {
        counts: Counts { created: 2, replaced: 1, ..Counts::default() },
        failed: 1,
        ..MirrorReport::default()
    };
    live.pass_ended("brand", &report, Timestamp::from_second(1_800_000_000).unwrap(), Duration::from_secs(1), true);
    live.pass_ended("brand", &report, Timestamp::from_second(1_800_000_009).unwrap(), Duration::from_secs(1), false);
    let report = MirrorReport::default();
    live.pass_ended("brand", &report, Timestamp::from_second(1_800_000_010).unwrap(), Duration::ZERO, false);
    live.set_files("brand", 10, 8);
    live.set_standing("brand", 1, 1);
    live.set_phase("brand", Phase::Idle);
    live.set_api(ApiView {
        calls_this_month: 70,
        budget: Some(100),
        forecast: Some(140),
        requests: 7,
        bytes_uploaded: 5000,
        throttled: 1,
        limit: Some(60),
        allowance: 48,
        ..ApiView::default()
    });
    live
}

/// Series and their values; fails on a line that is no line of this format.
fn parse(text: &str) -> BTreeMap<String, f64> {
    let mut found = BTreeMap::new();
    let body = text.strip_suffix("# EOF\n").unwrap_or_else(|| panic!("it has no end: {text}"));
    for line in body.lines() {
        if ["# HELP dato_mirror_", "# TYPE dato_mirror_", "# UNIT dato_mirror_"]
            .iter()
            .any(|start| line.starts_with(start))
        {
            continue;
        }
        let (series, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("{line}"));
        assert!(found.insert(series.to_owned(), value.parse().unwrap()).is_none(), "twice: {series}");
    }
    found
}

#[tokio::test]
async fn metrics_have_conventional_names_and_the_live_figures() {
    let server = serve(&busy()).await;
    let (status, head, text) = fetch(server.at, "/metrics").await;
    assert!(status == 200 && head.contains("content-type: application/openmetrics-text; version=1.0.0"), "{head}");
    let found = parse(&text);
    for (series, value) in [
        ("dato_mirror_files{mirror=\"brand\",state=\"mirrored\"}", 8.0),
        ("dato_mirror_files{mirror=\"brand\",state=\"failed\"}", 1.0),
        ("dato_mirror_actions_total{mirror=\"brand\",action=\"create\"}", 4.0),
        ("dato_mirror_passes_total{mirror=\"brand\",kind=\"full\"}", 1.0),
        ("dato_mirror_passes_total{mirror=\"brand\",kind=\"part\"}", 2.0),
        ("dato_mirror_phase{mirror=\"brand\",state=\"idle\"}", 1.0),
        ("dato_mirror_phase{mirror=\"brand\",state=\"paused\"}", 0.0),
        ("dato_mirror_last_full_pass_timestamp_seconds{mirror=\"brand\"}", 1_800_000_000.0),
        ("dato_mirror_last_success_timestamp_seconds{mirror=\"brand\"}", 1_800_000_010.0),
        ("dato_mirror_degraded{mirror=\"brand\"}", 1.0),
        ("dato_mirror_watching{mirror=\"brand\"}", 1.0),
        ("dato_mirror_problems{mirror=\"brand\"}", 0.0),
        ("dato_mirror_api_requests_total", 7.0),
        ("dato_mirror_api_throttled_total", 1.0),
        ("dato_mirror_uploaded_bytes_total", 5000.0),
        ("dato_mirror_api_calls_this_month", 70.0),
        ("dato_mirror_api_calls_budget", 100.0),
        ("dato_mirror_api_slowed", 0.0),
        ("dato_mirror_healthy", 1.0),
        (concat!("dato_mirror_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"}"), 1.0),
    ] {
        assert_eq!(found.get(series), Some(&value), "{series} in\n{text}");
    }
    assert_eq!(promtool(&["check", "metrics"], Some(&classic(&text))), None);
}

/// The checker reads the older form, where a counter's help names the counter as its series are named.
fn classic(text: &str) -> String {
    let counters = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.strip_suffix(" counter"));
    counters.fold(text.to_owned(), |text, name| {
        text.replace(&format!("# HELP {name} "), &format!("# HELP {name}_total "))
            .replace(&format!("# TYPE {name} "), &format!("# TYPE {name}_total "))
    })
}

fn alerts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/alerts.example.yaml")
}

#[tokio::test]
async fn the_example_alerts_are_about_metrics_that_there_are() {
    let server = serve(&busy()).await;
    let (.., text) = fetch(server.at, "/metrics").await;
    let exported: BTreeSet<String> =
        parse(&text).keys().map(|series| series.split('{').next().unwrap_or_default().to_owned()).collect();
    let rules = std::fs::read_to_string(alerts()).unwrap();
    let of_words = |text: &str| -> BTreeSet<String> {
        let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        words.filter(|word| word.starts_with("dato_mirror_")).map(str::to_owned).collect()
    };
    let used = of_words(&rules);
    assert!(used.len() >= 6, "{used:?}");
    assert!(used.is_subset(&exported), "unknown: {:?}", used.difference(&exported));
    assert_eq!(promtool(&["check", "rules", alerts().to_str().unwrap()], None), None);
}

/// What Prometheus's own checker objects to; nothing also where it is not installed.
fn promtool(args: &[&str], input: Option<&str>) -> Option<String> {
    let mut command = Command::new("promtool");
    command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let Ok(mut child) = command.spawn() else {
        #[expect(clippy::print_stderr, reason = "a skipped check says so")]
        {
            eprintln!("skipped: promtool is not on this machine");
        }
        return None;
    };
    child.stdin.take().unwrap().write_all(input.unwrap_or_default().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    (!output.status.success()).then_some(said)
}
