//! The one transport for all API calls.
//!
//! Owns: headers, budget, pacing, and sending again what is safe to send again. One attempt is `attempt`'s, following a job
//! `follow`'s: any call may be answered by one.
//! Never does: knowing what a call means (that is `client`, its siblings and `wire`); letting a URL or the token into an error.

mod attempt;
mod follow;

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderMap, HeaderValue};
use reqwest::{Client, ClientBuilder, Method, Url};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;

use super::answer::causes;
use super::answered_by::AnsweredBy;
use super::bandwidth::Bandwidth;
use super::error::{ApiError, ApiErrorKind};
use super::learned::Learned;
use super::pace::Pacer;
use super::permit::{BudgetPermit, CallPermit, NotDone};
use super::retry::{self, Effect, Failure, Verdict};
use super::schedule::Latency;
use super::{Admission, JobId, Ledger, Options, Timeouts};

/// The longest part of a wait for the owner's leave.
const LONGEST_NAP: Duration = Duration::from_secs(60);

/// What all clones of a `Client` share.
pub(super) struct Transport {
    pub(super) base: Url,
    api: Client,
    pub(super) bucket: Client,
    pub(super) pacer: Arc<Pacer>,
    pub(super) bandwidth: Arc<Bandwidth>,
    pub(super) timeouts: Timeouts,
    pub(super) learned: Learned,
    pub(super) answered_by: AnsweredBy,
    /// The last upload met a bucket that hung up or sent it elsewhere: the next one listens before it sends.
    pub(super) wary: AtomicBool,
    ledger: Option<Arc<dyn Ledger>>,
    token: SecretString,
    job_latency: Mutex<Latency>,
    pub(super) requests: AtomicU64,
    pub(super) throttled: AtomicU64,
    pub(super) retried: AtomicU64,
    pub(super) bytes_uploaded: AtomicU64,
    /// Seconds; `i64::MIN` before the service told its time.
    pub(super) clock_ahead: AtomicI64,
    /// It was said that the rate limit's headers are odd.
    said_odd: AtomicBool,
}

/// One call.
pub(super) struct Call {
    pub(super) method: Method,
    /// Path segments below the base URL; each is escaped.
    pub(super) path: Vec<String>,
    /// The query as it goes on the wire, escaped.
    pub(super) query: String,
    pub(super) body: Option<Value>,
    pub(super) effect: Effect,
    /// Whoever says that it is not there says "not yet".
    may_be_missing: bool,
    /// Whoever says that its URL is too long is believed: it asks for less then.
    may_be_shorter: bool,
}

impl Call {
    pub(super) fn get(path: &[&str]) -> Self {
        Self::new(Method::GET, path, Effect::Idempotent)
    }

    pub(super) fn new(method: Method, path: &[&str], effect: Effect) -> Self {
        let path = path.iter().map(|&segment| segment.to_owned()).collect();
        Self { method, path, query: String::new(), body: None, effect, may_be_missing: false, may_be_shorter: false }
    }

    /// Changes many assets at once: what is too many for it is too many again.
    fn is_bulk(&self) -> bool {
        self.path.get(1).is_some_and(|segment| segment == "bulk")
    }

    /// `it`: what it asks for can be asked in parts.
    pub(super) fn may_be_shorter(mut self, it: bool) -> Self {
        self.may_be_shorter = it;
        self
    }

    pub(super) fn body(mut self, body: Value) -> Self {
        self.body = Some(body);
        self
    }

    pub(super) fn query(mut self, query: impl Into<String>) -> Self {
        self.query = query.into();
        self
    }
}

/// A good answer.
pub(super) enum Reply {
    /// The result itself, `Null` when there is none, and the answer's request id.
    Document(Value, Option<String>),
    /// It comes later.
    Job(JobId),
}

struct Attempt {
    failure: Failure,
    error: ApiError,
    /// From the grant on.
    took: Duration,
}

