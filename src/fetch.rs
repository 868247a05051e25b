//! Fetches files from URLs that a user's list names, without trusting list, server or name service.
//!
//! Owns: one GET with its redirects: http and https only, no private address (each address a name resolves to is looked
//! at, and the connection is made to just these), bounded size and time, a least speed, streamed to a file, asked again
//! only when it has changed. Never does: knowing what the files are for.

pub mod address;
pub mod speed;

use std::error::Error;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::{Duration, Instant};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{ETAG, HeaderMap, HeaderName, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED, LOCATION};
use reqwest::{Client, Response, StatusCode, Url};
use tokio::io::AsyncWriteExt as _;

use crate::model::{Advice, Md5, Md5Hasher, Promise};
use address::is_public;
use speed::{LEAST, Least, Speed};

/// Redirects followed at most.
const REDIRECTS: usize = 5;
/// For the connection; and for the next bytes of an answer.
const CONNECT: Duration = Duration::from_secs(10);
const SILENCE: Duration = Duration::from_secs(30);
/// For everything together: a server that sends a byte now and then must not hold a run for ever.
const WHOLE: Duration = Duration::from_secs(3600);

/// What a server told to recognise a version of a file by.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Validators {
    /// `ETag`.
    pub etag: Option<String>,
    /// `Last-Modified`.
    pub modified: Option<String>,
}

/// What came of asking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fetched {
    /// It is the version known.
    Unchanged,
    /// It was written to the file.
    New {
        /// Its digest.
        md5: Md5,
        /// To ask with the next time.
        validators: Validators,
    },
}

