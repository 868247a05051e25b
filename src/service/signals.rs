//! Signals, made into what the rest of the program understands.
//!
//! Owns: SIGTERM and the first SIGINT cancel a token; a second SIGINT ends the process at once with exit code 130;
//! SIGHUP wakes whoever reloads. Never does: ending work or reading the configuration.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

/// What a shell reports of a program that was interrupted: 128 + SIGINT.
const INTERRUPTED: i32 = 130;
/// Reloads are no closer together than this: each begins everything anew, with calls of the API.
const APART: Duration = Duration::from_secs(2);

/// The handlers. They stand from [`Signals::install`] on; from then on no signal ends the process by itself.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

/// A signal we know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Got {
    Terminate,
    Interrupt,
    Hangup,
}

/// What to do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reaction {
    Stop,
    ExitNow,
    Reload,
    Nothing,
}

impl Signals {
    /// Installs the handlers. Needs a tokio runtime.
    ///
    /// # Errors
    /// When the system refuses a handler.
    pub fn install() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Acts on signals for ever; drop it with the runtime. `reload` is notified by SIGHUP: several before anyone looked
    /// are one.
    pub async fn run(mut self, stop: CancellationToken, reload: Arc<Notify>) {
        let mut interrupts = 0;
        let (mut last, mut due) = (None, None);
        loop {
            let got = tokio::select! {
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                    (last, due) = (due, None);
                    reload.notify_one();
                    continue;
                }
                Some(()) = self.terminate.recv() => Got::Terminate,
                Some(()) = self.interrupt.recv() => Got::Interrupt,
                Some(()) = self.hangup.recv() => Got::Hangup,
                else => return,
            };
            match react(got, stop.is_cancelled(), &mut interrupts) {
                Reaction::Stop => {
                    tracing::info!("stopping: finishing or parking what is in flight");
                    stop.cancel();
                }
                // No destructor runs; the index is made to survive that.
                Reaction::ExitNow => std::process::exit(INTERRUPTED),
                Reaction::Reload => due = Some(due.unwrap_or_else(|| next_reload(last, Instant::now()))),
                Reaction::Nothing => {}
            }
        }
    }
}

/// When a reload that is asked for at `now` is to begin, when the last one began at `last`.
fn next_reload(last: Option<Instant>, now: Instant) -> Instant {
    last.map_or(now, |last| now.max(last + APART))
}

/// Interrupts are counted by themselves: process supervisors send SIGTERM and pass on the terminal's SIGINT at the same
/// moment, and that is no impatience.
fn react(got: Got, stopping: bool, interrupts: &mut u32) -> Reaction {
    *interrupts += u32::from(got == Got::Interrupt);
    match got {
        Got::Interrupt if *interrupts > 1 => Reaction::ExitNow,
        Got::Terminate | Got::Interrupt if !stopping => Reaction::Stop,
        Got::Hangup if !stopping => Reaction::Reload,
        Got::Terminate | Got::Interrupt | Got::Hangup => Reaction::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reloads_keep_apart_and_the_first_waits_for_nothing() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        assert_eq!(next_reload(None, at(5)), at(5));
        assert_eq!(next_reload(Some(at(5)), at(6)), at(2005));
        assert_eq!(next_reload(Some(at(5)), at(9000)), at(9000));
    }

    #[test]
    fn only_a_second_interrupt_is_impatience() {
        use Got::{Hangup, Interrupt, Terminate};
        use Reaction::{ExitNow, Nothing, Reload, Stop};
        for (signals, expected) in [
            (vec![Terminate, Terminate, Hangup], vec![Stop, Nothing, Nothing]),
            (vec![Interrupt, Interrupt], vec![Stop, ExitNow]),
            (vec![Terminate, Interrupt, Interrupt], vec![Stop, Nothing, ExitNow]),
            (vec![Interrupt, Terminate, Interrupt], vec![Stop, Nothing, ExitNow]),
            (vec![Hangup, Hangup, Terminate], vec![Reload, Reload, Stop]),
        ] {
            let (mut stopping, mut interrupts) = (false, 0);
            let reactions: Vec<_> = signals
                .iter()
                .map(|&got| {
                    let reaction = react(got, stopping, &mut interrupts);
                    stopping |= reaction == Stop;
                    reaction
                })
                .collect();
            assert_eq!(reactions, expected, "{signals:?}");
        }
    }
}
