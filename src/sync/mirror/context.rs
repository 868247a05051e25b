//! What a pass over a mirror is made of.
//!
//! Owns: how settings, project and folder become the planner's and the executor's terms. Makes no call.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{MirrorRun, RunContext};
use crate::config::Mirror;
use crate::config::policy::{Duplicates, OnRemoteDelete, StampMode};
use crate::error::RunError;
use crate::features::remote_files::cache_folder;
use crate::index::{files, sidecars};
use crate::model::{CollectionId, PathDigest, Site};
use crate::sync::desired_state::Desires;
use crate::sync::execute::Executor;
use crate::sync::pass::PassContext;
use crate::sync::path_filter::PathFilter;
use crate::sync::plan::Policy;
use crate::sync::scope::Scope;
use crate::sync::video_lookup::VideoLookup;

impl MirrorRun {
    pub(super) async fn context(
        &self,
        turn: RunContext<'_>,
        collections: BTreeMap<String, CollectionId>,
    ) -> Result<PassContext, RunError> {
        let RunContext { session, request, stop } = turn;
        let (row, site, config) = (self.row, session.site.clone(), self.config.clone());
        let hide_paths = config.stamp == StampMode::Digest;
        let mut policy = policy_of(&config, &site);
        if request.recreate {
            policy.on_remote_delete = OnRemoteDelete::Recreate;
        }
        let (name, site_id) = (config.name.clone(), site.id.clone());
        let (stored, sidecar_changes) = session
            .index
            .call(move |conn| {
                if hide_paths {
                    files::name_hidden(conn, row, |path| PathDigest::of(&site_id, &name, path))?;
                }
                Ok((sidecars::toml(conn, row)?, sidecars::changes(conn, row)?))
            })
            .await?;
        let (mut desires, broken) = Desires::new(config.clone(), row, &site, &stored);
        self.tell_broken(&session.index, broken, request.live.is_some()).await?;
        desires.set_collections(collections);
        let scope = Scope {
            mirror: row,
            name: config.name.clone(),
            site,
            hide_paths,
            share: config.duplicates == Duplicates::Share,
            desires,
            sidecar_changes,
            sight: Some(VideoLookup { root: config.root.clone(), selection: self.selection.clone() }),
            authoritative: config.authoritative,
        };
        let ground = self.ground(&session.index).await?;
        let (scope, policy) = (Arc::new(scope), Arc::new(policy));
        let executor = (!session.dry_run).then(|| Executor {
            remote: session.remote.clone(),
            index: session.index.clone(),
            confirmer: session.confirmer.clone(),
            last_look: session.last_look.clone(),
            rights: session.rights.clone(),
            room: session.room.clone(),
            scope: scope.clone(),
            policy: policy.clone(),
            waits: session.waits,
            root: Arc::new(config.root.clone()),
            ground: Arc::new(ground),
            cache: Arc::new(cache_folder(session.index.path(), &config.name)),
            senders: session.senders.clone(),
            sending: request.sending.clone(),
        });
        Ok(PassContext {
            scope,
            policy,
            executor,
            index: session.index.clone(),
            remote: session.remote.clone(),
            max_delete: config.max_delete,
            force: request.force,
            rounds: session.waits.rounds,
            only: request.only.as_ref().map(|paths| Arc::new(PathFilter::new(paths))),
            stop: stop.clone(),
            impatient: request.impatient,
            urgent: request.urgent.clone(),
            live: request.live.clone(),
            progress: self.progress.clone(),
            verifier: session.verifier.clone().filter(|_| config.verify_live),
        })
    }
}

/// The settings of a mirror that decide, in a project.
#[must_use]
pub fn policy_of(config: &Mirror, site: &Site) -> Policy {
    Policy {
        mirror: config.name.clone(),
        on_change: config.on_change,
        on_rename: config.on_rename,
        on_delete: config.on_delete,
        on_remote_change: config.on_remote_change,
        on_remote_delete: config.on_remote_delete,
        duplicates: config.duplicates,
        custom_storage: site.custom_storage,
    }
}
