//! Assets for tests of the index.
//!
//! Owns: one sample; writes nothing.

use std::collections::BTreeSet;

use serde_json::json;

use crate::model::{Asset, FieldKey, Fields, Md5, MirrorStamp, Stamp, UploadId};

/// An asset with the stamp of the mirror `brand`, or without one where it names no path.
pub(in crate::index) fn asset(id: &str, content: &str, paths: &[&str]) -> Asset {
    let mut stamp = Stamp::default();
    if !paths.is_empty() {
        let entry = MirrorStamp {
            paths: paths.iter().map(|path| (*path).to_owned()).collect(),
            md5: Md5::of(content.as_bytes()).to_string(),
            tags: BTreeSet::from(["t".to_owned()]),
            of: Some(UploadId::new(id)),
            ..MirrorStamp::default()
        };
        stamp.0.insert("brand".into(), entry);
    }
    Asset {
        id: UploadId::new(id),
        md5: Some(Md5::of(content.as_bytes())),
        size: content.len() as u64,
        path: format!("/1/{id}.png"),
        url: format!("https://example.com/1/{id}.png"),
        filename: format!("{id}.png"),
        format: Some("png".into()),
        mime_type: Some("image/png".into()),
        width: Some(1),
        height: Some(2),
        blurhash: None,
        tags: vec!["t".into(), "editor".into()],
        fields: Fields::from([(FieldKey::Alt("en".into()), json!("An alt"))]),
        stamp,
        antivirus: crate::model::Antivirus::default(),
        created_at: "2025-12-31T23:59:59.000Z".into(),
        updated_at: "2026-01-01T00:00:00.000Z".into(),
    }
}
