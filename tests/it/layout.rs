//! What the compiler does not check about the source: no test is forgotten, and imports go downward only.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

fn here() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

#[test]
fn no_file_of_tests_is_forgotten() {
    let main = fs::read_to_string(here().join("tests/it/main.rs")).unwrap();
    for file in fs::read_dir(here().join("tests/it")).unwrap() {
        let path = file.unwrap().path();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        if name != "main" && name != "snapshots" {
            assert!(main.lines().any(|line| line == format!("mod {name};")), "tests/it/main.rs lacks `mod {name};`");
        }
    }
}

/// The lines of a file that are code of the product: what comes before its tests, without comments.
fn product(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap();
    text.lines()
        .take_while(|line| !line.starts_with("#[cfg(test)]"))
        .filter(|line| !line.trim_start().starts_with("//"))
        .map(str::to_owned)
        .collect()
}

/// The files of a room, `src/ROOM.rs` and below `src/ROOM/`; its tests are left out.
fn files_of(room: &str) -> Vec<PathBuf> {
    files_below(&here().join("src"), room)
}

fn files_below(below: &Path, room: &str) -> Vec<PathBuf> {
    let mut files = vec![below.join(format!("{room}.rs"))];
    let folder = below.join(room);
    if folder.is_dir() {
        files.extend(rust_files(&folder));
    }
    let is_test = |path: &PathBuf| {
        path.components().any(|part| ["tests", "tests.rs", "samples.rs"].iter().any(|name| part.as_os_str() == *name))
    };
    files.retain(|path| !is_test(&path.strip_prefix(below).unwrap().to_path_buf()));
    assert!(files[0].exists(), "the room {room} is gone; name the new one here");
    files
}

fn forbid(room: &str, what: &[&str], allowed: &[&str]) {
    forbid_in(&files_of(room), what, allowed);
}

fn forbid_in(files: &[PathBuf], what: &[&str], allowed: &[&str]) {
    for path in files {
        for line in product(path) {
            let bad = what.iter().find(|word| line.contains(*word));
            let fine = allowed.iter().any(|word| line.contains(word));
            assert!(bad.is_none() || fine, "{} must not use {}: {line}", path.display(), bad.unwrap());
        }
    }
}

/// What each part of `below` (a file or a folder of the same name) imports from its neighbours; `prefix` is how those are named.
fn imports_between(below: &Path, prefix: &str) -> BTreeMap<String, BTreeSet<String>> {
    let parts: BTreeSet<String> = fs::read_dir(below)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .map(|path| path.file_stem().unwrap().to_string_lossy().into_owned())
        .filter(|part| part != "lib" && part != "main")
        .collect();
    let mut imports = BTreeMap::new();
    for part in &parts {
        let code: String = files_below(below, part).iter().flat_map(|path| product(path)).collect();
        let named = code.split(prefix).skip(1).map(|rest| {
            assert!(!rest.starts_with('{'), "{part}: name each of `{prefix}{{…}}` in a line of its own");
            rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>()
        });
        imports.insert(part.clone(), named.filter(|other| other != part && parts.contains(other)).collect());
    }
    imports
}

/// A way from `from` back to itself, if there is one.
fn way_back<'g>(graph: &'g BTreeMap<String, BTreeSet<String>>, from: &'g str) -> Option<Vec<&'g str>> {
    let (mut ways, mut seen) = (vec![vec![from]], BTreeSet::new());
    while let Some(way) = ways.pop() {
        for next in &graph[way[way.len() - 1]] {
            let longer: Vec<&str> = way.iter().copied().chain([next.as_str()]).collect();
            if next == from {
                return Some(longer);
            }
            if seen.insert(next) {
                ways.push(longer);
            }
        }
    }
    None
}

#[test]
fn no_two_rooms_and_no_two_stages_import_each_other() {
    for (below, prefix, least) in [("src", "crate::", 14), ("src/sync", "crate::sync::", 25)] {
        let graph = imports_between(&here().join(below), prefix);
        assert!(graph.len() >= least, "{graph:?}");
        for part in graph.keys() {
            assert_eq!(way_back(&graph, part), None, "{below}: these import each other");
        }
    }
}

#[test]
fn imports_go_downward_only() {
    forbid("model", &["crate::"], &["crate::model"]);
    // Who tests against the sandbox must not be helped by it. That it knows nothing of the mirror, the compiler holds.
    for room in ["sync", "daemon", "features"] {
        forbid(room, &["sandbox::", "crate::cli"], &[]);
    }
    forbid("sync", &["crate::daemon"], &[]);
    // A feature can be read and changed without the stages.
    forbid("features", &["crate::sync", "crate::daemon"], &[]);
    for room in ["disk", "index", "metadata", "remote", "config"] {
        forbid(room, &["sandbox::", "crate::cli", "crate::sync", "crate::daemon", "crate::features"], &[]);
    }
    forbid("remote", &["crate::index", "crate::disk"], &[]);
    // What the client is, only `remote` and `model` name; all others take its nouns from there.
    for room in ["disk", "index", "metadata", "config", "sync", "daemon", "features", "cli"] {
        forbid(room, &["dato_media_api"], &["EnvFilter"]);
    }
    forbid("index", &["crate::remote"], &[]);
}

