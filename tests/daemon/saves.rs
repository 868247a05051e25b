//! One save is one replacement; what comes in bulk comes through whole.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::thread;
use std::time::Duration;

use dato_mirror::sandbox::AssetView;

use crate::process::{Daemon, Files, configure, digest, index_in_memory, mirrored, wait_mirrored};
use crate::support::{TestEnv, bytes};

fn ms(ms: u64) {
    thread::sleep(Duration::from_millis(ms));
}

#[test]
fn a_file_written_in_20_pieces_over_6_seconds_is_one_asset_with_the_final_content() {
    let env = TestEnv::new();
    env.write("first.png", "x");
    env.config("[[mirror]]\nname = \"brand\"\nroot = \"brand\"\nsettle = \"5s\"");
    let daemon = Daemon::ready(&env);
    env.sandbox.clear_log();
    let content = bytes(1, 20 * 5000);
    let mut file = File::create(env.at("film.mp4")).unwrap();
    for piece in content.chunks(5000) {
        file.write_all(piece).unwrap();
        file.flush().unwrap();
        ms(300);
    }
    drop(file);
    wait_mirrored(&daemon, &env, &[("film.mp4".into(), digest(&content))]);
    daemon.wait_idle();
    ms(1500);
    assert_eq!(env.sandbox.count("POST /upload-requests"), 1);
    assert_eq!(env.sandbox.count("POST /uploads"), 1);
    assert_eq!(env.sandbox.count("PUT /uploads/:id"), 0);
    assert_eq!(env.assets().len(), 2);
}

/// One mirror of the folder that settles in this time, with these keys more.
fn settling(env: &TestEnv, settle: &str, more: &str) {
    env.config(&format!("[[mirror]]\nname = \"brand\"\nroot = \"brand\"\nsettle = \"{settle}\"\n{more}\n"));
}

/// A way to save `name` in a folder with this content.
type Save = fn(&Path, &str, &[u8]);

const SAVES: [(&str, Save); 12] = [
    ("photoshop.psd", |dir, name, new| {
        // A temporary file beside it, the old one deleted, the new one renamed.
        fs::write(dir.join("psB0A1.tmp"), new).unwrap();
        ms(50);
        fs::remove_file(dir.join(name)).unwrap();
        ms(300);
        fs::rename(dir.join("psB0A1.tmp"), dir.join(name)).unwrap();
    }),
    ("illustrator.ai", |dir, name, new| {
        let temporary = dir.join("~ai-3f2c-7d11_.tmp");
        fs::write(&temporary, new).unwrap();
        ms(100);
        fs::rename(&temporary, dir.join(name)).unwrap();
    }),
    ("affinity.afdesign", |dir, name, new| {
        let lock = dir.join(format!("{name}~lock~"));
        fs::write(&lock, "").unwrap();
        let mut file = File::options().write(true).open(dir.join(name)).unwrap();
        for piece in new.chunks(new.len().div_ceil(4)) {
            file.write_all(piece).unwrap();
            ms(60);
        }
        file.set_len(new.len() as u64).unwrap();
        drop(file);
        fs::remove_file(&lock).unwrap();
    }),
    ("sketch.sketch", |dir, name, new| {
        // AppKit's safe save: a folder beside it, an exchange of both.
        let temporary = dir.join(format!("{name}.sb-4f8c1a2b-Xq3z9T"));
        fs::create_dir(&temporary).unwrap();
        fs::write(temporary.join(name), new).unwrap();
        fs::rename(dir.join(name), temporary.join("old")).unwrap();
        fs::rename(temporary.join(name), dir.join(name)).unwrap();
        fs::remove_dir_all(&temporary).unwrap();
    }),
    ("office.docx", |dir, name, new| {
        let lock = dir.join(format!("~${name}"));
        fs::write(&lock, "owner").unwrap();
        fs::write(dir.join("D1A2B3C4.tmp"), new).unwrap();
        fs::rename(dir.join(name), dir.join("E5F60718.tmp")).unwrap();
        ms(150);
        fs::rename(dir.join("D1A2B3C4.tmp"), dir.join(name)).unwrap();
        fs::remove_file(dir.join("E5F60718.tmp")).unwrap();
        fs::remove_file(&lock).unwrap();
    }),
    ("vim.svg", |dir, name, new| {
        let swap = dir.join(format!(".{name}.swp"));
        fs::write(&swap, "swap").unwrap();
        fs::write(dir.join("4913"), "").unwrap();
        fs::remove_file(dir.join("4913")).unwrap();
        fs::rename(dir.join(name), dir.join(format!("{name}~"))).unwrap();
        ms(100);
        fs::write(dir.join(name), new).unwrap();
        fs::remove_file(dir.join(format!("{name}~"))).unwrap();
        fs::remove_file(&swap).unwrap();
    }),
    ("rsync.jpg", |dir, name, new| {
        let temporary = dir.join(format!(".{name}.Xa81Zq"));
        let mut file = File::create(&temporary).unwrap();
        for piece in new.chunks(new.len().div_ceil(5)) {
            file.write_all(piece).unwrap();
            ms(50);
        }
        drop(file);
        File::options().write(true).open(&temporary).unwrap().set_modified(std::time::SystemTime::now()).unwrap();
        fs::rename(&temporary, dir.join(name)).unwrap();
    }),
    ("rename.png", |dir, name, new| {
        fs::write(dir.join(format!("{name}.tmp")), new).unwrap();
        fs::rename(dir.join(format!("{name}.tmp")), dir.join(name)).unwrap();
    }),
    ("moved-in.png", |dir, name, new| {
        let outside = dir.parent().unwrap().join("outside.bin");
        fs::write(&outside, new).unwrap();
        fs::rename(&outside, dir.join(name)).unwrap();
    }),
    ("recreated.png", |dir, name, new| {
        fs::remove_file(dir.join(name)).unwrap();
        ms(1500);
        fs::write(dir.join(name), new).unwrap();
    }),
    ("truncated.png", |dir, name, new| {
        let mut file = File::create(dir.join(name)).unwrap();
        ms(150);
        file.write_all(new).unwrap();
    }),
    ("twice.png", |dir, name, new| {
        fs::write(dir.join(name), "half").unwrap();
        ms(100);
        fs::write(dir.join(name), new).unwrap();
    }),
];

