//! Which files are tracks of a video (`clip.en.vtt` beside `clip.mp4`) instead of assets.
//!
//! This module owns that question. It never decides what becomes of a track.

use rusqlite::Connection;

use crate::index::{FileRow, assets, companions};
use crate::model::{Asset, Companion, MirrorStamp};
use crate::sync::absence::Absence;
use crate::sync::scope::Scope;

/// A file that is a track of a video.
#[derive(Debug, Clone)]
pub struct TrackFile {
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
    /// Why the file is not there, should that be so.
    pub absence: Absence,
}

/// The track that the file of a row is. None for a file without a video beside it: it is an asset like any other. A track stays one
/// while its video is gone from the folder, as long as the video's asset is there.
///
/// # Errors
/// SQLite's.
pub fn track_file(conn: &Connection, scope: &Scope, row: &FileRow) -> rusqlite::Result<Option<TrackFile>> {
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
    let absence = scope.absence(row);
    Ok(video.map(|video| TrackFile { row: row.clone(), companion, video, asset, name, entry, absence }))
}
