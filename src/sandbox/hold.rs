//! Calls that are held, so that somebody can act between a call's arrival and its being handled.
//!
//! Owns: which calls are held, and telling both sides. Never does: handling a call, or sleeping.
//! A held call has been received and logged, and nothing has been done about it: what the service would answer is
//! decided when it is released.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

use super::fault::matches;

/// The calls to hold, oldest first.
#[derive(Debug, Clone, Default)]
pub(super) struct Holds(Arc<Mutex<Vec<Wanted>>>);

#[derive(Debug)]
struct Wanted {
    route: String,
    state: Arc<watch::Sender<Stage>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Awaited,
    Arrived,
    Released,
}

/// The next call of a route, held from its arrival until it is released. Dropping this releases it.
pub struct Held {
    state: Arc<watch::Sender<Stage>>,
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Held").field("stage", &*self.state.borrow()).finish()
    }
}

impl Held {
    /// Waits until the call has arrived.
    pub async fn arrived(&self) {
        // The sender lives as long as this.
        let _ = self.state.subscribe().wait_for(|stage| *stage != Stage::Awaited).await;
    }

    /// Whether the call has arrived.
    #[must_use]
    pub fn has_arrived(&self) -> bool {
        *self.state.borrow() != Stage::Awaited
    }

    /// Lets the call go on.
    pub fn release(self) {}
}

impl Drop for Held {
    fn drop(&mut self) {
        self.state.send_replace(Stage::Released);
    }
}

impl Holds {
    /// Holds the next call that `route` names, as in a fault.
    pub(super) fn add(&self, route: &str) -> Held {
        let state = Arc::new(watch::Sender::new(Stage::Awaited));
        self.lock().push(Wanted { route: route.to_owned(), state: Arc::clone(&state) });
        Held { state }
    }

    /// Waits until the hold on this call, if there is one, is released.
    pub(super) async fn pass(&self, method: &str, label: &str, path: &str) {
        let found = {
            let mut wanted = self.lock();
            wanted.retain(|wanted| *wanted.state.borrow() == Stage::Awaited);
            let place = wanted.iter().position(|wanted| matches(&wanted.route, method, label, path));
            place.map(|place| wanted.remove(place).state)
        };
        let Some(state) = found else { return };
        let mut stage = state.subscribe();
        state.send_if_modified(|stage| {
            let first = *stage == Stage::Awaited;
            if first {
                *stage = Stage::Arrived;
            }
            first
        });
        let _ = stage.wait_for(|stage| *stage == Stage::Released).await;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Wanted>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
