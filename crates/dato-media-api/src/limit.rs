//! How many calls may go out now: a sliding log of send times under the limit that the service tells.
//!
//! Owns: the proof that we alone never cause a 429, fairness towards other clients of the same token's project, and
//! the common stop after a 429.
//! Never does: sleeping, clocks, randomness (`pace` is the shell that does).
//!
//! The proof. The service counts a call somewhere between our send and its answer. A slot is given back one window
//! after its ANSWER, so any two calls that share a slot are counted more than one window apart, and no window, fixed
//! or sliding, ever holds more calls than there are slots. The price is one round trip a window.
//!
//! Others. They are seen only in what an answer says is left, and where the service counts in fixed windows, less of
//! them is seen than is there. So whoever is new gets half at once, for as long as the window still shows too little of
//! them; a limit that is full in company is met as a 429 is; and who was seen is remembered while we are idle. Where
//! the service counts in sliding windows, one may hold the end of a burst and the whole of the next, for a few
//! milliseconds in which no answer of ours shows it, and steady bursts look like even calls. So everybody who was seen
//! has room for a third more.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// The window the limit counts in. Source: the API's documentation.
pub(super) const WINDOW: Duration = Duration::from_secs(3);
/// Added to the window: timers and the service's clock are no finer.
const GUARD: Duration = Duration::from_millis(5);
/// Slots while no answer has told the limit (a proxy may strip the headers).
const UNTOLD_LIMIT: u32 = 20;
/// How long a sign of other clients counts: longer than a daemon rests between two saves. When they are gone, we are
/// slower for so long.
const OTHERS_MEMORY: Duration = Duration::from_secs(30);
/// Timers wake late on a busy machine. A call that goes out no later than this after its time does not push back the next.
const LATE: Duration = Duration::from_millis(200);
/// Growth after a cut, in parts of the full allowance a window.
const REGROWTH: f64 = 0.1;

/// The stop after a 429, at least; each more in a row doubles it, whatever reset is told.
const STOP: Duration = Duration::from_secs(1);
const LONGEST_STOP: Duration = Duration::from_secs(60);

/// One call's place in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct SlotId(u64);

/// Whether a call may go out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Poll {
    /// Send now, then tell how it ended.
    Grant(SlotId),
    /// Ask again then.
    WaitUntil(Instant),
    /// Ask again when a call in flight has ended.
    WaitAnswer,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    id: SlotId,
    sent: Instant,
    /// When the slot is free again; unknown while the call is in flight.
    free: Option<Instant>,
}

/// The pure pacer. All times are passed in.
#[derive(Debug)]
pub(super) struct Limiter {
    share: f64,
    limit: Option<u32>,
    answered_once: bool,
    log: VecDeque<Entry>,
    next_id: u64,
    /// When the last call was due by the even pace, or went out when that was long after.
    paced: Option<Instant>,
    stopped_until: Option<Instant>,
    /// When the last 429 came, and how many did in a row: those of calls under way at one count once.
    refused_at: Option<Instant>,
    refused_in_row: u32,
    others: VecDeque<(Instant, u32)>,
    /// When other clients were first seen, after a time without them.
    company_since: Option<Instant>,
    /// When and how far a 429, or a limit that was full in company, cut us down.
    cut: Option<(Instant, f64)>,
}

impl Limiter {
    /// A limiter that takes at most `share` (0 to 1) of the told limit.
    pub(super) fn new(share: f64) -> Self {
        let share = if share.is_finite() { share.clamp(0.01, 1.0) } else { 1.0 };
        Self {
            share,
            limit: None,
            answered_once: false,
            log: VecDeque::new(),
            next_id: 0,
            paced: None,
            stopped_until: None,
            refused_at: None,
            refused_in_row: 0,
            others: VecDeque::new(),
            company_since: None,
            cut: None,
        }
    }

