//! Brings the index in step with the media area, with as few calls as possible.
//!
//! Owns: which listing is asked: only what changed since the last time when the index has listed everything once; all
//! of it, or just our own ids and digests, whichever is cheaper, when it has not. Deletions are told by the count.
//! Never does: deciding, or changing the remote.

use std::collections::HashSet;

use jiff::{SignedDuration, Timestamp};
use rusqlite::Connection;

use crate::index::{Index, IndexError, absence, assets, binding, files, settings};
use crate::model::{Antivirus, Asset, Md5, UploadId};
use crate::remote::{ApiError, ListFilter, ListQuery, Listed, Order, PAGE_LIMIT, Remote, Walk};

/// The service may show a write late; this much of what was already seen is looked at again.
const OVERLAP: SignedDuration = SignedDuration::from_secs(60);
/// Assets in the first page of a look at changes: as a rule there are none, and the newest asset tells so.
const FIRST_LOOK: u32 = 50;
/// A listing during which assets came or went is begun again, so many times.
const ATTEMPTS: u32 = 3;
/// Setting: the index has seen every asset once.
const COMPLETE: &str = "listed";
/// Setting: number of the last full listing.
const LISTING: &str = "listing";

/// Assets that are asked for at once because the antivirus has not looked at them.
const PENDING: usize = 100;
/// Setting: the last of these, where there were more.
const PENDING_AFTER: &str = "pending_after";

/// Setting: see [`seen_until`].
const SEEN_UNTIL: &str = "seen_until";
/// Setting: when the last listing of everything began, by our clock. It goes with all else that is known of a media area
/// when the index is bound to another one.
const LAST_IN_FULL: &str = "full_listing";

