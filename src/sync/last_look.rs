//! The last look at an asset before it is written: with the write's permit in hand, so that one round trip is all that lies
//! between the two.
//!
//! Owns: the one task that takes permits of the pacer for all writes that are due, and reads their assets in one call.
//! Never does: deciding what the look means (that is `execute`), writing.
//!
//! The pacer grants permits one by one, so the writes of one moment collect theirs first, then comes the permit of the look,
//! then the look, then all the writes at once. A permit may be held: see `remote::permit`.

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout, timeout_at};

use crate::model::{Asset, UploadId};
use crate::remote::{ApiError, ApiErrorKind, CallPermit, ListQuery, Remote, Scope};

/// Writes that share a look, at most.
const TOGETHER: usize = 16;
/// How long the first of them waits for others to get their permits.
const COLLECT: Duration = Duration::from_secs(1);
/// Writes that come no further apart than this are of one moment: on a busy machine they do not come all at once.
const MOMENT: Duration = Duration::from_millis(50);
/// How long a moment is at most.
const LONGEST_MOMENT: Duration = Duration::from_millis(500);
/// How long a look and a single write wait to have both permits. An allowance of one call never grants two.
const BOTH: Duration = Duration::from_secs(6);

/// What the asset is looked at for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// It is to be changed.
    Write,
    /// It is to be deleted: it shows only when nothing uses it.
    Delete,
}

/// What a look showed, and the permit to act on it.
#[derive(Debug)]
pub struct LookedAt {
    /// The asset now; `None` when it is not there, or, before a deletion, when something uses it.
    pub asset: Option<Box<Asset>>,
    /// The permit of the write: to be used at once.
    pub permit: CallPermit,
}

struct Request {
    id: UploadId,
    /// What the asker knew last, by the service's clock: a listing that shows less lags behind.
    updated_at: String,
    purpose: Purpose,
    reply: oneshot::Sender<Result<LookedAt, ApiError>>,
}

/// A handle to the looking task, which ends with its last handle.
#[derive(Debug, Clone)]
pub struct LastLook {
    requests: mpsc::Sender<Request>,
    remote: Remote,
}

impl std::fmt::Debug for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Request").field("id", &self.id).field("purpose", &self.purpose).finish_non_exhaustive()
    }
}

impl LastLook {
    /// Makes the handle, and the task for the caller to spawn.
    pub fn new(remote: Remote) -> (Self, impl Future<Output = ()> + Send + 'static) {
        let (requests, queue) = mpsc::channel(64);
        (Self { requests, remote: remote.clone() }, run(remote, queue))
    }

    /// Waits for a permit and looks at the asset that `known` was.
    ///
    /// # Errors
    /// The API's, of the look; the budget's.
    pub async fn at(&self, known: &Asset, purpose: Purpose) -> Result<LookedAt, ApiError> {
        let (reply, seen) = oneshot::channel();
        let stopping = || ApiError::new(ApiErrorKind::Job, "the mirror is stopping; nothing was changed");
        let (id, updated_at) = (known.id.clone(), known.updated_at.clone());
        self.requests.send(Request { id, updated_at, purpose, reply }).await.map_err(|_| stopping())?;
        seen.await.map_err(|_| stopping())?
    }

    /// Looks at all assets that one call is to change, with that call's permit in hand.
    ///
    /// # Errors
    /// The API's, of the look; the budget's.
    pub async fn at_all(&self, ids: &[UploadId]) -> Result<(HashMap<UploadId, Asset>, CallPermit), ApiError> {
        let most = self.remote.batch_limits().ids;
        let mut seen = HashMap::new();
        let (first, rest) = ids.split_at(ids.len().min(most));
        for chunk in rest.chunks(most) {
            let page = self.remote.list(&ListQuery::ids(chunk.to_vec())).await?;
            seen.extend(page.assets.into_iter().map(by_id));
        }
        let (look, write) = both(&self.remote).await?;
        let page = self.remote.list_in(look, &ListQuery::ids(first.to_vec())).await?;
        seen.extend(page.assets.into_iter().map(by_id));
        Ok((seen, write.take(&self.remote).await?))
    }

