//! One mirror: a folder and how it is mirrored.
//!
//! Owns: the keys of `[[mirror]]` and `[[mirror.rule]]`, their defaults, and the digest that tells when they changed.
//! Never does: looking at the folder's files.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::document::{Found, Section};
use super::folders::Folders;
use super::pattern::Pattern;
use super::policy::{
    Collections, Duplicates, MaxDelete, OnChange, OnDelete, OnRemoteChange, OnRemoteDelete, OnRename, StampMode, Watch,
};
use super::problem::Place;
use super::value::Wrong;
use crate::config::layer::Layer;
use crate::model::Md5;

/// A folder and how it is mirrored.
#[derive(Debug, Clone, PartialEq)]
pub struct Mirror {
    /// Unique among the mirrors; part of every derived id, so renaming a mirror makes new assets.
    pub name: String,
    /// Where the name comes from, for people.
    pub name_origin: String,
    /// The folder, absolute.
    pub root: PathBuf,
    /// Globs of what to mirror; empty for everything. Each is a valid [`Pattern`].
    pub include: Vec<String>,
    /// Globs of what to leave out, besides the built-in list. Each is a valid [`Pattern`].
    pub exclude: Vec<String>,
    /// How long a file must be quiet before it is read.
    pub settle: Duration,
    /// How changes are noticed.
    pub watch: Watch,
    /// Time between two polls, where polled.
    pub poll_interval: Duration,
    /// Time between two full scans, whatever the watcher says.
    pub rescan_interval: Duration,
    /// Time between two looks at the remote for editors' changes.
    pub remote_refresh: Duration,
    /// A file's content changed.
    pub on_change: OnChange,
    /// A file was renamed or moved.
    pub on_rename: OnRename,
    /// A file is gone.
    pub on_delete: OnDelete,
    /// An editor replaced an asset's file.
    pub on_remote_change: OnRemoteChange,
    /// An editor deleted an asset.
    pub on_remote_delete: OnRemoteDelete,
    /// Two paths have the same content.
    pub duplicates: Duplicates,
    /// How much one run may delete.
    pub max_delete: MaxDelete,
    /// Whether what is not in the folder is gone, also for an index that never saw it.
    pub authoritative: bool,
    /// Which collection holds the assets.
    pub collections: Collections,
    /// How the stamp names paths.
    pub stamp: StampMode,
    /// Metadata for every file of the mirror.
    pub layer: Layer,
    /// Whether metadata in the files is used.
    pub embedded_metadata: bool,
    /// Where to write the list of assets for a site build, absolute.
    pub manifest: Option<PathBuf>,
    /// Whether to write TypeScript types beside the manifest.
    pub manifest_types: bool,
    /// Whether to follow a replaced file's URL until it serves the new bytes.
    pub verify_live: bool,
    /// Whether `_remote.toml` may name private addresses.
    pub allow_private_urls: bool,
    /// Exceptions, in order; later ones win.
    pub rules: Vec<Rule>,
}

/// What is different for some files of a mirror.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// Which files.
    pub pattern: Pattern,
    /// Metadata for them.
    pub layer: Layer,
    /// Their collection, when not the mirror's.
    pub collections: Option<Collections>,
}

/// The keys that an environment variable can set for the mirror of `--root`.
pub(super) const PLAIN_KEYS: [&str; 28] = [
    "name",
    "root",
    "include",
    "exclude",
    "settle",
    "watch",
    "poll_interval",
    "rescan_interval",
    "remote_refresh",
    "on_change",
    "on_rename",
    "on_delete",
    "on_remote_change",
    "on_remote_delete",
    "duplicates",
    "max_delete",
    "authoritative",
    "collections",
    "stamp",
    "tags",
    "author",
    "copyright",
    "notes",
    "embedded_metadata",
    "manifest",
    "manifest_types",
    "verify_live",
    "allow_private_urls",
];

