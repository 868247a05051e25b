//! The service's antivirus: what it says of a file, and when.
//!
//! Owns: the verdict on new contents, and the later scan of those that had to wait for theirs. Never does: serving
//! files; that an infected one is not served is `cdn`'s.

use super::entity::{Antivirus, Upload};
use super::state::World;

fn verdict(world: &World, md5: &str) -> Antivirus {
    if world.settings.infected.iter().any(|infected| infected == md5) { Antivirus::Infected } else { Antivirus::Clean }
}

/// What is said of a new file with this digest (hexadecimal).
pub(super) fn first(world: &World, md5: &str) -> Antivirus {
    if world.settings.antivirus_waits { Antivirus::Pending } else { verdict(world, md5) }
}

/// The word the API uses.
pub(super) const fn name(status: Antivirus) -> &'static str {
    match status {
        Antivirus::Pending => "pending",
        Antivirus::Clean => "clean",
        Antivirus::Infected => "infected",
    }
}

impl World {
    /// Gives every asset of the environment that waits its verdict.
    pub(super) fn scan(&mut self, environment: &str) {
        let now = self.now();
        self.settle(now);
        let space = self.environments.get(environment);
        let waits = |upload: &&Upload| upload.antivirus == Antivirus::Pending;
        let waiting: Vec<Upload> =
            space.into_iter().flat_map(|space| space.uploads.values()).filter(waits).cloned().collect();
        for mut upload in waiting {
            upload.antivirus = verdict(self, &upload.file.md5);
            if self.settings.verdict_moves_updated_at {
                upload.updated_at = now;
            }
            self.put_upload(environment, upload, now);
        }
    }
}
