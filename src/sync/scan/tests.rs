//! Scans of real folders, with the clock of the file system given.

use std::collections::HashMap;
use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tempfile::TempDir;

use super::*;
use crate::disk::read_as;
use crate::disk::{FileClock, Inodes};
use crate::index::settings;

const SETTLE: Duration = Duration::from_millis(300);

struct Place {
    dir: TempDir,
    index: Index,
    mirror: i64,
}

impl Place {
    /// With so many files, whose mtimes lie far back.
    fn with(files: usize) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("root")).unwrap();
        let index = Index::open(&dir.path().join("index.sqlite")).unwrap().index;
        let mirror = index.call_blocking(|conn| Ok(settings::mirror(conn, "brand")?.id)).unwrap();
        let place = Self { dir, index, mirror };
        (0..files).for_each(|number| place.write(&format!("{number}.png"), &number.to_string()));
        place
    }

    fn write(&self, name: &str, content: &str) {
        let path = self.root().join(name);
        fs::write(&path, content).unwrap();
        File::options().write(true).open(path).unwrap().set_modified(UNIX_EPOCH + Duration::from_nanos(7)).unwrap();
    }

    fn root(&self) -> PathBuf {
        self.dir.path().join("root")
    }

    fn request(&self, clock: FileClock, restless: Unsettled) -> ScanRequest {
        ScanRequest {
            mirror: self.mirror,
            root: self.root(),
            selection: Arc::new(Selection::new(&[], &["*.skip".into()]).unwrap()),
            settle: SETTLE,
            clock,
            inodes: Inodes::default(),
            waited: Waited::default(),
            checksum: false,
            only: None,
            restless,
            embedded: None,
            progress: Arc::default(),
            live: None,
        }
    }

    fn scan(&self, request: &ScanRequest) -> Scanned {
        scan(&self.index, request, &Arc::new(AtomicBool::new(false))).unwrap()
    }

    fn print(&self, name: &str) -> Fingerprint {
        Fingerprint::from(&fs::metadata(self.root().join(name)).unwrap())
    }

    /// A clock that is ours, for which everything here was changed long ago.
    fn ours(&self) -> FileClock {
        FileClock::Ours { dev: self.print("0.png").dev }
    }
}

#[test]
fn where_the_clock_is_not_ours_every_new_file_is_looked_at_twice_and_all_of_them_together() {
    let place = Place::with(120);
    place.write("_folder.meta.toml", "title = \"x\"");
    let request = place.request(FileClock::Unknown, Unsettled::Wait);
    let first = place.scan(&request);
    assert_eq!((first.read, first.looked_again, first.sidecars_changed), (120, 121, 1), "{:?}", first.problems);
    assert!(first.unsettled.is_empty());
    let again = place.scan(&request);
    assert_eq!((again.read, again.looked_again, again.sidecars_changed), (0, 0, 0), "what was read is known");
    place.write("3.png", "changed");
    let changed = place.scan(&request);
    assert_eq!((changed.read, changed.looked_again), (1, 1));
}

#[test]
fn where_the_clock_is_ours_an_old_ctime_stands_for_the_first_look() {
    let place = Place::with(5);
    let request = place.request(place.ours(), Unsettled::Wait);
    thread::sleep(SETTLE + Duration::from_millis(50));
    let old = place.scan(&request);
    assert_eq!((old.read, old.looked_again), (5, 0));
    place.write("new.png", "new");
    File::open(place.root().join("new.png")).unwrap().set_modified(UNIX_EPOCH).unwrap();
    let new = place.scan(&request);
    assert_eq!((new.read, new.looked_again), (1, 1), "an mtime that was set proves nothing");
}

