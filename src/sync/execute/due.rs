//! What an edit has to write.
//!
//! Owns: whether anything is due. Pure.

use crate::model::Asset;
use crate::sync::plan::Action;
use crate::sync::plan::edit::Edit;

/// What an edit has to write, if anything.
pub(super) struct Due<'a> {
    pub asset: &'a Asset,
    pub edit: &'a Edit,
    pub basename: Option<String>,
    /// The stamp stays as it is, so it will not tell that the write was made.
    pub is_silent: bool,
}

impl<'a> Due<'a> {
    pub(super) fn of(action: &'a Action) -> Option<Self> {
        let (asset, edit) = (action.before()?, action.edit()?);
        let basename = match action {
            Action::Move { basename, .. } => basename.clone(),
            _ => None,
        };
        let is_silent = edit.stamp == asset.stamp;
        (edit.is_due() || basename.is_some()).then_some(Self { asset, edit, basename, is_silent })
    }
}
