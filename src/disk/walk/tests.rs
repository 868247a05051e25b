//! The walk, over real folders.

use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::sync::Mutex;

use rustix::fs::{CWD, FileType, Mode, OFlags, mkdirat, mknodat, openat};
use tempfile::TempDir;

use super::*;

fn tree(files: &[&str]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for file in files {
        let path = dir.path().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, file).unwrap();
    }
    dir
}

fn everything() -> Selection {
    Selection::new(&[], &[]).unwrap()
}

/// One line for each find, sorted; and the tally.
fn lines(root: &Path, under: Option<&str>, selection: &Selection, threads: usize) -> (Vec<String>, Walked) {
    let found = Mutex::new(Vec::new());
    let under = under.map(|key| RelPath::from_key(key).unwrap());
    let walked = walk(root, under.as_ref(), selection, threads, &|batch| {
        assert!(batch.len() <= BATCH);
        found.lock().unwrap().extend(batch);
        ControlFlow::Continue(())
    })
    .unwrap();
    let mut lines: Vec<String> = found
        .into_inner()
        .unwrap()
        .into_iter()
        .map(|found| match found {
            Found::File { path, print } => {
                let size = fs::metadata(path.below(root)).unwrap().len();
                assert_eq!(print.size, size);
                path.key().to_owned()
            }
            Found::Sidecar { path, kind, .. } => format!("{path} {kind:?}"),
            Found::Skipped { path, why } => format!("{path} {why:?}"),
            Found::Unreadable { path, .. } => format!("{path} unreadable"),
        })
        .collect();
    lines.sort();
    (lines, walked)
}

#[test]
fn selected_files_sidecars_and_nothing_else_are_found() {
    let dir = tree(&[
        "a.png",
        "logos/b.PNG",
        "logos/deep/c.png",
        "x.txt",
        "drafts/d.png",
        ".git/e.png",
        "logos/.DS_Store",
        "~$f.png",
        "a.png.meta.toml",
        "_folder.meta.toml",
        "logos/b.xmp",
    ]);
    let selection = Selection::new(&["*.png".into()], &["drafts/**".into()]).unwrap();
    let (lines, walked) = lines(dir.path(), None, &selection, 2);
    assert_eq!(
        lines,
        [
            "_folder.meta.toml Folder",
            "a.png",
            "a.png.meta.toml File",
            "logos/b.PNG",
            "logos/b.xmp Xmp",
            "logos/deep/c.png"
        ]
    );
    assert_eq!((walked.files, walked.sidecars, walked.skipped, walked.complete), (3, 3, 0, true));
}

#[test]
fn many_files_are_each_found_once_by_any_number_of_threads() {
    let dir = tempfile::tempdir().unwrap();
    for n in 0..3000 {
        let folder = dir.path().join(if n < 2000 { "flat".to_owned() } else { format!("f{}", n % 37) });
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(format!("{n}.png")), "").unwrap();
    }
    for threads in [1, 2, 7, 0] {
        let (mut lines, walked) = lines(dir.path(), None, &everything(), threads);
        lines.dedup();
        assert_eq!((lines.len(), walked.files, walked.complete), (3000, 3000, true), "{threads} threads");
    }
}

#[test]
fn links_are_followed_inside_the_root_and_never_in_a_loop() {
    let outside = tree(&["secret.png"]);
    let dir = tree(&["real/a.png", "real/sub/b.png", "x.png"]);
    let link = |target: &str, at: &str| symlink(target, dir.path().join(at)).unwrap();
    link("x.png", "same.png");
    link("real", "alias");
    link("..", "real/sub/up");
    link(".", "self");
    link("loop-b", "loop-a");
    link("loop-a", "loop-b");
    link("nowhere", "broken.png");
    link(outside.path().to_str().unwrap(), "out");
    link("/etc/hostname", "out.txt");
    link("nowhere", ".hidden");
    let (lines, walked) = lines(dir.path(), None, &everything(), 2);
    assert_eq!(
        lines,
        [
            "alias/a.png",
            "alias/sub/b.png",
            "alias/sub/up LinkLoop",
            "broken.png LinkBroken",
            "loop-a LinkLoop",
            "loop-b LinkLoop",
            "out LinkOutside",
            "out.txt LinkOutside",
            "real/a.png",
            "real/sub/b.png",
            "real/sub/up LinkLoop",
            "same.png",
            "self LinkLoop",
            "x.png",
        ]
    );
    assert!(walked.complete, "a link that is not followed is no gap");
}

