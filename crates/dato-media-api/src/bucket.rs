//! Sending one file's bytes to the bucket.
//!
//! Owns: the exact length, the digest taken while sending, the watch for a stalled line, and the proof that what was
//! sent is one whole state of the file; where a bucket may send it on to, and which headers a ticket may ask for.
//! Never does: API calls (the ticket comes from one), retrying, sending the API token to the bucket.
//!
//! A thread reads and hashes; a short queue hands its chunks to the connection. The last chunk is held back until the
//! file is seen to end there and to be unchanged, so a file that changes under us never arrives whole.

mod error;
mod reader;
mod refusal;

use std::fmt;
use std::fs::File;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use http_body::{Body, Frame, SizeHint};
use reqwest::Url;
use reqwest::header::{self, CONTENT_LENGTH, CONTENT_TYPE, ETAG, HeaderMap, HeaderName, HeaderValue, LOCATION};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::Md5;

use super::answer::causes;
use super::http::{Transport, is_loopback};
pub use error::SendError;
use refusal::{is_page, refusal};

/// Chunks read ahead of the line.
const READ_AHEAD: usize = 3;
/// What the system may hold back in its buffers after we handed over the last byte, and the slowest line that we wait
/// for to empty them.
const HELD_BACK: u64 = 4 * 1024 * 1024;
const SLOWEST_LINE: u64 = 16 * 1024;
/// How often a line that does not move is looked at before it counts as stalled.
const LOOKS: u32 = 16;
/// Places a bucket may send a file on to, one after the other.
const HOPS: usize = 3;
/// How long a bucket that hung up in mid-body before, or sent a file elsewhere, may say so before the bytes go.
const LISTEN: Duration = Duration::from_secs(1);
/// Headers of a ticket; the service's have a handful.
const MOST_HEADERS: usize = 100;
/// What rules the connection, or whose it is, is no ticket's to say.
const NOT_THE_TICKETS: [HeaderName; 12] = [
    header::AUTHORIZATION,
    header::CONNECTION,
    CONTENT_LENGTH,
    header::COOKIE,
    header::EXPECT,
    header::HOST,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::ACCEPT_ENCODING,
];
/// The same, without a name in the standard.
const NOR_THESE: [&str; 2] = ["keep-alive", "proxy-connection"];

/// Where and how to put a file's bytes; from `Client::upload_request`. Short-lived (recorded: 900 s).
#[derive(Clone)]
pub struct UploadTicket {
    /// What `create` and `update` take as the new file.
    pub path: String,
    pub(super) url: SecretString,
    pub(super) headers: Vec<(String, SecretString)>,
}

impl fmt::Debug for UploadTicket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UploadTicket").field("path", &self.path).finish_non_exhaustive()
    }
}

/// Opens the file to send. It is asked twice: for the bytes, and at their end whether its name still means the same file.
/// It must not block on a pipe, and refuses what is no regular file.
pub type OpenFile = Arc<dyn Fn() -> Result<File, SendError> + Send + Sync>;

/// The file to send.
#[derive(Clone)]
pub struct FileToSend<'a> {
    /// How to open it.
    pub open: OpenFile,
    /// Bytes it must have.
    pub size: u64,
    /// MIME type, when known.
    pub mime: Option<&'a str>,
}

/// What arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sent {
    /// Digest of the bytes sent; the bucket said the same, if it said an MD5.
    pub md5: Md5,
    /// Bytes sent.
    pub bytes: u64,
}

/// How far the body has come.
#[derive(Default)]
struct Progress {
    /// Bytes handed to the connection.
    handed: AtomicU64,
    /// How often it moved, or was held for the bandwidth cap.
    moves: AtomicU64,
}

impl Progress {
    fn touch(&self) {
        self.moves.fetch_add(1, Ordering::Relaxed);
    }

    fn handed(&self) -> u64 {
        self.handed.load(Ordering::Relaxed)
    }
}

