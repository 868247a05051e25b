//! What is known of the project's plan, and what follows from it for the next file.
//!
//! Owns: the rules: what is refused without being sent, when the plan is asked about, who tries and who waits. Pure: times
//! come as parameters. Never does: calls, waiting.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::index::Problem;
use crate::model::{ActionKind, Advice, Md5, Promise};
use crate::remote::{PlanLimit, Storage};

/// What the service told of the plan holds so long, ms.
const HOLDS: i64 = 24 * 3_600_000;
/// The same while something is larger than that, or while it told nothing: the plan may have been changed.
const HOLDS_IN_DOUBT: i64 = 3_600_000;
/// The pause before a full plan is asked about again; each more in a row doubles it, up to the longest. ms.
const PAUSE: i64 = 10_000;
const LONGEST_PAUSE: i64 = 3_600_000;
/// Refused contents that are remembered at most.
const REMEMBERED: usize = 10_000;
/// Bytes that stand for room without bounds.
const NO_BOUNDS: u64 = u64::MAX / 2;

/// Why a file is not to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoRoom {
    /// One file may have so many bytes.
    TooLarge(u64),
    /// The service has refused these bytes as too large.
    RefusedBefore,
    /// The plan is full.
    Full,
}

impl NoRoom {
    /// For people.
    #[must_use]
    pub fn problem(self, action: ActionKind, size: u64) -> Problem {
        let (cause, advice): (String, Advice) = match self {
            Self::TooLarge(largest) => (
                format!("the file has {size} bytes, and the project's plan takes {largest} bytes in one file at most"),
                "make the file smaller, exclude it, or upgrade the plan and run `dato-mirror retry`; the limit is also \
                 asked for again at each start and about once an hour"
                    .into(),
            ),
            Self::RefusedBefore => (
                format!(
                    "the file has {size} bytes, and the service refuses it as larger than the plan takes in one file \
                     (maximum_single_upload_bytes): it is not sent"
                ),
                "make the file smaller, exclude it, or upgrade the plan and run `dato-mirror retry`, which sends it once \
                 more; by itself it is sent again only when the service tells another limit than before"
                    .into(),
            ),
            Self::Full => (
                "the project's plan has no room for more files (uploadable_bytes): nothing is sent until there is"
                    .into(),
                Advice::around("delete assets that nobody needs, or upgrade the plan", Promise::WithinTheHour, ""),
            ),
        };
        Problem::new(action, cause, advice)
    }
}

/// What is known of the plan; pure. Times are milliseconds since 1970.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PlanState {
    /// Bytes of one file; `None`: untold.
    largest: Option<u64>,
    /// When that was asked; `None`: never.
    asked_ms: Option<i64>,
    /// Whether this process asked: somebody may have changed the plan and started it for that.
    #[serde(skip)]
    asked_here: bool,
    /// Contents and sizes refused as too large, each with what the plan was told to take at that time.
    refused: BTreeMap<String, Option<u64>>,
    full: Option<Full>,
}

/// A plan without room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Full {
    /// Nothing is asked or tried before then. A new process asks at once.
    #[serde(skip, default = "at_once")]
    next_ms: i64,
    #[serde(skip, default = "first_pause")]
    pause_ms: i64,
    /// Bytes that may be sent, as the service told last.
    #[serde(skip)]
    left: u64,
    /// The content that is sent to see whether there is room.
    #[serde(skip)]
    trying: Option<Md5>,
    /// Files were sent because the service told of room for them.
    #[serde(skip)]
    granted: bool,
    /// One of those was refused for want of room: what is told counts for nothing, and one file tries.
    #[serde(skip)]
    doubted: bool,
}

const fn at_once() -> i64 {
    i64::MIN
}

const fn first_pause() -> i64 {
    PAUSE
}

/// What to do before a file is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Before {
    /// Send it.
    Send,
    /// Do not.
    Refuse(NoRoom),
    /// Ask how large a file may be first.
    AskLargest,
    /// Ask how much room there is first.
    AskRoom,
    /// Wait for what becomes of the file that is sent to see whether there is room.
    Wait,
}

