//! What to do about one path: the decision table of the mirror.
//!
//! Owns: every decision. `plan` is a pure function of an [`Observation`] and a [`Policy`]: no clock, no I/O, no log.
//! An [`Action`] is complete: whoever executes it chooses nothing. Plan, execute, plan again gives nothing to do.
//! The pass asks it for the daemon, for `--sync-once` and for `--dry-run` alike.

mod action;
pub mod edit;
mod gone;
mod infected;
mod observation;

use crate::config::policy::{Duplicates, OnChange, OnRemoteChange, OnRemoteDelete, OnRename};
use crate::index::FileRow;
use crate::model::{Asset, Md5, MirrorStamp, RelPath, UploadId};

use crate::sync::plan::edit::{Edit, EditInput, FileIs, edit};
use gone::{gone, not_gone};
use infected::{infected, never_sent_again};

pub(crate) use action::decide;
pub use action::{Action, KeepUrl, Member, Part, Plan};
pub use observation::{Candidate, Follower, GoneTwin, Known, LiveTwin, Observation, Origin, Policy, Sharer};

/// Decides what to do about one path, and about those for which the same action does what is to be done.
#[must_use]
pub fn plan(seen: &Observation, policy: &Policy) -> Plan {
    let mut plan = decide_alone(seen, policy);
    // Who gets an asset has its followers; whoever has one already has those that are like it.
    let gets = matches!(
        plan.action,
        Action::Create { .. } | Action::Adopt { .. } | Action::Alias { .. } | Action::Move { .. }
    );
    if plan.members.is_empty() && !gets {
        let same = |row: &FileRow| Member { row: row.clone(), part: Part::Same, why: plan.why.clone() };
        plan.members = seen.alike.iter().map(same).collect();
    }
    plan
}

fn decide_alone(seen: &Observation, policy: &Policy) -> Plan {
    match (&seen.known, seen.local) {
        (Known::Never, None) => decide(Action::Forget, "the file is gone and had no asset"),
        (Known::Never, Some(content)) => place(seen, policy, content),
        (Known::Gone(_), None) => decide(Action::Forget, "file and asset are both gone"),
        (Known::Gone(id), Some(content)) => deleted_by_editor(seen, policy, id, content),
        (Known::There(asset), _) => not_gone(seen, policy, asset, compare(seen, policy, asset)),
    }
}

/// A file without an asset: find it one.
fn place(seen: &Observation, policy: &Policy, content: Md5) -> Plan {
    if let Some(infected) = seen.infected_twin.as_deref().filter(|_| !has_asset_to_take(seen, policy)) {
        return never_sent_again(infected);
    }
    // An asset that was made with this path in mind is the one it waits for, whatever else it could have.
    let is_named = |entry: &MirrorStamp| entry.paths.contains(&seen.me.stamp_name);
    let awaited = policy.duplicates == Duplicates::Share
        && seen.live_twin.as_ref().and_then(|twin| twin.candidate.as_ref()?.pushed.as_ref()).is_some_and(is_named);
    if let Some(gone) = seen.gone_twin.as_ref().filter(|_| !awaited) {
        return moved(seen, policy, gone);
    }
    let shares = policy.duplicates == Duplicates::Share;
    if shares && let Some(twin) = &seen.live_twin {
        let Some(Candidate { asset, pushed }) = &twin.candidate else {
            let why = format!("the same content as {}, which is being created", twin.path);
            return decide(Action::Wait, why.clone()).with(members(seen, |_| (Part::Same, why.clone())));
        };
        let sharers = with_followers(&twin.sharers, seen);
        let input = EditInput::new(&policy.mirror, &seen.me, &sharers, asset, pushed.as_ref());
        return decide(
            Action::Alias { of: twin.path.clone(), asset: asset.clone(), edit: edit(&input) },
            same_as(&twin.path),
        )
        .with(members(seen, |_| (Part::Alias, same_as(&twin.path))));
    }
    let aliased = |_: &Follower| (Part::Alias, same_as(&seen.me.path));
    if let Some(Candidate { asset, pushed }) = &seen.remote_twin {
        let sharers = if shares { with_followers(&[], seen) } else { Vec::new() };
        let mut edit = edit(&EditInput::new(&policy.mirror, &seen.me, &sharers, asset, pushed.as_ref()));
        // What is on the asset was there before the mirror: no disagreement, only lacks are filled.
        edit.conflicts.clear();
        let plan = decide(
            Action::Adopt { asset: asset.clone(), edit },
            format!("the media area already has this content as {}", asset.filename),
        );
        return if shares { plan.with(members(seen, aliased)) } else { plan };
    }
    create(seen, policy, content, "the file is new".into())
}

