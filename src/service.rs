//! The process as a service: what it tells the service manager, and what it does on signals.
//!
//! Owns: the notify protocol (READY, STATUS, WATCHDOG, RELOADING, STOPPING) and the signals. Never does: work, or
//! ending it: it cancels a token and wakes whoever reloads. It never blocks: a manager that does not read misses a
//! status line until it reads again, and the daemon loses no time. Without `$NOTIFY_SOCKET` it says nothing. Start
//! reading: `protocol.rs`, then `socket.rs`.

mod protocol;
mod signals;
mod socket;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::config::Environment;
use crate::runtime_state::RuntimeState;

pub use signals::Signals;

use protocol::{Protocol, Seen};
use socket::Socket;

/// How long a message that the manager had no room for waits to be sent again.
const AGAIN: Duration = Duration::from_secs(1);

/// The line to the service manager; clones share it.
#[derive(Debug, Clone)]
pub struct Service(Option<Arc<Line>>);

#[derive(Debug)]
struct Line {
    socket: Socket,
    protocol: Mutex<Protocol>,
}

impl Service {
    /// The line that the environment names; a silent one when it names none. One that cannot be opened is logged and
    /// silent: a daemon that works is worth more than one that is watched.
    #[must_use]
    pub fn open(environment: &Environment) -> Self {
        let address = environment.path("NOTIFY_SOCKET");
        let line = address.and_then(|address| match Socket::open(&address) {
            Ok(socket) => Some(socket),
            Err(error) => {
                tracing::warn!(%error, "the service manager's NOTIFY_SOCKET cannot be used; it will hear nothing");
                None
            }
        });
        let watchdog = watchdog(environment, std::process::id());
        Self(line.map(|socket| Arc::new(Line { socket, protocol: Mutex::new(Protocol::new(watchdog)) })))
    }

    /// Whether nobody listens.
    #[must_use]
    pub const fn is_silent(&self) -> bool {
        self.0.is_none()
    }

    /// Tells the manager how it goes until `stop` is cancelled; then says so and returns. Returns at once when nobody
    /// listens.
    pub async fn run(&self, live: &RuntimeState, stop: &CancellationToken) {
        let Some(line) = &self.0 else { return };
        let mut updates = live.subscribe();
        loop {
            // Asked once: a stop that comes while telling is told in the next round.
            let stopping = stop.is_cancelled();
            let pause = line.tell(Instant::now(), live, stopping);
            if stopping {
                return;
            }
            // A burst of updates is one status line; a service that came up does not wait for it.
            let news = async {
                if updates.changed().await.is_err() {
                    return std::future::pending().await;
                }
                if !line.waits_for(live) {
                    sleep(protocol::STATUS_GAP.min(pause)).await;
                }
            };
            tokio::select! {
                () = stop.cancelled() => {}
                () = sleep(pause) => {}
                () = news => {}
            }
        }
    }

    /// A reload begins. Nothing is told before the service was up: the manager does not expect it then.
    pub fn reloading(&self) {
        self.send(|protocol| protocol.reloading(monotonic()));
    }

    /// The reload is over, with the new configuration or, when that was refused, the old one.
    pub fn reloaded(&self) {
        self.send(Protocol::reloaded);
    }

    /// The last status before the process ends with an error, which `systemctl status` goes on to show. Not kept for later:
    /// there is none.
    pub fn last_words(&self, status: &str) {
        if let Some(line) = &self.0 {
            line.socket.send(&format!("STATUS={}", status.replace(char::is_control, " ")), false);
        }
    }

    fn send(&self, make: impl FnOnce(&mut Protocol) -> Option<String>) {
        let Some(line) = &self.0 else { return };
        let message = make(&mut line.protocol());
        if let Some(message) = message {
            line.socket.send(&message, true);
        }
    }
}

impl Line {
    /// Says what is to be said and how long nothing more will be, but for updates.
    fn tell(&self, now: Instant, live: &RuntimeState, stopping: bool) -> Duration {
        let mut protocol = self.protocol();
        let status = live.status_line();
        let seen = Seen {
            started: live.is_started(),
            alive: live.health(now, protocol.patience()).is_well(),
            status: &status,
            stopping,
        };
        match protocol.tell(now, &seen) {
            Some(message) if !self.socket.send(&message.text, message.must_arrive) => protocol.was_lost(),
            Some(_) => {}
            None => self.socket.flush(),
        }
        if protocol.owes() || self.socket.owes() { AGAIN.min(protocol.pause()) } else { protocol.pause() }
    }

    /// Whether READY is due and not told.
    fn waits_for(&self, live: &RuntimeState) -> bool {
        !self.protocol().is_ready() && live.is_started()
    }

    fn protocol(&self) -> MutexGuard<'_, Protocol> {
        self.protocol.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The interval in which the manager wants a sign of life from the process `pid`; `None` when it wants none.
fn watchdog(environment: &Environment, pid: u32) -> Option<Duration> {
    let text = |name| environment.text(name).and_then(Result::ok);
    // Inherited from a parent that is watched: not ours to answer.
    if text("WATCHDOG_PID").is_some_and(|owner| owner.parse() != Ok(pid)) {
        return None;
    }
    let micros = text("WATCHDOG_USEC")?.parse().ok().filter(|micros| *micros > 0)?;
    Some(Duration::from_micros(micros))
}

/// Microseconds of the clock that systemd compares reloads by; `None` where there is no systemd.
fn monotonic() -> Option<i128> {
    #[cfg(target_os = "linux")]
    if let Ok(sd_notify::NotifyState::MonotonicUsec(micros)) = sd_notify::NotifyState::monotonic_usec_now() {
        return Some(micros);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_watchdog_is_ours_only_when_it_names_us() {
        for (variables, expected) in [
            (vec![], None),
            (vec![("WATCHDOG_USEC", "30000000")], Some(30)),
            (vec![("WATCHDOG_USEC", "30000000"), ("WATCHDOG_PID", "7")], Some(30)),
            (vec![("WATCHDOG_USEC", "30000000"), ("WATCHDOG_PID", "8")], None),
            (vec![("WATCHDOG_USEC", "30000000"), ("WATCHDOG_PID", "x")], None),
            (vec![("WATCHDOG_USEC", "0")], None),
            (vec![("WATCHDOG_USEC", "soon")], None),
        ] {
            let environment: Environment = variables.iter().copied().collect();
            assert_eq!(watchdog(&environment, 7), expected.map(Duration::from_secs), "{variables:?}");
        }
    }
}
