//! What the CDN serves: the original to whoever asks for it, and what it does without being asked.

use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::content::{png, svg};
use crate::suite::{Check, Place};
use crate::told::Outcome;

/// How the original is asked for.
const ORIGINAL: &str = "skip-default-optimizations=true&svg-sanitize=false";
/// How long a new asset may take to be served.
const PATIENCE: Duration = Duration::from_secs(180);

pub const CHECKS: &[Check] = &[
    Check {
        name: "the original is served to whoever asks for it",
        about: "The CDN optimises pictures and sanitises SVGs by default, or not",
        run: original,
    },
    Check { name: "a replaced file is live in the end", about: "Mirrored means served.", run: live },
];

fn original(at: &Place<'_>) -> Outcome {
    let scene = at.scene();
    let files = [("pic.png", png()), ("logo.svg", svg())];
    for (path, content) in &files {
        scene.write(path, content);
    }
    scene.sync().did("created 2");
    for (path, content) in &files {
        let asset = scene.asset(content, &[path]);
        let url = asset["attributes"]["url"].as_str().unwrap();
        let started = Instant::now();
        loop {
            let (status, bytes) = match at.fork.wire().served(&format!("{url}?{ORIGINAL}")) {
                Ok(served) => served,
                Err(why) => return Err(format!("the CDN cannot be reached: {why}")),
            };
            if status.is_success() && bytes == *content {
                break;
            }
            let len = bytes.len();
            assert!(started.elapsed() < PATIENCE, "{path}: the original is not served: {status}, {len} bytes");
            sleep(Duration::from_millis(500));
        }
        let (status, bytes) = at.fork.wire().served(url)?;
        let how = if bytes == *content { "as it was uploaded" } else { "changed" };
        at.found(format!("without being asked for the original, {path} is served {how} ({status})"));
    }
    Ok(())
}

fn live(at: &Place<'_>) -> Outcome {
    if at.site.custom_storage {
        return Err("this project has storage of its own, where no URL can be kept".to_owned());
    }
    let mut scene = at.scene();
    scene.set("DATO_MIRROR_VERIFY_LIVE", "true");
    scene.write("pic.png", &png());
    scene.sync().did("created 1");
    scene.write("pic.png", &png());
    let run = scene.sync();
    let report = run.mirror();
    assert_eq!(report["replaced"], 1, "{run:#?}");
    let live: &Value = &report["live"][0];
    assert!(live["state"].is_string(), "{run:#?}");
    at.found(match live["after_ms"].as_u64() {
        Some(ms) => format!("a replaced file is live after {ms} ms"),
        None => format!("a replaced file is not live by the end of its run: {live}"),
    });
    Ok(())
}
