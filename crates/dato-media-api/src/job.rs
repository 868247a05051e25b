//! Following many outstanding changes at the price of few calls.
//!
//! Owns: when to ask the listing about all of them at once, by id, because they are likely done; when to ask a single
//! job's result (it alone tells why a job failed); and when to give up. Learns how long the service takes.
//! Never does: I/O, clocks. Times are passed in.
//!
//! The loop: `submitted` after each accepted call; then `next`, do what it says, answer with `listed`, `list_failed`,
//! `job_answer` or `job_unanswered`; again until [`Ask::Idle`].

mod expect;

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use crate::visibility::Visibility;
use crate::{ApiError, JobId, JobState, Stamp, Upload, UploadId};
pub use expect::Expect;

/// A listing is worth its call when so many are likely done.
const USEFUL: usize = 40;
/// While there is other work nobody is kept waiting for a confirmation longer than this (or twice what jobs take).
const PATIENCE: Duration = Duration::from_secs(4);
/// Nobody's job is asked for before this age.
const STRAGGLER: Duration = Duration::from_secs(2);
/// When everything is late, samples begin at this age at the latest.
const SAMPLE: Duration = Duration::from_secs(8);
/// Job results asked for at the same time.
const JOBS_AT_ONCE: usize = 4;
/// The pause after a question that could not be answered; each more in a row doubles it, up to the longest.
const PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// After a listing that showed nothing of what it asked for, no other for so long; each more in a row doubles it.
const VAIN_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_VAIN_PAUSE: Duration = Duration::from_secs(5);

/// What to do next.
#[derive(Debug, Clone, PartialEq)]
pub enum Ask {
    /// List these ids, then call [`JobFollower::listed`] or [`JobFollower::list_failed`].
    ListIds(Vec<UploadId>),
    /// Ask for this job's result, then call [`JobFollower::job_answer`] or [`JobFollower::job_unanswered`].
    JobResult(UploadId, JobId),
    /// These did not end in the stated time and are followed no more: look at the remote on the next pass.
    GaveUp(Vec<UploadId>),
    /// Nothing before then, unless something is submitted or answered.
    WaitUntil(Instant),
    /// Nothing is outstanding.
    Idle,
}

/// A change that is done.
#[derive(Debug, Clone, PartialEq)]
pub struct Confirmed<S = ()> {
    /// The asset's id.
    pub id: UploadId,
    /// The asset as it is now; `None` when it is gone. From a job's result it may differ from what was expected: compare.
    pub asset: Option<Box<Upload<S>>>,
}

/// What a job's answer means.
#[derive(Debug, Clone, PartialEq)]
pub enum Resolved<S = ()> {
    /// Done.
    Confirmed(Confirmed<S>),
    /// It ended with an error; nothing was changed.
    Failed(ApiError),
    /// Not yet.
    StillPending,
    /// It was resolved before.
    Unknown,
}

#[derive(Debug)]
struct Outstanding<S> {
    job: Option<JobId>,
    expect: Expect<S>,
    submitted: Instant,
    /// Not listed for its own sake before then.
    list_after: Instant,
    lists: u32,
    listing_since: Option<Instant>,
    job_after: Instant,
    asking_job: bool,
    /// Ages at which it was not seen yet; taken back when its job turns out to have failed.
    unseen: Vec<Duration>,
}

/// Follows outstanding creations, replacements, retags and deletions.
#[derive(Debug)]
pub struct JobFollower<S = ()> {
    outstanding: BTreeMap<UploadId, Outstanding<S>>,
    visibility: Visibility,
    max_ids: usize,
    give_up: Duration,
    sample_after: Option<Instant>,
    sample_pause: Duration,
    lists: Holdup,
    jobs: Holdup,
    vain: Holdup,
}

/// For how long a kind of question is not asked at all: what failed for one would fail for the next.
#[derive(Debug, Default)]
struct Holdup {
    until: Option<Instant>,
    failed: u32,
}

impl Holdup {
    fn failed(&mut self, now: Instant, first: Duration, longest: Duration) {
        let pause = first.saturating_mul(1 << self.failed.min(16)).min(longest);
        self.failed = self.failed.saturating_add(1);
        self.until = Some(now + pause);
    }

    fn over(&mut self) {
        *self = Self::default();
    }
}

