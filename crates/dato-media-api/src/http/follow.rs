//! Following a job to its result.
//!
//! Owns: how often a job is asked for, and what its result means. Never does: sending (that is `http`).

use std::sync::PoisonError;
use std::time::Instant;

use serde_json::Value;

use super::{Call, Reply, Transport};
use crate::error::{ApiError, ApiErrorKind};
use crate::retry::Effect;
use crate::schedule::Latency;
use crate::{JobId, JobState, Stamp, proof, wire};

impl Transport {
    /// Waits for a job and gives its payload.
    pub(super) async fn follow(&self, job: &JobId, effect: Effect) -> Result<Value, ApiError> {
        let start = Instant::now();
        // What the service took on may still happen when we stop looking.
        let outcome_unknown =
            |error: ApiError| if effect == Effect::NonIdempotent { error.with_outcome_unknown() } else { error };
        for asked in 0.. {
            let wait = self.latency().wait(asked, start.elapsed());
            tokio::time::sleep(wait).await;
            match self.job_payload(job).await.map_err(outcome_unknown)? {
                Some(Ok(payload)) => {
                    self.latency().learn(start.elapsed(), wait);
                    return Ok(payload);
                }
                Some(Err(error)) => return Err(error),
                None if start.elapsed() >= self.timeouts.job => break,
                None => {}
            }
        }
        let text = format!("still running after {} s", self.timeouts.job.as_secs());
        Err(outcome_unknown(ApiError::new(ApiErrorKind::Job, text)))
    }

    /// Asks once for a job's result: nothing while it runs, then the payload or the job's own error.
    async fn job_payload(&self, job: &JobId) -> Result<Option<Result<Value, ApiError>>, ApiError> {
        let call = Call { may_be_missing: true, ..Call::get(&["job-results", job.as_str()]) };
        let (document, request) = match self.send(&call).await {
            Ok(Reply::Document(document, request)) => (document, request),
            Ok(Reply::Job(_)) => return Ok(None),
            // Here a 404 of any kind means "not yet"; waiting has an end of its own.
            Err(error) if error.status == Some(404) => return Ok(None),
            Err(error) => return Err(error),
        };
        let (status, payload) = proof::job_result(&document, job)?;
        let good = (200..300).contains(&status);
        Ok(Some(if good { Ok(payload) } else { Err(ApiError::of_job(status, &payload).of_request(request)) }))
    }

    /// Asks once how a job stands.
    pub(crate) async fn job_state<S: Stamp>(&self, job: &JobId) -> Result<JobState<S>, ApiError> {
        Ok(match self.job_payload(job).await? {
            None => JobState::Pending,
            Some(Err(error)) => JobState::Failed(error),
            Some(Ok(payload)) => match payload.get("data") {
                Some(Value::Object(_)) => JobState::Done(Some(Box::new(wire::asset(&payload)?))),
                _ => JobState::Done(None),
            },
        })
    }

    fn latency(&self) -> std::sync::MutexGuard<'_, Latency> {
        self.job_latency.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
