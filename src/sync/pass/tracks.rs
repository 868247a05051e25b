//! The stage of a pass that is about files which are tracks of a video, once the videos are done.
//!
//! This module owns what is asked of each, several videos at a time, and what their outcomes mean for rows and report. It never
//! decides what is done (that is `sync::tracks`) nor when their turn is (that is `scheduler`).

use std::collections::BTreeMap;

use super::scheduler::next_try;
use super::{Pass, PassError, now_ms};
use crate::index::files::Outcome;
use crate::index::history;
use crate::index::history::Done;
use crate::index::{FileRow, Problem, absence, assets, files};
use crate::model::{ActionKind, UploadId};
use crate::sync::execute::Failure;
use crate::sync::simulate::is_imagined;
use crate::sync::track_file::{TrackFile, track_file};
use crate::sync::tracks::{Done as Ended, Due, Foreseen, Work};
use futures_util::StreamExt as _;

/// A track that is still being prepared is looked at again after so many ms.
const PREPARING_MS: i64 = 10 * 60 * 1000;
/// Videos worked on at a time.
const VIDEOS: usize = 16;

impl Pass<'_> {
    /// The turn of these tracks.
    pub(super) async fn tracks(&mut self, rows: Vec<FileRow>) -> Result<(), PassError> {
        let mut videos: BTreeMap<UploadId, Vec<TrackFile>> = BTreeMap::new();
        for row in rows {
            if !self.goes_on() {
                return Ok(());
            }
            if !self.wanted(&row) {
                continue;
            }
            let present = row.present;
            let scope = self.context.scope.clone();
            let found =
                self.context.index.call(move |conn| match files::by_path(conn, scope.mirror, row.path.key())? {
                    Some(row) => track_file(conn, &scope, &row),
                    None => Ok(None),
                });
            // A file that is no track any more has its turn as an asset.
            let Some(claim) = found.await?.filter(|claim| claim.row.present == present) else { continue };
            self.release(&claim).await?;
            let due = claim.due(self.context.policy.on_delete);
            if due == Due::Delete && !self.scheduler.rows().of(claim.row.id).is_counted() {
                continue;
            }
            let dry = self.context.executor.is_none();
            match (&claim.asset, due) {
                (_, Due::Nothing) if dry => {}
                // In a dry run the video may only be planned.
                (_, Due::Wait) | (None, _) if dry => self.plan_track(&claim, Due::Create),
                (_, Due::Nothing) => self.track_done(&claim, due).await?,
                (_, Due::Wait) | (None, _) => {
                    let problem = Problem {
                        action: ActionKind::Create,
                        cause: claim.why(Due::Wait),
                        advice: "see what is told of the video; the track follows it".into(),
                        ..Problem::default()
                    };
                    self.fail_track(&claim.row, &problem, true).await?;
                }
                (Some(asset), _) => videos.entry(asset.id.clone()).or_default().push(claim),
            }
        }
        let (mirror, policy) = (self.context.scope.mirror, self.context.policy.clone());
        let work = videos.into_values().filter_map(|claims| {
            let asset = claims.first()?.asset.clone()?;
            let fresh = self.notes.sent.contains(&asset.id);
            Some(Work { mirror, asset, fresh, claims, policy: policy.clone() })
        });
        let Some(executor) = self.context.executor.clone() else { return self.foresee(work.collect()).await };
        let work: Vec<_> = work.map(|work| work.run(executor.clone(), self.context.stop.clone())).collect();
        let mut done = futures_util::stream::iter(work).buffer_unordered(VIDEOS);
        while let Some(all) = done.next().await {
            self.tick();
            for done in all? {
                self.track_ended(done).await?;
            }
        }
        Ok(())
    }

    async fn track_ended(&mut self, done: Ended) -> Result<(), PassError> {
        let Ended { claim, result, preparing } = done;
        // The stamp that says so is part of the same action.
        let (mirror, video) = (self.context.scope.mirror, claim.video.clone());
        if let Some(row) = self.context.index.call(move |conn| files::by_path(conn, mirror, &video)).await? {
            self.scheduler.track_changed(row.id);
        }
        match result {
            Ok(due) => {
                self.track_done(&claim, due).await?;
                if preparing { self.look_again(&claim).await } else { Ok(()) }
            }
            Err(Failure::Path { problem, retry }) => self.fail_track(&claim.row, &problem, retry).await,
            Err(Failure::Changed) => {
                self.end.changed.insert(claim.row.path.key().to_owned());
                Ok(())
            }
            Err(Failure::Back(paths)) => {
                self.end.changed.extend(paths.iter().map(|path| path.key().to_owned()));
                Ok(())
            }
            Err(Failure::Guard(guard)) => {
                self.end.guard.get_or_insert(guard);
                Ok(())
            }
            Err(Failure::All(error)) => {
                self.end.fatal.get_or_insert(error);
                Ok(())
            }
            Err(Failure::Index(error)) => Err(error.into()),
            Err(Failure::Stopped | Failure::Replan | Failure::Collection | Failure::Damaged { .. }) => Ok(()),
        }
    }

    async fn fail_track(&mut self, row: &FileRow, problem: &Problem, heals: bool) -> Result<(), PassError> {
        self.scheduler.fail(row.id);
        self.fail(row, problem, next_try(row, heals, now_ms())).await
    }

    async fn track_done(&mut self, claim: &TrackFile, due: Due) -> Result<(), PassError> {
        let now = now_ms();
        if let Some(action) = due.name() {
            self.report.count(action, claim.row.present);
            let asset = claim.asset.as_ref();
            self.show(&claim.row, action, asset, asset.map(|asset| &asset.id));
        }
        let (row, why) = (claim.row.clone(), claim.why(due));
        let (mirror, counts) = (self.context.scope.mirror, !self.context.force);
        self.context
            .index
            .call(move |conn| {
                if row.present {
                    files::settled(conn, &row, &Outcome { asset: None, base_md5: row.md5 }, now)?;
                } else if due == Due::Delete {
                    if counts {
                        absence::deleted(conn, mirror, now)?;
                    }
                    return files::forget(conn, &row);
                } else {
                    files::clean(conn, &row)?;
                }
                match due.name() {
                    Some(action) => history::add_history(conn, row.id, &Done { at_ms: now, action, why }),
                    None => Ok(()),
                }
            })
            .await?;
        self.context.progress.done(1);
        Ok(())
    }

    /// A dry run: tells what would be done, after a look at the tracks of the videos that are there.
    async fn foresee(&mut self, all: Vec<Work>) -> Result<(), PassError> {
        for work in all {
            if !self.goes_on() {
                return Ok(());
            }
            let is_there = !is_imagined(&work.asset);
            for Foreseen { claim, due, problem } in
                work.foresee(&self.context.remote, &self.context.index, is_there).await?
            {
                self.plan_track(&claim, due);
                if let Some(problem) = problem {
                    self.tell(&claim.row, problem.action, &problem.cause);
                    self.fail_track(&claim.row, &problem, false).await?;
                }
            }
        }
        Ok(())
    }

    /// The service has not told yet whether it can use the track.
    async fn look_again(&mut self, claim: &TrackFile) -> Result<(), PassError> {
        // Not in this pass.
        self.scheduler.fail(claim.row.id);
        let (id, at) = (claim.row.id, now_ms() + PREPARING_MS);
        self.context.index.call(move |conn| files::look_again(conn, id, at)).await.map_err(PassError::from)
    }

    fn plan_track(&mut self, claim: &TrackFile, due: Due) {
        // It stays dirty, and is told once.
        self.scheduler.fail(claim.row.id);
        let Some(action) = due.name() else { return };
        self.tell(&claim.row, action, &claim.why(due));
    }

    /// A file that was an asset before its video came lets go of it: nothing in the media area is deleted for that.
    async fn release(&mut self, claim: &TrackFile) -> Result<(), PassError> {
        let Some(own) = claim.row.asset.clone().filter(|_| self.context.executor.is_some()) else { return Ok(()) };
        let (mirror, id, name) = (self.context.scope.mirror, claim.row.id, claim.name.clone());
        let left = own.clone();
        let asset = self.context.index.call(move |conn| {
            if let Some(mut entry) = assets::pushed(conn, mirror, &left)?.filter(|entry| entry.paths.contains(&name)) {
                entry.paths.remove(&name);
                assets::set_pushed(conn, mirror, &left, &entry)?;
            }
            files::detach(conn, id)?;
            files::mark_owners_dirty(conn, &left)?;
            assets::by_id(conn, &left)
        });
        if let Some(asset) = asset.await? {
            let problem = Problem {
                action: ActionKind::Report,
                cause: format!("it is a track of {} now; the asset it was before, {}, stays", claim.video, asset.url),
                advice: "delete that asset in the CMS if nothing uses it; this is said once".into(),
                ..Problem::default()
            };
            self.report.problem(claim.row.path.key(), &problem);
        }
        Ok(())
    }
}
