//! The commands that people and CI have in their hands, as they really print: status, explain, ls, retry, doctor, the
//! manifest, `verify_live`, the GitHub Action, the Debian package and the archive of a release.
//!
//! Each runs the real binary against a media area in this process. Snapshots have names, ports and times replaced.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic is how a test fails")]

mod ci;
mod commands;
mod daemon;
mod outputs;
mod readme;
mod release;
#[allow(dead_code, reason = "another test binary uses the rest")]
#[path = "../it/support.rs"]
mod support;

use support::{Run, TestEnv};

/// What a run printed, with all that differs from run to run replaced.
fn told(env: &TestEnv, run: &Run) -> String {
    let mut text = run.stdout.replace(&env.home().display().to_string(), "[HOME]");
    text = text.replace(&env.sandbox.base_url(), "[API]");
    for asset in env.assets() {
        text = text.replace(asset.id.as_str(), "[ID]");
    }
    let mut out = String::new();
    for line in text.lines() {
        let line = when(line);
        let mut words: Vec<String> = line.split(' ').map(redacted).collect();
        // What the month will have cost depends on how much of it has passed.
        if let Some(at) = words.iter().position(|word| word == "about").filter(|_| line.contains("this month")) {
            words[at + 1] = "[N]".to_owned();
        }
        out.push_str(words.join(" ").trim_end());
        out.push('\n');
    }
    out
}

/// A line without how long ago the last pass was: the next command may be slow to come.
fn when(line: &str) -> String {
    match line.split_once("last pass ").and_then(|(before, rest)| Some((before, rest.split_once(": ")?))) {
        Some((before, (_, rest))) => format!("{before}last pass [AGO]: {rest}"),
        None => line.to_owned(),
    }
}

/// A word without what tells time or machine: durations keep their unit, URLs lose their number.
fn redacted(word: &str) -> String {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if let Some((before, name)) = word.rsplit_once('/').filter(|_| word.contains("/_assets/")) {
        let name = name.split_once('-').filter(|(number, _)| digits(number)).map_or(name, |(_, name)| name);
        return format!("{before}/{name}");
    }
    match word.as_bytes() {
        [_, _, _, _, b'-', _, _, b'-', _, _] => "[DAY]".to_owned(),
        [_, _, b':', _, _, b':', _, _] => "[TIME]".to_owned(),
        _ if word.split_once('.').is_some_and(|(whole, part)| digits(whole) && digits(part)) => "[N]".to_owned(),
        _ => word.to_owned(),
    }
}
