//! The live state in one line, as `systemctl status` shows it.
//!
//! Owns: its words.

use super::view::{MirrorView, Phase, Waiting, Watching};

/// A line longer than this (in characters) would be cut by every tool that shows it.
const LONGEST: usize = 400;

pub(super) fn line<'a>(mirrors: impl Iterator<Item = &'a MirrorView>) -> String {
    let all = mirrors.map(mirror).collect::<Vec<_>>().join("; ");
    // The notify protocol ends a field at a line break, and a path may hold one.
    let all = all.replace(char::is_control, " ");
    if all.chars().count() <= LONGEST { all } else { all.chars().take(LONGEST - 1).chain(['…']).collect() }
}

fn mirror(mirror: &MirrorView) -> String {
    let mut text = format!("{}: {}", mirror.name, phase(mirror));
    if mirror.failed > 0 {
        text += &format!(", {} failed", mirror.failed);
    }
    if matches!(mirror.watching, Watching::Polling { .. }) {
        text += ", polling";
    }
    if let Some(reason) = mirror.degraded.first() {
        text += &format!(", degraded ({reason})");
    }
    text
}

fn phase(mirror: &MirrorView) -> String {
    match &mirror.phase {
        Phase::Starting => "starting".to_owned(),
        Phase::Scanning => "scanning".to_owned(),
        Phase::Mirroring { done, total_hint, .. } => format!("mirroring {done} of {}", total_hint.max(done)),
        Phase::Idle if mirror.pending > 0 => format!("idle, {} waiting", mirror.pending),
        Phase::Idle => match &mirror.last_pass {
            Some(pass) if pass.full => format!("up to date, {} files", pass.counts.scanned),
            _ => "up to date".to_owned(),
        },
        Phase::Paused { guard } => format!("paused, {guard}"),
        Phase::Waiting { waiting: Waiting::Api { since, cause } } => {
            format!("waiting for the API since {since:.0} ({cause})")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(change: impl FnOnce(&mut MirrorView)) -> MirrorView {
        let mut view = MirrorView::new("brand", "/srv/brand");
        change(&mut view);
        view
    }

    #[test]
    fn it_says_what_each_mirror_does() {
        let since: jiff::Timestamp = "2026-11-21T10:00:00.5Z".parse().unwrap();
        for (view, expected) in [
            (with(|_| ()), "brand: starting"),
            (with(|view| view.phase = Phase::Scanning), "brand: scanning"),
            (
                with(|view| {
                    view.phase = Phase::Mirroring { done: 3, total_hint: 40, bytes: 1 };
                    view.failed = 2;
                }),
                "brand: mirroring 3 of 40, 2 failed",
            ),
            (
                with(|view| view.phase = Phase::Mirroring { done: 3, total_hint: 0, bytes: 1 }),
                "brand: mirroring 3 of 3",
            ),
            (
                with(|view| {
                    view.phase = Phase::Idle;
                    view.watching = Watching::Polling { reason: "nfs".into(), every_ms: 1 };
                    view.degraded = vec!["too few inotify watches".into()];
                }),
                "brand: up to date, polling, degraded (too few inotify watches)",
            ),
            (
                with(|view| view.phase = Phase::Paused { guard: "the root /a\nREADY=1 is missing".into() }),
                "brand: paused, the root /a READY=1 is missing",
            ),
            (
                with(|view| {
                    view.phase = Phase::Waiting { waiting: Waiting::Api { since, cause: "no route".into() } };
                }),
                "brand: waiting for the API since 2026-11-21T10:00:00Z (no route)",
            ),
        ] {
            assert_eq!(line([&view].into_iter()), expected);
        }
    }

    #[test]
    fn many_mirrors_do_not_make_it_endless() {
        let views = vec![with(|_| ()); 100];
        let line = line(views.iter());
        assert_eq!(line.chars().count(), LONGEST);
        assert!(line.starts_with("brand: starting; brand: starting") && line.ends_with('…'));
    }
}
