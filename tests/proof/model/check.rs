//! What must hold: after every run for what editors and strangers left, at a quiet point also for the folder.

use std::collections::{BTreeMap, BTreeSet};

use dato_mirror::config::policy::{Duplicates, OnDelete, OnRemoteChange};
use dato_mirror::error::{Exit, RunError};
use dato_mirror::model::Md5;
use dato_mirror::sandbox::AssetView;
use dato_mirror::sync::once::{OnceEnd, OnceOptions};
use dato_mirror::sync::plan::edit::GONE_TAG;

use super::editor::alt_of;
use super::history::History;
use super::machine::Who;
use crate::world::{custom_of, stamped, told};

/// Whether a safety guard stopped it.
fn is_stopped(end: &Result<OnceEnd, RunError>) -> bool {
    match end {
        Ok(end) => end.exit == Exit::Guard,
        Err(error) => error.exit() == Exit::Guard && !matches!(error, RunError::Empty { .. }),
    }
}

impl History {
    /// Runs until quiet, and holds the media area against the promises.
    pub async fn quiet_point(&mut self) {
        let mut tree = self.world.tree();
        if !self.world.config.mirrors[0].exclude.is_empty() {
            tree.retain(|path, _| !path.starts_with("f/"));
        }
        let before = self.world.assets().len();
        let mut end = self.run(Who::Ours, OnceOptions::default()).await;
        if tree.is_empty() {
            assert!(matches!(end, Err(RunError::Empty { .. })), "an empty root stops the run: {}", told(&end));
            assert_eq!(before, self.world.assets().len(), "an empty root changes nothing");
            return;
        }
        if is_stopped(&end) {
            // Somebody says that it is meant.
            let forced = OnceOptions { force: true, take_over: true, ..OnceOptions::default() };
            end = self.run(Who::Ours, forced).await;
            assert!(!is_stopped(&end), "a run that is told to go on is stopped: {}", told(&end));
        }
        let report = match &end {
            Ok(end) if matches!(end.exit, Exit::Done | Exit::Incomplete) => &end.report.mirrors[0],
            _ => panic!("a run without faults: {}", told(&end)),
        };
        let reported: BTreeSet<&str> = report.problems.iter().map(|one| one.path.as_str()).collect();
        let after = self.by_id();
        let share = self.world.config.mirrors[0].duplicates == Duplicates::Share;
        // Every file has its asset, and one only.
        for (path, content) in &tree {
            if reported.contains(path.as_str()) {
                continue;
            }
            let md5 = Md5::of(content.as_bytes()).to_string();
            let own: Vec<&AssetView> = after.values().filter(|asset| stamped(asset, "brand").contains(path)).collect();
            let with_content: Vec<&&AssetView> = own.iter().filter(|asset| asset.md5 == md5).collect();
            let accepted = self.accepted && own.iter().any(|asset| self.left().meddled.contains(&asset.id));
            assert!(
                !with_content.is_empty() || accepted,
                "{path} has no asset with its content: {own:?}; {}",
                told(&end)
            );
            assert!(with_content.len() < 2, "{path} has two assets: {with_content:?}");
        }
        // No content twice by our doing, where contents are shared and no editor has meddled.
        if share && self.left().meddled.is_empty() {
            for content in tree.values() {
                let md5 = Md5::of(content.as_bytes()).to_string();
                let present =
                    |asset: &&AssetView| stamped(asset, "brand").iter().any(|path| tree.get(path) == Some(content));
                let holders: Vec<&AssetView> = after.values().filter(|one| one.md5 == md5).filter(present).collect();
                let paths: usize = holders.iter().map(|one| stamped(one, "brand").len()).sum();
                assert!(holders.len() <= paths, "more assets than files: {holders:?}");
            }
        }
        // Nothing is left to do.
        self.world.sandbox.clear_log();
        let again = self.run(Who::Ours, OnceOptions::default()).await;
        let changes = self.world.changes();
        assert!(
            changes.is_empty(),
            "a second run changed something: {changes:#?}; {} then {}",
            told(&end),
            told(&again)
        );
    }

