//! Calls held up, and editors who act at the very moment of a call: exact races, without clocks.
//!
//! Owns: which calls are held or acted at, and the gates they wait at. Never does: handling a call (that is `door`).

use std::fmt;
use std::sync::Arc;

use tokio::sync::watch;

use super::Sandbox;
use super::fault::matches;

/// When something happens, seen from the call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum When {
    /// The call has arrived and nothing of it is done.
    Before,
    /// All of it is done and the reply has not left.
    After,
}

/// What an editor does at a call.
type Act = Box<dyn FnOnce(&Sandbox) + Send>;

/// What happens at a call.
pub(super) enum Moment {
    /// It waits here.
    Wait(Arc<Gate>),
    /// An editor acts.
    Act(Act),
}

impl fmt::Debug for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Wait(_) => "Wait",
            Self::Act(_) => "Act",
        })
    }
}

/// Where calls wait.
#[derive(Debug, Default)]
pub(super) struct Gate {
    arrived: watch::Sender<usize>,
    open: watch::Sender<bool>,
}

impl Gate {
    /// Waits until the gate is open; open gates keep nobody.
    pub(super) async fn pass(&self) {
        self.arrived.send_modify(|count| *count += 1);
        // The sender lives as long as this gate.
        let _ = self.open.subscribe().wait_for(|open| *open).await;
    }

    fn release(&self) {
        self.open.send_replace(true);
    }
}

/// Calls that are held until [`Held::release`], or until this is dropped.
#[derive(Debug)]
pub struct Held {
    gate: Arc<Gate>,
}

impl Held {
    /// Waits until a call is held, also one that was let go since.
    pub async fn arrived(&self) {
        self.arrived_times(1).await;
    }

    /// Waits until so many calls have been held.
    pub async fn arrived_times(&self, times: usize) {
        // The sender lives as long as the gate, which is ours.
        let _ = self.gate.arrived.subscribe().wait_for(|count| *count >= times).await;
    }

    /// How many calls have been held.
    #[must_use]
    pub fn count(&self) -> usize {
        *self.gate.arrived.borrow()
    }

    /// Lets the held calls go, and all later ones.
    pub fn release(self) {
        drop(self);
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.gate.release();
    }
}

/// One thing that waits for its call.
#[derive(Debug)]
struct Waiting {
    route: String,
    when: When,
    what: What,
}

enum What {
    /// Every call is held, or the next so many.
    Hold(Arc<Gate>, Option<usize>),
    /// At the call after so many more, an editor acts; then it is over.
    Act(u64, Option<Act>),
}

impl fmt::Debug for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hold(_, most) => write!(f, "Hold({most:?})"),
            Self::Act(skip, _) => write!(f, "Act({skip})"),
        }
    }
}

/// All that waits for calls.
#[derive(Debug, Default)]
pub(super) struct Holds {
    all: Vec<Waiting>,
}

impl Holds {
    /// Holds every call of a route from now on.
    pub(super) fn hold(&mut self, route: &str, when: When) -> Held {
        Held { gate: self.gate(route, when, None) }
    }

    /// Holds the next so many calls of a route, and lets all others go through meanwhile.
    pub(super) fn hold_next(&mut self, route: &str, calls: usize) -> Held {
        Held { gate: self.gate(route, When::Before, Some(calls)) }
    }

    /// Holds every call of a route before it is handled, until all are let go.
    pub(super) fn keep(&mut self, route: &str) {
        self.gate(route, When::Before, None);
    }

    fn gate(&mut self, route: &str, when: When, most: Option<usize>) -> Arc<Gate> {
        let gate = Arc::<Gate>::default();
        self.all.push(Waiting { route: route.to_owned(), when, what: What::Hold(Arc::clone(&gate), most) });
        gate
    }

    /// Lets an editor act at one call of a route: the one after `skip` others.
    pub(super) fn act(&mut self, route: &str, when: When, skip: u64, act: Act) {
        self.all.push(Waiting { route: route.to_owned(), when, what: What::Act(skip, Some(act)) });
    }

    /// Lets all calls go and forgets what was to happen.
    pub(super) fn clear(&mut self) {
        for waiting in self.all.drain(..) {
            if let What::Hold(gate, _) = waiting.what {
                gate.release();
            }
        }
    }

