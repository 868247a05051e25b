//! The rows of assets: the media area as last listed, and what each mirror last pushed to them.
//!
//! Owns: the SQL over `asset` and `pushed`, and the rule how a listed asset rebuilds lost rows from its stamp.

mod antivirus;

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension as _, Row, params};
use serde_json::Value;

use super::files::{bytes, digest, mark_others_dirty, mark_owners_dirty};
use super::{claims, companions, contact, hearsay};
use crate::model::{Antivirus, Asset, Fields, Md5, MirrorStamp, Stamp, UploadId};

pub use antivirus::{infected, infected_digest, pending};

const COLUMNS: &str = "id, md5, size, path, url, filename, format, mime, width, height, blurhash, tags, fields, stamp, \
                       created_at, updated_at, antivirus";

fn asset_of(row: &Row<'_>) -> rusqlite::Result<Asset> {
    let json = |index: usize| -> rusqlite::Result<Value> {
        Ok(serde_json::from_str(row.get_ref(index)?.as_str()?).unwrap_or(Value::Null))
    };
    Ok(Asset {
        id: UploadId::new(row.get::<_, String>(0)?),
        md5: digest(row, 1)?,
        size: row.get::<_, i64>(2)?.cast_unsigned(),
        path: row.get(3)?,
        url: row.get(4)?,
        filename: row.get(5)?,
        format: row.get(6)?,
        mime_type: row.get(7)?,
        width: row.get(8)?,
        height: row.get(9)?,
        blurhash: row.get(10)?,
        tags: serde_json::from_value(json(11)?).unwrap_or_default(),
        fields: fields_of(json(12)?),
        stamp: Stamp::from_json(&json(13)?),
        created_at: row.get(14)?,
        updated_at: row.get(15)?,
        antivirus: Antivirus::of(row.get_ref(16)?.as_str()?),
    })
}

fn fields_of(value: Value) -> Fields {
    let Value::Object(map) = value else { return Fields::new() };
    map.into_iter().filter_map(|(key, value)| Some((key.parse().ok()?, value))).collect()
}

fn fields_json(fields: &Fields) -> String {
    let map: BTreeMap<String, &Value> = fields.iter().map(|(key, value)| (key.to_string(), value)).collect();
    serde_json::to_string(&map).unwrap_or_else(|_| "{}".into())
}

/// One asset by id.
///
/// # Errors
/// SQLite's.
pub fn by_id(conn: &Connection, id: &UploadId) -> rusqlite::Result<Option<Asset>> {
    conn.prepare_cached(&format!("SELECT {COLUMNS} FROM asset WHERE id = ?1"))?
        .query_row([id.as_str()], asset_of)
        .optional()
}

/// All assets with this content, in id order.
///
/// # Errors
/// SQLite's.
pub fn by_content(conn: &Connection, md5: Md5) -> rusqlite::Result<Vec<Asset>> {
    conn.prepare_cached(&format!("SELECT {COLUMNS} FROM asset WHERE md5 = ?1 ORDER BY id"))?
        .query_map([bytes(Some(&md5))], asset_of)?
        .collect()
}

/// All assets whose stamp mentions `name`, of whatever mirror: it goes through all assets.
pub(super) fn mentioning(conn: &Connection, name: &str) -> rusqlite::Result<Vec<Asset>> {
    conn.prepare_cached(&format!("SELECT {COLUMNS} FROM asset WHERE instr(stamp, ?1) ORDER BY id"))?
        .query_map([serde_json::to_string(name).unwrap_or_default()], asset_of)?
        .collect()
}

/// The assets with this content that no path on disk of the mirror has, in id order.
///
/// # Errors
/// SQLite's.
pub fn unowned(conn: &Connection, mirror: i64, md5: Md5) -> rusqlite::Result<Vec<Asset>> {
    conn.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM asset WHERE md5 = ?1 AND NOT EXISTS
            (SELECT 1 FROM file WHERE file.asset = asset.id AND +file.mirror = ?2 AND file.present = 1) ORDER BY id"
    ))?
    .query_map(params![bytes(Some(&md5)), mirror], asset_of)?
    .collect()
}