/// Why it could not be fetched. Names the host at most: a URL may hold a secret.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The URL is none, or not one that is fetched.
    #[error("the URL {0}")]
    Url(&'static str),
    /// The host is not of the public internet.
    #[error("{host} is at the private address {address}, which is not fetched from")]
    Private {
        /// The host.
        host: String,
        /// Its address.
        address: IpAddr,
    },
    /// The server refused.
    #[error("{host} answered with status {status}")]
    Status {
        /// The host.
        host: String,
        /// HTTP status.
        status: u16,
    },
    /// More bytes than an asset may have.
    #[error("the file is larger than {limit} bytes")]
    TooLarge {
        /// Bytes.
        limit: u64,
    },
    /// There is no room for it among the fetched files.
    #[error("the files fetched and not yet mirrored fill the {limit} bytes that are kept of fetched files")]
    NoRoom {
        /// Bytes.
        limit: u64,
    },
    /// It would take days.
    #[error("{host} sends too slowly: {bytes} bytes in the last {seconds} s")]
    TooSlow {
        /// The host.
        host: String,
        /// What came.
        bytes: u64,
        /// In how long.
        seconds: u64,
    },
    /// No answer, or a broken one.
    #[error("{host} cannot be reached or broke off: {cause}")]
    Network {
        /// The host.
        host: String,
        /// What the network said.
        cause: String,
    },
    /// The file cannot be written.
    #[error("the file cannot be kept: {0}")]
    Disk(#[from] std::io::Error),
}

impl FetchError {
    /// What to do about it.
    #[must_use]
    pub fn advice(&self) -> Advice {
        match self {
            Self::Url(_) => "correct the url".into(),
            Self::Private { .. } => {
                "name a public address; or set allow_private_urls = true for this mirror, if all who may write into its \
                 folder may reach your network"
                    .into()
            }
            Self::Status { .. } => "open the URL in a browser; correct it, or take it off the list".into(),
            Self::TooLarge { .. } => "the service takes files of up to 1 GB: link to a smaller one".into(),
            Self::NoRoom { .. } => Advice::again_then("raise remote_cache in [state] if it does not pass"),
            Self::TooSlow { .. } => Advice::around(
                "",
                Promise::AfterLongerPauses,
                "tell whoever runs the server, or take it off the list",
            ),
            Self::Network { .. } => Advice::again_then("check the host's name and your network"),
            Self::Disk(_) => "check the disk that holds the index".into(),
        }
    }
}

/// Fetches.
#[derive(Debug, Clone)]
pub struct Fetcher {
    client: Client,
    allow_private: bool,
    least: Least,
}

/// Where the bytes of a file may lie, and how many.
pub trait Room: Sync {
    /// Takes room for more bytes; false when there is none.
    fn take(&self, bytes: u64) -> bool;

    /// The bytes there are in all.
    fn limit(&self) -> u64;
}

impl Fetcher {
    /// Sets it up. Without private addresses no proxy is used: what a proxy connects to cannot be looked at.
    ///
    /// # Errors
    /// When there is no certificate store.
    pub fn new(allow_private: bool) -> Result<Self, FetchError> {
        let mut builder = Client::builder()
            .user_agent(concat!("dato-mirror/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT)
            .read_timeout(SILENCE)
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .no_gzip();
        if !allow_private {
            builder = builder.no_proxy().dns_resolver(PublicOnly);
        }
        let client = builder.build().map_err(|error| FetchError::Network {
            host: "the client".into(),
            cause: error.without_url().to_string(),
        })?;
        Ok(Self { client, allow_private, least: LEAST })
    }

    /// Fetches `url` into the new file `into`, unless it is still the version of `known`.
    ///
    /// # Errors
    /// See [`FetchError`]; nothing of `into` is of use then.
    pub async fn fetch(
        &self,
        url: &str,
        known: &Validators,
        into: &Path,
        limit: u64,
        room: &dyn Room,
    ) -> Result<Fetched, FetchError> {
        let host = checked(url)?.host_str().unwrap_or_default().to_owned();
        let whole = tokio::time::timeout(WHOLE, self.fetch_all(url, known, into, limit, room)).await;
        let cause = || format!("not all of it came within {} min", WHOLE.as_secs() / 60);
        whole.unwrap_or_else(|_| Err(FetchError::Network { host, cause: cause() }))
    }

    async fn fetch_all(
        &self,
        url: &str,
        known: &Validators,
        into: &Path,
        limit: u64,
        room: &dyn Room,
    ) -> Result<Fetched, FetchError> {
        let mut url = checked(url)?;
        for _ in 0..=REDIRECTS {
            let host = url.host_str().unwrap_or_default().to_owned();
            let answer = self.ask(&url, &host, known).await?;
            let status = answer.status();
            if status == StatusCode::NOT_MODIFIED && *known != Validators::default() {
                return Ok(Fetched::Unchanged);
            }
            if status.is_redirection() {
                let target =
                    text(answer.headers(), &LOCATION).ok_or(FetchError::Status { host, status: status.as_u16() })?;
                url = url.join(&target).map_err(|_| FetchError::Url("redirects to what is no URL"))?;
                url = checked(url.as_str())?;
                continue;
            }
            if status != StatusCode::OK {
                return Err(FetchError::Status { host, status: status.as_u16() });
            }
            let validators =
                Validators { etag: text(answer.headers(), &ETAG), modified: text(answer.headers(), &LAST_MODIFIED) };
            let md5 = self.save(answer, &host, into, limit, room).await?;
            return Ok(Fetched::New { md5, validators });
        }
        Err(FetchError::Url("leads from one redirect to the next"))
    }

    async fn ask(&self, url: &Url, host: &str, known: &Validators) -> Result<Response, FetchError> {
        // A literal address is never resolved, so it is looked at here.
        let literal = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        if let Some(address) = literal.ok().filter(|address| !self.allow_private && !is_public(*address)) {
            return Err(FetchError::Private { host: host.to_owned(), address });
        }
        let mut call = self.client.get(url.clone());
        for (name, value) in [(IF_NONE_MATCH, &known.etag), (IF_MODIFIED_SINCE, &known.modified)] {
            if let Some(value) = value {
                call = call.header(name, value);
            }
        }
        call.send().await.map_err(|error| broken(host, error))
    }

    async fn save(
        &self,
        mut answer: Response,
        host: &str,
        into: &Path,
        limit: u64,
        room: &dyn Room,
    ) -> Result<Md5, FetchError> {
        if answer.content_length().is_some_and(|length| length > limit) {
            return Err(FetchError::TooLarge { limit });
        }
        let mut file =
            tokio::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(into).await?;
        let mut hasher = Md5Hasher::new();
        let mut speed = Speed::new(self.least, Instant::now());
        let mut bytes = 0;
        loop {
            let chunk = tokio::select! {
                chunk = answer.chunk() => chunk.map_err(|error| broken(host, error))?,
                () = tokio::time::sleep_until(speed.next_look().into()) => {
                    self.check(&mut speed, host)?;
                    continue;
                }
            };
            let Some(chunk) = chunk else { break };
            let length = chunk.len() as u64;
            speed.came(length, Instant::now());
            self.check(&mut speed, host)?;
            bytes += length;
            if bytes > limit {
                return Err(FetchError::TooLarge { limit });
            }
            if !room.take(length) {
                return Err(FetchError::NoRoom { limit: room.limit() });
            }
            hasher.update(&chunk);
            file.write_all(&chunk).await?;
        }
        file.flush().await?;
        Ok(hasher.finish())
    }

    fn check(&self, speed: &mut Speed, host: &str) -> Result<(), FetchError> {
        let seconds = self.least.within.as_secs();
        match speed.too_slow(Instant::now()) {
            Some(bytes) => Err(FetchError::TooSlow { host: host.to_owned(), bytes, seconds }),
            None => Ok(()),
        }
    }
}

/// A URL that is fetched at all.
fn checked(url: &str) -> Result<Url, FetchError> {
    let url = Url::parse(url).map_err(|_| FetchError::Url("is not a URL"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(FetchError::Url("must begin with http:// or https://"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(FetchError::Url("holds a user name or password, which does not belong into a shared folder"));
    }
    Ok(url)
}

fn text(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
}

/// The cause of a failed call, without the URL.
fn broken(host: &str, error: reqwest::Error) -> FetchError {
    let error = error.without_url();
    let mut cause: &(dyn Error + 'static) = &error;
    loop {
        if let Some(NotPublic(address)) = cause.downcast_ref::<NotPublic>() {
            return FetchError::Private { host: host.to_owned(), address: *address };
        }
        let Some(next) = cause.source() else { break };
        cause = next;
    }
    FetchError::Network { host: host.to_owned(), cause: cause.to_string() }
}

/// A name has an address that is not public.
#[derive(Debug, thiserror::Error)]
#[error("{0} is not a public address")]
struct NotPublic(IpAddr);

/// Resolves names, and gives only addresses that were looked at: what is connected to is what was checked. A name with
/// a single private address is refused as a whole.
#[derive(Debug)]
struct PublicOnly;

impl Resolve for PublicOnly {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            if let Some(private) = found.iter().find(|found| !is_public(found.ip())) {
                return Err(NotPublic(private.ip()).into());
            }
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use axum::Router;
    use axum::http::{HeaderMap, StatusCode};
    use axum::response::{IntoResponse as _, Redirect};
    use axum::routing::get;
    use tokio::io::AsyncReadExt as _;

    use super::*;

    /// So many bytes in all.
    struct Bytes(u64, Mutex<u64>);

    impl Room for Bytes {
        fn take(&self, bytes: u64) -> bool {
            let mut taken = self.1.lock().unwrap();
            *taken += bytes;
            *taken <= self.0
        }

        fn limit(&self) -> u64 {
            self.0
        }
    }

    fn room() -> Bytes {
        Bytes(1_000, Mutex::default())
    }

    async fn server() -> (String, Arc<Mutex<usize>>) {
        let asked = Arc::new(Mutex::new(0));
        let counted = asked.clone();
        let file = get(move |headers: HeaderMap| async move {
            *counted.lock().unwrap() += 1;
            if headers.get("if-none-match").is_some_and(|tag| tag == "\"1\"") {
                return StatusCode::NOT_MODIFIED.into_response();
            }
            ([("etag", "\"1\"")], "content").into_response()
        });
        let router = Router::new()
            .route("/file", file)
            .route("/moved", get(|| async { Redirect::temporary("/file") }))
            .route("/loop", get(|| async { Redirect::temporary("/loop") }))
            .route("/away", get(|| async { Redirect::temporary("ftp://example.com/x") }));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        (base, asked)
    }

    #[tokio::test]
    async fn a_file_is_fetched_once_and_asked_after() {
        let (base, asked) = server().await;
        let dir = tempfile::tempdir().unwrap();
        let into = dir.path().join("f");
        let fetcher = Fetcher::new(true).unwrap();
        let known = Validators::default();
        let fetched = fetcher.fetch(&format!("{base}/moved"), &known, &into, 7, &room()).await.unwrap();
        let Fetched::New { md5, validators } = fetched else { panic!("{fetched:?}") };
        assert_eq!((md5, std::fs::read(&into).unwrap().as_slice()), (Md5::of(b"content"), &b"content"[..]));
        let again = fetcher.fetch(&format!("{base}/file"), &validators, &into, 7, &room()).await.unwrap();
        assert_eq!(again, Fetched::Unchanged);
        assert_eq!(*asked.lock().unwrap(), 2);
        let wrong = |path: &str| format!("{base}{path}");
        for (url, limit, part) in [
            (wrong("/file"), 6, "larger than 6 bytes"),
            (wrong("/nothing"), 7, "status 404"),
            (wrong("/loop"), 7, "redirect to the next"),
            (wrong("/away"), 7, "must begin with http"),
            ("file:///etc/passwd".into(), 7, "must begin with http"),
            ("http://u:p@example.com/".into(), 7, "holds a user name"),
            ("nonsense".into(), 7, "is not a URL"),
        ] {
            let error = fetcher.fetch(&url, &known, &into, limit, &room()).await.unwrap_err().to_string();
            assert!(error.contains(part), "{url}: {error}");
        }
    }

    #[tokio::test]
    async fn a_file_that_finds_no_room_or_never_ends_is_given_up() {
        let (base, _) = server().await;
        let dir = tempfile::tempdir().unwrap();
        let (into, known) = (dir.path().join("f"), Validators::default());
        let mut fetcher = Fetcher::new(true).unwrap();
        let small = Bytes(6, Mutex::default());
        let error = fetcher.fetch(&format!("{base}/file"), &known, &into, 7, &small).await.unwrap_err();
        assert!(matches!(error, FetchError::NoRoom { limit: 6 }), "{error}");
        // The server sends one byte and then nothing for ever, so that the time given does not matter.
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let drip = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut asked = Vec::new();
            while !asked.ends_with(b"\r\n\r\n") {
                stream.read_buf(&mut asked).await.unwrap();
            }
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\nc").await.unwrap();
            std::future::pending::<()>().await;
        });
        fetcher.least = Least { bytes: 2, within: Duration::from_millis(50) };
        let error = fetcher.fetch(&format!("http://{address}/"), &known, &into, 7, &room()).await.unwrap_err();
        assert!(matches!(error, FetchError::TooSlow { bytes: 0 | 1, .. }), "{error}");
        drip.abort();
    }

    #[tokio::test]
    async fn a_private_address_is_refused_by_number_and_by_name_and_never_asked() {
        let (base, asked) = server().await;
        let dir = tempfile::tempdir().unwrap();
        let fetcher = Fetcher::new(false).unwrap();
        let port = base.rsplit(':').next().unwrap();
        for host in ["127.0.0.1", "localhost", "[::1]", "2130706433", "0x7f.1", "[::ffff:127.0.0.1]"] {
            let url = format!("http://{host}:{port}/file");
            let error =
                fetcher.fetch(&url, &Validators::default(), &dir.path().join("f"), 7, &room()).await.unwrap_err();
            assert!(matches!(error, FetchError::Private { .. }), "{host}: {error}");
        }
        assert_eq!(*asked.lock().unwrap(), 0);
    }
}