/// Why the remote could not be looked at.
#[derive(Debug, thiserror::Error)]
pub enum RefreshError {
    /// The API failed.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// The index failed.
    #[error(transparent)]
    Index(#[from] IndexError),
}

/// Looks at the remote before a pass: changes and deletions. `everything`: all is listed, not only what changed by its
/// `updated_at`.
///
/// # Errors
/// The API's and the index's.
pub async fn refresh(index: &Index, remote: &Remote, everything: bool) -> Result<(), RefreshError> {
    if index.call(is_complete).await? {
        if everything {
            return list_all(index, remote, None).await;
        }
        let Changes { total, pending } = look_for_changes(index, remote).await?;
        let known = index.call(assets::count).await?;
        if known == total {
            return follow_pending(index, remote, &pending).await;
        }
        tracing::debug!(known, total, "the number of assets differs: listing all");
        return list_all(index, remote, None).await;
    }
    let first = remote.list(&ListQuery::all(0)).await?;
    let pages = first.total.div_ceil(u64::from(PAGE_LIMIT));
    let (ids, md5s) = index.call(Asks::sizes).await?;
    let limits = remote.batch_limits();
    let calls = ids.div_ceil(limits.ids) + md5s.div_ceil(limits.md5s);
    let all = index.call(|conn| Ok(absence::needs_all(conn)? || binding::must_list_all(conn)?)).await?;
    if all || pages.saturating_sub(1) <= calls as u64 || !ask(index, remote, index.call(Asks::of).await?).await? {
        list_all(index, remote, Some(first)).await?;
    }
    Ok(())
}

/// Looks at what changed just now, before something is overwritten: one call, as a rule.
///
/// # Errors
/// The API's and the index's.
pub async fn changes(index: &Index, remote: &Remote) -> Result<(), RefreshError> {
    look_for_changes(index, remote).await.map(drop)
}

/// What a look at changes came to.
#[derive(Debug, Default)]
struct Changes {
    /// Assets in all.
    total: u64,
    /// Those that it showed and that the antivirus has not looked at yet.
    pending: HashSet<UploadId>,
}

async fn look_for_changes(index: &Index, remote: &Remote) -> Result<Changes, RefreshError> {
    let seen_until = index.call(seen_until).await?;
    let horizon = seen_until.map(|time| time - OVERLAP);
    let mut pending = HashSet::new();
    for attempt in 1.. {
        let (mut walk, mut total, mut newest) = (Walk::default(), None, None);
        let mut shifted = false;
        loop {
            let offset = walk.offset();
            let limit = if offset == 0 { FIRST_LOOK } else { PAGE_LIMIT };
            let query = ListQuery { filter: ListFilter::All, order: Order::UpdatedDesc, offset, limit };
            let page = remote.list(&query).await?;
            shifted |= total.is_some_and(|total| total != page.total);
            total = Some(page.total);
            let page_newest = newest_of(&page.assets);
            newest = newest.max(page_newest);
            let listed = walk.take(&page);
            let waits = page.assets.iter().filter(|asset| asset.antivirus == Antivirus::Pending);
            pending.extend(waits.map(|asset| asset.id.clone()));
            let far_enough = page.assets.iter().any(|asset| is_before(asset, horizon));
            shifted |= listed == Listed::Broken && !far_enough && walk.offset() < page.total;
            let reached = listed != Listed::More || far_enough;
            let told_something = store(index, page.assets, None).await?;
            // After mass changes the overlap is long: every run would read it all again until the next change.
            let known_again = offset > 0 && !told_something && page_newest <= seen_until;
            if reached || known_again {
                break;
            }
        }
        // An asset deleted while paging moves others to a page already read.
        if !shifted {
            index.call(move |conn| set_seen_until(conn, newest)).await?;
        }
        if !shifted || attempt >= ATTEMPTS {
            return Ok(Changes { total: total.unwrap_or_default(), pending });
        }
    }
    Ok(Changes::default())
}

/// Asks for assets that the antivirus had not looked at when they were last seen, in one call at most: whether its verdict
/// counts as a change of the asset is not known, so the look at changes need not show it. `seen`: those which it showed.
/// Where one call does not take all, the next refresh goes on where this one ended.
async fn follow_pending(index: &Index, remote: &Remote, seen: &HashSet<UploadId>) -> Result<(), RefreshError> {
    let most = remote.batch_limits().ids.min(PENDING);
    // What was seen is not asked for, so one look at the index may have to read past it.
    let read = most.saturating_add(seen.len());
    let waiting = index.call(move |conn| {
        let after = settings::get(conn, PENDING_AFTER)?.unwrap_or_default();
        let mut waiting = assets::pending(conn, &after, read)?;
        if waiting.len() < read && !after.is_empty() {
            let known: HashSet<UploadId> = waiting.iter().cloned().collect();
            waiting.extend(assets::pending(conn, "", read)?.into_iter().filter(|id| !known.contains(id)));
        }
        Ok(waiting)
    });
    let mut waiting = waiting.await?;
    waiting.retain(|id| !seen.contains(id));
    if waiting.is_empty() {
        return Ok(());
    }
    let is_all = waiting.len() <= most;
    waiting.truncate(most);
    let last = waiting.last().filter(|_| !is_all).map_or_else(String::new, |id| id.as_str().to_owned());
    by_id(index, remote, waiting).await?;
    Ok(index.call(move |conn| settings::set(conn, PENDING_AFTER, &last)).await?)
}

/// Until when, by the service's clock, every change was looked at. Not the newest change the index knows: our own
/// writes are newer than what editors did meanwhile, and a look that broke off has seen the newest changes only.
fn seen_until(conn: &Connection) -> rusqlite::Result<Option<Timestamp>> {
    let text = match settings::get(conn, SEEN_UNTIL)? {
        Some(text) => Some(text),
        None => assets::newest_change(conn)?,
    };
    Ok(text.and_then(|text| text.parse().ok()))
}

fn set_seen_until(conn: &Connection, time: Option<Timestamp>) -> rusqlite::Result<()> {
    time.map_or(Ok(()), |time| settings::set(conn, SEEN_UNTIL, &time.to_string()))
}

fn newest_of(assets: &[Asset]) -> Option<Timestamp> {
    assets.iter().filter_map(|asset| asset.updated_at.parse().ok()).max()
}

/// Looks at these assets only.
///
/// # Errors
/// The API's and the index's.
pub async fn by_id(index: &Index, remote: &Remote, ids: Vec<UploadId>) -> Result<(), RefreshError> {
    for chunk in ids.chunks(remote.batch_limits().ids) {
        let found = remote.list(&ListQuery::ids(chunk.to_vec())).await?.assets;
        let missing: Vec<UploadId> =
            chunk.iter().filter(|id| !found.iter().any(|asset| asset.id == **id)).cloned().collect();
        store(index, found, None).await?;
        index
            .call(move |conn| {
                missing.iter().try_for_each(|id| match assets::by_id(conn, id)? {
                    Some(_) => assets::remove(conn, id),
                    None => Ok(()),
                })
            })
            .await?;
    }
    Ok(())
}

fn is_before(asset: &Asset, horizon: Option<Timestamp>) -> bool {
    match (asset.updated_at.parse::<Timestamp>(), horizon) {
        (Ok(time), Some(horizon)) => time < horizon,
        _ => false,
    }
}

/// Whether the index has seen every asset once.
///
/// # Errors
/// SQLite's.
pub fn is_complete(conn: &Connection) -> rusqlite::Result<bool> {
    Ok(settings::get(conn, COMPLETE)?.is_some())
}

/// Whether any of them differs from what the index had.
async fn store(index: &Index, found: Vec<Asset>, listing: Option<i64>) -> Result<bool, IndexError> {
    index
        .call(move |conn| {
            found.iter().try_fold(false, |differs, asset| Ok(assets::upsert(conn, asset, listing)? | differs))
        })
        .await
}

/// Lists every asset; those not seen are gone. `first` is the first page where it has been read already.
async fn list_all(index: &Index, remote: &Remote, first: Option<crate::remote::Page>) -> Result<(), RefreshError> {
    let began = Timestamp::now();
    let mut first = first;
    for attempt in 1.. {
        let listing = index.call(next_listing).await?;
        let (mut walk, mut newest) = (Walk::default(), None);
        let listed = loop {
            let page = match first.take() {
                Some(page) => page,
                None => remote.list(&ListQuery::all(walk.offset())).await?,
            };
            newest = newest.max(newest_of(&page.assets));
            let listed = walk.take(&page);
            store(index, page.assets, Some(listing)).await?;
            if listed != Listed::More {
                break listed;
            }
        };
        if listed == Listed::Whole {
            index
                .call(move |conn| {
                    assets::sweep(conn, listing)?;
                    end_listing(conn, newest, began)
                })
                .await?;
            return Ok(());
        }
        if attempt >= ATTEMPTS {
            // A media area in constant motion, or a listing that makes no sense: what was seen counts, nothing is taken for
            // gone.
            return Ok(index.call(move |conn| end_listing(conn, newest, began)).await?);
        }
    }
    Ok(())
}

fn end_listing(conn: &Connection, newest: Option<Timestamp>, began: Timestamp) -> rusqlite::Result<()> {
    set_seen_until(conn, newest)?;
    set_last_in_full(conn, began)?;
    settings::set(conn, COMPLETE, "1")
}

/// Remembers when a listing of everything began that came to its end.
///
/// # Errors
/// SQLite's.
pub(super) fn set_last_in_full(conn: &Connection, began: Timestamp) -> rusqlite::Result<()> {
    settings::set(conn, LAST_IN_FULL, &began.to_string())
}

/// When the last one began; `None` too for what is no time.
pub(super) fn last_in_full(conn: &Connection) -> rusqlite::Result<Option<Timestamp>> {
    Ok(settings::get(conn, LAST_IN_FULL)?.and_then(|text| text.parse().ok()))
}

fn next_listing(conn: &Connection) -> rusqlite::Result<i64> {
    let last = settings::get(conn, LISTING)?.and_then(|text| text.parse::<i64>().ok()).unwrap_or(0);
    settings::set(conn, LISTING, &(last + 1).to_string())?;
    Ok(last + 1)
}

/// What would have to be asked to know the assets of all files.
#[derive(Debug, Default)]
struct Asks {
    ids: Vec<UploadId>,
    /// Files without an asset: the id it would have, and their content.
    unplaced: Vec<(UploadId, Md5)>,
    /// Files that were in step once: their assets are known by id.
    placed: usize,
}

impl Asks {
    fn of(conn: &Connection) -> rusqlite::Result<Self> {
        let project = settings::get(conn, "project")?.unwrap_or_default();
        let site = project.split('/').next().unwrap_or_default().to_owned();
        let mirrors: Vec<(i64, String)> = conn
            .prepare("SELECT id, name FROM mirror")?
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<rusqlite::Result<_>>()?;
        let mut asks = Self::default();
        for (mirror, name) in mirrors {
            for row in files::below(conn, mirror, "")? {
                match row.asset {
                    Some(id) => {
                        asks.placed += 1;
                        asks.ids.push(id);
                    }
                    None => {
                        let id = UploadId::derived(&site, &name, &row.path, 0);
                        asks.unplaced.extend(row.md5.map(|md5| (id.clone(), md5)));
                        asks.ids.push(id);
                    }
                }
            }
        }
        asks.ids.sort_unstable();
        asks.ids.dedup();
        Ok(asks)
    }

