//! What several rows of one page have in common, read once.
//!
//! This module owns the rows of a content, the owners of an asset and the assets, as they are in one transaction of the index;
//! and who may be taken along by another row's plan. It never decides what is done. The pass makes one [`Looks`] a page.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::rc::Rc;
use std::sync::Arc;

use rusqlite::Connection;

use super::{Scope, base_of};
use crate::index::files::DueBy;
use crate::index::{FileRow, assets, files};
use crate::metadata::desired::Desired;
use crate::model::{Asset, Md5, MirrorStamp, UploadId};
use crate::sync::absence::Absence;
use crate::sync::path_filter::PathFilter;
use crate::sync::row_state::RowStates;
use crate::sync::track_file::track_file;

/// Who is under way, and who may join a plan.
#[derive(Debug, Clone, Default)]
pub struct Company {
    /// Where each row stands in the pass: nobody waits for one that failed, and whoever has the content of one that is under
    /// way waits for that one.
    pub rows: Arc<RowStates>,
    /// Rows that changed since the pass was done with them: they are open again.
    pub changed: HashSet<i64>,
    /// Only these paths; `None`: all.
    pub only: Option<Arc<PathFilter>>,
    /// Only these rows may join a plan; `None`: all.
    pub taking: Option<HashSet<i64>>,
    /// What is to be tried again up to then may join.
    pub due: DueBy,
}

impl Company {
    /// For planning again what spoke for these rows: nobody else joins.
    #[must_use]
    pub fn taking(rows: impl IntoIterator<Item = i64>) -> Self {
        Self { taking: Some(rows.into_iter().collect()), due: DueBy::All, ..Self::default() }
    }
}

/// The rows of a content.
#[derive(Debug, Default)]
pub(super) struct OfContent {
    /// On disk, in path order.
    pub present: Vec<FileRow>,
    /// Gone, in path order. What is left out is still there, and no file came from it.
    pub gone: Vec<FileRow>,
    /// Those whose time has come.
    pub due: HashSet<i64>,
}

/// The rows that have an asset.
#[derive(Debug, Default)]
pub(super) struct Owners {
    /// With the names of their mirrors, in path order.
    pub rows: Vec<(String, FileRow)>,
    /// Those of the observed mirror whose time has come.
    pub due: HashSet<i64>,
    /// How many, of any mirror, are on disk with a content.
    present: HashMap<Md5, usize>,
}

/// What is read once for all rows of a page.
pub struct Looks<'a> {
    pub(super) conn: &'a Connection,
    pub(super) scope: &'a Scope,
    pub(super) company: &'a Company,
    /// Rows that plans of this page speak for.
    spoken: HashSet<i64>,
    contents: HashMap<Md5, Rc<OfContent>>,
    owners: HashMap<UploadId, Rc<Owners>>,
    assets: HashMap<UploadId, Option<Rc<Asset>>>,
    left: HashMap<UploadId, (Option<Md5>, Option<Md5>)>,
    unowned: HashMap<Md5, Rc<Vec<Asset>>>,
    /// What of the metadata of those observed beside a row could not be used.
    notes: RefCell<HashMap<i64, String>>,
}

impl<'a> Looks<'a> {
    /// Nothing has been looked at yet.
    #[must_use]
    pub fn new(conn: &'a Connection, scope: &'a Scope, company: &'a Company) -> Self {
        Self {
            conn,
            scope,
            company,
            spoken: HashSet::new(),
            contents: HashMap::new(),
            owners: HashMap::new(),
            assets: HashMap::new(),
            left: HashMap::new(),
            unowned: HashMap::new(),
            notes: RefCell::default(),
        }
    }

