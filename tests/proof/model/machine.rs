//! Who runs the mirror: our machine, others with the same folder or a part of it, another mirror, a stranger's folder.
//!
//! Owns: each one's configuration, folder and what its index has seen. Never does: judging a run (that is `check`).

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use dato_mirror::config::Config;

use crate::world::{World, tree_of};

/// Who runs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Who {
    /// Our machine.
    Ours,
    /// Another index on the same folder.
    Twin,
    /// A machine whose copy of the folder lags behind and is partial.
    Lagging,
    /// Another mirror, with a folder of its own.
    Web,
    /// Somebody who mirrors another folder under our mirror's name.
    Stranger,
}

fn beside(world: &World, name: &str) -> PathBuf {
    world.config.mirrors[0].root.with_file_name(name)
}

impl Who {
    /// The mirror's name.
    pub const fn mirror(self) -> &'static str {
        match self {
            Self::Web => "web",
            _ => "brand",
        }
    }

    /// Where its folder is.
    pub fn root(self, world: &World) -> PathBuf {
        match self {
            Self::Ours | Self::Twin => world.config.mirrors[0].root.clone(),
            Self::Lagging => beside(world, "lagging"),
            Self::Web => beside(world, "web"),
            Self::Stranger => beside(world, "stranger"),
        }
    }

    /// Where its index is.
    pub fn state(self, world: &World) -> PathBuf {
        match self {
            Self::Ours => world.config.state_path.parent().unwrap().to_owned(),
            Self::Twin => beside(world, "other"),
            Self::Lagging => beside(world, "lagging-state"),
            Self::Web => beside(world, "web-state"),
            Self::Stranger => beside(world, "stranger-state"),
        }
    }

    /// What it runs with: the policies are everybody's.
    pub fn config(self, world: &World) -> Config {
        let mut config = world.config.clone();
        config.state_path = self.state(world).join("index.sqlite");
        config.mirrors[0].root = self.root(world);
        config.mirrors[0].name = self.mirror().to_owned();
        config
    }

    /// The paths of all its files.
    pub fn disk(self, world: &World) -> BTreeSet<String> {
        tree_of(&self.root(world)).into_keys().collect()
    }
}

/// Brings a part of our folder to the lagging machine: the n-th file when the n-th bit says so; what is gone here goes.
pub fn sync_partly(world: &World, bits: u64) {
    let root = Who::Lagging.root(world);
    fs::create_dir_all(&root).unwrap();
    let ours = world.tree();
    for path in tree_of(&root).into_keys().filter(|path| !ours.contains_key(path)) {
        fs::remove_file(root.join(path)).unwrap();
    }
    for (number, (path, content)) in ours.into_iter().enumerate() {
        if bits >> (number % 64) & 1 == 1 {
            let to = root.join(path);
            fs::create_dir_all(to.parent().unwrap()).unwrap();
            // A path that was a folder there is left for later, as such tools do.
            if !to.is_dir() {
                fs::write(to, content).unwrap();
            }
        }
    }
}