/// Whether there is an asset that the path takes without a byte sent.
fn has_asset_to_take(seen: &Observation, policy: &Policy) -> bool {
    let shares = policy.duplicates == Duplicates::Share;
    seen.gone_twin.is_some()
        || seen.remote_twin.is_some()
        || (shares && seen.live_twin.as_ref().is_some_and(|twin| twin.candidate.is_some()))
}

fn create(seen: &Observation, policy: &Policy, content: Md5, why: String) -> Plan {
    let (id, name) = (&seen.new_id, &policy.mirror);
    if policy.duplicates == Duplicates::Separate {
        let edit = Edit::of_new(name, id, &seen.me, &[], content);
        return decide(Action::Create { id: id.clone(), content, edit }, why);
    }
    // On the stamp are all that will share it; one that is not certain yet has the stamp's word for it.
    let followers: Vec<Sharer> = seen.followers.iter().map(|follower| follower.sharer.clone()).collect();
    let edit = Edit::of_new(name, id, &seen.me, &followers, content);
    decide(Action::Create { id: seen.new_id.clone(), content, edit }, why)
        .with(members(seen, |_| (Part::Alias, same_as(&seen.me.path))))
}

fn same_as(path: &RelPath) -> String {
    format!("the same content as {path}: both share one asset")
}

fn moved_from(path: &RelPath) -> String {
    format!("moved from {path}: the same content, so the same asset")
}

/// The paths that are certain to share the asset, beside those that do.
fn with_followers(sharers: &[Sharer], seen: &Observation) -> Vec<Sharer> {
    let joining = seen.followers.iter().filter(|follower| follower.row.is_some());
    sharers.iter().chain(joining.map(|follower| &follower.sharer)).cloned().collect()
}

/// Those that are certain to share the asset, each with its part and the reason.
fn members(seen: &Observation, part: impl Fn(&Follower) -> (Part, String)) -> Vec<Member> {
    let member = |follower: &Follower| {
        let row = follower.row.as_deref()?.clone();
        let (part, mut why) = part(follower);
        if row.asset.is_some() && part == Part::Alias {
            why = format!("it does not keep the asset it had: {why}");
        }
        Some(Member { row, part, why })
    };
    seen.followers.iter().filter_map(member).collect()
}

