//! `/events`: the live state, again whenever it changes.
//!
//! Owns: how often. Events are `view` (as `/status.json`) and `series` (the plot's figures). Both come at once at the
//! start; a view comes again at the latest after 10 s, so that a page knows that it is still connected.

use std::convert::Infallible;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use futures_util::stream::{self, Stream};
use serde::Serialize;
use tokio::sync::{OwnedSemaphorePermit, watch};

use super::Shared;
use super::series::Series;

/// Between two views at least: a first sync has thousands of updates.
const PAUSE: Duration = Duration::from_millis(300);
/// Between two views at most.
const SILENCE: Duration = Duration::from_secs(10);
/// When a browser that lost the connection tries again.
const RECONNECT: Duration = Duration::from_secs(2);

pub(super) fn routes() -> Router<Shared> {
    Router::new().route("/events", get(events))
}

async fn events(State(shared): State<Shared>) -> Response {
    let Ok(permit) = shared.followers.clone().try_acquire_owned() else {
        return (StatusCode::SERVICE_UNAVAILABLE, "too many pages follow already: close some\n").into_response();
    };
    Sse::new(follow(shared, permit)).keep_alive(KeepAlive::default()).into_response()
}

/// What a page has been told.
struct Follower {
    shared: Shared,
    versions: watch::Receiver<u64>,
    series: watch::Receiver<Series>,
    told: Told,
    _permit: OwnedSemaphorePermit,
}

#[derive(Clone, Copy)]
enum Told {
    Nothing,
    View(Instant),
    All(Instant),
}

fn follow(shared: Shared, permit: OwnedSemaphorePermit) -> impl Stream<Item = Result<Event, Infallible>> {
    let (versions, series) = (shared.live.subscribe(), shared.series.clone());
    let follower = Follower { shared, versions, series, told: Told::Nothing, _permit: permit };
    stream::unfold(follower, async |mut follower| {
        let event = follower.next().await?;
        Some((Ok(event), follower))
    })
}

impl Follower {
    /// The next event; nothing when the server ends.
    async fn next(&mut self) -> Option<Event> {
        let last = match self.told {
            Told::Nothing => return Some(self.view().retry(RECONNECT)),
            Told::View(at) => {
                self.told = Told::All(at);
                return Some(self.series());
            }
            Told::All(at) => at,
        };
        let stop = self.shared.stop.clone();
        let silent = tokio::time::sleep_until((last + SILENCE).into());
        let news = async {
            // In this order: a change that is seen and then not told, because something else came first, would be lost.
            tokio::time::sleep_until((last + PAUSE).into()).await;
            // Its sender lives as long as the server.
            let _ = self.versions.changed().await;
        };
        tokio::select! {
            () = stop.cancelled() => None,
            Ok(()) = self.series.changed() => Some(self.series()),
            () = news => Some(self.view()),
            () = silent => Some(self.view()),
        }
    }

    fn view(&mut self) -> Event {
        self.versions.mark_unchanged();
        let now = Instant::now();
        self.told = if matches!(self.told, Told::Nothing) { Told::View(now) } else { Told::All(now) };
        event("view", &self.shared.live.view(now))
    }

    fn series(&mut self) -> Event {
        let series = self.series.borrow_and_update().clone();
        event("series", &series)
    }
}

fn event(name: &str, data: &impl Serialize) -> Event {
    // Numbers, text and lists always have a JSON form.
    Event::default().event(name).json_data(data).unwrap_or_default()
}
