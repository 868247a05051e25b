//! When to ask for the result of a job that one caller waits for.
//!
//! Owns: the learned length of jobs. Pure.
//! Never does: following many jobs at once (that is `job`).

use std::time::Duration;

const SHORTEST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(10);

/// How long jobs took lately.
#[derive(Debug)]
pub(super) struct Latency {
    typical: Duration,
}

impl Default for Latency {
    fn default() -> Self {
        Self { typical: Duration::from_millis(600) }
    }
}

impl Latency {
    /// How long to wait before asking again, after `asked` questions and `elapsed` since the job began.
    pub(super) fn wait(&self, asked: u32, elapsed: Duration) -> Duration {
        let wait = if asked == 0 { self.typical } else { elapsed.mul_f64(0.4) };
        wait.clamp(SHORTEST, LONGEST)
    }

    /// A job was found done after `elapsed`, `waited` after the question before.
    pub(super) fn learn(&mut self, elapsed: Duration, waited: Duration) {
        // It ended somewhere in the last wait.
        let ended = elapsed.saturating_sub(waited / 2);
        self.typical = (self.typical.mul_f64(0.8) + ended.mul_f64(0.2)).clamp(SHORTEST, LONGEST);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_question_comes_when_jobs_are_usually_done() {
        let mut latency = Latency::default();
        for _ in 0..30 {
            latency.learn(Duration::from_secs(4), Duration::from_secs(1));
        }
        assert!((latency.wait(0, Duration::ZERO).as_secs_f64() - 3.5).abs() < 0.1);
        for _ in 0..60 {
            latency.learn(Duration::from_millis(30), Duration::from_millis(30));
        }
        assert_eq!(latency.wait(0, Duration::ZERO), SHORTEST);
    }

    #[test]
    fn later_questions_come_ever_more_rarely() {
        let latency = Latency::default();
        let mut elapsed = Duration::ZERO;
        let mut asked = 0;
        while elapsed < Duration::from_secs(300) {
            elapsed += latency.wait(asked, elapsed);
            asked += 1;
        }
        assert!(asked < 50, "{asked} questions in five minutes");
    }
}
