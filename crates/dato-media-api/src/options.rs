//! How to reach the API.
//!
//! Owns: what the owner of a client decides. Never does: reading configuration, opening anything.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;

use super::Pacer;

/// The owner's count of calls.
pub trait Ledger: Send + Sync {
    /// Asked before every call that is about to go out; counts it when it may go.
    fn admit(&self) -> Admission;
    /// A call that was counted never reached the API.
    fn give_back(&self);
}

/// What the owner's budget says to one more call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// Make it; it is counted.
    Go,
    /// Ask again after this long.
    Later(Duration),
    /// No call is left for this month.
    Spent,
}

/// How to reach the API.
pub struct Options {
    /// For example `https://site-api.datocms.com`. Plain http only for loopback.
    pub base_url: String,
    /// The API token.
    pub token: SecretString,
    /// The environment; `None` for the primary one.
    pub environment: Option<String>,
    /// Part of the told rate limit to use at most, 0 to 1. Ignored when `pacer` is given.
    pub rate_share: f64,
    /// Bytes per second to the bucket, over all uploads of this client and its clones; `None` for no cap.
    pub upload_bandwidth: Option<u64>,
    /// `User-Agent`; `None` for our own.
    pub user_agent: Option<String>,
    /// The pacer shared by all clients of one (base URL, token) in this process; `None` makes one for this client.
    pub pacer: Option<Arc<Pacer>>,
    /// The owner's count, and its budget.
    pub ledger: Option<Arc<dyn Ledger>>,
    /// How long to wait for what.
    pub timeouts: Timeouts,
}

impl Options {
    /// The defaults for a base URL and a token.
    #[must_use]
    pub fn new(base_url: impl Into<String>, token: SecretString) -> Self {
        Self {
            base_url: base_url.into(),
            token,
            environment: None,
            rate_share: 0.8,
            upload_bandwidth: None,
            user_agent: None,
            pacer: None,
            ledger: None,
            timeouts: Timeouts::default(),
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("base_url", &self.base_url)
            .field("environment", &self.environment)
            .finish_non_exhaustive()
    }
}

/// How long to wait for what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// For a connection.
    pub connect: Duration,
    /// For one API call, from send to the end of its answer.
    pub call: Duration,
    /// For an upload that does not move. There is no limit on an upload that does.
    pub stall: Duration,
    /// For a job that a call follows inside.
    pub job: Duration,
    /// Half the longest wait before the first retry; later ones double, up to sixteen times this.
    pub backoff: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            call: Duration::from_secs(30),
            stall: Duration::from_secs(60),
            job: Duration::from_secs(300),
            backoff: Duration::from_millis(500),
        }
    }
}
