//! The daemon: the real binary as a child process, a media area in this process, real folders.
//!
//! Waiting is always for something to happen, with a limit that only a failure reaches. What takes minutes runs only when
//! asked for: see `figures`.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic is how a test fails")]

mod copies;
mod disks;
mod figures;
#[path = "../it/fuse_disk.rs"]
mod fuse_disk;
mod guard;
mod listed;
mod listing;
mod meanwhile;
mod process;
mod promotion;
mod saves;
mod service;
mod settling;
mod state;
#[path = "../it/support.rs"]
#[allow(dead_code, reason = "each helper is used by one test binary or another")]
mod support;
mod told;
mod tracks;
mod trouble;
mod watch;
