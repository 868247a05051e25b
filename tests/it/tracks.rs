//! Files beside a video that become its tracks.

use std::time::Duration;

use dato_mirror::sandbox::{Fault, FaultKind, TrackView};
use serde_json::Value;

use crate::support::{Run, TestEnv, bytes, jobs, stamp};

const VTT: &str = "WEBVTT\n\n00:00.000 --> 00:01.000\nHello\n";
const CHANGED: &str = "WEBVTT\n\n00:00.000 --> 00:01.000\nHello again\n";

fn tracks_of(env: &TestEnv, video: &str) -> Vec<TrackView> {
    env.sandbox.tracks(None, &env.asset(video).id).unwrap()
}

/// Kind, language and digest of each track, sorted.
fn shown(env: &TestEnv) -> Vec<String> {
    let md5 = |track: &TrackView| match track.md5.as_str() {
        md5 if md5 == digest(VTT) => "first",
        md5 if md5 == digest(CHANGED) => "changed",
        "" => "an editor's",
        _ => "other",
    };
    let cc = |track: &TrackView| if track.closed_captions { " cc" } else { "" };
    let tracks = tracks_of(env, "clip.mp4");
    let mut shown: Vec<_> = tracks.iter().map(|t| format!("{} {}{} {}", t.kind, t.language, cc(t), md5(t))).collect();
    shown.sort();
    shown
}

fn digest(text: &str) -> String {
    dato_mirror::model::Md5::of(text.as_bytes()).to_string()
}

fn track_calls(env: &TestEnv) -> usize {
    ["GET", "POST", "DELETE"].iter().map(|method| env.sandbox.count(&format!("{method} /uploads/:id/tracks"))).sum()
}

/// A video with English subtitles, mirrored.
fn with_subtitles(mut env: TestEnv, on_delete: &str) -> TestEnv {
    env.set("DATO_MIRROR_ON_DELETE", on_delete);
    env.write("clip.mp4", bytes(1, 4000));
    env.write("clip.en.vtt", VTT);
    env.sync().exits(0).did("created 2");
    assert_eq!(shown(&env), ["subtitles en first"]);
    env
}

fn assert_quiet(env: &TestEnv) -> Run {
    let run = env.assert_still().exits(0).did("");
    assert_eq!(track_calls(env), 0, "{:#?}", env.sandbox.log());
    run
}

#[test]
fn files_beside_a_video_become_its_tracks_and_no_assets_and_cost_nothing_afterwards() {
    let env = TestEnv::with(jobs());
    env.write("clip.mp4", bytes(1, 4000));
    env.write("clip.en.vtt", VTT);
    env.write("clip.en.sdh.vtt", CHANGED);
    env.write("clip.it.m4a", bytes(2, 900));
    // No video beside it, no language, another folder: files like any other.
    env.write("other.en.vtt", "WEBVTT other");
    env.write("clip.final.vtt", "WEBVTT final");
    env.write("sub/clip.en.vtt", "WEBVTT sub");
    let plan = env.sync_with(&["--dry-run"]).plan();
    assert_eq!(plan.iter().filter(|(action, _)| action == "create").count(), 7, "{plan:?}");
    assert!(env.mutating().is_empty());
    let run = env.sync().exits(0).did("created 7");
    assert_eq!(run.count("unchanged"), 0);
    assert_eq!(shown(&env), ["audio it other", "subtitles en cc changed", "subtitles en first"]);
    assert_eq!(env.assets().len(), 4);
    assert_eq!(stamp(&env.asset("clip.mp4")).unwrap()["brand"]["tracks"].as_object().unwrap().len(), 3);
    assert_quiet(&env);
    let explained = env.run(&["explain", "--root", "brand", "clip.en.vtt"]).exits(0).stdout;
    assert!(explained.contains("track of clip.mp4"), "{explained}");
}

