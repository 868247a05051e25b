//! Files that are tracks of a video, saved while the daemon runs.

use std::fs::File;
use std::io::Write as _;
use std::thread;
use std::time::Duration;

use crate::process::{Daemon, configure};
use crate::support::{TestEnv, bytes};

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