#[test]
fn where_inode_numbers_are_made_up_new_ones_have_nothing_read_again_and_nothing_missed() {
    let place = Place::with(20);
    place.write("3.png.meta.toml", "title = \"x\"");
    let dev = place.print("0.png").dev;
    let made_up =
        ScanRequest { inodes: Inodes::made_up_on(&[dev]), ..place.request(FileClock::Unknown, Unsettled::Wait) };
    let kept = place.request(FileClock::Unknown, Unsettled::Wait);
    let first = place.scan(&made_up);
    assert_eq!((first.read, first.sidecars_changed), (20, 1), "{:?}", first.problems);
    // As dropped caches do, or a new mount: all files have other numbers than the index knows.
    let renumber = || {
        let all = "UPDATE file SET inode = inode + 100000; UPDATE sidecar SET inode = inode + 100000";
        place.index.call_blocking(move |conn| conn.execute_batch(all)).unwrap();
    };
    renumber();
    let again = place.scan(&made_up);
    assert_eq!((again.read, again.looked_again, again.bytes_read), (0, 0, 0), "nothing is read and nothing waited for");
    assert_eq!((again.files, again.vanished, again.sidecars_changed), (20, 0, 0));
    renumber();
    // What changed is seen, under whatever number.
    place.write("4.png", "a longer content");
    File::open(place.root().join("5.png")).unwrap().set_modified(UNIX_EPOCH + Duration::from_secs(9)).unwrap();
    fs::remove_file(place.root().join("6.png")).unwrap();
    place.write("new.png", "new");
    place.write("3.png.meta.toml", "title = \"another\"");
    let changed = place.scan(&made_up);
    assert_eq!((changed.read, changed.vanished, changed.sidecars_changed), (3, 1, 1));
    // Where numbers are kept, another one is another file.
    renumber();
    assert_eq!(place.scan(&kept).read, 20);
}

#[test]
fn a_list_in_the_folder_is_found_under_its_new_number() {
    let place = Place::with(1);
    place.write("_remote.toml", "[[file]]\nurl = \"https://example.com/a.png\"\n");
    let made_up = ScanRequest {
        inodes: Inodes::made_up_on(&[place.print("0.png").dev]),
        ..place.request(FileClock::Unknown, Unsettled::Wait)
    };
    place.scan(&made_up);
    place.index.call_blocking(|conn| conn.execute_batch("UPDATE sidecar SET inode = inode + 5")).unwrap();
    place.scan(&made_up);
    let mirror = place.mirror;
    let lists = place.index.call_blocking(move |conn| crate::index::sidecars::lists(conn, mirror)).unwrap();
    assert_eq!(lists[0].print.inode, place.print("_remote.toml").inode);
    let root = RootDir::open(&place.root()).unwrap();
    let path = RelPath::from_key("_remote.toml").unwrap();
    assert!(read_as(&root, &path, &lists[0].print).unwrap().is_some(), "its URLs can be read");
}

#[test]
fn a_file_dated_in_the_future_is_read_once() {
    let place = Place::with(2);
    let tomorrow = SystemTime::now() + Duration::from_secs(86_400);
    File::open(place.root().join("1.png")).unwrap().set_modified(tomorrow).unwrap();
    let request = place.request(place.ours(), Unsettled::Wait);
    assert_eq!(place.scan(&request).read, 2);
    assert_eq!(place.scan(&request).read, 0);
    fs::write(place.root().join("1.png"), "2").unwrap();
    File::open(place.root().join("1.png")).unwrap().set_modified(tomorrow).unwrap();
    assert_eq!(place.scan(&request).read, 1, "the same size and date, but another content");
}

#[test]
fn a_checksum_scan_finds_a_change_that_no_time_tells() {
    let place = Place::with(3);
    let request = place.request(place.ours(), Unsettled::Wait);
    place.scan(&request);
    // As on a disk that keeps no ctime: the index is told that it has seen the file as it is now.
    place.write("1.png", "9");
    let now = place.print("1.png");
    let sql = "UPDATE file SET ctime_ns = ?1, read_at_ns = ?1 + 3000000000 WHERE path = '1.png'";
    place.index.call_blocking(move |conn| conn.execute(sql, [now.ctime_ns])).unwrap();
    assert_eq!(place.scan(&request).read, 0);
    let md5 = |place: &Place| {
        let row = place.index.call_blocking(|conn| files::by_path(conn, 1, "1.png")).unwrap();
        row.and_then(|row| row.md5)
    };
    assert_eq!(md5(&place), Some(crate::model::Md5::of(b"1")));
    assert_eq!(place.scan(&ScanRequest { checksum: true, ..request }).read, 3);
    assert_eq!(md5(&place), Some(crate::model::Md5::of(b"9")));
}

#[test]
fn without_settling_files_are_read_at_once() {
    let place = Place::with(5);
    let request = ScanRequest { settle: Duration::ZERO, ..place.request(FileClock::Unknown, Unsettled::Wait) };
    let scanned = place.scan(&request);
    assert_eq!((scanned.read, scanned.looked_again), (5, 0));
}