#[test]
fn each_way_to_save_is_exactly_one_replacement_at_the_same_url() {
    let env = TestEnv::new();
    for (number, (name, _)) in SAVES.iter().enumerate() {
        env.write(name, bytes(number as u64, 3000));
    }
    // Far longer than any save pauses, also where the machine makes it pause.
    settling(&env, "3s", "on_delete = \"delete\"");
    let daemon = Daemon::ready(&env);
    let urls = |env: &TestEnv| -> BTreeMap<String, String> {
        env.assets().into_iter().map(|AssetView { id, url, .. }| (id, url)).collect()
    };
    let before = urls(&env);
    assert_eq!(before.len(), SAVES.len());
    env.sandbox.clear_log();
    let root = env.root();
    thread::scope(|scope| {
        for (number, (name, save)) in SAVES.iter().enumerate() {
            let root = &root;
            scope.spawn(move || save(root, name, &bytes(1000 + number as u64, 4000)));
        }
    });
    let wanted: Files = SAVES
        .iter()
        .enumerate()
        .map(|(number, (name, _))| ((*name).to_owned(), digest(bytes(1000 + number as u64, 4000))))
        .collect();
    wait_mirrored(&daemon, &env, &wanted);
    // Past the time after which a deletion counts.
    ms(7500);
    daemon.wait_idle();
    let calls: Vec<_> = env.mutating().iter().map(|entry| format!("{} {}", entry.method, entry.label)).collect();
    assert_eq!(env.sandbox.count("PUT /uploads/:id"), SAVES.len(), "{calls:#?}\n{:#?}", daemon.log());
    assert_eq!(env.sandbox.count("PUT bucket"), SAVES.len(), "{calls:#?}");
    assert_eq!((env.sandbox.count("POST /uploads"), env.sandbox.count("DELETE /uploads/:id")), (0, 0), "{calls:#?}");
    assert_eq!(urls(&env), before);
    daemon.stop();
    env.assert_still();
}

#[test]
fn two_thousand_files_in_nested_new_folders_are_all_mirrored() {
    let mut env = TestEnv::new();
    let _memory = index_in_memory(&mut env);
    env.write("first.png", "x");
    configure(&env, "");
    let daemon = Daemon::ready(&env);
    let mut files = Files::new();
    for number in 0..2000 {
        let path = format!("{}/{}/{}/{number}.png", number % 7, number % 20, number % 50);
        env.write(&path, number.to_string());
        files.push((path, digest(number.to_string())));
    }
    wait_mirrored(&daemon, &env, &files);
    daemon.wait_idle();
    assert_eq!(env.assets().len(), 2001);
    assert_eq!(daemon.mirror()["failed"], 0);
    assert!(daemon.lines("not mirrored").is_empty());
    daemon.stop();
}

