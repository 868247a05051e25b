//! Files that are tracks of a video (`clip.en.vtt` beside `clip.mp4`) instead of assets.
//!
//! Owns: which row is one, and what is to be done about it; the calls are in `tracks/work`. What was made is remembered in
//! the stamp of the video's asset, so that a lost index makes no second track and an editor's track is never taken for
//! ours.
//! Called by: `pipeline::pass` (its `tracks` stage), `observe` and `explain`.

mod trouble;
mod work;

use std::path::PathBuf;
use std::sync::Arc;

use rusqlite::Connection;

use crate::config::policy::OnDelete;
use crate::disk::Selection;
use crate::index::{FileRow, assets, companions};
use crate::model::{Asset, Companion, MirrorStamp, RelPath, TrackStamp, video_names};

use super::observe::Scope;

pub use work::{Done, Work};

/// A file that is a track of a video.
#[derive(Debug, Clone)]
pub struct Claim {
    /// The file's row.
    pub row: FileRow,
    /// What track it is.
    pub companion: Companion,
    /// The video's path.
    pub video: String,
    /// The video's asset, once there is one.
    pub asset: Option<Asset>,
    /// How stamps name the file.
    pub name: String,
    /// What the mirror last pushed to the video's asset.
    pub entry: MirrorStamp,
}

/// A look at the disk for a video that is not in the index yet: a large one is still being copied when the small file
/// beside it has settled.
#[derive(Debug, Clone)]
pub struct Sight {
    /// The mirror's root.
    pub root: PathBuf,
    /// Which names count.
    pub selection: Arc<Selection>,
}

impl Sight {
    fn video(&self, stem: &str) -> Option<String> {
        video_names(stem).find(|name| {
            RelPath::from_key(name)
                .is_ok_and(|path| path.below(&self.root).is_file() && self.selection.admits_file(&path))
        })
    }
}

/// What is to be done about a track.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// Nothing.
    Nothing,
    /// It should be there: look.
    Check,
    /// Make it.
    Create,
    /// Make it anew, and delete the one before.
    Replace,
    /// The file is gone: delete it.
    Delete,
    /// The video has no asset yet.
    Wait,
}

impl Due {
    /// The action's name of the report.
    #[must_use]
    pub const fn name(self) -> Option<&'static str> {
        match self {
            Self::Nothing | Self::Check | Self::Wait => None,
            Self::Create => Some("create"),
            Self::Replace => Some("replace"),
            Self::Delete => Some("delete"),
        }
    }
}

/// The claim of a row on a video beside it. None for a file without one: it is an asset like any other. A track stays one
/// while its video is gone from the folder, as long as the video's asset is there.
///
/// # Errors
/// SQLite's.
pub fn claim(conn: &Connection, scope: &Scope, row: &FileRow) -> rusqlite::Result<Option<Claim>> {
    let Some(companion) = Companion::of(&row.path) else { return Ok(None) };
    let video = companions::video_of(conn, scope.mirror, &companion.video_stem)?;
    let asset =
        video.as_ref().and_then(|video| video.asset.as_ref()).map(|id| assets::by_id(conn, id)).transpose()?.flatten();
    let entry = asset.as_ref().map(|asset| scope.pushed(conn, asset)).transpose()?.flatten().unwrap_or_default();
    let name = scope.stamp_name(&row.path);
    let is_there = video.as_ref().is_some_and(|video| video.present) && row.present;
    let video = match video {
        Some(video) if is_there || entry.tracks.contains_key(&name) => Some(video.path.key().to_owned()),
        _ if row.present && row.asset.is_none() => {
            scope.sight.as_ref().and_then(|sight| sight.video(&companion.video_stem))
        }
        _ => None,
    };
    Ok(video.map(|video| Claim { row: row.clone(), companion, video, asset, name, entry }))
}

impl Claim {
    /// What is to be done, as far as the index knows.
    #[must_use]
    pub fn due(&self, on_delete: OnDelete) -> Due {
        let made = self.entry.tracks.get(&self.name);
        if !self.row.present {
            return if on_delete == OnDelete::Delete && made.is_some() { Due::Delete } else { Due::Nothing };
        }
        if self.asset.is_none() {
            return Due::Wait;
        }
        let same = |made: &TrackStamp| Some(&made.md5) == self.row.md5.map(|md5| md5.to_string()).as_ref();
        match made {
            None => Due::Create,
            Some(made) if !same(made) => {
                if made.id.is_some() {
                    Due::Replace
                } else {
                    Due::Create
                }
            }
            Some(made) if made.id.is_none() || made.old.is_some() => Due::Create,
            Some(_) if self.row.base_md5 != self.row.md5 => Due::Check,
            Some(_) => Due::Nothing,
        }
    }

    /// Why, in plain words.
    #[must_use]
    pub fn why(&self, due: Due) -> String {
        let (track, video) = (self.companion.label(), &self.video);
        match due {
            Due::Nothing | Due::Check => format!("it is a track of {video}: {track}"),
            Due::Create => format!("it becomes a track of {video}: {track}"),
            Due::Replace => format!("the content changed: the track of {video} is made anew: {track}"),
            Due::Delete => format!("the file is gone: the track of {video} is deleted: {track}"),
            Due::Wait => format!("it becomes a track of {video}, which is not mirrored yet: {track}"),
        }
    }
}
