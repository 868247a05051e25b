//! What stops a mirror before it changes anything: a name that belongs to another folder, a media area that lost most.
//!
//! Owns: when the measures of `pipeline::absence` are taken, and what passes them. Decides nothing about a file.
//! Called by: `mirror::passes`, before each pass.

use super::{MirrorRun, Turn};
use crate::config::policy::{OnRemoteDelete, StampMode};
use crate::error::RunError;
use crate::index::{absence, files, settings};
use crate::model::{PathDigest, RelPath};
use crate::pipeline::absence::{Contact, Missing, is_vacant};

impl MirrorRun {
    /// Why nothing may be changed, if so.
    ///
    /// # Errors
    /// The index's.
    pub(super) async fn stop(&self, turn: Turn<'_>) -> Result<Option<String>, RunError> {
        match self.first_contact(turn).await? {
            Some(stop) => Ok(Some(stop)),
            None => self.lost(turn).await,
        }
    }

    /// An index that meets a name for the first time, or in another root: is it this folder's?
    async fn first_contact(&self, turn: Turn<'_>) -> Result<Option<String>, RunError> {
        let Turn { session, request, .. } = turn;
        let (name, root) = (self.config.name.clone(), self.config.root.display().to_string());
        let row = session.index.call(move |conn| settings::mirror(conn, &name)).await?;
        let first = match row.belongs {
            Some(before) if before == root => return Ok(None),
            // An older version took it for granted.
            Some(before) if before.is_empty() => {
                session.index.call(move |conn| absence::set_belongs(conn, row.id, &root)).await?;
                return Ok(None);
            }
            Some(_) => false,
            None => true,
        };
        if first {
            let origin = &self.config.name_origin;
            tracing::info!(
                "mirroring {root} under the name \"{}\" (from {origin}): its assets belong to that name",
                self.config.name
            );
        }
        let contact = self.contact(turn).await?;
        if contact.is_strange() && !request.take_over {
            return Ok(Some(contact.told(&self.config.name, &root)));
        }
        // A look at some paths knows too little to settle it for good.
        if request.only.is_none() || request.take_over {
            session.index.call(move |conn| absence::set_belongs(conn, row.id, &root)).await?;
        }
        Ok(None)
    }

    async fn contact(&self, turn: Turn<'_>) -> Result<Contact, RunError> {
        let (row, name, site) = (self.row, self.config.name.clone(), turn.session.site.id.clone());
        let hidden = self.config.stamp == StampMode::Digest;
        let (named, missing, mut paths) = turn
            .session
            .index
            .call(move |conn| {
                if hidden {
                    files::name_hidden(conn, row, |path| PathDigest::of(&site, &name, path))?;
                }
                absence::named(conn, row)
            })
            .await?;
        if turn.request.only.is_none() {
            return Ok(Contact { named, missing, examples: paths });
        }
        // The index knows some paths of the folder only: the disk is asked about the others. Of a digest it cannot be asked.
        let root = self.config.root.clone();
        let looked = tokio::task::spawn_blocking(move || {
            paths.retain(|path| {
                !path.starts_with('#') && RelPath::from_key(path).is_ok_and(|path| is_vacant(&root, &path))
            });
            paths
        });
        let examples = looked.await.map_err(|_| RunError::Stopped)?;
        Ok(Contact { named, missing: examples.len() as u64, examples })
    }

    /// Most assets are not where they were: no editor did that.
    async fn lost(&self, turn: Turn<'_>) -> Result<Option<String>, RunError> {
        let request = turn.request;
        if request.force || request.recreate || self.config.on_remote_delete == OnRemoteDelete::Recreate {
            return Ok(None);
        }
        let row = self.row;
        let (placed, missing, assets) = turn.session.index.call(move |conn| absence::missing(conn, row)).await?;
        let missing = Missing { placed, missing, assets };
        Ok(missing.is_strange().then(|| missing.told()))
    }
}
