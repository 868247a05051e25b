//! What the mirror does beside its files' assets, a module each: files that are listed by URL, collections, the manifest, the check of
//! what the CDN serves, and the month's budget.
//!
//! Each feature owns its rules and its calls. `sync` gives it its turn; no feature knows the stages of `sync`, so that each can be read
//! and changed alone.

pub mod budget;
pub mod cdn_check;
pub mod collections;
pub mod manifest;
pub mod remote_files;
