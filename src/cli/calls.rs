//! Counts what a command spent of the month's calls.
//!
//! Owns: that one small change of the index. A command that works must not fail for a count: without an index, or with
//! one that cannot be written, it is left out.

use crate::config::Config;
use crate::index::{Index, settings};
use crate::remote::Remote;
use crate::sync::session::this_month;

/// Adds the calls that `remote` made.
pub async fn count(config: &Config, remote: &Remote) {
    let calls = remote.usage().api_requests;
    let counted = async {
        let index = Index::open_beside(&config.state_path)?;
        index.call(move |conn| settings::count_calls(conn, &this_month(), calls)).await
    };
    if let Err(error) = counted.await {
        tracing::debug!(%error, calls, "these calls are not counted");
    }
}
