//! Gathers all that is known of one path.
//!
//! Owns: the rules which asset is a path's own and what counts as its base; in `observe/` who its twins are, and what
//! is read once for all rows of a page. Reads the index; never the network, never decides.

mod looks;
mod twins;

use rusqlite::Connection;

use crate::index::FileRow;
use crate::index::assets;
use crate::model::{Asset, Md5, MirrorStamp, UploadId};

use crate::sync::absence::Absence;
use crate::sync::plan::{Known, Observation};
use crate::sync::scope::Scope;

pub use looks::{Company, Looks};

/// Observes the path of `row` by itself, for whoever looks at one path: nobody is taken along.
///
/// # Errors
/// SQLite's.
pub fn observe(conn: &Connection, scope: &Scope, row: &FileRow) -> rusqlite::Result<Observation> {
    Looks::new(conn, scope, &Company::default()).observe(row)
}

impl Looks<'_> {
    /// Observes the path of `row`, and who has the same to be done.
    ///
    /// # Errors
    /// SQLite's.
    pub fn observe(&mut self, row: &FileRow) -> rusqlite::Result<Observation> {
        let (conn, scope) = (self.conn, self.scope);
        let local = row.md5.filter(|_| row.present);
        let (known, new_id) = self.own_asset(row)?;
        let own = match &known {
            Known::There(asset) => Some(&**asset),
            Known::Never | Known::Gone(_) => None,
        };
        let mut seen = Observation {
            me: scope.sharer(conn, row, own)?,
            local,
            base: row.base_md5,
            known,
            behind: false,
            pushed: None,
            sharers: Vec::new(),
            foreign_sharers: 0,
            gone_twin: None,
            live_twin: None,
            remote_twin: None,
            infected_twin: None,
            followers: Vec::new(),
            alike: Vec::new(),
            new_id,
            absence: scope.absence(row),
        };
        if let Known::There(asset) = &seen.known {
            seen.pushed = scope.pushed_of(conn, asset, Some(&row.path))?;
            seen.base = base_of(row.base_md5, local, asset.md5, seen.pushed.as_ref().and_then(MirrorStamp::digest));
            seen.behind = row.asset.as_ref() != Some(&asset.id) || row.base_md5 != local;
            for (mirror, owner) in &self.owners(&asset.id)?.rows {
                if owner.id == row.id {
                    continue;
                }
                if !owner.present {
                    seen.foreign_sharers += usize::from(*mirror == scope.name && is_not_gone(scope, owner, asset));
                    continue;
                }
                if *mirror == scope.name {
                    let sharer = scope.sharer(conn, owner, Some(asset))?;
                    self.note(owner, &sharer.desired);
                    seen.sharers.push(sharer);
                } else {
                    seen.foreign_sharers += 1;
                }
            }
            seen.foreign_sharers += unknown_sharers(conn, scope, asset)?;
        }
        seen.alike = match &seen.known {
            Known::Never => Vec::new(),
            Known::Gone(id) => self.alike(row, id)?,
            Known::There(asset) => self.alike(row, &asset.id)?,
        };
        if let Some(content) = local {
            let own = row.asset.as_ref();
            let twin = assets::infected(conn, content)?.filter(|asset| Some(&asset.id) != own);
            seen.infected_twin = twin.map(Box::new);
        }
        if let Some(content) = local.filter(|_| self.is_to_be_placed(&seen)) {
            self.find_twins(row, content, &mut seen)?;
            if let (Known::Never | Known::Gone(_), Some(asset)) = (&seen.known, to_take(&seen, scope.share)) {
                seen.me = scope.sharer(conn, row, Some(asset))?;
            }
        }
        Ok(seen)
    }

    /// Whether the path may need another asset than the one that is known.
    fn is_to_be_placed(&self, seen: &Observation) -> bool {
        match &seen.known {
            Known::Never => true,
            Known::Gone(_) => self.scope.desires.recreates(),
            Known::There(_) => !seen.sharers.is_empty() || seen.foreign_sharers > 0,
        }
    }

    /// The asset of a path, by index (which stamps have filled) or by derived id; and the id for a new one.
    fn own_asset(&mut self, row: &FileRow) -> rusqlite::Result<(Known, UploadId)> {
        let mut known = match &row.asset {
            Some(id) => Some(match self.asset(id)? {
                Some(asset) => Known::There(Box::new((*asset).clone())),
                None => Known::Gone(id.clone()),
            }),
            None => None,
        };
        let mut generation = 0;
        loop {
            let id = self.derived(row, generation);
            generation += 1;
            let Some(asset) = self.asset(&id)? else {
                // An id that went with another path stays that path's, also when its asset was deleted.
                let is_taken = self.owners(&id)?.rows.iter().any(|(_, owner)| owner.id != row.id);
                if is_taken || assets::is_spent(self.conn, &id)? {
                    continue;
                }
                return Ok((known.unwrap_or(Known::Never), id));
            };
            if known.is_none() && self.is_own(row, &asset)? {
                known = Some(Known::There(Box::new((*asset).clone())));
            }
        }
    }

    fn derived(&self, row: &FileRow, generation: u32) -> UploadId {
        UploadId::derived(&self.scope.site.id, &self.scope.name, &row.path, generation)
    }

    /// Whether an asset with an id derived from this path, which the index knows none for, is its own.
    pub(crate) fn has_own(&mut self, row: &FileRow) -> rusqlite::Result<bool> {
        let mut generation = 0;
        while let Some(asset) = self.asset(&self.derived(row, generation))? {
            if self.is_own(row, &asset)? {
                return Ok(true);
            }
            generation += 1;
        }
        Ok(false)
    }

    /// Whether the asset with an id derived from this path still belongs to it: it may have moved on to another path.
    fn is_own(&mut self, row: &FileRow, asset: &Asset) -> rusqlite::Result<bool> {
        if let Some(entry) = asset.stamp.0.get(&self.scope.name) {
            return Ok(entry.paths.contains(&self.scope.stamp_name(&row.path)));
        }
        Ok(self.owners(&asset.id)?.rows.is_empty())
    }
}