fn moved(seen: &Observation, policy: &Policy, gone: &GoneTwin) -> Plan {
    let Candidate { asset, pushed } = &gone.candidate;
    let made = pushed.as_ref().is_some_and(|entry| entry.made);
    let sharers = with_followers(&gone.sharers, seen);
    let mut input = EditInput::new(&policy.mirror, &seen.me, &sharers, asset, pushed.as_ref())
        .leaving(&gone.stamp_name, gone.birth);
    for from in seen.followers.iter().filter(|follower| follower.row.is_some()).filter_map(|one| one.from.as_ref()) {
        input = input.leaving(&from.stamp_name, from.birth);
    }
    let renamed = gone.path.stem() != seen.me.path.stem();
    let basename = (policy.on_rename == OnRename::Rename && renamed && made && gone.sharers.is_empty())
        .then(|| seen.me.path.stem().to_owned());
    let part = |follower: &Follower| match &follower.from {
        Some(from) => (Part::Move { from_row: from.row }, moved_from(&from.path)),
        None => (Part::Alias, same_as(&seen.me.path)),
    };
    decide(
        Action::Move {
            from: gone.path.clone(),
            from_row: gone.row,
            asset: asset.clone(),
            basename,
            edit: edit(&input),
        },
        moved_from(&gone.path),
    )
    .with(if policy.duplicates == Duplicates::Share { members(seen, part) } else { Vec::new() })
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
fn compare(seen: &Observation, policy: &Policy, asset: &Asset) -> Plan {
    let Some(remote) = asset.md5 else {
        return decide(Action::Wait, "the service has not told the asset's digest yet");
    };
    let Some(local) = seen.local else { return gone(seen, policy, asset, remote) };
    let accepted = seen.pushed.as_ref().and_then(MirrorStamp::accepted_digest);
    let as_we_left_it = seen.base.is_some() && (seen.base == Some(remote) || accepted == Some(remote));
    let changed_here = seen.base != Some(local);
    match (local == remote, changed_here, as_we_left_it) {
        _ if asset.is_infected() && (local == remote || (!changed_here && as_we_left_it)) => infected(asset),
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
        return decide(Action::Retag { asset: Box::new(asset.clone()), edit, file: FileIs::InStep }, why);
    }
    if index_behind || seen.behind || seen.pushed.as_ref() != Some(&edit.entry) {
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
    if is_claimed_in_vain(seen, policy, asset) {
        let mut plan = place(seen, policy, content);
        plan.why = format!("only a stamp that nothing proves gives it the asset {}: {}", asset.filename, plan.why);
        return plan;
    }
    if stays || seen.foreign_sharers > 0 {
        let mut plan = place(seen, policy, content);
        plan.why = format!("the content changed, and other paths share the old asset: {}", plan.why);
        plan.others_stay = true;
        return plan;
    }
    replace(seen, policy, asset, content, "the content changed")
}

fn replace(seen: &Observation, policy: &Policy, asset: &Asset, content: Md5, why: &str) -> Plan {
    if let Some(infected) = seen.infected_twin.as_deref() {
        return never_sent_again(infected);
    }
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
    let is_stamped = seen.pushed.as_ref().and_then(MirrorStamp::digest) == Some(remote);
    // The same, when another path has what the editor put there and the asset was left to it.
    let suits_another = is_stamped && seen.sharers.iter().any(|sharer| sharer.content == Some(remote));
    // An editor leaves the stamp as it is; who writes file and stamp alike is a machine of this mirror. No editor's choice
    // is to be accepted then, and which of the two files is the later one shows only in the folder.
    let by_this_mirror = is_stamped && seen.base.is_some();
    match policy.on_remote_change {
        OnRemoteChange::Overwrite | OnRemoteChange::Accept if contested => {
            let mut plan = place(seen, policy, local);
            plan.why = format!("changed here and in the CMS, and other paths share the asset: {}", plan.why);
            plan
        }
        OnRemoteChange::Overwrite if suits_another => {
            let mut plan = place(seen, policy, local);
            plan.why = format!("replaced in the CMS by what another path has: {}", plan.why);
            plan
        }
        OnRemoteChange::Overwrite => replace(
            seen,
            policy,
            asset,
            local,
            "the asset's file was replaced in the CMS, and on_remote_change = \"overwrite\"",
        ),
        OnRemoteChange::Accept if !changed_here && asset.is_infected() => infected(asset),
        OnRemoteChange::Accept if !changed_here && !by_this_mirror => decide(
            Action::Accept { asset: asset.id.clone(), content: remote },
            "an editor replaced the asset's file, and on_remote_change = \"accept\"",
        ),
        OnRemoteChange::Accept | OnRemoteChange::Report if by_this_mirror && !changed_here => decide(
            Action::Report {
                cause: format!(
                    "another machine of this mirror (or this one, with an index that was lost or put back since) put \
                     another file into its asset ({})",
                    asset.url
                ),
                advice: "wait until the folder has that file too; if the folder's is the right one, set \
                         on_remote_change = \"overwrite\" (the folder wins)"
                    .into(),
            },
            "another machine of this mirror put another file into its asset",
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
                    advice: match policy.on_remote_change {
                        OnRemoteChange::Accept => {
                            "keep one of the two: copy the CMS's file into the folder, or set on_remote_change = \
                             \"overwrite\" (the folder wins); \"accept\" decides only where the file did not change here"
                        }
                        _ => {
                            "copy the CMS's file into the folder, or set on_remote_change = \"overwrite\" (the folder wins) \
                             or \"accept\" (the CMS's file stands)"
                        }
                    }
                    .into(),
                },
                cause,
            )
        }
    }
}

/// Whether the asset's stamp says that the mirror made it, which is not so: it was written by somebody else. One that hides
/// paths cannot always prove it.
fn is_claimed_in_vain(seen: &Observation, policy: &Policy, asset: &Asset) -> bool {
    let claims = asset.stamp.0.get(&policy.mirror).is_some_and(|entry| entry.made);
    let proved = seen.pushed.as_ref().is_none_or(|entry| entry.made);
    let hidden = seen.me.stamp_name != seen.me.path.key();
    claims && !proved && !hidden
}

#[cfg(test)]
mod tests;
