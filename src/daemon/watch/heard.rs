//! What one event of the `notify` crate means to a mirror.
//!
//! Owns: the translation, as a function of the event, the root and the selection. It runs on the thread that empties the
//! kernel's queue, so it looks at nothing on disk and never waits.
//! Never does: I/O, state.

use std::path::Path;

use notify::event::{AccessKind, AccessMode, CreateKind, ModifyKind, RemoveKind, RenameMode};
use notify::{Error, ErrorKind, Event, EventKind};

use super::WatchEvent;
use crate::daemon::settle::Touch;
use crate::disk::{Selection, Verdict};
use crate::model::RelPath;

/// The file by which the watcher tests whether events arrive; hidden, so that it is never mirrored.
pub const PROBE_NAME: &str = ".dato-mirror-probe";

/// The meaning of an event.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Heard {
    Tell(WatchEvent),
    /// Something came to be under this name: surely or possibly a folder.
    Appeared(RelPath),
    /// Events were lost, and folders made meanwhile are not watched.
    Overflow,
    /// The kernel gives no more watches.
    LimitReached,
    RootGone,
    Probe,
    /// The scan is needed, the watch is whole.
    Rescan,
    Nothing,
}

/// Translates. `root` is the watched path, without symlinks.
pub(super) fn translate(event: &notify::Result<Event>, root: &Path, selection: &Selection) -> Vec<Heard> {
    match event {
        // An overflow names no path: the flag comes first.
        Ok(event) if event.need_rescan() => vec![Heard::Overflow],
        // Both ends of a rename were told before, one by one.
        Ok(event) if event.kind == EventKind::Modify(ModifyKind::Name(RenameMode::Both)) => Vec::new(),
        Ok(event) => event.paths.iter().map(|path| meaning(event, path, root, selection)).collect(),
        Err(error) => vec![failure(error)],
    }
}

fn failure(error: &Error) -> Heard {
    match &error.kind {
        ErrorKind::MaxFilesWatch => Heard::LimitReached,
        // Made and gone before it could be watched.
        ErrorKind::PathNotFound | ErrorKind::WatchNotFound => Heard::Nothing,
        kind => {
            let cause = match kind {
                ErrorKind::Io(cause) => cause.to_string(),
                _ => error.to_string(),
            };
            let paths: Vec<_> = error.paths.iter().map(|path| path.display().to_string()).collect();
            let what = if paths.is_empty() { "a part of the root".to_owned() } else { paths.join(", ") };
            Heard::Tell(WatchEvent::Failed(format!("{what} cannot be watched ({cause}); rescans still look there")))
        }
    }
}

fn meaning(event: &Event, path: &Path, root: &Path, selection: &Selection) -> Heard {
    if path == root {
        return match event.kind {
            EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(_)) => Heard::RootGone,
            _ => Heard::Nothing,
        };
    }
    let Some(rel) = path.strip_prefix(root).ok().and_then(|below| RelPath::new(below).ok()) else {
        return Heard::Nothing;
    };
    if rel.key() == PROBE_NAME {
        return Heard::Probe;
    }
    let matters = || matches!(selection.verdict(&rel), Verdict::Mirrored | Verdict::Sidecar(_));
    let file = |touch| matters().then(|| Heard::Tell(WatchEvent::Touched(rel.clone(), touch)));
    let any = |heard: fn(RelPath) -> Heard| {
        let matters = matters() || selection.admits_dir(&rel);
        matters.then(|| heard(rel.clone()))
    };
    let heard = match event.kind {
        EventKind::Create(CreateKind::File) => file(Touch::Created),
        // For the new name of a rename the kernel does not say whether it is a file.
        EventKind::Create(CreateKind::Folder) | EventKind::Modify(ModifyKind::Name(RenameMode::To)) => {
            any(Heard::Appeared)
        }
        EventKind::Remove(RemoveKind::Folder) | EventKind::Modify(ModifyKind::Name(RenameMode::From)) => {
            any(|path| Heard::Tell(WatchEvent::Touched(path, Touch::Removed)))
        }
        // A file system mounted below the root went away: that is no deletion.
        EventKind::Remove(RemoveKind::Other) if event.info() == Some("unmount") => Some(Heard::Rescan),
        EventKind::Remove(_) => file(Touch::Removed),
        EventKind::Access(AccessKind::Close(AccessMode::Write))
        | EventKind::Create(_)
        | EventKind::Modify(_)
        | EventKind::Any
        | EventKind::Other => file(Touch::Changed),
        EventKind::Access(_) => None,
    };
    heard.unwrap_or(Heard::Nothing)
}

#[cfg(test)]
mod tests {
    use std::io;

    use notify::event::{DataChange, Flag, MetadataKind};

    use super::*;

