//! dato-mirror mirrors a folder into a DatoCMS project's media area.
//!
//! Start reading here, then `sync.rs`, then `sync/plan.rs`. The rooms, from the edge inwards:
//!
//! - [`cli`]: the command line; [`report`] and [`error`]: what a run came to;
//! - [`daemon`]: watches, and drives `sync` for as long as it runs; [`runtime_state`], [`service`], [`status`]: what the
//!   process does now, for the service manager and for people;
//! - [`sync`]: from a saved file to its asset, a module a stage;
//! - [`features`]: what is done beside that: files listed by URL, collections, the manifest, the CDN check, the budget;
//! - [`index`]: what was there last time, and what is left to do;
//! - [`metadata`]: what files, rules and sidecars say, and how it meets what editors typed;
//! - [`remote`]: the one client of the API, from the crate `dato-media-api`; [`fetch`]: files listed by URL;
//! - [`disk`]: the folder as it is;
//! - [`config`]: every key, from file, environment and flags;
//! - [`model`]: the nouns;
//! - [`sandbox`], a crate of its own: a local media area to rehearse and test against.

pub mod cli;
pub mod config;
pub mod daemon;
pub mod disk;
pub mod error;
pub mod features;
pub mod fetch;
pub mod index;
pub mod metadata;
pub mod model;
pub mod remote;
pub mod report;
pub mod runtime_state;
pub mod service;
pub mod status;
pub mod sync;

pub use dato_sandbox as sandbox;