#[test]
fn what_is_pure_has_no_clock_no_log_and_no_runtime() {
    let impure = ["tokio", "tracing", "Instant::now", "SystemTime", "Timestamp::now", "std::fs", "std::thread"];
    for room in [
        "sync/plan",
        "daemon/backoff",
        "daemon/listing_schedule",
        "daemon/settle",
        "daemon/worker/schedule",
        "sync/row_state",
        "sync/pass/scheduler",
        "fetch/speed",
        "metadata/merge",
        "metadata/desired",
        "config/template",
    ] {
        forbid(room, &impure, &[]);
    }
    let client = here().join("crates/dato-media-api/src");
    for module in ["retry", "limit", "job", "visibility", "listing", "wire"] {
        forbid_in(&files_below(&client, module), &impure, &[]);
    }
}

/// The text in which every test is.
fn all_tests() -> String {
    let mut sources = rust_files(&here().join("src"));
    sources.extend(rust_files(&here().join("tests")));
    sources.extend(rust_files(&here().join("crates")));
    sources.iter().map(|path| fs::read_to_string(path).unwrap()).collect()
}

#[test]
fn every_line_about_the_service_has_tests_that_exist() {
    let page = fs::read_to_string(here().join("docs/service.md")).unwrap();
    let tests = all_tests();
    let rows: Vec<&str> = page.lines().filter(|line| line.starts_with("| ")).skip(1).collect();
    assert!(rows.len() > 15, "{rows:?}");
    for row in rows {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let &[fact, done, named] = cells.as_slice() else { panic!("not three cells: {row}") };
        assert!(!fact.is_empty() && !done.is_empty(), "{row}");
        let names: Vec<&str> = named.split('`').skip(1).step_by(2).collect();
        assert!(!names.is_empty(), "{fact}: no test");
        for name in names {
            assert!(tests.contains(&format!("fn {name}(")), "{fact}: there is no test {name}");
        }
    }
}

#[test]
fn every_promise_of_the_readme_has_tests_that_exist() {
    let readme = fs::read_to_string(here().join("README.md")).unwrap();
    let architecture = fs::read_to_string(here().join("ARCHITECTURE.md")).unwrap();
    let tests = all_tests();
    let promises: Vec<&str> = readme
        .lines()
        .filter_map(|line| line.split_once(". **").filter(|(number, _)| number.parse::<u8>().is_ok()))
        .filter_map(|(_, rest)| rest.split_once(".**").map(|(promise, _)| promise))
        .collect();
    assert_eq!(promises.len(), 8, "{promises:?}");
    for promise in promises {
        let row = architecture.lines().find_map(|line| line.strip_prefix(&format!("| {promise} |")));
        let row = row.unwrap_or_else(|| panic!("ARCHITECTURE.md names no test of {promise:?}"));
        let names: Vec<&str> = row.split('`').skip(1).step_by(2).collect();
        assert!(names.len() >= 2, "{promise}: {names:?}");
        for name in names {
            assert!(tests.contains(&format!("fn {name}(")), "{promise}: there is no test {name}");
        }
    }
}

#[test]
fn every_dependency_is_used() {
    let folders = [
        here(),
        here().join("crates/dato-media-api"),
        here().join("crates/dato-sandbox"),
        here().join("crates/embedded-metadata"),
    ];
    for folder in folders {
        let manifest = fs::read_to_string(folder.join("Cargo.toml")).unwrap();
        let manifest: toml::Table = manifest.parse().unwrap();
        let product = rust_text(&folder.join("src"));
        let tests = product.clone() + &rust_text(&folder.join("tests"));
        let target = manifest.get("target").and_then(|target| target.get("cfg(target_os = \"linux\")"));
        for (table, code) in [
            (manifest.get("dependencies"), &product),
            (target.and_then(|target| target.get("dependencies")), &product),
            (manifest.get("dev-dependencies"), &tests),
        ] {
            for name in table.and_then(toml::Value::as_table).into_iter().flat_map(toml::Table::keys) {
                // The one whose library has another name than its package.
                let name = if name == "md-5" { "md5".to_owned() } else { name.replace('-', "_") };
                let is_named = code.contains(&format!("{name}::")) || code.contains(&format!("use {name}"));
                assert!(is_named, "{}: nothing uses {name}", folder.display());
            }
        }
    }
}

fn rust_text(folder: &Path) -> String {
    let files = if folder.is_dir() { rust_files(folder) } else { Vec::new() };
    files.iter().map(|path| fs::read_to_string(path).unwrap()).collect()
}

#[test]
fn every_file_that_the_guides_name_is_there() {
    let mut files = rust_files(&here().join("src"));
    files.extend(rust_files(&here().join("tests")));
    files.extend(rust_files(&here().join("crates")));
    let files: Vec<String> = files.iter().map(|path| format!("/{}", path.display())).collect();
    for guide in ["ARCHITECTURE.md", "CONTRIBUTING.md"] {
        let text = fs::read_to_string(here().join(guide)).unwrap();
        let named: Vec<&str> = text
            .split(|c: char| !(c.is_alphanumeric() || "_-./".contains(c)))
            .filter(|word| word.ends_with(".rs") && word.len() > 3)
            .collect();
        assert!(named.len() > 10, "{guide}: {named:?}");
        for name in named {
            assert!(
                files.iter().any(|file| file.ends_with(&format!("/{name}"))),
                "{guide} names {name}, which is not there"
            );
        }
    }
}
