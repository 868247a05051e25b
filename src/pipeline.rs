//! The way through the house.

pub mod confirm;
pub mod desire;
pub mod edit;
pub mod observe;
pub mod plan;
pub mod record;
pub mod refresh;
pub mod scan;
