//! Follows replaced assets' URLs until they serve the new bytes: `verify_live`.
//!
//! Owns: the task that asks, how often, and when to give up. A CDN may serve the old bytes for 5 to 10 minutes after a
//! replacement (media-area-api.md "Replacing the file"). No cache is told to look again, but what is asked for is the
//! original: what a visitor gets may be an optimised picture or a sanitised SVG, and of those nobody can tell whether
//! they are new. Where the original is refused, or other bytes come than the new and the old ones, it cannot be told.
//! These requests are no API calls: they carry no token and count against no budget. Never does: holding up a pass.

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
/// What asks for a file as it was uploaded.
const ORIGINAL: [(&str, &str); 2] = [("skip-default-optimizations", "true"), ("svg-sanitize", "false")];
/// The first pause and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(30));

/// What is known of a file's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bytes {
    /// Their digest.
    pub md5: Md5,
    /// How many.
    pub size: u64,
}

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
    /// What was there before; `None` where that is not known, and where the URL is new.
    pub old: Option<Bytes>,
    /// Projects can refuse to serve videos as they were uploaded.
    pub is_video: bool,
}

/// What a URL did in the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// It serves the new bytes, seen so long after the replacement.
    Live(Duration),
    /// It does not serve them yet; what it did at last.
    NotYet(String),
    /// Nobody can tell; why.
    CannotTell(String),
}

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Followed {
    /// The replacement.
    pub what: Replacement,
    /// What its URL did in the end.
    pub end: End,
}

