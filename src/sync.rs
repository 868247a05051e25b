//! The way of one saved file, and of a million, to its asset:
//!
//! ```text
//! watch ─┐
//! scan  ─┴▶ settle ──▶ observe ──▶ plan ──▶ execute ──▶ record ──▶ report
//! ```
//!
//! This module owns the stages and what ties them together: [`once`] drives `--sync-once` and `--dry-run`, [`mirror`] guards, scans
//! and passes one mirror, [`session`] holds what all mirrors share, and [`pass`] carries plans out. Every decision is
//! [`plan`]'s. It never reads the configuration and never prints.

pub mod absence;
pub mod confirm;
pub mod desired_state;
pub mod execute;
pub mod explain;
pub mod full_listing;
pub mod last_look;
pub mod list_remote;
pub mod metadata_warnings;
pub mod mirror;
pub mod missing_root;
pub mod observe;
pub mod old_index;
pub mod once;
pub mod pass;
pub mod path_filter;
pub mod plan;
pub mod plan_limits;
pub mod progress;
pub mod record;
pub mod row_state;
pub mod scan;
pub mod scope;
pub mod session;
pub mod simulate;
pub mod timeouts;
pub mod track_file;
pub mod tracks;
pub mod video_lookup;
