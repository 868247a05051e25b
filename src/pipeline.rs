//! The way through the house.

pub mod desire;
pub mod edit;
pub mod observe;
pub mod plan;
pub mod scan;
