//! The decisions about tracks, cell by cell, and what holds for all of them.

use super::*;
use crate::index::FileRow;
use crate::model::{Companion, Md5, RelPath};
use crate::sync::absence::Absence;

const NAME: &str = "clip.en.vtt";

fn md5(text: &str) -> String {
    Md5::of(text.as_bytes()).to_string()
}

fn track(id: &str) -> Track {
    Track {
        id: id.into(),
        kind: "subtitles".into(),
        language: "en".into(),
        closed_captions: false,
        preparing: false,
        error: id.starts_with("bad").then(|| "no cues".into()),
    }
}

fn stamp(id: Option<&str>, content: &str, old: Option<&str>) -> TrackStamp {
    TrackStamp { id: id.map(str::to_owned), md5: md5(content), old: old.map(str::to_owned) }
}

fn claim(present: bool) -> TrackFile {
    let path = RelPath::from_key(NAME).unwrap();
    TrackFile {
        companion: Companion::of(&path).unwrap(),
        row: FileRow {
            id: 1,
            path,
            present,
            print: None,
            md5: Some(Md5::of(b"now")),
            embedded: None,
            asset: None,
            base_md5: None,
            failures: 0,
            cached: false,
            news: 1,
            seen: true,
        },
        video: "clip.mp4".into(),
        asset: None,
        name: NAME.into(),
        entry: MirrorStamp::default(),
        absence: Absence::Gone,
    }
}

fn look(made: Option<&TrackStamp>, listed: &[&str]) -> Look {
    Look {
        entry: MirrorStamp {
            tracks: made.map(|made| (NAME.to_owned(), made.clone())).into_iter().collect(),
            ..MirrorStamp::default()
        },
        foreign: BTreeMap::new(),
        listed: listed.iter().map(|id| track(id)).collect(),
        gone: BTreeSet::new(),
        recreate: false,
    }
}

