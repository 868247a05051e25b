//! `_remote.toml` while the daemon runs.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Duration;

use crate::process::{Daemon, configure, digest, wait_mirrored};
use crate::support::TestEnv;

type Served = Arc<Mutex<BTreeMap<String, String>>>;

/// Serves what is put into the map, each with its digest as ETag; ends with the process.
fn web() -> (String, Served) {
    let served = Served::default();
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let files = served.clone();
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let head: Vec<String> =
                BufReader::new(&stream).lines().map_while(Result::ok).take_while(|line| !line.is_empty()).collect();
            let path = head.first().and_then(|line| line.split(' ').nth(1)).unwrap_or_default().to_owned();
            let content = files.lock().unwrap().get(&path).cloned();
            let answer = match content {
                None => "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".to_owned(),
                Some(content) => {
                    let tag = format!("\"{}\"", digest(&content));
                    let (status, body) = if head.iter().any(|line| line.contains(&tag)) {
                        ("304 Not Modified", "")
                    } else {
                        ("200 OK", &*content)
                    };
                    format!(
                        "HTTP/1.1 {status}\r\netag: {tag}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                        body.len()
                    )
                }
            };
            // Who hangs up early is not waited for.
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    (base, served)
}

fn list(base: &str, names: &[&str]) -> String {
    names.iter().map(|name| format!("[[file]]\nurl = \"{base}/{name}\"\nfilename = \"{name}\"\n")).collect()
}

#[test]
fn a_list_saved_while_it_runs_is_fetched_and_a_changed_file_replaces_its_asset_at_the_next_refresh() {
    let env = TestEnv::new();
    let (base, served) = web();
    served.lock().unwrap().extend([("/a.txt".to_owned(), "a".to_owned()), ("/b.txt".to_owned(), "b".to_owned())]);
    env.write("first.txt", "first");
    configure(&env, "allow_private_urls = true\nremote_refresh = \"3s\"");
    let daemon = Daemon::ready(&env);
    env.write("_remote.toml", list(&base, &["a.txt"]));
    wait_mirrored(&daemon, &env, &[("a.txt".into(), digest("a"))]);
    env.write("_remote.toml", list(&base, &["a.txt", "b.txt"]));
    wait_mirrored(&daemon, &env, &[("b.txt".into(), digest("b"))]);
    let before = env.asset("a.txt");
    served.lock().unwrap().insert("/a.txt".to_owned(), "a, and more".to_owned());
    wait_mirrored(&daemon, &env, &[("a.txt".into(), digest("a, and more"))]);
    let after = env.asset("a.txt");
    assert_eq!((after.id, after.url), (before.id, before.url));
    daemon.wait_idle();
    assert_eq!(env.assets().len(), 3);
    assert!(!env.at("a.txt").exists());
}

/// The list and the metadata of a file are saved by a program that deletes first. The pause holds several looks.
#[test]
fn a_look_between_the_two_halves_of_a_save_of_a_list_or_of_metadata_changes_nothing() {
    let env = TestEnv::new();
    let (base, served) = web();
    served.lock().unwrap().extend([("/a.txt".to_owned(), "a".to_owned()), ("/b.txt".to_owned(), "b".to_owned())]);
    env.write("first.txt", "first");
    env.write("first.txt.meta.toml", "notes = \"First\"");
    env.write("_remote.toml", list(&base, &["a.txt", "b.txt"]));
    env.config(
        "[[mirror]]\nname = \"brand\"\nroot = \"brand\"\nsettle = \"6s\"\nwatch = \"poll\"\npoll_interval = \"300ms\"\n\
         on_delete = \"delete\"\nrescan_interval = \"1s\"\nallow_private_urls = true\n",
    );
    let daemon = Daemon::start(&env, &[]);
    wait_mirrored(&daemon, &env, &[("a.txt".into(), digest("a")), ("b.txt".into(), digest("b"))]);
    daemon.wait("described", || env.find("first.txt").is_some_and(|asset| asset.notes.as_deref() == Some("First")));
    let before = env.asset("a.txt");
    let edits = env.sandbox.count("PUT /uploads/:id");
    env.remove("_remote.toml");
    env.remove("first.txt.meta.toml");
    thread::sleep(Duration::from_millis(1500));
    env.write("first.txt.meta.toml", "notes = \"First\"");
    env.write("_remote.toml", list(&base, &["a.txt"]));
    daemon.wait_for("what the list names no more is gone", Duration::from_secs(60), || env.find("b.txt").is_none());
    let after = env.asset("a.txt");
    assert_eq!((after.id, after.url), (before.id, before.url));
    assert_eq!(env.sandbox.count("PUT /uploads/:id"), edits, "what described the file stood all the time");
    env.remove("first.txt.meta.toml");
    daemon.wait_for("what is gone for good counts", Duration::from_secs(60), || env.asset("first.txt").notes.is_none());
    daemon.stop();
}

#[test]
fn while_a_url_drips_the_daemon_mirrors_all_else() {
    let env = TestEnv::new();
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let (flow, flows) = mpsc::channel::<()>();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let head: Vec<String> =
            BufReader::new(&stream).lines().map_while(Result::ok).take_while(|line| !line.is_empty()).collect();
        assert!(!head.is_empty());
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\nconnection: close\r\n\r\ns").unwrap();
        flows.recv().unwrap();
        stream.write_all(b"low").unwrap();
    });
    env.write("first.txt", "first");
    env.write("_remote.toml", list(&base, &["slow.txt"]));
    configure(&env, "allow_private_urls = true");
    let daemon = Daemon::ready(&env);
    env.write("second.txt", "second");
    wait_mirrored(&daemon, &env, &[("second.txt".into(), digest("second"))]);
    assert_eq!(env.assets().len(), 2);
    flow.send(()).unwrap();
    wait_mirrored(&daemon, &env, &[("slow.txt".into(), digest("slow"))]);
}