    fn heard(kind: EventKind, path: &str) -> Heard {
        let selection = Selection::new(&["*.png".into()], &["drafts".into()]).unwrap();
        let event = Event::new(kind).add_path(Path::new("/srv/brand").join(path));
        let mut heard = translate(&Ok(event), Path::new("/srv/brand"), &selection);
        assert_eq!(heard.len(), 1);
        heard.remove(0)
    }

    fn touched(key: &str, touch: Touch) -> Heard {
        Heard::Tell(WatchEvent::Touched(RelPath::from_key(key).unwrap(), touch))
    }

    fn appeared(key: &str) -> Heard {
        Heard::Appeared(RelPath::from_key(key).unwrap())
    }

    #[test]
    fn every_event_has_its_meaning() {
        let create = |kind| EventKind::Create(kind);
        let name = |mode| EventKind::Modify(ModifyKind::Name(mode));
        let close = |mode| EventKind::Access(AccessKind::Close(mode));
        let remove = |kind| EventKind::Remove(kind);
        let cases = [
            (create(CreateKind::File), "a.png", touched("a.png", Touch::Created)),
            (create(CreateKind::File), "x/a.PNG", touched("x/a.PNG", Touch::Created)),
            (create(CreateKind::File), "a.txt", Heard::Nothing),
            (create(CreateKind::File), "drafts/a.png", Heard::Nothing),
            (create(CreateKind::File), "a.png.meta.toml", touched("a.png.meta.toml", Touch::Created)),
            (create(CreateKind::File), ".a.png.Xa81Zq", Heard::Nothing),
            (create(CreateKind::File), ".dato-mirror-probe", Heard::Probe),
            (create(CreateKind::Folder), "x", appeared("x")),
            (create(CreateKind::Folder), "drafts/x", Heard::Nothing),
            (create(CreateKind::Folder), ".git", Heard::Nothing),
            (EventKind::Modify(ModifyKind::Data(DataChange::Any)), "a.png", touched("a.png", Touch::Changed)),
            (EventKind::Modify(ModifyKind::Metadata(MetadataKind::Any)), "a.png", touched("a.png", Touch::Changed)),
            (close(AccessMode::Write), "a.png", touched("a.png", Touch::Changed)),
            (close(AccessMode::Read), "a.png", Heard::Nothing),
            (EventKind::Access(AccessKind::Read), "a.png", Heard::Nothing),
            (name(RenameMode::From), "a.png", touched("a.png", Touch::Removed)),
            (name(RenameMode::From), "folder", touched("folder", Touch::Removed)),
            (name(RenameMode::From), "drafts", Heard::Nothing),
            (name(RenameMode::To), "a.png", appeared("a.png")),
            (name(RenameMode::To), "folder", appeared("folder")),
            (name(RenameMode::To), ".hidden", Heard::Nothing),
            (remove(RemoveKind::File), "a.png", touched("a.png", Touch::Removed)),
            (remove(RemoveKind::File), "a.txt", Heard::Nothing),
            (remove(RemoveKind::Folder), "x", touched("x", Touch::Removed)),
            (remove(RemoveKind::Folder), "", Heard::RootGone),
            (name(RenameMode::From), "", Heard::RootGone),
            (EventKind::Modify(ModifyKind::Metadata(MetadataKind::Any)), "", Heard::Nothing),
        ];
        for (kind, path, expected) in cases {
            assert_eq!(heard(kind, path), expected, "{kind:?} {path:?}");
        }
    }

    #[test]
    fn events_without_a_path_of_ours_are_told_apart() {
        let selection = Selection::new(&[], &[]).unwrap();
        let root = Path::new("/srv/brand");
        let one = |event| translate(&event, root, &selection);
        assert_eq!(one(Ok(Event::new(EventKind::Other).set_flag(Flag::Rescan))), [Heard::Overflow]);
        let both = Event::new(EventKind::Modify(ModifyKind::Name(RenameMode::Both)));
        assert_eq!(one(Ok(both.add_path(root.join("a")).add_path(root.join("b")))), []);
        let elsewhere = Event::new(EventKind::Create(CreateKind::File)).add_path("/srv/brandnew/a.png".into());
        assert_eq!(one(Ok(elsewhere)), [Heard::Nothing]);
        let unmounted = Event::new(EventKind::Remove(RemoveKind::Other)).set_info("unmount");
        assert_eq!(one(Ok(unmounted.clone().add_path(root.join("x.png")))), [Heard::Rescan]);
        assert_eq!(one(Ok(unmounted.add_path(root.into()))), [Heard::RootGone]);
        assert_eq!(one(Err(Error::new(ErrorKind::MaxFilesWatch))), [Heard::LimitReached]);
        assert_eq!(one(Err(Error::path_not_found())), [Heard::Nothing]);
        let refused = Error::io(io::ErrorKind::PermissionDenied.into()).add_path(root.join("closed"));
        let [Heard::Tell(WatchEvent::Failed(text))] = &one(Err(refused))[..] else { panic!("not told") };
        assert!(text.contains("/srv/brand/closed") && text.contains("permission denied"), "{text}");
    }
}
