//! Health, readiness and the guard.

use std::time::{Duration, Instant};

use dato_mirror::report::MirrorReport;
use dato_mirror::runtime_state::{PATIENCE, Phase};
use dato_mirror::status;
use jiff::Timestamp;
use serde_json::Value;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use crate::page::secret;
use crate::{Server, fetch, get, live, say, serve};

#[tokio::test]
async fn a_long_first_sync_is_healthy_and_not_ready() {
    let live = live(Instant::now());
    let server = serve(&live).await;
    live.scanned("brand");
    live.set_phase("brand", Phase::Mirroring { done: 1, total_hint: 9000, bytes: 5 });
    live.set_degraded("brand", vec!["too few inotify watches".into()]);
    let (status, body) = get(server.at, "/healthz").await;
    assert_eq!((status, &body["healthy"]), (200, &Value::Bool(true)), "{body}");
    let (status, body) = get(server.at, "/readyz").await;
    assert_eq!((status, &body["waiting_for"][0]), (503, &Value::from("brand")), "{body}");
    // Failed files and a degraded watch are no reason to be taken out of service.
    let report = MirrorReport { failed: 3, ..MirrorReport::default() };
    live.pass_ended("brand", &report, Timestamp::now(), Duration::from_secs(1), true);
    live.set_standing("brand", 0, 3);
    let (status, body) = get(server.at, "/readyz").await;
    assert_eq!((status, &body["ready"]), (200, &Value::Bool(true)), "{body}");
    let (status, body) = get(server.at, "/status.json").await;
    assert_eq!((status, &body["mirrors"][0]["failed"]), (200, &Value::from(3)), "{body}");
    assert_eq!(body["mirrors"][0]["degraded"][0], "too few inotify watches");
}

#[tokio::test]
async fn only_a_stuck_process_is_unhealthy() {
    let now = Instant::now();
    // The machine's clock may not reach back far enough just after it started.
    let Some(start) = now.checked_sub(PATIENCE + Duration::from_secs(60)) else {
        eprintln!("skipped: this machine has just started");
        return;
    };
    let live = live(start);
    let server = serve(&live).await;
    let (status, body) = get(server.at, "/healthz").await;
    assert_eq!((status, &body["state"]), (503, &Value::from("stuck")));
    let why = status::check(server.at).await.unwrap_err();
    assert!(why.contains("503") && why.contains("brand: starting"), "{why}");
    live.rest_until(now + Duration::from_secs(3600));
    assert_eq!(get(server.at, "/healthz").await.1["state"], "resting");
    live.awake(Instant::now());
    assert_eq!(get(server.at, "/healthz").await.1["state"], "working");
    status::check(server.at).await.unwrap();
}

/// As many as there are places, each with more answers on the way than the system holds for it.
#[tokio::test]
async fn connections_that_take_no_answer_keep_no_place_from_others() {
    let server = serve(&live(Instant::now())).await;
    let mut open = Vec::new();
    for _ in 0..64 {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(2048).unwrap();
        let mut line = socket.connect(server.at).await.unwrap();
        let asked = format!("GET / HTTP/1.1\r\nHost: {}\r\n\r\n", server.at);
        while timeout(Duration::from_millis(100), line.write_all(asked.as_bytes())).await.is_ok_and(|sent| sent.is_ok())
        {
        }
        open.push(line);
    }
    let answer = timeout(Duration::from_secs(120), fetch(server.at, "/healthz")).await.expect("a place comes free");
    assert_eq!(answer.0, 200);
    drop(open);
}

#[tokio::test]
async fn another_name_is_refused_wherever_it_asks() {
    let live = live(Instant::now());
    let Server { at, .. } = serve(&live).await;
    for path in ["/healthz", "/readyz", "/status.json", "/", "/events", "/metrics", "/nothing"] {
        let (status, head, body) =
            say(at, &format!("GET {path} HTTP/1.1\r\nHost: evil.example:{}\r\nConnection: close\r\n\r\n", at.port()))
                .await;
        assert_eq!(status, 403, "{path}");
        assert!(!body.contains("brand") && head.contains("cache-control: no-store"), "{head} {body}");
    }
    let (status, ..) = say(at, "GET /healthz HTTP/1.0\r\n\r\n").await;
    assert_eq!(status, 400);
    let (status, head, _) =
        say(at, &format!("POST /healthz HTTP/1.1\r\nHost: {at}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"))
            .await;
    assert_eq!(status, 405);
    assert!(head.contains("allow: get, head"), "{head}");
    let (status, head, _) = say(at, &format!("GET /nothing HTTP/1.1\r\nHost: {at}\r\nConnection: close\r\n\r\n")).await;
    assert_eq!(status, 404);
    assert!(head.contains("x-content-type-options: nosniff"), "{head}");
}

#[tokio::test]
async fn it_ends_in_time_although_somebody_holds_a_connection() {
    let live = live(Instant::now());
    let server = serve(&live).await;
    // Half a request, for ever.
    let mut held = TcpStream::connect(server.at).await.unwrap();
    held.write_all(b"GET /healthz HTTP/1.1\r\n").await.unwrap();
    assert_eq!(get(server.at, "/healthz").await.0, 200);
    // Whoever waited for the connection would wait for ever.
    server.stop.cancel();
    timeout(Duration::from_secs(300), server.task).await.expect("it ends").unwrap().unwrap();
    drop(held);
    let why = status::check(server.at).await.unwrap_err();
    assert!(why.starts_with("no answer from http://127.0.0.1:"), "{why}");
}

#[tokio::test]
async fn a_taken_address_is_told_with_the_key_to_change() {
    let first = status::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let error = status::bind(first.local_addr().unwrap()).await.unwrap_err().to_string();
    assert!(error.contains("another program has that port") && error.contains("[status]"), "{error}");
}

/// Whoever may connect must not use up the files that the mirror has to open, nor shut out others for long.
#[tokio::test]
async fn connections_that_do_not_end_what_they_say_cost_few_files_and_make_room() {
    let files = || std::fs::read_dir("/proc/self/fd").unwrap().count();
    for beginning in [
        "GET /healthz HTT",
        "POST /retry HTTP/1.1\r\nHost: HOST\r\nContent-Length: 100000\r\n\r\na",
        "POST /retry HTTP/1.1\r\nHost: HOST\r\nContent-Type: application/json\r\nX-Dato-Mirror-Page: SECRET\r\n\
         Content-Length: 100\r\n\r\n{",
        "GET /healthz HTTP/1.1\r\nHost: HOST\r\nContent-Length: 100000\r\n\r\na",
    ] {
        let server = serve(&live(Instant::now())).await;
        let said = beginning.replace("HOST", &server.at.to_string()).replace("SECRET", &secret(server.at).await);
        let before = files();
        let mut held = Vec::new();
        for _ in 0..300 {
            let mut line = TcpStream::connect(server.at).await.unwrap();
            line.write_all(said.as_bytes()).await.unwrap();
            held.push(line);
        }
        // As many are ours; what the server has taken is the rest, and what other tests have open meanwhile.
        tokio::time::sleep(Duration::from_millis(300)).await;
        let taken = files().saturating_sub(before + held.len());
        assert!(taken < 200, "{beginning:?}: the server holds {taken} connections");
        let answered = timeout(Duration::from_secs(60), fetch(server.at, "/healthz")).await;
        assert_eq!(answered.expect("it makes room").0, 200, "{beginning:?}");
        server.stop.cancel();
        server.task.await.unwrap().unwrap();
    }
}
