//! What the project's plan allows.
//!
//! Owns: which limit a refusal names, and the two reads that tell limits before they are met.
//! Never does: remembering, deciding what is sent.

use serde_json::Value;

use super::http::Call;
use super::{ApiError, ApiErrorKind, Client, Stamp, wire};

/// A limit of the plan, by what it is about; what stops most comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum PlanLimit {
    /// The calls of a month: nothing can be asked any more.
    Calls,
    /// The bytes of all files together: nothing can be sent, all else can be done.
    Storage,
    /// The bytes of one file.
    SingleUpload,
    /// Another one, which concerns one file (minutes of video, for example), or one that is not named.
    Other,
}

impl PlanLimit {
    pub(super) fn of(name: Option<&str>) -> Self {
        match name {
            Some(name) if name.contains("api_calls") => Self::Calls,
            Some("maximum_single_upload_bytes") => Self::SingleUpload,
            Some("uploadable_bytes") => Self::Storage,
            _ => Self::Other,
        }
    }
}

/// The room for files: bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Storage {
    /// So many are left.
    Left(u64),
    /// There is no limit.
    Unlimited,
    /// The service does not tell.
    Untold,
}

/// A limit of the project's plan.
#[derive(Debug, Clone, PartialEq)]
pub struct SubscriptionLimit {
    /// For example `uploadable_bytes`.
    pub code: String,
    /// Used so far.
    pub usage: Option<f64>,
    /// Allowed; `None` for no limit.
    pub limit: Option<f64>,
}

impl<S: Stamp> Client<S> {
    /// How many bytes one file may have, when the service tells.
    ///
    /// # Errors
    /// As [`Client::site`].
    pub async fn largest_upload(&self) -> Result<Option<u64>, ApiError> {
        let document = self.transport.result(&Call::get(&["public-info"])).await?;
        let limit = document.pointer("/data/attributes/extras/maximum_single_upload_bytes");
        Ok(limit.and_then(Value::as_u64).filter(|bytes| *bytes > 0))
    }

    /// How many bytes of files may still be sent.
    ///
    /// # Errors
    /// As [`Client::site`], but for a token that may not ask: that is [`Storage::Untold`].
    pub async fn storage(&self) -> Result<Storage, ApiError> {
        let limits = match self.subscription_limits().await {
            Ok(limits) => limits,
            Err(error) if matches!(error.kind, ApiErrorKind::Permission | ApiErrorKind::NotFound) => Vec::new(),
            Err(error) => return Err(error),
        };
        let Some(found) = limits.iter().find(|limit| limit.code == "uploadable_bytes") else {
            return Ok(Storage::Untold);
        };
        Ok(match (found.usage, found.limit) {
            (_, None) => Storage::Unlimited,
            (None, Some(_)) => Storage::Untold,
            (Some(usage), Some(limit)) => Storage::Left(whole(limit - usage)),
        })
    }

    /// The limits of the project's plan.
    ///
    /// # Errors
    /// As [`Client::site`].
    pub async fn subscription_limits(&self) -> Result<Vec<SubscriptionLimit>, ApiError> {
        let document = self.transport.result(&Call::get(&["subscription-limits"])).await?;
        let text = |attributes: &Value| attributes.get("code").and_then(Value::as_str).map(str::to_owned);
        let limit = |l: wire::Bare| SubscriptionLimit {
            code: text(&l.attributes).unwrap_or(l.id),
            usage: l.attributes.get("usage").and_then(Value::as_f64),
            limit: l.attributes.get("limit").and_then(Value::as_f64),
        };
        Ok(wire::bare_list(&document)?.into_iter().map(limit).collect())
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bytes, below nothing as nothing")]
fn whole(bytes: f64) -> u64 {
    bytes.max(0.0) as u64
}
