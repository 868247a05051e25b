//! `retry [PATH…]`: failed files are tried again now; `retry --force` lets a running daemon pass its guards once.
//!
//! Owns: the small changes of the index beside a daemon that may run, and saying what they led to.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::Serialize;

use super::args::{Args, Format};
use super::place::{places, seen_from, working_directory};
use super::run::shown_configuration;
use super::show::{self, printable};
use crate::config::{Config, Mirror};
use crate::error::{Exit, RunError};
use crate::index::overrides::{self, Overrides};
use crate::index::{Index, InstanceLock, retry_requests, status_notes};

#[derive(Debug, Serialize)]
struct Answer {
    running: Option<u32>,
    /// What the running one may do once.
    allowed: Vec<&'static str>,
    retried: Vec<Retried>,
}

/// What became of one request: a path of a mirror, or the whole of it.
#[derive(Debug, Serialize)]
struct Retried {
    mirror: String,
    path: Option<String>,
    files: u64,
    /// Files that cannot be read: looked at again, too.
    unread: u64,
}

/// Runs.
pub async fn run(args: &Args, paths: &[PathBuf], allowed: Overrides) -> Exit {
    let config = match shown_configuration(&args.global, false) {
        Ok(config) => config,
        Err(exit) => return exit,
    };
    let running = InstanceLock::holder(&config.state_path);
    if allowed.any() && running.is_none() {
        let flags = allowed.flags().join(" ");
        tracing::error!("no dato-mirror is running with this index: run once with --sync-once {flags}");
        return Exit::Usage;
    }
    let asked = match asked_for(paths, working_directory().as_deref(), &config) {
        Ok(asked) => asked,
        Err(message) => {
            tracing::error!("{message}");
            return Exit::Usage;
        }
    };
    let retried = async {
        let now_ms = Timestamp::now().as_millisecond();
        let index = Index::open_beside(&config.state_path)?;
        let retried = index.call(move |conn| {
            let mut retried = Vec::new();
            for (mirror, path) in asked {
                let row = status_notes::mirror_row(conn, &mirror)?;
                if let Some(row) = row.filter(|_| allowed.any()) {
                    overrides::ask(conn, row, allowed, now_ms)?;
                }
                let files = row.map_or(Ok(0), |row| retry_requests::retry(conn, row, path.as_deref()))?;
                let unread = status_notes::unread(conn, &mirror)?;
                let unread = unread.iter().filter(|file| path.as_ref().is_none_or(|path| is_at(&file.path, path)));
                retried.push(Retried { unread: unread.count() as u64, mirror, path, files });
            }
            Ok(retried)
        });
        Ok::<_, RunError>(retried.await?)
    };
    let answer = match retried.await {
        Ok(retried) => Answer { running, allowed: allowed.flags(), retried },
        Err(error) => {
            tracing::error!("{error}");
            return error.exit();
        }
    };
    show::print(&match args.global.format {
        Format::Json => show::json(&answer),
        Format::Text | Format::Markdown => text(&answer),
    })
}

/// The mirrors, and the paths in them, that `paths` mean; all mirrors for none.
fn asked_for(paths: &[PathBuf], cwd: Option<&Path>, config: &Config) -> Result<Vec<(String, Option<String>)>, String> {
    let whole = |mirror: &Mirror| (mirror.name.clone(), None);
    let mut asked = Vec::new();
    if paths.is_empty() {
        asked.extend(config.mirrors.iter().map(whole));
    }
    for path in paths {
        let before = asked.len();
        // The root itself stands for all that is in it. A path of which nothing is there is no root, missing or not.
        if let Ok(real) = seen_from(cwd, path)?.canonicalize() {
            let is_root = |mirror: &&Mirror| mirror.root.canonicalize().is_ok_and(|root| root == real);
            asked.extend(config.mirrors.iter().filter(is_root).map(whole));
        }
        if asked.len() == before {
            let found = places(path, cwd, config)?;
            asked.extend(found.into_iter().map(|(mirror, path)| (mirror.name.clone(), Some(path.key().to_owned()))));
        }
        if asked.len() == before {
            return Err(format!("{} is not below the root of a mirror", path.display()));
        }
    }
    Ok(asked)
}

fn is_at(file: &str, path: &str) -> bool {
    file.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn text(answer: &Answer) -> String {
    let mut out = String::new();
    for Retried { mirror, path, files, unread } in &answer.retried {
        let place = path.as_ref().map_or_else(|| printable(mirror), |path| printable(path));
        out.push_str(&match files + unread {
            0 if answer.allowed.is_empty() => format!("{place}: nothing failed here\n"),
            0 => String::new(),
            1 => format!("{place}: 1 failed file is tried again\n"),
            more => format!("{place}: {more} failed files are tried again\n"),
        });
    }
    if !answer.allowed.is_empty() {
        let flags = answer.allowed.join(" ");
        let _ = writeln!(out, "the next look at the whole folder goes with {flags}, once");
    }
    let looks = !answer.allowed.is_empty() || answer.retried.iter().any(|one| one.files + one.unread > 0);
    if looks {
        out.push_str(if answer.running.is_some() {
            "the running dato-mirror looks within a few seconds; see `dato-mirror status`\n"
        } else {
            "no dato-mirror is running: the next run tries them\n"
        });
    }
    out
}
