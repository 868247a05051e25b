//! What the folder wants for each path of one mirror, with all it takes to know it.
//!
//! Owns: the parsed sidecars, the project's locales and the collections' ids. Reads nothing itself.
//! Called by: `pipeline::observe` and `explain`.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::config::Mirror;
use crate::config::policy::OnRemoteDelete;
use crate::index::StoredSidecar;
use crate::metadata::desired::{Desired, Sources, desired};
use crate::metadata::embedded::Embedded;
use crate::metadata::sidecar::{Sidecar, is_sidecar, names_for};
use crate::model::{CollectionId, FieldKey, RelPath};

/// See the module.
#[derive(Debug)]
pub struct Desires {
    mirror: Arc<Mirror>,
    locales: Vec<String>,
    sidecars: BTreeMap<String, Arc<Sidecar>>,
    collections: BTreeMap<String, CollectionId>,
    year: i16,
}

impl Desires {
    /// Parses the sidecars; a broken one is left out and told in the second value, as (path, what is wrong).
    #[must_use]
    pub fn new(
        mirror: Arc<Mirror>,
        locales: Vec<String>,
        stored: &[StoredSidecar],
        year: i16,
    ) -> (Self, Vec<(String, String)>) {
        let mut sidecars = BTreeMap::new();
        let mut broken = Vec::new();
        for sidecar in stored.iter().filter(|sidecar| is_sidecar(&sidecar.path)) {
            match Sidecar::parse(&sidecar.path, &sidecar.content) {
                Ok(parsed) => {
                    sidecars.insert(sidecar.path.clone(), Arc::new(parsed));
                }
                Err(problems) => broken.push((sidecar.path.clone(), problems.render(false))),
            }
        }
        (Self { mirror, locales, sidecars, collections: BTreeMap::new(), year }, broken)
    }

    /// Tells the ids of collections by their labels from the outermost in, joined by `/`.
    pub fn set_collections(&mut self, collections: BTreeMap<String, CollectionId>) {
        self.collections = collections;
    }

    /// Whether a file whose asset an editor deleted gets another one.
    #[must_use]
    pub fn recreates(&self) -> bool {
        self.mirror.on_remote_delete == OnRemoteDelete::Recreate
    }

    /// What the folder wants for `path`; `embedded` is what the index keeps of the file's own metadata.
    #[must_use]
    pub fn of(&self, path: &RelPath, embedded: Option<&str>) -> Desired {
        let embedded: Embedded = embedded.and_then(|json| serde_json::from_str(json).ok()).unwrap_or_default();
        let sidecars: Vec<(String, Arc<Sidecar>)> = names_for(path)
            .into_iter()
            .filter_map(|name| self.sidecars.get(&name).map(|sidecar| (name, sidecar.clone())))
            .collect();
        let mut desired = desired(&Sources {
            mirror: &self.mirror,
            path,
            embedded: &embedded,
            sidecars: &sidecars,
            locales: &self.locales,
            year: self.year,
        });
        if let Some(id) = desired.collection.as_ref().and_then(|labels| self.collections.get(labels)) {
            desired.fields.insert(FieldKey::Collection, id.clone().into());
        }
        desired
    }
}
