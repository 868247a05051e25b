//! The way through the house.

pub mod bulk;
pub mod confirm;
pub mod desire;
pub mod edit;
pub mod execute;
pub mod observe;
pub mod pass;
pub mod plan;
pub mod record;
pub mod refresh;
pub mod scan;
pub mod simulate;
