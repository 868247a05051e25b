//! Settling, with a clock and a disk made of numbers.

use std::collections::BTreeMap;

use proptest::prelude::{Strategy, prop, proptest};

use super::*;
use crate::disk::Selection;

/// What a program does to files. Sizes in bytes.
#[derive(Debug, Clone, Copy)]
enum Does {
    Create(&'static str),
    Write(&'static str, u64),
    /// A write the watcher does not see: memory maps, another machine.
    WriteUnseen(&'static str, u64),
    Close(&'static str),
    Rename(&'static str, &'static str),
    Remove(&'static str),
}

use Does::{Close, Create, Remove, Rename, Write, WriteUnseen};

/// Where the events come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Watched {
    /// Through the mirror's selection.
    Selected,
    /// Every name, as if none were on a skip list: settling alone has to cope.
    All,
}

fn rel(key: &str) -> RelPath {
    RelPath::from_key(key).unwrap()
}

struct Replay {
    settle: Settle,
    start: Instant,
    disk: BTreeMap<RelPath, Fingerprint>,
    selection: Selection,
    watched: Watched,
    inode: u64,
    /// Milliseconds and what came out.
    out: Vec<(u64, Batch)>,
}

impl Replay {
    fn new(settle: Duration, watched: Watched, existing: &[&str]) -> Self {
        let print = |inode| Fingerprint { size: 10, mtime_ns: -1, ctime_ns: -1, inode, dev: 1 };
        Self {
            settle: Settle::new(Timing::new(settle)),
            start: Instant::now(),
            disk: existing.iter().zip(1..).map(|(key, inode)| (rel(key), print(inode))).collect(),
            selection: Selection::new(&[], &[]).unwrap(),
            watched,
            inode: 1000,
            out: Vec::new(),
        }
    }

    fn touch(&mut self, path: RelPath, touch: Touch, at: u64) {
        if self.watched == Watched::All || self.selection.admits_file(&path) {
            self.settle.touched(path, touch, self.start + Duration::from_millis(at));
        }
    }

    fn act(&mut self, at: u64, does: Does) {
        let mtime_ns = i64::try_from(at).unwrap() * 1_000_000;
        match does {
            Create(key) => {
                self.inode += 1;
                let print = Fingerprint { size: 0, mtime_ns, ctime_ns: mtime_ns, inode: self.inode, dev: 1 };
                assert!(self.disk.insert(rel(key), print).is_none(), "{key} exists");
                self.touch(rel(key), Touch::Created, at);
            }
            Write(key, size) | WriteUnseen(key, size) => {
                let print = self.disk.get_mut(&rel(key)).unwrap();
                (print.size, print.mtime_ns) = (size, mtime_ns);
                if matches!(does, Write(..)) {
                    self.touch(rel(key), Touch::Changed, at);
                }
            }
            Close(key) => self.touch(rel(key), Touch::Changed, at),
            Rename(from, to) => {
                let print = self.disk.remove(&rel(from)).unwrap();
                self.disk.insert(rel(to), print);
                self.touch(rel(from), Touch::Removed, at);
                self.touch(rel(to), Touch::Changed, at);
            }
            Remove(key) => {
                self.disk.remove(&rel(key)).unwrap();
                self.touch(rel(key), Touch::Removed, at);
            }
        }
    }

    /// Plays the steps, then waits until nothing waits (or `end`). Sleeps exactly as long as the machine says.
    fn run(&mut self, steps: &[(u64, Does)], end: u64) {
        let mut steps = steps.iter().copied().peekable();
        let mut at = 0;
        loop {
            while let Some((_, does)) = steps.next_if(|(when, _)| *when <= at) {
                self.act(at, does);
            }
            let now = self.start + Duration::from_millis(at);
            let mut rounds = 0;
            while self.settle.next_deadline().is_some_and(|deadline| deadline <= now) {
                rounds += 1;
                assert!(rounds < 100, "asks again and again at {at} ms: {:?}", self.settle);
                for ask in self.settle.asks(now) {
                    let look = self.disk.get(&ask.path).map_or(Look::Gone, |print| Look::File(*print));
                    self.settle.looked(ask, look, now);
                }
                self.out.extend(self.settle.due(now).map(|batch| (at, batch)));
            }
            let wake = self.settle.next_deadline().map(|deadline| {
                let wait = deadline - self.start;
                u64::try_from(wait.as_nanos().div_ceil(1_000_000)).unwrap()
            });
            let step = steps.peek().map(|(when, _)| *when);
            match [wake, step].into_iter().flatten().min() {
                Some(next) if next <= end => at = next,
                _ => return,
            }
        }
    }

    fn changed(&self) -> Vec<(u64, &str)> {
        let all = self.out.iter().flat_map(|(at, batch)| batch.changed.iter().map(|path| (*at, path.key())));
        all.collect()
    }

    fn removed(&self) -> Vec<(u64, &str)> {
        let all = self.out.iter().flat_map(|(at, batch)| batch.removed.iter().map(|path| (*at, path.key())));
        all.collect()
    }
}

const SETTLE: Duration = Duration::from_secs(2);

fn replay(existing: &[&str], watched: Watched, steps: &[(u64, Does)]) -> Replay {
    let mut replay = Replay::new(SETTLE, watched, existing);
    replay.run(steps, 600_000);
    assert!(replay.settle.is_empty(), "something was left behind: {:?}", replay.settle);
    assert_eq!(replay.settle.next_deadline(), None);
    replay
}

/// How it is called, the file saved, and the steps with their milliseconds.
type Pattern = (&'static str, &'static str, &'static [(u64, Does)]);

/// Each way of saving `logo.psd` (or so), which exists: one change for the final name, at most `settle` + 0.1 s after the
/// last write, and not a word about any other name.
#[test]
fn one_save_is_one_change_however_the_program_saves() {
    let patterns: &[Pattern] = &[
        (
            "truncate and write",
            "logo.svg",
            &[(0, Write("logo.svg", 0)), (5, Write("logo.svg", 900)), (6, Close("logo.svg"))],
        ),
        (
            "temp and rename",
            "logo.svg",
            &[
                (0, Create("logo.svg.k2j4")),
                (3, Write("logo.svg.k2j4", 900)),
                (4, Close("logo.svg.k2j4")),
                (5, Rename("logo.svg.k2j4", "logo.svg")),
            ],
        ),
        (
            "delete and create",
            "logo.svg",
            &[
                (0, Remove("logo.svg")),
                (1500, Create("logo.svg")),
                (1600, Write("logo.svg", 900)),
                (1601, Close("logo.svg")),
            ],
        ),
        (
            "delete and create with a long pause",
            "logo.svg",
            &[
                (0, Remove("logo.svg")),
                (4500, Create("logo.svg")),
                (4600, Write("logo.svg", 900)),
                (4601, Close("logo.svg")),
            ],
        ),
        (
            "Photoshop on Windows",
            "hero.psd",
            &[
                (0, Create("ps7F2A.tmp")),
                (20, Write("ps7F2A.tmp", 4000)),
                (900, Write("ps7F2A.tmp", 8000)),
                (950, Close("ps7F2A.tmp")),
                (960, Rename("hero.psd", "ps7F2B.tmp")),
                (961, Rename("ps7F2A.tmp", "hero.psd")),
                (990, Remove("ps7F2B.tmp")),
            ],
        ),
        (
            "Photoshop on macOS",
            "hero.psd",
            &[
                (0, Create("hero.psd.sb-1c0a2b3d-Yd3k1a")),
                (700, Write("hero.psd.sb-1c0a2b3d-Yd3k1a", 8000)),
                (710, Close("hero.psd.sb-1c0a2b3d-Yd3k1a")),
                (720, Rename("hero.psd.sb-1c0a2b3d-Yd3k1a", "hero.psd")),
            ],
        ),
        (
            "Illustrator",
            "logo.ai",
            &[
                (0, Create("~ai-3b1c_.tmp")),
                (400, Write("~ai-3b1c_.tmp", 5000)),
                (410, Close("~ai-3b1c_.tmp")),
                (420, Remove("logo.ai")),
                (430, Rename("~ai-3b1c_.tmp", "logo.ai")),
                (440, Close("logo.ai")),
            ],
        ),
        (
            "Affinity",
            "icon.afdesign",
            &[
                (0, Create("icon.afdesign~lock~")),
                (1, Close("icon.afdesign~lock~")),
                (50, Write("icon.afdesign", 3000)),
                (300, Write("icon.afdesign", 3500)),
                (310, Close("icon.afdesign")),
                (320, Remove("icon.afdesign~lock~")),
            ],
        ),
        (
            "Sketch",
            "ui.sketch",
            &[
                (0, Create("(A Document Being Saved By Sketch)/ui.sketch")),
                (30, Write("(A Document Being Saved By Sketch)/ui.sketch", 2000)),
                (40, Close("(A Document Being Saved By Sketch)/ui.sketch")),
                (50, Rename("ui.sketch", ".ui.sketch.old")),
                (51, Rename("(A Document Being Saved By Sketch)/ui.sketch", "ui.sketch")),
                (60, Remove(".ui.sketch.old")),
            ],
        ),
        (
            "Office",
            "deck.pptx",
            &[
                (0, Create("~$deck.pptx")),
                (1, Close("~$deck.pptx")),
                (100, Create("3F2A9C10.tmp")),
                (150, Write("3F2A9C10.tmp", 7000)),
                (160, Close("3F2A9C10.tmp")),
                (170, Rename("deck.pptx", "A1B2C3D4.tmp")),
                (171, Rename("3F2A9C10.tmp", "deck.pptx")),
                (180, Remove("A1B2C3D4.tmp")),
                (900, Remove("~$deck.pptx")),
            ],
        ),
        (
            "Excel, with temporary names that look like any other",
            "sheet.xlsx",
            &[
                (0, Create("5F3A1000")),
                (40, Write("5F3A1000", 7000)),
                (50, Close("5F3A1000")),
                (60, Remove("sheet.xlsx")),
                (61, Rename("5F3A1000", "sheet.xlsx")),
            ],
        ),
        (
            "vim",
            "logo.svg",
            &[
                (0, Create("4913")),
                (1, Remove("4913")),
                (2, Rename("logo.svg", "logo.svg~")),
                (3, Create("logo.svg")),
                (4, Write("logo.svg", 900)),
                (5, Close("logo.svg")),
                (6, Remove("logo.svg~")),
            ],
        ),
        (
            "rsync",
            "film.mp4",
            &[
                (0, Create(".film.mp4.Xa81Zq")),
                (400, Write(".film.mp4.Xa81Zq", 60_000)),
                (2100, Write(".film.mp4.Xa81Zq", 90_000)),
                (2101, Close(".film.mp4.Xa81Zq")),
                (2102, Rename(".film.mp4.Xa81Zq", "film.mp4")),
            ],
        ),
        (
            "saved twice",
            "logo.svg",
            &[
                (0, Write("logo.svg", 900)),
                (1, Close("logo.svg")),
                (1900, Write("logo.svg", 901)),
                (1901, Close("logo.svg")),
            ],
        ),
    ];
    for (what, name, steps) in patterns {
        let last = steps.iter().filter(|(_, does)| touches(does, name)).map(|(at, _)| *at).max().unwrap();
        for watched in [Watched::Selected, Watched::All] {
            let replay = replay(&[name], watched, steps);
            let changed = replay.changed();
            assert_eq!(changed.iter().map(|(_, key)| *key).collect::<Vec<_>>(), [*name], "{what}, {watched:?}");
            let latency = changed[0].0 - last;
            assert!((2000..=2100).contains(&latency), "{what}, {watched:?}: ready {latency} ms after the last write");
            // A backup that took the old file's name is gone for good; that nobody knew it is the index's to say.
            let strangers: Vec<_> = replay.removed().into_iter().filter(|(_, key)| key == name).collect();
            assert_eq!(strangers, [], "{what}, {watched:?}");
            if watched == Watched::Selected {
                assert_eq!(replay.removed(), [], "{what}");
            }
        }
    }
}

fn touches(does: &Does, name: &str) -> bool {
    match does {
        Create(key) | Write(key, _) | WriteUnseen(key, _) | Close(key) | Remove(key) | Rename(_, key) => *key == name,
    }
}

#[test]
fn a_file_written_in_twenty_pieces_over_six_seconds_is_one_change() {
    let mut steps = vec![(0, Create("film.mp4"))];
    steps.extend((1..=20).map(|n| (n * 300, Write("film.mp4", n * 1000))));
    steps.push((6001, Close("film.mp4")));
    let replay = replay(&[], Watched::Selected, &steps);
    assert_eq!(replay.changed(), [(8001, "film.mp4")]);
}

#[test]
fn a_file_written_without_a_word_is_told_by_its_size_and_mtime() {
    let mut steps = vec![(0, Create("film.mp4"))];
    steps.extend((1..=5).map(|n| (n * 1500, WriteUnseen("film.mp4", n * 1000))));
    let replay = replay(&[], Watched::Selected, &steps);
    let changed = replay.changed();
    assert_eq!(changed.len(), 1);
    assert!((9500..=11_600).contains(&changed[0].0), "{changed:?}: the last write was at 7500 ms");
}

#[test]
fn a_renewed_path_moves_its_own_deadline() {
    let steps = [(0, Write("a.png", 1)), (0, Write("b.png", 1)), (1500, Write("a.png", 2))];
    let mut replay = Replay::new(SETTLE, Watched::Selected, &["a.png", "b.png"]);
    replay.settle.timing.hold = Duration::ZERO;
    replay.run(&steps, 60_000);
    assert_eq!(
        replay.changed(),
        [(2000, "b.png"), (3500, "a.png")],
        "b.png keeps its own deadline, a.png gets a new one"
    );
}

#[test]
fn a_ready_file_that_is_touched_while_it_waits_for_its_burst_settles_again() {
    let steps = [(0, Write("a.png", 1)), (1800, Write("b.png", 1)), (2500, Write("a.png", 2))];
    let replay = replay(&["a.png", "b.png"], Watched::Selected, &steps);
    assert_eq!(replay.changed(), [(4500, "a.png"), (4500, "b.png")]);
}

#[test]
fn a_burst_comes_out_as_one_batch() {
    let names: Vec<&'static str> =
        (0..300).map(|n| &*Box::leak(format!("export-{n:03}.png").into_boxed_str())).collect();
    let mut steps = Vec::new();
    for (at, name) in (0..).step_by(20).zip(&names) {
        steps.extend([(at, Create(name)), (at + 5, Write(name, 7)), (at + 6, Close(name))]);
    }
    let replay = replay(&[], Watched::Selected, &steps);
    assert_eq!(replay.out.len(), 1);
    assert_eq!(replay.out[0].1.changed.len(), 300);
    assert!(replay.out[0].0 <= 299 * 20 + 6 + 2100);
}

#[test]
fn a_burst_without_end_comes_out_in_parts_and_so_does_a_large_one() {
    let names = ["a.png", "b.png", "c.png"];
    let mut steps: Vec<_> = names.into_iter().cycle().zip(0..600).map(|(name, n)| (n * 100, Write(name, n))).collect();
    steps.insert(0, (0, Write("done.png", 1)));
    let replay = replay(&["a.png", "b.png", "c.png", "done.png"], Watched::Selected, &steps);
    assert_eq!(replay.changed()[0], (10_200, "done.png"), "waits for the others, but not for ever");

    let now = Instant::now();
    let mut settle = Settle::new(Timing { batch: 10, ..Timing::new(SETTLE) });
    let print = Fingerprint { size: 1, mtime_ns: 1, ctime_ns: 1, inode: 1, dev: 1 };
    (0..10).for_each(|n| settle.touched(rel(&format!("{n}")), Touch::Changed, now));
    settle.touched(rel("late"), Touch::Changed, now + Duration::from_millis(1900));
    for after in [100, 2000] {
        let now = now + Duration::from_millis(after);
        settle.asks(now).into_iter().for_each(|ask| settle.looked(ask, Look::File(print), now));
    }
    assert_eq!(settle.due(now + SETTLE).unwrap().changed.len(), 10, "as many as a batch takes");
}

#[test]
fn a_file_that_never_stops_growing_is_reported_once_an_interval_and_holds_nothing_up() {
    let mut steps: Vec<_> = (0..1500).map(|n| (n * 100, Write("log.mov", n))).collect();
    steps.push((30_050, Write("logo.png", 5)));
    steps.sort_by_key(|(at, _)| *at);
    let replay = replay(&["log.mov", "logo.png"], Watched::Selected, &steps);
    let still: Vec<_> = replay.out.iter().filter(|(_, batch)| !batch.still_changing.is_empty()).collect();
    assert_eq!(still.iter().map(|(at, _)| *at).collect::<Vec<_>>(), [60_000, 120_000]);
    assert_eq!(still[0].1.still_changing, [StillChanging { path: rel("log.mov"), since: replay.start }]);
    assert_eq!(replay.changed(), [(32_050, "logo.png"), (151_900, "log.mov")]);
}

#[test]
fn removals_wait_longer_than_changes_and_come_out_together() {
    let steps: Vec<_> =
        ["a.png", "b.png", "c.png"].into_iter().zip([0, 1000, 2000]).map(|(n, at)| (at, Remove(n))).collect();
    let replay = replay(&["a.png", "b.png", "c.png"], Watched::Selected, &steps);
    assert_eq!(replay.removed(), [(7000, "a.png"), (7000, "b.png"), (7000, "c.png")]);
}

#[test]
fn a_change_never_waits_for_a_removal() {
    let steps = [(0, Write("a.png", 1)), (1900, Remove("b.png"))];
    let replay = replay(&["a.png", "b.png"], Watched::Selected, &steps);
    assert_eq!((replay.changed(), replay.removed()), (vec![(2000, "a.png")], vec![(6900, "b.png")]));
}

#[test]
fn a_rename_is_a_change_here_and_a_removal_there() {
    let replay = replay(&["a.png"], Watched::Selected, &[(0, Rename("a.png", "b.png"))]);
    assert_eq!((replay.changed(), replay.removed()), (vec![(2000, "b.png")], vec![(5000, "a.png")]));
}

#[test]
fn a_file_that_comes_and_goes_leaves_no_trace_but_one_that_was_there_does() {
    let coming = [(0, Create("x")), (1, Write("x", 5)), (500, Remove("x"))];
    assert_eq!(replay(&[], Watched::All, &coming).out, []);
    let coming_again = [(0, Create("x")), (500, Remove("x")), (600, Create("x")), (700, Remove("x"))];
    assert_eq!(replay(&[], Watched::All, &coming_again).out, []);
    let going = [(0, Remove("x")), (500, Create("x")), (900, Remove("x"))];
    assert_eq!(replay(&["x"], Watched::All, &going).removed(), [(5900, "x")]);
}

#[test]
fn a_file_that_vanished_without_a_word_is_a_removal_later() {
    let now = Instant::now();
    let mut settle = Settle::new(Timing::new(SETTLE));
    settle.touched(rel("a"), Touch::Changed, now);
    let at = |ms| now + Duration::from_millis(ms);
    for (ms, asked) in [(99, 0), (100, 1), (4999, 0), (5000, 1)] {
        let asks = settle.asks(at(ms));
        assert_eq!(asks.len(), asked, "{ms}");
        asks.into_iter().for_each(|ask| settle.looked(ask, Look::Gone, at(ms)));
    }
    assert_eq!(settle.due(at(5000)).unwrap().removed, [rel("a")]);
}

#[test]
fn an_answer_that_a_newer_touch_overtook_is_worth_nothing() {
    let now = Instant::now();
    let mut settle = Settle::new(Timing::new(SETTLE));
    settle.touched(rel("a"), Touch::Changed, now);
    let at = |ms| now + Duration::from_millis(ms);
    let ask = settle.asks(at(100)).remove(0);
    settle.touched(rel("a"), Touch::Changed, at(150));
    settle.looked(ask, Look::Gone, at(160));
    assert_eq!(settle.next_deadline(), Some(at(250)), "the first look comes again");
}

#[test]
fn what_cannot_be_looked_at_is_passed_on_to_where_it_is_reported() {
    let now = Instant::now();
    for touch in [Touch::Changed, Touch::Removed] {
        let mut settle = Settle::new(Timing::new(SETTLE));
        settle.touched(rel("a"), touch, now);
        let later = now + Duration::from_secs(5);
        settle.asks(later).into_iter().for_each(|ask| settle.looked(ask, Look::Unclear, later));
        assert_eq!(settle.due(later).unwrap().changed, [rel("a")]);
    }
}

#[test]
fn folders_come_out_soon_and_only_the_outermost() {
    let now = Instant::now();
    let at = |ms| now + Duration::from_millis(ms);
    let mut settle = Settle::new(Timing::new(SETTLE));
    for key in ["a", "a/b", "a/b/c", "ab", "x/y"] {
        settle.touched(rel(key), Touch::Folder, now);
    }
    assert_eq!(settle.due(at(99)), None);
    assert_eq!(settle.next_deadline(), Some(at(100)));
    assert_eq!(settle.due(at(100)).unwrap().folders, [rel("a"), rel("ab"), rel("x/y")]);
    (0..40).for_each(|n| settle.touched(rel("busy"), Touch::Folder, at(1000 + n * 50)));
    assert_eq!(settle.next_deadline(), Some(at(2000)), "a busy folder is not put off for ever");
}

#[test]
fn a_path_that_turned_into_a_folder_is_scanned() {
    let now = Instant::now();
    let mut settle = Settle::new(Timing::new(SETTLE));
    settle.touched(rel("a"), Touch::Removed, now);
    let later = now + Duration::from_secs(5);
    settle.asks(later).into_iter().for_each(|ask| settle.looked(ask, Look::Folder, later));
    let batch = settle.due(later + Duration::from_millis(100)).unwrap();
    assert_eq!((batch.folders, batch.removed), (vec![rel("a")], vec![]));
}

#[test]
fn a_retry_comes_back_at_its_time_and_holds_nothing_up() {
    let mut replay = Replay::new(SETTLE, Watched::Selected, &["retry.png", "logo.png"]);
    let start = replay.start;
    replay.settle.again(rel("retry.png"), start + Duration::from_secs(60), start);
    replay.run(&[(0, Write("logo.png", 1))], 100_000);
    assert_eq!(replay.changed(), [(2000, "logo.png"), (60_000, "retry.png")]);
    assert!(replay.settle.is_empty());
}

#[test]
fn without_any_settling_time_it_still_ends() {
    let mut replay = Replay::new(Duration::ZERO, Watched::Selected, &["a.png"]);
    replay.run(&[(0, Write("a.png", 1)), (1, Write("a.png", 2))], 10_000);
    assert_eq!(replay.changed(), [(0, "a.png"), (1, "a.png")]);
}

/// Any mess of saves: time to the step before, file, and what is done to it.
fn mess() -> impl Strategy<Value = Vec<(u64, usize, u8)>> {
    prop::collection::vec((0_u64..4000, 0_usize..3, 0_u8..6), 1..60)
}

proptest! {
    /// Whatever is done to files: none comes out before it was quiet, and the last word about each is right.
    #[test]
    fn any_mess_settles_to_what_is_on_disk(mess in mess()) {
        const NAMES: [&str; 3] = ["a.png", "b.png", "c.png"];
        let mut exists = [true, true, false];
        let (mut at, mut steps) = (0, Vec::new());
        let mut last_touch: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
        for (pause, file, what) in mess {
            at += pause;
            let name = NAMES[file];
            let does = match (exists[file], what) {
                (false, _) => Create(name),
                (true, 0) => Remove(name),
                (true, 1) if !exists[(file + 1) % 3] => Rename(name, NAMES[(file + 1) % 3]),
                (true, 2) => Close(name),
                (true, _) => Write(name, at),
            };
            match does {
                Create(_) => exists[file] = true,
                Remove(_) => exists[file] = false,
                Rename(_, to) => {
                    (exists[file], exists[(file + 1) % 3]) = (false, true);
                    last_touch.entry(to).or_default().push(at);
                }
                _ => {}
            }
            last_touch.entry(name).or_default().push(at);
            steps.push((at, does));
        }
        let replay = replay(&NAMES[..2], Watched::All, &steps);
        let mut last_word: BTreeMap<&str, (u64, bool)> = BTreeMap::new();
        for (words, there) in [(replay.changed(), true), (replay.removed(), false)] {
            for (at, name) in words {
                let touched = last_touch[name].iter().rfind(|touch| **touch <= at).unwrap();
                assert!(at - touched >= 2000, "{name} came out {} ms after a touch", at - touched);
                let word = last_word.entry(name).or_insert((at, there));
                *word = (*word).max((at, there));
            }
        }
        for (name, touches) in &last_touch {
            let there = replay.disk.contains_key(&rel(name));
            match last_word.get(name) {
                Some((at, word)) => {
                    assert_eq!(*word, there, "{name}");
                    assert!(!there || at > touches.last().unwrap(), "{name} was written after its last change came out");
                }
                // Nothing was said of it: it was not there before, and is not now.
                None => assert!(!there && *name == "c.png", "{name} is forgotten"),
            }
        }
    }
}

fn print(size: u64, mtime_ns: i64) -> Fingerprint {
    Fingerprint { size, mtime_ns, ctime_ns: mtime_ns, inode: 1, dev: 1 }
}

/// Answers every ask with `disk` until `until`, a millisecond at a time; when `a` came out, and how many looks it took.
fn settles(
    settle: &mut Settle,
    start: Instant,
    until: u64,
    mut act: impl FnMut(&mut Settle, u64),
    disk: impl Fn(u64) -> Look,
) -> (Option<(u64, Batch)>, u32) {
    let mut looks = 0;
    for ms in 0..until {
        let now = start + Duration::from_millis(ms);
        act(settle, ms);
        for ask in settle.asks(now) {
            looks += 1;
            settle.looked(ask, disk(ms), now);
        }
        if let Some(batch) = settle.due(now) {
            return (Some((ms, batch)), looks);
        }
    }
    (None, looks)
}

#[test]
fn scans_that_follow_each_other_faster_than_a_file_settles_begin_no_wait_anew() {
    for every in [10, 500, 1000, 1900] {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut settle = Settle::new(Timing::new(SETTLE));
        let scan = |settle: &mut Settle, ms: u64| {
            if ms.is_multiple_of(every) {
                settle.seen(rel("a"), print(5, 7), at(ms), at(ms));
            }
        };
        let (out, looks) = settles(&mut settle, start, 10_000, scan, |_| Look::File(print(5, 7)));
        let (ms, batch) = out.expect("each scan began the wait anew");
        assert_eq!((ms, looks, batch.changed), (2000, 1, vec![rel("a")]), "every {every} ms");
        assert!(batch.prints[&print(5, 7)] >= SETTLE);
    }
}

#[test]
fn scans_that_see_the_same_absence_let_a_removal_settle() {
    let start = Instant::now();
    let mut settle = Settle::new(Timing::new(SETTLE));
    settle.touched(rel("a"), Touch::Removed, start);
    // A scan that began before the file went tells nothing about what is there now.
    let scan = |settle: &mut Settle, ms: u64| {
        if ms > 0 && ms.is_multiple_of(1000) {
            settle.seen(rel("a"), print(5, 7), start.checked_sub(SETTLE).unwrap(), start + Duration::from_millis(ms));
        }
    };
    let (out, _) = settles(&mut settle, start, 20_000, scan, |_| Look::Gone);
    let (ms, batch) = out.unwrap();
    assert_eq!((ms, batch.removed), (5000, vec![rel("a")]));
}

#[test]
fn a_file_that_scans_see_grow_waits_from_the_last_change() {
    let start = Instant::now();
    let at = |ms| start + Duration::from_millis(ms);
    let size = |ms: u64| ms.min(7000) / 700;
    // Its mtime lies in the past, in the future, or is set back each time.
    for mtime_ns in [-7_200_000_000_000, 0, i64::MAX] {
        let shown = |ms: u64| Fingerprint { mtime_ns, ctime_ns: 0, ..print(size(ms), 0) };
        let mut settle = Settle::new(Timing::new(SETTLE));
        let scan = |settle: &mut Settle, ms: u64| {
            if ms.is_multiple_of(300) {
                settle.seen(rel("a"), shown(ms), at(ms), at(ms));
            }
        };
        let (out, _) = settles(&mut settle, start, 20_000, scan, |ms| Look::File(shown(ms)));
        let (ms, batch) = out.unwrap();
        assert!((9000..9400).contains(&ms), "{ms}");
        assert!(batch.prints.contains_key(&shown(ms)) && batch.prints.len() == 1);
    }
}

#[test]
fn a_look_older_than_a_touch_is_no_look() {
    let start = Instant::now();
    let at = |ms| start + Duration::from_millis(ms);
    let mut settle = Settle::new(Timing::new(SETTLE));
    settle.touched(rel("a"), Touch::Changed, at(1000));
    settle.seen(rel("a"), print(1, 1), at(0), at(1001));
    let (out, _) = settles(&mut settle, start, 20_000, |_, _| {}, |_| Look::File(print(2, 2)));
    let (ms, batch) = out.unwrap();
    assert!((3000..3100).contains(&ms), "{ms}");
    assert!(batch.prints.contains_key(&print(2, 2)));
}

#[test]
fn a_file_a_scan_sees_while_its_removal_waits_is_back_and_settles() {
    let start = Instant::now();
    let at = |ms| start + Duration::from_millis(ms);
    let mut settle = Settle::new(Timing::new(SETTLE));
    settle.touched(rel("a"), Touch::Removed, start);
    settle.seen(rel("a"), print(2, 2), at(500), at(500));
    let (out, _) = settles(&mut settle, start, 20_000, |_, _| {}, |_| Look::File(print(2, 2)));
    let (ms, batch) = out.unwrap();
    assert_eq!((ms, batch.changed, batch.removed), (2500, vec![rel("a")], vec![]));
}

#[test]
fn what_settled_and_still_waits_for_others_is_not_begun_anew_by_a_scan() {
    let start = Instant::now();
    let at = |ms| start + Duration::from_millis(ms);
    let mut settle = Settle::new(Timing::new(SETTLE));
    settle.seen(rel("a"), print(1, 1), at(0), at(0));
    settle.seen(rel("b"), print(2, 2), at(1900), at(1900));
    for ms in [2000, 3000] {
        for ask in settle.asks(at(ms)) {
            settle.looked(ask, Look::File(print(1, 1)), at(ms));
        }
        settle.seen(rel("a"), print(1, 1), at(ms), at(ms));
        assert_eq!(settle.len(), 2);
    }
    assert!(settle.ready.contains_key(&rel("a")));
    settle.seen(rel("a"), print(9, 9), at(3100), at(3100));
    assert!(!settle.ready.contains_key(&rel("a")), "another file is another wait");
}

#[test]
fn an_absence_that_every_scan_sees_is_one_wait() {
    for every in [100, 1000, 4900] {
        let start = Instant::now();
        let mut settle = Settle::new(Timing::new(SETTLE));
        let scan = |settle: &mut Settle, ms: u64| {
            if ms.is_multiple_of(every) {
                settle.absent(rel("a"), start + Duration::from_millis(ms));
            }
        };
        let (out, _) = settles(&mut settle, start, 20_000, scan, |_| Look::Gone);
        let (ms, batch) = out.expect("each scan began the wait anew");
        assert_eq!((ms, batch.removed), (5000, vec![rel("a")]), "every {every} ms");
    }
}

#[test]
fn an_absence_does_not_hide_what_is_waited_for() {
    let start = Instant::now();
    let mut settle = Settle::new(Timing::new(SETTLE));
    settle.touched(rel("a"), Touch::Changed, start);
    settle.absent(rel("a"), start);
    let (out, _) = settles(&mut settle, start, 20_000, |_, _| {}, |_| Look::File(print(1, 1)));
    assert_eq!(out.unwrap().1.changed, [rel("a")]);
}
