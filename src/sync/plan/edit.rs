//! What a change of metadata looks like: the three-way merge of what the folder wants with what editors did, and
//! the stamp that goes along.
//!
//! Owns: how the desires of all paths that share an asset, the last pushed state and the remote state become one
//! [`Edit`]. Pure.

use std::collections::{BTreeMap, BTreeSet};

use crate::metadata::desired::{Desired, unite};
use crate::metadata::merge::{Base, Conflict, Merged, Remote, Wanted, merge};
use crate::model::{Asset, CollectionId, FieldKey, Fields, Md5, MirrorStamp, STAMP_PATHS, Stamp, TrackStamp, UploadId};

use crate::sync::plan::Sharer;

/// The tag that `on_delete = "tag"` puts on the asset of a vanished file.
pub const GONE_TAG: &str = "gone-from-folder";

/// A change of an asset's metadata, complete.
#[derive(Debug, Clone, PartialEq)]
pub struct Edit {
    /// The whole new list; `None` when the tags stay.
    pub tags: Option<Vec<String>>,
    /// Tags of the new list that were not there.
    pub added_tags: BTreeSet<String>,
    /// Whether a tag goes.
    pub removes_tags: bool,
    /// All fields as they will be, foreign ones among them.
    pub fields: Fields,
    /// The fields that change; one that `fields` lacks is emptied.
    pub write: BTreeSet<FieldKey>,
    /// The whole new stamp.
    pub stamp: Stamp,
    /// This mirror's part of it: the base of the next merge.
    pub entry: MirrorStamp,
    /// The stamp says something new that cannot wait for the next change.
    pub stamp_due: bool,
    /// What editor and folder both changed, differently; the editor's stays.
    pub conflicts: Vec<Conflict>,
    /// Something is left that only a second call can write.
    pub unfinished: bool,
}

/// A change that one call makes to many assets.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum BulkChange {
    /// Add these tags, sorted.
    Tags(Vec<String>),
    /// Move into this collection, or to the top.
    Collection(Option<CollectionId>),
}

impl BulkChange {
    /// Whether the asset is as the change leaves it.
    #[must_use]
    pub fn shows(&self, asset: &Asset) -> bool {
        match self {
            Self::Tags(tags) => tags.iter().all(|tag| asset.tags.contains(tag)),
            Self::Collection(id) => {
                asset.fields.get(&FieldKey::Collection).and_then(|value| value.as_str()) == id.as_deref()
            }
        }
    }
}

impl Edit {
    /// The metadata of a new asset for `me`, shared by `followers` from the start.
    #[must_use]
    pub fn of_new(mirror: &str, id: &UploadId, me: &Sharer, followers: &[Sharer], content: Md5) -> Self {
        let mut desired = united(me, followers);
        // The service takes a creator for an asset that is there, not for a new one.
        let unfinished = desired.fields.remove(&FieldKey::Creator).is_some();
        let entry = MirrorStamp {
            paths: bounded(stamp_names(me, followers)),
            md5: content.to_string(),
            accepted: None,
            of: Some(id.clone()),
            made: true,
            ..entry_of(Base::of(&desired.tags, &desired.fields))
        };
        Self {
            tags: (!desired.tags.is_empty()).then(|| desired.tags.iter().cloned().collect()),
            added_tags: desired.tags,
            removes_tags: false,
            write: desired.fields.keys().cloned().collect(),
            fields: desired.fields,
            stamp: Stamp([(mirror.to_owned(), entry.clone())].into()),
            entry,
            stamp_due: true,
            conflicts: Vec::new(),
            unfinished,
        }
    }

    /// Whether a call is needed for it.
    #[must_use]
    pub fn is_due(&self) -> bool {
        self.tags.is_some() || !self.write.is_empty() || self.stamp_due
    }

    /// What a bulk call can say, when that is all it does.
    ///
    /// Such a call leaves the stamp as it is, behind the index. It says then that less was pushed than was, so that a
    /// machine without the index takes a tag for an editor's and leaves it; never more.
    #[must_use]
    pub fn in_bulk(&self) -> Option<BulkChange> {
        if self.stamp_due || self.removes_tags {
            return None;
        }
        if !self.added_tags.is_empty() {
            let tags = || BulkChange::Tags(self.added_tags.iter().cloned().collect());
            return self.write.is_empty().then(tags);
        }
        let only_collection = self.tags.is_none() && self.write.iter().eq([&FieldKey::Collection]);
        let id = || self.fields.get(&FieldKey::Collection).and_then(|id| id.as_str().map(str::to_owned));
        only_collection.then(|| BulkChange::Collection(id()))
    }

