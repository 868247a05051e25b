//! What becomes of the asset of a file that is not there.
//!
//! Owns: the cells of the decision table in which the path is absent and its asset is known.

use super::action::{Action, Plan, decide};
use super::observation::{Observation, Policy};
use crate::config::policy::OnDelete;
use crate::model::{Asset, Md5, MirrorStamp};
use crate::sync::plan::edit::{EditInput, FileIs, GONE_TAG, edit};

/// The file is not there; its asset is.
pub(super) fn gone(seen: &Observation, policy: &Policy, asset: &Asset, remote: Md5) -> Plan {
    let made = seen.pushed.as_ref().is_some_and(|entry| entry.made);
    if !seen.absence.is_gone(made) {
        return decide(Action::Nothing, seen.absence.why());
    }
    if !seen.sharers.is_empty() || seen.foreign_sharers > 0 {
        return decide(Action::Forget, "other paths share its asset");
    }
    let as_we_left_it = seen.base == Some(remote);
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
        OnDelete::Delete if !is_stamped(seen, policy, asset, remote) => decide(
            Action::Report {
                cause: format!(
                    "the file is gone, but its asset's stamp was changed in the CMS ({}): it is not deleted",
                    asset.url
                ),
                advice: "delete the asset in the CMS if it is no longer wanted".into(),
            },
            "the stamp of a vanished file's asset was changed",
        ),
        OnDelete::Delete => decide(
            Action::Delete { asset: Box::new(asset.clone()) },
            "the file is gone; on_delete = \"delete\", and the mirror made the asset",
        ),
        OnDelete::Tag => {
            let input = EditInput::new(&policy.mirror, &seen.me, &[], asset, seen.pushed.as_ref());
            let edit = edit(&input.with_file(FileIs::Gone));
            if edit.is_due() {
                let retag = Action::Retag { asset: Box::new(asset.clone()), edit, file: FileIs::Gone };
                decide(retag, "the file is gone; on_delete = \"tag\"")
            } else {
                decide(Action::Nothing, "the file is gone; its asset is tagged")
            }
        }
    }
}

/// What was decided about a file that is there, unless only a person can decide and its asset is tagged as that of a
/// vanished file: the tag goes first.
pub(super) fn not_gone(seen: &Observation, policy: &Policy, asset: &Asset, decided: Plan) -> Plan {
    let is_tagged = seen.pushed.as_ref().is_some_and(|entry| entry.tags.contains(GONE_TAG));
    if seen.local.is_none() || !is_tagged || !matches!(decided.action, Action::Report { .. }) {
        return decided;
    }
    let input = EditInput::new(&policy.mirror, &seen.me, &seen.sharers, asset, seen.pushed.as_ref());
    let edit = edit(&input.with_file(FileIs::Back));
    if !edit.is_due() {
        return decided;
    }
    decide(Action::Retag { asset: Box::new(asset.clone()), edit, file: FileIs::Back }, "the file is there again")
}

/// Whether the asset's own stamp still says that it is this path's, with the content it has: whoever took the stamp away or
/// changed it means to keep the asset.
fn is_stamped(seen: &Observation, policy: &Policy, asset: &Asset, remote: Md5) -> bool {
    let names = |entry: &MirrorStamp| !entry.leaves_out(&seen.me.stamp_name) || !entry.leaves_out(seen.me.path.key());
    asset.stamp.0.get(&policy.mirror).is_some_and(|entry| names(entry) && entry.digest() == Some(remote))
}