#[test]
fn a_changed_companion_makes_its_track_anew_and_before_the_old_one_goes_where_the_service_lets_it() {
    for (same_name_tracks, expected) in
        [(true, ["POST 200", "DELETE 200"].as_slice()), (false, &["POST 422", "DELETE 200", "POST 200"])]
    {
        let env = with_subtitles(TestEnv::new(), "keep");
        env.sandbox.set(|settings| settings.same_name_tracks = same_name_tracks);
        let before = tracks_of(&env, "clip.mp4");
        env.write("clip.en.vtt", CHANGED);
        env.sync().exits(0).did("replaced 1");
        let calls = env.mutating().into_iter().filter(|entry| entry.label.starts_with("/uploads/:id/tracks"));
        let calls: Vec<_> = calls.map(|entry| format!("{} {}", entry.method, entry.status)).collect();
        assert_eq!(calls, expected);
        assert_eq!(shown(&env), ["subtitles en changed"]);
        assert_ne!(tracks_of(&env, "clip.mp4")[0].id, before[0].id);
        assert_quiet(&env);
    }
}

#[test]
fn a_track_begun_by_a_run_that_ended_is_found_again_by_its_intent() {
    for same_name_tracks in [true, false] {
        let env = with_subtitles(TestEnv::new(), "keep");
        env.sandbox.set(|settings| settings.same_name_tracks = same_name_tracks);
        env.write("clip.en.vtt", CHANGED);
        // Its answer is lost, and then there is no looking for it.
        let route = "POST /uploads/:id/tracks".to_owned();
        let skip = u64::from(!same_name_tracks);
        env.sandbox.add_fault(Fault { route, skip, times: Some(1), kind: FaultKind::LoseReply });
        let kind =
            FaultKind::Status { status: 422, code: "INVALID_FORMAT".into(), transient: false, details: Value::Null };
        env.sandbox.add_fault(Fault { route: "GET /uploads/:id/tracks".into(), skip: 1, times: None, kind });
        env.sync().exits(1).did("failed 1");
        env.sandbox.clear_faults();
        env.sync().exits(0).did("");
        assert_eq!(shown(&env), ["subtitles en changed"], "{same_name_tracks}");
        assert_eq!(env.sandbox.count("POST /uploads/:id/tracks"), 0);
        assert_quiet(&env);
    }
}

#[test]
fn a_removed_companion_follows_on_delete() {
    for (on_delete, did, left) in [("keep", "", 1), ("tag", "", 1), ("delete", "deleted 1", 0)] {
        let env = with_subtitles(TestEnv::new(), on_delete);
        env.write("other.txt", "something stays");
        env.sync().exits(0);
        env.remove("clip.en.vtt");
        env.sync().exits(0).did(did);
        assert_eq!(shown(&env).len(), left, "{on_delete}");
        assert_quiet(&env);
        env.write("clip.en.vtt", VTT);
        env.sync().exits(0);
        assert_eq!(shown(&env), ["subtitles en first"], "{on_delete}");
        assert_quiet(&env);
    }
}

#[test]
fn a_track_whose_deletion_was_refused_is_not_forgotten_by_what_is_saved_after_it() {
    let mut env = with_subtitles(TestEnv::new(), "delete");
    env.set("DATO_MIRROR_MAX_DELETE", "2");
    env.write("clip.it.vtt", VTT);
    env.write("other.txt", "something stays");
    env.sync().exits(0);
    env.remove("clip.en.vtt");
    env.remove("clip.it.vtt");
    let route = "DELETE /uploads/:id/tracks/:id".into();
    let details = serde_json::json!({ "field": "id", "code": "REFUSED" });
    let kind = FaultKind::Status { status: 422, code: "INVALID_FIELD".into(), transient: false, details };
    env.sandbox.add_fault(Fault { route, skip: 0, times: Some(1), kind });
    env.sync().exits(1).did("deleted 1, failed 1");
    assert_eq!(shown(&env).len(), 1);
    env.sync().exits(0).did("deleted 1");
    assert!(shown(&env).is_empty());
    assert_quiet(&env);
}