/// The next paths of a mirror after `after` that are on disk and have an asset, with it, in path order. The stamps are left
/// out: one that many paths share would be read for each of them.
///
/// # Errors
/// SQLite's.
pub fn of_paths(conn: &Connection, mirror: i64, after: &str, limit: u32) -> rusqlite::Result<Vec<(String, Asset)>> {
    let column = |name: &str| if name == "stamp" { "'{}' AS stamp".to_owned() } else { format!("asset.{name}") };
    let columns = COLUMNS.split(", ").map(column).collect::<Vec<_>>().join(", ");
    conn.prepare_cached(&format!(
        "SELECT {columns}, file.path AS file_path FROM file JOIN asset ON asset.id = file.asset
         WHERE mirror = ?1 AND file.path > ?2 AND present = 1 ORDER BY file.path LIMIT ?3"
    ))?
    .query_map(params![mirror, after, limit], |row| Ok((row.get("file_path")?, asset_of(row)?)))?
    .collect()
}

/// How many assets the index knows.
///
/// # Errors
/// SQLite's.
pub fn count(conn: &Connection) -> rusqlite::Result<u64> {
    conn.query_row("SELECT count(*) FROM asset", [], |row| row.get::<_, i64>(0)).map(i64::cast_unsigned)
}

/// The newest change the index knows, by the service's clock.
///
/// # Errors
/// SQLite's.
pub fn newest_change(conn: &Connection) -> rusqlite::Result<Option<String>> {
    conn.query_row("SELECT max(updated_at) FROM asset", [], |row| row.get(0))
}

/// Writes an asset as the service told it. When it differs from what the index had, the paths that share it are
/// looked at again; its stamps rebuild rows the index has lost. Returns whether it differed.
///
/// `listing` numbers the full listing that saw it (see [`sweep`]).
///
/// # Errors
/// SQLite's.
pub fn upsert(conn: &Connection, asset: &Asset, listing: Option<i64>) -> rusqlite::Result<bool> {
    if let Some(listing) = listing {
        conn.prepare_cached("UPDATE asset SET listing = ?2 WHERE id = ?1")?
            .execute(params![asset.id.as_str(), listing])?;
    }
    let before = by_id(conn, &asset.id)?;
    if before.as_ref() == Some(asset) {
        return Ok(false);
    }
    write(conn, asset, listing)?;
    if before.as_ref().is_some_and(|before| is_same_to_its_paths(before, asset)) {
        return Ok(true);
    }
    mark_owners_dirty(conn, &asset.id)?;
    if before.as_ref().is_some_and(Asset::is_infected) {
        // Its content may be sent again.
        conn.prepare_cached("UPDATE file SET news = news + 1, retry_at = NULL WHERE md5 = ?1")?
            .execute([bytes(before.as_ref().and_then(|before| before.md5.as_ref()))])?;
    }
    // A path that waits for "some asset with its content" may have met it now.
    if before.as_ref().map(|before| before.md5) != Some(asset.md5) {
        conn.prepare_cached("UPDATE file SET news = news + 1, retry_at = NULL WHERE md5 = ?1")?
            .execute([bytes(asset.md5.as_ref())])?;
    }
    import_stamp(conn, asset, before.as_ref())?;
    Ok(true)
}

/// Whether a path that has the asset learns nothing: the antivirus has begun or ended its work without a find.
fn is_same_to_its_paths(before: &Asset, asset: &Asset) -> bool {
    before.is_infected() == asset.is_infected() && Asset { antivirus: asset.antivirus, ..before.clone() } == *asset
}

fn write(conn: &Connection, asset: &Asset, listing: Option<i64>) -> rusqlite::Result<()> {
    conn.prepare_cached(&format!(
        "INSERT INTO asset ({COLUMNS}, listing) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17,
            COALESCE(?18, (SELECT CAST(value AS INTEGER) FROM setting WHERE key = 'listing'), 0))
         ON CONFLICT (id) DO UPDATE SET md5 = ?2, size = ?3, path = ?4, url = ?5, filename = ?6, format = ?7, mime = ?8,
         width = ?9, height = ?10, blurhash = ?11, tags = ?12, fields = ?13, stamp = ?14, created_at = ?15,
         updated_at = ?16, antivirus = ?17"
    ))?
    .execute(params![
        asset.id.as_str(),
        bytes(asset.md5.as_ref()),
        asset.size.cast_signed(),
        asset.path,
        asset.url,
        asset.filename,
        asset.format,
        asset.mime_type,
        asset.width,
        asset.height,
        asset.blurhash,
        serde_json::to_string(&asset.tags).unwrap_or_else(|_| "[]".into()),
        fields_json(&asset.fields),
        asset.stamp.to_json().to_string(),
        asset.created_at,
        asset.updated_at,
        asset.antivirus.as_str(),
        listing,
    ])
    .map(drop)
}

