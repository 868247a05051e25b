//! The shape of the index, as numbered steps.
//!
//! Owns: every `CREATE` statement. A released step is never edited; a change is a new step.

use rusqlite::{Connection, TransactionBehavior, params};

use crate::metadata::remote_list::{is_list, url_digest, without_urls};

/// The steps, oldest first; `PRAGMA user_version` counts those taken.
const STEPS: &[&str] = &[
    r"
CREATE TABLE setting (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE mirror (
    id     INTEGER PRIMARY KEY,
    name   TEXT NOT NULL UNIQUE,
    root   TEXT,                     -- JSON: the root's identity when last mirrored, for the guard
    policy TEXT NOT NULL DEFAULT ''  -- digest of the rules that all rows were last planned with
) STRICT;

-- One row for each path ever seen in a mirror or named by a stamp.
CREATE TABLE file (
    id         INTEGER PRIMARY KEY,
    mirror     INTEGER NOT NULL REFERENCES mirror (id),
    path       TEXT NOT NULL,        -- RelPath::key
    raw        BLOB,                 -- the bytes on disk where they differ from the key
    present    INTEGER NOT NULL,     -- 1: on disk when last looked
    size       INTEGER, mtime_ns INTEGER, ctime_ns INTEGER, inode INTEGER, dev INTEGER,
    read_at_ns INTEGER,              -- when the content was read; an mtime is trusted only if older
    md5        BLOB,                 -- content on disk
    embedded   TEXT,                 -- JSON: metadata found inside the file
    asset      TEXT,                 -- upload id
    base_md5   BLOB,                 -- content on disk when path and asset were last in step
    dirty      INTEGER NOT NULL DEFAULT 1,  -- 1: the planner has something to look at
    failures   INTEGER NOT NULL DEFAULT 0,
    retry_at   INTEGER,              -- ms since 1970
    problem    TEXT,                 -- JSON: action, cause, advice
    notice     TEXT,                 -- lines: what of its metadata could not be used when last planned
    changed_at INTEGER,              -- ms since 1970: the last action that succeeded
    cached     INTEGER NOT NULL DEFAULT 0,  -- 1: fetched from a URL; its bytes lie in the cache, not in the root
    UNIQUE (mirror, path)
) STRICT;
CREATE INDEX file_dirty ON file (mirror, path) WHERE dirty = 1;
CREATE INDEX file_md5 ON file (md5) WHERE md5 IS NOT NULL;
CREATE INDEX file_asset ON file (asset) WHERE asset IS NOT NULL;
CREATE INDEX file_problem ON file (mirror, path) WHERE problem IS NOT NULL;
CREATE INDEX file_notice ON file (mirror, notice) WHERE notice IS NOT NULL;

-- The media area as last listed.
CREATE TABLE asset (
    id         TEXT PRIMARY KEY,
    md5        BLOB,
    size       INTEGER NOT NULL,
    path       TEXT NOT NULL,
    url        TEXT NOT NULL,
    filename   TEXT NOT NULL,
    format     TEXT,
    mime       TEXT,
    width      INTEGER, height INTEGER, blurhash TEXT,
    tags       TEXT NOT NULL,        -- JSON list
    fields     TEXT NOT NULL,        -- JSON object by FieldKey
    stamp      TEXT NOT NULL,        -- JSON; '{}' without one
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    listing    INTEGER NOT NULL DEFAULT 0   -- the full listing that last saw it
) STRICT, WITHOUT ROWID;
CREATE INDEX asset_md5 ON asset (md5) WHERE md5 IS NOT NULL;

-- What each mirror last pushed to an asset: the base of every three-way merge.
CREATE TABLE pushed (
    mirror INTEGER NOT NULL REFERENCES mirror (id),
    asset  TEXT NOT NULL,
    entry  TEXT NOT NULL,            -- JSON MirrorStamp
    intended TEXT,                   -- JSON MirrorStamp: the entry when a bulk call that was begun has its effect
    PRIMARY KEY (mirror, asset)
) STRICT, WITHOUT ROWID;

-- Metadata files of the user beside the mirrored files.
CREATE TABLE sidecar (
    mirror   INTEGER NOT NULL REFERENCES mirror (id),
    path     TEXT NOT NULL,
    mtime_ns INTEGER NOT NULL, size INTEGER NOT NULL, inode INTEGER NOT NULL,
    content  BLOB NOT NULL,
    PRIMARY KEY (mirror, path)
) STRICT, WITHOUT ROWID;

-- Files that a _remote.toml lists, as last fetched.
CREATE TABLE remote_file (
    mirror   INTEGER NOT NULL REFERENCES mirror (id),
    path     TEXT NOT NULL,
    list     TEXT NOT NULL,          -- key of the list
    url      TEXT NOT NULL,
    etag     TEXT, modified TEXT,
    asked_at INTEGER NOT NULL,       -- ms since 1970
    problem  TEXT,                   -- JSON: why it could not be fetched when last asked for
    PRIMARY KEY (mirror, path)
) STRICT, WITHOUT ROWID;

-- Collections by their labels from the outermost in; without an id: wanted, but it could not be made.
CREATE TABLE collection (
    mirror INTEGER NOT NULL REFERENCES mirror (id),
    path   TEXT NOT NULL,
    id     TEXT,
    PRIMARY KEY (mirror, path)
) STRICT, WITHOUT ROWID;

-- A call that changes the remote is written here before it is made.
CREATE TABLE intent (
    id     INTEGER PRIMARY KEY,
    file   INTEGER NOT NULL,
    asset  TEXT NOT NULL,
    kind   TEXT NOT NULL,
    md5    BLOB,
    job    TEXT,
    at_ms  INTEGER NOT NULL
) STRICT;

-- Ids the service refuses although no asset has them: each was spent on an asset since deleted.
CREATE TABLE spent (
    id TEXT PRIMARY KEY
) STRICT, WITHOUT ROWID;

CREATE TABLE calls (
    month TEXT PRIMARY KEY,          -- 2026-11, UTC
    count INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
",
    r"
-- JSON list of the last few actions that succeeded: at_ms, action, why.
ALTER TABLE file ADD COLUMN history TEXT;
",
    r"
-- Of all rows, so that counting the assets reads this index and not the table.
DROP INDEX asset_md5;
CREATE INDEX asset_md5 ON asset (md5);
",
    r"
-- Every reason to look at a row raises `news`; a plan that was carried out sets `handled` to what `news` was when it was
-- made. So a success clears nothing that came after its plan.
DROP INDEX file_dirty;
ALTER TABLE file ADD COLUMN news INTEGER NOT NULL DEFAULT 1;
ALTER TABLE file ADD COLUMN handled INTEGER NOT NULL DEFAULT 0;
UPDATE file SET handled = 1 WHERE dirty = 0;
ALTER TABLE file DROP COLUMN dirty;
ALTER TABLE file ADD COLUMN dirty INTEGER NOT NULL GENERATED ALWAYS AS (news > handled) VIRTUAL;
CREATE INDEX file_dirty ON file (mirror, path) WHERE dirty = 1;
",
    r"
-- JSON MirrorStamp: what the mirror will have pushed to the asset once the intent is done.
ALTER TABLE intent ADD COLUMN entry TEXT;
",
    r"
-- Metadata files are told from their earlier selves as the files they are about. With 0, each is read once more.
ALTER TABLE sidecar ADD COLUMN ctime_ns INTEGER NOT NULL DEFAULT 0;
ALTER TABLE sidecar ADD COLUMN read_at_ns INTEGER NOT NULL DEFAULT 0;
",
    r"
-- 1: this index itself read the file from the disk in the root it has; only such a file can be gone.
ALTER TABLE file ADD COLUMN seen INTEGER NOT NULL DEFAULT 0;
UPDATE file SET seen = md5 IS NOT NULL;
-- The configured root that the mirror's name was found to belong to; empty: some root, by an older version.
ALTER TABLE mirror ADD COLUMN belongs TEXT;
UPDATE mirror SET belongs = '' WHERE policy <> '';
-- 1: what is not in the folder is gone, so everything has to be listed.
ALTER TABLE mirror ADD COLUMN authoritative INTEGER NOT NULL DEFAULT 0;
-- Assets of which this index itself knows that a mirror made them.
CREATE TABLE made (
    asset TEXT PRIMARY KEY
) STRICT, WITHOUT ROWID;
-- Deletions of late, for the guard.
CREATE TABLE deletion (
    mirror INTEGER NOT NULL REFERENCES mirror (id),
    at_ms  INTEGER NOT NULL          -- since 1970
) STRICT;
",
    r"
-- What the service's antivirus says of the file; empty: untold.
ALTER TABLE asset ADD COLUMN antivirus TEXT NOT NULL DEFAULT '';
CREATE INDEX asset_infected ON asset (md5) WHERE antivirus = 'infected';
CREATE INDEX asset_pending ON asset (id) WHERE antivirus = 'pending';
",
    // `hide_urls` fills it.
    r"
-- A URL may hold a secret: its digest is enough to tell whether it is the one fetched from.
ALTER TABLE remote_file RENAME COLUMN url TO url_digest;
-- How often in a row it could not be fetched.
ALTER TABLE remote_file ADD COLUMN failures INTEGER NOT NULL DEFAULT 0;
",
    r"
-- Values that the service refused, while it took the rest of the metadata.
CREATE TABLE refused (
    content  BLOB NOT NULL,             -- of the file that it was for
    field    TEXT NOT NULL,             -- FieldKey
    value    TEXT NOT NULL,             -- its digest
    by_field INTEGER NOT NULL,          -- 1: in the newer metadata shape
    cause    TEXT NOT NULL,             -- the service's words
    PRIMARY KEY (content, field, value, by_field)
) STRICT, WITHOUT ROWID;
",
];

/// The step at which URLs were taken out.
const HIDES_URLS: usize = 8;

/// What lists of URLs said is kept without the URLs.
fn hide_urls(conn: &Connection) -> rusqlite::Result<()> {
    let rows = |sql: &str| -> rusqlite::Result<Vec<(i64, String, Vec<u8>)>> {
        conn.prepare(sql)?.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?.collect()
    };
    for (mirror, path, content) in rows("SELECT mirror, path, content FROM sidecar")? {
        if is_list(&path) {
            conn.execute(
                "UPDATE sidecar SET content = ?3 WHERE mirror = ?1 AND path = ?2",
                params![mirror, path, without_urls(&path, &content)],
            )?;
        }
    }
    for (mirror, path, url) in rows("SELECT mirror, path, CAST(url_digest AS BLOB) FROM remote_file")? {
        conn.execute(
            "UPDATE remote_file SET url_digest = ?3 WHERE mirror = ?1 AND path = ?2",
            params![mirror, path, url_digest(&String::from_utf8_lossy(&url))],
        )?;
    }
    Ok(())
}

/// The number of steps.
#[must_use]
pub const fn newest() -> usize {
    STEPS.len()
}

/// How many steps `conn` has taken.
///
/// # Errors
/// SQLite's.
pub fn version(conn: &Connection) -> rusqlite::Result<usize> {
    let taken: i64 = conn.pragma_query_value(None, "user_version", |row| row.get(0))?;
    Ok(usize::try_from(taken).unwrap_or(usize::MAX))
}

/// Brings `conn` to the newest shape, each step in a transaction of its own.
///
/// # Errors
/// SQLite's; [`rusqlite::Error::IntegralValueOutOfRange`] when a newer dato-mirror wrote this file.
pub fn migrate(conn: &mut Connection) -> rusqlite::Result<()> {
    let taken = version(conn)?;
    if taken > STEPS.len() {
        return Err(rusqlite::Error::IntegralValueOutOfRange(0, taken as i64));
    }
    if taken <= HIDES_URLS && taken > 0 {
        // What is overwritten is not to stay readable in the file's free space.
        conn.pragma_update(None, "secure_delete", true)?;
    }
    for (number, step) in STEPS.iter().enumerate().skip(taken) {
        let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
        tx.execute_batch(step)?;
        if number == HIDES_URLS {
            hide_urls(&tx)?;
        }
        tx.pragma_update(None, "user_version", number as i64 + 1)?;
        tx.commit()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn migrating_twice_is_migrating_once() {
        let mut conn = Connection::open_in_memory().unwrap();
        migrate(&mut conn).unwrap();
        migrate(&mut conn).unwrap();
        let version: i64 = conn.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
        assert_eq!(version, STEPS.len() as i64);
    }

    #[test]
    fn urls_of_an_older_version_are_taken_out_to_the_last_byte() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("index.sqlite");
        let list = "[[file]]\nurl = \"https://example.com/a?sig=hush\"\nfilename = \"a.png\"\n";
        let conn = Connection::open(&path).unwrap();
        STEPS[..HIDES_URLS].iter().for_each(|step| conn.execute_batch(step).unwrap());
        conn.pragma_update(None, "user_version", HIDES_URLS as i64).unwrap();
        conn.execute("INSERT INTO mirror (id, name) VALUES (1, 'm')", []).unwrap();
        let sidecar = "INSERT INTO sidecar (mirror, path, mtime_ns, size, inode, content) VALUES (1, ?1, 0, 0, 0, ?2)";
        for name in ["_remote.toml", "x/_remote.toml"] {
            conn.execute(sidecar, params![name, list.as_bytes()]).unwrap();
        }
        conn.execute(sidecar, params!["other.meta.toml", b"see https://example.com"]).unwrap();
        let remote =
            "INSERT INTO remote_file (mirror, path, list, url, asked_at) VALUES (1, 'a.png', '_remote.toml', ?1, 0)";
        conn.execute(remote, ["https://example.com/a?sig=hush"]).unwrap();
        drop(conn);
        let holds = |text: &[u8]| std::fs::read(&path).unwrap().windows(text.len()).any(|part| part == text);
        assert!(holds(b"hush"));
        let mut conn = Connection::open(&path).unwrap();
        migrate(&mut conn).unwrap();
        let digest: String = conn.query_row("SELECT url_digest FROM remote_file", [], |row| row.get(0)).unwrap();
        assert_eq!(digest, url_digest("https://example.com/a?sig=hush"), "so nothing is fetched again");
        drop(conn);
        assert!(!holds(b"hush") && holds(b"see https://example.com"));
    }

    #[test]
    fn an_index_of_a_newer_version_is_refused() {
        let mut conn = Connection::open_in_memory().unwrap();
        conn.pragma_update(None, "user_version", 1_000).unwrap();
        assert!(migrate(&mut conn).is_err());
    }
}