impl Transport {
    pub(super) fn open(options: Options) -> Result<Self, ApiError> {
        let setup = |text: String| ApiError::new(ApiErrorKind::Setup, text);
        let base = Url::parse(&options.base_url).map_err(|error| setup(format!("base_url is no URL: {error}")))?;
        let loopback = is_loopback(&base);
        match base.scheme() {
            "https" => {}
            "http" if loopback => {}
            _ => return Err(setup("base_url must be https (plain http only for loopback)".into())),
        }
        let mut headers = HeaderMap::new();
        let mut token = HeaderValue::from_str(&format!("Bearer {}", options.token.expose_secret().trim()))
            .map_err(|_| setup("the token holds characters that no token has".into()))?;
        token.set_sensitive(true);
        headers.insert(AUTHORIZATION, token);
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert("x-api-version", HeaderValue::from_static("3"));
        if let Some(environment) = &options.environment {
            let value = HeaderValue::from_str(environment)
                .map_err(|_| setup("the environment's name holds characters that no name has".into()))?;
            headers.insert("x-environment", value);
        }
        let agent = options.user_agent.unwrap_or_else(|| concat!("dato-media-api/", env!("CARGO_PKG_VERSION")).into());
        let timeouts = options.timeouts;
        let builder = || {
            Client::builder()
                .user_agent(agent.clone())
                .connect_timeout(timeouts.connect)
                .pool_idle_timeout(Duration::from_secs(15))
                // A redirect would turn a POST into a GET; this API sends none.
                .redirect(reqwest::redirect::Policy::none())
                .referer(false)
        };
        let api = || builder().default_headers(headers.clone());
        // One connection for each upload: over HTTP/2 they would share one flow window.
        // Nothing of a bucket's answer is worth unpacking.
        let bucket = || builder().http1_only().no_gzip();
        Ok(Self {
            api: build(api, &base)?,
            bucket: build(bucket, &base)?,
            base,
            pacer: options.pacer.unwrap_or_else(|| Pacer::new(options.rate_share)),
            bandwidth: Arc::new(Bandwidth::new(options.upload_bandwidth)),
            timeouts,
            learned: Learned::default(),
            answered_by: AnsweredBy::new(options.environment.as_deref()),
            wary: AtomicBool::new(false),
            ledger: options.ledger,
            token: options.token,
            job_latency: Mutex::new(Latency::default()),
            requests: AtomicU64::new(0),
            throttled: AtomicU64::new(0),
            retried: AtomicU64::new(0),
            bytes_uploaded: AtomicU64::new(0),
            clock_ahead: AtomicI64::new(i64::MIN),
            said_odd: AtomicBool::new(false),
        })
    }

    /// Sends a call, again where that is safe; gives the result or the job that will have it.
    pub(super) async fn send(&self, call: &Call) -> Result<Reply, ApiError> {
        self.send_from(call, None).await
    }

    /// As [`Transport::send`]; the first attempt has its permit already.
    async fn send_from(&self, call: &Call, mut permit: Option<CallPermit>) -> Result<Reply, ApiError> {
        let mut attempts = 0;
        let mut refusals = 0;
        let mut refused_since = None;
        let mut spent = Duration::ZERO;
        loop {
            let Attempt { failure, error, took } = match self.attempt(call, permit.take()).await? {
                Ok(reply) => return Ok(reply),
                Err(failed) => failed,
            };
            let exhausted = match retry::classify(failure, call.effect) {
                Verdict::Fail => return Err(error),
                Verdict::OutcomeUnknown => return Err(error.with_outcome_unknown()),
                Verdict::AgainPaced => {
                    refusals += 1;
                    let since = *refused_since.get_or_insert_with(Instant::now);
                    refusals >= retry::MAX_REFUSALS || since.elapsed() >= retry::MAX_REFUSED
                }
                Verdict::Again => {
                    attempts += 1;
                    spent += took;
                    attempts >= retry::MAX_ATTEMPTS || spent >= retry::MAX_SPENT
                }
            };
            if exhausted {
                return Err(error);
            }
            self.retried.fetch_add(1, Ordering::Relaxed);
            if failure != Failure::TooMany {
                tracing::debug!(method = %call.method, path = %call.path.join("/"), %error, attempts, "trying again");
                tokio::time::sleep(retry::backoff(attempts, self.timeouts.backoff, fastrand::f64())).await;
            }
        }
    }

