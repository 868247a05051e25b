//! disk placeholder
mod fingerprint;
pub use fingerprint::Fingerprint;
