//! Metadata end to end: real files through the real binary into a media area, and what editors did there in between.
#![expect(clippy::unwrap_used, clippy::panic, clippy::print_stderr, reason = "tests")]

mod support;

mod bulk;
mod collections;
mod remote;
mod sidecars;
mod three_way;
mod values;
