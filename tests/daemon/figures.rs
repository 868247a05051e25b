//! Figures: how soon, how quiet. The short forms run always; the long ones when asked for, best with `--release`:
//!
//! ```text
//! DATO_MIRROR_FIGURES=latency cargo test --release --test daemon -- --nocapture figures::from_close
//! DATO_MIRROR_FIGURES=idle    cargo test --release --test daemon -- --nocapture figures::idle
//! ```

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::process::{Daemon, configure, index_in_memory};
use crate::support::{TestEnv, slowness};

fn asked_for(figure: &str) -> bool {
    std::env::var("DATO_MIRROR_FIGURES").is_ok_and(|wanted| wanted == figure)
}

#[test]
fn from_close_to_upload_it_takes_settle_and_little_more() {
    let exact = asked_for("latency");
    let settle = if exact { 2000 } else { 200 };
    let env = TestEnv::new();
    env.write("first.png", "x");
    env.config(&format!("[[mirror]]\nname = \"brand\"\nroot = \"brand\"\nwatch = \"native\"\nsettle = \"{settle}ms\""));
    let daemon = Daemon::ready(&env);
    let (slow, mut waits) = (slowness(&env), Vec::new());
    for number in 0..if exact { 50 } else { 7 } {
        let before = env.sandbox.count("POST /upload-requests");
        let begun = Timestamp::now().as_millisecond();
        fs::write(env.at(format!("{number}.png")), number.to_string()).unwrap();
        let closed = Timestamp::now().as_millisecond();
        daemon.wait("sent", || env.sandbox.count("POST /upload-requests") > before);
        let sent = env.sandbox.log().into_iter().rfind(|entry| entry.is("POST /upload-requests")).unwrap();
        assert!(sent.at_ms - begun >= settle, "sent before it had settled");
        waits.push(sent.at_ms - closed);
        thread::sleep(Duration::from_millis(100 + fastrand::u64(..400)));
    }
    waits.sort_unstable();
    let (least, median, most) = (waits[0], waits[waits.len() / 2], waits[waits.len() - 1]);
    println!(
        "close → upload, settle {settle} ms: min {least} ms, median {median} ms, max {most} ms of {}",
        waits.len()
    );
    let allowed = if exact { settle + 200 } else { settle + 2000 * i64::from(slow.max(slowness(&env))) };
    assert!(median <= allowed, "{waits:?}");
    daemon.stop();
}

#[test]
fn idle_means_silent() {
    let exact = asked_for("idle");
    let (count, span) = if exact { (100_000, Duration::from_secs(600)) } else { (2000, Duration::from_secs(10)) };
    let mut env = TestEnv::new();
    let _memory = index_in_memory(&mut env);
    for number in 0..count {
        env.write(format!("{}/{}/{number}.png", number % 50, number % 1000), number.to_string());
    }
    configure(&env, "");
    let began = Instant::now();
    let daemon = Daemon::start(&env, &[]);
    daemon.wait_for("ready", Duration::from_secs(3600), || {
        thread::sleep(Duration::from_millis(if exact { 2000 } else { 10 }));
        daemon.get("/readyz").0 == 200
    });
    println!("first sync of {count} files: {:.1} s, {} calls", began.elapsed().as_secs_f64(), env.sandbox.api_calls());
    daemon.wait_idle();
    thread::sleep(Duration::from_secs(6));
    let status = daemon.mirror();
    env.sandbox.clear_log();
    let (cpu, peak) = daemon.used();
    thread::sleep(span);
    let (now, resident) = daemon.used();
    let share = (now - cpu) / span.as_secs_f64() * 100.0;
    println!(
        "idle with {count} files for {} s: {} calls, {:.2} s of a core ({share:.3} %), {:.1} MB resident (after the sync \
         {:.1} MB), watching {}",
        span.as_secs(),
        env.sandbox.api_calls(),
        now - cpu,
        resident as f64 / 1e6,
        peak as f64 / 1e6,
        status["watching"]["how"],
    );
    assert_eq!(env.mutating().len(), 0, "{:#?}", env.mutating());
    assert!(env.sandbox.api_calls() <= 1, "{:#?}", env.sandbox.log());
    assert!(share < if exact { 0.2 } else { 2.0 }, "{share} %");
    daemon.stop();
}