/// The asset that the planner gives a path without one, if there is any: what its year is.
fn to_take(seen: &Observation, share: bool) -> Option<&Asset> {
    let gone = seen.gone_twin.as_ref().map(|twin| &twin.candidate);
    let live = seen.live_twin.as_ref().filter(|_| share).and_then(|twin| twin.candidate.as_ref());
    gone.or(live).or(seen.remote_twin.as_ref()).map(|candidate| &*candidate.asset)
}

/// The content when path and asset were last in step, from what the index (`I`) and the stamp (`S`) say.
///
/// The stamp knows better when the index is an old one: the file changed since the index's word, and the asset is
/// as a stamp left it. For a file that did not change here, the index's word stands: then another writer changed the
/// asset.
fn base_of(index: Option<Md5>, local: Option<Md5>, remote: Option<Md5>, stamp: Option<Md5>) -> Option<Md5> {
    match index {
        Some(_) if local.is_some() && local != index && stamp.is_some() && stamp == remote => stamp,
        Some(_) => index,
        None => stamp,
    }
}

/// Whether a path that is not among the files on disk still shares the asset: it is left out, something else lies in its
/// place, or the index never saw it here and the asset's stamp says so.
fn is_not_gone(scope: &Scope, owner: &FileRow, asset: &Asset) -> bool {
    let named = |entry: &MirrorStamp| {
        entry.paths.contains(owner.path.key()) || entry.paths.contains(&scope.stamp_name(&owner.path))
    };
    match scope.absence(owner) {
        Absence::Gone | Absence::Hearsay => false,
        Absence::Elsewhere => asset.stamp.0.get(&scope.name).is_some_and(named),
        Absence::LeftOut | Absence::Occupied => true,
    }
}

/// Paths of mirrors that this index does not have: only the stamp tells of them.
fn unknown_sharers(conn: &Connection, scope: &Scope, asset: &Asset) -> rusqlite::Result<usize> {
    let mut count = 0;
    for (name, entry) in &asset.stamp.0 {
        let known: bool =
            conn.query_row("SELECT EXISTS (SELECT 1 FROM mirror WHERE name = ?1)", [name], |row| row.get(0))?;
        if *name != scope.name && !known {
            count += entry.paths.len();
        }
    }
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_base_is_the_indexs_word_unless_the_stamp_knows_better() {
        let [a, b, c] = ["a", "b", "c"].map(|text| Some(Md5::of(text.as_bytes())));
        // (index, local, remote, stamp) → base
        let cases = [
            ((a, a, a, a), a, "all in step"),
            ((None, a, b, b), b, "no index: the stamp is the record"),
            ((None, a, b, None), None, "nothing tells"),
            ((a, c, b, b), b, "an old index: changed here since the stamp"),
            ((a, a, b, b), a, "another writer changed the asset: not ours to overwrite"),
            ((a, c, b, a), a, "an editor replaced it and it changed here"),
            ((a, None, b, b), a, "a vanished file never borrows another writer's base"),
            ((a, c, a, None), a, "an editor emptied the stamp"),
        ];
        for ((index, local, remote, stamp), base, why) in cases {
            assert_eq!(base_of(index, local, remote, stamp), base, "{why}");
        }
    }
}
