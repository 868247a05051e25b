//! What to do about one path: the decision table of the mirror.
//!
//! Owns: every decision. `plan` is a pure function of an [`Observation`] and a [`Policy`]: no clock, no I/O, no log.
//! An [`Action`] is complete: whoever executes it chooses nothing. Plan, execute, plan again gives nothing to do.
//! Called by: `pipeline::pass`, for the daemon, for `--sync-once` and for `--dry-run` alike.

use crate::config::policy::{Duplicates, OnChange, OnDelete, OnRemoteChange, OnRemoteDelete, OnRename};
use crate::metadata::desired::Desired;
use crate::metadata::merge::Conflict;
use crate::model::{Asset, Md5, MirrorStamp, RelPath, UploadId};

use super::edit::{Edit, EditInput, edit};

/// The settings that decide, for one mirror in one project.
#[derive(Debug, Clone)]
pub struct Policy {
    /// The mirror's name, its key in stamps.
    pub mirror: String,
    /// What a changed file does to its URL.
    pub on_change: OnChange,
    /// What a rename does to filename and URL.
    pub on_rename: OnRename,
    /// What a vanished file does to its asset.
    pub on_delete: OnDelete,
    /// What an editor's replacement means.
    pub on_remote_change: OnRemoteChange,
    /// What an editor's deletion means.
    pub on_remote_delete: OnRemoteDelete,
    /// Whether paths with the same content share an asset.
    pub duplicates: Duplicates,
    /// The project keeps its files in a bucket of its own: the service cannot keep a URL there.
    pub custom_storage: bool,
}

/// A path with what the folder wants for it.
#[derive(Debug, Clone, PartialEq)]
pub struct Sharer {
    /// The path.
    pub path: RelPath,
    /// How the stamp names it.
    pub stamp_name: String,
    /// Its content on disk.
    pub content: Option<Md5>,
    /// Tags and fields by rules, sidecars and embedded metadata.
    pub desired: Desired,
}

/// The asset known for a path.
#[derive(Debug, Clone, PartialEq)]
pub enum Known {
    /// None ever was.
    Never,
    /// One was; it is not in the media area any more.
    Gone(UploadId),
    /// It is there.
    There(Box<Asset>),
}

/// An asset with what this mirror last pushed to it (`None`: nothing yet).
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    /// The asset.
    pub asset: Box<Asset>,
    /// The base of the merge.
    pub pushed: Option<MirrorStamp>,
}

/// A path of this mirror, no longer on disk, that had this content.
#[derive(Debug, Clone, PartialEq)]
pub struct GoneTwin {
    /// Its row in the index.
    pub row: i64,
    /// How the stamp names it.
    pub stamp_name: String,
    /// Its path.
    pub path: RelPath,
    /// Its asset, which is there and still has the content.
    pub candidate: Candidate,
    /// The paths on disk that share the asset.
    pub sharers: Vec<Sharer>,
}

/// Paths of this mirror, on disk now, with this content.
#[derive(Debug, Clone, PartialEq)]
pub struct LiveTwin {
    /// The first of them in path order that has an asset with this content, else the first in path order.
    pub path: RelPath,
    /// Its asset; `None` while it is being created.
    pub candidate: Option<Candidate>,
    /// All paths that share the asset or wait to.
    pub sharers: Vec<Sharer>,
}

/// All that is known of one path: what the planner decides by.
#[derive(Debug, Clone, PartialEq)]
pub struct Observation {
    /// The path, and what the folder wants for it.
    pub me: Sharer,
    /// Content on disk; `None` when the file is gone.
    pub local: Option<Md5>,
    /// Content when path and asset were last in step; `None` when they never were.
    pub base: Option<Md5>,
    /// The asset known for the path by index, stamp or derived id.
    pub known: Known,
    /// What this mirror last pushed to the known asset.
    pub pushed: Option<MirrorStamp>,
    /// Other paths of this mirror, on disk, that share the known asset.
    pub sharers: Vec<Sharer>,
    /// Paths of other mirrors that share the known asset.
    pub foreign_sharers: usize,
    /// For a path without an asset: a vanished path with its content.
    pub gone_twin: Option<GoneTwin>,
    /// For a path without an asset: paths on disk with its content.
    pub live_twin: Option<LiveTwin>,
    /// For a path without an asset: an asset of the media area with its content.
    pub remote_twin: Option<Candidate>,
    /// New paths with the same content, later in path order, that will share a created asset.
    pub followers: Vec<Sharer>,
    /// The id for a new asset of this path.
    pub new_id: UploadId,
}

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
    pub const fn name(&self) -> Option<&'static str> {
        match self {
            Self::Nothing | Self::Record { .. } | Self::Accept { .. } | Self::Forget | Self::Wait => None,
            Self::Create { .. } => Some("create"),
            Self::Adopt { .. } => Some("adopt"),
            Self::Alias { .. } => Some("alias"),
            Self::Move { .. } => Some("move"),
            Self::Replace { .. } => Some("replace"),
            Self::Retag { .. } => Some("retag"),
            Self::Delete { .. } => Some("delete"),
            Self::Report { .. } => Some("report"),
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

    /// Whether it sends the file's bytes.
    #[must_use]
    pub const fn sends(&self) -> bool {
        matches!(self, Self::Create { .. } | Self::Replace { .. })
    }

    /// Whether it could overwrite what an editor did since the remote was last looked at.
    #[must_use]
    pub fn overwrites(&self) -> bool {
        match self {
            Self::Replace { .. } | Self::Retag { .. } | Self::Delete { .. } => true,
            Self::Adopt { edit, .. } | Self::Alias { edit, .. } | Self::Move { edit, .. } => edit.is_due(),
            Self::Nothing
            | Self::Record { .. }
            | Self::Accept { .. }
            | Self::Forget
            | Self::Wait
            | Self::Create { .. }
            | Self::Report { .. } => false,
        }
    }
}