fn key_of(content: Md5, size: u64) -> String {
    format!("{content} {size}")
}

impl PlanState {
    /// What to do before a file is sent.
    pub fn before(&mut self, content: Md5, size: u64, now_ms: i64) -> Before {
        let too_large = self.largest.is_some_and(|largest| size > largest);
        let held_back = too_large || self.refused.contains_key(&key_of(content, size));
        let holds = match (held_back, self.largest) {
            (true, _) if !self.asked_here => 0,
            (true, _) | (_, None) => HOLDS_IN_DOUBT,
            (false, Some(_)) => HOLDS,
        };
        // A time that lies ahead was told by a clock that was wrong.
        if self.asked_ms.is_none_or(|at| !(0..holds).contains(&(now_ms - at))) {
            return Before::AskLargest;
        }
        if let (true, Some(largest)) = (too_large, self.largest) {
            return Before::Refuse(NoRoom::TooLarge(largest));
        }
        if let Some(told) = self.refused.get(&key_of(content, size)) {
            if *told == self.largest || self.largest.is_none() {
                return Before::Refuse(NoRoom::RefusedBefore);
            }
            // The plan was changed since.
            self.refused.remove(&key_of(content, size));
        }
        match &mut self.full {
            None => Before::Send,
            Some(full) if size <= full.left => {
                full.left -= size;
                Before::Send
            }
            Some(full) if full.trying.is_some_and(|trying| trying != content) => Before::Wait,
            Some(full) if now_ms >= full.next_ms || full.next_ms - now_ms > LONGEST_PAUSE => Before::AskRoom,
            Some(_) => Before::Refuse(NoRoom::Full),
        }
    }

    /// Whether a file was refused for want of room, and none was taken since.
    pub const fn is_full(&self) -> bool {
        self.full.is_some()
    }

    /// The service told how large a file may be, or nothing.
    pub const fn told_largest(&mut self, largest: Option<u64>, now_ms: i64) {
        self.largest = largest;
        self.asked_ms = Some(now_ms);
        self.asked_here = true;
    }

    /// A person wants these contents tried again: what is known of the plan may be wrong by now. Each goes once more; one
    /// that is refused again is remembered again.
    pub fn wanted_again(&mut self, contents: &[Md5]) {
        let wanted: BTreeSet<String> = contents.iter().map(ToString::to_string).collect();
        self.refused.retain(|key, _| key.split(' ').next().is_none_or(|content| !wanted.contains(content)));
        self.asked_ms = None;
        self.freed();
    }

    /// The service told how much room there is. True when a file of `size` bytes may go: also one, to try, where the
    /// service does not tell.
    pub fn told_room(&mut self, room: Storage, content: Md5, size: u64, now_ms: i64) -> bool {
        let Some(full) = &mut self.full else { return true };
        full.pause_ms = (full.pause_ms * 2).min(LONGEST_PAUSE);
        full.next_ms = now_ms.saturating_add(full.pause_ms);
        let left = match room {
            Storage::Unlimited => Some(NO_BOUNDS),
            Storage::Left(left) => Some(left.min(NO_BOUNDS)),
            Storage::Untold => None,
        };
        match left {
            Some(left) if left < size => {
                // Room that was told in vain lets no smaller file go either.
                full.left = if full.doubted { 0 } else { left };
                return false;
            }
            Some(left) if !full.doubted => {
                full.left = left - size;
                full.granted = true;
            }
            Some(_) | None => full.trying = Some(content),
        }
        true
    }

