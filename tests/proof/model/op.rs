//! The operations that a history is made of.
//!
//! Owns: their names, and how a file changes in the midst of a run. Never does: choosing them (that is `choose`) or living
//! them (that is `history`).

use std::fs;
use std::path::Path;

use dato_mirror::config::policy::{Duplicates, OnDelete, OnRemoteChange, OnRemoteDelete};
use dato_mirror::sandbox::FaultKind;

use super::editor::Act;

/// One thing that happens.
#[derive(Debug, Clone)]
pub enum Op {
    Policy(OnDelete, OnRemoteChange, OnRemoteDelete, Duplicates),
    Write(&'static str, &'static str),
    Touch(&'static str),
    Rename(&'static str, &'static str),
    MoveFolder(&'static str, &'static str),
    Copy(&'static str, &'static str),
    Delete(&'static str),
    Swap(&'static str, &'static str),
    Rewrite(&'static str, &'static str),
    /// An editor, while nothing runs.
    Editor(Act),
    /// A run with an editor who acts right before the call of a route that comes after so many others.
    EditorDuring(&'static str, u64, Act),
    /// A file is saved, and in the run that follows an editor works on its very asset.
    SavedAndEdited(&'static str, &'static str, &'static str, Act),
    /// A run with a change of the folder right before such a call.
    FolderDuring(&'static str, u64, Save),
    Fault(&'static str, FaultKind, u64),
    Crash(u64),
    LoseIndex,
    Backup,
    OldIndex,
    OtherMachine,
    /// A part of the folder reaches another machine, which runs.
    Lagging(u64),
    /// Another mirror's folder changes, and it runs.
    Web(&'static str, Option<&'static str>),
    /// Somebody mirrors another folder under our mirror's name.
    Stranger,
    /// The folder `f` is excluded, or it is not.
    Exclude(bool),
    /// A hundred copies of one content.
    Copies(&'static str),
    Clock(i64),
    Run,
}

/// What happens to a file while the mirror works on it.
#[derive(Debug, Clone, Copy)]
pub enum Save {
    Write(&'static str, &'static str),
    Delete(&'static str),
    /// It goes and comes back as it was.
    Flicker(&'static str),
    Rename(&'static str, &'static str),
    /// A folder takes its place.
    Folder(&'static str),
}

impl Save {
    /// Does it below `root`.
    pub fn apply(self, root: &Path) {
        // Whether there is such a file shows when it is too late: then nothing happens.
        let done = match self {
            Self::Write(path, content) => {
                let path = root.join(path);
                fs::create_dir_all(path.parent().unwrap()).and_then(|()| fs::write(path, content))
            }
            Self::Delete(path) => fs::remove_file(root.join(path)),
            Self::Flicker(path) => fs::read(root.join(path)).and_then(|content| {
                fs::remove_file(root.join(path))?;
                fs::write(root.join(path), content)
            }),
            Self::Rename(from, to) => {
                let to = root.join(to);
                fs::create_dir_all(to.parent().unwrap()).and_then(|()| fs::rename(root.join(from), to))
            }
            Self::Folder(path) => fs::remove_file(root.join(path)).and_then(|()| fs::create_dir(root.join(path))),
        };
        drop(done);
    }
}
