//! The look after: whether an asset, when it was confirmed, was as our write had left it.
//!
//! Owns: what counts as different. Pure. Decides nothing about it: a path whose asset differs is planned again.

use std::collections::BTreeSet;

use crate::metadata::merge::canonical;
use crate::model::{Asset, FieldKey};
use crate::sync::plan::Action;

/// What of the confirmed asset is not as `action` left it, by field: somebody changed it in between.
#[must_use]
pub fn changed_since(action: &Action, confirmed: &Asset) -> Vec<String> {
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
            FieldKey::FocalPoint => edit.fields.contains_key(key),
            _ => true,
        };
        let value = |fields: &crate::model::Fields| fields.get(key).map(canonical);
        if ours && value(&edit.fields) != value(&confirmed.fields) {
            changed.push(key.to_string());
        }
    }
    // A bulk call leaves the stamp as it was.
    let in_bulk = action.before().filter(|_| edit.in_bulk().is_some());
    if edit.stamp != confirmed.stamp && in_bulk.is_none_or(|before| before.stamp != confirmed.stamp) {
        changed.push("the mirror's stamp".to_owned());
    }
    changed
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::{Fields, Md5, MirrorStamp, Stamp, UploadId};
    use crate::sync::plan::edit::Edit;
    use crate::sync::plan::edit::FileIs;

    fn before() -> Asset {
        Asset {
            id: UploadId::new("u"),
            md5: Some(Md5::of(b"x")),
            size: 1,
            path: "/1/a.png".into(),
            url: String::new(),
            filename: "a.png".into(),
            format: None,
            mime_type: None,
            width: None,
            height: None,
            blurhash: None,
            tags: vec!["theirs".into()],
            fields: Fields::from([(FieldKey::Notes, json!("theirs"))]),
            stamp: Stamp::default(),
            antivirus: crate::model::Antivirus::default(),
            created_at: String::new(),
            updated_at: String::new(),
        }
    }

    /// Writes an author, a tag and a stamp; and the asset as that leaves it.
    fn written() -> (Action, Asset) {
        let stamp = Stamp([("brand".to_owned(), MirrorStamp { made: true, ..MirrorStamp::default() })].into());
        let mut fields = before().fields;
        fields.insert(FieldKey::Author, json!("ours"));
        let tags = vec!["theirs".to_owned(), "ours".to_owned()];
        let edit = Edit {
            tags: Some(tags.clone()),
            added_tags: BTreeSet::from(["ours".to_owned()]),
            removes_tags: false,
            fields: fields.clone(),
            write: BTreeSet::from([FieldKey::Author]),
            entry: MirrorStamp::default(),
            stamp: stamp.clone(),
            stamp_due: true,
            conflicts: Vec::new(),
            unfinished: false,
        };
        let action = Action::Retag { asset: Box::new(before()), edit, file: FileIs::InStep };
        (action, Asset { tags, fields, stamp, ..before() })
    }

    #[test]
    fn what_our_write_left_is_no_change_and_whatever_else_is_one() {
        let (action, left) = written();
        assert_eq!(changed_since(&action, &left), Vec::<String>::new());
        let by_the_service = Fields::from([
            (FieldKey::Creator, json!({"type": "user", "id": "1"})),
            (FieldKey::FocalPoint, json!({"x": 0.5, "y": 0.5})),
        ]);
        let mut filled_in = left.clone();
        filled_in.fields.extend(by_the_service);
        filled_in.tags.reverse();
        assert_eq!(changed_since(&action, &filled_in), Vec::<String>::new());
        let mut edited = left;
        edited.fields.remove(&FieldKey::Notes);
        edited.fields.insert(FieldKey::Alt("en".into()), json!("theirs"));
        edited.tags.pop();
        (edited.stamp, edited.md5) = (Stamp::default(), Some(Md5::of(b"y")));
        let all = ["the file", "tags", "notes", "alt.en", "the mirror's stamp"];
        let found = changed_since(&action, &edited);
        assert!(all.iter().all(|name| found.contains(&(*name).to_owned())) && found.len() == 5, "{found:?}");
    }

    #[test]
    fn a_bulk_call_leaves_the_stamp_behind() {
        let (action, left) = written();
        let Action::Retag { asset, mut edit, file } = action else { panic!() };
        edit.stamp_due = false;
        edit.write.clear();
        let action = Action::Retag { asset, edit, file };
        assert_eq!(changed_since(&action, &Asset { stamp: before().stamp, ..left }), Vec::<String>::new());
    }
}