/// An action and the reason for it, for `--dry-run` and `explain`.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// What to do.
    pub action: Action,
    /// Conflicts found where the action itself carries no edit.
    quiet_conflicts: Vec<Conflict>,
    /// Why, in plain words.
    pub why: String,
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
}

impl Plan {
    /// Nothing is planned for the path: it is another stage's.
    #[must_use]
    pub(super) fn of_another_stage() -> Self {
        decide(Action::Nothing, "")
    }
}

fn decide(action: Action, why: impl Into<String>) -> Plan {
    Plan { action, why: why.into(), quiet_conflicts: Vec::new() }
}

/// Decides what to do about one path.
#[must_use]
pub fn plan(seen: &Observation, policy: &Policy) -> Plan {
    match (&seen.known, seen.local) {
        (Known::Never, None) => decide(Action::Forget, "the file is gone and had no asset"),
        (Known::Never, Some(content)) => place(seen, policy, content),
        (Known::Gone(_), None) => decide(Action::Forget, "file and asset are both gone"),
        (Known::Gone(id), Some(content)) => deleted_by_editor(seen, policy, id, content),
        (Known::There(asset), local) => compare(seen, policy, asset, local),
    }
}

/// A file without an asset: find it one.
fn place(seen: &Observation, policy: &Policy, content: Md5) -> Plan {
    if let Some(gone) = &seen.gone_twin {
        return moved(seen, policy, gone);
    }
    if policy.duplicates == Duplicates::Share
        && let Some(twin) = &seen.live_twin
    {
        let Some(Candidate { asset, pushed }) = &twin.candidate else {
            return decide(Action::Wait, format!("the same content as {}, which is being created", twin.path));
        };
        let input = EditInput::new(&policy.mirror, &seen.me, &twin.sharers, asset, pushed.as_ref());
        return decide(
            Action::Alias { of: twin.path.clone(), asset: asset.clone(), edit: edit(&input) },
            format!("the same content as {}: both share one asset", twin.path),
        );
    }
    if let Some(Candidate { asset, pushed }) = &seen.remote_twin {
        let mut edit = edit(&EditInput::new(&policy.mirror, &seen.me, &[], asset, pushed.as_ref()));
        // What is on the asset was there before the mirror: no disagreement, only lacks are filled.
        edit.conflicts.clear();
        return decide(
            Action::Adopt { asset: asset.clone(), edit },
            format!("the media area already has this content as {}", asset.filename),
        );
    }
    create(seen, policy, content, "the file is new".into())
}

fn create(seen: &Observation, policy: &Policy, content: Md5, why: String) -> Plan {
    let followers: &[Sharer] = if policy.duplicates == Duplicates::Share { &seen.followers } else { &[] };
    let edit = Edit::of_new(&policy.mirror, &seen.me, followers, content);
    decide(Action::Create { id: seen.new_id.clone(), content, edit }, why)
}

fn moved(seen: &Observation, policy: &Policy, gone: &GoneTwin) -> Plan {
    let Candidate { asset, pushed } = &gone.candidate;
    let made = pushed.as_ref().is_some_and(|entry| entry.made);
    let input =
        EditInput::new(&policy.mirror, &seen.me, &gone.sharers, asset, pushed.as_ref()).leaving(&gone.stamp_name);
    let renamed = gone.path.stem() != seen.me.path.stem();
    let basename = (policy.on_rename == OnRename::Rename && renamed && made && gone.sharers.is_empty())
        .then(|| seen.me.path.stem().to_owned());
    decide(
        Action::Move {
            from: gone.path.clone(),
            from_row: gone.row,
            asset: asset.clone(),
            basename,
            edit: edit(&input),
        },
        format!("moved from {}: the same content, so the same asset", gone.path),
    )
}

