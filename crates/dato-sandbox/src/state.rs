//! The sandbox's state: all of it in memory, every change also in the journal.
//!
//! Owns: environments, uploads, files, tickets and jobs, and the rules that keep them consistent. Never does: HTTP.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::PathBuf;

use serde_json::Value;

use super::entity::{Collection, Environment, EnvironmentRow, StoredFile, Ticket, Upload};
use super::fault::Script;
use super::hold::Holds;
use super::job::Job;
use super::journal::Journal;
use super::log::Log;
use super::metadata::Shape;
use super::place;
use super::rate::Rate;
use super::settings::Settings;

/// Everything.
#[derive(Debug)]
pub(super) struct World {
    pub(super) settings: Settings,
    pub(super) site_id: String,
    pub(super) site_name: String,
    pub(super) base_url: String,
    /// Where blobs are.
    pub(super) blobs: PathBuf,
    pub(super) environments: BTreeMap<String, Environment>,
    pub(super) tickets: HashMap<String, Ticket>,
    /// The bucket's content by path.
    pub(super) files: HashMap<String, StoredFile>,
    /// How many uploads, over all environments, have a path.
    pub(super) path_uses: HashMap<String, u32>,
    /// How many paths have a blob.
    pub(super) blob_uses: HashMap<String, u32>,
    pub(super) jobs: HashMap<String, Job>,
    /// Running jobs by the time they end.
    pub(super) due: BTreeSet<(i64, u64, String)>,
    /// API calls by day.
    pub(super) calls: BTreeMap<String, u64>,
    pub(super) script: Script,
    pub(super) holds: Holds,
    pub(super) log: Log,
    pub(super) rate: Rate,
    pub(super) journal: Journal,
    pub(super) seq: u64,
}

impl World {
    /// The state kept in `journal`, or a new project with the one environment `main`.
    pub(super) fn load(
        settings: Settings,
        site: (String, String),
        base_url: String,
        blobs: PathBuf,
        journal: Journal,
    ) -> rusqlite::Result<Self> {
        let mut world = Self {
            settings,
            site_id: site.0,
            site_name: site.1,
            base_url,
            blobs,
            environments: BTreeMap::new(),
            tickets: HashMap::new(),
            files: HashMap::new(),
            path_uses: HashMap::new(),
            blob_uses: HashMap::new(),
            jobs: HashMap::new(),
            due: BTreeSet::new(),
            calls: BTreeMap::new(),
            script: Script::default(),
            holds: Holds::default(),
            log: Log::default(),
            rate: Rate::default(),
            journal: Journal::none(),
            seq: 0,
        };
        // A fresh project's `main` comes first: rows of later kinds need their environment, and the order of kinds in
        // the journal (alphabetical) does not put it first.
        let main = EnvironmentRow { created_at: world.now(), forked_from: None, primary: true };
        world.environments.insert("main".to_owned(), Environment::new(main));
        journal.load(|kind, environment, id, body| world.take_row(kind, environment, id, body))?;
        world.journal = journal;
        world.sweep();
        if let Some(main) = world.environments.get("main") {
            world.journal.put("environment", "main", "main", &main.row);
        }
        Ok(world)
    }