#[test]
fn without_the_index_no_second_track_is_made_and_changes_are_seen() {
    let env = with_subtitles(TestEnv::new(), "delete");
    env.write("clip.it.srt", "1");
    env.sync().exits(0).did("created 1");
    env.lose_index();
    env.sync().exits(0).did("");
    assert!(env.mutating().is_empty(), "{:#?}", env.mutating());
    assert_quiet(&env);
    env.lose_index();
    env.write("clip.en.vtt", CHANGED);
    env.sync().exits(0).did("replaced 1");
    env.lose_index();
    env.remove("clip.it.srt");
    env.sync().exits(0).did("");
    assert_eq!(shown(&env).len(), 2, "this index never saw the file: it may be elsewhere");
    env.write("clip.it.srt", "1");
    env.sync().exits(0).did("");
    env.remove("clip.it.srt");
    env.sync().exits(0).did("deleted 1");
    assert_eq!(shown(&env), ["subtitles en changed"]);
    assert_quiet(&env);
}

#[test]
fn a_lost_answer_makes_no_second_track() {
    for route in ["POST /uploads/:id/tracks", "POST /upload-requests"] {
        for kind in [FaultKind::LoseReply, FaultKind::Drop] {
            let env = TestEnv::new();
            env.write("clip.mp4", bytes(1, 4000));
            env.sync().exits(0);
            env.write("clip.en.vtt", VTT);
            env.sandbox.fault(route, kind.clone());
            env.sync();
            env.sync().exits(0);
            assert_eq!(shown(&env), ["subtitles en first"], "{route} {kind:?}");
            assert_quiet(&env);
        }
    }
}

#[test]
fn a_video_that_comes_later_takes_its_subtitles() {
    let env = TestEnv::new();
    env.write("clip.en.vtt", VTT);
    env.sync().exits(0).did("created 1");
    env.write("clip.mp4", bytes(1, 4000));
    let run = env.sync().exits(0).did("created 2");
    assert!(run.problem("clip.en.vtt").contains("it is a track of clip.mp4 now"), "{run:#?}");
    assert_eq!(shown(&env), ["subtitles en first"]);
    assert_eq!(env.assets().len(), 2, "the asset it was before stays");
    assert_quiet(&env);
    env.lose_index();
    env.sync().exits(0).did("");
    assert_quiet(&env);
}

#[test]
fn a_video_that_goes_with_its_asset_leaves_its_subtitles_as_a_file() {
    let env = with_subtitles(TestEnv::new(), "delete");
    env.write("other.txt", "something stays");
    env.sync().exits(0);
    env.remove("clip.mp4");
    env.sync().exits(0).did("created 1, deleted 1");
    assert_eq!(env.asset("clip.en.vtt").md5, digest(VTT));
    assert_quiet(&env);
}

#[test]
fn a_video_that_is_gone_but_whose_asset_stays_keeps_its_tracks() {
    let env = with_subtitles(TestEnv::new(), "keep");
    env.remove("clip.mp4");
    env.sync().exits(0).did("");
    assert_eq!(shown(&env), ["subtitles en first"]);
    assert_quiet(&env);
}

#[test]
fn a_replaced_video_gets_its_tracks_back() {
    let env = with_subtitles(TestEnv::new(), "keep");
    env.write("clip.mp4", bytes(7, 5000));
    env.sync().exits(0);
    assert_eq!(shown(&env), ["subtitles en first"]);
    assert_quiet(&env);
}

#[test]
fn a_moved_video_keeps_its_tracks() {
    let env = with_subtitles(TestEnv::new(), "keep");
    let before = tracks_of(&env, "clip.mp4");
    env.rename("clip.mp4", "films/film.mp4");
    env.rename("clip.en.vtt", "films/film.en.vtt");
    env.sync().exits(0);
    assert_eq!(tracks_of(&env, "films/film.mp4"), before);
    assert_quiet(&env);
}

