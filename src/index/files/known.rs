//! The fingerprints of a mirror's files in memory, to compare a walk with.
//!
//! Owns: what counts as unchanged, and which rows a walk did not meet. Writes nothing and reads no disk.

use std::hash::{DefaultHasher, Hash, Hasher as _};
use std::sync::atomic::{AtomicU64, Ordering};

use rusqlite::{Connection, params};

use crate::disk::{Fingerprint, Inodes};
use crate::model::RelPath;

/// How a walked file compares with the index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// As it was when last read.
    Unchanged,
    /// New, or to be read again.
    Read,
}

/// The part of a fingerprint's hash that is the inode's; the rest is all else's. In one number, so that an inode costs no
/// memory where it does not count. A replaced file of the same size and times slips through once in 65,536; any other change
/// once in 2^48.
const OF_INODE: u64 = 0xffff;

/// Entries that share a bucket, about.
const IN_A_BUCKET: usize = 4;

/// The fingerprints of a mirror's files, about 26 bytes a file, for comparing a walk without a query a file.
#[derive(Debug)]
pub struct KnownFiles {
    /// Sorted (hash of the path, hash of the fingerprint, row id).
    entries: Vec<(u64, u64, i64)>,
    buckets: Buckets,
    seen: Vec<AtomicU64>,
}

/// Where among sorted hashes those with the same leading bits begin: hashes are spread evenly, so a search looks at a few
/// neighbours and not all over the memory.
#[derive(Debug)]
struct Buckets {
    begins: Vec<usize>,
    /// What is left of a hash when it is moved right by this is its bucket.
    shift: u32,
}

impl Buckets {
    fn of(entries: &[(u64, u64, i64)]) -> Self {
        let count = (entries.len() / IN_A_BUCKET).next_power_of_two().max(2);
        let shift = u64::BITS - count.trailing_zeros();
        let mut begins = Vec::with_capacity(count + 1);
        for (place, entry) in entries.iter().enumerate() {
            let bucket = (entry.0 >> shift) as usize;
            begins.resize(begins.len().max(bucket + 1), place);
        }
        begins.resize(count + 1, entries.len());
        Self { begins, shift }
    }

    /// The places of all entries that may have this hash.
    fn places(&self, hash: u64) -> std::ops::Range<usize> {
        let bucket = (hash >> self.shift) as usize;
        self.begins[bucket]..self.begins[bucket + 1]
    }
}

impl KnownFiles {
    /// Reads the mirror's present rows, or those of the files and folders `under`.
    ///
    /// # Errors
    /// SQLite's.
    pub fn load(conn: &Connection, mirror: i64, under: Option<&[String]>) -> rusqlite::Result<Self> {
        const COLUMNS: &str = "SELECT path, size, mtime_ns, ctime_ns, inode, dev, read_at_ns, id, raw FROM file";
        let mut entries = Vec::new();
        match under {
            None => {
                // The plus has SQLite read the table as it lies: by the index of paths it would jump about in it.
                let sql = format!("{COLUMNS} WHERE +mirror = ?1 AND present = 1 AND cached = 0");
                Self::read(conn.prepare_cached(&sql)?.query([mirror])?, &mut entries)?;
            }
            Some(places) => {
                // Two queries and no OR, so that each goes by the index of paths.
                let file = format!("{COLUMNS} WHERE mirror = ?1 AND present = 1 AND cached = 0 AND path = ?2");
                let folder = format!(
                    "{COLUMNS} WHERE mirror = ?1 AND present = 1 AND cached = 0 AND path > ?2 || '/' AND path < ?2 || '0'"
                );
                let (mut file, mut folder) = (conn.prepare_cached(&file)?, conn.prepare_cached(&folder)?);
                for place in places {
                    Self::read(file.query(params![mirror, place])?, &mut entries)?;
                    Self::read(folder.query(params![mirror, place])?, &mut entries)?;
                }
            }
        }
        entries.sort_unstable();
        entries.dedup();
        let seen = (0..entries.len().div_ceil(64)).map(|_| AtomicU64::new(0)).collect();
        Ok(Self { buckets: Buckets::of(&entries), entries, seen })
    }

    fn read(mut found: rusqlite::Rows<'_>, entries: &mut Vec<(u64, u64, i64)>) -> rusqlite::Result<()> {
        while let Some(row) = found.next()? {
            let path = hash_of(&row.get_ref(0)?.as_str()?);
            let print = match row.get::<_, Option<i64>>(1)? {
                Some(size) => {
                    let print = Fingerprint {
                        size: size.cast_unsigned(),
                        mtime_ns: row.get(2)?,
                        ctime_ns: row.get(3)?,
                        inode: row.get::<_, i64>(4)?.cast_unsigned(),
                        dev: row.get::<_, i64>(5)?.cast_unsigned(),
                    };
                    if print.racy(row.get(6)?) { 0 } else { print_hash(&print, row.get_ref(8)?.as_blob_or_null()?) }
                }
                None => 0,
            };
            entries.push((path, print, row.get(7)?));
        }
        Ok(())
    }

    /// Compares one walked file; safe from several threads. By `inodes` a file may have another inode and be the same.
    pub fn see(&self, path: &RelPath, print: &Fingerprint, inodes: &Inodes) -> Seen {
        let key = hash_of(&path.key());
        let Some(start) = self.buckets.places(key).find(|place| self.entries[*place].0 == key) else {
            return Seen::Read;
        };
        let entry = &self.entries[start];
        self.seen[start / 64].fetch_or(1 << (start % 64), Ordering::Relaxed);
        let counts = if inodes.are_kept(print.dev) { u64::MAX } else { !OF_INODE };
        let differs = (entry.1 ^ print_hash(print, path.raw_bytes())) & counts;
        if differs == 0 { Seen::Unchanged } else { Seen::Read }
    }

