//! The page, its events, and who may press its button.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use dato_mirror::runtime_state::Phase;
use dato_mirror::status::Asked;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::{fetch, live, say, serve};

/// The text between two others.
fn between<'a>(text: &'a str, before: &str, after: &str) -> &'a str {
    let rest = text.split_once(before).unwrap_or_else(|| panic!("no {before} in {text}")).1;
    rest.split_once(after).unwrap().0
}

pub async fn secret(at: SocketAddr) -> String {
    let (_, _, page) = fetch(at, "/").await;
    between(&page, "name=\"dato-mirror-page\" content=\"", "\"").to_owned()
}

#[tokio::test]
async fn the_page_may_run_its_own_script_and_nothing_else() {
    let server = serve(&live(Instant::now())).await;
    let (status, head, page) = fetch(server.at, "/").await;
    assert_eq!(status, 200);
    for line in [
        "content-type: text/html; charset=utf-8",
        "cache-control: no-store",
        "x-content-type-options: nosniff",
        "referrer-policy: no-referrer",
        "x-frame-options: deny",
        "frame-ancestors 'none'",
        "default-src 'none'",
        "form-action 'none'",
    ] {
        assert!(head.contains(line), "{line} is not in {head}");
    }
    assert!(!head.contains("unsafe-inline") && !head.contains("unsafe-eval"), "{head}");
    let nonce = between(&page, "<script nonce=\"", "\"");
    assert!(page.contains(&format!("<style nonce=\"{nonce}\"")));
    assert!(head.contains(&format!("script-src 'nonce-{}'", nonce.to_ascii_lowercase())), "{head}");
    let (_, _, again) = fetch(server.at, "/").await;
    assert_ne!(nonce, between(&again, "<script nonce=\"", "\""), "a nonce is used once");
    assert_eq!(secret(server.at).await, secret(server.at).await, "the secret is the process's");
}

#[tokio::test]
async fn nothing_untrusted_is_in_the_page_and_the_secret_only_there() {
    let live = live(Instant::now());
    live.set_phase("brand", Phase::Paused { guard: "<script>alert(1)</script>".into() });
    let server = serve(&live).await;
    let (_, _, page) = fetch(server.at, "/").await;
    assert!(!page.contains("alert(1)") && !page.contains("/srv/brand"), "the page is the same for everybody");
    let secret = secret(server.at).await;
    for path in ["/status.json", "/metrics", "/healthz", "/readyz", "/nothing"] {
        let (_, head, body) = fetch(server.at, path).await;
        assert!(!body.contains(&secret) && !head.contains(&secret.to_ascii_lowercase()), "{path}");
        assert!(head.contains("x-content-type-options: nosniff") && head.contains("no-store"), "{path}: {head}");
    }
}

struct Events(Lines<BufReader<TcpStream>>);

impl Events {
    async fn open(at: SocketAddr) -> Self {
        let mut line = TcpStream::connect(at).await.unwrap();
        line.write_all(format!("GET /events HTTP/1.1\r\nHost: {at}\r\n\r\n").as_bytes()).await.unwrap();
        Self(BufReader::new(line).lines())
    }

    /// The next event; nothing when the server ends it.
    async fn next(&mut self) -> Option<(String, Value)> {
        let mut name = String::new();
        loop {
            let line = timeout(Duration::from_secs(300), self.0.next_line()).await.unwrap().ok().flatten()?;
            if let Some(event) = line.strip_prefix("event: ") {
                event.clone_into(&mut name);
            } else if let Some(data) = line.strip_prefix("data: ") {
                return Some((name, serde_json::from_str(data).unwrap()));
            }
        }
    }
}

