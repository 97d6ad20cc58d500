//! The simulation: real nodes of the core in one virtual world with seeded faults, audited after every step on what is
//! really true (never on what a node believes), and then given time to come to rest.
//!
//! - `world`, `time`, `rng`, `trace`: the queue of what happens, true time, chance, the story.
//! - `machine`, `daemon`, `agents`, `network`: what is simulated. Effects come late, on completion, and outlive whoever
//!   asked for them: a kind world would hide the worst bugs.
//! - `options`, `hands`, `chaos`: what a seed draws, what can be done to the world, and what random faults do.
//! - `audit`, `ledger`, `never_two`, `liveness`: what must hold.
//! - `sweep`: many seeds. `directed`: one story each, to the millisecond. `mutant`, `planted`: bugs that must be caught.

#![allow(unreachable_pub, reason = "one test binary: nothing in it is public to anybody")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test may panic and print; that clippy allows it in tests does not reach their helpers"
)]
#![allow(clippy::wildcard_enum_match_arm, reason = "an observer looks at what concerns it")]

mod agents;
mod audit;
mod chaos;
mod daemon;
mod directed;
mod hands;
mod ledger;
mod liveness;
mod machine;
mod maintenance;
mod mutant;
mod network;
mod never_two;
mod options;
mod planted;
mod rng;
mod sweep;
mod time;
mod trace;
mod unmet;
mod world;
