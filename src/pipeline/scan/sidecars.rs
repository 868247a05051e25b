//! Metadata files as a scan finds them.
//!
//! Owns: which of them are read again, and which files are looked at again because of it. Reads no meaning into them: that
//! is `metadata`. Called by: `pipeline::scan`, after each walk.

use std::collections::HashSet;
use std::time::Duration;

use super::{Scan, ScanError, now_ns};
use crate::disk::{Fingerprint, Walked};
use crate::index::listed;
use crate::index::sidecars::{self, StoredSidecar};
use crate::metadata::remote_list::LIST_NAME;
use crate::model::RelPath;

/// A metadata file of more bytes than this is not one.
const MAX_SIDECAR_BYTES: u64 = 1024 * 1024;

impl Scan {
    /// Remembers metadata files; the files they tell about are looked at again when one changed.
    pub(super) fn sidecars(
        &mut self,
        under: Option<&[&str]>,
        found: Vec<(RelPath, Fingerprint)>,
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
        for (path, print) in found {
            gone.remove(path.key());
            let known = stored.iter().find(|sidecar| sidecar.path == path.key());
            if known.is_some_and(|known| {
                (known.mtime_ns, known.size, known.inode) == (print.mtime_ns, print.size, print.inode)
                    && print.quiet_for(now_ns()).is_some_and(|quiet| quiet > Duration::from_secs(3))
            }) {
                continue;
            }
            let content = if print.size > MAX_SIDECAR_BYTES {
                self.problem(&path, "read", "a metadata file of more than 1 MiB is not read", "make it smaller");
                Vec::new()
            } else {
                match std::fs::read(path.below(&self.request.root)) {
                    Ok(content) => content,
                    Err(error) => {
                        let cause = format!("the metadata file cannot be read: {error}");
                        self.problem(&path, "read", &cause, "check its permissions");
                        continue;
                    }
                }
            };
            if known.is_some_and(|known| known.content == content) {
                continue;
            }
            self.totals.sidecars_changed += 1;
            let sidecar = StoredSidecar {
                path: path.key().to_owned(),
                mtime_ns: print.mtime_ns,
                size: print.size,
                inode: print.inode,
                content,
            };
            self.index.call_blocking(move |conn| {
                sidecars::put(conn, mirror, &sidecar)?;
                touch_subjects(conn, mirror, &sidecar.path)
            })?;
        }
        if walked.complete {
            for path in gone {
                self.totals.sidecars_changed += 1;
                self.index.call_blocking(move |conn| {
                    sidecars::remove(conn, mirror, &path)?;
                    touch_subjects(conn, mirror, &path)
                })?;
            }
        }
        Ok(())
    }
}

/// Looks again at the files a sidecar tells about.
fn touch_subjects(conn: &rusqlite::Connection, mirror: i64, sidecar: &str) -> rusqlite::Result<()> {
    let (folder, name) = sidecar.rsplit_once('/').unwrap_or(("", sidecar));
    if name == LIST_NAME {
        return listed::mark_dirty(conn, mirror, sidecar);
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
