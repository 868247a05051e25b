//! The connections to the status page.
//!
//! Owns: how many there are at a time, how long one may take to say what it wants, and how long to take the answer:
//! whoever may connect must not use up the files that the mirror itself has to open. Answers nothing itself.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_io_timeout::TimeoutStream;
use tokio_util::sync::CancellationToken;

/// Connections at a time; more wait in the system's queue, where they cost this process nothing.
const MOST: usize = 64;
/// How long a connection may take to send the head of a request, its first or its next.
const HEAD: Duration = Duration::from_secs(2);
/// How long a connection may leave an answer in the system's buffers without taking any of it.
const TAKE: Duration = Duration::from_secs(5);
/// After the system had no file for another connection.
const OUT_OF_FILES: Duration = Duration::from_secs(1);

/// Answers until `stop` is cancelled and those connections that are in the middle of an answer have ended.
pub(super) async fn answer(listener: TcpListener, app: Router, stop: CancellationToken) {
    let (places, open) = (Arc::new(Semaphore::new(MOST)), GracefulShutdown::new());
    loop {
        let next = async {
            let place = places.clone().acquire_owned().await.map_err(io::Error::other)?;
            listener.accept().await.map(|(stream, _)| (stream, place))
        };
        let accepted = tokio::select! {
            accepted = next => accepted,
            () = stop.cancelled() => break,
        };
        let Ok((stream, place)) = accepted else {
            // One that was given up before it was taken costs no wait worth a word.
            tokio::time::sleep(OUT_OF_FILES).await;
            continue;
        };
        let service = TowerToHyperService::new(app.clone());
        let mut http = http1::Builder::new();
        let mut stream = TimeoutStream::new(stream);
        stream.set_write_timeout(Some(TAKE));
        let stream = TokioIo::new(Box::pin(stream));
        let connection = http.timer(TokioTimer::new()).header_read_timeout(HEAD).serve_connection(stream, service);
        let connection = open.watch(connection);
        tokio::spawn(async move {
            // Whoever hung up, or said nothing in time, wants no answer.
            let _ = connection.await;
            drop(place);
        });
    }
    drop(listener);
    open.shutdown().await;
}
