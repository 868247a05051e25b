//! `/metrics`, for Prometheus.
//!
//! Owns: the names and labels, which are an interface: add, do not rename. They are made anew from the live state for
//! each answer, so that nobody counts twice. No label has more values than there are mirrors and states: never a path.
//! `deploy/alerts.example.yaml` has rules for them.

use std::time::Instant;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use jiff::Timestamp;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

use crate::runtime_state::{MirrorView, Phase, RuntimeView, Watching};

use super::Shared;

const TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

pub(super) fn routes() -> Router<Shared> {
    Router::new().route("/metrics", get(metrics))
}

async fn metrics(State(shared): State<Shared>) -> Response {
    let mut text = String::new();
    match encode(&mut text, &registry(&shared.live.view(Instant::now()))) {
        Ok(()) => ([(header::CONTENT_TYPE, TYPE)], text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfMirror {
    mirror: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfState {
    mirror: String,
    state: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Action {
    mirror: String,
    action: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Kind {
    mirror: String,
    kind: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Version {
    version: &'static str,
}

/// A gauge holds an i64; no figure here comes near its end.
fn whole(figure: u64) -> i64 {
    i64::try_from(figure).unwrap_or(i64::MAX)
}

fn registry(view: &RuntimeView) -> Registry {
    let mut registry = Registry::with_prefix("dato_mirror");
    process(&mut registry, view);
    api(&mut registry, view);
    mirrors(&mut registry, &view.mirrors);
    registry
}

fn process(registry: &mut Registry, view: &RuntimeView) {
    // A gauge, not the type "info": older readers of the text format do not know that.
    let build: Family<Version, Gauge> = Family::default();
    build.get_or_create(&Version { version: view.version }).set(1);
    registry.register("build_info", "The running program; always 1", build);
    let gauge = |registry: &mut Registry, name: &str, help: &str, value: i64| {
        let gauge: Gauge = Gauge::default();
        gauge.set(value);
        registry.register(name, help, gauge);
    };
    gauge(registry, "healthy", "1 while the process moves or rests with reason", view.health.is_well().into());
    gauge(registry, "ready", "1 after the first full pass of every mirror", view.ready.into());
    let started: Gauge = Gauge::default();
    started.set(view.since.as_second());
    registry.register_with_unit("start_time", "When the process started, Unix time", Unit::Seconds, started);
}

fn api(registry: &mut Registry, view: &RuntimeView) {
    let api = &view.api;
    for (name, help, total) in [
        ("api_requests", "API calls sent, every attempt counted", api.requests),
        ("api_throttled", "Answers 429, too many requests", api.throttled),
    ] {
        let counter: Counter = Counter::default();
        counter.inc_by(total);
        registry.register(name, help, counter);
    }
    let sent: Counter = Counter::default();
    sent.inc_by(api.bytes_uploaded);
    registry.register_with_unit("uploaded", "Bytes of files that arrived in the bucket", Unit::Bytes, sent);
    for (name, help, value) in [
        ("api_calls_this_month", "API calls of this installation this month (UTC)", Some(api.calls_this_month)),
        ("api_calls_forecast", "API calls at the month's end if it goes on like this", api.forecast),
        ("api_calls_budget", "API calls it may make in a month; absent without a budget", api.budget),
        ("api_slowed", "1 while what is left of the budget is being spread over the month", Some(api.slowed.into())),
        (
            "api_rate_limit",
            "Calls a window of 3 s that the API allows; absent before it told",
            api.limit.map(u64::from),
        ),
        ("api_rate_allowance", "Calls a window of 3 s that it allows itself", Some(api.allowance.into())),
        ("api_in_flight", "Calls waiting for their answer", Some(api.in_flight as u64)),
        ("api_down", "1 while the API cannot be reached", Some(api.down_since.is_some().into())),
    ] {
        if let Some(value) = value {
            let gauge: Gauge = Gauge::default();
            gauge.set(whole(value));
            registry.register(name, help, gauge);
        }
    }
}

/// Name, help, the mirrors' gauges, and what they show.
type Figure = (&'static str, &'static str, Family<OfMirror, Gauge>, fn(&MirrorView) -> i64);

fn mirrors(registry: &mut Registry, mirrors: &[MirrorView]) {
    let files: Family<OfState, Gauge> = Family::default();
    let actions: Family<Action, Counter> = Family::default();
    let passes: Family<Kind, Counter> = Family::default();
    let phases: Family<OfState, Gauge> = Family::default();
    let last_full: Family<OfMirror, Gauge> = Family::default();
    let last_success: Family<OfMirror, Gauge> = Family::default();
    let figures: [Figure; 5] = [
        ("problems", "Problems that a person should know", Family::default(), |mirror| {
            whole(mirror.problems.len() as u64 + mirror.more_problems)
        }),
        ("degraded", "Reasons why the mirror works less well than it should", Family::default(), |mirror| {
            whole(mirror.degraded.len() as u64)
        }),
        (
            "watching",
            "1 while the system tells of changes, 0 while the folder is polled",
            Family::default(),
            |mirror| i64::from(matches!(mirror.watching, Watching::Native)),
        ),
        ("paused", "1 while a guard has stopped the mirror", Family::default(), |mirror| {
            i64::from(matches!(mirror.phase, Phase::Paused { .. }))
        }),
        ("mirror_ready", "1 after the first full pass of the mirror", Family::default(), |mirror| {
            i64::from(mirror.first_pass_done)
        }),
    ];
    for mirror in mirrors {
        let name = || mirror.name.clone();
        for (state, count) in [
            ("present", mirror.present),
            ("mirrored", mirror.mirrored),
            ("pending", mirror.pending),
            ("failed", mirror.failed),
        ] {
            files.get_or_create(&OfState { mirror: name(), state }).set(whole(count));
        }
        for (action, count) in &mirror.totals.actions {
            actions.get_or_create(&Action { mirror: name(), action }).inc_by(*count);
        }
        let part = mirror.totals.passes - mirror.totals.full_passes.min(mirror.totals.passes);
        for (kind, count) in [("full", mirror.totals.full_passes), ("part", part)] {
            passes.get_or_create(&Kind { mirror: name(), kind }).inc_by(count);
        }
        for state in ["starting", "scanning", "mirroring", "idle", "paused", "waiting"] {
            let now = i64::from(state == phase(&mirror.phase));
            phases.get_or_create(&OfState { mirror: name(), state }).set(now);
        }
        for (family, at) in [(&last_full, mirror.totals.last_full_pass), (&last_success, mirror.last_success)] {
            if let Some(at) = at.map(Timestamp::as_second) {
                family.get_or_create(&OfMirror { mirror: name() }).set(at);
            }
        }
        for (_, _, family, figure) in &figures {
            family.get_or_create(&OfMirror { mirror: name() }).set(figure(mirror));
        }
    }
    registry.register("files", "Files: present on disk, in step with their asset, waiting, failed", files);
    registry.register("actions", "Actions done, by their name in reports", actions);
    registry.register("passes", "Passes that ended, over the whole mirror or a part of it", passes);
    registry.register("phase", "1 for what the mirror does now", phases);
    let (full, success) = ("last_full_pass_timestamp", "last_success_timestamp");
    registry.register_with_unit(full, "When the last full pass ended, Unix time", Unit::Seconds, last_full);
    let help = "When a pass last ended with nothing failed, Unix time";
    registry.register_with_unit(success, help, Unit::Seconds, last_success);
    for (name, help, family, _) in figures {
        registry.register(name, help, family);
    }
}

const fn phase(phase: &Phase) -> &'static str {
    match phase {
        Phase::Starting => "starting",
        Phase::Scanning => "scanning",
        Phase::Mirroring { .. } => "mirroring",
        Phase::Idle => "idle",
        Phase::Paused { .. } => "paused",
        Phase::Waiting { .. } => "waiting",
    }
}