/// Writes an asset as one of our own calls left it: [`upsert`] without taking anything over from the stamp, which
/// we wrote ourselves. The other paths that share it are looked at again; to the row `actor`, whose action it was, it is
/// no news.
///
/// `before` is the asset as the call found it. Where the index has learned of another state meanwhile that is newer by
/// the service's clock, an editor has changed the asset since: that state stays, and all that share it are looked at.
///
/// # Errors
/// SQLite's.
pub fn upsert_own(conn: &Connection, asset: &Asset, before: Option<&Asset>, actor: i64) -> rusqlite::Result<()> {
    let known = by_id(conn, &asset.id)?;
    if known.as_ref() == Some(asset) {
        return Ok(());
    }
    let heard = known.as_ref().filter(|known| Some(*known) != before);
    if heard.is_some_and(|heard| heard.updated_at > asset.updated_at) {
        return mark_owners_dirty(conn, &asset.id);
    }
    write(conn, asset, None)?;
    mark_others_dirty(conn, &asset.id, actor)
}

/// Takes over what stamps say: the base of the merge when another writer moved it on, and rows for paths that the
/// index does not know: files that are elsewhere, as far as this index knows. Where several stamps name one path, the one
/// with the content on disk counts. A stamp that was written for another asset is no news.
fn import_stamp(conn: &Connection, asset: &Asset, before: Option<&Asset>) -> rusqlite::Result<()> {
    for (mirror, entry) in &asset.stamp.0 {
        if before.and_then(|before| before.stamp.0.get(mirror)) == Some(entry) {
            continue;
        }
        let known = conn
            .prepare_cached("SELECT id FROM mirror WHERE name = ?1")?
            .query_row([mirror], |row| row.get::<_, i64>(0))
            .optional()?;
        let Some(mirror) = known.map(|id| claims::Mirror { id, name: mirror }) else { continue };
        if !hearsay::is_about(conn, mirror.name, &asset.id, entry)? {
            continue;
        }
        set_pushed(conn, mirror.id, &asset.id, entry)?;
        let base = entry.digest();
        for path in entry.paths.iter().filter(|path| hearsay::path_of(path).is_some()) {
            claims::named(conn, mirror, path, asset)?;
            contact::meets(conn, mirror.id, path, asset, base)?;
            conn.prepare_cached(
                "INSERT INTO file (mirror, path, present, asset, base_md5) VALUES (?1, ?2, 0, ?3, ?4)
                 ON CONFLICT (mirror, path) DO UPDATE SET asset = ?3, base_md5 = ?4, news = news + 1
                 WHERE asset IS NULL OR (changed_at IS NULL AND md5 = ?4 AND base_md5 IS NOT md5)",
            )?
            .execute(params![mirror.id, path, asset.id.as_str(), bytes(base.as_ref())])?;
        }
        let named = before.and_then(|before| before.stamp.0.get(mirror.name));
        let gone = named.iter().flat_map(|named| named.paths.difference(&entry.paths));
        for path in gone.filter(|path| entry.leaves_out(path)) {
            claims::lost(conn, mirror, path, &asset.id)?;
        }
        // A path's digest is no path.
        for path in entry.tracks.keys().filter(|path| !path.starts_with('#') && hearsay::path_of(path).is_some()) {
            companions::remember(conn, mirror.id, path)?;
        }
    }
    Ok(())
}

/// Takes over the stamps of all known assets for one mirror: for a mirror that is new in the configuration.
///
/// # Errors
/// SQLite's.
pub fn import_stamps(conn: &Connection) -> rusqlite::Result<()> {
    let assets: Vec<Asset> = conn
        .prepare_cached(&format!("SELECT {COLUMNS} FROM asset WHERE stamp <> '{{}}'"))?
        .query_map([], asset_of)?
        .collect::<rusqlite::Result<_>>()?;
    assets.iter().try_for_each(|asset| import_stamp(conn, asset, None))
}