    /// The index.
    #[must_use]
    pub const fn conn(&self) -> &'a Connection {
        self.conn
    }

    /// What observing needs beside the index.
    #[must_use]
    pub const fn scope(&self) -> &'a Scope {
        self.scope
    }

    /// Whether this pass is about the row's path.
    #[must_use]
    pub fn is_wanted(&self, row: &FileRow) -> bool {
        self.company.only.as_ref().is_none_or(|only| only.contains(row.path.key()))
    }

    /// Whether the pass may start an action for the row.
    #[must_use]
    pub fn is_open(&self, row: i64) -> bool {
        self.company.changed.contains(&row) || self.company.rows.of(row).is_open()
    }

    /// Whether the row could not be mirrored in this pass.
    pub(super) fn has_failed(&self, row: i64) -> bool {
        self.company.rows.of(row).has_failed()
    }

    /// Whether an action for the row is under way.
    pub(super) fn is_under_way(&self, row: i64) -> bool {
        self.company.rows.of(row).is_under_way()
    }

    /// A plan speaks for these rows.
    pub fn speak_for(&mut self, rows: impl IntoIterator<Item = i64>) {
        self.spoken.extend(rows);
    }

    /// Whether a plan of this page, or of this round, speaks for the row already, or an action for it is under way.
    #[must_use]
    pub fn is_spoken_for(&self, row: i64) -> bool {
        self.spoken.contains(&row) || self.company.rows.is_spoken_for(row) || self.is_under_way(row)
    }

    /// What of the metadata of a row that was seen beside others could not be used, a line each.
    #[must_use]
    pub fn notice(&self, row: i64) -> Option<String> {
        self.notes.borrow().get(&row).cloned()
    }

    pub(super) fn note(&self, row: &FileRow, desired: &Desired) {
        if !desired.problems.is_empty() {
            self.notes.borrow_mut().insert(row.id, desired.problems.join("\n"));
        }
    }

    /// Whether another row's plan may take this one along, when its time has come.
    pub(super) fn may_join(&self, row: &FileRow) -> bool {
        let company = self.company;
        !self.is_spoken_for(row.id)
            && company.taking.as_ref().is_none_or(|rows| rows.contains(&row.id))
            && self.is_open(row.id)
            && !self.has_failed(row.id)
            && self.is_wanted(row)
    }

    /// One asset by id.
    pub(super) fn asset(&mut self, id: &UploadId) -> rusqlite::Result<Option<Rc<Asset>>> {
        if let Some(known) = self.assets.get(id) {
            return Ok(known.clone());
        }
        let asset = assets::by_id(self.conn, id)?.map(Rc::new);
        self.assets.insert(id.clone(), asset.clone());
        Ok(asset)
    }

    /// All rows of any mirror that have this asset.
    pub(super) fn owners(&mut self, id: &UploadId) -> rusqlite::Result<Rc<Owners>> {
        if let Some(known) = self.owners.get(id) {
            return Ok(known.clone());
        }
        let mut owners = Owners { rows: files::owners(self.conn, id)?, ..Owners::default() };
        if !owners.rows.is_empty() {
            owners.due = files::due_of_asset(self.conn, self.scope.mirror, id, self.company.due)?;
        }
        for md5 in owners.rows.iter().filter(|(_, row)| row.present).filter_map(|(_, row)| row.md5) {
            *owners.present.entry(md5).or_default() += 1;
        }
        let owners = Rc::new(owners);
        self.owners.insert(id.clone(), owners.clone());
        Ok(owners)
    }

    /// The rows of this mirror with this content that are no tracks of a video: those are no assets to share.
    pub(super) fn of_content(&mut self, content: Md5) -> rusqlite::Result<Rc<OfContent>> {
        if let Some(known) = self.contents.get(&content) {
            return Ok(known.clone());
        }
        let mut found = OfContent::default();
        for row in files::with_content(self.conn, self.scope.mirror, content)? {
            if track_file(self.conn, self.scope, &row)?.is_none() {
                if row.present {
                    found.present.push(row);
                } else if self.scope.absence(&row) != Absence::LeftOut {
                    found.gone.push(row);
                }
            }
        }
        found.due = files::due_of_content(self.conn, self.scope.mirror, content, self.company.due)?;
        let found = Rc::new(found);
        self.contents.insert(content, found.clone());
        Ok(found)
    }

    /// Assets with this content that no path on disk of this mirror has, in id order.
    pub(super) fn unowned(&mut self, content: Md5) -> rusqlite::Result<Rc<Vec<Asset>>> {
        if let Some(known) = self.unowned.get(&content) {
            return Ok(known.clone());
        }
        let found = Rc::new(assets::unowned(self.conn, self.scope.mirror, content)?);
        self.unowned.insert(content, found.clone());
        Ok(found)
    }

    /// Other due rows of the asset with the same to be said about them.
    pub(super) fn alike(&mut self, row: &FileRow, id: &UploadId) -> rusqlite::Result<Vec<FileRow>> {
        if row.asset.as_ref() != Some(id) {
            return Ok(Vec::new());
        }
        let owners = self.owners(id)?;
        let (scope, extension) = (self.scope, row.path.extension().to_ascii_lowercase());
        let absence = scope.absence(row);
        let is_alike = |(mirror, other): &&(String, FileRow)| {
            other.id != row.id
                && *mirror == scope.name
                && (other.present, other.md5, other.base_md5) == (row.present, row.md5, row.base_md5)
                && scope.absence(other) == absence
                && other.path.extension().eq_ignore_ascii_case(&extension)
                && owners.due.contains(&other.id)
                && self.may_join(other)
        };
        let mut alike = Vec::new();
        for (_, other) in owners.rows.iter().filter(is_alike) {
            // A track of a video has another stage.
            if track_file(self.conn, scope, other)?.is_none() {
                alike.push(other.clone());
            }
        }
        Ok(alike)
    }

    /// Whether a changed path is about to leave its asset to others that still have the old content.
    pub(super) fn leaves(&mut self, row: &FileRow, asset: &Asset) -> rusqlite::Result<bool> {
        // One that did not change itself stays too: an editor's file is there, and that is accepted or reported.
        if row.base_md5 == row.md5 || row.md5 == asset.md5 {
            return Ok(false);
        }
        let owners = self.owners(&asset.id)?;
        Ok(match asset.md5 {
            Some(md5) => owners.present.contains_key(&md5),
            None => owners.rows.iter().any(|(_, other)| other.present && other.id != row.id && other.md5.is_none()),
        })
    }

    /// Whether the asset is as this mirror left it, as far as a path on disk with `row` knows.
    pub(super) fn is_as_left(&mut self, row: &FileRow, asset: &Asset) -> rusqlite::Result<bool> {
        let (stamped, accepted) = match self.left.get(&asset.id) {
            Some(known) => *known,
            None => {
                let pushed = self.scope.pushed(self.conn, asset)?;
                let known = (
                    pushed.as_ref().and_then(MirrorStamp::digest),
                    pushed.as_ref().and_then(MirrorStamp::accepted_digest),
                );
                self.left.insert(asset.id.clone(), known);
                known
            }
        };
        let base = base_of(row.base_md5, row.md5, asset.md5, stamped);
        Ok(base.is_some() && base != row.md5 && (base == asset.md5 || accepted == asset.md5))
    }
}
