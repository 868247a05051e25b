//! `explain PATH`: its asset, its URL, what comes next and why, and where each value came from.
//!
//! Owns: how it looks. Makes no API call.

use std::path::Path;
use std::sync::Arc;

use anstyle::{AnsiColor, Style};
use bytesize::ByteSize;
use jiff::Timestamp;
use serde_json::Value;

use super::args::{Args, Format};
use super::place::{places, working_directory};
use super::run::shown_configuration;
use super::show::{self, printable};
use crate::error::{Exit, RunError};
use crate::model::{ActionKind, FieldKey, RelPath};
use crate::sync::explain::{Explanation, Slot, explain};

/// Runs.
pub async fn run(args: &Args, path: &Path) -> Exit {
    let config = match shown_configuration(&args.global, false) {
        Ok(config) => config,
        Err(exit) => return exit,
    };
    let found = match places(path, working_directory().as_deref(), &config) {
        Ok(found) => found,
        Err(message) => {
            tracing::error!("{message}");
            return Exit::Usage;
        }
    };
    if found.is_empty() {
        let roots: Vec<String> = config.mirrors.iter().map(|mirror| mirror.root.display().to_string()).collect();
        let roots = roots.join(", ");
        tracing::error!("{} is not below the root of a mirror ({roots}); name it from there", path.display());
        return Exit::Usage;
    }
    let owned: Vec<(Arc<crate::config::Mirror>, RelPath)> =
        found.into_iter().map(|(mirror, path)| (Arc::new(mirror.clone()), path)).collect();
    let state = config.state_path.clone();
    let work = tokio::task::spawn_blocking(move || {
        owned.iter().map(|(mirror, path)| explain(&state, mirror, path)).collect::<Result<Vec<_>, RunError>>()
    });
    let told = match work.await.unwrap_or(Err(RunError::Stopped)) {
        Ok(told) => told,
        Err(error) => {
            tracing::error!("{error}");
            return error.exit();
        }
    };
    let text = match args.global.format {
        Format::Json if told.len() == 1 => told.first().map(show::json).unwrap_or_default(),
        Format::Json => show::json(&told),
        Format::Text | Format::Markdown => told.iter().map(text).collect::<Vec<_>>().join("\n"),
    };
    let printed = show::print(&text);
    // A script that asks about a path it misspelt should hear so, and a person too.
    let all_unknown = told.iter().all(|told| told.unknown);
    if printed == Exit::Done && all_unknown { Exit::Usage } else { printed }
}

fn text(told: &Explanation) -> String {
    let bold = Style::new().bold();
    let mut out = format!("{bold}{}{bold:#}  (mirror {})\n", printable(&told.path), printable(&told.mirror));
    let mut line = |name: &str, text: &str| out.push_str(&format!("  {name:<10} {}\n", printable(text)));
    line("file", &told.file);
    match (told.on_disk, told.size) {
        (true, Some(size)) => {
            let md5 = told.md5.as_ref().map_or_else(String::new, |md5| format!(", md5 {md5}"));
            line("on disk", &format!("{}{md5}", ByteSize::b(size).display().si()));
        }
        _ => line("on disk", "no"),
    }
    if !told.selected {
        line("mirrored", &format!("no: {}", told.selection));
    }
    match &told.asset {
        Some(asset) if asset.gone => line("asset", &format!("{}: not in the media area any more", asset.id)),
        Some(asset) => {
            let made = if asset.made_by_mirror { "made by the mirror" } else { "was there before the mirror" };
            line("asset", &format!("{} ({made})", asset.id));
            line("url", &asset.url);
            let pixels = asset.width.zip(asset.height).map(|(width, height)| format!(", {width} × {height}"));
            let format = asset.format.as_deref().unwrap_or("unknown format");
            let size = ByteSize::b(asset.size).display().si();
            line("content", &format!("{format}, {size}{}", pixels.unwrap_or_default()));
            if told.md5.is_some() && asset.md5 != told.md5 {
                line("", &format!("not what is on disk: md5 {}", asset.md5.as_deref().unwrap_or("unknown")));
            }
        }
        None => line("asset", "none"),
    }
    if !told.shared_with.is_empty() {
        line("shared", &told.shared_with.join(", "));
    }
    let next = match told.action {
        Some(ActionKind::Nothing) => "nothing to do",
        Some(action) => action.as_str(),
        None if !told.selected => "nothing to do",
        None => "unknown",
    };
    line("next", &format!("{next}: {}", told.why));
    if let Some(problem) = &told.problem {
        let red = AnsiColor::Red.on_default();
        let again = problem.retry_at.map_or_else(String::new, |at| format!(" (tried again at {})", local(at)));
        out.push_str(&format!("  {red}problem{red:#}    {}{again}\n", printable(&problem.cause)));
        out.push_str(&format!("             → {}\n", printable(&problem.advice)));
    }
    for note in &told.notes {
        out.push_str(&format!("  note       {}\n", printable(note)));
    }
    if !told.metadata.is_empty() {
        out.push_str("\n  metadata\n");
        let names: Vec<String> = told.metadata.iter().map(|slot| printable(&slot.field)).collect();
        let width = names.iter().map(|name| name.chars().count()).max().unwrap_or_default();
        for (slot, name) in told.metadata.iter().zip(names) {
            out.push_str(&format!("    {name:<width$}  {}\n", printable(&in_words(slot))));
        }
    }
    if !told.history.is_empty() {
        out.push_str("\n  history\n");
        for done in &told.history {
            let at = Timestamp::from_millisecond(done.at_ms).map(local).unwrap_or_default();
            out.push_str(&format!("    {at}  {}: {}\n", done.action, printable(&done.why)));
        }
    }
    out
}