/// Drops an asset that is no longer there; its paths are looked at again.
///
/// # Errors
/// SQLite's.
pub fn remove(conn: &Connection, id: &UploadId) -> rusqlite::Result<()> {
    conn.prepare_cached(
        "UPDATE file SET news = news + 1, retry_at = NULL
         WHERE md5 IN (SELECT md5 FROM asset WHERE id = ?1 AND antivirus = 'infected')",
    )?
    .execute([id.as_str()])?;
    conn.prepare_cached("DELETE FROM asset WHERE id = ?1")?.execute([id.as_str()])?;
    mark_owners_dirty(conn, id)
}

/// Drops all assets that the full listing `listing` did not see; returns how many.
///
/// # Errors
/// SQLite's.
pub fn sweep(conn: &Connection, listing: i64) -> rusqlite::Result<u64> {
    conn.execute(
        "UPDATE file SET news = news + 1, retry_at = NULL WHERE asset IN (SELECT id FROM asset WHERE listing <> ?1)",
        [listing],
    )?;
    conn.execute(
        "UPDATE file SET news = news + 1, retry_at = NULL
         WHERE md5 IN (SELECT md5 FROM asset WHERE listing <> ?1 AND antivirus = 'infected')",
        [listing],
    )?;
    conn.execute("DELETE FROM asset WHERE listing <> ?1", [listing]).map(|rows| rows as u64)
}

/// Remembers that the service refuses this id although no asset has it.
///
/// # Errors
/// SQLite's.
pub fn mark_spent(conn: &Connection, id: &UploadId) -> rusqlite::Result<()> {
    conn.execute("INSERT INTO spent VALUES (?1) ON CONFLICT DO NOTHING", [id.as_str()]).map(drop)
}

/// Whether the id is of no use for a new asset.
///
/// # Errors
/// SQLite's.
pub fn is_spent(conn: &Connection, id: &UploadId) -> rusqlite::Result<bool> {
    conn.prepare_cached("SELECT EXISTS (SELECT 1 FROM spent WHERE id = ?1)")?.query_row([id.as_str()], |row| row.get(0))
}

/// What the mirror last pushed to the asset.
///
/// # Errors
/// SQLite's.
pub fn pushed(conn: &Connection, mirror: i64, asset: &UploadId) -> rusqlite::Result<Option<MirrorStamp>> {
    let entry: Option<String> = conn
        .prepare_cached("SELECT entry FROM pushed WHERE mirror = ?1 AND asset = ?2")?
        .query_row(params![mirror, asset.as_str()], |row| row.get(0))
        .optional()?;
    Ok(entry.and_then(|entry| serde_json::from_str(&entry).ok()))
}

/// Remembers what the mirror pushed to the asset.
///
/// # Errors
/// SQLite's.
pub fn set_pushed(conn: &Connection, mirror: i64, asset: &UploadId, entry: &MirrorStamp) -> rusqlite::Result<()> {
    conn.prepare_cached(
        "INSERT INTO pushed VALUES (?1, ?2, ?3, NULL) ON CONFLICT DO UPDATE SET entry = ?3, intended = NULL",
    )?
    .execute(params![mirror, asset.as_str(), serde_json::to_string(entry).unwrap_or_default()])
    .map(drop)
}

/// Remembers before a bulk call what the mirror will have pushed to these assets once the call has its effect; `None`
/// when it is known to have none. A bulk call leaves no word in the stamp, so without this a call whose outcome was lost
/// would look like an editor's work.
///
/// # Errors
/// SQLite's.
pub fn set_intended(
    conn: &Connection,
    mirror: i64,
    entries: &[(UploadId, Option<MirrorStamp>)],
) -> rusqlite::Result<()> {
    let mut update = conn.prepare_cached("UPDATE pushed SET intended = ?3 WHERE mirror = ?1 AND asset = ?2")?;
    for (asset, entry) in entries {
        let entry = entry.as_ref().map(|entry| serde_json::to_string(entry).unwrap_or_default());
        update.execute(params![mirror, asset.as_str(), entry])?;
    }
    Ok(())
}

