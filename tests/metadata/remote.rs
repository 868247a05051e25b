//! `_remote.toml`: files that are fetched and mirrored without being written into the folder.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};

use super::support::{Env, Run, png};

type Files = Arc<Mutex<BTreeMap<String, Vec<u8>>>>;
type Log = Arc<Mutex<Vec<String>>>;
/// While it has no permit, what drips comes slowly.
type Flows = Arc<tokio::sync::Semaphore>;

/// A web server; its files have ETags. What was asked and answered is in `log`. What is below `/drip/` comes byte by byte
/// until `flows` says otherwise.
struct Web {
    flows: Flows,
    base: String,
    files: Files,
    log: Log,
}

fn drip(content: Vec<u8>, flows: Flows) -> Body {
    Body::from_stream(futures_util::stream::unfold(0, move |sent| {
        let (content, flows) = (content.clone(), flows.clone());
        async move {
            let more = tokio::select! {
                _ = flows.acquire() => content.len(),
                () = tokio::time::sleep(Duration::from_millis(50)) => 1,
            };
            let part = content.get(sent..).filter(|rest| !rest.is_empty())?;
            let part = part[..more.min(part.len())].to_vec();
            let sent = sent + part.len();
            Some((Ok::<_, Infallible>(part), sent))
        }
    }))
}

async fn answer(State((files, log, flows)): State<(Files, Log, Flows)>, uri: Uri, headers: HeaderMap) -> Response {
    let content = files.lock().unwrap().get(uri.path()).cloned();
    let response = match content {
        None => StatusCode::NOT_FOUND.into_response(),
        Some(content) => {
            let tag = format!("\"{}\"", content.len());
            match headers.get("if-none-match") {
                Some(known) if *known == tag => StatusCode::NOT_MODIFIED.into_response(),
                _ if uri.path().starts_with("/drip/") => ([("etag", tag)], drip(content, flows)).into_response(),
                _ => ([("etag", tag)], content).into_response(),
            }
        }
    };
    log.lock().unwrap().push(format!("{} {}", uri.path(), response.status().as_u16()));
    response
}

impl Web {
    fn new(env: &Env) -> Self {
        let (files, log) = (Files::default(), Log::default());
        let flows = Flows::new(tokio::sync::Semaphore::new(0));
        let router = Router::new().fallback(answer).with_state((files.clone(), log.clone(), flows.clone()));
        let base = env.block_on(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let base = format!("http://{}", listener.local_addr().unwrap());
            tokio::spawn(async move { axum::serve(listener, router).await });
            base
        });
        Self { flows, base, files, log }
    }

    fn put(&self, path: &str, content: Vec<u8>) {
        self.files.lock().unwrap().insert(path.to_owned(), content);
    }

    fn take_log(&self) -> Vec<String> {
        std::mem::take(&mut self.log.lock().unwrap())
    }
}

fn list(base: &str, names: &[&str]) -> String {
    names
        .iter()
        .map(|name| {
            format!(
                "[[file]]\nurl = \"{base}/{name}?key=hush\"\nfilename = \"{}\"\ntags = [\"far\", \"{{dir}}\"]\n",
                name.rsplit('/').next().unwrap_or(name)
            )
        })
        .collect()
}

/// The files of the index, of its log and of what lies beside it in which `text` can be read.
fn readable(env: &Env, text: &[u8]) -> Vec<String> {
    fn below(folder: &Path, text: &[u8], found: &mut Vec<String>) {
        for entry in fs::read_dir(folder).unwrap().flatten() {
            if entry.path().is_dir() {
                below(&entry.path(), text, found);
            } else if fs::read(entry.path()).is_ok_and(|bytes| bytes.windows(text.len()).any(|part| part == text)) {
                found.push(entry.path().display().to_string());
            }
        }
    }
    let mut found = Vec::new();
    below(env.root().parent().unwrap(), text, &mut found);
    let root = env.root().display().to_string();
    found.retain(|path| !path.starts_with(&root));
    found
}

