//! Fetches files from URLs that a user's list names, without trusting list, server or name service.
//!
//! Owns: one GET with its redirects: http and https only, no private address (each address a name resolves to is
//! looked at, and the connection is made to just these), bounded size and time, streamed to a file, asked again only
//! when it has changed.
//! Never does: knowing what the files are for. Called by: `pipeline::listed`.

pub mod address;

use std::error::Error;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{ETAG, HeaderMap, HeaderName, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED, LOCATION};
use reqwest::{Client, Response, StatusCode, Url};
use tokio::io::AsyncWriteExt as _;

use crate::model::{Md5, Md5Hasher};
use address::is_public;

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
    pub const fn advice(&self) -> &'static str {
        match self {
            Self::Url(_) => "correct the url",
            Self::Private { .. } => {
                "name a public address; or set allow_private_urls = true for this mirror, if all who may write into its \
                 folder may reach your network"
            }
            Self::Status { .. } => "open the URL in a browser; correct it, or take it off the list",
            Self::TooLarge { .. } => "the service takes files of up to 1 GB: link to a smaller one",
            Self::Network { .. } => "it is tried again; check the host's name and your network",
            Self::Disk(_) => "check the disk that holds the index",
        }
    }
}

/// Fetches.
#[derive(Debug, Clone)]
pub struct Fetcher {
    client: Client,
    allow_private: bool,
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
        Ok(Self { client, allow_private })
    }

    /// Fetches `url` into the new file `into`, unless it is still the version of `known`.
    ///
    /// # Errors
    /// See [`FetchError`]; nothing of `into` is of use then.
    pub async fn fetch(&self, url: &str, known: &Validators, into: &Path, limit: u64) -> Result<Fetched, FetchError> {
        let whole = tokio::time::timeout(WHOLE, self.fetch_all(url, known, into, limit)).await;
        whole.unwrap_or_else(|_| Err(FetchError::Network { host: "the server".into(), cause: "it takes hours".into() }))
    }

    async fn fetch_all(&self, url: &str, known: &Validators, into: &Path, limit: u64) -> Result<Fetched, FetchError> {
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
            let md5 = save(answer, &host, into, limit).await?;
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

async fn save(mut answer: Response, host: &str, into: &Path, limit: u64) -> Result<Md5, FetchError> {
    if answer.content_length().is_some_and(|length| length > limit) {
        return Err(FetchError::TooLarge { limit });
    }
    let mut file = tokio::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(into).await?;
    let mut hasher = Md5Hasher::new();
    let mut bytes = 0;
    while let Some(chunk) = answer.chunk().await.map_err(|error| broken(host, error))? {
        bytes += chunk.len() as u64;
        if bytes > limit {
            return Err(FetchError::TooLarge { limit });
        }
        hasher.update(&chunk);
        file.write_all(&chunk).await?;
    }
    file.flush().await?;
    Ok(hasher.finish())
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

    use super::*;

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
        let fetched = fetcher.fetch(&format!("{base}/moved"), &known, &into, 7).await.unwrap();
        let Fetched::New { md5, validators } = fetched else { panic!("{fetched:?}") };
        assert_eq!((md5, std::fs::read(&into).unwrap().as_slice()), (Md5::of(b"content"), &b"content"[..]));
        let again = fetcher.fetch(&format!("{base}/file"), &validators, &into, 7).await.unwrap();
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
            let error = fetcher.fetch(&url, &known, &into, limit).await.unwrap_err().to_string();
            assert!(error.contains(part), "{url}: {error}");
        }
    }

    #[tokio::test]
    async fn a_private_address_is_refused_by_number_and_by_name_and_never_asked() {
        let (base, asked) = server().await;
        let dir = tempfile::tempdir().unwrap();
        let fetcher = Fetcher::new(false).unwrap();
        let port = base.rsplit(':').next().unwrap();
        for host in ["127.0.0.1", "localhost", "[::1]", "2130706433", "0x7f.1", "[::ffff:127.0.0.1]"] {
            let url = format!("http://{host}:{port}/file");
            let error = fetcher.fetch(&url, &Validators::default(), &dir.path().join("f"), 7).await.unwrap_err();
            assert!(matches!(error, FetchError::Private { .. }), "{host}: {error}");
        }
        assert_eq!(*asked.lock().unwrap(), 0);
    }
}
