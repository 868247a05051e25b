//! What calls that change something take and give.
//!
//! Owns: the values. Never does: their JSON (that is `wire`).

use crate::{ApiError, Metadata, Upload, UploadId};

/// The id of a job of the service (recorded: 24 hexadecimal digits).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobId(String);

impl JobId {
    /// An id the service told us.
    #[must_use]
    pub fn new(id: impl Into<String>) -> Self {
        Self(id.into())
    }

    /// As the service spells it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// How a job stands.
#[derive(Debug, Clone, PartialEq)]
pub enum JobState<S = ()> {
    /// Still running (or unknown to the service: it says the same for both).
    Pending,
    /// Done; with the asset, when its payload is one.
    Done(Option<Box<Upload<S>>>),
    /// Ended with an error: nothing was changed.
    Failed(ApiError),
}

/// What became of a call that changes an asset.
#[derive(Debug, Clone, PartialEq)]
pub enum Accepted<S = ()> {
    /// Done at once.
    Done(Box<Upload<S>>),
    /// Taken on; see [`JobFollower`](super::JobFollower) and [`Client::job`](super::Client::job).
    Job(JobId),
}

/// A new asset.
#[derive(Debug, Clone, PartialEq)]
pub struct NewUpload<S = ()> {
    /// Its client-made id.
    pub id: UploadId,
    /// The path of the ticket its bytes were sent with.
    pub path: String,
    /// Its metadata.
    pub metadata: Metadata<S>,
}

/// What happens to the URL when an asset's file is replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplaceStrategy {
    /// The same path and URL. Needs the same file format, and no custom storage.
    KeepUrl,
    /// A new path and URL.
    NewUrl,
}

/// A change of an asset; what is `None` stays.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct UploadChange<S = ()> {
    /// The path of the ticket that new bytes were sent with.
    pub path: Option<String>,
    /// What happens to the URL then.
    pub strategy: Option<ReplaceStrategy>,
    /// A new name without extension; changes path and URL.
    pub basename: Option<String>,
    /// New metadata.
    pub metadata: Option<Metadata<S>>,
}

/// What this client and its clones have used so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// API calls sent, every attempt counted; what the monthly quota counts.
    pub api_requests: u64,
    /// Bytes of files that arrived in the bucket.
    pub bytes_uploaded: u64,
    /// Calls a window (3 s), as told by the service.
    pub rate_limit: Option<u32>,
    /// 429 answers.
    pub throttled: u64,
    /// Calls sent again after a failure.
    pub retried: u64,
}