impl Transport {
    pub(super) async fn put(
        &self,
        ticket: &UploadTicket,
        file: FileToSend<'_>,
        cancel: &CancellationToken,
    ) -> Result<Sent, SendError> {
        let mut url = Url::parse(ticket.url.expose_secret()).map_err(|_| SendError::Ticket("that is no URL"))?;
        if !self.may_take(&url) {
            return Err(SendError::Ticket("that is not https"));
        }
        let headers = headers_of(ticket, &file)?;
        for hops in 0..=HOPS {
            let (status, location) = match self.put_at(url.clone(), headers.clone(), &file, cancel).await {
                Ok(Put::Done(sent)) => {
                    self.wary.store(hops > 0, Ordering::Relaxed);
                    self.bytes_uploaded.fetch_add(sent.bytes, Ordering::Relaxed);
                    return Ok(sent);
                }
                Ok(Put::Elsewhere(status, location)) => (status, location),
                Err(error) => {
                    if matches!(error, SendError::Refused { status: None, .. }) {
                        self.wary.store(true, Ordering::Relaxed);
                    }
                    return Err(error);
                }
            };
            let astray = |place: &str| SendError::Refused {
                status: Some(status),
                details: format!("it sends the file on to {place}; the file was not sent there"),
            };
            let next = url.join(&location).ok().filter(|_| !location.is_empty());
            url = next.ok_or_else(|| astray("a place that is no address"))?;
            if !self.may_take(&url) {
                return Err(astray("a place that is not https"));
            }
        }
        Err(SendError::Refused { status: None, details: "it sends the file from place to place".into() })
    }

    /// Whether a file may go there: over TLS, or within this machine when the API is here as well.
    fn may_take(&self, url: &Url) -> bool {
        match url.scheme() {
            "https" => true,
            "http" => is_loopback(url) && is_loopback(&self.base),
            _ => false,
        }
    }

    async fn put_at(
        &self,
        url: Url,
        headers: HeaderMap,
        file: &FileToSend<'_>,
        cancel: &CancellationToken,
    ) -> Result<Put, SendError> {
        let progress = Arc::new(Progress::default());
        let (sender, chunks) = mpsc::channel(READ_AHEAD);
        let (open, size, chunk) = (Arc::clone(&file.open), file.size, self.bandwidth.chunk());
        let reader = tokio::task::spawn_blocking(move || reader::read_through(&open, size, chunk, &sender));
        let body = SizedBody { chunks: self.paced(chunks, &progress), left: size };
        let request = self.bucket.put(url).headers(headers).body(reqwest::Body::wrap(body));
        let outcome = tokio::select! {
            biased;
            () = cancel.cancelled() => return Err(SendError::Cancelled),
            outcome = request.send() => outcome.map_err(|error| connection_error(error, &progress)),
            () = stalled(&progress, self.timeouts.stall, size) => {
                let seconds = self.timeouts.stall.as_secs_f32();
                Err(SendError::Network(format!("no progress for {seconds} s")))
            }
        };
        let response = match outcome {
            Ok(response) => response,
            // The file's own fault comes first: the connection's error is only its consequence.
            Err(error) => return Err(joined(reader).await.err().unwrap_or(error)),
        };
        let status = response.status().as_u16();
        if matches!(status, 307 | 308)
            && let Some(location) = response.headers().get(LOCATION).and_then(|value| value.to_str().ok())
        {
            return Ok(Put::Elsewhere(status, location.trim().to_owned()));
        }
        if !(200..300).contains(&status) {
            return Err(refusal(response).await);
        }
        if is_page(&response) {
            return Err(SendError::Between { status });
        }
        let early = || SendError::Refused { status: Some(status), details: "it answered before the end".into() };
        if progress.handed() != size {
            return Err(early());
        }
        let md5 = joined(reader).await?.ok_or_else(early)?;
        if let Some(etag) = response.headers().get(ETAG).and_then(|value| value.to_str().ok()) {
            check_etag(etag, md5)?;
        }
        Ok(Put::Done(Sent { md5, bytes: size }))
    }

