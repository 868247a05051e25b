//! The pacer against a stand-in service and other clients, on a simulated clock.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::*;

/// How a stand-in service counts.
#[derive(Debug, Clone, Copy)]
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
    other: Option<Other>,
    /// Seconds with work, and then without.
    spells: (u64, u64),
}

/// Work without end.
const ALWAYS: (u64, u64) = (1, 0);

/// Another client, which knows nothing of us and never slows down. It makes 30 calls a window.
#[derive(Clone, Copy)]
struct Other {
    pattern: Pattern,
    /// Seconds.
    from: u64,
    until: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pattern {
    Even,
    /// All at once, every 3 s.
    AtTheWindowsStart,
    /// 1 to 15 at once, whenever it pleases.
    AtRandom,
    /// `calls` within about 20 ms, each `every_ms` and up to `late_ms` later, as a pool of workers makes them: a sliding
    /// window may hold the end of one burst and the whole of later ones.
    Bursts {
        calls: u64,
        every_ms: u64,
        late_ms: u64,
    },
    /// One after a long time.
    Rarely,
}

const RARELY: Other = Other { pattern: Pattern::Rarely, from: 0, until: 600 };

impl Other {
    const CALLS: usize = 30;
    const WINDOW: u64 = 3_000_000;

    /// The moments of its calls, in microseconds.
    fn calls(self) -> Vec<u64> {
        let mut random = fastrand::Rng::with_seed(11);
        let mut calls: Vec<u64> = Vec::new();
        let mut at = self.from * 1_000_000;
        while at < self.until * 1_000_000 {
            let (burst, pause) = match self.pattern {
                Pattern::Even => (1, Self::WINDOW / 30),
                Pattern::AtTheWindowsStart => (Self::CALLS, Self::WINDOW),
                Pattern::Rarely => (1, 40_000_000),
                Pattern::AtRandom => (random.usize(1..=15), random.u64(0..1_000_000)),
                Pattern::Bursts { calls: burst, every_ms, late_ms } => {
                    let (late, takes) = (random.u64(0..=late_ms * 1_000), 20_000 + random.u64(0..=late_ms * 1_000));
                    calls.extend((0..burst).map(|nth| at + late + nth * takes / burst));
                    at += every_ms * 1_000;
                    continue;
                }
            };
            if self.pattern == Pattern::AtRandom {
                // The call that may not lie in the same window as the last of the burst.
                let first = (calls.len() + burst).checked_sub(Self::CALLS + 1);
                let free = first.map_or(0, |first| calls[first] + Self::WINDOW + 1);
                if free > at {
                    at = free + random.u64(0..200_000);
                }
            }
            // One right after the other, not within a microsecond.
            calls.extend((0..burst as u64).map(|nth| at + nth * 1_000));
            at += pause.max(burst as u64 * 1_000);
        }
        calls
    }
}

/// Clients that always have work, against a service that counts when a call reaches it.
fn simulate(run: &Run) -> Outcome {
    let mut random = fastrand::Rng::with_seed(7);
    let base = Instant::now();
    let at = |us: u64| base + Duration::from_micros(us);
    let mut service = Service { counting: run.counting, limit: run.limit, counted: VecDeque::new() };
    let mut clients: Vec<_> = run.shares.iter().map(|share| Limiter::new(*share)).collect();
    let mut outcome = Outcome { done: vec![0; clients.len()], refused: vec![0; clients.len()], ..Outcome::default() };
    let mut events = BinaryHeap::new();
    for client in 0..clients.len() {
        events.push(Reverse((client as u64 * 1_700_000, Event::Wake(client))));
    }
    let calls = run.other.map(Other::calls).unwrap_or_default();
    events.extend(calls.into_iter().map(|at| Reverse((at, Event::Foreign))));
    while let Some(Reverse((now, event))) = events.pop() {
        if now > run.seconds * 1_000_000 {
            break;
        }
        match event {
            Event::Wake(client) if now / 1_000_000 % (run.spells.0 + run.spells.1) >= run.spells.0 => {
                let spell = (run.spells.0 + run.spells.1) * 1_000_000;
                events.push(Reverse(((now / spell + 1) * spell, Event::Wake(client))));
            }
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
            Event::Foreign => match service.call(now) {
                Ok(_) => outcome.foreign += 1,
                Err(_) => outcome.foreign_refused += 1,
            },
        }
    }
    outcome
}

#[test]
fn alone_it_reaches_the_told_pace_and_never_a_429() {
    for counting in [Counting::Sliding, Counting::Fixed] {
        for (latency_ms, share, at_least) in
            [((2, 20), 1.0, 0.979), ((60, 200), 1.0, 0.935), ((2, 20), 0.8, 0.99), ((500, 2_000), 1.0, 0.68)]
        {
            let run = Run {
                shares: vec![share],
                limit: 60,
                counting,
                latency_ms,
                late_ms: 0,
                seconds: 120,
                other: None,
                spells: ALWAYS,
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
        let run = Run {
            shares: vec![1.0],
            limit: 60,
            counting,
            latency_ms,
            late_ms,
            seconds: 120,
            other: None,
            spells: ALWAYS,
        };
        let outcome = simulate(&run);
        assert_eq!(outcome.refused, [0]);
        assert!(outcome.done[0] >= 2_400 * 95 / 100, "{outcome:?}");
    }
}

fn beside(other: Other, counting: Counting, share: f64, latency_ms: (u64, u64), spells: (u64, u64)) -> Run {
    let (shares, seconds) = (vec![share], other.until);
    Run { shares, limit: 60, counting, latency_ms, late_ms: 0, seconds, other: Some(other), spells }
}

/// Each way in which the service may count, and in which we and the other may call.
fn each_way() -> Vec<(Counting, f64, (u64, u64), Pattern)> {
    let bursts = [(30, 3_000, 2), (10, 1_000, 20), (5, 500, 20)];
    let bursts = bursts.map(|(calls, every_ms, late_ms)| Pattern::Bursts { calls, every_ms, late_ms });
    let mut ways = Vec::new();
    for pattern in [Pattern::Even, Pattern::AtTheWindowsStart, Pattern::AtRandom].into_iter().chain(bursts) {
        for counting in [Counting::Sliding, Counting::Fixed] {
            for share in [1.0, 0.8] {
                ways.extend([(2, 20), (60, 200)].map(|latency_ms| (counting, share, latency_ms, pattern)));
            }
        }
    }
    ways
}

#[test]
fn a_client_that_spends_half_is_refused_one_call_in_a_hundred_at_most() {
    for (counting, share, latency_ms, pattern) in each_way() {
        // The other leaves about 30 a window, of which a third is room for what answers do not show.
        for (spells, at_least) in [(ALWAYS, 1_850), ((5, 20), 400)] {
            let other = Other { pattern, from: 0, until: 300 };
            let outcome = simulate(&beside(other, counting, share, latency_ms, spells));
            let case = format!("{counting:?}, {share}, {latency_ms:?}, {pattern:?}, {spells:?}: {outcome:?}");
            assert!(outcome.foreign_refused * 100 <= outcome.foreign, "{case}");
            assert!(outcome.refused[0] * 100 <= outcome.done[0], "{case}");
            assert!(outcome.done[0] >= at_least, "{case}");
        }
    }
}

#[test]
fn no_company_makes_us_take_more_than_our_share() {
    for (counting, _, latency_ms, pattern) in each_way() {
        for (share, a_window) in [(0.05, 3), (0.2, 12), (0.3, 18)] {
            let outcome =
                simulate(&beside(Other { pattern, from: 0, until: 300 }, counting, share, latency_ms, ALWAYS));
            let case = format!("{counting:?}, {share}, {latency_ms:?}, {pattern:?}: {outcome:?}");
            // A window more for the one that begins the run.
            assert!(outcome.done[0] <= a_window * 101, "{case}");
        }
    }
}

#[test]
fn a_client_that_comes_while_we_fill_the_limit_has_room_after_its_first_window() {
    for (counting, share, latency_ms, pattern) in each_way() {
        let until = |until| {
            let run = beside(Other { pattern, from: 30, until: 330 }, counting, share, latency_ms, ALWAYS);
            simulate(&Run { seconds: until, ..run })
        };
        let (first, all) = (until(33), until(330));
        let case = format!("{counting:?}, {share}, {latency_ms:?}, {pattern:?}: {first:?}, then {all:?}");
        // What was sent before anybody came is counted, and nothing takes it back.
        assert!(first.foreign_refused <= 30, "{case}");
        assert!((all.foreign_refused - first.foreign_refused) * 100 <= all.foreign, "{case}");
        assert!(all.refused[0] * 100 <= all.done[0], "{case}");
    }
}

#[test]
fn a_call_now_and_then_by_somebody_else_costs_us_little() {
    for counting in [Counting::Sliding, Counting::Fixed] {
        for share in [1.0, 0.8] {
            let alone = Run { other: None, ..beside(RARELY, counting, share, (2, 20), ALWAYS) };
            let outcome = simulate(&beside(RARELY, counting, share, (2, 20), ALWAYS));
            assert!(outcome.done[0] * 100 >= simulate(&alone).done[0] * 90, "{outcome:?}");
        }
    }
}

#[test]
fn when_the_other_client_is_gone_the_pace_grows_back() {
    let other = Some(Other { pattern: Pattern::Even, from: 0, until: 20 });
    let run = |seconds| Run {
        shares: vec![1.0],
        limit: 60,
        counting: Counting::Sliding,
        latency_ms: (2, 20),
        late_ms: 0,
        seconds,
        other,
        spells: ALWAYS,
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
            other: None,
            spells: ALWAYS,
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
fn while_nothing_but_429_comes_the_stops_grow_to_a_minute_and_an_answer_ends_that() {
    let second = Duration::from_secs(1);
    let mut limiter = Limiter::new(1.0);
    let mut now = Instant::now();
    let mut refuse = |limiter: &mut Limiter, together: usize| {
        let mut slots = Vec::new();
        while slots.len() < together {
            match limiter.poll(now) {
                Poll::Grant(slot) => slots.push(slot),
                Poll::WaitUntil(at) => now = at,
                Poll::WaitAnswer => panic!("nothing is under way"),
            }
        }
        now += Duration::from_millis(10);
        for slot in slots {
            limiter.refused(slot, now, second, None);
        }
        let stop = limiter.stopped_for(now);
        now += stop;
        (stop, now)
    };
    let stops: Vec<u64> = (0..9).map(|_| refuse(&mut limiter, 1).0.as_secs()).collect();
    assert_eq!(stops, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
    let (_, at) = refuse(&mut limiter, 1);
    let Poll::Grant(slot) = limiter.poll(at) else { panic!("the stop is over") };
    limiter.answered(slot, at, Some(60), Some(50));
    // What was under way together is refused together.
    assert_eq!([refuse(&mut limiter, 3).0, refuse(&mut limiter, 1).0], [second, 2 * second]);
}

#[test]
fn a_limit_beyond_all_measure_is_counted_with() {
    let now = Instant::now();
    let mut limiter = Limiter::new(1.0);
    let Poll::Grant(first) = limiter.poll(now) else { panic!() };
    limiter.answered(first, now, Some(u32::MAX), Some(0));
    let settled = now + 2 * WINDOW;
    assert_eq!(limiter.others(settled), u32::MAX - 1);
    assert_eq!(limiter.allowance(settled), u32::MAX / 3);
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
