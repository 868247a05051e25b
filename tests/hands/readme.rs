//! The README's commands, replayed in the README's order, print what the README shows.
//!
//! In its `console` blocks a line with `$ ` is a command; what follows is what it prints. `cat FILE` first writes what is
//! shown, so that the reader and the test have the same file. What differs from run to run (ids, times, ports, room on
//! the disk) is replaced on both sides.

use std::path::Path;
use std::process::Command;

use dato_mirror::sandbox::Settings;

use super::support::{TestEnv, bytes};
use super::when;

const README: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
/// Where the README's sandbox listens.
const AREA: &str = "http://127.0.0.1:3999";

/// A command and what it prints.
#[derive(Debug, Default)]
struct Step {
    command: String,
    prints: String,
}

fn steps(readme: &str) -> Vec<Step> {
    let mut steps = Vec::<Step>::new();
    let mut inside = false;
    for line in readme.lines() {
        if line.starts_with("```") {
            inside = line == "```console";
        } else if let Some(command) = line.strip_prefix("$ ").filter(|_| inside) {
            steps.push(Step { command: command.to_owned(), prints: String::new() });
        } else if inside {
            let step = steps.last_mut().expect("a block begins with a command");
            // A command goes on in the next line.
            match step.command.strip_suffix('\\') {
                Some(before) if step.prints.is_empty() => step.command = format!("{before}\n{line}"),
                _ => step.prints.push_str(&format!("{line}\n")),
            }
        }
    }
    steps
}

/// A text without what differs from run to run, and without the width of columns.
fn still(text: &str, home: &Path) -> String {
    let text = text.replace(&home.display().to_string(), "/home/me");
    let mut out = String::new();
    for line in text.lines() {
        let line = when(line);
        let mut words: Vec<String> = line.split_whitespace().map(word).collect();
        // How often a job had to be asked for depends on the moment.
        for at in 1..words.len() {
            if words[at] == "API" {
                words[at - 1] = "[N]".into();
            }
        }
        if line.starts_with("API calls this month: ") {
            words = vec!["API calls this month".into()];
        }
        out.push_str(words.join(" ").trim_end());
        out.push('\n');
    }
    out
}

fn word(word: &str) -> String {
    let word = word.trim_start_matches('(').trim_end_matches([',', ')', ';']);
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    // The folder of a configuration's index is named by a digest of where the configuration lies.
    if let Some((before, after)) = word.split_once("/dato-mirror/dato-mirror-") {
        let (key, after) = after.split_at_checked(12).unwrap_or((after, ""));
        assert!(key.bytes().all(|byte| byte.is_ascii_hexdigit()), "{word}");
        return format!("{before}/dato-mirror/dato-mirror-[KEY]{after}");
    }
    let hex = |text: &str| text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let id = |text: &str| text.len() == 22 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
    if let Some((_, name)) = word.rsplit_once('/').filter(|_| word.contains("/_assets/")) {
        return format!("[URL]/{}", name.split_once('-').map_or(name, |(_, name)| name));
    }
    match word {
        _ if word.starts_with("http://127.0.0.1:") => "[URL]".into(),
        _ if hex(word) => "[MD5]".into(),
        _ if id(word) => "[ID]".into(),
        _ if word.len() == 10 && word.as_bytes()[4] == b'-' && word.as_bytes()[7] == b'-' => "[DAY]".into(),
        _ if word.len() == 8 && word.as_bytes()[2] == b':' && word.as_bytes()[5] == b':' => "[TIME]".into(),
        _ if word.split_once('.').is_some_and(|(whole, part)| digits(whole) && digits(part)) => "[N]".into(),
        _ => word.to_owned(),
    }
}

/// What is this machine's own in a line of `doctor`.
fn is_of_the_machine(line: &str) -> bool {
    ["mirror brand: root", "mirror brand: watch", "disk ", "clock "].iter().any(|name| line.contains(name))
}

#[test]
fn the_readmes_commands_print_what_it_shows() {
    // As `dato-mirror sandbox` starts it.
    let env = TestEnv::with(Settings { locales: vec!["en".into(), "it".into()], ..Settings::default() });
    let home = env.home().canonicalize().unwrap();
    // The folder that the README speaks of.
    env.write("team.jpg", bytes(1, 3_000));
    env.write("logos/logo.svg", bytes(2, 2_000));
    env.write("logos/copy.svg", bytes(2, 2_000));
    let readme = std::fs::read_to_string(README).unwrap();
    let steps = steps(&readme);
    assert!(steps.len() >= 10, "the README lost its commands: {steps:#?}");
    let binary = Path::new(env!("CARGO_BIN_EXE_dato-mirror")).parent().unwrap();
    let path = format!("{}:{}", binary.display(), std::env::var("PATH").unwrap());
    let mut exported = Vec::<(String, String)>::new();
    for Step { command, prints } in steps {
        let (command, prints) =
            (command.replace(AREA, &env.sandbox.base_url()), prints.replace(AREA, &env.sandbox.base_url()));
        if command.starts_with("dato-mirror sandbox") {
            // It runs already, in this process.
            continue;
        }
        if let Some(assignments) = command.strip_prefix("export ") {
            let pairs = assignments.split(' ').filter_map(|pair| pair.split_once('='));
            exported.extend(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())));
            continue;
        }
        if let Some(file) = command.strip_prefix("cat ") {
            std::fs::write(home.join(file), prints).unwrap();
            continue;
        }
        let output = Command::new("bash")
            .args(["-c", &format!("{command} 2>&1")])
            .current_dir(&home)
            .env_clear()
            .envs([("PATH", path.as_str()), ("NO_PROXY", "127.0.0.1"), ("NO_COLOR", "1")])
            .env("HOME", &home)
            .envs(exported.iter().map(|(name, value)| (name, value)))
            .output()
            .unwrap();
        let printed = String::from_utf8(output.stdout).unwrap();
        let lines = |text: &str| {
            let text = still(text.trim_end(), &home);
            text.lines().filter(|line| !is_of_the_machine(line)).map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(lines(&printed), lines(&prints), "`{command}` prints:\n{printed}");
    }
}
