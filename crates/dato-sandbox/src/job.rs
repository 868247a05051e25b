//! Asynchronous jobs: work that is done later, and its results.
//!
//! Owns: jobs from start to result, on the sandbox's clock. There is no background task: whoever looks at the state
//! first lets the jobs that are due run, so that what is seen depends on the clock alone and a restart finishes what
//! was pending.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::answer::{Answer, Refusal};
use super::call::Call;
use super::settings::Answers;
use super::state::World;
use super::{bulk, create, tracks, update};

/// How a job ends.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Fate {
    /// By doing its work.
    #[default]
    Usual,
    /// Without effect, with this refusal.
    Fails { status: u16, code: String },
    /// Without effect, and never with a result.
    NeverEnds,
    /// With its effect, and never with a result.
    ResultLost,
}

/// What a job does.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) enum Work {
    /// Makes an upload.
    Create { id: String, body: Value, creator: String },
    /// Changes an upload.
    Update { id: String, body: Value, keep_url: bool },
    /// Makes a track of a video.
    Track { upload: String, body: Value },
    /// Deletes one.
    Untrack { upload: String, track: String },
    /// One of the bulk operations.
    Bulk { operation: String, body: Value },
    /// Tells what was done already.
    Tell { status: u16, body: Value },
}

/// A job.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Job {
    pub(super) seq: u64,
    pub(super) id: String,
    pub(super) environment: String,
    /// When it ends, ms since 1970.
    pub(super) due: i64,
    pub(super) work: Work,
    pub(super) fate: Fate,
    /// Inner status and payload, once it has ended with a result.
    pub(super) outcome: Option<(u16, Value)>,
    pub(super) ended: bool,
}

impl World {
    /// Does `work` as this call asks for: in a job, or at once.
    pub(super) fn begin(&mut self, call: &Call, work: Work) -> Answer {
        if call.direct || (self.settings.answers == Answers::Direct && call.fate == Fate::Usual) {
            return match self.perform(&call.environment, &work, call.now) {
                Ok((status, body)) => Answer { status, body },
                Err(refusal) => refusal.into(),
            };
        }
        let (low, high) = (self.settings.job_min_ms, self.settings.job_max_ms);
        let latency = i64::from(fastrand::u32(low..=high.max(low))) + call.slow;
        let id = format!("{:024x}", fastrand::u128(..) >> 32);
        let job = Job {
            seq: self.next(),
            id: id.clone(),
            environment: call.environment.clone(),
            due: call.now + latency,
            work,
            fate: call.fate.clone(),
            outcome: None,
            ended: false,
        };
        self.journal.put("job", &job.environment, &id, &job);
        self.enrol(job);
        Answer { status: 202, body: json!({ "data": { "type": "job", "id": id } }) }
    }

    /// Takes in a job, running or ended.
    pub(super) fn enrol(&mut self, job: Job) {
        if !job.ended {
            self.due.insert((job.due, job.seq, job.id.clone()));
            if let Some(space) = self.environments.get_mut(&job.environment) {
                match &job.work {
                    Work::Create { id, .. } => {
                        space.reserved.insert(id.clone());
                    }
                    Work::Update { id, .. } => {
                        space.busy.insert(id.clone());
                    }
                    Work::Track { .. } | Work::Untrack { .. } | Work::Bulk { .. } | Work::Tell { .. } => {}
                }
            }
        }
        self.jobs.insert(job.id.clone(), job);
    }

    /// Lets every job run that is due at `now`.
    pub(super) fn settle(&mut self, now: i64) {
        while self.due.first().is_some_and(|(due, _, _)| *due <= now) {
            let Some((due, _, id)) = self.due.pop_first() else { return };
            let Some(mut job) = self.jobs.remove(&id) else { continue };
            if let Some(space) = self.environments.get_mut(&job.environment) {
                match &job.work {
                    Work::Create { id, .. } => space.reserved.remove(id),
                    Work::Update { id, .. } => space.busy.remove(id),
                    Work::Track { .. } | Work::Untrack { .. } | Work::Bulk { .. } | Work::Tell { .. } => false,
                };
            }
            let outcome = match &job.fate {
                Fate::NeverEnds => None,
                Fate::Fails { status, code } => {
                    let refusal = Refusal::new(*status, code, json!({}));
                    Some((*status, refusal.envelope()))
                }
                Fate::Usual | Fate::ResultLost => {
                    let done = self.perform(&job.environment, &job.work, due);
                    let done = done.unwrap_or_else(|refusal| (refusal.status, refusal.envelope()));
                    (job.fate == Fate::Usual).then_some(done)
                }
            };
            job.outcome = outcome;
            job.ended = true;
            // The result says it all; the work would only take room.
            job.work = Work::Tell { status: 200, body: Value::Null };
            self.journal.put("job", &job.environment, &id, &job);
            self.jobs.insert(id, job);
        }
    }

    /// Does the work; gives the inner status and the payload.
    fn perform(&mut self, environment: &str, work: &Work, now: i64) -> Result<(u16, Value), Refusal> {
        match work {
            Work::Create { id, body, creator } => create::perform(self, environment, id, body, creator, now),
            Work::Update { id, body, keep_url } => update::perform(self, environment, id, body, *keep_url, now),
            Work::Track { upload, body } => tracks::perform(self, environment, upload, body, now),
            Work::Untrack { upload, track } => tracks::remove(self, environment, upload, track, now),
            Work::Bulk { operation, body } => bulk::perform(self, environment, operation, body, now),
            Work::Tell { status, body } => Ok((*status, body.clone())),
        }
    }
}

/// `GET /job-results/:id`.
pub(super) fn result(world: &World, call: &Call, id: &str) -> Result<Answer, Refusal> {
    call.only_params(&[])?;
    let job = world.jobs.get(id).filter(|job| job.environment == call.environment);
    let Some((status, payload)) = job.and_then(|job| job.outcome.as_ref()) else {
        return Err(Refusal::not_found("job result (yet)"));
    };
    let attributes = json!({ "status": status, "payload": payload });
    Ok(Answer::ok(json!({ "data": { "type": "job_result", "id": id, "attributes": attributes } })))
}
