//! What is done about a track of a video.
//!
//! Owns: every decision about tracks, in two halves: what is due as far as the index knows, and, once somebody looked
//! at the video's tracks, the steps it takes. Pure: no clock, no I/O, no log. An editor's track is in no step.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::config::policy::OnDelete;
use crate::model::{ActionKind, MirrorStamp, TrackStamp};
use crate::remote::Track;
use crate::sync::track_file::TrackFile;

/// What is to be done about a track.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// Nothing.
    Nothing,
    /// It should be there: look.
    Check,
    /// Make it.
    Create,
    /// Make it anew, and delete the one before.
    Replace,
    /// The file is gone: delete it.
    Delete,
    /// The video has no asset yet.
    Wait,
}

impl Due {
    /// The action's name of the report.
    #[must_use]
    pub const fn name(self) -> Option<ActionKind> {
        match self {
            Self::Nothing | Self::Check | Self::Wait => None,
            Self::Create => Some(ActionKind::Create),
            Self::Replace => Some(ActionKind::Replace),
            Self::Delete => Some(ActionKind::Delete),
        }
    }
}

impl TrackFile {
    /// What is to be done, as far as the index knows.
    #[must_use]
    pub fn due(&self, on_delete: OnDelete) -> Due {
        let made = self.entry.tracks.get(&self.name);
        if !self.row.present {
            let goes = on_delete == OnDelete::Delete && self.absence.is_gone(self.entry.made);
            return if goes && made.is_some() { Due::Delete } else { Due::Nothing };
        }
        if self.asset.is_none() {
            return Due::Wait;
        }
        let same = |made: &TrackStamp| Some(&made.md5) == self.row.md5.map(|md5| md5.to_string()).as_ref();
        match made {
            None => Due::Create,
            Some(made) if !same(made) => {
                if made.id.is_some() {
                    Due::Replace
                } else {
                    Due::Create
                }
            }
            Some(made) if made.id.is_none() || made.old.is_some() => Due::Create,
            Some(_) if self.row.base_md5 != self.row.md5 => Due::Check,
            Some(_) => Due::Nothing,
        }
    }

    /// Why, in plain words.
    #[must_use]
    pub fn why(&self, due: Due) -> String {
        let (track, video) = (self.companion.label(), &self.video);
        match due {
            Due::Nothing | Due::Check => format!("it is a track of {video}: {track}"),
            Due::Create => format!("it becomes a track of {video}: {track}"),
            Due::Replace => format!("the content changed: the track of {video} is made anew: {track}"),
            Due::Delete => format!("the file is gone: the track of {video} is deleted: {track}"),
            Due::Wait => format!("it becomes a track of {video}, which is not mirrored yet: {track}"),
        }
    }
}

/// A video's tracks as somebody just saw them, and what is known of whose they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Look {
    /// What the mirror pushed to the video's asset, as it is now.
    pub(super) entry: MirrorStamp,
    /// Tracks that other mirrors use, by id, and the digests of their content.
    pub(super) foreign: BTreeMap<String, String>,
    /// The tracks there are.
    pub(super) listed: Vec<Track>,
    /// Names in `entry` whose files are gone.
    pub(super) gone: BTreeSet<String>,
    /// Whether a track that an editor deleted is made again.
    pub(super) recreate: bool,
}

/// One thing to do about a track. A step that fails is the last one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// Make it.
    Create,
    /// Make it anew, and delete the one before: afterwards, or first where the service has no room for both.
    Replace {
        /// The track before.
        old: String,
    },
    /// Delete this track.
    Delete(String),
    /// Remember this track as the file's.
    Keep(TrackStamp),
    /// Remember no track under this name any more.
    Forget(String),
    /// Leave all as it is, and say why.
    Refuse(Refusal),
}

/// Why a file's track is not made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The video has a track for the same language already.
    InTheWay(Whose),
    /// Somebody deleted it.
    Deleted,
    /// The service cannot use the file.
    Unusable(String),
}

/// Who made a track.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Whose {
    /// Another file of the mirror.
    File(String),
    /// Another mirror.
    Mirror,
    /// Somebody else: an editor.
    Editor,
}

impl Look {
    pub(super) fn is_listed(&self, id: &str) -> bool {
        self.listed.iter().any(|track| track.id == id)
    }

