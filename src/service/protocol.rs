//! What to tell the service manager, and when.
//!
//! Owns: the order and pace of messages, and the rule that the watchdog is fed by real progress only. Pure: time and
//! what is seen are given. Never does: sending. The words are those of `sd_notify(3)`.

use std::time::{Duration, Instant};

/// From status line to status line at least.
pub(super) const STATUS_GAP: Duration = Duration::from_secs(1);
/// While starting, the manager is asked for this much more time …
const EXTEND_BY: Duration = Duration::from_secs(90);
/// … this often, as long as the first scan moves. `TimeoutStartSec` must be longer than this.
const EXTEND_EVERY: Duration = Duration::from_secs(20);
/// Nothing has to be told more rarely than this.
const SELDOM: Duration = Duration::from_secs(3600);
/// The watchdog is fed this many times in its interval, so that one late message does no harm.
const FEEDS: u32 = 3;

/// What is seen of the process.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen<'a> {
    /// Every mirror had its first scan.
    pub(super) started: bool,
    /// There was progress within [`Protocol::patience`], or the loop rests.
    pub(super) alive: bool,
    /// One line.
    pub(super) status: &'a str,
    /// The process is ending.
    pub(super) stopping: bool,
}

/// A datagram.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) text: String,
    /// The manager acts on it, once. Anything else is told anew when it was lost.
    pub(super) must_arrive: bool,
}

/// What was told so far.
#[derive(Debug)]
pub(super) struct Protocol {
    watchdog: Option<Duration>,
    ready: bool,
    stopping: bool,
    status: String,
    told_status: Option<Instant>,
    told_watchdog: Option<Instant>,
    told_extend: Option<Instant>,
    /// The manager had no room for what was told last.
    lost: bool,
}

impl Protocol {
    pub(super) const fn new(watchdog: Option<Duration>) -> Self {
        Self {
            watchdog,
            ready: false,
            stopping: false,
            status: String::new(),
            told_status: None,
            told_watchdog: None,
            told_extend: None,
            lost: false,
        }
    }

    /// What was told last did not arrive: how it is now is told as soon as there is room, whether it changed or not.
    pub(super) const fn was_lost(&mut self) {
        (self.lost, self.told_watchdog, self.told_extend) = (true, None, None);
    }

    /// Whether something was lost and not told again since.
    pub(super) const fn owes(&self) -> bool {
        self.lost
    }

    pub(super) const fn is_ready(&self) -> bool {
        self.ready
    }

    /// How long the process may be silent to count as alive: the watchdog's own interval.
    pub(super) fn patience(&self) -> Duration {
        self.watchdog.unwrap_or(crate::runtime_state::PATIENCE)
    }

    /// How long nothing has to be told when nothing changes.
    pub(super) fn pause(&self) -> Duration {
        let feed = self.watchdog.map_or(SELDOM, |interval| interval / FEEDS);
        // Half the feeds' distance and no more: a feed that is a moment early is fed at the next look.
        let feed = if self.watchdog.is_some() { feed / 2 } else { feed };
        if self.ready { feed } else { feed.min(EXTEND_EVERY) }
    }

    /// What to tell now.
    pub(super) fn tell(&mut self, now: Instant, seen: &Seen<'_>) -> Option<Message> {
        if self.stopping {
            return None;
        }
        if seen.stopping {
            self.stopping = true;
            let text = "STOPPING=1\nSTATUS=stopping: finishing or parking what is in flight".to_owned();
            return Some(Message { text, must_arrive: true });
        }
        let mut lines = Vec::new();
        let must_arrive = seen.started && !self.ready;
        if must_arrive {
            self.ready = true;
            lines.push("READY=1".to_owned());
        }
        // A scan of a million files takes its time; a scan that hangs gets none.
        if !self.ready && seen.alive && due(self.told_extend, EXTEND_EVERY, now) {
            self.told_extend = Some(now);
            lines.push(format!("EXTEND_TIMEOUT_USEC={}", EXTEND_BY.as_micros()));
        }
        if let Some(interval) = self.watchdog
            && seen.alive
            && due(self.told_watchdog, interval / FEEDS, now)
        {
            self.told_watchdog = Some(now);
            lines.push("WATCHDOG=1".to_owned());
        }
        if (self.lost || seen.status != self.status) && (must_arrive || due(self.told_status, STATUS_GAP, now)) {
            (self.told_status, self.lost) = (Some(now), false);
            seen.status.clone_into(&mut self.status);
            lines.push(format!("STATUS={}", seen.status));
        }
        (!lines.is_empty()).then(|| Message { text: lines.join("\n"), must_arrive })
    }

    /// The begin of a reload. `monotonic` (µs) lets systemd 253 and later, with `Type=notify-reload`, tell this answer from
    /// one to an earlier reload; without it such a reload hangs.
    pub(super) fn reloading(&mut self, monotonic: Option<i128>) -> Option<String> {
        let mut text = "RELOADING=1".to_owned();
        if let Some(micros) = monotonic {
            text += &format!("\nMONOTONIC_USEC={micros}");
        }
        text += "\nSTATUS=reading the configuration again";
        self.may_reload().then_some(text)
    }

    /// The end of a reload.
    pub(super) fn reloaded(&mut self) -> Option<String> {
        self.may_reload().then(|| format!("READY=1\nSTATUS={}", self.status))
    }

    const fn may_reload(&self) -> bool {
        self.ready && !self.stopping
    }
}

