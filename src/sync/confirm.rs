//! Waits until the service has done what it accepted.
//!
//! This module owns the one task that asks the remote about all outstanding changes, many at a time: the skin of clock and calls
//! around [`JobFollower`], which decides when to ask what.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;

use crate::model::{Asset, UploadId};
use crate::remote::{
    ApiError, ApiErrorKind, Ask, Confirmed, Expect, JobFollower, JobId, JobState, ListQuery, Remote, Resolved,
};

/// What a change came to; `None` for an asset that is gone.
pub type Outcome = Result<Option<Box<Asset>>, ApiError>;

struct Submission {
    id: UploadId,
    job: Option<JobId>,
    expect: Expect,
    reply: oneshot::Sender<Outcome>,
}

/// A handle to the confirming task, which ends with its last handle.
#[derive(Clone, Debug)]
pub struct Confirmer {
    submissions: mpsc::Sender<Submission>,
    flush: watch::Sender<bool>,
}

impl Confirmer {
    /// Makes the handle, and the task for the caller to spawn. A change that was accepted is followed for `follow`, then
    /// the next pass has to look what became of it.
    pub fn new(remote: Remote, follow: Duration) -> (Self, impl Future<Output = ()> + Send + 'static) {
        let (submissions, queue) = mpsc::channel(64);
        let (flush, flushed) = watch::channel(false);
        (Self { submissions, flush }, run(remote, follow, queue, flushed))
    }

    /// Says whether there is other work for the API meanwhile: with none, confirm as soon as likely done.
    pub fn set_flush(&self, flush: bool) {
        self.flush.send_if_modified(|now| std::mem::replace(now, flush) != flush);
    }

    /// Waits until the change of `id` shows.
    ///
    /// # Errors
    /// The job's own error, or [`ApiErrorKind::Job`] when it did not end in the stated time.
    pub async fn wait(&self, id: UploadId, job: Option<JobId>, expect: Expect) -> Outcome {
        let (reply, outcome) = oneshot::channel();
        let gone =
            || ApiError::new(ApiErrorKind::Job, "the mirror is stopping; the next start looks at what became of it");
        self.submissions.send(Submission { id, job, expect, reply }).await.map_err(|_| gone())?;
        outcome.await.map_err(|_| gone())?
    }
}

/// What came back from a call.
enum Answer {
    Listed(Vec<UploadId>, Result<Vec<Asset>, ApiError>),
    Job(UploadId, Result<JobState, ApiError>),
}

async fn run(
    remote: Remote,
    follow: Duration,
    mut queue: mpsc::Receiver<Submission>,
    mut flushed: watch::Receiver<bool>,
) {
    let mut follower = JobFollower::new(remote.batch_limits().ids, follow);
    let mut waiting: HashMap<UploadId, oneshot::Sender<Outcome>> = HashMap::new();
    let mut calls: JoinSet<Answer> = JoinSet::new();
    let mut open = true;
    while open || !waiting.is_empty() {
        let flush = *flushed.borrow_and_update();
        let wake = loop {
            match follower.next(Instant::now(), flush) {
                Ask::ListIds(ids) => {
                    let remote = remote.clone();
                    calls.spawn(async move {
                        let found = remote.list(&ListQuery::ids(ids.clone())).await.map(|page| page.assets);
                        Answer::Listed(ids, found)
                    });
                }
                Ask::JobResult(id, job) => {
                    let remote = remote.clone();
                    calls.spawn(async move {
                        let state = remote.job(&job).await;
                        Answer::Job(id, state)
                    });
                }
                Ask::GaveUp(ids) => {
                    for id in ids {
                        let error =
                            ApiError::new(ApiErrorKind::Job, format!("its job did not end in {} s", follow.as_secs()));
                        reply(&mut waiting, &id, Err(error));
                    }
                }
                Ask::WaitUntil(at) => break Some(at),
                Ask::Idle => break None,
            }
        };
        let sleep = async {
            match wake {
                Some(at) => tokio::time::sleep_until(at.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            submission = queue.recv(), if open => match submission {
                Some(Submission { id, job, expect, reply }) => {
                    follower.submitted(id.clone(), job, expect, Instant::now());
                    waiting.insert(id, reply);
                }
                None => open = false,
            },
            Some(answer) = calls.join_next() => {
                // A call that panicked answers nothing: its changes are asked for again in time.
                if let Ok(answer) = answer {
                    take(&mut follower, &mut waiting, answer);
                }
            }
            changed = flushed.changed(), if open => {
                if changed.is_err() {
                    open = false;
                }
            }
            () = sleep => {}
        }
    }
}

fn take(follower: &mut JobFollower, waiting: &mut HashMap<UploadId, oneshot::Sender<Outcome>>, answer: Answer) {
    let now = Instant::now();
    if let Answer::Listed(_, Err(error)) | Answer::Job(_, Err(error)) = &answer
        && (error.is_promotion() || error.kind == ApiErrorKind::Environment)
    {
        // Another environment answers: nothing shows there any more.
        for (_, reply) in waiting.drain() {
            // Nobody waits any more: the pass was stopped.
            let _ = reply.send(Err(error.clone()));
        }
        return;
    }
    match answer {
        Answer::Listed(asked, Ok(found)) => {
            for Confirmed { id, asset } in follower.listed(&asked, found, now) {
                reply(waiting, &id, Ok(asset));
            }
        }
        Answer::Listed(asked, Err(_)) => follower.list_failed(&asked, now),
        Answer::Job(id, Ok(state)) => match follower.job_answer(&id, state, now) {
            Resolved::Confirmed(Confirmed { id, asset }) => reply(waiting, &id, Ok(asset)),
            Resolved::Failed(error) => reply(waiting, &id, Err(error)),
            Resolved::StillPending | Resolved::Unknown => {}
        },
        Answer::Job(id, Err(_)) => follower.job_unanswered(&id, now),
    }
}

fn reply(waiting: &mut HashMap<UploadId, oneshot::Sender<Outcome>>, id: &UploadId, outcome: Outcome) {
    if let Some(reply) = waiting.remove(id) {
        // Nobody waits any more: the pass was stopped, and the next one looks.
        let _ = reply.send(outcome);
    }
}
