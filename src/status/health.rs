//! `/healthz` and `/readyz`.
//!
//! Owns: what their answers mean. Healthy: the process moves, or rests with reason; a long first sync, a paused mirror,
//! an API that is down and failed files are healthy, because a restart would mend none of them. Ready: every mirror had
//! its first full pass.

use std::time::Instant;

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;

use crate::runtime_state::{Health, PATIENCE};

use super::Shared;

pub(super) fn routes() -> Router<Shared> {
    Router::new().route("/healthz", get(healthz)).route("/readyz", get(readyz))
}

#[derive(Serialize)]
struct Healthy {
    healthy: bool,
    #[serde(flatten)]
    health: Health,
    status: String,
}

#[derive(Serialize)]
struct Ready {
    ready: bool,
    /// Mirrors whose first full pass is not through.
    waiting_for: Vec<String>,
    status: String,
}

async fn healthz(State(shared): State<Shared>) -> (StatusCode, Json<Healthy>) {
    let health = shared.live.health(Instant::now(), PATIENCE);
    let healthy = health.is_well();
    (code(healthy), Json(Healthy { healthy, health, status: shared.live.status_line() }))
}

async fn readyz(State(shared): State<Shared>) -> (StatusCode, Json<Ready>) {
    let waiting_for = shared.live.not_ready();
    let ready = waiting_for.is_empty();
    (code(ready), Json(Ready { ready, waiting_for, status: shared.live.status_line() }))
}

const fn code(good: bool) -> StatusCode {
    if good { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}