#[tokio::test]
async fn events_begin_with_everything_and_go_on_with_what_changes() {
    let live = live(Instant::now());
    let server = serve(&live).await;
    let mut events = Events::open(server.at).await;
    let (name, view) = events.next().await.unwrap();
    assert_eq!((name.as_str(), &view["mirrors"][0]["name"]), ("view", &json!("brand")));
    let (name, series) = events.next().await.unwrap();
    assert_eq!((name.as_str(), &series["calls"]), ("series", &json!([])));
    // A thousand updates within a moment are a few events, and the last of them tells the end.
    let began = Instant::now();
    live.set_phase("brand", Phase::Mirroring { done: 0, total_hint: 1000, bytes: 0 });
    let files = live.clone();
    let working = tokio::spawn(async move {
        for _ in 0..1000 {
            files.file_done("brand", 10);
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    });
    let mut told = 0;
    loop {
        let (name, view) = events.next().await.unwrap();
        if name == "view" {
            told += 1;
            if view["mirrors"][0]["phase"]["done"] == 1000 {
                break;
            }
        }
    }
    working.await.unwrap();
    let most = began.elapsed().as_millis() / 250 + 1;
    assert!(told <= most, "{told} events in {:?}", began.elapsed());
    // It ends with the server, and properly: a connection that the server waited for in vain is cut, and has no last chunk.
    server.stop.cancel();
    let mut last = Vec::new();
    while let Some(line) = timeout(Duration::from_secs(300), events.0.next_line()).await.unwrap().unwrap() {
        last.push(line);
    }
    assert!(last.ends_with(&["0".to_owned(), String::new()]), "{last:?}");
    server.task.await.unwrap().unwrap();
}

#[tokio::test]
async fn so_many_pages_may_follow_and_no_more() {
    let server = serve(&live(Instant::now())).await;
    let mut open = Vec::new();
    for _ in 0..32 {
        let mut events = Events::open(server.at).await;
        events.next().await.unwrap();
        open.push(events);
    }
    assert_eq!(fetch(server.at, "/events").await.0, 503);
    open.clear();
    // The server sees that they are gone when it next writes to them; other pages are served all the while.
    assert_eq!(fetch(server.at, "/healthz").await.0, 200);
}

async fn post(at: SocketAddr, headers: &str, body: &str) -> (u16, String) {
    let length = body.len();
    let words = format!(
        "POST /retry HTTP/1.1\r\nHost: {at}\r\nContent-Length: {length}\r\nConnection: close\r\n{headers}\r\n{body}"
    );
    let (status, _, body) = say(at, &words).await;
    (status, body)
}

#[tokio::test]
async fn only_our_own_page_can_press_the_button() {
    let server = serve(&live(Instant::now())).await;
    let (at, secret) = (server.at, secret(server.at).await);
    let json = "Content-Type: application/json\r\n";
    let shown = format!("X-Dato-Mirror-Page: {secret}\r\n");
    // What a form, a script of another site, and a rebound name can send.
    for (headers, expected) in [
        ("Content-Type: text/plain\r\n".to_owned(), 415),
        (format!("Content-Type: application/x-www-form-urlencoded\r\n{shown}"), 415),
        (json.to_owned(), 403),
        (format!("{json}X-Dato-Mirror-Page: guess\r\n"), 403),
        (format!("{json}{shown}Origin: http://evil.example\r\n"), 403),
        (format!("{json}{shown}Sec-Fetch-Site: cross-site\r\n"), 403),
    ] {
        assert_eq!(post(at, &headers, "{}").await.0, expected, "{headers}");
    }
    let rebound = format!(
        "POST /retry HTTP/1.1\r\nHost: evil.example\r\nContent-Length: 2\r\n{json}{shown}Connection: close\r\n\r\n{{}}"
    );
    assert_eq!(say(at, &rebound).await.0, 403);
    let preflight =
        format!("OPTIONS /retry HTTP/1.1\r\nHost: {at}\r\nOrigin: http://evil.example\r\nConnection: close\r\n\r\n");
    let (status, head, _) = say(at, &preflight).await;
    assert!(status == 405 && !head.contains("access-control"), "{head}");
    assert_eq!(fetch(at, "/retry").await.0, 405);
    assert!(server.asked.lock().unwrap().is_empty());

    let own = format!("{json}{shown}Origin: http://{at}\r\nSec-Fetch-Site: same-origin\r\n");
    let (status, body) = post(at, &own, r#"{"mirror":"brand","path":"a/b.png"}"#).await;
    assert_eq!((status, body.as_str()), (200, r#"{"files":3}"#));
    assert_eq!(post(at, &own, "{}").await.0, 200);
    let asked = server.asked.lock().unwrap().clone();
    let one = Asked { mirror: Some("brand".into()), path: Some("a/b.png".into()) };
    assert_eq!(asked, [one, Asked::default()]);
    assert_eq!(post(at, &own, r#"{"paths":["a"]}"#).await.0, 400);
    assert_eq!(post(at, &own, "nonsense").await.0, 400);
    assert_eq!(post(at, &own, &format!("{{\"path\":\"{}\"}}", "x".repeat(20_000))).await.0, 413);
}
