//! Paths with the same content: whose asset a path may share or take over, and who goes with it.
//!
//! Owns: who of them has an asset, who waits for whom, who came from which vanished path, and who is certain to get the
//! asset that the observed path gets. Reads the index; never decides.

use std::collections::{HashMap, HashSet};

use super::Looks;
use crate::index::{FileRow, hearsay};
use crate::model::{Asset, Md5, UploadId};
use crate::sync::plan::{Candidate, Follower, GoneTwin, Known, LiveTwin, Observation, Origin, Sharer};

/// Paths on disk with the content and without an asset, but for the observed one.
struct Waiting<'a> {
    row: &'a FileRow,
    /// The planner will find it an asset by its content.
    is_certain: bool,
}

/// Assets with the content that paths on disk have, in the order of these paths.
#[derive(Default)]
struct Lives {
    all: Vec<(FileRow, Candidate)>,
    seen: HashSet<UploadId>,
}

impl Lives {
    /// Which one a path takes: the first that was made with it in mind, else the first.
    fn of(&self, name: &str) -> Option<&(FileRow, Candidate)> {
        self.all.iter().find(|(_, live)| names(live, name)).or(self.all.first())
    }

    /// Whether one was made with the path in mind.
    fn name(&self, name: &str) -> bool {
        self.all.iter().any(|(_, live)| names(live, name))
    }
}

fn names(live: &Candidate, name: &str) -> bool {
    live.pushed.as_ref().is_some_and(|entry| entry.paths.contains(name))
}

/// A vanished path whose asset is there and has the content.
struct Gone {
    row: FileRow,
    asset: std::rc::Rc<Asset>,
}

