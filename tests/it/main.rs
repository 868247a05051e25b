//! The whole binary against a whole media area: what a person who runs it can see.
//!
//! One test binary, because linking is what takes the time. `support` has the surroundings; each other file is a topic.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic is how a test fails")]

mod absence;
mod bad_input;
mod between;
mod book;
mod cli;
mod comes_back;
mod completions;
mod copies;
mod cost;
mod deletions;
mod fuse;
mod fuse_disk;
mod half_written;
mod init;
mod layout;
mod limits;
mod listing;
mod mirror;
mod places;
mod policies;
mod present;
mod promotion;
mod rights;
mod served;
mod shared_name;
mod stamps;
#[allow(dead_code, reason = "each helper is used by one topic or another")]
mod support;
mod swapped;
mod taken;
mod told;
mod tracks;