    /// What happens at this call, in the order it was set up.
    pub(super) fn take(&mut self, method: &str, label: &str, path: &str) -> Vec<(When, Moment)> {
        let mut due = Vec::new();
        self.all.retain_mut(|waiting| {
            if let What::Hold(gate, _) = &waiting.what
                && *gate.open.borrow()
            {
                return false;
            }
            if !matches(&waiting.route, method, label, path) {
                return true;
            }
            match &mut waiting.what {
                What::Hold(_, Some(0)) => {}
                What::Hold(gate, most) => {
                    *most = most.map(|most| most - 1);
                    due.push((waiting.when, Moment::Wait(Arc::clone(gate))));
                }
                What::Act(0, act) => {
                    due.extend(act.take().map(|act| (waiting.when, Moment::Act(act))));
                    return false;
                }
                What::Act(skip, _) => *skip -= 1,
            }
            true
        });
        due
    }
}

impl Sandbox {
    /// Holds every call of a route (a pattern as faults have) before anything of it is done, until the handle is
    /// released or dropped, or the faults are cleared.
    #[must_use = "dropping it lets the calls go"]
    pub fn hold(&self, route: &str) -> Held {
        self.shared.world().holds.hold(route, When::Before)
    }

    /// As [`Sandbox::hold`], for the next so many calls only: all others go through, also while these wait.
    #[must_use = "dropping it lets the calls go"]
    pub fn hold_next(&self, route: &str, calls: usize) -> Held {
        self.shared.world().holds.hold_next(route, calls)
    }

    /// As [`Sandbox::hold`], but the calls are handled at once and their replies are held back.
    #[must_use = "dropping it lets the replies go"]
    pub fn hold_after(&self, route: &str) -> Held {
        self.shared.world().holds.hold(route, When::After)
    }

    /// Lets an editor (or a change of the folder) come right before one call of a route is handled: the one after
    /// `skip` others. It runs inside the sandbox, so it must not wait for the client. Clearing the faults forgets it.
    pub fn before(&self, route: &str, skip: u64, act: impl FnOnce(&Self) + Send + 'static) {
        self.shared.world().holds.act(route, When::Before, skip, Box::new(act));
    }

    /// As [`Sandbox::before`], when the call has been handled and its reply has not left.
    pub fn after(&self, route: &str, skip: u64, act: impl FnOnce(&Self) + Send + 'static) {
        self.shared.world().holds.act(route, When::After, skip, Box::new(act));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::Options;

    async fn list(sandbox: &Sandbox) -> u64 {
        let client = reqwest::Client::new();
        let call = client
            .get(format!("{}/uploads", sandbox.base_url()))
            .bearer_auth("sandbox")
            .header("accept", "application/json")
            .header("x-api-version", "3");
        let answer: serde_json::Value = call.send().await.unwrap().json().await.unwrap();
        answer["meta"]["total_count"].as_u64().unwrap()
    }

    #[tokio::test]
    async fn a_held_call_sees_what_an_editor_did_meanwhile_and_a_held_reply_does_not() {
        let sandbox = Arc::new(Sandbox::local(Options::fast()).await.unwrap());
        for (after, seen) in [(false, 1), (true, 1)] {
            let held = if after { sandbox.hold_after("GET /uploads") } else { sandbox.hold("GET /uploads") };
            let call = tokio::spawn({
                let sandbox = Arc::clone(&sandbox);
                async move { list(&sandbox).await }
            });
            held.arrived().await;
            assert_eq!(held.count(), 1);
            sandbox.create_foreign(None, "theirs.png", b"theirs").unwrap();
            held.release();
            assert_eq!(call.await.unwrap(), seen);
        }
        assert_eq!(list(&sandbox).await, 2, "nothing is held any more");
    }

    #[tokio::test]
    async fn clearing_the_faults_and_dropping_let_calls_go() {
        let sandbox = Sandbox::local(Options::fast()).await.unwrap();
        let held = sandbox.hold("* *");
        let cleared = async {
            held.arrived().await;
            sandbox.clear_faults();
        };
        tokio::join!(list(&sandbox), cleared);
        drop(sandbox.hold("* *"));
        tokio::time::timeout(Duration::from_secs(20), list(&sandbox)).await.unwrap();
    }

    #[tokio::test]
    async fn an_editor_acts_at_the_call_that_was_asked_for_and_once() {
        let sandbox = Sandbox::local(Options::fast()).await.unwrap();
        let add = |sandbox: &Sandbox| {
            sandbox.create_foreign(None, "theirs.png", b"theirs").unwrap();
        };
        sandbox.before("GET /uploads", 1, add);
        sandbox.after("GET /uploads", 2, add);
        let mut seen = Vec::new();
        for _ in 0..4 {
            seen.push(list(&sandbox).await);
        }
        assert_eq!(seen, [0, 1, 1, 2]);
        assert_eq!(sandbox.assets(None).len(), 2, "what an editor's hand has done does not end the sandbox");
    }
}
