//! What the folder wants for each path of one mirror, with all it takes to know it.
//!
//! Owns: the parsed sidecars, the project's locales and the collections' ids; the rule that a metadata file that cannot
//! be read freezes what it is about; and that what the service refused for a file is wanted no more. Reads the index;
//! never the disk.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use embedded_metadata::{Embedded, overlay, read_sidecar};
use jiff::Timestamp;
use rusqlite::Connection;

use crate::config::Mirror;
use crate::config::policy::OnRemoteDelete;
use crate::index::refused::{self, SentValue};
use crate::index::{FileRow, StoredSidecar, sidecars};
use crate::metadata::desired::{Desired, Sources, collection_of, desired};
use crate::metadata::remote_list::{LIST_NAME, RemoteFile, is_list, parse};
use crate::metadata::sidecar::{Sidecar, names_for};
use crate::model::{CollectionId, FieldKey, RelPath, SidecarKind, Site, sidecar_kind};

/// See the module.
#[derive(Debug)]
pub struct Desires {
    mirror: Arc<Mirror>,
    row: i64,
    site: Site,
    sidecars: BTreeMap<String, Arc<Sidecar>>,
    /// By the key of the listed file.
    listed: BTreeMap<String, Arc<Sidecar>>,
    broken: BTreeSet<String>,
    collections: BTreeMap<String, CollectionId>,
}

impl Desires {
    /// Parses the sidecars in TOML; a broken one is told in the second value, as (path, what is wrong). `row` is the
    /// mirror's in the index.
    #[must_use]
    pub fn new(mirror: Arc<Mirror>, row: i64, site: &Site, stored: &[StoredSidecar]) -> (Self, Vec<(String, String)>) {
        let mut all = BTreeMap::new();
        let mut problems = Vec::new();
        let mut listed = BTreeMap::new();
        let mut broken = BTreeSet::new();
        for list in stored.iter().filter(|sidecar| is_list(&sidecar.path)) {
            match parse(&list.path, &list.content) {
                Ok(files) => {
                    let of_list = |file: RemoteFile| (file.path.key().to_owned(), Arc::new(file.sidecar));
                    listed.extend(files.into_iter().map(of_list));
                }
                // Told by who fetches them.
                Err(_) => drop(broken.insert(list.path.clone())),
            }
        }
        for sidecar in stored.iter().filter(|sidecar| sidecar_kind(&sidecar.path).is_some_and(SidecarKind::has_keys)) {
            match Sidecar::parse(&sidecar.path, &sidecar.content) {
                Ok(parsed) => drop(all.insert(sidecar.path.clone(), Arc::new(parsed))),
                Err(wrong) => problems.push((sidecar.path.clone(), wrong.on_one_line())),
            }
        }
        broken.extend(problems.iter().map(|(path, _)| path.clone()));
        (
            Self { mirror, row, site: site.clone(), sidecars: all, listed, broken, collections: BTreeMap::new() },
            problems,
        )
    }

    /// Tells the ids of collections by their labels from the outermost in, joined by `/`.
    pub fn set_collections(&mut self, collections: BTreeMap<String, CollectionId>) {
        self.collections = collections;
    }

    /// Whether a list of files to fetch names this path.
    #[must_use]
    pub fn is_listed(&self, path: &RelPath) -> bool {
        self.listed.contains_key(path.key())
    }

    /// Whether a file whose asset an editor deleted gets another one.
    #[must_use]
    pub fn recreates(&self) -> bool {
        self.mirror.on_remote_delete == OnRemoteDelete::Recreate
    }

    /// The collection that `path` is to lie in, when it is known.
    #[must_use]
    pub fn collection_id(&self, path: &RelPath) -> Option<&str> {
        self.collections.get(&collection_of(&self.mirror, path)?).map(String::as_str)
    }

    /// The labels of the collection with this id, from the outermost in, joined by `/`.
    #[must_use]
    pub fn collection_labels(&self, id: &str) -> Option<&str> {
        self.collections.iter().find(|(_, known)| *known == id).map(|(labels, _)| labels.as_str())
    }

    /// What the folder wants for the path of `row`, whose asset was created in `year`; `None` while it has none.
    ///
    /// # Errors
    /// SQLite's.
    pub fn of(&self, conn: &Connection, row: &FileRow, year: Option<i16>) -> rusqlite::Result<Desired> {
        let mut problems = Vec::new();
        let mut frozen = false;
        let mut embedded: Embedded =
            row.embedded.as_deref().and_then(|json| serde_json::from_str(json).ok()).unwrap_or_default();
        if self.mirror.embedded_metadata {
            problems.extend(embedded.notes.iter().map(|note| format!("metadata in {}: {note}", row.path)));
            for (name, content) in sidecars::xmp_of(conn, self.row, &row.path)? {
                let read = read_sidecar(&content);
                if read.notes.is_empty() {
                    embedded = overlay(embedded, read);
                } else {
                    // Perhaps it is being written: what it said before must not be emptied for that.
                    frozen = true;
                    problems.extend(read.notes.iter().map(|note| format!("{name}: {note}")));
                }
            }
        }
        let names = names_for(&row.path);
        frozen |= names.iter().any(|name| self.broken.contains(name));
        let mut sidecars: Vec<(String, Arc<Sidecar>)> = names
            .into_iter()
            .filter_map(|name| self.sidecars.get(&name).map(|sidecar| (name, sidecar.clone())))
            .collect();
        if row.cached {
            let list = match row.path.folder() {
                "" => LIST_NAME.to_owned(),
                folder => format!("{folder}/{LIST_NAME}"),
            };
            frozen |= self.broken.contains(&list);
            if let Some(listed) = self.listed.get(row.path.key()) {
                // Closer to the file than its folders, but its own sidecar file has the last word.
                let own = sidecars.iter().position(|(name, _)| name.starts_with(row.path.key()));
                sidecars.insert(own.unwrap_or(sidecars.len()), (list, listed.clone()));
            }
        }
        let mut desired = desired(&Sources {
            mirror: &self.mirror,
            path: &row.path,
            embedded: &embedded,
            sidecars: &sidecars,
            locales: &self.site.locales,
            year: year.unwrap_or_else(this_year),
        });
        if let Some(id) = desired.collection.as_ref().and_then(|labels| self.collections.get(labels)) {
            desired.fields.insert(FieldKey::Collection, id.clone().into());
        }
        self.leave_out_refused(conn, row, &mut desired)?;
        desired.frozen = frozen;
        desired.problems.extend(problems);
        Ok(desired)
    }

    /// Takes out what the service refused for this file. Said to be pushed although it cannot be, it would never be pushed
    /// once the service takes it.
    fn leave_out_refused(&self, conn: &Connection, row: &FileRow, desired: &mut Desired) -> rusqlite::Result<()> {
        let field = FieldKey::PosterTime;
        let (Some(content), Some(value)) = (row.md5, desired.fields.get(&field).cloned()) else { return Ok(()) };
        let name = field.to_string();
        let sent = SentValue { content, field, value, by_field: self.site.shape.is_by_field() };
        let Some(cause) = refused::cause(conn, &sent)? else { return Ok(()) };
        desired.fields.remove(&sent.field);
        let origin = desired.origins.remove(&name).map_or_else(String::new, |origin| format!(" in {origin}"));
        desired
            .problems
            .push(format!("{name}{origin} is left out: the service does not take it for this file: {cause}"));
        Ok(())
    }
}

/// The year of an asset that is about to be created.
fn this_year() -> i16 {
    Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).year()
}
