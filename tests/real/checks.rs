//! The checks, by topic. Each makes its own folder or assets and depends on no other.

pub mod editors;
pub mod facts;
pub mod files;
pub mod gone;
pub mod served;
pub mod writes;
