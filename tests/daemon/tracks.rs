//! What belongs to a video, saved while the daemon runs: files that are its tracks, and its poster time.

use std::fs::File;
use std::io::Write as _;
use std::thread;
use std::time::Duration;

use dato_mirror::sandbox::Settings;

use crate::process::{Daemon, configure};
use crate::support::{TestEnv, bytes, fast, in_both_shapes, is_by_field};

fn tracks_of(env: &TestEnv, video: &str) -> usize {
    env.find(video).map_or(0, |asset| env.sandbox.tracks(None, &asset.id).unwrap().len())
}

#[test]
fn subtitles_saved_later_reach_the_video_and_those_saved_first_wait_for_it() {
    let env = TestEnv::new();
    env.write("clip.mp4", bytes(1, 4000));
    configure(&env, "");
    let daemon = Daemon::ready(&env);
    env.write("clip.en.vtt", "WEBVTT");
    daemon.wait("a track", || tracks_of(&env, "clip.mp4") == 1);

    // As a copied folder arrives: the small file is there long before the large one has settled.
    let mut film = File::create(env.at("film.mp4")).unwrap();
    env.write("film.en.vtt", "WEBVTT film");
    for _ in 0..10 {
        film.write_all(&bytes(2, 1000)).unwrap();
        film.flush().unwrap();
        thread::sleep(Duration::from_millis(150));
    }
    drop(film);
    daemon.wait("a track of the film", || tracks_of(&env, "film.mp4") == 1);
    daemon.wait_idle();
    assert_eq!(env.assets().len(), 2, "subtitles never were an asset: {:#?}", env.assets());
}

#[test]
fn a_poster_time_saved_later_reaches_the_video_and_a_refused_one_is_told() {
    in_both_shapes(|| {
        let env = TestEnv::with(Settings { latest_poster_time_s: 10, ..fast() });
        env.write("clip.mp4", bytes(1, 4000));
        configure(&env, "");
        let daemon = Daemon::ready(&env);
        let poster = || {
            let metadata = env.asset("clip.mp4").metadata;
            if is_by_field() { metadata["poster_time"].clone() } else { metadata["en"]["poster_time"].clone() }
        };
        env.write("clip.mp4.meta.toml", "poster_time = 2.5\n");
        daemon.wait("its poster time", || poster() == 2.5);
        env.write("clip.mp4.meta.toml", "poster_time = 12.5\nnotes = \"the rest\"\n");
        daemon.wait("the rest", || env.asset("clip.mp4").notes.as_deref() == Some("the rest"));
        let refused = "poster_time in clip.mp4.meta.toml is left out: the service does not take it for this file";
        daemon.wait("the refusal is told", || daemon.mirror()["problems"].to_string().contains(refused));
        daemon.stop();
    });
}
