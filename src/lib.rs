//! dato-mirror mirrors a folder into a DatoCMS project's media area.
//!
//! Start reading here, then `pipeline.rs`, then `pipeline/plan.rs`. The rooms, from the edge inwards:
//!
//! - [`model`]: the nouns;
//! - [`disk`]: the folder as it is;
//! - [`pipeline`]: from a saved file to its asset.

pub mod cli;
pub mod config;
pub mod disk;
pub mod error;
pub mod fetch;
pub mod index;
pub mod live;
pub mod metadata;
pub mod model;
pub mod pipeline;
pub mod remote;
pub mod report;
pub mod sandbox;
pub mod service;
pub mod status;
