//! Metadata files as a scan finds them.
//!
//! Owns: which of them are read again, that none is read in the middle of being written, and which files are looked at
//! again because of it. Reads no meaning into them: that is `metadata`.

use std::collections::HashSet;

use super::looks::{Look, Settled, needs_second_look};
use super::{Scan, ScanError, Unsettled, is_back, now_ns};
use crate::disk::{OpenError, Walked, read_as};
use crate::index::remote_files;
use crate::index::sidecars::{self, StoredSidecar};
use crate::metadata::remote_list::{LIST_NAME, is_list, without_urls};
use crate::model::{ActionKind, RelPath};

impl Scan {
    /// Remembers metadata files; the files they tell about are looked at again when one changed.
    pub(super) fn sidecars(
        &mut self,
        under: Option<&[&str]>,
        found: Vec<Look>,
        walked: &Walked,
    ) -> Result<(), ScanError> {
        let mirror = self.request.mirror;
        let stored = self.index.call_blocking(move |conn| sidecars::all(conn, mirror))?;
        let mut gone: HashSet<String> = stored
            .iter()
            .map(|sidecar| sidecar.path.clone())
            .filter(|path| {
                let is_in = |place: &&str| {
                    path.strip_prefix(place).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
                };
                under.is_none_or(|under| under.iter().any(is_in))
            })
            .collect();
        let mut ready = Vec::new();
        for look in found {
            gone.remove(look.path.key());
            let known = stored.iter().find(|sidecar| sidecar.path == look.path.key());
            let is_same = |known: &&StoredSidecar| {
                self.request.inodes.unchanged(&look.print, &known.print) && !known.print.racy(known.read_at_ns)
            };
            if let Some(known) = known.filter(is_same).filter(|_| !self.request.checksum) {
                if known.print.inode != look.print.inode {
                    // Whoever reads it as it was when last seen finds it under its new number.
                    let (print, content) = (look.print, Vec::new());
                    let now = StoredSidecar { path: known.path.clone(), print, read_at_ns: known.read_at_ns, content };
                    self.index.call_blocking(move |conn| sidecars::touched(conn, mirror, &now))?;
                }
                continue;
            }
            let settled = self.request.waited.settled.get(&look.print).copied();
            if settled.is_none() && needs_second_look(&look.print, self.request.clock, now_ns(), self.request.settle) {
                self.looks.add([look]);
            } else {
                let Look { path, kind, print, .. } = look;
                ready.push(Settled { path, kind, print, seen_for: settled.unwrap_or_default() });
            }
        }
        self.read_sidecars(ready)?;
        if walked.complete {
            for path in gone {
                if let Ok(path) = RelPath::from_key(&path) {
                    // As with files: missed at one look, it may be saved just now, and what it says stands until it is gone.
                    if let Some((kind, print)) = is_back(&self.request.root, &path, &self.request.selection) {
                        self.looks.add([Look { path, kind, print, at: None }]);
                        continue;
                    }
                    if self.request.restless == Unsettled::LeaveAbsent && !self.request.is_away(&path) {
                        self.totals.held.push(path);
                        continue;
                    }
                }
                self.totals.sidecars_changed += 1;
                self.index.call_blocking(move |conn| {
                    sidecars::remove(conn, mirror, &path)?;
                    touch_subjects(conn, mirror, &path)
                })?;
            }
        }
        Ok(())
    }

    /// Reads metadata files that have settled.
    pub(super) fn read_sidecars(&mut self, settled: Vec<Settled>) -> Result<(), ScanError> {
        let mirror = self.request.mirror;
        for Settled { path, kind, print, seen_for } in settled {
            let started = now_ns();
            let content = match read_as(&self.root, &path, &print) {
                Ok(Some(content)) => content,
                Ok(None) => {
                    self.looks.add([Look { path, kind, print, at: None }]);
                    continue;
                }
                // The walk that the next scan begins with tells what became of it.
                Err(OpenError::Gone) => continue,
                Err(OpenError::TooLarge { .. }) => {
                    self.problem(
                        &path,
                        ActionKind::Read,
                        "a metadata file of more than 1 MiB is not read",
                        "make it smaller",
                    );
                    Vec::new()
                }
                Err(error) => {
                    let cause = format!("the metadata file cannot be read: {error}");
                    let advice = match error {
                        OpenError::Refused(_) => "check its permissions",
                        _ => "put a regular file there; until then what it said before stays in force",
                    };
                    self.problem(&path, ActionKind::Read, &cause, advice);
                    continue;
                }
            };
            // The index keeps no URL: it may hold a secret.
            let content = if is_list(path.key()) { without_urls(path.key(), &content) } else { content };
            let read_at_ns = self.request.read_at(&print, started, seen_for);
            let sidecar = StoredSidecar { path: path.key().to_owned(), print, read_at_ns, content };
            let changed = self.index.call_blocking(move |conn| {
                let same = sidecars::content(conn, mirror, &sidecar.path)?.as_ref() == Some(&sidecar.content);
                if same {
                    sidecars::touched(conn, mirror, &sidecar)?;
                } else {
                    sidecars::put(conn, mirror, &sidecar)?;
                    touch_subjects(conn, mirror, &sidecar.path)?;
                }
                Ok(!same)
            })?;
            self.totals.sidecars_changed += u64::from(changed);
        }
        Ok(())
    }
}

/// Looks again at the files a sidecar tells about.
fn touch_subjects(conn: &rusqlite::Connection, mirror: i64, sidecar: &str) -> rusqlite::Result<()> {
    let (folder, name) = sidecar.rsplit_once('/').unwrap_or(("", sidecar));
    if name == LIST_NAME {
        return remote_files::mark_dirty(conn, mirror, sidecar);
    }
    if name == "_folder.meta.toml" {
        return sidecars::mark_dirty(conn, mirror, folder, true);
    }
    let xmp = || sidecar.strip_suffix(".xmp").or_else(|| sidecar.strip_suffix(".XMP"));
    if let Some(subject) = sidecar.strip_suffix(".meta.toml").or_else(xmp) {
        sidecars::mark_dirty(conn, mirror, subject, false)?;
        // `name.xmp` tells about `name.jpg`, whatever the extension.
        conn.execute(
            "UPDATE file SET news = news + 1, retry_at = NULL WHERE mirror = ?1 AND path > ?2 || '.' AND path < ?2 || '/'",
            rusqlite::params![mirror, subject],
        )?;
    }
    Ok(())
}