    /// Removes what a put left behind that never ended.
    fn sweep(&self) {
        let tickets = self.tickets.values().filter_map(|ticket| ticket.stored.as_ref());
        let known: HashSet<&str> = tickets.chain(self.files.values()).map(|file| file.blob.as_str()).collect();
        for entry in std::fs::read_dir(&self.blobs).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let name = name.to_str().unwrap_or_default();
            // Only what looks like ours: the directory may be one that someone named by mistake.
            if place::is_blob(name) && !known.contains(name) {
                // A blob that cannot be removed only costs room in the data directory.
                let _ = std::fs::remove_file(entry.path());
            }
        }
    }

    fn take_row(&mut self, kind: &str, environment: &str, id: &str, body: &str) {
        fn read<T: serde::de::DeserializeOwned>(body: &str) -> Option<T> {
            serde_json::from_str(body).ok()
        }
        let empty = EnvironmentRow { created_at: 0, forked_from: None, primary: false };
        match kind {
            "file" => {
                if let Some(file) = read::<StoredFile>(body) {
                    *self.blob_uses.entry(file.blob.clone()).or_default() += 1;
                    self.files.insert(id.to_owned(), file);
                }
            }
            "ticket" => {
                if let Some(ticket) = read::<Ticket>(body) {
                    self.seq = self.seq.max(ticket.seq);
                    self.tickets.insert(id.to_owned(), ticket);
                }
            }
            "calls" => {
                if let Some(calls) = read(body) {
                    self.calls.insert(id.to_owned(), calls);
                }
            }
            "settings" => {
                // What the caller asks for explicitly wins over what was set in an earlier run.
                if self.settings == Settings::default()
                    && let Some(settings) = read(body)
                {
                    self.settings = settings;
                }
            }
            _ => {
                let space = self.environments.entry(environment.to_owned()).or_insert_with(|| Environment::new(empty));
                match kind {
                    "environment" => {
                        if let Some(row) = read(body) {
                            space.row = row;
                        }
                    }
                    "collection" => {
                        if let Some(collection) = read::<Collection>(body) {
                            space.collections.insert(id.to_owned(), collection);
                        }
                    }
                    "record" => {
                        if let Some(uses) = read(body) {
                            space.records.insert(id.to_owned(), uses);
                        }
                    }
                    "deleted" => {
                        space.deleted.insert(id.to_owned());
                    }
                    "upload" => {
                        if let Some(upload) = read::<Upload>(body) {
                            self.seq = self.seq.max(upload.seq);
                            *self.path_uses.entry(upload.path.clone()).or_default() += 1;
                            space.uploads.insert(id.to_owned(), upload);
                        }
                    }
                    "job" => {
                        if let Some(job) = read::<Job>(body) {
                            self.seq = self.seq.max(job.seq);
                            self.enrol(job);
                        }
                    }
                    _ => {}
                }
            }
        }
    }

    /// The sandbox's clock: ms since 1970.
    pub(super) fn now(&self) -> i64 {
        jiff::Timestamp::now().as_millisecond() + self.settings.clock_offset_ms
    }

    /// The next number; orders things made in the same millisecond.
    pub(super) const fn next(&mut self) -> u64 {
        self.seq += 1;
        self.seq
    }

    /// The metadata shape of the project.
    pub(super) fn shape(&self) -> Shape<'_> {
        let Settings { by_field, poster_time_by_locale, latest_poster_time_s, ref locales, .. } = self.settings;
        Shape { by_field, poster_time_by_locale, latest_poster_time_s, locales }
    }

    /// The name of the primary environment.
    pub(super) fn primary(&self) -> String {
        let primary = self.environments.iter().find(|(_, space)| space.row.primary);
        primary.map_or_else(|| "main".to_owned(), |(name, _)| name.clone())
    }

    /// An upload as the API shows it.
    pub(super) fn show(&self, upload: &Upload) -> Value {
        upload.render(&self.base_url, self.shape(), self.settings.infected_keep_md5)
    }

    /// Stores an upload, new or changed.
    pub(super) fn put_upload(&mut self, environment: &str, upload: Upload, now: i64) {
        let lag = i64::from(self.settings.listing_lag_ms);
        let Some(space) = self.environments.get_mut(environment) else { return };
        self.journal.put("upload", environment, &upload.id, &upload);
        *self.path_uses.entry(upload.path.clone()).or_default() += 1;
        let id = upload.id.clone();
        let before = space.uploads.insert(id.clone(), upload);
        space.note_lag(&id, before.as_ref(), now, lag);
        if let Some(before) = before {
            self.release_path(&before.path);
        }
    }

    /// Removes an upload, and its file when no environment uses it any more.
    pub(super) fn remove_upload(&mut self, environment: &str, id: &str, now: i64) -> Option<Upload> {
        let lag = i64::from(self.settings.listing_lag_ms);
        let space = self.environments.get_mut(environment)?;
        let upload = space.uploads.remove(id)?;
        space.note_lag(id, Some(&upload), now, lag);
        space.deleted.insert(id.to_owned());
        for (record, uses) in &mut space.records {
            if uses.remove(id) {
                self.journal.put("record", environment, record, uses);
            }
        }
        self.journal.remove("upload", environment, id);
        self.journal.put("deleted", environment, id, &true);
        self.release_path(&upload.path);
        Some(upload)
    }

    /// Puts a file at a path of the bucket, in place of what was there.
    pub(super) fn put_file(&mut self, path: &str, file: StoredFile) {
        self.journal.put("file", "", path, &file);
        *self.blob_uses.entry(file.blob.clone()).or_default() += 1;
        if let Some(before) = self.files.insert(path.to_owned(), file) {
            self.release_blob(&before.blob);
        }
    }

    fn release_path(&mut self, path: &str) {
        let Some(uses) = self.path_uses.get_mut(path) else { return };
        *uses = uses.saturating_sub(1);
        if *uses > 0 {
            return;
        }
        self.path_uses.remove(path);
        self.journal.remove("file", "", path);
        if let Some(file) = self.files.remove(path) {
            self.release_blob(&file.blob);
        }
    }

    fn release_blob(&mut self, blob: &str) {
        let Some(uses) = self.blob_uses.get_mut(blob) else { return };
        *uses = uses.saturating_sub(1);
        if *uses == 0 {
            self.blob_uses.remove(blob);
            // A blob that cannot be removed only costs room in the data directory.
            let _ = std::fs::remove_file(self.blobs.join(blob));
        }
    }

    /// Writes a ticket through.
    pub(super) fn put_ticket(&mut self, ticket: Ticket) {
        self.journal.put("ticket", "", &ticket.path, &ticket);
        self.tickets.insert(ticket.path.clone(), ticket);
    }

    /// The bytes put for a path, if they are still there.
    pub(super) fn stored(&self, path: &str) -> Option<&StoredFile> {
        let ticket = self.tickets.get(path)?;
        let stored = ticket.stored.as_ref()?;
        (!ticket.used || self.blob_uses.contains_key(&stored.blob)).then_some(stored)
    }

    /// A path for `filename` that nothing has: `/SITE/SECONDS-name.ext`, as the service makes them.
    pub(super) fn new_path(&self, filename: &str, now: i64) -> String {
        let name = slug(filename);
        let mut seconds = now / 1000;
        loop {
            let path = format!("/{}/{seconds}-{name}", self.site_id);
            if !self.tickets.contains_key(&path) && !self.files.contains_key(&path) {
                return path;
            }
            seconds += 1;
        }
    }

    /// Copies an environment: ids stay, metadata parts ways.
    pub(super) fn fork(&mut self, source: &str, name: &str, now: i64) -> bool {
        if self.environments.contains_key(name) {
            return false;
        }
        let Some(space) = self.environments.get(source) else { return false };
        let mut copy = space.clone();
        copy.row = EnvironmentRow { created_at: now, forked_from: Some(source.to_owned()), primary: false };
        copy.reserved.clear();
        copy.busy.clear();
        copy.lagging.clear();
        self.journal.batch(true);
        self.journal.put("environment", name, name, &copy.row);
        for (id, upload) in &copy.uploads {
            self.journal.put("upload", name, id, upload);
            *self.path_uses.entry(upload.path.clone()).or_default() += 1;
        }
        for (id, collection) in &copy.collections {
            self.journal.put("collection", name, id, collection);
        }
        for (id, uses) in &copy.records {
            self.journal.put("record", name, id, uses);
        }
        self.journal.batch(false);
        self.environments.insert(name.to_owned(), copy);
        true
    }

    /// Makes an environment the primary one; false when there is none of this name.
    pub(super) fn promote(&mut self, name: &str) -> bool {
        if !self.environments.contains_key(name) {
            return false;
        }
        for (other, space) in &mut self.environments {
            let primary = other == name;
            if space.row.primary != primary {
                space.row.primary = primary;
                self.journal.put("environment", other, other, &space.row);
            }
        }
        true
    }
}