    /// How many ids and contents there would be, without having them in memory: of a large folder that is new they are
    /// too many to be asked for.
    fn sizes(conn: &Connection) -> rusqlite::Result<(usize, usize)> {
        conn.query_row(
            "SELECT count(DISTINCT asset) + count(*) FILTER (WHERE asset IS NULL),
                    count(*) FILTER (WHERE asset IS NULL AND md5 IS NOT NULL)
             FROM file WHERE present = 1",
            [],
            |row| {
                let size = |column| row.get::<_, i64>(column).map(|count| usize::try_from(count).unwrap_or(0));
                Ok((size(0)?, size(1)?))
            },
        )
    }
}

/// Asks for our own ids, then for the contents still without an asset. Answers whether that settled everything: a
/// file that no id and no content finds may be new, or may have moved and changed since an index was lost, and only a
/// stamp somewhere in the whole listing can tell. An index that once placed all its files needs no such listing.
async fn ask(index: &Index, remote: &Remote, asks: Asks) -> Result<bool, RefreshError> {
    let placed_before = asks.placed > 0;
    by_id(index, remote, asks.ids).await?;
    let unplaced = index.call(move |conn| unknown_ids(conn, asks.unplaced)).await?;
    let mut md5s: Vec<Md5> = unplaced.iter().map(|(_, md5)| *md5).collect();
    md5s.sort_unstable();
    md5s.dedup();
    for chunk in md5s.chunks(remote.batch_limits().md5s) {
        let mut walk = Walk::default();
        loop {
            let query = ListQuery { offset: walk.offset(), ..ListQuery::md5s(chunk.to_vec()) };
            let page = remote.list(&query).await?;
            let listed = walk.take(&page);
            store(index, page.assets, None).await?;
            if listed != Listed::More {
                break;
            }
        }
    }
    if placed_before {
        return Ok(true);
    }
    let found = index
        .call(move |conn| {
            for md5 in &md5s {
                if assets::by_content(conn, *md5)?.is_empty() {
                    return Ok(false);
                }
            }
            Ok(true)
        })
        .await?;
    Ok(found)
}

fn unknown_ids(conn: &Connection, files: Vec<(UploadId, Md5)>) -> rusqlite::Result<Vec<(UploadId, Md5)>> {
    let mut unknown = Vec::new();
    for (id, md5) in files {
        if assets::by_id(conn, &id)?.is_none() {
            unknown.push((id, md5));
        }
    }
    Ok(unknown)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::disk::Fingerprint;
    use crate::index::FoundFile;
    use crate::model::RelPath;

    #[test]
    fn what_would_be_asked_is_counted_without_being_in_memory() {
        let index = Index::snapshot(Path::new("/nonexistent/index.sqlite")).unwrap();
        let file = |name: &str| FoundFile {
            path: RelPath::from_key(name).unwrap(),
            print: Fingerprint { size: 1, mtime_ns: 1, ctime_ns: 1, inode: 1, dev: 1 },
            read_at_ns: 2,
            md5: Md5::of(name.as_bytes()),
            embedded: None,
        };
        let (sizes, asks) = index
            .call_blocking(move |conn| {
                let mirror = settings::mirror(conn, "brand")?.id;
                files::found(conn, mirror, &["a", "b", "c", "d", "gone"].map(file))?;
                // Two share an asset, one is gone.
                conn.execute("UPDATE file SET asset = 'u' WHERE path IN ('a', 'b')", [])?;
                conn.execute("UPDATE file SET present = 0 WHERE path = 'gone'", [])?;
                Ok((Asks::sizes(conn)?, Asks::of(conn)?))
            })
            .unwrap();
        assert_eq!(sizes, (3, 2));
        assert_eq!(sizes, (asks.ids.len(), asks.unplaced.len()));
    }

    #[test]
    fn when_all_was_listed_is_remembered_and_nonsense_is_no_time() {
        let index = Index::snapshot(Path::new("/nonexistent/index.sqlite")).unwrap();
        let at: Timestamp = "2026-11-28T12:00:00.5Z".parse().unwrap();
        index
            .call_blocking(move |conn| {
                assert_eq!(last_in_full(conn)?, None);
                set_last_in_full(conn, at)?;
                assert_eq!(last_in_full(conn)?, Some(at));
                settings::set(conn, LAST_IN_FULL, "yesterday")?;
                assert_eq!(last_in_full(conn)?, None);
                Ok(())
            })
            .unwrap();
    }
}
