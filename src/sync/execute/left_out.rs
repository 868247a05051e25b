//! A value that the service refuses is no reason not to mirror the file: it is written without.
//!
//! Owns: which refusals may be about such a value, that the same is written once more without it, and that the refusal is
//! remembered only where the rest is taken then. Never does: choosing what is written instead (that is `plan`, which finds
//! the value refused), or telling it (that is `sync::metadata_warnings`).

use super::{Execution, Executor, Failure};
use crate::index::refused::{self, SentValue};
use crate::model::FieldKey;
use crate::remote::ApiError;
use crate::sync::metadata_warnings;
use crate::sync::observe::{Company, Looks};

/// What was left out of a write so far, and the words in which it was refused.
#[derive(Debug, Default)]
pub(super) struct LeftOut(Option<(SentValue, ApiError)>);

impl Executor {
    /// The service refuses what was sent with `error`. Nothing when `execution` is to be carried out once more, since its
    /// plan is now without the value that this may be about; else the service's last word.
    pub(super) async fn leave_out(
        &self,
        execution: &mut Execution,
        left_out: &mut LeftOut,
        error: ApiError,
        intent: Option<i64>,
    ) -> Result<Option<ApiError>, Failure> {
        if let Some((sent, first)) = left_out.0.take() {
            if error.refuses_the_upload() {
                // The file was used up by the first call; the next upload goes without the value.
                return Ok(Some(error));
            }
            // What was left out was not what the service minds: it is wanted again, and no notice says otherwise.
            let (scope, row, plan) = (self.scope.clone(), execution.row.clone(), execution.plan.clone());
            let company = Company::taking(plan.members.iter().map(|member| member.row.id));
            let wanted_again = move |conn: &rusqlite::Connection| {
                refused::remove(conn, &sent)?;
                let mut looks = Looks::new(conn, &scope, &company);
                let seen = looks.observe(&row)?;
                metadata_warnings::keep(&looks, &row, &seen, &plan)
            };
            self.index.call(wanted_again).await?;
            return Ok(Some(if error.may_be_of_a_value() { first } else { error }));
        }
        let Some(sent) = self.optional_value(execution).filter(|_| error.may_be_of_a_value()) else {
            return Ok(Some(error));
        };
        tracing::warn!(path = %execution.row.path, field = %sent.field, %error, "refused: it is written without this field");
        // The request's id differs for each file: without it many files are told in one line. The log has it.
        let mut told = error.clone();
        told.request = None;
        let (value, cause) = (sent.clone(), told.to_string());
        self.index.call(move |conn| refused::add(conn, &value, &cause)).await?;
        left_out.0 = Some((sent, error));
        // The asset is in the index as it was seen last; what is written next is looked at once more.
        self.plan_again(execution, None, intent).await?;
        Ok(None)
    }

    /// The value that is sent and that the file can go without. That is the poster time: it is not certain that each project
    /// takes one, and the service may check it against the video.
    fn optional_value(&self, execution: &Execution) -> Option<SentValue> {
        let (edit, content) = (execution.plan.action.edit()?, execution.row.md5?);
        let field = FieldKey::PosterTime;
        let value = edit.fields.get(&field).filter(|_| edit.write.contains(&field))?.clone();
        Some(SentValue { content, field, value, by_field: self.scope.site.shape.is_by_field() })
    }
}