    /// A file was refused because of this limit.
    pub fn refused(&mut self, limit: PlanLimit, content: Md5, size: u64, now_ms: i64) {
        match limit {
            PlanLimit::SingleUpload => {
                if self.refused.len() >= REMEMBERED {
                    self.refused.pop_first();
                }
                self.refused.insert(key_of(content, size), self.largest);
            }
            PlanLimit::Storage => {
                let before = self.full.take();
                let pause_ms = before.as_ref().map_or(PAUSE, |full| full.pause_ms);
                self.full = Some(Full {
                    next_ms: now_ms.saturating_add(pause_ms),
                    pause_ms,
                    left: 0,
                    trying: None,
                    granted: false,
                    doubted: before.is_some_and(|full| full.granted || full.doubted),
                });
            }
            PlanLimit::Calls | PlanLimit::Other => {}
        }
    }

    /// A file was taken: where nobody tells the room, that shows that there is some. True when it does.
    pub fn taken(&mut self, content: Md5) -> bool {
        let Some(full) = &mut self.full else { return false };
        // Others were on their way when the plan was full, and some of them fitted.
        let shows = full.trying == Some(content) || (full.granted && full.left > NO_BOUNDS / 2);
        if shows {
            self.full = None;
        } else if full.granted {
            full.pause_ms = PAUSE;
        }
        shows
    }

    /// A file ended in a way that tells nothing about room. True when others waited for it.
    pub fn left(&mut self, content: Md5) -> bool {
        let waited = self.full.as_mut().filter(|full| full.trying == Some(content));
        waited.map(|full| full.trying = None).is_some()
    }

