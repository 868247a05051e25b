//! Follows replaced assets' URLs until they serve the new bytes: `verify_live`.
//!
//! Owns: the task that asks, how often, and when to give up. A CDN may serve the old bytes for 5 to 10 minutes after a
//! replacement (media-area-api.md "Replacing the file"). What is asked is what a visitor gets: no cache is told to look
//! again. These requests are no API calls: they carry no token and count against no budget.
//! Never does: holding up a pass. Called by: `pipeline::pass` (handing over), `once` and the daemon (the task).

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use reqwest::{Client, Method, Response, Url};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::model::{Md5, Md5Hasher};

/// How long the daemon follows a URL.
pub const PATIENCE_OF_DAEMON: Duration = Duration::from_secs(900);
/// How long `--sync-once` follows a URL.
pub const PATIENCE_OF_ONCE: Duration = Duration::from_secs(60);
/// Replacements waiting to be followed.
const QUEUE: usize = 1024;
/// URLs asked at a time.
const AT_ONCE: usize = 8;
/// A request that takes longer counts as no answer.
const REQUEST: Duration = Duration::from_secs(60);
/// The first pause and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(30));

/// A replacement to follow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replacement {
    /// The mirror's name.
    pub mirror: String,
    /// The path's key.
    pub path: String,
    /// Where the asset is served.
    pub url: String,
    /// The new content.
    pub md5: Md5,
    /// Its bytes.
    pub size: u64,
}

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Followed {
    /// The replacement.
    pub what: Replacement,
    /// How long after the replacement the URL was seen to serve the new bytes; else what it did at last.
    pub end: Result<Duration, String>,
}

impl Followed {
    /// Says it in the log.
    pub fn log(&self) {
        let Replacement { mirror, path, url, .. } = &self.what;
        match &self.end {
            Ok(took) => tracing::info!(
                mirror,
                path,
                after = format!("{:.1} s", took.as_secs_f64()),
                "live: the URL serves the new bytes"
            ),
            Err(cause) => tracing::warn!(
                mirror,
                path,
                url,
                cause,
                "not live yet; a CDN may take 5 to 10 minutes, after that look at the asset in the CMS"
            ),
        }
    }
}

/// Hands replacements over. The task ends when the last handle is gone and nothing is followed any more.
#[derive(Debug, Clone)]
pub struct Verifier {
    queue: mpsc::Sender<(Replacement, Instant)>,
    plain_http: bool,
}

impl Verifier {
    /// Makes the handle, and the task for the caller to spawn. `base_url` is the API's: plain http is followed only where
    /// that is plain http, too, which is loopback. `tell` hears of every end.
    pub fn new(
        base_url: &str,
        patience: Duration,
        stop: CancellationToken,
        tell: impl Fn(Followed) + Send + 'static,
    ) -> (Self, impl Future<Output = ()> + Send + 'static) {
        let (queue, replaced) = mpsc::channel(QUEUE);
        let plain_http = base_url.starts_with("http:");
        (Self { queue, plain_http }, run(replaced, plain_http, patience, stop, tell))
    }

    /// Follows a replacement made just now. Never waits; with a full queue it is left out, which a log line tells.
    pub fn follow(&self, what: Replacement) {
        if !may_ask(&what.url, self.plain_http) {
            tracing::debug!(path = what.path, "the URL is not one to follow");
        } else if let Err(error) = self.queue.try_send((what, Instant::now())) {
            tracing::warn!("too many replacements at once to follow all their URLs: {error}");
        }
    }
}

fn may_ask(url: &str, plain_http: bool) -> bool {
    let Ok(url) = Url::parse(url) else { return false };
    let host = url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    let loopback = host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    match url.scheme() {
        "https" => true,
        "http" => plain_http && loopback,
        _ => false,
    }
}

async fn run(
    mut replaced: mpsc::Receiver<(Replacement, Instant)>,
    plain_http: bool,
    patience: Duration,
    stop: CancellationToken,
    tell: impl Fn(Followed),
) {
    let Some(client) = client(plain_http) else { return };
    let gate = Arc::new(Semaphore::new(AT_ONCE));
    let mut followed: JoinSet<Option<Followed>> = JoinSet::new();
    // A newer replacement of an asset ends the wait for an older one, whose bytes will never show.
    let mut current: HashMap<String, CancellationToken> = HashMap::new();
    let mut open = true;
    while open || !followed.is_empty() {
        tokio::select! {
            next = replaced.recv(), if open => match next {
                Some((what, since)) => {
                    let cancel = stop.child_token();
                    if let Some(older) = current.insert(what.url.clone(), cancel.clone()) {
                        older.cancel();
                    }
                    followed.spawn(follow(client.clone(), gate.clone(), what, since, patience, cancel));
                }
                None => open = false,
            },
            Some(end) = followed.join_next() => {
                if let Ok(Some(end)) = end {
                    current.remove(&end.what.url);
                    tell(end);
                }
            }
        }
    }
}

