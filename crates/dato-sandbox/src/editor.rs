//! What people do in the media area while the mirror looks away.
//!
//! Owns: changes that no API call made: editors' edits, records that use uploads, uploads of others.

use std::collections::BTreeSet;
use std::io;

use serde::Serialize;
use serde_json::{Value, json};

use super::antivirus;
use super::bucket::describe;
use super::call::new_id;
use super::entity::{Collection, Upload, asset_url};
use super::metadata::Metadata;
use super::place;
use super::state::{World, slug};
use super::tracks::{self, Track};
use crate::digest::Md5;

/// An asset as it is stored, for assertions.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AssetView {
    /// Its id.
    pub id: String,
    /// Hexadecimal digest of the content.
    pub md5: String,
    /// Bytes.
    pub size: u64,
    /// Its place in the bucket.
    pub path: String,
    /// Where it is served.
    pub url: String,
    /// The name shown.
    pub filename: String,
    /// Tags, in the order kept.
    pub tags: Vec<String>,
    /// `default_field_metadata` in the project's shape.
    pub metadata: Value,
    /// Author line.
    pub author: Option<String>,
    /// Rights line.
    pub copyright: Option<String>,
    /// Internal notes.
    pub notes: Option<String>,
    /// Collection's id.
    pub collection: Option<String>,
    /// Creator, `{"type","id"}`.
    pub creator: Value,
    /// What the antivirus says: `pending`, `clean` or `infected`.
    pub antivirus: String,
    /// ms since 1970.
    pub created_at_ms: i64,
    /// ms since 1970.
    pub updated_at_ms: i64,
}

/// A track of a video as it is stored, for assertions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TrackView {
    /// Its id.
    pub id: String,
    /// `subtitles` or `audio`.
    pub kind: String,
    /// A BCP 47 tag.
    pub language: String,
    /// For the deaf and hard of hearing.
    pub closed_captions: bool,
    /// Hexadecimal digest of the content; empty for an editor's.
    pub md5: String,
}

/// A change of one asset's metadata; `None` leaves a field as it is.
#[derive(Debug, Clone, Default, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Edit {
    /// All tags, in place of the old ones.
    pub tags: Option<Vec<String>>,
    /// `default_field_metadata` in the project's shape, taken in as the API would.
    pub metadata: Option<Value>,
    /// Author line.
    pub author: Option<String>,
    /// Rights line.
    pub copyright: Option<String>,
    /// Internal notes.
    pub notes: Option<String>,
    /// Collection's id; it must exist.
    pub collection: Option<String>,
}

/// An asset to put there without a call: a past that would take long to live through.
#[derive(Debug, Clone)]
pub struct Planted {
    /// Its id.
    pub id: String,
    /// Its name.
    pub filename: String,
    /// Its bytes count for digest and size only; what is served is something else.
    pub content: Vec<u8>,
    /// Its tags.
    pub tags: Vec<String>,
    /// `default_field_metadata` in the project's shape.
    pub metadata: Value,
}

impl World {
    /// Every asset of an environment, by id.
    pub(super) fn views(&mut self, environment: &str) -> Vec<AssetView> {
        let now = self.now();
        self.settle(now);
        let space = self.environments.get(environment);
        space.into_iter().flat_map(|space| space.uploads.values()).map(|upload| self.view(upload)).collect()
    }

    fn view(&self, upload: &Upload) -> AssetView {
        AssetView {
            id: upload.id.clone(),
            md5: upload.file.md5.clone(),
            size: upload.file.size,
            path: upload.path.clone(),
            url: asset_url(&self.base_url, &upload.path),
            filename: upload.filename().to_owned(),
            tags: upload.tags.clone(),
            metadata: upload.metadata.render(self.shape()),
            author: upload.author.clone(),
            copyright: upload.copyright.clone(),
            notes: upload.notes.clone(),
            collection: upload.collection.clone(),
            creator: upload.creator.clone(),
            antivirus: antivirus::name(upload.antivirus).to_owned(),
            created_at_ms: upload.created_at,
            updated_at_ms: upload.updated_at,
        }
    }

