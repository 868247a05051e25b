//! How the media area shows that a change is done.
//!
//! Owns: the comparison of an asset with what was to become of it. Asks nobody. Called by: `remote::job`.

use std::collections::BTreeSet;

use crate::model::{Asset, Md5, MirrorStamp, Stamp};

/// What shows that a change is done.
#[derive(Debug, Clone, PartialEq)]
pub enum Expect {
    /// The asset is there and has this content.
    Md5(Md5),
    /// The asset has exactly these tags, in any order.
    Tags(BTreeSet<String>),
    /// The asset carries this stamp.
    Stamp(Box<Stamp>),
    /// The asset has this content, or carries this entry of this mirror: what an earlier process sent.
    Sent(Md5, String, Box<MirrorStamp>),
    /// The asset is there no more.
    Gone,
    /// The asset is there: for a new one whose content the service may not tell.
    Any,
    /// Nothing in the listing does; only the job's own result.
    JobDone,
}

impl Expect {
    pub(super) fn is_met(&self, asset: Option<&Asset>) -> bool {
        match (self, asset) {
            (Self::Md5(md5), Some(asset)) => asset.md5 == Some(*md5),
            (Self::Tags(tags), Some(asset)) => asset.tags.iter().cloned().collect::<BTreeSet<_>>() == *tags,
            (Self::Stamp(stamp), Some(asset)) => asset.stamp == **stamp,
            (Self::Sent(md5, mirror, entry), Some(asset)) => {
                asset.md5 == Some(*md5) || asset.stamp.0.get(mirror) == Some(&**entry)
            }
            (Self::Gone, None) | (Self::Any, Some(_)) => true,
            _ => false,
        }
    }
}