#[test]
fn a_folder_of_500_files_moved_inside_the_root_sends_no_bytes() {
    let mut env = TestEnv::new();
    let _memory = index_in_memory(&mut env);
    for number in 0..500 {
        env.write(format!("old/{}/{number}.png", number % 10), number.to_string());
    }
    configure(&env, "tags = [\"{dir}\"]\non_delete = \"delete\"");
    let daemon = Daemon::ready(&env);
    let urls = |env: &TestEnv| -> BTreeMap<String, String> {
        env.assets().into_iter().map(|AssetView { id, url, .. }| (id, url)).collect()
    };
    let before = urls(&env);
    env.sandbox.clear_log();
    fs::create_dir(env.at("new")).unwrap();
    fs::rename(env.at("old"), env.at("new/place")).unwrap();
    let files: Files = (0..500)
        .map(|number| (format!("new/place/{}/{number}.png", number % 10), digest(number.to_string())))
        .collect();
    wait_mirrored(&daemon, &env, &files);
    ms(4500);
    daemon.wait_idle();
    let route = |route: &str| env.sandbox.count(route);
    assert_eq!((route("POST /upload-requests"), route("PUT bucket"), route("POST /uploads")), (0, 0, 0));
    assert_eq!((route("DELETE /uploads/:id"), route("PUT /uploads/:id")), (0, 500));
    assert_eq!(urls(&env), before);
    assert_eq!(mirrored(&env).len(), 500, "only the new paths are stamped");
    let moved = daemon.lines("moved");
    assert_eq!(moved.len(), 1, "{moved:#?}");
    assert!(moved[0].contains("500 moved"), "{moved:#?}");
    daemon.stop();
}

#[test]
fn a_burst_of_400_files_is_one_summary_line_and_a_file_that_stays_is_none() {
    let env = TestEnv::new();
    env.write("first.png", "x");
    // Far longer than it is from one file to the next, also on a busy machine: what comes later is another burst.
    settling(&env, "3s", "");
    let daemon = Daemon::ready(&env);
    daemon.wait_idle();
    // It comes a little later than what it tells of.
    daemon.wait_line("1 created");
    let before = daemon.log().len();
    let files: Files = (0..400).map(|number| (format!("export-{number}.png"), digest(format!("e{number}")))).collect();
    // Written elsewhere and put in its place one by one, which takes a moment: a machine that is so busy that it writes for
    // longer than a burst is waited for (10 s) makes two bursts of it.
    let made = env.home().join("made");
    fs::create_dir(&made).unwrap();
    for number in 0..400 {
        fs::write(made.join(number.to_string()), format!("e{number}")).unwrap();
    }
    for number in 0..400 {
        fs::rename(made.join(number.to_string()), env.at(format!("export-{number}.png"))).unwrap();
    }
    wait_mirrored(&daemon, &env, &files);
    assert_eq!(env.sandbox.count("POST /uploads"), 401, "{:#?}", env.sandbox.log());
    daemon.wait_line("400 created");
    // Looked at anew, and the same.
    File::options().write(true).open(env.at("first.png")).unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();
    env.write("export-1.png", "e1");
    ms(5000);
    daemon.wait_idle();
    let log = daemon.stop();
    let lines: Vec<_> = log[before..].iter().filter(|line| !line.contains("stopping")).collect();
    assert_eq!(lines.len(), 1, "{lines:#?}");
}

#[test]
fn a_file_that_changes_while_it_is_sent_is_cut_short_and_the_newest_content_wins() {
    let env = TestEnv::new();
    env.write("first.png", "x");
    // 40 s for each of the large files.
    crate::process::configure_with(&env, "[api]\nupload_bandwidth = \"500KB\"", "");
    let daemon = Daemon::ready(&env);
    daemon.wait_idle();
    env.sandbox.clear_log();
    env.write("large.mp4", bytes(1, 20_000_000));
    daemon.wait("it is being sent", || env.sandbox.count("PUT bucket") == 1);
    ms(300);
    let newest = bytes(2, 100_000);
    env.write("large.mp4", &newest);
    wait_mirrored(&daemon, &env, &[("large.mp4".into(), digest(&newest))]);
    let most = || env.sandbox.log().iter().filter(|put| put.is("PUT bucket")).map(|put| put.bytes_in).max();
    assert!(most() < Some(20_000_000), "the old content was sent to the end");
    daemon.wait_idle();
    assert_eq!(env.sandbox.count("POST /uploads"), 1);
    assert_eq!(env.assets().len(), 2);

    // Deleted while it is sent: nothing comes of it.
    env.sandbox.clear_log();
    env.write("gone.mp4", bytes(3, 20_000_000));
    daemon.wait("it is being sent", || env.sandbox.count("PUT bucket") == 1);
    env.remove("gone.mp4");
    ms(5000);
    daemon.wait_idle();
    assert!(most() < Some(20_000_000), "what is gone was sent to the end");
    assert_eq!(env.assets().len(), 2);
    assert!(daemon.lines("not mirrored").is_empty(), "{:#?}", daemon.log());
    daemon.stop();
}