    /// Something was deleted, or the plan may be another one: there may be room now.
    pub const fn freed(&mut self) {
        if let Some(full) = &mut self.full {
            (full.next_ms, full.pause_ms) = (i64::MIN, PAUSE);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_700_000_000_000;

    fn content(text: &str) -> Md5 {
        Md5::of(text.as_bytes())
    }

    fn known(largest: Option<u64>) -> PlanState {
        let mut state = PlanState::default();
        assert_eq!(state.before(content("a"), 1, NOW), Before::AskLargest);
        state.told_largest(largest, NOW);
        state
    }

    #[test]
    fn what_is_too_large_is_refused_and_asked_about_once_an_hour() {
        let mut state = known(Some(100));
        assert_eq!(state.before(content("a"), 100, NOW), Before::Send);
        assert_eq!(state.before(content("a"), 101, NOW), Before::Refuse(NoRoom::TooLarge(100)));
        assert_eq!(state.before(content("a"), 100, NOW + HOLDS_IN_DOUBT), Before::Send);
        assert_eq!(state.before(content("a"), 101, NOW + HOLDS_IN_DOUBT), Before::AskLargest);
        assert_eq!(state.before(content("a"), 1, NOW + HOLDS), Before::AskLargest);
        assert_eq!(state.before(content("a"), 1, NOW - 1), Before::AskLargest, "a clock that was set back");
    }

    #[test]
    fn a_new_process_asks_at_once_about_what_is_held_back_and_about_nothing_else() {
        let mut state = known(Some(100));
        state.refused(PlanLimit::SingleUpload, content("refused"), 50, NOW);
        let kept = serde_json::to_string(&state).unwrap();
        for (text, size, first, then) in [
            ("fits", 100, Before::Send, Before::Send),
            ("large", 150, Before::AskLargest, Before::Send),
            ("larger", 500, Before::AskLargest, Before::Refuse(NoRoom::TooLarge(200))),
            ("refused", 50, Before::AskLargest, Before::Send),
        ] {
            let mut state: PlanState = serde_json::from_str(&kept).unwrap();
            assert_eq!(state.before(content(text), size, NOW), first, "{text}");
            state.told_largest(Some(200), NOW);
            assert_eq!(state.before(content(text), size, NOW), then, "{text}");
        }
    }

    #[test]
    fn what_a_person_wants_again_is_sent_once_more_and_remembered_again() {
        for told in [None, Some(1_000)] {
            let mut state = known(told);
            for text in ["a", "b"] {
                state.refused(PlanLimit::SingleUpload, content(text), 500, NOW);
            }
            state.wanted_again(&[content("a"), content("never refused")]);
            assert_eq!(state.before(content("a"), 500, NOW), Before::AskLargest, "the plan may be another one");
            state.told_largest(told, NOW);
            assert_eq!(state.before(content("a"), 500, NOW), Before::Send);
            assert_eq!(state.before(content("b"), 500, NOW), Before::Refuse(NoRoom::RefusedBefore), "nobody asked");
            state.refused(PlanLimit::SingleUpload, content("a"), 500, NOW);
            assert_eq!(state.before(content("a"), 500, NOW), Before::Refuse(NoRoom::RefusedBefore));
        }
        let mut full = known(Some(1_000));
        full.refused(PlanLimit::Storage, content("a"), 500, NOW);
        full.wanted_again(&[content("a")]);
        full.told_largest(Some(1_000), NOW);
        assert_eq!(full.before(content("a"), 500, NOW), Before::AskRoom);
    }

    #[test]
    fn the_advice_names_the_retry_and_promises_what_is_done() {
        for (why, words) in [
            (NoRoom::TooLarge(5), ["dato-mirror retry", "at each start"]),
            (NoRoom::RefusedBefore, ["dato-mirror retry", "only when the service tells another limit"]),
            (NoRoom::Full, ["dato-mirror retry", "by itself"]),
        ] {
            let advice = why.problem(ActionKind::Create, 9).advice.to_string();
            assert!(words.iter().all(|word| advice.contains(word)), "{why:?}: {advice}");
        }
    }

    #[test]
    fn a_content_that_was_refused_is_never_sent_again_until_the_plan_is_told_to_be_another() {
        for told in [None, Some(1_000)] {
            let mut state = known(told);
            state.refused(PlanLimit::SingleUpload, content("a"), 500, NOW);
            let kept = serde_json::to_string(&state).unwrap();
            let mut state: PlanState = serde_json::from_str(&kept).unwrap();
            state.told_largest(told, NOW);
            assert_eq!(state.before(content("a"), 500, NOW), Before::Refuse(NoRoom::RefusedBefore));
            assert_eq!(state.before(content("b"), 500, NOW), Before::Send);
            state.told_largest(told, NOW + HOLDS_IN_DOUBT);
            let later = NOW + HOLDS_IN_DOUBT;
            assert_eq!(state.before(content("a"), 500, later), Before::Refuse(NoRoom::RefusedBefore));
            state.told_largest(Some(2_000), later);
            assert_eq!(state.before(content("a"), 500, later), Before::Send);
        }
    }

    #[test]
    fn a_full_plan_is_asked_about_after_pauses_that_grow_and_takes_what_it_has_room_for() {
        let mut state = known(None);
        state.refused(PlanLimit::Storage, content("a"), 500, NOW);
        assert_eq!(state.before(content("b"), 1, NOW), Before::Refuse(NoRoom::Full));
        let mut at = NOW + PAUSE;
        let mut asked = Vec::new();
        for _ in 0..12 {
            state.told_largest(None, at);
            assert_eq!(state.before(content("b"), 1, at), Before::AskRoom);
            assert!(!state.told_room(Storage::Left(0), content("b"), 1, at));
            assert_eq!(state.before(content("b"), 1, at), Before::Refuse(NoRoom::Full));
            asked.push(state.full.as_ref().unwrap().pause_ms / 1000);
            at = state.full.as_ref().unwrap().next_ms;
        }
        assert_eq!(asked, [20, 40, 80, 160, 320, 640, 1280, 2560, 3600, 3600, 3600, 3600]);
        state.told_largest(None, at);
        assert!(state.told_room(Storage::Left(1_000), content("b"), 600, at));
        assert_eq!(state.before(content("c"), 400, at), Before::Send);
        assert_eq!(state.before(content("d"), 1, at), Before::Refuse(NoRoom::Full));
        state.taken(content("b"));
        assert_eq!(state.full.as_ref().unwrap().pause_ms, PAUSE, "there was room indeed");
        // A deletion is a reason to ask at once.
        state.freed();
        assert_eq!(state.before(content("d"), 1, at), Before::AskRoom);
    }

    #[test]
    fn a_plan_that_tells_of_room_and_refuses_all_the_same_is_tried_with_one_file_after_pauses_that_grow() {
        for told in [Storage::Left(1_000_000), Storage::Unlimited] {
            let mut state = known(None);
            state.refused(PlanLimit::Storage, content("a"), 500, NOW);
            let mut at = NOW + PAUSE;
            assert_eq!(state.before(content("a"), 500, at), Before::AskRoom);
            assert!(state.told_room(told, content("a"), 500, at));
            assert_eq!(state.before(content("b"), 500, at), Before::Send, "the service says so");
            state.refused(PlanLimit::Storage, content("a"), 500, at);
            state.refused(PlanLimit::Storage, content("b"), 500, at);
            let mut pauses = Vec::new();
            for _ in 0..10 {
                at = state.full.as_ref().unwrap().next_ms;
                state.told_largest(None, at);
                assert_eq!(state.before(content("a"), 500, at), Before::AskRoom);
                assert!(state.told_room(told, content("a"), 500, at));
                assert_eq!(state.before(content("b"), 500, at), Before::Wait, "one tries");
                state.refused(PlanLimit::Storage, content("a"), 500, at);
                pauses.push(state.full.as_ref().unwrap().pause_ms / 1000);
            }
            assert_eq!(pauses, [40, 80, 160, 320, 640, 1280, 2560, 3600, 3600, 3600]);
            // Nor does a smaller one go because a large one has no room.
            at = state.full.as_ref().unwrap().next_ms;
            state.told_largest(None, at);
            if told != Storage::Unlimited {
                assert!(!state.told_room(told, content("large"), 2_000_000, at));
                assert_eq!(state.before(content("b"), 500, at), Before::Refuse(NoRoom::Full), "told in vain");
            }
            // Until it is true.
            at = state.full.as_ref().unwrap().next_ms;
            state.told_largest(None, at);
            assert!(state.told_room(told, content("a"), 500, at));
            assert!(state.taken(content("a")));
            assert_eq!(state.before(content("b"), 500, at), Before::Send);
        }
    }

    #[test]
    fn room_without_bounds_counts_once_a_file_was_taken() {
        let mut state = known(None);
        state.refused(PlanLimit::Storage, content("a"), 500, NOW);
        assert!(state.told_room(Storage::Unlimited, content("a"), 500, NOW + PAUSE));
        assert!(state.taken(content("a")));
        assert_eq!(state.full, None);
    }

    #[test]
    fn where_the_room_is_not_told_one_file_tries_for_all() {
        let mut state = known(None);
        state.refused(PlanLimit::Storage, content("a"), 500, NOW);
        let at = NOW + PAUSE;
        assert_eq!(state.before(content("a"), 500, at), Before::AskRoom);
        assert!(state.told_room(Storage::Untold, content("a"), 500, at), "this one tries");
        assert_eq!(state.before(content("b"), 1, at), Before::Wait, "the others wait for it");
        state.refused(PlanLimit::Storage, content("a"), 500, at);
        assert_eq!(state.before(content("b"), 1, at + PAUSE), Before::Refuse(NoRoom::Full), "the pause has grown");
        let later = state.full.as_ref().unwrap().next_ms;
        state.told_largest(None, later);
        assert_eq!(state.before(content("c"), 1, later), Before::AskRoom);
        assert!(state.told_room(Storage::Untold, content("c"), 1, later));
        assert!(!state.taken(content("x")), "one that was on its way before shows nothing");
        assert_eq!(state.before(content("b"), 1, later), Before::Wait);
        assert!(state.left(content("c")) && !state.left(content("c")), "it never got so far");
        assert_eq!(state.before(content("b"), 1, later), Before::Refuse(NoRoom::Full));
        assert!(state.told_room(Storage::Untold, content("c"), 1, later));
        assert!(state.taken(content("c")));
        assert_eq!(state.before(content("b"), 1, later), Before::Send);
    }
}