#[test]
fn an_editor_s_track_is_never_touched() {
    let env = TestEnv::new();
    env.write("clip.mp4", bytes(1, 4000));
    env.sync().exits(0);
    let id = env.asset("clip.mp4").id;
    env.sandbox.add_track(None, &id, "subtitles", "en").unwrap();
    env.write("clip.en.vtt", VTT);
    let run = env.sync().exits(1).did("failed 1");
    assert!(run.problem("clip.en.vtt").contains("that the mirror did not make"), "{run:#?}");
    assert_eq!(shown(&env), ["subtitles en an editor's"]);
    env.lose_index();
    env.sync().exits(1);
    assert_eq!(shown(&env), ["subtitles en an editor's"]);
}

#[test]
fn a_track_that_an_editor_deleted_is_made_again_only_when_told_so() {
    for (on_remote_delete, code, left) in [("report", 1, 0), ("recreate", 0, 1)] {
        let mut env = with_subtitles(TestEnv::new(), "keep");
        env.set("DATO_MIRROR_ON_REMOTE_DELETE", on_remote_delete);
        let (video, track) = (env.asset("clip.mp4").id, tracks_of(&env, "clip.mp4")[0].id.clone());
        env.sandbox.remove_track(None, &video, &track).unwrap();
        // Nobody looks at tracks as long as nothing changes; a lost index does.
        env.sync().exits(0);
        assert_eq!(shown(&env).len(), 0);
        env.lose_index();
        env.sync().exits(code);
        assert_eq!(shown(&env).len(), left, "{on_remote_delete}");
    }
}

#[test]
fn two_files_for_one_track_and_two_mirrors_with_one_video_make_one_track() {
    let mut env = with_subtitles(TestEnv::new(), "delete");
    env.write("clip.en.srt", "1");
    let run = env.sync().exits(1).did("failed 1");
    assert!(run.problem("clip.en.srt").contains("clip.en.vtt made"), "{run:#?}");
    env.remove("clip.en.srt");
    env.sync().exits(0);
    env.set("DATO_MIRROR_NAME", "second");
    env.sync().exits(0).did("adopted 1");
    env.remove("clip.en.vtt");
    env.sync().exits(0);
    assert_eq!(shown(&env), ["subtitles en first"], "the first mirror has it still");
    env.set("DATO_MIRROR_NAME", "");
    env.sync().exits(0);
    assert_eq!(shown(&env), Vec::<String>::new());
}

#[test]
fn a_dry_run_looks_at_the_tracks_of_videos_that_are_there_and_changes_nothing() {
    let env = with_subtitles(TestEnv::new(), "delete");
    env.sandbox.add_track(None, &env.asset("clip.mp4").id, "subtitles", "it").unwrap();
    env.write("clip.en.vtt", CHANGED);
    env.write("clip.it.vtt", VTT);
    env.write("clip.fr.vtt", VTT);
    env.write("film.mp4", bytes(3, 4000));
    env.write("film.en.vtt", VTT);
    let run = env.sync_with(&["--dry-run"]);
    let mut plan = run.plan();
    plan.sort();
    let expected = [
        ("create", "clip.fr.vtt"),
        ("create", "film.en.vtt"),
        ("create", "film.mp4"),
        ("replace", "clip.en.vtt"),
        ("report", "clip.it.vtt"),
    ];
    assert_eq!(plan, expected.map(|(action, path)| (action.to_owned(), path.to_owned())), "{run:#?}");
    assert!(run.problem("clip.it.vtt").contains("that the mirror did not make"), "{run:#?}");
    assert!(env.mutating().is_empty() && track_calls(&env) == 1, "{:#?}", env.sandbox.log());
}