    /// As [`LastLook::at_all`], and shows only what nothing uses: so many at a time that one listing holds them.
    ///
    /// # Errors
    /// As [`LastLook::at_all`].
    pub async fn at_unused(&self, ids: &[UploadId]) -> Result<(HashMap<UploadId, Asset>, CallPermit), ApiError> {
        let (look, write) = both(&self.remote).await?;
        let seen = unused(&self.remote, look, ids).await?.into_iter().map(by_id).collect();
        Ok((seen, write.take(&self.remote).await?))
    }
}

fn by_id(asset: Asset) -> (UploadId, Asset) {
    (asset.id.clone(), asset)
}

/// Those of these assets that nothing uses. Where no listing tells, the records that use each are asked for; one that this
/// cannot be asked of is not among them: whoever looks at it alone hears why.
async fn unused(remote: &Remote, look: CallPermit, ids: &[UploadId]) -> Result<Vec<Asset>, ApiError> {
    let mut look = Some(look);
    if remote.tells_use()
        && let Some(look) = look.take()
        && let Some(told) = remote.unused_in(look, ids).await?
    {
        return Ok(told);
    }
    let asked = ids.iter().map(|id| async move { (id, remote.references(id).await) });
    let mut free = Vec::new();
    for (id, records) in futures_util::future::join_all(asked).await {
        match records {
            Ok(records) if records.is_empty() => free.push(id.clone()),
            Err(error) if error.scope() == Scope::All => return Err(error),
            Ok(_) | Err(_) => {}
        }
    }
    if free.is_empty() {
        return Ok(Vec::new());
    }
    let query = ListQuery::ids(free);
    let page = match look {
        Some(look) => remote.list_in(look, &query).await?,
        None => remote.list(&query).await?,
    };
    Ok(page.assets)
}

/// The permit of a write.
enum WritePermit {
    Held(CallPermit),
    /// There is but one permit at a time: it was the look's.
    AfterTheLook,
}

impl WritePermit {
    async fn take(self, remote: &Remote) -> Result<CallPermit, ApiError> {
        match self {
            Self::Held(permit) => Ok(permit),
            Self::AfterTheLook => Ok(remote.call_permit(remote.budget_permit().await?).await),
        }
    }
}

/// The permits of a look and of one write. The budget may make calls wait for minutes, so it is asked first for both.
async fn both(remote: &Remote) -> Result<(CallPermit, WritePermit), ApiError> {
    let (look, write) = (remote.budget_permit().await?, remote.budget_permit().await?);
    let first = remote.call_permit(look).await;
    if remote.pace().allowance <= 1 {
        return Ok((first, WritePermit::AfterTheLook));
    }
    Ok(match timeout(BOTH, remote.call_permit(write)).await {
        Ok(second) => (first, WritePermit::Held(second)),
        Err(_) => (first, WritePermit::AfterTheLook),
    })
}

/// How many writes may hold permits at a time when the pacer allows so many calls a window: others want some as well.
fn together(allowance: u32) -> usize {
    (allowance as usize / 3).clamp(1, TOGETHER)
}

async fn run(remote: Remote, mut queue: mpsc::Receiver<Request>) {
    let mut waiting: VecDeque<Request> = VecDeque::new();
    let mut looks: JoinSet<()> = JoinSet::new();
    loop {
        if waiting.is_empty() {
            match queue.recv().await {
                Some(request) => waiting.push_back(request),
                None => break,
            }
            wait_for_others(&mut queue, &mut waiting).await;
        }
        drain(&mut queue, &mut waiting);
        waiting.retain(|request| !request.reply.is_closed());
        let Some(purpose) = waiting.front().map(|request| request.purpose) else { continue };
        let (look, writes) = match collect(&remote, &mut queue, &mut waiting, purpose).await {
            Ok(permits) => permits,
            Err(error) => {
                for request in waiting.drain(..) {
                    // Nobody waits any more: the pass was stopped.
                    let _ = request.reply.send(Err(error.clone()));
                }
                continue;
            }
        };
        let mut ids = HashSet::new();
        let mut asked = Vec::new();
        for permit in writes {
            // One asset once: what is written to it next is written to what this write leaves.
            let next = waiting.iter().position(|request| request.purpose == purpose && !ids.contains(&request.id));
            let Some(request) = next.and_then(|place| waiting.remove(place)) else { break };
            ids.insert(request.id.clone());
            asked.push((request, permit));
        }
        let remote = remote.clone();
        looks.spawn(async move { answer(&remote, purpose, look, asked).await });
        while looks.try_join_next().is_some() {}
    }
    while looks.join_next().await.is_some() {}
}