    /// The track that goes by a file's name.
    pub(super) fn track_of(&self, name: &str) -> Option<&Track> {
        let made = self.entry.tracks.get(name)?.id.as_ref()?;
        self.listed.iter().find(|track| track.id == *made)
    }

    /// The mirror's tracks, and those they take the place of.
    pub(super) fn ours(&self) -> BTreeSet<&str> {
        ids_of(&self.entry)
    }

    /// There, and no other mirror's.
    fn is_ours_alone(&self, id: &str) -> bool {
        self.is_listed(id) && !self.foreign.contains_key(id)
    }

    /// What a step leaves if all goes well.
    fn imagine(&mut self, claim: &TrackFile, step: &Step) {
        let (Step::Create | Step::Replace { .. }) = step else { return self.took(claim, step) };
        if let Step::Replace { old } = step {
            self.took(claim, &Step::Delete(old.clone()));
        }
        let md5 = claim.row.md5.map_or_else(String::new, |md5| md5.to_string());
        let track = Track {
            id: format!("{} {md5}", claim.name),
            kind: claim.companion.kind.as_str().into(),
            language: claim.companion.language.clone(),
            closed_captions: claim.companion.closed_captions,
            preparing: false,
            error: None,
        };
        let made = TrackStamp { id: Some(track.id.clone()), md5, old: None };
        self.listed.push(track);
        self.took(claim, &Step::Keep(made));
    }

    /// What a step that was carried out leaves. A made track comes as a [`Step::Keep`] of its own.
    pub(super) fn took(&mut self, claim: &TrackFile, step: &Step) {
        match step {
            Step::Keep(made) => drop(self.entry.tracks.insert(claim.name.clone(), made.clone())),
            Step::Forget(name) => drop(self.entry.tracks.remove(name)),
            Step::Delete(id) => self.listed.retain(|track| track.id != *id),
            Step::Create | Step::Replace { .. } | Step::Refuse(_) => {}
        }
    }
}

fn ids_of(entry: &MirrorStamp) -> BTreeSet<&str> {
    entry.tracks.values().flat_map(|track| track.id.iter().chain(&track.old)).map(String::as_str).collect()
}

/// The steps for each claim of a video, one after the other, as if they had been carried out: what a dry run shows.
pub(super) fn plan_all(claims: Vec<TrackFile>, on_delete: OnDelete, mut look: Look) -> Vec<(TrackFile, Vec<Step>)> {
    let one = |claim: TrackFile| {
        let steps = plan(&claim, claim.due(on_delete), &look);
        steps.iter().for_each(|step| look.imagine(&claim, step));
        (claim, steps)
    };
    claims.into_iter().map(one).collect()
}

/// What to do about the track of a claim, in this order.
pub(super) fn plan(claim: &TrackFile, due: Due, look: &Look) -> Vec<Step> {
    if due == Due::Delete {
        return deletion(claim, look);
    }
    let Some(md5) = claim.row.md5.map(|md5| md5.to_string()) else { return Vec::new() };
    let made = begun(claim, look);
    let track = made.as_ref().and_then(|made| look.listed.iter().find(|track| Some(&track.id) == made.id.as_ref()));
    if let (Some(made), Some(track)) = (made.as_ref().filter(|made| made.md5 == md5), track) {
        let mut steps = kept(made.clone(), look);
        steps.extend(track.error.clone().map(|error| Step::Refuse(Refusal::Unusable(error))));
        return steps;
    }
    let place = |id: Option<&String>| id.filter(|id| look.is_ours_alone(id)).cloned();
    let old = place(made.as_ref().and_then(|made| made.id.as_ref()));
    let older = place(made.as_ref().and_then(|made| made.old.as_ref()));
    let mut steps = Vec::new();
    if let Some(older) = older.as_ref().filter(|_| old.is_some() && old != older) {
        steps.push(Step::Delete(older.clone()));
    }
    let left = |track: &&Track| !steps.contains(&Step::Delete(track.id.clone()));
    let old = old.or(older);
    let blocks = |track: &&Track| track.is_for(&claim.companion.track()) && Some(&track.id) != old.as_ref();
    if let Some(track) = look.listed.iter().filter(left).find(blocks) {
        steps.extend(beside(&md5, track, look));
    } else if !look.recreate && made.is_some_and(|made| made.md5 == md5 && made.id.is_some()) {
        steps.push(Step::Refuse(Refusal::Deleted));
    } else {
        steps.push(old.map_or(Step::Create, |old| Step::Replace { old }));
    }
    steps
}