#[test]
fn the_deletion_guard_counts_tracks() {
    let mut env = TestEnv::new();
    env.set("DATO_MIRROR_ON_DELETE", "delete");
    env.set("DATO_MIRROR_MAX_DELETE", "2");
    env.write("clip.mp4", bytes(1, 4000));
    let names = ["clip.en.vtt", "clip.it.vtt", "clip.de.vtt"];
    names.iter().for_each(|name| env.write(name, format!("WEBVTT {name}")));
    env.sync().exits(0).did("created 4");
    names.iter().for_each(|name| env.remove(name));
    env.sync().exits(4);
    assert_eq!(shown(&env).len(), 3);
    env.sync_with(&["--force"]).exits(0).did("deleted 3");
    assert_quiet(&env);
}

#[test]
fn a_video_still_being_processed_gets_its_tracks_when_it_takes_them() {
    let env = TestEnv::new();
    env.write("clip.mp4", bytes(1, 4000));
    env.write("clip.en.vtt", VTT);
    let details = serde_json::json!({ "field": "upload", "code": "NOT_READY" });
    let kind = FaultKind::Status { status: 422, code: "INVALID_FIELD".into(), transient: false, details };
    env.sandbox.fault("POST /uploads/:id/tracks", kind.clone());
    // It was sent just now: the run waits a little.
    let run = env.sync().exits(0).did("created 2");
    assert!(run.took >= Duration::from_secs(2), "{run:#?}");
    assert_eq!(env.sandbox.count("POST /uploads/:id/tracks"), 2);
    assert_quiet(&env);
    // A video that has been there is not waited for.
    env.write("clip.it.vtt", VTT);
    env.sandbox.fault("POST /uploads/:id/tracks", kind);
    let run = env.sync().exits(1).did("failed 1");
    assert!(run.report().to_string().contains("still being processed"), "{run:#?}");
    env.sync().exits(0).did("created 1");
    assert_quiet(&env);
}

#[test]
fn a_track_that_turns_out_to_be_of_no_use_is_said_and_not_made_again_until_its_file_changes() {
    for (track_ms, first) in [(0, "created 1, failed 1"), (2_000, "created 1, failed 1"), (20_000, "created 2")] {
        let env = TestEnv::new();
        env.sandbox.set(|settings| settings.track_ms = track_ms);
        env.write("clip.mp4", bytes(1, 4000));
        env.write("clip.en.vtt", "no cues");
        let run = env.sync().did(first);
        assert_eq!(run.code, i32::from(first.contains("failed")), "{run:#?}");
        // As if time had passed.
        env.sandbox.set(|settings| settings.clock_offset_ms = i64::from(track_ms));
        for _ in 0..2 {
            let run = env.sync().exits(1).did("failed 1");
            assert!(run.problem("clip.en.vtt").contains("does not begin with WEBVTT"), "{run:#?}");
            assert!(env.mutating().is_empty() && track_calls(&env) == 1, "{:#?}", env.sandbox.log());
        }
        env.write("clip.en.vtt", VTT);
        env.sandbox.set(|settings| settings.track_ms = 0);
        env.sync().exits(0).did("replaced 1");
        assert_quiet(&env);
    }
}

#[test]
fn a_service_without_tracks_is_the_companion_s_trouble_alone() {
    for (status, code) in [(402, "PLAN_UPGRADE_REQUIRED"), (403, "INSUFFICIENT_PERMISSIONS"), (404, "NOT_FOUND")] {
        let env = TestEnv::new();
        env.write("clip.mp4", bytes(1, 4000));
        env.write("clip.en.vtt", VTT);
        env.write("z.txt", "and the rest");
        env.sandbox.fault(
            "GET /uploads/:id/tracks",
            FaultKind::Status { status, code: code.into(), transient: false, details: Value::Null },
        );
        let run = env.sync().exits(1).did("created 2, failed 1");
        run.problem("clip.en.vtt");
        env.sync().exits(0).did("created 1");
        assert_quiet(&env);
    }
}
