//! Each value of a file's metadata: what the folder wants, what the asset has, and whose that is.
//!
//! Owns: putting both sides together, and the labels of collections. Makes no call and decides nothing.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::Value;

use crate::config::Mirror;
use crate::index::collections;
use crate::metadata::desired::collection_origin;
use crate::model::{FieldKey, MirrorStamp, RelPath};
use crate::sync::plan::{Known, Observation};

/// One value of the metadata.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Slot {
    /// `alt.en`, `author` …, or `tag`.
    pub field: String,
    /// What the folder wants.
    pub wanted: Option<Value>,
    /// Where the folder says so.
    pub origin: Option<String>,
    /// What the asset has.
    pub remote: Option<Value>,
    /// The asset's value is what the mirror last pushed; else an editor's.
    pub pushed: bool,
    /// Of a collection: the labels of the wanted one from the outermost in, joined by `/`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wanted_labels: Option<String>,
    /// Of a collection: the labels of the one that the asset lies in, as far as they are known here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remote_labels: Option<String>,
}

/// Every tag and field that folder or asset has, tags first.
pub(super) fn slots(seen: &Observation, config: &Mirror, path: &RelPath, known: &collections::Known) -> Vec<Slot> {
    let nothing = MirrorStamp::default();
    let (tags, fields) = match &seen.known {
        Known::There(asset) => (asset.tags.iter().cloned().collect(), asset.fields.clone()),
        Known::Never | Known::Gone(_) => (BTreeSet::new(), BTreeMap::new()),
    };
    let pushed = seen.pushed.as_ref().unwrap_or(&nothing);
    let desired = &seen.me.desired;
    let origin = |name: &str| desired.origins.get(name).map(ToString::to_string);
    let mut slots: Vec<Slot> = desired
        .tags
        .union(&tags)
        .map(|tag| Slot {
            field: "tag".into(),
            wanted: desired.tags.contains(tag).then(|| tag.as_str().into()),
            origin: origin(&format!("tags.{tag}")),
            remote: tags.contains(tag).then(|| tag.as_str().into()),
            pushed: pushed.tags.contains(tag),
            ..Slot::default()
        })
        .collect();
    let keys: BTreeSet<&FieldKey> =
        desired.fields.keys().chain(fields.keys()).filter(|key| **key != FieldKey::Collection).collect();
    slots.extend(keys.into_iter().map(|key| Slot {
        field: key.to_string(),
        wanted: desired.fields.get(key).cloned(),
        origin: origin(&key.to_string()),
        remote: fields.get(key).cloned(),
        pushed: fields.get(key).is_some_and(|value| pushed.pushed(key, value)),
        ..Slot::default()
    }));
    slots.extend(collection_slot(seen, config, path, known));
    slots
}

/// The collection, with its labels: ids say nothing to people. Of one that is not made yet there is no id.
fn collection_slot(seen: &Observation, config: &Mirror, path: &RelPath, known: &collections::Known) -> Option<Slot> {
    let key = FieldKey::Collection;
    let labels_of = |id: &Value| {
        let id = id.as_str()?;
        known.iter().find(|(_, known)| known.as_deref() == Some(id)).map(|(labels, _)| labels.clone())
    };
    let remote = match &seen.known {
        Known::There(asset) => asset.fields.get(&key).cloned(),
        Known::Never | Known::Gone(_) => None,
    };
    let (wanted, wanted_labels) = (seen.me.desired.fields.get(&key).cloned(), seen.me.desired.collection.clone());
    if wanted.is_none() && wanted_labels.is_none() && remote.is_none() {
        return None;
    }
    let pushed = remote.as_ref().is_some_and(|id| seen.pushed.as_ref().is_some_and(|entry| entry.pushed(&key, id)));
    Some(Slot {
        field: key.to_string(),
        origin: wanted_labels.as_ref().map(|_| collection_origin(config, path).to_string()),
        remote_labels: remote.as_ref().and_then(labels_of),
        wanted,
        wanted_labels,
        remote,
        pushed,
    })
}
