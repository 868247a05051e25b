//! What the project's plan lets be sent: how large one file may be, and whether there is room for more.
//!
//! Owns: what was told and what was refused, for all mirrors of a process; asking again, after pauses that grow, while
//! the plan is full. What holds for longer is kept in the index, where a person's `retry` is found as well. Never does:
//! sending, deciding what becomes of a file that may not be sent. What is known, and the rules, are in `plan_state`.

mod plan_state;

use std::time::Duration;

use jiff::Timestamp;
use rusqlite::Connection;
use tokio::sync::{Mutex, Notify};
use tokio::time::{Instant, timeout_at};

use crate::index::{Index, retry_requests, settings};
use crate::model::Md5;
use crate::remote::{ApiError, PlanLimit, Remote, Storage};

use plan_state::{Before, PlanState};

pub use plan_state::NoRoom;

/// The key of what is kept.
const KEY: &str = "plan";
/// How long others wait for the file that is sent to see whether there is room.
const TRIAL: Duration = Duration::from_secs(60);

/// The plan, as all mirrors of a process know it.
#[derive(Debug)]
pub struct Room {
    remote: Remote,
    index: Index,
    state: Mutex<Option<PlanState>>,
    /// The file that is sent to see whether there is room was taken or refused.
    tried: Notify,
}

impl Room {
    /// Knows what the index kept.
    #[must_use]
    pub fn new(remote: Remote, index: Index) -> Self {
        Self { remote, index, state: Mutex::new(None), tried: Notify::new() }
    }

    /// Whether a file may be sent. One asks or tries, the others wait for what comes of it.
    pub async fn before(&self, content: Md5, size: u64) -> Result<(), NoRoom> {
        self.hear_people().await;
        let until = Instant::now() + TRIAL;
        loop {
            let tried = self.tried.notified();
            let mut guard = self.state.lock().await;
            let state = self.known(&mut guard).await;
            match state.before(content, size, now_ms()) {
                Before::Send => return Ok(()),
                Before::Refuse(why) => return Err(why),
                Before::AskLargest => {
                    let told = self.remote.largest_upload().await.unwrap_or_else(|error| {
                        tracing::debug!(%error, "how large a file may be is not told");
                        None
                    });
                    state.told_largest(told, now_ms());
                    if told.is_some() {
                        self.keep(state).await;
                    }
                }
                Before::AskRoom => {
                    let room = self.remote.storage().await.unwrap_or(Storage::Untold);
                    return if state.told_room(room, content, size, now_ms()) { Ok(()) } else { Err(NoRoom::Full) };
                }
                Before::Wait => {
                    drop(guard);
                    if timeout_at(until, tried).await.is_err() {
                        return Err(NoRoom::Full);
                    }
                }
            }
        }
    }

    /// A file was refused: whether because of a limit about sending, and then why.
    pub async fn refused(&self, error: &ApiError, content: Md5, size: u64) -> Option<NoRoom> {
        let limit = error.plan_limit()?;
        let why = match limit {
            PlanLimit::SingleUpload => NoRoom::RefusedBefore,
            PlanLimit::Storage => NoRoom::Full,
            PlanLimit::Calls | PlanLimit::Other => return None,
        };
        self.note_refused(limit, content, size).await;
        Some(why)
    }

    /// The bucket, or the API, does not take so many bytes.
    pub async fn note_refused(&self, limit: PlanLimit, content: Md5, size: u64) {
        let mut guard = self.state.lock().await;
        let state = self.known(&mut guard).await;
        if limit == PlanLimit::Storage && !state.is_full() {
            tracing::warn!(
                "the project's plan has no room for more files: nothing is sent until there is, all else goes on"
            );
        }
        state.refused(limit, content, size, now_ms());
        self.keep(state).await;
        self.tried.notify_waiters();
    }

    /// A file was taken.
    pub async fn taken(&self, content: Md5) {
        if let Some(state) = self.state.lock().await.as_mut()
            && state.taken(content)
        {
            tracing::info!("the project's plan has room again");
            self.keep(state).await;
            self.tried.notify_waiters();
        }
    }

    /// The file did not get so far that it would tell anything.
    pub async fn left(&self, content: Md5) {
        if let Some(state) = self.state.lock().await.as_mut()
            && state.left(content)
        {
            self.tried.notify_waiters();
        }
    }

    /// An asset was deleted.
    pub async fn freed(&self) {
        if let Some(state) = self.state.lock().await.as_mut() {
            state.freed();
        }
    }

    /// Takes in what a person wants tried again since the last file.
    async fn hear_people(&self) {
        let mut guard = self.state.lock().await;
        let wanted = self.index.call(retry_requests::wanted_again).await.unwrap_or_default();
        if !wanted.is_empty() {
            let state = self.known(&mut guard).await;
            state.wanted_again(&wanted);
            self.keep_and(state, move |conn| retry_requests::forget_wanted_again(conn, &wanted)).await;
        }
    }

    async fn known<'s>(&self, state: &'s mut Option<PlanState>) -> &'s mut PlanState {
        if state.is_none() {
            let kept = self.index.call(|conn| settings::get(conn, KEY)).await.unwrap_or_default();
            *state = kept.and_then(|kept| serde_json::from_str(&kept).ok());
        }
        state.get_or_insert_default()
    }

    /// Losing it costs a question, or sending once more what is too large.
    async fn keep(&self, state: &PlanState) {
        self.keep_and(state, |_| Ok(())).await;
    }

    /// Keeps it, and writes what belongs to it, in one transaction.
    async fn keep_and(
        &self,
        state: &PlanState,
        more: impl FnOnce(&Connection) -> rusqlite::Result<()> + Send + 'static,
    ) {
        let Ok(text) = serde_json::to_string(state) else { return };
        let write = move |conn: &Connection| settings::set(conn, KEY, &text).and_then(|()| more(conn));
        if let Err(error) = self.index.call(write).await {
            tracing::warn!(%error, "what the plan takes could not be noted");
        }
    }
}

fn now_ms() -> i64 {
    Timestamp::now().as_millisecond()
}
