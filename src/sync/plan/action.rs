//! What is to be done about a path, and why.
//!
//! This module owns the actions, each with all that its execution needs. It never chooses one and never executes one.

use crate::index::FileRow;
use crate::metadata::merge::Conflict;
use crate::model::{ActionKind, Asset, Md5, MirrorStamp, RelPath, UploadId};
use crate::sync::plan::edit::{Edit, FileIs};

/// How a replacement treats the URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeepUrl {
    /// Same path and URL.
    Yes,
    /// New path and URL, as configured.
    No,
}

/// What to do. Everything the executor needs is inside.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Nothing, and no call.
    Nothing,
    /// Path and asset are in step; only the index is behind. No call.
    Record {
        /// The asset.
        asset: UploadId,
        /// The base of the next merge.
        entry: MirrorStamp,
    },
    /// An editor's replacement stands from now on. No call.
    Accept {
        /// The asset.
        asset: UploadId,
        /// The editor's content.
        content: Md5,
    },
    /// The path is gone and so is all that ties it to an asset. No call.
    Forget,
    /// Another path with this content is being created; look again after it. No call.
    Wait,
    /// Make a new asset.
    Create {
        /// Its id.
        id: UploadId,
        /// The content to send.
        content: Md5,
        /// Its metadata.
        edit: Edit,
    },
    /// Take an asset that is there already; it is never renamed or deleted by the mirror.
    Adopt {
        /// The asset.
        asset: Box<Asset>,
        /// What to add to it.
        edit: Edit,
    },
    /// Share the asset of another path.
    Alias {
        /// The other path.
        of: RelPath,
        /// The asset.
        asset: Box<Asset>,
        /// What the union of both changes.
        edit: Edit,
    },
    /// The file moved: same asset, no bytes.
    Move {
        /// Where it was.
        from: RelPath,
        /// The row of the old path.
        from_row: i64,
        /// The asset.
        asset: Box<Asset>,
        /// New stem for `on_rename = "rename"`.
        basename: Option<String>,
        /// What the new place changes.
        edit: Edit,
    },
    /// Replace the file of the asset.
    Replace {
        /// The asset.
        asset: Box<Asset>,
        /// The content to send.
        content: Md5,
        /// What happens to the URL.
        keep_url: KeepUrl,
        /// What changes along with it; the stamp at least.
        edit: Edit,
    },
    /// Change metadata only.
    Retag {
        /// The asset.
        asset: Box<Asset>,
        /// The change.
        edit: Edit,
        /// What it says of the file.
        file: FileIs,
    },
    /// Delete the asset, if nothing uses it and the guard lets it pass.
    Delete {
        /// The asset.
        asset: Box<Asset>,
    },
    /// Do nothing and say so.
    Report {
        /// The cause in plain words.
        cause: String,
        /// What to do about it.
        advice: String,
    },
}

impl Action {
    /// The name in reports; `None` for what a plan leaves out.
    #[must_use]
    pub const fn name(&self) -> Option<ActionKind> {
        match self {
            Self::Nothing | Self::Record { .. } | Self::Accept { .. } | Self::Forget | Self::Wait => None,
            Self::Create { .. } => Some(ActionKind::Create),
            Self::Adopt { .. } => Some(ActionKind::Adopt),
            Self::Alias { .. } => Some(ActionKind::Alias),
            Self::Move { .. } => Some(ActionKind::Move),
            Self::Replace { .. } => Some(ActionKind::Replace),
            Self::Retag { .. } => Some(ActionKind::Retag),
            Self::Delete { .. } => Some(ActionKind::Delete),
            Self::Report { .. } => Some(ActionKind::Report),
        }
    }

    /// The asset it works on, so that no two actions work on one at a time.
    #[must_use]
    pub const fn asset(&self) -> Option<&UploadId> {
        match self {
            Self::Nothing | Self::Forget | Self::Wait | Self::Report { .. } => None,
            Self::Record { asset, .. } | Self::Accept { asset, .. } => Some(asset),
            Self::Create { id, .. } => Some(id),
            Self::Adopt { asset, .. }
            | Self::Alias { asset, .. }
            | Self::Move { asset, .. }
            | Self::Replace { asset, .. }
            | Self::Retag { asset, .. }
            | Self::Delete { asset } => Some(&asset.id),
        }
    }

    /// The asset as the plan found it, where the action changes one that is there.
    #[must_use]
    pub fn before(&self) -> Option<&Asset> {
        match self {
            Self::Adopt { asset, .. }
            | Self::Alias { asset, .. }
            | Self::Move { asset, .. }
            | Self::Replace { asset, .. }
            | Self::Retag { asset, .. }
            | Self::Delete { asset } => Some(asset),
            Self::Nothing
            | Self::Record { .. }
            | Self::Accept { .. }
            | Self::Forget
            | Self::Wait
            | Self::Create { .. }
            | Self::Report { .. } => None,
        }
    }