impl Looks<'_> {
    pub(super) fn find_twins(&mut self, row: &FileRow, content: Md5, seen: &mut Observation) -> rusqlite::Result<()> {
        let twins = self.of_content(content)?;
        let mut gone = Vec::new();
        for twin in twins.gone.iter().filter(|twin| twin.id != row.id) {
            let asset = twin.asset.as_ref().map(|id| self.asset(id)).transpose()?.flatten();
            if let Some(asset) = asset.filter(|asset| asset.md5 == Some(content))
                && self.is_movable(&asset)?
            {
                gone.push(Gone { row: twin.clone(), asset });
            }
        }
        seen.remote_twin = self.remote_twin(row, content)?;
        if !self.scope.share {
            // Each has an asset of its own: who else has the content on disk does not matter.
            let from = pick(row, &gone, &HashSet::new());
            return from.map_or(Ok(()), |from| self.comes_from(row, &gone[from], seen));
        }
        let (mut lives, mut waiting) = (Lives::default(), Vec::new());
        for twin in twins.present.iter().filter(|twin| twin.id != row.id) {
            let known = twin.asset.as_ref().map(|id| self.asset(id)).transpose()?.flatten();
            if let Some(asset) = known.as_ref().filter(|asset| asset.md5 == Some(content)) {
                if lives.seen.insert(asset.id.clone()) {
                    lives.all.push((twin.clone(), self.scope.candidate(self.conn, (**asset).clone())?));
                }
                continue;
            }
            let unplaced = match &known {
                None => twin.asset.is_none() || self.scope.desires.recreates(),
                Some(asset) => self.leaves(twin, asset)?,
            };
            // Nobody waits for a path that could not be mirrored, unless it is being tried again.
            let is_tried = twin.failures == 0 || twins.due.contains(&twin.id);
            if unplaced && is_tried && !self.has_failed(twin.id) {
                let is_certain = match &known {
                    Some(asset) => self.is_as_left(twin, asset)?,
                    None => twin.asset.is_some() || !self.has_own(twin)?,
                };
                waiting.push(Waiting { row: twin, is_certain: is_certain && twins.due.contains(&twin.id) });
            }
        }
        // They wait for nobody who keeps an asset.
        let is_awaited = match &seen.known {
            Known::There(asset) => self.leaves(row, asset)?,
            Known::Never | Known::Gone(_) => true,
        } && !self.has_failed(row.id);
        waiting.sort_by(|a, b| self.rank(a.row).cmp(&self.rank(b.row)));
        let name = &seen.me.stamp_name;
        let from = pick_for_all(row, &waiting, &gone, |row| lives.name(&self.scope.stamp_name(&row.path)));
        let mine = if lives.name(name) { None } else { from.get(&row.id).copied() };
        // Whose asset the observed path gets, by what the planner prefers; `None`: a new one, or one adopted.
        let gets = match (mine, lives.of(name)) {
            (Some(from), _) => Some(gone[from].asset.clone()),
            (None, Some((_, live))) => Some(std::rc::Rc::new((*live.asset).clone())),
            (None, None) => None,
        };
        let first = waiting.first().filter(|first| self.rank(first.row) < self.rank(row)).map(|first| first.row);
        if is_awaited {
            let several_vanished =
                gone.iter().any(|one| gone.first().is_some_and(|first| first.asset.id != one.asset.id));
            for Waiting { row: twin, is_certain } in &waiting {
                let twin_name = self.scope.stamp_name(&twin.path);
                let its_from = from.get(&twin.id).map(|place| &gone[*place]);
                let joins = match (&gets, its_from) {
                    (Some(asset), Some(its)) => mine.is_some() && its.asset.id == asset.id,
                    (Some(asset), None) => match lives.of(&twin_name) {
                        Some((_, live)) => live.asset.id == asset.id,
                        None => !several_vanished,
                    },
                    (None, Some(_)) => false,
                    // All but the first wait for it.
                    (None, None) => first.is_none_or(|first| first.id != twin.id),
                };
                let joins = joins && *is_certain && self.may_join(twin);
                if !joins && (gets.is_some() || first.is_some()) {
                    continue;
                }
                let sharer = self.scope.sharer(self.conn, twin, gets.as_deref())?;
                self.note(twin, &sharer.desired);
                seen.followers.push(Follower {
                    sharer,
                    row: joins.then(|| Box::new((*twin).clone())),
                    from: its_from.filter(|_| joins).map(|its| self.origin(its)).transpose()?,
                });
            }
        }
        if let Some(from) = from.get(&row.id) {
            self.comes_from(row, &gone[*from], seen)?;
        }
        if let Some((twin, candidate)) = lives.of(&seen.me.stamp_name) {
            let sharers = self.present_sharers(&candidate.asset, row.id)?;
            seen.live_twin = Some(LiveTwin { path: twin.path.clone(), candidate: Some(candidate.clone()), sharers });
        } else if let Some(first) = first {
            seen.live_twin = Some(LiveTwin { path: first.path.clone(), candidate: None, sharers: Vec::new() });
        }
        Ok(())
    }

    /// Who comes first in line: one that an action is under way for, then those that did not fail before, in path order.
    fn rank<'r>(&self, row: &'r FileRow) -> (bool, bool, &'r str) {
        (!self.is_under_way(row.id), row.failures > 0, row.path.key())
    }

    fn origin(&self, gone: &Gone) -> rusqlite::Result<Origin> {
        let (scope, path) = (self.scope, gone.row.path.clone());
        let birth = !scope.hide_paths && hearsay::derives_from(self.conn, &scope.name, &gone.asset.id, &path)?;
        Ok(Origin { row: gone.row.id, stamp_name: scope.stamp_name(&path), path, birth })
    }

    fn comes_from(&mut self, row: &FileRow, from: &Gone, seen: &mut Observation) -> rusqlite::Result<()> {
        let Origin { row: gone, stamp_name, path, birth } = self.origin(from)?;
        let candidate = self.scope.candidate(self.conn, (*from.asset).clone())?;
        let sharers = self.present_sharers(&from.asset, row.id)?;
        seen.gone_twin = Some(GoneTwin { row: gone, stamp_name, path, birth, candidate, sharers });
        Ok(())
    }

    /// Whether a vanished path's asset may go to another path: with assets of their own, not while others have it.
    fn is_movable(&mut self, asset: &Asset) -> rusqlite::Result<bool> {
        Ok(self.scope.share || self.owners(&asset.id)?.rows.iter().all(|(_, owner)| !owner.present))
    }

    fn present_sharers(&mut self, asset: &Asset, me: i64) -> rusqlite::Result<Vec<Sharer>> {
        self.owners(&asset.id)?
            .rows
            .iter()
            .filter(|(mirror, owner)| *mirror == self.scope.name && owner.present && owner.id != me)
            .map(|(_, owner)| self.scope.sharer(self.conn, owner, Some(asset)))
            .collect()
    }

    /// An asset with this content that no path on disk of this mirror has: one that has it is about to be replaced, or
    /// is a live twin.
    fn remote_twin(&mut self, row: &FileRow, content: Md5) -> rusqlite::Result<Option<Candidate>> {
        let mut best: Option<(bool, Asset)> = None;
        // One whose file was deleted as infected has nothing to be taken over.
        for asset in self.unowned(content)?.iter().filter(|asset| !asset.is_infected()) {
            // With assets of their own, not one that has another owner; one that another machine made for this very path
            // is its own.
            if !self.scope.share
                && (self.owners(&asset.id)?.rows.iter().any(|(_, owner)| owner.id != row.id)
                    || !self.is_for_nobody_else(row, asset))
            {
                continue;
            }
            let same_name = asset.filename == row.path.file_name();
            if best.as_ref().is_none_or(|(named, _)| same_name && !named) {
                best = Some((same_name, asset.clone()));
            }
        }
        best.map(|(_, asset)| self.scope.candidate(self.conn, asset)).transpose()
    }

    /// Whether the stamp of an asset names no other path, of whatever mirror.
    fn is_for_nobody_else(&self, row: &FileRow, asset: &Asset) -> bool {
        let name = self.scope.stamp_name(&row.path);
        let mine = |mirror: &str| mirror == self.scope.name;
        asset.stamp.0.iter().all(|(mirror, entry)| mine(mirror) && entry.paths.iter().all(|path| *path == name))
    }
}

