//! What must hold at a quiet point.

use std::collections::{BTreeMap, BTreeSet};

use dato_mirror::config::policy::{Duplicates, OnDelete};
use dato_mirror::error::{Exit, RunError};
use dato_mirror::model::Md5;
use dato_mirror::sandbox::AssetView;

use super::history::History;
use crate::world::told;

/// The paths that the stamp of an asset names.
fn stamped(asset: &AssetView) -> BTreeSet<String> {
    let metadata = &asset.metadata;
    let custom = metadata.pointer("/en/custom_data").or_else(|| metadata.pointer("/custom_data/en"));
    let paths = custom.and_then(|data| data.pointer("/dato-mirror/brand/paths")).and_then(|paths| paths.as_array());
    paths.into_iter().flatten().filter_map(|path| path.as_str().map(str::to_owned)).collect()
}

impl History {
    /// Runs until quiet, and holds the media area against the promises.
    pub async fn quiet_point(&mut self) {
        let tree = self.world.tree();
        let before: BTreeMap<String, AssetView> =
            self.world.assets().into_iter().map(|one| (one.id.clone(), one)).collect();
        let end = self.run().await;
        if tree.is_empty() {
            assert!(matches!(end, Err(RunError::Empty { .. })), "an empty root stops the run: {}", told(&end));
            assert_eq!(before.len(), self.world.assets().len(), "an empty root changes nothing");
            return;
        }
        let report = match &end {
            Ok(end) if matches!(end.exit, Exit::Done | Exit::Incomplete) => &end.report.mirrors[0],
            _ => panic!("a run without faults: {}", told(&end)),
        };
        let reported: BTreeSet<&str> = report.problems.iter().map(|one| one.path.as_str()).collect();
        let after: BTreeMap<String, AssetView> =
            self.world.assets().into_iter().map(|one| (one.id.clone(), one)).collect();
        let share = self.world.config.mirrors[0].duplicates == Duplicates::Share;
        // Every file has its asset, and one only.
        for (path, content) in &tree {
            if reported.contains(path.as_str()) {
                continue;
            }
            let md5 = Md5::of(content.as_bytes()).to_string();
            let own: Vec<&AssetView> = after.values().filter(|asset| stamped(asset).contains(path)).collect();
            let with_content: Vec<&&AssetView> = own.iter().filter(|asset| asset.md5 == md5).collect();
            let accepted = self.accepted && own.iter().any(|asset| self.meddled.contains(&asset.id));
            assert!(
                !with_content.is_empty() || accepted,
                "{path} has no asset with its content: {own:?}; {}",
                told(&end)
            );
            assert!(with_content.len() < 2, "{path} has two assets: {with_content:?}");
        }
        // No content twice by our doing, where contents are shared and no editor has meddled.
        if share && self.meddled.is_empty() {
            for content in tree.values() {
                let md5 = Md5::of(content.as_bytes()).to_string();
                let present = |asset: &&AssetView| stamped(asset).iter().any(|path| tree.get(path) == Some(content));
                let holders: Vec<&AssetView> = after.values().filter(|one| one.md5 == md5).filter(present).collect();
                let paths: usize = holders.iter().map(|one| stamped(one).len()).sum();
                assert!(holders.len() <= paths, "more assets than files: {holders:?}");
            }
        }
        self.editors_are_safe(&before, &after);
        // Nothing is left to do.
        self.world.sandbox.clear_log();
        let again = self.run().await;
        let changes = self.world.changes();
        assert!(
            changes.is_empty(),
            "a second run changed something: {changes:#?}; {} then {}",
            told(&end),
            told(&again)
        );
    }

    fn editors_are_safe(&self, before: &BTreeMap<String, AssetView>, after: &BTreeMap<String, AssetView>) {
        let deletes = self.world.config.mirrors[0].on_delete == OnDelete::Delete;
        for (id, old) in before {
            let Some(new) = after.get(id) else {
                assert!(deletes, "{id} was deleted although on_delete does not say so");
                assert!(!self.foreign.contains_key(id), "{id} was not ours to delete");
                assert!(!self.referenced.contains(id), "{id} was in use");
                continue;
            };
            assert_eq!((&old.path, &old.filename), (&new.path, &new.filename), "the URL of {id} changed");
            assert_eq!(old.notes, new.notes, "what an editor typed on {id}");
            for tag in self.typed.get(id).into_iter().flatten() {
                assert!(new.tags.contains(tag), "{id} lost the typed tag {tag}");
            }
        }
        for (id, content) in &self.foreign {
            let asset = &after[id];
            if stamped(asset).is_empty() {
                assert_eq!(asset.md5, Md5::of(content.as_bytes()).to_string(), "{id} is another's");
                assert_eq!(asset.filename, "theirs.png");
            }
        }
    }
}
