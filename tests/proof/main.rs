//! The proof that the mirror is exactly-once under every fault, crash and surprise.
//!
//! `cargo test --test proof` runs it all in CI's time. More, for a long night:
//!
//! ```text
//! SEEDS=100000 cargo test --test proof model          random histories; START=n begins at that seed, else at another
//!                                                     every day; STORY=1 tells each, WITHOUT=Copies,Web leaves out
//!                                                     operations by name, MOST=n goes on until so many have failed,
//!                                                     AT_ONCE=n lives so many at a time
//! KILLS=2000   cargo test --test proof kill           kill -9 at random moments
//! PROPTEST_CASES=100000 cargo test --test proof fuzz  anything as input
//! ```

#![allow(clippy::unwrap_used, clippy::panic, reason = "a panic is how a test fails, in its helpers too")]
#![allow(clippy::print_stderr, reason = "the figures go to the test's output")]

mod failures;
mod faults;
mod fuzz;
mod injected;
mod kill;
mod model;
mod rounds;
mod stop;
mod world;
