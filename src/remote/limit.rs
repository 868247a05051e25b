//! How many calls may go out now: a sliding log of send times under the limit that the service tells.
//!
//! Owns: the proof that we alone never cause a 429, fairness towards other clients of the same token's project, and
//! the common stop after a 429.
//! Never does: sleeping, clocks, randomness (`pace` is the shell that does).
//! Called by: `pace`.
//!
//! The proof. The service counts a call somewhere between our send and its answer. A slot is given back one window
//! after its ANSWER, so any two calls that share a slot are counted more than one window apart, and no window, fixed
//! or sliding, ever holds more calls than there are slots. The price is one round trip a window.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// The window the limit counts in. Source: media-area-api.md "Rate limit".
pub(super) const WINDOW: Duration = Duration::from_secs(3);
/// Added to the window: timers and the service's clock are no finer.
const GUARD: Duration = Duration::from_millis(5);
/// Slots while no answer has told the limit (a proxy may strip the headers).
const UNTOLD_LIMIT: u32 = 20;
/// How long a sign of other clients counts.
const OTHERS_MEMORY: Duration = Duration::from_secs(6);
/// Timers wake late on a busy machine. A call that goes out no later than this after its time does not push back the next.
const LATE: Duration = Duration::from_millis(200);
/// Growth after a cut, in parts of the full allowance a window.
const REGROWTH: f64 = 0.1;

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
    others: VecDeque<(Instant, u32)>,
    /// When and how far the last 429 cut us down.
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
            others: VecDeque::new(),
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
        if let Some(limit) = limit {
            self.limit = Some(limit.max(1));
        }
        if let (Some(limit), Some(remaining), Some(sent)) = (limit, remaining, sent) {
            // Every call of ours that the service may still have counted when it counted this one.
            let ours = self.log.iter().filter(|entry| entry.free.is_none_or(|free| free > sent)).count();
            let ours = u32::try_from(ours).unwrap_or(u32::MAX);
            let others = limit.saturating_sub(remaining).saturating_sub(ours);
            if others > 0 {
                self.others.push_back((now, others));
            }
        }
    }

    /// No answer came, or nobody waits for it any more: the service may count it as late as now.
    pub(super) fn lost(&mut self, slot: SlotId, now: Instant) {
        self.free(slot, now);
    }

    /// The call was refused with 429: everybody stops for `reset`.
    pub(super) fn refused(&mut self, slot: SlotId, now: Instant, reset: Duration, limit: Option<u32>) {
        self.answered_once = true;
        let sent = self.free(slot, now).unwrap_or(now);
        if let Some(limit) = limit {
            self.limit = Some(limit.max(1));
        }
        // Refusals of calls that were under way at the last cut say nothing new.
        if self.cut.is_none_or(|(at, _)| sent > at) {
            let allowance = self.allowance(now);
            let fair = self.fair();
            let level = if allowance > fair { f64::from(fair) } else { f64::from(allowance) * 0.75 };
            self.cut = Some((now, level.max(1.0)));
        }
        let until = now + reset;
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
        } else {
            full.min(limit.saturating_sub(others).saturating_sub(self.margin())).max(self.fair())
        };
        let cut = self.cut.map_or(f64::INFINITY, |(at, level)| {
            let windows = now.saturating_duration_since(at).as_secs_f64() / WINDOW.as_secs_f64();
            level + f64::from(full) * REGROWTH * windows
        });
        if cut >= f64::from(beside) { beside } else { floor(cut).max(1) }
    }

    /// Our share of the limit. One slot in fifty stays open as a door: a service that counts no refused calls shows
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
mod tests {
    use std::cmp::Reverse;
    use std::collections::BinaryHeap;

    use super::*;

    /// How a stand-in service counts.
    #[derive(Clone, Copy)]
    enum Counting {
        Sliding,
        Fixed,
    }

    struct Service {
        counting: Counting,
        limit: u32,
        counted: VecDeque<u64>,
    }

    impl Service {
        /// `Ok(remaining)` or `Err(seconds to wait)`.
        fn call(&mut self, at: u64) -> Result<u32, u64> {
            let window_start = match self.counting {
                Counting::Sliding => (at + 1).saturating_sub(3_000_000),
                Counting::Fixed => at / 3_000_000 * 3_000_000,
            };
            self.counted.retain(|t| *t >= window_start);
            let used = u32::try_from(self.counted.len()).unwrap();
            if used >= self.limit {
                let first = self.counted.front().copied().unwrap_or(at);
                let ends = match self.counting {
                    Counting::Sliding => first + 3_000_000,
                    Counting::Fixed => window_start + 3_000_000,
                };
                return Err((ends - at).div_ceil(1_000_000));
            }
            self.counted.push_back(at);
            Ok(self.limit - used - 1)
        }
    }