/// Steps in a few letters.
fn told(steps: &[Step]) -> String {
    let one = |step: &Step| match step {
        Step::Create => "create".to_owned(),
        Step::Replace { old } => format!("replace {old}"),
        Step::Delete(id) => format!("delete {id}"),
        Step::Keep(made) => {
            let old = made.old.as_ref().map_or_else(String::new, |old| format!(" after {old}"));
            format!("keep {}{old}", made.id.as_deref().unwrap_or("?"))
        }
        Step::Forget(name) => format!("forget {name}"),
        Step::Refuse(Refusal::InTheWay(whose)) => format!("refuse {whose:?}"),
        Step::Refuse(refusal) => format!("refuse {refusal:?}"),
    };
    steps.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// What the stamp can say of the file's track; `now` is the content on disk.
fn stamps() -> [Option<TrackStamp>; 9] {
    [
        None,
        Some(stamp(None, "now", None)),
        Some(stamp(None, "before", None)),
        Some(stamp(None, "now", Some("o"))),
        Some(stamp(Some("t"), "now", None)),
        Some(stamp(Some("t"), "before", None)),
        Some(stamp(Some("t"), "now", Some("o"))),
        Some(stamp(Some("t"), "before", Some("o"))),
        Some(stamp(Some("bad"), "now", None)),
    ]
}

#[test]
fn every_pattern_of_stamp_and_tracks_has_its_steps() {
    // What is listed: nothing, ours, the one before it, both, one that nobody is known to have made, that and ours.
    let listings: [&[&str]; 6] = [&[], &["t"], &["o"], &["o", "t"], &["x"], &["t", "x"]];
    let expected = [
        ["create", "refuse Editor", "refuse Editor", "refuse Editor", "refuse Editor", "refuse Editor"],
        ["create", "keep t", "keep o", "keep o", "keep x", "keep t"],
        ["create", "replace t", "replace o", "refuse Editor", "replace x", "refuse Editor"],
        ["create", "keep t", "replace o", "keep t after o, delete o, keep t", "keep x", "keep t"],
        ["refuse Deleted", "keep t", "refuse Editor", "keep t", "refuse Editor", "keep t"],
        ["create", "replace t", "refuse Editor", "refuse Editor", "refuse Editor", "refuse Editor"],
        ["refuse Deleted", "keep t", "refuse Deleted", "keep t after o, delete o, keep t", "refuse Editor", "keep t"],
        ["create", "replace t", "replace o", "delete o, replace t", "refuse Editor", "refuse Editor"],
        ["refuse Deleted", "refuse Editor", "refuse Editor", "refuse Editor", "refuse Editor", "refuse Editor"],
    ];
    let steps = |made: &Option<TrackStamp>, listed: &[&str]| {
        told(&plan(&claim(true), Due::Check, &look(made.as_ref(), listed)))
    };
    let table: Vec<[String; 6]> = stamps().iter().map(|made| listings.map(|listed| steps(made, listed))).collect();
    assert_eq!(table, expected, "{table:#?}");
    let bad = plan(&claim(true), Due::Check, &look(stamps()[8].as_ref(), &["bad"]));
    assert_eq!(told(&bad), "keep bad, refuse Unusable(\"no cues\")");
}

#[test]
fn a_track_that_was_deleted_is_made_again_when_told_so() {
    for made in [stamp(Some("t"), "now", None), stamp(Some("t"), "now", Some("o"))] {
        let look = Look { recreate: true, ..look(Some(&made), &[]) };
        assert_eq!(told(&plan(&claim(true), Due::Check, &look)), "create");
    }
}

#[test]
fn what_another_file_or_mirror_made_is_shared_when_it_is_the_same_and_stays_when_it_is_not() {
    for (theirs, gone, expected) in [
        ("now", false, "keep s"),
        ("now", true, "keep s, forget film.en.vtt"),
        ("other", false, "refuse File(\"film.en.vtt\")"),
        ("other", true, "refuse File(\"film.en.vtt\")"),
    ] {
        let mut look = look(None, &["s"]);
        look.entry.tracks.insert("film.en.vtt".into(), stamp(Some("s"), theirs, None));
        look.gone.extend(gone.then(|| "film.en.vtt".to_owned()));
        assert_eq!(told(&plan(&claim(true), Due::Create, &look)), expected);
    }
    for (theirs, expected) in [("now", "keep s"), ("other", "refuse Mirror")] {
        let mut look = look(None, &["s"]);
        look.foreign.insert("s".into(), md5(theirs));
        assert_eq!(told(&plan(&claim(true), Due::Create, &look)), expected);
    }
    // Ours by the stamp, and another mirror's as well: it is not replaced under its feet.
    let mut look = look(Some(&stamp(Some("t"), "before", None)), &["t"]);
    look.foreign.insert("t".into(), md5("before"));
    assert_eq!(told(&plan(&claim(true), Due::Replace, &look)), "refuse File(\"clip.en.vtt\")");
}

#[test]
fn a_gone_file_takes_only_what_nobody_else_has_and_is_forgotten_last() {
    let steps = |look: &Look| told(&plan(&claim(false), Due::Delete, look));
    let made = stamp(Some("t"), "now", Some("o"));
    let mut look = look(Some(&made), &["t", "o", "x"]);
    assert_eq!(steps(&look), "delete t, delete o, forget clip.en.vtt");
    look.foreign.insert("t".into(), md5("now"));
    assert_eq!(steps(&look), "delete o, forget clip.en.vtt");
    look.entry.tracks.insert("film.en.vtt".into(), stamp(Some("o"), "now", None));
    assert_eq!(steps(&look), "forget clip.en.vtt");
    look.entry.tracks.clear();
    assert_eq!(steps(&look), "");
}

#[test]
fn no_step_touches_an_editor_s_track_and_a_second_plan_has_nothing_to_do() {
    let listings: Vec<Vec<&str>> = (0..16_u32)
        .map(|bits| {
            ["t", "o", "s", "x"].into_iter().enumerate().filter(move |(n, _)| bits & (1 << n) != 0).map(|(_, id)| id)
        })
        .map(Iterator::collect)
        .collect();
    let mut cells = 0;
    for made in stamps() {
        for listed in &listings {
            for (sharer, foreign, recreate, due) in (0..24_u32).map(|n| (n % 3, n / 3 % 2, n / 6 % 2 == 1, n / 12)) {
                let mut look = Look { recreate, ..look(made.as_ref(), listed) };
                if sharer > 0 {
                    let content = if sharer == 1 { "now" } else { "other" };
                    look.entry.tracks.insert("film.en.vtt".into(), stamp(Some("s"), content, None));
                }
                if foreign == 1 {
                    look.foreign.insert("s".into(), md5("now"));
                }
                let (due, claim) = if due == 0 { (Due::Check, claim(true)) } else { (Due::Delete, claim(false)) };
                let story = format!("{due:?} {look:?}");
                let known: BTreeSet<String> = look.ours().into_iter().map(str::to_owned).collect();
                let begun = made.as_ref().is_some_and(|made| made.id.is_none());
                let before = look.clone();
                let steps = plan(&claim, due, &look);
                for step in &steps {
                    if let Step::Delete(id) | Step::Replace { old: id } = step {
                        // Of a track whose making lost its answer only its place tells.
                        assert!(known.contains(id) || begun, "{steps:?} {story}");
                        assert!(!before.foreign.contains_key(id), "{steps:?} {story}");
                    }
                    look.imagine(&claim, step);
                }
                let is_done = |step: &Step| matches!(step, Step::Keep(_) | Step::Refuse(_));
                let again = plan(&claim, due, &look);
                assert!(again.iter().all(is_done), "{steps:?}, then {again:?} {story}");
                cells += 1;
            }
        }
    }
    assert_eq!(cells, 9 * 16 * 24);
}

#[test]
fn a_video_that_takes_no_tracks_yet_is_asked_ever_more_rarely_and_not_for_ever() {
    let pauses = |patience: u64| {
        let (mut waited, mut pauses) = (Duration::ZERO, Vec::new());
        while let Some(next) = pause(waited, Duration::from_secs(patience)) {
            pauses.push(next.as_secs());
            waited += next;
        }
        pauses
    };
    assert_eq!(pauses(120), [2, 2, 4, 8, 16, 30, 30, 28]);
    assert_eq!(pauses(1), [1]);
    assert!(pauses(0).is_empty());
}
