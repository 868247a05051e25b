//! A typed client of DatoCMS's media area.
//!
//! Owns: every call about uploads, their files, metadata, tracks and collections, each as one method that takes and gives plain
//! nouns ([`Upload`], [`Site`], [`Collection`], [`Track`]); the pace of the calls, their retries, the jobs that answer them,
//! and both shapes of an upload's metadata.
//! Never does: deciding what to call, remembering anything across runs, reading configuration, printing.
//!
//! What holds for all calls: the [`Pacer`] is asked first; what is safe to send again is sent again inside; an error that
//! is [`outcome_unknown`](ApiError::outcome_unknown) may have changed the media area, so look before sending again; any call may be answered
//! by a job, which is followed inside unless the method gives [`Accepted`].
//!
//! A program may leave a note of its own on an upload, see [`Stamp`]; one that leaves none works with [`Client`] as it is.
//!
//! Sources of what is said of the service: the documentation of its Content Management API ("Upload", "Upload track",
//! "Upload collection", "Site", "Job result", "Errors", "Rate limits", <https://www.datocms.com/docs/content-management-api>),
//! its official client (`@datocms/cma-client`), and recorded answers. Where a comment says "unconfirmed", neither tells.

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

mod answer;
mod answered_by;
mod bandwidth;
mod bucket;
mod bulk;
mod change;
mod client;
mod digest;
mod error;
mod field;
mod http;
mod job;
mod learned;
mod limit;
mod list;
mod listing;
mod options;
mod pace;
mod permit;
mod plan;
mod proof;
mod rate_headers;
mod retry;
mod role;
mod schedule;
mod site;
mod stamp;
#[cfg(test)]
mod tests;
mod tracks;
mod upload;
mod upload_id;
mod visibility;
mod wire;

pub use bucket::{FileToSend, OpenFile, SendError, Sent, UploadTicket};
pub use bulk::{BulkOutcome, Collection, Environment, Reference};
pub use change::{Accepted, JobId, JobState, NewUpload, ReplaceStrategy, UploadChange, Usage};
pub use client::Client;
pub use digest::{Md5, Md5Hasher, ParseMd5Error};
pub use error::{ApiError, ApiErrorKind, Retry, Scope};
pub use field::{FieldKey, Fields, ParseFieldKeyError};
pub use job::{Ask, Confirmed, Expect, JobFollower, Resolved};
pub use listing::{BatchLimits, ListFilter, ListQuery, Listed, Order, PAGE_LIMIT, Page, Walk};
pub use options::{Admission, Ledger, Options, Timeouts};
pub use pace::{Pace, Pacer};
pub use permit::{BudgetPermit, CallPermit, NotDone};
pub use plan::{PlanLimit, Storage, SubscriptionLimit};
pub use role::{ACTIONS, Allowed, Extent, Role};
pub use site::{MetadataShape, Site};
pub use stamp::Stamp;
pub use tracks::{NewTrack, Track, TrackKind};
pub use upload::{Antivirus, CollectionId, Upload};
pub use upload_id::UploadId;
pub use wire::metadata::Metadata;

/// The API token, in [`Options`].
pub use secrecy::SecretString;
/// What gives up an upload under way; see [`Client::put_file`].
pub use tokio_util::sync::CancellationToken;