    /// Whether a call may go out at `now`.
    pub(super) fn poll(&mut self, now: Instant) -> Poll {
        self.forget_before(now);
        if let Some(until) = self.stopped_until
            && now < until
        {
            return Poll::WaitUntil(until);
        }
        let in_flight = self.log.iter().any(|entry| entry.free.is_none());
        if !self.answered_once && in_flight {
            return Poll::WaitAnswer;
        }
        let allowance = self.allowance(now);
        let due = self.paced.map(|last| last + self.gap(now, allowance));
        if let Some(at) = due
            && now < at
        {
            return Poll::WaitUntil(at);
        }
        let occupied = self.occupied(now);
        if occupied < allowance as usize {
            let id = SlotId(self.next_id);
            self.next_id += 1;
            self.log.push_back(Entry { id, sent: now, free: None });
            self.paced = due.filter(|due| now.saturating_duration_since(*due) <= LATE).or(Some(now));
            return Poll::Grant(id);
        }
        let mut frees: Vec<_> = self.log.iter().filter_map(|e| e.free).filter(|free| *free > now).collect();
        frees.sort_unstable();
        // After a cut several slots must come free before the next call.
        frees.get(occupied - allowance as usize).map_or(Poll::WaitAnswer, |at| Poll::WaitUntil(*at))
    }

    /// The call was answered; the headers told `limit` and `remaining`, if they were there.
    pub(super) fn answered(&mut self, slot: SlotId, now: Instant, limit: Option<u32>, remaining: Option<u32>) {
        self.answered_once = true;
        let sent = self.free(slot, now);
        self.refused_in_row = 0;
        if let Some(limit) = limit {
            self.limit = Some(limit.max(1));
        }
        if let (Some(limit), Some(remaining), Some(sent)) = (limit, remaining, sent) {
            // Every call of ours that the service may still have counted when it counted this one.
            let ours = self.log.iter().filter(|entry| entry.free.is_none_or(|free| free > sent)).count();
            let ours = u32::try_from(ours).unwrap_or(u32::MAX);
            let others = limit.saturating_sub(remaining).saturating_sub(ours);
            if others > 0 {
                if self.others(now) == 0 {
                    self.company_since = Some(now);
                }
                self.others.push_back((now, others));
            }
            // What was sent before they came is on its way out of the window as it is.
            if remaining < self.margin() && self.others(now) > 0 && !self.has_new_company(now) {
                self.cut(sent, now);
            }
        }
    }

    /// No answer came, or nobody waits for it any more: the service may count it as late as now.
    pub(super) fn lost(&mut self, slot: SlotId, now: Instant) {
        self.free(slot, now);
    }

    /// The call was refused with 429: everybody stops for `reset`, and longer from one to the next while nothing else
    /// comes: a reset that is too short would have us ask for ever.
    pub(super) fn refused(&mut self, slot: SlotId, now: Instant, reset: Duration, limit: Option<u32>) {
        self.answered_once = true;
        let sent = self.free(slot, now).unwrap_or(now);
        if let Some(limit) = limit {
            self.limit = Some(limit.max(1));
        }
        self.cut(sent, now);
        if self.refused_at.is_none_or(|at| sent >= at) {
            self.refused_in_row = self.refused_in_row.saturating_add(1);
        }
        self.refused_at = Some(now);
        let grown = STOP.saturating_mul(1 << (self.refused_in_row.max(1) - 1).min(16)).min(LONGEST_STOP);
        let until = now + reset.max(grown);
        self.stopped_until = Some(self.stopped_until.map_or(until, |at| at.max(until)));
    }

    /// The limit told last.
    pub(super) const fn limit(&self) -> Option<u32> {
        self.limit
    }

    /// Calls without an answer yet.
    pub(super) fn in_flight(&self) -> usize {
        self.log.iter().filter(|entry| entry.free.is_none()).count()
    }

    /// Calls a window that others were seen to make lately.
    pub(super) fn others(&self, now: Instant) -> u32 {
        let recent = self.others.iter().filter(|(at, _)| now.saturating_duration_since(*at) < OTHERS_MEMORY);
        recent.map(|(_, count)| *count).max().unwrap_or(0)
    }

