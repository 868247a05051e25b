//! The client of the media area, with the mirror's stamp on every asset.
//!
//! Owns: which types of `dato-media-api` the mirror uses, what it calls itself there, and what it adds to the client's advice. Never does: calls of its own; what
//! the service says and how it is asked is all in that crate.

mod advice;

use secrecy::SecretString;

use crate::model::Stamp;

pub use advice::{advice, advice_on_sending};
pub use dato_media_api::{
    ACTIONS, Admission, Allowed, ApiError, ApiErrorKind, Ask, BatchLimits, BudgetPermit, BulkOutcome, CallPermit,
    Collection, Environment, Extent, FileToSend, JobId, Ledger, ListFilter, ListQuery, Listed, NewTrack, NotDone,
    OpenFile, Options, Order, PAGE_LIMIT, Pace, Pacer, PlanLimit, Reference, ReplaceStrategy, Retry, Role, Scope,
    SendError, Sent, Storage, SubscriptionLimit, Timeouts, Track, UploadTicket, Usage, Walk,
};

/// A file of more bytes than this is refused by the service.
pub const MAX_FILE_BYTES: u64 = 1_000_000_000;

/// The client.
pub type Remote = dato_media_api::Client<Stamp>;
/// What became of a call that changes an asset.
pub type Accepted = dato_media_api::Accepted<Stamp>;
/// A change that is done.
pub type Confirmed = dato_media_api::Confirmed<Stamp>;
/// What shows that a change is done.
pub type Expect = dato_media_api::Expect<Stamp>;
/// Follows outstanding changes.
pub type JobFollower = dato_media_api::JobFollower<Stamp>;
/// How a job stands.
pub type JobState = dato_media_api::JobState<Stamp>;
/// A change of an asset's metadata.
pub type Metadata = dato_media_api::Metadata<Stamp>;
/// A new asset.
pub type NewUpload = dato_media_api::NewUpload<Stamp>;
/// One page of a listing.
pub type Page = dato_media_api::Page<Stamp>;
/// What a job's answer means.
pub type Resolved = dato_media_api::Resolved<Stamp>;
/// A change of an asset.
pub type UploadChange = dato_media_api::UploadChange<Stamp>;

/// How to reach the API, by the defaults, under the mirror's own name.
#[must_use]
pub fn options(base_url: impl Into<String>, token: SecretString) -> Options {
    let user_agent = Some(concat!("dato-mirror/", env!("CARGO_PKG_VERSION")).into());
    Options { user_agent, ..Options::new(base_url, token) }
}