    #[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
    enum Event {
        Wake(usize),
        Count(usize, u64),
        Answer(usize, u64, Result<u32, u64>),
        Foreign,
    }

    /// What came out of a simulated run.
    #[derive(Debug, Default)]
    struct Outcome {
        done: Vec<u64>,
        refused: Vec<u64>,
        foreign: u64,
        foreign_refused: u64,
    }

    struct Run {
        shares: Vec<f64>,
        limit: u32,
        counting: Counting,
        latency_ms: (u64, u64),
        /// A client wakes up to so many milliseconds late.
        late_ms: u64,
        seconds: u64,
        /// Microseconds between another client's calls, and until when (s) it makes them.
        foreign: Option<(u64, u64)>,
    }

    /// Clients that always have work, against a service that counts when a call reaches it.
    fn simulate(run: &Run) -> Outcome {
        let mut random = fastrand::Rng::with_seed(7);
        let base = Instant::now();
        let at = |us: u64| base + Duration::from_micros(us);
        let mut service = Service { counting: run.counting, limit: run.limit, counted: VecDeque::new() };
        let mut clients: Vec<_> = run.shares.iter().map(|share| Limiter::new(*share)).collect();
        let mut outcome =
            Outcome { done: vec![0; clients.len()], refused: vec![0; clients.len()], ..Outcome::default() };
        let mut events = BinaryHeap::new();
        for client in 0..clients.len() {
            events.push(Reverse((client as u64 * 1_700_000, Event::Wake(client))));
        }
        if run.foreign.is_some() {
            events.push(Reverse((500_000, Event::Foreign)));
        }
        while let Some(Reverse((now, event))) = events.pop() {
            if now > run.seconds * 1_000_000 {
                break;
            }
            match event {
                Event::Wake(client) => match clients[client].poll(at(now)) {
                    Poll::Grant(SlotId(id)) => {
                        let half = random.u64(run.latency_ms.0 * 500..=run.latency_ms.1 * 500);
                        events.push(Reverse((now + half, Event::Count(client, id))));
                        events.push(Reverse((now + 200, Event::Wake(client))));
                    }
                    Poll::WaitUntil(until) => {
                        let late = random.u64(0..=run.late_ms * 1_000);
                        let wait = u64::try_from((until - at(now)).as_micros()).unwrap() + 1 + late;
                        events.push(Reverse((now + wait, Event::Wake(client))));
                    }
                    Poll::WaitAnswer => events.push(Reverse((now + 500, Event::Wake(client)))),
                },
                Event::Count(client, id) => {
                    let answer = service.call(now);
                    let half = random.u64(run.latency_ms.0 * 500..=run.latency_ms.1 * 500);
                    events.push(Reverse((now + half, Event::Answer(client, id, answer))));
                }
                Event::Answer(client, id, Ok(remaining)) => {
                    outcome.done[client] += 1;
                    clients[client].answered(SlotId(id), at(now), Some(run.limit), Some(remaining));
                }
                Event::Answer(client, id, Err(wait)) => {
                    outcome.refused[client] += 1;
                    clients[client].refused(SlotId(id), at(now), Duration::from_secs(wait), Some(run.limit));
                }
                Event::Foreign => {
                    if let Some((every, until)) = run.foreign {
                        match service.call(now) {
                            Ok(_) => outcome.foreign += 1,
                            Err(_) => outcome.foreign_refused += 1,
                        }
                        if now < until * 1_000_000 {
                            events.push(Reverse((now + every, Event::Foreign)));
                        }
                    }
                }
            }
        }
        outcome
    }

    #[test]
    fn alone_it_reaches_the_told_pace_and_never_a_429() {
        for counting in [Counting::Sliding, Counting::Fixed] {
            for (latency_ms, share, at_least) in
                [((2, 20), 1.0, 0.97), ((60, 200), 1.0, 0.93), ((2, 20), 0.8, 0.97), ((500, 2_000), 1.0, 0.65)]
            {
                let run = Run {
                    shares: vec![share],
                    limit: 60,
                    counting,
                    latency_ms,
                    late_ms: 0,
                    seconds: 120,
                    foreign: None,
                };
                let outcome = simulate(&run);
                let told = 60.0 * share * 40.0;
                assert_eq!(outcome.refused, [0], "{latency_ms:?}");
                #[expect(clippy::cast_precision_loss, reason = "a few thousand")]
                let reached = outcome.done[0] as f64 / told;
                assert!(reached >= at_least, "{latency_ms:?} share {share}: {reached}");
                assert!(reached <= 1.03, "{latency_ms:?} share {share}: {reached}");
            }
        }
    }