/// Waits until no more writes of this moment are asked for.
async fn wait_for_others(queue: &mut mpsc::Receiver<Request>, waiting: &mut VecDeque<Request>) {
    let last = Instant::now() + LONGEST_MOMENT;
    while waiting.len() < TOGETHER {
        match timeout_at(last.min(Instant::now() + MOMENT), queue.recv()).await {
            Ok(Some(request)) => waiting.push_back(request),
            Ok(None) | Err(_) => break,
        }
    }
}

fn drain(queue: &mut mpsc::Receiver<Request>, waiting: &mut VecDeque<Request>) {
    while let Ok(request) = queue.try_recv() {
        waiting.push_back(request);
    }
}

/// The permits of a look and of the writes that wait for one.
async fn collect(
    remote: &Remote,
    queue: &mut mpsc::Receiver<Request>,
    waiting: &mut VecDeque<Request>,
    purpose: Purpose,
) -> Result<(CallPermit, Vec<WritePermit>), ApiError> {
    let (look, write) = both(remote).await?;
    // Where permits come one by one, another is not to be had before the look.
    let most = if matches!(write, WritePermit::AfterTheLook) { 1 } else { TOGETHER };
    let mut writes = vec![write];
    let until = Instant::now() + COLLECT;
    loop {
        drain(queue, waiting);
        let due = waiting.iter().filter(|request| request.purpose == purpose).count();
        if writes.len() >= due.min(most).min(together(remote.pace().allowance)) {
            break;
        }
        let next = async { Ok::<_, ApiError>(remote.call_permit(remote.budget_permit().await?).await) };
        match timeout_at(until, next).await {
            Ok(Ok(permit)) => writes.push(WritePermit::Held(permit)),
            // Time is up; or the budget is: those that have their permits go on.
            Ok(Err(_)) | Err(_) => break,
        }
    }
    // A refusal of any call stops all, also those that have their permits.
    let stopped = remote.pace().stopped_for;
    if !stopped.is_zero() {
        tokio::time::sleep(stopped).await;
    }
    Ok((look, writes))
}

async fn answer(remote: &Remote, purpose: Purpose, look: CallPermit, asked: Vec<(Request, WritePermit)>) {
    let seen = see(remote, purpose, look, &asked).await;
    for (request, permit) in asked {
        let answer = match &seen {
            Ok(seen) => {
                let asset = seen.get(&request.id).cloned().map(Box::new);
                permit.take(remote).await.map(|permit| LookedAt { asset, permit })
            }
            Err(error) => Err(error.clone()),
        };
        // Nobody waits any more: the pass was stopped.
        let _ = request.reply.send(answer);
    }
}

async fn see(
    remote: &Remote,
    purpose: Purpose,
    look: CallPermit,
    asked: &[(Request, WritePermit)],
) -> Result<HashMap<UploadId, Asset>, ApiError> {
    let ids: Vec<UploadId> = asked.iter().map(|(request, _)| request.id.clone()).collect();
    match (purpose, ids.as_slice()) {
        (Purpose::Write, [only]) => Ok(remote.find_in(look, only).await?.map(by_id).into_iter().collect()),
        (Purpose::Write, _) => {
            let page = remote.list_in(look, &ListQuery::ids(ids)).await?;
            let mut seen: HashMap<_, _> = page.assets.into_iter().map(by_id).collect();
            for (request, _) in asked {
                // A listing that shows less than was known lags behind, and so may one that does not show it at all.
                if seen.get(&request.id).is_none_or(|asset| asset.updated_at < request.updated_at) {
                    match remote.find(&request.id).await? {
                        Some(asset) => drop(seen.insert(request.id.clone(), asset)),
                        None => drop(seen.remove(&request.id)),
                    }
                }
            }
            Ok(seen)
        }
        (Purpose::Delete, _) => {
            let listed = unused(remote, look, &ids).await?;
            let lags = |asset: &Asset| {
                asked.iter().any(|(request, _)| request.id == asset.id && asset.updated_at < request.updated_at)
            };
            Ok(listed.into_iter().filter(|asset| !lags(asset)).map(by_id).collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_hold_a_third_of_the_allowance_at_most() {
        let cases = [(0, 1), (1, 1), (4, 1), (6, 2), (20, 6), (48, 16), (1_000_000, 16)];
        for (allowance, most) in cases {
            assert_eq!(together(allowance), most, "{allowance}");
        }
    }
}