/// Which of the vanished paths a path came from: of several, one with the same file name is the likeliest origin.
fn pick(row: &FileRow, gone: &[Gone], taken: &HashSet<usize>) -> Option<usize> {
    let free = |place: &usize| !taken.contains(place);
    let same_name = |place: &usize| gone[*place].row.path.file_name() == row.path.file_name();
    (0..gone.len()).filter(free).rfind(same_name).or_else(|| (0..gone.len()).find(free))
}

/// The vanished paths that the observed path and those that wait came from, by their rows: the observed one chooses
/// first, then those with the same file name. One for which an asset was made already came from nowhere.
fn pick_for_all(
    row: &FileRow,
    waiting: &[Waiting<'_>],
    gone: &[Gone],
    is_named: impl Fn(&FileRow) -> bool,
) -> HashMap<i64, usize> {
    let mut picks = HashMap::new();
    let mut taken = HashSet::new();
    if let Some(mine) = pick(row, gone, &taken) {
        picks.insert(row.id, mine);
        if !is_named(row) {
            taken.insert(mine);
        }
    }
    if gone.is_empty() {
        return picks;
    }
    let mut by_name: HashMap<&str, Vec<usize>> = HashMap::new();
    for (place, one) in gone.iter().enumerate().filter(|(place, _)| !taken.contains(place)) {
        by_name.entry(one.row.path.file_name()).or_default().push(place);
    }
    let takers = || waiting.iter().map(|one| one.row).filter(|row| !is_named(row));
    for taker in takers() {
        if let Some(place) = by_name.get_mut(taker.path.file_name()).and_then(Vec::pop) {
            taken.insert(place);
            picks.insert(taker.id, place);
        }
    }
    let mut rest = (0..gone.len()).filter(|place| !taken.contains(place));
    for taker in takers() {
        if !picks.contains_key(&taker.id)
            && let Some(place) = rest.next()
        {
            picks.insert(taker.id, place);
        }
    }
    picks
}