#[test]
fn a_few_files_are_left_to_the_caller_and_read_when_it_says_that_they_settled_as_they_are() {
    let place = Place::with(3);
    symlink("0.png", place.root().join("link.png")).unwrap();
    place.write("0.png.meta.toml", "title = \"x\"");
    let request = place.request(FileClock::Unknown, Unsettled::Leave);
    let left = place.scan(&request);
    assert_eq!((left.read, left.looked_again, left.unsettled.len()), (0, 0, 5));
    assert!(left.unsettled.iter().all(|look| look.at.is_some()));
    let settled: HashMap<_, _> = left.unsettled.iter().map(|look| (look.print, SETTLE)).collect();
    // Written to after it had settled: a part of it must not be read.
    place.write("1.png", "longer than before");
    let read = place.scan(&ScanRequest { waited: rested(settled), ..request });
    assert_eq!((read.read, read.sidecars_changed), (3, 1), "the link is the same file");
    assert_eq!(read.unsettled.iter().map(|look| look.path.key()).collect::<Vec<_>>(), ["1.png"]);
    assert_eq!(read.unsettled[0].print, place.print("1.png"));
}

#[test]
fn very_many_files_are_not_left_to_the_caller() {
    let place = Place::with(1100);
    let scanned = place.scan(&place.request(FileClock::Unknown, Unsettled::Leave));
    assert_eq!((scanned.read, scanned.looked_again, scanned.unsettled.len()), (1100, 1100, 0));
}

#[test]
fn a_file_made_anew_after_the_walk_is_back_whatever_its_times_and_an_excluded_one_is_not() {
    let place = Place::with(1);
    fs::create_dir(place.root().join("folder")).unwrap();
    place.write("folder/a.png", "x");
    place.write("b.skip", "x");
    let request = place.request(FileClock::Unknown, Unsettled::Wait);
    let back = |key: &str| is_back(&request.root, &RelPath::from_key(key).unwrap(), &request.selection);
    assert_eq!(back("0.png"), Some((Kind::File, place.print("0.png"))));
    assert_eq!(back("folder/a.png").map(|(_, print)| print.mtime_ns), Some(7));
    assert_eq!(back("b.skip"), None);
    assert_eq!(back("gone.png"), None);
    assert_eq!(back("folder"), None);
    assert_eq!(back("gone/a.png"), None);
}

#[test]
fn a_metadata_file_is_read_only_as_it_was_looked_at() {
    let place = Place::with(1);
    place.write("x.toml", "title = \"x\"");
    let (root, path) = (RootDir::open(&place.root()).unwrap(), RelPath::from_key("x.toml").unwrap());
    let read = |print: &Fingerprint| read_as(&root, &path, print).unwrap();
    let print = place.print("x.toml");
    assert_eq!(read(&print).as_deref(), Some(&b"title = \"x\""[..]));
    place.write("x.toml", "title = \"half");
    assert_eq!(read(&print), None);
}

#[test]
fn a_file_that_moved_is_not_gone_before_its_new_name_is_settled() {
    let place = Place::with(3);
    place.scan(&place.request(FileClock::Unknown, Unsettled::Wait));
    fs::rename(place.root().join("1.png"), place.root().join("moved.png")).unwrap();
    let request = place.request(FileClock::Unknown, Unsettled::Leave);
    for _ in 0..3 {
        let seen = place.scan(&request);
        assert_eq!((seen.vanished, seen.read, seen.unsettled.len()), (0, 0, 1));
        assert_eq!(held(&seen), ["1.png"]);
    }
    let settled = [(place.print("moved.png"), SETTLE)];
    let after = place.scan(&ScanRequest { waited: rested(settled), ..request.clone() });
    assert_eq!((after.vanished, after.read, after.held.len()), (1, 1, 0));
    // With nothing unsettled of its size a deleted file is gone at once.
    fs::remove_file(place.root().join("0.png")).unwrap();
    place.write("other.png", "of another size");
    assert_eq!(place.scan(&request).vanished, 1);
}

#[test]
fn what_is_not_there_is_left_to_a_caller_who_waits_unless_it_has_no_asset_or_has_moved() {
    let place = Place::with(3);
    let request = place.request(FileClock::Unknown, Unsettled::LeaveAbsent);
    place.scan(&place.request(FileClock::Unknown, Unsettled::Wait));
    let assets = "UPDATE file SET asset = 'of ' || path WHERE path <> '2.png'";
    place.index.call_blocking(|conn| conn.execute(assets, [])).unwrap();
    (0..3).for_each(|number| fs::remove_file(place.root().join(format!("{number}.png"))).unwrap());
    place.write("moved.png", "1");
    let waited = rested([(place.print("moved.png"), SETTLE)]);
    let request = ScanRequest { waited, ..request };
    let seen = place.scan(&request);
    assert_eq!((seen.vanished, seen.read, held(&seen)), (2, 1, vec!["0.png"]));
    assert_eq!(held(&place.scan(&request)), ["0.png"]);
    assert_eq!(
        place.scan(&ScanRequest { restless: Unsettled::Leave, ..request }).vanished,
        1,
        "it has been waited for"
    );
}

