//! `_remote.toml`: files that are fetched and mirrored without being written into the folder.

use std::collections::BTreeMap;
use std::fs;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};

use crate::support::{Env, png};

type Files = Arc<Mutex<BTreeMap<String, Vec<u8>>>>;

/// A web server; its files have ETags. What was asked and answered is in `log`.
struct Web {
    base: String,
    files: Files,
    log: Arc<Mutex<Vec<String>>>,
}

async fn answer(
    State((files, log)): State<(Files, Arc<Mutex<Vec<String>>>)>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let content = files.lock().unwrap().get(uri.path()).cloned();
    let response = match content {
        None => StatusCode::NOT_FOUND.into_response(),
        Some(content) => {
            let tag = format!("\"{}\"", content.len());
            match headers.get("if-none-match") {
                Some(known) if *known == tag => StatusCode::NOT_MODIFIED.into_response(),
                _ => ([("etag", tag)], content).into_response(),
            }
        }
    };
    log.lock().unwrap().push(format!("{} {}", uri.path(), response.status().as_u16()));
    response
}

impl Web {
    fn new(env: &Env) -> Self {
        let (files, log) = (Files::default(), Arc::new(Mutex::new(Vec::new())));
        let router = Router::new().fallback(answer).with_state((files.clone(), log.clone()));
        let base = env.block_on(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let base = format!("http://{}", listener.local_addr().unwrap());
            tokio::spawn(async move { axum::serve(listener, router).await });
            base
        });
        Self { base, files, log }
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
                "[[file]]\nurl = \"{base}/{name}?key=hush\"\nfilename = \"{name}\"\ntags = [\"far\", \"{{dir}}\"]\n"
            )
        })
        .collect()
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