    /// The reader's chunks, at the pace of the bandwidth cap.
    fn paced(&self, chunks: mpsc::Receiver<io::Result<Bytes>>, progress: &Arc<Progress>) -> Chunks {
        let bandwidth = Arc::clone(&self.bandwidth);
        let progress = Arc::clone(progress);
        // More often than the watch for a stall looks.
        let sign = (self.timeouts.stall / LOOKS / 2).min(Duration::from_secs(1));
        // Its no often comes before it has read the body, and is lost when it hangs up on bytes under way.
        let listen = if self.wary.load(Ordering::Relaxed) { LISTEN } else { Duration::ZERO };
        Box::pin(futures_util::stream::unfold(chunks, move |mut chunks| {
            let bandwidth = Arc::clone(&bandwidth);
            let progress = Arc::clone(&progress);
            async move {
                if progress.handed() == 0 && !listen.is_zero() {
                    tokio::time::sleep(listen).await;
                    progress.touch();
                }
                let chunk = chunks.recv().await?;
                if let Ok(bytes) = &chunk {
                    let pass = bandwidth.pass(bytes.len() as u64);
                    tokio::pin!(pass);
                    // Waiting for the cap is no stall.
                    while tokio::time::timeout(sign, &mut pass).await.is_err() {
                        progress.touch();
                    }
                    progress.handed.fetch_add(bytes.len() as u64, Ordering::Relaxed);
                }
                progress.touch();
                Some((chunk, chunks))
            }
        }))
    }
}

/// How one put ended.
enum Put {
    Done(Sent),
    /// The bucket wants the file elsewhere: its status, and where.
    Elsewhere(u16, String),
}

type Chunks = Pin<Box<dyn Stream<Item = io::Result<Bytes>> + Send + Sync>>;

/// A body of a length known in advance. hyper sends it as `Content-Length` and refuses to send more or less.
struct SizedBody {
    chunks: Chunks,
    left: u64,
}

impl Body for SizedBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let next = match ready!(self.chunks.as_mut().poll_next(cx)) {
            Some(Ok(chunk)) => {
                self.left = self.left.saturating_sub(chunk.len() as u64);
                Some(Ok(Frame::data(chunk)))
            }
            Some(Err(error)) => Some(Err(error)),
            None if self.left > 0 => Some(Err(io::Error::other("the file ended early"))),
            None => None,
        };
        Poll::Ready(next)
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }
}

/// The reader's word, once the body no longer takes its chunks.
async fn joined(reader: tokio::task::JoinHandle<Result<Option<Md5>, SendError>>) -> Result<Option<Md5>, SendError> {
    // The connection may hold the body for a moment longer; a reader that hangs on a dead disk is left behind.
    match tokio::time::timeout(Duration::from_secs(2), reader).await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(_)) | Err(_) => Ok(None),
    }
}

/// Ends when nothing has moved for too long. It counts looks and not time: a process that got no processor, or was
/// stopped for a while, could not have seen the line move, and all it missed counts as one look.
async fn stalled(progress: &Progress, limit: Duration, size: u64) {
    // What the system holds back after our last byte is seen by nobody; a slow line needs time for it.
    let tail = limit + Duration::from_secs(size.min(HELD_BACK) / SLOWEST_LINE);
    let (mut moves, mut still) = (progress.moves.load(Ordering::Relaxed), Duration::ZERO);
    while still < if progress.handed() < size { limit } else { tail } {
        tokio::time::sleep(limit / LOOKS).await;
        let now = progress.moves.load(Ordering::Relaxed);
        still = if now == moves { still + limit / LOOKS } else { Duration::ZERO };
        moves = now;
    }
}

