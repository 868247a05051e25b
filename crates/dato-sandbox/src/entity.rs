//! The things a media area is made of, as the sandbox keeps them.
//!
//! Owns: the stored forms (journal rows) and how an upload is shown. Never does: changing the state.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::metadata::{Media, Metadata, Shape};
use super::tracks::Track;

/// What the service's antivirus says of an asset's file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Antivirus {
    /// Not looked at yet.
    Pending,
    /// Harmless.
    #[default]
    Clean,
    /// Harmful: the file is deleted, the asset stays.
    Infected,
}

/// Bytes in the bucket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct StoredFile {
    /// The file's name in the data directory.
    pub(super) blob: String,
    /// Bytes.
    pub(super) size: u64,
    /// Hexadecimal.
    pub(super) md5: String,
    pub(super) width: Option<u32>,
    pub(super) height: Option<u32>,
    pub(super) format: Option<String>,
    pub(super) mime_type: Option<String>,
}

/// A permission to put bytes in the bucket.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Ticket {
    pub(super) seq: u64,
    pub(super) path: String,
    /// The signature in the URL.
    pub(super) secret: String,
    /// What `request_headers` must repeat.
    pub(super) nonce: String,
    /// ms since 1970.
    pub(super) expires: i64,
    /// What was put.
    pub(super) stored: Option<StoredFile>,
    /// Whether an upload has taken the bytes.
    pub(super) used: bool,
}

/// One asset.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Upload {
    pub(super) seq: u64,
    pub(super) id: String,
    pub(super) path: String,
    pub(super) file: StoredFile,
    pub(super) author: Option<String>,
    pub(super) copyright: Option<String>,
    pub(super) notes: Option<String>,
    pub(super) tags: Vec<String>,
    pub(super) metadata: Metadata,
    pub(super) collection: Option<String>,
    /// `{"type","id"}`.
    pub(super) creator: Value,
    #[serde(default)]
    pub(super) antivirus: Antivirus,
    /// Of a video.
    #[serde(default)]
    pub(super) tracks: Vec<Track>,
    /// ms since 1970.
    pub(super) created_at: i64,
    /// ms since 1970.
    pub(super) updated_at: i64,
}

/// A folder of the media area.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Collection {
    pub(super) id: String,
    pub(super) label: String,
    pub(super) position: i64,
    pub(super) parent: Option<String>,
}

/// What of an environment is kept as one row.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct EnvironmentRow {
    pub(super) created_at: i64,
    pub(super) forked_from: Option<String>,
    pub(super) primary: bool,
}

/// An isolated copy of the project: its own metadata, the same files.
#[derive(Debug, Clone)]
pub(super) struct Environment {
    pub(super) row: EnvironmentRow,
    pub(super) uploads: BTreeMap<String, Upload>,
    pub(super) collections: BTreeMap<String, Collection>,
    /// Records by id, with the uploads they use.
    pub(super) records: BTreeMap<String, BTreeSet<String>>,
    /// Ids that running creates have reserved.
    pub(super) reserved: HashSet<String>,
    /// Uploads that a running update is working on.
    pub(super) busy: HashSet<String>,
    /// Ids of deleted uploads.
    pub(super) deleted: HashSet<String>,
    /// What listings still show: until when (ms), and the upload as it was.
    pub(super) lagging: HashMap<String, (i64, Option<Upload>)>,
}

impl Environment {
    pub(super) fn new(row: EnvironmentRow) -> Self {
        Self {
            row,
            uploads: BTreeMap::new(),
            collections: BTreeMap::new(),
            records: BTreeMap::new(),
            reserved: HashSet::new(),
            busy: HashSet::new(),
            deleted: HashSet::new(),
            lagging: HashMap::new(),
        }
    }

    /// Records that use an upload.
    pub(super) fn users_of<'a>(&'a self, upload: &'a str) -> impl Iterator<Item = &'a str> {
        self.records.iter().filter(move |(_, uses)| uses.contains(upload)).map(|(record, _)| record.as_str())
    }

    /// Every upload that a record uses.
    pub(super) fn in_use(&self) -> HashSet<&str> {
        self.records.values().flatten().map(String::as_str).collect()
    }
}

impl StoredFile {
    /// What kind of asset it makes.
    pub(super) fn media(&self) -> Media {
        match self.mime_type.as_deref() {
            Some(mime) if mime.starts_with("image/") => Media::Image,
            Some(mime) if mime.starts_with("video/") => Media::Video,
            _ => Media::Other,
        }
    }
}

impl Upload {
    /// The file's name, as the media area shows it: the path without folder and time stamp.
    pub(super) fn filename(&self) -> &str {
        let name = self.path.rsplit('/').next().unwrap_or(&self.path);
        name.split_once('-').map_or(name, |(_, rest)| rest)
    }

    /// The name without its extension.
    pub(super) fn basename(&self) -> &str {
        let name = self.filename();
        name.rsplit_once('.').map_or(name, |(stem, _)| stem)
    }

    /// The resource object.
    pub(super) fn render(&self, base_url: &str, shape: Shape<'_>, infected_keep_md5: bool) -> Value {
        let has_md5 = self.antivirus != Antivirus::Infected || infected_keep_md5;
        let image = self.file.media() == Media::Image;
        let video = self.file.media() == Media::Video;
        let collection = self.collection.as_ref().map(|id| json!({ "type": "upload_collection", "id": id }));
        json!({
            "id": self.id,
            "type": "upload",
            "attributes": {
                "size": self.file.size,
                "width": self.file.width,
                "height": self.file.height,
                "path": self.path,
                "basename": self.basename(),
                "filename": self.filename(),
                "url": asset_url(base_url, &self.path),
                "format": self.file.format,
                "author": self.author,
                "copyright": self.copyright,
                "notes": self.notes,
                "md5": has_md5.then_some(&self.file.md5),
                "duration": if video { json!(1) } else { Value::Null },
                "frame_rate": if video { json!(25) } else { Value::Null },
                "blurhash": if image && self.file.width.is_some() { json!("LEHV6nWB2yk8pyo0adR*.7kCMdnj") } else { Value::Null },
                "thumbhash": Value::Null,
                "mux_playback_id": Value::Null,
                "mux_mp4_highest_res": Value::Null,
                "default_field_metadata": self.metadata.render(shape),
                "is_image": image,
                "created_at": rfc3339(self.created_at),
                "updated_at": rfc3339(self.updated_at),
                "mime_type": self.file.mime_type,
                "tags": self.tags,
                "smart_tags": [],
                "exif_info": {},
                "colors": [],
            },
            "relationships": {
                "creator": { "data": self.creator },
                "upload_collection": { "data": collection },
            },
            "meta": { "antivirus": {
                "status": self.antivirus,
                "checked_at": (self.antivirus != Antivirus::Pending).then(|| rfc3339(self.updated_at)),
                "threat_name": (self.antivirus == Antivirus::Infected).then_some("Sandbox-Test-File"),
            } },
        })
    }
}

/// Where a path is served. The path holds only characters that need no escaping.
pub(super) fn asset_url(base_url: &str, path: &str) -> String {
    format!("{base_url}/_assets{path}")
}

/// RFC 3339 in UTC with milliseconds, as the service prints times.
pub(super) fn rfc3339(ms: i64) -> String {
    let time = jiff::Timestamp::from_millisecond(ms).unwrap_or_default();
    time.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}