impl<S: Stamp> JobFollower<S> {
    /// `max_ids`: see `Client::batch_limits`. `give_up`: how long an outstanding change is followed.
    #[must_use]
    pub fn new(max_ids: usize, give_up: Duration) -> Self {
        Self {
            outstanding: BTreeMap::new(),
            visibility: Visibility::default(),
            max_ids: max_ids.max(1),
            give_up,
            sample_after: None,
            sample_pause: STRAGGLER,
            lists: Holdup::default(),
            jobs: Holdup::default(),
            vain: Holdup::default(),
        }
    }

    /// A change was accepted (or may have been: then without a job).
    pub fn submitted(&mut self, id: UploadId, job: Option<JobId>, expect: Expect<S>, now: Instant) {
        let outstanding = Outstanding {
            job,
            expect,
            submitted: now,
            list_after: now,
            lists: 0,
            listing_since: None,
            job_after: now,
            asking_job: false,
            unseen: Vec::new(),
        };
        self.outstanding.insert(id, outstanding);
    }

    /// How many are outstanding.
    #[must_use]
    pub fn len(&self) -> usize {
        self.outstanding.len()
    }

    /// Nothing is outstanding.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.outstanding.is_empty()
    }

    /// How long changes take to be seen: nine of ten are by then.
    #[must_use]
    pub fn likely_after(&self) -> Duration {
        self.visibility.likely()
    }

    /// What to do at `now`. `flush`: there is no other work, so confirm as soon as it is likely done.
    pub fn next(&mut self, now: Instant, flush: bool) -> Ask {
        let given_up = self.given_up(now);
        if !given_up.is_empty() {
            return Ask::GaveUp(given_up);
        }
        if self.outstanding.is_empty() {
            return Ask::Idle;
        }
        let (job_at, who) = self.job_due(now);
        if let Some((id, job)) = who {
            return Ask::JobResult(id, job);
        }
        let list_at = self.list_due(now, flush);
        if list_at.is_some_and(|at| at <= now) {
            return Ask::ListIds(self.take_batch(now));
        }
        let oldest = self.outstanding.values().map(|o| o.submitted).min().unwrap_or(now);
        let at = [list_at, job_at, Some(oldest + self.give_up)].into_iter().flatten().min();
        Ask::WaitUntil(at.unwrap_or(now + self.give_up))
    }

    /// The listing answered: `found` are those of `asked` that exist.
    pub fn listed(&mut self, asked: &[UploadId], found: Vec<Upload<S>>, now: Instant) -> Vec<Confirmed<S>> {
        let mut found: HashMap<_, _> = found.into_iter().map(|asset| (asset.id.clone(), asset)).collect();
        self.visibility.fade();
        self.lists.over();
        let pause = self.visibility.likely() / 4;
        let mut confirmed = Vec::new();
        for id in asked {
            let Some(outstanding) = self.outstanding.get_mut(id) else { continue };
            let asset = found.remove(id);
            let since = outstanding.listing_since.take().unwrap_or(now);
            if outstanding.expect.is_met(asset.as_ref()) {
                self.visibility.seen(now.saturating_duration_since(outstanding.submitted));
                self.outstanding.remove(id);
                confirmed.push(Confirmed { id: id.clone(), asset: asset.map(Box::new) });
            } else {
                let age = since.saturating_duration_since(outstanding.submitted);
                self.visibility.unseen(age);
                outstanding.unseen.push(age);
                outstanding.lists += 1;
                let backoff = Duration::from_millis(100 << outstanding.lists.min(6));
                outstanding.list_after = now + pause.max(backoff.min(age / 2));
            }
        }
        self.visibility.learn();
        if confirmed.is_empty() {
            self.vain.failed(now, VAIN_PAUSE, LONGEST_VAIN_PAUSE);
        } else {
            self.vain.over();
        }
        confirmed
    }

    /// The listing could not be had.
    pub fn list_failed(&mut self, asked: &[UploadId], now: Instant) {
        self.lists.failed(now, PAUSE, LONGEST_PAUSE);
        for id in asked {
            if let Some(outstanding) = self.outstanding.get_mut(id) {
                outstanding.listing_since = None;
                outstanding.list_after = now + PAUSE;
            }
        }
    }

    /// A job's result was asked for.
    pub fn job_answer(&mut self, id: &UploadId, state: JobState<S>, now: Instant) -> Resolved<S> {
        self.jobs.over();
        let Some(outstanding) = self.outstanding.get_mut(id) else { return Resolved::Unknown };
        outstanding.asking_job = false;
        let age = now.saturating_duration_since(outstanding.submitted);
        let gone = outstanding.expect == Expect::Gone;
        // A payload about another asset tells nothing about this one.
        let state = match state {
            JobState::Done(asset) => JobState::Done(asset.filter(|asset| asset.id == *id)),
            other => other,
        };
        match state {
            JobState::Failed(error) => {
                for age in &outstanding.unseen {
                    self.visibility.take_back(*age);
                }
                self.visibility.learn();
                self.outstanding.remove(id);
                // Where one has failed the next may have too.
                (self.sample_after, self.sample_pause) = (None, STRAGGLER);
                Resolved::Failed(error)
            }
            JobState::Done(asset) if gone || asset.is_some() || outstanding.expect == Expect::JobDone => {
                self.outstanding.remove(id);
                let asset = if gone { None } else { asset };
                Resolved::Confirmed(Confirmed { id: id.clone(), asset })
            }
            JobState::Done(_) => {
                // Done, but only the listing can tell what it is now.
                outstanding.job = None;
                outstanding.list_after = now;
                Resolved::StillPending
            }
            JobState::Pending => {
                outstanding.job_after = now + (age / 2).clamp(Duration::from_millis(300), Duration::from_secs(15));
                self.sample_after = Some(now + self.sample_pause);
                self.sample_pause = (self.sample_pause * 2).min(Duration::from_secs(15));
                Resolved::StillPending
            }
        }
    }

    /// A job's result could not be had.
    pub fn job_unanswered(&mut self, id: &UploadId, now: Instant) {
        self.jobs.failed(now, PAUSE, LONGEST_PAUSE);
        if let Some(outstanding) = self.outstanding.get_mut(id) {
            outstanding.asking_job = false;
            outstanding.job_after = now + PAUSE;
        }
    }

    fn given_up(&mut self, now: Instant) -> Vec<UploadId> {
        let old = |o: &Outstanding<S>| now.saturating_duration_since(o.submitted) >= self.give_up;
        let ids: Vec<_> = self.outstanding.iter().filter(|(_, o)| old(o)).map(|(id, _)| id.clone()).collect();
        for id in &ids {
            self.outstanding.remove(id);
        }
        ids
    }

    /// The job to ask for now, or when one will be.
    fn job_due(&mut self, now: Instant) -> (Option<Instant>, Option<(UploadId, JobId)>) {
        if self.outstanding.values().filter(|o| o.asking_job).count() >= JOBS_AT_ONCE {
            return (None, None);
        }
        let likely = self.visibility.likely();
        let late = STRAGGLER.max(likely * 3);
        let mut due: Option<(Instant, Instant, UploadId)> = None;
        for (id, o) in self.outstanding.iter().filter(|(_, o)| o.job.is_some() && !o.asking_job) {
            let age = now.saturating_duration_since(o.submitted);
            let at = if o.expect == Expect::JobDone {
                o.submitted + likely
            } else if o.lists < 2 {
                continue;
            } else if self.visibility.share_seen(age) >= 0.9 {
                o.submitted + late
            } else {
                // Everything is late: that is the service, not this one. The oldest is asked for as a sample.
                (o.submitted + late.min(SAMPLE)).max(self.sample_after.unwrap_or(o.submitted))
            };
            let at = at.max(o.job_after).max(self.jobs.until.unwrap_or(at));
            let candidate = (at, o.submitted, id.clone());
            if due.as_ref().is_none_or(|first| candidate < *first) {
                due = Some(candidate);
            }
        }
        let Some((at, _, id)) = due else { return (None, None) };
        if at > now {
            return (Some(at), None);
        }
        self.sample_after = Some(now + self.sample_pause);
        let Some(outstanding) = self.outstanding.get_mut(&id) else { return (None, None) };
        outstanding.asking_job = true;
        let job = outstanding.job.clone();
        (None, job.map(|job| (id, job)))
    }

    /// When a listing is worth its call, and may be asked for.
    fn list_due(&self, now: Instant, flush: bool) -> Option<Instant> {
        let at = self.list_worth(now, flush)?;
        Some([self.lists.until, self.vain.until].into_iter().flatten().fold(at, Instant::max))
    }

    fn list_worth(&self, now: Instant, flush: bool) -> Option<Instant> {
        let likely = self.visibility.likely();
        let listable = || self.outstanding.values().filter(|o| o.expect != Expect::JobDone);
        if listable().any(|o| o.listing_since.is_some()) {
            return None;
        }
        let ready_at = |o: &Outstanding<S>| (o.submitted + likely).max(o.list_after);
        let mut ready: Vec<_> = listable().map(ready_at).collect();
        ready.sort_unstable();
        let (first, last) = (*ready.first()?, *ready.last()?);
        if flush {
            // All at once if that is soon, else those that have waited.
            return Some(last.min(first + likely));
        }
        let enough = ready.get(USEFUL - 1).copied();
        // One that has been listed for nothing rides along with the others before it costs a call of its own.
        let patience = |o: &Outstanding<S>| {
            let ride = if o.lists > 0 { STRAGGLER } else { Duration::ZERO };
            (o.submitted + PATIENCE.max(likely * 2)).max(o.list_after + ride)
        };
        let overdue = listable().map(patience).min();
        let at = [enough, overdue].into_iter().flatten().min()?;
        Some(at.max(now.min(first)))
    }

    /// The oldest of all that are outstanding, as many as fit: the young ones cost nothing and teach how fast jobs are.
    fn take_batch(&mut self, now: Instant) -> Vec<UploadId> {
        let mut batch: Vec<_> = self
            .outstanding
            .iter_mut()
            .filter(|(_, o)| o.expect != Expect::JobDone)
            // Those whose turn it is not go last: asked for again and again, they would keep the others from being asked.
            .map(|(id, o)| (o.list_after > now, o.submitted, id.clone(), o))
            .collect();
        batch.sort_unstable_by(|a, b| (a.0, a.1, &a.2).cmp(&(b.0, b.1, &b.2)));
        batch.truncate(self.max_ids);
        for (_, _, _, outstanding) in &mut batch {
            outstanding.listing_since = Some(now);
        }
        batch.into_iter().map(|(_, _, id, _)| id).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ApiErrorKind, Md5};

    type JobFollower = super::JobFollower<()>;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    fn id(n: usize) -> UploadId {
        UploadId::new(format!("u{n:05}"))
    }

    fn asset(id: &UploadId, md5: Md5) -> Upload {
        let mut asset = crate::wire::bare_asset(id);
        asset.md5 = Some(md5);
        asset
    }

    #[derive(Debug, Default)]
    struct Cost {
        lists: usize,
        jobs: usize,
        confirmed: usize,
        failed: usize,
        gave_up: usize,
        tail: Duration,
    }

    /// `count` creations at `per_second`; each is seen after a time between `fast` and `slow`; every `failing`-th fails.
    fn simulate(count: usize, per_second: u64, fast: Duration, slow: Duration, failing: usize) -> Cost {
        let mut random = fastrand::Rng::with_seed(3);
        let base = Instant::now();
        let mut follower = JobFollower::new(300, Duration::from_secs(300));
        let md5 = Md5::of(b"x");
        let mut ends = HashMap::new();
        let mut cost = Cost::default();
        let mut now = base;
        let mut submitted = 0;
        let every = Duration::from_secs(1) / u32::try_from(per_second).unwrap();
        let mut next_submit = base;
        let mut last_submit = base;
        let rtt = MS(30);
        loop {
            if submitted < count && now >= next_submit {
                let fails = failing > 0 && submitted % failing == failing - 1;
                let latency = MS(random.u64(fast.as_millis() as u64..=slow.as_millis() as u64));
                ends.insert(id(submitted), (now + latency, fails));
                follower.submitted(id(submitted), Some(JobId::new("j")), Expect::Md5(md5), now);
                submitted += 1;
                last_submit = now;
                next_submit = now + every;
                continue;
            }
            match follower.next(now, submitted == count) {
                Ask::ListIds(ids) => {
                    cost.lists += 1;
                    let counted_at = now + rtt / 2;
                    let seen = |id: &&UploadId| ends.get(*id).is_some_and(|(end, fails)| !fails && *end <= counted_at);
                    let found = ids.iter().filter(seen).map(|id| asset(id, md5)).collect();
                    now += rtt;
                    cost.confirmed += follower.listed(&ids, found, now).len();
                }
                Ask::JobResult(id, _) => {
                    cost.jobs += 1;
                    let (end, fails) = ends[&id];
                    let state = if end > now + rtt / 2 {
                        JobState::Pending
                    } else if fails {
                        JobState::Failed(ApiError::new(ApiErrorKind::Invalid, "no"))
                    } else {
                        JobState::Done(Some(Box::new(asset(&id, md5))))
                    };
                    now += rtt;
                    match follower.job_answer(&id, state, now) {
                        Resolved::Confirmed(_) => cost.confirmed += 1,
                        Resolved::Failed(_) => cost.failed += 1,
                        Resolved::StillPending | Resolved::Unknown => {}
                    }
                }
                Ask::GaveUp(ids) => cost.gave_up += ids.len(),
                Ask::WaitUntil(at) => {
                    assert!(at > now, "it would spin");
                    now = if submitted < count { at.min(next_submit) } else { at };
                }
                Ask::Idle if submitted < count => now = next_submit,
                Ask::Idle => break,
            }
        }
        cost.tail = now - last_submit;
        cost
    }

    #[test]
    fn a_thousand_creations_cost_less_than_a_tenth_of_a_call_each() {
        let cost = simulate(1000, 10, MS(300), MS(900), 0);
        assert_eq!((cost.confirmed, cost.failed, cost.gave_up), (1000, 0, 0), "{cost:?}");
        assert!(cost.lists + cost.jobs <= 60, "{cost:?}");
        assert!(cost.tail <= MS(1500), "{cost:?}");
    }

    #[test]
    fn other_latencies_are_learned() {
        for (fast, slow, most, tail) in
            [(0, 50, 60, 1000), (3000, 6000, 120, 12_000), (100, 8000, 150, 16_000), (20_000, 25_000, 250, 45_000)]
        {
            let cost = simulate(1000, 10, MS(fast), MS(slow), 0);
            assert_eq!(cost.confirmed, 1000, "{fast}..{slow}: {cost:?}");
            assert!(cost.lists + cost.jobs <= most, "{fast}..{slow}: {cost:?}");
            assert!(cost.tail <= MS(tail), "{fast}..{slow}: {cost:?}");
        }
    }

    #[test]
    fn one_file_is_confirmed_soon() {
        let cost = simulate(1, 1, MS(600), MS(600), 0);
        assert!(cost.lists + cost.jobs <= 3 && cost.tail <= MS(1500), "{cost:?}");
    }

    #[test]
    fn failures_are_told_by_their_job_and_do_not_slow_the_rest() {
        let cost = simulate(1000, 10, MS(300), MS(900), 50);
        assert_eq!((cost.confirmed, cost.failed, cost.gave_up), (980, 20, 0), "{cost:?}");
        assert!(cost.jobs <= 30 && cost.lists <= 70, "{cost:?}");
        let all = simulate(20, 10, MS(300), MS(900), 1);
        assert_eq!((all.confirmed, all.failed), (0, 20), "{all:?}");
        assert!(all.tail <= Duration::from_secs(20), "{all:?}");
    }

    #[test]
    fn what_never_ends_is_given_up_after_the_stated_time_at_a_bounded_price() {
        let cost = simulate(5, 10, Duration::from_secs(9999), Duration::from_secs(9999), 0);
        assert_eq!((cost.confirmed, cost.gave_up), (0, 5), "{cost:?}");
        assert!(cost.lists + cost.jobs <= 150, "{cost:?}");
    }

    #[test]
    fn each_expectation_is_met_by_what_it_names_alone() {
        let mut found = asset(&id(1), Md5::of(b"new"));
        found.tags = vec!["b".into(), "a".into()];
        let tags = |tags: &[&str]| Expect::Tags(tags.iter().map(|&t| t.to_owned()).collect());
        let cases = [
            (Expect::Md5(Md5::of(b"new")), true, false),
            (Expect::Md5(Md5::of(b"old")), false, false),
            (tags(&["a", "b"]), true, false),
            (tags(&["a"]), false, false),
            (Expect::Stamp(Box::default()), true, false),
            (Expect::Gone, false, true),
            (Expect::Any, true, false),
            (Expect::JobDone, false, false),
        ];
        for (expect, there, gone) in cases {
            assert_eq!((expect.is_met(Some(&found)), expect.is_met(None)), (there, gone), "{expect:?}");
        }
    }

    #[test]
    fn a_change_that_only_its_job_can_show_is_asked_for_by_job() {
        let now = Instant::now();
        let mut follower = JobFollower::new(300, Duration::from_secs(300));
        follower.submitted(id(1), Some(JobId::new("j")), Expect::JobDone, now);
        let Ask::WaitUntil(at) = follower.next(now, true) else { panic!() };
        assert!(at <= now + MS(1500));
        assert_eq!(follower.next(at, true), Ask::JobResult(id(1), JobId::new("j")));
        assert!(matches!(follower.next(at, true), Ask::WaitUntil(_)), "asked for once");
        follower.job_unanswered(&id(1), at);
        let later = at + Duration::from_secs(1);
        assert!(matches!(follower.next(later, true), Ask::JobResult(..)));
        let resolved = follower.job_answer(&id(1), JobState::Done(None), later);
        assert_eq!(resolved, Resolved::Confirmed(Confirmed { id: id(1), asset: None }));
        assert_eq!(follower.next(later, true), Ask::Idle);
    }

    #[test]
    fn a_listing_that_failed_is_asked_again() {
        let now = Instant::now();
        let mut follower = JobFollower::new(300, Duration::from_secs(300));
        follower.submitted(id(1), None, Expect::Gone, now);
        let Ask::WaitUntil(at) = follower.next(now, true) else { panic!() };
        let Ask::ListIds(ids) = follower.next(at, true) else { panic!() };
        assert!(matches!(follower.next(at, true), Ask::WaitUntil(_)), "one listing at a time");
        follower.list_failed(&ids, at);
        let Ask::ListIds(ids) = follower.next(at + Duration::from_secs(2), true) else { panic!() };
        let confirmed = follower.listed(&ids, Vec::new(), at + Duration::from_secs(2));
        assert_eq!(confirmed, [Confirmed { id: id(1), asset: None }]);
        assert!(follower.is_empty());
    }

    /// Each question fails at once; what is asked in `minutes` with so many outstanding.
    fn asked_in_vain(count: usize, minutes: u64, flush: bool, fails: bool) -> (usize, Duration) {
        let base = Instant::now();
        let mut follower = JobFollower::new(300, Duration::from_secs(100_000));
        for n in 0..count {
            follower.submitted(id(n), Some(JobId::new("j")), Expect::Md5(Md5::of(b"x")), base + MS(n as u64));
        }
        let (mut now, mut asked, mut last, mut longest) = (base, 0, base, Duration::ZERO);
        while now < base + Duration::from_secs(60 * minutes) {
            let ask = follower.next(now, flush);
            if matches!(ask, Ask::ListIds(_) | Ask::JobResult(..)) {
                asked += 1;
                longest = longest.max(now - last);
                last = now;
                assert!(asked < 100_000, "a loop without a pause");
            }
            match ask {
                Ask::ListIds(ids) if fails => follower.list_failed(&ids, now),
                Ask::ListIds(ids) => drop(follower.listed(&ids, Vec::new(), now)),
                Ask::JobResult(id, _) if fails => follower.job_unanswered(&id, now),
                Ask::JobResult(id, _) => drop(follower.job_answer(&id, JobState::Pending, now)),
                Ask::WaitUntil(at) => now = at.max(now + MS(1)),
                Ask::GaveUp(_) | Ask::Idle => break,
            }
        }
        (asked, longest)
    }

    #[test]
    fn what_fails_is_asked_again_after_pauses_that_grow() {
        for flush in [true, false] {
            for count in [1, 40, 301, 1000, 5000] {
                let (asked, longest) = asked_in_vain(count, 30, flush, true);
                assert!(asked < 150, "{count} outstanding, flush {flush}: {asked} questions in half an hour");
                assert!(longest >= Duration::from_secs(30), "{count} {flush}: {longest:?}");
            }
        }
    }

    #[test]
    fn what_does_not_show_is_asked_again_after_pauses() {
        for flush in [true, false] {
            for count in [1, 301, 1000, 5000] {
                let (asked, _) = asked_in_vain(count, 10, flush, false);
                assert!(asked < 6 * 60, "{count} outstanding, flush {flush}: {asked} questions in ten minutes");
            }
        }
    }
}
