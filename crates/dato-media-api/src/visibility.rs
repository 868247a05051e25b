//! How long changes take until the listing shows them: learned from looking.
//!
//! Owns: the curve "share seen by age". A look tells only seen or not seen yet, at one age, so the curve is the
//! monotone one that fits all looks best (pool adjacent violators); older looks fade.
//! Never does: deciding when to look (that is `job`).

use std::time::Duration;

/// Upper edges of the age classes: 50 ms, each 1.2 times the one before, to about five minutes.
const FIRST_EDGE: f64 = 0.05;
const GROWTH: f64 = 1.2;
const CLASSES: usize = 50;
/// What one class believes before it has seen anything: all is done within a second.
const PRIOR_WEIGHT: f64 = 0.5;
const PRIOR_SECONDS: f64 = 1.0;
/// What a listing's looks keep of their weight when the next comes.
const FADE: f64 = 0.97;
/// The share at which a change counts as likely seen.
const LIKELY: f64 = 0.9;

#[derive(Debug)]
pub(super) struct Visibility {
    looks: [f64; CLASSES],
    seen: [f64; CLASSES],
    curve: [f64; CLASSES],
    likely: Duration,
}

impl Default for Visibility {
    fn default() -> Self {
        let mut new =
            Self { looks: [0.0; CLASSES], seen: [0.0; CLASSES], curve: [0.0; CLASSES], likely: Duration::ZERO };
        new.learn();
        new
    }
}

impl Visibility {
    /// A change was seen at this age.
    pub(super) fn seen(&mut self, age: Duration) {
        let class = class_of(age);
        self.looks[class] += 1.0;
        self.seen[class] += 1.0;
    }

    /// A change was not seen yet at this age.
    pub(super) fn unseen(&mut self, age: Duration) {
        self.looks[class_of(age)] += 1.0;
    }

    /// A look at what could never be seen does not count.
    pub(super) fn take_back(&mut self, age: Duration) {
        let class = class_of(age);
        self.looks[class] = (self.looks[class] - 1.0).max(self.seen[class]);
    }

    /// A new listing: what was seen before counts a little less.
    pub(super) fn fade(&mut self) {
        for weight in self.looks.iter_mut().chain(&mut self.seen) {
            *weight *= FADE;
        }
    }

    /// Draws the curve anew.
    pub(super) fn learn(&mut self) {
        let mut pools: Vec<(f64, f64, usize)> = Vec::with_capacity(CLASSES);
        for (class, (looks, seen)) in self.looks.iter().zip(&self.seen).enumerate() {
            let prior = (edge(class) / PRIOR_SECONDS).min(1.0);
            let mut pool = (looks + PRIOR_WEIGHT, seen + PRIOR_WEIGHT * prior, 1);
            while let Some(before) = pools.last().copied() {
                if before.1 / before.0 <= pool.1 / pool.0 {
                    break;
                }
                pools.pop();
                pool = (pool.0 + before.0, pool.1 + before.1, pool.2 + before.2);
            }
            pools.push(pool);
        }
        let values = pools.iter().flat_map(|(looks, seen, classes)| std::iter::repeat_n(seen / looks, *classes));
        for (place, value) in self.curve.iter_mut().zip(values) {
            *place = value;
        }
        let class = self.curve.iter().position(|share| *share >= LIKELY).unwrap_or(CLASSES - 1);
        self.likely = Duration::from_secs_f64(edge(class));
    }

    /// The age at which nine of ten are seen.
    pub(super) const fn likely(&self) -> Duration {
        self.likely
    }

    /// The share that is seen at this age.
    pub(super) fn share_seen(&self, age: Duration) -> f64 {
        self.curve[class_of(age)]
    }
}

fn edge(class: usize) -> f64 {
    FIRST_EDGE * GROWTH.powi(i32::try_from(class).unwrap_or(i32::MAX))
}

/// The first class whose edge is not below `age`.
fn class_of(age: Duration) -> usize {
    (0..CLASSES).position(|class| edge(class) >= age.as_secs_f64()).unwrap_or(CLASSES - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn before_anything_is_seen_a_second_is_believed() {
        let likely = Visibility::default().likely();
        assert!((0.8..=1.2).contains(&likely.as_secs_f64()), "{likely:?}");
    }

    #[test]
    fn looks_at_all_ages_show_how_long_it_takes() {
        let mut visibility = Visibility::default();
        for round in 0..40_u64 {
            for age in (0..8_000).step_by(100) {
                // Takes 2 to 4 s.
                let takes = 2_000 + (age * 7 + round * 131) % 2_000;
                let age_is = Duration::from_millis(age);
                if age >= takes { visibility.seen(age_is) } else { visibility.unseen(age_is) }
            }
            visibility.fade();
        }
        visibility.learn();
        let likely = visibility.likely().as_secs_f64();
        assert!((3.3..=5.0).contains(&likely), "{likely}");
        assert!(visibility.share_seen(Duration::from_secs(1)) < 0.1);
        assert!(visibility.share_seen(Duration::from_secs(6)) > 0.95);
    }

    #[test]
    fn looks_that_are_taken_back_leave_no_trace() {
        let mut visibility = Visibility::default();
        let before = visibility.likely();
        for _ in 0..5 {
            visibility.unseen(Duration::from_secs(3));
        }
        visibility.learn();
        assert!(visibility.likely() > Duration::from_secs(3));
        for _ in 0..5 {
            visibility.take_back(Duration::from_secs(3));
        }
        visibility.learn();
        assert_eq!(visibility.likely(), before);
    }
}