    #[test]
    fn late_timers_of_a_busy_machine_do_not_slow_the_pace() {
        for counting in [Counting::Sliding, Counting::Fixed] {
            let (latency_ms, late_ms) = ((2, 20), 30);
            let run = Run { shares: vec![1.0], limit: 60, counting, latency_ms, late_ms, seconds: 120, foreign: None };
            let outcome = simulate(&run);
            assert_eq!(outcome.refused, [0]);
            assert!(outcome.done[0] >= 2_400 * 95 / 100, "{outcome:?}");
        }
    }

    #[test]
    fn beside_a_client_that_spends_half_both_go_on_almost_without_429() {
        for counting in [Counting::Sliding, Counting::Fixed] {
            let foreign = Some((100_000, 120));
            let run =
                Run { shares: vec![1.0], limit: 60, counting, latency_ms: (2, 20), late_ms: 0, seconds: 120, foreign };
            let outcome = simulate(&run);
            assert!(outcome.refused[0] + outcome.foreign_refused <= 30, "about one in a hundred: {outcome:?}");
            assert!(outcome.foreign >= 1_150, "{outcome:?}");
            assert!(outcome.done[0] >= 900, "{outcome:?}");
        }
    }

    #[test]
    fn when_the_other_client_is_gone_the_pace_grows_back() {
        let foreign = Some((100_000, 20));
        let run = |seconds| Run {
            shares: vec![1.0],
            limit: 60,
            counting: Counting::Sliding,
            latency_ms: (2, 20),
            late_ms: 0,
            seconds,
            foreign,
        };
        let grown = simulate(&run(120)).done[0] - simulate(&run(60)).done[0];
        assert!(grown >= 1_150, "{grown} calls in a minute");
    }

    #[test]
    fn two_of_us_share_without_being_told() {
        for counting in [Counting::Sliding, Counting::Fixed] {
            let run = Run {
                shares: vec![1.0, 1.0],
                limit: 60,
                counting,
                latency_ms: (2, 20),
                late_ms: 0,
                seconds: 300,
                foreign: None,
            };
            let outcome = simulate(&run);
            let all: u64 = outcome.done.iter().sum();
            let refused: u64 = outcome.refused.iter().sum();
            assert!(all >= 4_200, "{outcome:?}");
            assert!(refused * 50 <= all, "{outcome:?}");
            assert!(outcome.done.iter().all(|done| *done * 4 >= all), "neither starves: {outcome:?}");
        }
    }

    #[test]
    fn one_call_goes_first_and_a_limit_of_one_still_moves() {
        let now = Instant::now();
        let mut limiter = Limiter::new(1.0);
        let Poll::Grant(first) = limiter.poll(now) else { panic!("the first call waits") };
        assert_eq!(limiter.poll(now), Poll::WaitAnswer);
        limiter.answered(first, now, Some(1), Some(0));
        let mut at = now;
        while let Poll::WaitUntil(next) = limiter.poll(at) {
            assert!(next > at, "it must not spin");
            at = next;
        }
        assert!(at >= now + WINDOW, "two calls in one window");
    }

    #[test]
    fn a_429_stops_everybody_until_its_reset_and_the_wake_is_even() {
        let now = Instant::now();
        let mut limiter = Limiter::new(1.0);
        let Poll::Grant(first) = limiter.poll(now) else { panic!() };
        limiter.answered(first, now, Some(60), Some(59));
        let Poll::Grant(second) = limiter.poll(now) else { panic!() };
        limiter.refused(second, now, Duration::from_secs(2), None);
        let until = now + Duration::from_secs(2);
        assert_eq!(limiter.poll(now), Poll::WaitUntil(until));
        assert_eq!(limiter.stopped_for(now), Duration::from_secs(2));
        assert!(matches!(limiter.poll(until), Poll::Grant(_)));
        let Poll::WaitUntil(next) = limiter.poll(until) else { panic!("a herd") };
        assert!(next - until >= Duration::from_millis(40));
        assert!(limiter.allowance(until) < 35);
        assert_eq!(limiter.allowance(until + Duration::from_secs(30)), 59);
    }

    #[test]
    fn a_lost_call_keeps_its_slot_for_a_window() {
        let now = Instant::now();
        let mut limiter = Limiter::new(1.0);
        let Poll::Grant(first) = limiter.poll(now) else { panic!() };
        limiter.answered(first, now, Some(2), Some(1));
        let Poll::Grant(second) = limiter.poll(now) else { panic!() };
        let later = now + Duration::from_secs(30);
        limiter.lost(second, later);
        let mut granted = 0;
        while let Poll::Grant(_) = limiter.poll(later) {
            granted += 1;
        }
        assert_eq!(granted, 1, "the lost call may have been counted just now");
    }
}