/// What [`set_intended`] remembers of an asset.
///
/// # Errors
/// SQLite's.
pub fn intended(conn: &Connection, mirror: i64, asset: &UploadId) -> rusqlite::Result<Option<MirrorStamp>> {
    let entry: Option<Option<String>> = conn
        .prepare_cached("SELECT intended FROM pushed WHERE mirror = ?1 AND asset = ?2")?
        .query_row(params![mirror, asset.as_str()], |row| row.get(0))
        .optional()?;
    Ok(entry.flatten().and_then(|entry| serde_json::from_str(&entry).ok()))
}

#[cfg(test)]
pub(super) mod samples;

#[cfg(test)]
mod tests {
    use super::samples::asset;
    use super::*;
    use crate::index::files;
    use crate::index::files::samples::index;
    use crate::model::ActionKind;

    #[test]
    fn counting_reads_the_small_index() {
        let (conn, _) = index();
        let plan: String =
            conn.query_row("EXPLAIN QUERY PLAN SELECT count(*) FROM asset", [], |row| row.get(3)).unwrap();
        assert!(plan.contains("asset_md5"), "{plan}");
        assert_eq!(count(&conn).unwrap(), 0);
    }

    #[test]
    fn a_find_of_the_antivirus_is_news_to_the_paths_and_its_end_without_one_is_not() {
        use Antivirus::{Clean, Infected, Pending, Untold};
        for (before, after, is_news) in [
            (Untold, Pending, false),
            (Pending, Clean, false),
            (Pending, Infected, true),
            (Infected, Clean, true),
            (Infected, Infected, false),
        ] {
            let (conn, mirror) = index();
            let one = Asset { antivirus: before, ..asset("u1", "x", &["a.png"]) };
            upsert(&conn, &one, None).unwrap();
            conn.execute("UPDATE file SET present = 1, handled = news", []).unwrap();
            assert_eq!(pending(&conn, "", 9).unwrap().len(), usize::from(before == Pending));
            upsert(&conn, &Asset { antivirus: after, ..one }, None).unwrap();
            assert_eq!(by_id(&conn, &UploadId::new("u1")).unwrap().unwrap().antivirus, after);
            let dirty = files::dirty(&conn, mirror, true, "", 0, 9).unwrap().len();
            assert_eq!(dirty, usize::from(is_news), "{before:?} {after:?}");
            assert_eq!(infected(&conn, Md5::of(b"x")).unwrap().is_some(), after == Infected);
            assert_eq!(infected_digest(&conn).unwrap().is_some(), after == Infected);
        }
    }

    #[test]
    fn what_has_a_problem_or_is_infected_is_not_counted_as_mirrored_and_the_counts_add_up() {
        use Antivirus::{Clean, Infected};
        for (verdict, fails, mirrored) in
            [(Clean, false, 1), (Clean, true, 0), (Infected, false, 0), (Infected, true, 0)]
        {
            let (conn, mirror) = index();
            let one = Asset { antivirus: Clean, ..asset("u1", "x", &["a.png"]) };
            upsert(&conn, &one, None).unwrap();
            conn.execute("UPDATE file SET present = 1, handled = news, md5 = base_md5", []).unwrap();
            upsert(&conn, &Asset { antivirus: verdict, ..one }, None).unwrap();
            if fails {
                let row = files::by_path(&conn, mirror, "a.png").unwrap().unwrap();
                let problem = files::Problem::new(ActionKind::Report, "c", "a");
                files::failed(&conn, &row, &problem, files::RetryAt::AfterAChange, 0).unwrap();
            }
            let tally = files::tally(&conn, mirror).unwrap();
            let pending = crate::index::status_notes::pending(&conn, mirror).unwrap();
            assert_eq!((tally.present, tally.mirrored), (1, mirrored), "{verdict:?} {fails}");
            assert_eq!(tally.mirrored + pending + tally.failed, 1, "{verdict:?} {fails}");
        }
    }

    #[test]
    fn an_asset_reads_back_as_written_and_the_same_again_is_no_change() {
        let (conn, _) = index();
        let one = asset("u1", "x", &["a.png"]);
        assert!(upsert(&conn, &one, None).unwrap());
        assert!(!upsert(&conn, &one, Some(1)).unwrap());
        assert_eq!(by_id(&conn, &one.id).unwrap(), Some(one.clone()));
        assert_eq!(by_content(&conn, Md5::of(b"x")).unwrap(), [one]);
        assert_eq!(count(&conn).unwrap(), 1);
    }