/// Where the name comes from when nobody gave one.
const FOLDER_NAME: &str = "the folder's name";
const HOUR: Duration = Duration::from_secs(3600);

impl Mirror {
    /// A mirror with every key at its default.
    #[must_use]
    pub fn new(name: impl Into<String>, root: impl Into<PathBuf>) -> Self {
        Self {
            name: name.into(),
            name_origin: FOLDER_NAME.to_owned(),
            root: root.into(),
            include: Vec::new(),
            exclude: Vec::new(),
            settle: Duration::from_secs(2),
            watch: Watch::default(),
            poll_interval: Duration::from_secs(30),
            rescan_interval: HOUR,
            remote_refresh: 6 * HOUR,
            on_change: OnChange::default(),
            on_rename: OnRename::default(),
            on_delete: OnDelete::default(),
            on_remote_change: OnRemoteChange::default(),
            on_remote_delete: OnRemoteDelete::default(),
            duplicates: Duplicates::default(),
            max_delete: MaxDelete::default(),
            authoritative: false,
            collections: Collections::default(),
            stamp: StampMode::default(),
            layer: Layer::default(),
            embedded_metadata: true,
            manifest: None,
            manifest_types: false,
            verify_live: false,
            allow_private_urls: false,
            rules: Vec::new(),
        }
    }

    /// Reads a mirror. `root` is where it is when not told by the section: from `--root` or its variable; `name`: from
    /// `--name`.
    pub(super) fn read(
        mut section: Section<'_>,
        root: Option<Found<PathBuf>>,
        name: Option<&str>,
        folders: &Folders<'_>,
    ) -> Self {
        let flag = name.and_then(|name| match valid_name(name.to_owned()) {
            Ok(value) => Some(Found { value, place: Place::Flag("--name") }),
            Err(wrong) => {
                section.findings().add(Place::Flag("--name"), format!("`--name` {}", wrong.message), wrong.advice);
                None
            }
        });
        let in_section = section.check("name", valid_name);
        let name = flag.or(in_section);
        if let Some(found) = &name {
            section.rename(format!("mirror.{}.", found.value));
        }
        let given = root.is_some();
        let in_section = section.get::<PathBuf>("root");
        let root = root.or(in_section);
        if root.is_none() && !given {
            section.missing("root", "say which folder to mirror: root = \"/srv/brand\"");
        }
        if name.is_none() && !given {
            section.missing("name", "give it a name that will not change: name = \"brand\"");
        }
        // One that cannot be told is a finding already, so nothing is ever mirrored from here.
        let root = root.and_then(|found| folders.absolute(&found, section.findings())).unwrap_or_default();
        let plain = match name {
            Some(Found { value, place }) => Self { name_origin: place.to_string(), ..Self::new(value, root) },
            None => Self::new(default_name(&root), root),
        };
        let mut patterns = |key| {
            let found = section.get::<Vec<Pattern>>(key);
            found.map_or_else(Vec::new, |found| found.value.iter().map(|one| one.as_str().to_owned()).collect())
        };
        let (include, exclude) = (patterns("include"), patterns("exclude"));
        let mut interval =
            |key, default| section.check(key, not_zero).map_or(default, |found: Found<Duration>| found.value);
        let poll_interval = interval("poll_interval", plain.poll_interval);
        let rescan_interval = interval("rescan_interval", plain.rescan_interval);
        let remote_refresh = interval("remote_refresh", plain.remote_refresh);
        let manifest = section.get::<PathBuf>("manifest");
        let manifest = manifest.and_then(|found| folders.absolute(&found, section.findings()));
        let manifest_types = section.get("manifest_types");
        if let (Some(Found { value: true, place }), None) = (&manifest_types, &manifest) {
            let advice = "add manifest = \"assets.json\": the types are written beside it";
            section.findings().add(place.clone(), "`manifest_types` needs a manifest", advice);
        }
        let mirror = Self {
            include,
            exclude,
            settle: section.or("settle", plain.settle),
            watch: section.or("watch", plain.watch),
            poll_interval,
            rescan_interval,
            remote_refresh,
            on_change: section.or("on_change", plain.on_change),
            on_rename: section.or("on_rename", plain.on_rename),
            on_delete: section.or("on_delete", plain.on_delete),
            on_remote_change: section.or("on_remote_change", plain.on_remote_change),
            on_remote_delete: section.or("on_remote_delete", plain.on_remote_delete),
            duplicates: section.or("duplicates", plain.duplicates),
            max_delete: section.or("max_delete", plain.max_delete),
            authoritative: section.or("authoritative", plain.authoritative),
            collections: section.or("collections", plain.collections),
            stamp: section.or("stamp", plain.stamp),
            layer: Layer::read(&mut section),
            embedded_metadata: section.or("embedded_metadata", plain.embedded_metadata),
            manifest,
            manifest_types: manifest_types.is_some_and(|found| found.value),
            verify_live: section.or("verify_live", plain.verify_live),
            allow_private_urls: section.or("allow_private_urls", plain.allow_private_urls),
            rules: section.tables("rule", "[[mirror.rule]]").into_iter().filter_map(Rule::read).collect(),
            name: plain.name,
            name_origin: plain.name_origin,
            root: plain.root,
        };
        section.finish();
        mirror
    }