/// What steps that were all carried out came to.
pub(super) fn outcome(claim: &TrackFile, steps: &[Step]) -> Due {
    let is_done = |step: &Step| match step {
        Step::Create => Some(Due::Create),
        Step::Replace { .. } => Some(Due::Replace),
        Step::Delete(_) if !claim.row.present => Some(Due::Delete),
        Step::Delete(_) | Step::Keep(_) | Step::Forget(_) | Step::Refuse(_) => None,
    };
    steps.iter().find_map(is_done).unwrap_or(Due::Nothing)
}

/// A track of the file is there: remembers it, and deletes the one it takes the place of.
pub(super) fn kept(made: TrackStamp, look: &Look) -> Vec<Step> {
    let Some(old) = made.old.clone() else { return vec![Step::Keep(made)] };
    let alone = TrackStamp { old: None, ..made.clone() };
    if look.is_ours_alone(&old) {
        vec![Step::Keep(made), Step::Delete(old), Step::Keep(alone)]
    } else {
        vec![Step::Keep(alone)]
    }
}

/// What the stamp says of the file's track. One that was begun, its end not known, is the track in its place that nobody
/// else is known to have made.
fn begun(claim: &TrackFile, look: &Look) -> Option<TrackStamp> {
    let mut made = look.entry.tracks.get(&claim.name).cloned()?;
    if made.id.is_none() {
        let ours = look.ours();
        let there = |track: &&Track| track.is_for(&claim.companion.track()) && !ours.contains(track.id.as_str());
        made.id = look.listed.iter().find(there).map(|track| track.id.clone());
    }
    Some(made)
}

/// Another track is in the place of the one that `md5` wants.
fn beside(md5: &str, track: &Track, look: &Look) -> Vec<Step> {
    let refuse = |whose| vec![Step::Refuse(Refusal::InTheWay(whose))];
    let sharer = look.entry.tracks.iter().find(|(_, made)| made.id.as_ref() == Some(&track.id));
    match (sharer, look.foreign.get(&track.id)) {
        // The same content under another name: a moved video, or one that shares its asset.
        (Some((name, made)), _) if made.md5 == md5 => {
            let mut steps = kept(made.clone(), look);
            steps.extend(look.gone.contains(name).then(|| Step::Forget(name.clone())));
            steps
        }
        (Some((name, _)), _) => refuse(Whose::File(name.clone())),
        (None, Some(theirs)) if theirs == md5 => {
            vec![Step::Keep(TrackStamp { id: Some(track.id.clone()), md5: md5.to_owned(), old: None })]
        }
        (None, Some(_)) => refuse(Whose::Mirror),
        (None, None) => refuse(Whose::Editor),
    }
}

/// The file is gone: deletes what only it made. What was deleted is forgotten last, so that a refusal forgets nothing.
fn deletion(claim: &TrackFile, look: &Look) -> Vec<Step> {
    let mut rest = look.entry.clone();
    let Some(made) = rest.tracks.remove(&claim.name) else { return Vec::new() };
    let shared = ids_of(&rest);
    let is_free = |id: &String| !shared.contains(id.as_str()) && !look.foreign.contains_key(id);
    let ids = made.id.into_iter().chain(made.old).filter(is_free);
    ids.map(Step::Delete).chain([Step::Forget(claim.name.clone())]).collect()
}

/// A video that is still being processed is asked for the first time after this.
const FIRST_PAUSE: Duration = Duration::from_secs(2);
/// And at the most so long apart.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// How long to wait before a track is sent again to a video that does not take it yet, when it has been `waited` for it
/// already; none when that was as long as `patience` allows.
pub(super) fn pause(waited: Duration, patience: Duration) -> Option<Duration> {
    let left = patience.saturating_sub(waited);
    (!left.is_zero()).then(|| waited.clamp(FIRST_PAUSE, LONGEST_PAUSE).min(left))
}

#[cfg(test)]
mod tests;
