//! The client: uploads, one at a time.
//!
//! Owns: the calls about one upload and the site. Those about many, about tracks, and what is asked of the plan and the role
//! are in `list`, `bulk`, `tracks`, `plan` and `role`. Never does: HTTP (that is `http`), the JSON (that is `wire`).

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError, RwLock};

use reqwest::Method;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::change::{Accepted, JobId, JobState, NewUpload, ReplaceStrategy, UploadChange, Usage};
use crate::http::{Call, Reply, Transport};
use crate::retry::{self, Effect};
use crate::{
    ApiError, ApiErrorKind, BudgetPermit, CallPermit, FileToSend, Metadata, NotDone, Options, Pace, SendError, Sent,
    Site, Stamp, Upload, UploadId, UploadTicket, proof, wire,
};

/// A call that writes metadata.
enum Write<'a, S> {
    Create(&'a NewUpload<S>),
    Update(&'a UploadId, &'a UploadChange<S>),
}

/// The client. Clones share everything. `S`: what the program leaves on an upload, see [`Stamp`].
pub struct Client<S = ()> {
    pub(crate) transport: Arc<Transport>,
    site: Arc<RwLock<Option<Arc<Site>>>>,
    stamp: PhantomData<fn() -> S>,
}

impl<S> Clone for Client<S> {
    fn clone(&self) -> Self {
        Self { transport: Arc::clone(&self.transport), site: Arc::clone(&self.site), stamp: PhantomData }
    }
}

impl<S> fmt::Debug for Client<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("base", &self.transport.base.as_str()).finish_non_exhaustive()
    }
}

impl Client {
    /// Sets up a client for a program that leaves no note of its own on an upload; sends nothing.
    ///
    /// # Errors
    /// [`ApiErrorKind::Setup`] when base URL, token or environment cannot be used, or there is no certificate store.
    pub fn new(options: Options) -> Result<Self, ApiError> {
        Self::stamped(options)
    }
}

impl<S: Stamp> Client<S> {
    /// Sets up a client for a program that leaves `S` on its uploads; sends nothing.
    ///
    /// # Errors
    /// As [`Client::new`].
    pub fn stamped(options: Options) -> Result<Self, ApiError> {
        Ok(Self { transport: Arc::new(Transport::open(options)?), site: Arc::default(), stamp: PhantomData })
    }

