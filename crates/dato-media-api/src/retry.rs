//! Whether one failed attempt may be sent again, and when.
//!
//! Owns: the rule that a reply which may have been lost on a call that changes something is never re-sent blindly.
//! Never does: clocks, randomness, sleeping (they are passed in, or done by `http`).

use std::time::Duration;

/// Attempts of one call, 429s not counted.
pub(super) const MAX_ATTEMPTS: u32 = 5;
/// Time spent in failed attempts after which no other is made: one that ran into its timeout is enough.
pub(super) const MAX_SPENT: Duration = Duration::from_secs(25);
/// 429s one call sits out. The pacer prevents our own; these are other clients'.
pub(super) const MAX_REFUSALS: u32 = 10;
/// How long one call sits out 429s: the stops between them grow.
pub(super) const MAX_REFUSED: Duration = Duration::from_secs(120);

/// What sending a call twice does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    /// Nothing more than sending it once: reads, upload requests, adding tags.
    Idempotent,
    /// A second effect, or an answer that hides what the first one did.
    NonIdempotent,
}

/// How one attempt ended, when not well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failure {
    /// No connection: the API never saw the call.
    NotSent,
    /// Sent, at least in part, and no whole answer came.
    NoAnswer,
    /// An answer that is not the API's, whatever its status: what became of the call is not known.
    NotTheApis,
    /// A good answer that is larger than any of the API's: it would be again.
    TooLarge,
    /// 429: counted, not executed.
    TooMany,
    /// Any other answer outside 2xx.
    Refused {
        /// HTTP status.
        status: u16,
        /// The API's own error body says that it passes, so nothing was executed.
        transient: bool,
    },
}

/// What to do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Send again after a backoff.
    Again,
    /// Send again when the pacer says so.
    AgainPaced,
    /// Tell the caller.
    Fail,
    /// Tell the caller, who must look at the remote first.
    OutcomeUnknown,
}

/// Judges one failed attempt.
pub(super) const fn classify(failure: Failure, effect: Effect) -> Verdict {
    let perhaps_done = match effect {
        Effect::Idempotent => Verdict::Again,
        Effect::NonIdempotent => Verdict::OutcomeUnknown,
    };
    match failure {
        Failure::NotSent => Verdict::Again,
        Failure::TooMany => Verdict::AgainPaced,
        Failure::Refused { transient: true, .. } => Verdict::Again,
        Failure::NoAnswer | Failure::NotTheApis | Failure::Refused { status: 500.. | 408, .. } => perhaps_done,
        Failure::TooLarge => match effect {
            Effect::Idempotent => Verdict::Fail,
            Effect::NonIdempotent => Verdict::OutcomeUnknown,
        },
        // The API's own refusal: it did not act on it.
        Failure::Refused { .. } => Verdict::Fail,
    }
}

/// The wait before attempt `attempt + 1` (`attempt` counts from 1): full jitter, `random` in 0..1.
pub(super) fn backoff(attempt: u32, unit: Duration, random: f64) -> Duration {
    unit.saturating_mul(1 << attempt.min(4)).mul_f64(random.clamp(0.02, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_that_may_have_been_executed_is_not_sent_twice() {
        use Verdict::{Again, AgainPaced, Fail, OutcomeUnknown};
        let refused = |status, transient| Failure::Refused { status, transient };
        let cases = [
            (Failure::NotSent, Again, Again),
            (Failure::NoAnswer, Again, OutcomeUnknown),
            (Failure::NotTheApis, Again, OutcomeUnknown),
            (Failure::TooLarge, Fail, OutcomeUnknown),
            (Failure::TooMany, AgainPaced, AgainPaced),
            (refused(500, false), Again, OutcomeUnknown),
            (refused(502, false), Again, OutcomeUnknown),
            (refused(503, true), Again, Again),
            (refused(422, true), Again, Again),
            (refused(422, false), Fail, Fail),
            (refused(408, false), Again, OutcomeUnknown),
            (refused(404, false), Fail, Fail),
            (refused(401, false), Fail, Fail),
            (refused(302, false), Fail, Fail),
        ];
        for (failure, repeatable, once) in cases {
            assert_eq!(classify(failure, Effect::Idempotent), repeatable, "{failure:?}");
            assert_eq!(classify(failure, Effect::NonIdempotent), once, "{failure:?}");
        }
    }

    #[test]
    fn waits_grow_jitter_and_end_within_half_a_minute() {
        let unit = Duration::from_millis(500);
        assert_eq!(backoff(1, unit, 1.0), Duration::from_secs(1));
        assert_eq!(backoff(2, unit, 0.5), Duration::from_secs(1));
        assert_eq!(backoff(30, unit, 1.0), Duration::from_secs(8));
        assert!(backoff(1, unit, 0.0) > Duration::ZERO);
        let longest: Duration = (1..MAX_ATTEMPTS).map(|attempt| backoff(attempt, unit, 1.0)).sum();
        assert!(longest <= Duration::from_secs(30), "{longest:?}");
    }
}
