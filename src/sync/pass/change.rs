//! What an action of a dry run changes, in values that people know.
//!
//! Owns: reading an action as "this asset: before → after". Pure, but for putting it into the report. Decides nothing.

use bytesize::ByteSize;
use serde_json::Value;

use super::Pass;
use crate::index::FileRow;
use crate::model::{ActionKind, Asset, FieldKey, Fields};
use crate::report::PlannedAction;
use crate::report::change::{Change, ChangedAsset, ChangedValue};
use crate::sync::plan::{Action, KeepUrl, Plan};

impl Pass<'_> {
    /// Says in the report of a dry run what a plan would do, for all that it is about.
    pub(super) fn foretell(&mut self, row: &FileRow, plan: &Plan) {
        let Some(action) = plan.action.name() else { return };
        let desires = &self.context.scope.desires;
        let change = change(row, &plan.action, |id| desires.collection_labels(id).map(str::to_owned));
        // What the action changes is told once; the others share the asset.
        let theirs = Change { asset: change.asset.clone(), changes: Vec::new() };
        let told = |row: &FileRow, action: ActionKind, why: &str, change: Change| PlannedAction {
            path: row.path.key().into(),
            action,
            why: why.into(),
            on_disk: row.present,
            change,
        };
        let plans = self.report.plan.get_or_insert_default();
        plans.push(told(row, action, &plan.why, change));
        for member in &plan.members {
            if let Some(action) = member.part.name() {
                plans.push(told(&member.row, action, &member.why, theirs.clone()));
            }
        }
    }
}

/// What `action` changes; `labels` tells a collection's labels by its id.
fn change(row: &FileRow, action: &Action, labels: impl Fn(&str) -> Option<String>) -> Change {
    let before = action.before();
    let mut changes = Vec::new();
    let mut changed = |what: &str, before: Option<String>, after: Option<String>| {
        if before != after || what == "file" {
            changes.push(ChangedValue { what: what.to_owned(), before, after });
        }
    };
    let on_disk = || row.print.map(|print| size(print.size));
    match action {
        Action::Create { .. } => changed("file", None, on_disk()),
        Action::Replace { asset, keep_url, .. } => {
            changed("file", Some(size(asset.size)), on_disk());
            if *keep_url == KeepUrl::No {
                changed("url", Some(asset.url.clone()), Some("a new one".to_owned()));
            }
        }
        Action::Move { asset, basename: Some(name), .. } => {
            let extension = asset.filename.rsplit_once('.').map(|(_, extension)| format!(".{extension}"));
            changed("name", Some(asset.filename.clone()), Some(format!("{name}{}", extension.unwrap_or_default())));
        }
        Action::Delete { asset } => changed("file", Some(size(asset.size)), None),
        _ => {}
    }
    if let Some(edit) = action.edit() {
        if let Some(tags) = &edit.tags {
            changed("tags", before.and_then(|asset| list(&asset.tags)), list(tags));
        }
        for key in &edit.write {
            let words = |fields: &Fields| fields.get(key).map(|value| shown(key, value, &labels));
            changed(&key.to_string(), before.and_then(|asset| words(&asset.fields)), words(&edit.fields));
        }
    }
    Change { asset: before.map(known), changes }
}

fn known(asset: &Asset) -> ChangedAsset {
    ChangedAsset { id: asset.id.to_string(), filename: asset.filename.clone(), url: asset.url.clone() }
}

fn size(bytes: u64) -> String {
    ByteSize::b(bytes).display().si().to_string()
}

fn list(tags: &[String]) -> Option<String> {
    (!tags.is_empty()).then(|| tags.join(", "))
}

