//! When a change of metadata is worth a call, and what it may touch.

use serde_json::json;

use super::*;
use crate::model::{RelPath, UploadId};

fn sharer(key: &str, tags: &[&str]) -> Sharer {
    let mut desired = Desired::default();
    desired.tags.extend(tags.iter().map(|tag| (*tag).to_owned()));
    Sharer { path: RelPath::from_key(key).unwrap(), stamp_name: key.into(), content: None, desired }
}

fn entry(paths: &[&str], tags: &[&str]) -> MirrorStamp {
    let text = |items: &[&str]| items.iter().map(|item| (*item).to_owned()).collect();
    let md5 = Md5::of(b"x").to_string();
    MirrorStamp { paths: text(paths), tags: text(tags), md5, made: true, ..MirrorStamp::default() }
}

/// An asset with these tags, and this mirror's stamp as given.
fn asset(tags: &[&str], stamped: Option<&MirrorStamp>) -> Asset {
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
        tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
        fields: Fields::new(),
        stamp: Stamp(stamped.map(|entry| [("brand".to_owned(), entry.clone())].into()).unwrap_or_default()),
        updated_at: String::new(),
        antivirus: crate::model::Antivirus::default(),
        created_at: String::new(),
    }
}

/// The path that asks; who shares; paths on the stamp, paths pushed; who leaves; new content: is the stamp due?
#[test]
fn the_stamp_is_due_when_the_paths_on_it_are_wrong_or_the_content_changes() {
    #[expect(clippy::type_complexity, reason = "the columns of a table")]
    let cases: [(&[&str], Option<&[&str]>, Option<&[&str]>, Option<&str>, bool, bool); 9] = [
        (&[], Some(&["a"]), Some(&["a"]), None, false, false),
        (&[], None, None, None, false, true),
        (&[], None, Some(&["a"]), None, false, true),
        (&[], Some(&["a"]), Some(&["a"]), None, true, true),
        (&["b"], Some(&["a"]), Some(&["a"]), None, false, true),
        (&["b"], Some(&["a", "b"]), Some(&["a", "b"]), None, false, false),
        // A vanished path whose asset was kept stays on the stamp.
        (&[], Some(&["a", "gone"]), Some(&["a", "gone"]), None, false, false),
        // One that has left does not.
        (&[], Some(&["a", "left"]), Some(&["a"]), None, false, true),
        (&[], Some(&["old"]), Some(&["old"]), Some("old"), false, true),
    ];
    for (number, (sharers, stamped, pushed, leaving, content, due)) in cases.into_iter().enumerate() {
        let me = sharer("a", &[]);
        let sharers: Vec<Sharer> = sharers.iter().map(|key| sharer(key, &[])).collect();
        let asset = asset(&[], stamped.map(|paths| entry(paths, &[])).as_ref());
        let pushed = pushed.map(|paths| entry(paths, &[]));
        let mut input = EditInput::new("brand", &me, &sharers, &asset, pushed.as_ref());
        if let Some(leaving) = leaving {
            input = input.leaving(leaving, false);
        }
        if content {
            input = input.with_content(Md5::of(b"y"));
        }
        let edit = edit(&input);
        assert_eq!((edit.stamp_due, edit.is_due()), (due, due), "case {number}");
        assert!(edit.entry.paths.contains("a") && edit.stamp.0["brand"] == edit.entry);
        assert!(leaving.is_none_or(|leaving| !edit.entry.paths.contains(leaving)));
        assert_eq!(edit.entry.md5, Md5::of(if content { b"y" } else { b"x" }).to_string());
    }
}

#[test]
fn a_vanished_file_adds_one_tag_and_touches_nothing_else() {
    let pushed = MirrorStamp {
        fields: MirrorStamp::digests_of(&[(FieldKey::Author, json!("Us"))].into()),
        ..entry(&["a"], &["ours"])
    };
    let mut asset = asset(&["typed", "ours"], Some(&pushed));
    asset.fields.insert(FieldKey::Author, json!("Us"));
    asset.fields.insert(FieldKey::Notes, json!("typed"));
    // What rules and sidecars say of a file that is not there does not count.
    let me = sharer("a", &["new rule"]);
    let first = edit(&EditInput::new("brand", &me, &[], &asset, Some(&pushed)).with_file(FileIs::Gone));
    assert_eq!(first.tags, Some(vec!["typed".to_owned(), "ours".into(), GONE_TAG.into()]));
    assert!(first.in_bulk().is_some() && !first.removes_tags && first.write.is_empty());
    assert_eq!(first.fields, asset.fields);
    asset.tags.push(GONE_TAG.into());
    let again = edit(&EditInput::new("brand", &me, &[], &asset, Some(&first.entry)).with_file(FileIs::Gone));
    assert!(!again.is_due());
    let back = edit(&EditInput::new("brand", &sharer("a", &["ours"]), &[], &asset, Some(&first.entry)));
    assert_eq!(back.tags, Some(vec!["typed".to_owned(), "ours".into()]), "it came back: only our tag goes");
    // An editor's file is not taken for what the mirror left.
    asset.md5 = Some(Md5::of(b"an editor's"));
    let replaced = edit(&EditInput::new("brand", &me, &[], &asset, Some(&pushed)).with_file(FileIs::Gone));
    assert_eq!(replaced.entry.md5, pushed.md5);
    // An editor who took the tag off is not contradicted.
    asset.tags.pop();
    assert!(!edit(&EditInput::new("brand", &me, &[], &asset, Some(&first.entry)).with_file(FileIs::Gone)).is_due());
}

#[test]
fn an_accepted_file_stays_accepted_until_new_content_is_sent() {
    let accepted = MirrorStamp { accepted: Some(Md5::of(b"e").to_string()), ..entry(&["a"], &[]) };
    let mut asset = asset(&[], Some(&accepted));
    asset.md5 = Some(Md5::of(b"e"));
    let me = sharer("a", &["t"]);
    let kept = edit(&EditInput::new("brand", &me, &[], &asset, Some(&accepted)));
    assert_eq!((kept.entry.accepted.as_ref(), &kept.entry.md5), (accepted.accepted.as_ref(), &accepted.md5));
    let sent = edit(&EditInput::new("brand", &me, &[], &asset, Some(&accepted)).with_content(Md5::of(b"n")));
    assert_eq!((sent.entry.accepted, sent.entry.md5), (None, Md5::of(b"n").to_string()));
}

#[test]
fn the_desires_of_all_who_share_are_united_and_other_mirrors_tags_are_theirs() {
    let ours = entry(&["a", "b"], &["old", "both"]);
    let mut asset = asset(&["old", "both", "typed"], Some(&ours));
    asset.stamp.0.insert("other".into(), entry(&["z"], &["both"]));
    let (me, other) = (sharer("a", &["one"]), [sharer("b", &["two"])]);
    let edit = edit(&EditInput::new("brand", &me, &other, &asset, Some(&ours)));
    let tags = edit.tags.unwrap();
    assert_eq!(tags, ["both", "typed", "one", "two"]);
    assert!(edit.removes_tags && edit.stamp.0["other"] == asset.stamp.0["other"]);
}
