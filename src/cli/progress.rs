//! How far a run is, on a terminal.
//!
//! Owns: the bar and its words. Off a terminal there is none: log lines tell what is done.

use std::io::{self, IsTerminal as _};
use std::sync::Arc;
use std::time::Duration;

use bytesize::ByteSize;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::args::{Args, LogFormat};
use super::show::printable;
use crate::sync::progress::{Progress, Snapshot, Stage};

/// How often the bar is drawn.
const TICK: Duration = Duration::from_millis(100);

/// Whether a run has a bar: one that ends, on a terminal, with logs for people.
#[must_use]
pub fn wanted(args: &Args) -> bool {
    let ends = args.command.is_none() && (args.run.sync_once || args.run.dry_run);
    let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
    ends && !args.global.quiet && args.global.log_format == LogFormat::Text && !dumb && io::stderr().is_terminal()
}

/// A bar that follows a run; dropping it takes it off the screen.
pub struct Shown {
    bar: ProgressBar,
    task: tokio::task::JoinHandle<()>,
}

/// Shows `progress` in `bars`.
pub fn show(progress: &Arc<Progress>, bars: &MultiProgress) -> Shown {
    progress.show();
    let bar = bars.add(ProgressBar::new_spinner());
    bar.set_style(spinner());
    let (drawn, followed) = (bar.clone(), Arc::clone(progress));
    let task = tokio::spawn(async move {
        let mut stage = Stage::Starting;
        loop {
            let seen = followed.snapshot();
            if seen.stage != stage {
                stage = seen.stage;
                drawn.set_style(if stage == Stage::Mirroring { counted() } else { spinner() });
                drawn.reset_eta();
            }
            drawn.set_length(seen.to_do.max(seen.done));
            drawn.set_position(seen.done);
            drawn.set_message(words(&seen));
            drawn.tick();
            tokio::time::sleep(TICK).await;
        }
    });
    Shown { bar, task }
}

impl Drop for Shown {
    fn drop(&mut self) {
        self.task.abort();
        self.bar.finish_and_clear();
    }
}

fn spinner() -> ProgressStyle {
    style("{spinner} {wide_msg}")
}

fn counted() -> ProgressStyle {
    style("{bar:24} {pos}/{len} files, {per_sec}, left {eta}  {wide_msg}")
}

fn style(template: &str) -> ProgressStyle {
    // The template is a constant; a plain bar is no harm.
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    style.with_key("per_sec", |state: &indicatif::ProgressState, out: &mut dyn std::fmt::Write| {
        // A bar that cannot be written is not shown.
        let _ = write!(out, "{:.1}/s", state.per_sec());
    })
}

/// What stands beside the bar.
fn words(seen: &Snapshot) -> String {
    let bytes = |bytes: u64| ByteSize::b(bytes).display().si().to_string();
    let mirror = printable(&seen.mirror);
    match seen.stage {
        Stage::Starting => "asking for the project".to_owned(),
        Stage::Reading => {
            let read = if seen.read > 0 {
                format!(", {} read ({})", seen.read, bytes(seen.bytes_read))
            } else {
                String::new()
            };
            format!("{mirror}: {} files{read}", seen.walked)
        }
        Stage::Listing => "listing the media area".to_owned(),
        Stage::Mirroring => {
            let mut parts = vec![mirror];
            if seen.bytes_to_send > 0 {
                // What is adopted need not be sent, so this is the most it can be.
                parts.push(format!("{} of at most {} sent", bytes(seen.bytes_sent), bytes(seen.bytes_to_send)));
            }
            if seen.failed > 0 {
                parts.push(format!("{} failed", seen.failed));
            }
            if !seen.stopped_for.is_zero() {
                parts.push(format!("the API makes us wait {} s", seen.stopped_for.as_secs() + 1));
            } else if let Some(allowance) = seen.at_allowance {
                parts.push(format!("at the API's pace, {allowance} calls in 3 s"));
            }
            parts.join(", ")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_tell_what_is_going_on() {
        let seen = Snapshot {
            stage: Stage::Reading,
            mirror: "brand".into(),
            walked: 1_200,
            read: 3,
            bytes_read: 2_500_000,
            ..Snapshot::default()
        };
        assert_eq!(words(&Snapshot::default()), "asking for the project");
        assert_eq!(words(&seen), "brand: 1200 files, 3 read (2.5 MB)");
        let seen = Snapshot {
            stage: Stage::Mirroring,
            bytes_to_send: 10_000_000,
            bytes_sent: 1_000_000,
            failed: 1,
            at_allowance: Some(48),
            ..seen
        };
        assert_eq!(words(&seen), "brand, 1.0 MB of at most 10.0 MB sent, 1 failed, at the API's pace, 48 calls in 3 s");
        let seen = Snapshot { stopped_for: Duration::from_millis(2_100), ..seen };
        assert!(words(&seen).ends_with("the API makes us wait 3 s"), "{}", words(&seen));
    }
}