#[test]
fn a_url_that_drips_keeps_no_other_file_waiting() {
    let env = Env::new("allow_private_urls = true");
    let web = Web::new(&env);
    // So many that it would drip for minutes.
    web.put("/drip/slow.png", png(&"s".repeat(50_000)));
    web.put("/quick.png", png("quick"));
    env.write("_remote.toml", list(&web.base, &["drip/slow.png", "quick.png"]));
    for number in 0..20 {
        env.write(&format!("{number}.png"), png(&number.to_string()));
    }
    let run = env.start("index.sqlite");
    env.block_on(async {
        while env.sandbox.assets(None).len() < 21 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    assert!(env.sandbox.assets(None).iter().all(|asset| asset.filename != "slow.png"));
    assert_eq!(readable(&env, b"hush"), [""; 0], "also while the index is open");
    web.flows.add_permits(1);
    let run = Run::of(run.wait_with_output().unwrap());
    assert_eq!((run.code, run.count("created"), run.count("scanned")), (0, 22, 22), "{run:#?}");
    assert_eq!(run.problems(), [""; 0]);
    assert_eq!(env.asset("slow.png").tags, ["far"]);
    let run = env.sync();
    assert_eq!((run.count("unchanged"), run.count("api_requests") <= 3), (22, true), "{run:#?}");
}

#[test]
fn what_is_listed_and_cannot_be_fetched_is_not_gone() {
    let env = Env::new("allow_private_urls = true\nauthoritative = true\non_delete = \"delete\"");
    let web = Web::new(&env);
    web.put("/a.png", png("a"));
    env.write("_remote.toml", list(&web.base, &["a.png"]));
    env.write("here.png", png("here"));
    env.sync();
    let before = env.asset("a.png");
    env.forget_index();
    web.files.lock().unwrap().clear();
    let run = env.run(&[]);
    assert_eq!((run.code, run.count("deleted")), (1, 0), "{run:#?}");
    assert_eq!(env.asset("a.png").id, before.id);
}

#[test]
fn fetched_files_take_no_more_room_than_they_may_and_mirrored_ones_go_first() {
    let env = Env::new("allow_private_urls = true");
    let web = Web::new(&env);
    let names = ["a.png", "b.png", "c.png"];
    for name in names {
        web.put(&format!("/{name}"), png(&name.repeat(200)));
    }
    env.write("_remote.toml", list(&web.base, &names));
    let run = || {
        let mut command = env.command("index.sqlite", &[]);
        let run = Run::of(command.env("DATO_MIRROR_STATE_REMOTE_CACHE", "2800").output().unwrap());
        let kept = fs::read_dir(env.root().parent().unwrap().join("index.sqlite.remote")).unwrap().flatten();
        let kept = kept.flat_map(|folder| fs::read_dir(folder.path()).unwrap().flatten());
        let bytes: u64 = kept.map(|file| file.metadata().unwrap().len()).sum();
        assert!(bytes <= 2_800, "{bytes}");
        run
    };
    let first = run();
    assert_eq!((first.code, first.count("created"), first.count("failed")), (1, 2, 1), "{first:#?}");
    assert!(first.has_problem("fill the 2800 bytes"), "{first:#?}");
    let second = run();
    assert_eq!((second.code, second.count("created")), (0, 1), "{second:#?}");
    web.take_log();
    let third = run();
    assert_eq!((third.code, third.count("unchanged")), (0, 3), "{third:#?}");
    assert!(web.take_log().iter().all(|line| line.ends_with(" 304")), "what made room is not fetched again");
}

#[test]
fn listed_files_are_fetched_followed_and_gone_with_their_entry() {
    let env = Env::new("allow_private_urls = true\non_delete = \"delete\"");
    let web = Web::new(&env);
    web.put("/a.png", png("a"));
    web.put("/b.png", png("bb"));
    env.write("x/_remote.toml", list(&web.base, &["a.png", "b.png"]));
    let dry = env.run(&["--dry-run"]);
    assert!(dry.report["plan"].to_string().contains("x/a.png"), "{dry:#?}");
    assert_eq!(web.take_log(), [""; 0]);
    let run = env.sync();
    assert_eq!((run.count("created"), run.count("scanned"), run.problems().len()), (2, 2, 0), "{run:#?}");
    assert_eq!(env.asset("a.png").tags, ["far", "x"]);
    assert_eq!(env.sandbox.content(None, &env.asset("b.png").id).unwrap(), png("bb"));
    assert!(!env.root().join("x/a.png").exists(), "nothing is written into the folder");
    // Asked after in each run, and sent only when it changed.
    web.take_log();
    web.put("/b.png", png("other"));
    let run = env.sync();
    assert_eq!((run.count("replaced"), run.count("unchanged")), (1, 1), "{run:#?}");
    let mut log = web.take_log();
    log.sort();
    assert_eq!(log, ["/a.png 304", "/b.png 200"]);
    assert_eq!(env.sandbox.content(None, &env.asset("b.png").id).unwrap(), png("other"));
    // Away for a while: what is there stays, and the run says so.
    web.files.lock().unwrap().remove("/a.png");
    let run = env.run(&[]);
    assert_eq!((run.code, run.count("deleted")), (1, 0), "{run:#?}");
    assert!(run.has_problem("x/a.png: 127.0.0.1 answered with status 404; what was fetched before stays"), "{run:#?}");
    assert!(!format!("{run:?}").contains("hush"), "a URL may hold a secret");
    web.put("/a.png", png("a"));
    // A list that cannot be read takes nothing away; an entry taken off it does.
    env.write("x/_remote.toml", "[[file]]\nurl = 3\n");
    let run = env.run(&[]);
    assert!(run.has_problem("x/_remote.toml") && run.count("deleted") == 0, "{run:#?}");
    env.write("x/_remote.toml", list(&web.base, &["b.png"]).replace("far", "near"));
    let run = env.sync();
    assert_eq!((run.count("deleted"), run.count("retagged")), (1, 1), "{run:#?}");
    assert_eq!(env.asset("b.png").tags, ["x", "near"]);
    // With the index lost the same asset is found again.
    env.forget_index();
    env.sandbox.clear_log();
    let run = env.sync();
    assert_eq!((run.count("unchanged"), env.changes()), (1, 0), "{run:#?}");
    assert_eq!(readable(&env, b"hush"), [""; 0], "a URL may hold a secret");
}

#[test]
fn a_file_of_the_folder_goes_before_a_listed_one() {
    let env = Env::new("allow_private_urls = true");
    let web = Web::new(&env);
    web.put("/a.png", png("far"));
    env.write("_remote.toml", list(&web.base, &["a.png"]));
    env.sync();
    env.write("a.png", png("near"));
    let run = env.run(&[]);
    assert!(run.has_problem("a.png: _remote.toml lists a file of this name"), "{run:#?}");
    assert_eq!(env.sandbox.content(None, &env.asset("a.png").id).unwrap(), png("near"));
    fs::remove_file(env.root().join("a.png")).unwrap();
    env.sync();
    assert_eq!(env.sandbox.content(None, &env.asset("a.png").id).unwrap(), png("far"));
    assert_eq!(env.sandbox.assets(None).len(), 1);
}

#[test]
fn private_addresses_are_refused_and_the_rest_is_mirrored() {
    let env = Env::new("");
    let web = Web::new(&env);
    web.put("/a.png", png("a"));
    let port = web.base.rsplit(':').next().unwrap();
    env.write("_remote.toml", list(&web.base, &["a.png"]));
    env.write("y/_remote.toml", list(&format!("http://localhost:{port}"), &["a.png"]));
    env.write("here.png", png("here"));
    let run = env.run(&[]);
    assert_eq!((run.code, run.count("created"), run.count("failed")), (1, 1, 2), "{run:#?}");
    for path in ["a.png: 127.0.0.1 is at the private address", "y/a.png: localhost is at the private address"] {
        assert!(run.has_problem(path), "{run:#?}");
    }
    assert_eq!(web.take_log(), [""; 0], "not even asked");
}