impl Followed {
    /// Says it in the log.
    pub fn log(&self) {
        let Replacement { mirror, path, url, .. } = &self.what;
        match &self.end {
            End::Live(took) => tracing::info!(
                mirror,
                path,
                after = format!("{:.1} s", took.as_secs_f64()),
                "live: the URL serves the new bytes"
            ),
            End::CannotTell(cause) => tracing::info!(
                mirror,
                path,
                url,
                cause,
                "whether the URL serves the new bytes cannot be told; the asset itself has them"
            ),
            End::NotYet(cause) => tracing::warn!(
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
        let pause = pause(attempt);
        let is_over = since.elapsed() + pause > patience;
        if let Some(end) = seen.end(since.elapsed(), is_over) {
            return Some(Followed { what, end });
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

/// What one look at a URL showed.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Seen {
    /// The new bytes.
    New,
    /// The old ones, or nothing that could be the new ones.
    Old(String),
    /// Bytes that tell nothing yet: an older cache may still give way to the new ones.
    Neither(String),
    /// Asking again changes nothing.
    Refused(String),
}

impl Seen {
    /// Whether following ends with it.
    fn end(self, took: Duration, is_over: bool) -> Option<End> {
        match self {
            Self::New => Some(End::Live(took)),
            Self::Refused(why) => Some(End::CannotTell(why)),
            Self::Old(why) => is_over.then_some(End::NotYet(why)),
            Self::Neither(why) => is_over.then_some(End::CannotTell(why)),
        }
    }

    /// By an answer's status other than success.
    fn of_status(status: u16, what: &Replacement) -> Self {
        match status {
            422 if what.is_video => Self::Refused(
                "the project does not serve videos as they were uploaded (the URL answers with status 422)".to_owned(),
            ),
            422 => Self::Neither("the URL answers with status 422".to_owned()),
            status => Self::Old(format!("the URL answers with status {status}")),
        }
    }

    /// By what was served; `None` where its digest is not the last word on it.
    fn of_md5(md5: Md5, what: &Replacement) -> Option<Self> {
        match what.old {
            _ if md5 == what.md5 => Some(Self::New),
            Some(old) if old.md5 == md5 => Some(Self::old()),
            _ => None,
        }
    }

    /// By the number of bytes; `None` where the bytes themselves have to be looked at.
    fn of_size(size: u64, what: &Replacement) -> Option<Self> {
        match what.old {
            _ if size == what.size => None,
            Some(old) if old.size != size => Some(Self::neither()),
            _ => Some(Self::old()),
        }
    }

    /// Other bytes than the new ones.
    fn of_others(what: &Replacement) -> Self {
        if what.old.is_some() { Self::neither() } else { Self::old() }
    }

    fn old() -> Self {
        Self::Old("the URL still serves other bytes".to_owned())
    }

    fn neither() -> Self {
        Self::Neither(
            "the URL serves neither the new bytes nor the old ones: it may change files on their way out".to_owned(),
        )
    }
}

/// The URL at which the original is asked for.
fn original(url: &str) -> String {
    let Ok(mut asked) = Url::parse(url) else { return url.to_owned() };
    asked.query_pairs_mut().extend_pairs(ORIGINAL);
    asked.into()
}

/// What the URL serves.
async fn look(client: &Client, what: &Replacement) -> Seen {
    let url = original(&what.url);
    let head = match ask(client, Method::HEAD, &url).await {
        Ok(head) => head,
        Err(why) => return Seen::Old(why),
    };
    match head.status().as_u16() {
        200 => {}
        // Some servers know no HEAD.
        405 | 501 => return compare_bytes(client, &url, what).await,
        status => return Seen::of_status(status, what),
    }
    // An ETag that fits neither may be made of something else than the bytes.
    if let Some(seen) = etag(&head).and_then(|md5| Seen::of_md5(md5, what)) {
        return seen;
    }
    let length = head.headers().get("content-length").and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    match length.and_then(|length| Seen::of_size(length, what)) {
        Some(seen) => seen,
        None => compare_bytes(client, &url, what).await,
    }
}

async fn compare_bytes(client: &Client, url: &str, what: &Replacement) -> Seen {
    let mut response = match ask(client, Method::GET, url).await {
        Ok(response) => response,
        Err(why) => return Seen::Old(why),
    };
    if !response.status().is_success() {
        return Seen::of_status(response.status().as_u16(), what);
    }
    let most = what.old.map_or(what.size, |old| old.size.max(what.size));
    let (mut hasher, mut size) = (Md5Hasher::new(), 0_u64);
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) => {
                size += chunk.len() as u64;
                if size > most {
                    return Seen::of_others(what);
                }
                hasher.update(&chunk);
            }
            Ok(None) => break,
            Err(error) => return Seen::Old(words(&error)),
        }
    }
    Seen::of_md5(hasher.finish(), what).unwrap_or_else(|| Seen::of_others(what))
}

async fn ask(client: &Client, method: Method, url: &str) -> Result<Response, String> {
    client.request(method, url).send().await.map_err(|error| words(&error))
}

fn words(error: &reqwest::Error) -> String {
    let cause = if error.is_timeout() { "no answer in time" } else { "the connection failed" };
    format!("the URL gives no answer: {cause}")
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
        Refuses,
    }