    /// Rows not seen in the walk.
    pub fn unseen(&self) -> impl Iterator<Item = i64> + '_ {
        self.entries
            .iter()
            .enumerate()
            .filter(|(place, _)| self.seen[place / 64].load(Ordering::Relaxed) & (1 << (place % 64)) == 0)
            .map(|(_, entry)| entry.2)
    }
}

/// Without the device: a share gets another number each time it is mounted. With the bytes of the name where they differ from
/// the key: a folder whose accents are spelt anew keeps its keys, and only the new spelling can be opened.
fn print_hash(print: &Fingerprint, spelling: Option<&[u8]>) -> u64 {
    let state = hash_of(&(Fingerprint { dev: 0, inode: 0, ..*print }, spelling));
    (state & !OF_INODE) | (hash_of(&print.inode) & OF_INODE)
}

fn hash_of(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::files::samples::{file, index, print};
    use crate::index::files::{by_path, found, vanished};

    #[test]
    fn a_walk_is_compared_without_queries() {
        let (conn, mirror) = index();
        found(&conn, mirror, &[file("a", "1"), file("b", "2"), file("c", "3")]).unwrap();
        let known = KnownFiles::load(&conn, mirror, None).unwrap();
        let kept = Inodes::default();
        let path = |key: &str| RelPath::from_key(key).unwrap();
        assert_eq!(known.see(&path("a"), &print(1), &kept), Seen::Unchanged);
        assert_eq!(known.see(&path("b"), &print(9), &kept), Seen::Read);
        assert_eq!(known.see(&path("new"), &print(1), &kept), Seen::Read);
        let unseen: Vec<i64> = known.unseen().collect();
        assert_eq!(unseen, [by_path(&conn, mirror, "c").unwrap().unwrap().id]);
        vanished(&conn, &unseen).unwrap();
        assert!(!by_path(&conn, mirror, "c").unwrap().unwrap().present);
    }

    #[test]
    fn a_name_whose_accents_are_spelt_anew_is_read_again() {
        let (conn, mirror) = index();
        let spelt = |name: &str| RelPath::new(std::path::Path::new(name)).unwrap();
        let (apart, whole) = (spelt("u\u{308}/a"), spelt("\u{fc}/a"));
        assert_eq!(apart.key(), whole.key());
        found(&conn, mirror, &[crate::index::FoundFile { path: apart.clone(), ..file("a", "1") }]).unwrap();
        let known = KnownFiles::load(&conn, mirror, None).unwrap();
        let kept = Inodes::default();
        let print = file("a", "1").print;
        assert_eq!(known.see(&apart, &print, &kept), Seen::Unchanged);
        assert_eq!(known.see(&whole, &print, &kept), Seen::Read);
        assert_eq!(known.unseen().count(), 0, "it is the same file");
    }

    #[test]
    fn another_inode_is_read_again_only_where_numbers_are_kept_and_all_else_everywhere() {
        let (conn, mirror) = index();
        found(&conn, mirror, &[file("a", "1")]).unwrap();
        let known = KnownFiles::load(&conn, mirror, None).unwrap();
        let before = file("a", "1").print;
        let (kept, made_up) = (Inodes::default(), Inodes::made_up_on(&[before.dev]));
        for inode in 1_000..2_000 {
            let other = Fingerprint { inode, ..before };
            assert_eq!(known.see(&RelPath::from_key("a").unwrap(), &other, &made_up), Seen::Unchanged);
        }
        let other = Fingerprint { inode: 8, ..before };
        for (print, where_kept, where_made_up) in [
            (before, Seen::Unchanged, Seen::Unchanged),
            (other, Seen::Read, Seen::Unchanged),
            (Fingerprint { size: before.size + 1, ..other }, Seen::Read, Seen::Read),
            (Fingerprint { mtime_ns: before.mtime_ns + 1, ..other }, Seen::Read, Seen::Read),
            (Fingerprint { ctime_ns: before.ctime_ns + 1, ..other }, Seen::Read, Seen::Read),
        ] {
            let path = RelPath::from_key("a").unwrap();
            let seen = (known.see(&path, &print, &kept), known.see(&path, &print, &made_up));
            assert_eq!(seen, (where_kept, where_made_up), "{print:?}");
        }
    }

    #[test]
    fn every_hash_is_in_its_bucket_and_none_is_missed() {
        for count in [0, 1, 2, 3, 4, 7, 8, 9, 1000, 4097] {
            let mut entries: Vec<_> = (0..count).map(|number| (hash_of(&number), 0, number)).collect();
            entries.extend([(0, 0, -1), (u64::MAX, 0, -2)].iter().filter(|_| count % 2 == 1));
            entries.sort_unstable();
            let buckets = Buckets::of(&entries);
            for (place, entry) in entries.iter().enumerate() {
                let places = buckets.places(entry.0);
                assert!(places.contains(&place), "{count}: {place} not in {places:?}");
                assert!(places.len() < 64, "{count}: {places:?}");
            }
            for absent in [0, 1, u64::MAX / 2, u64::MAX] {
                assert!(buckets.places(absent).end <= entries.len(), "{count}: {absent}");
            }
        }
    }

    #[test]
    fn a_file_read_as_it_was_written_is_read_again() {
        let (conn, mirror) = index();
        let mut racy = file("a", "1");
        racy.read_at_ns = racy.print.mtime_ns;
        found(&conn, mirror, &[racy]).unwrap();
        let known = KnownFiles::load(&conn, mirror, None).unwrap();
        let kept = Inodes::default();
        assert_eq!(known.see(&RelPath::from_key("a").unwrap(), &print(1), &kept), Seen::Read);
    }
}