    /// Makes a collection at the top.
    pub(super) fn collect(&mut self, environment: &str, label: &str) -> io::Result<String> {
        let space = self.environments.get_mut(environment);
        let space = space.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, environment))?;
        let position = i64::try_from(space.collections.len()).unwrap_or(0) + 1;
        let collection = Collection { id: new_id(), label: label.to_owned(), position, parent: None };
        let id = collection.id.clone();
        self.journal.put("collection", environment, &id, &collection);
        space.collections.insert(id.clone(), collection);
        Ok(id)
    }

    /// Changes metadata. Refused while another change of the asset is running, as the service refuses it to the CMS.
    pub(super) fn edit(&mut self, environment: &str, id: &str, edit: Edit) -> io::Result<()> {
        let now = self.now();
        let mut upload = self.find_asset(environment, id)?;
        if self.environments.get(environment).is_some_and(|space| space.busy.contains(id)) {
            return Err(io::Error::new(io::ErrorKind::ResourceBusy, format!("a change of {id} is running")));
        }
        if let Some(tags) = edit.tags {
            upload.tags = tags;
        }
        if let Some(patch) = edit.metadata {
            let media = upload.file.media();
            let applied = upload.metadata.apply(&patch, self.shape(), media);
            applied.map_err(|refusal| io::Error::other(refusal.details.to_string()))?;
            if self.settings.editors_flatten_custom_data {
                upload.metadata.drop_objects_in(&patch);
            }
        }
        if let Some(collection) = edit.collection {
            let space = self.environments.get(environment);
            if !space.is_some_and(|space| space.collections.contains_key(&collection)) {
                return Err(io::Error::other("no such collection"));
            }
            upload.collection = Some(collection);
        }
        upload.author = edit.author.or(upload.author);
        upload.copyright = edit.copyright.or(upload.copyright);
        upload.notes = edit.notes.or(upload.notes);
        upload.updated_at = now;
        self.put_upload(environment, upload, now);
        Ok(())
    }

    fn find_asset(&mut self, environment: &str, id: &str) -> io::Result<Upload> {
        let now = self.now();
        self.settle(now);
        let space = self.environments.get(environment);
        let found = space.and_then(|space| space.uploads.get(id)).cloned();
        found.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, format!("no asset {id} in {environment}")))
    }

    /// Replaces an asset's bytes at its URL.
    pub(super) fn replace(&mut self, environment: &str, id: &str, content: &[u8]) -> io::Result<()> {
        let now = self.now();
        let mut upload = self.find_asset(environment, id)?;
        upload.file = self.store(upload.filename(), content)?;
        upload.antivirus = antivirus::first(self, &upload.file.md5);
        upload.updated_at = now;
        self.put_file(&upload.path, upload.file.clone());
        self.put_upload(environment, upload, now);
        Ok(())
    }

    fn store(&self, filename: &str, content: &[u8]) -> io::Result<super::entity::StoredFile> {
        let blob = format!("{:032x}", fastrand::u128(..));
        place::write(&self.blobs.join(&blob), content)?;
        let extension = filename.rsplit_once('.').map_or("", |(_, extension)| extension);
        Ok(describe(&self.blobs, blob, content.len() as u64, Md5::of(content), extension))
    }

    /// The tracks of a video.
    pub(super) fn tracks(&mut self, environment: &str, id: &str) -> io::Result<Vec<TrackView>> {
        let upload = self.find_asset(environment, id)?;
        let view = |track: Track| TrackView {
            id: track.id,
            kind: track.kind,
            language: track.language,
            closed_captions: track.closed_captions.unwrap_or(false),
            md5: track.md5,
        };
        Ok(upload.tracks.into_iter().map(view).collect())
    }

    /// Adds a track to a video.
    pub(super) fn add_track(&mut self, environment: &str, id: &str, kind: &str, language: &str) -> io::Result<String> {
        let now = self.now();
        let mut upload = self.find_asset(environment, id)?;
        let track = tracks::foreign(kind, language);
        let made = track.id.clone();
        upload.tracks.push(track);
        self.put_upload(environment, upload, now);
        Ok(made)
    }

    /// Deletes a track of a video.
    pub(super) fn remove_track(&mut self, environment: &str, id: &str, track: &str) -> io::Result<()> {
        let now = self.now();
        let mut upload = self.find_asset(environment, id)?;
        upload.tracks.retain(|known| known.id != track);
        self.put_upload(environment, upload, now);
        Ok(())
    }

    /// Deletes an asset, whatever uses it.
    pub(super) fn erase(&mut self, environment: &str, id: &str) -> io::Result<()> {
        let now = self.now();
        self.find_asset(environment, id)?;
        self.remove_upload(environment, id, now);
        Ok(())
    }

    /// The bytes of an asset.
    pub(super) fn content(&mut self, environment: &str, id: &str) -> io::Result<Vec<u8>> {
        let upload = self.find_asset(environment, id)?;
        let file = self.files.get(&upload.path).ok_or(io::ErrorKind::NotFound)?;
        std::fs::read(self.blobs.join(&file.blob))
    }

    /// Makes a record that uses these uploads; none removes the record.
    pub(super) fn record(&mut self, environment: &str, record: &str, uploads: BTreeSet<String>) -> io::Result<()> {
        let missing = || io::Error::new(io::ErrorKind::NotFound, format!("no environment {environment}"));
        let space = self.environments.get_mut(environment).ok_or_else(missing)?;
        if uploads.is_empty() {
            self.journal.remove("record", environment, record);
            space.records.remove(record);
        } else {
            self.journal.put("record", environment, record, &uploads);
            space.records.insert(record.to_owned(), uploads);
        }
        Ok(())
    }

    /// Makes an upload of someone else.
    pub(super) fn foreign(&mut self, environment: &str, filename: &str, content: &[u8]) -> io::Result<String> {
        let now = self.now();
        let file = self.store(&slug(filename), content)?;
        let path = self.new_path(filename, now);
        Ok(self.foreign_at(environment, path, file, now))
    }

    fn foreign_at(&mut self, environment: &str, path: String, file: super::entity::StoredFile, now: i64) -> String {
        let (id, md5) = (new_id(), file.md5.clone());
        let upload = Upload {
            seq: self.next(),
            id: id.clone(),
            path,
            file,
            author: None,
            copyright: None,
            notes: None,
            tags: vec!["foreign".to_owned()],
            metadata: Metadata::default(),
            collection: None,
            creator: json!({ "type": "account", "id": "1" }),
            antivirus: antivirus::first(self, &md5),
            tracks: Vec::new(),
            created_at: now,
            updated_at: now,
        };
        self.put_file(&upload.path, upload.file.clone());
        self.put_upload(environment, upload, now);
        id
    }

    /// Puts assets there as if they had been made by calls.
    pub(super) fn plant(&mut self, environment: &str, all: Vec<Planted>) -> io::Result<()> {
        let now = self.now();
        let blob = format!("{:032x}", fastrand::u128(..));
        place::write(&self.blobs.join(&blob), b"planted")?;
        self.journal.batch(true);
        for planted in all {
            let extension = planted.filename.rsplit_once('.').map_or("", |(_, extension)| extension);
            let md5 = Md5::of(&planted.content);
            let file = describe(&self.blobs, blob.clone(), planted.content.len() as u64, md5, extension);
            let mut metadata = Metadata::default();
            let applied = metadata.apply(&planted.metadata, self.shape(), file.media());
            applied.map_err(|refusal| io::Error::other(refusal.details.to_string()))?;
            let number = self.next();
            let path = format!("/{}/{}-{number}-{}", self.site_id, now / 1000, planted.filename);
            let upload = Upload {
                seq: number,
                id: planted.id,
                path,
                file,
                author: None,
                copyright: None,
                notes: None,
                tags: planted.tags,
                metadata,
                collection: None,
                creator: json!({ "type": "access_token", "id": "sandbox" }),
                antivirus: antivirus::first(self, &md5.to_string()),
                tracks: Vec::new(),
                created_at: now,
                updated_at: now,
            };
            self.put_file(&upload.path, upload.file.clone());
            self.put_upload(environment, upload, now);
        }
        self.journal.batch(false);
        Ok(())
    }

    /// Makes `count` small uploads of someone else, each with its own digest. They share no bytes with anything and
    /// have none on disk but their number, so that 100,000 take seconds.
    pub(super) fn foreign_many(&mut self, environment: &str, count: usize) -> io::Result<Vec<String>> {
        let now = self.now();
        let blob = format!("{:032x}", fastrand::u128(..));
        place::write(&self.blobs.join(&blob), b"foreign")?;
        self.journal.batch(true);
        let ids = (0..count).map(|_| {
            let number = self.next();
            let content = format!("foreign {number} {}", fastrand::u64(..));
            let file = super::entity::StoredFile {
                blob: blob.clone(),
                size: content.len() as u64,
                md5: Md5::of(content.as_bytes()).to_string(),
                width: None,
                height: None,
                format: Some("txt".to_owned()),
                mime_type: Some("text/plain".to_owned()),
            };
            let path = format!("/{}/{}-foreign-{number}.txt", self.site_id, now / 1000);
            self.foreign_at(environment, path, file, now)
        });
        let ids = ids.collect();
        self.journal.batch(false);
        Ok(ids)
    }
}