fn deleted_by_editor(seen: &Observation, policy: &Policy, id: &UploadId, content: Md5) -> Plan {
    match policy.on_remote_delete {
        OnRemoteDelete::Recreate => {
            // The asset may live on under another path of this mirror, or be there by content.
            let mut plan = place(seen, policy, content);
            plan.why = format!("an editor deleted its asset {id}, and on_remote_delete = \"recreate\": {}", plan.why);
            plan
        }
        OnRemoteDelete::Report => decide(
            Action::Report {
                cause: format!("its asset {id} was deleted in the CMS"),
                advice: "remove the file from the folder, or set on_remote_delete = \"recreate\" to upload it again"
                    .into(),
            },
            "an editor deleted its asset",
        ),
    }
}

/// The asset is there: compare disk (L), last time in step (I) and remote (R).
fn compare(seen: &Observation, policy: &Policy, asset: &Asset, local: Option<Md5>) -> Plan {
    let Some(remote) = asset.md5 else {
        return decide(Action::Wait, "the service has not told the asset's digest yet");
    };
    let Some(local) = local else { return gone(seen, policy, asset, remote) };
    let accepted = seen.pushed.as_ref().and_then(MirrorStamp::accepted_digest);
    let as_we_left_it = seen.base.is_some() && (seen.base == Some(remote) || accepted == Some(remote));
    let changed_here = seen.base != Some(local);
    match (local == remote, changed_here, as_we_left_it) {
        (true, _, _) => retag(seen, policy, asset, changed_here, "disk and media area have the same content"),
        (false, false, true) => retag(seen, policy, asset, false, "an editor's file stands, as accepted"),
        (false, true, true) => changed(seen, policy, asset, local),
        (false, changed_here, false) => replaced_by_editor(seen, policy, asset, local, remote, changed_here),
    }
}

/// The content needs nothing; does the metadata?
fn retag(seen: &Observation, policy: &Policy, asset: &Asset, index_behind: bool, why: &str) -> Plan {
    let edit = edit(&EditInput::new(&policy.mirror, &seen.me, &seen.sharers, asset, seen.pushed.as_ref()));
    if edit.is_due() {
        let why = edit.summary();
        return decide(Action::Retag { asset: Box::new(asset.clone()), edit }, why);
    }
    if index_behind || seen.pushed.as_ref() != Some(&edit.entry) {
        let quiet_conflicts = edit.conflicts;
        return Plan { quiet_conflicts, ..decide(Action::Record { asset: asset.id.clone(), entry: edit.entry }, why) };
    }
    decide(Action::Nothing, why)
}

/// Changed on disk; the asset is as we left it.
fn changed(seen: &Observation, policy: &Policy, asset: &Asset, content: Md5) -> Plan {
    // Links to one file change together: what moves on with us does not keep the asset from being replaced.
    // Where an editor's file stands, those that were in step before it stay.
    let accepted = seen.pushed.as_ref().filter(|entry| entry.accepted.is_some()).and_then(MirrorStamp::digest);
    let keeps = |content: Option<Md5>| content == asset.md5 || (accepted.is_some() && content == accepted);
    let stays = seen.sharers.iter().any(|sharer| keeps(sharer.content));
    if stays || seen.foreign_sharers > 0 {
        let mut plan = place(seen, policy, content);
        plan.why = format!("the content changed, and other paths share the old asset: {}", plan.why);
        return plan;
    }
    replace(seen, policy, asset, content, "the content changed")
}

fn replace(seen: &Observation, policy: &Policy, asset: &Asset, content: Md5, why: &str) -> Plan {
    let keep_url = match policy.on_change {
        OnChange::NewUrl => KeepUrl::No,
        OnChange::KeepUrl if policy.custom_storage => {
            return decide(
                Action::Report {
                    cause: "its content changed, and a project with storage of its own cannot keep an asset's URL"
                        .into(),
                    advice: "set on_change = \"new_url\" for this mirror: the asset is replaced and gets a new URL"
                        .into(),
                },
                "the URL cannot be kept",
            );
        }
        OnChange::KeepUrl if !same_format(&seen.me.path, asset) => {
            return decide(
                Action::Report {
                    cause: format!(
                        "its content changed, but its asset {} has another file format, so its URL cannot be kept",
                        asset.filename
                    ),
                    advice: "give the file the asset's extension, or set on_change = \"new_url\"".into(),
                },
                "the URL cannot be kept",
            );
        }
        OnChange::KeepUrl => KeepUrl::Yes,
    };
    let input =
        EditInput::new(&policy.mirror, &seen.me, &seen.sharers, asset, seen.pushed.as_ref()).with_content(content);
    let why = match keep_url {
        KeepUrl::Yes => format!("{why}: the asset gets the new file at the same URL"),
        KeepUrl::No => format!("{why}: the asset gets the new file and a new URL"),
    };
    decide(Action::Replace { asset: Box::new(asset.clone()), content, keep_url, edit: edit(&input) }, why)
}