    /// In plain words, for the plan.
    #[must_use]
    pub fn summary(&self) -> String {
        let mut parts = Vec::new();
        if !self.added_tags.is_empty() {
            parts.push(format!("add tags {}", list(self.added_tags.iter())));
        }
        if self.removes_tags {
            parts.push("remove tags that no longer apply".into());
        }
        if !self.write.is_empty() {
            parts.push(format!("write {}", list(self.write.iter().map(ToString::to_string))));
        }
        if parts.is_empty() {
            parts.push("write the mirror's stamp".into());
        }
        parts.join("; ")
    }
}

fn list(items: impl Iterator<Item = impl AsRef<str>>) -> String {
    items.map(|item| item.as_ref().to_owned()).collect::<Vec<_>>().join(", ")
}

/// What an edit is made from.
#[derive(Debug, Clone)]
pub struct EditInput<'a> {
    /// The mirror's name.
    pub mirror: &'a str,
    /// The path that asks.
    pub me: &'a Sharer,
    /// The other paths on disk that share the asset.
    pub sharers: &'a [Sharer],
    /// The asset as last listed.
    pub asset: &'a Asset,
    /// What the mirror last pushed to it.
    pub pushed: Option<&'a MirrorStamp>,
    /// Paths that leave the asset, as stamps name them, each with whether the asset's id derives from it.
    pub leaving: Vec<(&'a str, bool)>,
    /// New content that goes along.
    pub content: Option<Md5>,
    /// What the edit is to say of the file.
    pub file: FileIs,
}

/// What an edit says of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileIs {
    /// It is there, and in step with the asset once the edit is written.
    InStep,
    /// It is gone: the tag that says so joins what was pushed.
    Gone,
    /// It is there again, and only a person can decide about its content: the tag leaves what was pushed.
    Back,
}

impl<'a> EditInput<'a> {
    /// The plain case: bring the asset's metadata in step.
    #[must_use]
    pub const fn new(
        mirror: &'a str,
        me: &'a Sharer,
        sharers: &'a [Sharer],
        asset: &'a Asset,
        pushed: Option<&'a MirrorStamp>,
    ) -> Self {
        Self { mirror, me, sharers, asset, pushed, leaving: Vec::new(), content: None, file: FileIs::InStep }
    }

    /// `path` no longer shares the asset; the stamp keeps it where it is the `birth` of the asset.
    #[must_use]
    pub fn leaving(mut self, stamp_name: &'a str, birth: bool) -> Self {
        self.leaving.push((stamp_name, birth));
        self
    }

    /// The asset gets new content in the same call.
    #[must_use]
    pub const fn with_content(mut self, content: Md5) -> Self {
        self.content = Some(content);
        self
    }

    /// Only the tag that says whether the file is gone changes.
    #[must_use]
    pub const fn with_file(mut self, file: FileIs) -> Self {
        self.file = file;
        self
    }
}

