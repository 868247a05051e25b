//! The clocked shell around the pacer, shared by every client of one token.
//!
//! Owns: the queue at the gate (first come, first served; one waiter sleeps, the others stand behind it, so that a
//! stop wakes no herd) and the figures for the status page.
//! Never does: deciding (that is `limit`).
//! The owner of several clients makes one `Pacer` and gives it to all.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::limit::{Limiter, Poll, SlotId};

/// The one gate for all calls with one token: make one per (base URL, token) in a process and share it.
#[derive(Debug)]
pub struct Pacer {
    limiter: Mutex<Limiter>,
    gate: tokio::sync::Mutex<()>,
    changed: Notify,
}

/// What the pacer does right now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Calls a window (3 s) that the service allows the project; `None` before it told.
    pub limit: Option<u32>,
    /// Calls a window that we allow ourselves now.
    pub allowance: u32,
    /// Calls a window that other clients were seen to make lately.
    pub others: u32,
    /// Calls waiting for their answer.
    pub in_flight: usize,
    /// How long a 429 still stops everybody.
    pub stopped_for: Duration,
}

impl Pacer {
    /// A pacer that takes at most `share` (0 to 1) of the told limit.
    #[must_use]
    pub fn new(share: f64) -> Arc<Self> {
        Arc::new(Self {
            limiter: Mutex::new(Limiter::new(share)),
            gate: tokio::sync::Mutex::new(()),
            changed: Notify::new(),
        })
    }

    /// What it does right now.
    #[must_use]
    pub fn pace(&self) -> Pace {
        let now = Instant::now();
        let limiter = self.limiter();
        Pace {
            limit: limiter.limit(),
            allowance: limiter.allowance(now),
            others: limiter.others(now),
            in_flight: limiter.in_flight(),
            stopped_for: limiter.stopped_for(now),
        }
    }

    /// Waits until a call may go out.
    pub(super) async fn slot(self: &Arc<Self>) -> Slot {
        let _turn = self.gate.lock().await;
        loop {
            let poll = self.limiter().poll(Instant::now());
            match poll {
                Poll::Grant(id) => return Slot { pacer: Arc::clone(self), id: Some(id) },
                Poll::WaitUntil(at) => tokio::select! {
                    () = tokio::time::sleep_until(at.into()) => {}
                    () = self.changed.notified() => {}
                },
                Poll::WaitAnswer => self.changed.notified().await,
            }
        }
    }

    fn limiter(&self) -> MutexGuard<'_, Limiter> {
        self.limiter.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The right to send one call. Dropped without a word, the call counts as lost.
#[derive(Debug)]
pub(super) struct Slot {
    pacer: Arc<Pacer>,
    id: Option<SlotId>,
}

impl Slot {
    /// The call was answered.
    pub(super) fn answered(mut self, limit: Option<u32>, remaining: Option<u32>) {
        if let Some(id) = self.id.take() {
            self.pacer.limiter().answered(id, Instant::now(), limit, remaining);
            self.pacer.changed.notify_one();
        }
    }

    /// The call was refused with 429.
    pub(super) fn refused(mut self, reset: Duration, limit: Option<u32>) {
        if let Some(id) = self.id.take() {
            // Machines that were stopped by the same second must not come back in the same millisecond.
            let jitter = Duration::from_millis(fastrand::u64(0..250));
            self.pacer.limiter().refused(id, Instant::now(), reset + jitter, limit);
            self.pacer.changed.notify_one();
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if let Some(id) = self.id.take() {
            self.pacer.limiter().lost(id, Instant::now());
            self.pacer.changed.notify_one();
        }
    }
}