/// The service keeps a URL only for the same file format; names tell formats.
fn same_format(path: &RelPath, asset: &Asset) -> bool {
    fn canonical(extension: &str) -> String {
        match extension.to_ascii_lowercase().as_str() {
            "jpeg" | "jpe" => "jpg".into(),
            "tiff" => "tif".into(),
            other => other.to_owned(),
        }
    }
    let of_asset = asset.path.rsplit('/').next().and_then(|name| name.rsplit_once('.')).map_or("", |(_, ext)| ext);
    let of_file = path.extension();
    // A name without an extension tells nothing; the service will.
    of_file.is_empty() || of_asset.is_empty() || canonical(of_file) == canonical(of_asset)
}

fn replaced_by_editor(
    seen: &Observation,
    policy: &Policy,
    asset: &Asset,
    local: Md5,
    remote: Md5,
    changed_here: bool,
) -> Plan {
    // Another path of the folder has the asset too, and wants other content: it would be overwritten by turns.
    let contested =
        changed_here && (seen.foreign_sharers > 0 || seen.sharers.iter().any(|sharer| sharer.content != Some(local)));
    match policy.on_remote_change {
        OnRemoteChange::Overwrite | OnRemoteChange::Accept if contested => {
            let mut plan = place(seen, policy, local);
            plan.why = format!("changed here and in the CMS, and other paths share the asset: {}", plan.why);
            plan
        }
        OnRemoteChange::Overwrite => replace(
            seen,
            policy,
            asset,
            local,
            "the asset's file was replaced in the CMS, and on_remote_change = \"overwrite\"",
        ),
        OnRemoteChange::Accept if !changed_here => decide(
            Action::Accept { asset: asset.id.clone(), content: remote },
            "an editor replaced the asset's file, and on_remote_change = \"accept\"",
        ),
        OnRemoteChange::Accept | OnRemoteChange::Report => {
            let cause = match (changed_here, seen.base.is_some()) {
                (true, true) => "changed here and, differently, replaced in the CMS",
                (true, false) => "its asset has another content, and nothing tells which is newer",
                (false, _) => "its asset's file was replaced in the CMS",
            };
            decide(
                Action::Report {
                    cause: format!("{cause} ({})", asset.url),
                    advice: "copy the CMS's file into the folder, or set on_remote_change = \"overwrite\" (the folder wins) \
                             or \"accept\" (the CMS's file stands)"
                        .into(),
                },
                cause,
            )
        }
    }
}

/// The file is gone; its asset is there.
fn gone(seen: &Observation, policy: &Policy, asset: &Asset, remote: Md5) -> Plan {
    if !seen.sharers.is_empty() || seen.foreign_sharers > 0 {
        return decide(Action::Forget, "other paths share its asset");
    }
    let as_we_left_it = seen.base == Some(remote);
    let made = seen.pushed.as_ref().is_some_and(|entry| entry.made);
    match policy.on_delete {
        OnDelete::Keep => decide(Action::Nothing, "the file is gone; on_delete = \"keep\""),
        OnDelete::Delete if !made => decide(Action::Nothing, "the file is gone, but the mirror did not make its asset"),
        OnDelete::Delete if !as_we_left_it => decide(
            Action::Report {
                cause: format!("the file is gone, but an editor replaced its asset ({}): it is not deleted", asset.url),
                advice: "delete the asset in the CMS if it is no longer wanted".into(),
            },
            "an editor replaced the asset of a vanished file",
        ),
        OnDelete::Delete => decide(
            Action::Delete { asset: Box::new(asset.clone()) },
            "the file is gone; on_delete = \"delete\", and the mirror made the asset",
        ),
        OnDelete::Tag => {
            let edit = edit(&EditInput::new(&policy.mirror, &seen.me, &[], asset, seen.pushed.as_ref()).tagging_gone());
            if edit.is_due() {
                decide(Action::Retag { asset: Box::new(asset.clone()), edit }, "the file is gone; on_delete = \"tag\"")
            } else {
                decide(Action::Nothing, "the file is gone; its asset is tagged")
            }
        }
    }
}

#[cfg(test)]
mod tests;