fn due(last: Option<Instant>, every: Duration, now: Instant) -> bool {
    last.is_none_or(|last| now.saturating_duration_since(last) >= every)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STARTING: Seen<'_> = Seen { started: false, alive: true, status: "scanning", stopping: false };
    const UP: Seen<'_> = Seen { started: true, alive: true, status: "idle", stopping: false };
    const STUCK: Seen<'_> = Seen { alive: false, ..UP };

    /// What is told at (milliseconds, seen), each message's lines joined with a space; "" for nothing.
    fn told(watchdog: Option<u64>, looks: &[(u64, Seen<'_>)]) -> Vec<String> {
        let start = Instant::now();
        let mut protocol = Protocol::new(watchdog.map(Duration::from_millis));
        let tell = |&(ms, seen): &(u64, Seen<'_>)| {
            let message = protocol.tell(start + Duration::from_millis(ms), &seen);
            message.map_or_else(String::new, |message| message.text.replace('\n', " "))
        };
        looks.iter().map(tell).collect()
    }

    #[test]
    fn ready_is_told_once_with_the_status_of_then() {
        let scanned = Seen { status: "mirroring 1 of 9", ..UP };
        assert_eq!(
            told(None, &[(0, STARTING), (10, STARTING), (20, scanned), (30, scanned), (2000, UP), (3000, UP)]),
            [
                "EXTEND_TIMEOUT_USEC=90000000 STATUS=scanning",
                "",
                "READY=1 STATUS=mirroring 1 of 9",
                "",
                "STATUS=idle",
                ""
            ]
        );
    }

    #[test]
    fn a_long_first_scan_gets_more_time_and_a_hanging_one_does_not() {
        let hanging = Seen { alive: false, ..STARTING };
        assert_eq!(
            told(None, &[(0, STARTING), (19_999, STARTING), (20_000, STARTING), (40_000, hanging), (60_000, hanging)]),
            ["EXTEND_TIMEOUT_USEC=90000000 STATUS=scanning", "", "EXTEND_TIMEOUT_USEC=90000000", "", ""]
        );
    }

    #[test]
    fn the_watchdog_is_fed_by_progress_only() {
        assert_eq!(
            told(Some(30_000), &[(0, UP), (9_999, UP), (10_000, UP), (20_000, STUCK), (30_000, STUCK), (31_000, UP)]),
            ["READY=1 WATCHDOG=1 STATUS=idle", "", "WATCHDOG=1", "", "", "WATCHDOG=1"]
        );
    }

    #[test]
    fn without_a_watchdog_none_is_fed() {
        assert_eq!(told(None, &[(0, UP), (60_000, UP)]), ["READY=1 STATUS=idle", ""]);
    }

    #[test]
    fn status_lines_come_at_most_once_a_second_and_the_last_one_wins() {
        let status = |status| Seen { status, ..UP };
        assert_eq!(
            told(None, &[(0, UP), (100, status("a")), (999, status("b")), (1000, status("c")), (2500, status("c"))]),
            ["READY=1 STATUS=idle", "", "", "STATUS=c", ""]
        );
    }

    #[test]
    fn what_was_lost_is_told_again_as_it_is_then() {
        let (start, second) = (Instant::now(), Duration::from_secs(1));
        let mut protocol = Protocol::new(Some(Duration::from_secs(30)));
        let tell = |protocol: &mut Protocol, at, status| {
            protocol.tell(start + second * at, &Seen { status, ..UP }).map(|message| message.text)
        };
        assert_eq!(tell(&mut protocol, 0, "busy").as_deref(), Some("READY=1\nWATCHDOG=1\nSTATUS=busy"));
        assert_eq!(tell(&mut protocol, 1, "idle").as_deref(), Some("STATUS=idle"));
        protocol.was_lost();
        assert!(protocol.owes());
        assert_eq!(tell(&mut protocol, 2, "idle").as_deref(), Some("WATCHDOG=1\nSTATUS=idle"));
        assert!(!protocol.owes());
        assert_eq!(tell(&mut protocol, 3, "idle"), None);
    }

    #[test]
    fn after_stopping_nothing_is_told() {
        let stopping = Seen { stopping: true, ..UP };
        let told = told(Some(30_000), &[(0, UP), (1, stopping), (20_000, stopping), (40_000, UP)]);
        assert_eq!(told[1], "STOPPING=1 STATUS=stopping: finishing or parking what is in flight");
        assert_eq!(told[2..], ["", ""]);
    }

    #[test]
    fn a_reload_is_told_only_between_ready_and_stopping() {
        let now = Instant::now();
        let mut protocol = Protocol::new(None);
        assert_eq!((protocol.reloading(Some(7)), protocol.reloaded()), (None, None));
        protocol.tell(now, &UP);
        assert_eq!(
            protocol.reloading(Some(7)).as_deref(),
            Some("RELOADING=1\nMONOTONIC_USEC=7\nSTATUS=reading the configuration again")
        );
        assert_eq!(protocol.reloaded().as_deref(), Some("READY=1\nSTATUS=idle"));
        protocol.tell(now, &Seen { stopping: true, ..UP });
        assert_eq!((protocol.reloading(Some(7)), protocol.reloaded()), (None, None));
    }

    #[test]
    fn looks_come_often_enough_to_feed_within_half_the_interval() {
        for (watchdog, ready) in [(Some(200), true), (Some(180_000), true), (Some(180_000), false), (None, false)] {
            let mut protocol = Protocol::new(watchdog.map(Duration::from_millis));
            protocol.ready = ready;
            let half = Duration::from_millis(watchdog.unwrap_or(180_000) / 2);
            let feed = protocol.watchdog.map_or(Duration::ZERO, |interval| interval / FEEDS);
            assert!(protocol.pause() + feed <= half + Duration::from_millis(1), "{watchdog:?}");
            assert!(ready || protocol.pause() <= EXTEND_EVERY);
        }
        let mut idle = Protocol::new(None);
        idle.ready = true;
        assert_eq!(idle.pause(), SELDOM, "an idle daemon sleeps");
    }
}