#[test]
fn two_folders_that_link_to_each_other_end() {
    let dir = tree(&["a/1.png", "b/2.png"]);
    symlink("../b", dir.path().join("a/to-b")).unwrap();
    symlink("../a", dir.path().join("b/to-a")).unwrap();
    let (lines, _) = lines(dir.path(), None, &everything(), 2);
    assert_eq!(
        lines,
        ["a/1.png", "a/to-b/2.png", "a/to-b/to-a LinkLoop", "b/2.png", "b/to-a/1.png", "b/to-a/to-b LinkLoop"]
    );
}

#[test]
fn links_among_siblings_do_not_multiply_without_end() {
    let dir = tempfile::tempdir().unwrap();
    for n in 0..20 {
        fs::create_dir(dir.path().join(format!("d{n:02}"))).unwrap();
        symlink(format!("../d{:02}", n + 1), dir.path().join(format!("d{n:02}/x"))).unwrap();
    }
    let (lines, _) = lines(dir.path(), None, &everything(), 1);
    assert!(lines.iter().any(|line| line.ends_with("LinkTooDeep")), "{lines:?}");
}

#[test]
fn what_is_no_file_is_skipped_with_its_reason() {
    let dir = tree(&["a.png"]);
    mknodat(CWD, dir.path().join("pipe"), FileType::Fifo, Mode::RUSR, 0).unwrap();
    let _socket = UnixListener::bind(dir.path().join("socket")).unwrap();
    symlink("pipe", dir.path().join("to-pipe")).unwrap();
    let (lines, walked) = lines(dir.path(), None, &everything(), 1);
    assert_eq!(lines, ["a.png", "pipe Fifo", "socket Socket", "to-pipe Fifo"]);
    assert_eq!((walked.skipped, walked.complete), (3, true));
}

/// A folder whose path is longer than the system takes: a listing that fails even for root.
fn unlistable(root: &Path) -> String {
    let name = "d".repeat(250);
    let mut at = openat(CWD, root, OFlags::DIRECTORY, Mode::empty()).unwrap();
    for _ in 0..17 {
        mkdirat(&at, &name, Mode::RWXU).unwrap();
        at = openat(&at, &name, OFlags::DIRECTORY, Mode::empty()).unwrap();
    }
    openat(&at, "lost.png", OFlags::CREATE | OFlags::WRONLY, Mode::RUSR).unwrap();
    name
}

#[test]
fn a_folder_that_cannot_be_listed_is_told_and_the_walk_goes_on() {
    let dir = tree(&["a.png"]);
    let name = unlistable(dir.path());
    let (lines, walked) = lines(dir.path(), None, &everything(), 2);
    assert_eq!(lines.len(), 2);
    assert_eq!(lines.iter().filter(|line| line.ends_with(" unreadable")).count(), 1, "{lines:?}");
    assert!(!walked.complete);
    assert_eq!((walked.unreadable, walked.files), (1, 1));
    assert!(walked.unreadable_dirs[0].key().starts_with(&name));
}

#[test]
fn a_folder_without_permission_is_told_and_the_walk_goes_on() {
    use std::os::unix::fs::PermissionsExt as _;
    if rustix::process::geteuid().is_root() {
        return; // Root may list everything; the test above stands in.
    }
    let dir = tree(&["a.png", "closed/b.png"]);
    fs::set_permissions(dir.path().join("closed"), fs::Permissions::from_mode(0o000)).unwrap();
    let (lines, walked) = lines(dir.path(), None, &everything(), 2);
    fs::set_permissions(dir.path().join("closed"), fs::Permissions::from_mode(0o700)).unwrap();
    assert_eq!(lines, ["a.png", "closed unreadable"]);
    assert!(!walked.complete);
}