/// Makes the edit; [`Edit::is_due`] tells whether there is anything to write.
#[must_use]
pub fn edit(input: &EditInput<'_>) -> Edit {
    let empty = MirrorStamp::default();
    let base = input.pushed.unwrap_or(&empty);
    let desired = match input.file {
        FileIs::InStep => united(input.me, input.sharers),
        FileIs::Gone | FileIs::Back => Desired {
            tags: pushed_tags(base, input.file),
            fields: pushed_fields(base, &input.asset.fields),
            ..Desired::default()
        },
    };
    let wanted_fields = desired.fields;
    let others: BTreeSet<String> = input
        .asset
        .stamp
        .0
        .iter()
        .filter(|(mirror, _)| mirror.as_str() != input.mirror)
        .flat_map(|(_, entry)| entry.tags.iter().cloned())
        .collect();
    let remote = Remote { tags: &input.asset.tags, fields: &input.asset.fields, others: &others };
    let merged = if desired.frozen {
        Merged { tags: input.asset.tags.clone(), pushed: Base::from(base), ..Merged::default() }
    } else if desired.collection.is_some() && !wanted_fields.contains_key(&FieldKey::Collection) {
        without_collection(base, Wanted { tags: &desired.tags, fields: &wanted_fields }, remote)
    } else {
        merge(&Base::from(base), Wanted { tags: &desired.tags, fields: &wanted_fields }, remote)
    };
    // A vanished file is in step with nothing: an editor's file in its place is not what the mirror left.
    let in_step = input.content.or(input.asset.md5).filter(|_| input.file == FileIs::InStep);
    let mut entry = MirrorStamp {
        paths: base.paths.union(&stamp_names(input.me, input.sharers)).cloned().collect(),
        md5: in_step.map_or_else(|| base.md5.clone(), |md5| md5.to_string()),
        accepted: if input.content.is_some() { None } else { base.accepted.clone() },
        of: Some(input.asset.id.clone()),
        born: base.born.clone(),
        made: base.made,
        tracks: tracks_after(base, input.content.is_some()),
        ..entry_of(merged.pushed)
    };
    for (leaving, birth) in &input.leaving {
        entry.paths.remove(*leaving);
        if *birth && entry.made {
            entry.born = Some((*leaving).to_owned());
        }
    }
    entry.paths = bounded(entry.paths);
    if entry.accepted.is_some() {
        entry.md5.clone_from(&base.md5);
    }
    let stamped = input.asset.stamp.0.get(input.mirror);
    // While it is not known whether a track is there, the index alone remembers.
    let tracks_known = entry.tracks.values().all(|track| track.id.is_some());
    let says_more =
        |stamped: &MirrorStamp| entry.paths != stamped.paths || (tracks_known && entry.tracks != stamped.tracks);
    let stamp_due = input.content.is_some() || stamped.is_none_or(says_more);
    let mut stamp = input.asset.stamp.clone();
    stamp.0.insert(input.mirror.to_owned(), entry.clone());
    let before: BTreeSet<String> = input.asset.tags.iter().cloned().collect();
    let after: BTreeSet<String> = merged.tags.iter().cloned().collect();
    let mut fields = input.asset.fields.clone();
    let mut write = BTreeSet::new();
    for (key, value) in merged.set {
        write.insert(key.clone());
        fields.insert(key, value);
    }
    for key in merged.clear {
        fields.remove(&key);
        write.insert(key);
    }
    Edit {
        tags: merged.tags_changed.then_some(merged.tags),
        added_tags: after.difference(&before).cloned().collect(),
        removes_tags: !before.is_subset(&after),
        fields,
        write,
        stamp,
        entry,
        stamp_due,
        conflicts: merged.conflicts,
        unfinished: false,
    }
}

/// Merges all but the collection: one is wanted that could not be found or made, so the asset stays where it is.
fn without_collection(base: &MirrorStamp, wanted: Wanted<'_>, remote: Remote<'_>) -> Merged {
    let name = FieldKey::Collection.to_string();
    let mut others = Base::from(base);
    let pushed = others.fields.remove(&name);
    let mut fields = remote.fields.clone();
    fields.remove(&FieldKey::Collection);
    let mut merged = merge(&others, wanted, Remote { fields: &fields, ..remote });
    merged.pushed.fields.extend(pushed.map(|digest| (name, digest)));
    merged
}

fn united(me: &Sharer, others: &[Sharer]) -> Desired {
    let mut all: Vec<&Sharer> = others.iter().chain([me]).collect();
    all.sort_by(|a, b| a.path.key().cmp(b.path.key()));
    // What could not be used is told of each path by itself.
    let wanted = |sharer: &Sharer| Desired { problems: Vec::new(), ..sharer.desired.clone() };
    unite(all.into_iter().map(wanted))
}

fn entry_of(base: Base) -> MirrorStamp {
    MirrorStamp { tags: base.tags, fields: base.fields, ..MirrorStamp::default() }
}

/// A new file may well be a video without tracks: what companions made has to be looked for.
fn tracks_after(base: &MirrorStamp, new_file: bool) -> BTreeMap<String, TrackStamp> {
    let mut tracks = base.tracks.clone();
    if new_file {
        tracks.values_mut().for_each(|track| track.id = None);
    }
    tracks
}

fn stamp_names(me: &Sharer, others: &[Sharer]) -> BTreeSet<String> {
    others.iter().chain([me]).map(|sharer| sharer.stamp_name.clone()).collect()
}

/// The first so many: the same on every machine.
fn bounded(mut names: BTreeSet<String>) -> BTreeSet<String> {
    if let Some(first_left_out) = names.iter().nth(STAMP_PATHS).cloned() {
        drop(names.split_off(&first_left_out));
    }
    names
}

/// The tags as pushed, with or without the one that says that the file is gone.
fn pushed_tags(base: &MirrorStamp, file: FileIs) -> BTreeSet<String> {
    let mut tags = base.tags.clone();
    match file {
        FileIs::Gone => drop(tags.insert(GONE_TAG.to_owned())),
        FileIs::Back | FileIs::InStep => drop(tags.remove(GONE_TAG)),
    }
    tags
}

/// The fields on the remote that are still as pushed.
fn pushed_fields(base: &MirrorStamp, remote: &Fields) -> Fields {
    remote
        .iter()
        .filter(|(key, value)| base.pushed(key, value))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

#[cfg(test)]
mod tests;