    #[test]
    fn a_stamp_rebuilds_lost_rows_but_never_overrules_known_ones() {
        let (conn, mirror) = index();
        upsert(&conn, &asset("u1", "x", &["a.png", "b.png"]), None).unwrap();
        let row = files::by_path(&conn, mirror, "a.png").unwrap().unwrap();
        assert_eq!((row.asset, row.base_md5, row.present), (Some(UploadId::new("u1")), Some(Md5::of(b"x")), false));
        assert_eq!(pushed(&conn, mirror, &UploadId::new("u1")).unwrap().unwrap().tags.len(), 1);
        upsert(&conn, &asset("u2", "y", &["a.png"]), None).unwrap();
        assert_eq!(files::by_path(&conn, mirror, "a.png").unwrap().unwrap().asset, Some(UploadId::new("u1")));
    }

    #[test]
    fn our_own_call_s_outcome_does_not_hide_what_an_editor_did_after_it() {
        let at = |second: u32, content: &str| Asset {
            updated_at: format!("2026-01-01T00:00:0{second}.000Z"),
            ..asset("u1", content, &["a.png", "b.png"])
        };
        let (before, ours, theirs) = (at(0, "x"), at(1, "x"), at(2, "theirs"));
        // (known when our outcome comes, what is known after it, whether our own row is looked at again)
        let cases = [
            ("nothing came between", before.clone(), ours.clone(), false),
            ("a look saw our change first", ours.clone(), ours.clone(), false),
            ("a look saw an editor's change after ours", theirs.clone(), theirs, true),
        ];
        for (what, known, after, again) in cases {
            let (conn, mirror) = index();
            upsert(&conn, &known, None).unwrap();
            conn.execute("UPDATE file SET handled = news", []).unwrap();
            let actor = files::by_path(&conn, mirror, "a.png").unwrap().unwrap();
            upsert_own(&conn, &ours, Some(&before), actor.id).unwrap();
            assert_eq!(by_id(&conn, &ours.id).unwrap().as_ref(), Some(&after), "{what}");
            let now = files::by_path(&conn, mirror, "a.png").unwrap().unwrap();
            assert_eq!(now.news > actor.news, again, "{what}");
        }
    }

    #[test]
    fn what_another_writer_pushed_becomes_the_base_and_what_we_pushed_by_bulk_stays() {
        let (conn, mirror) = index();
        let id = UploadId::new("u1");
        upsert(&conn, &asset("u1", "x", &["a.png"]), None).unwrap();
        let mut ours = pushed(&conn, mirror, &id).unwrap().unwrap();
        ours.tags.insert("bulk".into());
        set_pushed(&conn, mirror, &id, &ours).unwrap();
        let mut retagged = asset("u1", "x", &["a.png"]);
        retagged.tags.push("bulk".into());
        upsert(&conn, &retagged, None).unwrap();
        assert_eq!(pushed(&conn, mirror, &id).unwrap(), Some(ours));
        let theirs = asset("u1", "x", &["a.png", "c.png"]);
        upsert(&conn, &theirs, None).unwrap();
        assert_eq!(pushed(&conn, mirror, &id).unwrap().as_ref(), theirs.stamp.0.get("brand"));
    }

    #[test]
    fn a_sweep_drops_what_the_listing_did_not_see_and_its_paths_are_looked_at() {
        let (conn, mirror) = index();
        upsert(&conn, &asset("u1", "x", &["a.png"]), Some(1)).unwrap();
        upsert(&conn, &asset("u2", "y", &["b.png"]), Some(1)).unwrap();
        conn.execute("UPDATE file SET handled = news", []).unwrap();
        upsert(&conn, &asset("u1", "x", &["a.png"]), Some(2)).unwrap();
        assert_eq!(sweep(&conn, 2).unwrap(), 1);
        assert_eq!(by_id(&conn, &UploadId::new("u2")).unwrap(), None);
        let dirty: Vec<String> =
            files::dirty(&conn, mirror, false, "", 0, 9).unwrap().iter().map(|row| row.path.key().to_owned()).collect();
        assert_eq!(dirty, ["b.png"]);
    }
}