/// A value as people type it; a collection by its labels.
fn shown(key: &FieldKey, value: &Value, labels: impl Fn(&str) -> Option<String>) -> String {
    let Some(text) = value.as_str() else { return value.to_string() };
    let labels = (*key == FieldKey::Collection).then(|| labels(text)).flatten();
    labels.unwrap_or_else(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::json;

    use super::*;
    use crate::model::{Antivirus, Md5, MirrorStamp, RelPath, Stamp, UploadId};
    use crate::sync::plan::edit::{Edit, FileIs};

    fn asset() -> Asset {
        Asset {
            id: UploadId::new("a"),
            md5: Some(Md5::of(b"old")),
            size: 2_000,
            path: "/1/logo.svg".into(),
            url: "https://example.com/1/logo.svg".into(),
            filename: "logo.svg".into(),
            format: None,
            mime_type: None,
            width: None,
            height: None,
            blurhash: None,
            tags: vec!["brand".into()],
            fields: [
                (FieldKey::Alt("en".into()), json!("Old words")),
                (FieldKey::Collection, json!("7")),
                (FieldKey::Notes, json!("an editor's")),
            ]
            .into(),
            stamp: Stamp::default(),
            antivirus: Antivirus::default(),
            created_at: String::new(),
            updated_at: String::new(),
        }
    }

    fn edit() -> Edit {
        let write = [FieldKey::Alt("en".into()), FieldKey::Collection, FieldKey::Author];
        let mut fields = asset().fields;
        fields.remove(&FieldKey::Alt("en".into()));
        fields.extend([(FieldKey::Collection, json!("8")), (FieldKey::Author, json!("Ann"))]);
        Edit {
            tags: Some(vec!["brand".into(), "logo".into()]),
            added_tags: BTreeSet::new(),
            removes_tags: false,
            fields,
            write: write.into(),
            stamp: Stamp::default(),
            entry: MirrorStamp::default(),
            stamp_due: false,
            conflicts: Vec::new(),
            unfinished: false,
        }
    }

    fn row() -> FileRow {
        FileRow {
            id: 1,
            path: RelPath::from_key("logo.svg").unwrap(),
            present: true,
            print: None,
            md5: None,
            embedded: None,
            asset: None,
            base_md5: None,
            failures: 0,
            cached: false,
            news: 1,
            seen: true,
        }
    }

    /// As `what: before → after`.
    fn told(action: &Action) -> Vec<String> {
        let labels = |id: &str| (id == "8").then(|| "brand/logos".to_owned());
        let nothing = || "–".to_owned();
        let words = |one: ChangedValue| {
            format!("{}: {} → {}", one.what, one.before.unwrap_or_else(nothing), one.after.unwrap_or_else(nothing))
        };
        change(&row(), action, labels).changes.into_iter().map(words).collect()
    }

    #[test]
    fn an_action_is_told_as_what_becomes_of_which_value() {
        let metadata =
            ["tags: brand → brand, logo", "author: – → Ann", "collection: 7 → brand/logos", "alt.en: Old words → –"];
        let with =
            |first: &[&str]| -> Vec<String> { first.iter().chain(&metadata).map(|line| (*line).to_owned()).collect() };
        let (asset, edit, content) = (|| Box::new(asset()), edit, Md5::of(b"new"));
        let id = UploadId::new("b");
        for (action, expected) in [
            (Action::Nothing, Vec::new()),
            (Action::Retag { asset: asset(), edit: edit(), file: FileIs::InStep }, with(&[])),
            (
                Action::Replace { asset: asset(), content, keep_url: KeepUrl::Yes, edit: edit() },
                with(&["file: 2.0 kB → –"]),
            ),
            (
                Action::Replace { asset: asset(), content, keep_url: KeepUrl::No, edit: edit() },
                with(&["file: 2.0 kB → –", "url: https://example.com/1/logo.svg → a new one"]),
            ),
            (
                Action::Move {
                    from: row().path,
                    from_row: 2,
                    asset: asset(),
                    basename: Some("mark".into()),
                    edit: edit(),
                },
                with(&["name: logo.svg → mark.svg"]),
            ),
            (Action::Delete { asset: asset() }, vec!["file: 2.0 kB → –".to_owned()]),
            (
                Action::Create { id, content, edit: Edit { write: BTreeSet::new(), ..edit() } },
                vec!["file: – → –".to_owned(), "tags: – → brand, logo".to_owned()],
            ),
        ] {
            assert_eq!(told(&action), expected, "{action:?}");
        }
        let replaced = Action::Replace { asset: asset(), content, keep_url: KeepUrl::Yes, edit: edit() };
        let known = change(&row(), &replaced, |_| None).asset.unwrap();
        assert_eq!((known.filename.as_str(), known.url.as_str()), ("logo.svg", "https://example.com/1/logo.svg"));
    }
}