    /// Whether others were first seen less than a window ago: how much they want does not show yet.
    fn has_new_company(&self, now: Instant) -> bool {
        self.company_since.is_some_and(|since| now.saturating_duration_since(since) < WINDOW)
    }

    /// How long a 429 still stops everybody.
    pub(super) fn stopped_for(&self, now: Instant) -> Duration {
        self.stopped_until.map_or(Duration::ZERO, |until| until.saturating_duration_since(now))
    }

    /// Calls we may make a window, at `now`.
    pub(super) fn allowance(&self, now: Instant) -> u32 {
        let full = self.full();
        let others = self.others(now);
        let limit = self.limit.unwrap_or(UNTOLD_LIMIT);
        let beside = if others == 0 {
            full
        } else if self.has_new_company(now) {
            self.fair()
        } else {
            // The end of one burst and the whole of the next may lie in one window.
            let theirs = others.saturating_add(self.margin().max(others / 3));
            full.min(limit.saturating_sub(theirs)).max(self.least())
        };
        let cut = self.cut.map_or(f64::INFINITY, |(at, level)| {
            let windows = now.saturating_duration_since(at).as_secs_f64() / WINDOW.as_secs_f64();
            level + f64::from(full) * REGROWTH * windows
        });
        if cut >= f64::from(beside) { beside } else { floor(cut).max(1) }
    }

    /// Our share of the limit. One slot in fifty stays open as a transport: a service that counts no refused calls shows
    /// us no newcomer while we fill every slot the moment it is free.
    fn full(&self) -> u32 {
        let limit = self.limit.unwrap_or(UNTOLD_LIMIT);
        floor(f64::from(limit) * self.share + 1e-6).min(limit - limit / 50).max(1)
    }

    /// Half of the limit, less a little: what is ours beside another client that wants all it can get.
    fn fair(&self) -> u32 {
        let half = (self.limit.unwrap_or(UNTOLD_LIMIT) / 2).saturating_sub(self.margin());
        half.min(self.full()).max(1)
    }

    /// A third of the limit, as far as it is our share: what we keep, whatever others want.
    fn least(&self) -> u32 {
        (self.limit.unwrap_or(UNTOLD_LIMIT) / 3).clamp(1, self.full())
    }

    /// The limit is too small for all that a call sent at `sent` met.
    fn cut(&mut self, sent: Instant, now: Instant) {
        // Calls that were under way at the last cut say nothing new.
        if self.cut.is_none_or(|(at, _)| sent > at) {
            let allowance = self.allowance(now);
            let fair = self.fair();
            let level = if allowance > fair { f64::from(fair) } else { f64::from(allowance) * 0.75 };
            self.cut = Some((now, level.max(1.0)));
        }
    }

    fn margin(&self) -> u32 {
        (self.limit.unwrap_or(UNTOLD_LIMIT) / 20).max(1)
    }

    /// A small job may burst. From half of the allowance on, beside others, and after a stop, we go evenly: bursts
    /// would come back with every window and shut others out.
    fn gap(&self, now: Instant, allowance: u32) -> Duration {
        let even = allowance < self.full() || self.occupied(now) > allowance as usize / 2;
        if even { WINDOW.mul_f64(0.9) / allowance.max(1) } else { Duration::ZERO }
    }

    fn occupied(&self, now: Instant) -> usize {
        self.log.iter().filter(|entry| entry.free.is_none_or(|free| free > now)).count()
    }

    fn free(&mut self, slot: SlotId, now: Instant) -> Option<Instant> {
        let entry = self.log.iter_mut().find(|entry| entry.id == slot)?;
        entry.free = Some(now + WINDOW + GUARD);
        Some(entry.sent)
    }

    /// Entries are kept one window longer than they count: an answer still under way may be judged by them.
    fn forget_before(&mut self, now: Instant) {
        self.log.retain(|entry| entry.free.is_none_or(|free| free + WINDOW > now));
        self.others.retain(|(at, _)| now.saturating_duration_since(*at) < OTHERS_MEMORY);
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates, and is a count")]
fn floor(value: f64) -> u32 {
    value.floor() as u32
}

#[cfg(test)]
mod tests;
