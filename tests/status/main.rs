//! The status server over real sockets.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a panic is how a test fails")]

mod health;
mod metrics;
mod page;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use dato_mirror::runtime_state::RuntimeState;
use dato_mirror::status::{self, Asked, Retry};
use jiff::Timestamp;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// A server, and what it was asked to retry.
struct Server {
    at: SocketAddr,
    stop: CancellationToken,
    task: JoinHandle<std::io::Result<()>>,
    asked: Arc<Mutex<Vec<Asked>>>,
}

async fn serve(live: &Arc<RuntimeState>) -> Server {
    let listener = status::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let (at, stop) = (listener.local_addr().unwrap(), CancellationToken::new());
    let asked = Arc::new(Mutex::new(Vec::new()));
    let noted = asked.clone();
    let retry: Retry = Arc::new(move |one| {
        noted.lock().unwrap().push(one);
        Box::pin(async { Ok(3) })
    });
    let task = tokio::spawn(status::serve(listener, Arc::clone(live), retry, stop.clone()));
    Server { at, stop, task, asked }
}

fn live(start: Instant) -> Arc<RuntimeState> {
    RuntimeState::new(start, Timestamp::now(), [("brand", "/srv/brand")])
}

/// Sends the words and returns status, head and body.
async fn say(at: SocketAddr, words: &str) -> (u16, String, String) {
    let mut line = TcpStream::connect(at).await.unwrap();
    line.write_all(words.as_bytes()).await.unwrap();
    let mut answer = String::new();
    line.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, head.to_ascii_lowercase(), body.to_owned())
}

async fn fetch(at: SocketAddr, path: &str) -> (u16, String, String) {
    say(at, &format!("GET {path} HTTP/1.1\r\nHost: {at}\r\nConnection: close\r\n\r\n")).await
}

async fn get(at: SocketAddr, path: &str) -> (u16, Value) {
    let (status, _, body) = fetch(at, path).await;
    (status, serde_json::from_str(&body).unwrap())
}