#[test]
fn two_spellings_of_one_name_are_one_file_and_it_is_said_so() {
    let dir = tree(&["caf\u{e9}.png", "cafe\u{301}.png", "e\u{301}/x.png", "\u{e9}/y.png", "na\u{ef}ve.png"]);
    let (lines, walked) = lines(dir.path(), None, &everything(), 1);
    assert_eq!(
        lines,
        ["caf\u{e9}.png", "caf\u{e9}.png SameName", "na\u{ef}ve.png", "\u{e9} SameFolder", "\u{e9}/y.png"]
    );
    assert!(!walked.complete, "what is known to be in the folder may be in the other one");
    for path in ["cafe\u{301}.png", "e\u{301}/x.png", "e\u{301}"] {
        let at = glance(dir.path(), &RelPath::from_key(path).unwrap(), &everything()).unwrap();
        let why = if path.starts_with('c') { SkipReason::SameName } else { SkipReason::SameFolder };
        assert!(matches!(&at, AtPath::Found(Found::Skipped { why: told, .. }) if *told == why), "{path}: {at:?}");
    }
}

#[test]
fn a_walk_can_begin_anywhere_below_the_root() {
    let dir = tree(&["a/b/c.png", "a/b/d/e.png", "a/f.png", ".h/g.png", "drafts/z.png"]);
    symlink("../../a", dir.path().join("a/b/loop")).unwrap();
    symlink("a", dir.path().join("alias")).unwrap();
    symlink("/etc", dir.path().join("etc")).unwrap();
    let selection = Selection::new(&[], &["drafts".into()]).unwrap();
    let cases: &[(&str, &[&str])] = &[
        ("a/b", &["a/b/c.png", "a/b/d/e.png", "a/b/loop LinkLoop"]),
        ("a/b/c.png", &["a/b/c.png"]),
        ("alias/b", &["alias/b/c.png", "alias/b/d/e.png", "alias/b/loop LinkLoop"]),
        ("gone/b", &[]),
        ("a/f.png/x", &[]),
        (".h", &[]),
        (".h/g.png", &[]),
        ("drafts/z.png", &[]),
        ("etc/hostname", &[]),
        ("etc", &["etc LinkOutside"]),
    ];
    for (under, expected) in cases {
        let (lines, walked) = lines(dir.path(), Some(under), &selection, 2);
        assert_eq!(lines, *expected, "{under}");
        assert!(walked.complete, "{under}");
    }
}

#[test]
fn the_sink_can_end_the_walk() {
    let dir = tree(&["a/1.png", "b/2.png", "c/3.png"]);
    let walked = walk(dir.path(), None, &everything(), 2, &|_| ControlFlow::Break(())).unwrap();
    assert!(!walked.complete);
}

#[test]
fn a_root_that_cannot_be_listed_is_an_error_not_an_empty_tree() {
    let dir = tree(&["file"]);
    for name in ["missing", "file"] {
        let error = walk(&dir.path().join(name), None, &everything(), 1, &|_| ControlFlow::Continue(())).unwrap_err();
        assert!(error.to_string().contains(name));
    }
}

#[test]
fn a_glance_sees_what_the_walk_would() {
    let outside = tree(&["secret.png"]);
    let dir = tree(&["a/b.png", "a/c.txt", "a/b.png.meta.toml"]);
    symlink("a", dir.path().join("alias")).unwrap();
    symlink(outside.path().join("secret.png"), dir.path().join("a/out.png")).unwrap();
    symlink(outside.path(), dir.path().join("out")).unwrap();
    let selection = Selection::new(&["*.png".into()], &[]).unwrap();
    let cases = [
        ("a/b.png", "file"),
        ("alias/b.png", "file"),
        ("a/b.png.meta.toml", "sidecar"),
        ("a/out.png", "skipped"),
        ("out/secret.png", "nothing"),
        ("a/c.txt", "nothing"),
        ("a/gone.png", "nothing"),
        ("a/b.png/c.png", "nothing"),
        ("a", "folder"),
        ("alias", "folder"),
    ];
    for (key, expected) in cases {
        let seen = match glance(dir.path(), &RelPath::from_key(key).unwrap(), &selection).unwrap() {
            AtPath::Found(Found::File { .. }) => "file",
            AtPath::Found(Found::Sidecar { .. }) => "sidecar",
            AtPath::Found(Found::Skipped { .. }) => "skipped",
            AtPath::Found(Found::Unreadable { .. }) => "unreadable",
            AtPath::Folder => "folder",
            AtPath::Nothing => "nothing",
        };
        assert_eq!(seen, expected, "{key}");
    }
    assert!(glance(&dir.path().join("missing"), &RelPath::from_key("a").unwrap(), &selection).is_err());
}
