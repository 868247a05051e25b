//! The one way through the house, from a saved file to its asset.

pub mod settle;
pub mod watch;
