//! The list of assets that a site build reads instead of asking the API: `manifest = "assets.json"`.
//!
//! An asset whose file the service deleted as infected is left out: nothing is served for it.
//!
//! Owns: its JSON (one line a path, sorted, the same bytes for the same media area), the TypeScript types beside it,
//! and when it has to be written again. It is written to a temporary file and renamed, so that a build never reads half
//! of it. Never does: calls; all is in the index. Memory does not grow with the number of files.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use rusqlite::Connection;
use serde::Serialize;
use std::collections::BTreeMap;

use crate::config::Mirror;
use crate::index::{Index, IndexError, assets, settings};
use crate::model::{Asset, FieldKey};

/// Rows read at once.
const PAGE: u32 = 500;
/// With more paths than this their names are no type any more: compilers get slow.
const TYPED_PATHS: u64 = 5_000;

/// Why it could not be written.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// The index failed.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// The disk refused.
    #[error("the manifest {} cannot be written: {cause}; check that its folder exists and may be written", .path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
}

/// One asset in the manifest. These names are an interface: add, do not rename.
#[derive(Debug, Serialize)]
struct Entry<'a> {
    id: &'a str,
    url: &'a str,
    md5: Option<String>,
    size: u64,
    width: Option<u32>,
    height: Option<u32>,
    format: Option<&'a str>,
    blurhash: Option<&'a str>,
    alt: BTreeMap<&'a str, &'a str>,
}

const TYPES_HEAD: &str = "\
// Written by dato-mirror beside the manifest; do not edit.

export interface MirroredAsset {
  /** The upload's id. */
  id: string;
  /** Where it is served. */
  url: string;
  md5: string | null;
  /** Bytes. */
  size: number;
  /** Pixels; null for what is no image. */
  width: number | null;
  height: number | null;
  format: string | null;
  blurhash: string | null;
  /** Alternative text by locale. */
  alt: Partial<Record<string, string>>;
}

";

/// Writes the manifest of a mirror if it says anything new or is missing. Blocks: run it off the runtime. Returns whether
/// it was written.
///
/// # Errors
/// See [`ManifestError`].
pub fn update(index: &Index, mirror: i64, config: &Mirror) -> Result<bool, ManifestError> {
    let Some(path) = &config.manifest else { return Ok(false) };
    let types = config.manifest_types.then(|| path.with_extension("d.ts"));
    let key = format!("manifest:{}", config.name);
    let (stored, now) = {
        let (key, path, types) = (key.clone(), path.clone(), types.clone());
        index.call_blocking(move |conn| {
            Ok((settings::get(conn, &key)?, signature(conn, mirror, &path, types.as_deref())?))
        })?
    };
    let there = path.exists() && types.as_ref().is_none_or(|types| types.exists());
    if there && stored.as_deref() == Some(&now) {
        return Ok(false);
    }
    let count = write(index, mirror, path)?;
    if let Some(types) = &types {
        write_types(index, mirror, types, count)?;
    }
    index.call_blocking(move |conn| settings::set(conn, &key, &now))?;
    Ok(true)
}

