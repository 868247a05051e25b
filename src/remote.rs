//! stub
#![allow(dead_code)]
mod bandwidth;
mod error;
mod limit;
mod pace;
mod retry;
pub use error::{ApiError, ApiErrorKind, Retry, Scope};
