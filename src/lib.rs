//! dato-mirror mirrors a folder into a DatoCMS project's media area.
//!
//! Start reading here, then `pipeline.rs`, then `pipeline/plan.rs`. The rooms, from the edge inwards:
//!
//! - [`model`]: the nouns.

pub mod metadata;
pub mod model;