    /// Every text, tag, file and asset of an editor or a stranger is what they left, unless a policy names it.
    pub fn nothing_is_lost(&self, who: Who, before: &BTreeMap<String, AssetView>, after: &BTreeMap<String, AssetView>) {
        let policies = &self.world.config.mirrors[0];
        let disk = who.disk(&self.world);
        self.left().strike_what_was_in_flight(&self.world.sandbox.log(), after);
        for (id, old) in before {
            match after.get(id) {
                None => self.was_rightly_deleted(who, &disk, old),
                Some(new) => {
                    // One that an editor deleted in the midst of the run may have been made again.
                    let again = self.left().deleted.contains(id);
                    assert!(
                        again || (&old.path, &old.filename) == (&new.path, &new.filename),
                        "the URL of {id} changed"
                    );
                    let tagged =
                        new.tags.iter().any(|tag| tag == GONE_TAG) && !old.tags.iter().any(|tag| tag == GONE_TAG);
                    let there = stamped(new, who.mirror()).into_iter().find(|path| disk.contains(path));
                    assert!(!tagged || there.is_none(), "{id} is tagged as gone, and {there:?} is there");
                }
            }
        }
        let mut left = self.left();
        for id in before.keys().filter(|id| !after.contains_key(*id)) {
            left.forget(id);
        }
        if policies.on_remote_change == OnRemoteChange::Overwrite {
            left.files.clear();
        }
        for (id, new) in after {
            for tag in left.tags.get(id).into_iter().flatten() {
                assert!(new.tags.contains(tag), "{id} lost the typed tag {tag}: {new:?}");
            }
            if let Some(alt) = left.alts.get(id) {
                assert_eq!(alt_of(&new.metadata), Some(alt.as_str()), "the alt text an editor typed on {id}");
            }
            if let Some(notes) = left.notes.get(id) {
                assert_eq!(new.notes.as_ref(), Some(notes), "the notes an editor typed on {id}");
            }
            for key in left.custom.get(id).into_iter().flatten() {
                let kept = custom_of(&new.metadata).is_some_and(|data| data.get(key).is_some());
                let calls = || self.world.sandbox.log().into_iter().filter(|call| call.path.contains(id.as_str()));
                assert!(kept, "{id} lost the custom data {key}: {new:?}; {:#?}", calls().collect::<Vec<_>>());
            }
            if let Some(md5) = left.files.get(id).filter(|_| !self.accepted) {
                assert_eq!(&new.md5, md5, "an editor's file in place of {id}'s was overwritten");
            }
        }
        for (id, content) in &left.foreign {
            let Some(asset) = after.get(id) else { panic!("{id} was not ours to delete") };
            assert_eq!(asset.filename, "theirs.png");
            if stamped(asset, "brand").is_empty() && stamped(asset, "web").is_empty() || left.forged.contains(id) {
                assert_eq!(asset.md5, Md5::of(content.as_bytes()).to_string(), "{id} is another's");
            }
        }
    }

    fn was_rightly_deleted(&self, who: Who, disk: &BTreeSet<String>, old: &AssetView) {
        let (left, id) = (self.left(), &old.id);
        if left.deleted.contains(id) {
            return;
        }
        let policy = self.world.config.mirrors[0].on_delete;
        assert!(policy == OnDelete::Delete, "{id} was deleted although on_delete does not say so");
        assert!(!left.foreign.contains_key(id), "{id} was not ours to delete");
        assert!(!left.referenced.contains(id), "{id} was in use");
        // One that the folder overwrote in the same run may go after that.
        let overwritten = self.accepted || self.world.config.mirrors[0].on_remote_change == OnRemoteChange::Overwrite;
        let theirs = left.files.get(id).filter(|md5| !overwritten || **md5 == old.md5);
        assert!(theirs.is_none(), "{id} was deleted with an editor's file {theirs:?}: {old:?}");
        let others = if who == Who::Web { "brand" } else { "web" };
        assert!(stamped(old, others).is_empty(), "{id} was another mirror's too: {old:?}");
        let seen = &self.seen[&who];
        for path in stamped(old, who.mirror()) {
            assert!(!disk.contains(&path), "{id} was deleted, and {path} is there");
            assert!(seen.contains(&path), "{id} was deleted for {path}, which this index never saw: {old:?}");
        }
    }
}
