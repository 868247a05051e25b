//! `doctor`: everything that can be wrong around the mirror, each with a fix.
//!
//! Owns: the order of the checks and how they look. What is looked at here is in `local`, what at the service in `service`.
//! Changes nothing, here or there, but for counting its own calls.

mod local;
mod service;

use anstyle::AnsiColor;
use serde::Serialize;

use super::args::{Args, Format};
use super::run::shown_configuration;
use super::show::{self, printable};
use crate::config::Config;
use crate::error::Exit;

/// How a check came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Level {
    Ok,
    Warn,
    Fail,
}

/// One line. These names are an interface: add, do not rename.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Check {
    check: String,
    pub(super) level: Level,
    says: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    fix: Option<String>,
    /// The API refuses the token or environment, or cannot be reached.
    #[serde(skip)]
    pub(super) access: bool,
}

impl Check {
    fn ok(check: impl Into<String>, says: impl Into<String>) -> Self {
        Self { check: check.into(), level: Level::Ok, says: says.into(), fix: None, access: false }
    }

    fn warn(check: impl Into<String>, says: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { level: Level::Warn, fix: Some(fix.into()), ..Self::ok(check, says) }
    }

    fn fail(check: impl Into<String>, says: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { level: Level::Fail, fix: Some(fix.into()), ..Self::ok(check, says) }
    }
}

#[derive(Debug, Serialize)]
struct Answer {
    healthy: bool,
    checks: Vec<Check>,
}

/// Runs.
pub async fn run(args: &Args) -> Exit {
    let config = match shown_configuration(&args.global, true) {
        Ok(config) => config,
        Err(exit) => return exit,
    };
    let from = config.source.as_ref().map_or_else(|| "--root, no file".to_owned(), |path| path.display().to_string());
    let mut checks = vec![Check::ok("configuration", from)];
    let warned = config.warnings.iter().map(|text| Check::warn("configuration", text, "correct or remove it"));
    checks.extend(warned);
    checks.extend(examine(&config).await);
    let healthy = checks.iter().all(|check| check.level != Level::Fail);
    let access = checks.iter().any(|check| check.access);
    let answer = Answer { healthy, checks };
    let printed = show::print(&match args.global.format {
        Format::Json => show::json(&answer),
        Format::Text | Format::Markdown => text(&answer.checks),
    });
    match (printed, healthy, access) {
        (Exit::Done, true, _) => Exit::Done,
        (Exit::Done, false, true) => Exit::Api,
        (Exit::Done, false, false) => Exit::Incomplete,
        (other, ..) => other,
    }
}

/// All checks of a configuration, the service's first.
pub(super) async fn examine(config: &Config) -> Vec<Check> {
    let mut checks = service::checks(config).await;
    checks.extend(local::checks(config).await);
    checks
}

/// The checks for people, and a line that sums them up.
pub(super) fn text(checks: &[Check]) -> String {
    let width = checks.iter().map(|check| check.check.chars().count()).max().unwrap_or_default();
    let mut out = String::new();
    for Check { check, level, says, fix, .. } in checks {
        let (word, color) = match level {
            Level::Ok => ("ok", AnsiColor::Green),
            Level::Warn => ("warn", AnsiColor::Yellow),
            Level::Fail => ("FAIL", AnsiColor::Red),
        };
        let color = color.on_default();
        let check = printable(check);
        out.push_str(&format!("{color}{word:<4}{color:#}  {check:<width$}  {}\n", printable(says)));
        if let Some(fix) = fix {
            out.push_str(&format!("{:indent$}→ {}\n", "", printable(fix), indent = width + 8));
        }
    }
    let count = |level| checks.iter().filter(|check| check.level == level).count();
    out.push_str(&match (count(Level::Fail), count(Level::Warn)) {
        (0, 0) => "all is well\n".to_owned(),
        (0, warnings) => format!("works; {warnings} to look at\n"),
        (failures, warnings) => format!("{failures} to mend, {warnings} to look at\n"),
    });
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checks_line_up_and_each_trouble_has_its_fix() {
        let checks = [
            Check::ok("token", "from $DATOCMS_API_TOKEN"),
            Check::warn("mirror brand: watch", "polled", "mount it elsewhere"),
            Check::fail("environment", "there is no \"x\"", "known are main"),
        ];
        insta::assert_snapshot!(anstream::adapter::strip_str(&text(&checks)).to_string());
    }
}
