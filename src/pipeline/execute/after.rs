//! The look after: whether an asset, when it was confirmed, was as our write had left it.
//!
//! Owns: what counts as different. Pure. Decides nothing about it: a path whose asset differs is planned again.

use std::collections::BTreeSet;

use crate::metadata::merge::canonical;
use crate::model::{Asset, FieldKey};
use crate::pipeline::plan::Action;

/// What of the confirmed asset is not as `action` left it, by field: somebody changed it in between.
/// `by_field` is the project's metadata shape: the other has no place for a poster time.
#[must_use]
pub fn changed_since(action: &Action, confirmed: &Asset, by_field: bool) -> Vec<String> {
    let Some(edit) = action.edit() else { return Vec::new() };
    let mut changed = Vec::new();
    let sent = match action {
        Action::Create { content, .. } | Action::Replace { content, .. } => Some(*content),
        _ => action.before().and_then(|before| before.md5),
    };
    if confirmed.md5.is_some() && sent.is_some() && confirmed.md5 != sent {
        changed.push("the file".to_owned());
    }
    let set = |tags: &[String]| tags.iter().cloned().collect::<BTreeSet<_>>();
    let before = action.before().map(|asset| asset.tags.as_slice()).unwrap_or_default();
    if set(edit.tags.as_deref().unwrap_or(before)) != set(&confirmed.tags) {
        changed.push("tags".to_owned());
    }
    let keys: BTreeSet<&FieldKey> = edit.fields.keys().chain(&edit.write).chain(confirmed.fields.keys()).collect();
    for key in keys {
        // The service fills in a creator and the middle of an image by itself.
        let ours = match key {
            FieldKey::Creator => false,
            FieldKey::PosterTime => by_field,
            FieldKey::FocalPoint => edit.fields.contains_key(key),
            _ => true,
        };
        let value = |fields: &crate::model::Fields| fields.get(key).map(canonical);
        if ours && value(&edit.fields) != value(&confirmed.fields) {
            changed.push(key.to_string());
        }
    }
    if edit.stamp != confirmed.stamp {
        changed.push("the mirror's stamp".to_owned());
    }
    changed
}
