//! `/status.json`: the live state as it is.

use std::time::Instant;

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};

use crate::runtime_state::RuntimeView;

use super::Shared;

pub(super) fn routes() -> Router<Shared> {
    Router::new().route("/status.json", get(status))
}

async fn status(State(shared): State<Shared>) -> Json<RuntimeView> {
    Json(shared.live.view(Instant::now()))
}