    /// Whether its execution may call the service.
    #[must_use]
    pub const fn calls(&self) -> bool {
        match self {
            Self::Nothing
            | Self::Record { .. }
            | Self::Accept { .. }
            | Self::Forget
            | Self::Wait
            | Self::Report { .. } => false,
            Self::Create { .. }
            | Self::Adopt { .. }
            | Self::Alias { .. }
            | Self::Move { .. }
            | Self::Replace { .. }
            | Self::Retag { .. }
            | Self::Delete { .. } => true,
        }
    }

    /// Whether it sends the file's bytes.
    #[must_use]
    pub const fn sends(&self) -> bool {
        matches!(self, Self::Create { .. } | Self::Replace { .. })
    }

    /// Whether a plan made anew goes on with `begun`: the same kind of action on the same asset, so that what was done for
    /// that one so far, such as sending a file, serves this one.
    #[must_use]
    pub fn goes_on_with(&self, begun: &Self) -> bool {
        if self.asset() != begun.asset() {
            return false;
        }
        match (self, begun) {
            (Self::Create { content, .. }, Self::Create { content: sent, .. }) => content == sent,
            (Self::Replace { content, keep_url, .. }, Self::Replace { content: sent, keep_url: kept, .. }) => {
                content == sent && keep_url == kept
            }
            (Self::Move { from_row, .. }, Self::Move { from_row: before, .. }) => from_row == before,
            (Self::Adopt { .. }, Self::Adopt { .. })
            | (Self::Alias { .. }, Self::Alias { .. })
            | (Self::Retag { .. }, Self::Retag { .. })
            | (Self::Delete { .. }, Self::Delete { .. }) => true,
            _ => false,
        }
    }

    /// The change of metadata that it makes.
    #[must_use]
    pub const fn edit(&self) -> Option<&Edit> {
        match self {
            Self::Create { edit, .. }
            | Self::Adopt { edit, .. }
            | Self::Alias { edit, .. }
            | Self::Move { edit, .. }
            | Self::Replace { edit, .. }
            | Self::Retag { edit, .. } => Some(edit),
            Self::Nothing
            | Self::Record { .. }
            | Self::Accept { .. }
            | Self::Forget
            | Self::Wait
            | Self::Delete { .. }
            | Self::Report { .. } => None,
        }
    }
}

/// What an action means for a path beside the one that asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The same as for the path that asked, and nothing of its own is told.
    Same,
    /// It shares the asset from now on.
    Alias,
    /// It moved, with the asset, from this row.
    Move {
        /// The row of the old path.
        from_row: i64,
    },
}

impl Part {
    /// The name in reports; `None` where nothing is told.
    #[must_use]
    pub const fn name(&self) -> Option<ActionKind> {
        match self {
            Self::Same => None,
            Self::Alias => Some(ActionKind::Alias),
            Self::Move { .. } => Some(ActionKind::Move),
        }
    }
}

/// A path that the action of another path settles as well: all that share an asset are one plan.
#[derive(Debug, Clone, PartialEq)]
pub struct Member {
    /// Its row as it was when the plan was made.
    pub row: FileRow,
    /// What the action means for it.
    pub part: Part,
    /// Why, in plain words.
    pub why: String,
}

/// An action and the reason for it, for `--dry-run` and `explain`.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// What to do.
    pub action: Action,
    /// Conflicts found where the action itself carries no edit.
    pub(super) quiet_conflicts: Vec<Conflict>,
    /// Why, in plain words.
    pub why: String,
    /// Other paths that the action settles as well.
    pub members: Vec<Member>,
    /// The asset that the path leaves stays with others, whoever else leaves it at the same time.
    pub others_stay: bool,
}

impl Plan {
    /// Metadata that editor and folder both changed, differently: the editor's stays, and both are told once.
    #[must_use]
    pub fn conflicts(&self) -> &[Conflict] {
        match &self.action {
            Action::Record { .. }
            | Action::Nothing
            | Action::Accept { .. }
            | Action::Forget
            | Action::Wait
            | Action::Delete { .. }
            | Action::Report { .. } => &self.quiet_conflicts,
            Action::Create { edit, .. }
            | Action::Adopt { edit, .. }
            | Action::Alias { edit, .. }
            | Action::Move { edit, .. }
            | Action::Replace { edit, .. }
            | Action::Retag { edit, .. } => &edit.conflicts,
        }
    }

    /// All rows that the plan is about, when `row` is the one that asked.
    pub fn rows<'a>(&'a self, row: &'a FileRow) -> impl Iterator<Item = &'a FileRow> {
        std::iter::once(row).chain(self.members.iter().map(|member| &member.row))
    }

    /// The same plan, for these as well.
    #[must_use]
    pub(super) fn with(self, members: Vec<Member>) -> Self {
        Self { members, ..self }
    }
}

pub(crate) fn decide(action: Action, why: impl Into<String>) -> Plan {
    Plan { action, why: why.into(), quiet_conflicts: Vec::new(), members: Vec::new(), others_stay: false }
}
