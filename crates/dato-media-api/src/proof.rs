//! Whether an answer is about what was asked.
//!
//! Owns: that a document is believed only where it holds the resource of the call, by its type and its id: whatever stands
//! between us and the service may answer with other JSON. Pure. Never does: looking again, which is the caller's.

use serde_json::Value;

use crate::{ApiError, ApiErrorKind, JobId, Stamp, Upload, UploadId, wire};

/// The upload that the call was about.
pub(super) fn upload<S: Stamp>(document: &Value, id: &UploadId) -> Result<Upload<S>, ApiError> {
    is_about(document, "upload", id.as_str())?;
    wire::asset(document)
}

/// The inner status and the payload of the job that was asked for.
pub(super) fn job_result(document: &Value, job: &JobId) -> Result<(u16, Value), ApiError> {
    is_about(document, "job_result", job.as_str())?;
    wire::job_result(document)
}

/// Fails unless the document holds the resource of this type and id.
pub(super) fn is_about(document: &Value, kind: &str, id: &str) -> Result<(), ApiError> {
    is_one(document, kind)?;
    let told = document.pointer("/data/id");
    let is_it =
        told.is_some_and(|told| told.as_str() == Some(id) || told.as_u64().is_some_and(|n| n.to_string() == id));
    if is_it { Ok(()) } else { Err(not_it("with JSON about something else")) }
}

/// Fails unless the document holds a resource of this type. Its own type may be left out.
pub(super) fn is_one(document: &Value, kind: &str) -> Result<(), ApiError> {
    match document.get("data") {
        Some(Value::Object(data)) if data.get("type").is_none_or(|told| told == kind) => Ok(()),
        None | Some(Value::Null) => Err(not_it("with nothing")),
        Some(_) => Err(not_it("with JSON that is not the API's")),
    }
}

fn not_it(nature: &str) -> ApiError {
    ApiError::new(ApiErrorKind::Between, nature)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_the_resource_that_was_asked_for_is_believed() {
        let cases = [
            (json!({"data": {"type": "upload", "id": "u"}}), true),
            (json!({"data": {"id": "u"}}), true),
            (json!({"data": {"type": "upload", "id": "v"}}), false),
            (json!({"data": {"type": "upload"}}), false),
            (json!({"data": {"type": "job_result", "id": "u", "attributes": {"status": 200, "payload": {}}}}), false),
            (json!({"data": {}}), false),
            (json!({"data": []}), false),
            (json!({"data": [{"type": "upload", "id": "u"}]}), false),
            (json!({"data": null}), false),
            (json!(null), false),
        ];
        for (document, is_it) in cases {
            let read = upload::<()>(&document, &UploadId::new("u"));
            assert_eq!(read.is_ok(), is_it, "{document}");
            assert!(read.is_ok() || read.is_err_and(|error| error.kind == ApiErrorKind::Between), "{document}");
        }
        assert!(is_about(&json!({"data": {"type": "upload", "id": 12}}), "upload", "12").is_ok());
    }

    #[test]
    fn the_result_of_another_job_is_no_result() {
        let result = |kind: &str, id: &str| json!({"data": {"type": kind, "id": id, "attributes": {"status": 200}}});
        let job = JobId::new("a");
        assert_eq!(job_result(&result("job_result", "a"), &job).unwrap(), (200, Value::Null));
        for other in
            [result("job_result", "b"), result("upload", "a"), json!({"data": {"attributes": {"status": 200}}})]
        {
            assert!(job_result(&other, &job).is_err(), "{other}");
        }
    }
}