    /// A digest of everything that decides about a file's action or metadata. When it changes, every file of the
    /// mirror is planned anew.
    #[must_use]
    pub fn policy_digest(&self) -> String {
        // What only says when to look, not what to do, is set to one value.
        let zero = Duration::ZERO;
        let relevant = Self {
            settle: zero,
            watch: Watch::Auto,
            poll_interval: zero,
            rescan_interval: zero,
            remote_refresh: zero,
            max_delete: MaxDelete::default(),
            manifest: None,
            manifest_types: false,
            verify_live: false,
            allow_private_urls: false,
            root: PathBuf::new(),
            name_origin: String::new(),
            ..self.clone()
        };
        Md5::of(format!("{relevant:?}").as_bytes()).to_string()
    }
}

impl Rule {
    fn read(mut section: Section<'_>) -> Option<Self> {
        let pattern = section.get::<Pattern>("match");
        if pattern.is_none() {
            section.missing("match", "say which files it is for: match = \"logos/**\"");
        }
        let layer = Layer::read(&mut section);
        let collections = section.get("collections").map(|found| found.value);
        section.finish();
        Some(Self { pattern: pattern?.value, layer, collections })
    }
}

/// The name of a mirror, without the white space around it.
///
/// # Errors
/// What is wrong with it.
#[expect(clippy::needless_pass_by_value, reason = "the shape of a check")]
pub fn valid_name(name: String) -> Result<String, Wrong> {
    let trimmed = name.trim();
    if trimmed.is_empty() {
        Err(Wrong::new("is empty", "give the mirror a name that will not change"))
    } else if trimmed.chars().any(char::is_control) {
        Err(Wrong::new("has a control character in it", "use letters, digits and dashes"))
    } else {
        Ok(trimmed.to_owned())
    }
}

fn not_zero(value: Duration) -> Result<Duration, Wrong> {
    if value.is_zero() { Err(Wrong::new("must be more than no time at all", "for example \"30s\"")) } else { Ok(value) }
}

/// The name of a mirror made by `--root`: its folder's name.
#[must_use]
pub fn default_name(root: &Path) -> String {
    let name = root.file_name().map(|name| name.to_string_lossy().replace(char::is_control, "?"));
    name.filter(|name| !name.trim().is_empty()).unwrap_or_else(|| "root".to_owned())
}

/// Where a mirror was configured, for problems about two of them.
pub(super) struct Placed {
    pub(super) mirror: Mirror,
    pub(super) place: Place,
}
