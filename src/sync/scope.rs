//! What observing and planning need beside a row of the index: the mirror, its project, and what the folder wants.
//!
//! This module owns how a path is named in stamps, and what this mirror last pushed to an asset. It decides nothing.

use rusqlite::Connection;

use crate::index::{FileRow, assets, hearsay};
use crate::model::{Asset, FieldKey, MirrorStamp, PathDigest, RelPath, Site};
use crate::sync::absence::Absence;
use crate::sync::desired_state::Desires;
use crate::sync::plan::{Candidate, Sharer};
use crate::sync::video_lookup::VideoLookup;

/// What observing needs beside the index.
#[derive(Debug)]
pub struct Scope {
    /// The mirror's row in the index.
    pub mirror: i64,
    /// The mirror's name.
    pub name: String,
    /// The project.
    pub site: Site,
    /// `stamp = "digest"`: stamps hide paths.
    pub hide_paths: bool,
    /// `duplicates = "share"`.
    pub share: bool,
    /// What the folder wants for each path.
    pub desires: Desires,
    /// [`crate::index::sidecars::changes`] when the metadata files behind `desires` were read.
    pub sidecar_changes: u64,
    /// Sees what is on disk beside the index; `None` where only the index counts.
    pub sight: Option<VideoLookup>,
    /// What is not in the folder is gone, whoever saw it.
    pub authoritative: bool,
}

impl Scope {
    /// How a stamp names `path`.
    #[must_use]
    pub fn stamp_name(&self, path: &RelPath) -> String {
        if self.hide_paths { PathDigest::of(&self.site.id, &self.name, path) } else { path.key().to_owned() }
    }

    /// What it means should the file of `row` not be on disk.
    pub(crate) fn absence(&self, row: &FileRow) -> Absence {
        if row.present {
            return Absence::Gone;
        }
        if self.desires.is_listed(&row.path) {
            // It is on its way, or cannot be fetched just now.
            return Absence::Occupied;
        }
        let place = self.sight.as_ref().map(|sight| (sight.root.as_path(), &*sight.selection));
        Absence::of(row, self.authoritative, place)
    }

    /// `asset` is the one the path has or is to share; none for one that is to be created.
    pub(super) fn sharer(&self, conn: &Connection, row: &FileRow, asset: Option<&Asset>) -> rusqlite::Result<Sharer> {
        Ok(Sharer {
            path: row.path.clone(),
            stamp_name: self.stamp_name(&row.path),
            content: row.md5,
            desired: self.desires.of(conn, row, asset.and_then(Asset::year))?,
        })
    }

    pub(super) fn candidate(&self, conn: &Connection, asset: Asset) -> rusqlite::Result<Candidate> {
        let pushed = self.pushed(conn, &asset)?;
        Ok(Candidate { asset: Box::new(asset), pushed })
    }

    /// What this mirror last pushed: the index's word, which a newer stamp overrides when it is listed. That the mirror made
    /// the asset counts only with a proof.
    pub(crate) fn pushed(&self, conn: &Connection, asset: &Asset) -> rusqlite::Result<Option<MirrorStamp>> {
        self.pushed_of(conn, asset, None)
    }

    /// As [`Scope::pushed`], for the asset of the path `own`.
    pub(super) fn pushed_of(
        &self,
        conn: &Connection,
        asset: &Asset,
        own: Option<&RelPath>,
    ) -> rusqlite::Result<Option<MirrorStamp>> {
        let mut entry = assets::pushed(conn, self.mirror, &asset.id)?;
        if entry.is_none()
            && let Some(stamped) = asset.stamp.0.get(&self.name)
            && hearsay::is_about(conn, &self.name, &asset.id, stamped)?
        {
            entry = Some(stamped.clone());
        }
        if let Some(entry) = &mut entry {
            entry.made = hearsay::is_made(conn, &self.name, &asset.id, entry, own)?;
        }
        let intended = assets::intended(conn, self.mirror, &asset.id)?;
        Ok(entry.map(|mut entry| {
            if let Some(intended) = intended.filter(|intended| has_come_true(intended, &entry, asset)) {
                entry = intended;
            }
            // Bulk moves leave no word in the stamp. An asset that lies where its path puts it follows its path.
            let lies_in = asset.fields.get(&FieldKey::Collection);
            let of_path =
                |path: &String| RelPath::from_key(path).ok().and_then(|path| self.desires.collection_id(&path));
            if let Some(lies_in) = lies_in
                && entry.paths.iter().filter_map(of_path).any(|id| lies_in == id)
            {
                let digest = MirrorStamp::value_digest(lies_in);
                entry.fields.insert(FieldKey::Collection.to_string(), digest);
            }
            entry
        }))
    }
}

/// Whether the bulk call that was to make `entry` into `intended` had its effect on the asset.
fn has_come_true(intended: &MirrorStamp, entry: &MirrorStamp, asset: &Asset) -> bool {
    let key = FieldKey::Collection.to_string();
    let moved = intended.fields.get(&key) == entry.fields.get(&key)
        || intended.fields.get(&key).cloned() == asset.fields.get(&FieldKey::Collection).map(MirrorStamp::value_digest);
    moved && intended.tags.difference(&entry.tags).all(|tag| asset.tags.contains(tag))
}
