//! What others do in the media area while a mirror is at work: editors, records, other programs.
//!
//! Owns: the calls by which a test or the demo does it, and looks at what it came to. The changes themselves are in
//! `editor`, `tracks` and `state`.

use std::collections::BTreeSet;
use std::io;

use serde_json::json;

use super::bulk;
use super::state::World;
use super::{Edit, Planted, Sandbox, TrackView};

impl Sandbox {
    fn edited<T>(
        &self,
        environment: Option<&str>,
        change: impl FnOnce(&mut World, &str) -> io::Result<T>,
    ) -> io::Result<T> {
        let mut world = self.shared.world();
        let environment = environment.map_or_else(|| world.primary(), str::to_owned);
        change(&mut world, &environment)
    }

    /// The bytes of an asset.
    ///
    /// # Errors
    /// When there is no such asset.
    pub fn content(&self, environment: Option<&str>, id: &str) -> io::Result<Vec<u8>> {
        self.edited(environment, |world, environment| world.content(environment, id))
    }

    /// The tracks of a video.
    ///
    /// # Errors
    /// When there is no such asset.
    pub fn tracks(&self, environment: Option<&str>, id: &str) -> io::Result<Vec<TrackView>> {
        self.edited(environment, |world, environment| world.tracks(environment, id))
    }

    /// Adds a track (`subtitles` or `audio`, and its language) to a video, as an editor would; gives its id.
    ///
    /// # Errors
    /// When there is no such asset.
    pub fn add_track(&self, environment: Option<&str>, id: &str, kind: &str, language: &str) -> io::Result<String> {
        self.edited(environment, |world, environment| world.add_track(environment, id, kind, language))
    }

    /// Deletes a track of a video, as an editor would.
    ///
    /// # Errors
    /// When there is no such asset.
    pub fn remove_track(&self, environment: Option<&str>, id: &str, track: &str) -> io::Result<()> {
        self.edited(environment, |world, environment| world.remove_track(environment, id, track))
    }

    /// Changes an asset's metadata, as an editor would.
    ///
    /// # Errors
    /// When there is no such asset or the metadata has the wrong shape.
    pub fn edit_metadata(&self, environment: Option<&str>, id: &str, edit: Edit) -> io::Result<()> {
        self.edited(environment, |world, environment| world.edit(environment, id, edit))
    }

    /// Replaces an asset's tags, as an editor would.
    ///
    /// # Errors
    /// When there is no such asset.
    pub fn edit_tags(&self, environment: Option<&str>, id: &str, tags: &[&str]) -> io::Result<()> {
        let tags = tags.iter().map(|tag| (*tag).to_owned()).collect();
        self.edit_metadata(environment, id, Edit { tags: Some(tags), ..Edit::default() })
    }

    /// Gives these assets tags more in one go, as an editor who has selected them would.
    ///
    /// # Errors
    /// When one of them is not there, or they are too many for one call.
    pub fn bulk_tag(&self, environment: Option<&str>, ids: &[&str], tags: &[&str]) -> io::Result<()> {
        let uploads: Vec<_> = ids.iter().map(|id| json!({ "type": "upload", "id": id })).collect();
        let body = json!({ "data": {
            "type": "upload_bulk_tag_operation",
            "attributes": { "tags": tags },
            "relationships": { "uploads": { "data": uploads } },
        } });
        self.edited(environment, |world, environment| {
            let now = world.now();
            let done = bulk::perform(world, environment, "tag", &body, now);
            let (_, told) = done.map_err(|refusal| io::Error::other(refusal.details.to_string()))?;
            let failed = told.pointer("/meta/failed").and_then(serde_json::Value::as_u64).unwrap_or_default();
            if failed == 0 { Ok(()) } else { Err(io::Error::other(format!("{failed} are not there"))) }
        })
    }

    /// Replaces an asset's bytes at its URL, as an editor would.
    ///
    /// # Errors
    /// When there is no such asset or the disk fails.
    pub fn replace_content(&self, environment: Option<&str>, id: &str, content: &[u8]) -> io::Result<()> {
        self.edited(environment, |world, environment| world.replace(environment, id, content))
    }

    /// Deletes an asset, as an editor would.
    ///
    /// # Errors
    /// When there is no such asset.
    pub fn delete_asset(&self, environment: Option<&str>, id: &str) -> io::Result<()> {
        self.edited(environment, |world, environment| world.erase(environment, id))
    }

    /// Makes a record that uses these uploads; with none the record goes.
    ///
    /// # Errors
    /// When there is no such environment.
    pub fn add_reference(&self, environment: Option<&str>, record: &str, uploads: &[&str]) -> io::Result<()> {
        let uploads: BTreeSet<_> = uploads.iter().map(|id| (*id).to_owned()).collect();
        self.edited(environment, |world, environment| world.record(environment, record, uploads))
    }

    /// Makes an asset of someone else; gives its id.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn create_foreign(&self, environment: Option<&str>, filename: &str, content: &[u8]) -> io::Result<String> {
        self.edited(environment, |world, environment| world.foreign(environment, filename, content))
    }

    /// Makes many small assets of someone else, fast; gives their ids.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn create_foreign_many(&self, environment: Option<&str>, count: usize) -> io::Result<Vec<String>> {
        self.edited(environment, |world, environment| world.foreign_many(environment, count))
    }

    /// Puts assets there as if they had been made by calls, thousands in a moment.
    ///
    /// # Errors
    /// When the metadata has the wrong shape or the disk fails.
    pub fn plant(&self, environment: Option<&str>, all: Vec<Planted>) -> io::Result<()> {
        self.edited(environment, |world, environment| world.plant(environment, all))
    }

    /// The antivirus looks at what it has not looked at yet.
    ///
    /// # Errors
    /// None.
    pub fn scan(&self, environment: Option<&str>) -> io::Result<()> {
        self.edited(environment, |world, environment| {
            world.scan(environment);
            Ok(())
        })
    }

    /// Makes a collection at the top, as an editor would; gives its id.
    ///
    /// # Errors
    /// When there is no such environment.
    pub fn create_collection(&self, environment: Option<&str>, label: &str) -> io::Result<String> {
        self.edited(environment, |world, environment| world.collect(environment, label))
    }

    /// Copies an environment; false when the name is taken or the source does not exist.
    #[must_use]
    pub fn fork(&self, source: &str, name: &str) -> bool {
        let mut world = self.shared.world();
        let now = world.now();
        world.settle(now);
        world.fork(source, name, now)
    }

    /// Makes an environment the primary one, as somebody does in the CMS; false when there is none of this name.
    #[must_use]
    pub fn promote(&self, name: &str) -> bool {
        let mut world = self.shared.world();
        let now = world.now();
        world.settle(now);
        world.promote(name)
    }
}