    /// Sends a call once, with its permit in hand: whoever would send it again looks again before.
    pub(super) async fn send_once(&self, call: &Call, permit: CallPermit) -> Result<Reply, NotDone> {
        let Attempt { failure, error, .. } = match self.attempt(call, Some(permit)).await? {
            Ok(reply) => return Ok(reply),
            Err(failed) => failed,
        };
        let again = |paced| {
            self.retried.fetch_add(1, Ordering::Relaxed);
            tracing::debug!(method = %call.method, path = %call.path.join("/"), %error, "not executed");
            paced
        };
        Err(match retry::classify(failure, call.effect) {
            Verdict::Fail => NotDone::Final(error),
            Verdict::OutcomeUnknown => NotDone::Final(error.with_outcome_unknown()),
            Verdict::AgainPaced => NotDone::Again { paced: again(true), error },
            Verdict::Again => NotDone::Again { paced: again(false), error },
        })
    }

    /// Sends a call and follows its job, if there is one, to the result.
    pub(super) async fn result(&self, call: &Call) -> Result<Value, ApiError> {
        self.result_from(call, None).await
    }

    /// As [`Transport::result`]; the first attempt has its permit already.
    pub(super) async fn result_from(&self, call: &Call, permit: Option<CallPermit>) -> Result<Value, ApiError> {
        match self.send_from(call, permit).await? {
            Reply::Document(document, _) => Ok(document),
            Reply::Job(job) => self.follow(&job, call.effect).await,
        }
    }

    /// As [`Transport::send_once`], and follows its job to the result.
    pub(super) async fn result_once(&self, call: &Call, permit: CallPermit) -> Result<Value, NotDone> {
        match self.send_once(call, permit).await? {
            Reply::Document(document, _) => Ok(document),
            Reply::Job(job) => Ok(self.follow(&job, call.effect).await?),
        }
    }

    /// Waits for the owner's leave to make one call.
    pub(super) async fn budget_permit(&self) -> Result<BudgetPermit, ApiError> {
        self.admission().await?;
        Ok(BudgetPermit::new(self.ledger.clone()))
    }

    /// Waits until that call may go out.
    pub(super) async fn call_permit(&self, budget: BudgetPermit) -> CallPermit {
        budget.call(self.pacer.slot().await)
    }

    /// Waits for the owner's leave.
    async fn admission(&self) -> Result<(), ApiError> {
        let Some(ledger) = &self.ledger else { return Ok(()) };
        loop {
            match ledger.admit() {
                Admission::Go => return Ok(()),
                // Not all of a long wait at once: the month may end, or the clock be set.
                Admission::Later(wait) => tokio::time::sleep(wait.min(LONGEST_NAP)).await,
                Admission::Spent => {
                    return Err(ApiError::new(ApiErrorKind::Budget, "no call is left for this month"));
                }
            }
        }
    }
}

/// Over loopback without TLS the machine's certificates are not read: that takes longer than all else.
fn build(builder: impl Fn() -> ClientBuilder, base: &Url) -> Result<Client, ApiError> {
    let built = match (is_loopback(base), base.scheme()) {
        (true, "http") => builder().no_proxy().tls_certs_only([]).build(),
        (true, _) => builder().no_proxy().build(),
        (false, _) => builder().build(),
    };
    built.map_err(|error| ApiError::new(ApiErrorKind::Setup, causes(error)))
}

pub(super) fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || bare.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}
