//! What an action would leave behind, without doing it: the executor of a dry run.
//!
//! Owns: the imagined asset after each action, so that the planner sees the same world a real run would show it. Never
//! does: calls.

use jiff::Timestamp;

use crate::index::FileRow;
use crate::model::{Antivirus, Asset, Fields, Md5, Stamp, UploadId};

use crate::sync::plan::Action;
use crate::sync::plan::edit::Edit;

/// Where imagined assets lie; paths in a real bucket begin with the project's number.
const IMAGINED: &str = "/planned/";

/// The asset after `action`; nothing where none is left or none was touched.
#[must_use]
pub fn simulate(row: &FileRow, action: &Action) -> Option<Asset> {
    match action {
        Action::Nothing
        | Action::Record { .. }
        | Action::Accept { .. }
        | Action::Forget
        | Action::Wait
        | Action::Report { .. }
        | Action::Delete { .. } => None,
        Action::Create { id, content, edit } => Some(edited(new_asset(row, id, *content), edit)),
        Action::Adopt { asset, edit } | Action::Alias { asset, edit, .. } | Action::Move { asset, edit, .. } => {
            Some(edited((**asset).clone(), edit))
        }
        Action::Retag { asset, edit, .. } => Some(edited((**asset).clone(), edit)),
        Action::Replace { asset, content, edit, .. } => {
            Some(edited(Asset { md5: Some(*content), antivirus: Antivirus::Untold, ..(**asset).clone() }, edit))
        }
    }
}

/// Whether an asset is imagined, and not in the media area yet.
#[must_use]
pub fn is_imagined(asset: &Asset) -> bool {
    asset.path.starts_with(IMAGINED)
}

fn new_asset(row: &FileRow, id: &UploadId, content: Md5) -> Asset {
    Asset {
        id: id.clone(),
        md5: Some(content),
        size: row.print.map_or(0, |print| print.size),
        path: format!("{IMAGINED}{}", row.path.file_name()),
        url: String::new(),
        filename: row.path.file_name().to_owned(),
        format: None,
        mime_type: None,
        width: None,
        height: None,
        blurhash: None,
        tags: Vec::new(),
        fields: Fields::new(),
        stamp: Stamp::default(),
        antivirus: Antivirus::Untold,
        created_at: Timestamp::now().to_string(),
        updated_at: Timestamp::now().to_string(),
    }
}

fn edited(mut asset: Asset, edit: &Edit) -> Asset {
    if edit.is_due() {
        asset.tags = edit.tags.clone().unwrap_or(asset.tags);
        asset.fields = edit.fields.clone();
        asset.stamp = edit.stamp.clone();
    }
    asset
}