    /// Serves "old" to the first `stale` requests, then "new"; gives its URL and how many requests came.
    async fn server(kind: Kind, stale: u32) -> (String, Arc<AtomicU32>) {
        let asked = Arc::new(AtomicU32::new(0));
        let count = asked.clone();
        let answer = move |request: Request| {
            let bytes = if count.fetch_add(1, Ordering::SeqCst) < stale { "old" } else { "new" };
            assert_eq!(request.uri().query(), Some("skip-default-optimizations=true&svg-sanitize=false"));
            let etag = format!("\"{}\"", Md5::of(bytes.as_bytes()));
            let answer: Answer = match kind {
                Kind::Etags => ([("etag", etag)], bytes).into_response(),
                Kind::NoHead if request.method() == Method::HEAD => StatusCode::METHOD_NOT_ALLOWED.into_response(),
                Kind::NoEtags | Kind::NoHead => ([("etag", "\"v1\"")], bytes).into_response(),
                Kind::Fails => StatusCode::NOT_FOUND.into_response(),
                Kind::Refuses => StatusCode::UNPROCESSABLE_ENTITY.into_response(),
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
        let (md5, size) = (Md5::of(bytes.as_bytes()), bytes.len() as u64);
        Replacement { mirror, path, url: url.into(), md5, size, old: None, is_video: false }
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
            assert!(matches!(ends.as_slice(), [Followed { end: End::Live(_), .. }]), "{ends:?}");
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
            assert!(
                matches!(ends.as_slice(), [Followed { end: End::NotYet(why), .. }] if why.contains(words)),
                "{ends:?}"
            );
        }
        let gone = ends(vec![replacement("http://127.0.0.1:1/a", "x")], Duration::from_millis(1)).await;
        assert!(
            matches!(gone.as_slice(), [Followed { end: End::NotYet(why), .. }] if why.contains("no answer")),
            "{gone:?}"
        );
    }

    fn bytes(text: &str) -> Bytes {
        Bytes { md5: Md5::of(text.as_bytes()), size: text.len() as u64 }
    }

    #[tokio::test]
    async fn bytes_that_fit_neither_the_new_nor_the_old_content_cannot_be_told() {
        // (how the server answers, what was there before, whether it is known to be old)
        let cases = [
            (Kind::Etags, "old", true),
            (Kind::NoEtags, "old", true),
            (Kind::NoHead, "old", true),
            (Kind::Etags, "xyz", false),
            (Kind::NoEtags, "longer", false),
            (Kind::NoEtags, "xyz", false),
            (Kind::NoHead, "xyz", false),
        ];
        for (kind, before, is_old) in cases {
            let (url, _) = server(kind, u32::MAX).await;
            let what = Replacement { old: Some(bytes(before)), ..replacement(&url, "new") };
            let ends = ends(vec![what], Duration::from_millis(300)).await;
            let ok = match &ends[0].end {
                End::NotYet(why) => is_old && why.contains("still serves other bytes"),
                End::CannotTell(why) => !is_old && why.contains("neither"),
                End::Live(_) => false,
            };
            assert!(ok, "{before}: {ends:?}");
        }
    }

    #[tokio::test]
    async fn a_refused_raw_video_ends_the_wait_at_once() {
        let (url, asked) = server(Kind::Refuses, 0).await;
        let ends = ends(vec![Replacement { is_video: true, ..replacement(&url, "new") }], PATIENCE_OF_DAEMON).await;
        assert!(matches!(&ends[0].end, End::CannotTell(why) if why.contains("422")), "{ends:?}");
        assert_eq!(asked.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn what_is_seen_ends_the_wait_or_does_not() {
        let text = || "why".to_owned();
        let took = Duration::from_secs(7);
        for (seen, now, at_last) in [
            (Seen::New, Some(End::Live(took)), Some(End::Live(took))),
            (Seen::Refused(text()), Some(End::CannotTell(text())), Some(End::CannotTell(text()))),
            (Seen::Old(text()), None, Some(End::NotYet(text()))),
            (Seen::Neither(text()), None, Some(End::CannotTell(text()))),
        ] {
            assert_eq!(seen.clone().end(took, false), now);
            assert_eq!(seen.end(took, true), at_last);
        }
        let what = Replacement { old: Some(bytes("longer")), ..replacement("u", "new") };
        for (size, old, seen) in [
            (3, true, None),
            (6, true, Some(Seen::old())),
            (5, true, Some(Seen::neither())),
            (3, false, None),
            (6, false, Some(Seen::old())),
        ] {
            let what = Replacement { old: what.old.filter(|_| old), ..what.clone() };
            assert_eq!(Seen::of_size(size, &what), seen, "{size} {old}");
        }
        assert_eq!(Seen::of_status(422, &Replacement { is_video: false, ..what }), {
            Seen::Neither("the URL answers with status 422".to_owned())
        });
        assert_eq!(
            original("https://a.example/1/a.svg?v=1"),
            "https://a.example/1/a.svg?v=1&skip-default-optimizations=true&svg-sanitize=false"
        );
        assert_eq!(original("no url"), "no url");
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