fn headers_of(ticket: &UploadTicket, file: &FileToSend<'_>) -> Result<HeaderMap, SendError> {
    let mut headers = HeaderMap::new();
    let bad = |_: String| SendError::Ticket("with a header that is none");
    if let Some(mime) = file.mime {
        headers.insert(CONTENT_TYPE, HeaderValue::from_str(mime).map_err(|_| SendError::Network("bad MIME".into()))?);
    }
    if ticket.headers.len() > MOST_HEADERS {
        return Err(SendError::Ticket("with more headers than any bucket takes"));
    }
    // The ticket's own headers win: they are part of its signature.
    for (name, value) in &ticket.headers {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|error| bad(error.to_string()))?;
        if NOT_THE_TICKETS.contains(&name) || NOR_THESE.contains(&name.as_str()) {
            continue;
        }
        let mut value = HeaderValue::from_str(value.expose_secret()).map_err(|error| bad(error.to_string()))?;
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    if file.size == 0 {
        // An empty body has no length of its own, and the bucket wants one.
        headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
    }
    Ok(headers)
}

fn connection_error(error: reqwest::Error, progress: &Progress) -> SendError {
    let began = progress.handed() > 0 && !error.is_connect();
    let details = causes(error);
    if began { SendError::Refused { status: None, details } } else { SendError::Network(details) }
}

/// An ETag is the MD5 unless the bucket encrypts or splits; then it proves nothing and harms nothing.
fn check_etag(etag: &str, sent: Md5) -> Result<(), SendError> {
    let bare = etag.trim().trim_start_matches("W/").trim_matches('"');
    match bare.parse::<Md5>() {
        Ok(md5) if md5 != sent => Err(SendError::Mismatch { etag: bare.to_owned() }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_etag_is_believed_when_it_is_an_md5() {
        let sent = Md5::of(b"abc");
        let cases = [
            (format!("\"{sent}\""), true),
            (sent.to_string().to_uppercase(), true),
            ("\"deadbeef-3\"".to_owned(), true),
            (String::new(), true),
            (format!("\"{}\"", Md5::of(b"abd")), false),
        ];
        for (etag, good) in cases {
            assert_eq!(check_etag(&etag, sent).is_ok(), good, "{etag}");
        }
    }

    /// How long it takes to call a line stalled that moves at these times (seconds, from the start).
    async fn stalls_after(progress: &Progress, moves: &[u64], size: u64) -> Duration {
        let start = tokio::time::Instant::now();
        let moving = async {
            for at in moves {
                tokio::time::sleep_until(start + Duration::from_secs(*at)).await;
                progress.touch();
            }
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = stalled(progress, Duration::from_secs(16), size) => start.elapsed(),
            () = moving => Duration::ZERO,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_line_that_moves_now_and_then_is_not_stalled_and_one_that_stops_is() {
        let second = Duration::from_secs(1);
        for (moves, least) in [(&[][..], 16), (&[10, 25, 40, 55], 71)] {
            let took = stalls_after(&Progress::default(), moves, 100).await;
            assert!(took >= second * least && took <= second * (least + 2), "{moves:?}: {took:?}");
        }
        // All is handed over, and the system may still be sending it.
        let all = Progress { handed: AtomicU64::new(32 * SLOWEST_LINE), moves: AtomicU64::new(1) };
        let took = stalls_after(&all, &[], 32 * SLOWEST_LINE).await;
        assert!(took >= second * 48 && took <= second * 50, "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn time_in_which_this_process_did_not_run_is_no_stall() {
        let progress = Progress::default();
        let watch = stalled(&progress, Duration::from_secs(16), 100);
        tokio::pin!(watch);
        // As after a suspension, or on a machine with too much to do: the timers are all late at once.
        for _ in 0..8 {
            tokio::select! {
                biased;
                () = watch.as_mut() => panic!("eight looks of sixteen, and it is called stalled"),
                () = std::future::ready(()) => {}
            }
            tokio::time::advance(Duration::from_secs(60)).await;
        }
    }
}
