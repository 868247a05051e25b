//! How the media area shows that a change is done.
//!
//! Owns: the comparison of an asset with what was to become of it. Asks nobody.

use std::collections::BTreeSet;

use crate::{Md5, Stamp, Upload};

/// What shows that a change is done.
#[derive(Debug, Clone, PartialEq)]
pub enum Expect<S = ()> {
    /// The asset is there and has this content.
    Md5(Md5),
    /// The asset has exactly these tags, in any order.
    Tags(BTreeSet<String>),
    /// The asset carries this stamp.
    Stamp(Box<S>),
    /// The asset has this content, or its stamp [contains](Stamp::contains) this one: what an earlier process sent.
    Sent(Md5, Box<S>),
    /// The asset is there no more.
    Gone,
    /// The asset is there: for a new one whose content the service may not tell.
    Any,
    /// Nothing in the listing does; only the job's own result.
    JobDone,
}

impl<S: Stamp> Expect<S> {
    pub(super) fn is_met(&self, asset: Option<&Upload<S>>) -> bool {
        match (self, asset) {
            (Self::Md5(md5), Some(asset)) => asset.md5 == Some(*md5),
            (Self::Tags(tags), Some(asset)) => asset.tags.iter().cloned().collect::<BTreeSet<_>>() == *tags,
            (Self::Stamp(stamp), Some(asset)) => asset.stamp == **stamp,
            (Self::Sent(md5, part), Some(asset)) => asset.md5 == Some(*md5) || asset.stamp.contains(part),
            (Self::Gone, None) | (Self::Any, Some(_)) => true,
            _ => false,
        }
    }
}
