//! The way through the house, for one saved file and for a million alike:
//!
//! ```text
//! watch ─┐
//! scan  ─┴▶ settle ──▶ observe ──▶ plan ──▶ execute ──▶ record ──▶ report
//! ```
//!
//! Owns: the stages and what ties them. [`once`] is `--sync-once` and `--dry-run`; both stand on [`mirror`] (one
//! mirror's guard, scan and pass) and [`session`] (what all mirrors share). [`pass`] is the heart; every decision in it is
//! [`plan`]'s.
//! Never does: reading the configuration, printing. Called by: `cli`.

pub mod absence;
pub mod budget;
pub mod bulk;
pub mod collections;
pub mod confirm;
pub mod daemon;
pub mod desire;
pub mod edit;
pub mod execute;
pub mod explain;
pub mod first_root;
pub mod full_listing;
pub mod last_look;
pub mod listed;
pub mod manifest;
pub mod mirror;
pub mod notices;
pub mod observe;
pub mod old_index;
pub mod once;
pub mod pass;
pub mod plan;
pub mod progress;
pub mod record;
pub mod refresh;
pub mod room;
pub mod scan;
pub mod session;
pub mod settle;
pub mod simulate;
pub mod tracks;
pub mod verify;
pub mod waits;
pub mod watch;