fn local(at: Timestamp) -> String {
    at.to_zoned(jiff::tz::TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// One value of the metadata: what it is, whose it is, and what the other side says.
fn in_words(slot: &Slot) -> String {
    let shown = |value: &Value| match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let from = slot.origin.as_ref().map_or_else(String::new, |origin| format!("  from {origin}"));
    let labels = |labels: &Option<String>| labels.clone().map(Value::String);
    // Where the wanted collection is not made yet, or the asset's is none that the mirror knows, only one side has labels.
    let remote_name = labels(&slot.remote_labels).or_else(|| {
        let is_collection = slot.field == FieldKey::Collection.to_string();
        let id = slot.remote.as_ref().filter(|_| is_collection)?;
        Some(Value::String(format!("another one, {}", shown(id))))
    });
    let (wanted, remote) = match (&slot.wanted, &slot.remote) {
        (Some(wanted), Some(remote)) if wanted == remote => {
            let name = labels(&slot.wanted_labels).or_else(|| slot.wanted.clone());
            (name.clone(), name)
        }
        _ => (labels(&slot.wanted_labels).or_else(|| slot.wanted.clone()), remote_name.or_else(|| slot.remote.clone())),
    };
    match (&wanted, &remote) {
        (Some(wanted), Some(remote)) if wanted == remote => format!("{}{from}", shown(wanted)),
        (Some(wanted), Some(remote)) if slot.pushed => {
            format!("{}{from}; the asset still has {}", shown(wanted), shown(remote))
        }
        (Some(wanted), Some(remote)) => {
            format!("{}  typed in the CMS; the folder says {}{from}", shown(remote), shown(wanted))
        }
        (Some(wanted), None) => format!("{}{from}; not on the asset", shown(wanted)),
        (None, Some(remote)) if slot.pushed => format!("{}  pushed by the mirror, no longer wanted", shown(remote)),
        (None, Some(remote)) => format!("{}  from the CMS", shown(remote)),
        (None, None) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_value_says_whose_it_is() {
        let slot = |wanted: Option<&str>, remote: Option<&str>, pushed| Slot {
            field: "alt.en".into(),
            wanted: wanted.map(|text| json!(text)),
            origin: wanted.map(|_| "[[mirror]]".into()),
            remote: remote.map(|text| json!(text)),
            pushed,
            ..Slot::default()
        };
        for (slot, expected) in [
            (slot(Some("a"), Some("a"), true), "a  from [[mirror]]"),
            (slot(Some("b"), Some("a"), true), "b  from [[mirror]]; the asset still has a"),
            (slot(Some("b"), Some("a"), false), "a  typed in the CMS; the folder says b  from [[mirror]]"),
            (slot(Some("b"), None, false), "b  from [[mirror]]; not on the asset"),
            (slot(None, Some("a"), true), "a  pushed by the mirror, no longer wanted"),
            (slot(None, Some("a"), false), "a  from the CMS"),
        ] {
            assert_eq!(in_words(&slot), expected);
        }
    }

    #[test]
    fn a_collection_is_told_by_its_labels() {
        let slot =
            |wanted: Option<&str>, labels: Option<&str>, remote: Option<&str>, known: Option<&str>, pushed| Slot {
                field: "collection".into(),
                wanted: wanted.map(|id| json!(id)),
                origin: labels.map(|_| "[[mirror]]".into()),
                remote: remote.map(|id| json!(id)),
                pushed,
                wanted_labels: labels.map(str::to_owned),
                remote_labels: known.map(str::to_owned),
            };
        for (slot, expected) in [
            (slot(Some("1"), Some("a/b"), Some("1"), Some("a/b"), true), "a/b  from [[mirror]]"),
            (slot(Some("1"), Some("a"), Some("2"), Some("b"), true), "a  from [[mirror]]; the asset still has b"),
            (slot(None, Some("a"), None, None, false), "a  from [[mirror]]; not on the asset"),
            (
                slot(Some("1"), Some("a"), Some("9"), None, false),
                "another one, 9  typed in the CMS; the folder says a  from [[mirror]]",
            ),
            (slot(None, None, Some("1"), Some("a"), true), "a  pushed by the mirror, no longer wanted"),
        ] {
            assert_eq!(in_words(&slot), expected);
        }
    }
}
