//! What is tried again, and when.
//!
//! This module owns the bounds of trying again within a pass, and the wait of a row until a later pass tries it. It never reads
//! a clock: the time is a parameter, in milliseconds since 1970.

use std::collections::HashMap;

use crate::index::FileRow;
use crate::index::files::RetryAt;
use crate::model::Md5;

/// What failed is tried again after this, when trying again can help or when there is news of it.
pub const FIRST_RETRY_MS: i64 = 10_000;
/// A row is planned anew less often than this in a pass when the media area turns out to be another than thought.
pub const REPLANS: u8 = 5;
/// A row is acted on this often in a pass, when what others did gives it more to do.
pub const TURNS: u8 = 6;
/// So many paths with one content that cannot be sent speak for all that have it.
pub const REFUSALS: u32 = 3;

/// When a row that failed has its next turn. Where trying again can help, that is after 10 s, then after twice as long each
/// time, up to [`crate::index::files::LONGEST_WAIT_MS`].
pub fn next_try(row: &FileRow, heals: bool, now_ms: i64) -> RetryAt {
    if heals { RetryAt::after(now_ms, FIRST_RETRY_MS << row.failures.min(9)) } else { RetryAt::AfterAChange }
}

/// The contents that could not be sent, each with how many paths found that out.
#[derive(Debug, Default)]
pub struct RefusedContents(HashMap<Md5, u32>);

impl RefusedContents {
    /// Another path could not send the content. Tells whether that speaks for all that have it: a file that cannot be sent
    /// may have a copy that can.
    pub fn add(&mut self, content: Option<Md5>) -> bool {
        let paths = self.0.entry(content.unwrap_or_else(|| Md5::of(b""))).or_default();
        *paths += 1;
        *paths >= REFUSALS
    }
}