/// Changes whenever the manifest could: with each action, each change of an asset by an editor, each path that comes or
/// goes.
fn signature(conn: &Connection, mirror: i64, path: &Path, types: Option<&Path>) -> rusqlite::Result<String> {
    let (files, newest): (i64, Option<i64>) = conn.query_row(
        "SELECT count(*) FILTER (WHERE present = 1 AND asset IS NOT NULL), max(changed_at) FROM file WHERE mirror = ?1",
        [mirror],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    let (assets, change) = (assets::count(conn)?, assets::newest_change(conn)?);
    // A find of the antivirus need not count as a change of the asset.
    let infected = assets::infected_digest(conn)?.map_or_else(String::new, |digest| format!(" {digest}"));
    Ok(format!("1 {files} {newest:?} {assets} {change:?} {} {types:?}{infected}", path.display()))
}

/// Calls `each` with every path on disk that has an asset, in path order.
fn for_each(
    index: &Index,
    mirror: i64,
    mut each: impl FnMut(&str, &Asset) -> io::Result<()>,
) -> Result<Result<u64, io::Error>, IndexError> {
    let (mut after, mut count) = (String::new(), 0);
    loop {
        let from = after.clone();
        let page = index.call_blocking(move |conn| assets::of_paths(conn, mirror, &from, PAGE))?;
        let Some((last, _)) = page.last() else { return Ok(Ok(count)) };
        after.clone_from(last);
        for (path, asset) in page.iter().filter(|(_, asset)| !asset.is_infected()) {
            if let Err(error) = each(path, asset) {
                return Ok(Err(error));
            }
            count += 1;
        }
    }
}

fn write(index: &Index, mirror: i64, path: &Path) -> Result<u64, ManifestError> {
    replace(path, |out| {
        let mut before = "{\n";
        let written = for_each(index, mirror, |path, asset| {
            let alt = asset.fields.iter().filter_map(|(key, value)| match key {
                FieldKey::Alt(locale) => Some((locale.as_str(), value.as_str()?)),
                _ => None,
            });
            let entry = Entry {
                id: asset.id.as_str(),
                url: &asset.url,
                md5: asset.md5.map(|md5| md5.to_string()),
                size: asset.size,
                width: asset.width,
                height: asset.height,
                format: asset.format.as_deref(),
                blurhash: asset.blurhash.as_deref(),
                alt: alt.collect(),
            };
            out.write_all(before.as_bytes())?;
            before = ",\n";
            serde_json::to_writer(&mut *out, path)?;
            out.write_all(b": ")?;
            Ok(serde_json::to_writer(&mut *out, &entry)?)
        })?;
        Ok(written.and_then(|count| {
            out.write_all(if count == 0 { b"{}\n" } else { b"\n}\n" })?;
            Ok(count)
        }))
    })
}

fn write_types(index: &Index, mirror: i64, path: &Path, count: u64) -> Result<(), ManifestError> {
    replace(path, |out| {
        let mut head = || -> io::Result<()> {
            out.write_all(TYPES_HEAD.as_bytes())?;
            out.write_all(b"export type MirroredPath =")
        };
        if let Err(error) = head() {
            return Ok(Err(error));
        }
        let mut listed = || -> Result<io::Result<u64>, IndexError> {
            if count == 0 || count > TYPED_PATHS {
                return Ok(out.write_all(b" string").map(|()| 0));
            }
            for_each(index, mirror, |path, _| {
                out.write_all(b"\n  | ")?;
                Ok(serde_json::to_writer(&mut *out, path)?)
            })
        };
        let listed = listed()?;
        Ok(listed.and_then(|_| {
            out.write_all(b";\n\nexport type Manifest = Record<MirroredPath, MirroredAsset>;\n\n")?;
            out.write_all(b"declare const manifest: Manifest;\nexport default manifest;\n")
        }))
    })
}

/// Writes a file whole or not at all; one with the same bytes is left alone, so that no build starts for nothing.
fn replace<T>(
    path: &Path,
    fill: impl FnOnce(&mut BufWriter<File>) -> Result<io::Result<T>, IndexError>,
) -> Result<T, ManifestError> {
    let failed = |cause: io::Error| ManifestError::Write { path: path.to_owned(), cause };
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(format!(".{}.tmp", std::process::id()));
    let temporary = path.with_file_name(name);
    let written = || {
        let mut out = BufWriter::new(File::create(&temporary).map_err(failed)?);
        let value = fill(&mut out)?.map_err(failed)?;
        let file = out.into_inner().map_err(|error| failed(error.into_error()))?;
        file.sync_all().map_err(failed)?;
        drop(file);
        if same(&temporary, path).unwrap_or(false) {
            fs::remove_file(&temporary).map_err(failed)?;
        } else {
            fs::rename(&temporary, path).map_err(failed)?;
        }
        Ok(value)
    };
    let outcome = written();
    if outcome.is_err() {
        // The error that is told is the first one.
        let _ = fs::remove_file(&temporary);
    }
    outcome
}

/// Whether both files have the same bytes.
fn same(a: &Path, b: &Path) -> io::Result<bool> {
    use std::io::Read as _;
    if fs::metadata(a)?.len() != fs::metadata(b)?.len() {
        return Ok(false);
    }
    let (mut a, mut b) = (File::open(a)?, File::open(b)?);
    let (mut left, mut right) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    loop {
        let count = a.read(&mut left)?;
        if count == 0 {
            return Ok(true);
        }
        b.read_exact(&mut right[..count])?;
        if left[..count] != right[..count] {
            return Ok(false);
        }
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::params;
    use serde_json::{Value, json};

    use super::*;
    use crate::model::{Fields, Md5, Stamp, UploadId};

    fn asset(id: &str, alt: &str) -> Asset {
        Asset {
            id: UploadId::new(id),
            md5: Some(Md5::of(id.as_bytes())),
            size: 3,
            path: format!("/205/{id}.png"),
            url: format!("https://www.datocms-assets.com/205/{id}.png"),
            filename: format!("{id}.png"),
            format: Some("png".into()),
            mime_type: None,
            width: Some(4),
            height: None,
            blurhash: None,
            tags: Vec::new(),
            fields: Fields::from([(FieldKey::Alt("en".into()), json!(alt))]),
            stamp: Stamp::default(),
            antivirus: crate::model::Antivirus::default(),
            created_at: String::new(),
            updated_at: "2026-11-21T00:00:00Z".into(),
        }
    }

    /// An index with paths, each with an asset of its own.
    fn index(dir: &Path, paths: &[String]) -> (Index, i64) {
        let index = Index::open(&dir.join("index.sqlite")).unwrap().index;
        let paths = paths.to_vec();
        let mirror = index
            .call_blocking(move |conn| {
                let mirror = settings::mirror(conn, "brand")?.id;
                for (n, path) in paths.iter().enumerate() {
                    let id = format!("id{n}");
                    assets::upsert(conn, &asset(&id, "An \"alt\""), None)?;
                    conn.execute(
                        "INSERT INTO file (mirror, path, present, asset, changed_at) VALUES (?1, ?2, 1, ?3, 1)",
                        params![mirror, path, id],
                    )?;
                }
                Ok(mirror)
            })
            .unwrap();
        (index, mirror)
    }

    fn config(dir: &Path) -> Mirror {
        Mirror {
            manifest: Some(dir.join("assets.json")),
            manifest_types: true,
            ..Mirror::new("brand", dir.join("root"))
        }
    }

    #[test]
    fn it_lists_every_path_sorted_and_is_written_only_when_it_says_something_new() {
        let dir = tempfile::tempdir().unwrap();
        let names: Vec<String> = (0..1_203).rev().map(|n| format!("d/{n:05} \"x\".png")).collect();
        let (index, mirror) = index(dir.path(), &names);
        let config = config(dir.path());
        assert!(update(&index, mirror, &config).unwrap());
        let text = fs::read_to_string(dir.path().join("assets.json")).unwrap();
        let read: BTreeMap<String, Value> = serde_json::from_str(&text).unwrap();
        assert_eq!(read.len(), names.len());
        let first = &read["d/00000 \"x\".png"];
        assert_eq!((&first["alt"], &first["height"]), (&json!({"en": "An \"alt\""}), &Value::Null));
        let keys: Vec<&str> =
            text.lines().filter(|line| line.len() > 2).map(|line| line.split(": {").next().unwrap()).collect();
        assert!(keys.is_sorted() && keys.len() == names.len());
        let types = fs::read_to_string(dir.path().join("assets.d.ts")).unwrap();
        assert!(types.contains("  | \"d/00000 \\\"x\\\".png\"\n"), "{types}");

        assert!(!update(&index, mirror, &config).unwrap());
        fs::remove_file(dir.path().join("assets.json")).unwrap();
        assert!(update(&index, mirror, &config).unwrap());
        assert_eq!(fs::read_to_string(dir.path().join("assets.json")).unwrap(), text);
        // An editor's new alt text: no action of ours, and still news.
        let edited = Asset { updated_at: "2026-11-22T00:00:00Z".into(), ..asset("id0", "New") };
        index.call_blocking(move |conn| assets::upsert(conn, &edited, None)).unwrap();
        assert!(update(&index, mirror, &config).unwrap());
        assert_ne!(fs::read_to_string(dir.path().join("assets.json")).unwrap(), text);
        let left: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert!(!left.iter().any(|name| name.to_string_lossy().ends_with(".tmp")), "{left:?}");
    }

    #[test]
    fn an_empty_mirror_has_an_empty_manifest_and_a_missing_folder_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let (index, mirror) = index(dir.path(), &[]);
        let mut config = config(dir.path());
        assert!(update(&index, mirror, &config).unwrap());
        assert_eq!(fs::read_to_string(dir.path().join("assets.json")).unwrap(), "{}\n");
        config.manifest = Some(dir.path().join("nowhere/assets.json"));
        let error = update(&index, mirror, &config).unwrap_err().to_string();
        assert!(error.contains("nowhere/assets.json") && error.contains("folder exists"), "{error}");
    }
}