impl Environment {
    fn note_lag(&mut self, id: &str, before: Option<&Upload>, now: i64, lag: i64) {
        if lag > 0 {
            self.lagging.retain(|_, (until, _)| *until > now);
            self.lagging.entry(id.to_owned()).or_insert_with(|| (now + lag, before.cloned()));
        }
    }
}

/// A filename as the service makes it fit for a URL: lower case, ASCII, dashes.
pub(super) fn slug(filename: &str) -> String {
    let (stem, extension) = match filename.rsplit_once('.') {
        Some((stem, extension)) if !stem.is_empty() => (stem, extension),
        _ => (filename, ""),
    };
    let clean = |text: &str| {
        let mut out = String::new();
        for c in text.chars() {
            if c.is_ascii_alphanumeric() || c == '_' {
                out.push(c.to_ascii_lowercase());
            } else if !out.is_empty() && !out.ends_with('-') {
                out.push('-');
            }
        }
        out.trim_end_matches('-').to_owned()
    };
    let (mut stem, extension) = (clean(stem), clean(extension));
    stem.truncate(100);
    if stem.is_empty() {
        stem.push_str("file");
    }
    if extension.is_empty() { stem } else { format!("{stem}.{extension}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_fit_for_a_url() {
        let cases = [
            ("image.png", "image.png"),
            ("Digital Cats.JPG", "digital-cats.jpg"),
            ("Café (1).tar.gz", "caf-1-tar.gz"),
            (".hidden", "hidden"),
            ("日本語.svg", "file.svg"),
            ("a/../b.png", "a-b.png"),
            ("\"><script>.svg", "script.svg"),
            ("no extension", "no-extension"),
        ];
        for (name, expected) in cases {
            assert_eq!(slug(name), expected);
        }
    }
}