#[test]
fn what_was_seen_to_change_and_is_gone_by_now_is_still_to_be_waited_for() {
    let place = Place::with(1);
    fs::create_dir_all(place.root().join("folder/below")).unwrap();
    place.write("folder/a.png", "a");
    place.write("folder/below/b.png", "b");
    place.scan(&place.request(FileClock::Unknown, Unsettled::Wait));
    place.index.call_blocking(|conn| conn.execute("UPDATE file SET asset = 'of ' || path", [])).unwrap();
    let at = |key: &str| RelPath::from_key(key).unwrap();
    let look = |only: &[&str], away: &[&str]| {
        let waited = Waited { away: Arc::new(away.iter().map(|key| at(key)).collect()), ..Waited::default() };
        let only = Some(only.iter().map(|key| at(key)).collect());
        let seen =
            place.scan(&ScanRequest { only, waited, ..place.request(FileClock::Unknown, Unsettled::LeaveAbsent) });
        (seen.vanished, held(&seen).join(" "))
    };
    fs::remove_file(place.root().join("0.png")).unwrap();
    fs::remove_file(place.root().join("folder/a.png")).unwrap();
    assert_eq!(look(&["0.png"], &[]), (0, "0.png".into()), "it was there when last looked");
    assert_eq!(look(&["0.png"], &["folder"]), (0, "0.png".into()));
    // A folder that is back may be filled just now.
    assert_eq!(look(&["folder"], &["folder"]), (0, "folder/a.png".into()));
    assert_eq!(look(&["0.png", "folder/a.png"], &["0.png"]), (1, "folder/a.png".into()));
    fs::remove_dir_all(place.root().join("folder")).unwrap();
    assert_eq!(look(&["folder"], &["folder/below"]), (1, "folder/a.png".into()));
    assert_eq!(look(&["folder"], &["folder"]), (1, String::new()));
}

#[test]
fn what_is_not_there_while_an_asset_is_made_for_it_or_is_a_track_is_left_to_a_caller_who_waits() {
    let place = Place::with(3);
    let request = place.request(FileClock::Unknown, Unsettled::LeaveAbsent);
    place.scan(&place.request(FileClock::Unknown, Unsettled::Wait));
    let begun =
        "INSERT INTO intent (file, asset, kind, at_ms) SELECT id, 'new', 'create', 0 FROM file WHERE path = '0.png'";
    place.index.call_blocking(|conn| conn.execute(begun, [])).unwrap();
    let track = "UPDATE file SET base_md5 = md5 WHERE path = '1.png'";
    place.index.call_blocking(|conn| conn.execute(track, [])).unwrap();
    (0..3).for_each(|number| fs::remove_file(place.root().join(format!("{number}.png"))).unwrap());
    let seen = place.scan(&request);
    assert_eq!((seen.vanished, held(&seen)), (1, vec!["0.png", "1.png"]));
    // One that has an asset of its own, and the same content as what gets another, has nobody who takes its asset over.
    place.write("0.png", "same");
    place.write("2.png", "same");
    place.write("1.png", "1");
    place.scan(&place.request(FileClock::Unknown, Unsettled::Wait));
    place.index.call_blocking(|conn| conn.execute("UPDATE file SET asset = 'old' WHERE path = '2.png'", [])).unwrap();
    fs::remove_file(place.root().join("2.png")).unwrap();
    assert_eq!(held(&place.scan(&request)), ["2.png"]);
}

/// What a caller has seen settle.
fn rested(settled: impl IntoIterator<Item = (Fingerprint, Duration)>) -> Waited {
    Waited { settled: Arc::new(settled.into_iter().collect()), ..Waited::default() }
}

fn held(scanned: &Scanned) -> Vec<&str> {
    scanned.held.iter().map(RelPath::key).collect()
}

#[test]
fn very_many_files_that_moved_are_moves_in_one_scan() {
    let place = Place::with(1100);
    place.scan(&place.request(FileClock::Unknown, Unsettled::Leave));
    fs::create_dir(place.root().join("new")).unwrap();
    for number in 0..1100 {
        let name = format!("{number}.png");
        fs::rename(place.root().join(&name), place.root().join("new").join(&name)).unwrap();
    }
    let moved = place.scan(&place.request(FileClock::Unknown, Unsettled::Leave));
    assert_eq!((moved.read, moved.vanished, moved.held.len(), moved.unsettled.len()), (1100, 1100, 0, 0));
}