    /// Asks for the project, and remembers its locales and its metadata shape for later calls.
    ///
    /// # Errors
    /// Any of [`ApiErrorKind`]; [`ApiError::is_access`] when token or environment are refused.
    pub async fn site(&self) -> Result<Site, ApiError> {
        let site = wire::site(&self.transport.result(&Call::get(&["site"])).await?)?;
        *self.site.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(site.clone()));
        Ok(site)
    }

    /// Waits for the budget's leave to make one call.
    ///
    /// # Errors
    /// [`ApiErrorKind::Budget`] when no call is left for this month.
    pub async fn budget_permit(&self) -> Result<BudgetPermit, ApiError> {
        self.transport.budget_permit().await
    }

    /// Waits for the pacer's leave to make that call now.
    pub async fn call_permit(&self, budget: BudgetPermit) -> CallPermit {
        self.transport.call_permit(budget).await
    }

    /// [`Client::find`] with its permit in hand.
    ///
    /// # Errors
    /// As [`Client::site`].
    pub async fn find_in(&self, permit: CallPermit, id: &UploadId) -> Result<Option<Upload<S>>, ApiError> {
        found(id, self.transport.result_from(&Call::get(&["uploads", id.as_str()]), Some(permit)).await)
    }

    /// [`Client::update`] with its permit in hand, sent once: the asset was looked at just now.
    ///
    /// # Errors
    /// See [`NotDone`].
    pub async fn update_in(
        &self,
        permit: CallPermit,
        id: &UploadId,
        change: &UploadChange<S>,
    ) -> Result<Accepted<S>, NotDone> {
        let site = self.known_site().await?;
        let call = self.write_call(&Write::Update(id, change), &site).await?;
        let error = match self.transport.send_once(&call, permit).await.and_then(|reply| Ok(accepted(id, reply)?)) {
            Err(NotDone::Final(error)) if error.is_shape_refusal() => error,
            outcome => return outcome,
        };
        let changed = self.site().await?.shape != site.shape;
        Err(if changed { NotDone::Again { error, paced: true } } else { NotDone::Final(error) })
    }

    /// [`Client::destroy`] with its permit in hand, sent once: the asset was looked at just now.
    ///
    /// # Errors
    /// See [`NotDone`].
    pub async fn destroy_in(&self, permit: CallPermit, id: &UploadId) -> Result<Accepted<S>, NotDone> {
        let call = Call::new(Method::DELETE, &["uploads", id.as_str()], Effect::NonIdempotent);
        Ok(accepted(id, self.transport.send_once(&call, permit).await?)?)
    }

    /// Waits before a call that was not executed is tried for the `attempt`-th time more.
    pub async fn pause(&self, attempt: u32) {
        tokio::time::sleep(retry::backoff(attempt, self.transport.timeouts.backoff, fastrand::f64())).await;
    }

    /// One asset, or nothing when there is none with this id.
    ///
    /// # Errors
    /// As [`Client::site`].
    pub async fn find(&self, id: &UploadId) -> Result<Option<Upload<S>>, ApiError> {
        found(id, self.transport.result(&Call::get(&["uploads", id.as_str()])).await)
    }

    /// Asks where to put a file of this name that is to lie in `collection`: a token may be allowed to make assets in some
    /// collections only. Where the service does not take the collection's name there, it is asked without. The ticket is
    /// short-lived: ask when the bytes are ready to go.
    ///
    /// # Errors
    /// As [`Client::site`].
    pub async fn upload_request(&self, filename: &str, collection: Option<&str>) -> Result<UploadTicket, ApiError> {
        let Some(collection) = collection.filter(|_| !self.transport.learned.plain_requests()) else {
            return self.ticket(filename, None).await;
        };
        let refusal = match self.ticket(filename, Some(collection)).await {
            Err(error) if error.is_about_naming_a_collection() => error,
            outcome => return outcome,
        };
        match self.ticket(filename, None).await {
            Ok(ticket) => {
                if refusal.kind == ApiErrorKind::Invalid && !refusal.is_about_collection() {
                    self.transport.learned.requests_are_plain();
                }
                Ok(ticket)
            }
            Err(_) => Err(refusal),
        }
    }

    async fn ticket(&self, filename: &str, collection: Option<&str>) -> Result<UploadTicket, ApiError> {
        let mut body = json!({"data": {"type": "upload_request", "attributes": {"filename": filename}}});
        if let Some(collection) = collection {
            let collection = json!({"data": {"type": "upload_collection", "id": collection}});
            body["data"]["relationships"] = json!({ "upload_collection": collection });
        }
        // A ticket nobody uses is nothing, so a lost answer costs only the call.
        let call = Call::new(Method::POST, &["upload-requests"], Effect::Idempotent).body(body);
        let ticket = wire::ticket(&self.transport.result(&call).await?)?;
        let headers = ticket.headers.into_iter().map(|(name, value)| (name, value.into())).collect();
        Ok(UploadTicket { path: ticket.path, url: ticket.url.into(), headers })
    }

    /// Sends a file's bytes to the bucket. Sent once; the caller decides about another ticket.
    ///
    /// # Errors
    /// See [`SendError`].
    pub async fn put_file(
        &self,
        ticket: &UploadTicket,
        file: FileToSend<'_>,
        cancel: &CancellationToken,
    ) -> Result<Sent, SendError> {
        self.transport.put(ticket, file, cancel).await
    }

    /// Makes an asset of bytes that were sent.
    ///
    /// The client-made id makes this safe to send again after an error that is [`outcome_unknown`](ApiError::outcome_unknown): the
    /// second one is refused with [`ApiError::is_uniqueness_of_id`] when the first one was executed. The caller
    /// decides, since the path of the ticket may have been used up.
    ///
    /// # Errors
    /// As [`Client::site`].
    pub async fn create(&self, new: &NewUpload<S>) -> Result<Accepted<S>, ApiError> {
        self.write(&Write::Create(new)).await
    }

    /// Changes an asset: its file, its name, its metadata.
    ///
    /// When the metadata would rewrite the custom data that hold the stamp and the change names no stamp, the asset is
    /// read first and its stamp kept; that costs a call.
    ///
    /// # Errors
    /// As [`Client::site`].
    pub async fn update(&self, id: &UploadId, change: &UploadChange<S>) -> Result<Accepted<S>, ApiError> {
        self.write(&Write::Update(id, change)).await
    }

    /// Deletes an asset for good: there is no trash. Ask for its references first.
    ///
    /// # Errors
    /// As [`Client::site`]; [`ApiErrorKind::InUse`] when records use it.
    pub async fn destroy(&self, id: &UploadId) -> Result<Accepted<S>, ApiError> {
        let call = Call::new(Method::DELETE, &["uploads", id.as_str()], Effect::NonIdempotent);
        accepted(id, self.transport.send(&call).await?)
    }

    /// Asks once how a job stands.
    ///
    /// # Errors
    /// As [`Client::site`]; a failed job is no error but [`JobState::Failed`].
    pub async fn job(&self, job: &JobId) -> Result<JobState<S>, ApiError> {
        let state = self.transport.job_state(job).await?;
        if let JobState::Failed(error) = &state
            && error.is_shape_refusal()
        {
            // The project may have changed shapes: look again before the next write.
            *self.site.write().unwrap_or_else(PoisonError::into_inner) = None;
        }
        Ok(state)
    }

    /// The environment that this client works on: the one that was asked for, or the one that the answers name, if they
    /// name one. Once another answers, every call fails, see [`ApiError::is_promotion`].
    #[must_use]
    pub fn environment(&self) -> Option<String> {
        self.transport.answered_by.name()
    }

    /// Waits until another environment answers.
    pub async fn other_environment(&self) {
        self.transport.answered_by.other().await;
    }

    /// What has been used so far.
    #[must_use]
    pub fn usage(&self) -> Usage {
        let count = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
        Usage {
            api_requests: count(&self.transport.requests),
            bytes_uploaded: count(&self.transport.bytes_uploaded),
            rate_limit: self.pace().limit,
            throttled: count(&self.transport.throttled),
            retried: count(&self.transport.retried),
        }
    }

    /// How far this machine's clock is ahead of the service's, by the `Date` of its last answer, whole seconds; `None`
    /// before it told.
    #[must_use]
    pub fn clock_ahead(&self) -> Option<i64> {
        match self.transport.clock_ahead.load(Ordering::Relaxed) {
            i64::MIN => None,
            seconds => Some(seconds),
        }
    }

    /// What the pacer does right now.
    #[must_use]
    pub fn pace(&self) -> Pace {
        self.transport.pacer.pace()
    }

    /// Sends a call that writes metadata, and once more if the project has changed its metadata shape meanwhile.
    async fn write(&self, write: &Write<'_, S>) -> Result<Accepted<S>, ApiError> {
        let id = match *write {
            Write::Create(new) => &new.id,
            Write::Update(id, _) => id,
        };
        let site = self.known_site().await?;
        let sent = self.transport.send(&self.write_call(write, &site).await?).await;
        let error = match sent.and_then(|reply| accepted(id, reply)) {
            Err(error) if error.is_shape_refusal() => error,
            outcome => return outcome,
        };
        let now = self.site().await?;
        if now.shape == site.shape {
            return Err(error);
        }
        accepted(id, self.transport.send(&self.write_call(write, &now).await?).await?)
    }

    async fn write_call(&self, write: &Write<'_, S>, site: &Site) -> Result<Call, ApiError> {
        let (id, metadata, path) = match *write {
            Write::Create(new) => (&new.id, Some(Cow::Borrowed(&new.metadata)), Some(&new.path)),
            Write::Update(id, change) => match &change.metadata {
                Some(metadata) => (id, Some(self.with_stamp(id, metadata, site).await?), change.path.as_ref()),
                None => (id, None, change.path.as_ref()),
            },
        };
        let (mut attributes, relationships) = metadata.map(|metadata| metadata.to_wire(site)).unwrap_or_default();
        if let Some(path) = path {
            attributes.insert("path".into(), json!(path));
        }
        let call = match *write {
            Write::Create(_) => Call::new(Method::POST, &["uploads"], Effect::NonIdempotent),
            Write::Update(_, change) => {
                if let Some(basename) = &change.basename {
                    attributes.insert("basename".into(), json!(basename));
                }
                Call::new(Method::PUT, &["uploads", id.as_str()], Effect::NonIdempotent).query(match change.strategy {
                    Some(ReplaceStrategy::KeepUrl) => "replace_strategy=keep_url",
                    Some(ReplaceStrategy::NewUrl) => "replace_strategy=create_new_url",
                    None => "",
                })
            }
        };
        let mut data = json!({"type": "upload", "id": id.as_str(), "attributes": attributes});
        if !relationships.is_empty() {
            data["relationships"] = Value::Object(relationships);
        }
        Ok(call.body(json!({"data": data})))
    }

    async fn known_site(&self) -> Result<Arc<Site>, ApiError> {
        let known = self.site.read().unwrap_or_else(PoisonError::into_inner).clone();
        match known {
            Some(site) => Ok(site),
            None => self.site().await.map(Arc::new),
        }
    }

    async fn with_stamp<'m>(
        &self,
        id: &UploadId,
        metadata: &'m Metadata<S>,
        site: &Site,
    ) -> Result<Cow<'m, Metadata<S>>, ApiError> {
        if !metadata.would_drop_stamp(site) {
            return Ok(Cow::Borrowed(metadata));
        }
        let stored = self.find(id).await?.map(|asset| asset.stamp);
        Ok(Cow::Owned(Metadata { stamp: stored, ..metadata.clone() }))
    }
}

/// What the answer to a call that changes or deletes the asset `id` means.
fn accepted<S: Stamp>(id: &UploadId, reply: Reply) -> Result<Accepted<S>, ApiError> {
    match reply {
        Reply::Job(job) => Ok(Accepted::Job(job)),
        // Perhaps executed, but what came of it cannot be read.
        Reply::Document(document, request) => match proof::upload(&document, id) {
            Ok(asset) => Ok(Accepted::Done(Box::new(asset))),
            Err(error) => Err(error.of_request(request).with_outcome_unknown()),
        },
    }
}

fn found<S: Stamp>(id: &UploadId, answer: Result<Value, ApiError>) -> Result<Option<Upload<S>>, ApiError> {
    match answer {
        Ok(document) => proof::upload(&document, id).map(Some),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}
