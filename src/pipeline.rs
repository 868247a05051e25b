//! The way through the house.

pub mod edit;
pub mod plan;
