//! What stops a mirror before it changes anything: a name that belongs to another folder, a media area that lost most.
//!
//! Owns: when the measures of `sync::absence` are taken, and what passes them. Decides nothing about a file.

use rusqlite::Connection;

use super::{MirrorRun, RunContext};
use crate::config::policy::{OnRemoteDelete, StampMode};
use crate::error::RunError;
use crate::index::contact::{self, Met, Others};
use crate::index::{absence, files, settings};
use crate::model::{PathDigest, RelPath};
use crate::sync::absence::{Contact, Missing, is_vacant};

impl MirrorRun {
    /// Why nothing may be changed, if so.
    ///
    /// # Errors
    /// The index's.
    pub(super) async fn stop(&self, turn: RunContext<'_>) -> Result<Option<String>, RunError> {
        if let Some(stop) = self.first_contact(turn).await? {
            return Ok(Some(stop));
        }
        match self.contested(turn).await? {
            Some(stop) => Ok(Some(stop)),
            None => self.lost(turn).await,
        }
    }

    /// An index that meets a name for the first time, or in another root: is it this folder's?
    async fn first_contact(&self, turn: RunContext<'_>) -> Result<Option<String>, RunError> {
        let RunContext { session, request, .. } = turn;
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
            let met = match (request.take_over, first) {
                (true, _) => Met::TakenOver,
                (false, true) => Met::First,
                (false, false) => Met::Later,
            };
            let belongs = move |conn: &Connection| {
                contact::begin(conn, row.id, met)?;
                absence::set_belongs(conn, row.id, &root)
            };
            session.index.call(belongs).await?;
        }
        Ok(None)
    }

    /// Since the first contact, somebody else put a file under a path of ours: is it another folder's?
    async fn contested(&self, turn: RunContext<'_>) -> Result<Option<String>, RunError> {
        let (index, row) = (&turn.session.index, self.row);
        if !index.call(move |conn| contact::is_contested(conn, row)).await? {
            return Ok(None);
        }
        if turn.request.take_over {
            index.call(move |conn| contact::begin(conn, row, Met::TakenOver)).await?;
            return Ok(None);
        }
        let name_hidden = self.name_hidden(turn);
        let others = index.call(move |conn| {
            name_hidden(conn)?;
            contact::others(conn, row)
        });
        let Others { first, named, missing } = others.await?;
        let (known, unknown): (Vec<_>, Vec<_>) =
            missing.into_iter().partition(|(_, here)| *here || turn.request.only.is_none());
        let unknown = self.not_on_disk(unknown.into_iter().map(|(path, _)| path).collect()).await?;
        let mut examples: Vec<String> = known.into_iter().map(|(path, _)| path).chain(unknown).collect();
        examples.sort_unstable();
        let contact = Contact { named, missing: examples.len() as u64, examples };
        if contact.is_contested(first) {
            return Ok(Some(contact.told_contested(&self.config.name, &self.config.root.display().to_string())));
        }
        index.call(move |conn| contact::agree(conn, row)).await?;
        Ok(None)
    }

    /// With `stamp = "digest"` it gives rows that stamps have made the paths they are about.
    fn name_hidden(&self, turn: RunContext<'_>) -> impl FnOnce(&Connection) -> rusqlite::Result<()> + Send + use<> {
        let (row, name, site) = (self.row, self.config.name.clone(), turn.session.site.id.clone());
        let hidden = self.config.stamp == StampMode::Digest;
        move |conn| match hidden {
            true => files::name_hidden(conn, row, |path| PathDigest::of(&site, &name, path)),
            false => Ok(()),
        }
    }

    /// Those of the paths at which there is nothing. Of a digest the disk cannot be asked.
    async fn not_on_disk(&self, mut paths: Vec<String>) -> Result<Vec<String>, RunError> {
        let root = self.config.root.clone();
        let looked = tokio::task::spawn_blocking(move || {
            paths.retain(|path| {
                !path.starts_with('#') && RelPath::from_key(path).is_ok_and(|path| is_vacant(&root, &path))
            });
            paths
        });
        looked.await.map_err(|_| RunError::Stopped)
    }

    async fn contact(&self, turn: RunContext<'_>) -> Result<Contact, RunError> {
        let (row, name_hidden) = (self.row, self.name_hidden(turn));
        let named = turn.session.index.call(move |conn| {
            name_hidden(conn)?;
            absence::named(conn, row)
        });
        let (named, missing, paths) = named.await?;
        if turn.request.only.is_none() {
            return Ok(Contact { named, missing, examples: paths });
        }
        // The index knows some paths of the folder only: the disk is asked about the others.
        let examples = self.not_on_disk(paths).await?;
        Ok(Contact { named, missing: examples.len() as u64, examples })
    }

    /// Most assets are not where they were: no editor did that.
    async fn lost(&self, turn: RunContext<'_>) -> Result<Option<String>, RunError> {
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