fn client(loopback: bool) -> Option<Client> {
    let builder = Client::builder()
        .user_agent(concat!("dato-mirror/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::limited(3))
        .timeout(REQUEST);
    let built = if loopback { builder.no_proxy().build() } else { builder.build() };
    built.inspect_err(|error| tracing::warn!("verify_live cannot work: {error}")).ok()
}

async fn follow(
    client: Client,
    gate: Arc<Semaphore>,
    what: Replacement,
    since: Instant,
    patience: Duration,
    cancel: CancellationToken,
) -> Option<Followed> {
    for attempt in 0.. {
        let seen = {
            let _turn = gate.acquire().await.ok()?;
            tokio::select! {
                seen = look(&client, &what) => seen,
                () = cancel.cancelled() => return None,
            }
        };
        let Err(seen) = seen else { return Some(Followed { what, end: Ok(since.elapsed()) }) };
        let pause = pause(attempt);
        if since.elapsed() + pause > patience {
            return Some(Followed { what, end: Err(seen) });
        }
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = cancel.cancelled() => return None,
        }
    }
    None
}

/// Doubling, half a minute at most.
fn pause(attempt: u32) -> Duration {
    let (first, longest) = PAUSES;
    first.saturating_mul(1 << attempt.min(16)).min(longest)
}

/// Whether the URL serves the new bytes; else what it does.
async fn look(client: &Client, what: &Replacement) -> Result<(), String> {
    let head = ask(client, Method::HEAD, &what.url).await?;
    match head.status().as_u16() {
        200 => {}
        // Some servers know no HEAD.
        405 | 501 => return compare_bytes(client, what).await,
        status => return Err(format!("the URL answers with status {status}")),
    }
    if let Some(md5) = etag(&head) {
        return if md5 == what.md5 { Ok(()) } else { Err(old()) };
    }
    let length = head.headers().get("content-length").and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    match length {
        Some(length) if length != what.size => Err(old()),
        _ => compare_bytes(client, what).await,
    }
}

async fn compare_bytes(client: &Client, what: &Replacement) -> Result<(), String> {
    let mut response = ask(client, Method::GET, &what.url).await?;
    if !response.status().is_success() {
        return Err(format!("the URL answers with status {}", response.status().as_u16()));
    }
    let (mut hasher, mut size) = (Md5Hasher::new(), 0_u64);
    while let Some(chunk) = response.chunk().await.map_err(|error| words(&error))? {
        size += chunk.len() as u64;
        if size > what.size {
            return Err(old());
        }
        hasher.update(&chunk);
    }
    if hasher.finish() == what.md5 { Ok(()) } else { Err(old()) }
}

async fn ask(client: &Client, method: Method, url: &str) -> Result<Response, String> {
    client.request(method, url).send().await.map_err(|error| words(&error))
}

fn words(error: &reqwest::Error) -> String {
    let cause = if error.is_timeout() { "no answer in time" } else { "the connection failed" };
    format!("the URL gives no answer: {cause}")
}

fn old() -> String {
    "the URL still serves other bytes".to_owned()
}

/// An ETag that is an MD5 digest; others say nothing about the bytes.
fn etag(response: &Response) -> Option<Md5> {
    let text = response.headers().get("etag")?.to_str().ok()?.trim();
    text.strip_prefix("W/").unwrap_or(text).trim_matches('"').parse().ok()
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicU32, Ordering};

    use axum::Router;
    use axum::extract::Request;
    use axum::http::StatusCode;
    use axum::response::{IntoResponse as _, Response as Answer};

    use super::*;

    /// How the server of a test answers.
    #[derive(Clone, Copy)]
    enum Kind {
        Etags,
        NoEtags,
        NoHead,
        Fails,
    }

    /// Serves "old" to the first `stale` requests, then "new"; gives its URL and how many requests came.
    async fn server(kind: Kind, stale: u32) -> (String, Arc<AtomicU32>) {
        let asked = Arc::new(AtomicU32::new(0));
        let count = asked.clone();
        let answer = move |request: Request| {
            let bytes = if count.fetch_add(1, Ordering::SeqCst) < stale { "old" } else { "new" };
            let etag = format!("\"{}\"", Md5::of(bytes.as_bytes()));
            let answer: Answer = match kind {
                Kind::Etags => ([("etag", etag)], bytes).into_response(),
                Kind::NoHead if request.method() == Method::HEAD => StatusCode::METHOD_NOT_ALLOWED.into_response(),
                Kind::NoEtags | Kind::NoHead => ([("etag", "\"v1\"")], bytes).into_response(),
                Kind::Fails => StatusCode::NOT_FOUND.into_response(),
            };
            std::future::ready(answer)
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/a.png", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, Router::new().fallback(answer)).await });
        (url, asked)
    }

    fn replacement(url: &str, bytes: &str) -> Replacement {
        let (mirror, path) = ("brand".to_owned(), "a.png".to_owned());
        Replacement { mirror, path, url: url.into(), md5: Md5::of(bytes.as_bytes()), size: bytes.len() as u64 }
    }

    async fn ends(what: Vec<Replacement>, patience: Duration) -> Vec<Followed> {
        let heard = Arc::new(Mutex::new(Vec::new()));
        let ends = heard.clone();
        let tell = move |end| ends.lock().unwrap().push(end);
        let (verifier, task) = Verifier::new("http://127.0.0.1:1", patience, CancellationToken::new(), tell);
        let task = tokio::spawn(task);
        what.into_iter().for_each(|one| verifier.follow(one));
        drop(verifier);
        task.await.unwrap();
        Arc::try_unwrap(heard).unwrap().into_inner().unwrap()
    }

    #[tokio::test]
    async fn the_new_bytes_are_seen_by_etag_and_without_one_by_content() {
        for (kind, stale) in [(Kind::Etags, 2), (Kind::NoEtags, 2), (Kind::NoHead, 3)] {
            let (url, asked) = server(kind, stale).await;
            let ends = ends(vec![replacement(&url, "new")], PATIENCE_OF_ONCE).await;
            assert!(matches!(ends.as_slice(), [Followed { end: Ok(_), .. }]), "{ends:?}");
            assert!(asked.load(Ordering::SeqCst) > stale);
        }
    }

    #[tokio::test]
    async fn what_never_comes_is_given_up_with_the_reason() {
        for (kind, bytes, words) in
            [(Kind::Etags, "other", "still serves other bytes"), (Kind::Fails, "new", "status 404")]
        {
            let (url, _) = server(kind, 0).await;
            let ends = ends(vec![replacement(&url, bytes)], Duration::from_millis(300)).await;
            assert!(matches!(ends.as_slice(), [Followed { end: Err(why), .. }] if why.contains(words)), "{ends:?}");
        }
        let gone = ends(vec![replacement("http://127.0.0.1:1/a", "x")], Duration::from_millis(1)).await;
        assert!(matches!(gone.as_slice(), [Followed { end: Err(why), .. }] if why.contains("no answer")), "{gone:?}");
    }

    #[tokio::test]
    async fn a_newer_replacement_ends_the_wait_for_the_older() {
        let (url, _) = server(Kind::Etags, 3).await;
        let ends = ends(vec![replacement(&url, "never"), replacement(&url, "new")], PATIENCE_OF_ONCE).await;
        assert_eq!(ends.iter().map(|end| end.what.md5).collect::<Vec<_>>(), [Md5::of(b"new")]);
    }

    #[test]
    fn only_safe_urls_are_asked_and_ever_more_seldom() {
        for (url, loopback_api, may) in [
            ("https://www.datocms-assets.com/205/a.png", false, true),
            ("http://www.datocms-assets.com/205/a.png", true, false),
            ("http://127.0.0.1:3999/a.png", true, true),
            ("http://127.0.0.1:3999/a.png", false, false),
            ("file:///etc/passwd", true, false),
            ("", true, false),
        ] {
            assert_eq!(may_ask(url, loopback_api), may, "{url}");
        }
        assert_eq!(pause(0), Duration::from_millis(250));
        assert_eq!(pause(3), Duration::from_secs(2));
        assert_eq!(pause(40), Duration::from_secs(30));
    }
}
